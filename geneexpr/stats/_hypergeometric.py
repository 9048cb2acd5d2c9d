"""Upper tails of the hypergeometric distribution, many at once."""

import numpy as np
from scipy.special import gammaln


def hypergeometric_tail(overlap, n_marked, n_drawn, n_total):
    """Return the probability of at least this overlap when genes are drawn at random.

    Every term of every tail is computed in one flat array; what is summed is positive, so
    that small p-values keep their digits.

    Parameters
    ----------
    overlap : array-like of int of shape (n_tests,)
        Marked genes among those drawn.
    n_marked, n_drawn, n_total : array-like of int, broadcast with ``overlap``
        Genes that are marked, that are drawn, and that there are.

    Returns
    -------
    ndarray of shape (n_tests,)

    Examples
    --------
    >>> hypergeometric_tail([0, 1, 2], 2, 2, 4).round(4)
    array([1.    , 0.8333, 0.1667])
    """
    shape = np.broadcast_shapes(*map(np.shape, (overlap, n_marked, n_drawn, n_total)))
    k, marked, drawn, total = (
        np.broadcast_to(np.asarray(a, dtype=np.int64), shape).ravel()
        for a in (overlap, n_marked, n_drawn, n_total)
    )
    lowest = np.maximum(0, drawn + marked - total)
    lengths = np.maximum(np.minimum(marked, drawn) - np.maximum(k, lowest) + 1, 0)
    tests = np.repeat(np.arange(len(k)), lengths)
    starts = np.cumsum(lengths) - lengths
    terms = np.maximum(k, lowest)[tests] + np.arange(lengths.sum()) - starts[tests]
    logs = _log_mass(terms, marked[tests], drawn[tests], total[tests])
    p_values = np.zeros(len(k))
    some = lengths > 0
    if some.any():
        highest = np.maximum.reduceat(logs, starts[some])
        sums = np.add.reduceat(np.exp(logs - np.repeat(highest, lengths[some])), starts[some])
        p_values[some] = np.exp(highest) * sums
    p_values[k <= lowest] = 1.0
    return np.minimum(p_values, 1).reshape(shape)


def hypergeometric_mass(n_marked, n_drawn, n_total):
    """Return the probability of every overlap from 0 to ``n_drawn``.

    Parameters
    ----------
    n_marked, n_drawn, n_total : int

    Returns
    -------
    ndarray of shape (n_drawn + 1,)

    Examples
    --------
    >>> hypergeometric_mass(2, 2, 4).round(4)
    array([0.1667, 0.6667, 0.1667])
    """
    k = np.arange(n_drawn + 1)
    possible = (k <= n_marked) & (n_drawn - k <= n_total - n_marked)
    mass = np.zeros(n_drawn + 1)
    mass[possible] = np.exp(_log_mass(k[possible], n_marked, n_drawn, n_total))
    return mass


def stratified_overlap(n_marked, n_drawn, n_total):
    """Return the exact distribution of an overlap when genes are drawn stratum by stratum.

    The strata are independent, so the distribution is the convolution of their hypergeometric
    ones: what a resampling would approach.

    Parameters
    ----------
    n_marked, n_drawn, n_total : array-like of int of shape (n_strata,)

    Returns
    -------
    ndarray of shape (sum of n_drawn + 1,)
        Probability of every overlap.

    Examples
    --------
    >>> stratified_overlap([1, 1], [1, 1], [2, 2])
    array([0.25, 0.5 , 0.25])
    """
    whole = np.ones(1)
    for marked, drawn, total in zip(n_marked, n_drawn, n_total, strict=True):
        whole = np.convolve(whole, hypergeometric_mass(int(marked), int(drawn), int(total)))
    return whole


def _log_choose(n, k):
    return gammaln(n + 1.0) - gammaln(k + 1.0) - gammaln(n - k + 1.0)


def _log_mass(k, marked, drawn, total):
    ways = _log_choose(marked, k) + _log_choose(total - marked, drawn - k)
    return ways - _log_choose(total, drawn)
