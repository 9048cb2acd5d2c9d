"""What the embedders learn of the genes before training: means, spreads and depths."""

from dataclasses import dataclass
from functools import reduce

import numpy as np
import scipy.sparse as sp

from .._blocks import block_rows, fold
from ..stats._library_size import library_sizes, times_rows
from ..stats._moments import merge_moments, summarise_batches

DISPERSIONS = (1e-2, 1e3)
"""Inverse dispersions outside of this are not told apart by moments."""


SMALLEST_SPREAD = 1e-3
"""Of a gene, as a share of the common scale: a constant one has no log."""


@dataclass(frozen=True, slots=True)
class CountProfile:
    """Center and scale of the logged counts, shares, dispersions and library sizes.

    Attributes
    ----------
    center : array of shape (n_genes,)
        Mean of ``log(1 + count)``.
    scale : float
        Square root of the mean variance of ``log(1 + count)``.
    shares : array of shape (n_genes,)
        Mean share of the library, with half a count a gene added; they sum to one.
    sizes : array of shape (n_genes,)
        Inverse dispersions by the method of moments.
    libraries : array of shape (n_samples,)
    """

    center: np.ndarray
    scale: float
    shares: np.ndarray
    sizes: np.ndarray
    libraries: np.ndarray

    @property
    def filled(self):
        """The library sizes above zero; 1 where there are none."""
        filled = self.libraries[self.libraries > 0]
        return filled if len(filled) else np.ones(1)


def center_and_spreads(matrix):
    """Return the mean of each gene, one standard deviation for all genes, and those of each.

    Parameters
    ----------
    matrix : array, CSR matrix or DiskRows of shape (n_samples, n_genes)

    Returns
    -------
    center : array of shape (n_genes,)
    scale : float
        The square root of the mean variance of the genes; 1 where none varies.
    spreads : array of shape (n_genes,)

    Examples
    --------
    >>> import numpy as np
    >>> center, scale, spreads = center_and_spreads(np.array([[0.0, 1.0], [4.0, 1.0]]))
    >>> center, round(scale, 6), spreads
    (array([2., 1.]), 1.414214, array([2., 0.]))
    """
    moments = fold(matrix, _moments, merge_moments)
    return moments.means[0], *_spreads(moments)


def start_of_values(matrix):
    """Return what a network of values on any scale begins with, by name."""
    center, scale, spreads = center_and_spreads(matrix)
    log_scale = np.log(np.maximum(spreads / scale, SMALLEST_SPREAD))
    return {"center": center, "scale": scale, "bias": 0 * center, "dispersion": log_scale}


def start_of_counts(found):
    """Return what a network of counts begins with, by name.

    Parameters
    ----------
    found : CountProfile
    """
    return {
        "center": found.center,
        "scale": found.scale,
        "bias": np.log(found.shares),
        "dispersion": np.log(found.sizes),
    }


def count_profile(matrix):
    """Return the `CountProfile` of a matrix of counts, from one fold over its rows.

    The variance of a share is ``share * mean(1 / library) + share ** 2 / size``, which is
    solved for the size.

    Parameters
    ----------
    matrix : array, CSR matrix or DiskRows of shape (n_samples, n_genes)

    Returns
    -------
    CountProfile

    Examples
    --------
    >>> import numpy as np
    >>> found = count_profile(np.random.default_rng(0).poisson(100 * np.ones((50, 4))))
    >>> found.center.round(1), bool((found.sizes > 50).all())
    (array([4.6, 4.6, 4.6, 4.6]), True)
    """
    logged, shares, libraries = fold(matrix, _summarise_counts, _merge_counts)
    center, (scale, _) = logged.means[0], _spreads(logged)
    n_samples = matrix.shape[0]
    filled = libraries[libraries > 0]
    depth = 1 / np.mean(1 / filled) if len(filled) else 1.0
    mean, variance = shares.means[0], shares.squares[0] / max(n_samples - 1, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        sizes = mean**2 / (variance - mean / depth)
    sizes[~(sizes > 0)] = DISPERSIONS[1]
    smoothed = mean + 0.5 / max(libraries.sum(), 1.0)
    return CountProfile(
        center, scale, smoothed / smoothed.sum(), np.clip(sizes, *DISPERSIONS), libraries
    )


def _moments(block):
    return summarise_batches(block, np.zeros(block.shape[0], dtype=int), 1)


def _spreads(moments):
    variances = moments.squares[0] / moments.n_rows[0]
    scale = float(np.sqrt(variances.mean()))
    return scale if scale > 0 else 1.0, np.sqrt(variances)


def _summarise_counts(block):
    step = block_rows(block.shape[1])  # logs and shares of a few megabytes at a time
    starts = range(0, block.shape[0], step)
    return reduce(_merge_counts, (_summarise_tile(block[i : i + step]) for i in starts))


def _summarise_tile(block):
    libraries = library_sizes(block)
    factors = np.divide(1, libraries, out=np.zeros_like(libraries), where=libraries > 0)
    logged = block.log1p() if sp.issparse(block) else np.log1p(block)
    shares = times_rows(block.astype(np.float64), factors)
    return _moments(logged), _moments(shares), libraries


def _merge_counts(a, b):
    return merge_moments(a[0], b[0]), merge_moments(a[1], b[1]), np.concatenate([a[2], b[2]])
