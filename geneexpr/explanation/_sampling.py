"""SHAP values of any model by sampling orders in which groups of genes are exchanged."""

import numpy as np

from .._blocks import block_rows

MIN_PAIRS = 16
"""Orders drawn a sample, each of them walked both ways."""
SMALL = 48
"""Up to so many genes are exchanged one by one."""
MANY = 10_000
"""More genes are moved one way only, where each move costs a look at all of them."""


class BlackBox:
    """A function of rows, behind steps that are linear.

    Parameters
    ----------
    function : callable
        From rows of shape (n, k) to margins of shape (n, n_outputs).
    weights : array of shape (n_genes, k), optional
        Of the linear steps ahead of it. Rows in which genes are exchanged are then made on
        the k columns, which costs as little as k is small.
    """

    def __init__(self, function, weights=None):
        self.function = function
        self.weights = weights

    def steps_of(self, difference, groups):
        """Return by how much each group moves the columns, of shape (n_groups, k or n_genes)."""
        if self.weights is None:
            return None
        moved = difference[:, None] * self.weights
        return np.stack([moved[genes].sum(axis=0) for genes in groups])

    def __call__(self, rows):
        """Return the margins of rows, in blocks."""
        step = block_rows(rows.shape[1])
        parts = [self.function(rows[i : i + step]) for i in range(0, len(rows), step)]
        return np.concatenate(parts)


def sampled_values(box, rows, background, groups, *, enter=None, rng=None):
    r"""Estimate the Shapley values of groups of genes, by walking through random orders [1]_.

    A walk begins at a row of the background and exchanges one group after the other for the
    values of the sample; what the margin moves by is credited to the group. Every row of the
    background begins equally many walks, and every order is walked in both directions
    [2]_, so that the values add up exactly, and effects of single groups and pairs carry
    no noise from the order.

    Parameters
    ----------
    box : BlackBox
    rows : array of shape (n_samples, n_genes)
    background : array of shape (n_background, n_genes)
    groups : list of array of int
        Disjoint.
    enter : callable, optional
        From rows of genes to what the box takes, where it has weights.
    rng : numpy.random.Generator

    Returns
    -------
    values : array of shape (n_samples, n_groups, n_outputs)
    errors : array of the same shape
        Standard errors of the values, from the spread over the walks (rows of the background
        included).

    References
    ----------
    .. [1] Štrumbelj, Kononenko (2014), "Explaining prediction models and individual
       predictions with feature contributions", doi:10.1007/s10115-013-0679-x.
    .. [2] Mitchell, Cooper, Frank, Holmes (2022), "Sampling permutations for Shapley value
       estimation", JMLR 23, doi:10.48550/arXiv.2104.12199.

    Examples
    --------
    >>> import numpy as np
    >>> box = BlackBox(lambda rows: (rows[:, :1] * rows[:, 1:2]))
    >>> found, _ = sampled_values(
    ...     box, np.array([[2.0, 3.0]]), np.zeros((2, 2)), [np.array([0]), np.array([1])],
    ...     rng=np.random.default_rng(0),
    ... )
    >>> found[0, :, 0]
    array([3., 3.])
    """
    n_walks = len(background) * -(-MIN_PAIRS // len(background))
    values, errors = [], []
    for row in rows:
        found = np.stack(
            [
                _both_ways(box, row, background[i % len(background)], groups, enter, rng)
                for i in range(n_walks)
            ]
        )
        values.append(found.mean(axis=0))
        errors.append(found.std(axis=0, ddof=1) / np.sqrt(n_walks))
    return np.stack(values), np.stack(errors)


def _both_ways(box, row, start, groups, enter, rng):
    """Return the mean credit of each group over an order and its reverse."""
    order = rng.permutation(len(groups))
    steps = box.steps_of(row - start, groups)
    begin = start if enter is None else enter(start[None])[0]
    walks = [_walk(begin, steps, row, start, groups, way) for way in (order, order[::-1])]
    margins = box(np.concatenate(walks))
    half = len(margins) // 2
    credit = np.empty((2, len(groups), margins.shape[1]))
    credit[0, order] = np.diff(margins[:half], axis=0)
    credit[1, order[::-1]] = np.diff(margins[half:], axis=0)
    return credit.mean(axis=0)


def _walk(begin, steps, row, start, groups, order):
    """Return the rows of a walk: its start, and one row more a group."""
    if steps is not None:
        return np.concatenate([begin[None], begin + np.cumsum(steps[order], axis=0)])
    turn = np.full(len(row), len(groups))
    for place, group in enumerate(order):
        turn[groups[group]] = place
    walk = np.where(turn < np.arange(len(groups) + 1)[:, None], row, start)
    walk[-1] = row
    return walk


def gene_slopes(box, center, spread, enter=None):
    """Return by how much the margin moves with each gene alone, around a point.

    Parameters
    ----------
    box : BlackBox
    center, spread : array of shape (n_genes,)
        The point, and how far a gene is moved: both ways, or up where there are very many.
    enter : callable, optional
        As in `sampled_values`.

    Returns
    -------
    array of shape (n_genes, n_outputs)
        Per unit of each gene; 0 for one that does not vary.
    """
    n_genes = len(center)
    both = n_genes <= MANY or box.weights is not None
    begin = center if enter is None else enter(center[None])[0]
    still = box(begin[None])
    tile = block_rows(len(begin)) // 2 or 1
    parts = []
    for start in range(0, n_genes, tile):
        genes = np.arange(start, min(start + tile, n_genes))
        if box.weights is None:
            step = np.zeros((len(genes), n_genes))
            step[np.arange(len(genes)), genes] = spread[genes]
        else:
            step = spread[genes, None] * box.weights[genes]
        other = box(begin - step) if both else still
        parts.append(box(begin + step) - other)
    width = (2 if both else 1) * spread[:, None]
    return np.concatenate(parts) / np.where(width > 0, width, 1) * (width > 0)


def shared_out(values, groups, rows, center, slopes):
    """Share the value of each group among its genes, by the size of what each adds alone.

    Parameters
    ----------
    values : array of shape (n_samples, n_groups, n_outputs)
    groups : list of array of int
    rows : array of shape (n_samples, n_genes)
    center : array of shape (n_genes,)
    slopes : array of shape (n_genes, n_outputs)

    Returns
    -------
    array of shape (n_samples, n_genes, n_outputs)
        The genes of a group add up to its value and have its sign; where none of them moves
        the margin alone, they share alike.
    """
    result = np.zeros((*rows.shape, values.shape[2]))
    for number, genes in enumerate(groups):
        value = values[:, number, None]
        if len(genes) == 1:
            result[:, genes] = value
            continue
        alone = np.abs((rows - center)[:, genes, None] * slopes[genes])
        total = alone.sum(axis=1, keepdims=True)
        share = np.where(total > 0, alone / np.where(total > 0, total, 1), 1 / len(genes))
        result[:, genes] = share * value
    return result
