"""The autoencoder: denoising, and tied, sparse or contractive where asked."""

import torch
from torch import nn
from torch.nn import functional

from ._gene_linear import GeneLinear
from ._layers import ACTIVATIONS, GaussianNoise, linear, stack
from ._likelihoods import LIKELIHOODS
from ._losses import reconstruction_loss


class Autoencoder(nn.Module):
    """Compress expression to a few components and restore it from them.

    The input (the log of it, for a loss of counts) is centred on the mean of each gene and
    divided by one number for all genes, so that learning rate and noise mean the same on
    every scale; the output is put back.

    Parameters
    ----------
    n_inputs : int
        Number of genes.
    n_components : int
        Width of the embedding.
    hidden_layers : sequence of int
        Width of each layer between input and embedding; the decoder mirrors them.
    activation : str
    dropout : float
    noise : float
        Standard deviation of the noise that is added to the scaled input while training.
    tied : bool
        Let the decoder use the weights of the encoder, transposed.
    sparsity : float
        Weight of the mean absolute component in the loss.
    contractive : float
        Weight of the squared norm of the encoder's Jacobian in the loss.
    loss : {"mse", "poisson", "nb"}
    dtype : torch.dtype
    generator : torch.Generator, optional
        Draws the start, dropout and noise; None leaves the weights unset.

    Examples
    --------
    >>> import torch
    >>> from geneexpr.nets import Autoencoder, make_generator
    >>> net = Autoencoder(5, 2, hidden_layers=(4,), generator=make_generator(0))
    >>> net.encode(torch.ones(3, 5)).shape, net(torch.ones(3, 5)).shape
    (torch.Size([3, 2]), torch.Size([3, 5]))
    """

    def __init__(
        self,
        n_inputs,
        n_components,
        *,
        hidden_layers=(128,),
        activation="relu",
        dropout=0.0,
        noise=0.0,
        tied=False,
        sparsity=0.0,
        contractive=0.0,
        loss="mse",
        dtype=torch.float32,
        generator=None,
    ):
        super().__init__()
        made = {"dtype": dtype, "generator": generator}
        down, up = [n_inputs, *hidden_layers], [n_components, *reversed(hidden_layers)]
        self.sparsity, self.contractive, self.generator = sparsity, contractive, generator
        self.noise = GaussianNoise(noise, generator)
        self.encoder = stack(down, activation, dropout, first=GeneLinear, **made)
        self.embedding = (linear if hidden_layers else GeneLinear)(down[-1], n_components, **made)
        if tied:
            self.decoder = TransposedLayers([*up[1:], n_inputs], activation, dtype)
        else:
            self.decoder = stack(up, activation, dropout, **made)
            self.output = linear(up[-1], n_inputs, **made)
        self.likelihood = None
        if loss != "mse":
            self.likelihood = LIKELIHOODS[loss](up[-1], n_inputs, **made)
        self.register_buffer("center", torch.zeros(n_inputs, dtype=dtype))
        self.register_buffer("scale", torch.ones((), dtype=dtype))

    @property
    def by_gene(self):
        """Names of the parameters and buffers whose first axis is the genes."""
        names = ["encoder.0.weight" if len(self.encoder) else "embedding.weight", "center"]
        names += ["output.weight"] if hasattr(self, "output") else []
        learned = {} if self.likelihood is None else dict(self.likelihood.named_parameters())
        return [*names, self.offset, *(f"likelihood.{name}" for name in learned)]

    @property
    def offset(self):
        """Name of the offsets of the decoder's last layer."""
        if isinstance(self.decoder, TransposedLayers):
            return f"decoder.biases.{len(self.decoder.biases) - 1}"
        return "output.bias"

    def start(self, profile):
        """Take over what is known of each gene: center and scale, shares and dispersion."""
        with torch.no_grad():
            self.center.copy_(profile["center"])
            self.scale.copy_(profile["scale"])
            if self.likelihood is not None:
                self.get_parameter(self.offset).copy_(profile["bias"])
                self.likelihood.start(profile)

    def standardize(self, x):
        """Centre each gene and divide all of them by one number; of counts, their logs."""
        seen = x if self.likelihood is None else torch.log1p(x)
        return (seen - self.center) / self.scale

    def encode(self, x):
        """Map expression of shape (n_samples, n_inputs) to (n_samples, n_components)."""
        return self.embedding(self.encoder(self.standardize(x)))

    def decode(self, z, library=None):
        """Map components of shape (n_samples, n_components) back to expression."""
        scores = self._scores(z)
        if self.likelihood is None:
            return scores * self.scale + self.center
        return self.likelihood.mean(scores, library)

    def forward(self, x):
        """Restore the standardised expression from its noisy copy: what training sees.

        For a loss of counts these are the logs of each gene's share, up to a constant.
        """
        return self._scores(self.embedding(self.encoder(self.noise(self.standardize(x)))))

    def _scores(self, z):
        if isinstance(self.decoder, TransposedLayers):
            layers = [m for m in self.encoder if isinstance(m, (GeneLinear, nn.Linear))]
            return self.decoder(z, [*layers, self.embedding])
        return self.output(self.decoder(z))

    def loss(self, output, x, weight=None):
        """Return how far the restored expression is off; in training with the penalties."""
        if self.likelihood is None:
            off = reconstruction_loss(output, self.standardize(x), weight)
        else:
            rows = -self.likelihood.terms(x, output, None).mean(1)
            off = rows.mean() if weight is None else (rows * weight).mean()
        if self.training and self.sparsity:
            off = off + self.sparsity * self.encode(x).abs().mean()
        if self.training and self.contractive:
            off = off + self.contractive * self.jacobian_norm(x)
        return off

    def jacobian_norm(self, x):
        """Return the mean squared Frobenius norm of the encoder's Jacobian, estimated.

        For a vector ``v`` of random signs, ``|v J|^2`` has the norm as its expectation, at
        the cost of one backward pass whatever the number of components [1]_. The Jacobian
        is that of the components by standardised expression.

        References
        ----------
        .. [1] Hutchinson (1990), "A stochastic estimator of the trace of the influence
           matrix for Laplacian smoothing splines", doi:10.1080/03610919008812866.
        """
        seen = self.standardize(x).detach().requires_grad_()
        z = self.embedding(self.encoder(seen))
        signs = torch.empty_like(z).bernoulli_(0.5, generator=self.generator).mul_(2).sub_(1)
        (slope,) = torch.autograd.grad((z * signs).sum(), seen, create_graph=True)
        return slope.square().sum(1).mean()


class TransposedLayers(nn.Module):
    """A decoder that has offsets of its own and borrows the weights of the encoder.

    Parameters
    ----------
    widths : sequence of int
        Of each layer's output, the genes last.
    activation : str
        Of all layers but the last.
    dtype : torch.dtype
    """

    def __init__(self, widths, activation, dtype):
        super().__init__()
        self.biases = nn.ParameterList(
            nn.Parameter(torch.zeros(width, dtype=dtype)) for width in widths
        )
        self.activation = ACTIVATIONS[activation]()

    def forward(self, z, layers):
        """Go through the encoder's layers backwards."""
        for number, (layer, bias) in enumerate(zip(reversed(layers), self.biases, strict=True)):
            weight = layer.weight if isinstance(layer, GeneLinear) else layer.weight.T
            z = functional.linear(self.activation(z) if number else z, weight, bias)
        return z
