"""Empirical Bayes estimates of location and scale, shrunk over all genes.

The model of ComBat: within a batch the standardised values of a gene are normal with
mean γ and variance δ; over genes γ is normal and δ is inverse gamma (parametric), or
both follow whatever the other genes show (non-parametric).
"""

from dataclasses import dataclass

import numpy as np

_CHUNK_VALUES = 2**18


@dataclass(frozen=True, slots=True)
class LocationScalePrior:
    """Prior of one batch: γ ~ N(mean, variance), δ ~ inverse gamma(shape, rate).

    Attributes
    ----------
    mean, variance : float
    shape, rate : float
        Infinite where all genes have the same variance; that variance is then ``scale``.
    scale : float
        Mean of the variances over genes.
    """

    mean: float
    variance: float
    shape: float
    rate: float
    scale: float


def location_scale_prior(location, scale) -> LocationScalePrior:
    """Estimate the prior of a batch from its genes, by the method of moments.

    Parameters
    ----------
    location, scale : ndarray of shape (n_genes,)
        Mean and variance of the standardised values of each gene.

    Returns
    -------
    LocationScalePrior

    References
    ----------
    Johnson, Li, Rabinovic (2007), Biostatistics 8, 118-127, doi:10.1093/biostatistics/kxj037.

    Examples
    --------
    >>> import numpy as np
    >>> prior = location_scale_prior(np.array([-1.0, 1.0]), np.array([1.0, 3.0]))
    >>> prior.variance, prior.shape, prior.rate
    (2.0, 4.0, 6.0)
    """
    mean, spread = float(np.mean(scale)), _variance(scale)
    shape, rate = np.inf, np.inf
    if spread > 0:
        shape = (2 * spread + mean**2) / spread
        rate = (mean * spread + mean**3) / spread
    return LocationScalePrior(float(np.mean(location)), _variance(location), shape, rate, mean)


def _variance(values):
    return float(np.square(values - values.mean()).sum() / max(1, len(values) - 1))


def shrink_location(location, n, prior, scale=1.0) -> np.ndarray:
    """Return the posterior mean of γ, given δ.

    Parameters
    ----------
    location : ndarray of shape (n_genes,)
    n : float or ndarray of shape (n_genes,)
        Number of values behind each location.
    prior : LocationScalePrior
    scale : float or ndarray of shape (n_genes,), default=1.0
        The variance δ.
    """
    weight = prior.variance * n
    return (weight * location + scale * prior.mean) / (weight + scale)


def shrink_location_scale(location, scale, n, prior, tol=1e-4, max_iter=100_000):
    """Return the posterior means of γ and δ, by iterating one given the other.

    The stopping rule is that of ``sva::ComBat``, sign and all: the largest change over all
    genes *relative to the value itself*, so a negative γ never delays the stop. Its
    results depend on stopping there.

    Parameters
    ----------
    location, scale : ndarray of shape (n_genes,)
        Mean and variance (denominator n - 1) of the standardised values.
    n : float or ndarray of shape (n_genes,)
        Number of values.
    prior : LocationScalePrior
    tol : float, default=1e-4
    max_iter : int, default=100_000
        Where the iteration ends even if the rule is not met.

    Returns
    -------
    location, scale : ndarray of shape (n_genes,)

    Examples
    --------
    >>> import numpy as np
    >>> gamma, delta = np.array([-1.0, 1.0]), np.array([1.0, 3.0])
    >>> prior = location_scale_prior(gamma, delta)
    >>> shrunk, _ = shrink_location_scale(gamma, delta, 10, prior)
    >>> bool((np.abs(shrunk) < 1).all())
    True
    """
    if not np.isfinite(prior.shape):  # all genes alike: the prior is a point
        return shrink_location(location, n, prior, prior.scale), np.full_like(scale, prior.scale)
    squares = (n - 1) * scale
    denominator = n / 2 + prior.shape - 1
    old_location, old_scale = location, scale
    with np.errstate(divide="ignore", invalid="ignore"):
        for _ in range(max_iter):
            new_location = shrink_location(location, n, prior, old_scale)
            new_scale = location - new_location
            new_scale *= new_scale
            new_scale *= n
            new_scale += squares
            new_scale *= 0.5
            new_scale += prior.rate
            new_scale /= denominator
            change = max(
                _largest_change(new_location, old_location),
                _largest_change(new_scale, old_scale),
            )
            old_location, old_scale = new_location, new_scale
            if not change > tol:
                break
    return old_location, old_scale


def _largest_change(new, old):
    change = np.subtract(new, old)
    np.abs(change, out=change)
    change /= old
    return np.fmax.reduce(change, initial=-np.inf)  # 0/0 is no change


def shrink_nonparametric(location, scale, n, mean, squares):
    """Return the posterior means of γ and δ where the other genes are the prior.

    Each gene's likelihood is evaluated at (γ, δ) of every other gene; their weighted mean
    is the estimate. Weights are kept as logarithms, so that they do not underflow with
    many samples, as those of ``sva`` do. Time is O(n_genes²), memory a few megabytes.

    Parameters
    ----------
    location, scale : ndarray of shape (n_genes,)
        The prior: (γ, δ) of each gene.
    n : float or ndarray of shape (n_genes,)
        Number of values.
    mean : ndarray of shape (n_genes,)
        Mean of the standardised values of each gene.
    squares : ndarray of shape (n_genes,)
        Their sum of squared deviations from that mean.

    Returns
    -------
    location, scale : ndarray of shape (n_genes,)

    Examples
    --------
    >>> import numpy as np
    >>> one = np.ones(2)
    >>> shrink_nonparametric(np.array([0.0, 4.0]), one, 5, np.array([0.0, 4.0]), one)[0]
    array([4., 0.])
    """
    n_genes = len(location)
    if n_genes == 1:  # no other gene to learn from
        return location, scale
    n = np.broadcast_to(np.asarray(n, np.float64), (n_genes,))
    # log L = -n/2 log δ - (squares + n (mean - γ)²) / 2δ, as one product of matrices
    of_gene = np.column_stack([n, squares + n * mean**2, n * mean])
    of_prior = np.vstack(
        [-0.5 * np.log(scale) - location**2 / (2 * scale), -0.5 / scale, location / scale]
    )
    moments = np.column_stack([np.ones(n_genes), location, scale])
    result = np.empty((n_genes, 3))
    step = max(1, _CHUNK_VALUES // n_genes)
    for start in range(0, n_genes, step):
        rows = np.arange(start, min(start + step, n_genes))
        weights = of_gene[rows] @ of_prior
        weights[np.arange(len(rows)), rows] = -np.inf
        weights -= weights.max(axis=1, keepdims=True)
        np.exp(weights, out=weights)
        result[rows] = weights @ moments
    return result[:, 1] / result[:, 0], result[:, 2] / result[:, 0]
