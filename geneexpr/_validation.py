"""Checks, errors and warnings; the only home of private scikit-learn imports."""

import warnings
from functools import partial

import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn.utils._set_output import _get_output_config
from sklearn.utils.validation import (
    _check_feature_names,
    _check_n_features,
    check_array,
    validate_data,
)

from ._containers import (
    DiskRows,
    annotation,
    gene_annotation,
    gene_names,
    is_named,
    name_some,
    sample_names,
    scale_of,
    values,
)
from ._options import check_choice as check_choice
from ._options import check_keys as check_keys
from ._options import check_number as check_number
from ._warning_classes import BatchWarning as BatchWarning
from ._warning_classes import ExplanationWarning as ExplanationWarning
from ._warning_classes import GeneExpressionWarning as GeneExpressionWarning
from ._warning_classes import ModelFileWarning as ModelFileWarning
from ._warning_classes import OutOfDistributionWarning as OutOfDistributionWarning
from ._warning_classes import ScaleWarning, SelectionWarning, ZeroDepthWarning
from ._warning_classes import TrendWarning as TrendWarning

FLOATS = (np.float64, np.float32)
SCALE_ENTRIES = 2**20
"""How many entries of a large matrix are looked at to judge its scale."""
MAX_LOGGED = 50
"""No expression on a log scale reaches this."""
MAX_LOGGED_WHOLE = 20
"""Nor does it hold nothing but whole numbers and reach this."""


# ------------------------------------------------------------------ the matrix


def check_input(
    estimator,
    X,
    *,
    reset,
    counts=False,
    logged=False,
    layer=None,
    allow_nan=False,
    min_samples=1,
    min_features=1,
    sparse=True,
    names=True,
):
    """Turn whatever came into a checked matrix, and its genes into fitted attributes.

    Parameters
    ----------
    estimator : estimator
        Gets ``n_features_in_`` and, for named genes, ``feature_names_in_``.
    X : container
    reset : bool
        True in ``fit``; False compares the genes with those seen in ``fit``.
    counts : bool, default=False
        Raise on negative values; warn (`ScaleWarning`) on logged or fractional ones.
    logged : bool, default=False
        Warn (`ScaleWarning`) on values that no logarithm of expression reaches.
    layer : str, optional
        The layer of an AnnData to read in place of ``X``.
    allow_nan : bool, default=False
    min_samples, min_features : int, default=1
    sparse : bool, default=True
        Whether the method takes sparse input.
    names : bool, default=True
        False: compare neither names nor number of genes (for what brings them in line).

    Returns
    -------
    matrix : C-ordered array or canonical CSR of float64 or float32, or DiskRows
        DiskRows check each block as it is read.
    """
    named = is_named(X)
    found = gene_names(X) if named else None
    matrix = values(X, layer=layer)
    # What checks the input of a public function speaks in the function's name.
    called = getattr(estimator, "called", type(estimator).__name__)
    options = {
        "dtype": FLOATS,
        "order": "C",
        "accept_sparse": "csr" if sparse else False,
        "ensure_all_finite": "allow-nan" if allow_nan else True,
        "ensure_min_features": min_features,
        "estimator": called,
    }
    alone = {**options, "input_name": "X"}
    if named and names:
        _check_names(estimator, X, found, matrix, reset=reset)
    finish = partial(_finished, name=called, counts=counts, logged=logged)
    if isinstance(matrix, DiskRows):
        if names and not named:
            _check_width(estimator, X, matrix, reset=reset)
        if matrix.shape[0] < min_samples:
            check_array(np.empty((matrix.shape[0], 1)), ensure_min_samples=min_samples)
        return matrix.checked(partial(_checked_block, options=alone, finish=finish))
    if named or not names:
        matrix = check_array(matrix, ensure_min_samples=min_samples, **alone)
    else:
        options["ensure_min_samples"] = min_samples
        matrix = _with_hint(estimator, matrix, reset, partial(validate_data, **options))
    if counts and layer is None:
        warn_logged(X, called)
    return finish(matrix)


def check_transformed(estimator, X, **options):
    """Check what ``inverse_transform`` gets: the columns that ``transform`` gives.

    Parameters
    ----------
    estimator : transformer
        Fitted, with ``get_feature_names_out``.
    X : container
        With or without names.
    **options
        As `check_input` takes them.

    Returns
    -------
    matrix : array, CSR matrix or DiskRows
    """
    matrix = check_input(estimator, X, reset=False, names=False, min_features=0, **options)
    expected, found = estimator.get_feature_names_out(), gene_names(X)
    name = type(estimator).__name__
    if matrix.shape[1] != len(expected):
        raise ValueError(
            f"X has {matrix.shape[1]} features, but {name}.inverse_transform is expecting the "
            f"{len(expected)} features that transform gives."
        )
    compared = found is not None and hasattr(estimator, "feature_names_in_")
    if compared and not np.array_equal(found, expected):
        other = found[found != expected]
        raise ValueError(
            f"{name}.inverse_transform expects the columns that transform gives, in their order; "
            f"got {name_some(other)} in other places."
        )
    return matrix


def _checked_block(block, *, options, finish):
    return finish(check_array(block, ensure_min_samples=0, **options))


def _finished(matrix, *, name, counts, logged):
    """Make CSR canonical and look whether the values are on the scale that is expected."""
    if sp.issparse(matrix) and not matrix.has_canonical_format:
        matrix = matrix.copy()
        matrix.sum_duplicates()
    if counts:
        check_counts(matrix, name)
    if logged:
        warn_linear(matrix, name)
    return matrix


def _check_names(estimator, X, found, matrix, *, reset):
    if reset:
        estimator.n_features_in_ = matrix.shape[1]
        if found is not None:
            estimator.feature_names_in_ = found
        elif hasattr(estimator, "feature_names_in_"):
            del estimator.feature_names_in_
        return
    fitted = getattr(estimator, "feature_names_in_", None)
    if fitted is not None and found is not None and not np.array_equal(fitted, found):
        _raise_names(estimator, X, fitted, found)
    if fitted is None or found is None:
        # scikit-learn's own warning where only one side has names
        sham = None if found is None else pd.DataFrame(columns=found)
        _check_feature_names(estimator, sham, reset=False)
        _check_width(estimator, X, matrix, reset=False)


def _raise_names(estimator, X, fitted, found):
    """Raise scikit-learn's error on other genes, and add what to do."""
    rows = sample_names(X)
    if len(rows) == len(fitted) and np.array_equal(np.asarray(rows, dtype=object), fitted):
        hint = "The names of the rows are the genes seen in fit: is X transposed?"
    else:
        hint = (
            "Genes are never matched by position. GeneAligner brings new data to the genes seen "
            "in fit, by name and in order."
        )
    try:
        _check_feature_names(estimator, pd.DataFrame(columns=found), reset=False)
    except ValueError as error:
        raise ValueError(f"{error}{hint}") from None


def _check_width(estimator, X, matrix, *, reset):
    _with_hint(
        estimator, matrix, reset, lambda estimator, X, reset: _check_n_features(estimator, X, reset)
    )


def _with_hint(estimator, matrix, reset, check):
    """Run a check of scikit-learn; add a hint where the input may be transposed."""
    try:
        return check(estimator, X=matrix, reset=reset)
    except ValueError as error:
        n = getattr(estimator, "n_features_in_", None)
        shape = getattr(matrix, "shape", (0,))
        if not reset and len(shape) == 2 and n is not None and shape[0] == n != shape[1]:
            raise ValueError(
                f"{error} Samples are rows and genes are columns: X of shape {shape} may be "
                "transposed."
            ) from None
        raise


# ------------------------------------------------------------------ values


def stored(matrix):
    """Return the entries that are stored: all of an array, the non-zeros of CSR."""
    return matrix.data if sp.issparse(matrix) else matrix


def check_counts(matrix, name):
    """Raise on negative values where counts are expected; warn on fractional ones.

    Of a matrix with more than a million entries, rows spread over the whole of it stand for
    the rest when it comes to the warning; the error looks at every entry.
    """
    entries = stored(matrix)
    if entries.size == 0:
        return
    lowest = entries.min()
    if lowest < 0:
        row, column = _first(matrix, lambda block: block < 0)
        raise ValueError(
            f"Negative values in data passed to {name}: counts (or other abundances, not logged) "
            f"were expected, got {lowest:g} as lowest, first in row {row}, column {column}. "
            "If X is logged or centred, give the counts."
        )
    some = _some(entries)
    if not np.array_equal(some, np.trunc(some)):
        warnings.warn(
            f"{name} expects counts, but X holds values that are not whole numbers (such as "
            f"{some[some != np.trunc(some)].flat[0]:g}). If these are expected counts (RSEM, "
            "salmon), this is fine; if X is already normalised or logged, it is not.",
            ScaleWarning,
            stacklevel=5,
        )


def _some(entries):
    step = -(-entries.size // SCALE_ENTRIES)
    return entries[:: max(1, step)]


def warn_linear(matrix, name):
    """Warn of counts or intensities where expression on a log scale is expected."""
    some = _some(stored(matrix))
    highest = np.fmax.reduce(some, axis=None, initial=-np.inf)
    is_whole = MAX_LOGGED_WHOLE < highest < np.inf and np.array_equal(some, np.trunc(some))
    if highest > MAX_LOGGED or is_whole:
        warnings.warn(
            f"{name} expects expression on a log scale, but X holds "
            f"{'whole numbers' if is_whole else 'values'} up to {highest:g}. Normalise and log "
            "first (CPMNormalizer(log=True), VarianceStabilizer; LogTransformer for intensities), "
            "or choose a method for counts (method='voom').",
            ScaleWarning,
            stacklevel=5,
        )


def _first(matrix, condition):
    if sp.issparse(matrix):
        coo = matrix.tocoo()
        at = int(np.flatnonzero(condition(coo.data))[0])
        return int(coo.row[at]), int(coo.col[at])
    return tuple(int(i) for i in np.argwhere(condition(matrix))[0])


def warn_logged(X, name):
    """Warn where AnnData says that X is already logged."""
    if scale_of(X) is not None:
        warnings.warn(
            f"{name} expects values that are not logged, but uns['log1p'] says that X is. Give "
            "the counts, or delete uns['log1p'] if it does not speak of X.",
            ScaleWarning,
            stacklevel=4,
        )


def warn_zero_depth(depths, name):
    """Warn of samples whose counts are all zero."""
    empty = np.flatnonzero(depths == 0)
    if len(empty):
        warnings.warn(
            f"{len(empty)} of {len(depths)} samples have no counts at all (row "
            f"{name_some(empty)}): to {name} they are rows of zeros. Drop them if they are failed "
            "libraries.",
            ZeroDepthWarning,
            stacklevel=4,
        )


def warn_nothing_kept(selector):
    """Warn of a selector that keeps no gene, before the next step fails on it."""
    if not selector.support_.any():
        warnings.warn(
            f"{type(selector).__name__} keeps none of {len(selector.support_)} genes. Loosen its "
            "thresholds, or look at the scale of X.",
            SelectionWarning,
            stacklevel=3,
        )


# ------------------------------------------------------------------ annotations


def labels_of(X, key, given=None, *, key_name="batch_key", given_name="batch"):
    """Return the labels of the samples from an annotation or from an argument, or None.

    Parameters
    ----------
    X : container
    key : str or None
        The name of an annotation that X carries.
    given : array-like of shape (n_samples,), optional
        Labels passed beside an array.

    Returns
    -------
    labels : array of shape (n_samples,), or None where neither is there
    """
    if isinstance(key, list | tuple):
        raise ValueError(f"{key_name} must be the name of one annotation; got {key!r}.")
    if given is None:
        return None if key is None else annotation(X, key)
    if is_named(X) and key is not None:
        raise ValueError(
            f"Got both {key_name}={key!r} and {given_name}=: name the annotation that X carries, "
            f"or pass {given_name}= beside an array, not both."
        )
    rows = sample_names(X)
    if isinstance(given, pd.Series) and rows is not None and not given.index.equals(rows):
        raise ValueError(
            f"{given_name} is a Series whose index differs from the sample names of X; labels are "
            f"never aligned silently. Pass {given_name}.loc[names] or an array."
        )
    given = np.asarray(given)
    n = values(X).shape[0] if hasattr(values(X), "shape") else len(X)
    if given.shape != (n,):
        raise ValueError(
            f"{given_name} must hold one label a sample: got shape {given.shape} for {n} samples."
        )
    missing = np.flatnonzero(pd.isna(given))
    if len(missing):
        raise ValueError(
            f"{given_name} is missing for {len(missing)} of {n} samples: row "
            f"{name_some(missing)}. Fill it in or drop these samples."
        )
    return given


def gene_values(estimator, X, source, *, what):
    """Return one positive number a gene, taken by name.

    Parameters
    ----------
    estimator : estimator
        Holds the genes seen in ``fit``.
    X : container
    source : str, mapping, Series or array-like
        A column of ``AnnData.var``, or values indexed by gene. An array is taken by
        position, for X without names only.
    what : str
        What the values are, for the errors.

    Returns
    -------
    array of shape (n_genes,)
    """
    genes = getattr(estimator, "feature_names_in_", None)
    if isinstance(source, str):
        found = pd.Series(gene_annotation(X, source))
    elif isinstance(source, pd.Series) or hasattr(source, "keys"):
        found = _by_name(pd.Series(source), genes, what)
    elif genes is not None:
        raise ValueError(
            f"{what} must be taken by name, since X has gene names: pass a Series indexed by gene "
            f"(or the name of a column of AnnData.var), got {type(source).__name__}."
        )
    else:
        found = pd.Series(np.asarray(source))
    n = estimator.n_features_in_
    if len(found) != n:
        raise ValueError(f"{what} must have one value a gene: got {len(found)} for {n} genes.")
    numbers = pd.to_numeric(found, errors="coerce").to_numpy(dtype=np.float64)
    bad = ~(np.isfinite(numbers) & (numbers > 0))
    if bad.any():
        names = np.arange(n) if genes is None else genes
        raise ValueError(
            f"{what} must be positive numbers; missing or not positive for {int(bad.sum())} of "
            f"{n} genes: {name_some(names[bad])}. Drop these genes by name, or complete the values."
        )
    return numbers


def _by_name(series, genes, what):
    if genes is None:
        raise ValueError(
            f"{what} are indexed by gene, but X has no gene names. Give X as a DataFrame or an "
            f"AnnData, or {what} as an array in the order of the columns."
        )
    series.index = series.index.astype(str)
    if not series.index.is_unique:
        twice = series.index[series.index.duplicated()].unique()
        raise ValueError(f"{what} name {name_some(twice)} more than once.")
    return series.reindex(genes)


# ------------------------------------------------------------------ output


def wants_frame(estimator):
    """Tell whether ``set_output`` (or the global setting) asks for a pandas DataFrame."""
    config = _get_output_config("transform", estimator)["dense"]
    return config == "pandas"
