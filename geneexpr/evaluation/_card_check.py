"""Numbers that can be computed again: scores of fixed folds, and predictions of a refit."""

from dataclasses import dataclass

import numpy as np
from joblib import Parallel, delayed
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import r2_score
from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold
from sklearn.utils.validation import check_is_fitted

from .._containers import annotation, name_some
from .._validation import check_number
from ._out_of_fold import Outcome, predictions_of
from ._rows import take_rows

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True, slots=True)
class Ordered:
    """Data in an order that depends on their content only, so that folds are the same again."""

    X: object
    outcome: Outcome

    @classmethod
    def of(cls, X, outcome, order):
        """Put data into an order."""
        ordered = Outcome(outcome.given[order], outcome.values[order], outcome.classes)
        return cls(take_rows(X, order), ordered)


def run_check(pipeline, data, *, n_splits=5, group_key=None, n_jobs=None):
    """Fit a pipeline to folds and to all data; return numbers to compare with later.

    Parameters
    ----------
    pipeline : classifier or regressor
        Not changed; where it is fitted, its predictions are compared with those of the refit.
    data : Ordered
    n_splits : int
        Folds; fewer where the smallest class has fewer samples.
    group_key : str, optional
        Annotation whose groups stay together.
    n_jobs : int, optional

    Returns
    -------
    check : dict
        Plain values.
    refitted : estimator
        Fitted to all data.
    """
    folds, name = _folds(data, n_splits, group_key)
    scores = Parallel(n_jobs=n_jobs)(
        delayed(_score_fold)(pipeline, data, train, test) for train, test in folds
    )
    refitted = clone(pipeline).fit(data.X, data.outcome.given)
    found = _as_columns(predictions_of(refitted, data.X, data.outcome))
    check = {
        "n_splits": len(folds),
        "splitter": name,
        "group_key": group_key,
        "scores": {metric: [fold[metric] for fold in scores] for metric in _metrics(data.outcome)},
        "predictions": _summarise(found, data.outcome),
        "refit_difference": _difference(pipeline, refitted, found, data),
    }
    return check, refitted


def _folds(data, n_splits, group_key):
    """Return the folds and the name of the splitter; none where a class has one sample."""
    check_number("n_splits", n_splits, least=2, whole=True)
    outcome = data.outcome
    classes = outcome.classes is not None
    groups = None if group_key is None else annotation(data.X, group_key)
    most = np.bincount(outcome.values).min() if classes else len(outcome.values)
    if groups is not None:
        most = min(most, len(np.unique(groups.astype(str))))
    n_splits = int(min(n_splits, most))
    grouped = groups is not None
    splitter = {
        (True, False): StratifiedKFold,
        (True, True): StratifiedGroupKFold,
        (False, False): KFold,
        (False, True): GroupKFold,
    }[classes, grouped]
    if n_splits < 2:
        return [], splitter.__name__
    rows = np.zeros((len(outcome.values), 1))
    return list(splitter(n_splits).split(rows, outcome.values, groups)), splitter.__name__


def _score_fold(pipeline, data, train, test):
    outcome = data.outcome
    model = clone(pipeline).fit(take_rows(data.X, train), outcome.given[train])
    held_out = take_rows(data.X, test)
    found = predictions_of(model, held_out, outcome)
    scores = {outcome.metric: outcome.score(test, found, np.zeros(len(test), int))}
    if outcome.classes is None:
        scores["R²"] = r2_score(outcome.values[test], found)
    else:
        right = np.asarray(model.predict(held_out)) == outcome.given[test]
        truth = outcome.values[test]
        shares = [right[truth == code].mean() for code in np.unique(truth)]
        scores["balanced accuracy"] = np.mean(shares)
    return {name: None if np.isnan(score) else float(score) for name, score in scores.items()}


def _metrics(outcome):
    return [outcome.metric, "R²" if outcome.classes is None else "balanced accuracy"]


def _as_columns(found):
    return found.reshape(len(found), -1)


def _summarise(found, outcome):
    """Return mean, spread and quantiles of the predictions of each class; no single sample."""
    names = ["prediction"] if outcome.classes is None else [str(c) for c in outcome.classes]
    return {
        name: {
            "mean": float(column.mean()),
            "standard deviation": float(column.std()),
            **{
                f"quantile {q:g}": float(v)
                for q, v in zip(QUANTILES, np.quantile(column, QUANTILES), strict=True)
            },
        }
        for name, column in zip(names, found.T, strict=True)
    }


def _difference(pipeline, refitted, found, data):
    """Return how far a fitted pipeline is from its refit, or None where it is not fitted."""
    try:
        check_is_fitted(pipeline)
    except NotFittedError:
        return None
    if data.outcome.classes is not None:
        strange = np.setdiff1d(pipeline.classes_, data.outcome.classes)
        if len(strange):
            raise ValueError(
                f"The fitted pipeline predicts the classes {name_some(pipeline.classes_)}, but y "
                f"holds {name_some(data.outcome.classes)}: give the y that it was fitted to."
            )
    given = _as_columns(predictions_of(pipeline, data.X, data.outcome))
    return float(np.abs(given - found).max())
