"""The denoising autoencoder."""

import torch
from torch import nn

from ._gene_linear import GeneLinear
from ._layers import GaussianNoise, linear, stack


class Autoencoder(nn.Module):
    """Compress expression to a few components and restore it from them.

    The input is centred on the mean of each gene and divided by one number for all genes,
    so that learning rate and noise mean the same on every scale; the output is put back.

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
        dtype=torch.float32,
        generator=None,
    ):
        super().__init__()
        made = {"dtype": dtype, "generator": generator}
        down, up = [n_inputs, *hidden_layers], [n_components, *reversed(hidden_layers)]
        self.noise = GaussianNoise(noise, generator)
        self.encoder = stack(down, activation, dropout, first=GeneLinear, **made)
        self.embedding = linear(down[-1], n_components, **made)
        self.decoder = stack(up, activation, dropout, **made)
        self.output = linear(up[-1], n_inputs, **made)
        self.register_buffer("center", torch.zeros(n_inputs, dtype=dtype))
        self.register_buffer("scale", torch.ones((), dtype=dtype))

    def standardize(self, x):
        """Centre each gene and divide all of them by one number."""
        return (x - self.center) / self.scale

    def encode(self, x):
        """Map expression of shape (n_samples, n_inputs) to (n_samples, n_components)."""
        return self.embedding(self.encoder(self.standardize(x)))

    def decode(self, z):
        """Map components of shape (n_samples, n_components) back to expression."""
        return self.output(self.decoder(z)) * self.scale + self.center

    def forward(self, x):
        """Restore the standardised expression from its noisy copy: what training sees."""
        z = self.embedding(self.encoder(self.noise(self.standardize(x))))
        return self.output(self.decoder(z))
