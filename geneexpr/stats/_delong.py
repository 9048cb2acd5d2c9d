"""The variance of areas under ROC curves, by DeLong's method from ranks."""

import numpy as np
from scipy.stats import rankdata


def placements(positive, scores):
    """Return, for each sample, the share of the other kind that it stands right of.

    Parameters
    ----------
    positive : array of bool of shape (n_samples,)
    scores : array of shape (n_samples,)

    Returns
    -------
    ndarray of shape (n_samples,)
        Of a positive: the share of negatives with a lower score. Of a negative: the share of
        positives with a higher one. Ties count half. The mean of either is the area under the
        ROC curve.

    References
    ----------
    Sun, Xu (2014), "Fast implementation of DeLong's algorithm", IEEE Signal Processing
    Letters 21:1389-1393, doi:10.1109/LSP.2014.2337313.

    Examples
    --------
    >>> placements(np.array([True, True, False]), np.array([3.0, 1, 1]))
    array([1.  , 0.5 , 0.75])
    """
    together = rankdata(scores)
    found = np.empty(len(scores))
    n_positive = int(np.sum(positive))
    n_negative = len(scores) - n_positive
    found[positive] = (together[positive] - rankdata(scores[positive])) / n_negative
    found[~positive] = 1 - (together[~positive] - rankdata(scores[~positive])) / n_positive
    return found


def delong(positive, scores):
    """Return areas under ROC curves and their covariance.

    Parameters
    ----------
    positive : array of bool of shape (n_samples,)
        At least two of either kind.
    scores : array of shape (n_models, n_samples)
        Of several models for the same samples.

    Returns
    -------
    auc : ndarray of shape (n_models,)
    covariance : ndarray of shape (n_models, n_models)

    References
    ----------
    DeLong, DeLong, Clarke-Pearson (1988), Biometrics 44:837-845, doi:10.2307/2531595; by the
    algorithm of Sun, Xu (2014), doi:10.1109/LSP.2014.2337313, in O(n log n).

    Examples
    --------
    >>> auc, covariance = delong(np.array([1, 1, 0, 0], bool), np.array([[3.0, 1, 2, 0]]))
    >>> auc, covariance
    (array([0.75]), array([[0.125]]))
    """
    each = np.stack([placements(positive, one) for one in scores])
    covariance = sum(
        np.atleast_2d(np.cov(each[:, kind])) / kind.sum() for kind in (positive, ~positive)
    )
    return each[:, positive].mean(axis=1), covariance


def delong_over_classes(codes, scores):
    """Return the mean area under the ROC curve of each class against the rest, and its variance.

    The counts of the classes are taken as given, as DeLong's variance does: the areas of all
    classes are sums over the same samples, so each sample has one contribution to their mean,
    and the variances of these within the classes add up.

    Parameters
    ----------
    codes : array of int of shape (n_samples,)
        All classes have at least two samples.
    scores : array of shape (n_samples, n_classes)

    Returns
    -------
    auc, variance : float
        For two classes, DeLong's.
    """
    n_classes = scores.shape[1]
    shares, areas = np.zeros(len(codes)), []
    for k in range(n_classes):
        ours = codes == k
        found = placements(ours, scores[:, k])
        shares += found / np.where(ours, ours.sum(), (~ours).sum())
        areas.append(found[ours].mean())
    shares /= n_classes
    own = [shares[codes == k] for k in range(n_classes)]
    return float(np.mean(areas)), float(sum(len(h) * h.var(ddof=1) for h in own))
