"""Pipelines as plain values: what every step is and how it is set, and back again.

Reading builds nothing but estimators, splitters and kernels that geneexpr or scikit-learn
make public, from their own constructors with plain values: no code of the file is run.
"""

import hashlib
import inspect
import json
import math
from importlib import import_module

import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn.base import BaseEstimator

from .._containers import name_some

_KIND = "kind"
_MOST = 100
"""Entries up to which arrays, lists and mappings are recorded in full."""
_MODULES = tuple(
    f"sklearn.{name}"
    for name in (
        *("calibration", "cluster", "compose", "covariance", "cross_decomposition"),
        *("decomposition", "discriminant_analysis", "dummy", "ensemble", "feature_selection"),
        *("gaussian_process", "gaussian_process.kernels", "impute", "isotonic"),
        *("kernel_approximation", "kernel_ridge", "linear_model", "manifold", "mixture"),
        *("model_selection", "multiclass", "multioutput", "naive_bayes", "neighbors"),
        *("neural_network", "pipeline", "preprocessing", "random_projection"),
        *("semi_supervised", "svm", "tree"),
    )
)
_FUNCTIONS = {
    "numpy": ("arcsinh", "exp", "expm1", "log", "log10", "log1p", "log2", "sqrt", "square"),
    "sklearn.feature_selection": (
        *("chi2", "f_classif", "f_regression", "r_regression"),
        *("mutual_info_classif", "mutual_info_regression"),
    ),
}
_NOT_KEPT = ("memory",)
"""Parameters that name a place of this machine: a cache, which loading would unpickle."""


class UntrustedCardError(ValueError):
    """A model card names something that may not be built from a file."""


# ------------------------------------------------------------------ to plain values


def encode(value):
    """Return a parameter as values that JSON holds.

    Parameters
    ----------
    value : object
        An estimator, a splitter, a plain value, or a list, tuple, mapping or array of such.
        What is large is summarised by its shape and a hash, what is unknown by its type.

    Returns
    -------
    None, bool, int, float, str, list or dict
        A dict says under ``"kind"`` what it stands for.

    Examples
    --------
    >>> from sklearn.preprocessing import StandardScaler
    >>> encode(StandardScaler(with_mean=False))["class"]
    'sklearn.preprocessing.StandardScaler'
    >>> encode((1, float("nan")))
    {'kind': 'tuple', 'items': [1, {'kind': 'number', 'value': 'nan'}]}
    """
    if value is None or isinstance(value, bool | str):
        return value
    for belongs, write in _WRITERS:
        if belongs(value):
            return write(value)
    return {_KIND: "unknown", "type": _type_name(value)}


def _number(value):
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, float) and not math.isfinite(value):
        return {_KIND: "number", "value": repr(value)}
    return value


def _items(value):
    items = [encode(item) for item in value]
    kind = type(value).__name__
    whole = items if kind == "list" else {_KIND: kind, "items": items}
    return _summary(kind, [len(items)], whole) if _leaves(items) > _MOST else whole


def _mapping(value):
    items = [[encode(key), encode(item)] for key, item in value.items()]
    whole = {_KIND: "dict", "items": items}
    return _summary("dict", [len(items)], whole) if _leaves(items) > _MOST else whole


def _leaves(items):
    """Count the values, not those inside of estimators, which are recorded whatever it takes."""
    if isinstance(items, list):
        return sum(map(_leaves, items))
    if isinstance(items, dict) and "items" in items:
        return _leaves(items["items"])
    return 1


def _array(value):
    numeric = value.dtype.kind in "biuf"
    if numeric and value.size <= _MOST:
        rows = [_number(item) for item in value.ravel().tolist()]
        shape = list(value.shape)
        return {_KIND: "array", "dtype": str(value.dtype), "shape": shape, "values": rows}
    content = value if numeric else [str(item) for item in value.ravel().tolist()]
    return _summary(f"array of {value.dtype}", list(value.shape), content)


def _matrix(value):
    value = value.tocsr()
    content = [value.indptr.tolist(), value.indices.tolist(), value.data.tolist()]
    return _summary(f"sparse matrix of {value.dtype}", list(value.shape), content)


def _table(value):
    content = value.to_json(double_precision=15, orient="split")
    return _summary(type(value).__name__, list(value.shape), content)


def _summary(kind, shape, content):
    """Say of what is too large to be recorded its size, and a hash to compare it by."""
    if isinstance(content, np.ndarray):
        data = np.ascontiguousarray(content).tobytes()
    else:
        data = json.dumps(content, sort_keys=True).encode()
    digest = hashlib.sha256(data).hexdigest()
    return {_KIND: "summary", "of": kind, "shape": shape, "sha256": digest}


def _built(value):
    """Record an estimator, splitter or kernel by its class and its constructor's arguments."""
    given = _parameters(value)
    defaults = _defaults(type(value))
    params = {name: None if name in _NOT_KEPT else encode(item) for name, item in given.items()}
    changed = [
        name
        for name, item in params.items()
        if name not in defaults or item != encode(defaults[name])
    ]
    path = public_path(type(value))
    return {
        _KIND: "object",
        "class": path or _type_name(value),
        "public": path is not None,
        "params": params,
        "changed": changed,
    }


def _parameters(value):
    """Return the arguments that an object was made with."""
    if hasattr(value, "get_params"):
        return dict(sorted(value.get_params(deep=False).items()))
    kept = vars(value) | (getattr(value, "cvargs", None) or {})
    return {name: kept.get(name) for name in sorted(_arguments(type(value)))}


def _arguments(cls):
    found = inspect.signature(cls.__init__).parameters.values()
    named = [p for p in found if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    return {p.name: p for p in named if p.name != "self"}


def _defaults(cls):
    return {n: p.default for n, p in _arguments(cls).items() if p.default is not p.empty}


def _type_name(value):
    cls = value if isinstance(value, type) else type(value)
    return f"{cls.__module__}.{cls.__qualname__}"


def _is_built(value):
    return not isinstance(value, type) and (
        isinstance(value, BaseEstimator) or public_path(type(value)) is not None
    )


def _is_function(value):
    return _function_name(value) is not None


def _function_name(value):
    name = getattr(value, "__name__", None)
    for module, names in _FUNCTIONS.items():
        if name in names and getattr(import_module(module), name) is value:
            return f"{module}.{name}"
    return None


_WRITERS = (
    (lambda v: isinstance(v, int | float | np.number | np.bool_), _number),
    (lambda v: isinstance(v, np.str_), str),
    (lambda v: isinstance(v, list | tuple), _items),
    (lambda v: isinstance(v, set | frozenset), lambda v: _items(sorted(v, key=repr))),
    (lambda v: isinstance(v, dict), _mapping),
    (lambda v: isinstance(v, np.ndarray), _array),
    (sp.issparse, _matrix),
    (lambda v: isinstance(v, pd.Series | pd.DataFrame), _table),
    (lambda v: isinstance(v, pd.Index), lambda v: _array(np.asarray(v, dtype=object))),
    (lambda v: isinstance(v, np.dtype), lambda v: {_KIND: "dtype", "name": v.name}),
    (
        lambda v: isinstance(v, type) and issubclass(v, np.generic),
        lambda v: {_KIND: "scalar type", "name": np.dtype(v).name},
    ),
    (_is_function, lambda v: {_KIND: "function", "name": _function_name(v)}),
    (_is_built, _built),
)


# ------------------------------------------------------------------ what may be built


def public_path(cls):
    """Return the name under which geneexpr or scikit-learn make a class public, or None.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> public_path(LogisticRegression)
    'sklearn.linear_model.LogisticRegression'
    """
    module, name = cls.__module__, cls.__name__
    if module.startswith("geneexpr."):
        places = ("geneexpr",)
    else:
        # The longest first: kernels are part of another module that is public too.
        places = [m for m in _MODULES if f"{module}.".startswith(f"{m}.")][::-1]
    for place in places:
        if _may_build(place, name) is cls:
            return f"{place}.{name}"
    return None


def _may_build(module, name):
    """Return the class of this name if it may be built from a file, else None."""
    if module != "geneexpr" and module not in _MODULES:
        return None
    home = import_module(module)
    cls = getattr(home, name, None) if name in getattr(home, "__all__", vars(home)) else None
    if not isinstance(cls, type) or inspect.isabstract(cls):
        return None
    splits = hasattr(cls, "split") and hasattr(cls, "get_n_splits")
    is_kernel = cls.__module__ == "sklearn.gaussian_process.kernels" and hasattr(cls, "get_params")
    return cls if issubclass(cls, BaseEstimator) or splits or is_kernel else None


# ------------------------------------------------------------------ and back again


def decode(value, where="pipeline"):
    """Return what `encode` was given, built anew.

    Parameters
    ----------
    value : object
        As `encode` returns it.
    where : str
        The place of the value, for the errors.

    Returns
    -------
    object

    Raises
    ------
    UntrustedCardError
        If a class or a function is not among the public ones.
    ValueError
        If a value was recorded by a summary only, or is no value of a card.
    """
    if isinstance(value, list):
        return [decode(item, f"{where}[{i}]") for i, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    kind = value.get(_KIND)
    if kind not in _READERS:
        raise ValueError(f"{where} is no value that a model card holds (kind {kind!r}).")
    try:
        return _READERS[kind](value, where)
    except (KeyError, TypeError, IndexError) as error:
        raise ValueError(f"{where} is damaged: {type(error).__name__} {error}") from error


def _read_object(value, where):
    path = value["class"]
    module, _, name = path.rpartition(".")
    cls = _may_build(module, name)
    if cls is None:
        raise UntrustedCardError(
            f"{where} is to be a {path}, which is not among the public estimators of geneexpr and "
            "scikit-learn, and nothing else is built from a card. If it is yours, pass pipeline=."
        )
    known = _arguments(cls)
    strange = [param for param in value["params"] if param not in known]
    if strange:
        raise ValueError(
            f"{where} ({path}) has no parameter {name_some(strange)} in the installed version: "
            "install the versions of the card, or pass pipeline=."
        )
    params = {n: decode(v, f"{where}.{n}") for n, v in value["params"].items()}
    return cls(**{n: v for n, v in params.items() if n not in _NOT_KEPT})


def _read_array(value, where):
    items = [decode(item, where) for item in value["values"]]
    if np.dtype(value["dtype"]).kind not in "biuf":
        raise ValueError(f"{where} is damaged: an array of {value['dtype']}")
    return np.array(items, dtype=value["dtype"]).reshape(value["shape"])


def _read_function(value, where):
    module, _, name = value["name"].rpartition(".")
    if name not in _FUNCTIONS.get(module, ()):
        raise UntrustedCardError(
            f"{where} is to be the function {value['name']}, which is not among those that a card "
            "may name. If it is yours, pass pipeline=."
        )
    return getattr(import_module(module), name)


def _read_number(value, where):
    if value["value"] not in ("nan", "inf", "-inf"):
        raise ValueError(f"{where} is damaged: {value['value']!r} is no number")
    return float(value["value"])


def _refuse(value, where):
    what = value.get("of") or value.get("type")
    raise ValueError(
        f"{where} cannot be rebuilt from the card: of this {what} only a summary was recorded. "
        "Pass pipeline= with the same parameter."
    )


_READERS = {
    "object": _read_object,
    "number": _read_number,
    "tuple": lambda v, where: tuple(decode(v["items"], where)),
    "dict": lambda v, where: {
        decode(key, where): decode(item, f"{where}[{key!r}]") for key, item in v["items"]
    },
    "array": _read_array,
    "dtype": lambda v, where: np.dtype(v["name"]),
    "scalar type": lambda v, where: np.dtype(v["name"]).type,
    "function": _read_function,
    "summary": _refuse,
    "unknown": _refuse,
}


# ------------------------------------------------------------------ looking through it


def walk(value, where=""):
    """Yield every recorded value with its path, such as ``"tpm.gene_lengths"``."""
    yield where, value
    if isinstance(value, list):
        for i, item in enumerate(value):
            yield from walk(item, f"{where}[{i}]")
    elif isinstance(value, dict):
        for name, item in _children(value):
            yield from walk(item, f"{where}.{name}" if where else name)


def _children(value):
    if value.get(_KIND) == "object":
        for name, item in value["params"].items():
            if name in ("steps", "transformers", "estimators", "transformer_list"):
                yield from _named(item)
            else:
                yield name, item
    elif value.get(_KIND) in ("tuple", "dict"):
        yield "items", value["items"]


def _named(steps):
    """Yield name and estimator of the steps of a pipeline, or of what is built alike."""
    for step in steps if isinstance(steps, list) else []:
        parts = step.get("items", []) if isinstance(step, dict) else step
        if len(parts) > 1 and isinstance(parts[0], str):
            yield parts[0], parts[1]
