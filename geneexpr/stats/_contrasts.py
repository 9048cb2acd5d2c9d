"""Effects of a condition on every gene, and their moderated tests, from moments alone."""

from dataclasses import dataclass

import numpy as np
from scipy.special import fdtrc, stdtr

from ._linear_models import estimable_genes, regress_on_batches
from ._robust_prior import robust_variance_prior
from ._variance_prior import variance_prior


@dataclass(frozen=True, slots=True)
class Effects:
    """Estimated effects of every gene, before any test.

    Attributes
    ----------
    values : ndarray of shape (n_contrasts, n_genes)
    covariance : ndarray of shape (n_contrasts, n_contrasts, 1|n_genes)
        Their covariance for a residual variance of 1.
    variances : ndarray of shape (n_genes,)
        Residual variances; exactly 0 where a gene is constant within all groups.
    df : ndarray of shape (n_genes,)
        Residual degrees of freedom.
    means : ndarray of shape (n_genes,)
        Mean expression over all samples.
    """

    values: np.ndarray
    covariance: np.ndarray
    variances: np.ndarray
    df: np.ndarray
    means: np.ndarray


@dataclass(frozen=True, slots=True)
class GeneTests:
    """What tests of every gene gave.

    Attributes
    ----------
    effects, std_errors, statistics, p_values : ndarray of shape (n_contrasts, n_genes)
        NaN where a gene cannot be tested.
    means : ndarray of shape (n_genes,)
    overall, overall_p : ndarray of shape (n_genes,)
        Statistic and p-value of all contrasts together; those of the one, if there is one.
    """

    effects: np.ndarray
    std_errors: np.ndarray
    statistics: np.ndarray
    p_values: np.ndarray
    means: np.ndarray
    overall: np.ndarray
    overall_p: np.ndarray


def contrast_matrix(n_groups, reference=0) -> np.ndarray:
    """Return the contrasts of every other group with the reference.

    Parameters
    ----------
    n_groups : int
    reference : int, default=0

    Returns
    -------
    ndarray of shape (n_groups - 1, n_groups)

    Examples
    --------
    >>> contrast_matrix(3, reference=1)
    array([[ 1., -1.,  0.],
           [ 0., -1.,  1.]])
    """
    contrasts = np.delete(np.eye(n_groups), reference, axis=0)
    contrasts[:, reference] = -1
    return contrasts


def group_effects(moments, contrasts) -> Effects:
    """Estimate contrasts of groups, adjusted for the covariates in the moments.

    Parameters
    ----------
    moments : BatchMoments
        Of the groups (as batches), with the other columns of the design as covariates.
    contrasts : ndarray of shape (n_contrasts, n_groups)

    Returns
    -------
    Effects
        NaN for genes whose missing values leave an effect without an estimate.
    """
    moments, estimable = _estimable(moments)
    fit = regress_on_batches(moments)
    spread = np.eye(len(moments.n_rows))[..., None] / moments.counts[:, None]
    if moments.products.shape[1]:
        inverse = _inverse(moments.covariate_squares.sum(axis=0))
        at = moments.covariate_means
        spread = spread + np.einsum("bpg,pqg,cqg->bcg", at, inverse, at)
    covariance = np.einsum("xb,bcg,yc->xyg", contrasts, spread, contrasts)
    return _effects(moments, estimable, contrasts @ fit.intercepts, covariance, fit)


def slope_effects(moments) -> Effects:
    """Estimate the slope of every gene on the first covariate, adjusted for the others.

    Parameters
    ----------
    moments : BatchMoments
        Of all samples as one batch (or of batches, each with its own intercept).

    Returns
    -------
    Effects
        Of one contrast.
    """
    moments, estimable = _estimable(moments)
    fit = regress_on_batches(moments)
    inverse = _inverse(moments.covariate_squares.sum(axis=0))
    return _effects(moments, estimable, fit.coefficients[:1], inverse[:1, :1], fit)


def _estimable(moments):
    """Give genes that cannot be estimated moments that solve; they become NaN afterwards."""
    estimable = estimable_genes(moments)
    if estimable.all():
        return moments, estimable
    if not estimable.any():
        raise ValueError("No gene has values enough in every group to be tested.")
    take = np.arange(moments.n_genes)
    take[~estimable] = np.flatnonzero(estimable)[0]
    return moments.take(take), estimable


def _inverse(squares):
    return np.moveaxis(np.linalg.inv(np.moveaxis(squares, -1, 0)), 0, -1)


def _effects(moments, estimable, values, covariance, fit):
    n_genes = moments.n_genes
    n_terms = len(moments.n_rows) + moments.products.shape[1]
    counts = moments.counts.sum(axis=0)
    df = np.broadcast_to(counts - n_terms, (n_genes,)).copy()
    # Only exact equality tells a constant gene: its computed squares are a little above 0.
    constant = (moments.minima >= moments.maxima).all(axis=0)
    if moments.products.shape[1]:
        constant &= moments.minima.min(axis=0) >= moments.maxima.max(axis=0)
        values = np.where(moments.minima.min(axis=0) >= moments.maxima.max(axis=0), 0.0, values)
    squares = np.where(constant, 0.0, fit.residual_squares.sum(axis=0))
    variances = np.divide(squares, df, out=np.zeros(n_genes), where=df > 0)
    means = (moments.counts * moments.means).sum(axis=0) / counts
    lost = ~estimable
    if lost.any():
        values, df[lost] = values.copy(), 0
        values[:, lost] = variances[lost] = means[lost] = np.nan
    return Effects(values, covariance, variances, df, means)


def moderated_tests(effects, *, trend=False, robust=False, threshold=0.0) -> GeneTests:
    """Test effects with variances that are squeezed towards what all genes share.

    Parameters
    ----------
    effects : Effects
    trend : bool, default=False
        Let the prior variance follow mean expression.
    robust : bool, default=False
        Keep genes of outlying variance from the prior, and squeeze them less.
    threshold : float, default=0
        Test whether the size of an effect is above this (limma's ``treat``).

    Returns
    -------
    GeneTests
        t for every contrast, F for all of them together (against 0) where there are several.

    References
    ----------
    Smyth (2004), doi:10.2202/1544-6115.1027; Phipson et al. (2016), doi:10.1214/16-AOAS920;
    McCarthy, Smyth (2009), doi:10.1093/bioinformatics/btp053.
    """
    estimate = robust_variance_prior if robust else variance_prior
    prior = estimate(effects.variances, effects.df, effects.means if trend else None)
    posterior = prior.squeeze(effects.variances, effects.df)
    df = np.minimum(effects.df + prior.df, effects.df.sum())
    unscaled = np.einsum("xxg->xg", effects.covariance)
    # A gene without an estimate has no error of it either, though the prior would give one.
    std_errors = np.where(np.isnan(effects.values), np.nan, np.sqrt(unscaled * posterior))
    statistics, p_values = _against(effects.values, std_errors, df, threshold)
    overall, overall_p = statistics[0], p_values[0]
    n_contrasts = len(statistics)
    if n_contrasts > 1:
        weights = _inverse(effects.covariance)
        squares = np.einsum("xg,xyg,yg->g", effects.values, weights + 0 * posterior, effects.values)
        overall = ratio(squares / n_contrasts, posterior)
        overall_p = np.where(np.isinf(overall), 0.0, fdtrc(n_contrasts, df, overall))
    return GeneTests(
        effects.values, std_errors, statistics, p_values, effects.means, overall, overall_p
    )


def _against(effects, errors, df, threshold):
    """Test whether effects lie beyond plus or minus a threshold.

    The p-value of a threshold is that of an effect which is exactly as large: both tails.
    """
    if threshold == 0:
        statistics = ratio(effects, errors)
        return statistics, two_sided_t(statistics, df)
    beyond = ratio(np.abs(effects) - threshold, errors)
    either = ratio(np.abs(effects) + threshold, errors)
    p_values = np.minimum(1, stdtr(df, -beyond) + stdtr(df, -either))
    return np.sign(effects) * np.maximum(beyond, 0), p_values


def ratio(effects, errors):
    """Divide effects by their errors; no effect without error is 0, not undefined."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where((effects == 0) & (errors == 0), 0.0, effects / errors)


def two_sided_t(statistics, df):
    """Return two-sided p-values of t statistics.

    Parameters
    ----------
    statistics, df : ndarray
        Broadcast against each other.

    Returns
    -------
    ndarray
    """
    return np.where(np.isinf(statistics), 0.0, np.minimum(1, 2 * stdtr(df, -np.abs(statistics))))
