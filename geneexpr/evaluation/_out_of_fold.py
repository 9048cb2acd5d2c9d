"""Predictions for samples that a model has not seen, and their score within strata."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from sklearn.base import clone, is_regressor
from sklearn.model_selection import StratifiedKFold
from sklearn.utils.multiclass import type_of_target

from .._containers import name_some
from ._rows import take_rows
from ._stratified_scores import stratified_auc, stratified_correlation


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome as codes of classes, or as numbers where ``classes`` is None."""

    given: np.ndarray
    values: np.ndarray
    classes: np.ndarray | None

    @property
    def metric(self):
        """Name of the score."""
        return "correlation" if self.classes is None else "AUC"

    @property
    def chance(self):
        """Score of a guess."""
        return 0.0 if self.classes is None else 0.5

    def score(self, rows, predicted, strata):
        """Score predictions of rows within strata."""
        measure = stratified_correlation if self.classes is None else stratified_auc
        return measure(self.values[rows], predicted, strata)


@dataclass(frozen=True, slots=True)
class Predictions:
    """Rows that were predicted, in which fold, and what was predicted for them."""

    rows: np.ndarray
    fold: np.ndarray
    values: np.ndarray


def read_outcome(y, estimator) -> Outcome:
    """Return the outcome; raise where it is neither classes nor numbers, or does not vary."""
    given = np.asarray(y)
    missing = np.flatnonzero(pd.isna(given).reshape(len(given), -1).any(axis=1))
    if len(missing):
        raise ValueError(
            f"y is missing for {len(missing)} of {len(given)} samples: row {name_some(missing)}. "
            "Drop these samples."
        )
    kind = type_of_target(given)
    if is_regressor(estimator) and given.dtype.kind in "biuf":
        kind = "continuous"  # ages in whole years
    if kind in ("binary", "multiclass"):
        classes, codes = np.unique(given, return_inverse=True)
        if len(classes) < 2:
            raise ValueError(
                f"y has one class only ({name_some(classes.tolist())}); at least two are needed."
            )
        return Outcome(given, codes, classes)
    if kind == "continuous":
        return Outcome(given, given.astype(np.float64), None)
    raise ValueError(f"y must hold classes or numbers, one a sample; got y of kind {kind!r}.")


def folds_of(cv, X, outcome, batch, random_state):
    """Return the folds: those of a splitter, or as many as ``cv`` says.

    An integer gives shuffled folds that hold class and batch in equal shares, as far as
    their combinations have samples enough.
    """
    if not isinstance(cv, int | np.integer):
        return list(cv.split(X, outcome.given))
    strata = _combined(outcome.values if outcome.classes is not None else None, batch, cv)
    folds = StratifiedKFold(cv, shuffle=True, random_state=random_state)
    return list(folds.split(np.zeros(len(batch)), strata))


def _combined(classes, batch, n_splits):
    """Cross class and batch; combinations of too few samples join the largest of their class."""
    if classes is None:
        classes = np.zeros(len(batch), int)
    crossed = classes * (batch.max() + 1) + batch
    for code in np.unique(classes):
        own = crossed[classes == code]
        found, sizes = np.unique(own, return_counts=True)
        if sizes.sum() < n_splits:
            raise ValueError(
                f"cv={n_splits} folds need as many samples of every class; the smallest has "
                f"{sizes.sum()}. Use fewer folds."
            )
        few = np.isin(own, found[sizes < n_splits])
        crossed[classes == code] = np.where(few, found[sizes.argmax()], own)
    return crossed


def predict_out_of_fold(estimator, X, outcome, folds, n_jobs=None) -> Predictions:
    """Fit on the training rows of every fold and predict its test rows."""
    parts = Parallel(n_jobs=n_jobs)(
        delayed(_fit_and_predict)(estimator, X, outcome, train, test) for train, test in folds
    )
    tests = [test for _, test in folds]
    return Predictions(
        np.concatenate(tests),
        np.repeat(np.arange(len(tests)), [len(test) for test in tests]),
        np.concatenate(parts),
    )


def _fit_and_predict(estimator, X, outcome, train, test):
    model = clone(estimator).fit(take_rows(X, train), outcome.given[train])
    return predictions_of(model, take_rows(X, test), outcome)


def predictions_of(model, X, outcome):
    """Return a number a row, or one a row and class; a class not seen in ``fit`` gets zeros."""
    if outcome.classes is None:
        return np.asarray(model.predict(X), np.float64).ravel()
    columns = np.searchsorted(outcome.classes, model.classes_)
    scores = np.zeros((X.shape[0], len(outcome.classes)))
    if hasattr(model, "predict_proba"):
        scores[:, columns] = model.predict_proba(X)
    elif hasattr(model, "decision_function"):
        found = np.asarray(model.decision_function(X))
        scores[:, columns] = np.column_stack([-found, found]) if found.ndim == 1 else found
    else:
        predicted = np.searchsorted(outcome.classes, model.predict(X))
        scores[np.arange(len(predicted)), predicted] = 1
    return scores
