"""For whom a model fails: every measure in every subgroup, and the largest gaps."""

from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations

import numpy as np
import pandas as pd
from sklearn.base import is_regressor

from .._containers import is_named, name_some
from .._optional import import_optional
from .._validation import check_number, labels_of
from ..stats._metric_intervals import bootstrap_values, percentile_interval, wilson_interval
from ._conformal_base import calibration_folds
from ._out_of_fold import folds_of, predict_out_of_fold, read_outcome
from ._performance import REGRESSION, _chosen_metrics, measures
from ._predicted import Numbers, predicted_classes, predicted_numbers, scores_of
from ._samples import grouping

ALL = "all"
"""The name of the row that stands for all samples."""


@dataclass(frozen=True, slots=True, repr=False)
class SubgroupReport:
    """What `subgroup_report` found, in words when printed or shown.

    Attributes
    ----------
    table : DataFrame
        A row a metric and subgroup: ``metric``, ``subgroup`` ("all" for all samples),
        ``estimate``, ``low``, ``high``, ``n`` and ``flag`` (empty where there is none).
    gaps : DataFrame
        Indexed by metric: the largest ``gap`` between two subgroups without a flag, its ``low``
        and ``high``, and the subgroups with the ``highest`` and the ``lowest`` estimate. The
        intervals hold for all pairs of subgroups together (Bonferroni).
    flags : Series of str
        Indexed by subgroup, those with a flag only: too few samples, or none of a class.
    counts : DataFrame
        Indexed by subgroup: samples, in all (``n``) and of each class.
    by : tuple of str
        What the subgroups were formed by.
    level : float
        Of the intervals.
    min_size : int
    """

    table: pd.DataFrame
    gaps: pd.DataFrame
    flags: pd.Series
    counts: pd.DataFrame
    by: tuple
    level: float
    min_size: int

    def __repr__(self):
        return str(self)  # what a notebook shows

    def __str__(self):
        shown = self.table.assign(
            said=[_said(row) for row in self.table.itertuples()],
            subgroup=[f"{r.subgroup} (n={r.n})" for r in self.table.itertuples()],
        )
        wide = shown.pivot(index="subgroup", columns="metric", values="said")
        wide = wide.loc[shown["subgroup"].unique(), shown["metric"].unique()]
        parts = [f"By {' and '.join(self.by)}, with {self.level:.0%} intervals"]
        parts += ["", _printed(wide.T.rename_axis(None).rename_axis(None, axis=1))]
        parts += ["", "Largest gaps between subgroups without a flag:", *self._gap_lines()]
        parts += [f"FLAG {subgroup}: {text}" for subgroup, text in self.flags.items()]
        return "\n".join(parts)

    def _gap_lines(self):
        known = self.gaps.dropna(subset="gap")
        if not len(known):
            return ["  none: fewer than two subgroups without a flag"]
        return [
            f"  {metric}: {row.gap:.2f} [{row.low:.2f}, {row.high:.2f}], {row.highest} above "
            f"{row.lowest}{' (the interval is above 0)' if row.low > 0 else ''}"
            for metric, row in known.iterrows()
        ]

    def plot(self, **options):
        """Draw a forest plot of the subgroups.

        Parameters
        ----------
        **options
            As `SubgroupForestDisplay.from_report` takes them: ``metrics`` and ``axes``.

        Returns
        -------
        SubgroupForestDisplay
        """
        import geneexpr  # loads the stage of figures only now

        return geneexpr.SubgroupForestDisplay.from_report(self, **options)


def subgroup_report(
    estimator,
    X,
    y,
    by,
    *,
    cv=None,
    min_size=20,
    metrics=None,
    group_key=None,
    groups=None,
    level=0.95,
    n_resamples=2000,
    random_state=0,
):
    """Measure a model in every subgroup of the samples, with intervals, gaps and flags.

    An accuracy of .9 can be .95 in women and .8 in men. Small subgroups show gaps by chance, so
    every measure and every gap comes with an interval, and subgroups that are too small or lack
    a class are flagged and kept out of the gaps.

    Uses fairlearn (``pip install 'geneexpr[evaluation]'``).

    Parameters
    ----------
    estimator : classifier or regressor
        Fitted, on other samples than these; with ``cv`` it is cloned.
    X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)
    y : array-like of shape (n_samples,)
        Classes or numbers.
    by : str, list of str, or array-like of shape (n_samples,)
        The annotation of X whose levels are the subgroups; of several annotations every
        combination is one (``"female, Montgomery"``). Labels, or a dict of them, beside an array.
    cv : int or splitter, optional
        Predict every sample by a model of the other folds, where there are no other samples. The
        intervals then take the predictions as given: they do not hold the variation of the model
        from fold to fold.
    min_size : int, default=20
        Smaller subgroups are flagged.
    metrics : sequence of str, optional
        As `metric_intervals` takes them; by default all that can be had.
    group_key : str, optional
        The annotation that names the donor, where donors have several samples: whole donors
        are drawn for the intervals, and none is in two folds.
    groups : array-like of shape (n_samples,), optional
        The donors, for arrays.
    level : float, default=0.95
        Of the intervals.
    n_resamples : int, default=2000
        Of the bootstrap.
    random_state : int, default=0

    Returns
    -------
    SubgroupReport

    Raises
    ------
    ValueError
        Where there is no such annotation (the message names those there), it has a value a
        sample, or one level only.
    ImportError
        If fairlearn is not installed.

    See Also
    --------
    SubgroupForestDisplay : Draws the report.
    performance_report : The same for all samples together.

    Notes
    -----
    Intervals are quantiles of a bootstrap over samples (or donors); of the accuracy, without
    donors, Wilson's. Where all predictions of a subgroup are right the bootstrap does not vary
    and its interval has no width: believe Wilson's there. Average precision and F1 depend on how
    frequent a class is, so that a gap in them may be one of prevalence.

    References
    ----------
    Mitchell et al. (2019), "Model cards for model reporting", doi:10.1145/3287560.3287596;
    Weerts et al. (2023), "Fairlearn: assessing and improving fairness of AI systems",
    doi:10.48550/arXiv.2303.16626.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from geneexpr import CPMNormalizer, ToArray, make_cohort, subgroup_report
    >>> cohort = make_cohort(160, 50, effect_size=3, random_state=0)
    >>> cohort.obs["sex"] = np.resize(["female", "male", "male"], 160)
    >>> steps = CPMNormalizer(log=True), ToArray(), StandardScaler(), LogisticRegression()
    >>> train, new = cohort[:80], cohort[80:]
    >>> model = make_pipeline(*steps).fit(train, train.obs["condition"])
    >>> y = new.obs["condition"].to_numpy()
    >>> subgroup_report(model, new, y, by="sex", metrics=["accuracy", "brier"])
    By sex, with 95% intervals
    <BLANKLINE>
                     all (n=80)      female (n=27)        male (n=53)
    accuracy  0.99 [0.93, 1.00]  0.96 [0.82, 0.99]  1.00 [0.93, 1.00]
    brier     0.02 [0.01, 0.03]  0.03 [0.01, 0.07]  0.01 [0.01, 0.02]
    <BLANKLINE>
    Largest gaps between subgroups without a flag:
      accuracy: 0.04 [0.00, 0.12], male above female
      brier: 0.02 [-0.01, 0.06], female above male
    """
    check_number("min_size", min_size, least=1, whole=True)
    check_number("level", level, above=0, below=1)
    check_number("n_resamples", n_resamples, least=20, whole=True)
    names, subgroup = _subgroups(X, by)
    donors = labels_of(X, group_key, groups, key_name="group_key", given_name="groups")
    y = np.asarray(y)
    if len(y) != len(subgroup):
        raise ValueError(f"y must hold one value a sample: got {len(y)} for {len(subgroup)}.")
    data = _predicted(estimator, X, y, cv, donors, random_state)
    if isinstance(data, Numbers) and metrics is None:
        metrics = REGRESSION
    metrics = _chosen_metrics(metrics, data)
    counts, flags = _counted(data, subgroup, min_size)
    units = np.arange(data.n) if donors is None else pd.factorize(donors)[0]
    rows = {name: np.flatnonzero(subgroup == name) for name in counts.index[1:]}
    rows = {ALL: np.arange(data.n), **rows}
    values = _resampled(data, rows, units, metrics, n_resamples, random_state)
    table = _table(data, subgroup, rows, metrics, values, flags, level, donors is not None)
    kept = [name for name in rows if name != ALL and name not in flags.index]
    gaps = _gaps(table, values, metrics, kept, level)
    return SubgroupReport(table, gaps, flags, counts, names, level, min_size)


# ------------------------------------------------------------------ what is compared


def _subgroups(X, by):
    """Return the names of what subgroups are formed by, and the subgroup of every sample."""
    parts = _labels_by_name(X, by)
    read = {name: grouping(labels, repr(name)) for name, labels in parts.items()}
    for name, found in read.items():
        if len(found.levels) < 2:
            raise ValueError(
                f"All {len(found.codes)} samples are of the subgroup {found.levels[0]!r} of "
                f"{name!r}: at least two are needed to compare."
            )
    words = [np.asarray(found.levels, dtype=object)[found.codes] for found in read.values()]
    subgroup = np.array([", ".join(levels) for levels in zip(*words, strict=True)], dtype=object)
    if ALL in subgroup:
        raise ValueError(f"A subgroup is named {ALL!r}, which stands for all samples: rename it.")
    return tuple(read), subgroup


def _labels_by_name(X, by):
    if isinstance(by, str) or (isinstance(by, list | tuple) and is_named(X)):
        keys = [by] if isinstance(by, str) else list(by)
        if not keys:
            raise ValueError("by is empty: name the annotations that form the subgroups.")
        if not is_named(X):
            raise ValueError(
                f"by={by!r} names an annotation, but {type(X).__name__} carries none: give the "
                "labels themselves, one a sample (by=labels), or X as AnnData or DataFrame."
            )
        return {key: labels_of(X, key, key_name="by") for key in keys}
    if isinstance(by, pd.DataFrame):
        by = {name: by[name] for name in by.columns}
    given = by if isinstance(by, dict) else {getattr(by, "name", None) or "subgroup": by}
    return {name: labels_of(X, None, labels, given_name="by") for name, labels in given.items()}


def _predicted(estimator, X, y, cv, donors, random_state):
    """Return predictions beside the truth, of a fitted model or out of folds."""
    if cv is None:
        predicted = np.asarray(estimator.predict(X))
        if is_regressor(estimator):
            return predicted_numbers(y, predicted)
        return predicted_classes(y, predicted, scores_of(estimator, X), estimator.classes_)
    outcome = read_outcome(y, estimator)
    blank = np.zeros(len(outcome.values), dtype=int)
    if donors is None or hasattr(cv, "split"):
        folds = folds_of(cv, X, outcome, blank, random_state)
    else:
        folds = calibration_folds(outcome, cv, groups=donors, random_state=random_state)
    held = predict_out_of_fold(estimator, X, outcome, folds)
    if len(np.unique(held.rows)) < len(held.rows) or len(held.rows) < len(outcome.values):
        raise ValueError("cv must predict every sample once; use folds without repetition.")
    values = held.values[np.argsort(held.rows)]
    if outcome.classes is None:
        return predicted_numbers(outcome.given, values)
    return predicted_classes(
        outcome.given, outcome.classes[values.argmax(axis=1)], values, outcome.classes
    )


def _counted(data, subgroup, min_size):
    """Count samples, and flag subgroups that are too small or lack a class."""
    names = [ALL, *sorted(set(subgroup))]
    masks = [np.ones(data.n, dtype=bool), *(subgroup == name for name in names[1:])]
    index = pd.Index(names, name="subgroup")
    counts = pd.DataFrame({"n": [int(mask.sum()) for mask in masks]}, index=index)
    if not isinstance(data, Numbers):
        for code, level in enumerate(data.classes):
            counts[level] = [int((data.codes[mask] == code).sum()) for mask in masks]
    flags = {name: _flag(counts.loc[name], min_size) for name in names[1:]}
    flags = {name: text for name, text in flags.items() if text}
    return counts, pd.Series(flags, dtype=object, name="flag").rename_axis("subgroup")


def _flag(count, min_size):
    few = [f"fewer than {min_size} samples"] if count["n"] < min_size else []
    lacking = [level for level in count.index[1:] if count[level] == 0]
    return "; ".join(few + ([f"no sample of {name_some(lacking)}"] if lacking else []))


# ------------------------------------------------------------------ measures and gaps


def _taken(data, rows):
    """Return the predictions of some samples."""
    if isinstance(data, Numbers):
        return replace(data, true=data.true[rows], predicted=data.predicted[rows])
    scores = None if data.scores is None else data.scores[rows]
    return replace(data, codes=data.codes[rows], predicted=data.predicted[rows], scores=scores)


def _resampled(data, rows, units, metrics, n_resamples, random_state):
    """Return, for each subgroup, measures of shape (n_metrics, n_resamples).

    All subgroups are measured in the same resamples, since a donor may be in several.
    """
    parts = {name: (_taken(data, at), at) for name, at in rows.items()}

    def measure(weights):
        found = [measures(own, weights[:, at], metrics) for own, at in parts.values()]
        return np.stack([part[metric] for part in found for metric in metrics])

    rng = np.random.default_rng(random_state)
    values = bootstrap_values(measure, units, n_resamples, rng)
    return dict(zip(parts, values.reshape(len(parts), len(metrics), -1), strict=True))


def _table(data, subgroup, rows, metrics, values, flags, level, by_donor):
    estimates = _estimates(data, subgroup, metrics)
    table = []
    for i, metric in enumerate(metrics):
        for name, at in rows.items():
            estimate = float(estimates.loc[name, metric])
            limits = [float(end[0]) for end in percentile_interval(values[name][i : i + 1], level)]
            if metric == "accuracy" and not by_donor:
                low, high = wilson_interval(round(estimate * len(at)), len(at), level)
                limits = (min(low, estimate), max(high, estimate))
            if np.isnan(estimate):
                limits = (np.nan, np.nan)
            table.append((metric, name, estimate, *limits, len(at), flags.get(name, "")))
    columns = ["metric", "subgroup", "estimate", "low", "high", "n", "flag"]
    return pd.DataFrame(table, columns=columns)


def _estimates(data, subgroup, metrics):
    """Return a row a subgroup and a column a metric, through fairlearn."""
    fairlearn = import_optional("fairlearn.metrics", extra="evaluation", purpose="subgroup_report")

    def measure(rows, _, metric):
        return float(measures(_taken(data, rows), np.ones((1, len(rows))), (metric,))[metric][0])

    rows = np.arange(data.n)
    frame = fairlearn.MetricFrame(
        metrics={metric: partial(measure, metric=metric) for metric in metrics},
        y_true=rows,
        y_pred=rows,
        sensitive_features=pd.Series(subgroup, name="subgroup"),
    )
    return pd.concat([frame.overall.to_frame(ALL).T, frame.by_group]).astype(np.float64)


def _gaps(table, values, metrics, kept, level):
    """Return the largest gap of each metric, with an interval that holds for all pairs."""
    n_pairs = max(1, len(list(combinations(kept, 2))))
    wide = table.pivot(index="subgroup", columns="metric", values="estimate")
    gaps = []
    for i, metric in enumerate(metrics):
        known = wide.loc[kept, metric].dropna()
        if len(known) < 2:
            gaps.append((np.nan, np.nan, np.nan, None, None))
            continue
        highest, lowest = known.idxmax(), known.idxmin()
        difference = (values[highest][i] - values[lowest][i])[None]
        low, high = percentile_interval(difference, 1 - (1 - level) / n_pairs)
        gaps.append((known.max() - known.min(), low[0], high[0], highest, lowest))
    columns = ["gap", "low", "high", "highest", "lowest"]
    return pd.DataFrame(gaps, columns=columns, index=pd.Index(metrics, name="metric"))


def _said(row):
    if np.isnan(row.estimate):
        return "-"
    return f"{row.estimate:.2f} [{row.low:.2f}, {row.high:.2f}]"


def _printed(frame):
    return frame.to_string()
