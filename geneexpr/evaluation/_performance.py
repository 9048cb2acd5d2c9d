"""How good predictions are, with intervals: classes, probabilities and numbers."""

import numpy as np
import pandas as pd
from sklearn.base import is_regressor
from sklearn.utils.multiclass import type_of_target

from .._containers import name_some
from .._validation import check_choice, check_number, labels_of
from ..stats import _weighted_metrics as weighted
from ..stats._delong import delong_over_classes
from ..stats._metric_intervals import (
    bca_interval,
    bootstrap_values,
    jackknife_values,
    normal_interval,
    percentile_interval,
    wilson_interval,
)
from ._predicted import Classes, Numbers, predicted_classes, predicted_numbers, scores_of

OF_CLASSES = ("accuracy", "balanced_accuracy", "f1")
OF_SCORES = ("roc_auc", "average_precision")
OF_PROBABILITIES = ("brier", "calibration_error")
OF_BINARY = ("calibration_slope", "calibration_intercept")
REGRESSION = ("r2", "mse", "mae")
CLASSIFICATION = OF_CLASSES + OF_SCORES + OF_PROBABILITIES + OF_BINARY
_METHODS = ("bootstrap", "bca", "delong")


def metric_intervals(
    y_true,
    y_pred=None,
    *,
    y_score=None,
    classes=None,
    groups=None,
    metrics=None,
    method="bootstrap",
    level=0.95,
    n_resamples=2000,
    random_state=0,
):
    """Measure predictions, with an interval for every measure.

    The estimates are those of scikit-learn. The intervals say how they would vary with other
    samples (or donors) of the same kind, for the model as it is: they hold for a model that was
    fitted on other data. For cross-validated predictions, where every fold has a model of its
    own, use `nested_cv`.

    Of classes: ``accuracy``, ``balanced_accuracy`` and ``f1`` (the mean over the classes where
    there are more than two). Of scores: ``roc_auc`` and ``average_precision`` (of more than two
    classes the mean of each against the rest). Of probabilities: ``brier``;
    ``calibration_error``, the expected distance between what was said and what happened, over
    ten bins of equal width (of the probability of the second of two classes, or of the class
    predicted of more); for two classes ``calibration_slope`` (1 is right, below it the
    probabilities are too extreme) and ``calibration_intercept`` (0 is right, above it they are
    too low). Of numbers: ``r2``, ``mse``, ``mae``.

    All resamples are evaluated together, as weights of the samples. One that lacks a class gives
    no value where the measure needs it and is left out; where this happens to more than half of
    them the limits are NaN. Where a measure is not defined for the samples themselves, its
    estimate is NaN.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Classes or numbers. Whole numbers are classes, unless ``metrics`` names those of
        numbers or the predictions are fractional.
    y_pred : array-like of shape (n_samples,), optional
        Predicted classes or numbers. By default the class of the highest score: above one half
        for two classes and probabilities, above zero for other scores.
    y_score : array-like of shape (n_samples,) or (n_samples, n_classes), optional
        Probabilities, or other scores; one column stands for the second of two classes.
        Without scores only the measures of classes are there, and those of probabilities only
        where the scores are probabilities: within 0 and 1, rows that sum to 1.
    classes : array-like, optional
        The classes in the order of the columns of ``y_score`` (``model.classes_``). By default
        the sorted labels of ``y_true`` and ``y_pred``.
    groups : array-like of shape (n_samples,), optional
        The donor of each sample. Whole donors are drawn then, since the samples of one donor
        are alike: the interval is wider, and right.
    metrics : sequence of str, optional
        Some of the measures above; by default all that can be had.
    method : {"bootstrap", "bca", "delong"}, default="bootstrap"
        Quantiles of resamples; or the same corrected for bias and skewness (at most
        1 000 more evaluations); or, for the area under the ROC curve DeLong's variance
        and for the accuracy Wilson's interval, which take samples for independent, so they
        are refused with ``groups``. They fit an untouched test set only, not predictions of
        several folds. The measures without such a formula are bootstrapped.
    level : float, default=0.95
    n_resamples : int, default=2000
    random_state : int, default=0

    Returns
    -------
    DataFrame
        Indexed by ``metric``: ``estimate``, ``low``, ``high``, ``n`` (samples), ``n_groups``
        (what was drawn: donors, or samples) and ``method``.

    Raises
    ------
    ValueError
        For missing values, lengths that differ, labels outside of ``classes``, measures that
        need scores or probabilities where there are none, and DeLong's method with groups.

    See Also
    --------
    performance_report : The same from a fitted model and data it has not seen.

    Notes
    -----
    The expected calibration error is never negative, so it is too high in few samples, and in
    resamples of them more so: read its interval as an upper bound.

    A perfect score is perfect in every resample, so its bootstrap interval has no width, and so
    has DeLong's for an area of 1; Wilson's for the accuracy has one. With fewer than about ten
    donors intervals by donor are too narrow.

    References
    ----------
    Efron (1987), doi:10.1080/01621459.1987.10478410 (bootstrap); Sun, Xu (2014),
    doi:10.1109/LSP.2014.2337313 (DeLong's variance); Wilson (1927),
    doi:10.1080/01621459.1927.10502953; Van Calster et al. (2019),
    doi:10.1186/s12916-019-1466-7 (calibration).

    Examples
    --------
    >>> import numpy as np
    >>> from geneexpr import metric_intervals
    >>> y = np.array(["case", "control"] * 20)
    >>> probability = np.where(y == "control", 0.7, 0.4) + np.linspace(-0.3, 0.3, 40)
    >>> found = metric_intervals(y, y_score=probability, metrics=["accuracy", "roc_auc"])
    >>> found[["estimate", "low", "high"]].round(2)
              estimate   low  high
    metric
    accuracy      0.78  0.62  0.90
    roc_auc       0.89  0.77  0.97
    """
    if type_of_outcome(y_true, y_pred, y_score, classes, metrics) == "numbers":
        _refuse("y_score=", y_score is not None)
        data = predicted_numbers(y_true, y_pred)
    else:
        data = predicted_classes(y_true, y_pred, y_score, classes)
    chosen = _chosen_metrics(metrics, data)
    check_choice("method", method, _METHODS)
    check_number("level", level, above=0, below=1)
    check_number("n_resamples", n_resamples, least=20, whole=True)
    units, n_units = _units(groups, data.n, method)
    table = _resampled(data, chosen, units, method, level, n_resamples, random_state)
    if method == "delong":
        _by_formula(table, data, level)
    table.insert(3, "n", data.n)
    table.insert(4, "n_groups", n_units)
    return table


def performance_report(
    estimator,
    X,
    y,
    *,
    group_key=None,
    groups=None,
    metrics=None,
    method="bootstrap",
    level=0.95,
    n_resamples=2000,
    random_state=0,
):
    """Measure a fitted model on data that it has not seen, with intervals.

    Nothing is fitted here. What the data were used for before cannot be seen here: give samples
    that took part in no fit, no search and no choice of genes.

    Parameters
    ----------
    estimator : classifier or regressor
        Fitted; any of scikit-learn's interface, usually a Pipeline.
    X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)
        Samples new to the model.
    y : array-like of shape (n_samples,)
        Their classes or numbers.
    group_key : str, optional
        The annotation of X that names the donor, where donors have several samples.
    groups : array-like of shape (n_samples,), optional
        The donors, for arrays.
    metrics, method, level, n_resamples, random_state
        As `metric_intervals` takes them.

    Returns
    -------
    DataFrame
        As `metric_intervals` returns it.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from geneexpr import CPMNormalizer, LogTransformer, ToArray, make_cohort
    >>> from geneexpr import performance_report
    >>> cohort = make_cohort(120, 50, effect_size=3, random_state=0)
    >>> model = make_pipeline(
    ...     CPMNormalizer(), LogTransformer(), ToArray(), LogisticRegression(max_iter=5000)
    ... )
    >>> y = cohort.obs["condition"].to_numpy()
    >>> model = model.fit(cohort[:80], y[:80])
    >>> performance_report(model, cohort[80:], y[80:]).loc["roc_auc", "n"]
    np.int64(40)
    """
    options = {
        "method": method,
        "level": level,
        "n_resamples": n_resamples,
        "random_state": random_state,
    }
    groups = labels_of(X, group_key, groups, key_name="group_key", given_name="groups")
    predicted = np.asarray(estimator.predict(X))
    if is_regressor(estimator):
        metrics = REGRESSION if metrics is None else metrics
        return metric_intervals(y, predicted, groups=groups, metrics=metrics, **options)
    return metric_intervals(
        y,
        predicted,
        y_score=scores_of(estimator, X),
        classes=estimator.classes_,
        groups=groups,
        metrics=metrics,
        **options,
    )


def type_of_outcome(y_true, y_pred, y_score, classes, metrics):
    """Tell whether predictions are of ``"classes"`` or of ``"numbers"``."""
    if metrics is not None and not isinstance(metrics, str) and len(metrics):
        if set(metrics) <= set(REGRESSION):
            return "numbers"
        if set(metrics) <= set(CLASSIFICATION):
            return "classes"
    if classes is not None or y_score is not None:
        return "classes"
    kinds = (_kind(values) for values in (y_true, y_pred) if values is not None)
    return "numbers" if "continuous" in kinds else "classes"


def _kind(values):
    values = np.asarray(values)
    if values.dtype.kind != "f":
        return "classes"
    return "continuous" if not np.isfinite(values).all() else type_of_target(values)


def _refuse(name, given):
    if given:
        raise ValueError(f"{name} is for classes; y_true holds numbers. Give y_pred alone.")


def _chosen_metrics(metrics, data):
    """Return the names of the measures; raise where one cannot be had."""
    possible = _possible_metrics(data)
    if metrics is None:
        return possible
    if isinstance(metrics, str):
        raise ValueError(f"metrics must be a sequence of names; give [{metrics!r}].")
    known = REGRESSION if isinstance(data, Numbers) else CLASSIFICATION
    for name in metrics:
        check_choice("A metric", name, known)
        if name not in possible:
            raise ValueError(f"The metric {name!r} needs {_lacking(name, data)}.")
    if not len(metrics):
        raise ValueError("metrics is empty; None gives all measures.")
    return tuple(dict.fromkeys(metrics))


def _possible_metrics(data):
    if isinstance(data, Numbers):
        return REGRESSION
    return (
        OF_CLASSES
        + (OF_SCORES if data.scores is not None else ())
        + (OF_PROBABILITIES if data.are_probabilities else ())
        + (OF_BINARY if data.are_probabilities and len(data.classes) == 2 else ())
    )


def _lacking(name, data):
    if data.scores is None:
        return "scores: give y_score (predict_proba, or decision_function)"
    if not data.are_probabilities:
        return "probabilities, and y_score holds none (values within 0 and 1, rows that sum to 1)"
    return f"two classes; there are {len(data.classes)}"


def _units(groups, n, method):
    """Return what is drawn, as codes, and how many there are."""
    if groups is None:
        return np.arange(n), n
    if method == "delong":
        raise ValueError(
            "method='delong' takes samples for independent, and groups= says that some are of one "
            "donor: its interval would be too narrow. Use method='bootstrap', which draws donors."
        )
    groups = labels_of(np.empty((n, 0)), None, groups, given_name="groups")
    codes, found = pd.factorize(groups)
    if len(found) < 2:
        raise ValueError(
            f"groups holds one group only ({name_some(found)}); donors are drawn for the "
            "intervals, so at least two are needed."
        )
    return codes, len(found)


def _resampled(data, metrics, units, method, level, n_resamples, random_state):
    """Return estimates with bootstrap intervals."""

    def measure(weights):
        found = measures(data, weights, metrics)
        return np.stack([found[name] for name in metrics])

    estimates = measure(np.ones((1, data.n)))[:, 0]
    rng = np.random.default_rng(random_state)
    values = bootstrap_values(measure, units, n_resamples, rng)
    if method == "bca":
        low, high = bca_interval(values, estimates, jackknife_values(measure, units), level)
    else:
        low, high = percentile_interval(values, level)
    columns = {"estimate": estimates, "low": low, "high": high}
    table = pd.DataFrame(columns, index=pd.Index(metrics, name="metric"))
    undefined = table["estimate"].isna()
    table.loc[undefined, ["low", "high"]] = np.nan
    table["method"] = "bca" if method == "bca" else "bootstrap"
    return table


def measures(data, weights, metrics):
    """Return measures under many weightings of the samples.

    Parameters
    ----------
    data : Classes or Numbers
    weights : array of shape (n_resamples, n_samples)
    metrics : sequence of str

    Returns
    -------
    dict of ndarray of shape (n_resamples,)
    """
    if isinstance(data, Numbers):
        found = _measures_of_numbers(data, weights)
    else:
        found = _measures_of_classes(data, weights, metrics)
    return {name: found[name] for name in metrics}


def _measures_of_numbers(data, weights):
    gaps = data.true - data.predicted
    return {
        "r2": weighted.r_squared(data.true, data.predicted, weights),
        "mse": weighted.weighted_mean(gaps**2, weights),
        "mae": weighted.weighted_mean(np.abs(gaps), weights),
    }


def _measures_of_classes(data, weights, metrics):
    """Compute what is asked for; measures of one kind share their work."""
    wanted, found = set(metrics), {}
    if wanted & set(OF_CLASSES):
        table = weighted.confusion(data.codes, data.predicted, len(data.classes), weights)
        for name in OF_CLASSES:
            found[name] = getattr(weighted, name)(table)
    for name in wanted & set(OF_SCORES):
        found[name] = _of_scores(getattr(weighted, name), data, weights)
    if "brier" in wanted:
        found["brier"] = weighted.brier(data.codes, data.scores, weights)
    if "calibration_error" in wanted:
        found["calibration_error"] = weighted.calibration_error(*data.said(), weights)
    if wanted & set(OF_BINARY):
        line = weighted.calibration_line(*data.said(), weights)
        found["calibration_slope"], found["calibration_intercept"] = line
    return found


def _of_scores(measure, data, weights):
    if len(data.classes) == 2:
        return measure(data.codes == 1, data.scores[:, 1], weights)
    return weighted.mean_over_classes(measure, data.codes, data.scores, weights)


def _by_formula(table, data, level):
    """Replace the limits of the measures that have a formula."""
    if "accuracy" in table.index:
        n_right = int((data.codes == data.predicted).sum())
        table.loc["accuracy", ["low", "high"]] = wilson_interval(n_right, data.n, level)
        table.loc["accuracy", "method"] = "wilson"
    if "roc_auc" in table.index and isinstance(data, Classes):
        counts = np.bincount(data.codes, minlength=len(data.classes))
        if counts.min() < 2:
            return  # no variance within a class of one sample: the bootstrap stays
        auc, variance = delong_over_classes(data.codes, data.scores)
        table.loc["roc_auc", ["low", "high"]] = normal_interval(auc, variance, level, (0, 1))
        table.loc["roc_auc", "method"] = "delong"
