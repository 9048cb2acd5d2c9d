"""Compiled loops of `_dispersion`: one gene at a time, its samples contiguous.

Imported by the functions that need it only, since numba takes a second to load.
"""

import math

import numpy as np
from numba import njit

EPSILON = 1e-4
"""Slope share that a step must gain (Armijo)."""
TOLERANCE = 1e-6
MAX_ITERATIONS = 100
LOG_ALPHA_RANGE = (-30.0, 10.0)
GRID_POINTS = 20

_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


@njit(cache=True, nogil=True)
def log_gamma_and_slope(x):
    """Return the logarithm of the gamma function of x > 0 and its derivative (Stirling)."""
    product, slope = 1.0, 0.0
    while x < 10.0:
        product *= x
        slope -= 1.0 / x
        x += 1.0
    log_x, inverse = math.log(x), 1.0 / x
    square = inverse * inverse
    series = inverse * (
        1 / 12
        - square
        * (
            1 / 360
            - square
            * (1 / 1260 - square * (1 / 1680 - square * (1 / 1188 - square * 691 / 360360)))
        )
    )
    value = (x - 0.5) * log_x - x + _HALF_LOG_2PI + series
    if product != 1.0:
        value -= math.log(product)
    slope += log_x - 0.5 * inverse
    slope -= square * (
        1 / 12
        - square
        * (
            1 / 120
            - square * (1 / 252 - square * (1 / 240 - square * (1 / 132 - square * 691 / 32760)))
        )
    )
    return value, slope


@njit(cache=True, nogil=True)
def likelihood(counts, means, log_alpha):
    """Return the Cox-Reid adjusted log likelihood of a dispersion, and its slope.

    The design is an intercept; the slope is that by the logarithm of the dispersion.
    """
    alpha = math.exp(log_alpha)
    size = 1.0 / alpha
    log_gamma_size, slope_size = log_gamma_and_slope(size)
    value, slope, information, change = 0.0, 0.0, 0.0, 0.0
    for j in range(len(counts)):
        y, mean = counts[j], means[j]
        inflation = 1.0 + mean * alpha
        log_inflation = math.log(inflation)
        if y > 0.0:
            log_gamma, slope_gamma = log_gamma_and_slope(y + size)
            value += log_gamma - log_gamma_size - y * (log_inflation - log_alpha)
            slope += slope_size - slope_gamma
        value -= size * log_inflation
        slope += log_inflation + (y - mean) * alpha / inflation
        weight = mean / inflation
        information += weight
        change -= weight * weight
    value -= 0.5 * math.log(information)
    return value, slope * size - 0.5 * alpha * change / information


@njit(cache=True, nogil=True)
def climb(counts, means, log_alpha, lowest):
    """Climb to the most likely dispersion by steps along the slope, halved until they gain.

    Returns
    -------
    log_alpha : float
    first, last : float
        Likelihood at the start and at the end.
    n_iterations : int
    """
    step = 1.0
    value, slope = likelihood(counts, means, log_alpha)
    first, accepted, iteration = value, 0, 0
    while iteration < MAX_ITERATIONS:
        iteration += 1
        proposal = log_alpha + step * slope
        if proposal < LOG_ALPHA_RANGE[0]:
            step = (LOG_ALPHA_RANGE[0] - log_alpha) / slope
        if proposal > LOG_ALPHA_RANGE[1]:
            step = (LOG_ALPHA_RANGE[1] - log_alpha) / slope
        proposal = log_alpha + step * slope
        new_value, new_slope = likelihood(counts, means, proposal)
        if new_value < value + step * EPSILON * slope * slope:
            step /= 2.0
            continue
        accepted += 1
        log_alpha, gain = proposal, new_value - value
        if gain < TOLERANCE:
            value = new_value
            break
        if log_alpha < lowest:
            break
        value, slope = new_value, new_slope
        step = min(step * 1.1, 1.0)
        if accepted % 5 == 0:
            step /= 2.0
    return log_alpha, first, value, iteration


@njit(cache=True, nogil=True)
def best_of(counts, means, low, high):
    """Return the most likely of equally spaced logarithms of dispersions."""
    best, best_value = low, -np.inf
    for i in range(GRID_POINTS):
        log_alpha = low + (high - low) * i / (GRID_POINTS - 1)
        value = likelihood(counts, means, log_alpha)[0]
        if value > best_value:
            best, best_value = log_alpha, value
    return best


@njit(cache=True, nogil=True)
def dispersions_of(counts, factors, smallest, largest, means, result):
    """Fill in the mean normalised count and the dispersion of genes (rows).

    A gene without counts has the mean 0 and the dispersion NaN.
    """
    n_genes, n = counts.shape
    inverse_factor = 0.0
    for j in range(n):
        inverse_factor += 1.0 / factors[j]
    inverse_factor /= n
    expected = np.empty(n)
    for i in range(n_genes):
        total = 0.0
        for j in range(n):
            total += counts[i, j] / factors[j]
        mean = total / n
        means[i] = mean
        if mean <= 0.0:
            result[i] = np.nan
            continue
        floored, squares, rough = max(mean, 1.0), 0.0, 0.0
        for j in range(n):
            value = counts[i, j] / factors[j]
            squares += (value - mean) ** 2
            rough += ((value - floored) ** 2 - floored) / (floored * floored)
            expected[j] = max(mean * factors[j], 0.5)
        rough = max(rough / (n - 1), 0.0)
        moments = (squares / (n - 1) - inverse_factor * mean) / (mean * mean)
        start = min(max(smallest, min(rough, moments)), largest)
        log_alpha, first, last, iterations = climb(
            counts[i], expected, math.log(start), math.log(smallest / 10)
        )
        found = min(math.exp(log_alpha), largest)
        if last < first + abs(first) / 1e6:
            found = start
        if (iterations == 1 or iterations == MAX_ITERATIONS) and found > smallest * 10:
            low, high = math.log(smallest), math.log(largest)
            step = (high - low) / (GRID_POINTS - 1)
            coarse = best_of(counts[i], expected, low, high)
            found = math.exp(best_of(counts[i], expected, coarse - step, coarse + step))
        result[i] = min(max(found, smallest), largest)
