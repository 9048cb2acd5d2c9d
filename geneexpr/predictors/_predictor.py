"""The base of all networks that predict: weights of samples, and of genes."""

import numbers

import numpy as np
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted

from .. import nets
from .._network import NetworkEstimator
from .._validation import check_input


class NetworkPredictor(NetworkEstimator):
    """Base of the networks that predict.

    A subclass has, besides the hooks of `NetworkEstimator`,
    ``_architecture(n_inputs, n_outputs)``: plain values for the module.
    """

    @property
    def feature_importances_(self):
        """Length of each gene's weights in the first layer, an array of shape (n_genes,).

        Zero for a gene that ``l1`` has left out; with it `SelectFromModel` works. Without
        ``l1`` the weights say little of a gene by itself.
        """
        self._check_trained("feature_importances_")
        return nets.first_layer(self.net_.module_).gene_weights().cpu().numpy()

    @property
    def selected_genes_(self):
        """Names of the genes that the network reads: those of a weight other than zero."""
        self._check_trained("selected_genes_")
        return self._gene_names()[self.feature_importances_ > 0]

    def _check_trained(self, name):
        if "net_" not in vars(self):
            raise AttributeError(f"This {type(self).__name__} has no {name} before fit.")

    def _gene_names(self):
        if hasattr(self, "feature_names_in_"):
            return self.feature_names_in_
        return np.asarray([f"x{i}" for i in range(self.n_features_in_)], dtype=object)

    def _forward(self, X, finish):
        """Give what ``finish`` makes of the module's output, for all rows."""
        check_is_fitted(self)
        return self._outputs(self._values(X, reset=False), finish)

    def _values(self, X, *, reset):
        """Return the checked matrix of X."""
        return check_input(self, X, reset=reset)

    def _outputs(self, matrix, finish=lambda output: output):
        module = self.net_.module_
        return self._apply(matrix, lambda x: finish(module(x)))


def check_weight(sample_weight, matrix):
    """Return the sample weights as an array of float64, or None."""
    if sample_weight is None:
        return None
    n = matrix.shape[0]
    if isinstance(sample_weight, numbers.Real):
        return None  # one weight for all
    weight = check_array(
        sample_weight, ensure_2d=False, dtype=np.float64, input_name="sample_weight"
    )
    if weight.shape != (n,):
        raise ValueError(
            f"sample_weight must hold one weight a sample: got shape {weight.shape} for {n} "
            "samples."
        )
    if (weight < 0).any():
        raise ValueError(f"sample_weight must not be negative; got {weight.min():g}.")
    if not weight.any():
        raise ValueError("sample_weight is zero for all samples.")
    return weight
