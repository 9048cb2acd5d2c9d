"""What all genes share about their dispersions: the trend, and the spread around it."""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, polygamma

from ._dispersion import SMALLEST, mean_trend, parametric_trend

USABLE = 100 * SMALLEST
"""Dispersions from here on say something about their trend and their spread."""
SMALLEST_PRIOR_VARIANCE = 0.25
MAD_TO_SD = 1.4826
FEW_DF = 3
BINS = np.arange(-20, 21) / 2
VARIANCES = np.linspace(0, 8, 200)
SMOOTHING_SPAN = 0.2
LEAST_SHARE = 2e-4
"""Density of one in ten thousand draws: what the reference takes an empty bin to be."""


@dataclass(frozen=True, slots=True)
class DispersionPrior:
    """What all genes together say about the dispersion of one.

    Attributes
    ----------
    asymptotic, extra : float
        The trend over the mean is ``asymptotic + extra / mean``.
    spread : float
        Robust variance of the logarithms of dispersions around the trend.
    variance : float
        The part of it that is not sampling: the variance of the prior.
    parametric : bool
        False where no such trend was found, and one value stands for all genes.
    """

    asymptotic: float
    extra: float
    spread: float
    variance: float
    parametric: bool = True

    def trend(self, means):
        """Return the dispersion that genes of these means are expected to have."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.asymptotic + self.extra / means


def dispersion_prior(means, dispersions, df) -> DispersionPrior:
    """Learn the trend of the dispersions over the mean, and how far genes lie from it.

    Parameters
    ----------
    means, dispersions : ndarray of shape (n_genes,)
        Dispersions of every gene alone; NaN where a gene has none.
    df : int
        Residual degrees of freedom.

    Returns
    -------
    DispersionPrior
        With the mean dispersion where no parametric trend is found.

    References
    ----------
    Love, Huber, Anders (2014), doi:10.1186/s13059-014-0550-8.
    """
    trend = parametric_trend(means, dispersions)
    asymptotic, extra = (mean_trend(dispersions), 0.0) if trend is None else trend
    used = dispersions >= USABLE
    if not used.any():
        return DispersionPrior(asymptotic, extra, 0.0, SMALLEST_PRIOR_VARIANCE, trend is not None)
    residuals = np.log(dispersions[used]) - np.log(asymptotic + extra / means[used])
    centre = np.median(residuals)
    spread = float((MAD_TO_SD * np.median(np.abs(residuals - centre))) ** 2)
    if df <= FEW_DF:
        variance = _matching_variance(residuals, df)
    else:
        variance = spread - float(polygamma(1, df / 2))
    variance = max(variance, SMALLEST_PRIOR_VARIANCE)
    return DispersionPrior(asymptotic, extra, spread, variance, trend is not None)


def _matching_variance(residuals, df):
    """Find the variance whose sum with sampling noise is most like the residuals.

    With few degrees of freedom the logarithm of a chi-square variate is too skewed for its
    variance to be subtracted. The reference draws random numbers at this step; here the
    distribution is computed, then treated as the reference treats its draws, so results differ
    by what chance does there.
    """
    observed = np.histogram(residuals, BINS)[0]
    observed = 2 * observed / max(1, observed.sum())
    small = min([LEAST_SHARE, *observed[observed > 0]])
    noise = np.arange(-30, 4, 0.05)
    density = np.exp(df / 2 * (noise - np.log(2 / df)) - df * np.exp(noise) / 2)
    density /= density.sum()
    expected = np.array([_binned(noise, density, variance) for variance in VARIANCES])
    divergences = np.log(observed + small) - np.log(expected + small)
    return _least(VARIANCES, divergences @ observed)


def _binned(noise, density, variance):
    """Return the density, in bins, of noise and a normal variate."""
    if variance == 0:
        cumulative = np.interp(BINS, noise, np.cumsum(density))
    else:
        cumulative = ndtr((BINS[:, None] - noise) / np.sqrt(variance)) @ density
    return 2 * np.diff(cumulative) / (cumulative[-1] - cumulative[0])


def _least(x, y):
    """Return where a smooth through y is least: local parabolas with tricube weights."""
    reach = int(SMOOTHING_SPAN * len(x))
    fine = np.linspace(x[0], x[-1], 5 * len(x))
    smooth = np.empty(len(fine))
    for i, at in enumerate(fine):
        distance = np.abs(x - at)
        near = np.argsort(distance, kind="stable")[:reach]
        roots = (1 - (distance[near] / distance[near[-1]]) ** 3) ** 1.5
        powers = np.vander(x[near] - at, 3) * roots[:, None]
        smooth[i] = np.linalg.lstsq(powers, y[near] * roots, rcond=None)[0][-1]
    return float(fine[np.argmin(smooth)])
