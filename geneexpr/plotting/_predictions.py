"""What figures of predictions share: labels and scores that fit, and weights of resamples."""

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_random_state

from .._containers import is_anndata, name_some, values
from .._options import check_number
from .._validation import labels_of
from ..stats._metric_intervals import bootstrap_values, percentile_interval


def units_of(groups, n):
    """Return what a bootstrap draws, as codes: single samples, or donors.

    Parameters
    ----------
    groups : array of shape (n,), or None
    n : int

    Returns
    -------
    array of int of shape (n,)

    Examples
    --------
    >>> units_of(["a", "a", "b"], 3)
    array([0, 0, 1])
    """
    if groups is None:
        return np.arange(n)
    groups = np.asarray(groups)
    if groups.shape != (n,):
        raise ValueError(
            f"groups must hold one label a sample: got shape {groups.shape} for {n} samples."
        )
    if pd.isna(groups).any():
        raise ValueError(
            f"groups is missing for {int(pd.isna(groups).sum())} of {n} samples. Fill it in or "
            "drop these samples."
        )
    return np.unique(groups, return_inverse=True)[1]


def interval(measure, units, *, n_resamples, level, random_state):
    """Return the percentile interval of every value of a measure.

    Parameters
    ----------
    measure : callable
        Takes weights of shape (n_resamples, n_samples), returns (n_values, n_resamples).
    units : array of int of shape (n_samples,)
    n_resamples : int
    level : float
    random_state : int, RandomState or None

    Returns
    -------
    low, high : array of shape (n_values,)
        NaN with ``n_resamples=0``, and where fewer than half of the resamples have a value.
    """
    check_number("n_resamples", n_resamples, least=0, whole=True)
    check_number("level", level, above=0, below=1)
    if n_resamples == 0:
        nothing = np.full(len(measure(np.ones((1, len(units))))), np.nan)
        return nothing, nothing
    seed = check_random_state(random_state).randint(2**31)
    found = bootstrap_values(measure, units, n_resamples, np.random.default_rng(seed))
    return percentile_interval(found, level)


def checked_labels(y_true, other, *, name):
    """Return the true labels, and raise where they and the predictions do not fit.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
    other : array of shape (n_samples, ...)
    name : str
        Of the predictions, for the error.

    Returns
    -------
    array of shape (n_samples,)
    """
    y_true = np.asarray(y_true)
    if y_true.ndim != 1 or len(y_true) != len(other):
        raise ValueError(
            f"y_true and {name} must have one row a sample each; got shapes {y_true.shape} and "
            f"{np.shape(other)}."
        )
    missing = np.flatnonzero(pd.isna(y_true))
    if len(missing) or not len(y_true):
        raise ValueError(
            f"y_true must hold a label for every sample; {len(missing)} of {len(y_true)} are "
            f"missing: row {name_some(missing)}."
        )
    return y_true


def scores_by_class(y_true, y_score, classes=None):
    """Return the scores of each class that is drawn.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
    y_score : array-like of shape (n_samples,) or (n_samples, n_classes)
        Of one column: the scores of the second class in the order of ``classes``.
    classes : sequence, optional
        In the order of the columns; by default the labels, sorted.

    Returns
    -------
    y_true : array of shape (n_samples,)
    scores : dict of label to array of shape (n_samples,)
        Of two classes, the second one alone.
    """
    y_score = np.asarray(y_score, dtype=float)
    y_true = checked_labels(y_true, y_score, name="y_score")
    if not np.isfinite(y_score).all():
        bad = np.flatnonzero(~np.isfinite(y_score.reshape(len(y_true), -1)).all(axis=1))
        raise ValueError(
            f"y_score must be finite; got missing or infinite scores for {len(bad)} of "
            f"{len(y_true)} samples: row {name_some(bad)}."
        )
    classes = np.unique(y_true) if classes is None else np.asarray(classes)
    unknown = sorted({str(label) for label in y_true.tolist()} - {str(c) for c in classes.tolist()})
    if unknown:
        raise ValueError(
            f"y_true holds labels that are no class: {name_some(unknown)}; the classes are "
            f"{name_some(classes)}."
        )
    if len(classes) < 2:
        raise ValueError(
            f"Two classes or more are needed; got {name_some(classes)} only. If y_true lacks the "
            "others, name all in classes=."
        )
    columns = 1 if y_score.ndim == 1 else y_score.shape[1]
    if columns != len(classes) and not (columns == 1 and len(classes) == 2):
        raise ValueError(
            f"y_score has {columns} columns for {len(classes)} classes ({name_some(classes)}): "
            "give one column a class, or, of two classes, the scores of the second."
        )
    if len(classes) == 2:
        return y_true, {classes.tolist()[1]: y_score.reshape(len(y_true), -1)[:, -1]}
    return y_true, {label: y_score[:, i] for i, label in enumerate(classes.tolist())}


def predicted(estimator, X, methods):
    """Return what the first of these methods that an estimator has gives for X.

    Parameters
    ----------
    estimator : estimator
        Fitted.
    X : container
    methods : sequence of str

    Returns
    -------
    array
    """
    method = next((name for name in methods if hasattr(estimator, name)), None)
    if method is None:
        raise TypeError(
            f"A fitted classifier with {' or '.join(methods)} was expected, got "
            f"{type(estimator).__name__}."
        )
    foreign = type(estimator).__module__.startswith("sklearn.") and not hasattr(estimator, "steps")
    plain = foreign and not hasattr(estimator, "best_estimator_")
    return getattr(estimator, method)(values(X) if is_anndata(X) and plain else X)


def groups_of(X, group_key, groups):
    """Return the donors of the samples, by name or as given, or None."""
    return labels_of(X, group_key, groups, key_name="group_key", given_name="groups")
