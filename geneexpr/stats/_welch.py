"""Welch's tests: groups with variances of their own."""

from dataclasses import replace
from functools import reduce

import numpy as np
from scipy.special import fdtrc

from ._contrasts import GeneTests, ratio, two_sided_t
from ._moments import BatchMoments, _side_by_side, merge_moments


def welch_tests(moments, contrasts) -> GeneTests:
    """Compare the means of groups without assuming equal variances.

    Parameters
    ----------
    moments : BatchMoments
        Of the groups, as batches.
    contrasts : ndarray of shape (n_contrasts, n_groups)
        Weights that sum to zero.

    Returns
    -------
    GeneTests
        Welch's t for every contrast; Welch's F for all groups together. NaN where a group has
        fewer than two values.

    References
    ----------
    Welch (1951), doi:10.1093/biomet/38.3-4.330.

    Examples
    --------
    >>> import numpy as np
    >>> from geneexpr.stats import summarise_batches
    >>> X = np.array([[1.0], [2.0], [3.0], [5.0], [9.0]])
    >>> tests = welch_tests(summarise_batches(X, [0, 0, 0, 1, 1], 2), np.array([[-1.0, 1.0]]))
    >>> tests.statistics.round(4)
    array([[2.4019]])
    """
    counts = moments.counts
    free = np.where(counts > 1, counts - 1, np.nan)
    # Only exact equality tells a constant gene: its computed squares are a little above 0.
    squares = np.where(moments.minima >= moments.maxima, 0.0, moments.squares)
    errors = squares / free / counts
    used = contrasts != 0
    weights = np.square(contrasts)
    effects = contrasts @ np.where(counts > 0, moments.means, np.nan)
    flat = (moments.minima.min(axis=0) >= moments.maxima.max(axis=0)) & (counts > 0).any(axis=0)
    effects = np.where(flat, 0.0, effects)
    variances = weights @ errors if used.all() else _of_used(weights, errors, used)
    fourth = np.square(errors) / free
    denominators = _of_used(np.square(weights), fourth, used)
    df = np.divide(
        np.square(variances),
        denominators,
        out=np.ones_like(variances),
        where=denominators > 0,
    )
    std_errors = np.sqrt(variances)
    statistics = ratio(effects, std_errors)
    p_values = two_sided_t(statistics, df)
    there = counts.sum(axis=0)
    totals = (counts * moments.means).sum(axis=0)
    means = np.divide(totals, there, out=np.full_like(totals, np.nan), where=there > 0)
    overall, overall_p = statistics[0], p_values[0]
    if len(statistics) > 1:
        overall, overall_p = _welch_f(moments.means, errors, free)
    return GeneTests(effects, std_errors, statistics, p_values, means, overall, overall_p)


def level_and_rest(moments, level) -> BatchMoments:
    """Return the moments of one group, and those of all other groups as one.

    Parameters
    ----------
    moments : BatchMoments
    level : int

    Returns
    -------
    BatchMoments
        Of two batches.
    """
    others = [moments.batch(i) for i in range(len(moments.n_rows)) if i != level]
    return _side_by_side([moments.batch(level), reduce(merge_moments, others)])


def welch_against_rest(moments) -> GeneTests:
    """Compare each group with all other samples.

    Parameters
    ----------
    moments : BatchMoments
        Of the groups, as batches.

    Returns
    -------
    GeneTests
        One contrast a group.
    """
    one_less_other = np.array([[1.0, -1.0]])
    parts = [
        welch_tests(level_and_rest(moments, level), one_less_other)
        for level in range(len(moments.n_rows))
    ]
    stacked = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("effects", "std_errors", "statistics", "p_values")
    }
    return replace(parts[0], **stacked)


def _of_used(weights, values, used):
    """Sum over the groups of each contrast, so that other groups' NaN stay out of it."""
    return np.stack(
        [
            w[u] @ np.broadcast_to(values, values.shape)[u]
            for w, u in zip(weights, used, strict=True)
        ]
    )


def _welch_f(means, errors, free):
    k = len(means)
    with np.errstate(divide="ignore", invalid="ignore"):
        weights = 1 / errors
        total = weights.sum(axis=0)
        centre = (weights * means).sum(axis=0) / total
        between = (weights * np.square(means - centre)).sum(axis=0) / (k - 1)
        loss = (np.square(1 - weights / total) / free).sum(axis=0) / (k * k - 1)
        statistic = between / (1 + 2 * (k - 2) * loss)
        # A group without variance has infinite weight: equal means, else certain difference.
        flat = ~(errors > 0).all(axis=0) & ~np.isnan(errors).any(axis=0)
        apart = means.max(axis=0) > means.min(axis=0)
        statistic = np.where(flat, np.where(apart, np.inf, 0.0), statistic)
        p_values = fdtrc(k - 1, 1 / (3 * loss), statistic)
    p_values = np.where(flat, np.where(apart, 0.0, 1.0), p_values)
    return statistic, p_values
