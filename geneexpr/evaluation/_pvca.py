"""Principal variance component analysis: batch and class as random effects on components."""

import numpy as np
import pandas as pd
from scipy.optimize import minimize

from ._samples import read_samples

_MOST_COMPONENTS = 50
_LARGEST_RATIO = 1e6


def pvca(
    X,
    *,
    batch_key=None,
    batch=None,
    condition=None,
    explained=0.6,
    max_samples=5000,
    random_state=0,
):
    """Share of variance by batch and by class in the main directions of the data.

    Principal variance component analysis [1]_, exactly: genes are centred, not scaled; the
    first principal components that together reach ``explained`` of the variance are kept (3
    at least, 50 at most, where there are as many). To the scores on each component a mixed
    model is fitted by restricted maximum likelihood, with the mean as only fixed effect and
    independent random effects of batch and of class (none of their interaction, which stays
    in the residual). Each component's variances are divided by their sum; the total is the
    mean over components, weighted by their eigenvalues.

    All samples are in memory at once.

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
    explained : float, default=0.6
        Share of the variance that the components together reach.
    max_samples : int, default=5000
        Of more samples, as many are drawn at random.
    random_state : int, default=0
        For that draw and the principal components of large data.

    Returns
    -------
    DataFrame
        A row for each component and the row ``total``, with the columns ``weight``,
        ``batch``, ``condition`` and ``residual``; the last three sum to one.

    See Also
    --------
    variance_partition : Shares of the variance of every gene.

    Notes
    -----
    A variance of batches rests on as many values as there are batches: with two or three it
    is a rough number.

    References
    ----------
    .. [1] Boedigheimer et al. (2008), "Sources of variation in baseline gene expression levels
       from toxicogenomics study control animals across multiple laboratories",
       doi:10.1186/1471-2164-9-285.

    Examples
    --------
    >>> from geneexpr import make_cohort, pvca
    >>> cohort = make_cohort(60, 200, n_batches=3, batch_location=1.0, random_state=0)
    >>> cohort.X = np.log2(cohort.X + 1)
    >>> table = pvca(cohort, batch_key="batch", condition="condition")
    >>> bool(table.loc["total", "batch"] > table.loc["total", "condition"])
    True
    """
    samples = read_samples(
        X,
        batch_key=batch_key,
        batch=batch,
        condition=condition,
        n_components=_MOST_COMPONENTS,
        max_samples=max_samples,
        random_state=random_state,
    )
    return pvca_table(samples, explained)


def pvca_table(samples, explained=0.6):
    """Return the table of `pvca` for samples that are already read."""
    if not 0 < explained <= 1:
        raise ValueError(f"explained must be above 0 and at most 1; got {explained!r}.")
    n_kept = int(np.searchsorted(np.cumsum(samples.explained), explained - 1e-12)) + 1
    n_kept = min(max(3, n_kept), samples.points.shape[1])
    factors = {"batch": samples.batch.codes}
    if samples.condition is not None:
        factors["condition"] = samples.condition.codes
    shares = [
        variance_components(scores, list(factors.values())) for scores in samples.first(n_kept).T
    ]
    shares = [values / values.sum() for values in shares]
    names = pd.Index([f"component {i + 1}" for i in range(n_kept)], name="component")
    table = pd.DataFrame(shares, index=names, columns=[*factors, "residual"])
    weights = samples.explained[:n_kept] / samples.explained[:n_kept].sum()
    table.insert(0, "weight", weights)
    table.loc["total"] = weights @ table.to_numpy()
    table.loc["total", "weight"] = 1.0
    return table


def variance_components(values, factors):
    """Estimate the variances of crossed random effects by restricted maximum likelihood.

    Parameters
    ----------
    values : array of shape (n_samples,)
    factors : list of arrays of int of shape (n_samples,)
        Level of each factor, from 0 on.

    Returns
    -------
    ndarray of shape (n_factors + 1,)
        The variance of each factor, then of the residual.

    Examples
    --------
    >>> variance_components(np.array([0.0, 2.0, 9.0, 11.0]), [np.array([0, 0, 1, 1])]).round(2)
    array([39.5,  2. ])
    """
    values = np.asarray(values, np.float64)
    centred = values - values.mean()
    spread = centred.std()
    if spread == 0:
        return np.array([0.0] * len(factors) + [1.0])
    indicators = [np.eye(codes.max() + 1)[codes] for codes in factors]
    which = np.repeat(np.arange(len(factors)), [z.shape[1] for z in indicators])
    z = np.hstack(indicators)
    parts = (z.T @ z, z.T @ (centred / spread), len(values), which)
    # As logarithms of 1 + ratio the likelihood has a slope where a ratio is zero, so that no
    # search stays there by mistake, and large ratios are as easy to reach as small ones.
    best = minimize(
        lambda logs: _deviance(np.expm1(logs), *parts)[0],
        np.full(len(factors), np.log(2.0)),
        method="L-BFGS-B",
        bounds=[(0, np.log1p(_LARGEST_RATIO))] * len(factors),
        options={"ftol": 1e-13, "gtol": 1e-9},
    )
    ratios = np.expm1(best.x)
    return np.append(ratios, 1.0) * _deviance(ratios, *parts)[1] * spread**2


def _deviance(ratios, crossed, sums, n_samples, which):
    """Minus twice the restricted likelihood, and the residual variance that maximises it.

    ``ratios`` are variances of the effects over that of the residual. By Woodbury's
    identity only a matrix of the size of all levels is solved, whatever the samples.
    """
    scale = np.sqrt(ratios[which])
    inner = np.eye(len(scale)) + scale[:, None] * crossed * scale
    sizes = np.diag(crossed)
    both = np.column_stack([scale * sizes, scale * sums])
    solved = both.T @ np.linalg.solve(inner, both)
    ones, mixed = n_samples - solved[0, 0], -solved[0, 1]
    squares = max(n_samples - solved[1, 1] - mixed**2 / ones, 1e-10 * n_samples)
    residual = squares / (n_samples - 1)
    deviance = np.linalg.slogdet(inner)[1] + np.log(ones) + (n_samples - 1) * np.log(residual)
    return deviance, residual
