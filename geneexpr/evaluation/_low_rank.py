"""Distances from training samples: in a subspace of low rank and from it, or to neighbours."""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from scipy.spatial.distance import cdist
from scipy.stats import t as student
from sklearn.decomposition import PCA

from .._blocks import block_rows

MAX_COMPONENTS = 10
SAMPLES_A_COMPONENT = 4
"""With fewer samples for each, a component is spanned by single samples."""
_ROUNDING = 1e-18
"""Variance beside squared means that rounding alone can make."""
_NOTHING = 1e-9
"""A squared distance, in units of variance, that is none."""


def limit_of(distances, alpha):
    """Return what a share ``alpha`` of new samples exceeds.

    With enough distances this is their conformal quantile: the k-th smallest of n, with
    k = ceil((n + 1) (1 - alpha)). Fewer cannot show the tail: then the cube roots of the
    squared distances are taken as normal [1]_, and the limit is theirs for one new value, but
    no less than the largest of all.

    Parameters
    ----------
    distances : array of shape (n,)
        Squared, of samples that were left out.
    alpha : float

    Returns
    -------
    float

    References
    ----------
    .. [1] Wilson, Hilferty (1931), "The distribution of chi-square",
       doi:10.1073/pnas.17.12.684.

    Examples
    --------
    >>> float(limit_of(np.arange(1.0, 100), 0.01)), float(limit_of(np.arange(1.0, 100), 0.1))
    (99.0, 90.0)
    >>> float(limit_of(np.array([0.5, 1.0, 1.5, 2.0]), 0.01)) > 2
    True
    """
    n = len(distances)
    if (n + 1) * alpha >= 1:
        return np.sort(distances)[int(np.ceil((n + 1) * (1 - alpha))) - 1]
    roots = np.cbrt(distances)
    spread = roots.std(ddof=1) * np.sqrt(1 + 1 / n)
    beyond = roots.mean() + student.ppf(1 - alpha, n - 1) * spread
    return max(beyond**3, distances.max())


def default_components(n_samples):
    """Return how many components so many samples can tell."""
    return min(MAX_COMPONENTS, max(1, n_samples // SAMPLES_A_COMPONENT))


@dataclass(frozen=True, slots=True)
class LowRank:
    """A subspace that points vary in, and how much they vary in all."""

    center: np.ndarray
    components: np.ndarray
    variances: np.ndarray
    total_variance: float

    parts = ("within", "residual")

    @classmethod
    def learn(cls, points, n_components=None):
        """Estimate from points of shape (n_samples, n_features), dense or sparse."""
        n_samples, n_features = points.shape
        k = min(n_components or default_components(n_samples), n_features, n_samples - 1)
        solver = "auto"
        if sp.issparse(points):
            if k < min(points.shape):
                solver = "arpack"  # the one that takes sparse input
            else:
                points = points.toarray()
        with np.errstate(invalid="ignore"):  # shares of no variance at all
            pca = PCA(k, svd_solver=solver, random_state=0).fit(points)
        # Of all directions: what is left of it beside the subspace shrinks where samples are few.
        squares = points.multiply(points) if sp.issparse(points) else points**2
        off = np.asarray(squares.mean(axis=0)).ravel() - np.asarray(pca.mean_).ravel() ** 2
        total = float(off.sum()) * n_samples / (n_samples - 1)
        least = _least_variance(pca.mean_)
        variances = np.maximum(pca.explained_variance_, least)
        return cls(pca.mean_, pca.components_, variances, max(total, least))

    def distances(self, points):
        """Return squared distances, of shape (n_samples, 2).

        Within the subspace (Mahalanobis), and from it, in units of the total variance.
        """
        off = points - self.center
        scores = off @ self.components.T
        within = _beyond_rounding((scores**2 / self.variances).sum(axis=1))
        if len(self.components) == len(self.center):
            return np.column_stack([within, np.zeros(len(within))])
        rest = np.maximum((off**2).sum(axis=1) - (scores**2).sum(axis=1), 0)
        return np.column_stack([within, _beyond_rounding(rest / self.total_variance)])


@dataclass(frozen=True, slots=True)
class Neighbors:
    """The training samples themselves."""

    references: np.ndarray
    n_neighbors: int

    parts = ("neighbors",)

    @classmethod
    def learn(cls, points, n_neighbors):
        """Keep the points."""
        points = points.toarray() if sp.issparse(points) else np.asarray(points)
        return cls(points, min(n_neighbors, len(points)))

    def distances(self, points):
        """Return the mean squared distance to the nearest, of shape (n_samples, 1)."""
        found = cdist(points, self.references, "sqeuclidean")
        return np.sort(found, axis=1)[:, : self.n_neighbors].mean(axis=1)[:, None]


@dataclass(frozen=True, slots=True)
class RowScale:
    """Mean and spread of the values of a sample: what another logarithm changes."""

    center: np.ndarray
    covariance: np.ndarray

    @classmethod
    def learn(cls, features):
        """Estimate from what `row_scale` gives."""
        center = features.mean(axis=0)
        covariance = np.cov(features, rowvar=False) + _least_variance(center) * np.eye(2)
        return cls(center, covariance)

    def distances(self, features):
        """Return squared Mahalanobis distances, of shape (n_samples, 1)."""
        off = features - self.center
        found = np.einsum("ij,ij->i", off, np.linalg.solve(self.covariance, off.T).T)
        return _beyond_rounding(found)[:, None]


def row_scale(block):
    """Return mean and standard deviation of the values of each row, on a scale near logarithms.

    Parameters
    ----------
    block : array of shape (n_samples, n_genes)
        NaN where a value is missing.

    Returns
    -------
    ndarray of shape (n_samples, 2)

    Examples
    --------
    >>> np.sinh(row_scale(np.array([[1.0, 3.0], [2.0, np.nan]]))).round(6)
    array([[2., 1.],
           [2., 0.]])
    """
    there = ~np.isnan(block)
    n_there = np.maximum(there.sum(axis=1), 1)
    means = block.sum(axis=1, where=there) / n_there
    squares = ((block - means[:, None]) ** 2).sum(axis=1, where=there)
    return np.arcsinh(np.column_stack([means, np.sqrt(squares / n_there)]))


def _least_variance(center):
    """Return a variance, never zero, that is no more than rounding."""
    return _ROUNDING * max(float(np.mean(np.square(center))), _ROUNDING)


def _beyond_rounding(squares):
    return np.where(squares < _NOTHING, 0.0, squares)


def by_rows(function, points):
    """Return what a function of dense rows gives, a part of the rows at a time."""
    step = block_rows(points.shape[1])
    points = points.tocsr() if sp.issparse(points) else np.asarray(points)
    parts = []
    for start in range(0, points.shape[0], step):
        block = points[start : start + step]
        block = block.toarray() if sp.issparse(block) else block
        parts.append(function(block.astype(np.float64, copy=False)))
    return np.concatenate(parts)
