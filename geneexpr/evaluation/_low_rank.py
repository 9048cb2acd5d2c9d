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
_TINY = 1e-12


def limit_of(distances, alpha):
    """Return what a share ``alpha`` of new samples exceeds.

    With enough distances this is their conformal quantile: the k-th smallest of n, with
    k = ceil((n + 1) (1 - alpha)). Fewer cannot show the tail: then the cube roots of the
    squared distances are taken as normal [1]_, and the limit is theirs for one new value.

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
    return (roots.mean() + student.ppf(1 - alpha, n - 1) * spread) ** 3


@dataclass(frozen=True, slots=True)
class LowRank:
    """A covariance of low rank plus equal noise elsewhere: probabilistic PCA."""

    center: np.ndarray
    components: np.ndarray
    variances: np.ndarray
    noise: float

    parts = ("within", "residual")

    @classmethod
    def learn(cls, points, n_components=None):
        """Estimate from points of shape (n_samples, n_features), dense or sparse."""
        n_samples, n_features = points.shape
        wanted = n_components or min(MAX_COMPONENTS, max(1, n_samples // SAMPLES_A_COMPONENT))
        k = min(wanted, n_features, n_samples - 1)
        solver = "auto"
        if sp.issparse(points):
            if k < min(points.shape):
                solver = "arpack"  # the one that takes sparse input
            else:
                points = points.toarray()
        with np.errstate(invalid="ignore"):  # shares of no variance at all
            pca = PCA(k, svd_solver=solver, random_state=0).fit(points)
        least = _TINY * max(float(pca.explained_variance_.sum()), _TINY)
        return cls(
            pca.mean_,
            pca.components_,
            np.maximum(pca.explained_variance_, least),
            max(float(pca.noise_variance_), least),
        )

    def distances(self, points):
        """Return squared distances, of shape (n_samples, 2).

        Within the subspace (Mahalanobis), and from it, in units of the noise.
        """
        off = points - self.center
        scores = off @ self.components.T
        within = (scores**2 / self.variances).sum(axis=1)
        if len(self.components) == len(self.center):
            return np.column_stack([within, np.zeros(len(within))])
        rest = np.maximum((off**2).sum(axis=1) - (scores**2).sum(axis=1), 0)
        return np.column_stack([within, rest / self.noise])


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


def distances_of_rows(profile, points):
    """Return the distances of rows, dense a part at a time."""
    step = block_rows(points.shape[1])
    parts = []
    for start in range(0, points.shape[0], step):
        block = points[start : start + step]
        block = block.toarray() if sp.issparse(block) else np.asarray(block)
        parts.append(profile.distances(block.astype(np.float64, copy=False)))
    return np.concatenate(parts)
