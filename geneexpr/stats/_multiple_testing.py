"""p-values adjusted for many tests: false discovery rate and family-wise error."""

import numpy as np

METHODS = ("bh", "by", "holm", "max_t")
_EQUAL = 1e-10


def adjust_p_values(p_values, method="bh"):
    """Adjust p-values for the number of tests.

    Parameters
    ----------
    p_values : array-like of shape (n_tests,)
        NaN stands for a test that was not made; it stays NaN and does not count.
    method : {"bh", "by", "holm"}, default="bh"
        Benjamini and Hochberg [1]_ (false discovery rate, independent or positively
        dependent tests), Benjamini and Yekutieli [2]_ (any dependence), Holm (family-wise).

    Returns
    -------
    ndarray of shape (n_tests,)

    References
    ----------
    .. [1] Benjamini, Hochberg (1995), doi:10.1111/j.2517-6161.1995.tb02031.x.
    .. [2] Benjamini, Yekutieli (2001), doi:10.1214/aos/1013699998.

    Examples
    --------
    >>> adjust_p_values([0.01, 0.04, 0.03, 0.5])
    array([0.04      , 0.05333333, 0.05333333, 0.5       ])
    """
    p_values = np.asarray(p_values, np.float64)
    adjusted = np.full_like(p_values, np.nan)
    there = ~np.isnan(p_values)
    p, n = p_values[there], int(there.sum())
    order = np.argsort(p, kind="stable")
    ranks = np.arange(1, n + 1)
    if method == "holm":
        stepped = np.maximum.accumulate(p[order] * (n + 1 - ranks))
    elif method in ("bh", "by"):
        total = n * (1 if method == "bh" else (1 / ranks).sum())
        stepped = np.minimum.accumulate((p[order] * (total / ranks))[::-1])[::-1]
    else:
        raise ValueError(f"method must be one of 'bh', 'by', 'holm', got {method!r}.")
    sorted_back = np.empty(n)
    sorted_back[order] = np.minimum(stepped, 1)
    adjusted[there] = sorted_back
    return adjusted


def max_t(observed, permuted):
    """Adjust p-values by the step-down maximum of permuted statistics.

    Controls the family-wise error under any dependence between genes, since a permutation
    of samples keeps it.

    Parameters
    ----------
    observed : ndarray of shape (n_tests,)
        Sizes of the statistics (two-sided: their absolute values).
    permuted : iterable of ndarray of shape (n_tests,)
        The same for permuted labels. All permutations give exact values; of random ones,
        the observed labels should be one.

    Returns
    -------
    ndarray of shape (n_tests,)

    References
    ----------
    Westfall, Young (1993), Resampling-Based Multiple Testing, algorithm 4.1; Dudoit, Shaffer,
    Boldrick (2003), doi:10.1214/ss/1056397487.

    Examples
    --------
    >>> import numpy as np
    >>> observed = np.array([3.0, 1.0])
    >>> max_t(observed, [observed, np.array([0.5, 1.5]), np.array([1.0, 0.2])])
    array([0.33333333, 0.66666667])
    """
    tested = np.flatnonzero(~np.isnan(observed))
    order = tested[np.argsort(-observed[tested], kind="stable")]
    # A permutation that is the observed one in other words must count in spite of rounding.
    reached = observed[order] * (1 - _EQUAL)
    exceeded, n = np.zeros(len(order)), 0
    for statistics in permuted:
        highest = np.fmax.accumulate(statistics[order][::-1])[::-1]
        exceeded += highest >= reached
        n += 1
    adjusted = np.full(len(observed), np.nan)
    adjusted[order] = np.maximum.accumulate(exceeded / n)
    return adjusted
