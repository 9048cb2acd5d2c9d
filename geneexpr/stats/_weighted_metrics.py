"""Measures of performance under many weightings of the samples at once.

A resample of a bootstrap is a weight a sample: how often it was drawn. Every function here
takes such weights for many resamples, of shape (n_resamples, n_samples), and returns one
value a resample: NaN where the measure is not defined, as for a resample without positives.
"""

import numpy as np
from scipy.special import expit, logit

SURE = 1e-12
"""Probabilities are kept this far from 0 and 1 before the logit is taken."""
_MOST_STEPS = 60


def confusion(codes, predicted, n_classes, weights):
    """Return weighted confusion matrices.

    Parameters
    ----------
    codes, predicted : array of int of shape (n_samples,)
        The true and the predicted class of each sample.
    n_classes : int
    weights : array of shape (n_resamples, n_samples)

    Returns
    -------
    ndarray of shape (n_resamples, n_classes, n_classes)
        True classes in rows.

    Examples
    --------
    >>> confusion(np.array([0, 1, 1]), np.array([0, 1, 0]), 2, np.ones((1, 3)))
    array([[[1., 0.],
            [1., 1.]]])
    """
    cells = np.asarray(codes) * n_classes + np.asarray(predicted)
    found, sums = _sums_of(cells, weights)
    table = np.zeros((len(weights), n_classes * n_classes))
    table[:, found] = sums
    return table.reshape(-1, n_classes, n_classes)


def accuracy(table):
    """Return the share of right predictions of confusion matrices."""
    return _ratio(np.trace(table, axis1=1, axis2=2), table.sum(axis=(1, 2)))


def balanced_accuracy(table):
    """Return the mean recall of the classes that a resample holds."""
    right, there = np.diagonal(table, axis1=1, axis2=2), table.sum(axis=2)
    return _mean_defined(_ratio(right, there))


def f1(table):
    """Return F1 of the second of two classes, or the mean over more than two.

    The mean is over the classes that a resample holds or that were predicted in it.
    """
    right = np.diagonal(table, axis1=1, axis2=2)
    each = _ratio(2 * right, table.sum(axis=1) + table.sum(axis=2))
    if table.shape[1] == 2:
        return np.nan_to_num(each[:, 1])  # neither there nor predicted: zero, by convention
    return _mean_defined(each)


def roc_auc(positive, scores, weights):
    """Return areas under the ROC curve; ties count half.

    Parameters
    ----------
    positive : array of bool of shape (n_samples,)
    scores : array of shape (n_samples,)
    weights : array of shape (n_resamples, n_samples)

    Returns
    -------
    ndarray of shape (n_resamples,)

    Examples
    --------
    >>> roc_auc(np.array([True, False, False]), np.array([2.0, 1, 3]), np.ones((1, 3)))
    array([0.5])
    """
    of_positive, of_negative = _by_score(positive, scores, weights)
    below = np.cumsum(of_negative, axis=1) - of_negative / 2
    pairs = of_positive.sum(axis=1) * of_negative.sum(axis=1)
    return _ratio((of_positive * below).sum(axis=1), pairs)


def average_precision(positive, scores, weights):
    """Return average precisions: precision at each threshold, weighted by the gain in recall.

    Parameters and shapes are those of `roc_auc`.
    """
    of_positive, of_negative = (part[:, ::-1] for part in _by_score(positive, scores, weights))
    found = np.cumsum(of_positive, axis=1)
    called = found + np.cumsum(of_negative, axis=1)
    precision = np.divide(found, called, out=np.zeros_like(found), where=called > 0)
    return _ratio((of_positive * precision).sum(axis=1), found[:, -1])


def mean_over_classes(measure, codes, scores, weights):
    """Return the mean of a measure of each class against the rest.

    NaN where a resample lacks a class.
    """
    each = [measure(codes == k, scores[:, k], weights) for k in range(scores.shape[1])]
    return np.mean(each, axis=0)


def brier(codes, probabilities, weights):
    """Return Brier scores: of the second of two classes, or summed over more than two."""
    if probabilities.shape[1] == 2:
        squares = (probabilities[:, 1] - (codes == 1)) ** 2
    else:
        squares = ((probabilities - np.eye(probabilities.shape[1])[codes]) ** 2).sum(axis=1)
    return weighted_mean(squares, weights)


def calibration_error(happened, probabilities, weights, n_bins=10):
    """Return expected calibration errors over bins of equal width.

    Parameters
    ----------
    happened : array of bool of shape (n_samples,)
    probabilities : array of shape (n_samples,)
        Said of what happened or not.
    weights : array of shape (n_resamples, n_samples)
    n_bins : int, default=10

    Returns
    -------
    ndarray of shape (n_resamples,)
        Mean distance between the share that happened and the probability that was said.

    References
    ----------
    Naeini, Cooper, Hauskrecht (2015), "Obtaining well calibrated probabilities using Bayesian
    binning", AAAI, doi:10.1609/aaai.v29i1.9602.

    Examples
    --------
    >>> calibration_error(np.array([True, False]), np.array([0.8, 0.8]), np.ones((1, 2)))
    array([0.3])
    """
    bins = np.minimum((probabilities * n_bins).astype(int), n_bins - 1)
    _, gaps = _sums_of(bins, weights * (happened - probabilities))
    return _ratio(np.abs(gaps).sum(axis=1), weights.sum(axis=1))


def calibration_line(happened, probabilities, weights):
    """Return slope and intercept of the logistic calibration of probabilities.

    Parameters
    ----------
    happened : array of bool of shape (n_samples,)
    probabilities : array of shape (n_samples,)
    weights : array of shape (n_resamples, n_samples)

    Returns
    -------
    slope : ndarray of shape (n_resamples,)
        Of a logistic regression of what happened on the logit of the probability: 1 is right,
        below 1 the probabilities are too extreme. NaN where the outcome is separated.
    intercept : ndarray of shape (n_resamples,)
        With the slope held at 1: above 0 the probabilities are too low on the whole.

    References
    ----------
    Van Calster et al. (2019), "Calibration: the Achilles heel of predictive analytics", BMC
    Medicine 17:230, doi:10.1186/s12916-019-1466-7.
    """
    x = logit(np.clip(probabilities, SURE, 1 - SURE))
    y = np.asarray(happened, np.float64)
    slope = _logistic_slope(x, y, weights)
    return slope, _logistic_shift(x, y, weights)


def _logistic_slope(x, y, weights):
    """Newton steps for intercept and slope of every resample at once."""
    found = np.full(len(weights), np.nan)
    defined = _overlap(x, y, weights)
    weights = weights[defined]
    if not defined.any():
        return found
    scale = np.std(x)
    z = (x - x.mean()) / scale
    shift, slope = np.zeros(len(weights)), np.full(len(weights), scale)
    pull, moment = weights @ y, weights @ (y * z)
    for _ in range(_MOST_STEPS):
        mean = expit(shift[:, None] + slope[:, None] * z)
        spread, said = weights * mean * (1 - mean), weights * mean
        gradient = pull - said.sum(axis=1), moment - said @ z
        a, b, c = spread.sum(axis=1), spread @ z, spread @ (z * z)
        det = np.maximum(a * c - b * b, np.finfo(float).tiny)
        up = (c * gradient[0] - b * gradient[1]) / det
        step = (a * gradient[1] - b * gradient[0]) / det
        # A step of at most 2 keeps Newton's method from leaping over the maximum.
        shorter = 2 / np.maximum(2, np.maximum(np.abs(step), np.abs(up)))
        shift, slope = shift + shorter * up, slope + shorter * step
        if (np.abs(step) <= 1e-10 * np.maximum(1, np.abs(slope))).all():
            break
    found[defined] = slope / scale
    return found


def _overlap(x, y, weights):
    """Tell which resamples hold both outcomes, not separated: only these have a slope."""
    there, happened = weights > 0, y > 0
    low = [np.where(there & kind, x, np.inf).min(axis=1) for kind in (happened, ~happened)]
    high = [np.where(there & kind, x, -np.inf).max(axis=1) for kind in (happened, ~happened)]
    return (high[0] > low[1]) & (high[1] > low[0])


def _logistic_shift(x, y, weights):
    """Newton steps for the intercept beside a slope of 1."""
    shift, pull = np.zeros(len(weights)), weights @ y
    undefined = (pull <= 0) | (pull >= weights.sum(axis=1))
    for _ in range(_MOST_STEPS):
        mean = expit(shift[:, None] + x)
        gradient = pull - (weights * mean).sum(axis=1)
        spread = (weights * mean * (1 - mean)).sum(axis=1)
        step = np.divide(gradient, spread, out=np.zeros_like(shift), where=spread > 0)
        shift += np.clip(step, -2, 2)
        if np.abs(step[~undefined]).max(initial=0) < 1e-10:
            break
    return np.where(undefined, np.nan, shift)


def weighted_mean(values, weights):
    """Return the mean of values under every weighting."""
    return _ratio(weights @ values, weights.sum(axis=1))


def r_squared(y, predicted, weights):
    """Return the share of the variance that predictions explain; NaN for a constant outcome."""
    total = weights.sum(axis=1)
    centre = y.mean()  # any constant will do; this one loses no digits
    mean = _ratio(weights @ (y - centre), total)
    spread = weights @ (y - centre) ** 2 - total * mean**2
    rough = spread <= 1e-12 * (weights @ (y - centre) ** 2)
    return np.where(rough, np.nan, 1 - _ratio(weights @ (y - predicted) ** 2, spread))


def _by_score(positive, scores, weights):
    """Return the weight of positives and of negatives at every distinct score, ascending."""
    codes = np.unique(scores, return_inverse=True)[1]
    _, ours = _sums_of(codes, weights * positive)
    _, all_of_them = _sums_of(codes, weights)
    return ours, all_of_them - ours


def _sums_of(codes, weights):
    """Return the codes there are, and the sums of the columns of each."""
    order = np.argsort(codes, kind="stable")
    codes = codes[order]
    starts = np.flatnonzero(np.r_[True, codes[1:] != codes[:-1]])
    return codes[starts], np.add.reduceat(weights[:, order], starts, axis=1)


def _ratio(part, whole):
    """Divide; NaN where there is nothing to divide by."""
    shape = np.broadcast_shapes(np.shape(part), np.shape(whole))
    return np.divide(part, whole, out=np.full(shape, np.nan), where=np.asarray(whole) > 0)


def _mean_defined(each):
    """Return the mean of the defined values of each row."""
    defined = ~np.isnan(each)
    return _ratio(np.where(defined, each, 0).sum(axis=1), defined.sum(axis=1).astype(float))
