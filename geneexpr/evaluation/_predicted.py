"""Predictions beside the truth, checked: of classes and of numbers."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from .._containers import name_some


@dataclass(frozen=True, slots=True)
class Classes:
    """True and predicted classes as codes, and scores where there are some.

    Attributes
    ----------
    codes, predicted : ndarray of int of shape (n_samples,)
    scores : ndarray of shape (n_samples, n_classes), or None
    are_probabilities : bool
    classes : ndarray of shape (n_classes,)
    """

    codes: np.ndarray
    predicted: np.ndarray
    scores: np.ndarray | None
    are_probabilities: bool
    classes: np.ndarray

    @property
    def n(self):
        """Number of samples."""
        return len(self.codes)

    def said(self):
        """Return what a probability was said of, whether it happened, and the probability."""
        if len(self.classes) == 2:
            return self.codes == 1, self.scores[:, 1]
        best = self.scores.argmax(axis=1)
        return self.codes == best, self.scores[np.arange(self.n), best]


@dataclass(frozen=True, slots=True)
class Numbers:
    """True and predicted numbers."""

    true: np.ndarray
    predicted: np.ndarray

    @property
    def n(self):
        """Number of samples."""
        return len(self.true)


def predicted_numbers(y_true, y_pred) -> Numbers:
    """Check numbers and predictions of them."""
    if y_pred is None:
        raise ValueError("y_true holds numbers: their predictions are needed (y_pred=).")
    true, predicted = _column(y_true, "y_true"), _column(y_pred, "y_pred")
    _check_length(predicted, "y_pred", len(true))
    return Numbers(_floats(true, "y_true"), _floats(predicted, "y_pred"))


def predicted_classes(y_true, y_pred, y_score, classes) -> Classes:
    """Check classes, predictions of them, and scores."""
    if y_pred is None and y_score is None:
        raise ValueError("Predictions are needed: give y_pred=, y_score=, or both.")
    true = _column(y_true, "y_true")
    given = None if y_pred is None else _column(y_pred, "y_pred")
    scores = None if y_score is None else check_scores(y_score, len(true))
    classes = _check_classes(classes, true, given, scores)
    codes = _codes(true, classes, "y_true")
    probabilities = scores is not None and _are_probabilities(scores)
    if given is not None:
        _check_length(given, "y_pred", len(true))
        predicted = _codes(given, classes, "y_pred")
    else:
        predicted = _called(scores, probabilities)
    if scores is not None and scores.ndim == 1:
        first = 1 - scores if probabilities else -scores
        scores = np.column_stack([first, scores])
    return Classes(codes, predicted, scores, probabilities, classes)


def scores_of(estimator, X):
    """Return probabilities or decision values of a fitted classifier, or None."""
    for name in ("predict_proba", "decision_function"):
        if hasattr(estimator, name):
            return np.asarray(getattr(estimator, name)(X))
    return None


def _called(scores, probabilities):
    """Return the codes of the classes that scores speak for."""
    if scores.ndim == 2:
        return scores.argmax(axis=1)
    return (scores > (0.5 if probabilities else 0)).astype(int)


def _column(values, name):
    values = np.asarray(values)
    if values.ndim != 1 or not len(values):
        raise ValueError(f"{name} must hold one value a sample; got shape {values.shape}.")
    missing = np.flatnonzero(pd.isna(values))
    if len(missing):
        raise ValueError(
            f"{name} is missing for {len(missing)} of {len(values)} samples: row "
            f"{name_some(missing)}. Drop these samples."
        )
    return values


def _floats(values, name):
    try:
        values = values.astype(np.float64)
    except (TypeError, ValueError):
        raise ValueError(
            f"{name} must hold numbers for measures of a regression; got {values[0]!r}."
        ) from None
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise ValueError(
            f"{name} is infinite for {len(bad)} of {len(values)} samples: row {name_some(bad)}."
        )
    return values


def _check_length(values, name, n):
    if len(values) != n:
        raise ValueError(f"{name} has {len(values)} rows for {n} samples of y_true.")


def check_scores(y_score, n):
    """Return scores as numbers, one a sample or one a sample and class."""
    try:
        scores = np.asarray(y_score, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError("y_score must hold numbers; predicted classes go into y_pred.") from None
    if scores.ndim == 2 and scores.shape[1] == 1:
        scores = scores[:, 0]
    if scores.ndim not in (1, 2):
        raise ValueError(
            f"y_score must be of shape (n_samples,) or (n_samples, n_classes); got {scores.shape}."
        )
    _check_length(scores, "y_score", n)
    bad = np.flatnonzero(~np.isfinite(scores).reshape(n, -1).all(axis=1))
    if len(bad):
        raise ValueError(
            f"y_score is missing or infinite for {len(bad)} of {n} samples: row {name_some(bad)}. "
            "Drop these samples, or look at what the model saw there."
        )
    return scores


def _check_classes(classes, true, predicted, scores):
    n_columns = None if scores is None else 2 if scores.ndim == 1 else scores.shape[1]
    if classes is None:
        found = true if predicted is None else np.concatenate([true, predicted])
        classes = np.unique(found)
        if n_columns is not None and n_columns != len(classes):
            raise ValueError(
                f"y_score scores {n_columns} classes and the labels hold {len(classes)} "
                f"({name_some(classes.tolist())}): name the classes in the order of the columns "
                "(classes=model.classes_)."
            )
    classes = np.asarray(classes)
    if classes.ndim != 1 or len(classes) < 2 or len(np.unique(classes)) < len(classes):
        raise ValueError(
            f"At least two distinct classes are needed; got {name_some(classes.ravel().tolist())}. "
            "Where the samples hold one class only, name all of them (classes=)."
        )
    if n_columns is not None and n_columns != len(classes):
        raise ValueError(f"y_score scores {n_columns} classes; classes= names {len(classes)}.")
    return classes


def _codes(labels, classes, name):
    codes = pd.Index(classes).get_indexer(labels)
    unknown = codes < 0
    if unknown.any():
        raise ValueError(
            f"{name} holds labels that are not among the classes: "
            f"{name_some(np.unique(labels[unknown]).tolist())}; the classes are "
            f"{name_some(classes.tolist())}."
        )
    return codes


def _are_probabilities(scores):
    if scores.min() < 0 or scores.max() > 1:
        return False
    return scores.ndim == 1 or bool(np.abs(scores.sum(axis=1) - 1).max() < 1e-3)
