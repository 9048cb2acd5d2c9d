"""The mean of every gene, and one standard deviation for all of them."""

from functools import reduce

import numpy as np
import scipy.sparse as sp

_TILE = 2**20
"""Numbers in a tile: what is made of it stays in the cache."""
_DIGITS = 16
"""Binary digits of the scale that are kept, of it and of the means."""


def summarise_weighted(block, weight):
    """Return total weight, weighted means, and the weighted sum of squares around them.

    Parameters
    ----------
    block : array or CSR matrix of shape (n_samples, n_genes)
    weight : array of shape (n_samples,)

    Returns
    -------
    tuple of float, array of shape (n_genes,), float
        To be put together by `merge_weighted`.
    """
    per_row = block.nnz // max(1, block.shape[0]) if sp.issparse(block) else block.shape[1]
    step = max(1, _TILE // max(1, per_row))
    of_tile = _of_sparse_tile if sp.issparse(block) else _of_tile
    starts = range(0, block.shape[0], step)
    return reduce(
        merge_weighted, (of_tile(block[i : i + step], weight[i : i + step]) for i in starts)
    )


def merge_weighted(a, b):
    """Put two results of `summarise_weighted` together.

    Examples
    --------
    >>> import numpy as np
    >>> halves = [summarise_weighted(x, np.ones(1)) for x in (np.zeros((1, 1)), np.ones((1, 1)))]
    >>> merge_weighted(*halves)
    (2.0, array([0.5]), 0.5)
    """
    total = a[0] + b[0]
    if total == 0:
        return a
    apart = b[1] - a[1]
    between = a[0] * b[0] / total * float(np.square(apart).sum())
    return total, a[1] + (b[0] / total) * apart, a[2] + b[2] + between


def center_and_scale(summary):
    """Return the mean of each gene, and the square root of the genes' mean variance.

    Both are rounded to a 65 536th of the scale or finer, so that the order in which a
    container sums its numbers does not show in what is learned from here on.

    Parameters
    ----------
    summary : tuple
        As `merge_weighted` gives it.

    Returns
    -------
    center : array of shape (n_genes,)
    scale : float
        1 where no gene varies.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[0.0, 1.0], [4.0, 1.0], [9.0, 9.0]])
    >>> center, scale = center_and_scale(summarise_weighted(X, np.array([1.0, 1.0, 0.0])))
    >>> center, round(scale, 6)
    (array([2., 1.]), 1.414215)
    """
    total, center, squares = summary
    scale = float(np.sqrt(squares / (total * len(center)))) if total else 0.0
    scale = scale if scale > 0 else 1.0
    grid = 2.0 ** (np.frexp(scale)[1] - _DIGITS)
    return np.round(center / grid) * grid, float(np.round(scale / grid) * grid)


def _of_tile(tile, weight):
    total = float(weight.sum())
    if total == 0:
        return 0.0, np.zeros(tile.shape[1]), 0.0
    tile = tile.astype(np.float64)
    # Not by BLAS, whose threads would go on spinning while those of PyTorch begin.
    mean = np.einsum("i,ij->j", weight, tile) / total
    tile -= mean
    return total, mean, float(weight @ np.einsum("ij,ij->i", tile, tile))


def _of_sparse_tile(tile, weight):
    total = float(weight.sum())
    if total == 0:
        return 0.0, np.zeros(tile.shape[1]), 0.0
    tile = tile.astype(np.float64)
    mean = (tile.T @ weight) / total
    squares = np.asarray(tile.multiply(tile).sum(axis=1)).ravel()
    return total, mean, max(float(weight @ squares) - total * float(np.square(mean).sum()), 0.0)
