"""k-nearest-neighbour batch effect test: do neighbourhoods hold the batches as the whole does."""

import numpy as np
import pandas as pd
from scipy.stats import chi2
from sklearn.neighbors import NearestNeighbors

from ._samples import read_samples


def kbet(
    X,
    *,
    batch_key=None,
    batch=None,
    condition=None,
    n_neighbors=None,
    alpha=0.05,
    n_components=20,
    max_samples=5000,
    random_state=0,
):
    """Test in the neighbourhood of every sample whether the batches are mixed.

    The k-nearest-neighbour batch effect test [1]_: the counts of batches among the nearest
    neighbours of a sample (itself left out) are compared with the shares of the batches among
    all samples by Pearson's chi-squared test. The share of samples that are rejected at
    ``alpha`` measures the batch effect: about ``alpha`` where batches are mixed, 1 where they
    lie apart. With ``condition``, neighbours and shares are those within the class of the
    sample. Every sample is tested (the authors test a tenth, many times, which estimates the
    same share).

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
    n_neighbors : int, optional
        By default a quarter of the mean size of a batch (in the class), at least 10.
    alpha : float, default=0.05
    n_components : int, default=20
        Principal components that distances are taken on.
    max_samples : int, default=5000
        Of more samples, as many are drawn at random.
    random_state : int, default=0
        For that draw and the principal components of large data.

    Returns
    -------
    DataFrame
        Indexed by sample, with the columns ``batch``, ``statistic``, ``p_value`` and
        ``rejected`` (1 or 0), whose mean is the rejection rate. NaN in a class that only one
        batch has.

    Notes
    -----
    The test is strict: with many samples it rejects effects too small to matter. Compare
    before with after, and data sets of like size.

    References
    ----------
    .. [1] Büttner et al. (2019), "A test metric for assessing single-cell RNA-seq batch
       correction", doi:10.1038/s41592-018-0254-1.

    Examples
    --------
    >>> import numpy as np
    >>> from geneexpr import kbet
    >>> X = np.arange(80.0)[:, None]
    >>> apart = kbet(X, batch=np.repeat(["a", "b"], 40))
    >>> mixed = kbet(X, batch=np.tile(["a", "b"], 40))
    >>> print(f"{apart['rejected'].mean():.1f}, {mixed['rejected'].mean():.1f}")
    0.9, 0.0
    """
    if n_neighbors is not None and n_neighbors < 1:
        raise ValueError(f"n_neighbors must be at least 1, or None; got {n_neighbors!r}.")
    samples = read_samples(
        X,
        batch_key=batch_key,
        batch=batch,
        condition=condition,
        n_components=n_components,
        max_samples=max_samples,
        random_state=random_state,
    )
    return kbet_table(samples, n_neighbors, alpha, n_components)


def kbet_table(samples, n_neighbors=None, alpha=0.05, n_components=20):
    """Return the table of `kbet` for samples that are already read."""
    points, codes = samples.first(n_components), samples.batch.codes
    statistic, p_value = np.full((2, len(points)), np.nan)
    for rows in samples.strata():
        levels, own = np.unique(codes[rows], return_inverse=True)
        if len(levels) > 1:
            statistic[rows] = neighbourhood_statistics(points[rows], own, n_neighbors)
            p_value[rows] = chi2.sf(statistic[rows], len(levels) - 1)
    rejected = np.where(np.isnan(p_value), np.nan, p_value < alpha)
    labels = np.asarray(samples.batch.levels, dtype=object)[codes]
    columns = {"batch": labels, "statistic": statistic, "p_value": p_value, "rejected": rejected}
    return pd.DataFrame(columns, index=samples.names)


def neighbourhood_statistics(points, codes, n_neighbors=None):
    """Pearson's statistic of the batches among the neighbours of each point.

    Parameters
    ----------
    points : ndarray of shape (n_samples, n_components)
    codes : ndarray of int of shape (n_samples,)
        Batch of each point, every code from 0 on present.
    n_neighbors : int, optional

    Returns
    -------
    ndarray of shape (n_samples,)
    """
    sizes = np.bincount(codes)
    if n_neighbors is None:
        n_neighbors = max(10, int(sizes.mean() / 4))
    k = min(n_neighbors, len(points) - 1)
    neighbours = NearestNeighbors(n_neighbors=k).fit(points).kneighbors(return_distance=False)
    observed = np.stack([(codes[neighbours] == code).sum(axis=1) for code in range(len(sizes))])
    expected = (k * sizes / len(points))[:, None]
    return ((observed - expected) ** 2 / expected).sum(axis=0)
