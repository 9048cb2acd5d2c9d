"""Compiled search of `_count_quantiles`: from a guess to the quantile, count by count.

Imported by the functions that need it only, since numba takes a second to load.
"""

import math

import numpy as np
from numba import njit

from ._count_glm_kernels import log_gamma, log_rising

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
