"""Labels and covariates as text, codes and numbers, the same in every container."""

import numpy as np
import pandas as pd

from ._containers import annotation, name_some
from ._options import check_keys
from ._validation import labels_of


def as_text(labels, what):
    """Return labels as text: 1, 1.0 and "1" name the same batch.

    Containers keep labels as they like (integers become floats beside a missing value,
    or text in a file), so labels are compared by what they read as.

    Parameters
    ----------
    labels : array-like of shape (n_samples,)
    what : str
        What is labelled, for the error.

    Returns
    -------
    array of str of shape (n_samples,)

    Raises
    ------
    ValueError
        If two different labels among these read the same.

    Examples
    --------
    >>> as_text([1.0, 2.0], "batch")
    array(['1', '2'], dtype=object)
    """
    codes, different = pd.factorize(np.asarray(labels, dtype=object))
    texts = np.array([text_of(label) for label in different], dtype=object)
    once, first = np.unique(texts, return_index=True)
    if len(once) < len(texts):
        twice = np.setdiff1d(np.arange(len(texts)), first)[0]
        twins = [label for label in different if text_of(label) == texts[twice]]
        raise ValueError(
            f"The labels of {what} hold {name_some(twins)}, which read the same. Labels are "
            "compared as text (1, 1.0 and '1' name the same); rename one of them."
        )
    return texts[codes]


def text_of(label):
    if isinstance(label, float | np.floating) and float(label).is_integer():
        return str(int(label))
    return str(label)


def codes_among(texts, levels):
    """Return the position of each text among sorted levels, -1 where it is none of them.

    Parameters
    ----------
    texts : array of str of shape (n_samples,)
    levels : list of str

    Returns
    -------
    array of int of shape (n_samples,)

    Examples
    --------
    >>> codes_among(["b", "z", "a"], ["a", "b"])
    array([ 1, -1,  0])
    """
    return pd.Index(levels, dtype=object).get_indexer(pd.Index(texts, dtype=object))


def covariate_columns(X, keys, given, n_samples, names=("covariate_keys", "covariates")):
    """Return the covariates of the samples by name, from annotations or an argument.

    Parameters
    ----------
    X : container
    keys : sequence of str
        Annotations that X carries.
    given : array-like, DataFrame or mapping, optional
        Covariates passed beside an array, one a column.
    n_samples : int
    names : tuple of str
        The parameter and the argument, for the errors.

    Returns
    -------
    dict of str to array of shape (n_samples,)
    """
    parameter, argument = names
    check_keys(parameter, keys)
    if given is None:
        return {key: annotation(X, key) for key in keys}
    if len(keys):
        raise ValueError(
            f"Got both {parameter}={list(keys)!r} and {argument}=: name annotations that X "
            f"carries, or pass {argument}= beside an array, not both."
        )
    if hasattr(given, "keys"):
        columns = {str(key): given[key] for key in given.keys()}  # noqa: SIM118
    else:
        table = np.asarray(given)
        table = table[:, None] if table.ndim == 1 else table
        if table.ndim != 2:
            raise ValueError(
                f"{argument} must have one row a sample: got shape {table.shape} for "
                f"{n_samples} samples."
            )
        columns = {f"covariate {i}": table[:, i] for i in range(table.shape[1])}
    return {
        name: labels_of(X, None, column, given_name=f"{argument}[{name!r}]")
        for name, column in columns.items()
    }


def code_covariates(columns):
    """Learn how covariates become numbers: centred, or one column a level but the first.

    Parameters
    ----------
    columns : dict of str to array of shape (n_samples,)
        Numbers (bool included) are continuous, everything else has levels.

    Returns
    -------
    list of dict
        With ``name`` and either ``levels`` or ``mean`` and ``sd``.

    Examples
    --------
    >>> code_covariates({"sex": np.array(["f", "m", "f"])})
    [{'name': 'sex', 'levels': ['f', 'm']}]
    """
    return [_coding(name, column) for name, column in columns.items()]


def _coding(name, column):
    numbers = _as_numbers(column)
    if numbers is None:
        return {"name": name, "levels": sorted(set(as_text(column, repr(name))))}
    if not np.isfinite(numbers).all():
        raise ValueError(f"The covariate {name!r} holds infinite values.")
    return {"name": name, "mean": float(numbers.mean()), "sd": float(numbers.std())}


def _as_numbers(column):
    if column.dtype != object:
        return column.astype(np.float64) if column.dtype.kind in "biuf" else None
    number = (bool, int, float, np.bool_, np.number)
    return column.astype(np.float64) if all(isinstance(v, number) for v in column) else None


def design_matrix(columns, codings):
    """Write covariates as the numbers that were learned to stand for them.

    Parameters
    ----------
    columns : dict of str to array of shape (n_samples,)
    codings : list of dict
        As `code_covariates` gives them.

    Returns
    -------
    design : array of shape (n_samples, p)
        Columns without variation in ``fit`` are left out.
    names : list of str
        The covariate behind each column.

    Examples
    --------
    >>> columns = {"age": np.array([20.0, 40.0]), "sex": np.array(["f", "m"])}
    >>> design_matrix(columns, code_covariates(columns))
    (array([[-1.,  0.],
           [ 1.,  1.]]), ['age', 'sex'])
    """
    fitted = [coding["name"] for coding in codings]
    if list(columns) != fitted:
        raise ValueError(
            f"fit saw the covariates {fitted}, this call has {list(columns)}: they must be the "
            "same, in the same order."
        )
    n_samples = len(next(iter(columns.values()))) if columns else 0
    parts, names = [np.empty((n_samples, 0))], []
    for coding in codings:
        part = _coded(columns[coding["name"]], coding)
        parts.append(part)
        names += [coding["name"]] * part.shape[1]
    return np.hstack(parts), names


def _coded(column, coding):
    name = coding["name"]
    if "levels" not in coding:
        numbers = _as_numbers(column)
        if numbers is None or not np.isfinite(numbers).all():
            raise ValueError(f"The covariate {name!r} was numeric in fit, here it is not.")
        if coding["sd"] == 0:
            return np.empty((len(column), 0))
        return ((numbers - coding["mean"]) / coding["sd"])[:, None]
    texts = as_text(column, repr(name))
    codes = codes_among(texts, coding["levels"])
    if (codes < 0).any():
        raise ValueError(
            f"The covariate {name!r} has levels that fit has not seen: "
            f"{name_some(sorted(set(texts[codes < 0])))}. fit saw {name_some(coding['levels'])}."
        )
    return np.eye(len(coding["levels"]))[codes][:, 1:]
