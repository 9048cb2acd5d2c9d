"""Variances of genes squeezed towards what the genes have in common.

The model of moderated t: the residual variance of a gene is the prior variance times
F(residual df, prior df); the prior is estimated from the logarithms of all variances.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import digamma, polygamma

LOWEST = 1e-5
"""Variances below this share of the median are lifted to it."""


@dataclass(frozen=True, slots=True)
class VariancePrior:
    """Prior of the variances: scale and degrees of freedom.

    Attributes
    ----------
    scale : float or ndarray of shape (n_genes,)
        One a gene where the prior follows a trend.
    df : float or ndarray of shape (n_genes,)
        Infinite where the genes' variances differ by no more than chance; one a gene in the
        robust fit, where it is small for outliers.
    """

    scale: float | np.ndarray
    df: float | np.ndarray

    def squeeze(self, variances, df):
        """Return the posterior variances.

        Parameters
        ----------
        variances, df : ndarray of shape (n_genes,)
            Residual variances and their degrees of freedom; where these are 0, the prior
            variance is returned.

        Returns
        -------
        ndarray of shape (n_genes,)
        """
        shape = np.shape(variances)
        prior_df, scale = np.broadcast_to(self.df, shape), np.broadcast_to(self.scale, shape)
        known = np.where(df > 0, variances, 0)
        finite = np.isfinite(prior_df)
        weight = np.where(finite, prior_df, 0)
        total = np.where(weight + df > 0, weight + df, np.nan)
        return np.where(finite, (df * known + weight * scale) / total, scale)


def trigamma_inverse(values):
    """Return x such that trigamma(x) is the value, by Newton's method on 1/trigamma.

    Parameters
    ----------
    values : float
        Positive.

    Returns
    -------
    float

    References
    ----------
    Smyth (2004), doi:10.2202/1544-6115.1027, appendix.

    Examples
    --------
    >>> round(float(trigamma_inverse(1.6449340668482264)), 12)
    1.0
    """
    if values > 1e7:
        return 1 / np.sqrt(values)
    if values < 1e-6:
        return 1 / values
    x = 0.5 + 1 / values
    for _ in range(50):
        trigamma = polygamma(1, x)
        step = trigamma * (1 - trigamma / values) / polygamma(2, x)
        x += step
        if -step / x < 1e-8:
            break
    return x


def variance_prior(variances, df, trend=None) -> VariancePrior:
    """Estimate the prior by the moments of the log variances.

    Parameters
    ----------
    variances : ndarray of shape (n_genes,)
    df : ndarray of shape (n_genes,)
        Residual degrees of freedom.
    trend : ndarray of shape (n_genes,), optional
        Mean expression; the prior variance then follows it, as a natural cubic spline.

    Returns
    -------
    VariancePrior

    References
    ----------
    Smyth (2004), doi:10.2202/1544-6115.1027; with a trend, Law et al. (2014),
    doi:10.1186/gb-2014-15-2-r29.

    Examples
    --------
    >>> import numpy as np
    >>> variance_prior(np.array([1.0, 1.0, 1.0]), np.full(3, 4.0)).df
    inf
    """
    ok = np.isfinite(variances) & (df > 0)
    n = int(ok.sum())
    if n < 2:
        return VariancePrior(float(variances[ok][0]) if n else np.nan, 0.0)
    x, df = _lifted(variances[ok]), df[ok]
    half = df / 2
    e = np.log(x) - digamma(half) + np.log(half)
    n_terms = 1 if trend is None else min(_terms(n), len(np.unique(trend[ok])))
    if n_terms == 1:
        expected, spread = e.mean(), np.square(e - e.mean()).sum() / (n - 1)
    else:
        basis = _natural_spline(trend, trend[ok], n_terms)
        coefficients, _, rank, _ = np.linalg.lstsq(basis[ok], e, rcond=1e-10)
        expected = basis @ coefficients
        spread = np.square(e - expected[ok]).sum() / max(1, n - rank)
    spread -= polygamma(1, half).mean()
    if spread <= 0:
        return VariancePrior(x.mean() if n_terms == 1 else np.exp(expected), np.inf)
    half_prior = trigamma_inverse(spread)
    scale = np.exp(expected + digamma(half_prior) - np.log(half_prior))
    return VariancePrior(scale, 2 * half_prior)


def _lifted(x):
    """Lift variances that are zero, whose logarithms would decide everything."""
    median = np.median(x)
    return np.maximum(x, LOWEST * (median if median > 0 else 1.0))


def _terms(n):
    return 1 + (n >= 3) + (n >= 6) + (n >= 30)


def _natural_spline(x, known, n_terms):
    """Return a basis of the natural cubic splines with knots at quantiles of what is known."""
    low, width = known.min(), np.ptp(known)
    x, known = (x - low) / width, (known - low) / width
    knots = np.quantile(known, np.linspace(0, 1, n_terms))
    if n_terms == 2:
        return np.column_stack([np.ones_like(x), x])

    def bend(k):
        cubes = np.maximum(x - knots[k], 0) ** 3 - np.maximum(x - knots[-1], 0) ** 3
        return cubes / max(knots[-1] - knots[k], 1e-12)

    last = bend(n_terms - 2)
    return np.column_stack([np.ones_like(x), x, *(bend(k) - last for k in range(n_terms - 2))])
