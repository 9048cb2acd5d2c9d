"""Inference from scores of resampled splits, whose training sets overlap."""

import numpy as np
from scipy.special import stdtr, stdtrit


def corrected_error(scores, ratio):
    r"""Return the standard error of a mean of scores over resampled splits.

    The scores of :math:`J` splits that share training samples are correlated, so their
    variance over :math:`J` is too small. Nadeau and Bengio take

    .. math:: \left(\frac 1 J + \frac{n_{test}}{n_{train}}\right) s^2

    Parameters
    ----------
    scores : array of shape (n_splits,)
        One a split, or differences of two models.
    ratio : float
        Samples in the test set for one in the training set; 1 / (k - 1) for k folds.

    Returns
    -------
    float
        NaN for fewer than two scores.

    References
    ----------
    Nadeau, Bengio (2003), "Inference for the generalization error", Machine Learning
    52:239-281, doi:10.1023/A:1024068626366.

    Examples
    --------
    >>> round(corrected_error(np.array([0.7, 0.8, 0.9]), 0.5), 4)
    0.0913
    """
    n = len(scores)
    if n < 2:
        return float("nan")
    return float(np.sqrt((1 / n + ratio) * np.var(scores, ddof=1)))


def corrected_interval(scores, ratio, level=0.95, bounds=(-np.inf, np.inf)):
    """Return the interval of a mean of scores over resampled splits.

    Parameters
    ----------
    scores : array of shape (n_splits,)
    ratio : float
        As in `corrected_error`.
    level : float, default=0.95
    bounds : tuple of two floats
        Between which a score lies.

    Returns
    -------
    low, high : float
    """
    if len(scores) < 2:
        return float("nan"), float("nan")
    reach = stdtrit(len(scores) - 1, (1 + level) / 2) * corrected_error(scores, ratio)
    mean = np.mean(scores)
    return float(max(bounds[0], mean - reach)), float(min(bounds[1], mean + reach))


def corrected_t_test(differences, ratio):
    """Test whether the mean of differences over resampled splits is zero.

    Parameters
    ----------
    differences : array of shape (n_splits,)
        Of two models on the same splits.
    ratio : float
        As in `corrected_error`.

    Returns
    -------
    t, p : float
        Two-sided, with ``n_splits - 1`` degrees of freedom. Differences that are all zero
        have t = 0 and p = 1; fewer than two have NaN.

    References
    ----------
    Nadeau, Bengio (2003), doi:10.1023/A:1024068626366.

    Examples
    --------
    >>> [round(x, 3) for x in corrected_t_test(np.array([0.02, 0.04, 0.03]), 0.5)]
    [3.286, 0.081]
    """
    error, mean = corrected_error(differences, ratio), float(np.mean(differences))
    if np.isnan(error):
        return float("nan"), float("nan")
    if error <= 1e-12 * abs(mean) or error == 0:
        return (float(np.copysign(np.inf, mean)), 0.0) if mean else (0.0, 1.0)
    t = mean / error
    return t, float(2 * stdtr(len(differences) - 1, -abs(t)))
