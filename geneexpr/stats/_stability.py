"""How alike the sets are that a selection chose on different samples."""

import numpy as np
from scipy.special import ndtri


def jaccard(chosen):
    """Return the mean Jaccard index over all pairs of sets.

    Parameters
    ----------
    chosen : ndarray of bool of shape (n_sets, n_genes)
        Only genes that some set holds need be there.

    Returns
    -------
    float
        1 where all sets are equal; two empty sets are.

    References
    ----------
    Kalousis, Prados, Hilario (2007), doi:10.1007/s10115-006-0040-8.

    Examples
    --------
    >>> jaccard(np.array([[1, 1, 0], [0, 1, 1]], dtype=bool))
    0.3333333333333333
    """
    shared, sizes = _pairs(chosen)
    unions = sizes[0] + sizes[1] - shared
    return float(np.divide(shared, unions, out=np.ones(len(shared)), where=unions > 0).mean())


def kuncheva(chosen, n_genes):
    """Return the mean consistency index over all pairs of sets of one size.

    Parameters
    ----------
    chosen : ndarray of bool of shape (n_sets, n_chosen_by_any)
    n_genes : int
        Genes that could have been chosen.

    Returns
    -------
    float
        1 where all sets are equal, about 0 where they are random; NaN for sets of different
        sizes, empty ones, and such that hold all genes, for which it is not defined.

    References
    ----------
    Kuncheva (2007), "A stability index for feature selection", IASTED International
    Multi-Conference: Artificial Intelligence and Applications.

    Examples
    --------
    >>> kuncheva(np.array([[1, 1, 0], [0, 1, 1]], dtype=bool), 4)
    0.0
    """
    sizes = chosen.sum(axis=1)
    k = float(sizes[0])
    if (sizes != k).any() or not 0 < k < n_genes:
        return float("nan")
    shared, _ = _pairs(chosen)
    return float(((shared * n_genes - k**2) / (k * (n_genes - k))).mean())


def nogueira(chosen, n_genes, confidence=0.95):
    r"""Return the stability of Nogueira, Sechidis and Brown with its interval.

    With the share :math:`p_f` of the :math:`M` sets that hold gene f, and the mean size
    :math:`\bar k` of a set among d genes,

    .. math:: \hat\Phi = 1 - \frac{\frac 1 d \sum_f \frac{M}{M-1} p_f (1 - p_f)}
              {\frac{\bar k}{d} (1 - \frac{\bar k}{d})}

    Parameters
    ----------
    chosen : ndarray of bool of shape (n_sets, n_chosen_by_any)
    n_genes : int
        Genes that could have been chosen.
    confidence : float, default=0.95
        Level of the interval, which is asymptotic in the number of sets.

    Returns
    -------
    stability : float
        1 where all sets are equal, 0 on average where they are random. NaN where all are
        empty or hold all genes.
    interval : tuple of two floats

    References
    ----------
    Nogueira, Sechidis, Brown (2018), "On the stability of feature selection algorithms",
    Journal of Machine Learning Research 18(174), theorems 4 and 7.

    Examples
    --------
    >>> stability, interval = nogueira(np.array([[1, 1, 0], [0, 1, 1]], dtype=bool), 4)
    >>> stability
    0.0
    """
    m, sizes = len(chosen), chosen.sum(axis=1).astype(np.float64)
    share, mean = chosen.mean(axis=0), sizes.mean() / n_genes
    spread = mean * (1 - mean)
    if spread == 0:
        return float("nan"), (float("nan"), float("nan"))
    variance = m / (m - 1) * (share * (1 - share)).sum() / n_genes
    stability = 1 - variance / spread
    part = sizes / n_genes
    # How much each set contributes to the stability; their spread gives its variance.
    each = chosen @ share / n_genes - part * mean
    each += stability / 2 * (2 * mean * part - part - mean + 1)
    each /= spread
    error = np.sqrt(4 / m**2 * ((each - each.mean()) ** 2).sum())
    reach = ndtri(0.5 + confidence / 2) * error
    return float(stability), (float(stability - reach), float(min(stability + reach, 1)))


def _pairs(chosen):
    """Return the shared genes of every pair of sets, and the sizes of both."""
    counts = chosen.astype(np.float64)
    first, second = np.triu_indices(len(chosen), k=1)
    sizes = counts.sum(axis=1)
    return (counts @ counts.T)[first, second], (sizes[first], sizes[second])
