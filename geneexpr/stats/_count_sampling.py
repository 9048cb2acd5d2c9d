"""Negative-binomial counts, drawn only where a count can differ from zero."""

from __future__ import annotations

import numpy as np

# Below this dispersion a gamma variate is 1 to double precision: Poisson.
_SMALLEST_DISPERSION = 1e-8


def sample_nonzero_counts(mean, dispersion, rng, groups=None):
    """Draw a negative-binomial matrix and return its non-zero entries.

    Entry ``(i, j)`` has mean ``mean[i, j]`` and variance ``mean + dispersion * mean**2``.
    Every entry follows that law exactly, but only entries that may become non-zero cost
    more than one uniform number. Where the mean is at most 1, ``P(count > 0) <= mean``
    (Markov), so a uniform number above the mean already says "zero"; the others are
    found by inversion of the distribution function with the same number, refined to
    double precision. Where the mean exceeds 1, a Poisson count with a gamma-distributed
    mean is drawn.

    Parameters
    ----------
    mean : ndarray of shape (n_samples, n_genes)
        Expected counts, float32 or float64; finite and not negative.
    dispersion : ndarray of shape (n_groups, n_genes)
        Squared biological coefficient of variation of each gene in each group of
        samples; 0 is Poisson.
    rng : numpy.random.Generator
        Source of randomness.
    groups : ndarray of shape (n_samples,), default=None
        Group of each sample, as a row of `dispersion`; by default all are in the first.

    Returns
    -------
    positions : ndarray of int64
        Flat positions (C order) of the non-zero entries, increasing.
    counts : ndarray of int64
        Their counts, all at least 1.

    Examples
    --------
    >>> import numpy as np
    >>> mean = np.full((2, 3), 0.5)
    >>> positions, counts = sample_nonzero_counts(mean, np.zeros((1, 3)), np.random.default_rng(0))
    >>> positions.shape == counts.shape
    True
    """
    mean = np.ascontiguousarray(mean)
    uniform = rng.random(mean.shape, dtype=np.float32)
    candidates = np.flatnonzero(uniform < mean)
    rows, columns = np.divmod(candidates, mean.shape[1])
    means = mean.ravel()[candidates].astype(np.float64)
    groups = np.zeros_like(rows) if groups is None else groups[rows]
    dispersions = np.maximum(dispersion[groups, columns], _SMALLEST_DISPERSION, dtype=np.float64)

    large = means > 1
    counts = np.empty(candidates.size, dtype=np.int64)
    counts[large] = _gamma_poisson(means[large], dispersions[large], rng)
    # A float32 uniform is a multiple of 2**-24; the missing digits are added so that
    # means far below that resolution are still met at their own rate.
    refined = uniform.ravel()[candidates[~large]] + rng.random(np.sum(~large)) * 2.0**-24
    counts[~large] = _invert(refined, means[~large], dispersions[~large])
    nonzero = counts > 0
    return candidates[nonzero], counts[nonzero]


def _gamma_poisson(mean, dispersion, rng):
    return rng.poisson(rng.gamma(1 / dispersion, dispersion * mean))


def _invert(uniform, mean, dispersion):
    """Return the largest k with ``uniform < P(count >= k)``, for means of at most 1."""
    odds = dispersion * mean
    decay = odds / (1 + odds)
    log_zero = -np.log1p(odds) / dispersion
    tail = -np.expm1(log_zero)
    mass = np.exp(log_zero) * mean / (1 + odds)
    counts = np.zeros(uniform.size, dtype=np.int64)
    open_ = np.flatnonzero(uniform < tail)
    k = 0
    while open_.size:
        k += 1
        counts[open_] = k
        tail[open_] -= mass[open_]
        mass[open_] *= (k + 1 / dispersion[open_]) / (k + 1) * decay[open_]
        # The tail is a running difference: once the mass is below its rounding error,
        # what is left of it is noise.
        open_ = open_[(uniform[open_] < tail[open_]) & (mass[open_] > 1e-18)]
    return counts
