"""Compiled loops that fit negative binomial regressions: one gene at a time.

Imported by the functions that need it only, since numba takes a second to load. The iterations,
their starts and their stopping rules are those of the reference, since its digits depend on
them. Loops are written out, since they compile much faster than expressions of arrays.
"""

import math

import numpy as np
from numba import njit

MAX_ITERATIONS = 100
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


@njit(cache=True, nogil=True)
def times(A, b, result):
    """Fill in the product of a matrix and a vector."""
    for i in range(A.shape[0]):
        total = 0.0
        for j in range(A.shape[1]):
            total += A[i, j] * b[j]
        result[i] = total


@njit(cache=True, nogil=True)
def times_transposed(A, b, result):
    """Fill in the product of the transpose of a matrix and a vector."""
    for j in range(A.shape[1]):
        total = 0.0
        for i in range(A.shape[0]):
            total += A[i, j] * b[i]
        result[j] = total


@njit(cache=True, nogil=True)
def expected_counts(factors, design, coefficients, linear, expected):
    """Fill in the expected counts of one gene, floored."""
    times(design, coefficients, expected)
    for j in range(len(factors)):
        mean = expected[j] if linear else math.exp(expected[j])
        expected[j] = max(mean * factors[j], SMALLEST_MEAN)


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
def moderate(coefficients):
    """Tell whether all coefficients are numbers of a size that a fit can have."""
    largest = 0.0
    for value in coefficients:
        if math.isnan(value):
            return False
        largest = max(largest, abs(value))
    return largest <= LARGEST_COEFFICIENT


@njit(cache=True, nogil=True)
def information_of(design, means, alpha, weights, information):
    """Fill in the weights of the samples and the penalised information of the coefficients."""
    for j in range(len(means)):
        weights[j] = means[j] / (1.0 + alpha * means[j])
    cross_product(design, weights, RIDGE, information)


@njit(cache=True, nogil=True)
def regress(counts, factors, design, projector, alpha, coefficients, work):
    """Fit the coefficients of one gene by reweighted least squares.

    ``coefficients`` are filled in; ``work`` of shape (3, n_samples) is left with the expected
    counts, floored, in its first row. Where the iteration does not converge, damped steps climb to
    the same optimum.
    """
    n, p = design.shape
    means, weights, response = work[0], work[1], work[2]
    constant = 0.0
    for j in range(n):
        response[j] = math.log(counts[j] / factors[j] + 0.1)
        constant += math.lgamma(counts[j] + 1.0 / alpha) - math.lgamma(counts[j] + 1.0)
    constant -= n * math.lgamma(1.0 / alpha)
    times(projector, response, coefficients)
    start = coefficients.copy()
    expected_counts(factors, design, coefficients, False, means)
    information, old, converged = np.empty((p, p)), 0.0, False
    for iteration in range(MAX_ITERATIONS):
        information_of(design, means, alpha, weights, information)
        if not factorise(information):
            break
        for j in range(n):
            shift = (counts[j] - means[j]) / means[j]
            response[j] = weights[j] * (math.log(means[j] / factors[j]) + shift)
        times_transposed(design, response, coefficients)
        solve(information, coefficients)
        if not moderate(coefficients):
            break
        expected_counts(factors, design, coefficients, False, means)
        deviance = -2.0 * (constant + log_likelihood(counts, means, alpha))
        if iteration and abs(deviance - old) / (abs(deviance) + 0.1) < DEVIANCE_TOLERANCE:
            converged = iteration < MAX_ITERATIONS - 1
            break
        old = deviance
    if not converged:
        if not moderate(coefficients):
            for a in range(p):
                coefficients[a] = start[a]
        climb_coefficients(counts, factors, design, alpha, coefficients, work)
        expected_counts(factors, design, coefficients, False, means)


@njit(cache=True, nogil=True)
def penalised(counts, factors, design, alpha, coefficients, means):
    """Return the penalised log likelihood; the expected counts, not floored, are filled in."""
    times(design, coefficients, means)
    size = 0.0
    for value in coefficients:
        size += value * value
    for j in range(len(factors)):
        means[j] = max(math.exp(means[j]) * factors[j], 1e-300)
    return log_likelihood(counts, means, alpha) - 0.5 * RIDGE * size


@njit(cache=True, nogil=True)
def climb_coefficients(counts, factors, design, alpha, coefficients, work):
    """Climb to the optimum of the penalised likelihood, which is concave, by damped steps."""
    p = design.shape[1]
    means, weights, residuals = work[0], work[1], work[2]
    information, step, proposal = np.empty((p, p)), np.empty(p), np.empty(p)
    limit = LARGEST_COEFFICIENT * LOG_2
    value = penalised(counts, factors, design, alpha, coefficients, means)
    for _ in range(MAX_ITERATIONS):
        information_of(design, means, alpha, weights, information)
        if not factorise(information):
            return
        for j in range(len(counts)):
            residuals[j] = (counts[j] - means[j]) / (1.0 + alpha * means[j])
        times_transposed(design, residuals, step)
        for a in range(p):
            step[a] -= RIDGE * coefficients[a]
        solve(information, step)
        gain, share = -1.0, 1.0
        for _ in range(30):
            for a in range(p):
                proposal[a] = min(max(coefficients[a] + share * step[a], -limit), limit)
            gain = penalised(counts, factors, design, alpha, proposal, means) - value
            if gain >= 0.0:
                break
            share /= 2.0
        if not gain >= 0.0:
            return
        for a in range(p):
            coefficients[a] = proposal[a]
        value += gain
        if gain <= STATIC * abs(value):
            return


@njit(cache=True, nogil=True)
def sandwich(inverse, middle, covariance):
    """Fill in the covariance of penalised coefficients."""
    p = len(inverse)
    for a in range(p):
        for b in range(p):
            total = 0.0
            for c in range(p):
                for d in range(p):
                    total += inverse[a, c] * middle[c, d] * inverse[d, b]
            covariance[a, b] = total


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
        means, weights = work[0], work[1]
        information_of(design, means, alphas[i], weights, information)
        factorise(information)
        inverse[:] = 0.0
        for a in range(p):
            inverse[a, a] = 1.0
            solve(information, inverse[a])
        times(design, coefficients[i], expected[i])
        for j in range(n):
            expected[i, j] = factors[j] * math.exp(expected[i, j])
            times(inverse, design[j], work[2])
            pull = 0.0
            for a in range(p):
                pull += design[j, a] * work[2, a]
            leverages[i, j] = weights[j] * pull
        cross_product(design, weights, 0.0, information)
        sandwich(inverse, information, covariances[i])
