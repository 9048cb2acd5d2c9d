"""Library sizes, and counts scaled by gene and by sample, dense or CSR."""

import itertools

import numpy as np
import scipy.sparse as sp

CHUNK_ENTRIES = 2**17
"""Entries worked on at once: a chunk and its result stay in the cache of one core."""


def library_sizes(counts):
    """Sum the counts of every sample.

    Parameters
    ----------
    counts : array or CSR matrix of shape (n_samples, n_genes)

    Returns
    -------
    array of shape (n_samples,), float64
    """
    if sp.issparse(counts):
        return _segment_sums(counts.data, counts.indptr)
    return counts.sum(axis=1, dtype=np.float64)


def gene_sums(counts, data=None):
    """Sum a CSR matrix gene by gene, in one pass over its non-zeros.

    Parameters
    ----------
    counts : CSR matrix of shape (n_samples, n_genes)
    data : array of shape (nnz,), optional
        Values to sum at the places of the non-zeros, instead of these.

    Returns
    -------
    array of shape (n_genes,), float64
    """
    data = counts.data if data is None else data
    by_gene = sp.csc_array((data, counts.indices, counts.indptr), shape=counts.shape[::-1])
    return by_gene @ np.ones(counts.shape[0])


def scaled(counts, total, gene_weights, *, weighted_total=False):
    """Weight the genes, then scale every sample to a total.

    Parameters
    ----------
    counts : array or CSR matrix of shape (n_samples, n_genes), float
    total : float
        What the library size, or the weighted one, is scaled to.
    gene_weights : array of shape (n_genes,)
        Factors of the genes.
    weighted_total : bool, default=False
        True scales the sum after weighting to ``total`` (TPM), False the sum before (FPKM).

    Returns
    -------
    result : like ``counts``
        A sample without counts is a row of zeros.
    depths : array of shape (n_samples,), float64
        The sums that were scaled to ``total``.
    """
    if sp.issparse(counts):
        return _scaled_csr(counts, total, gene_weights, weighted_total)
    result = np.empty_like(counts)
    depths = np.empty(counts.shape[0])
    weights = gene_weights.astype(counts.dtype)
    step = max(1, CHUNK_ENTRIES // max(1, counts.shape[1]))
    for start in range(0, counts.shape[0], step):
        rows = slice(start, start + step)
        block, out = counts[rows], result[rows]
        np.multiply(block, weights, out=out)
        depths[rows] = (out if weighted_total else block).sum(axis=1, dtype=np.float64)
        out *= _factors(total, depths[rows]).astype(counts.dtype)[:, None]
    return result, depths


def per_million(counts, sizes):
    """Scale every sample by a given size, to a million.

    Parameters
    ----------
    counts : array or CSR matrix of shape (n_samples, n_genes), float
    sizes : array of shape (n_samples,)
        Library sizes, or effective ones; a sample of size 0 becomes a row of zeros.

    Returns
    -------
    like ``counts``
    """
    return times_rows(counts, _factors(1e6, np.asarray(sizes, dtype=np.float64)))


def counts_of_per_million(scaled, sizes):
    """Invert `per_million`."""
    return times_rows(scaled, np.asarray(sizes) / 1e6)


def times_rows(matrix, factors):
    """Multiply the rows.

    Parameters
    ----------
    matrix : array or CSR matrix of shape (n_samples, n_genes), float
    factors : array of shape (n_samples,)

    Returns
    -------
    like ``matrix``
    """
    factors = factors.astype(matrix.dtype)
    if sp.issparse(matrix):
        return with_entries(matrix, matrix.data * np.repeat(factors, np.diff(matrix.indptr)))
    return matrix * factors[:, None]


def log_per_million(counts, sizes, prior_count, mean_size):
    """Take log2 of counts per million, with a prior count in proportion to the size.

    Parameters
    ----------
    counts : array or CSR matrix of shape (n_samples, n_genes)
    sizes : array of shape (n_samples,)
        (Effective) library sizes.
    prior_count : float
        Added to every count of a sample of mean size.
    mean_size : float
        The mean size of the training samples.

    Returns
    -------
    array of shape (n_samples, n_genes)
        Dense. A count of zero has the same value in every sample, one without counts included.
    """
    dtype = counts.dtype
    counts = counts.toarray() if sp.issparse(counts) else counts
    sizes = np.asarray(sizes, dtype=np.float64)
    # Divided by the size throughout, so that the value of a sample of size 0 is its limit.
    shares = counts * _factors(1.0, sizes)[:, None].astype(dtype)
    shares += dtype.type(prior_count / mean_size)
    shares *= dtype.type(1e6 / (1 + 2 * prior_count / mean_size))
    return np.log2(shares, out=shares)


def counts_of_log_per_million(logged, sizes, prior_count, mean_size):
    """Invert `log_per_million`.

    Parameters
    ----------
    logged : array of shape (n_samples, n_genes)
    sizes : array of shape (n_samples,)
    prior_count, mean_size : float

    Returns
    -------
    array of shape (n_samples, n_genes)
    """
    dtype = logged.dtype
    shares = np.exp2(logged) * dtype.type((1 + 2 * prior_count / mean_size) / 1e6)
    shares -= dtype.type(prior_count / mean_size)
    return shares * np.asarray(sizes)[:, None].astype(dtype)


def _scaled_csr(counts, total, gene_weights, weighted_total):
    n = counts.shape[0]
    data, depths = np.empty_like(counts.data), np.empty(n)
    weights = gene_weights.astype(counts.dtype)
    edges = np.searchsorted(counts.indptr, np.arange(0, counts.nnz, CHUNK_ENTRIES))
    edges = np.unique(np.concatenate([[0], edges, [n]]))
    for first, last in itertools.pairwise(edges):
        indptr = counts.indptr[first : last + 1]
        stored = slice(indptr[0], indptr[-1])
        block, out = counts.data[stored], data[stored]
        np.multiply(block, weights[counts.indices[stored]], out=out)
        summed = out if weighted_total else block
        depths[first:last] = _segment_sums(summed, indptr - indptr[0])
        factors = _factors(total, depths[first:last]).astype(counts.dtype)
        out *= np.repeat(factors, np.diff(indptr))
    return with_entries(counts, data), depths


def with_entries(matrix, data):
    """Return a canonical CSR matrix with other values at the places of its non-zeros.

    Parameters
    ----------
    matrix : CSR matrix
    data : array of shape (nnz,)

    Returns
    -------
    CSR matrix
        It shares nothing with ``matrix``: a caller may prune it in place.
    """
    result = type(matrix)(
        (data, matrix.indices.copy(), matrix.indptr.copy()), shape=matrix.shape, copy=False
    )
    result.has_sorted_indices = result.has_canonical_format = True
    return result


def _segment_sums(data, indptr):
    """Sum the entries of every row of a CSR matrix in float64; empty rows give 0."""
    sums = np.zeros(len(indptr) - 1)
    filled = np.flatnonzero(np.diff(indptr))
    if len(filled):
        sums[filled] = np.add.reduceat(data, indptr[filled], dtype=np.float64)
    return sums


def _factors(total, depths):
    return np.divide(total, depths, out=np.zeros_like(depths), where=depths > 0)
