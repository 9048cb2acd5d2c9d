"""Torch modules, losses and the training core; they know nothing of scikit-learn."""

from ._autoencoder import Autoencoder
from ._device import DEVICES, choose_device
from ._encoded import EncodedMLP, Encoder
from ._gene_linear import GeneLinear, first_layer, recycle_gradients
from ._layers import (
    ACTIVATIONS,
    NORMALIZATIONS,
    BatchNorm,
    Dropout,
    GaussianNoise,
    Residual,
    linear,
    make_generator,
    use_generator,
)
from ._likelihoods import LIKELIHOODS
from ._losses import (
    REGRESSION_LOSSES,
    classification_loss,
    probabilities,
    reconstruction_loss,
    robust_loss,
)
from ._mlp import MLP
from ._rows import BlockRows, DenseRows, SparseRows, apply_rows, as_tensor, rows_of
from ._training import (
    Batch,
    BestWeights,
    Examples,
    make_optimizer,
    optimizer_from_arrays,
    optimizer_to_arrays,
    select_genes,
    weights_from_arrays,
    weights_to_arrays,
)
from ._variational import VariationalAutoencoder, divergence

__all__ = [
    "ACTIVATIONS",
    "DEVICES",
    "LIKELIHOODS",
    "MLP",
    "NORMALIZATIONS",
    "REGRESSION_LOSSES",
    "Autoencoder",
    "Batch",
    "BatchNorm",
    "BestWeights",
    "BlockRows",
    "DenseRows",
    "Dropout",
    "EncodedMLP",
    "Encoder",
    "Examples",
    "GaussianNoise",
    "GeneLinear",
    "Residual",
    "SparseRows",
    "VariationalAutoencoder",
    "apply_rows",
    "as_tensor",
    "choose_device",
    "classification_loss",
    "divergence",
    "first_layer",
    "linear",
    "make_generator",
    "make_optimizer",
    "optimizer_from_arrays",
    "optimizer_to_arrays",
    "probabilities",
    "reconstruction_loss",
    "recycle_gradients",
    "robust_loss",
    "rows_of",
    "select_genes",
    "use_generator",
    "weights_from_arrays",
    "weights_to_arrays",
]
