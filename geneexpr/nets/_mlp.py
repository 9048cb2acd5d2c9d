"""The multi-layer perceptron."""

import torch
from torch import nn

from ._gene_linear import GeneLinear
from ._layers import linear, stack


class MLP(nn.Module):
    """Fully connected layers, then one linear layer to the outputs.

    Parameters
    ----------
    n_inputs : int
        Number of genes.
    n_outputs : int
        Number of outputs: 1 for two classes (the log-odds of the second), else one a class.
    hidden_layers : sequence of int
        Width of each hidden layer; empty gives a linear model.
    activation : str
    dropout : float
        Share of the units of each hidden layer that are dropped while training.
    normalization : {None, "batch", "layer"}, default=None
        Between each hidden layer and its activation.
    residual : bool, default=False
        Hidden layers as wide as the one before add to it.
    centered : bool, default=False
        Subtract the buffer ``center`` from the genes and divide them by ``scale``, one number,
        before the first layer.
    dtype : torch.dtype
    generator : torch.Generator, optional
        Draws the start and the dropout; None leaves the weights unset.

    Examples
    --------
    >>> import torch
    >>> from geneexpr.nets import MLP, make_generator
    >>> net = MLP(5, 3, hidden_layers=(4,), generator=make_generator(0))
    >>> net(torch.ones(2, 5)).shape
    torch.Size([2, 3])
    """

    def __init__(
        self,
        n_inputs,
        n_outputs,
        *,
        hidden_layers=(128,),
        activation="relu",
        dropout=0.0,
        normalization=None,
        residual=False,
        centered=False,
        dtype=torch.float32,
        generator=None,
    ):
        super().__init__()
        sizes = [n_inputs, *hidden_layers]
        self.hidden = stack(
            sizes,
            activation,
            dropout,
            dtype=dtype,
            generator=generator,
            first=GeneLinear,
            normalization=normalization,
            residual=residual,
        )
        last = linear if hidden_layers else GeneLinear
        self.output = last(sizes[-1], n_outputs, dtype=dtype, generator=generator)
        self.centered = centered
        if centered:
            self.register_buffer("center", torch.zeros(n_inputs, dtype=dtype))
            self.register_buffer("scale", torch.ones((), dtype=dtype))

    def standardize(self, x):
        """Center each gene and divide all of them by one number, where that was asked for."""
        if not self.centered:
            return x
        return torch.addcmul(-self.center / self.scale, x, 1 / self.scale)

    def forward(self, x):
        """Map expression of shape (n_samples, n_inputs) to (n_samples, n_outputs)."""
        return self.output(self.hidden(self.standardize(x)))
