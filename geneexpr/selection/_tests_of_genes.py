"""One test of every gene against a condition: the design, the moments, the method."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn.utils.multiclass import type_of_target

from .._blocks import fold, gene_blocks
from .._containers import name_some
from .._covariates import as_text, code_covariates, covariate_columns, design_matrix
from .._validation import labels_of
from ..stats import dependent_columns, merge_moments, summarise_batches
from ..stats._contrasts import (
    GeneTests,
    contrast_matrix,
    group_effects,
    moderated_tests,
    slope_effects,
)
from ..stats._rank_sum import kruskal_wallis, rank_sum_z, rank_sums, two_sided_normal
from ..stats._voom import (
    cross_products,
    mean_variance_trend,
    squared_residuals,
    weighted_effects,
    weighted_products,
)
from ..stats._welch import welch_against_rest, welch_tests
from ._sample_sizes import refuse_empty, summed_sizes
from ._wald_tests import wald

METHODS = ("moderated_t", "voom", "wald", "welch_t", "wilcoxon")
OF_COUNTS = ("voom", "wald")
REST = "rest"
ADJUSTED = ("moderated_t", "voom", "wald")
"""Methods whose design takes batches and covariates."""


@dataclass(frozen=True, slots=True)
class Design:
    """What stands beside the matrix in a test.

    Attributes
    ----------
    codes : ndarray of int of shape (n_samples,)
        Level of the condition, 0 throughout for a slope.
    levels : list
        Levels of the condition; empty for a slope.
    contrasts : ndarray of shape (n_contrasts, n_levels)
    beside : ndarray of shape (n_samples, p)
        The other columns of the design; of a slope, first the condition itself.
    against_rest : bool
        Each level is compared with all other samples.
    """

    codes: np.ndarray
    levels: list
    contrasts: np.ndarray
    beside: np.ndarray
    against_rest: bool = False


def input_options(method):
    """Return how the matrix is to be checked for a method.

    Parameters
    ----------
    method : str

    Returns
    -------
    dict
    """
    counts = method in OF_COUNTS
    nan = method in ("moderated_t", "welch_t")
    return {"counts": counts, "logged": not counts, "allow_nan": nan}


def nuisance_columns(X, n_samples, batch_key, covariate_keys, batch=None, covariates=None):
    """Return batches and covariates of the samples as centred columns of a design.

    Parameters
    ----------
    X : container
    n_samples : int
    batch_key : str or None
    covariate_keys : sequence of str
    batch, covariates : array-like, optional
        The same, beside an array.

    Returns
    -------
    ndarray of shape (n_samples, p)
    """
    columns = covariate_columns(X, covariate_keys, covariates, n_samples)
    labels = labels_of(X, batch_key, batch)
    batches = {} if labels is None else {"batch": as_text(labels, "batch")}
    parts = [design_matrix(part, code_covariates(part))[0] for part in (batches, columns) if part]
    beside = np.hstack([np.empty((n_samples, 0)), *parts])
    return beside - beside.mean(axis=0)


def group_design(labels, beside, reference=None, levels=None):
    """Return the design of a comparison of groups.

    Parameters
    ----------
    labels : array-like of shape (n_samples,)
    beside : ndarray of shape (n_samples, p)
    reference : level, optional
        By default the first; ``"rest"`` compares each level with all other samples.
    levels : sequence, optional
        The levels in their order, by default sorted.

    Returns
    -------
    Design
    """
    labels = np.asarray(labels)
    levels = sorted(set(labels.tolist())) if levels is None else list(levels)
    if len(levels) < 2:
        raise ValueError(
            f"The condition has one level only, {name_some(levels)}: there is nothing to compare "
            "it with (in scikit-learn's words, 1 class)."
        )
    codes = pd.Index(levels).get_indexer(pd.Index(labels))
    if isinstance(reference, str) and reference == REST and REST not in levels:
        return Design(codes, levels, np.eye(len(levels)), beside, against_rest=True)
    if reference is not None and reference not in levels:
        raise ValueError(
            f"reference={reference!r} is no level of the condition; its levels are "
            f"{name_some(levels)}."
        )
    at = 0 if reference is None else levels.index(reference)
    _check_estimable(beside, codes, len(levels))
    return Design(codes, levels, contrast_matrix(len(levels), at), beside)


def is_continuous(values):
    """Tell a measured condition from classes: fractions, or whole numbers that hardly recur.

    Parameters
    ----------
    values : ndarray of shape (n_samples,)

    Returns
    -------
    bool
    """
    if type_of_target(values, input_name="y") == "continuous":
        return True
    return values.dtype.kind in "iuf" and len(np.unique(values)) > max(2, len(values) / 2)


def refuse_slope(method, name):
    """Raise where a method compares classes and what it got is continuous."""
    if method not in ADJUSTED:
        raise ValueError(
            f"method={method!r} compares classes, but {name} is continuous; use "
            "method='moderated_t' (for counts 'voom' or 'wald'), which tests its slope."
        )


def slope_design(values, beside):
    """Return the design of a slope on a continuous condition.

    Parameters
    ----------
    values : array-like of shape (n_samples,)
    beside : ndarray of shape (n_samples, p)

    Returns
    -------
    Design
    """
    values = np.asarray(values, np.float64)
    beside = np.column_stack([values - values.mean(), beside])
    codes = np.zeros(len(values), dtype=int)
    if values.min() == values.max():
        raise ValueError("The condition is the same number for all samples: it has no slope.")
    _check_estimable(beside, codes, 1)
    return Design(codes, [], np.ones((1, 1)), beside)


def _check_estimable(beside, codes, n_levels):
    if not beside.shape[1]:
        return
    within = beside.copy()
    for level in range(n_levels):
        within[codes == level] -= beside[codes == level].mean(axis=0)
    gone = np.linalg.norm(within, axis=0) <= 1e-9 * np.linalg.norm(beside, axis=0)
    within[:, gone] = 0
    if dependent_columns(within).any():
        raise ValueError(
            "The condition cannot be told apart from the batches and covariates (or these from "
            "each other): a column of the design depends on the others. Leave one of them out."
        )


def run_tests(
    matrix,
    design,
    method,
    *,
    trend=False,
    robust=False,
    sizes=None,
    lfc_threshold=0.0,
    flag_outliers=True,
) -> GeneTests:
    """Test every gene.

    Parameters
    ----------
    matrix : array, CSR matrix or DiskRows of shape (n_samples, n_genes)
        Checked.
    design : Design
    method : {"moderated_t", "voom", "wald", "welch_t", "wilcoxon"}
    trend, robust : bool, default=False
        Options of the moderated t.
    sizes : array of shape (n_samples,), optional
        Library sizes for voom, by default the sums of counts; size factors for Wald.
    lfc_threshold : float, default=0
        For the moderated t, voom and Wald: test whether an effect is larger than this, on the
        scale of the matrix (of counts: log2).
    flag_outliers : bool, default=True
        For Wald: give genes with an outlying count the p-value NaN.

    Returns
    -------
    GeneTests
    """
    n_terms = max(1, len(design.levels)) + design.beside.shape[1]
    if len(design.codes) <= n_terms:
        raise ValueError(
            f"{len(design.codes)} sample(s) for {n_terms} columns of the design leave no residual "
            "degree of freedom: at least one group needs replicates."
        )
    if design.against_rest and method in ADJUSTED:
        raise ValueError(
            "reference='rest' is for 'welch_t' and 'wilcoxon'; compare with a level for "
            f"method={method!r}."
        )
    if method == "wald":
        options = {"flag_outliers": flag_outliers, "lfc_threshold": lfc_threshold}
        return wald(matrix, design, sizes=sizes, **options)
    if method in ADJUSTED:
        effects = _effects(matrix, design, method, sizes)
        return moderated_tests(effects, trend=trend, robust=robust, threshold=lfc_threshold)
    moments = _moments(matrix, design)
    few = [v for v, n in zip(design.levels, moments.n_rows, strict=True) if n < 2]
    if few:
        raise ValueError(
            f"{method} needs two samples in every group, the level(s) {name_some(few)} have 1 "
            "sample; use method='moderated_t', or drop them."
        )
    if design.against_rest:
        tests = welch_against_rest(moments)
    else:
        tests = welch_tests(moments, design.contrasts)
    return _ranked(matrix, design, tests) if method == "wilcoxon" else tests


def _effects(matrix, design, method, sizes):
    if method == "voom":
        return _voom_effects(matrix, design, sizes)
    moments = _moments(matrix, design)
    if design.levels:
        return group_effects(moments, design.contrasts)
    return slope_effects(moments)


def _moments(matrix, design):
    n_levels = max(1, len(design.levels))
    return fold(
        matrix,
        lambda block, codes, beside: summarise_batches(block, codes, n_levels, beside),
        merge_moments,
        design.codes,
        design.beside,
    )


def _voom_effects(matrix, design, sizes):
    """Fit with precision weights, in four folds over the rows: sizes, fit, trend, fit."""
    if sizes is None:
        sizes = summed_sizes(matrix)
        refuse_empty(sizes, "voom")
    columns, contrasts = _full_design(design)

    def total(summarise, *given):
        return fold(matrix, lambda *rows: summarise(*rows, *given), np.add, sizes, columns)

    products = total(cross_products)
    coefficients = np.linalg.solve(columns.T @ columns, products[:-2])
    n_samples, p = columns.shape
    means = products[-2] / n_samples
    variances = total(squared_residuals, coefficients) / (n_samples - p)
    trend = mean_variance_trend(variances, means, products[-1], sizes)
    weighted = total(weighted_products, coefficients, trend)
    return weighted_effects(weighted, coefficients, contrasts, n_samples, means)


def _full_design(design):
    """Return the design with one column a group (or an intercept), and its contrasts."""
    groups = np.eye(max(1, len(design.levels)))[design.codes]
    columns = np.hstack([groups, design.beside])
    if not design.levels:
        return columns, np.eye(columns.shape[1])[1:2]
    rest = np.zeros((len(design.contrasts), design.beside.shape[1]))
    return columns, np.hstack([design.contrasts, rest])


def _ranked(matrix, design, tests):
    """Put rank tests in the place of Welch's; effects and their errors stay."""
    stored = matrix.tocsc() if sp.issparse(matrix) else matrix
    n_levels = len(design.levels)
    pairs = [np.flatnonzero(contrast) for contrast in design.contrasts]
    statistics = np.empty_like(tests.statistics)
    overall, overall_p = [], []
    for columns, block in _columns(stored):
        if n_levels > 2 or design.against_rest:
            ranked = rank_sums(block, design.codes, n_levels)
            h, p = kruskal_wallis(*ranked, np.bincount(design.codes))
            overall.append(h)
            overall_p.append(p)
        if design.against_rest:
            statistics[:, columns] = rank_sum_z(*ranked, np.bincount(design.codes))
            continue
        for i, (pair, contrast) in enumerate(zip(pairs, design.contrasts, strict=True)):
            rows = np.flatnonzero(np.isin(design.codes, pair))
            codes = (contrast[design.codes[rows]] < 0).astype(int)
            part = block if len(rows) == len(design.codes) else block[rows]
            z = rank_sum_z(*rank_sums(part, codes, 2), np.bincount(codes, minlength=2))
            statistics[i, columns] = z[0]
    p_values = two_sided_normal(statistics)
    if not overall:
        overall, overall_p = [statistics[0]], [p_values[0]]
    return replace(
        tests,
        statistics=statistics,
        p_values=p_values,
        overall=np.concatenate(overall),
        overall_p=np.concatenate(overall_p),
    )


def _columns(stored):
    """Yield blocks of genes; what is sparse in memory stays one sparse block."""
    if sp.issparse(stored):
        yield slice(None), stored
    else:
        yield from gene_blocks(stored)
