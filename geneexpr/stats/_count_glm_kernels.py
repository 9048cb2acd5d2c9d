"""Compiled loops of `_count_glm`: negative binomial fits, one gene at a time.

Genes are rows here, so that the samples of a gene are contiguous. Imported by the functions
that need it only, since numba takes a second to load.
"""

import math

import numpy as np
from numba import njit

STEP_TOLERANCE = 1e-10
"""A fit of one rate ends with a step of its logarithm below this."""
MAX_STEPS = 50
NEWTON_WITHIN = 0.5
LARGEST_STEP = 4.0
"""Scoring falls by 1 at most, but one sample of a tiny exposure could make it rise to infinity."""
GAIN_TOLERANCE = 1e-6
"""A fit of several coefficients ends with an expected gain in likelihood below this."""
MAX_SCORINGS = 250
LEAST_DAMPING = 1e-13
SMALL_DISPERSION = 1e-4
SMALL_COUNT = 1e-8
LEAST_PIVOT = 1e-10
"""Pivots of the information below this count as this (genes without counts in a group)."""

_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)
_compiled = njit(cache=True, nogil=True, error_model="numpy")


@_compiled
def log_gamma(x):
    """Return the logarithm of the gamma function of x > 0 (Stirling)."""
    product = 1.0
    while x < 10.0:
        product *= x
        x += 1.0
    value = (x - 0.5) * math.log(x) - x + _HALF_LOG_2PI + _stirling(x)
    return value - math.log(product) if product != 1.0 else value


@_compiled
def _stirling(x):
    inverse = 1.0 / x
    square = inverse * inverse
    series = 1 / 1260 - square * (1 / 1680 - square * (1 / 1188 - square * 691 / 360360))
    return inverse * (1 / 12 - square * (1 / 360 - square * series))


@_compiled
def log_rising(y, size, log_gamma_size):
    """Return log Γ(y + size) - log Γ(size) - y log size, without loss for large sizes."""
    if y <= 12.0 and y == math.floor(y):
        product, inverse = 1.0, 1.0 / size
        for k in range(1, int(y)):
            product *= 1.0 + k * inverse
        return math.log(product)
    if size < 10.0:
        return log_gamma(y + size) - log_gamma_size - y * math.log(size)
    total = size + y
    return (total - 0.5) * math.log1p(y / size) - y + _stirling(total) - _stirling(size)


@_compiled
def fit_rate(counts, exposures, dispersions, rate):
    """Return the rate under which counts with these exposures are most likely.

    Parameters
    ----------
    counts, exposures, dispersions : array of shape (n_samples,)
    rate : float
        Where to start; 0 starts at the mean of counts over exposures.
    """
    if rate == 0.0:
        for j in range(len(counts)):
            rate += counts[j] / exposures[j]
        rate /= len(counts)
    if rate == 0.0:
        return 0.0
    for _ in range(MAX_STEPS):
        slope, expected, observed = 0.0, 0.0, 0.0
        for j in range(len(counts)):
            mean = rate * exposures[j]
            inflation = 1.0 / (1.0 + dispersions[j] * mean)
            slope += (counts[j] - mean) * inflation
            expected += mean * inflation
            observed += mean * inflation * inflation * (1.0 + dispersions[j] * counts[j])
        # Newton's step is sharp where it is small; the scoring one is safe anywhere.
        step = slope / observed
        if abs(step) > NEWTON_WITHIN:
            step = min(slope / expected, LARGEST_STEP)
        rate *= math.exp(step)
        if abs(step) < STEP_TOLERANCE:
            break
    return rate


@_compiled
def deviance(counts, means, dispersions):
    """Return the deviance of negative binomial counts, as edgeR has it.

    Where a dispersion is below 1e-4 that is an expansion to its second power, poor for large
    counts: it decides whether a step is taken, so it is part of the reference's numbers.
    """
    total = 0.0
    for j in range(len(counts)):
        y, mean, dispersion = counts[j] + SMALL_COUNT, means[j] + SMALL_COUNT, dispersions[j]
        rest = y - mean
        value = y * math.log(y / mean)
        if dispersion < SMALL_DISPERSION:
            third = 1.0 + dispersion * (rest * 2.0 / 3.0 - y)
            total += value - rest - 0.5 * rest * rest * dispersion * third
        else:
            excess = rest * dispersion / (1.0 + mean * dispersion)
            total += value - (y + 1.0 / dispersion) * math.log1p(excess)
    return 2.0 * total


@_compiled
def factorise(matrix, lower, pivots):
    """Write a symmetric matrix as L D L'; return whether all pivots are positive."""
    p = len(pivots)
    positive = True
    for i in range(p):
        for k in range(i + 1):
            value = matrix[i, k]
            for m in range(k):
                value -= lower[i, m] * lower[k, m] * pivots[m]
            if k == i:
                pivots[i] = value
            else:
                lower[i, k] = value / pivots[k] if pivots[k] > 0.0 else 0.0
        if not pivots[i] > 0.0:
            positive = False
    return positive


@_compiled
def _solve(lower, pivots, right, solution):
    p = len(pivots)
    for i in range(p):
        solution[i] = right[i]
        for m in range(i):
            solution[i] -= lower[i, m] * solution[m]
    for i in range(p):
        solution[i] /= pivots[i]
    for i in range(p - 1, -1, -1):
        for m in range(i + 1, p):
            solution[i] -= lower[m, i] * solution[m]


@_compiled
def information_of(design, means, dispersions, information):
    """Fill in the Fisher information of the coefficients."""
    information[:] = 0.0
    for j in range(len(means)):
        weight = means[j] / (1.0 + dispersions[j] * means[j])
        for i in range(design.shape[1]):
            for k in range(i + 1):
                information[i, k] += weight * design[j, i] * design[j, k]


@_compiled
def _means_of(design, exposures, coefficients, means):
    for j in range(len(means)):
        predictor = 0.0
        for i in range(design.shape[1]):
            predictor += design[j, i] * coefficients[i]
        means[j] = exposures[j] * math.exp(predictor)


@_compiled
def _mean_rate(counts, exposures, dispersions):
    total, weights = 0.0, 0.0
    for j in range(len(counts)):
        total += counts[j] / (1.0 + dispersions[j] * exposures[j])
        weights += exposures[j] / (1.0 + dispersions[j] * exposures[j])
    return total / weights


@_compiled
def _score(counts, design, means, dispersions, slope):
    """Fill in the slope of the log likelihood by the coefficients."""
    slope[:] = 0.0
    for j in range(len(counts)):
        rest = (counts[j] - means[j]) / (1.0 + dispersions[j] * means[j])
        for i in range(design.shape[1]):
            slope[i] += rest * design[j, i]


@_compiled
def _damped_step(information, slope, damping, lower, pivots, step):
    """Fill in the step under a damping; return whether there is one."""
    for i in range(len(slope)):
        information[i, i] += damping
    positive = factorise(information, lower, pivots)
    for i in range(len(slope)):
        information[i, i] -= damping
    if positive:
        _solve(lower, pivots, slope, step)
    return positive


@_compiled
def fit_coefficients(counts, exposures, design, constant, dispersions, coefficients, means):
    """Fit coefficients of a logarithmic link by Fisher scoring, damped until it gains.

    Parameters
    ----------
    counts, exposures, dispersions : array of shape (n_samples,)
    design : array of shape (n_samples, p)
    constant : array of shape (p,)
        The coefficients that write a constant, ``design @ constant == 1``.
    coefficients, means : array of shape (p,), (n_samples,)
        Filled in.
    """
    p, highest = design.shape[1], counts.max()
    coefficients[:], means[:] = -np.inf, 0.0
    if highest <= 0.0:
        return
    coefficients[:] = constant * math.log(_mean_rate(counts, exposures, dispersions))
    _means_of(design, exposures, coefficients, means)
    lost, damping = deviance(counts, means, dispersions), 0.0
    information, lower = np.empty((p, p)), np.zeros((p, p))
    slope, step, pivots = np.empty(p), np.empty(p), np.empty(p)
    proposed = np.empty_like(means)
    for iteration in range(MAX_SCORINGS):
        information_of(design, means, dispersions, information)
        _score(counts, design, means, dispersions, slope)
        largest = np.diag(information).max()
        if iteration == 0:
            damping = max(largest * 1e-6, LEAST_DAMPING)
        gained = False
        while not gained and damping <= largest / LEAST_DAMPING:
            if not _damped_step(information, slope, damping, lower, pivots, step):
                damping = max(damping * 10.0, LEAST_DAMPING)
                continue
            _means_of(design, exposures, coefficients + step, proposed)
            now = deviance(counts, proposed, dispersions)
            gained = now <= lost or now / highest < LEAST_DAMPING
            if not gained:
                damping = max(damping * 2.0, LEAST_DAMPING)
        if not gained:
            break
        coefficients += step
        means[:], lost = proposed, now
        if lost / highest < LEAST_DAMPING or (slope * step).sum() < GAIN_TOLERANCE:
            break
        damping /= 10.0


@_compiled
def fit_genes(counts, exposures, design, constant, dispersions, codes, result):
    """Fill in the coefficients of genes (rows); the dispersion depends on a sample's code.

    Parameters
    ----------
    counts : array of shape (n_genes, n_samples)
    exposures : array of shape (n_genes or 1, n_samples)
    dispersions : array of shape (n_genes, n_codes)
    result : array of shape (n_genes, p)
    """
    n_genes, n = counts.shape
    means, own = np.empty(n), np.empty(n)
    for g in range(n_genes):
        for j in range(n):
            own[j] = dispersions[g, codes[j]]
        exposure = exposures[g if len(exposures) > 1 else 0]
        fit_coefficients(counts[g], exposure, design, constant, own, result[g], means)


@_compiled
def fit_cells(counts, exposures, edges, dispersions, codes, result):
    """Fill in one rate for each cell of samples that stand side by side, gene by gene.

    Parameters
    ----------
    counts : array of shape (n_genes, n_samples)
    exposures : array of shape (n_genes or 1, n_samples)
    edges : array of int of shape (n_cells + 1,)
    dispersions : array of shape (n_genes, n_codes)
    result : array of shape (n_genes, n_cells)
    """
    n_genes, n = counts.shape
    own = np.empty(n)
    for g in range(n_genes):
        for j in range(n):
            own[j] = dispersions[g, codes[j]]
        exposure = exposures[g if len(exposures) > 1 else 0]
        for cell in range(len(edges) - 1):
            at = slice(edges[cell], edges[cell + 1])
            result[g, cell] = fit_rate(counts[g, at], exposure[at], own[at], 0.0)


@_compiled
def _log_inflation(y, mean, dispersion, size):
    """Return (y + size) log(1 + mean / size), without loss for large sizes."""
    excess = mean * dispersion
    if excess < 1e-8:
        return mean + y * excess
    return (y + size) * math.log1p(excess)


@_compiled
def profile_of_cells(counts, exposures, edges, dispersions, rates, result):
    """Fill in the adjusted profile likelihood of a dispersion, the design being cells.

    Parameters
    ----------
    counts : array of shape (n_genes, n_samples)
    exposures : array of shape (n_genes or 1, n_samples)
    edges : array of int of shape (n_cells + 1,)
    dispersions : array of shape (n_genes,)
    rates : array of shape (n_genes, n_cells)
        Where to start, 0 for nowhere in particular; gets the fitted rates.
    result : array of shape (n_genes,)
    """
    n_genes, n = counts.shape
    own = np.empty(n)
    for g in range(n_genes):
        dispersion = dispersions[g]
        size = 1.0 / dispersion
        log_gamma_size = log_gamma(size)
        own[:] = dispersion
        exposure = exposures[g if len(exposures) > 1 else 0]
        value = 0.0
        for cell in range(len(edges) - 1):
            at = slice(edges[cell], edges[cell + 1])
            rate = fit_rate(counts[g, at], exposure[at], own[at], rates[g, cell])
            rates[g, cell] = rate
            information, total = 0.0, 0.0
            for j in range(edges[cell], edges[cell + 1]):
                mean, y = rate * exposure[j], counts[g, j]
                total += y
                information += mean / (1.0 + dispersion * mean)
                value += log_rising(y, size, log_gamma_size)
                value -= _log_inflation(y, mean, dispersion, size)
            value += total * math.log(rate) if total > 0.0 else 0.0
            value -= 0.5 * math.log(max(information, LEAST_PIVOT))
        result[g] = value


@_compiled
def profile_of_design(counts, exposures, design, constant, dispersions, result):
    """Fill in the adjusted profile likelihood of a dispersion under any design.

    Parameters
    ----------
    counts : array of shape (n_genes, n_samples)
    exposures : array of shape (n_genes or 1, n_samples)
    design, constant : array of shape (n_samples, p), (p,)
    dispersions : array of shape (n_genes,)
    result : array of shape (n_genes,)
    """
    n_genes, n = counts.shape
    p = design.shape[1]
    own, means, coefficients = np.empty(n), np.empty(n), np.empty(p)
    information, lower, pivots = np.empty((p, p)), np.zeros((p, p)), np.empty(p)
    for g in range(n_genes):
        dispersion = dispersions[g]
        size = 1.0 / dispersion
        log_gamma_size = log_gamma(size)
        own[:] = dispersion
        exposure = exposures[g if len(exposures) > 1 else 0]
        fit_coefficients(counts[g], exposure, design, constant, own, coefficients, means)
        information_of(design, means, own, information)
        factorise(information, lower, pivots)
        value = 0.0
        for i in range(p):
            value -= 0.5 * math.log(max(pivots[i], LEAST_PIVOT))
        for j in range(n):
            y = counts[g, j]
            value += log_rising(y, size, log_gamma_size)
            value += y * math.log(means[j]) if y > 0.0 else 0.0
            value -= _log_inflation(y, means[j], dispersion, size)
        result[g] = value
