"""The genes that vary more over cells than others of their mean."""

import warnings
from functools import partial

import numpy as np
import pandas as pd
import scipy.sparse as sp

from .._base import GeneSelector
from .._blocks import fold
from .._containers import name_some, scale_of
from .._validation import (
    ScaleWarning,
    check_choice,
    check_number,
    labels_of,
    stored,
    warn_nothing_kept,
)
from ..stats._highly_variable import (
    cell_ranger_dispersions,
    clipped_sums_by_batch,
    expected_deviations,
    gene_sums_by_batch,
    means_and_variances,
    seurat_dispersions,
    standardized_variances,
    suspects,
)
from ._variance import TIE, ranked

FLAVORS = ("seurat", "cell_ranger", "seurat_v3")
SCALE_ROWS = 2**16
"""How many rows (or entries of CSR) of a large block are looked at to judge its scale."""
DISPERSIONS = {"seurat": seurat_dispersions, "cell_ranger": cell_ranger_dispersions}


def highest(scores, n_genes):
    """Mark the genes of highest score, all that are tied with the last of them included.

    Parameters
    ----------
    scores : array of shape (n_genes,)
        NaN is never marked.
    n_genes : int

    Returns
    -------
    array of bool of shape (n_genes,)

    Examples
    --------
    >>> import numpy as np
    >>> highest(np.array([3.0, 1.0, 2.0, 2.0, np.nan]), 2)
    array([ True, False,  True,  True, False])
    """
    known = np.sort(scores[~np.isnan(scores)])[::-1]
    if not len(known):
        return np.zeros(len(scores), dtype=bool)
    last = known[min(n_genes, len(known)) - 1]
    slack = TIE * abs(last) if np.isfinite(last) else 0.0
    return np.where(np.isnan(scores), -np.inf, scores) >= last - slack


def most_often_highest(chosen, scores, n_genes):
    """Mark the genes that most batches chose, of these those of highest mean score.

    Parameters
    ----------
    chosen : array of bool of shape (n_batches, n_genes)
    scores : array of shape (n_genes,)
    n_genes : int

    Returns
    -------
    array of bool of shape (n_genes,)

    Examples
    --------
    >>> import numpy as np
    >>> chosen = np.array([[True, True, False], [False, True, True]])
    >>> most_often_highest(chosen, np.array([1.0, 1.0, 5.0]), 2)
    array([False,  True,  True])
    """
    place = np.empty(len(scores), dtype=int)
    place[ranked(np.where(np.isnan(scores), -np.inf, scores))] = np.arange(len(scores))
    return first(np.lexsort((place, -chosen.sum(axis=0))), n_genes) & chosen.any(axis=0)


def median_ranks(scores, n_genes):
    """Return the median rank of every gene over the batches that rank it high.

    Parameters
    ----------
    scores : array of shape (n_batches, n_genes)
    n_genes : int
        Genes that are high in a batch.

    Returns
    -------
    ranks : array of shape (n_genes,)
        From 0; NaN for a gene that is high in no batch.
    n_batches : array of int of shape (n_genes,)
        In how many it is.

    Examples
    --------
    >>> import numpy as np
    >>> median_ranks(np.array([[3.0, 2.0, 1.0], [3.0, 1.0, 2.0]]), 2)
    (array([0., 1., 1.]), array([2, 1, 1]))
    """
    places = np.empty(scores.shape)
    for place, of_batch in zip(places, scores, strict=True):
        place[ranked(of_batch)] = np.arange(len(of_batch))
    places[places >= n_genes] = np.nan
    n_batches = (~np.isnan(places)).sum(axis=0)
    ranks = np.full(scores.shape[1], np.nan)
    ranks[n_batches > 0] = np.nanmedian(places[:, n_batches > 0], axis=0)
    return ranks, n_batches


def varied(matrix, codes, sums):
    """Return means and variances by batch; exactly 0 where a gene is constant."""
    sizes = np.bincount(codes)
    means, variances = means_and_variances(sums, sizes)
    genes = np.flatnonzero(suspects(means, variances))
    if not len(genes):
        return means, variances

    def extremes(block, codes):
        part = block[:, genes]
        part = part.toarray() if sp.issparse(part) else part
        parts = [part[codes == batch] for batch in range(len(sizes))]
        return np.stack(
            [[p.min(axis=0, initial=np.inf), (-p).min(axis=0, initial=np.inf)] for p in parts]
        )

    low, high = np.moveaxis(fold(matrix, extremes, np.minimum, codes), 1, 0)
    variances[:, genes] = np.where(low >= -high, 0.0, variances[:, genes])
    return means, variances


def before_log(values, base):
    """Return the values before ``log(1 + x)`` to this base was taken of them.

    Parameters
    ----------
    values : array
    base : float

    Returns
    -------
    array like ``values``
        Infinite where a value is too large to be a logarithm.
    """
    with np.errstate(over="ignore"):
        return np.expm1(values if base == np.e else values * values.dtype.type(np.log(base)))


def check_sums(sums, names):
    """Raise where sums of genes tell negative values, or values that were never logged."""
    negative = np.isnan(sums).any(axis=(0, 2))
    if negative.any():
        raise ValueError(
            "Negative values in data passed to HighlyVariableGenes: log1p of normalised counts "
            f"was expected, got negative ones for {int(negative.sum())} of {len(negative)} genes: "
            f"{name_some(names[negative])}. Give values that are not centred."
        )
    endless = np.isinf(sums).any(axis=(0, 2))
    if endless.any():
        raise ValueError(
            f"X holds values too large to be logarithms, for {int(endless.sum())} of "
            f"{len(endless)} genes: {name_some(names[endless])}. If these are counts, use "
            "flavor='seurat_v3', or log them first."
        )


def warn_counts(block):
    """Warn of values that look like counts where logged ones are expected."""
    entries = stored(block)
    some = entries[:: max(1, len(entries) // SCALE_ROWS)]
    if some.size and some.max() >= 2 and np.array_equal(some, np.trunc(some)):
        warnings.warn(
            "HighlyVariableGenes expects log1p of normalised counts, but X holds whole numbers "
            "only. If these are counts, use flavor='seurat_v3', or log them first.",
            ScaleWarning,
            stacklevel=2,
        )


def known_mean(values):
    """Return the mean over the first axis of what is not NaN; NaN where all is."""
    known = ~np.isnan(values)
    n = known.sum(axis=0)
    with np.errstate(invalid="ignore"):  # an infinite score of one batch is that of all
        total = np.where(known, values, 0.0).sum(axis=0)
    return np.divide(total, n, out=np.full(n.shape, np.nan), where=n > 0)


def first(order, n_genes):
    """Mark the first genes of an order."""
    support = np.zeros(len(order), dtype=bool)
    support[order[:n_genes]] = True
    return support


class HighlyVariableGenes(GeneSelector):
    """Keep the genes that vary more over cells than others of their mean.

    The genes are those of scanpy's ``pp.highly_variable_genes(n_top_genes=...)``.
    Row-independent at ``transform``. ``fit`` is one row fold, two for ``"seurat_v3"``; peak
    memory one block and a few numbers for each gene and batch. Sparse input is never made
    dense.

    Parameters
    ----------
    n_genes : int, default=2000
        How many genes to keep; all that have a score, if there are fewer. A constant gene has
        none.
    flavor : {"seurat", "cell_ranger", "seurat_v3"}, default="seurat"
        - ``"seurat"`` [1]_, for log1p of normalised counts: the log dispersion (variance over
          mean, of the values before the log), standardised in 20 bins of log mean.
        - ``"cell_ranger"`` [2]_, for log1p of normalised counts: the dispersion as the values
          are, by median and MAD in bins of about equal numbers of genes.
        - ``"seurat_v3"`` [3]_, for counts: the variance of values that are standardised by a
          trend of variance over mean, and clipped.
    batch_key : str, optional
        The annotation that names the batch. Genes are judged in every batch; kept are those
        that most batches choose, then those of highest mean normalised dispersion
        (``"seurat_v3"``: of best median rank, then of most batches).
    span : float, default=0.3
        Share of the genes that a local fit of the trend takes, for ``"seurat_v3"``.
    base : float, optional
        Base of the log, for ``"seurat"``. By default what AnnData records
        (``uns["log1p"]["base"]``), e where nothing is recorded.
    layer : str, optional
        The layer of an AnnData to judge by (such as counts), instead of ``X``.

    Attributes
    ----------
    support_ : array of bool of shape (n_genes,)
        Genes that are kept.
    means_ : array of shape (n_genes,)
        As the method sees them: ``log1p`` of the mean before the log (``"seurat"``), the
        mean of X (others). Averaged over batches but for ``"seurat_v3"``.
    dispersions_, dispersions_norm_ : array of shape (n_genes,)
        For ``"seurat"`` (logged) and ``"cell_ranger"``, averaged over batches; a gene that no
        cell of a batch expresses counts as 0 there. NaN: a gene without dispersion.
    variances_, variances_norm_ : array of shape (n_genes,)
        For ``"seurat_v3"``: over all cells, and standardised, averaged over batches.
    ranks_ : array of shape (n_genes,)
        For ``"seurat_v3"``: from 0, the median over the batches that choose the gene, else
        NaN.
    n_batches_ : array of int of shape (n_genes,)
        How many batches choose the gene.
    n_features_in_ : int
        Number of genes seen in `fit`.
    feature_names_in_ : array of shape (n_genes,)
        Their names, if they have names.

    Raises
    ------
    ValueError
        For negative or infinite values, values too large to be logged (not for
        ``"seurat_v3"``), fewer than two cells, and a batch of one cell.

    Warns
    -----
    ScaleWarning
        For counts where logged values are expected, and the other way round.

    Notes
    -----
    Without batches the first two flavors keep all genes that are tied with the last one, as
    scanpy does. Other ties go to the gene that comes first; scores are tied where they
    differ by rounding alone, which scanpy leaves to chance.

    References
    ----------
    .. [1] Satija et al. (2015), "Spatial reconstruction of single-cell gene expression data",
       doi:10.1038/nbt.3192.
    .. [2] Zheng et al. (2017), "Massively parallel digital transcriptional profiling of single
       cells", doi:10.1038/ncomms14049.
    .. [3] Stuart et al. (2019), "Comprehensive integration of single-cell data",
       doi:10.1016/j.cell.2019.05.031.

    Examples
    --------
    >>> from geneexpr import HighlyVariableGenes, make_cohort
    >>> cells = make_cohort(200, 500, density=0.2, sparse=True, random_state=0)
    >>> HighlyVariableGenes(50, flavor="seurat_v3").fit_transform(cells).shape
    (200, 50)
    """

    def __init__(
        self,
        n_genes=2000,
        *,
        flavor="seurat",
        batch_key=None,
        span=0.3,
        base=None,
        layer=None,
    ):
        self.n_genes = n_genes
        self.flavor = flavor
        self.batch_key = batch_key
        self.span = span
        self.base = base
        self.layer = layer

    def fit(self, X, y=None, *, batch=None):
        """Learn how much every gene varies.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)
            Logged values, or counts for ``flavor="seurat_v3"``.
        y : None
            Ignored.
        batch : array-like of shape (n_samples,), optional
            Batch of each cell, for arrays, which carry no annotations.

        Returns
        -------
        self
        """
        check_choice("flavor", self.flavor, FLAVORS)
        check_number("n_genes", self.n_genes, least=1, whole=True)
        check_number("span", self.span, above=0, most=1)
        if self.base is not None:
            check_number("base", self.base, above=1, below=np.inf)
        counts = self.flavor == "seurat_v3"
        matrix = self._check(X, reset=True, counts=counts, min_samples=2, layer=self.layer)
        codes, batched = self._batches(X, matrix.shape[0], batch)
        if counts:
            self._judge_counts(matrix, codes)
        else:
            self._judge_logged(X, matrix, codes, batched)
        warn_nothing_kept(self)
        return self

    def fit_transform(self, X, y=None, *, batch=None):
        """Learn how much every gene varies, and keep those that vary most.

        Parameters
        ----------
        X, y, batch
            As in `fit`.

        Returns
        -------
        container like X, of shape (n_samples, n_selected)
        """
        return self.fit(X, y, batch=batch).transform(X)

    def _batches(self, X, n_samples, batch):
        """Return the batch of every sample as a number, and whether there are batches."""
        labels = labels_of(X, self.batch_key, batch)
        if labels is None:
            return np.zeros(n_samples, dtype=int), False
        codes, levels = pd.factorize(np.asarray(labels), sort=True)
        sizes = np.bincount(codes)
        if (sizes < 2).any():
            raise ValueError(
                f"{int((sizes < 2).sum())} of {len(sizes)} batches have 1 sample, which does not "
                f"vary: {name_some(levels[sizes < 2])}. Merge or drop these batches."
            )
        return codes, True

    def _judge_counts(self, matrix, codes):
        sizes = np.bincount(codes)
        sums = fold(matrix, lambda *rows: gene_sums_by_batch(*rows, len(sizes)), np.add, codes)
        means, variances = varied(matrix, codes, sums)
        deviations = np.stack(
            [expected_deviations(*of, self.span) for of in zip(means, variances, strict=True)]
        )
        limits = deviations * np.sqrt(sizes)[:, None] + means
        clipped = fold(matrix, lambda *rows: clipped_sums_by_batch(*rows, limits), np.add, codes)
        scores = standardized_variances(clipped, sizes, means, deviations)
        together = varied(matrix, np.zeros_like(codes), sums.sum(axis=0, keepdims=True))
        self.means_, self.variances_ = together[0][0], together[1][0]
        self.variances_norm_ = scores.mean(axis=0)
        self.ranks_, self.n_batches_ = median_ranks(scores, self.n_genes)
        last = np.where(np.isnan(self.ranks_), np.inf, self.ranks_)
        self.support_ = first(np.lexsort((-self.n_batches_, last)), self.n_genes)
        self.support_ &= self.variances_ > 0

    def _judge_logged(self, X, matrix, codes, batched):
        recorded = scale_of(X) if self.layer is None else None
        base = self.base or (recorded or {}).get("base") or np.e
        unlog = partial(before_log, base=base) if self.flavor == "seurat" else None
        n_batches = codes.max() + 1

        def summarise(block, codes):
            if recorded is None:
                warn_counts(block)
            return gene_sums_by_batch(block, codes, n_batches, unlog)

        sums = fold(matrix, summarise, np.add, codes)
        check_sums(sums, getattr(self, "feature_names_in_", np.arange(sums.shape[1])))
        means, variances = varied(matrix, codes, sums)
        of_batches = [self._of_batch(*of, batched) for of in zip(means, variances, strict=True)]
        means, dispersions, normalized, chosen = (
            np.stack(part) for part in zip(*of_batches, strict=True)
        )
        self.means_ = means.mean(axis=0)
        self.dispersions_, self.dispersions_norm_ = known_mean(dispersions), known_mean(normalized)
        self.n_batches_ = chosen.sum(axis=0)
        self.support_ = (
            most_often_highest(chosen, self.dispersions_norm_, self.n_genes)
            if batched
            else chosen[0]
        )

    def _of_batch(self, means, variances, batched):
        """Judge the genes of one batch: of several, only those that it expresses."""
        there = means > 0 if batched else np.ones(len(means), dtype=bool)
        judged = np.zeros((3, len(means)))
        chosen = np.zeros(len(means), dtype=bool)
        if there.any():
            found = DISPERSIONS[self.flavor](means[there], variances[there])
            judged[:, there] = found.means, found.dispersions, found.normalized
            chosen[there] = highest(found.normalized, self.n_genes)
        return *judged, chosen

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        return tags
