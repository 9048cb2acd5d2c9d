"""A perceptron on the components of an encoder that was trained before."""

import torch
from torch import nn

from ._autoencoder import Autoencoder
from ._mlp import MLP
from ._variational import VariationalAutoencoder

_ENCODERS = {"Autoencoder": Autoencoder, "VariationalAutoencoder": VariationalAutoencoder}


class Encoder(nn.Module):
    """The half of an autoencoder that maps expression to components.

    Parameters
    ----------
    kind : {"Autoencoder", "VariationalAutoencoder"}
    dtype : torch.dtype
    generator : torch.Generator, optional
    **architecture
        What the autoencoder is built from.

    Examples
    --------
    >>> import torch
    >>> from geneexpr.nets import Autoencoder, Encoder, make_generator
    >>> whole = Autoencoder(5, 2, hidden_layers=(4,), generator=make_generator(0))
    >>> half = Encoder("Autoencoder", n_inputs=5, n_components=2, hidden_layers=(4,))
    >>> x = torch.ones(3, 5)
    >>> torch.equal(half.take_over(whole)(x), whole.encode(x))
    True
    """

    def __init__(self, kind, *, dtype=torch.float32, generator=None, **architecture):
        super().__init__()
        whole = _ENCODERS[kind](**architecture, dtype=dtype, generator=generator)
        self.n_components = architecture["n_components"]
        self.counts = whole.likelihood is not None and whole.likelihood.counts
        self.encoder = whole.encoder
        self.components = whole.embedding if kind == "Autoencoder" else whole.posterior
        self.register_buffer("center", whole.center)
        self.register_buffer("scale", whole.scale)

    def take_over(self, whole):
        """Copy the weights of an autoencoder built alike."""
        last = whole.embedding if hasattr(whole, "embedding") else whole.posterior
        self.encoder.load_state_dict(whole.encoder.state_dict())
        self.components.load_state_dict(last.state_dict())
        self.center.copy_(whole.center)
        self.scale.copy_(whole.scale)
        return self

    def forward(self, x):
        """Map expression of shape (n_samples, n_inputs) to (n_samples, n_components)."""
        seen = torch.log1p(x) if self.counts else x
        z = self.components(self.encoder((seen - self.center) / self.scale))
        return z[:, : self.n_components]


class EncodedMLP(nn.Module):
    """A perceptron behind an encoder; the components are standardised between them.

    Parameters
    ----------
    encoder : dict
        Arguments of `Encoder`, plain values.
    n_outputs : int
    dtype : torch.dtype
    generator : torch.Generator, optional
    **head
        Further arguments of `MLP`.
    """

    def __init__(self, encoder, n_outputs, *, dtype=torch.float32, generator=None, **head):
        super().__init__()
        made = {"dtype": dtype, "generator": generator}
        self.encoder = Encoder(**encoder, **made)
        self.head = MLP(self.encoder.n_components, n_outputs, **head, **made)
        self.register_buffer("shift", torch.zeros(self.encoder.n_components, dtype=dtype))
        self.register_buffer("spread", torch.ones(self.encoder.n_components, dtype=dtype))

    @property
    def output(self):
        """The last layer."""
        return self.head.output

    def freeze(self, frozen=True):
        """Keep the encoder as it is in training, or let it go."""
        for parameter in self.encoder.parameters():
            parameter.requires_grad_(not frozen)

    def forward(self, x):
        """Map expression of shape (n_samples, n_inputs) to (n_samples, n_outputs)."""
        return self.head((self.encoder(x) - self.shift) / self.spread)
