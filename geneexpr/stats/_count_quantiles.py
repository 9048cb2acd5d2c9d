"""Counts mapped from one negative binomial distribution to the same quantile of another."""

import numpy as np
from scipy.special import betainc, ndtri

NEAR_ONE = 1e-4
"""A count whose quantile is this close to 1 stays as it is."""
_SLACK = 1e-11
"""What a cumulative probability may lack of its target by rounding."""


def cumulative(counts, means, dispersions):
    """Return the probability of at most so many counts.

    Parameters
    ----------
    counts, means, dispersions : ndarray of shape (n,)

    Returns
    -------
    ndarray of shape (n,)

    Examples
    --------
    >>> import numpy as np
    >>> cumulative(np.array([0.0, 1.0]), np.ones(2), np.ones(2))
    array([0.5 , 0.75])
    """
    return betainc(1 / dispersions, counts + 1, 1 / (1 + means * dispersions))


def quantiles(probabilities, means, dispersions):
    """Return the least counts whose cumulative probabilities reach these.

    Parameters
    ----------
    probabilities, means, dispersions : ndarray of shape (n,)
        Probabilities below 1.

    Returns
    -------
    ndarray of shape (n,)

    Examples
    --------
    >>> import numpy as np
    >>> quantiles(np.array([0.5, 0.51]), np.ones(2), np.ones(2))
    array([0., 1.])
    """
    from ._count_quantile_kernels import guess, walk

    targets = probabilities * (1 - _SLACK)
    found, result = np.empty_like(targets), np.empty_like(targets)
    guess(targets, ndtri(targets), means, dispersions, found)
    below = cumulative(found, means, dispersions)
    walk(targets, found, below, means, dispersions, result)
    return result


def match_quantiles(counts, means, dispersions, new_means, new_dispersions):
    """Map counts to the same quantiles of other distributions.

    Parameters
    ----------
    counts : ndarray of shape (n,)
    means, dispersions : ndarray of shape (n,)
        The negative binomial distributions that the counts come from.
    new_means, new_dispersions : ndarray of shape (n,)
        Those that they are brought to.

    Returns
    -------
    ndarray of shape (n,)
        Whole numbers. Counts up to 1, and those within 1e-4 of the upper end of their
        distribution, stay as they are.

    References
    ----------
    .. [1] Zhang, Parmigiani, Johnson (2020), "ComBat-seq: batch effect adjustment for RNA-seq
       count data", doi:10.1093/nargab/lqaa078.

    Examples
    --------
    >>> import numpy as np
    >>> two, counts = np.full(3, 2.0), np.array([1.0, 4.0, 90.0])
    >>> match_quantiles(counts, 4 * two, two / 10, two, two / 10)
    array([ 1.,  1., 90.])
    """
    from ._count_quantile_kernels import match_small

    result = counts.astype(np.float64)
    at = np.flatnonzero(counts > 1)
    some = [v[at] for v in (result, means, dispersions, new_means, new_dispersions)]
    small = np.empty(len(at))
    match_small(*some, NEAR_ONE, _SLACK, small)
    result[at] = small
    large = at[small < 0]
    result[large] = _match_large(
        *(v[large] for v in (counts, means, dispersions, new_means, new_dispersions))
    )
    return result


def _match_large(counts, means, dispersions, new_means, new_dispersions):
    result = counts.astype(np.float64)
    # As a fractional count lies between two whole ones, so does the number below it.
    p = cumulative(np.floor(result - 1 + 1e-7), means, dispersions)
    inside = np.flatnonzero(np.abs(p - 1) >= NEAR_ONE)
    result[inside] = 1 + quantiles(p[inside], new_means[inside], new_dispersions[inside])
    return result
