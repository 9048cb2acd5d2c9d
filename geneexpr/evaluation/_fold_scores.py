"""Scores of one fitted model on the test samples of its fold."""

from dataclasses import dataclass

import numpy as np
from sklearn.metrics import get_scorer

from ._performance import (
    CLASSIFICATION,
    OF_CLASSES,
    OF_PROBABILITIES,
    OF_SCORES,
    REGRESSION,
    measures,
)
from ._predicted import Classes, check_scores, predicted_numbers, scores_of


@dataclass(frozen=True, slots=True)
class Scoring:
    """What is measured in every fold.

    Attributes
    ----------
    ours : tuple of str
        Measures of `metric_intervals`.
    scorers : dict
        Name to scorer of scikit-learn, or callable.
    main : str
        The first one.
    optional : bool
        Whether measures may be left out where the model gives no scores.
    """

    ours: tuple
    scorers: dict
    main: str
    optional: bool

    @property
    def names(self):
        """Names of all measures."""
        return (*self.ours, *self.scorers)

    @property
    def needs_all_classes(self):
        """Whether a measure does not exist for test samples that lack a class."""
        return bool(set(self.ours) & set(OF_SCORES))


def read_scoring(scoring, search, *, numbers) -> Scoring:
    """Return what to measure: what is named, or all that suits the task.

    Parameters
    ----------
    scoring : None, str, callable, sequence of str or dict
    search : estimator
        Where nothing is named, the measure that it searches by comes first.
    numbers : bool
        Whether the outcome is numbers, not classes.
    """
    known = REGRESSION if numbers else CLASSIFICATION
    if scoring is None:
        return _default(search, known)
    if callable(scoring):
        scoring = {getattr(scoring, "__name__", "score"): scoring}
    if isinstance(scoring, str):
        scoring = [scoring]
    if not len(scoring):
        raise ValueError("scoring is empty; None measures all that suits the task.")
    given = scoring if isinstance(scoring, dict) else dict.fromkeys(scoring)
    ours = tuple(name for name, scorer in given.items() if scorer is None and name in known)
    scorers = {
        name: _scorer(name if scorer is None else scorer, known)
        for name, scorer in given.items()
        if name not in ours
    }
    return Scoring(ours, scorers, next(iter(given)), optional=False)


def _default(search, known):
    ours = known if known is REGRESSION else (*OF_SCORES, *OF_CLASSES, OF_PROBABILITIES[0])
    name, scorer = _searched_by(search)
    if name is None:
        return Scoring(ours, {}, ours[0], optional=True)
    scorers = {} if name == scorer and name in ours else {name: _scorer(scorer, known)}
    return Scoring(tuple(m for m in ours if m not in scorers), scorers, name, optional=True)


def _searched_by(search):
    """Return name and scorer of the measure by which a search chooses, or None."""
    scoring, refit = getattr(search, "scoring", None), getattr(search, "refit", None)
    if isinstance(scoring, str):
        return scoring, scoring
    if isinstance(refit, str) and isinstance(scoring, dict):
        return refit, scoring[refit]
    return (refit, refit) if isinstance(refit, str) else (None, None)


def _scorer(name, known):
    if callable(name):
        return name
    try:
        return get_scorer(name)
    except ValueError as error:
        raise ValueError(
            f"scoring={name!r} is no measure: it must be one of {', '.join(known)}, a name that "
            "sklearn.metrics.get_scorer takes, or a callable (model, X, y)."
        ) from error


def predict_fold(model, X, outcome, rows):
    """Predict the test samples of a fold.

    Parameters
    ----------
    model : estimator
        Fitted.
    X : container
        The test samples.
    outcome : Outcome
    rows : array of int
        The rows that X holds, of all samples.

    Returns
    -------
    Classes or Numbers
    """
    predicted = np.asarray(model.predict(X))
    if outcome.classes is None:
        return predicted_numbers(outcome.values[rows], predicted.ravel())
    codes = np.searchsorted(outcome.classes, predicted)
    raw = scores_of(model, X)
    if raw is not None:
        raw = check_scores(raw, len(rows))
    scores = None if raw is None else _all_columns(raw, model.classes_, outcome.classes)
    sums_to_one = raw is not None and hasattr(model, "predict_proba")
    return Classes(outcome.values[rows], codes, scores, sums_to_one, outcome.classes)


def _all_columns(raw, known, classes):
    """Return a column for every class; the lowest score for those that a fold did not have."""
    if raw.ndim == 1:
        raw = np.column_stack([-raw, raw])
    scores = np.full((len(raw), len(classes)), min(0.0, float(raw.min())))
    scores[:, np.searchsorted(classes, known)] = raw
    return scores


def score_fold(scoring, model, X, y, predicted):
    """Return the scores of a fitted model on its test samples.

    Parameters
    ----------
    scoring : Scoring
    model : estimator
    X : container
        The test samples.
    y : array of shape (n_test,)
        Their outcome, as it was given.
    predicted : Classes or Numbers

    Returns
    -------
    dict of float
    """
    ours = scoring.ours
    if isinstance(predicted, Classes):
        ours = [name for name in ours if _can_be_had(name, predicted, scoring)]
    found = measures(predicted, np.ones((1, predicted.n)), ours)
    scores = {name: float(value[0]) for name, value in found.items()}
    for name, scorer in scoring.scorers.items():
        scores[name] = float(scorer(model, X, y))
    order = dict.fromkeys([scoring.main, *scores])
    return {name: scores[name] for name in order if name in scores}


def _can_be_had(name, predicted, scoring):
    lacking = None
    if name not in OF_CLASSES and predicted.scores is None:
        lacking = "predict_proba or decision_function"
    elif name not in OF_CLASSES + OF_SCORES and not predicted.are_probabilities:
        lacking = "predict_proba"
    if lacking and not scoring.optional:
        raise ValueError(f"scoring={name!r} needs a model with {lacking}, and this one has none.")
    return lacking is None
