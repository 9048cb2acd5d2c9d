"""Compiled loops over CSR matrices: sums of genes, batch by batch.

Imported by the functions that need it only, since numba takes a second to load.
"""

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def add_sums(data, indices, indptr, codes, sums):
    """Add the values and their squares to the sums of their gene and batch.

    Parameters
    ----------
    data : array of shape (indptr[-1] - indptr[0],)
    indices : array of the same shape
    indptr : array of shape (n_samples + 1,)
        Of any part of a matrix: it need not begin with 0.
    codes : array of int of shape (n_samples,)
    sums : array of shape (n_batches, n_genes, 2)
        Added to in place; NaN where a value is negative.
    """
    first = indptr[0]
    for i in range(len(indptr) - 1):
        start, stop = indptr[i] - first, indptr[i + 1] - first
        of_batch = sums[codes[i]]
        for gene, value in zip(indices[start:stop], data[start:stop]):  # noqa: B905
            if value < 0:
                value = np.nan
            at = np.uint32(gene)  # spares a look at negative positions
            of_batch[at, 0] += value
            of_batch[at, 1] += value * value


@njit(cache=True, nogil=True)
def add_clipped_sums(data, indices, indptr, codes, limits, sums):
    """Do the same with values above the limit of their gene and batch cut down to it.

    Parameters
    ----------
    data, indices, indptr, codes, sums
        As `add_sums` takes them.
    limits : array of shape (n_batches, n_genes)
    """
    first = indptr[0]
    for i in range(len(indptr) - 1):
        of_batch, limit = sums[codes[i]], limits[codes[i]]
        for j in range(indptr[i] - first, indptr[i + 1] - first):
            gene = indices[j]
            value = min(float(data[j]), limit[gene])
            of_batch[gene, 0] += value
            of_batch[gene, 1] += value * value
