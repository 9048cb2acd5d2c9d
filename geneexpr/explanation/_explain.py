"""SHAP values of a whole pipeline, in gene space."""

import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn.utils import check_random_state

from .._blocks import in_memory
from .._containers import DiskRows, gene_names, name_some, sample_names, values
from .._validation import ExplanationWarning, check_choice, check_number
from ._composed import embedder_of, is_network
from ._explanation import Explanation
from ._gene_modules import located_sets
from ._methods import AUTO, METHODS, NotFitError
from ._suffix import Suffix, cut, fitted_parts
from ._tree_path import is_tree

FEW = 10
"""A background of fewer rows is warned of."""
_MODULE_ROWS = 200
"""Rows that correlations of genes are taken from."""
_TOLERANCE = 1e-3
_PROBE_ROWS = 8


def explain(
    pipeline,
    X,
    *,
    background=None,
    method="auto",
    gene_sets=None,
    max_samples=None,
    max_background=None,
    random_state=0,
):
    r"""Explain the predictions of a fitted pipeline by its genes: SHAP values [1]_.

    The margin of the model (log-odds, where it has them) at a sample, less its mean over a
    background, is shared among the genes, interventionally: a gene that is not yet counted
    takes the values that it has in the background, whatever the others are.

    *Gene space* begins after the last step that couples the genes of a sample (TPM, quantile
    normalisation; such steps have the tag ``couples_genes``) or reads annotations (a batch
    corrector), and after a logarithm behind it: what takes genes one by one moves no value
    from one gene to another, so that the values are those of the logarithms and of the
    unlogged genes alike. Scalers, selectors and PCA behind that are explained through.

    The method is chosen by what the model allows, and ``reason`` says why:

    ==========================  ============================================================
    ``"linear"``                exact, :math:`w_g (x_g - \bar b_g)`: a linear model, behind
                                selectors, scalers, PCA, mean-z gene sets
    ``"tree"``                  exact: trees, forests and boosting behind selectors and
                                scalers, by shap's own explainer
    ``"network"``               our perceptrons, and our autoencoders with a linear model or a
                                perceptron behind them: DeepLIFT's rescale rule, which adds
                                up exactly; with one hidden layer it is the mean gradient
    ``"sampling"``              anything else: random orders of gene sets or of modules of
                                correlated genes, with standard errors
    ``"integrated_gradients"``  our networks by captum, where asked for
    ==========================  ============================================================

    Sampled values are those of groups; each group's value is shared among its genes by the
    size of what each moves alone. ``by_module`` shows the groups, which is what was measured.
    For the other methods it shows modules of correlated genes, whose values are a model's
    choice between genes that say the same, or the gene sets that are given.

    What is sparse or on disk is read in blocks, so that of the genes of all samples only the
    values are dense (those of each output) and, for trees, networks and sampling, the
    background.

    Parameters
    ----------
    pipeline : fitted Pipeline, estimator or search
        Of geneexpr, scikit-learn or others.
    X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)
        Samples to explain, as ``pipeline.predict`` takes them.
    background : container of shape (n_background, n_genes), optional
        What samples are compared with, such as the training samples or healthy ones. By
        default X itself.
    method : str, default="auto"
        One of the above.
    gene_sets : mapping of str to iterable of str, optional
        As `read_gmt` gives them. Sampling takes them for groups (a gene in several sets
        belongs to the smallest), and ``by_module`` shows them.
    max_samples : int, optional
        Explain at most so many samples, drawn at random, in their order.
    max_background : int, optional
        Use at most so many rows of the background, drawn at random. By default all for
        "linear", 100 for trees and networks, 16 for the rest.
    random_state : int, RandomState or None, default=0

    Returns
    -------
    Explanation
        ``values`` in gene space, ``to_frame()``, ``top_genes(k)``, ``by_module()``, and the
        ``additivity_error``.

    Raises
    ------
    NotFittedError
        For a pipeline that is not fitted.
    ValueError
        For a background of fewer than 2 rows or of other genes, and a method that does not
        fit the model. What the pipeline itself refuses, it refuses here.

    Warns
    -----
    ExplanationWarning
        Where values do not add up to the margin, and for a background of fewer than 10 rows.

    Notes
    -----
    Several classes have one output each: the scores of ``decision_function``, of which only
    differences matter. Where a model has probabilities only, trees are explained on these and
    other models on their log-odds, clipped to probabilities between 0.001 and 0.999.

    References
    ----------
    .. [1] Lundberg, Lee (2017), "A unified approach to interpreting model predictions",
       NeurIPS, doi:10.48550/arXiv.1705.07874.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from geneexpr import CPMNormalizer, explain
    >>> rng = np.random.default_rng(0)
    >>> counts = pd.DataFrame(
    ...     rng.poisson(100, size=(60, 4)), columns=["MYC", "ACTB", "TP53", "XIST"]
    ... )
    >>> female = np.arange(60) % 2
    >>> counts["XIST"] *= 1 + 3 * female
    >>> model = make_pipeline(CPMNormalizer(log=True), LogisticRegression()).fit(counts, female)
    >>> explained = explain(model, counts)
    >>> explained.top_genes(1)["gene"].tolist(), explained.method
    (['XIST'], 'linear')
    """
    check_choice("method", method, ("auto", *METHODS))
    for name, value in (("max_samples", max_samples), ("max_background", max_background)):
        if value is not None:
            check_number(name, value, least=2 if name == "max_background" else 1, whole=True)
    rng = check_random_state(random_state)
    steps, model = fitted_parts(pipeline)
    X, background = (
        Z if Z is None or hasattr(Z, "shape") else np.asarray(Z) for Z in (X, background)
    )
    _check_samples(X)
    beside = X if background is None else background
    _check_background(beside, X, background is None)
    rows = _draw(X, max_samples, rng)
    suffix = cut(steps, model, _take(X, rows[:_PROBE_ROWS]))
    X = X if len(rows) == values(X).shape[0] else _take(X, rows)
    matrix = _held(suffix.into_gene_space(X))
    if beside is X and not isinstance(matrix, DiskRows):
        beside = None
    request = Request(suffix, matrix, beside, gene_sets, max_background, rng)
    names = sample_names(X)
    names = rows if names is None else np.asarray(names)
    return _explanation(_attribute(request, method), request, names)


@dataclass(frozen=True)
class Request:
    """What a method is given: the cut pipeline, the samples in gene space, and the options."""

    suffix: Suffix
    matrix: object
    beside: object
    gene_sets: object
    max_background: int | None
    rng: np.random.RandomState

    def background(self, usual):
        """Return the background in gene space, at most ``usual`` rows where nothing was asked."""
        most = usual if self.max_background is None else self.max_background
        if self.beside is None:  # the samples themselves, which are in gene space already
            return _some_rows(self.matrix, most, self.rng)
        return _held(self.suffix.into_gene_space(_some_rows(self.beside, most, self.rng)))

    def generator(self):
        """Return a generator of random numbers."""
        return np.random.default_rng(self.rng.randint(2**31 - 1))


def _attribute(request, method):
    """Let the first method that fits compute the values."""
    if method != "auto":
        try:
            return METHODS[method](request)
        except NotFitError as error:
            raise ValueError(
                f"method={method!r} does not fit this pipeline: {error}. "
                "method='auto' chooses one that does."
            ) from None
    refused = {}
    for name in AUTO:
        try:
            found = METHODS[name](request)
        except NotFitError as error:
            refused[name] = str(error)
            continue
        if name == "sampling":
            found.reason = f"{_why_sampling(request.suffix, refused)}: {found.reason}"
        return found
    raise ValueError(f"No method fits this pipeline: {'; '.join(refused.values())}.")


def _why_sampling(suffix, refused):
    """Say why nothing exact fits, in the words of the method that came nearest."""
    if is_tree(suffix.model):
        return refused["tree"]
    if is_network(suffix.model) or embedder_of(suffix) is not None:
        return refused["network"]
    return f"{refused['linear']}, and no other exact method fits"


def _explanation(found, request, sample_names):
    """Check the sum of the values, group the genes, and put everything together."""
    suffix, cube = request.suffix, found.values
    margins = found.margins
    if margins is None:
        margins = suffix.margins(found.margin, request.matrix)
    gap = cube.sum(axis=1, dtype=np.float64) + found.base - margins
    error = float(np.abs(gap).max())
    spread = max(float(np.abs(margins - found.base).max()), 1e-12)
    if error > _TOLERANCE * max(spread, 1.0):
        warnings.warn(
            f"The values do not add up: base value and values differ from the margin by up to "
            f"{error:.3g}, where margins differ from the base by up to {spread:.3g}. Do not read "
            f"them as SHAP values (method {found.method}).",
            ExplanationWarning,
            stacklevel=3,
        )
    in_model = np.zeros(len(suffix.genes), dtype=bool)
    in_model[suffix.kept] = True
    groups, group_values, errors = _groups(found, request, in_model)
    single = cube.shape[2] == 1
    return Explanation(
        values=cube[:, :, 0] if single else cube,
        base_values=float(found.base[0]) if single else found.base,
        gene_names=suffix.genes,
        sample_names=sample_names,
        classes=found.margin.classes,
        method=found.method,
        reason=f"{found.reason}; {suffix.begins}",
        scale=found.margin.scale,
        additivity_error=error,
        data=in_memory(request.matrix),
        in_model=in_model,
        n_background=found.n_background,
        groups=groups,
        group_values=_single(group_values, single),
        standard_errors=_single(errors, single),
        seen_together=_seen_together(request) if groups is None else None,
    )


def _single(cube, single):
    return cube[:, :, 0] if single and cube is not None else cube


def _groups(found, request, in_model):
    """Return the groups that were sampled, or the gene sets that were given, and their values."""
    if found.groups is not None:
        return found.groups, found.group_values, found.errors
    if request.gene_sets is None:
        return None, None, None
    inside = np.flatnonzero(in_model)
    sets = located_sets(request.gene_sets, request.suffix.genes[inside])
    sets = {name: inside[at] for name, at in sets.items()}
    sums = [found.values[:, at].sum(axis=1) for at in sets.values()]
    return sets, np.stack(sums, axis=1), None


def _seen_together(request):
    """Return some rows of the background, or of the samples where these are it, densely."""
    matrix = request.background(_MODULE_ROWS)
    rows = in_memory(matrix)[:: -(-matrix.shape[0] // _MODULE_ROWS)]
    return (rows.toarray() if sp.issparse(rows) else np.asarray(rows)).astype(np.float32)


# ------------------------------------------------------------------ input


def _check_samples(X):
    shape = getattr(values(X), "shape", None) or np.shape(X)
    if len(shape) != 2:
        raise ValueError(
            f"X must have samples as rows and genes as columns, got shape {tuple(shape)}. For one "
            "sample give X[[i]] (a DataFrame: df.iloc[[i]])."
        )
    if 0 in shape:
        raise ValueError(f"X holds nothing to explain: got {shape[0]} samples of {shape[1]} genes.")


def _check_background(background, X, is_own):
    n_rows = values(background).shape[0]
    if n_rows < 2:
        whose = "X itself is the background where none is given, and it" if is_own else "background"
        raise ValueError(
            f"{whose} holds {n_rows} row{'s' * (n_rows != 1)}: SHAP values compare a sample with "
            "at least 2 others. Give background=, such as the training samples."
        )
    if n_rows < FEW:
        warnings.warn(
            f"The background holds {n_rows} rows, so that base value and values depend on who "
            f"they are. Give at least {FEW}, such as the training samples.",
            ExplanationWarning,
            stacklevel=3,
        )
    if is_own:
        return
    ours, theirs = gene_names(X), gene_names(background)
    if ours is not None and theirs is not None and not np.array_equal(ours, theirs):
        other = sorted(set(ours) ^ set(theirs))
        what = f"differ in {name_some(other)}" if other else "are in another order"
        raise ValueError(f"background and X must have the same genes; they {what}.")
    if values(background).shape[1] != values(X).shape[1]:
        raise ValueError(
            f"background and X must have the same genes: got {values(background).shape[1]} and "
            f"{values(X).shape[1]} columns."
        )


def _some_rows(X, most, rng):
    rows = _draw(X, most, rng)
    return X if len(rows) == values(X).shape[0] else _take(X, rows)


def _draw(X, most, rng):
    """Return the numbers of at most so many rows, ascending."""
    n_rows = values(X).shape[0]
    if most is None or n_rows <= most:
        return np.arange(n_rows)
    return np.sort(rng.permutation(n_rows)[:most])


def _take(X, rows):
    return X.take(rows) if isinstance(X, pd.DataFrame) else X[rows]


def _held(matrix):
    return matrix.tocsr() if sp.issparse(matrix) else matrix
