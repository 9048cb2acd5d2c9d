"""Least squares with one intercept a batch, solved from the moments of the batches."""

from dataclasses import dataclass

import numpy as np

from ._moments import BatchMoments


@dataclass(frozen=True, slots=True)
class BatchRegression:
    """Every gene regressed on the batches and the covariates.

    Attributes
    ----------
    coefficients : ndarray of shape (p, n_genes)
        Slopes of the covariates, common to all batches.
    intercepts : ndarray of shape (n_batches, n_genes)
    residual_squares : ndarray of shape (n_batches, n_genes)
        Sums of squared residuals; residuals have mean zero within each batch.
    """

    coefficients: np.ndarray
    intercepts: np.ndarray
    residual_squares: np.ndarray


def regress_on_batches(moments: BatchMoments, *, drop_dependent=False) -> BatchRegression:
    """Regress every gene on batch and covariates, over the samples it is not missing in.

    By the theorem of Frisch, Waugh and Lovell the slopes come from the products centred
    within batches, so neither the data nor a design matrix is needed.

    Parameters
    ----------
    moments : BatchMoments
    drop_dependent : bool, default=False
        Give covariates that follow from the batch and the covariates before them a slope
        of zero, gene by gene, as R does for coefficients that come out as NA.

    Returns
    -------
    BatchRegression

    Raises
    ------
    numpy.linalg.LinAlgError
        If a covariate does not vary within batches; see `estimable_genes` for genes that
        are missing in some samples.

    Examples
    --------
    >>> import numpy as np
    >>> from geneexpr.stats import summarise_batches
    >>> age = np.array([[1.0], [2.0], [1.0], [2.0]])
    >>> X = np.array([[1.0], [3.0], [11.0], [13.0]])
    >>> regress_on_batches(summarise_batches(X, [0, 0, 1, 1], 2, age)).intercepts
    array([[-1.],
           [ 9.]])
    """
    n_covariates = moments.products.shape[1]
    if n_covariates == 0:
        return BatchRegression(np.empty((0, moments.n_genes)), moments.means, moments.squares)
    within = moments.covariate_squares.sum(axis=0)
    products = moments.products.sum(axis=0)
    if drop_dependent:
        slopes = _solve_in_order(within, products, _raw_squares(moments))
    elif within.shape[-1] == 1:
        slopes = np.linalg.solve(within[..., 0], products)
    else:
        slopes = np.linalg.solve(np.moveaxis(within, -1, 0), products.T[..., None])[..., 0].T
    explained = 2 * np.einsum("pg,bpg->bg", slopes, moments.products)
    spread = (moments.covariate_squares * slopes[:, None] * slopes[None]).sum(axis=(1, 2))
    return BatchRegression(
        slopes,
        moments.means - (moments.covariate_means * slopes).sum(axis=1),
        np.maximum(moments.squares - explained + spread, 0),
    )


def _raw_squares(moments):
    """Return the squared length of each covariate, its mean included: (p, 1|G)."""
    of_means = moments.counts[:, None] * moments.covariate_means**2
    return np.einsum("bppg->pg", moments.covariate_squares) + of_means.sum(axis=0)


def _solve_in_order(within, products, raw, tolerance=1e-7):
    """Solve normal equations without pivoting; what depends on columns before it gets zero.

    Parameters
    ----------
    within : ndarray of shape (p, p, 1|G)
    products : ndarray of shape (p, G)
    raw : ndarray of shape (p, 1|G)
        Squared lengths, against which R's QR judges what is left of a column.
    tolerance : float, default=1e-7
        That of R, relative to the length; rounding of what was centred allows 1e-5.

    Returns
    -------
    ndarray of shape (p, G)
    """
    A, b = within.copy(), products.copy()
    p = len(b)
    least = np.maximum(tolerance**2 * raw, 1e-10 * np.einsum("ppg->pg", within))
    for j in range(p):
        dependent = A[j, j] <= least[j]
        A[j, :, dependent] = 0
        A[:, j, dependent] = 0
        A[j, j, dependent] = 1
        b[j] = np.where(dependent, 0, b[j])
        for i in range(j + 1, p):
            factor = A[i, j] / A[j, j]
            A[i] -= factor * A[j]
            b[i] -= factor * b[j]
    slopes = np.zeros_like(b)
    for j in reversed(range(p)):
        slopes[j] = (b[j] - (A[j, j + 1 :] * slopes[j + 1 :]).sum(axis=0)) / A[j, j]
    return slopes


def estimable_genes(moments: BatchMoments, tolerance=1e-10) -> np.ndarray:
    """Tell which genes have values enough in every batch, and covariates that vary in them.

    Parameters
    ----------
    moments : BatchMoments
    tolerance : float, default=1e-10
        Smallest ratio of the eigenvalues of the covariates' products within batches.

    Returns
    -------
    ndarray of bool of shape (n_genes,)
    """
    estimable = np.broadcast_to((moments.counts > 0).all(axis=0), (moments.n_genes,))
    within = moments.covariate_squares.sum(axis=0)
    if 0 in within.shape:
        return estimable
    values = np.linalg.eigvalsh(np.moveaxis(within, -1, 0))
    return estimable & (values[:, 0] > tolerance * values[:, -1])


def dependent_columns(columns, tolerance=1e-9) -> np.ndarray:
    """Tell which columns are linear combinations of those to their left.

    Parameters
    ----------
    columns : array-like of shape (n_samples, p)
    tolerance : float, default=1e-9
        What may be left of a column, relative to its length.

    Returns
    -------
    ndarray of bool of shape (p,)

    Examples
    --------
    >>> dependent_columns([[1, 2, 0], [1, 2, 1], [1, 2, 5]])
    array([False,  True, False])
    """
    columns = np.asarray(columns, np.float64)
    basis = np.empty((len(columns), 0))
    dependent = np.zeros(columns.shape[1], bool)
    for j, column in enumerate(columns.T):
        rest = column - basis @ (basis.T @ column)
        rest -= basis @ (basis.T @ rest)
        length = np.linalg.norm(rest)
        dependent[j] = length <= tolerance * np.linalg.norm(column)
        if not dependent[j]:
            basis = np.column_stack([basis, rest / length])
    return dependent
