"""The only place that knows container types: verbs over what users hold their matrix in.

Everywhere else a container is opaque. Samples are rows, genes are columns.

========================= ==========================================================
``values(X)``             the matrix: an array, a sparse matrix, or :class:`DiskRows`
``gene_names(X)``         names of the columns, or None where they have none
``sample_names(X)``       names of the rows, or None
``annotation(X, key)``    one label a sample, by name
``categories(X, key)``    its levels in their order, where it is categorical
``gene_annotation(X, k)`` one value a gene, by name
``annotations(X)``        all that X says of its samples, and of its genes, as DataFrames
``like(X, matrix)``       a new matrix in the container that came in
``as_frame(X, matrix)``   the same as a DataFrame with the annotations in its index
``scale_of(X)``           the logarithm that X records of itself, or None
``corrector_of(X)``       the corrector that X records, where its batches were corrected
``mark_corrected(X, by)`` make that record
========================= ==========================================================
"""

import sys
from copy import deepcopy
from functools import singledispatch, wraps

import numpy as np
import pandas as pd
import scipy.sparse as sp

from ._disk_rows import DiskRows as DiskRows
from ._disk_rows import is_stored, lazy


def _verb(default):
    """Dispatch on the container's type; AnnData joins once somebody has imported it.

    Importing anndata takes seconds, so it is never imported here: an object can only be
    an AnnData if ``sys.modules`` already holds the package.
    """
    dispatched = singledispatch(default)
    branches = {}

    @wraps(default)
    def verb(X, *args, **kwargs):
        if "anndata" in sys.modules and branches:
            dispatched.register(sys.modules["anndata"].AnnData, branches.pop("anndata"))
        return dispatched(X, *args, **kwargs)

    def anndata(function):
        branches["anndata"] = function
        return function

    verb.frame = dispatched.register(pd.DataFrame)
    verb.anndata = anndata
    return verb


def is_anndata(X):
    """Tell whether X is an AnnData, without importing anndata."""
    return "anndata" in sys.modules and isinstance(X, sys.modules["anndata"].AnnData)


def is_named(X):
    """Tell whether X is of a kind that carries names: a DataFrame or an AnnData."""
    return isinstance(X, pd.DataFrame) or is_anndata(X)


# ------------------------------------------------------------------ the matrix


@_verb
def values(X, layer=None):
    """Return the matrix that X holds; what is on disk comes as :class:`DiskRows`."""
    if layer is not None:
        raise ValueError(
            f"layer={layer!r} was given, but layers exist only in AnnData; got {type(X).__name__}."
        )
    return lazy(X)


@values.anndata
def _(X, layer=None):
    if layer is not None and layer not in X.layers:
        raise ValueError(
            f"There is no layer {layer!r} in this AnnData; its layers are {sorted(X.layers)}."
        )
    # A view of a stored matrix would load all its rows here, so ask what lies underneath.
    base = X._adata_ref if X.is_view else X
    stored = base.X if layer is None else base.layers[layer]
    if stored is None:
        raise ValueError("This AnnData holds no X; give it one, or name a layer.")
    if not is_stored(stored):
        return lazy(X.X if layer is None else X.layers[layer])

    rows = np.arange(base.n_obs)[X._oidx] if X.is_view else None

    def read(start, stop):
        # From the base, since a view of a view of HDF5 raises.
        part = X[start:stop] if rows is None else base[rows[start:stop], X._vidx]
        block = part.X if layer is None else part.layers[layer]
        return block[:] if is_stored(block) else block

    return DiskRows(read, X.shape, stored.dtype)


@values.frame
def _(X, layer=None):
    if layer is not None:
        raise ValueError(f"layer={layer!r} was given, but layers exist only in AnnData.")
    if X.shape[1] and isinstance(X.dtypes.iloc[0], pd.SparseDtype):
        return X.sparse.to_coo().tocsr()
    matrix = X.to_numpy()
    if matrix.dtype != object:
        return matrix
    numeric = [pd.api.types.is_numeric_dtype(dtype) for dtype in X.dtypes]
    if not all(numeric):
        try:
            return matrix.astype(np.float64)
        except (TypeError, ValueError):
            text = X.columns[~np.array(numeric)]
            raise ValueError(
                f"All columns must be genes with numeric values, got text in {name_some(text)}. "
                "Annotations of samples belong in the row index: "
                f"df.set_index({text[0]!r}, append=True)."
            ) from None
    return X.to_numpy(dtype=np.float64, na_value=np.nan)


# ------------------------------------------------------------------ names


@_verb
def gene_names(X):
    """Return the names of the genes as an object array of str, or None."""
    return None


@gene_names.anndata
def _(X):
    return _names(X.var_names)


@gene_names.frame
def _(X):
    return None if isinstance(X.columns, pd.RangeIndex) else _names(X.columns)


def _names(index):
    """Check gene names: one level, no duplicates; integers (Entrez) become str."""
    if isinstance(index, pd.MultiIndex):
        raise ValueError(
            f"Genes must have one name each, got columns with {index.nlevels} levels "
            f"({list(index.names)})."
        )
    if not index.is_unique:
        twice = index[index.duplicated()].unique()
        raise ValueError(
            f"Gene names must be unique, got {name_some(twice)} more than once. Sum or rename "
            "them first (AnnData.var_names_make_unique() renames)."
        )
    names = np.asarray(index, dtype=object)
    kind = index.inferred_type
    if kind == "integer":
        return names.astype(str).astype(object)
    if kind not in ("string", "empty"):
        raise TypeError(
            "Feature names are only supported if all input features have string names (or all "
            f"have integer names, as Entrez identifiers), but your input has {kind} names. Use "
            "X.columns = X.columns.astype(str)."
        )
    return names


@_verb
def sample_names(X):
    """Return the names of the samples as an Index, or None."""
    return None


@sample_names.anndata
def _(X):
    return X.obs_names


@sample_names.frame
def _(X):
    return X.index.get_level_values(0)


def name_some(names, most=5):
    """Write out the first few names, and how many more there are."""
    names = list(names)
    said = ", ".join(repr(str(n)) if isinstance(n, str) else str(n) for n in names[:most])
    return said if len(names) <= most else f"{said} and {len(names) - most} more"


# ------------------------------------------------------------------ annotations


@_verb
def annotation(X, key):
    """Return the annotation ``key`` of the samples: an array of shape (n_samples,)."""
    raise ValueError(
        f"The annotation {key!r} was asked for, but {type(X).__name__} carries no annotations. "
        "Give an AnnData with it in obs, a DataFrame with it as a level of the row index, or "
        "pass the labels beside the array (batch=, covariates=, groups=)."
    )


@annotation.anndata
def _(X, key):
    if key not in X.obs:
        raise ValueError(
            f"There is no annotation {key!r} in obs; obs has {name_some(X.obs.columns)}."
        )
    return _labels(X.obs[key], key, X.obs_names)


@annotation.frame
def _(X, key):
    if key in X.index.names:
        return _labels(X.index.get_level_values(key), key, X.index.get_level_values(0))
    if key in X.columns:
        raise ValueError(
            f"{key!r} is a column of the DataFrame, where all columns are genes. Move it to the "
            f"row index: df.set_index({key!r}, append=True)."
        )
    levels = [name for name in X.index.names if name is not None]
    raise ValueError(
        f"There is no annotation {key!r}: the row index has "
        f"{f'the levels {name_some(levels)}' if levels else 'no named levels'}. Add it with "
        f"df.set_index({key!r}, append=True). (A scikit-learn step before this one loses the "
        'index unless it has set_output(transform="pandas").)'
    )


@_verb
def categories(X, key):
    """Return the levels of a categorical annotation in their order, or None."""
    return None


@categories.anndata
def _(X, key):
    return levels_of(X.obs[key])


@categories.frame
def _(X, key):
    return levels_of(X.index.get_level_values(key))


def levels_of(labels):
    """Return the levels of a categorical Series, Index or array, or None."""
    return getattr(getattr(labels, "cat", labels), "categories", None)


def _labels(column, key, names):
    missing = np.asarray(pd.isna(column))
    if missing.any():
        raise ValueError(
            f"The annotation {key!r} is missing for {int(missing.sum())} of {len(missing)} "
            f"samples: {name_some(names[missing])}. Fill it in or drop these samples."
        )
    return np.asarray(column)


@_verb
def gene_annotation(X, key):
    """Return the annotation ``key`` of the genes: an array of shape (n_genes,)."""
    raise ValueError(
        f"The annotation {key!r} of the genes was asked for by name, but {type(X).__name__} "
        "carries none. Give an AnnData with it in var, or pass a mapping or a Series indexed "
        "by gene."
    )


@gene_annotation.anndata
def _(X, key):
    if key not in X.var:
        raise ValueError(
            f"There is no annotation {key!r} of the genes in var; var has "
            f"{name_some(X.var.columns) or 'no columns'}."
        )
    return np.asarray(X.var[key])


@_verb
def annotations(X):
    """Return all annotations of the samples and all of the genes, as two DataFrames."""
    return pd.DataFrame(), pd.DataFrame()


@annotations.anndata
def _(X):
    return X.obs, X.var


@annotations.frame
def _(X):
    levels = [name for name in X.index.names if name is not None]
    return pd.DataFrame({n: X.index.get_level_values(n) for n in levels}), pd.DataFrame()


# ------------------------------------------------------------------ and back again


@_verb
def like(X, matrix, *, take=None, genes=None, uns=None):
    """Put a new matrix into the kind of container that X is.

    Parameters
    ----------
    X : container
        What came in; it is not changed.
    matrix : array, sparse matrix or dask array of shape (n_samples, n_out)
    take : array of bool or int, optional
        The columns of X that the columns of ``matrix`` are; -1 stands for a gene that X
        lacks. None: all of them.
    genes : array of str, optional
        New names of the columns. Without ``take`` the genes are replaced and their
        annotations dropped.
    uns : dict, optional
        Entries for ``AnnData.uns``; a value of None removes the entry.
    """
    return matrix


@like.frame
def _(X, matrix, *, take=None, genes=None, uns=None):
    if genes is None:
        genes = X.columns if take is None else X.columns[take]
    if sp.issparse(matrix):
        new = pd.DataFrame.sparse.from_spmatrix(matrix, index=X.index, columns=genes)
    else:
        new = pd.DataFrame(matrix, index=X.index, columns=genes, copy=False)
    new.attrs = deepcopy(X.attrs)
    return new


@like.anndata
def _(X, matrix, *, take=None, genes=None, uns=None):
    parts = {"obs": X.obs.copy(), "obsm": dict(X.obsm), "obsp": dict(X.obsp)}
    if genes is not None and take is None:
        parts["var"] = pd.DataFrame(index=pd.Index(genes, dtype=object))
    else:
        parts |= _columns(X, take)
        if genes is not None:
            parts["var"].index = pd.Index(genes, dtype=object)
    new = type(X)(X=matrix, uns=_annotated(X.uns, uns), **parts)
    new.obs_names.name = X.obs_names.name
    return new


def _columns(X, take):
    """Subset everything that an AnnData says of its genes."""
    if take is None:
        return {"var": X.var.copy(), "layers": dict(X.layers), "varm": dict(X.varm)}
    take = np.asarray(take)
    if take.dtype == bool:  # several times faster as positions
        take = np.flatnonzero(take)
    if (take < 0).any():
        return {"var": X.var.reset_index(drop=True).reindex(take)}
    return {
        "var": X.var.iloc[take].copy(),
        "layers": {key: layer[:, take] for key, layer in X.layers.items()},
        "varm": {key: block[take] for key, block in X.varm.items()},
    }


def _annotated(uns, entries):
    uns = deepcopy(dict(uns))
    for key, value in (entries or {}).items():
        if value is None:
            uns.pop(key, None)
        else:
            uns[key] = value
    return uns


@_verb
def as_frame(X, matrix, genes):
    """Return ``matrix`` as a DataFrame that carries the annotations of X in its index.

    Asked for by ``set_output(transform="pandas")``. What is no AnnData is left to
    scikit-learn.
    """
    return matrix


@as_frame.anndata
def _(X, matrix, genes):
    if sp.issparse(matrix):
        return matrix
    name = X.obs_names.name or "sample"
    levels = {name: X.obs_names, **{key: X.obs[key].array for key in X.obs.columns}}
    index = pd.MultiIndex.from_arrays(list(levels.values()), names=list(levels))
    index = index if len(levels) > 1 else index.get_level_values(0)
    frame = pd.DataFrame(np.asarray(matrix), index=index, columns=genes, copy=False)
    if _MARKS in X.uns:
        frame.attrs[_MARKS] = deepcopy(X.uns[_MARKS])
    return frame


@_verb
def scale_of(X):
    """Return what X records of its own scale: ``{"base": ...}`` if logged, else None."""
    return None


@scale_of.anndata
def _(X):
    return X.uns.get("log1p")


_MARKS = "geneexpr"
"""The entry of ``AnnData.uns`` and ``DataFrame.attrs`` that holds our own records."""


@_verb
def corrector_of(X):
    """Return the name of the corrector that X records, or None; arrays record nothing."""
    return None


@corrector_of.anndata
def _(X):
    return X.uns.get(_MARKS, {}).get("batch_corrected")


@corrector_of.frame
def _(X):
    return X.attrs.get(_MARKS, {}).get("batch_corrected")


@_verb
def mark_corrected(X, by):
    """Record in X itself, which nobody else holds yet, who corrected its batches."""
    return X


@mark_corrected.anndata
def _(X, by):
    X.uns[_MARKS] = {**X.uns.get(_MARKS, {}), "batch_corrected": by}
    return X


@mark_corrected.frame
def _(X, by):
    X.attrs[_MARKS] = {**X.attrs.get(_MARKS, {}), "batch_corrected": by}
    return X
