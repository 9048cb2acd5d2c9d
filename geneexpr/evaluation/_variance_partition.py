"""Shares of variance that batch and class explain, gene by gene."""

import numpy as np
import pandas as pd

from .._blocks import fold
from .._containers import gene_names
from ..stats import merge_moments, summarise_batches
from ._samples import read_groupings, read_matrix


def variance_partition(X, *, batch_key=None, batch=None, condition=None):
    """Share of each gene's variance that batch and class explain.

    The values of a gene are regressed on batch, on class, and on both (one mean a level,
    effects that add up). With the explained shares :math:`R^2_b, R^2_c, R^2_{b+c}` of the
    sum of squares around the mean,

    - ``batch`` is :math:`R^2_{b+c} - R^2_c`, what only the batch explains,
    - ``condition`` is :math:`R^2_{b+c} - R^2_b`, what only the class explains,
    - ``shared`` is the rest of :math:`R^2_{b+c}`: it belongs to either, since batch and class
      go together. It is zero in a balanced design (and can be slightly negative),
    - ``residual`` is :math:`1 - R^2_{b+c}`.

    One row fold; peak memory one block and four numbers a gene for each combination of batch
    and class. Sparse input stays sparse.

    Parameters
    ----------
    X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)
        Expression on a log scale, without missing values.
    batch_key : str, optional
        The annotation of X that names the batch.
    batch : array-like of shape (n_samples,), optional
        The batches, for arrays.
    condition : str or array-like of shape (n_samples,), optional
        The biological grouping of interest: an annotation's name or the labels. Without it,
        ``condition`` and ``shared`` are left out.

    Returns
    -------
    DataFrame
        Indexed by gene: the shares, which sum to one, and ``variance``, the gene's variance.
        Shares of a gene that does not vary are NaN. The shares in total are the means
        weighted by ``variance``: ``numpy.average`` over the genes that vary.

    See Also
    --------
    pvca : Shares in total, of the main directions of the data.

    Examples
    --------
    >>> import numpy as np
    >>> from geneexpr import variance_partition
    >>> X = np.array([[0.0, 5.0], [2.0, 7.0], [10.0, 5.0], [12.0, 7.0]])
    >>> table = variance_partition(X, batch=["a", "a", "b", "b"], condition=list("uvuv"))
    >>> table[["batch", "condition"]].round(3)
       batch  condition
    0  0.962      0.038
    1  0.000      1.000
    """
    matrix = read_matrix(X, least=3)
    batches, classes = read_groupings(X, batch_key, batch, condition)
    cells, members = _cells(batches, classes)

    def summarise(block, members):
        return summarise_batches(block, members, len(cells))

    moments = fold(matrix, summarise, merge_moments, members)
    table = pd.DataFrame(
        partition_cells(moments.n_rows, moments.means, moments.squares.sum(axis=0), cells),
        index=gene_names(X),
    )
    constant = moments.minima.min(axis=0) == moments.maxima.max(axis=0)
    table.loc[constant, table.columns[:-1]] = np.nan
    table.loc[constant, "variance"] = 0.0
    return table


def partition_cells(counts, means, within, cells):
    """Partition sums of squares from the means of all combinations of batch and class.

    Parameters
    ----------
    counts : ndarray of shape (n_cells,)
    means : ndarray of shape (n_cells, n_genes)
    within : ndarray of shape (n_genes,)
        Sum of squares around the means of the cells.
    cells : ndarray of int of shape (n_cells, 1 or 2)
        Batch (and class) of each cell.

    Returns
    -------
    dict of str to ndarray of shape (n_genes,)
    """
    n_samples = counts.sum()
    weights = np.sqrt(counts)[:, None]
    centred = (means - counts @ means / n_samples) * weights
    between = (centred**2).sum(axis=0)
    total = between + within
    total = np.where(total == 0, 1.0, total)
    by = [_explained(weights, centred, cells[:, [i]]) for i in range(cells.shape[1])]
    both = _explained(weights, centred, cells)
    if len(by) == 1:
        shares = {"batch": both / total}
    else:
        shares = {
            "batch": (both - by[1]) / total,
            "condition": (both - by[0]) / total,
            "shared": (by[0] + by[1] - both) / total,
        }
    return {**shares, "residual": 1 - both / total, "variance": total / (n_samples - 1)}


def total_shares(table):
    """Return the shares in total: means over the genes, weighted by their variance."""
    varying = table[table["variance"] > 0]
    shares = varying.drop(columns="variance")
    return shares.apply(np.average, weights=varying["variance"])


def _cells(batches, classes):
    """Return the combinations of batch and class that occur, and the one of each sample."""
    groupings = [batches] if classes is None else [batches, classes]
    codes = np.column_stack([g.codes for g in groupings])
    cells, members = np.unique(codes, axis=0, return_inverse=True)
    return cells, members.ravel()


def _explained(weights, centred, factors):
    """Sum of squares that additive factors explain of weighted, centred cell means."""
    columns = [np.eye(codes.max() + 1)[codes] for codes in factors.T]
    design = np.hstack(columns) * weights
    basis, scales, _ = np.linalg.svd(design, full_matrices=False)
    basis = basis[:, scales > 1e-10 * scales[0]]
    return ((basis.T @ centred) ** 2).sum(axis=0)
