"""The Wald test of counts on any matrix: size factors by a fold, the fits in gene blocks."""

import operator
import warnings

import numpy as np

from .._blocks import fold, gene_blocks
from .._validation import TrendWarning
from ..stats._contrasts import GeneTests
from ..stats._median_of_ratios import log_count_sums, log_geometric_means, median_ratios
from ..stats._negative_binomial import CountModel, design_dispersions
from ..stats._negative_binomial_prior import dispersion_prior
from ..stats._wald import WaldFit, join, wald_fit, wald_tests, without_counts
from ._sample_sizes import refuse_empty, summed_sizes

SMALL_PANEL = 10
"""Up to so many genes a zero in each is no sign of a sparse matrix, and no reason to fail."""


def wald(matrix, design, *, sizes=None, flag_outliers=True, lfc_threshold=0.0) -> GeneTests:
    """Test the contrasts of a design on counts.

    Parameters
    ----------
    matrix : array, CSR matrix or DiskRows of shape (n_samples, n_genes)
        Counts, checked.
    design : Design
    sizes : array of shape (n_samples,), optional
        Size factors, on any scale; by default medians of ratios.
    flag_outliers : bool, default=True
        Give genes with an outlying count the p-value NaN.
    lfc_threshold : float, default=0
        Test whether the absolute log2 fold change is above this.

    Returns
    -------
    GeneTests
    """
    columns, pairs = _treatment_design(design)
    factors = size_factors(matrix) if sizes is None else sizes / np.exp(np.log(sizes).mean())
    fit = fit_matrix(matrix, CountModel(factors, columns), design.codes)
    contrasts = np.eye(columns.shape[1])[1 : 1 + max(1, len(pairs))]
    tests = wald_tests(fit, contrasts, flag_outliers=flag_outliers, lfc_threshold=lfc_threshold)
    return without_counts(tests, fit.present, pairs) if len(pairs) > 1 else tests


def fit_matrix(matrix, model, levels) -> WaldFit:
    """Fit all genes, in blocks: each alone, what they share, each again.

    Parameters
    ----------
    matrix : array, CSR matrix or DiskRows of shape (n_samples, n_genes)
    model : CountModel
    levels : ndarray of int of shape (n_samples,)

    Returns
    -------
    WaldFit
    """
    alone = [design_dispersions(block, model) for _, block in gene_blocks(matrix)]
    every = join(alone)
    prior = dispersion_prior(every.means, every.values, model.df)
    if not prior.parametric:
        warnings.warn(
            "method='wald' found no parametric trend of the dispersion over the mean (the fit "
            "did not converge to positive coefficients): it shrinks dispersions towards their "
            "mean instead.",
            TrendWarning,
            stacklevel=5,
        )
    blocks = zip(alone, gene_blocks(matrix), strict=True)
    return join([wald_fit(block, part, model, prior, levels) for part, (_, block) in blocks])


def size_factors(matrix) -> np.ndarray:
    """Return the medians of ratios to the geometric means over all samples.

    Parameters
    ----------
    matrix : array, CSR matrix or DiskRows of shape (n_samples, n_genes)

    Returns
    -------
    ndarray of shape (n_samples,)
    """
    sums = fold(matrix, log_count_sums, operator.add)
    log_means = log_geometric_means(sums)
    if not np.isfinite(log_means).any():
        refuse_empty(summed_sizes(matrix), "wald")
        log_means = _sparse_log_means(sums, matrix.shape[1])
    parts = fold(matrix, lambda block: [median_ratios(block, log_means)], operator.add)
    return np.concatenate(parts)


def _sparse_log_means(sums, n_genes):
    if n_genes > SMALL_PANEL:
        raise ValueError(
            f"method='wald' cannot compute size factors: each of {n_genes} genes has a zero in at "
            "least one sample, as is usual in sparse data (single cells). Give library_size=, "
            "such as the size_factors_ of MedianOfRatiosNormalizer(method='poscounts')."
        )
    warnings.warn(
        f"method='wald': each of {n_genes} genes has a zero in at least one sample; with so few "
        "the size factors are those of MedianOfRatiosNormalizer(method='poscounts').",
        TrendWarning,
        stacklevel=6,
    )
    return log_geometric_means(sums, "poscounts")


def _treatment_design(design):
    """Return the columns, with an intercept for the reference, and the levels of each contrast.

    Columns of two values become 0 and 1, as R codes them: the slight penalty of the
    coefficients then is the same.
    """
    beside = design.beside.copy()
    for j, column in enumerate(beside.T):
        if len(np.unique(column)) == 2:
            beside[:, j] = column - column.min()
    intercept = np.ones((len(design.codes), 1))
    if not design.levels:
        return np.hstack([intercept, beside]), []
    groups = np.eye(len(design.levels))[design.codes]
    reference = int(np.argmin(design.contrasts[0]))
    others = [level for level in range(len(design.levels)) if level != reference]
    columns = np.hstack([intercept, groups[:, others], beside])
    return columns, [[level, reference] for level in others]
