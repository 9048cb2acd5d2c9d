"""Locally weighted regression of one variable on another, robust to outliers."""

import numpy as np


def lowess(x, y, span=2 / 3, n_robust=3, delta=None):
    """Smooth y along x as R's ``lowess`` does.

    Local lines with tricube weights, fitted at points at least ``delta`` apart and
    interpolated in between; then again with bisquare weights of the residuals.

    Parameters
    ----------
    x : ndarray of shape (n,)
        Rising.
    y : ndarray of shape (n,)
    span : float, default=2/3
        The share of the points that a local line is fitted to.
    n_robust : int, default=3
        Robust iterations.
    delta : float, optional
        By default 1 % of the range of x.

    Returns
    -------
    ndarray of shape (n,)

    References
    ----------
    Cleveland (1979), doi:10.1080/01621459.1979.10481038.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.arange(6.0)
    >>> lowess(x, 2 * x + 1).round(12)
    array([ 1.,  3.,  5.,  7.,  9., 11.])
    """
    n = len(x)
    if n < 2:
        return y.copy()
    delta = 0.01 * (x[-1] - x[0]) if delta is None else delta
    size = max(min(int(span * n + 1e-7), n), 2)
    robustness = None
    for round_ in range(n_robust + 1):
        fitted = _smooth(x, y, size, delta, robustness)
        if round_ == n_robust:
            break
        residuals = np.abs(y - fitted)
        middle = np.sort(residuals)
        limit = 3 * (middle[n // 2] + middle[n - n // 2 - 1])
        # Residuals that are rounding alone say nothing about outliers.
        if limit <= max(1e-7 * residuals.mean(), 1e-13 * np.abs(y).max()):
            break
        share = residuals / limit
        robustness = np.where(share <= 0.999, np.square(1 - np.square(share)), 0.0)
        robustness[share <= 0.001] = 1.0
    return fitted


def _smooth(x, y, size, delta, robustness):
    """Fit local lines at points that are far enough apart; interpolate between them."""
    n = len(x)
    fitted = np.empty(n)
    last, i, left = -1, 0, 0
    while True:
        while left + size < n and x[i] - x[left] > x[left + size] - x[i]:
            left += 1
        fitted[i] = _local_line(x, y, x[i], left, size, robustness, y[i])
        if last < i - 1:
            share = (x[last + 1 : i] - x[last]) / (x[i] - x[last])
            fitted[last + 1 : i] = share * fitted[i] + (1 - share) * fitted[last]
        last = i
        if last == n - 1:
            return fitted
        # Points equal to the last one take its value; the next is the farthest within delta.
        beyond = int(np.searchsorted(x, x[last] + delta, side="right"))
        equal = int(np.searchsorted(x, x[last], side="right"))
        fitted[last + 1 : min(equal, beyond)] = fitted[last]
        last = max(last, min(equal, beyond) - 1)
        i = max(last + 1, beyond - 1)
        if last == n - 1:
            return fitted
        i = min(i, n - 1)


def _local_line(x, y, at, left, size, robustness, fallback):
    """Return the value of one local line; its weights reach on over ties beyond the window."""
    reach = max(at - x[left], x[left + size - 1] - at)
    stop = int(np.searchsorted(x, at + reach, side="right"))
    stop = max(stop, left + size)
    near, values = x[left:stop], y[left:stop]
    distance = np.abs(near - at)
    within = distance <= 0.999 * reach
    weights = np.where(within, 1.0, 0.0)
    far = within & (distance > 0.001 * reach)
    weights[far] = (1 - (distance[far] / reach) ** 3) ** 3
    if robustness is not None:
        weights *= robustness[left:stop]
    total = weights.sum()
    if total <= 0:
        return fallback
    weights /= total
    if reach > 0:
        mean = weights @ near
        spread = weights @ np.square(near - mean)
        if np.sqrt(spread) > 0.001 * (x[-1] - x[0]):
            weights = weights * (1 + (at - mean) / spread * (near - mean))
    return float(weights @ values)
