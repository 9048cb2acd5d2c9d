"""One-dimensional maxima: Brent's search, written so that the caller evaluates."""

import math
from functools import cache

import numpy as np

GOLDEN = (3 - math.sqrt(5)) / 2
SMALLEST_STEP = math.sqrt(np.finfo(float).eps)


def brent_search(low, high, tolerance):
    """Search the maximum of a function between two points; the caller evaluates it.

    A generator, so that several searches can share one pass over the data: it yields a
    point, is sent the function's value there, and returns the best point.

    Parameters
    ----------
    low, high : float
    tolerance : float
        Accuracy asked for.

    Yields
    ------
    float

    Returns
    -------
    float

    References
    ----------
    .. [1] Brent (1973), "Algorithms for minimization without derivatives", chapter 5.

    Examples
    --------
    >>> search = brent_search(0.0, 3.0, 1e-6)
    >>> point = next(search)
    >>> try:
    ...     while True:
    ...         point = search.send(-((point - 2) ** 2))
    ... except StopIteration as stop:
    ...     print(round(stop.value, 6))
    2.0
    """
    best = low + GOLDEN * (high - low)
    second = third = best
    step = before = 0.0
    value = -(yield best)
    second_value = third_value = value
    while True:
        middle = (low + high) / 2
        least = SMALLEST_STEP * abs(best) + tolerance / 3
        if abs(best - middle) <= 2 * least - (high - low) / 2:
            return best
        last, before = before, step
        step = None
        if abs(last) > least:
            parabola = _parabola(best, second, third, value, second_value, third_value)
            step = _step_of(parabola, last, low - best, high - best, least)
        if step is None:
            before = (high if best < middle else low) - best
            step = GOLDEN * before
        point = best + (step if abs(step) >= least else math.copysign(least, step))
        new = -(yield point)
        if new <= value:
            low, high = (low, best) if point < best else (best, high)
            third, third_value = second, second_value
            second, second_value = best, value
            best, value = point, new
            continue
        low, high = (point, high) if point < best else (low, point)
        if new <= second_value or second == best:
            third, third_value = second, second_value
            second, second_value = point, new
        elif new <= third_value or third in (best, second):
            third, third_value = point, new


def _parabola(best, second, third, value, second_value, third_value):
    """Return the step to the vertex through three points, as a quotient p / q with q >= 0."""
    r = (best - second) * (value - third_value)
    q = (best - third) * (value - second_value)
    p = (best - third) * q - (best - second) * r
    q = 2 * (q - r)
    return (-p, q) if q > 0 else (p, -q)


def _step_of(parabola, last, low, high, least):
    """Return the step to a vertex that lies inside and is near enough, or None."""
    p, q = parabola
    if not (abs(p) < abs(q * last / 2) and q * low < p < q * high):
        return None
    step = p / q
    if step - low < 2 * least or high - step < 2 * least:
        return least if high > -low else -least
    return step


@cache
def _spline_curvatures(n):
    """Return the matrix that gives a cubic spline's second derivatives from its n knots.

    The knots are 1 apart; at each end the third derivative is that of the cubic through the
    four points there (Forsythe, Malcolm and Moler).
    """
    system, right = np.zeros((n, n)), np.zeros((n, n))
    for i in range(1, n - 1):
        system[i, i - 1 : i + 2] = 1, 4, 1
        right[i, i - 1 : i + 2] = 6, -12, 6
    system[0, :2] = system[-1, -2:] = -1, 1
    right[0, :4] = right[-1, -4:] = -1, 3, -3, 1
    return np.linalg.solve(system, right)


def spline_maximum(values):
    """Return where splines through equally spaced values are largest.

    Parameters
    ----------
    values : array of shape (n_curves, n_points)
        At 0, 1, 2 and so on; at least four points.

    Returns
    -------
    array of shape (n_curves,)
        The best of the points, or the spline's maximum in one of the two intervals beside it.

    Examples
    --------
    >>> import numpy as np
    >>> spline_maximum(-((np.arange(5.0) - [[1.3], [9.0]]) ** 2)).round(6)
    array([1.3, 4. ])
    """
    n = values.shape[1]
    curvatures = values @ _spline_curvatures(n).T
    rows, best = np.arange(len(values)), values.argmax(axis=1)
    place, highest = best.astype(np.float64), values[rows, best]
    for start in (best - 1, best):
        inside = (start >= 0) & (start < n - 1)
        i = np.clip(start, 0, n - 2)
        left, right = curvatures[rows, i], curvatures[rows, i + 1]
        cubic, square = (right - left) / 6, left / 2
        slope = values[rows, i + 1] - values[rows, i] - (2 * left + right) / 6
        step = _local_maximum(3 * cubic, 2 * square, slope)
        found = values[rows, i] + step * (slope + step * (square + step * cubic))
        better = inside & (step > 0) & (step < 1) & (found > highest)
        place[better], highest[better] = (i + step)[better], found[better]
    return place


def _local_maximum(a, b, c):
    """Return the root of ax² + bx + c through which it falls; NaN where there is none."""
    with np.errstate(divide="ignore", invalid="ignore"):
        root = np.sqrt(b * b - 4 * a * c)
        # Two forms of one root: each loses digits where the other does not.
        return np.where(b > 0, (-b - root) / (2 * a), 2 * c / (root - b))
