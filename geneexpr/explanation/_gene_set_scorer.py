"""Scores of gene sets as features, with everything that samples share frozen at fit."""

import warnings

import numpy as np

from .._base import GeneTransformer
from .._blocks import block_rows, fold
from .._containers import name_some
from .._validation import GeneExpressionWarning, check_choice, check_number
from ..stats._moments import merge_moments, summarise_batches
from ..stats._set_scores import mean_z, set_matrix, singscore, ssgsea
from ._gene_sets import check_gene_sets, locate

METHODS = ("ssgsea", "mean_z", "singscore")
_ROW_BYTES = 8 * 2**20
"""Dense size of the rows that are ranked at once."""


class GeneSetScorer(GeneTransformer):
    r"""Turn genes into scores of gene sets, so that a model can be trained on pathways.

    Row-independent. ``"ssgsea"`` and ``"singscore"`` compare the genes within a sample by rank
    and learn nothing but the range that divides ssGSEA scores; GSVA takes that of the samples
    given, so that a score depends on the others, here it is that of the training samples
    (on them the scores are GSVA's). ``"mean_z"`` compares a gene with the training samples.
    CSR is scored block by block of rows; the result is dense.

    Parameters
    ----------
    gene_sets : mapping of str to iterable of str, or None
        As `read_gmt` gives them. None makes each gene a set of its own.
    method : {"ssgsea", "mean_z", "singscore"}, default="ssgsea"
        ``"ssgsea"``: the area between the running sums of the genes in the set and of the
        others, over the ranked genes [1]_. ``"singscore"``: the mean rank of the genes of the
        set, from -0.5 (all lowest) to 0.5 (all highest) [2]_; the score of a set of rising and
        one of falling genes together is the difference of their two. ``"mean_z"``: the mean of
        the standardised values; times the root of the number of genes it is the combined
        z-score of Lee et al. [3]_.
    alpha : float, default=0.25
        Weight of the ranks, for ``"ssgsea"``.
    normalize : bool, default=True
        For ``"ssgsea"``: divide by the range of all scores of the training samples.
    min_genes : int, default=1
        Leave out sets of which X has fewer genes, with a warning.
    min_overlap : float, default=0
        Leave out sets of which X has a smaller share of genes, with a warning.

    Attributes
    ----------
    set_names_ : array of str of shape (n_sets,), or None
        The columns of the result; None where each gene is a set.
    set_sizes_ : array of int of shape (n_sets,)
        Genes of each set that X has.
    set_genes_ : array of int
        Positions of the genes of the first set, then of the second, and so on.
    missing_genes_ : dict of str to list of str
        Genes that X does not have, of each set that lacks any.
    range_ : float, or None
        What ssGSEA scores are divided by.
    means_, deviations_ : array of shape (n_genes,), or None
        Of the training samples, for ``"mean_z"``.
    n_features_in_ : int
        Number of genes seen in `fit`.
    feature_names_in_ : array of shape (n_genes,)
        Their names, if they have names.

    Raises
    ------
    ValueError
        For X without gene names, where no set has enough genes, and with ranks for a set that
        holds all genes.

    Warns
    -----
    GeneExpressionWarning
        For sets that are left out, and where X has less than half of the genes of all sets.

    References
    ----------
    .. [1] Barbie et al. (2009), "Systematic RNA interference reveals that oncogenic
       KRAS-driven cancers require TBK1", doi:10.1038/nature08460; normalised as in Hänzelmann,
       Castelo, Guinney (2013), "GSVA", doi:10.1186/1471-2105-14-7.
    .. [2] Foroutan et al. (2018), "Single sample scoring of molecular phenotypes",
       doi:10.1186/s12859-018-2435-4.
    .. [3] Lee et al. (2008), "Inferring pathway activity toward precise disease
       classification", doi:10.1371/journal.pcbi.1000217.

    Notes
    -----
    Equal values share their average rank, so scores do not depend on the order of the genes.
    GSVA takes tied genes in the order in which they come.

    Examples
    --------
    >>> import pandas as pd
    >>> from geneexpr import GeneSetScorer
    >>> X = pd.DataFrame({"TP53": [9.0, 1.0], "MDM2": [8.0, 2.0], "ACTB": [5.0, 5.0]})
    >>> GeneSetScorer({"P53": ["TP53", "MDM2"]}, "singscore").fit_transform(X)
       P53
    0  0.5
    1 -0.5
    """

    def __init__(
        self,
        gene_sets,
        method="ssgsea",
        *,
        alpha=0.25,
        normalize=True,
        min_genes=1,
        min_overlap=0.0,
    ):
        self.gene_sets = gene_sets
        self.method = method
        self.alpha = alpha
        self.normalize = normalize
        self.min_genes = min_genes
        self.min_overlap = min_overlap

    def fit(self, X, y=None):
        """Find the genes of the sets, and learn what scores are compared with.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)
            Expression of any scale for ranks (TPM or RPKM rather than counts, which rank long
            genes first); on a log scale for ``"mean_z"``.
        y : None
            Ignored.

        Returns
        -------
        self
        """
        self._check_options()
        ranked = self.method != "mean_z"
        matrix = self._check(X, reset=True, min_features=2 if ranked else 1)
        self._locate()
        if ranked and (self.set_sizes_ == self.n_features_in_).any():
            full = self.get_feature_names_out()[self.set_sizes_ == self.n_features_in_]
            raise ValueError(
                f"{self.method} compares the genes of a set with the others, but {name_some(full)} "
                f"holds all {self.n_features_in_} genes of X. Give X with more genes, or use "
                "method='mean_z'."
            )
        self.means_ = self.deviations_ = self.range_ = None
        if self.method == "mean_z":
            self._learn_moments(matrix)
        elif self.method == "ssgsea" and self.normalize:
            self.range_ = self._learn_range(matrix)
        return self

    def transform(self, X):
        """Score every sample, each on its own.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)
            The genes seen in `fit`.

        Returns
        -------
        container like X, of shape (n_samples, n_sets)
        """
        matrix = self._check(X)
        return self._map(
            X,
            matrix,
            self._score_function(),
            genes=self.set_names_,
            n_columns=len(self.set_sizes_),
            sparse=False,
        )

    def get_feature_names_out(self, input_features=None):
        """Return the names of the sets.

        Parameters
        ----------
        input_features : array-like of str, optional
            Names of the genes, where each gene is a set.

        Returns
        -------
        array of shape (n_sets,)
        """
        names = getattr(self, "set_names_", None)
        return super().get_feature_names_out(input_features) if names is None else names

    def _check_options(self):
        check_choice("method", self.method, METHODS)
        check_number("alpha", self.alpha, least=0)
        check_number("min_genes", self.min_genes, least=1, whole=True)
        check_number("min_overlap", self.min_overlap, least=0, most=1)

    def _locate(self):
        """Find the genes of the sets; leave out sets of which X has too few."""
        if self.gene_sets is None:
            n = self.n_features_in_
            self.set_names_, self.missing_genes_ = None, {}
            self.set_genes_, self.set_sizes_ = np.arange(n), np.ones(n, dtype=np.int64)
            return
        sets = check_gene_sets(self.gene_sets)
        if not hasattr(self, "feature_names_in_"):
            raise ValueError(
                "gene_sets name genes, but X has no gene names. Give X as a DataFrame or an "
                "AnnData."
            )
        found = locate(sets, self.feature_names_in_)
        given = np.array([len(genes) for genes in sets.values()])
        enough = (found.sizes >= self.min_genes) & (found.sizes >= self.min_overlap * given)
        self._say_missing(sets, found, given, enough)
        found = found.keep(enough)
        self.set_names_ = np.asarray(found.names, dtype=object)
        self.set_genes_, self.set_sizes_ = found.genes, found.sizes
        self.missing_genes_ = found.missing

    def _say_missing(self, sets, found, given, enough):
        lost = [gene for genes in found.missing.values() for gene in genes]
        lost = list(dict.fromkeys(lost))
        named = f"such as {name_some(lost, 3)}"
        if not enough.any():
            raise ValueError(
                f"None of {len(sets)} gene sets has enough genes in X (min_genes={self.min_genes}, "
                f"min_overlap={self.min_overlap:g}); X lacks {len(lost)} of their genes, {named}, "
                f"and has {name_some(self.feature_names_in_, 3)}. Are these identifiers of the "
                "same kind?"
            )
        if not enough.all():
            out = [name for name, kept in zip(sets, enough, strict=True) if not kept]
            self._warn(
                f"leaves out {len(out)} of {len(sets)} gene sets of which X has too few genes "
                f"(min_genes={self.min_genes}, min_overlap={self.min_overlap:g}): {name_some(out)}."
            )
        if found.sizes.sum() < 0.5 * given.sum():
            self._warn(
                f"finds {found.sizes.sum()} of the {given.sum()} genes of all sets in X; it lacks "
                f"genes {named}. Are these identifiers of the same kind? missing_genes_ names all."
            )

    def _warn(self, message):
        warnings.warn(f"{type(self).__name__} {message}", GeneExpressionWarning, stacklevel=5)

    def _learn_moments(self, matrix):
        moments = fold(
            matrix,
            lambda block: summarise_batches(block, np.zeros(block.shape[0], dtype=int), 1),
            merge_moments,
        )
        self.means_ = moments.means[0]
        variance = moments.squares[0] / max(int(np.max(moments.counts[0])) - 1, 1)
        constant = moments.minima[0] >= moments.maxima[0]
        self.deviations_ = np.where(constant, 0.0, np.sqrt(variance))

    def _learn_range(self, matrix):
        score = self._score_function()

        def extremes(block):
            scores = score(block)
            return float(scores.min()), float(scores.max())

        lowest, highest = fold(matrix, extremes, lambda a, b: (min(a[0], b[0]), max(a[1], b[1])))
        # One sample with one set has no range.
        return highest - lowest if highest > lowest else 1.0

    def _score_function(self):
        """Return ``function(block)``, the scores; it holds what was learned, not the estimator."""
        sets = set_matrix(self.set_genes_, self.set_sizes_, self.n_features_in_)
        method, alpha, divisor = self.method, self.alpha, self.range_
        means, deviations = self.means_, self.deviations_

        def score(rows):
            rows = rows.toarray() if hasattr(rows, "tocsr") else rows
            rows = rows.astype(np.float64, copy=False)
            if method == "singscore":
                return singscore(rows, sets)
            if method == "mean_z":
                return mean_z(rows, sets, means, deviations)
            scores = ssgsea(rows, sets, alpha)
            return scores if divisor is None else scores / divisor

        def function(block):
            result = np.empty((block.shape[0], sets.shape[0]), dtype=block.dtype)
            step = block_rows(block.shape[1], n_bytes=_ROW_BYTES)
            for start in range(0, block.shape[0], step):
                result[start : start + step] = score(block[start : start + step])
            return result

        return function

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.couples_genes = self.method != "mean_z"
        return tags
