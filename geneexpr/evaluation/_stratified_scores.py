"""Scores that compare samples of the same stratum only: of one fold, batch or class."""

import numpy as np
from scipy.stats import rankdata


def pair_counts(positive, scores, strata):
    """Count the pairs of a positive and a negative of one stratum that are in right order.

    Their ratio is the area under the ROC curve within strata, weighted by the number of pairs;
    with one stratum it is the usual one.

    Parameters
    ----------
    positive : array of bool of shape (n_samples,)
    scores : array of shape (n_samples,)
    strata : array of int of shape (n_samples,)

    Returns
    -------
    right : float
        Ties count half.
    pairs : int

    Examples
    --------
    >>> pair_counts(np.array([True, False, True, False]), np.array([2, 1, 7, 9]), [0, 0, 1, 1])
    (1.0, 2)
    """
    positive, scores, strata = np.asarray(positive), np.asarray(scores), np.asarray(strata)
    right, pairs = 0.0, 0
    for stratum in np.unique(strata):
        rows = strata == stratum
        ours = positive[rows]
        n_positive, n_negative = int(ours.sum()), int((~ours).sum())
        if n_positive and n_negative:
            ranks = rankdata(scores[rows])[ours].sum()
            right += float(ranks - n_positive * (n_positive + 1) / 2)
            pairs += n_positive * n_negative
    return right, pairs


def stratified_auc(y, scores, strata):
    """Area under the ROC curve within strata, the mean over classes against the rest.

    Parameters
    ----------
    y : array of int of shape (n_samples,)
        Codes of the classes.
    scores : array of shape (n_samples, n_classes)
    strata : array of int of shape (n_samples,)

    Returns
    -------
    float
        NaN where no stratum holds two classes.

    Examples
    --------
    >>> stratified_auc(np.array([0, 1]), np.array([[0.9, 0.1], [0.2, 0.8]]), [0, 0])
    1.0
    """
    counts = [pair_counts(y == code, scores[:, code], strata) for code in range(scores.shape[1])]
    pairs = sum(n for _, n in counts)
    return sum(right for right, _ in counts) / pairs if pairs else float("nan")


def stratified_correlation(y, scores, strata):
    """Correlation of truth and prediction within strata: centred by stratum, then pooled.

    Parameters
    ----------
    y, scores : array of shape (n_samples,)
    strata : array of int of shape (n_samples,)

    Returns
    -------
    float
        0 for a prediction that does not vary, NaN for a truth that does not.

    Examples
    --------
    >>> stratified_correlation(np.array([1.0, 2, 8, 9]), np.array([5.0, 6, 1, 2]), [0, 0, 1, 1])
    1.0
    """
    y, length = _centred(y, strata)
    scores, spread = _centred(scores, strata)
    if length == 0:
        return float("nan")
    return float(y @ scores / (length * spread)) if spread else 0.0


def _centred(values, strata):
    """Return values less the mean of their stratum, and the length of what is left."""
    values = np.asarray(values, np.float64)
    codes = np.unique(strata, return_inverse=True)[1]
    centred = values - (np.bincount(codes, values) / np.bincount(codes))[codes]
    length = np.linalg.norm(centred)
    # What rounding leaves of values that are constant within strata is no variation.
    return centred, length if length > 1e-10 * np.linalg.norm(values) else 0.0
