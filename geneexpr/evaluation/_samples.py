"""Batches, classes and coordinates of samples, as every measure of batch effects reads them."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn.decomposition import PCA

from .._base import GeneEstimator
from .._blocks import in_memory, row_blocks
from .._containers import DiskRows, annotation, name_some, sample_names
from .._validation import check_input, labels_of


class Genes(GeneEstimator):
    """Holds the names of the genes of a table."""


@dataclass(frozen=True, slots=True)
class Grouping:
    """One label a sample, as codes into its sorted levels."""

    codes: np.ndarray
    levels: list

    def take(self, rows):
        """Return the grouping of some rows; the levels stay."""
        return Grouping(self.codes[rows], self.levels)


@dataclass(frozen=True, slots=True)
class Samples:
    """Some samples as points (principal components), with batch and class.

    Attributes
    ----------
    points : ndarray of shape (n, n_components)
    explained : ndarray of shape (n_components,)
        Share of the variance of each component.
    batch : Grouping
    condition : Grouping or None
    names : Index of shape (n,)
    """

    points: np.ndarray
    explained: np.ndarray
    batch: Grouping
    condition: Grouping | None
    names: pd.Index

    def strata(self):
        """Yield the rows of each class, or all rows where there are no classes."""
        if self.condition is None:
            yield np.arange(len(self.points))
            return
        for code in range(len(self.condition.levels)):
            yield np.flatnonzero(self.condition.codes == code)

    def first(self, n_components):
        """Return the coordinates on the first components."""
        return self.points[:, :n_components]


def read_samples(
    X, *, batch_key, batch, condition, n_components, max_samples, random_state
) -> Samples:
    """Read batch and class of the samples and place some of them by principal components."""
    if n_components < 1:
        raise ValueError(f"n_components must be at least 1; got {n_components!r}.")
    matrix = read_matrix(X, least=3)
    batches, classes = read_groupings(X, batch_key, batch, condition)
    n_samples = matrix.shape[0]
    names = sample_names(X)
    names = pd.RangeIndex(n_samples) if names is None else pd.Index(names)
    if n_samples > max_samples:
        chosen = np.random.default_rng(random_state).choice(n_samples, max_samples, replace=False)
        rows = np.sort(chosen)
        matrix = _some_rows(matrix, rows)
        batches, names = batches.take(rows), names[rows]
        classes = None if classes is None else classes.take(rows)
    points, explained = principal_components(in_memory(matrix), n_components, random_state)
    return Samples(points, explained, batches, classes, names)


def read_matrix(X, least):
    """Return the checked matrix of X; say in words of measures what missing values are."""
    try:
        return check_input(Genes(), X, reset=True, min_samples=least)
    except ValueError as error:
        if "contains NaN" not in str(error):
            raise
        raise ValueError(
            "X holds missing values (NaN), which measures of a batch effect cannot take. Impute "
            "them, or drop the genes that have any."
        ) from error


def read_groupings(X, batch_key, batch, condition):
    """Return the grouping by batch and, where asked for, the grouping by class."""
    labels = labels_of(X, batch_key, batch)
    if labels is None:
        raise ValueError(
            "The batches are needed: name an annotation of the samples (batch_key=), or pass "
            "batch= beside an array."
        )
    batches = grouping(labels, "batch" if batch_key is None else repr(batch_key))
    if len(batches.levels) < 2:
        raise ValueError(
            f"All {len(labels)} samples are of the batch {batches.levels[0]!r}: a batch effect "
            "is a difference between at least two batches."
        )
    if condition is None:
        return batches, None
    given = annotation(X, condition) if isinstance(condition, str) else condition
    given = labels_of(X, None, given, given_name="condition")
    name = condition if isinstance(condition, str) else "condition"
    return batches, grouping(given, repr(name))


def grouping(labels, name) -> Grouping:
    """Return labels as codes into sorted levels; raise where nearly every sample has its own."""
    codes, levels = pd.factorize(np.asarray(labels).astype(str), sort=True)
    if len(levels) > 2 and 2 * len(levels) > len(codes):
        raise ValueError(
            f"{name} has {len(levels)} levels for {len(codes)} samples ({name_some(levels)}): "
            "groups of samples were expected. Cut numbers into groups first (pandas.qcut)."
        )
    return Grouping(codes, [str(level) for level in levels])


def principal_components(matrix, n_components, random_state):
    """Return coordinates on the first principal components and their shares of variance.

    Parameters
    ----------
    matrix : array or sparse matrix of shape (n_samples, n_genes)
    n_components : int
        As many at most as there are genes, or samples less one.
    random_state : int

    Returns
    -------
    points : ndarray of shape (n_samples, k)
    explained : ndarray of shape (k,)
    """
    most = min(matrix.shape)
    k = min(n_components, matrix.shape[1], matrix.shape[0] - 1)
    if sp.issparse(matrix) and k >= most - 1:
        matrix = matrix.toarray()  # the solver for sparse matrices leaves one component out
    dense = not sp.issparse(matrix)
    if dense and np.ptp(matrix, axis=0).max() == 0:
        raise ValueError("No gene varies between the samples; there is nothing to measure.")
    solver = {} if dense else {"svd_solver": "arpack"}
    model = PCA(k, random_state=random_state, **solver)
    return model.fit_transform(matrix), model.explained_variance_ratio_


def _some_rows(matrix, rows):
    if not isinstance(matrix, DiskRows):
        return matrix[rows]
    parts = []
    for start, stop, block in row_blocks(matrix):
        wanted = rows[(rows >= start) & (rows < stop)] - start
        if len(wanted):
            parts.append(block[wanted])
    return sp.vstack(parts, format="csr") if sp.issparse(parts[0]) else np.concatenate(parts)
