"""Rows of a matrix that is not in memory: what says so of a type, and how to read them."""

import numpy as np


class DiskRows:
    """Rows of a matrix that stays on disk (or in a Dask graph) until a block is read.

    Parameters
    ----------
    read : callable
        ``read(start, stop)`` gives these rows as an array or sparse matrix, unchecked.
    shape : tuple of int
    dtype : numpy.dtype
    dask : dask.array.Array, optional
        The lazy matrix itself, where there is one.
    """

    ndim = 2

    def __init__(self, read, shape, dtype, *, dask=None, check=None):
        self.read = read
        self.check = check or _unchecked
        self.shape = tuple(int(n) for n in shape)
        self.dtype = np.dtype(dtype)
        self.dask = dask

    def checked(self, check):
        """Return the same rows; ``check(block)`` is to see, and may replace, every block."""
        return DiskRows(self.read, self.shape, self.dtype, dask=self.dask, check=check)


def _unchecked(block):
    return block


def _is_dask(matrix):
    # A view of an AnnData holds a subclass of the Dask array, from a module of anndata.
    return any(base.__module__.startswith("dask.array") for base in type(matrix).__mro__)


def is_stored(matrix):
    """Tell a Zarr array, an HDF5 data set or a sparse data set of anndata on either."""
    module = type(matrix).__module__
    return module.startswith(("zarr.", "h5py.")) or (
        module.startswith("anndata.") and hasattr(matrix, "to_memory")
    )


def lazy(matrix, read=None):
    """Give what is on disk as DiskRows; anything else goes through unchanged."""
    if _is_dask(matrix):
        return DiskRows(
            lambda start, stop: matrix[start:stop].compute(),
            matrix.shape,
            matrix.dtype,
            dask=matrix,
        )
    if is_stored(matrix):
        take = read or (lambda start, stop: matrix[start:stop])
        return DiskRows(take, matrix.shape, matrix.dtype)
    return matrix
