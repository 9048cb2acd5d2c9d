"""How much genes vary for their mean: sums of genes by batch, and three ways to judge them."""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from ._loess import loess
from ._threads import MAX_THREADS, over_slices

N_BINS = 20
MAD_OF_NORMAL = 0.6744897501960817
"""Median absolute deviation of a standard normal variable."""
NO_MEAN = 1e-12
"""Stands for a mean of zero where it is divided by."""
SAME = 1e-12
"""Numbers that differ by less, relatively, differ by rounding alone."""
_TILE_ENTRIES = 2**16


# ------------------------------------------------------------------ sums over the rows


def gene_sums_by_batch(block, codes, n_batches, transform=None):
    """Sum the values and their squares of every gene in every batch.

    Sparse blocks are never made dense, and take two passes over pieces of their non-zeros,
    on a few threads. Sums of blocks add up.

    Parameters
    ----------
    block : ndarray or CSR matrix of shape (n_samples, n_genes)
    codes : ndarray of int of shape (n_samples,)
        Batch of each sample, from 0 to ``n_batches - 1``.
    n_batches : int
    transform : callable, optional
        Applied to the values first; it keeps zeros.

    Returns
    -------
    ndarray of shape (n_batches, n_genes, 2)
        NaN for a gene with a negative value in the batch.

    Examples
    --------
    >>> import numpy as np
    >>> gene_sums_by_batch(np.array([[1.0], [3.0]]), np.array([0, 0]), 1)
    array([[[ 4., 10.]]])
    """
    if sp.issparse(block):
        from ._gene_sums_kernels import add_sums

        return _sparse_sums(block, codes, n_batches, add_sums, (), transform)

    def values(rows):
        tile = block[rows]
        tile = (tile if transform is None else transform(tile)).astype(np.float64)
        tile[tile < 0] = np.nan
        return tile

    return _dense_sums(block, codes, n_batches, values)


def clipped_sums_by_batch(block, codes, limits):
    """Sum values cut down to a limit, and their squares, of every gene in every batch.

    Parameters
    ----------
    block : ndarray or CSR matrix of shape (n_samples, n_genes)
        Not negative.
    codes : ndarray of int of shape (n_samples,)
    limits : ndarray of shape (n_batches, n_genes)

    Returns
    -------
    ndarray of shape (n_batches, n_genes, 2)

    Examples
    --------
    >>> import numpy as np
    >>> clipped_sums_by_batch(np.array([[1.0], [9.0]]), np.array([0, 0]), np.array([[3.0]]))
    array([[[ 4., 10.]]])
    """
    if sp.issparse(block):
        from ._gene_sums_kernels import add_clipped_sums

        return _sparse_sums(block, codes, len(limits), add_clipped_sums, (limits,))
    return _dense_sums(
        block, codes, len(limits), lambda rows: np.minimum(block[rows], limits[codes[rows]])
    )


def _sparse_sums(block, codes, n_batches, kernel, given, transform=None):
    n, n_genes = block.shape

    def of_rows(rows):
        sums = np.zeros((n_batches, n_genes, 2))
        for tile in [rows] if transform is None else _tiles(block.indptr, rows):
            indptr = block.indptr[tile.start : tile.stop + 1]
            stored = slice(indptr[0], indptr[-1])
            data = block.data[stored]
            data = data if transform is None else transform(data)
            kernel(data, block.indices[stored], indptr, codes[tile], *given, sums)
        return sums

    return sum(over_slices(of_rows, n, -(-n // min(MAX_THREADS, max(1, n // 1000)))))


def _tiles(indptr, rows):
    """Cut rows so that their non-zeros stay in the cache of a core while they are worked on."""
    start = rows.start
    while start < rows.stop:
        stop = int(np.searchsorted(indptr, indptr[start] + _TILE_ENTRIES, side="right")) - 1
        stop = min(max(stop, start + 1), rows.stop)
        yield slice(start, stop)
        start = stop


def _dense_sums(block, codes, n_batches, values):
    n_genes = block.shape[1]
    sums = np.zeros((n_batches, n_genes, 2))
    step = max(1, _TILE_ENTRIES // max(1, n_genes))
    for batch in range(n_batches):
        members = np.flatnonzero(codes == batch)
        for start in range(0, len(members), step):
            tile = values(members[start : start + step])
            sums[batch, :, 0] += tile.sum(axis=0)
            sums[batch, :, 1] += np.square(tile, out=tile).sum(axis=0)
    return sums


def means_and_variances(sums, sizes):
    """Return the mean and the unbiased variance of every gene in every batch.

    Parameters
    ----------
    sums : ndarray of shape (n_batches, n_genes, 2)
    sizes : ndarray of int of shape (n_batches,)
        Samples of each batch, two or more.

    Returns
    -------
    means, variances : ndarray of shape (n_batches, n_genes)

    Examples
    --------
    >>> import numpy as np
    >>> means_and_variances(np.array([[[4.0, 10.0]]]), np.array([2]))
    (array([[2.]]), array([[2.]]))
    """
    sizes = np.asarray(sizes, np.float64)[:, None]
    means = sums[..., 0] / sizes
    variances = (sums[..., 1] / sizes - np.square(means)) * (sizes / (sizes - 1))
    return means, np.maximum(variances, 0.0)


def suspects(means, variances):
    """Mark the genes whose variance may be rounding alone: their values must be compared.

    Parameters
    ----------
    means, variances : ndarray of shape (n_batches, n_genes)

    Returns
    -------
    ndarray of bool of shape (n_genes,)
    """
    return ((means != 0) & (variances <= 1e-10 * np.square(means))).any(axis=0)


# ------------------------------------------------------------------ dispersions within bins


@dataclass(frozen=True, slots=True)
class Dispersions:
    """Of every gene: its mean, its dispersion, and that by the standard of like genes.

    Attributes
    ----------
    means, dispersions, normalized : ndarray of shape (n_genes,)
        NaN where a gene has none.
    """

    means: np.ndarray
    dispersions: np.ndarray
    normalized: np.ndarray


def seurat_dispersions(means, variances):
    """Return log dispersions, standardised among genes of like log mean.

    The log means are cut into 20 bins of equal width; a gene alone in its bin has a
    normalised dispersion of 1.

    Parameters
    ----------
    means, variances : ndarray of shape (n_genes,)
        Of values that are not logged.

    Returns
    -------
    Dispersions
        NaN for a constant gene; means as ``log1p``.

    References
    ----------
    .. [1] Satija et al. (2015), "Spatial reconstruction of single-cell gene expression data",
       doi:10.1038/nbt.3192.
    """
    ratios = variances / np.where(means == 0, NO_MEAN, means)
    logged = np.log(ratios, out=np.full_like(ratios, np.nan), where=ratios > 0)
    means = np.log1p(np.where(means == 0, NO_MEAN, means))
    bins = np.searchsorted(_equal_widths(means.min(), means.max()), means, side="left")
    centres, spreads = np.zeros_like(means), np.full_like(means, np.nan)
    for members in _groups(bins):
        found = logged[members]
        found = found[~np.isnan(found)]
        if len(found) == 1:
            spreads[members] = found
        elif len(found) > 1:
            centre, spread = found.mean(), found.std(ddof=1)
            centres[members] = centre
            spreads[members] = spread if spread > SAME * abs(centre) else np.nan
    return Dispersions(means, logged, (logged - centres) / spreads)


def _equal_widths(low, high):
    """Return the edges of bins of equal width, a little open below."""
    if low == high:
        low, high = low - (0.001 * abs(low) or 0.001), high + (0.001 * abs(high) or 0.001)
        return np.linspace(low, high, N_BINS + 1)
    edges = np.linspace(low, high, N_BINS + 1)
    edges[0] -= 0.001 * (high - low)
    return edges


def cell_ranger_dispersions(means, variances):
    """Return dispersions, standardised by median and MAD among genes of like mean.

    The means are cut at every twentieth of the genes from the tenth hundredth on.

    Parameters
    ----------
    means, variances : ndarray of shape (n_genes,)

    Returns
    -------
    Dispersions
        A normalised dispersion is infinite where more than half of the bin is alike and the
        gene is not, NaN where it is, and for a constant gene.

    References
    ----------
    .. [1] Zheng et al. (2017), "Massively parallel digital transcriptional profiling of single
       cells", doi:10.1038/ncomms14049.
    """
    means = np.where(means == 0, NO_MEAN, means)
    ratios = variances / means
    # Genes of the same counts have the same mean but for rounding: they share a bin.
    unit = 10.0 ** (np.floor(np.log10(means)) - 11)
    rounded = np.rint(means / unit) * unit
    edges = np.percentile(rounded, np.arange(10, 105, 5))
    bins = np.searchsorted(edges, rounded, side="left")
    centres, spreads = np.empty_like(means), np.empty_like(means)
    for members in _groups(bins):
        centre = np.median(ratios[members])
        deviations = np.abs(ratios[members] - centre)
        deviations[deviations <= SAME * centre] = 0
        centres[members], spreads[members] = centre, np.median(deviations) / MAD_OF_NORMAL
    apart = ratios - centres
    apart[np.abs(apart) <= SAME * centres] = 0
    apart[variances == 0] = np.nan
    with np.errstate(divide="ignore", invalid="ignore"):  # as documented
        return Dispersions(means, ratios, apart / spreads)


def _groups(labels):
    """Yield the positions of each label."""
    order = np.argsort(labels, kind="stable")
    cuts = np.flatnonzero(np.diff(labels[order])) + 1
    return np.split(order, cuts)


# ------------------------------------------------------------------ variances along a trend


def expected_deviations(means, variances, span=0.3):
    """Return the standard deviation that a gene of its mean is expected to have.

    A local quadratic of the log variance on the log mean, over the genes that vary.

    Parameters
    ----------
    means, variances : ndarray of shape (n_genes,)
        Of counts.
    span : float, default=0.3

    Returns
    -------
    ndarray of shape (n_genes,)
        1 for a constant gene.

    References
    ----------
    .. [1] Stuart et al. (2019), "Comprehensive integration of single-cell data",
       doi:10.1016/j.cell.2019.05.031.
    """
    varies = (variances > 0) & (means > 0)
    logged = np.zeros_like(means)
    logged[varies] = loess(np.log10(means[varies]), np.log10(variances[varies]), span)
    return np.sqrt(10**logged)


def standardized_variances(sums, sizes, means, deviations):
    """Return the variances of clipped values that were standardised by the trend.

    Parameters
    ----------
    sums : ndarray of shape (n_batches, n_genes, 2)
        Of the clipped values and of their squares.
    sizes : ndarray of int of shape (n_batches,)
    means, deviations : ndarray of shape (n_batches, n_genes)

    Returns
    -------
    ndarray of shape (n_batches, n_genes)
    """
    sizes = np.asarray(sizes, np.float64)[:, None]
    squares = sizes * np.square(means) + sums[..., 1] - 2 * sums[..., 0] * means
    # A gene that never varies has a sum of squares that is zero but for rounding.
    squares[squares <= SAME * sums[..., 1]] = 0
    return squares / ((sizes - 1) * np.square(deviations))
