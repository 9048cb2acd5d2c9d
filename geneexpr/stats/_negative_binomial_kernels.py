"""Compiled loops that find the dispersions of negative binomial regressions, gene by gene.

As `_dispersion_kernels` does it for a common mean, with the means of any design and a prior.
"""

import math

import numpy as np
from numba import njit

from ._dispersion_kernels import (
    EPSILON,
    GRID_POINTS,
    LOG_ALPHA_RANGE,
    MAX_ITERATIONS,
    TOLERANCE,
    log_gamma_and_slope,
)
from ._negative_binomial_glm import (
    cross_product,
    expected_counts,
    factorise,
    regress,
    solve,
    times,
)


@njit(cache=True, nogil=True)
def likelihood(counts, means, design, log_alpha, prior_mean, prior_variance):
    """Return the Cox-Reid adjusted log likelihood of a dispersion, and its slope.

    The slope is that by the logarithm of the dispersion, on which there is a normal prior.
    """
    n, p = design.shape
    alpha = math.exp(log_alpha)
    size = 1.0 / alpha
    log_gamma_size, slope_size = log_gamma_and_slope(size)
    value, slope = 0.0, 0.0
    weights, changes = np.empty(n), np.empty(n)
    for j in range(n):
        y, mean = counts[j], means[j]
        inflation = 1.0 + mean * alpha
        log_inflation = math.log(inflation)
        if y > 0.0:
            log_gamma, slope_gamma = log_gamma_and_slope(y + size)
            value += log_gamma - log_gamma_size - y * (log_inflation - log_alpha)
            slope += slope_size - slope_gamma
        value -= size * log_inflation
        slope += log_inflation + (y - mean) * alpha / inflation
        weights[j] = mean / inflation
        changes[j] = -weights[j] * weights[j]
    slope *= size
    information, change = np.empty((p, p)), np.empty((p, p))
    cross_product(design, weights, 0.0, information)
    cross_product(design, changes, 0.0, change)
    if not factorise(information):
        return -np.inf, 0.0
    for a in range(p):
        value -= math.log(information[a, a])
    for a in range(p):
        solve(information, change[a])
        slope -= 0.5 * alpha * change[a, a]
    distance = log_alpha - prior_mean
    value -= 0.5 * distance * distance / prior_variance
    return value, slope - distance / prior_variance


@njit(cache=True, nogil=True)
def climb(counts, means, design, log_alpha, lowest, prior_mean, prior_variance):
    """Climb to the most likely dispersion by steps along the slope, halved until they gain.

    Returns
    -------
    log_alpha : float
    first, last : float
        Likelihood at the start and at the end.
    n_iterations : int
    """
    step, accepted, iteration = 1.0, 0, 0
    value, slope = likelihood(counts, means, design, log_alpha, prior_mean, prior_variance)
    first = value
    while iteration < MAX_ITERATIONS:
        iteration += 1
        proposal = log_alpha + step * slope
        if proposal < LOG_ALPHA_RANGE[0]:
            step = (LOG_ALPHA_RANGE[0] - log_alpha) / slope
        if proposal > LOG_ALPHA_RANGE[1]:
            step = (LOG_ALPHA_RANGE[1] - log_alpha) / slope
        proposal = log_alpha + step * slope
        new_value, new_slope = likelihood(
            counts, means, design, proposal, prior_mean, prior_variance
        )
        if not new_value >= value + step * EPSILON * slope * slope:
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
def best_of(counts, means, design, low, high, prior_mean, prior_variance):
    """Return the most likely of equally spaced logarithms of dispersions."""
    best, best_value = low, -np.inf
    for i in range(GRID_POINTS):
        log_alpha = low + (high - low) * i / (GRID_POINTS - 1)
        value = likelihood(counts, means, design, log_alpha, prior_mean, prior_variance)[0]
        if value > best_value:
            best, best_value = log_alpha, value
    return best


@njit(cache=True, nogil=True)
def best_on_grid(counts, means, design, smallest, largest, prior_mean, prior_variance):
    """Search the range of dispersions in twenty steps, then around the best of them."""
    low, high = math.log(smallest), math.log(largest)
    step = (high - low) / (GRID_POINTS - 1)
    prior = prior_mean, prior_variance
    at = best_of(counts, means, design, low, high, prior[0], prior[1])
    return math.exp(best_of(counts, means, design, at - step, at + step, prior[0], prior[1]))


@njit(cache=True, nogil=True)
def start_dispersion(values, mean, linear, inverse_factor, n_terms, smallest, largest):
    """Return the lesser of two estimates by moments, of normalised counts."""
    n = len(values)
    squares, rough = 0.0, 0.0
    for j in range(n):
        squares += (values[j] - mean) ** 2
        floored = max(linear[j], 1.0)
        rough += ((values[j] - floored) ** 2 - floored) / (floored * floored)
    rough = max(rough / (n - n_terms), 0.0)
    moments = (squares / (n - 1) - inverse_factor * mean) / (mean * mean)
    return min(max(smallest, min(rough, moments)), largest)


@njit(cache=True, nogil=True)
def dispersions_of(
    counts, factors, design, projector, linear, smallest, largest, means, result, coefficients
):
    """Fill in the mean normalised count, the dispersion and the fit behind it, of genes (rows).

    A gene without counts has the mean 0 and the dispersion NaN.
    """
    n_genes, n = counts.shape
    p = design.shape[1]
    inverse_factor = 0.0
    for j in range(n):
        inverse_factor += 1.0 / factors[j] / n
    expected, unused, values = np.empty(n), np.empty((3, n)), np.empty(n)
    for i in range(n_genes):
        total = 0.0
        for j in range(n):
            values[j] = counts[i, j] / factors[j]
            total += values[j]
        times(projector, values, coefficients[i])
        if total <= 0.0:
            means[i], result[i] = 0.0, np.nan
            continue
        means[i] = total / n
        times(design, coefficients[i], expected)
        start = start_dispersion(values, means[i], expected, inverse_factor, p, smallest, largest)
        if not linear:
            regress(counts[i], factors, design, projector, start, coefficients[i], unused)
        expected_counts(factors, design, coefficients[i], linear, expected)
        log_alpha, first, last, iterations = climb(
            counts[i], expected, design, math.log(start), math.log(smallest / 10), 0.0, np.inf
        )
        found = min(math.exp(log_alpha), largest)
        if last < first + abs(first) / 1e6:
            found = start
        if (iterations == 1 or iterations == MAX_ITERATIONS) and found > smallest * 10:
            found = best_on_grid(counts[i], expected, design, smallest, largest, 0.0, np.inf)
        result[i] = min(max(found, smallest), largest)


@njit(cache=True, nogil=True)
def shrunken_dispersions_of(
    counts,
    factors,
    design,
    linear,
    coefficients,
    dispersions,
    trend,
    prior_variance,
    smallest,
    largest,
    result,
):
    """Fill in the most likely dispersion of genes (rows) under a prior around the trend."""
    n_genes, n = counts.shape
    expected = np.empty(n)
    for i in range(n_genes):
        if math.isnan(dispersions[i]):
            result[i] = np.nan
            continue
        expected_counts(factors, design, coefficients[i], linear, expected)
        start = dispersions[i] if dispersions[i] > 0.1 * trend[i] else trend[i]
        log_alpha, _, _, iterations = climb(
            counts[i],
            expected,
            design,
            math.log(start),
            math.log(smallest / 10),
            math.log(trend[i]),
            prior_variance,
        )
        found = math.exp(log_alpha)
        if iterations == MAX_ITERATIONS:
            found = best_on_grid(
                counts[i], expected, design, smallest, largest, math.log(trend[i]), prior_variance
            )
        result[i] = min(max(found, smallest), largest)
