"""A fitted pipeline, cut where gene space begins: what comes before, and what is explained."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn.utils.validation import check_is_fitted

from .._blocks import block_rows, row_blocks
from .._containers import DiskRows, gene_names, values
from ._margin import margin_of, unnamed
from ._steps import (
    COUPLES,
    GENES,
    LINEAR_GENES,
    MIXES,
    kept_genes,
    kind_of,
    wants_names,
    why_coupled,
)

_BYTES = 4 * 2**20
"""Dense size of the blocks that margins are computed in: small enough to use memory again."""


@dataclass(frozen=True)
class Suffix:
    """The part of a pipeline that is explained.

    Parameters
    ----------
    before : list of transformers
        Steps ahead of gene space.
    gene_wise : list of transformers
        Linear steps that take genes one by one: scalers, selectors.
    core : list of transformers
        All steps after these.
    model : fitted predictor
    genes : array of str of shape (n_genes,)
        Gene space.
    kept : array of int
        The gene that each column after ``gene_wise`` is.
    n_linear : int
        How many steps ``core`` begins with that are linear.
    begins : str
        Where gene space begins, in words.
    probe : matrix
        A few rows as the model sees them.
    """

    before: list
    gene_wise: list
    core: list
    model: object
    genes: np.ndarray
    kept: np.ndarray
    n_linear: int
    begins: str
    probe: object = field(repr=False)

    @property
    def mixes(self):
        """Whether all of the core is linear."""
        return self.n_linear == len(self.core)

    def into_gene_space(self, X):
        """Return the matrix of X as it enters gene space."""
        for step in self.before:
            X = step.transform(X)
        matrix = values(X)
        return matrix if isinstance(matrix, DiskRows) or sp.issparse(matrix) else np.asarray(matrix)

    def through_genes(self, block):
        """Apply the gene-wise steps to a block of gene space; return a dense array."""
        return _dense(self.apply(self.gene_wise, block, self.genes))

    def through_linear(self, block):
        """Apply the linear steps of the core to what comes out of the gene-wise steps."""
        return _dense(self.apply(self.core[: self.n_linear], block, self.genes[self.kept]))

    def margins(self, margin, matrix):
        """Return the margin of all rows of gene space, of shape (n_samples, n_outputs)."""
        steps = [*self.gene_wise, *self.core]
        return np.concatenate(
            [margin(self.apply(steps, block, self.genes)) for block in blocks(matrix, _BYTES)]
        )

    def margin(self, *, probabilities=False):
        """Choose the margin of the model."""
        return margin_of(self.model, self.probe, probabilities=probabilities)

    def core_margin(self, margin):
        """Return a function from rows behind the gene-wise steps to their margin."""
        return lambda rows: margin(self.apply(self.core, rows, self.genes[self.kept]))

    def apply(self, steps, block, names=None):
        """Apply some steps to a block of rows."""
        block = block.tocsr() if sp.issparse(block) else block
        if wants_names(steps):
            block = pd.DataFrame(_dense(block), columns=names)
        with unnamed():
            for step in steps:
                block = step.transform(block)
        return values(block)


def blocks(matrix, n_bytes=None):
    """Yield the rows of a matrix in blocks whose dense size is about 32 MiB.

    Parameters
    ----------
    matrix : array, sparse matrix or DiskRows
    n_bytes : int, optional
        Another size.

    Yields
    ------
    array or CSR matrix
    """
    step = block_rows(matrix.shape[1], **({} if n_bytes is None else {"n_bytes": n_bytes}))
    for _, _, rows in row_blocks(matrix):
        for start in range(0, rows.shape[0], step):
            yield rows[start : start + step]


def _dense(matrix):
    return matrix.toarray() if sp.issparse(matrix) else np.asarray(matrix)


def fitted_parts(estimator):
    """Return the transformers of a fitted pipeline in a list, and its predictor.

    Searches and other wrappers stand for the estimator that they hold; pipelines in pipelines
    are flattened; steps that pass everything through are left out.

    Parameters
    ----------
    estimator : fitted estimator, Pipeline or search

    Returns
    -------
    steps : list of transformers
    model : predictor

    Raises
    ------
    NotFittedError
        If anything is not fitted.
    ValueError
        For a search that was not refitted, and a pipeline that ends in a transformer.

    Examples
    --------
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> pipeline = make_pipeline(StandardScaler(), Ridge()).fit([[0.0], [1.0]], [0.0, 1.0])
    >>> fitted_parts(pipeline)
    ([StandardScaler()], Ridge())
    """
    if isinstance(estimator, type) or not hasattr(estimator, "get_params"):
        raise TypeError(f"pipeline must be a fitted Pipeline or estimator, got {_said(estimator)}.")
    if hasattr(estimator, "cv_results_") and not hasattr(estimator, "best_estimator_"):
        raise ValueError(
            f"This {type(estimator).__name__} holds no fitted pipeline (refit=False). Fit "
            "best_params_ on the training samples and explain that."
        )
    check_is_fitted(estimator)
    steps, model = _flattened(estimator)
    if not any(hasattr(model, name) for name in ("decision_function", "predict_proba", "predict")):
        raise ValueError(
            f"{type(model).__name__} predicts nothing, so that there is nothing to explain. Give a "
            "pipeline that ends in a classifier or a regressor."
        )
    return steps, model


def _said(found):
    return f"the class {found.__name__}" if isinstance(found, type) else type(found).__name__


def _flattened(estimator):
    if hasattr(estimator, "best_estimator_"):
        return _flattened(estimator.best_estimator_)
    name = type(estimator).__name__
    if name in ("FixedThresholdClassifier", "TunedThresholdClassifierCV"):
        return _flattened(estimator.estimator_)
    if name == "FrozenEstimator":
        return _flattened(estimator.estimator)
    if not hasattr(estimator, "steps"):
        return [], estimator
    steps = []
    for _, step in estimator.steps[:-1]:
        if step is None or step == "passthrough":
            continue
        inner, last = _flattened(step)
        steps += [*inner, last]
    inner, model = _flattened(estimator.steps[-1][1])
    return [*steps, *inner], model


def cut(steps, model, rows):
    """Find where gene space begins.

    It begins after the last step that couples the genes of a row or reads annotations, and
    after any steps behind it that take genes one by one but not linearly (a logarithm): the
    values of a gene before and after such a step are the same. What a step does is declared,
    known for those of scikit-learn, or else tried on a few rows.

    Parameters
    ----------
    steps : list of fitted transformers
    model : fitted predictor
    rows : container
        A few rows of X.

    Returns
    -------
    Suffix
    """
    kinds, inputs, X = [], [rows], rows
    for step in steps:
        after = step.transform(X)
        kinds.append(kind_of(step, _matrix(X), _matrix(after)))
        X = after
        inputs.append(X)
    _try(model, X)
    start = max((i + 1 for i, kind in enumerate(kinds) if kind == COUPLES), default=0)
    end = start
    while end < len(steps) and kinds[end] in (GENES, LINEAR_GENES):
        end += 1
    first = max((i + 1 for i in range(start, end) if kinds[i] == GENES), default=start)
    kept = np.arange(_matrix(inputs[first]).shape[1])
    for step in steps[first:end]:
        kept = kept[kept_genes(step, len(kept))]
    return Suffix(
        before=steps[:first],
        gene_wise=steps[first:end],
        core=steps[end:],
        model=model,
        genes=_names_at(steps[:first], inputs[: first + 1]),
        kept=kept,
        n_linear=next(
            (i for i, kind in enumerate(kinds[end:]) if kind not in (MIXES, LINEAR_GENES)),
            len(steps) - end,
        ),
        begins=_beginning(steps, start, first),
        probe=_matrix(X),
    )


def _try(model, X):
    """Let the model itself refuse what it cannot take, names included."""
    for name in ("decision_function", "predict_proba", "predict"):
        if hasattr(model, name):
            getattr(model, name)(X)
            return


def _matrix(X):
    matrix = values(X)
    if isinstance(matrix, DiskRows):
        return next(row_blocks(matrix))[2]
    return matrix.tocsr() if sp.issparse(matrix) else np.asarray(matrix)


def _beginning(steps, start, first):
    """Say where gene space begins, and why there."""
    if first == 0:
        return "gene space is X as given"
    said = f"gene space begins after {type(steps[first - 1]).__name__}"
    coupling = "" if start == 0 else why_coupled(steps[start - 1])
    if first == start:
        return f"{said}, which {coupling}"
    said += ", which takes genes one by one but not linearly"
    return (
        f"{said} (and after {type(steps[start - 1]).__name__}, which {coupling})" if start else said
    )


def _names_at(steps, inputs):
    """Return the names of the genes behind some steps."""
    names = gene_names(inputs[0])
    if names is None and steps:
        names = getattr(steps[0], "feature_names_in_", None)
    for step, X in zip(steps, inputs[1:], strict=True):
        found = gene_names(X)
        if found is None:
            found = _given_names(step, names)
        names = found
    n_genes = _matrix(inputs[-1]).shape[1]
    if names is None or len(names) != n_genes:
        return np.array([f"x{i}" for i in range(n_genes)], dtype=object)
    return np.asarray(names, dtype=object)


def _given_names(step, names):
    if not hasattr(step, "get_feature_names_out"):
        return names
    return np.asarray(step.get_feature_names_out(names), dtype=object)
