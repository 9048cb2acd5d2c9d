"""Size factors by the median of ratios to a reference profile of geometric means."""

import numpy as np
import scipy.sparse as sp

from ._library_size import CHUNK_ENTRIES, gene_sums
from ._order_statistics import order_statistics
from ._threads import over_slices


def log_count_sums(counts):
    """Summarise the logarithms of the positive counts, gene by gene.

    Parameters
    ----------
    counts : array or CSR matrix of shape (n_samples, n_genes)

    Returns
    -------
    array of shape (3, n_genes), float64
        Sum of the logarithms, number of positive counts, number of samples. The summaries of
        two sets of samples add up to that of both.
    """
    if sp.issparse(counts):
        data = counts.data.astype(np.float64)
        logs = gene_sums(counts, np.log(data + (data == 0)))
        positive = gene_sums(counts, (data > 0).astype(np.float64))
        return np.stack([logs, positive, np.full_like(logs, counts.shape[0])])
    step = max(1, CHUNK_ENTRIES // max(1, counts.shape[1]))
    # Added in the order of the rows, whichever thread was first.
    slices = over_slices(lambda rows: _dense_sums(counts[rows], step), len(counts), 8 * step)
    return np.sum(slices, axis=0)


def _dense_sums(counts, step):
    sums = np.zeros((3, counts.shape[1]))
    for start in range(0, len(counts), step):
        block = counts[start : start + step]
        zero = block == 0
        # The logarithm of 1 stands in for that of 0: it adds nothing to the sum.
        logs = np.add(block, zero, dtype=np.float64)
        sums[0] += np.log(logs, out=logs).sum(axis=0)
        sums[1] += len(block) - np.count_nonzero(zero, axis=0)
    sums[2] = len(counts)
    return sums


def log_geometric_means(sums, method="ratio"):
    """Turn the sums of `log_count_sums` into the logarithms of geometric means.

    Parameters
    ----------
    sums : array of shape (3, n_genes)
    method : {"ratio", "poscounts"}, default="ratio"
        "ratio": the geometric mean, for genes without a zero. "poscounts": the n-th root of
        the product of the positive counts, for all genes with one.

    Returns
    -------
    array of shape (n_genes,)
        Minus infinity for a gene that is no part of the reference.
    """
    logs, positive, n_samples = sums
    used = positive == n_samples if method == "ratio" else positive > 0
    return np.where(used, logs / n_samples, -np.inf)


def median_ratios(counts, log_means):
    """Return the median ratio of every sample to the reference.

    Parameters
    ----------
    counts : array or CSR matrix of shape (n_samples, n_genes)
    log_means : array of shape (n_genes,)
        Logarithms of the reference; genes at minus infinity do not enter.

    Returns
    -------
    array of shape (n_samples,), float64
        Zero counts do not enter the median; of an even number of ratios the geometric mean of
        the middle two is taken. NaN for a sample without a positive count in the reference.

    Examples
    --------
    >>> import numpy as np
    >>> median_ratios(np.array([[2.0, 4.0, 0.0], [1.0, 9.0, 5.0]]), np.log([1.0, 1.0, 1.0]))
    array([2.82842712, 5.        ])
    """
    used = np.flatnonzero(np.isfinite(log_means))
    weights = np.zeros(len(log_means))
    weights[used] = np.exp(-log_means[used])
    if sp.issparse(counts):
        ratios = np.split(counts.data * weights[counts.indices], counts.indptr[1:-1])
    else:
        ratios = (row.take(used) * weights[used] for row in counts)
    return np.fromiter(map(_log_scale_median, ratios), np.float64, counts.shape[0])


def _log_scale_median(ratios):
    """Return the median of the ratios that are not zero."""
    n = np.count_nonzero(ratios > 0)
    if n == 0:
        return np.nan
    n_zero = len(ratios) - n
    lower, upper = order_statistics(ratios, (n_zero + (n - 1) // 2, n_zero + n // 2))
    return np.sqrt(lower) * np.sqrt(upper) if lower < upper else lower
