"""Rows of a matrix, gathered a mini-batch at a time: in memory dense or sparse, or in blocks.

A mini-batch is one indexing operation, and of a sparse matrix only a mini-batch is ever
dense. Every class here has the same three methods:

- ``len(rows)``: how many there are.
- ``batches(index, batch_size, generator)``: yields ``(rows, x)``, the numbers of the rows and
  their values as a dense tensor; in order without a generator, shuffled with one. ``x`` is
  good until the next one is asked for.
- ``to(device)``: the same rows, whose mini-batches lie on that device.
"""

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import scipy.sparse as sp
import torch

READ_AHEAD_BYTES = 48 * 2**20
"""Size of a buffer of rows from a source in blocks, within which rows are shuffled.

There are two: one is learned from while the next is read."""


def rows_of(X):
    """Wrap an array or a sparse matrix in memory.

    Parameters
    ----------
    X : array or sparse matrix of shape (n_samples, n_genes)

    Returns
    -------
    DenseRows or SparseRows
    """
    return SparseRows(X.tocsr()) if sp.issparse(X) else DenseRows(X)


def split_evenly(index, batch_size):
    """Cut an index into batches whose sizes differ by one at most.

    The last batch of a plain cut may hold a single row, whose gradient is mostly noise.
    """
    n_batches = max(1, math.ceil(len(index) / batch_size))
    return index.tensor_split(n_batches)


def _shuffled(index, generator):
    if generator is None:
        return index
    return index[torch.randperm(len(index), generator=generator)]


class _Writable:
    """Show an array's memory as writable: torch warns of read-only arrays, we only read."""

    def __init__(self, X):
        interface = dict(X.__array_interface__)
        interface["data"] = (interface["data"][0], False)
        self.__array_interface__ = interface
        self.kept_alive = X


def as_tensor(X):
    """Return a tensor on the memory of an array, which may be read-only."""
    X = np.ascontiguousarray(X)
    return torch.from_numpy(X if X.flags.writeable else np.asarray(_Writable(X)))


class _InMemory:
    """What dense and sparse rows in memory share; a subclass gathers in ``take``."""

    device = torch.device("cpu")

    def batches(self, index, batch_size, generator=None):
        """Yield ``(rows, x)`` over the rows in ``index``."""
        for rows in split_evenly(_shuffled(index, generator), batch_size):
            yield rows, self.take(rows)


class DenseRows(_InMemory):
    """Rows of an array in memory.

    Parameters
    ----------
    X : array of shape (n_samples, n_genes)
    """

    def __init__(self, X):
        self._X = as_tensor(X)
        self._buffer = self._X.new_empty((0, self._X.shape[1]))

    def __len__(self):
        return len(self._X)

    def take(self, rows):
        """Gather these rows into one tensor, whose memory the next call uses again."""
        if len(self._buffer) < len(rows):
            self._buffer = self._X.new_empty((len(rows), self._X.shape[1]))
        out = self._buffer[: len(rows)]
        return torch.index_select(self._X, 0, rows.to(self.device), out=out)

    def to(self, device):
        """Keep the matrix on an accelerator where half of its free memory holds it."""
        device = torch.device(device)
        if device.type != "cuda":
            return self if device.type == "cpu" else _Moved(self, device)
        free, _ = torch.cuda.mem_get_info(device)
        if self._X.nbytes > free // 2:
            return _Moved(self, device)
        moved = DenseRows.__new__(DenseRows)
        moved._X, moved._buffer = self._X.to(device), self._buffer.to(device)
        moved.device = device
        return moved


class SparseRows(_InMemory):
    """Rows of a CSR matrix in memory.

    Parameters
    ----------
    X : CSR matrix or array of shape (n_samples, n_genes)
    """

    def __init__(self, X):
        self._X = X
        self._buffer = np.empty((0, X.shape[1]), dtype=X.dtype)

    def __len__(self):
        return self._X.shape[0]

    def take(self, rows):
        """Gather these rows into one dense tensor, whose memory the next call uses again."""
        if len(self._buffer) < len(rows):
            self._buffer = np.empty((len(rows), self._X.shape[1]), dtype=self._X.dtype)
        out = self._buffer[: len(rows)]
        return torch.from_numpy(self._X[rows.numpy()].toarray(out=out))

    def to(self, device):
        """Move each mini-batch to the device."""
        return self if torch.device(device).type == "cpu" else _Moved(self, device)


class BlockRows:
    """Rows that are read in blocks, as from disk, and never all at once.

    Shuffling goes two ways: the order of the blocks, then the rows within a buffer of
    several blocks. While one buffer is learned from, a thread reads the next. Peak memory is
    three buffers (the next is joined from its blocks) and one mini-batch.

    Parameters
    ----------
    read : callable
        ``read(start, stop)`` gives these rows as an array or sparse matrix.
    edges : sequence of int
        Where the blocks begin and end: ``0, ..., n_samples``.
    dtype : numpy.dtype
        Of the values; a block is cast to it.
    read_ahead_bytes : int
    """

    device = torch.device("cpu")

    def __init__(self, read, edges, dtype, *, read_ahead_bytes=READ_AHEAD_BYTES):
        self._read = read
        self._edges = np.asarray(edges)
        self._dtype = np.dtype(dtype)
        self._read_ahead_bytes = read_ahead_bytes

    def __len__(self):
        return int(self._edges[-1])

    def batches(self, index, batch_size, generator=None):
        """Yield ``(rows, x)`` over the rows in ``index``, which is sorted."""
        blocks = _shuffled(torch.arange(len(self._edges) - 1), generator)
        for rows, buffer in read_ahead(self._buffers(index, blocks)):
            source = rows_of(buffer)
            places = _shuffled(torch.arange(len(rows)), generator)
            for place in split_evenly(places, batch_size):
                yield rows[place], source.take(place)
            del buffer, source  # let go of this buffer before the next one is read

    def _buffers(self, index, blocks):
        """Yield ``(rows, matrix)``: the chosen rows of as many blocks as fit into the buffer."""
        cuts = np.searchsorted(index.numpy(), self._edges)
        numbers, parts, held = [], [], 0
        for block in blocks.tolist():
            chosen = index[cuts[block] : cuts[block + 1]]
            if not len(chosen):
                continue
            part = self._block(block, chosen)
            size = _nbytes(part)
            if parts and held + size > self._read_ahead_bytes:
                yield torch.cat(numbers), _joined(parts)
                numbers, parts, held = [], [], 0
            numbers.append(chosen)
            parts.append(part)
            held += size
        if parts:
            yield torch.cat(numbers), _joined(parts)

    def _block(self, block, chosen):
        start, stop = int(self._edges[block]), int(self._edges[block + 1])
        matrix = self._read(start, stop)
        if sp.issparse(matrix):
            matrix = matrix.tocsr()
        matrix = matrix.astype(self._dtype, copy=False)
        return matrix if len(chosen) == stop - start else matrix[(chosen - start).numpy()]

    def to(self, device):
        """Move each mini-batch to the device."""
        return self if torch.device(device).type == "cpu" else _Moved(self, device)


def read_ahead(items):
    """Yield what an iterator yields, each made by a thread while the one before is in use.

    Parameters
    ----------
    items : iterator
        Draws no random numbers: it runs beside whoever does.

    Examples
    --------
    >>> list(read_ahead(iter("abc")))
    ['a', 'b', 'c']
    """
    end = object()
    with ThreadPoolExecutor(1, thread_name_prefix="geneexpr-read-ahead") as thread:
        coming = thread.submit(next, items, end)
        while (item := coming.result()) is not end:
            coming = thread.submit(next, items, end)
            yield item
            del item  # two buffers at a time, not three


def _nbytes(matrix):
    if not sp.issparse(matrix):
        return matrix.nbytes
    return matrix.data.nbytes + matrix.indices.nbytes + matrix.indptr.nbytes


def _joined(parts):
    """Stack the parts of a buffer, and let go of them."""
    if len(parts) == 1:
        return parts.pop()
    whole = sp.vstack(parts, format="csr") if sp.issparse(parts[0]) else np.concatenate(parts)
    parts.clear()
    return whole


class _Moved:
    """Rows gathered in main memory, then moved to a device."""

    def __init__(self, rows, device):
        self._rows = rows
        self.device = torch.device(device)

    def __len__(self):
        return len(self._rows)

    def batches(self, index, batch_size, generator=None):
        """Yield ``(rows, x)`` with ``x`` on the device."""
        for rows, x in self._rows.batches(index, batch_size, generator):
            yield rows, x.to(self.device)


def apply_rows(function, X, *, dtype=torch.float32, device="cpu", n_bytes=32 * 2**20):
    """Apply a function of dense tensors to all rows of a matrix, block by block.

    Parameters
    ----------
    function : callable
        From a tensor of shape (n_rows, n_genes) to one of shape (n_rows, n_outputs).
    X : array or sparse matrix of shape (n_samples, n_genes)
    dtype : torch.dtype
        What the values are cast to.
    device : str or torch.device
    n_bytes : int
        Dense size of a block.

    Returns
    -------
    array of shape (n_samples, n_outputs)
    """
    step = max(1, n_bytes // max(1, X.shape[1] * X.dtype.itemsize))
    results = []
    with torch.inference_mode():
        for start in range(0, X.shape[0], step):
            block = X[start : start + step]
            block = as_tensor(block.toarray() if sp.issparse(block) else block)
            results.append(function(block.to(device=device, dtype=dtype)).cpu().numpy())
    return results[0] if len(results) == 1 else np.concatenate(results)
