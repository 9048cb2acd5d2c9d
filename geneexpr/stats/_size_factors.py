"""Scaling factors of samples: trimmed means of M-values, upper quartiles, median of ratios.

Each is a statistic of one sample against a frozen reference, so new samples get theirs
without the training samples.
"""

import numpy as np
import scipy.sparse as sp

from ._order_statistics import order_statistics, ranked

SAME = 1e-6
"""Log-ratios all smaller than this say that a sample equals the reference."""


def sample_rows(counts):
    """Yield every sample as a dense row, one at a time.

    Parameters
    ----------
    counts : array or CSR matrix of shape (n_samples, n_genes)

    Yields
    ------
    array of shape (n_genes,)
    """
    if not sp.issparse(counts):
        yield from counts
        return
    for start, stop in zip(counts.indptr[:-1], counts.indptr[1:], strict=True):
        row = np.zeros(counts.shape[1], dtype=counts.dtype)
        row[counts.indices[start:stop]] = counts.data[start:stop]
        yield row


def upper_quantiles(counts, quantile, genes):
    """Return a quantile of every sample's counts over some genes (type 7).

    Parameters
    ----------
    counts : array or CSR matrix of shape (n_samples, n_genes)
    quantile : float
    genes : array of bool of shape (n_genes,)
        Those that enter: the genes that are not zero in every training sample.

    Returns
    -------
    array of shape (n_samples,)
    """
    used = np.flatnonzero(genes)
    if not len(used):
        return np.zeros(counts.shape[0])
    place = (len(used) - 1) * quantile
    lower, upper = int(np.floor(place)), int(np.ceil(place))

    def quantile_of(row):
        below, above = map(float, order_statistics(row.take(used), (lower, upper)))
        return below + (above - below) * (place - lower)

    return _of_samples(quantile_of, counts)


def tmm_factors(
    counts, reference, *, logratio_trim=0.3, sum_trim=0.05, weighting=True, a_cutoff=-1e10
):
    """Return the trimmed mean of M-values of every sample against a reference.

    Parameters
    ----------
    counts : array or CSR matrix of shape (n_samples, n_genes)
        Counts of the samples.
    reference : array of shape (n_genes,)
        Counts of the reference.
    logratio_trim : float, default=0.3
        Share of the genes trimmed from each end of the log-ratios (M).
    sum_trim : float, default=0.05
        Share trimmed from each end of the mean log abundances (A).
    weighting : bool, default=True
        Weight by the inverse of the asymptotic variance.
    a_cutoff : float, default=-1e10
        Genes of mean log abundance up to this are left out.

    Returns
    -------
    array of shape (n_samples,)
        Relative to the library size; 1 for the reference itself.

    References
    ----------
    .. [1] Robinson, Oshlack (2010), "A scaling normalization method for differential
       expression analysis of RNA-seq data", doi:10.1186/gb-2010-11-3-r25.
    """
    used = np.flatnonzero(reference > 0)
    r, reference_size = reference[used].astype(np.float64), reference.sum(dtype=np.float64)
    reference_share = r / reference_size
    reference_log = np.log2(reference_share)
    reference_variance = (reference_size - r) / reference_size / r

    def factor(row):
        y, size = row.take(used).astype(np.float64, copy=False), row.sum(dtype=np.float64)
        both = np.flatnonzero(y > 0)
        y = y.take(both)
        share = y / size
        # In this order of operations, since it decides which log-ratios are tied.
        ratio = np.log2(share / reference_share.take(both))
        abundance = (np.log2(share) + reference_log.take(both)) / 2
        if len(both) and abundance.min() <= a_cutoff:
            kept = np.flatnonzero(abundance > a_cutoff)
            both, y, ratio, abundance = (v.take(kept) for v in (both, y, ratio, abundance))
        inner = _inner(ratio, abundance, logratio_trim, sum_trim)
        if len(inner) == 0:
            return 1.0
        ratio = ratio.take(inner)
        if not weighting:
            return 2.0 ** ratio.mean()
        y, both = y.take(inner), both.take(inner)
        weights = 1.0 / ((size - y) / size / y + reference_variance.take(both))
        return 2.0 ** (ratio @ weights / weights.sum())

    return _of_samples(factor, counts)


def _of_samples(function, counts):
    return np.fromiter(map(function, sample_rows(counts)), np.float64, counts.shape[0])


def _inner(ratio, abundance, logratio_trim, sum_trim):
    """Return the places of what is not trimmed; none where the sample equals the reference."""
    if len(ratio) == 0 or max(ratio.max(), -ratio.min()) < SAME:
        return np.empty(0, dtype=np.intp)
    return np.flatnonzero(_untrimmed(ratio, logratio_trim) & _untrimmed(abundance, sum_trim))


def _untrimmed(values, trim):
    """Mark the values whose average rank lies between the trimmed ends.

    Ties share their average rank, so a tied block at an edge goes in or out as a whole;
    only the two order statistics at the edges need to be known, not the ranks.
    """
    n = len(values)
    low = int(np.floor(n * trim)) + 1
    high = n + 1 - low
    if low > high:
        return np.zeros(n, dtype=bool)
    (bottom, rank_of_bottom), (top, rank_of_top) = ranked(values, (low - 1, high - 1))
    above = values >= bottom if rank_of_bottom >= low else values > bottom
    below = values <= top if rank_of_top <= high else values < top
    return above & below


def tmmwsp_factors(
    counts, reference, *, logratio_trim=0.3, sum_trim=0.05, weighting=True, a_cutoff=-1e10
):
    """Return the trimmed mean of M-values with singleton pairing of every sample.

    Genes that are zero in one of the two are not dropped: they are paired with each other by
    falling count.

    Parameters
    ----------
    counts, reference, logratio_trim, sum_trim, weighting, a_cutoff
        As in `tmm_factors`.

    Returns
    -------
    array of shape (n_samples,)
    """
    reference = reference.astype(np.float64)
    reference_size = reference.sum()

    def factor(row):
        size = row.sum(dtype=np.float64)
        y, r = _paired(row.astype(np.float64), reference)
        if len(y) == 0:
            return 1.0
        p, q = y / size, r / reference_size
        with np.errstate(divide="ignore"):
            ratio, abundance = np.log2(p / q), np.log2(p * q) / 2
        kept = np.isfinite(ratio) & (abundance > a_cutoff)
        y, r, ratio, abundance = y[kept], r[kept], ratio[kept], abundance[kept]
        if len(ratio) == 0 or np.abs(ratio).max() < SAME:
            return 1.0
        shrunk = np.log2(((y + 0.5) / (size + 0.5)) / ((r + 0.5) / (reference_size + 0.5)))
        inner = _untrimmed_in_order(np.lexsort((shrunk, ratio)), logratio_trim)
        inner &= _untrimmed_in_order(np.argsort(abundance, kind="stable"), sum_trim)
        if not inner.any():
            return 1.0
        if not weighting:
            return 2.0 ** ratio[inner].mean()
        p, q = y[inner] / size, r[inner] / reference_size
        variance = (1 - p) / p / size + (1 - q) / q / reference_size
        weights = (1 + 1e-6) / (variance + 1e-6)
        return 2.0 ** (ratio[inner] @ weights / weights.sum())

    return _of_samples(factor, counts)


def _paired(y, r):
    """Keep what both have, and pair what only one has by falling count."""
    both = (y > 0) & (r > 0)
    only_y, only_r = y[(y > 0) & (r == 0)], r[(r > 0) & (y == 0)]
    pairs = min(len(only_y), len(only_r))
    extra_y, extra_r = (np.sort(only)[::-1][:pairs] for only in (only_y, only_r))
    return np.concatenate([y[both], extra_y]), np.concatenate([r[both], extra_r])


def _untrimmed_in_order(order, trim):
    n = len(order)
    low = int(np.floor(n * trim)) + 1
    inner = np.zeros(n, dtype=bool)
    inner[order[low - 1 : n + 1 - low]] = True
    return inner
