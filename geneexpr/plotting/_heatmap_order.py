"""The order of rows and columns of a heatmap: clusters, and the tree to draw beside them."""

import numpy as np
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

MOST_OPTIMAL = 400
"""From here on the branches of a tree keep the order in which they were merged."""


def standardized(values):
    """Return the columns as z-scores; a column of equal values becomes zeros.

    Parameters
    ----------
    values : array of shape (n_samples, n_genes)

    Returns
    -------
    array of shape (n_samples, n_genes)

    Examples
    --------
    >>> import numpy as np
    >>> standardized(np.array([[1.0, 8.3], [3.0, 8.3]]))
    array([[-1.,  0.],
           [ 1.,  0.]])
    """
    constant = values.min(axis=0) == values.max(axis=0)
    spread = values.std(axis=0)
    spread[constant] = 1.0
    scores = (values - values.mean(axis=0)) / spread
    scores[:, constant] = 0.0
    return scores


def clustered(rows, *, metric="euclidean", method="average"):
    """Cluster rows hierarchically.

    Parameters
    ----------
    rows : array of shape (n, n_columns)
        At least two rows.
    metric : {"euclidean", "correlation"}
        The distance of 1 minus Pearson's correlation takes rows of equal values for
        uncorrelated with all others.
    method : str
        Of `scipy.cluster.hierarchy.linkage`.

    Returns
    -------
    order : array of int of shape (n,)
    tree : array of shape (n - 1, 4)
        As `scipy.cluster.hierarchy.linkage` returns it.

    Examples
    --------
    >>> import numpy as np
    >>> order, tree = clustered(np.array([[0.0], [5.0], [0.1]]))
    >>> order.tolist()
    [1, 2, 0]
    """
    if metric == "correlation":
        rows = standardized(rows.T).T / np.sqrt(rows.shape[1])
        distances = 1 - rows @ rows.T
    else:
        # From products of matrices: thirty times faster than pair by pair.
        rows = rows - rows.mean(axis=0)
        squares = (rows**2).sum(axis=1)
        distances = np.sqrt(np.maximum(squares[:, None] + squares - 2 * (rows @ rows.T), 0))
    np.fill_diagonal(distances, 0.0)
    condensed = np.maximum(squareform(distances, checks=False), 0.0)
    tree = linkage(condensed, method=method, optimal_ordering=len(rows) <= MOST_OPTIMAL)
    return leaves_list(tree), tree


def branches(tree):
    """Return the lines of a tree whose leaves stand at 0, 1, 2, ... in their order.

    Parameters
    ----------
    tree : array of shape (n - 1, 4)

    Returns
    -------
    array of shape (n - 1, 4, 2)
        Four corners of each branch: the place along the leaves, and the height.

    Examples
    --------
    >>> import numpy as np
    >>> branches(np.array([[0, 1, 2.0, 2]])).tolist()
    [[[0.0, 0.0], [0.0, 2.0], [1.0, 2.0], [1.0, 0.0]]]
    """
    n = len(tree) + 1
    place, height = np.zeros(2 * n - 1), np.zeros(2 * n - 1)
    place[leaves_list(tree)] = np.arange(n)
    lines = np.empty((n - 1, 4, 2))
    for i, (left, right, top, _) in enumerate(tree):
        a, b = int(left), int(right)
        lines[i] = [[place[a], height[a]], [place[a], top], [place[b], top], [place[b], height[b]]]
        place[n + i], height[n + i] = (place[a] + place[b]) / 2, top
    return lines
