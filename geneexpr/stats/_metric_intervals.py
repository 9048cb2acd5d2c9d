"""Intervals of numbers computed from samples: by bootstrap of rows or of groups, and by formula."""

import numpy as np
from scipy.special import ndtr, ndtri

CHUNK = 2**21
"""Weights that are held at a time."""


def bootstrap_values(measure, units, n_resamples, rng):
    """Evaluate a measure on resamples, drawn with replacement.

    Parameters
    ----------
    measure : callable
        Takes weights of shape (n_resamples, n_samples), returns (n_values, n_resamples).
    units : array of int of shape (n_samples,)
        What is drawn: samples of one unit (a donor) come and go together. Codes from 0 without
        gaps; ``arange(n_samples)`` draws single samples.
    n_resamples : int
    rng : numpy Generator

    Returns
    -------
    ndarray of shape (n_values, n_resamples)

    Examples
    --------
    >>> values = np.array([1.0, 2, 3])
    >>> mean = lambda weights: (weights @ values / weights.sum(axis=1))[None]
    >>> found = bootstrap_values(mean, np.arange(3), 500, np.random.default_rng(0))
    >>> found.shape
    (1, 500)
    """
    n_units = int(units.max()) + 1
    at_a_time = max(1, CHUNK // len(units))
    parts = []
    for start in range(0, n_resamples, at_a_time):
        size = min(at_a_time, n_resamples - start)
        drawn = rng.integers(0, n_units, (size, n_units))
        drawn += np.arange(size)[:, None] * n_units
        counts = np.bincount(drawn.ravel(), minlength=size * n_units).reshape(size, n_units)
        parts.append(measure(counts[:, units].astype(np.float64)))
    return np.concatenate(parts, axis=1)


def jackknife_values(measure, units, most=1000):
    """Evaluate a measure without each unit in turn; parameters as in `bootstrap_values`.

    Parameters
    ----------
    measure : callable
    units : array of int of shape (n_samples,)
    most : int, default=1000
        Where there are more units, so many blocks of units are left out in their place. What
        `bca_interval` takes from the values, their skewness over the square root of their
        number, is the same for blocks.

    Returns
    -------
    ndarray of shape (n_values, n_units)
        Or as many as there are blocks.
    """
    blocks = units % most
    n_blocks = int(blocks.max()) + 1
    at_a_time = max(1, CHUNK // len(units))
    starts = range(0, n_blocks, at_a_time)
    left_out = [np.arange(i, min(i + at_a_time, n_blocks)) for i in starts]
    return np.concatenate(
        [measure((blocks != part[:, None]).astype(np.float64)) for part in left_out], axis=1
    )


def percentile_interval(values, level=0.95, least=0.5):
    """Return the quantiles of resampled values that hold the middle share ``level``.

    Parameters
    ----------
    values : array of shape (n_values, n_resamples)
        NaN where a resample had no value.
    level : float, default=0.95
    least : float, default=0.5
        NaN comes back where a smaller share of the resamples has a value.

    Returns
    -------
    low, high : ndarray of shape (n_values,)

    Examples
    --------
    >>> percentile_interval(np.arange(101.0)[None], 0.9)
    (array([5.]), array([95.]))
    """
    tail = (1 - level) / 2
    return _quantiles(values, np.full(len(values), tail), np.full(len(values), 1 - tail), least)


def bca_interval(values, estimates, left_out, level=0.95, least=0.5):
    """Return bias-corrected and accelerated intervals.

    Parameters
    ----------
    values : array of shape (n_values, n_resamples)
    estimates : array of shape (n_values,)
        On all samples.
    left_out : array of shape (n_values, n_units)
        Of `jackknife_values`.
    level, least : float
        As in `percentile_interval`.

    Returns
    -------
    low, high : ndarray of shape (n_values,)

    References
    ----------
    Efron (1987), "Better bootstrap confidence intervals", Journal of the American Statistical
    Association 82:171-185, doi:10.1080/01621459.1987.10478410.
    """
    there = np.isfinite(values)
    estimates = np.asarray(estimates)[:, None]
    # Half of the ties count as below, else a measure of few levels looks biased.
    below = ((values < estimates) + 0.5 * (values == estimates)).sum(axis=1, where=there)
    count = there.sum(axis=1)
    bias = ndtri(np.clip(below, 0.5, np.maximum(count - 0.5, 0.5)) / np.maximum(count, 1))
    known = np.isfinite(left_out)
    means = left_out.sum(axis=1, where=known) / np.maximum(known.sum(axis=1), 1)
    gaps = np.where(known, means[:, None] - left_out, 0)
    spread = 6 * (gaps**2).sum(axis=1) ** 1.5
    skew = np.divide((gaps**3).sum(axis=1), spread, out=np.zeros(len(gaps)), where=spread > 0)
    tails = []
    for z in ndtri([(1 - level) / 2, (1 + level) / 2]):
        moved = bias + z
        tails.append(ndtr(bias + moved / (1 - skew * moved)))
    return _quantiles(values, *tails, least)


def _quantiles(values, lows, highs, least):
    found = np.full((2, len(values)), np.nan)
    for i, (row, *tails) in enumerate(zip(values, lows, highs, strict=True)):
        there = row[np.isfinite(row)]
        if len(there) >= max(2, least * len(row)):
            found[:, i] = np.quantile(there, tails)
    return found[0], found[1]


def wilson_interval(n_right, n, level=0.95):
    """Return Wilson's interval of a proportion of independent samples.

    Parameters
    ----------
    n_right, n : int
    level : float, default=0.95

    Returns
    -------
    low, high : float

    References
    ----------
    Wilson (1927), Journal of the American Statistical Association 22:209-212,
    doi:10.1080/01621459.1927.10502953.

    Examples
    --------
    >>> [round(limit, 3) for limit in wilson_interval(8, 10)]
    [0.49, 0.943]
    """
    z = ndtri((1 + level) / 2)
    share, scale = n_right / n, 1 + z**2 / n
    middle = (share + z**2 / (2 * n)) / scale
    reach = z / scale * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return float(max(0, middle - reach)), float(min(1, middle + reach))


def normal_interval(estimate, variance, level=0.95, bounds=(-np.inf, np.inf)):
    """Return the interval of a normal estimate, cut at the bounds of what is estimated."""
    reach = ndtri((1 + level) / 2) * np.sqrt(variance)
    return float(max(bounds[0], estimate - reach)), float(min(bounds[1], estimate + reach))
