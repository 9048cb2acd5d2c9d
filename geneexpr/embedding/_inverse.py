"""The way back from components to genes, which both autoencoders share."""

import numpy as np
from sklearn.base import BaseEstimator

from .._containers import is_named
from .._validation import check_input


def check_components(embedder, X):
    """Return the checked matrix of components that ``inverse_transform`` was given.

    Parameters
    ----------
    embedder : transformer
        Fitted.
    X : {array, DataFrame, AnnData} of shape (n_samples, n_components)

    Returns
    -------
    matrix : array, CSR matrix or DiskRows
    """
    inner = Embedding(embedder.get_feature_names_out(), named=is_named(X))
    return check_input(inner, X, reset=False)


def gene_names_in(estimator):
    """Return the names of the genes seen in fit, or scikit-learn's stand-ins for them."""
    names = getattr(estimator, "feature_names_in_", None)
    if names is None:
        names = np.asarray([f"x{i}" for i in range(estimator.n_features_in_)], dtype=object)
    return names


class Embedding(BaseEstimator):
    """Stands for the embedder when the components that come back are checked."""

    def __init__(self, names, named):
        self.n_features_in_ = len(names)
        if named:
            self.feature_names_in_ = names
