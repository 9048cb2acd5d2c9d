"""The prediction for one sample, explained by a linear model of its surroundings (LIME)."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from .._blocks import block_rows, gene_blocks
from .._containers import gene_names, name_some
from .._optional import import_optional
from .._validation import check_choice, check_number
from ._exchange import matrices_of, rows_spread, under_rows, widened
from ._margin import margin_of

_KERNEL_WIDTH = 0.75
"""Of LIME's own kernel, times the root of the number of genes."""
_BLOCK_BYTES = 128 * 2**20
"""Of copies that are predicted at once: scikit-learn looks at each column of a DataFrame in every
call, which with 20 000 genes takes as long as the prediction of many rows."""
_BACKGROUND_ROWS = 1000
"""Samples of the background that medians are taken of, at most."""


@dataclass(frozen=True)
class InstanceExplanation:
    """What `explain_instance` found.

    Attributes
    ----------
    table : DataFrame
        One row a gene and class, as `to_frame` gives it.
    r2 : Series
        Indexed by class ("output" for a number): the share of the variation of the output
        around this sample that these genes explain as a linear model. Where it is low, the
        weights say little.
    output : Series
        Indexed by class: the output of the model for this sample.
    prediction : object
        What the model predicts.
    scale : {"log-odds", "decision_function", "logits", "probability", "prediction"}
        What is explained: the margin where the model has one, else probabilities, or the number
        that it predicts.
    n_perturbed : int
        Rows that the linear model was fitted to.
    n_candidates : int
        Genes in which the sample differs from the background; others have no part in it.
    n_exchanged : int
        Those of them that the linear model has.
    """

    table: pd.DataFrame
    r2: pd.Series
    output: pd.Series
    prediction: object
    scale: str
    n_perturbed: int
    n_candidates: int
    n_exchanged: int

    def to_frame(self):
        """Return ``class``, ``gene``, ``weight``, ``value`` and ``reference`` as a table.

        Returns
        -------
        DataFrame
            For each class the genes of largest weight, largest first. ``weight``: by how much
            the output for the class is higher because the gene is as in this sample
            (``value``) and not as in the middle of the background (``reference``).
        """
        return self.table.copy()

    def __str__(self):
        lines = [
            f"{self.scale} explained by {self.n_exchanged} of {self.n_candidates} genes in which "
            f"the sample differs, {self.n_perturbed} perturbed rows; predicted: {self.prediction}"
        ]
        for label, part in self.table.groupby("class", sort=False):
            said = ", ".join(
                f"{gene} {weight:+.3g}"
                for gene, weight in zip(part["gene"], part["weight"], strict=True)
            )
            lines.append(f"{label} (R² {self.r2[label]:.2f}): {said}")
        return "\n".join(lines)


def explain_instance(
    pipeline,
    x,
    *,
    background,
    method="lime",
    n_genes=10,
    n_perturbed=5000,
    max_exchanged=500,
    random_state=0,
):
    r"""Explain the prediction for one sample by a linear model of its surroundings.

    LIME [1]_, through the package of its authors (the extra ``explanation``). In perturbed
    copies of the sample each gene keeps its value or, with probability one half, takes the
    median of the background. A linear model, which knows of each gene only whether it was
    exchanged, is fitted to what the pipeline says of these copies; near ones weigh more. Since
    all values have been measured, counts stay counts and zeros stay zeros.

    A linear model of 20 000 genes would need far more than ``n_perturbed`` copies. Where the
    sample differs from the median in more than ``max_exchanged`` genes, as many other copies
    screen them first: those are kept whose exchange moves the output most on average [2]_, and
    the rest stay as they were measured. A gene can be missed so that moves the output by less
    than about two deviations of it over the root of ``n_perturbed``.

    Perturbed rows are made and predicted in blocks of 128 MiB and carry the annotations of
    the sample, so that a batch key is found; layers of an AnnData are perturbed alike. Sparse
    rows stay sparse.

    Parameters
    ----------
    pipeline : fitted estimator or Pipeline
        With ``decision_function`` (explained where there is one), ``predict_proba`` or
        ``predict``.
    x : container of one row, or array of shape (n_genes,)
        The sample: a row of an array or CSR matrix, ``df.iloc[[i]]`` or ``adata[[i]]``.
    background : container of shape (n_background, n_genes)
        Samples to compare with, such as the training samples, with the same genes. Of more than
        1 000, as many are taken that lie evenly over its rows.
    method : {"lime"}, default="lime"
    n_genes : int, default=10
        How many genes to report for each class.
    n_perturbed : int, default=5000
        Copies to fit the linear model to; as many more for the screening.
    max_exchanged : int, default=500
        Most genes that the linear model has.
    random_state : int, RandomState or None, default=0

    Returns
    -------
    InstanceExplanation
        Of a classifier of two classes the weights are for the second, ``classes_[1]``.

    Raises
    ------
    ImportError
        Without lime.
    NotFittedError
        If the pipeline is not fitted.
    ValueError
        For several samples, a background of other genes, and a sample that is the background's
        median throughout.

    Notes
    -----
    The weights are those of a linear model with the reported genes alone. Genes are exchanged
    independently, so that those left out do not bias them. For an output that is linear in the
    genes a weight is its coefficient times the gene's distance from the median; `explain`
    computes this exactly, and adds up to the output where LIME does not.

    References
    ----------
    .. [1] Ribeiro, Singh, Guestrin (2016), "'Why should I trust you?': explaining the
       predictions of any classifier", doi:10.1145/2939672.2939778.
    .. [2] Fan, Lv (2008), "Sure independence screening for ultrahigh dimensional feature space",
       doi:10.1111/j.1467-9868.2008.00674.x.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from sklearn.linear_model import LogisticRegression
    >>> from geneexpr import explain_instance
    >>> rng = np.random.default_rng(0)
    >>> X = pd.DataFrame(rng.normal(size=(60, 4)), columns=["MYC", "TP53", "ACTB", "GAPDH"])
    >>> model = LogisticRegression().fit(X, X["TP53"] > 0)
    >>> found = explain_instance(model, X.iloc[[2]], background=X, n_genes=2)
    >>> found.to_frame()["gene"].tolist(), found.r2.round(1).tolist()
    (['TP53', 'MYC'], [1.0])
    """
    check_choice("method", method, ("lime",))
    check_number("n_genes", n_genes, least=1, whole=True)
    check_number("n_perturbed", n_perturbed, least=2, whole=True)
    check_number("max_exchanged", max_exchanged, least=1, whole=True)
    check_is_fitted(pipeline)
    lime = import_optional("lime.lime_base", extra="explanation", purpose="explain_instance")
    background = background if hasattr(background, "shape") else np.asarray(background)
    x = _one_row(x, background)
    names = _names(x, background)
    margin = margin_of(pipeline, x, probabilities=True)
    sample, reference = _sample_and_reference(x, background)
    places = _differing(sample, reference)
    rng = np.random.default_rng(check_random_state(random_state).randint(2**31 - 1))
    copies = _Copies(x, sample, reference, margin)
    n_candidates = len(places)
    if n_candidates > max_exchanged:
        places = places[copies.screen(places, n_perturbed, rng, max_exchanged)]
    kept, found = copies.draw(places, n_perturbed, rng)
    weights, r2 = _fit(lime, kept, found, n_genes)
    classes = ["output"] if margin.classes is None else margin.classes.tolist()
    index = pd.Index(classes, name="class")
    return InstanceExplanation(
        table=_table(weights, places, names, classes, sample[None], reference[None]),
        r2=pd.Series(r2, index=index, name="r2"),
        output=pd.Series(found[0], index=index, name="output"),
        prediction=pipeline.predict(x)[0] if hasattr(pipeline, "predict") else None,
        scale=margin.scale,
        n_perturbed=n_perturbed,
        n_candidates=n_candidates,
        n_exchanged=len(places),
    )


# ------------------------------------------------------------------ the sample


def _one_row(x, background):
    if isinstance(x, pd.Series):
        raise ValueError(
            "x is a Series, which carries no annotations. Give the sample as a DataFrame of one "
            "row: df.iloc[[i]]."
        )
    if not hasattr(x, "shape"):
        x = np.asarray(x)
    x = x[None] if len(x.shape) == 1 else x
    if len(x.shape) != 2 or x.shape[0] != 1:
        raise ValueError(f"x must be one sample; got shape {tuple(x.shape)}.")
    if x.shape[1] != background.shape[1]:
        raise ValueError(
            f"x has {x.shape[1]} genes, background has {background.shape[1]}: both must have the "
            "genes that the pipeline was fitted on."
        )
    return x


def _names(x, background):
    """Return the names of the genes, which x and background must share."""
    own, others = gene_names(x), gene_names(background)
    if own is not None and others is not None and not np.array_equal(own, others):
        unlike = others[own != others]
        raise ValueError(
            f"x and background have other genes, or another order: background has "
            f"{name_some(unlike)} in other places. GeneAligner brings both to the same genes."
        )
    own = others if own is None else own
    return np.asarray([f"x{i}" for i in range(x.shape[1])], object) if own is None else own


def _sample_and_reference(x, background):
    """Return the sample's values and the background's medians, of X and of every layer."""
    sample = {key: _dense(matrix)[0] for key, matrix in matrices_of(x).items()}
    behind = matrices_of(background)
    lost = [key for key in sample if key not in behind]
    if lost:
        raise ValueError(f"background has no layer {name_some(lost)}, which x has.")
    return sample, {key: _medians(behind[key]).astype(sample[key].dtype) for key in sample}


def _dense(matrix):
    matrix = matrix.read(0, 1) if hasattr(matrix, "read") else matrix
    return matrix.toarray() if sp.issparse(matrix) else np.asarray(matrix)


def _medians(matrix):
    """Return the lower median of every gene, a value that was measured: counts stay counts."""
    matrix = rows_spread(matrix, _BACKGROUND_ROWS)
    middle = (matrix.shape[0] - 1) // 2
    parts = [np.partition(block, middle, axis=0)[middle] for _, block in gene_blocks(matrix)]
    return np.concatenate(parts)


def _differing(sample, reference):
    """Return the genes in which the sample differs from the reference, in X or in a layer."""
    differs = np.any([sample[key] != reference[key] for key in sample], axis=0)
    places = np.flatnonzero(differs)
    if not len(places):
        raise ValueError(
            "x has the median of the background in all genes, so that no gene sets it apart. Give "
            "another background."
        )
    return places


# ------------------------------------------------------------------ perturbed copies


class _Copies:
    """Copies of a sample in which genes are exchanged, and what a pipeline says of them."""

    def __init__(self, x, sample, reference, margin):
        self.x = x
        self.sample = sample
        self.reference = reference
        self.margin = margin
        self.sparse = {key: sp.issparse(matrix) for key, matrix in matrices_of(x).items()}

    def blocks(self, places, n_rows, rng):
        """Yield which genes were kept in a block of copies, and the output of these."""
        step = block_rows(self.x.shape[1], n_bytes=_BLOCK_BYTES)
        for start in range(0, n_rows, step):
            kept = _coins((min(step, n_rows - start), len(places)), rng)
            if start == 0:
                kept[0] = True  # LIME's first row is the sample itself
            yield kept, self.margin(self._rows(places, kept))

    def _rows(self, places, kept):
        matrices = {key: self._exchanged(key, places, kept) for key in self.sample}
        return under_rows(self.x, np.zeros(len(kept), dtype=int), matrices)

    def _exchanged(self, key, places, kept):
        sample, reference = self.sample[key], self.reference[key]
        mixed = np.where(kept, sample[places], reference[places])
        if self.sparse[key]:
            rest = sample.copy()
            rest[places] = 0
            others = np.flatnonzero(rest)
            rows = np.concatenate([mixed, np.tile(sample[others], (len(kept), 1))], axis=1)
            return widened(sp.csr_matrix(rows), np.concatenate([places, others]), len(sample))
        rows = np.tile(sample, (len(kept), 1))
        rows[:, places] = mixed
        return rows

    def draw(self, places, n_rows, rng):
        """Return which genes were kept, of shape (n_rows, n_places), and the output."""
        kept, found = zip(*self.blocks(places, n_rows, rng), strict=True)
        return np.concatenate(kept), np.concatenate(found)

    def screen(self, places, n_rows, rng, n_best):
        """Return the places whose exchange moves the output most, ascending.

        The covariance of output and exchange, summed over blocks; of several classes the
        largest, each relative to the spread of its output.
        """
        products, sums, total, squares = 0.0, 0.0, 0.0, 0.0
        for kept, found in self.blocks(places, n_rows, rng):
            # Less its mean, so that single precision is enough for the sums of a block.
            part = (found - found.mean(axis=0)).astype(np.float32)
            signs = kept.astype(np.float32) - np.float32(0.5)
            means = signs.sum(axis=0, dtype=np.float64)
            products = products + (signs.T @ part + np.outer(means, found.mean(axis=0)))
            sums = sums + means
            total, squares = total + found.sum(axis=0), squares + (found**2).sum(axis=0)
        spread = np.sqrt(np.maximum(squares / n_rows - (total / n_rows) ** 2, 0))
        moved = np.abs(products - sums[:, None] * (total / n_rows))
        moved = (moved / np.where(spread > 0, spread, 1)).max(axis=1)
        return np.sort(np.argsort(-moved, kind="stable")[:n_best])


def _coins(shape, rng):
    """Return random bits as an array of bool; whole words a row, so that blocks do not matter."""
    n_rows, n_columns = shape
    n_bytes = 4 * -(-n_columns // 32)
    drawn = np.frombuffer(rng.bytes(n_rows * n_bytes), dtype=np.uint8).reshape(n_rows, n_bytes)
    return np.unpackbits(drawn, axis=1, count=n_columns).astype(bool)


# ------------------------------------------------------------------ the linear model


def _fit(lime, kept, output, n_genes):
    """Return the weights of the best genes of each class, and how well they fit."""
    kept = kept.astype(np.float64)
    distances = np.sqrt((1 - kept).sum(axis=1))
    width = _KERNEL_WIDTH * np.sqrt(kept.shape[1])
    base = lime.LimeBase(partial(_kernel, width=width), random_state=0)
    weights, r2 = [], []
    for k in range(output.shape[1]):
        _, found, score, _ = base.explain_instance_with_data(
            kept, output, distances, k, n_genes, feature_selection="highest_weights"
        )
        weights.append(found)
        r2.append(float(score))
    return weights, r2


def _kernel(distances, width):
    return np.sqrt(np.exp(-(distances**2) / width**2))


def _table(weights, places, names, classes, sample, reference):
    rows = [
        (label, names[places[i]], float(weight), sample[places[i]], reference[places[i]])
        for label, found in zip(classes, weights, strict=True)
        for i, weight in found
    ]
    return pd.DataFrame(rows, columns=["class", "gene", "weight", "value", "reference"])
