"""Torch modules, losses and the training core; they know nothing of scikit-learn."""

from ._autoencoder import Autoencoder
from ._device import DEVICES, choose_device
from ._gene_linear import GeneLinear, recycle_gradients
from ._layers import ACTIVATIONS, Dropout, GaussianNoise, linear, make_generator, use_generator
from ._losses import classification_loss, probabilities, reconstruction_loss
from ._mlp import MLP
from ._rows import BlockRows, DenseRows, SparseRows, apply_rows, as_tensor, rows_of
from ._training import (
    Batch,
    BestWeights,
    Examples,
    make_optimizer,
    optimizer_from_arrays,
    optimizer_to_arrays,
    weights_from_arrays,
    weights_to_arrays,
)

__all__ = [
    "ACTIVATIONS",
    "DEVICES",
    "MLP",
    "Autoencoder",
    "Batch",
    "BestWeights",
    "BlockRows",
    "DenseRows",
    "Dropout",
    "Examples",
    "GaussianNoise",
    "GeneLinear",
    "SparseRows",
    "apply_rows",
    "as_tensor",
    "choose_device",
    "classification_loss",
    "linear",
    "make_generator",
    "make_optimizer",
    "optimizer_from_arrays",
    "optimizer_to_arrays",
    "probabilities",
    "reconstruction_loss",
    "recycle_gradients",
    "rows_of",
    "use_generator",
    "weights_from_arrays",
    "weights_to_arrays",
]
