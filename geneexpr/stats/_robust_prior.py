"""The prior of variances from winsorised moments, so that outlying genes do not set it."""

import numpy as np
from scipy import stats
from scipy.optimize import brentq

from ._lowess import lowess
from ._variance_prior import VariancePrior, variance_prior

TAILS = (0.05, 0.1)
"""Shares of the lowest and the highest variances that are winsorised."""
_NODES, _WEIGHTS = (v / 2 for v in np.polynomial.legendre.leggauss(128))
_NODES = _NODES + 0.5


def robust_variance_prior(variances, df, trend=None) -> VariancePrior:
    """Estimate the prior robustly; outlying genes get less prior degrees of freedom.

    Parameters
    ----------
    variances, df : ndarray of shape (n_genes,)
    trend : ndarray of shape (n_genes,), optional
        Mean expression, which the prior variance then follows.

    Returns
    -------
    VariancePrior
        With one ``df`` a gene.

    References
    ----------
    Phipson, Lee, Majewski, Alexander, Smyth (2016), doi:10.1214/16-AOAS920.
    """
    ok = np.isfinite(variances) & (df > 0)
    n = int(ok.sum())
    plain = variance_prior(variances, df, trend)
    if n < 3 or max(TAILS) < 1 / n or np.median(variances[ok]) <= 0:
        return VariancePrior(plain.scale, np.full(len(variances), plain.df))
    x = variances[ok]
    x = np.maximum(x, 1e-12 * np.median(x))
    scale = np.broadcast_to(plain.scale, variances.shape)
    x, df1 = _same_df(x, df[ok], scale[ok], plain.df)
    z = np.log(x)
    centre = stats.trim_mean(z, TAILS[1]) + 0 * z if trend is None else _smoothed(z, trend[ok])
    mean, variance = _winsorised(z - centre)
    df2 = _prior_df(df1, variance, plain.df)
    if not np.isfinite(plain.df) and np.isfinite(df2):
        return VariancePrior(plain.scale, np.full(len(variances), np.inf))
    centre = centre + mean - _expected(df1, df2)[0]
    of_genes = np.full(len(variances), df2)
    of_genes[ok] = _shrunk_df(z - centre, df1, df2)
    scale = np.array(scale, np.float64)
    scale[ok] = np.exp(centre)
    if trend is None:
        scale[:] = np.exp(centre[0])
    return VariancePrior(scale, of_genes)


def _same_df(x, df, scale, prior_df):
    """Bring variances with fewer degrees of freedom to the quantiles of those with the most."""
    most = df.max()
    few = df < most - 1e-14
    if few.any():
        f = x[few] / scale[few]
        model, full = stats.f(df[few], min(prior_df, 1e10)), stats.f(most, min(prior_df, 1e10))
        upper = model.sf(f) < model.cdf(f)
        x = x.copy()
        x[few] = scale[few] * np.where(upper, full.isf(model.sf(f)), full.ppf(model.cdf(f)))
    return x, float(most)


def _smoothed(z, trend):
    order = np.argsort(trend, kind="stable")
    smooth = np.empty_like(z)
    smooth[order] = lowess(trend[order], z[order], span=0.4)
    return smooth


def _winsorised(residuals):
    low, high = np.quantile(residuals, [TAILS[0], 1 - TAILS[1]])
    clipped = np.clip(residuals, low, high)
    return clipped.mean(), clipped.var(ddof=1)


def _f(df1, df2):
    return stats.f(df1, df2) if np.isfinite(df2) else stats.chi2(df1, scale=1 / df1)


def _expected(df1, df2):
    """Return mean and variance of the winsorised logarithm of F, by Gauss and Legendre."""
    model = _f(df1, df2)
    ends = model.ppf([TAILS[0], 1 - TAILS[1]])
    logs = np.log(ends)
    low, high = ends / (1 + ends)
    nodes = low + (high - low) * _NODES
    values = nodes / (1 - nodes)
    density = (high - low) * _WEIGHTS * model.pdf(values) / np.square(1 - nodes)
    mean = density @ np.log(values) + logs @ TAILS
    return mean, density @ np.square(np.log(values) - mean) + np.square(logs - mean) @ TAILS


def _prior_df(df1, variance, plain_df):
    """Find the prior df whose winsorised variance is the observed, at least the plain one."""

    def excess(share):
        df2 = share / (1 - share) if share < 1 else np.inf
        return np.log(variance / _expected(df1, df2)[1])

    if excess(1.0) <= 0:
        return np.inf
    if not np.isfinite(plain_df):
        return 0.0  # the plain estimate, infinite, is kept by the caller
    low = plain_df / (1 + plain_df)
    if excess(low) >= 0:
        return plain_df
    share = brentq(excess, low, 1.0, xtol=1e-10)
    return share / (1 - share)


def _shrunk_df(residuals, df1, df2):
    """Lower the prior df of genes by the chance that they are outliers."""
    f = np.exp(residuals)
    n = len(f)
    tails = _f(df1, df2).logsf(f)
    observed = np.log(n - stats.rankdata(f) + 0.5) - np.log(n)
    log_chance = np.minimum(tails - observed, 0)
    if not (log_chance < 0).any():
        return np.full(n, df2)
    order = np.argsort(tails, kind="stable")
    chance = np.exp(log_chance)
    if not np.isfinite(df2):
        shrunk = np.where(log_chance < 0, chance * n * df1, np.inf)
        shrunk[order] = np.maximum.accumulate(shrunk[order])
        return shrunk
    lowest = tails[order[0]]
    outlier = 0.0
    if np.isfinite(lowest):
        # The df that makes the largest F the median of its distribution, in two steps.
        outlier = np.log(0.5) / lowest * df2
        outlier *= np.log(0.5) / stats.f.logsf(f.max(), df1, outlier)
    ordered = (chance * df2 - np.expm1(log_chance) * outlier)[order]
    means = np.cumsum(ordered) / np.arange(1, n + 1)
    first = int(np.argmin(means))
    ordered[: first + 1] = means[first]
    shrunk = np.empty(n)
    shrunk[order] = np.maximum.accumulate(ordered)
    return shrunk
