"""Temperature scaling: one number that makes probabilities as sure as they deserve to be."""

import warnings

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp
from sklearn.model_selection import StratifiedGroupKFold

N_FOLDS = 5
LIMIT = 10.0
"""Of the temperature and of its inverse: samples that are all told apart would ask for 0."""


def calibration_folds(codes, groups=None, *, n_folds=N_FOLDS, seed=0):
    """Deal samples out to folds, classes evenly, a group never to two.

    Parameters
    ----------
    codes : array of int of shape (n_samples,)
        Class codes.
    groups : array of shape (n_samples,), optional
    n_folds : int, default=5
        At most; no more than there are groups, or samples in the largest class.
    seed : int

    Returns
    -------
    array of int of shape (n_samples,)
        Number of the fold of each sample.

    Raises
    ------
    ValueError
        If there cannot be two folds.

    Examples
    --------
    >>> import numpy as np
    >>> fold = calibration_folds(np.array([0, 1, 0, 1]), np.array(["a", "a", "b", "b"]))
    >>> bool(fold[0] == fold[1] != fold[2] == fold[3])
    True
    """
    units = np.arange(len(codes)) if groups is None else np.unique(groups, return_inverse=True)[1]
    n_folds = min(n_folds, len(np.unique(units)), np.bincount(codes).max())
    if n_folds < 2:
        raise ValueError(
            "Calibration by cross-fitting needs two samples of a class, in two groups; got "
            f"{len(codes)} samples in {len(np.unique(units))} groups. Set calibration=None."
        )
    splitter = StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed)
    fold = np.empty(len(codes), dtype=int)
    with warnings.catch_warnings():
        # A class with fewer samples than folds is absent from some, which harms nothing here.
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        for k, (_, held) in enumerate(splitter.split(codes, codes, units)):
            fold[held] = k
    return fold


def fit_temperature(scores, codes, weight=None):
    """Return the number by which scores are divided to give the likeliest probabilities [1]_.

    Parameters
    ----------
    scores : array of shape (n_samples, n_classes) or (n_samples, 1)
        Of samples that the model was not trained on; one column is the log-odds of class 1.
    codes : array of int of shape (n_samples,)
    weight : array of shape (n_samples,), optional

    Returns
    -------
    float
        Between 0.1 and 10. Above 1 makes probabilities less sure.

    References
    ----------
    .. [1] Guo, Pleiss, Sun, Weinberger (2017), "On calibration of modern neural networks",
       ICML, doi:10.48550/arXiv.1706.04599.

    Examples
    --------
    Nine of ten are right, at log-odds of 5: ``log(9)`` would do.

    >>> import numpy as np
    >>> codes = np.array([1] * 9 + [0])
    >>> round(fit_temperature(np.full((10, 1), 5.0), codes), 3), round(float(5 / np.log(9)), 3)
    (2.276, 2.276)
    """
    scores = np.asarray(scores, dtype=np.float64)
    if scores.shape[1] == 1:
        scores = np.hstack([np.zeros_like(scores), scores])
    right = scores[np.arange(len(codes)), codes]

    def loss(log_temperature):
        by = np.exp(-log_temperature)
        return np.average(logsumexp(scores * by, axis=1) - right * by, weights=weight)

    end = np.log(LIMIT)
    found = minimize_scalar(loss, bounds=(-end, end), method="bounded", options={"xatol": 1e-8})
    return float(np.exp(found.x))
