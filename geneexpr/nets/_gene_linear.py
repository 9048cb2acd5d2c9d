"""A linear layer from very many inputs to few outputs: the first one of every network here."""

import math

import torch
from torch import nn
from torch.autograd.function import once_differentiable


class GeneLinear(nn.Module):
    """Linear layer from genes, whose weights are stored genes by outputs.

    With twenty thousand inputs nearly all of a training step is spent on these weights. In
    this layout the gradient is ``x.T @ g`` in place of ``g.T @ x``, which BLAS computes in
    two thirds of the time, and its memory can be used again from step to step.

    Parameters
    ----------
    n_inputs, n_outputs : int
    dtype : torch.dtype
    generator : torch.Generator, optional
        Draws the start; None leaves the weights unset.

    Examples
    --------
    >>> import torch
    >>> from geneexpr.nets import GeneLinear, make_generator
    >>> layer = GeneLinear(5, 2, generator=make_generator(0))
    >>> layer(torch.ones(3, 5)).shape
    torch.Size([3, 2])
    """

    def __init__(self, n_inputs, n_outputs, *, dtype=torch.float32, generator=None):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_inputs, n_outputs, dtype=dtype))
        self.bias = nn.Parameter(torch.empty(n_outputs, dtype=dtype))
        self._spare = None
        if generator is not None:
            bound = 1 / math.sqrt(n_inputs)
            with torch.no_grad():
                self.weight.uniform_(-bound, bound, generator=generator)
                self.bias.uniform_(-bound, bound, generator=generator)

    def forward(self, x):
        """Map genes of shape (n_samples, n_inputs) to (n_samples, n_outputs)."""
        # Autocast casts the plain product by itself, and its gradient back.
        lower = torch.is_autocast_enabled(x.device.type)
        if self.training and not x.requires_grad and not lower:
            return _Product.apply(x, self.weight, self.bias, self)
        return torch.addmm(self.bias, x, self.weight)

    def recycle(self):
        """Drop the gradient, and keep its memory for the next one.

        Whoever holds on to the old gradient sees it overwritten.
        """
        if self.weight.grad is not None:
            self._spare, self.weight.grad = self.weight.grad, None

    @torch.no_grad()
    def shrink(self, threshold):
        """Shorten the weights of each gene by ``threshold``; shorter ones become zero.

        Parameters
        ----------
        threshold : tensor of shape (n_inputs,)
        """
        self.weight.mul_((1 - threshold / self.gene_weights()).clamp_(min=0)[:, None])

    @torch.no_grad()
    def gene_weights(self):
        """Return the length of each gene's weights, of shape (n_inputs,)."""
        return torch.linalg.vector_norm(self.weight, dim=1)

    def take_spare(self):
        """Hand over the memory of the last gradient, if it was kept."""
        spare, self._spare = self._spare, None
        return spare

    def extra_repr(self):
        """Show the sizes in ``repr``."""
        return "n_inputs={}, n_outputs={}".format(*self.weight.shape)


class _Product(torch.autograd.Function):
    """The product of `GeneLinear`, for inputs that need no gradient themselves."""

    @staticmethod
    def forward(ctx, x, weight, bias, layer):
        ctx.save_for_backward(x)
        ctx.layer = layer
        return torch.addmm(bias, x, weight)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        weight = None
        if ctx.needs_input_grad[1]:
            weight = torch.mm(x.T, gradient, out=ctx.layer.take_spare())
        return None, weight, gradient.sum(0), None


def recycle_gradients(module):
    """Let every `GeneLinear` of a module use the memory of its gradient again.

    Parameters
    ----------
    module : torch.nn.Module
    """
    for layer in module.modules():
        if isinstance(layer, GeneLinear):
            layer.recycle()


def first_layer(module):
    """Return the layer that genes enter a module by.

    Parameters
    ----------
    module : torch.nn.Module

    Returns
    -------
    GeneLinear
    """
    for layer in module.modules():
        if isinstance(layer, GeneLinear):
            return layer
    raise ValueError(
        f"{type(module).__name__} has no GeneLinear: build the layer that genes enter by as "
        "nets.GeneLinear where l1 is used."
    )
