"""Exact SHAP values of linear models: weights pulled back to the genes."""

import numpy as np
import scipy.sparse as sp

from .._blocks import fold
from ._steps import NotLinearError, pull_back
from ._suffix import blocks


def linear_weights(suffix, margin):
    """Return the weight of every gene in a margin that is linear in them.

    Parameters
    ----------
    suffix : Suffix
    margin : Margin

    Returns
    -------
    array of shape (n_genes, n_outputs)

    Raises
    ------
    NotLinearError
        If a step or the model is not linear.
    """
    if not suffix.mixes:
        raise NotLinearError(f"{type(suffix.core[suffix.n_linear]).__name__} is not linear")
    return pulled_back(suffix, model_weights(suffix.model, margin, suffix.probe))


def pulled_back(suffix, weights, *, genes=True):
    """Return the weights of genes from those of the model's inputs.

    Parameters
    ----------
    suffix : Suffix
    weights : array of shape (n_inputs, k)
        Of what comes out of these steps.
    genes : bool, default=True
        All the way to gene space, or else to what comes out of the gene-wise steps.

    Returns
    -------
    array of shape (n_genes, k)
        Through the linear steps that the core begins with.
    """
    ahead = suffix.core[: suffix.n_linear]
    steps = [*suffix.gene_wise, *ahead] if genes else ahead
    for step in reversed(steps):
        weights = pull_back(step, weights)
    return weights


def model_weights(model, margin, rows):
    """Return the weights of a predictor, having looked whether its margin follows them.

    Parameters
    ----------
    model : fitted predictor
    margin : Margin
    rows : array or sparse matrix of shape (n_samples, n_inputs)
        A few, as the model sees them.

    Returns
    -------
    array of shape (n_inputs, n_outputs)

    Raises
    ------
    NotLinearError
        If it has no weights, or its margin is another.
    """
    found = getattr(model, "coef_", None)
    if found is None or margin.name not in ("decision_function", "predict"):
        raise NotLinearError(f"{type(model).__name__} is not linear")
    found = found.toarray() if sp.issparse(found) else np.asarray(found)
    weights = np.atleast_2d(found.astype(np.float64)).T
    near = (rows[:1] + rows[-1:]) * 0.5 if sp.issparse(rows) else rows[:1] * 0.5 + rows[-1:] * 0.5
    points = (
        sp.vstack([rows, near]).tocsr() if sp.issparse(rows) else np.vstack([rows, near, -near])
    )
    margins = margin(points)
    if weights.shape != (rows.shape[1], margins.shape[1]):
        raise NotLinearError(f"{type(model).__name__} has no weight for each input and output")
    expected = np.asarray(points @ weights)
    gap = (margins - margins[:1]) - (expected - expected[:1])
    if np.abs(gap).max() > 1e-6 * max(1.0, np.abs(expected).max()):
        raise NotLinearError(f"the margin of {type(model).__name__} does not follow its coef_")
    return weights


def column_means(matrix):
    """Return the mean of each column, of an array, CSR or rows on disk.

    Parameters
    ----------
    matrix : array, sparse matrix or DiskRows

    Returns
    -------
    array of shape (n_columns,)
    """

    def sums(block):
        return np.asarray(block.sum(axis=0, dtype=np.float64)).ravel()

    return fold(matrix, sums, np.add) / matrix.shape[0]


def linear_values(matrix, weights, means):
    """Return the interventional SHAP values of a linear margin, ``w (x - E[x])``.

    Parameters
    ----------
    matrix : array, sparse matrix or DiskRows of shape (n_samples, n_genes)
    weights : array of shape (n_genes, n_outputs)
    means : array of shape (n_genes,)
        Of the background.

    Returns
    -------
    array of shape (n_samples, n_genes, n_outputs)

    Examples
    --------
    >>> import numpy as np
    >>> linear_values(np.array([[3.0, 1.0]]), np.array([[2.0], [5.0]]), np.ones(2))[..., 0]
    array([[4., 0.]])
    """
    result = np.empty((weights.shape[1], matrix.shape[0], len(weights))).transpose(1, 2, 0)
    start = 0
    for block in blocks(matrix, 2**22):
        rows = slice(start, start + block.shape[0])
        dense = block.toarray() if sp.issparse(block) else block
        for output, of_output in enumerate(weights.T):
            part = result[rows, :, output]
            np.subtract(dense, means, out=part)
            part *= of_output
        start = rows.stop
    return result
