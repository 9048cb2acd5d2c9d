"""Local inverse Simpson's index: how many batches there are around a sample."""

import numpy as np
import pandas as pd
from sklearn.neighbors import NearestNeighbors

from ._samples import read_samples

_FEWEST = 4
"""Fewest samples of a class that neighbours are looked for among."""


def lisi(
    X,
    *,
    batch_key=None,
    batch=None,
    condition=None,
    perplexity=30,
    n_components=20,
    max_samples=5000,
    random_state=0,
):
    r"""Effective number of batches in the neighbourhood of every sample.

    The local inverse Simpson's index [1]_: the ``3 * perplexity`` nearest neighbours of a
    sample (itself left out) get weights that fall exponentially with their distance, scaled
    so that the weights have the given perplexity; with the weights summed by batch into
    :math:`p_b`, the index is :math:`1 / \sum_b p_b^2`. It is 1 where all neighbours are of one
    batch and the number of batches where these are equally present. As in the authors'
    program, weights are :math:`\exp(-\beta d)` in the Euclidean distance. With ``condition``,
    neighbours are looked for within the class of the sample.

    Parameters
    ----------
    X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)
        Expression on a log scale, without missing values.
    batch_key : str, optional
        The annotation of X that names the batch.
    batch : array-like of shape (n_samples,), optional
        The batches, for arrays.
    condition : str or array-like of shape (n_samples,), optional
        The biological grouping of interest: an annotation's name or the labels.
    perplexity : float, default=30
        Effective number of neighbours; a third of the samples of the class at most.
    n_components : int, default=20
        Principal components that distances are taken on.
    max_samples : int, default=5000
        Of more samples, as many are drawn at random.
    random_state : int, default=0
        For that draw and the principal components of large data.

    Returns
    -------
    DataFrame
        Indexed by sample, with the columns ``batch``, ``lisi`` and ``expected``, the index
        of neighbours whose batches are drawn at random in the proportions that they have (in
        the class). It is below the number of batches, since few neighbours never hold all of
        them evenly. NaN in a class of fewer than 4 samples, or that only one batch has.

    References
    ----------
    .. [1] Korsunsky et al. (2019), "Fast, sensitive and accurate integration of single-cell
       data with Harmony", doi:10.1038/s41592-019-0619-0.

    Examples
    --------
    >>> import numpy as np
    >>> from geneexpr import lisi
    >>> X = np.arange(40.0)[:, None]
    >>> apart = lisi(X, batch=np.repeat(["a", "b"], 20), perplexity=5)
    >>> mixed = lisi(X, batch=np.tile(["a", "b"], 20), perplexity=5)
    >>> print(f"{apart['lisi'].mean():.1f}, {mixed['lisi'].mean():.1f}")
    1.1, 1.6
    """
    if not perplexity >= 1:
        raise ValueError(f"perplexity must be at least 1 (neighbour); got {perplexity!r}.")
    samples = read_samples(
        X,
        batch_key=batch_key,
        batch=batch,
        condition=condition,
        n_components=n_components,
        max_samples=max_samples,
        random_state=random_state,
    )
    return lisi_table(samples, perplexity, n_components)


def lisi_table(samples, perplexity=30, n_components=20):
    """Return the table of `lisi` for samples that are already read."""
    points, codes = samples.first(n_components), samples.batch.codes
    found, expected = np.full((2, len(points)), np.nan)
    for rows in samples.strata():
        if len(rows) >= _FEWEST and len(np.unique(codes[rows])) > 1:
            found[rows], expected[rows] = _of_class(points[rows], codes[rows], perplexity)
    labels = np.asarray(samples.batch.levels, dtype=object)[codes]
    columns = {"batch": labels, "lisi": found, "expected": expected}
    return pd.DataFrame(columns, index=samples.names)


def _of_class(points, codes, perplexity):
    k = int(min(3 * perplexity, len(points) - 1))
    distances, neighbours = NearestNeighbors(n_neighbors=k).fit(points).kneighbors()
    weights = neighbour_weights(distances, min(perplexity, k / 3))
    # The square of a batch's weight is expected to be its share squared plus the variance of
    # a weighted mean of draws.
    concentration = ((np.bincount(codes) / len(codes)) ** 2).sum()
    few = (weights**2).sum(axis=1)
    few -= (1 - few) / (len(points) - 2)  # neighbours are drawn without replacement
    expected = 1 / (concentration + (1 - concentration) * few)
    return inverse_simpson(weights, codes[neighbours]), expected


def inverse_simpson(weights, codes):
    """Inverse Simpson's index of weighted labels.

    Parameters
    ----------
    weights : ndarray of shape (n_samples, k)
        Of the neighbours of each sample; they sum to one.
    codes : ndarray of int of shape (n_samples, k)
        Their labels.

    Returns
    -------
    ndarray of shape (n_samples,)

    Examples
    --------
    >>> inverse_simpson(np.full((1, 4), 0.25), np.array([[0, 0, 1, 1]]))
    array([2.])
    """
    shares = [np.where(codes == code, weights, 0).sum(axis=1) for code in np.unique(codes)]
    return 1 / (np.array(shares) ** 2).sum(axis=0)


def neighbour_weights(distances, perplexity, tolerance=1e-5, max_iter=50):
    """Weights that fall exponentially with distance and have a given perplexity.

    Parameters
    ----------
    distances : ndarray of shape (n_samples, k)
        Of each sample to its neighbours, nearest first.
    perplexity : float
        Exponential of the entropy of the weights.
    tolerance : float, default=1e-5
        Of the entropy.
    max_iter : int, default=50
        Steps of the bisection.

    Returns
    -------
    ndarray of shape (n_samples, k)
        Rows sum to one.

    Examples
    --------
    >>> neighbour_weights(np.array([[1.0, 1.0, 5.0]]), 2.0).round(2)
    array([[0.5, 0.5, 0. ]])
    """
    from_nearest = distances - distances[:, :1]  # the same weights, and they cannot underflow
    target = np.log(max(perplexity, 1.0))
    beta = np.ones(len(distances))
    low, high = np.zeros(len(distances)), np.full(len(distances), np.inf)
    for _ in range(max_iter):
        weights, entropy = _weights(from_nearest, beta)
        above = entropy - target > tolerance
        below = entropy - target < -tolerance
        if not (above | below).any():
            break
        low, high = np.where(above, beta, low), np.where(below, beta, high)
        middle = np.where(np.isinf(high), 2 * beta, (low + high) / 2)
        beta = np.where(above | below, middle, beta)
    return weights


def _weights(distances, beta):
    weights = np.exp(-beta[:, None] * distances)
    total = weights.sum(axis=1)
    entropy = np.log(total) + beta * (weights * distances).sum(axis=1) / total
    return weights / total[:, None], entropy
