"""Rank tests of groups, gene by gene; of a sparse matrix only the non-zeros are sorted."""

import numpy as np
import scipy.sparse as sp
from scipy.special import chdtrc, ndtr


def rank_sums(columns, codes, n_groups):
    """Sum the ranks of every group in every column, and the sizes of ties.

    Parameters
    ----------
    columns : ndarray or CSC matrix of shape (n_samples, n_genes)
    codes : ndarray of int of shape (n_samples,)
        Group of each sample, from 0 to ``n_groups - 1``.
    n_groups : int

    Returns
    -------
    sums : ndarray of shape (n_groups, n_genes)
        Of average ranks.
    ties : ndarray of shape (n_genes,)
        Sum of t³ - t over blocks of t equal values.

    Examples
    --------
    >>> import numpy as np
    >>> rank_sums(np.array([[0.0], [0.0], [2.0], [1.0]]), np.array([0, 1, 1, 0]), 2)
    (array([[4.5],
           [5.5]]), array([6.]))
    """
    n, n_genes = columns.shape
    sums, ties = np.empty((n_groups, n_genes)), np.empty(n_genes)
    sizes = np.bincount(codes, minlength=n_groups)
    if sp.issparse(columns):
        data, rows, starts = columns.data, columns.indices, columns.indptr
        for gene in range(n_genes):
            at = slice(starts[gene], starts[gene + 1])
            sums[:, gene], ties[gene] = _of_gene(data[at], codes[rows[at]], sizes, n)
    else:
        columns = np.asfortranarray(columns)
        for gene in range(n_genes):
            values = columns[:, gene]
            stored = values != 0
            sums[:, gene], ties[gene] = _of_gene(values[stored], codes[stored], sizes, n)
    return sums, ties


def _of_gene(values, codes, sizes, n):
    """Rank the values that are not zero; the zeros are one block of ties among them."""
    stored = values != 0
    if not stored.all():
        values, codes = values[stored], codes[stored]
    order = np.argsort(values)
    values, codes = values[order], codes[order]
    m = len(values)
    n_zeros, below = n - m, int(np.searchsorted(values, 0))
    starts = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]])) if m else []
    lengths = np.diff(np.append(starts, m)).astype(np.float64)
    ranks = np.repeat(np.asarray(starts) + (lengths + 1) / 2, lengths.astype(np.intp))
    ranks[below:] += n_zeros
    zero_rank = below + (n_zeros + 1) / 2
    at_zero = sizes - np.bincount(codes, minlength=len(sizes))
    sums = np.bincount(codes, ranks, len(sizes)) + at_zero * zero_rank
    return sums, (lengths**3 - lengths).sum() + float(n_zeros) ** 3 - n_zeros


def rank_sum_z(sums, ties, sizes):
    """Return the statistics of Wilcoxon's rank sum test of each group against all others.

    The normal approximation with the variance corrected for ties, without correction for
    continuity.

    Parameters
    ----------
    sums : ndarray of shape (n_groups, n_genes)
    ties : ndarray of shape (n_genes,)
    sizes : ndarray of int of shape (n_groups,)

    Returns
    -------
    ndarray of shape (n_groups, n_genes)
        0 for a gene of which all values are equal.

    References
    ----------
    Wilcoxon (1945), doi:10.2307/3001968; Lehmann (1975), Nonparametrics, section 1.4.
    """
    n, sizes = float(sizes.sum()), sizes[:, None].astype(np.float64)
    variances = sizes * (n - sizes) / 12 * (n + 1 - ties / (n * (n - 1)))
    apart = sums - sizes * (n + 1) / 2
    some = np.broadcast_to(ties < n**3 - n, sums.shape) & (variances > 0)
    return np.divide(apart, np.sqrt(np.maximum(variances, 0)), out=np.zeros_like(sums), where=some)


def two_sided_normal(statistics):
    """Return two-sided p-values of standard normal statistics.

    Parameters
    ----------
    statistics : ndarray

    Returns
    -------
    ndarray
    """
    return 2 * ndtr(-np.abs(statistics))


def kruskal_wallis(sums, ties, sizes):
    """Compare all groups by their ranks, corrected for ties.

    Parameters
    ----------
    sums : ndarray of shape (n_groups, n_genes)
    ties : ndarray of shape (n_genes,)
    sizes : ndarray of int of shape (n_groups,)

    Returns
    -------
    statistics, p_values : ndarray of shape (n_genes,)

    References
    ----------
    Kruskal, Wallis (1952), doi:10.1080/01621459.1952.10483441.
    """
    n, sizes = float(sizes.sum()), sizes[:, None].astype(np.float64)
    between = (np.square(sums - sizes * (n + 1) / 2) / sizes).sum(axis=0)
    share = 1 - ties / (n**3 - n)
    statistics = np.divide(
        12 / (n * (n + 1)) * between, share, out=np.zeros_like(between), where=ties < n**3 - n
    )
    return statistics, chdtrc(len(sums) - 1, statistics)
