"""Several models on the same folds, with a test that knows that training sets overlap."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from .._containers import name_some
from .._validation import check_choice, check_number
from ..stats._multiple_testing import adjust_p_values
from ..stats._resampled import corrected_interval, corrected_t_test
from ._nested_cv import nested_cv
from ._nested_result import NestedCVResult


def compare_models(
    models,
    X=None,
    y=None,
    *,
    metric=None,
    level=0.95,
    outer=5,
    groups=None,
    group_key=None,
    repeats=5,
    scoring=None,
    cache=None,
    n_jobs=None,
    progress=True,
    random_state=0,
):
    """Compare models pair by pair on the same outer folds.

    The folds of a cross-validation share training samples, so an ordinary t-test of their
    scores finds differences where there are none. The test here enlarges the variance by the
    share of test to training samples (Nadeau and Bengio 2003), and the p-values are adjusted
    for the number of pairs by Holm's method.

    It asks whether two models differ in score on data of this kind and size. A difference that
    is not significant is no proof that they are equal: look at its interval.

    Parameters
    ----------
    models : dict
        Name to estimator (a search, a pipeline), each of which goes through `nested_cv` on the
        same folds; or name to `NestedCVResult` of the same data and folds.
    X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes), optional
    y : array-like of shape (n_samples,), optional
        Both are needed for estimators, and not for results.
    metric : str, optional
        The measure to compare by; by default the main one of the first model.
    level : float, default=0.95
        Of the intervals, which are not adjusted for the number of pairs.
    outer, groups, group_key, scoring, n_jobs, progress, random_state
        As `nested_cv` takes them.
    repeats : int, default=5
        As `nested_cv` takes it; one repeat of five folds can hardly show a difference.
    cache : path-like, optional
        A folder, in which every model gets one of its name.

    Returns
    -------
    DataFrame
        Indexed by the names of the pair, ``first`` and ``second``: ``metric``, the means
        ``score_first`` and ``score_second``, their ``difference`` (first less second) with
        ``low`` and ``high``, ``t``, ``p``, ``p_adjusted``, and ``n_folds``.

    Raises
    ------
    ValueError
        For fewer than two models, results of other folds or samples, and a measure that one of
        them lacks.

    References
    ----------
    Nadeau, Bengio (2003), "Inference for the generalization error", Machine Learning
    52:239-281, doi:10.1023/A:1024068626366.

    Examples
    --------
    >>> from sklearn.dummy import DummyClassifier
    >>> from sklearn.naive_bayes import GaussianNB
    >>> from geneexpr import compare_models, make_cohort
    >>> cohort = make_cohort(60, 50, effect_size=2, random_state=0)
    >>> models = {"bayes": GaussianNB(), "guess": DummyClassifier()}
    >>> table = compare_models(models, cohort.X, cohort.obs["condition"], progress=False)
    >>> bool(table.loc[("bayes", "guess"), "p_adjusted"] < 0.01)
    True
    """
    if not isinstance(models, dict) or len(models) < 2:
        raise ValueError(
            f"models must be a dict of at least two, name to estimator; got {_said(models)}."
        )
    check_number("level", level, above=0, below=1)
    results = _results(
        models,
        X,
        y,
        cache=cache,
        outer=outer,
        groups=groups,
        group_key=group_key,
        repeats=repeats,
        scoring=scoring,
        n_jobs=n_jobs,
        progress=progress,
        random_state=random_state,
    )
    metric = _common_metric(results, metric)
    _check_same_folds(results)
    rows = [_compare(results[a], results[b], metric, level) for a, b in combinations(results, 2)]
    index = pd.MultiIndex.from_tuples(combinations(results, 2), names=["first", "second"])
    table = pd.DataFrame(rows, index=index)
    table.insert(0, "metric", metric)
    table.insert(len(table.columns) - 1, "p_adjusted", adjust_p_values(table["p"], "holm"))
    return table


def _said(models):
    return f"{len(models)} in a dict" if isinstance(models, dict) else type(models).__name__


def _results(models, X, y, *, cache, **options):
    """Return the results of all models; those that are estimators are run."""
    results = {}
    for name, model in models.items():
        if isinstance(model, NestedCVResult):
            results[name] = model
            continue
        if X is None or y is None:
            raise ValueError(f"The model {name!r} is an estimator: X and y are needed to run it.")
        folder = None if cache is None else Path(cache) / str(name)
        results[name] = nested_cv(model, X, y, cache=folder, **options)
    return results


def _common_metric(results, metric):
    first = next(iter(results.values()))
    metric = first.metric if metric is None else metric
    check_choice("metric", metric, first.metrics)
    for name, result in results.items():
        if metric not in result.metrics:
            raise ValueError(
                f"The result of {name!r} has no {metric!r}; it has {name_some(result.metrics)}. "
                "Name another metric=, or run it with that scoring."
            )
    return metric


def _check_same_folds(results):
    """Raise where results are not of the same samples in the same folds."""
    (name, first), *others = results.items()
    columns = ["row", "repeat", "fold"]
    for other, result in others:
        ours, theirs = first.predictions, result.predictions
        same = len(ours) == len(theirs) and first.scores.index.equals(result.scores.index)
        if same:
            same = (ours[columns].to_numpy() == theirs[columns].to_numpy()).all()
        if not same:
            raise ValueError(
                f"{name!r} and {other!r} were not tested on the same folds: run both with the "
                "same outer, repeats, groups and random_state."
            )
        if not (ours["y_true"].to_numpy() == theirs["y_true"].to_numpy()).all():
            raise ValueError(f"{name!r} and {other!r} were not tested on the same outcome y.")


def _compare(first, second, metric, level):
    """Return the row of a pair; folds in which one has no score do not count."""
    scores = np.column_stack([first.scores[metric], second.scores[metric]])
    scores = scores[np.isfinite(scores).all(axis=1)]
    if len(scores) < 2:
        raise ValueError(
            f"At least two folds with {metric!r} of both models are needed; got {len(scores)}."
        )
    differences = scores[:, 0] - scores[:, 1]
    low, high = corrected_interval(differences, first.ratio, level)
    t, p = corrected_t_test(differences, first.ratio)
    means = scores.mean(axis=0)
    return {
        "score_first": means[0],
        "score_second": means[1],
        "difference": differences.mean(),
        "low": low,
        "high": high,
        "t": t,
        "p": p,
        "n_folds": len(scores),
    }
