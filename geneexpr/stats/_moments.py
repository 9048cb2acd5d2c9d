"""Moments of every gene in every batch, as a small statistic that merges.

A block of rows is summarised, two summaries are merged, and whatever is solved from
the result never touches the data again: this is what makes a fit a fold over row blocks.
"""

from dataclasses import dataclass, fields, replace
from functools import reduce
from itertools import pairwise

import numpy as np
import scipy.sparse as sp

# Rows and non-zeros taken at once: a block of either with its temporaries stays in a
# few megabytes, most of them in the cache of one core.
_TILE_ROWS = 1024
_TILE_VALUES = 2**16
_TILE_NONZEROS = 2**19


@dataclass(frozen=True, slots=True)
class BatchMoments:
    """Counts, means, centred squares, products and extremes of genes, batch by batch.

    All sums are float64. With B batches, G genes and p covariates; an axis written 1|G
    has length 1 as long as no value was missing (NaN), and G from then on.

    Attributes
    ----------
    n_rows : ndarray of shape (B,)
        Rows of each batch, missing values or not.
    counts : ndarray of shape (B, 1|G)
        Values that are not missing.
    means : ndarray of shape (B, G)
    squares : ndarray of shape (B, G)
        Sums of squared deviations from the batch mean.
    minima, maxima : ndarray of shape (B, G)
        A gene is constant in a batch where they are equal (never where ``squares`` is
        small: seven copies of 8.3 have a computed variance of 2e-14).
    covariate_means : ndarray of shape (B, p, 1|G)
    covariate_squares : ndarray of shape (B, p, p, 1|G)
        Centred products of the covariates with each other, over the samples that are
        not missing.
    products : ndarray of shape (B, p, G)
        Centred products of the covariates with the genes.
    row_sums : ndarray of shape (2,)
        The smallest and the largest sum of a row.
    """

    n_rows: np.ndarray
    counts: np.ndarray
    means: np.ndarray
    squares: np.ndarray
    minima: np.ndarray
    maxima: np.ndarray
    covariate_means: np.ndarray
    covariate_squares: np.ndarray
    products: np.ndarray
    row_sums: np.ndarray

    @property
    def n_genes(self) -> int:
        """Number of genes."""
        return self.means.shape[1]

    @property
    def has_missing(self) -> bool:
        """Whether any value was missing."""
        return bool((self.counts != self.n_rows[:, None]).any())

    def take(self, genes: np.ndarray) -> "BatchMoments":
        """Return the moments of some genes, given as a mask or as positions."""
        return self._map(lambda v: v[..., genes] if v.shape[-1] == self.n_genes else v)

    def batch(self, index: int) -> "BatchMoments":
        """Return the moments of one batch, as the moments of a single batch."""
        return replace(
            self._map(lambda v: v[index : index + 1]), n_rows=self.n_rows[index : index + 1]
        )

    def covariates(self, which: slice) -> "BatchMoments":
        """Return the moments with some of the covariates only."""
        return replace(
            self,
            covariate_means=self.covariate_means[:, which],
            covariate_squares=self.covariate_squares[:, which, which],
            products=self.products[:, which],
        )

    def _map(self, function):
        """Apply a function to every array that has a batch and a gene axis."""
        parts = {name: getattr(self, name) for name in _BY_BATCH_AND_GENE}
        return replace(self, **{name: function(value) for name, value in parts.items()})


_BY_BATCH_AND_GENE = tuple(
    field.name for field in fields(BatchMoments) if field.name not in ("n_rows", "row_sums")
)


def summarise_batches(block, codes, n_batches, covariates=None) -> BatchMoments:
    """Summarise a block of rows.

    Memory: the statistic, and temporaries of a few megabytes; sparse blocks are never
    made dense, and cost time in proportion to their non-zeros.

    Parameters
    ----------
    block : ndarray, sparse matrix or sparse array of shape (n_samples, n_genes)
        NaN stands for a missing value and is left out gene by gene.
    codes : array-like of int of shape (n_samples,)
        Batch of each sample, from 0 to ``n_batches - 1``; samples with a negative code are
        left out.
    n_batches : int
        Number of batches, those without a row in this block included.
    covariates : array-like of shape (n_samples, p), optional
        Numeric covariates, coded the same way for all blocks.

    Returns
    -------
    BatchMoments
        Batches without rows have counts and means of zero and extremes of ±inf.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[1.0, 5.0], [3.0, 5.0], [10.0, 7.0]])
    >>> moments = summarise_batches(X, [0, 0, 1], n_batches=2)
    >>> moments.means
    array([[ 2., 5.],
           [10., 7.]])
    >>> moments.squares
    array([[2., 0.],
           [0., 0.]])
    """
    codes = np.asarray(codes)
    if covariates is None:
        covariates = np.empty((block.shape[0], 0))
    covariates = np.asarray(covariates, np.float64)
    block = block.tocsr() if sp.issparse(block) else np.asarray(block)
    order = np.argsort(codes, kind="stable")
    bounds = np.searchsorted(codes[order], np.arange(n_batches + 1))
    return _side_by_side(
        [_summarise_rows(block, order[a:b], covariates) for a, b in pairwise(bounds)]
    )


def merge_moments(a: BatchMoments, b: BatchMoments) -> BatchMoments:
    """Merge the summaries of two blocks of rows into that of both.

    Exact but for rounding, by the pairwise update of Chan, Golub and LeVeque.

    Parameters
    ----------
    a, b : BatchMoments
        Summaries with the same batches, genes and covariates.

    Returns
    -------
    BatchMoments

    References
    ----------
    Chan, Golub, LeVeque (1983), The American Statistician 37, 242-247,
    doi:10.1080/00031305.1983.10483115.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[1.0], [2.0], [6.0]])
    >>> a, b = (summarise_batches(x, np.zeros(len(x), int), 1) for x in (X[:2], X[2:]))
    >>> merge_moments(a, b).squares
    array([[14.]])
    """
    if not b.n_rows.any():
        return a
    if not a.n_rows.any():
        return b
    counts = a.counts + b.counts
    share = np.divide(b.counts, counts, out=np.zeros_like(counts), where=counts > 0)
    overlap = a.counts * share
    shift = b.means - a.means
    step = b.covariate_means - a.covariate_means
    return BatchMoments(
        n_rows=a.n_rows + b.n_rows,
        counts=counts,
        means=a.means + shift * share,
        squares=a.squares + b.squares + shift * shift * overlap,
        minima=np.minimum(a.minima, b.minima),
        maxima=np.maximum(a.maxima, b.maxima),
        covariate_means=a.covariate_means + step * share[:, None],
        covariate_squares=a.covariate_squares
        + b.covariate_squares
        + step[:, :, None] * step[:, None] * overlap[:, None, None],
        products=a.products + b.products + step * (shift * overlap)[:, None],
        row_sums=np.array([min(a.row_sums[0], b.row_sums[0]), max(a.row_sums[1], b.row_sums[1])]),
    )


def _summarise_rows(block, rows, covariates):
    """Summarise some rows as a single batch, so many at a time that temporaries stay small."""
    size = _TILE_ROWS
    if sp.issparse(block):
        size = max(1, _TILE_NONZEROS * block.shape[0] // max(1, block.nnz))
    of_chunk = _of_sparse_rows if sp.issparse(block) else _of_dense_rows
    chunks = (rows[start : start + size] for start in range(0, len(rows), size))
    return reduce(
        merge_moments,
        (of_chunk(block, chunk, covariates[chunk]) for chunk in chunks),
        _of_no_rows(block.shape[1], covariates.shape[1]),
    )


def _of_no_rows(n_genes, n_covariates):
    zeros = np.zeros((1, n_genes))
    return BatchMoments(
        n_rows=np.zeros(1, np.int64),
        counts=np.zeros((1, 1)),
        means=zeros,
        squares=zeros,
        minima=zeros + np.inf,
        maxima=zeros - np.inf,
        covariate_means=np.zeros((1, n_covariates, 1)),
        covariate_squares=np.zeros((1, n_covariates, n_covariates, 1)),
        products=np.zeros((1, n_covariates, n_genes)),
        row_sums=np.array([np.inf, -np.inf]),
    )


def _side_by_side(parts):
    """Put the moments of single batches side by side."""
    sums = np.concatenate([part.row_sums for part in parts])
    joined = {}
    for name in _BY_BATCH_AND_GENE:
        values = [getattr(part, name) for part in parts]
        width = max(value.shape[-1] for value in values)
        joined[name] = np.concatenate(
            [np.broadcast_to(value, (*value.shape[:-1], width)) for value in values]
        )
    return BatchMoments(
        n_rows=np.concatenate([part.n_rows for part in parts]),
        row_sums=np.array([sums.min(), sums.max()]),
        **joined,
    )


# ------------------------------------------------------------------ dense rows


def _of_dense_rows(X, rows, covariates):
    """Summarise rows of a dense matrix as one batch, a tile of columns at a time."""
    n, n_genes = len(rows), X.shape[1]
    if rows[-1] - rows[0] == n - 1:  # faster to copy than a list of rows
        rows = slice(int(rows[0]), int(rows[-1]) + 1)
    centred = covariates - covariates.mean(axis=0)
    width = max(64, _TILE_VALUES // n)
    tiles, gaps, sums = [], [], np.zeros(n)
    for start in range(0, n_genes, width):
        tile = X[:, start : start + width][rows]
        tile = tile.astype(np.float64, copy=isinstance(rows, slice))
        sums += tile.sum(axis=1)
        low, high = tile.min(axis=0), tile.max(axis=0)
        missing = np.isnan(tile) if np.isnan(low).any() else None
        if missing is not None:
            low = np.where(missing, np.inf, tile).min(axis=0)
            high = np.where(missing, -np.inf, tile).max(axis=0)
        tiles.append((low, high, *_centred_moments(tile, missing, centred)))
        gaps.append(missing)
    minima, maxima, means, squares, products = (
        np.concatenate(parts, axis=-1) for parts in zip(*tiles, strict=True)
    )
    gaps = _join_gaps(gaps, n, width, n_genes)
    return _of_one_batch(n, covariates, gaps, minima, maxima, means, squares, products, sums)


def _centred_moments(tile, missing, centred):
    """Return means, squares and products of the columns of a tile, which is used up."""
    n = len(tile)
    if missing is not None:
        n = np.maximum(n - missing.sum(axis=0), 1)
        tile[missing] = 0
    mean = tile.sum(axis=0) / n
    deviations = np.subtract(tile, mean, out=tile)
    if missing is not None:
        deviations[missing] = 0
    # The second pass also finds what the mean of the first was off by.
    off = deviations.sum(axis=0) / n
    products = centred.T @ deviations
    squares = np.square(deviations, out=deviations).sum(axis=0) - n * off * off
    return mean + off, squares, products


def _join_gaps(gaps, n, width, n_genes):
    """Join the masks of missing values of all tiles as CSC; None where nothing is missing."""
    if all(gap is None for gap in gaps):
        return None
    widths = [min(width, n_genes - start) for start in range(0, n_genes, width)]
    return sp.hstack(
        [
            sp.csc_array((n, w), dtype=bool) if gap is None else sp.csc_array(gap)
            for gap, w in zip(gaps, widths, strict=True)
        ],
        format="csc",
    )


# ------------------------------------------------------------------ sparse rows


def _of_sparse_rows(X, rows, covariates):
    """Summarise rows of a CSR matrix as one batch; zeros are counted, never written out."""
    n, n_genes = len(rows), X.shape[1]
    chunk = sp.csr_array(X[rows])
    chunk.sum_duplicates()
    genes, data = chunk.indices, chunk.data.astype(np.float64)
    sums = chunk @ np.ones(n_genes)
    missing, gaps = np.isnan(data), None
    if missing.any():
        gaps = sp.csr_array((missing, genes, chunk.indptr), chunk.shape, copy=True).tocsc()
        gaps.eliminate_zeros()
        data[missing] = 0
    n_values = np.maximum(n - (0 if gaps is None else np.diff(gaps.indptr)), 1)
    by_gene = _gene_sums(chunk)

    zeros = n - by_gene(np.ones_like(data))
    mean = by_gene(data) / n_values
    deviations = data - mean[genes]
    deviations[missing] = 0
    off = (by_gene(deviations) - zeros * mean) / n_values
    squares = by_gene(np.square(deviations)) + zeros * mean**2 - n_values * off**2
    centred = covariates - covariates.mean(axis=0)
    products = by_gene(data, centred).T
    if gaps is not None:
        products = products + (centred.T @ gaps.astype(np.float64)) * mean
    there = slice(None) if gaps is None else ~missing
    lowest = np.where(zeros > 0, 0, np.inf)
    highest = np.where(zeros > 0, 0, -np.inf)
    np.minimum.at(lowest, genes[there], data[there])
    np.maximum.at(highest, genes[there], data[there])
    return _of_one_batch(n, covariates, gaps, lowest, highest, mean + off, squares, products, sums)


def _gene_sums(chunk):
    """Return a function that sums values stored as those of a CSR matrix, gene by gene.

    Transposed, the rows become columns of CSC, whose product with a vector adds up in one
    pass over the non-zeros, without sorting them.
    """
    n, n_genes = chunk.shape

    def sums(values, weights=None):
        by_sample = sp.csc_array((values, chunk.indices, chunk.indptr), shape=(n_genes, n))
        return by_sample @ (np.ones(n) if weights is None else weights)

    return sums


# ------------------------------------------------------------------ both


def _of_one_batch(n, covariates, gaps, minima, maxima, means, squares, products, sums):
    """Put the moments of one batch together, with those of the covariates."""
    counts = np.full(1, float(n)) if gaps is None else n - np.diff(gaps.indptr).astype(float)
    offset = covariates.mean(axis=0)
    centred = covariates - offset
    means_of = np.zeros((centred.shape[1], 1))
    squares_of = (centred.T @ centred)[..., None]
    if gaps is not None and centred.shape[1]:
        means_of, squares_of = _covariate_moments(centred, gaps, squares_of)
    return BatchMoments(
        n_rows=np.array([n], np.int64),
        counts=counts[None],
        means=means[None],
        squares=squares[None],
        minima=minima[None],
        maxima=maxima[None],
        covariate_means=(means_of + offset[:, None])[None],
        covariate_squares=squares_of[None],
        products=products[None],
        row_sums=np.array([sums.min(), sums.max()]),
    )


def _covariate_moments(centred, gaps, squares):
    """Return means and centred products of covariates over the samples each gene has."""
    counts = np.maximum(gaps.shape[0] - np.diff(gaps.indptr), 1)
    gaps = gaps.astype(np.float64)
    means = -(centred.T @ gaps) / counts
    p = centred.shape[1]
    pairs = (centred[:, :, None] * centred[:, None, :]).reshape(len(centred), -1)
    lost = (pairs.T @ gaps).reshape(p, p, -1)
    return means, squares - lost - counts * means[:, None] * means[None]
