"""What the multi-layer perceptrons share: their network, behind an encoder or not."""

import numpy as np
import torch

from .. import nets
from .._blocks import fold
from ..stats._center import center_and_scale, merge_weighted, summarise_weighted
from ._encoder import WithEncoder

_CENTERED, _SCALED = 0.1, (0.5, 2.0)
"""Genes whose means are within this share of the scale of zero, and whose scale is within these
bounds, are taken as standardised already."""


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
        """Learn center and scale, kept until the module is built; tell whether they matter."""
        weight = np.ones(matrix.shape[0]) if weight is None else weight
        center, scale = center_and_scale(fold(matrix, summarise_weighted, merge_weighted, weight))
        off_center = np.sqrt(np.mean(np.square(center))) > _CENTERED * scale
        self._begin_genes = center, scale
        return bool(off_center or not _SCALED[0] <= scale <= _SCALED[1])

    def _prepare(self, module):
        super()._prepare(module)
        center, scale = vars(self).pop("_begin_genes", (None, None))
        if center is not None and getattr(module, "centered", False):
            with torch.no_grad():
                module.center.copy_(torch.from_numpy(center))
                module.scale.fill_(scale)
