"""The variational autoencoder of expression."""

import torch
from torch import nn
from torch.nn.functional import one_hot

from ._gene_linear import GeneLinear
from ._layers import linear, stack
from ._likelihoods import LIKELIHOODS

_MOST_LOG_VARIANCE = 20.0
"""Of the posterior; beyond, its exponential leaves float32."""


class VariationalAutoencoder(nn.Module):
    """Encode a sample as a normal distribution of components, and decode components to counts.

    The encoder sees the log of counts plus one (a Gaussian likelihood: expression as it is),
    centred on the mean of each gene and divided by one number. It does not see the batch;
    the decoder does, as one column a batch beside the components and again beside its last
    layer, so that every gene has an offset in every batch.

    Parameters
    ----------
    n_inputs : int
        Number of genes.
    n_components : int
    hidden_layers : sequence of int
        Width of each layer between input and components; the decoder mirrors them.
    activation : str
    dropout : float
    likelihood : {"gaussian", "poisson", "nb", "zinb"}
    n_batches : int
        0 for a decoder without batches.
    dtype : torch.dtype
    generator : torch.Generator, optional
        Draws the start, dropout and the posterior; None leaves the weights unset.

    Examples
    --------
    >>> import torch
    >>> from geneexpr.nets import VariationalAutoencoder, make_generator
    >>> net = VariationalAutoencoder(5, 2, hidden_layers=(4,), generator=make_generator(0))
    >>> x = torch.ones(3, 5)
    >>> net(x).shape, net.expression(net.encode(x), None, x.sum(1)).shape
    (torch.Size([3, 4]), torch.Size([3, 5]))
    """

    def __init__(
        self,
        n_inputs,
        n_components,
        *,
        hidden_layers=(128,),
        activation="relu",
        dropout=0.0,
        likelihood="nb",
        n_batches=0,
        dtype=torch.float32,
        generator=None,
    ):
        super().__init__()
        made = {"dtype": dtype, "generator": generator}
        down = [n_inputs, *hidden_layers, 2 * n_components]
        up = [n_components, *reversed(hidden_layers)]
        inner = [up[0] + (n_batches if hidden_layers else 0), *up[1:]]
        self.n_batches = n_batches
        self.generator = generator
        self.kl_weight = 1.0
        self.encoder = stack(down[:-1], activation, dropout, first=GeneLinear, **made)
        last = linear if hidden_layers else GeneLinear
        self.posterior = last(down[-2], down[-1], **made)
        self.decoder = stack(inner, activation, 0.0, **made)
        self.output = linear(up[-1] + n_batches, n_inputs, **made)
        self.likelihood = LIKELIHOODS[likelihood](up[-1] + n_batches, n_inputs, **made)
        self.register_buffer("center", torch.zeros(n_inputs, dtype=dtype))
        self.register_buffer("scale", torch.ones((), dtype=dtype))

    @property
    def by_gene(self):
        """Names of the parameters and buffers whose first axis is the genes."""
        first = "encoder.0.weight" if len(self.encoder) else "posterior.weight"
        beside = [f"likelihood.{name}" for name, _ in self.likelihood.named_parameters()]
        return [first, "center", "output.weight", self.offset, *beside]

    @property
    def by_batch(self):
        """Names of the parameters whose last columns are the batches."""
        names = ["decoder.0.weight"] if len(self.decoder) else []
        learned = dict(self.likelihood.named_parameters())
        names += ["likelihood.zeros.weight"] if "zeros.weight" in learned else []
        return [*names, "output.weight"] if self.n_batches else []

    offset = "output.bias"
    """Name of the offsets of the decoder's last layer."""

    def start(self, profile):
        """Take over what is known of each gene: center, scale, bias and dispersion."""
        with torch.no_grad():
            self.center.copy_(profile["center"])
            self.scale.copy_(profile["scale"])
            self.output.bias.copy_(profile["bias"])
            self.likelihood.start(profile)

    def standardize(self, x):
        """Take the log of counts, centre each gene and divide all of them by one number."""
        seen = torch.log1p(x) if self.likelihood.counts else x
        return (seen - self.center) / self.scale

    def forward(self, x):
        """Map expression to mean and log-variance of the components, side by side."""
        return self.posterior(self.encoder(self.standardize(x)))

    def encode(self, x):
        """Map expression to the posterior mean of the components."""
        return self(x).chunk(2, dim=1)[0]

    def decode(self, z, codes):
        """Map components to what the output layer reads, the batch included."""
        if not self.n_batches:
            return self.decoder(z)
        batch = one_hot(codes, self.n_batches).to(z.dtype)
        first = torch.cat([z, batch], dim=1) if len(self.decoder) else z
        return torch.cat([self.decoder(first), batch], dim=1)

    def expression(self, z, codes, library):
        """Return expected expression, averaged over all batches where ``codes`` is None."""
        if codes is None and self.n_batches:
            every = (
                self.expression(z, torch.full((len(z),), i, device=z.device), library)
                for i in range(self.n_batches)
            )
            return sum(every) / self.n_batches
        h = self.decode(z, codes)
        mean = self.likelihood.mean(self.output(h), library)
        return mean if self.likelihood.counts else mean * self.scale + self.center

    def log_likelihood(self, x, z, codes):
        """Return the log-probability of each sample's expression given its components."""
        h = self.decode(z, codes)
        if self.likelihood.counts:
            return self.likelihood.terms(x, self.output(h), h).sum(1)
        whole = self.likelihood.terms(self.standardize(x), self.output(h), h).sum(1)
        return whole - x.shape[1] * self.scale.log()

    def draw(self, rng, z, codes, library):
        """Draw values for given components by a NumPy generator; on the CPU."""
        with torch.inference_mode():
            h = self.decode(z, codes)
            values = self.likelihood.draw(rng, self.output(h), h, library)
            return (values if self.likelihood.counts else values * self.scale + self.center).cpu()

    def loss(self, output, x, codes, weight=None):
        """Return the mean negative evidence bound, from one draw of each posterior."""
        mean, log_variance = _moments(output)
        noise = torch.empty_like(mean).normal_(generator=self.generator)
        z = torch.addcmul(mean, (0.5 * log_variance).exp(), noise)
        kl = divergence(mean, log_variance)
        if self.training:
            kl = kl * self.kl_weight
        negative = kl - self.log_likelihood(x, z, codes)
        return negative.mean() if weight is None else (negative * weight).mean()

    def evidence(self, x, codes, noise):
        """Return the evidence bound of each sample, its expectation taken over given draws.

        Parameters
        ----------
        x : tensor of shape (n_samples, n_genes)
        codes : tensor of int of shape (n_samples,) or None
        noise : tensor of shape (n_draws, n_components)
            Standard normal; the same for every sample.

        Returns
        -------
        tensor of shape (n_samples,)
        """
        mean, log_variance = _moments(self(x))
        spread = (0.5 * log_variance).exp()
        every = (self.log_likelihood(x, mean + spread * draw, codes) for draw in noise)
        return sum(every) / len(noise) - divergence(mean, log_variance)


def divergence(mean, log_variance):
    """Return the divergence of normal distributions from the standard normal one.

    Parameters
    ----------
    mean, log_variance : tensor of shape (n_samples, n_components)

    Returns
    -------
    tensor of shape (n_samples,)

    Examples
    --------
    >>> import torch
    >>> divergence(torch.ones(1, 2), torch.zeros(1, 2))
    tensor([1.])
    """
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1)


def _moments(output):
    mean, log_variance = output.chunk(2, dim=1)
    return mean, log_variance.clamp(-_MOST_LOG_VARIANCE, _MOST_LOG_VARIANCE)
