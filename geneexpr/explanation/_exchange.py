"""Rows with some values exchanged for others, under the annotations that they came with."""

import warnings

import numpy as np
import pandas as pd
import scipy.sparse as sp

from .._blocks import in_memory, row_blocks
from .._containers import is_anndata, like, values


def matrices_of(X):
    """Return the matrix of X under None, and the layers of an AnnData by name.

    Parameters
    ----------
    X : container

    Returns
    -------
    dict of None or str to array, CSR matrix or DiskRows
    """
    found = {None: _in_rows(values(X))}
    if is_anndata(X):
        found |= {key: _in_rows(values(X, layer=key)) for key in X.layers}
    return found


def _in_rows(matrix):
    return matrix.tocsr() if sp.issparse(matrix) else matrix


def under_rows(X, rows, matrices):
    """Put new values under the annotations of some rows of X, which may repeat.

    Parameters
    ----------
    X : container
        In memory, as far as its annotations go; unchanged.
    rows : array of int of shape (n,)
    matrices : dict of None or str to matrix of shape (n, n_genes)
        The new values, as `matrices_of` gives the old ones.

    Returns
    -------
    container like X, of n rows

    Examples
    --------
    >>> X = pd.DataFrame({"MYC": [1.0, 2.0]}, index=["a", "b"])
    >>> under_rows(X, np.array([1, 1]), {None: np.array([[7.0], [8.0]])})
       MYC
    b  7.0
    b  8.0
    """
    if isinstance(X, pd.DataFrame):
        return like(X[[]].take(rows), matrices[None], genes=X.columns)
    if not is_anndata(X):
        return matrices[None]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Observation names are not unique", UserWarning)
        new = like(X[rows], matrices[None])
    new.obs_names_make_unique()
    for key in new.layers:
        new.layers[key] = matrices[key]
    return new


def columns_of(matrix, columns):
    """Return some columns of all rows in memory: an array, or CSR.

    Parameters
    ----------
    matrix : array, CSR matrix or DiskRows
    columns : array of int

    Returns
    -------
    array or CSR matrix of shape (n_samples, n_columns)
    """
    return _stacked([block[:, columns] for _, _, block in row_blocks(matrix)])


def rows_spread(matrix, most):
    """Return up to ``most`` rows in memory, spread evenly over the matrix: an array, or CSR.

    Parameters
    ----------
    matrix : array, CSR matrix or DiskRows
    most : int

    Returns
    -------
    array or CSR matrix

    Examples
    --------
    >>> rows_spread(np.arange(10)[:, None], 4)[:, 0]
    array([0, 3, 6, 9])
    """
    if matrix.shape[0] <= most:
        return in_memory(matrix)
    wanted = np.linspace(0, matrix.shape[0] - 1, most).astype(int)
    return _stacked(
        [
            block[wanted[(wanted >= start) & (wanted < stop)] - start]
            for start, stop, block in row_blocks(matrix)
        ]
    )


def _stacked(parts):
    if len(parts) == 1:
        return parts[0]
    return sp.vstack(parts, format="csr") if sp.issparse(parts[0]) else np.concatenate(parts)


def with_columns(block, columns, new):
    """Return rows in which some columns hold new values; sparse stays sparse.

    Parameters
    ----------
    block : array or CSR matrix of shape (n, n_genes)
        Unchanged.
    columns : array of int
        Distinct.
    new : array or CSR matrix of shape (n, n_columns)

    Returns
    -------
    array or CSR matrix of shape (n, n_genes)

    Examples
    --------
    >>> with_columns(np.zeros((2, 3)), np.array([2]), np.array([[5.0], [6.0]]))
    array([[0., 0., 5.],
           [0., 0., 6.]])
    """
    if not sp.issparse(block):
        result = block.copy()
        result[:, columns] = new
        return result
    out = np.zeros(block.shape[1], dtype=bool)
    out[columns] = True
    rest = block.tocsr(copy=True)
    rest.data[out[rest.indices]] = 0
    rest.eliminate_zeros()
    return type(rest)(rest + widened(sp.csr_matrix(new), columns, block.shape[1]))


def widened(block, columns, n_columns):
    """Spread the columns of a CSR matrix over those of a wider one.

    Parameters
    ----------
    block : CSR matrix of shape (n, k)
    columns : array of int of shape (k,)
        Where they go.
    n_columns : int

    Returns
    -------
    CSR matrix of shape (n, n_columns)
    """
    indices = np.asarray(columns)[block.indices]
    wide = sp.csr_matrix((block.data, indices, block.indptr), (block.shape[0], n_columns))
    wide.sort_indices()
    return wide
