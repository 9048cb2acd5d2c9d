"""Layers that draw from a generator of their own, never from PyTorch's global one."""

import math
from itertools import pairwise

import torch
from torch import nn
from torch.nn.utils import skip_init

ACTIVATIONS = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "elu": nn.ELU,
    "tanh": nn.Tanh,
    "identity": nn.Identity,
}


def make_generator(seed, device="cpu"):
    """Return a seeded generator for one fit on one device.

    Parameters
    ----------
    seed : int
    device : str or torch.device

    Returns
    -------
    torch.Generator
    """
    return torch.Generator(device=device).manual_seed(int(seed))


def linear(n_inputs, n_outputs, *, dtype=torch.float32, generator=None):
    """Build a linear layer whose start is drawn from ``generator``.

    ``nn.Linear(...)`` draws from the global generator when it is built, which makes two
    trainings at once depend on each other; so the layer is built empty.

    Parameters
    ----------
    n_inputs, n_outputs : int
    dtype : torch.dtype
    generator : torch.Generator, optional
        None leaves the weights unset, for weights that are loaded next.

    Returns
    -------
    torch.nn.Linear
    """
    layer = skip_init(nn.Linear, n_inputs, n_outputs, dtype=dtype)
    if generator is not None:
        bound = 1 / math.sqrt(n_inputs)
        with torch.no_grad():
            layer.weight.uniform_(-bound, bound, generator=generator)
            layer.bias.uniform_(-bound, bound, generator=generator)
    return layer


class Dropout(nn.Module):
    """Set a share of the inputs to zero while training, and scale up the others.

    Parameters
    ----------
    p : float
        Share of inputs that are dropped, in [0, 1).
    generator : torch.Generator, optional
        Where the choice is drawn from; needed for training only.
    """

    def __init__(self, p, generator=None):
        super().__init__()
        self.p = p
        self.generator = generator

    def forward(self, x):
        """Drop, in training mode; else give ``x`` as it is."""
        if not self.training or self.p == 0:
            return x
        keep = torch.empty_like(x).bernoulli_(1 - self.p, generator=self.generator)
        return x * keep.div_(1 - self.p)

    def extra_repr(self):
        """Show the share in ``repr``."""
        return f"p={self.p}"


class GaussianNoise(nn.Module):
    """Add normal noise while training.

    Parameters
    ----------
    scale : float
        Standard deviation of the noise.
    generator : torch.Generator, optional
        Where it is drawn from; needed for training only.
    """

    def __init__(self, scale, generator=None):
        super().__init__()
        self.scale = scale
        self.generator = generator

    def forward(self, x):
        """Add noise, in training mode; else give ``x`` as it is."""
        if not self.training or self.scale == 0:
            return x
        noise = torch.empty_like(x).normal_(std=self.scale, generator=self.generator)
        return noise.add_(x)

    def extra_repr(self):
        """Show the standard deviation in ``repr``."""
        return f"scale={self.scale}"


def use_generator(module, generator):
    """Let every layer of ``module`` that draws at random draw from ``generator``."""
    for layer in module.modules():
        if hasattr(layer, "generator"):
            layer.generator = generator


class BatchNorm(nn.BatchNorm1d):
    """Batch normalisation that a mini-batch of one row leaves at the running statistics.

    One row has no variance, and PyTorch refuses it; a data set of 33 samples or a
    ``partial_fit`` on one sample should not be refused.
    """

    def forward(self, x):
        """Normalise by the mini-batch in training, by the running statistics else."""
        if self.training and len(x) > 1:
            return super().forward(x)
        return nn.functional.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
        )


NORMALIZATIONS = {"batch": BatchNorm, "layer": nn.LayerNorm}
"""Between a hidden layer's linear map and its activation; they start without random numbers."""


class Residual(nn.Module):
    """Add what comes in to what a block of layers makes of it.

    Parameters
    ----------
    block : torch.nn.Module
        As wide behind as before.
    """

    def __init__(self, block):
        super().__init__()
        self.block = block

    def forward(self, x):
        """Return ``x + block(x)``."""
        return x + self.block(x)


def stack(
    sizes,
    activation,
    dropout,
    *,
    dtype,
    generator,
    first=linear,
    normalization=None,
    residual=False,
):
    """Build hidden layers: linear, normalisation, activation, dropout, for each of ``sizes``.

    Parameters
    ----------
    sizes : sequence of int
        Width of the input and of each layer.
    activation : str
        A key of ``ACTIVATIONS``.
    dropout : float
    dtype : torch.dtype
    generator : torch.Generator or None
    first : callable, default=linear
        Builds the first of the linear layers.
    normalization : {None, "batch", "layer"}, default=None
    residual : bool, default=False
        Let every layer behind the first add to what it is given, where it is as wide.

    Returns
    -------
    torch.nn.Sequential
    """
    layers = []
    for number, (n_inputs, n_outputs) in enumerate(pairwise(sizes)):
        build = linear if number else first
        block = [build(n_inputs, n_outputs, dtype=dtype, generator=generator)]
        if normalization is not None:
            block.append(NORMALIZATIONS[normalization](n_outputs, dtype=dtype))
        block.append(ACTIVATIONS[activation]())
        if dropout:
            block.append(Dropout(dropout, generator))
        if residual and number and n_inputs == n_outputs:
            block = [Residual(nn.Sequential(*block))]
        layers += block
    return nn.Sequential(*layers)
