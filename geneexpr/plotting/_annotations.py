"""Annotations of samples as figures show them: levels, or numbers on a scale."""

import numpy as np
import pandas as pd

from .._containers import annotation, categories, levels_of, name_some, sample_names

MOST_NUMERIC_LEVELS = 8
"""Whole numbers of more values than these are drawn on a scale."""


class Annotation:
    """Labels of samples, as levels in their order or as numbers.

    Parameters
    ----------
    name : str
    labels : array of shape (n_samples,)
    order : sequence, optional
        The levels in their order, by default sorted.

    Attributes
    ----------
    values : array of float of shape (n_samples,), or None
        Of an annotation that is drawn on a scale.
    levels : list, or None
        Of an annotation that is drawn level by level.
    codes : array of int of shape (n_samples,), or None
        The level of each sample.

    Examples
    --------
    >>> Annotation("sex", ["m", "f", "m"]).levels
    ['f', 'm']
    >>> Annotation("age", [61.5, 40.0, 33.2]).levels is None
    True
    """

    def __init__(self, name, labels, order=None):
        self.name = str(name)
        labels = np.asarray(labels)
        self.values = self.levels = self.codes = None
        if order is None and _on_a_scale(labels):
            self.values = labels.astype(float)
            return
        there = set(labels.tolist())
        self.levels = _ordered(there) if order is None else [v for v in order if v in there]
        places = {level: i for i, level in enumerate(self.levels)}
        self.codes = np.array([places[label] for label in labels.tolist()], dtype=int)

    @property
    def keys(self):
        """Numbers that sort the samples by this annotation."""
        return self.values if self.levels is None else self.codes


def _on_a_scale(labels):
    if labels.dtype.kind == "f":
        return True
    return labels.dtype.kind in "iu" and len(np.unique(labels)) > MOST_NUMERIC_LEVELS


def _ordered(levels):
    """Sort levels; those of several types by their names."""
    try:
        return sorted(levels)
    except TypeError:
        return sorted(levels, key=str)


def annotation_of(X, key, n_samples, *, name=None, option="color"):
    """Return an annotation that X carries, or the labels that are given beside it.

    Parameters
    ----------
    X : container
    key : str or array-like of shape (n_samples,)
    n_samples : int
    name : str, optional
        Of labels that are given; that of a Series by default.
    option : str
        The argument, for the errors.

    Returns
    -------
    Annotation
    """
    if isinstance(key, str):
        return _checked(Annotation(key, annotation(X, key), categories(X, key)), option)
    name = name or getattr(key, "name", None) or option
    rows = sample_names(X)
    if isinstance(key, pd.Series) and rows is not None and not key.index.equals(rows):
        raise ValueError(
            f"{option} is a Series whose index differs from the sample names of X; labels are "
            f"never aligned silently. Pass {option}.loc[names] or an array."
        )
    labels = np.asarray(key)
    if labels.shape != (n_samples,):
        raise ValueError(
            f"{option} must hold one label a sample: got shape {labels.shape} for {n_samples} "
            "samples."
        )
    missing = np.flatnonzero(pd.isna(labels))
    if len(missing):
        raise ValueError(
            f"{option} is missing for {len(missing)} of {n_samples} samples: row "
            f"{name_some(missing)}. Fill it in or drop these samples."
        )
    return _checked(Annotation(name, labels, levels_of(key)), option)


def _checked(found, option):
    if found.values is not None and not np.isfinite(found.values).all():
        bad = np.flatnonzero(~np.isfinite(found.values))
        raise ValueError(
            f"{option} ({found.name!r}) must be finite; got infinite values in {len(bad)} of "
            f"{len(found.values)} samples: row {name_some(bad)}."
        )
    return found


def annotations_of(X, keys, n_samples, *, option="sample_annotations"):
    """Return several annotations.

    Parameters
    ----------
    X : container
    keys : str, sequence of str, or mapping of str to array-like
        Names of annotations that X carries, or labels by name (a DataFrame is one, too).
    n_samples : int
    option : str

    Returns
    -------
    list of Annotation
    """
    if hasattr(keys, "keys"):
        given = {name: keys[name] for name in keys.keys()}  # noqa: SIM118, of a DataFrame
        return [
            annotation_of(X, labels, n_samples, name=str(name), option=f"{option}[{name!r}]")
            for name, labels in given.items()
        ]
    keys = [keys] if isinstance(keys, str) else list(keys)
    wrong = [key for key in keys if not isinstance(key, str)]
    if wrong:
        raise TypeError(
            f"{option} must name annotations that X carries, or map names to labels; got "
            f"{type(wrong[0]).__name__} among them."
        )
    return [annotation_of(X, key, n_samples, option=option) for key in keys]
