"""Compiled loops of `_negative_binomial`: one gene at a time, its samples contiguous.

Imported by the functions that need it only, since numba takes a second to load. The iterations,
their starts and their stopping rules are those of the reference, since its digits depend on
them.
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

SMALLEST_MEAN = 0.5
"""Floor of the expected counts that weights and likelihoods of dispersions are taken at."""
RIDGE = 1e-6 / math.log(2) ** 2
"""Penalty of the squared coefficients, which keeps a group of zeros finite."""
DEVIANCE_TOLERANCE = 1e-8
LARGEST_COEFFICIENT = 30.0
STATIC = 1e-12
"""Relative gain at which the damped iterations stop."""
LOG_2 = math.log(2)


@njit(cache=True, nogil=True)
def factorise(A):
    """Put the Cholesky factor into the lower triangle; False where A is not positive."""
    p = len(A)
    for i in range(p):
        for j in range(i + 1):
            total = A[i, j]
            for k in range(j):
                total -= A[i, k] * A[j, k]
            if i > j:
                A[i, j] = total / A[j, j]
            elif total > 0.0:
                A[i, i] = math.sqrt(total)
            else:
                return False
    return True


@njit(cache=True, nogil=True)
def solve(factor, b):
    """Solve A x = b in place of b, given the Cholesky factor of A."""
    p = len(b)
    for i in range(p):
        for k in range(i):
            b[i] -= factor[i, k] * b[k]
        b[i] /= factor[i, i]
    for i in range(p - 1, -1, -1):
        for k in range(i + 1, p):
            b[i] -= factor[k, i] * b[k]
        b[i] /= factor[i, i]


@njit(cache=True, nogil=True)
def cross_product(design, weights, ridge, A):
    """Fill A with the weighted products of the columns of a design."""
    n, p = design.shape
    A[:] = 0.0
    for j in range(n):
        for a in range(p):
            scaled = weights[j] * design[j, a]
            if scaled != 0.0:
                for b in range(a + 1):
                    A[a, b] += scaled * design[j, b]
    for a in range(p):
        A[a, a] += ridge
        for b in range(a):
            A[b, a] = A[a, b]


# ------------------------------------------------------------------ dispersions


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
def start_dispersion(values, linear, inverse_factor, n_terms, smallest, largest):
    """Return the mean normalised count and the lesser of two estimates by moments."""
    n = len(values)
    mean, squares, rough = values.mean(), 0.0, 0.0
    for j in range(n):
        squares += (values[j] - mean) ** 2
        floored = max(linear[j], 1.0)
        rough += ((values[j] - floored) ** 2 - floored) / (floored * floored)
    rough = max(rough / (n - n_terms), 0.0)
    moments = (squares / (n - 1) - inverse_factor * mean) / (mean * mean)
    return mean, min(max(smallest, min(rough, moments)), largest)


@njit(cache=True, nogil=True)
def dispersions_of(
    counts, factors, design, projector, linear, smallest, largest, means, result, coefficients
):
    """Fill in the mean normalised count, the dispersion and the fit behind it, of genes (rows).

    A gene without counts has the mean 0 and the dispersion NaN.
    """
    n_genes, n = counts.shape
    p = design.shape[1]
    inverse_factor = (1.0 / factors).mean()
    expected, unused = np.empty(n), np.empty((3, n))
    for i in range(n_genes):
        values = counts[i] / factors
        coefficients[i] = projector @ values
        if values.sum() <= 0.0:
            means[i], result[i] = 0.0, np.nan
            continue
        means[i], start = start_dispersion(
            values, design @ coefficients[i], inverse_factor, p, smallest, largest
        )
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
def expected_counts(factors, design, coefficients, linear, expected):
    """Fill in the expected counts of one gene, floored."""
    predicted = design @ coefficients
    for j in range(len(factors)):
        mean = predicted[j] if linear else math.exp(predicted[j])
        expected[j] = max(mean * factors[j], SMALLEST_MEAN)


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


# ------------------------------------------------------------------ coefficients


@njit(cache=True, nogil=True)
def log_likelihood(counts, means, alpha):
    """Return the negative binomial log likelihood, up to what depends on the counts alone."""
    total = 0.0
    for j in range(len(counts)):
        scaled = means[j] * alpha
        total -= math.log1p(scaled) / alpha
        if counts[j] > 0.0:
            total += counts[j] * math.log(scaled / (1.0 + scaled))
    return total


@njit(cache=True, nogil=True)
def regress(counts, factors, design, projector, alpha, coefficients, work):
    """Fit the coefficients of one gene by reweighted least squares; True where they converge.

    ``coefficients`` are filled in; ``work`` of shape (3, n_samples) is left with the expected
    counts, floored, in its first row. Where the iteration does not converge, damped steps climb to
    the same optimum.
    """
    n, p = design.shape
    means, weights, response = work[0], work[1], work[2]
    coefficients[:] = projector @ np.log(counts / factors + 0.1)
    start = coefficients.copy()
    constant = 0.0
    for j in range(n):
        constant += (
            math.lgamma(counts[j] + 1.0 / alpha)
            - math.lgamma(1.0 / alpha)
            - math.lgamma(counts[j] + 1.0)
        )
    expected_counts(factors, design, coefficients, False, means)
    information, old, converged = np.empty((p, p)), 0.0, False
    for iteration in range(MAX_ITERATIONS):
        for j in range(n):
            weights[j] = means[j] / (1.0 + alpha * means[j])
            response[j] = math.log(means[j] / factors[j]) + (counts[j] - means[j]) / means[j]
        cross_product(design, weights, RIDGE, information)
        if not factorise(information):
            break
        coefficients[:] = (weights * response) @ design
        solve(information, coefficients)
        if not (np.abs(coefficients) <= LARGEST_COEFFICIENT).all():
            break
        expected_counts(factors, design, coefficients, False, means)
        deviance = -2.0 * (constant + log_likelihood(counts, means, alpha))
        if iteration and abs(deviance - old) / (abs(deviance) + 0.1) < DEVIANCE_TOLERANCE:
            converged = iteration < MAX_ITERATIONS - 1
            break
        old = deviance
    if not converged:
        if not (np.abs(coefficients) <= LARGEST_COEFFICIENT).all():
            coefficients[:] = start
        climb_coefficients(counts, factors, design, alpha, coefficients)
        expected_counts(factors, design, coefficients, False, means)
    return converged


@njit(cache=True, nogil=True)
def penalised(counts, factors, design, alpha, coefficients, means):
    """Return the penalised log likelihood; the expected counts, not floored, are filled in."""
    predicted = design @ coefficients
    for j in range(len(factors)):
        means[j] = max(math.exp(predicted[j]) * factors[j], 1e-300)
    return log_likelihood(counts, means, alpha) - 0.5 * RIDGE * (coefficients**2).sum()


@njit(cache=True, nogil=True)
def climb_coefficients(counts, factors, design, alpha, coefficients):
    """Climb to the optimum of the penalised likelihood, which is concave, by damped steps."""
    n, p = design.shape
    means, weights, residuals, information = np.empty(n), np.empty(n), np.empty(n), np.empty((p, p))
    limit = LARGEST_COEFFICIENT * LOG_2
    value = penalised(counts, factors, design, alpha, coefficients, means)
    for _ in range(MAX_ITERATIONS):
        for j in range(n):
            weights[j] = means[j] / (1.0 + alpha * means[j])
            residuals[j] = (counts[j] - means[j]) / (1.0 + alpha * means[j])
        cross_product(design, weights, RIDGE, information)
        if not factorise(information):
            return
        step = residuals @ design - RIDGE * coefficients
        solve(information, step)
        gain = -1.0
        for _ in range(30):
            proposal = np.minimum(np.maximum(coefficients + step, -limit), limit)
            gain = penalised(counts, factors, design, alpha, proposal, means) - value
            if gain >= 0.0:
                break
            step /= 2.0
        if not gain >= 0.0:
            return
        coefficients[:] = proposal
        value += gain
        if gain <= STATIC * abs(value):
            return


@njit(cache=True, nogil=True)
def coefficients_of(
    counts, factors, design, projector, alphas, coefficients, covariances, expected, leverages
):
    """Fill in the coefficients of genes (rows), their covariance, and what Cook's distances need.

    ``expected`` are not floored; a gene whose dispersion is NaN is NaN in everything.
    """
    n_genes, n = counts.shape
    p = design.shape[1]
    work, information, inverse = np.empty((3, n)), np.empty((p, p)), np.empty((p, p))
    for i in range(n_genes):
        if math.isnan(alphas[i]):
            coefficients[i], covariances[i] = np.nan, np.nan
            expected[i], leverages[i] = np.nan, np.nan
            continue
        regress(counts[i], factors, design, projector, alphas[i], coefficients[i], work)
        weights = work[0] / (1.0 + alphas[i] * work[0])
        cross_product(design, weights, RIDGE, information)
        factorise(information)
        inverse[:] = np.eye(p)
        for a in range(p):
            solve(information, inverse[a])
        expected[i] = factors * np.exp(design @ coefficients[i])
        for j in range(n):
            leverages[i, j] = weights[j] * (design[j] @ (inverse @ design[j]))
        cross_product(design, weights, 0.0, information)
        covariances[i] = inverse @ information @ inverse
