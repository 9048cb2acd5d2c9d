"""voom: counts with the precision that their mean gives them, for linear models."""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from ._contrasts import Effects
from ._lowess import lowess

SPAN = 0.5
_TILE_ROWS = 256


@dataclass(frozen=True, slots=True)
class MeanVarianceTrend:
    """The line that gives the square root of a gene's standard deviation at a mean count.

    Attributes
    ----------
    sizes : ndarray of shape (n_points,)
        Mean log2 counts, rising.
    roots : ndarray of shape (n_points,)
    """

    sizes: np.ndarray
    roots: np.ndarray

    def weights(self, log_counts):
        """Return precision weights at expected log2 counts; constant beyond the ends."""
        return np.interp(log_counts, self.sizes, self.roots) ** -4


def log_cpm(counts, sizes):
    """Return log2 counts per million of counts and a half, as voom takes them.

    Parameters
    ----------
    counts : ndarray or CSR matrix of shape (n_samples, n_genes)
    sizes : ndarray of shape (n_samples,)
        Library sizes, effective ones if they were normalised.

    Returns
    -------
    ndarray of shape (n_samples, n_genes)

    Examples
    --------
    >>> import numpy as np
    >>> log_cpm(np.array([[3.5, 1.5]]), np.array([999999.0]))
    array([[2., 1.]])
    """
    dense = counts.toarray() if sp.issparse(counts) else counts
    return np.log2((dense.astype(np.float64) + 0.5) * (1e6 / (sizes + 1))[:, None])


def cross_products(counts, sizes, design):
    """Summarise a block of rows for a fit without weights; add the summaries of blocks.

    Parameters
    ----------
    counts : ndarray or CSR matrix of shape (n_samples, n_genes)
    sizes : ndarray of shape (n_samples,)
    design : ndarray of shape (n_samples, p)

    Returns
    -------
    ndarray of shape (p + 2, n_genes)
        Design times log-CPM; sums of log-CPM; sums of counts.
    """
    total = np.zeros((design.shape[1] + 2, counts.shape[1]))
    for rows in _tiles(counts):
        logged = log_cpm(counts[rows], sizes[rows])
        total[:-2] += design[rows].T @ logged
        total[-2] += logged.sum(axis=0)
        total[-1] += np.asarray(counts[rows].sum(axis=0)).ravel()
    return total


def squared_residuals(counts, sizes, design, coefficients):
    """Sum the squared residuals of a block of rows.

    Parameters
    ----------
    counts, sizes, design
        As in `cross_products`.
    coefficients : ndarray of shape (p, n_genes)

    Returns
    -------
    ndarray of shape (n_genes,)
    """
    total = np.zeros(counts.shape[1])
    for rows in _tiles(counts):
        residuals = log_cpm(counts[rows], sizes[rows]) - design[rows] @ coefficients
        total += np.square(residuals, out=residuals).sum(axis=0)
    return total


def mean_variance_trend(variances, means, totals, sizes, span=SPAN) -> MeanVarianceTrend:
    """Smooth the square root of the standard deviations along the mean log2 count.

    Parameters
    ----------
    variances, means, totals : ndarray of shape (n_genes,)
        Residual variances and means of log-CPM, sums of counts; genes without any count stay
        out.
    sizes : ndarray of shape (n_samples,)
    span : float, default=0.5

    Returns
    -------
    MeanVarianceTrend

    References
    ----------
    Law, Chen, Shi, Smyth (2014), doi:10.1186/gb-2014-15-2-r29.
    """
    there = totals > 0
    x = means[there] + np.log2(sizes + 1).mean() - np.log2(1e6)
    y = variances[there] ** 0.25
    order = np.argsort(x, kind="stable")
    x, y = x[order], y[order]
    return MeanVarianceTrend(x, lowess(x, y, span))


def weighted_products(counts, sizes, design, coefficients, trend):
    """Summarise a block of rows for the weighted fit; add the summaries of blocks.

    What is fitted are the residuals of the fit without weights, so that sums of squares lose
    no digits.

    Parameters
    ----------
    counts, sizes, design, coefficients
        As in `squared_residuals`.
    trend : MeanVarianceTrend

    Returns
    -------
    ndarray of shape (p * p + p + 1, n_genes)
        Weighted products of the design with itself and with the residuals, and the
        residuals' weighted squares.
    """
    p = design.shape[1]
    total = np.zeros((p * p + p + 1, counts.shape[1]))
    for rows in _tiles(counts):
        columns = design[rows]
        fitted = columns @ coefficients
        residuals = log_cpm(counts[rows], sizes[rows]) - fitted
        weights = trend.weights(fitted + np.log2(sizes[rows] + 1)[:, None] - np.log2(1e6))
        pairs = (columns[:, :, None] * columns[:, None, :]).reshape(len(columns), -1)
        total[: p * p] += pairs.T @ weights
        weights *= residuals
        total[p * p : -1] += columns.T @ weights
        total[-1] += (weights * residuals).sum(axis=0)
    return total


def weighted_effects(products, coefficients, contrasts, n_samples, means) -> Effects:
    """Solve the weighted fit of every gene.

    Parameters
    ----------
    products : ndarray of shape (p * p + p + 1, n_genes)
        Of `weighted_products`, over all samples.
    coefficients : ndarray of shape (p, n_genes)
        Of the fit without weights.
    contrasts : ndarray of shape (n_contrasts, p)
    n_samples : int
    means : ndarray of shape (n_genes,)

    Returns
    -------
    Effects
    """
    p, n_genes = coefficients.shape
    inverse = np.linalg.inv(products[: p * p].T.reshape(n_genes, p, p))
    step = np.einsum("gpq,qg->pg", inverse, products[p * p : -1])
    squares = products[-1] - (step * products[p * p : -1]).sum(axis=0)
    df = np.full(n_genes, float(n_samples - p))
    return Effects(
        contrasts @ (coefficients + step),
        np.einsum("xp,gpq,yq->xyg", contrasts, inverse, contrasts),
        np.maximum(squares, 0) / df,
        df,
        means,
    )


def _tiles(counts):
    """Yield rows so many at a time that the dense temporaries stay small."""
    for start in range(0, counts.shape[0], _TILE_ROWS):
        yield slice(start, start + _TILE_ROWS)
