"""Whether a score can be believed: where it comes from, and what the steps look at."""

import warnings
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.base import clone

from .._validation import GeneExpressionWarning
from ._confounding import chance_of_link
from ._out_of_fold import folds_of, predict_out_of_fold, predictions_of, read_outcome
from ._row_independence import check_steps, outcome_annotations
from ._rows import permutation_within, reassigned, take_rows
from ._samples import read_groupings
from ._verdict import write_verdict

_MOST_ROWS = 60
"""Rows that go through the steps together."""
POOLED = "pooled"
WITHIN = "within batches"
LEFT_OUT = "left-out batches"
SHUFFLED_POOLED = "shuffled, pooled"
SHUFFLED_WITHIN = "shuffled, within batches"


@dataclass(frozen=True, slots=True, repr=False)
class LeakageAudit:
    """What `leakage_audit` found, in words when printed or shown.

    Attributes
    ----------
    verdict : str
        What the numbers say, in a sentence or two.
    problems : tuple of str
        What makes the pooled score wrong or the model unusable, and what to do about it.
    cautions : tuple of str
        What limits the use of the model.
    metric : {"AUC", "correlation"}
    chance : float
        The score of a guess.
    scores : DataFrame
        Indexed by kind of score: ``score``, and for shuffled labels (their mean) ``low`` and
        ``high``, between which 95 % of the permutations lie.
    batches : DataFrame
        Indexed by batch: ``n_samples``, the scores ``within`` and ``left_out`` (trained on
        the other batches), ``error``, why there is no such score, and ``warning``, what the
        steps warned of meanwhile.
    permutations : DataFrame
        The scores ``pooled`` and ``within`` of every permutation.
    steps : DataFrame
        Indexed by step: whether rows came out alike alone and together, of known batches
        (``rows``) and of a batch left out (``rows_of_new_batch``); the largest ``difference``
        and ``difference_new_batch``; the annotation that gives the outcome away and is read
        (``reads_outcome``); and what the step declares in its tags, ``declares_rows`` and
        ``declares_genes`` (None for steps without such tags).
    """

    verdict: str
    problems: tuple
    cautions: tuple
    metric: str
    chance: float
    scores: pd.DataFrame
    batches: pd.DataFrame
    permutations: pd.DataFrame
    steps: pd.DataFrame

    @property
    def passed(self):
        """Whether no problem was found."""
        return not self.problems

    def __repr__(self):
        return str(self)  # what a notebook shows

    def __str__(self):
        return "\n".join(
            [
                self.verdict,
                *(f"\nPROBLEM {i}. {text}" for i, text in enumerate(self.problems, 1)),
                *(f"\nNote. {text}" for text in self.cautions),
                f"\nScores ({self.metric}, chance is {self.chance:g})",
                _printed(self.scores),
                "\nBatches",
                _printed(self.batches.drop(columns=["error", "warning"])),
                "\nSteps: rows alone against together",
                _printed(self.steps[["rows", "rows_of_new_batch", "difference"]], "{:.0e}"),
            ]
        )


def _printed(table, digits="{:.2f}"):
    return table.rename_axis(None).to_string(float_format=digits.format, na_rep="-")


def leakage_audit(
    estimator,
    X,
    y,
    *,
    batch_key=None,
    batch=None,
    cv=5,
    n_permutations=20,
    random_state=0,
    n_jobs=None,
):
    """Audit a model: tell whether its score is signal, batch effect or a leak.

    The model is fitted anew for every number, so everything that learns from data belongs into
    ``estimator``; what was done to X before cannot be seen here. Reported are

    - the *pooled* cross-validated score, the one that papers quote,
    - the score *within batches*: the same predictions, but only samples of the same batch are
      compared, so that knowing the batch does not help,
    - the score on *left-out batches*: trained on the other batches, as for a new laboratory,
    - both of the first under *shuffled* labels: within every batch the expression values are
      dealt to other samples, so that labels and all annotations stay linked with each other
      and with the batch, but no longer with expression. What is above chance there is not
      signal,
    - the *row independence* of every step: rows that it was not fitted on go through alone and
      together.

    The score is the area under the ROC curve (of each class against the rest), for a
    continuous outcome the correlation; within folds (and batches), weighted by the number of
    pairs that are compared.

    The model is fitted ``cv * (1 + n_permutations)`` times, once a batch, and once for the
    steps. Data on disk are loaded into memory.

    Parameters
    ----------
    estimator : classifier or regressor
        Any of scikit-learn's interface; usually a Pipeline. Not changed.
    X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)
    y : array-like of shape (n_samples,)
        Classes or numbers.
    batch_key : str, optional
        The annotation of X that names the batch.
    batch : array-like of shape (n_samples,), optional
        The batches, for arrays. They are not passed to the estimator: where its steps need
        labels, use a DataFrame or an AnnData.
    cv : int or splitter, default=5
        Folds; with an integer shuffled ones, with class and batch in equal shares. Where
        donors have several samples, ``SplitBy(StratifiedGroupKFold(5), "donor")``.
    n_permutations : int, default=20
        At least 19 for a test at 5 %.
    random_state : int, default=0
        For folds and permutations.
    n_jobs : int, optional
        Folds that are fitted at a time.

    Returns
    -------
    LeakageAudit

    See Also
    --------
    LeakageAuditDisplay : The same as a figure.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from geneexpr import CPMNormalizer, LogTransformer, ToArray, leakage_audit, make_cohort
    >>> cohort = make_cohort(90, 50, n_batches=3, effect_size=3, random_state=0)
    >>> model = make_pipeline(
    ...     CPMNormalizer(), LogTransformer(), ToArray(), LogisticRegression(max_iter=5000)
    ... )
    >>> audit = leakage_audit(
    ...     model, cohort, cohort.obs["condition"], batch_key="batch", n_permutations=2
    ... )
    >>> audit.passed
    True
    """
    outcome = read_outcome(y, estimator)
    batches, _ = read_groupings(X, batch_key, batch, None)
    if len(outcome.given) != len(batches.codes):
        raise ValueError(f"y has {len(outcome.given)} labels for {len(batches.codes)} samples.")
    folds = folds_of(cv, X, outcome, batches.codes, random_state)
    predicted = predict_out_of_fold(estimator, X, outcome, folds, n_jobs)
    by_batch, unseen = _left_out(estimator, X, outcome, batches)
    by_batch.insert(1, "within", _within_each(predicted, outcome, batches))
    shuffled = _shuffled(
        estimator, X, outcome, batches.codes, folds, n_permutations, random_state, n_jobs
    )
    steps = _audit_steps(estimator, X, outcome, batches.codes, folds[0], unseen)
    pooled, within = _two_scores(predicted, outcome, batches.codes)
    scores = _score_table(pooled, within, by_batch.pop("pairs"), by_batch["left_out"], shuffled)
    link = chance_of_link(outcome.values, batches.codes, numeric=outcome.classes is None)
    verdict, problems, cautions = write_verdict(
        scores, by_batch, shuffled, steps, outcome.metric, outcome.chance, link
    )
    return LeakageAudit(
        verdict,
        problems,
        cautions,
        outcome.metric,
        outcome.chance,
        scores,
        by_batch,
        shuffled,
        steps,
    )


def _two_scores(predicted, outcome, batch):
    """Return the pooled score and the one within batches, both within folds."""
    rows, fold = predicted.rows, predicted.fold
    both = fold * (batch.max() + 1) + batch[rows]
    return tuple(outcome.score(rows, predicted.values, strata) for strata in (fold, both))


def _within_each(predicted, outcome, batches):
    found = []
    for code in range(len(batches.levels)):
        own = batches.codes[predicted.rows] == code
        found.append(
            outcome.score(predicted.rows[own], predicted.values[own], predicted.fold[own])
            if own.any()
            else np.nan
        )
    return found


def _left_out(estimator, X, outcome, batches):
    """Fit without each batch and score it; return a fitted model with rows new to it, too."""
    records, unseen = [], None
    for code in range(len(batches.levels)):
        rows = np.flatnonzero(batches.codes == code)
        others = np.flatnonzero(batches.codes != code)
        record = {"n_samples": len(rows), "left_out": np.nan, "error": "", "pairs": 0}
        with _noted() as notes:
            try:
                model = clone(estimator).fit(take_rows(X, others), outcome.given[others])
                if unseen is None or len(rows) > unseen[1].shape[0]:
                    unseen = model, take_rows(X, rows[:_MOST_ROWS])
                predicted = predictions_of(model, take_rows(X, rows), outcome)
                record["left_out"] = outcome.score(rows, predicted, np.zeros(len(rows)))
                record["pairs"] = _n_compared(outcome, rows)
            except Exception as error:  # reported: a model of anybody's may refuse a new batch
                record["error"] = str(error) or type(error).__name__
        records.append({**record, "warning": " ".join(notes)})
    return pd.DataFrame(records, index=pd.Index(batches.levels, name="batch")), unseen


@contextmanager
def _noted():
    """Collect what geneexpr warns of; other warnings go their way."""
    notes = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", GeneExpressionWarning)
        yield notes
    for warning in caught:
        if issubclass(warning.category, GeneExpressionWarning):
            notes.append(str(warning.message))
        else:
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )
    notes[:] = dict.fromkeys(notes)


def _n_compared(outcome, rows):
    if outcome.classes is None:
        return len(rows)
    counts = np.bincount(outcome.values[rows])
    return int((counts * (len(rows) - counts)).sum())


def _shuffled(estimator, X, outcome, batch, folds, n_permutations, random_state, n_jobs):
    """Return the scores after expression was dealt anew within batches."""
    rng = np.random.default_rng(random_state)
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GeneExpressionWarning)  # said once for the true labels
        for _ in range(n_permutations):
            dealt = reassigned(X, permutation_within(batch, rng))
            predicted = predict_out_of_fold(estimator, dealt, outcome, folds, n_jobs)
            found.append(_two_scores(predicted, outcome, batch))
    return pd.DataFrame(found, columns=["pooled", "within"], dtype=np.float64)


def _audit_steps(estimator, X, outcome, batch, fold, unseen):
    train, test = fold
    test = np.sort(np.random.default_rng(0).permutation(test)[:_MOST_ROWS])
    fitted = clone(estimator).fit(take_rows(X, train), outcome.given[train])
    keys = () if outcome.classes is None else outcome_annotations(fitted, X, outcome.values)
    return check_steps(fitted, take_rows(X, test), batch[test], unseen, keys)


def _score_table(pooled, within, pairs, left_out, shuffled):
    known = left_out.notna() & (pairs > 0)
    carried = np.average(left_out[known], weights=pairs[known]) if known.any() else np.nan
    rows = {POOLED: [pooled], WITHIN: [within], LEFT_OUT: [carried]}
    for name, column in ((SHUFFLED_POOLED, "pooled"), (SHUFFLED_WITHIN, "within")):
        values = shuffled[column].dropna()
        limits = np.quantile(values, [0.025, 0.975]) if len(values) else [np.nan, np.nan]
        rows[name] = [values.mean(), *limits]
    padded = [(*row, np.nan, np.nan)[:3] for row in rows.values()]
    index = pd.Index(list(rows), name="kind")
    return pd.DataFrame(padded, index=index, columns=["score", "low", "high"], dtype=np.float64)
