"""Whether the promise of a conformal model holds in a laboratory that it has not seen."""

import numpy as np
import pandas as pd
from sklearn.base import clone

from .._containers import is_named, name_some
from .._validation import check_number, labels_of
from ..stats._metric_intervals import wilson_interval
from ._rows import take_rows


def coverage_report(conformal, X, y, *, by, level=0.95):
    """Report how often sets or intervals hold the truth in each laboratory left out.

    The conformal model is fitted anew without each laboratory, donor or study in turn, and asked
    for sets (or intervals) of the samples of the one left out. A coverage below the level that
    was promised says that this laboratory is not like the others.

    Parameters
    ----------
    conformal : ConformalClassifier or ConformalRegressor
        It is cloned; what was fitted is not used.
    X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)
    y : array-like of shape (n_samples,)
    by : str or array-like of shape (n_samples,)
        What is left out: the name of an annotation of X, or labels beside an array.
    level : float, default=0.95
        Of the intervals of the coverage itself (Wilson's [1]_).

    Returns
    -------
    DataFrame
        Indexed by what was left out, and ``"all"`` last: ``n_samples``, ``promised``,
        ``coverage``, its ``low`` and ``high``, and ``mean_size`` (classes in a set) or
        ``mean_width`` (of an interval, in the units of y).

    Raises
    ------
    ValueError
        Where there are fewer than two laboratories.

    References
    ----------
    .. [1] Wilson (1927), "Probable inference, the law of succession, and statistical
       inference", doi:10.1080/01621459.1927.10502953.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from geneexpr import ConformalClassifier, CPMNormalizer, ToArray
    >>> from geneexpr import coverage_report, make_cohort
    >>> cohort = make_cohort(120, 50, n_batches=3, random_state=0)
    >>> y = cohort.obs["condition"].to_numpy()
    >>> steps = CPMNormalizer(log=True), ToArray(), StandardScaler(), LogisticRegression()
    >>> model = ConformalClassifier(make_pipeline(*steps))
    >>> coverage_report(model, cohort, y, by="batch").round(2)
            n_samples  promised  coverage   low  high  mean_size
    batch
    batch1         40       0.9      0.90  0.77  0.96       1.42
    batch2         40       0.9      0.72  0.57  0.84       1.12
    batch3         40       0.9      0.88  0.74  0.95       1.42
    all           120       0.9      0.83  0.76  0.89       1.32

    Folds that leave whole batches out expect another batch:

    >>> model.set_params(group_key="batch")
    ConformalClassifier(...)
    >>> coverage_report(model, cohort, y, by="batch").round(2)
            n_samples  promised  coverage   low  high  mean_size
    batch
    batch1         40       0.9      0.98  0.87  1.00       1.55
    batch2         40       0.9      0.90  0.77  0.96       1.45
    batch3         40       0.9      1.00  0.91  1.00       1.80
    all           120       0.9      0.96  0.91  0.98       1.60
    """
    check_number("level", level, above=0, below=1)
    if not hasattr(conformal, "_covered"):
        raise TypeError(
            "coverage_report takes a ConformalClassifier or a ConformalRegressor; got "
            f"{type(conformal).__name__}."
        )
    y = np.asarray(y)
    named = isinstance(by, str)
    if named and not is_named(X):
        raise ValueError(
            f"by={by!r} names an annotation, but {type(X).__name__} carries none: give the labels "
            "themselves, one a sample (by=labels), or X as AnnData or DataFrame."
        )
    labels = labels_of(X, by if named else None, None if named else by, given_name="by")
    parts = pd.unique(labels)
    if len(parts) < 2:
        raise ValueError(
            f"All {len(labels)} samples are of {name_some(parts)}: at least two groups are needed "
            "to leave one out."
        )
    size = "mean_size" if hasattr(conformal, "predict_set") else "mean_width"
    found = {part: _left_out(conformal, X, y, labels == part) for part in sorted(parts, key=str)}
    found["all"] = tuple(np.concatenate(pieces) for pieces in zip(*found.values(), strict=True))
    rows = [_row(covered, sizes, conformal.level, level, size) for covered, sizes in found.values()]
    name = by if named else "left_out"
    return pd.DataFrame(rows, index=pd.Index(list(found), name=name))


def _left_out(conformal, X, y, out):
    rest, rows = np.flatnonzero(~out), np.flatnonzero(out)
    model = clone(conformal).fit(take_rows(X, rest), y[rest])
    return model._covered(take_rows(X, rows), y[rows])


def _row(covered, sizes, promised, level, size):
    share = float(covered.mean())
    low, high = wilson_interval(int(covered.sum()), len(covered), level)
    return {
        "n_samples": len(covered),
        "promised": promised,
        "coverage": share,
        "low": min(low, share),  # of a share of 1 the limit is 1, but for rounding
        "high": max(high, share),
        size: float(np.mean(sizes)),
    }
