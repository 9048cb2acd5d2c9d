"""Compiled search of `_count_quantiles`: from a guess to the quantile, count by count.

Imported by the functions that need it only, since numba takes a second to load.
"""

import math

import numpy as np
from numba import njit

from ._count_glm_kernels import log_gamma, log_rising

MOST_SUMMED = 400.0
"""Up to such counts and means, adding up is faster than an incomplete beta function."""
LEAST_MASS = 1e-280

_compiled = njit(cache=True, nogil=True, error_model="numpy")


@_compiled
def _log_mass(count, mean, dispersion):
    """Return the logarithm of the probability of a count."""
    size = 1.0 / dispersion
    excess = mean * dispersion
    value = log_rising(count, size, log_gamma(size)) - log_gamma(count + 1.0)
    if excess < 1e-8:
        return value + count * math.log(mean) - mean - count * excess
    return value + count * math.log(mean) - (count + size) * math.log1p(excess)


@_compiled
def walk(targets, guesses, below, means, dispersions, result):
    """Walk from a guess to the least count whose cumulative probability is the target.

    Parameters
    ----------
    targets : array of shape (n,)
        Probabilities below 1.
    guesses : array of shape (n,)
        Whole numbers from 0 on.
    below : array of shape (n,)
        Cumulative probabilities of the guesses.
    means, dispersions : array of shape (n,)
    result : array of shape (n,)
        The counts found.
    """
    for i in range(len(targets)):
        count, reached, target = guesses[i], below[i], targets[i]
        mean, size = means[i], 1.0 / dispersions[i]
        share = mean * dispersions[i] / (1.0 + mean * dispersions[i])
        mass = math.exp(_log_mass(count, mean, dispersions[i]))
        if reached >= target:
            while count > 0.0 and reached - mass >= target:
                reached -= mass
                mass *= count / ((count - 1.0 + size) * share)
                count -= 1.0
        else:
            while reached < target:
                mass *= (count + size) / (count + 1.0) * share
                count += 1.0
                reached += mass
                if mass <= 0.0 or reached + mass == reached:
                    break
        result[i] = count


@_compiled
def guess(targets, scores, means, dispersions, result):
    """Guess quantiles by the expansion of Cornish and Fisher around the normal one."""
    for i in range(len(targets)):
        excess = means[i] * dispersions[i]
        deviation = math.sqrt(means[i] * (1.0 + excess))
        skewness = (1.0 + 2.0 * excess) / deviation
        z = scores[i]
        value = means[i] + deviation * (z + skewness * (z * z - 1.0) / 6.0)
        result[i] = max(0.0, math.floor(value + 0.5)) if np.isfinite(value) else 0.0


@_compiled
def match_small(counts, means, dispersions, new_means, new_dispersions, near_one, slack, result):
    """Match small counts by adding up probabilities from 0 on; fill in -1 for the others.

    Parameters
    ----------
    counts, means, dispersions, new_means, new_dispersions : array of shape (n,)
    near_one, slack : float
        As `match_quantiles` has them.
    result : array of shape (n,)
    """
    for i in range(len(counts)):
        result[i] = -1.0
        below = math.floor(counts[i] - 1.0 + 1e-7)
        if below > MOST_SUMMED or new_means[i] > MOST_SUMMED:
            continue
        p, _, complete = _add_up(below, np.inf, means[i], dispersions[i])
        if not complete:
            continue
        if abs(p - 1.0) < near_one:
            result[i] = counts[i]
            continue
        _, found, complete = _add_up(
            4.0 * MOST_SUMMED, p * (1.0 - slack), new_means[i], new_dispersions[i]
        )
        if complete and found < 4.0 * MOST_SUMMED:
            result[i] = found + 1.0


@_compiled
def _add_up(most, target, mean, dispersion):
    """Add up probabilities from 0 to a count, or until they reach a target.

    Returns
    -------
    reached, count : float
    complete : bool
        False where the first of them is too small to go on from.
    """
    inflation = mean * dispersion
    mass = math.exp(-math.log1p(inflation) / dispersion)
    if mass < LEAST_MASS:
        return 0.0, 0.0, False
    rate = mean / (1.0 + inflation)
    reached, count = mass, 0.0
    while count < most and reached < target:
        mass *= rate * (1.0 + count * dispersion) / (count + 1.0)
        count += 1.0
        reached += mass
    return reached, count, True
