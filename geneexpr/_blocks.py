"""Row blocks of any matrix, and the two things done with them: fold and map.

A matrix in memory is one block. On disk there are many, and with Dask they are summarised
in parallel and merged as a tree, so ``merge`` must be associative.
"""

import itertools
from functools import reduce

import numpy as np
import scipy.sparse as sp

from ._containers import DiskRows
from ._optional import import_optional

BLOCK_BYTES = 32 * 2**20
"""Dense size of the block of rows that is read from disk at once."""


def block_rows(n_columns, itemsize=8, n_bytes=BLOCK_BYTES):
    """Return how many rows of a dense matrix fit into a block."""
    return max(1, int(n_bytes // max(1, n_columns * itemsize)))


def row_edges(X):
    """Return where the blocks of X begin and end: the chunks of Dask, else equal parts."""
    n = X.shape[0]
    step = block_rows(X.shape[1])
    if X.dask is None:
        return [*range(0, n, step), n]
    starts = np.concatenate([[0], np.cumsum(X.dask.chunks[0])])
    return [
        *(int(i) for start, stop in itertools.pairwise(starts) for i in range(start, stop, step)),
        n,
    ]


def row_blocks(X):
    """Yield ``(start, stop, block)`` over the rows, each block an array or CSR in memory."""
    if not isinstance(X, DiskRows):
        yield 0, X.shape[0], X
        return
    edges = row_edges(X)
    for start, stop in itertools.pairwise(edges):
        yield start, stop, X.check(X.read(start, stop))


def in_memory(X):
    """Load what is on disk; an array or CSR matrix goes through unchanged."""
    if not isinstance(X, DiskRows):
        return X
    blocks = [block for _, _, block in row_blocks(X)]
    return sp.vstack(blocks, format="csr") if sp.issparse(blocks[0]) else np.concatenate(blocks)


def _sliced(aligned, start, stop):
    return [None if a is None else a[start:stop] for a in aligned]


def _whole_rows(X, edges):
    """Rechunk the lazy matrix so that a block holds whole rows between these edges."""
    return X.dask.rechunk((tuple(np.diff(edges).tolist()), -1))


def fold(X, summarise, merge, *aligned):
    """Summarise every block of rows into a small statistic and merge these into one.

    Parameters
    ----------
    X : array, CSR matrix or DiskRows of shape (n_samples, n_genes)
    summarise : callable
        ``summarise(block, *aligned)`` gives the statistic of a block of rows.
    merge : callable
        ``merge(a, b)`` gives the statistic of the rows of both; associative.
    *aligned : arrays of shape (n_samples, ...) or None
        Labels of the rows, cut into the same blocks.

    Returns
    -------
    statistic
    """
    if not isinstance(X, DiskRows):
        return summarise(X, *aligned)
    if X.dask is None:
        return reduce(
            merge,
            (
                summarise(block, *_sliced(aligned, start, stop))
                for start, stop, block in row_blocks(X)
            ),
        )
    dask = import_optional("dask", extra="disk")
    edges = row_edges(X)
    blocks = _whole_rows(X, edges).to_delayed().ravel()

    check = X.check

    def summary(block, *labels):
        return summarise(check(block), *labels)

    summary, merge = dask.delayed(summary), dask.delayed(merge)
    level = [
        summary(block, *_sliced(aligned, start, stop))
        for block, start, stop in zip(blocks, edges[:-1], edges[1:], strict=True)
    ]
    while len(level) > 1:
        pairs = [merge(a, b) for a, b in zip(level[::2], level[1::2], strict=False)]
        level = pairs + level[2 * len(pairs) :]
    return level[0].compute()


def map_rows(X, function, *aligned, n_columns=None, dtype=None, sparse=None):
    """Apply a function to every block of rows; what is on disk stays lazy.

    Parameters
    ----------
    X : array, CSR matrix or DiskRows of shape (n_samples, n_genes)
    function : callable
        ``function(block, *aligned)`` gives the new rows, ``n_columns`` wide.
    *aligned : arrays of shape (n_samples, ...) or None
        Labels of the rows, cut into the same blocks.
    n_columns : int, optional
        Columns of the result, as many as X has by default. Needed for data on disk only,
        as are the two that follow.
    dtype : dtype, optional
        The dtype of the result, by default that of X (float64 for integers).
    sparse : bool, optional
        Whether the result is sparse, by default as the first block is.

    Returns
    -------
    matrix
        As ``function`` gives it, or a Dask array of such blocks for data on disk.
    """
    if not isinstance(X, DiskRows):
        return function(X, *aligned)
    dask = import_optional("dask", extra="disk")
    da = import_optional("dask.array", extra="disk")
    edges = row_edges(X)
    n_columns = X.shape[1] if n_columns is None else n_columns
    dtype = dtype or (X.dtype if X.dtype in (np.float32, np.float64) else np.dtype(np.float64))
    if sparse is None:
        sparse = sp.issparse(X.read(0, 1))
    meta = sp.csr_matrix((0, 0), dtype=dtype) if sparse else np.empty((0, 0), dtype=dtype)

    check = X.check

    def apply(block, *labels):
        return function(check(block), *labels)

    apply = dask.delayed(apply, pure=False)
    if X.dask is None:
        read = dask.delayed(X.read, pure=False)
        blocks = [read(start, stop) for start, stop in itertools.pairwise(edges)]
    else:
        blocks = _whole_rows(X, edges).to_delayed().ravel()
    parts = [
        da.from_delayed(
            apply(block, *_sliced(aligned, start, stop)),
            shape=(stop - start, n_columns),
            dtype=dtype,
            meta=meta,
        )
        for block, start, stop in zip(blocks, edges[:-1], edges[1:], strict=True)
    ]
    return da.concatenate(parts, axis=0)


def gene_blocks(X, n_bytes=4 * BLOCK_BYTES):
    """Yield ``(columns, block)``: all rows of some genes, as a dense array.

    For methods that need a gene's whole column (ranks, medians). Data on disk are read once
    a block of genes, so the block is as wide as ``n_bytes`` allow.
    """
    n_rows, n_columns = X.shape
    width = max(1, min(n_columns, int(n_bytes // (8 * max(1, n_rows)))))
    stored = X.tocsc() if sp.issparse(X) else X
    for start in range(0, n_columns, width):
        columns = slice(start, min(start + width, n_columns))
        yield columns, _columns(stored, columns)


def _columns(X, columns):
    if sp.issparse(X):
        return X[:, columns].toarray()
    if not isinstance(X, DiskRows):
        return X[:, columns]
    parts = [_columns(block, columns) for _, _, block in row_blocks(X)]
    return np.concatenate(parts, axis=0)
