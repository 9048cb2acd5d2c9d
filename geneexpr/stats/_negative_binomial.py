"""Negative binomial regression of every gene, its dispersions shrunken towards their trend."""

from dataclasses import dataclass

import numpy as np

from ._dispersion import GENES_PER_TASK, SMALLEST
from ._threads import over_slices

OUTLYING = 2.0
"""Robust standard deviations above the trend from where on a dispersion is not shrunken."""


class CountModel:
    """What the regressions of all genes share: the samples, their size and their design.

    Parameters
    ----------
    factors : array of shape (n_samples,)
        Size factors.
    columns : array of shape (n_samples, p)
        The design, of full rank.

    Attributes
    ----------
    factors, columns : arrays
        As given.
    projector : array of shape (p, n_samples)
        Gives the least squares coefficients.
    cells : array of int of shape (n_samples,)
        Which samples have equal rows of the design.
    linear : bool
        There are as many different rows as columns, so that least squares gives the means.
    df : int
        Residual degrees of freedom.
    largest : float
        Upper bound of a dispersion.
    """

    def __init__(self, factors, columns):
        self.factors = np.ascontiguousarray(factors, dtype=np.float64)
        self.columns = np.ascontiguousarray(columns, dtype=np.float64)
        self.projector = np.ascontiguousarray(np.linalg.pinv(self.columns))
        _, cells = np.unique(self.columns, axis=0, return_inverse=True)
        self.cells = cells.ravel()
        n, p = self.columns.shape
        self.linear = int(self.cells.max()) + 1 == p
        self.df = n - p
        self.largest = float(max(10, n))

    def replicated(self, least):
        """Tell which samples share their row of the design with this many, themselves included."""
        return np.bincount(self.cells)[self.cells] >= least


@dataclass(frozen=True, slots=True)
class GeneDispersions:
    """Dispersions of every gene alone.

    Attributes
    ----------
    means : ndarray of shape (n_genes,)
        Mean normalised counts.
    values : ndarray of shape (n_genes,)
        NaN for a gene without counts.
    coefficients : ndarray of shape (n_genes, p)
        Of the means behind them: of normalised counts where the model is linear, of their
        natural logarithm where not.
    """

    means: np.ndarray
    values: np.ndarray
    coefficients: np.ndarray


@dataclass(frozen=True, slots=True)
class CountFit:
    """Regression of the counts of every gene.

    Attributes
    ----------
    dispersions : ndarray of shape (n_genes,)
    coefficients : ndarray of shape (n_genes, p)
        Natural logarithms.
    covariances : ndarray of shape (n_genes, p, p)
    expected, leverages : ndarray of shape (n_genes, n_samples)
    """

    dispersions: np.ndarray
    coefficients: np.ndarray
    covariances: np.ndarray
    expected: np.ndarray
    leverages: np.ndarray


def design_dispersions(counts, model) -> GeneDispersions:
    """Estimate every gene's dispersion alone, around the means of a design.

    By the Cox-Reid adjusted likelihood and DESeq2's line search, as `gene_dispersions` does for
    one common mean.

    Parameters
    ----------
    counts : ndarray of shape (n_samples, n_genes)
    model : CountModel

    Returns
    -------
    GeneDispersions

    References
    ----------
    Love, Huber, Anders (2014), doi:10.1186/s13059-014-0550-8.
    """
    n_genes = counts.shape[1]
    found = GeneDispersions(
        np.empty(n_genes), np.empty(n_genes), np.empty((n_genes, model.columns.shape[1]))
    )

    def estimate(genes):
        part = dispersions_of_rows(as_rows(counts, genes), model)
        found.means[genes], found.values[genes] = part.means, part.values
        found.coefficients[genes] = part.coefficients

    over_slices(estimate, n_genes, GENES_PER_TASK)
    return found


def as_rows(counts, genes):
    """Return some genes as contiguous rows of float64."""
    return np.ascontiguousarray(counts[:, genes].T, dtype=np.float64)


def dispersions_of_rows(rows, model) -> GeneDispersions:
    """Do the work of `design_dispersions` for genes in rows."""
    from ._negative_binomial_kernels import dispersions_of

    n_genes, p = len(rows), model.columns.shape[1]
    means, values, coefficients = np.empty(n_genes), np.empty(n_genes), np.empty((n_genes, p))
    dispersions_of(
        rows,
        model.factors,
        model.columns,
        model.projector,
        model.linear,
        SMALLEST,
        model.largest,
        means,
        values,
        coefficients,
    )
    return GeneDispersions(means, values, coefficients)


def fit_rows(rows, alone, model, prior) -> CountFit:
    """Shrink the dispersions of genes, and regress their counts on the design.

    Parameters
    ----------
    rows : ndarray of shape (n_genes, n_samples)
        Counts of genes, contiguous float64.
    alone : GeneDispersions
    model : CountModel
    prior : DispersionPrior

    Returns
    -------
    CountFit
        NaN for a gene without counts.
    """
    from ._negative_binomial_glm import coefficients_of
    from ._negative_binomial_kernels import shrunken_dispersions_of

    n_genes, n = rows.shape
    p = model.columns.shape[1]
    trend = prior.trend(alone.means)
    dispersions = np.empty(n_genes)
    shrunken_dispersions_of(
        rows,
        model.factors,
        model.columns,
        model.linear,
        alone.coefficients,
        alone.values,
        trend,
        prior.variance,
        SMALLEST,
        model.largest,
        dispersions,
    )
    with np.errstate(divide="ignore"):
        outlying = np.log(alone.values) > np.log(trend) + OUTLYING * np.sqrt(prior.spread)
    dispersions[outlying] = alone.values[outlying]
    fit = CountFit(
        dispersions,
        np.empty((n_genes, p)),
        np.empty((n_genes, p, p)),
        np.empty((n_genes, n)),
        np.empty((n_genes, n)),
    )
    coefficients_of(
        rows,
        model.factors,
        model.columns,
        model.projector,
        dispersions,
        fit.coefficients,
        fit.covariances,
        fit.expected,
        fit.leverages,
    )
    return fit
