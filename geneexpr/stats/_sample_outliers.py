"""How far samples lie from others: in principal components, by correlation, by their boxplot."""

import numpy as np

QUANTILES = np.array([0.05, 0.25, 0.5, 0.75, 0.95])
"""Of a boxplot: the whiskers, the box and its line."""
SAME = 1e-9
"""A correlation this near to one is that of a sample with itself."""
MAD = 1.4826
"""Median absolute deviation to standard deviation, of a normal distribution."""


def location_and_scale(values):
    """Return the median and the deviation by MAD along the first axis.

    Parameters
    ----------
    values : array of shape (n_samples, ...)

    Returns
    -------
    location, scale : arrays of shape (...)
        Where more than half of the values are the same, the scale is from the mean absolute
        deviation; 0 where all are.

    Examples
    --------
    >>> import numpy as np
    >>> location, scale = location_and_scale(np.array([1.0, 2.0, 3.0, 100.0, 0.0]))
    >>> float(location), round(float(scale), 4)
    (2.0, 1.4826)
    """
    location = np.median(values, axis=0)
    deviations = np.abs(values - location)
    scale = MAD * np.median(deviations, axis=0)
    return location, np.where(scale > 0, scale, np.sqrt(np.pi / 2) * deviations.mean(axis=0))


def robust_distances(scores, location, scale):
    """Return Mahalanobis distances with a robust centre and scatter.

    Principal components are uncorrelated, so the scatter is that of each.

    Parameters
    ----------
    scores : array of shape (n_samples, n_components)
    location, scale : arrays of shape (n_components,)
        A component of scale 0 is left out.

    Returns
    -------
    array of shape (n_samples,)

    Examples
    --------
    >>> import numpy as np
    >>> robust_distances(np.array([[3.0, 8.0]]), np.zeros(2), np.array([1.0, 2.0]))
    array([5.])
    """
    z = np.divide(scores - location, scale, out=np.zeros_like(scores), where=scale > 0)
    return np.sqrt((z**2).sum(axis=1))


def unit_profiles(matrix):
    """Centre every row and divide it by its length: products are then correlations.

    Parameters
    ----------
    matrix : array of shape (n_samples, n_genes)

    Returns
    -------
    array of shape (n_samples, n_genes)
        Zeros for a row whose values are all the same.
    """
    centered = matrix - matrix.mean(axis=1, keepdims=True)
    length = np.sqrt((centered**2).sum(axis=1, keepdims=True))
    nothing = length <= 1e-12 * np.abs(matrix).max(axis=1, keepdims=True, initial=0.0)
    return np.divide(centered, length, out=np.zeros_like(centered), where=~nothing)


def typical_correlations(profiles, others):
    """Return the median correlation of samples with others, themselves left out.

    Parameters
    ----------
    profiles : array of shape (n_samples, n_genes)
        As `unit_profiles` gives them.
    others : array of shape (n_others, n_genes)

    Returns
    -------
    array of shape (n_samples,)

    Examples
    --------
    >>> import numpy as np
    >>> rows = unit_profiles(np.array([[1.0, 2.0, 3.0], [1.0, 3.0, 2.0], [3.0, 2.0, 1.0]]))
    >>> typical_correlations(rows, rows[:1]).round(1)
    array([ 1. ,  0.5, -1. ])
    """
    correlations = profiles @ others.T
    itself = correlations.argmax(axis=1)
    rows = np.flatnonzero(correlations.max(axis=1) > 1 - SAME)
    if correlations.shape[1] > 1:
        correlations[rows, itself[rows]] = np.nan
    return np.nanmedian(correlations, axis=1)


def boxes_of(matrix):
    """Return the quantiles of every row that its boxplot shows, (n_samples, 5)."""
    return np.quantile(matrix, QUANTILES, axis=1).T


def box_distances(boxes, pooled):
    """Return the mean distance of quantiles from pooled ones, in units of the pooled box.

    Parameters
    ----------
    boxes : array of shape (n_samples, n_quantiles)
    pooled : array of shape (n_quantiles,)

    Returns
    -------
    array of shape (n_samples,)

    Examples
    --------
    >>> import numpy as np
    >>> pooled = np.array([0.0, 1.0, 2.0, 3.0, 4.0])
    >>> box_distances(pooled[None] + 1, pooled)
    array([0.25])
    """
    width = pooled[-1] - pooled[0]
    return np.abs(boxes - pooled).mean(axis=1) / (width if width > 0 else 1.0)
