"""The model of ComBat-seq: what it knows of every batch, and counts corrected by it."""

import operator
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from .._blocks import fold, gene_blocks
from ..stats._count_quantiles import match_quantiles
from ..stats._library_size import library_sizes
from ..stats._threads import over_slices

COUNTS_PER_TASK = 2**15
KEPT_ENTRIES = 2**24
"""Counts up to this many (128 MiB) are kept between passes over the genes."""


@dataclass(frozen=True, slots=True)
class CountBatches:
    """Negative binomial rates of every gene in every batch; NaN where a gene is left alone.

    Attributes
    ----------
    log_rates : ndarray of shape (n_batches, n_genes)
        Logarithm of the expected share of the library, the covariates being zero.
    effects : ndarray of shape (n_batches, n_genes)
        What the batch adds to the logarithm of the rate.
    dispersions : ndarray of shape (n_batches, n_genes)
    slopes : ndarray of shape (p, n_genes)
        Effects of the covariates, common to all batches.
    mean, dispersion : ndarray of shape (n_genes,)
        Logarithm of the rate and dispersion without batch effects.
    library_size : float
        Mean library size of the training samples, over the genes that are corrected.
    """

    log_rates: np.ndarray
    effects: np.ndarray
    dispersions: np.ndarray
    slopes: np.ndarray
    mean: np.ndarray
    dispersion: np.ndarray
    library_size: float

    @property
    def corrected(self):
        """Genes that have counts in every batch of the training samples."""
        return ~np.isnan(self.mean)


class GeneColumns:
    """The counts of some samples and genes, in blocks of genes; few are read once and kept.

    Parameters
    ----------
    matrix : array, CSR matrix or DiskRows of shape (n_samples, n_genes)
    rows : ndarray of int
        The samples.
    genes : ndarray of bool of shape (n_genes,)
    """

    def __init__(self, matrix, rows, genes):
        self.matrix = matrix.tocsc() if sp.issparse(matrix) else matrix
        self.rows, self.genes = rows, genes
        self._only = None
        if len(rows) * genes.sum() <= KEPT_ENTRIES:
            self._only = list(self._blocks())

    @property
    def one_block(self):
        """Whether all counts are held in memory as one block or few."""
        return self._only is not None

    def __iter__(self):
        """Yield ``(genes, counts)``: positions, and an array of shape (n_rows, n_genes)."""
        return iter(self._only) if self.one_block else self._blocks()

    def _blocks(self):
        every_row = len(self.rows) == self.matrix.shape[0]
        for columns, block in gene_blocks(self.matrix):
            kept = self.genes[columns]
            if kept.any():
                counts = block[:, kept] if every_row else block[self.rows][:, kept]
                yield columns.start + np.flatnonzero(kept), counts.astype(np.float64, copy=False)


# ------------------------------------------------------------------ two folds over the rows


def present_genes(matrix, codes, n_batches):
    """Tell which genes have a count in each batch, in one fold over the rows.

    Parameters
    ----------
    matrix : array, CSR matrix or DiskRows of shape (n_samples, n_genes)
    codes : ndarray of int of shape (n_samples,)
        Rows of other codes are left out.
    n_batches : int

    Returns
    -------
    ndarray of bool of shape (n_batches, n_genes)
    """

    def present(block, codes):
        found = np.zeros((n_batches, block.shape[1]), bool)
        for batch in range(n_batches):
            rows = block[codes == batch]
            if sp.issparse(rows):
                found[batch, rows.indices[rows.data > 0]] = True
            else:
                found[batch] = (rows > 0).any(axis=0)
        return found

    return fold(matrix, present, operator.or_, codes)


def depths_of(matrix, genes):
    """Sum the counts of some genes, sample by sample, in one fold over the rows.

    Parameters
    ----------
    matrix : array, CSR matrix or DiskRows of shape (n_samples, n_genes)
    genes : ndarray of bool of shape (n_genes,)

    Returns
    -------
    ndarray of shape (n_samples,)
    """
    at = np.flatnonzero(genes)
    return np.concatenate(fold(matrix, lambda block: [library_sizes(block[:, at])], operator.add))


# ------------------------------------------------------------------ new counts


def correct_counts(block, codes, design, model: CountBatches):
    """Map every count to the same quantile of its distribution without batch effects.

    Parameters
    ----------
    block : array or CSR matrix of shape (n_samples, n_genes)
    codes : ndarray of int of shape (n_samples,)
        Batch of each row; -1 leaves a row as it is.
    design : ndarray of shape (n_samples, p)
        The covariates.
    model : CountBatches

    Returns
    -------
    array or CSR matrix of shape (n_samples, n_genes)
        Whole numbers where counts are corrected; zeros stay zeros.
    """
    out = block.copy()
    genes = np.flatnonzero(model.corrected)
    depths = library_sizes(block[:, genes])

    def correct(rows):
        if sp.issparse(block):
            values = out.data[out.indptr[rows.start] : out.indptr[rows.stop]]
            lengths = np.diff(out.indptr[rows.start : rows.stop + 1])
            columns = out.indices[out.indptr[rows.start] : out.indptr[rows.stop]]
            samples = np.repeat(np.arange(rows.start, rows.stop), lengths)
        else:
            values = out[rows].reshape(-1)
            samples, columns = np.divmod(np.arange(values.size), block.shape[1])
            samples += rows.start
        at = np.flatnonzero((values > 1) & (codes[samples] >= 0) & model.corrected[columns])
        values[at] = _matched(values[at], samples[at], columns[at], depths, codes, design, model)

    over_slices(correct, block.shape[0], max(1, COUNTS_PER_TASK // max(1, block.shape[1])))
    return out


def _matched(counts, samples, genes, depths, codes, design, model):
    """Match the counts of these samples and genes; those of NaN rates stay as they are."""
    batches = codes[samples]
    predictor = model.log_rates[batches, genes]
    for slopes, values in zip(model.slopes, design.T, strict=True):
        predictor = predictor + slopes[genes] * values[samples]
    means = depths[samples] * np.exp(predictor)
    effects, dispersions = model.effects[batches, genes], model.dispersions[batches, genes]
    new_dispersions = model.dispersion[genes]
    result = counts.astype(np.float64)
    differ = (effects != 0) | (dispersions != new_dispersions)
    at = np.flatnonzero(np.isfinite(predictor) & (means > 0) & differ)
    result[at] = match_quantiles(
        result[at],
        means[at],
        dispersions[at],
        (means * np.exp(-effects))[at],
        new_dispersions[at],
    )
    return result
