"""What the multi-layer perceptrons share: their network, behind an encoder or not."""

from .. import nets
from ._encoder import WithEncoder


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
