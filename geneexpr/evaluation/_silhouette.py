"""Silhouette of the batches: how far apart they lie."""

import numpy as np
import pandas as pd
from sklearn.metrics import silhouette_samples

from ._samples import read_samples


def batch_silhouette(
    X,
    *,
    batch_key=None,
    batch=None,
    condition=None,
    n_components=20,
    max_samples=5000,
    random_state=0,
):
    """Silhouette width of every sample with respect to its batch.

    With *a* the mean distance of a sample to the others of its batch and *b* that to the
    nearest other batch, the width is (b - a) / max(a, b) [1]_: near 1 the batches lie apart,
    near 0 they overlap. Distances are Euclidean, on principal components of the genes. With
    ``condition``, samples are compared with those of their class only, so that batches of
    another class mix are not taken for a batch effect.

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
    n_components : int, default=20
        Principal components that distances are taken on.
    max_samples : int, default=5000
        Of more samples, as many are drawn at random; memory and time grow with the square.
    random_state : int, default=0
        For that draw and the principal components of large data.

    Returns
    -------
    DataFrame
        Indexed by sample, with the columns ``batch`` and ``silhouette`` (NaN in a class that
        only one batch has).

    References
    ----------
    .. [1] Rousseeuw (1987), "Silhouettes: a graphical aid to the interpretation and validation
       of cluster analysis", doi:10.1016/0377-0427(87)90125-7.

    Examples
    --------
    >>> import numpy as np
    >>> from geneexpr import batch_silhouette
    >>> X = np.array([[0.0, 0.0], [0.0, 1.0], [9.0, 0.0], [9.0, 1.0]])
    >>> batch_silhouette(X, batch=["a", "a", "b", "b"])["silhouette"].round(2).tolist()
    [0.89, 0.89, 0.89, 0.89]
    """
    samples = read_samples(
        X,
        batch_key=batch_key,
        batch=batch,
        condition=condition,
        n_components=n_components,
        max_samples=max_samples,
        random_state=random_state,
    )
    return silhouette_table(samples, n_components)


def silhouette_table(samples, n_components=20):
    """Return the table of `batch_silhouette` for samples that are already read."""
    points, codes = samples.first(n_components), samples.batch.codes
    widths = np.full(len(points), np.nan)
    for rows in samples.strata():
        widths[rows] = silhouette_widths(points[rows], codes[rows])
    labels = np.asarray(samples.batch.levels, dtype=object)[codes]
    return pd.DataFrame({"batch": labels, "silhouette": widths}, index=samples.names)


def silhouette_widths(points, codes):
    """Return the silhouette widths, or NaN where there are not at least two groups."""
    if not 2 <= len(np.unique(codes)) < len(points):
        return np.full(len(points), np.nan)
    return silhouette_samples(points, codes)
