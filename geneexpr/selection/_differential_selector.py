"""The genes that differ between classes, or with a continuous target, in the training data."""

import numpy as np
import pandas as pd

from .._base import GeneSelector
from .._containers import name_some
from .._validation import check_choice, check_number, warn_nothing_kept
from ..stats._multiple_testing import adjust_p_values
from ..stats._wald import filtered_adjustment
from ._corrected import refuse_alpha
from ._differential_expression import to_log2
from ._sample_sizes import sizes_of
from ._tests_of_genes import (
    ADJUSTED,
    METHODS,
    group_design,
    input_options,
    is_continuous,
    nuisance_columns,
    refuse_slope,
    run_tests,
    slope_design,
)
from ._variance import ranked

DIRECTIONS = ("both", "up", "down")
_SMALLEST = 1e-300


class DifferentialExpressionSelector(GeneSelector):
    """Keep the genes that are differentially expressed between the classes of the target.

    What is learned comes from the training samples alone, so the selector belongs inside the
    Pipeline that is cross-validated: genes chosen on all samples beforehand make every score
    too good. Two classes are compared by t, more by F (Welch's F, Kruskal and Wallis, Wald's
    chi-square); for a continuous target the slope of each gene on it is tested.

    Row-independent at ``transform``. ``fit`` is one row fold (peak memory one block and a few
    numbers a gene), four for ``"voom"``; ``"wilcoxon"`` and ``"wald"`` go over blocks
    of genes with all their rows.

    Parameters
    ----------
    method : {"moderated_t", "voom", "wald", "welch_t", "wilcoxon"}, default="moderated_t"
        See `differential_expression`. A continuous target takes ``"moderated_t"``, ``"voom"`` or
        ``"wald"``. voom and Wald take counts, to rank genes, and leave X as it is.
    n_genes : int, optional
        How many genes to keep, those of lowest p-value; ties go to the gene that comes first.
    alpha : float, optional
        Keep genes whose adjusted p-value is at most this. With neither, genes that show no
        difference at all (constant ones) are dropped; with both, both hold.
    min_log2_fold_change : float, default=0
        Keep genes with at least this absolute fold change (base 2; between the two classes,
        the largest against the first class where there are more, a unit of a continuous
        target).
    direction : {"both", "up", "down"}, default="both"
        With two classes or a continuous target: higher or lower in the second class (in
        sorted order), rising or falling.
    batch_key : str, optional
        The annotation that names the batch, as a part of the design, for ``"moderated_t"``,
        ``"voom"`` and ``"wald"``.
        This, and not a correction beforehand, keeps the error that ``alpha`` states.
    covariate_keys : sequence of str, default=()
        Annotations to adjust for, likewise.
    adjust : {"bh", "by", "holm"}, default="bh"
        The adjustment for many genes that ``alpha`` looks at.
    trend, robust : bool, default=False
        Options of the moderated t and of voom.
    library_size : str, optional
        For voom: the annotation that holds effective library sizes, by default the sums of
        counts. For Wald: size factors on any scale, by default medians of ratios.
    cooks_cutoff : bool, default=True
        For Wald: never keep a gene with a count that lies too far from its replicates where
        these are too few to replace it. See `differential_expression`.
    independent_filtering : bool, default=True
        For Wald with ``adjust="bh"``: leave genes of low mean out of the adjustment, as many as
        pays off at ``alpha`` (0.1 without one).
    layer : str, optional
        The layer of an AnnData to test in place of ``X``.

    Attributes
    ----------
    statistics_, p_values_, p_adjusted_ : array of shape (n_genes,)
        NaN where a gene cannot be tested.
    log2_fold_changes_ : array of shape (n_contrasts, n_genes)
        Every class against the first, or the slope.
    support_ : array of bool of shape (n_genes,)
        Genes that are kept.
    n_features_in_ : int
        Number of genes seen in `fit`.
    feature_names_in_ : array of shape (n_genes,)
        Their names, if they have names.

    Notes
    -----
    Whole numbers of which most occur once (ages, say) are a continuous target.

    Options of one method only (``trend``, ``robust``, ``library_size``, ``cooks_cutoff``,
    ``independent_filtering``) do nothing with the others, so that a search can try methods;
    `differential_expression` refuses them.

    Raises
    ------
    ValueError
        Without ``y``; for fewer than two classes, too few replicates, classes that are
        confounded with batches, ``direction`` with more than two classes, and ``alpha``
        after a batch corrector: the p-values of corrected data are too small (11 % false
        positives at 5 % where a class is spread 80/20 over the batches). Correctors leave a
        record in AnnData (``uns["geneexpr"]``) and DataFrame (``attrs``), which slicing,
        pickling and the steps of this library keep; an array, and a scikit-learn step in
        between, carry none.

    References
    ----------
    .. [1] Smyth (2004), "Linear models and empirical Bayes methods for assessing differential
       expression in microarray experiments", doi:10.2202/1544-6115.1027.
    .. [2] Ambroise, McLachlan (2002), "Selection bias in gene extraction on the basis of
       microarray gene-expression data", doi:10.1073/pnas.102102699.
    .. [3] Love, Huber, Anders (2014), "Moderated estimation of fold change and dispersion for
       RNA-seq data with DESeq2", doi:10.1186/s13059-014-0550-8.

    Examples
    --------
    >>> import pandas as pd
    >>> from geneexpr import DifferentialExpressionSelector
    >>> X = pd.DataFrame({"MYC": [1.0, 1.5, 4.0, 4.5], "ACTB": [9.0, 8.0, 9.5, 8.5]})
    >>> selector = DifferentialExpressionSelector(n_genes=1)
    >>> selector.fit_transform(X, ["control", "control", "case", "case"])
       MYC
    0  1.0
    1  1.5
    2  4.0
    3  4.5
    """

    def __init__(
        self,
        method="moderated_t",
        *,
        n_genes=None,
        alpha=None,
        min_log2_fold_change=0,
        direction="both",
        batch_key=None,
        covariate_keys=(),
        adjust="bh",
        trend=False,
        robust=False,
        library_size=None,
        cooks_cutoff=True,
        independent_filtering=True,
        layer=None,
    ):
        self.method = method
        self.n_genes = n_genes
        self.alpha = alpha
        self.min_log2_fold_change = min_log2_fold_change
        self.direction = direction
        self.batch_key = batch_key
        self.covariate_keys = covariate_keys
        self.adjust = adjust
        self.trend = trend
        self.robust = robust
        self.library_size = library_size
        self.cooks_cutoff = cooks_cutoff
        self.independent_filtering = independent_filtering
        self.layer = layer

    def fit(self, X, y, *, batch=None, covariates=None):
        """Learn which genes differ.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)
            Expression on a log scale.
        y : array-like of shape (n_samples,)
            Class labels, or a continuous target.
        batch : array-like of shape (n_samples,), optional
            Batch of each sample, for arrays, which carry no annotations.
        covariates : array-like of shape (n_samples,) or (n_samples, p), optional
            Covariates to adjust for, for arrays.

        Returns
        -------
        self
        """
        self._check_options()
        if y is None:
            raise ValueError(
                "DifferentialExpressionSelector requires y to be passed, but the target y is None."
            )
        refuse_alpha(X, self.alpha, self.layer, type(self).__name__)
        checks = input_options(self.method)
        matrix = self._check(X, reset=True, layer=self.layer, min_samples=2, **checks)
        design = self._design(X, y, matrix.shape[0], batch, covariates)
        options = {"trend": self.trend, "robust": self.robust}
        if self.method == "wald":
            options["flag_outliers"] = self.cooks_cutoff
        sizes = sizes_of(X, self.library_size)
        tests = run_tests(matrix, design, self.method, sizes=sizes, **options)
        self.statistics_, self.p_values_ = tests.overall, tests.overall_p
        self.p_adjusted_ = self._adjusted(tests)
        self.log2_fold_changes_ = tests.effects * to_log2(X, self.method, self.layer)
        self.support_ = self._choice()
        warn_nothing_kept(self)
        return self

    def _check_options(self):
        check_choice("method", self.method, METHODS)
        check_choice("direction", self.direction, DIRECTIONS)
        check_choice("adjust", self.adjust, ("bh", "by", "holm"))
        if self.n_genes is not None:
            check_number("n_genes", self.n_genes, least=1, whole=True)
        if self.alpha is not None:
            check_number("alpha", self.alpha, above=0, most=1)
        check_number("min_log2_fold_change", self.min_log2_fold_change, least=0)

    def _design(self, X, y, n_samples, batch, covariates):
        y = np.asarray(y)
        y = y.ravel() if y.shape == (n_samples, 1) else y
        if y.shape != (n_samples,):
            raise ValueError(f"y must hold one label a sample: got shape {y.shape}.")
        if pd.isna(y).any():
            raise ValueError(f"y is missing for {int(pd.isna(y).sum())} of {n_samples} samples.")
        keys = self.covariate_keys
        beside = nuisance_columns(X, n_samples, self.batch_key, keys, batch, covariates)
        if beside.shape[1] and self.method not in ADJUSTED:
            raise ValueError(
                f"method={self.method!r} cannot adjust for batches or covariates; use one of "
                f"{name_some(ADJUSTED)}."
            )
        if is_continuous(y):
            refuse_slope(self.method, "y")
            return slope_design(y, beside)
        design = group_design(y, beside)
        if len(design.levels) > 2 and self.direction != "both":
            raise ValueError(
                f"direction={self.direction!r} speaks of two classes, y has {len(design.levels)}; "
                "use direction='both'."
            )
        return design

    def _adjusted(self, tests):
        if self.method == "wald" and self.independent_filtering and self.adjust == "bh":
            alpha = 0.1 if self.alpha is None else self.alpha
            return filtered_adjustment(tests.overall_p, tests.means, alpha)
        return adjust_p_values(tests.overall_p, self.adjust)

    def _choice(self):
        changes = self.log2_fold_changes_
        size = np.abs(changes).max(axis=0)
        tested = ~np.isnan(self.p_values_)
        passed = tested & (size >= self.min_log2_fold_change)
        if self.direction != "both":
            passed &= (changes[0] > 0) if self.direction == "up" else (changes[0] < 0)
        if self.alpha is not None:
            passed &= self.p_adjusted_ <= self.alpha
        elif self.n_genes is None:
            passed &= size > 0
        if self.n_genes is None:
            return passed
        chosen = ranked(np.where(passed, _evidence(self.p_values_, self.statistics_), -np.inf))
        support = np.zeros(len(passed), dtype=bool)
        support[chosen[: self.n_genes]] = True
        return support & passed

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        checks = input_options(self.method)
        tags.input_tags.allow_nan = checks["allow_nan"]
        tags.input_tags.positive_only = checks["counts"]
        tags.target_tags.required = True
        return tags


def _evidence(p_values, statistics):
    """Return what ranks genes: -log p, and the statistic where p is too small to tell."""
    size = np.minimum(np.abs(statistics), 1e300)
    small = p_values < _SMALLEST
    return np.where(small, size - np.log(_SMALLEST), -np.log(np.maximum(p_values, _SMALLEST)))
