"""Nested cross-validation: a search inside of every fold, so that its choice is tested too."""

from contextlib import closing
from dataclasses import dataclass

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from sklearn.base import clone
from tqdm import tqdm

from .._containers import sample_names, values
from .._validation import check_number, labels_of
from ._chosen_genes import chosen_genes
from ._fold_scores import Scoring, predict_fold, read_scoring, score_fold
from ._nested_cache import FoldCache, fingerprints
from ._nested_folds import check_folds, inner_groups, outer_folds, prepared_search
from ._nested_result import NestedCVResult
from ._out_of_fold import Outcome, read_outcome
from ._rows import take_rows


def nested_cv(
    search,
    X,
    y,
    *,
    outer=5,
    groups=None,
    group_key=None,
    repeats=1,
    scoring=None,
    cache=None,
    n_jobs=None,
    progress=True,
    random_state=0,
):
    """Estimate how well a model does, with everything that was chosen for it chosen anew.

    The score by which a search picks its parameters is too good: it is the best of many. Here
    the search runs on the training samples of every outer fold and its best model is tested on
    samples that took part in nothing, so the mean over the outer folds holds for the whole
    procedure, search included. A model to be used is then fitted on all samples
    (``search.fit(X, y)``).

    Parameters
    ----------
    search : estimator
        A search (``GridSearchCV`` or like it, with ``refit``), usually over a Pipeline; or any
        classifier or regressor. Not changed.
    X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)
    y : array-like of shape (n_samples,)
        Classes or numbers.
    outer : int or splitter, default=5
        Outer folds. A number gives shuffled ones, with the classes in equal shares, and the
        samples of a group together.
    groups : array-like of shape (n_samples,), optional
        The donor of each sample, for arrays. Donors stay together in outer and inner splits: a
        search whose ``cv`` is a number gets splits by group, one whose ``cv`` parts a donor is
        refused. Splits that a model makes by itself (early stopping, calibration) need its own
        ``group_key``.
    group_key : str, optional
        The annotation of X that names the donor.
    repeats : int, default=1
        How often the outer folds are drawn anew; more repeats steady the estimate.
    scoring : str, callable, sequence of str or dict, optional
        What to measure on the outer folds: names of `metric_intervals`, names that
        scikit-learn knows, or callables ``(model, X, y)``. The first one is the main one. By
        default all that suits the task, the measure of the search first.
    cache : path-like, optional
        A folder. Every finished fold is kept there as JSON, and a later call with the same
        data, search and folds goes on with what is missing. A folder with the folds of another
        run raises. That a class or function of your own was rewritten is not noticed.
    n_jobs : int, optional
        Outer folds that are run at a time. The search has its own ``n_jobs``.
    progress : bool, default=True
        Show a progress bar.
    random_state : int, default=0
        For the folds.

    Returns
    -------
    NestedCVResult

    Raises
    ------
    ValueError
        For a fold that lacks the classes it needs, donors on both sides of a split, a search
        without ``refit``, and a cache of another run.

    See Also
    --------
    compare_models : Several models on the same folds, with a test.
    NestedCVDisplay : The result as a figure.

    References
    ----------
    Varma, Simon (2006), "Bias in error estimation when using cross-validation for model
    selection", BMC Bioinformatics 7:91, doi:10.1186/1471-2105-7-91; for the interval Nadeau,
    Bengio (2003), doi:10.1023/A:1024068626366.

    Examples
    --------
    >>> from sklearn.feature_selection import SelectKBest
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.model_selection import GridSearchCV
    >>> from sklearn.pipeline import make_pipeline
    >>> from geneexpr import CPMNormalizer, LogTransformer, ToArray, make_cohort, nested_cv
    >>> cohort = make_cohort(60, 50, effect_size=3, random_state=0)
    >>> model = make_pipeline(
    ...     CPMNormalizer(), LogTransformer(), ToArray(), SelectKBest(),
    ...     LogisticRegression(max_iter=5000),
    ... )
    >>> search = GridSearchCV(model, {"selectkbest__k": [5, 20]}, cv=3, scoring="roc_auc")
    >>> result = nested_cv(search, cohort, cohort.obs["condition"], outer=3, progress=False)
    >>> result.metric, result.scores.shape[0], list(result.params)
    ('roc_auc', 3, ['selectkbest__k'])
    """
    outcome, groups = _checked(search, X, y, groups, group_key, repeats, random_state)
    scoring = read_scoring(scoring, search, numbers=outcome.classes is None)
    prepared = prepared_search(search, groups is not None, random_state)
    folds = outer_folds(outer, X, outcome, groups, repeats=repeats, random_state=random_state)
    check_folds(folds, outcome, groups, need_all_classes=scoring.needs_all_classes)
    prints = {}
    if cache is not None:
        prints = fingerprints(prepared, X, outcome, groups, scoring)
    kept = FoldCache(cache, prints)
    job = _Job(prepared, X, outcome, groups, scoring, kept)
    return _result(_run(job, folds, n_jobs, progress), scoring, outcome, X)


def _checked(search, X, y, groups, group_key, repeats, random_state):
    """Return the outcome and the groups; raise for options that cannot be."""
    if not hasattr(search, "fit") or not hasattr(search, "get_params"):
        raise TypeError(
            f"search must be an estimator of scikit-learn's interface; got {type(search).__name__}."
        )
    check_number("repeats", repeats, least=1, whole=True)
    check_number("random_state", random_state, least=0, whole=True)
    outcome = read_outcome(y, search)
    n_samples = values(X).shape[0]
    if len(outcome.given) != n_samples:
        raise ValueError(f"y has {len(outcome.given)} labels for {n_samples} samples.")
    return outcome, labels_of(X, group_key, groups, key_name="group_key", given_name="groups")


@dataclass(frozen=True, slots=True)
class _Job:
    """What every fold needs."""

    search: object
    X: object
    outcome: Outcome
    groups: np.ndarray | None
    scoring: Scoring
    cache: FoldCache

    def run(self, fold):
        """Fit and test one fold; keep its record."""
        try:
            record = self._record(fold)
        except Exception as error:
            error.add_note(f"This happened in {fold.said()} of the nested cross-validation.")
            raise
        self.cache.write(fold, record)
        return record

    def _record(self, fold):
        X, y = take_rows(self.X, fold.train), self.outcome.given[fold.train]
        inner = None if self.groups is None else self.groups[fold.train]
        search = clone(self.search)
        model = search.fit(X, y, **inner_groups(search, y, inner))
        new = take_rows(self.X, fold.test)
        found = predict_fold(model, new, self.outcome, fold.test)
        truth = self.outcome.given[fold.test]
        scores = getattr(found, "scores", None)
        return {
            "repeat": fold.repeat,
            "fold": fold.number,
            "n_train": len(fold.train),
            "rows": fold.test.tolist(),
            "predicted": found.predicted.tolist(),
            "class_scores": None if scores is None else scores.tolist(),
            "scores": score_fold(self.scoring, model, new, truth, found),
            "inner_score": float(getattr(model, "best_score_", np.nan)),
            "params": {k: _plain(v) for k, v in getattr(model, "best_params_", {}).items()},
            "genes": chosen_genes(model, X),
        }


def _plain(value):
    """Return a parameter as a plain value, or written out."""
    value = value.item() if isinstance(value, np.generic) else value
    return value if value is None or isinstance(value, bool | int | float | str) else repr(value)


def _run(job, folds, n_jobs, progress):
    """Return the records of all folds: those kept, and those still to be done."""
    records, open_folds = {}, []
    for fold in folds:
        record = job.cache.read(fold)
        if record is None:
            open_folds.append(fold)
        else:
            records[_key(fold)] = record
    bar = tqdm(
        total=len(folds), initial=len(records), desc="outer folds", disable=not progress, unit=""
    )
    runs = Parallel(n_jobs=n_jobs, return_as="generator_unordered")
    with bar, closing(runs(delayed(job.run)(fold) for fold in open_folds)) as done:
        for record in done:
            records[record["repeat"], record["fold"]] = record
            bar.update()
    return [records[_key(fold)] for fold in folds]


def _key(fold):
    return fold.repeat, fold.number


def _result(records, scoring, outcome, X):
    index = pd.MultiIndex.from_tuples(
        [(r["repeat"], r["fold"]) for r in records], names=["repeat", "fold"]
    )
    sizes = {
        "n_train": [r["n_train"] for r in records],
        "n_test": [len(r["rows"]) for r in records],
    }
    scores = pd.DataFrame(sizes, index=index).join(
        pd.DataFrame([r["scores"] for r in records], index=index)
    )
    scores["inner_score"] = [r["inner_score"] for r in records]
    return NestedCVResult(
        metric=scoring.main,
        scores=scores,
        params=_params([r["params"] for r in records], index),
        genes=[None if r["genes"] is None else tuple(r["genes"]) for r in records],
        predictions=pd.concat([_predicted(r, outcome, X) for r in records]),
        classes=outcome.classes,
        n_genes=values(X).shape[1],
    )


def _params(chosen, index):
    """Return a column a parameter; a chosen None stays None, and is no missing number."""
    table = pd.DataFrame(chosen, index, dtype=object)
    whole = {n: table[n] if table[n].isna().any() else table[n].infer_objects() for n in table}
    return pd.DataFrame(whole, index)


def _predicted(record, outcome, X):
    """Return the predictions of one fold as a table."""
    rows, found = np.array(record["rows"]), np.array(record["predicted"])
    names = sample_names(X)
    columns = {
        "row": rows,
        "repeat": record["repeat"],
        "fold": record["fold"],
        "y_true": outcome.given[rows],
        "y_pred": found if outcome.classes is None else outcome.classes[found],
    }
    if record["class_scores"] is not None:
        by_class = np.array(record["class_scores"]).T
        names_of = (f"score: {name}" for name in outcome.classes)
        columns |= dict(zip(names_of, by_class, strict=True))
    index = pd.Index(rows if names is None else names[rows], name="sample")
    return pd.DataFrame(columns, index=index)
