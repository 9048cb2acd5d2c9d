"""Local false discovery rates: how likely a gene is null, given its p-value.

The density of the p-values on the probit scale is a kernel estimate on a grid, smoothed by
a spline; both follow R's ``density`` and ``smooth.spline`` step by step, since the
surrogate variables that rest on them are compared with those of R.
"""

import numpy as np
from scipy.interpolate import BSpline
from scipy.linalg import cho_factor, cho_solve
from scipy.special import ndtri

GRID = 512
SPAR_BOUNDS = (-1.5, 1.5)
_GOLDEN = 0.5 * (3 - 5**0.5)


def local_fdr(p, *, adjust=1.5, threshold=0.8, least=1e-8) -> np.ndarray:
    """Estimate the local false discovery rate behind each p-value.

    The share of nulls is that of p-values above a threshold (Storey); the density of the
    probits comes from `smoothed_density`; the rate is kept at most one and rising with p.

    Parameters
    ----------
    p : array-like of shape (n_tests,)
    adjust : float, default=1.5
        Multiplies the bandwidth of the kernel.
    threshold : float, default=0.8
        Above it p-values are taken for nulls.
    least : float, default=1e-8
        Smaller p-values (and those nearer to one) count as this.

    Returns
    -------
    ndarray of shape (n_tests,)

    References
    ----------
    Storey, Taylor, Siegmund (2004), "Strong control, conservative point estimation and
    simultaneous conservative consistency of false discovery rates",
    doi:10.1111/j.1467-9868.2004.00439.x.

    Examples
    --------
    >>> p = np.r_[np.linspace(0.001, 0.999, 200), np.full(20, 1e-6)]
    >>> rates = local_fdr(p)
    >>> bool(rates[-1] < 0.05 < 0.9 < rates[150])
    True
    """
    p = np.asarray(p, np.float64)
    null_share = min(np.mean(p >= threshold) / (1 - threshold), 1.0)
    p = np.clip(p, least, 1 - least)
    x = ndtri(p)
    density = smoothed_density(x, adjust=adjust)
    normal = np.exp(-0.5 * x**2) / np.sqrt(2 * np.pi)
    rates = np.minimum(null_share * normal / np.maximum(density, np.finfo(float).tiny), 1.0)
    order = np.argsort(p, kind="stable")
    out = np.empty_like(rates)
    out[order] = np.maximum.accumulate(rates[order])
    return out


def smoothed_density(x, *, adjust=1.0) -> np.ndarray:
    """Return the density of values at these values, by kernel and spline.

    Parameters
    ----------
    x : ndarray of shape (n,)
    adjust : float, default=1.0

    Returns
    -------
    ndarray of shape (n,)
    """
    grid, heights = kernel_density(x, adjust=adjust)
    return smoothing_spline(grid, heights)(x)


def kernel_density(x, *, adjust=1.0):
    """Estimate a density on 512 points with a Gaussian kernel, as R's ``density`` does.

    Parameters
    ----------
    x : ndarray of shape (n,)
    adjust : float, default=1.0
        Multiplies Silverman's bandwidth.

    Returns
    -------
    grid, heights : ndarray of shape (512,)

    Examples
    --------
    >>> grid, heights = kernel_density(np.array([0.0, 1.0, 2.0]))
    >>> round(float(heights.sum() * (grid[1] - grid[0])), 2)
    1.0
    """
    width = adjust * _bandwidth(x)
    low, high = x.min() - 3 * width, x.max() + 3 * width
    lower, upper = low - 4 * width, high + 4 * width
    counts = _shared_counts(x, lower, upper)
    lags = np.linspace(0, 2 * (upper - lower), 2 * GRID)
    lags[GRID + 1 :] = -lags[GRID - 1 : 0 : -1]
    kernel = np.exp(-0.5 * (lags / width) ** 2) / (width * np.sqrt(2 * np.pi))
    heights = np.fft.ifft(np.fft.fft(counts) * np.conj(np.fft.fft(kernel))).real
    heights = np.maximum(0, heights[:GRID])
    grid = np.linspace(low, high, GRID)
    return grid, np.interp(grid, np.linspace(lower, upper, GRID), heights)


def _bandwidth(x):
    spread = x.std(ddof=1) if x.min() < x.max() else 0.0
    quartiles = np.quantile(x, [0.25, 0.75])
    narrow = min(spread, (quartiles[1] - quartiles[0]) / 1.34) or spread or abs(x[0]) or 1.0
    return 0.9 * narrow * len(x) ** -0.2


def _shared_counts(x, lower, upper):
    """Share the weight of each value between the grid points on either side of it."""
    step = (upper - lower) / (GRID - 1)
    at = (x - lower) / step
    left = np.floor(at).astype(np.int64)
    right = at - left
    counts = np.bincount(left, 1 - right, 2 * GRID) + np.bincount(left + 1, right, 2 * GRID)
    return counts / len(x)


# ------------------------------------------------------------------ the spline


def smoothing_spline(x, y) -> BSpline:
    """Fit a cubic smoothing spline by generalised cross-validation, as R does.

    The knots are a part of the sorted points (119 of 512), and the smoothing parameter is
    searched on R's scale of ``spar`` with R's tolerance, since the result depends on where
    the search stops.

    Parameters
    ----------
    x : ndarray of shape (n,)
        Increasing, without ties.
    y : ndarray of shape (n,)

    Returns
    -------
    scipy.interpolate.BSpline

    References
    ----------
    Hastie, Tibshirani (1990), Generalized Additive Models, Chapman and Hall.

    Examples
    --------
    >>> x = np.linspace(0, 1, 60)
    >>> spline = smoothing_spline(x, x**2)
    >>> round(float(spline(0.5)), 4)
    0.25
    """
    start, length = x[0], x[-1] - x[0]
    unit = (x - start) / length
    inner = unit[np.linspace(0, len(x) - 1, _n_knots(len(x))).astype(np.int64)]
    knots = np.r_[[0.0] * 3, inner, [inner[-1]] * 3]
    problem = _Penalised(BSpline.design_matrix(unit, knots, 3).toarray(), y, _curvature(knots))
    coefficients = _least(problem, *SPAR_BOUNDS)
    return BSpline(start + length * knots, coefficients, 3)


def _n_knots(n):
    """Return how many of the points become knots, a rule on the scale of logarithms."""
    if n < 50:
        return n
    at, log_knots = [50, 200, 800, 3200], np.log2([50, 100, 140, 200])
    if n >= 3200:
        return int(200 + (n - 3200) ** 0.2)
    return int(2 ** np.interp(n, at, log_knots))


def _curvature(knots):
    """Return the integrals of products of second derivatives of the basis functions."""
    n = len(knots) - 4
    second = BSpline(knots, np.eye(n), 3).derivative(2)
    left, right = knots[3:n], knots[4 : n + 1]
    length = (right - left)[:, None]
    a = second(left)
    rise = second(right - 1e-14 * (right - left)) - a
    # Second derivatives are linear between knots. The third is the constant of R, not 1/3.
    mixed = (a * length).T @ rise
    return (a * length).T @ a + 0.5 * (mixed + mixed.T) + 0.3330 * (rise * length).T @ rise


class _Penalised:
    """A penalised regression, solved for one value of the smoothing parameter at a time."""

    def __init__(self, design, y, penalty):
        self.design, self.y, self.penalty = design, y, penalty
        self.gram, self.right = design.T @ design, design.T @ y
        inside = slice(2, len(penalty) - 3)
        self.ratio = np.diag(self.gram)[inside].sum() / np.diag(penalty)[inside].sum()

    def solve(self, spar):
        """Return the criterion of cross-validation and the coefficients."""
        weight = self.ratio * 16.0 ** (6 * spar - 2)
        factor = cho_factor(self.gram + weight * self.penalty)
        coefficients = cho_solve(factor, self.right)
        freedom = np.trace(cho_solve(factor, self.gram))
        n = len(self.y)
        error = np.square(self.y - self.design @ coefficients).mean()
        return error / (1 - freedom / n) ** 2, coefficients


def _least(problem, low, high, tolerance=1e-4, epsilon=2e-8, max_iter=500):
    """Search the minimum by golden section and parabolas (Brent), as R's ``sbart`` does.

    Returns the coefficients of the last trial, which are what R keeps.
    """
    x = w = v = low + _GOLDEN * (high - low)
    step = before = 0.0
    fx, coefficients = problem.solve(x)
    fw = fv = fx
    for _ in range(max_iter):
        middle = 0.5 * (low + high)
        least = epsilon * abs(x) + tolerance / 3
        if abs(x - middle) <= 2 * least - 0.5 * (high - low):
            break
        parabola = (
            _parabola(x, w, v, fx, fw, fv, low, high, before) if abs(before) > least else None
        )
        if parabola is None:
            before = (low - x) if x >= middle else (high - x)
            step = _GOLDEN * before
        else:
            before, step = step, parabola
            if min(x + step - low, high - x - step) < 2 * least:
                step = np.copysign(least, middle - x)
        u = x + (step if abs(step) >= least else np.copysign(least, step))
        fu, coefficients = problem.solve(u)
        if fu <= fx:
            low, high = (x, high) if u >= x else (low, x)
            v, w, x, fv, fw, fx = w, x, u, fw, fx, fu
        else:
            low, high = (u, high) if u < x else (low, u)
            if fu <= fw or w == x:
                v, w, fv, fw = w, u, fw, fu
            elif fu <= fv or v in (x, w):
                v, fv = u, fu
    return coefficients


def _parabola(x, w, v, fx, fw, fv, low, high, before):
    """Return the step to the vertex of the parabola, None where it should not be taken."""
    r, q = (x - w) * (fx - fv), (x - v) * (fx - fw)
    p = (x - v) * q - (x - w) * r
    q = 2 * (q - r)
    p, q = (-p, q) if q > 0 else (p, -q)
    if q == 0 or abs(p) >= abs(0.5 * q * before) or p <= q * (low - x) or p >= q * (high - x):
        return None
    return p / q
