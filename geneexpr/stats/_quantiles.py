"""Quantile normalisation: the mean of sorted samples, and samples brought to it."""

import numpy as np
import scipy.sparse as sp

from ._library_size import CHUNK_ENTRIES
from ._threads import over_slices

LARGE = 2**20
"""Entries from which a compiled sort is worth the second that it takes to load."""


def quantile_sums(values):
    """Sum the sorted samples, rank by rank.

    Parameters
    ----------
    values : array or CSR matrix of shape (n_samples, n_genes)
        NaN where missing.

    Returns
    -------
    array of shape (n_genes + 1,), float64
        The sums from the lowest rank up, and the number of samples that have a value. The
        sums of two sets of samples add up to those of both. A sample with missing values is
        stretched to full length by linear interpolation.
    """
    sort = _sorter(values, "average")
    return _added(over_slices(lambda rows: _sums(sort(values[rows])[1]), *_steps(values)))


def sorted_rows(values, ties="average"):
    """Sort all samples once, for their sums and for their ranks.

    Parameters
    ----------
    values : array or CSR matrix of shape (n_samples, n_genes)
    ties : {"average", "first"}, default="average"

    Returns
    -------
    sums : array of shape (n_genes + 1,)
        As `quantile_sums` gives them.
    ordered : array of shape (n_samples, n_genes)
        The sorted samples, NaN last.
    order : array of shape (n_samples, n_genes), int32
        The gene of each entry of ``ordered``.
    """
    ordered = np.empty(values.shape, dtype=values.dtype)
    order = np.empty(values.shape, dtype=np.int32)

    sort = _sorter(values, ties)

    def fill(rows):
        order[rows], ordered[rows] = sort(values[rows])
        return _sums(ordered[rows])

    return _added(over_slices(fill, *_steps(values))), ordered, order


def target_of(sums):
    """Turn the sums of `quantile_sums` into their mean, of shape (n_genes,)."""
    return sums[:-1] / sums[-1]


def to_target(values, target, ties="average"):
    """Give every sample the distribution of the target.

    Parameters
    ----------
    values : array or CSR matrix of shape (n_samples, n_genes)
        NaN where missing; these stay NaN, and the others are spread over the whole target.
    target : array of shape (n_genes,)
        Ascending.
    ties : {"average", "first"}, default="average"
        "average": equal values get the target at their average rank, which for a half rank is
        the mean of its neighbours. "first": they get ascending ranks in the order of the genes.

    Returns
    -------
    array of shape (n_samples, n_genes)
        Dense, of the dtype of ``values``.

    Examples
    --------
    >>> import numpy as np
    >>> to_target(np.array([[5.0, 1.0, 9.0], [2.0, 2.0, 0.0]]), np.array([1.0, 2.0, 4.0]))
    array([[2., 1., 4.],
           [3., 3., 1.]])
    """
    result = np.empty(values.shape, dtype=values.dtype)

    sort = _sorter(values, ties)

    def move(rows):
        order, ordered = sort(values[rows])
        place_targets(ordered, order, target, ties, result[rows])

    over_slices(move, *_steps(values))
    return result


def sorted_to_target(ordered, order, target, ties="average"):
    """Do what `to_target` does to samples that `sorted_rows` has sorted, in place."""
    over_slices(
        lambda rows: place_targets(ordered[rows], order[rows], target, ties, ordered[rows]),
        *_steps(ordered),
    )
    return ordered


def place_targets(ordered, order, target, ties, result):
    """Write the target into the places that the genes of sorted samples have.

    The result may be the memory of the sorted samples, a row of which is read before written.
    """
    target = target.astype(np.float64, copy=False)
    for values, genes, row in zip(ordered, order, result, strict=True):
        n = _n_observed(values)
        row[genes[:n]] = _targets(values[:n], target, ties)
        row[genes[n:]] = np.nan


def _targets(values, target, ties):
    """Return the target at the ranks of sorted values without NaN."""
    n, full = len(values), len(target)
    stops = np.flatnonzero(values[1:] != values[:-1]) + 1 if ties == "average" else None
    if stops is None or len(stops) == n - 1 or n == 0:
        if n == full:
            return target
        starts, lengths, twice = None, None, 2 * np.arange(n)
    else:
        starts, stops = np.append(0, stops), np.append(stops, n)
        lengths, twice = stops - starts, starts + stops - 1
    if n == full:
        found = (target[twice // 2] + target[(twice + 1) // 2]) / 2
    else:
        share = twice / 2 / (n - 1) if n > 1 else np.full(len(twice), 0.5)
        found = np.interp(share * (full - 1), np.arange(full), target)
    return found if lengths is None else np.repeat(found, lengths)


def _sums(ordered):
    sums = np.zeros(ordered.shape[1] + 1)
    whole = ~np.isnan(ordered[:, -1])
    sums[:-1] = (ordered if whole.all() else ordered[whole]).sum(axis=0, dtype=np.float64)
    sums[-1] = whole.sum()
    ranks = np.linspace(0, 1, ordered.shape[1])
    for values in ordered[~whole]:
        n = _n_observed(values)
        if n:
            sums[:-1] += np.interp(ranks * (n - 1), np.arange(n), values[:n])
            sums[-1] += 1
    return sums


def _n_observed(values):
    return len(values) - np.count_nonzero(np.isnan(values)) if np.isnan(values[-1]) else len(values)


def _sorter(values, ties):
    """Return a function of some rows that gives their order and the sorted values."""
    if values.shape[0] * values.shape[1] < LARGE or values.dtype != np.float64:
        return lambda block: _by_numpy(_dense(block), ties)
    from ._quantile_kernels import order_rows

    def sort(block):
        block = np.ascontiguousarray(_dense(block))
        order, ordered = np.empty(block.shape, np.int32), np.empty(block.shape)
        order_rows(block, order, ordered)
        return order, ordered

    return sort


def _by_numpy(block, ties):
    order = np.argsort(block, axis=1, kind="stable" if ties == "first" else None)
    return order, np.take_along_axis(block, order, axis=1)


def _added(parts):
    # In the order of the rows, whichever thread was first.
    return np.sum(parts, axis=0)


def _dense(block):
    return block.toarray() if sp.issparse(block) else block


def _steps(values):
    return values.shape[0], max(1, CHUNK_ENTRIES // values.shape[1])
