"""What the multi-layer perceptrons share: their network, behind an encoder or not."""

from functools import reduce

import numpy as np
import torch

from .. import nets
from .._blocks import row_blocks
from .._containers import DiskRows
from ..stats._center import center_and_scale, merge_weighted, summarise_weighted
from ._encoder import WithEncoder

_CENTERED, _SCALED = 0.5, (0.5, 2.0)
"""Genes whose means are within this share of the scale of zero, and whose scale is within these
bounds, are taken as standardised already."""
_GLANCE = 32
"""So many samples, on disk the first ones, tell it at a glance: all would cost another epoch."""


class Perceptron(WithEncoder):
    """Mixin of the predictors whose network is a `nets.MLP`, or a `nets.EncodedMLP`."""

    def _architecture(self, n_inputs, n_outputs):
        """Return what the settings say of the network, as plain values."""
        return self._encoded(
            {
                "n_inputs": n_inputs,
                "n_outputs": n_outputs,
                "hidden_layers": [int(width) for width in self.hidden_layers],
                "activation": self.activation,
                "dropout": float(self.dropout),
                "normalization": self.normalization,
                "residual": bool(self.residual),
            }
        )

    @staticmethod
    def _build(dtype, generator, **architecture):
        network = nets.EncodedMLP if "encoder" in architecture else nets.MLP
        return network(**architecture, dtype=dtype, generator=generator)

    def _train(self, matrix, architecture, *, weight=None, **options):
        """Train, on genes that are centred and scaled first where they are far from it."""
        if self.encoder is None:
            resume = options.get("resume", False)
            centered = self._resumed_centered() if resume else self._look_at(matrix, weight)
            architecture = {**architecture, "centered": centered}
        super()._train(matrix, architecture, weight=weight, **options)

    def _resumed_centered(self):
        return self.architecture_.get("centered", False)  # of older model files

    def _look_at(self, matrix, weight):
        """Tell whether genes are to be centred; keep by how much until the module is built."""
        weight = np.ones(matrix.shape[0]) if weight is None else weight
        few = summarise_weighted(*_glance(matrix, weight))
        if few[0] > 0 and _standardised(*center_and_scale(few)):
            return False
        parts = (summarise_weighted(block, weight[a:b]) for a, b, block in row_blocks(matrix))
        center, scale = center_and_scale(reduce(merge_weighted, parts))
        self._begin_genes = center, scale
        return not _standardised(center, scale)

    def _prepare(self, module):
        super()._prepare(module)
        center, scale = vars(self).pop("_begin_genes", (None, None))
        if center is not None and getattr(module, "centered", False):
            with torch.no_grad():
                module.center.copy_(torch.from_numpy(center))
                module.scale.fill_(scale)


def _glance(matrix, weight):
    """Return some rows of a matrix, in memory from all over it, and their weights."""
    if isinstance(matrix, DiskRows):
        n_rows = min(_GLANCE, matrix.shape[0])
        return matrix.check(matrix.read(0, n_rows)), weight[:n_rows]
    used = np.flatnonzero(weight)
    few = used[np.linspace(0, len(used) - 1, min(_GLANCE, len(used))).astype(int)]
    return matrix[few], weight[few]


def _standardised(center, scale):
    near = np.sqrt(np.mean(np.square(center))) <= _CENTERED * scale
    return bool(near and _SCALED[0] <= scale <= _SCALED[1])
