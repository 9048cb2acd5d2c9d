"""A network of your own as a classifier: every gene passes a gate."""

import torch
from torch import nn

from geneexpr import TorchMLPClassifier, nets


class GatedMLP(nn.Module):
    """Weigh every gene, then one hidden layer."""

    def __init__(self, n_inputs, n_outputs, width, dropout, *, dtype, generator):
        super().__init__()
        made = {"dtype": dtype, "generator": generator}
        self.gate = nn.Parameter(torch.ones(n_inputs, dtype=dtype))
        self.genes = nets.GeneLinear(n_inputs, width, **made)
        self.dropout = nets.Dropout(dropout, generator)
        self.output = nets.linear(width, n_outputs, **made)

    def forward(self, x):
        hidden = torch.tanh(self.genes(x * self.gate))
        return self.output(self.dropout(hidden))


class GatedClassifier(TorchMLPClassifier):
    """Classify samples with a `GatedMLP`."""

    @staticmethod
    def _build(dtype, generator, *, n_inputs, n_outputs, hidden_layers, dropout, **_):
        made = {"dtype": dtype, "generator": generator}
        return GatedMLP(n_inputs, n_outputs, hidden_layers[0], dropout, **made)
