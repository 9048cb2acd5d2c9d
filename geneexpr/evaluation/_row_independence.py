"""Whether a row's result depends on the rows that come with it, step by step."""

import warnings

import numpy as np
import pandas as pd
from sklearn.utils import get_tags

from .._containers import annotation, is_named
from .._validation import GeneExpressionWarning
from ._rows import matrix_of, reassigned, take_rows

_N_ALONE = 8
"""Rows that are also sent through alone."""
_TOLERANCE = {"f4": 1e-4, "f8": 1e-6}
_METHODS = ("transform", "predict_proba", "decision_function", "predict")
_NEVER_READ = ("batch_key", "group_key")


def steps_of(fitted, prefix=""):
    """Yield name and estimator of the steps of a fitted pipeline, nested ones included."""
    fitted = getattr(fitted, "best_estimator_", fitted)
    if not hasattr(fitted, "steps"):
        # A sampler (imbalanced-learn) acts in fit only.
        if any(hasattr(fitted, method) for method in _METHODS):
            yield prefix or type(fitted).__name__.lower(), fitted
        return
    for name, step in fitted.steps:
        if step is not None and not isinstance(step, str):
            inner = f"{prefix}.{name}" if prefix else name
            yield from steps_of(step, inner)


def check_steps(fitted, known, batch, unseen=None, outcome_keys=()):
    """Send rows through every step, together and alone, and compare.

    Parameters
    ----------
    fitted : estimator
        A pipeline, a search around one, or any estimator with ``transform`` or ``predict``.
    known : container
        Rows that it was not fitted on, of batches that it was.
    batch : array of shape (n_known,)
        Their batch.
    unseen : tuple of estimator and container, optional
        An estimator fitted without one batch, and rows of that batch.
    outcome_keys : sequence of str
        Annotations that give the outcome away.

    Returns
    -------
    DataFrame
        Indexed by step: ``rows`` and ``rows_of_new_batch`` (``"independent"``, ``"coupled"``,
        ``"random"``, ``"refused"`` or ``"not reached"``), ``difference`` and
        ``difference_new_batch`` (the largest between alone and together, relative to the
        largest value; infinite where a row cannot go alone), ``reads_outcome`` (an annotation
        that gives the outcome away and changes what ``transform`` returns), and what the step
        declares in its tags: ``declares_rows``, ``declares_genes`` (None where it has no such
        tag).
    """
    steps = list(steps_of(fitted))
    table = pd.DataFrame(
        [_declared(step) for _, step in steps],
        index=pd.Index([name for name, _ in steps], name="step"),
        columns=["declares_rows", "declares_genes"],
    ).astype(object)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GeneExpressionWarning)
        at_known = _through(steps, known)
        read = _outcome_read([step for _, step in steps], known, batch, outcome_keys)
        at_new = [("not reached", np.nan)] * len(steps)
        if unseen is not None:
            at_new = _through(list(steps_of(unseen[0])), unseen[1])
    table.insert(0, "rows", [status for status, _ in at_known])
    table.insert(1, "rows_of_new_batch", [status for status, _ in at_new])
    table.insert(2, "difference", [difference for _, difference in at_known])
    table.insert(3, "difference_new_batch", [difference for _, difference in at_new])
    table.insert(4, "reads_outcome", read)
    return table


def _declared(step):
    tags = get_tags(step) if hasattr(step, "__sklearn_tags__") else None
    return getattr(tags, "couples_rows", None), getattr(tags, "couples_genes", None)


def _through(steps, rows):
    """Return status and difference of each step; the rows go on to the next."""
    found = []
    for _, step in steps:
        try:
            together = _apply(step, rows)
        except Exception:
            found.append(("refused", np.nan))
            break
        found.append(compare_alone(step, rows, together))
        rows = together
    return found + [("not reached", np.nan)] * (len(steps) - len(found))


def compare_alone(step, rows, together):
    """Compare what a step gives for rows together with what it gives for each alone.

    Parameters
    ----------
    step : fitted estimator
    rows : container
    together : container
        Its result for all rows.

    Returns
    -------
    status : {"independent", "coupled", "random"}
    difference : float
        Infinite where a row cannot be processed alone.
    """
    expected = matrix_of(together)
    again = _difference(matrix_of(_apply(step, rows)), expected)
    tolerance = _TOLERANCE.get(expected.dtype.str[1:], 1e-6)
    if again > tolerance:
        return "random", again
    largest = 0.0
    n_rows = len(expected)
    for i in np.unique(np.linspace(0, n_rows - 1, min(n_rows, _N_ALONE)).astype(int)):
        try:
            alone = matrix_of(_apply(step, take_rows(rows, [i])))
        except Exception:  # whatever it is that a step of anybody's raises on one row
            return "coupled", np.inf
        largest = max(largest, _difference(alone, expected[[i]], expected))
    return ("coupled" if largest > tolerance else "independent"), largest


def _apply(step, rows):
    method = next(name for name in _METHODS if hasattr(step, name))
    return getattr(step, method)(rows)


def _difference(found, expected, among=None):
    """Return the largest difference, relative to the largest value; labels differ by 0 or 1."""
    if found.shape != expected.shape:
        return np.inf
    if expected.dtype.kind not in "fiub":
        return float((found != expected).any())
    scale = np.nanmax(np.abs(expected if among is None else among), initial=0.0)
    gaps = np.abs(found.astype(np.float64) - expected)
    gaps[np.isnan(found.astype(np.float64)) & np.isnan(expected.astype(np.float64))] = 0
    if np.isnan(gaps).any():
        return np.inf
    return float(gaps.max(initial=0.0) / (scale or 1.0))


# ------------------------------------------------------------------ the outcome as annotation


def outcome_annotations(fitted, X, y):
    """Return the annotations that the steps are told to read and that give the outcome away.

    Parameters
    ----------
    fitted : estimator
    X : container
    y : array of int of shape (n_samples,)
        Codes of the classes.

    Returns
    -------
    list of str
    """
    names = {name for _, step in steps_of(fitted) for name in _keys_of(step)}
    return sorted(name for name in names if is_named(X) and _gives_away(X, name, y))


def _keys_of(step):
    """Return the names of annotations among the parameters of a step."""
    found = []
    parameters = step.get_params(deep=False) if hasattr(step, "get_params") else {}
    for name, value in parameters.items():
        if name in _NEVER_READ or not (name.endswith(("_key", "_keys")) or name == "condition"):
            continue
        several = [value] if isinstance(value, str) else value
        if isinstance(several, list | tuple):
            found += [key for key in several if isinstance(key, str)]
    return found


def _gives_away(X, name, y, purity=0.95):
    try:
        codes, levels = pd.factorize(annotation(X, name).astype(str))
    except ValueError:
        return False
    if len(levels) < 2 or 3 * len(levels) > len(codes):
        return False
    table = pd.crosstab(codes, y).to_numpy()
    share = table / table.sum(axis=0)  # classes count alike, however rare
    return share.max(axis=1).sum() / share.sum() >= purity and len(set(table.argmax(axis=1))) > 1


def _outcome_read(steps, rows, batch, keys):
    """Tell which annotation of these each step reads: its result changes with the labels."""
    read = []
    for step in steps:
        own = [key for key in _keys_of(step) if key in keys]
        read.append(own[0] if own and _depends(step, rows, batch, own[0]) else None)
        if step is steps[-1]:
            break
        try:
            rows = _apply(step, rows)
        except ValueError:
            break
    return read + [None] * (len(steps) - len(read))


def _depends(step, rows, batch, key):
    """Tell whether values come out otherwise under the label of another row of the batch."""
    labels = annotation(rows, key).astype(str)
    for first in range(len(labels)):
        others = np.flatnonzero((labels != labels[first]) & (batch == batch[first]))
        if len(others):
            break
    else:
        return False
    order = np.arange(len(labels))
    order[[first, others[0]]] = others[0], first
    try:
        swapped = matrix_of(_apply(step, reassigned(rows, order)))
        return _difference(swapped[order], matrix_of(_apply(step, rows))) > 1e-6
    except ValueError:
        return False
