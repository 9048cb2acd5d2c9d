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

STIRLING_FROM = 10.0
"""From here on Stirling's series is exact to the last digit or two."""
FAST = {"reassoc", "contract", "nsz"}
"""Sums of an unrolled loop may be taken in any order."""

_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)
_LOG_2, _SQRT_2 = math.log(2.0), math.sqrt(2.0)
_MANTISSA, _EXPONENT_OF_ONE = (1 << 52) - 1, 1023 << 52


@njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
def logarithms(x, bits, result):
    """Fill in the logarithms of positive numbers; a loop that the compiler can vectorise.

    ``bits`` are those of ``x``, as integers; what ``x`` holds is lost. Of the mantissa m the
    series is that of 2 artanh((m - 1) / (m + 1)).
    """
    for j in range(len(x)):
        result[j] = (bits[j] >> 52) - 1023
        bits[j] = (bits[j] & _MANTISSA) | _EXPONENT_OF_ONE
    for j in range(len(x)):
        upper = 1.0 if x[j] > _SQRT_2 else 0.0
        mantissa = x[j] - 0.5 * x[j] * upper
        ratio = (mantissa - 1.0) / (mantissa + 1.0)
        square = ratio * ratio
        series = 1 / 17 + square / 19
        series = 1 / 13 + square * (1 / 15 + square * series)
        series = 1 / 9 + square * (1 / 11 + square * series)
        series = 1 / 5 + square * (1 / 7 + square * series)
        series = 1.0 + square * (1 / 3 + square * series)
        result[j] = (result[j] + upper) * _LOG_2 + 2.0 * ratio * series


@njit(cache=True, nogil=True)
def log_gamma_and_slope(x):
    """Return the logarithm of the gamma function of x > 0 and its derivative (Stirling)."""
    product, slope = 1.0, 0.0
    while x < STIRLING_FROM:
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
def arrange(counts, means, ordered, low, times):
    """Put the samples of a gene into the order that `likelihood` wants.

    Returns
    -------
    n_high : int
        ``ordered`` (counts and means) begins with so many counts from `STIRLING_FROM` on.
    n_low : int
        The other counts, but for zeros, are so many different ones in ``low``, each so many
        ``times``.
    """
    n, n_high, n_low = len(counts), 0, int(STIRLING_FROM)
    for k in range(n_low):
        low[k], times[k] = float(k), 0.0
    for j in range(n):
        count = counts[j]
        if count >= STIRLING_FROM:
            place = n_high
            n_high += 1
        else:
            place = n - 1 - (j - n_high)
            if count == math.floor(count):
                times[int(count)] += 1.0
            else:
                low[n_low], times[n_low] = count, 1.0
                n_low += 1
        ordered[0, place], ordered[1, place] = count, means[j]
    times[0] = 0.0
    return n_high, n_low


@njit(cache=True, nogil=True)
def likelihood(gene, log_alpha, work, bits):
    """Return the Cox-Reid adjusted log likelihood of a dispersion, and its slope.

    The design is an intercept; the slope is that by the logarithm of the dispersion. ``gene``
    is what `arrange` made of it; ``work`` holds two rows as long as there are samples,
    ``bits`` the same as integers.
    """
    counts, means, n_high, low, times = gene
    alpha = math.exp(log_alpha)
    size = 1.0 / alpha
    value, slope, information, change = of_means(counts, means, log_alpha, work, bits)
    gamma, gamma_slope = low_gammas(low, times, size)
    value += gamma
    slope += gamma_slope
    gamma, gamma_slope = high_gammas(counts[:n_high], size, work, bits)
    value += gamma
    slope += gamma_slope
    value -= 0.5 * math.log(information)
    return value, slope * size - 0.5 * alpha * change / information


@njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
def of_means(counts, means, log_alpha, work, bits):
    """Sum what the means say: of likelihood, slope, information and the change of that."""
    alpha = math.exp(log_alpha)
    size, inflation, logs = 1.0 / alpha, work[0], work[1]
    value, slope, information, change = 0.0, 0.0, 0.0, 0.0
    for j in range(len(means)):
        inflation[j] = 1.0 + means[j] * alpha
    logarithms(inflation, bits[0], logs)
    for j in range(len(means)):
        mean, count, log_inflation = means[j], counts[j], logs[j]
        share = 1.0 / (1.0 + mean * alpha)
        weight = mean * share
        value -= size * log_inflation + count * (log_inflation - log_alpha)
        slope += log_inflation + (count - mean) * alpha * share
        information += weight
        change -= weight * weight
    return value, slope, information, change


@njit(cache=True, nogil=True)
def low_gammas(counts, times, size):
    """Sum the log gamma function of counts and size over that of size, and minus its slope."""
    start, start_slope = log_gamma_and_slope(size)
    value, slope = 0.0, 0.0
    for k in range(len(counts)):
        if times[k] > 0.0:
            gamma, gamma_slope = log_gamma_and_slope(counts[k] + size)
            value += times[k] * (gamma - start)
            slope += times[k] * (start_slope - gamma_slope)
    return value, slope


@njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
def high_gammas(counts, size, work, bits):
    """Do as `low_gammas` does, for counts from `STIRLING_FROM` on."""
    start, start_slope = log_gamma_and_slope(size)
    n, value, slope = len(counts), 0.0, 0.0
    shifted, logs = work[0, :n], work[1, :n]
    for j in range(n):
        shifted[j] = counts[j] + size
    logarithms(shifted, bits[0, :n], logs)
    for j in range(n):
        x, log_x = counts[j] + size, logs[j]
        inverse = 1.0 / x
        square = inverse * inverse
        series = 1 / 1260 - square * (1 / 1680 - square * (1 / 1188 - square * 691 / 360360))
        series = inverse * (1 / 12 - square * (1 / 360 - square * series))
        value += (x - 0.5) * log_x - x + _HALF_LOG_2PI + series - start
        series = 1 / 252 - square * (1 / 240 - square * (1 / 132 - square * 691 / 32760))
        series = square * (1 / 12 - square * (1 / 120 - square * series))
        slope += start_slope - (log_x - 0.5 * inverse - series)
    return value, slope


@njit(cache=True, nogil=True)
def climb(gene, log_alpha, lowest, work, bits):
    """Climb to the most likely dispersion by steps along the slope, halved until they gain.

    Returns
    -------
    log_alpha : float
    first, last : float
        Likelihood at the start and at the end.
    n_iterations : int
    """
    step = 1.0
    value, slope = likelihood(gene, log_alpha, work, bits)
    first, accepted, iteration = value, 0, 0
    while iteration < MAX_ITERATIONS:
        iteration += 1
        proposal = log_alpha + step * slope
        if proposal < LOG_ALPHA_RANGE[0]:
            step = (LOG_ALPHA_RANGE[0] - log_alpha) / slope
        if proposal > LOG_ALPHA_RANGE[1]:
            step = (LOG_ALPHA_RANGE[1] - log_alpha) / slope
        proposal = log_alpha + step * slope
        new_value, new_slope = likelihood(gene, proposal, work, bits)
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
def best_of(gene, low, high, work, bits):
    """Return the most likely of equally spaced logarithms of dispersions."""
    best, best_value = low, -np.inf
    for i in range(GRID_POINTS):
        log_alpha = low + (high - low) * i / (GRID_POINTS - 1)
        value = likelihood(gene, log_alpha, work, bits)[0]
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
    expected, ordered, work = np.empty(n), np.empty((2, n)), np.empty((2, n))
    low_counts, times = np.empty(n + int(STIRLING_FROM)), np.empty(n + int(STIRLING_FROM))
    bits = work.view(np.int64)
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
        n_high, n_low = arrange(counts[i], expected, ordered, low_counts, times)
        gene = (ordered[0], ordered[1], n_high, low_counts[:n_low], times[:n_low])
        lowest = math.log(smallest / 10)
        log_alpha, first, last, iterations = climb(gene, math.log(start), lowest, work, bits)
        found = min(math.exp(log_alpha), largest)
        if last < first + abs(first) / 1e6:
            found = start
        if (iterations == 1 or iterations == MAX_ITERATIONS) and found > smallest * 10:
            low, high = math.log(smallest), math.log(largest)
            step = (high - low) / (GRID_POINTS - 1)
            coarse = best_of(gene, low, high, work, bits)
            found = math.exp(best_of(gene, coarse - step, coarse + step, work, bits))
        result[i] = min(max(found, smallest), largest)
