"""Library sizes and size factors of the samples, as given or as the counts sum."""

import operator

import numpy as np
import pandas as pd

from .._blocks import fold
from .._containers import name_some
from .._validation import labels_of
from ..stats._library_size import library_sizes


def sizes_of(X, library_size, beside=None):
    """Return given library sizes (or size factors) of the samples.

    Parameters
    ----------
    X : container
    library_size : str, array-like of shape (n_samples,) or None
        The name of an annotation, or the sizes.
    beside : array-like of shape (n_samples,), optional
        The sizes, where ``library_size`` is the parameter of an estimator.

    Returns
    -------
    array of shape (n_samples,), or None where they are to come from the counts
    """
    if library_size is not None and not isinstance(library_size, str):
        library_size, beside = None, library_size
    sizes = labels_of(X, library_size, beside, key_name="library_size", given_name="library_size")
    if sizes is None:
        return None
    numbers = pd.to_numeric(pd.Series(sizes), errors="coerce").to_numpy(np.float64)
    wrong = np.flatnonzero(~((numbers > 0) & np.isfinite(numbers)))
    if len(wrong):
        raise ValueError(
            "library_size must be positive for every sample; it is not for "
            f"{len(wrong)} of {len(numbers)} samples (row {name_some(wrong)}): drop these samples."
        )
    return numbers


def summed_sizes(matrix):
    """Sum the counts of every sample, in one row fold.

    Parameters
    ----------
    matrix : array, CSR matrix or DiskRows of shape (n_samples, n_genes)

    Returns
    -------
    array of shape (n_samples,)
    """
    return np.concatenate(fold(matrix, lambda block: [library_sizes(block)], operator.add))


def refuse_empty(sizes, method):
    """Raise where samples have no counts that a test could take.

    Parameters
    ----------
    sizes : array of shape (n_samples,)
        Sums of counts.
    method : str
    """
    empty = np.flatnonzero(sizes == 0)
    if len(empty):
        raise ValueError(
            f"{len(empty)} of {len(sizes)} samples have no counts at all (row {name_some(empty)}), "
            f"which method={method!r} cannot take: drop these samples."
        )
