"""The splits of nested cross-validation: outer ones, inner ones, donors on one side only."""

import warnings
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from sklearn.base import clone, is_classifier
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    StratifiedGroupKFold,
    StratifiedKFold,
    check_cv,
)

from .._containers import name_some
from .._validation import check_number
from ._split_by import SplitBy


@dataclass(frozen=True, slots=True)
class Fold:
    """Rows of one outer split."""

    repeat: int
    number: int
    train: np.ndarray
    test: np.ndarray

    def said(self):
        """Return a name for messages."""
        return f"fold {self.number} of repeat {self.repeat}"


def outer_folds(outer, X, outcome, groups, *, repeats, random_state):
    """Return the outer folds.

    Parameters
    ----------
    outer : int or splitter
    X : container
    outcome : Outcome
    groups : array of shape (n_samples,), or None
    repeats : int
    random_state : int

    Returns
    -------
    list of Fold
    """
    if not isinstance(outer, int | np.integer):
        return _of_splitter(outer, X, outcome, groups, repeats)
    check_number("outer", outer, least=2, whole=True)
    _check_sizes(outer, outcome, groups)
    y = outcome.given if outcome.classes is not None else outcome.values
    found = []
    for repeat in range(repeats):
        splitter = _shuffled(outer, outcome.classes is not None, groups, random_state + repeat)
        splits = splitter.split(np.zeros((len(y), 1)), y, groups)
        found += [Fold(repeat, i, *rows) for i, rows in enumerate(splits)]
    return found


def _of_splitter(outer, X, outcome, groups, repeats):
    if isinstance(outer, str) or not hasattr(outer, "split"):
        raise ValueError(f"outer must be a number of folds or a splitter; got {outer!r}.")
    if repeats != 1:
        raise ValueError(
            f"repeats={repeats} needs outer to be a number of folds: a splitter brings its own "
            "(RepeatedStratifiedKFold)."
        )
    with _no_word_of_groups():
        splits = list(outer.split(X, outcome.given, None if isinstance(outer, SplitBy) else groups))
    return [Fold(0, i, np.asarray(a), np.asarray(b)) for i, (a, b) in enumerate(splits)]


@contextmanager
def _no_word_of_groups():
    """Silence the warning that a splitter ignores groups: where it parts one, we raise."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The groups parameter is ignored", UserWarning)
        yield


def _shuffled(n_splits, stratified, groups, seed):
    if groups is None:
        kind = StratifiedKFold if stratified else KFold
    else:
        kind = StratifiedGroupKFold if stratified else GroupKFold
    return kind(n_splits, shuffle=True, random_state=seed)


def _check_sizes(outer, outcome, groups):
    if groups is not None and len(np.unique(groups)) < outer:
        found = np.unique(groups)
        raise ValueError(
            f"outer={outer} folds need as many groups; there are {len(found)} "
            f"({name_some(found.tolist())}). Use fewer folds."
        )
    if outcome.classes is None:
        if len(outcome.values) < outer:
            raise ValueError(f"outer={outer} folds need as many samples; got {len(outcome.values)}")
        return
    counts = np.bincount(outcome.values)
    if counts.min() < outer:
        raise ValueError(
            f"outer={outer} folds need as many samples of every class; class "
            f"{name_some([outcome.classes.tolist()[counts.argmin()]])} has {counts.min()}. Use "
            "fewer folds."
        )


def check_folds(folds, outcome, groups, *, need_all_classes):
    """Raise where donors stand on both sides, or where a fold lacks the classes it needs."""
    for fold in folds:
        if groups is not None:
            _check_sides(fold.train, fold.test, groups, fold.said(), "outer")
        if outcome.classes is None:
            continue
        known = np.unique(outcome.values[fold.train])
        if len(known) < 2:
            raise ValueError(
                f"The training samples of {fold.said()} are all of one class "
                f"({name_some(outcome.classes[known].tolist())}): nothing can be learned from "
                "them. Use other folds: stratified ones, or such that a group is not a class."
            )
        there = np.unique(outcome.values[fold.test])
        lacking = np.setdiff1d(np.arange(len(outcome.classes)), there)
        if need_all_classes and len(lacking):
            raise ValueError(
                f"The test samples of {fold.said()} hold no {name_some(outcome.classes[lacking])} "
                f"({len(fold.test)} samples of {name_some(outcome.classes[there].tolist())}), so "
                "ROC AUC and average precision do not exist there. Use fewer or stratified "
                "folds, or measures that do: scoring=['accuracy', 'f1', 'brier']."
            )


def _check_sides(train, test, groups, where, name):
    both = np.intersect1d(groups[train], groups[test])
    if len(both):
        raise ValueError(
            f"{name} puts samples of {len(both)} groups on both sides of a split ({where}): "
            f"{name_some(both.tolist())}. Give a number of folds, or a splitter that keeps groups "
            "together (StratifiedGroupKFold, SplitBy)."
        )


# ------------------------------------------------------------------ the inner ones


def is_search(estimator):
    """Tell whether an estimator is a search over parameters of another one."""
    params = estimator.get_params(deep=False)
    return {"estimator", "cv", "refit"} <= set(params)


def prepared_search(search, grouped, random_state):
    """Return a search whose inner splits keep groups together, where there are groups.

    Parameters
    ----------
    search : estimator
        Not changed.
    grouped : bool
    random_state : int

    Returns
    -------
    estimator
        A clone.
    """
    new = clone(search)
    if not is_search(new):
        return new
    if new.refit is False:
        raise ValueError(
            f"{type(search).__name__}(refit=False) has no best model to predict with; use "
            "refit=True, or the name of a measure where there are several."
        )
    if not (new.cv is None or isinstance(new.cv, int | np.integer) or hasattr(new.cv, "split")):
        raise ValueError(
            f"{type(search).__name__}(cv=...) holds fixed rows, but every outer fold has rows of "
            "its own: give a number of folds or a splitter."
        )
    if grouped and not hasattr(new.cv, "split"):
        n_splits = 5 if new.cv is None else new.cv
        new.set_params(cv=_shuffled(n_splits, is_classifier(new), True, random_state))
    return new


def inner_groups(search, y, groups):
    """Return what to pass to the fit of a search; raise where its splits part a donor."""
    if groups is None or not is_search(search) or isinstance(search.cv, SplitBy):
        return {}
    cv = check_cv(search.cv, y, classifier=is_classifier(search))
    with _no_word_of_groups():
        splits = list(cv.split(np.zeros((len(y), 1)), y, groups))
    for train, test in splits:
        _check_sides(train, test, groups, "an inner one", "The search's cv")
    return {"groups": groups}
