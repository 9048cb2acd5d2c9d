"""Rows of any container: some of them, or the values of others under the same annotations."""

import numpy as np
import pandas as pd

from .._blocks import in_memory
from .._containers import is_anndata, like, values


def take_rows(X, rows):
    """Return some rows of a container, annotations included."""
    return X.take(rows) if isinstance(X, pd.DataFrame) else X[rows]


def matrix_of(X):
    """Return the matrix of a container as a dense array in memory."""
    matrix = in_memory(values(X))
    return np.asarray(matrix.toarray() if hasattr(matrix, "toarray") else matrix)


def reassigned(X, order):
    """Give every row the values of another one; names and annotations stay in their place.

    Parameters
    ----------
    X : container
        Unchanged.
    order : array of int of shape (n_samples,)
        The row whose values each row gets.

    Returns
    -------
    container like X

    Examples
    --------
    >>> X = pd.DataFrame({"MYC": [1.0, 2.0]}, index=["s1", "s2"])
    >>> reassigned(X, [1, 0])
        MYC
    s1  2.0
    s2  1.0
    """
    new = like(X, in_memory(values(take_rows(X, order))))
    if is_anndata(X):
        for key, layer in X.layers.items():
            new.layers[key] = layer[order]
    return new


def permutation_within(codes, rng):
    """Return an order of the rows that moves each within its batch only."""
    order = np.arange(len(codes))
    for code in np.unique(codes):
        rows = np.flatnonzero(codes == code)
        order[rows] = rng.permutation(rows)
    return order
