"""AnnData on disk as Zarr: opened lazily, written block by block."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from .._blocks import block_rows
from .._optional import import_optional

# A stored chunk taller than this many blocks is read in parts, each decompressing it.
_MOST_BLOCKS_A_CHUNK = 8


def open_zarr(path):
    """Open a Zarr store as an AnnData whose matrices stay on disk.

    Sample and gene annotations are read into memory; ``X`` and the layers are not. With
    Dask installed (the extra ``disk``) they are Dask arrays of whole rows, cut where the
    stored chunks are cut; without it they are the Zarr array or anndata's sparse data
    set itself. Either can be sliced again and again, pickled to worker processes (which
    read the store themselves, so it must be on a disk that they see) and used in nested
    cross-validation. Rows are best taken in increasing order, as scikit-learn's splitters
    do: for rows in random order Dask holds all of them in memory while it sorts them.

    Parameters
    ----------
    path : str or path-like
        Folder (or zip file) of a store written by :func:`write_zarr` or by
        ``AnnData.write_zarr``.

    Returns
    -------
    AnnData
        ``X`` and ``layers`` on disk, everything else in memory; ``raw`` is left out.

    Raises
    ------
    ImportError
        If zarr is not installed.
    FileNotFoundError
        If there is nothing at `path`.
    ValueError
        If the store holds no AnnData, or a matrix stored by columns (CSC).

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from geneexpr import CPMNormalizer
    >>> from geneexpr.datasets import make_cohort
    >>> from geneexpr.io import open_zarr, write_zarr
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_zarr(make_cohort(60, 50, random_state=0), pathlib.Path(folder) / "cohort.zarr")
    ...     cohort = open_zarr(pathlib.Path(folder) / "cohort.zarr")
    ...     print(type(cohort.X).__name__, cohort.shape)
    ...     scaled = CPMNormalizer().fit_transform(cohort)
    ...     print(round(float(scaled.X.sum().compute())))
    Array (60, 50)
    60000000
    """
    zarr = import_optional("zarr", extra="disk", purpose="open_zarr")
    import anndata as ad

    if not Path(path).exists():
        raise FileNotFoundError(f"there is no Zarr store at {os.fspath(path)}")
    group = _open_group(zarr, path)
    read = {}
    for name in ("obs", "var", "obsm", "varm", "obsp", "varp", "uns"):
        if name in group:
            read[name] = ad.io.read_elem(group[name])
    X = _lazy(group["X"], path) if "X" in group else None
    adata = ad.AnnData(X, **read)
    for name, layer in group["layers"].members() if "layers" in group else ():
        adata.layers[name] = _lazy(layer, path)
    return adata


def _open_group(zarr, path):
    try:
        group = zarr.open_group(os.fspath(path), mode="r")
    except (ValueError, FileNotFoundError) as error:
        raise ValueError(f"{os.fspath(path)} is not a Zarr group: {error}") from error
    kind = group.attrs.get("encoding-type")
    if kind != "anndata":
        raise ValueError(
            f"{os.fspath(path)} is a Zarr store, but it holds no AnnData (its encoding-type is "
            f"{kind!r}). Write it with geneexpr.io.write_zarr or AnnData.write_zarr"
        )
    return group


def _lazy(element, path):
    """Return a stored matrix as a Dask array of whole rows, or as it is without Dask."""
    from anndata.io import sparse_dataset

    is_sparse = hasattr(element, "members")
    if is_sparse and element.attrs["encoding-type"] != "csr_matrix":
        raise ValueError(
            f"{element.path} in {os.fspath(path)} is stored as {element.attrs['encoding-type']}, "
            "so that reading a row reads the whole of it. Store it by rows: "
            "adata.X = adata.X.tocsr() before writing"
        )
    try:
        import_optional("dask.array", extra="disk")
    except ImportError:
        return sparse_dataset(element) if is_sparse else element
    from anndata.experimental import read_elem_lazy

    shape = tuple(element.attrs["shape"]) if is_sparse else element.shape
    rows = block_rows(shape[1])
    if not is_sparse:
        rows = _aligned(rows, element.chunks[0])
    return read_elem_lazy(element, chunks=(min(rows, max(1, shape[0])), -1))


def _aligned(rows, stored):
    """Round a number of rows so that blocks end where stored chunks end."""
    if stored > _MOST_BLOCKS_A_CHUNK * rows:
        return rows
    return max(1, rows // stored) * stored


def write_zarr(adata, path, *, overwrite=False):
    """Write an AnnData to a Zarr store that :func:`open_zarr` reads well.

    Dense matrices are cut into whole rows. A lazy ``X``, as ``transform`` gives it for
    data on disk, is computed and written block by block, so a matrix larger than memory
    passes through. The store appears at `path` only once it is complete.

    Parameters
    ----------
    adata : AnnData
        What to write, without `raw`; it is not changed.
    path : str or path-like
        Folder of the new store.
    overwrite : bool, default=False
        Replace what is at `path`. Even the store that `adata` reads from may be
        replaced.

    Raises
    ------
    ImportError
        If zarr is not installed.
    FileExistsError
        If there is something at `path` and `overwrite` is false.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from geneexpr.datasets import make_cohort
    >>> from geneexpr.io import write_zarr
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_zarr(make_cohort(20, 30, random_state=0), pathlib.Path(folder) / "cohort.zarr")
    """
    zarr = import_optional("zarr", extra="disk", purpose="write_zarr")
    path = Path(path)
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists; give another path, or overwrite=True")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
        new = Path(folder) / "store"
        _write(zarr, adata, new)
        if path.exists():
            path.rename(Path(folder) / "old")
        new.rename(path)


def _write(zarr, adata, path):
    """Write the annotations, then each matrix in chunks of whole rows."""
    import anndata as ad

    shell = ad.AnnData(
        obs=adata.obs.copy(),
        var=adata.var.copy(),
        uns=dict(adata.uns),
        obsm=dict(adata.obsm),
        varm=dict(adata.varm),
        obsp=dict(adata.obsp),
        varp=dict(adata.varp),
    )
    shell.strings_to_categoricals()
    group = zarr.open_group(path, mode="w", zarr_format=3)
    # One file a chunk, said explicitly: unset, anndata warns that its default will change.
    unsharded = {"shards": None}
    ad.io.write_elem(group, "/", shell, dataset_kwargs=unsharded)
    matrices = {} if adata.X is None else {"X": adata.X}
    matrices |= {f"layers/{name}": layer for name, layer in adata.layers.items()}
    for name, matrix in matrices.items():
        ad.io.write_elem(group, name, matrix, dataset_kwargs=unsharded | _chunks(matrix))


def _chunks(matrix):
    """Chunks of whole rows for a dense matrix; those of anndata for a sparse one."""
    if hasattr(getattr(matrix, "_meta", matrix), "tocsr"):
        return {}
    lazy = hasattr(matrix, "dask")
    rows = matrix.chunks[0][0] if lazy else block_rows(matrix.shape[1])
    return {"chunks": (max(1, min(rows, matrix.shape[0])), max(1, matrix.shape[1]))}
