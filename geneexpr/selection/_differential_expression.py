"""Differential expression as a table."""

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd

from .._base import GeneEstimator
from .._containers import annotation, categories, levels_of, name_some, scale_of
from .._validation import (
    GeneExpressionWarning,
    check_choice,
    check_input,
    check_keys,
    check_number,
    labels_of,
)
from ..stats._multiple_testing import METHODS as ADJUSTMENTS
from ..stats._multiple_testing import adjust_p_values, max_t
from ..stats._wald import filtered_adjustment
from ._corrected import warn_corrected
from ._sample_sizes import sizes_of
from ._tests_of_genes import (
    ADJUSTED,
    METHODS,
    OF_COUNTS,
    REST,
    group_design,
    input_options,
    is_continuous,
    nuisance_columns,
    refuse_slope,
    run_tests,
    slope_design,
)

OPTIONS = {
    "trend": (False, ("moderated_t", "voom")),
    "robust": (False, ("moderated_t", "voom")),
    "library_size": (None, OF_COUNTS),
    "lfc_threshold": (0.0, ADJUSTED),
    "cooks_cutoff": (True, ("wald",)),
    "independent_filtering": (True, ("wald",)),
    "alpha": (0.1, ("wald",)),
}
"""The default of each option that some methods take, and these."""


def differential_expression(
    X,
    condition,
    *,
    method="moderated_t",
    reference=None,
    covariate_keys=(),
    batch_key=None,
    adjust="bh",
    layer=None,
    trend=False,
    robust=False,
    library_size=None,
    cooks_cutoff=True,
    independent_filtering=True,
    alpha=0.1,
    lfc_threshold=0.0,
    n_permutations=1000,
    random_state=0,
):
    """Test every gene for a difference between the levels of a condition.

    One row fold over the samples (moderated and Welch's t; four for voom; peak memory one block
    and a few numbers a gene), or blocks of genes over all samples (Wilcoxon; Wald, twice).

    Parameters
    ----------
    X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)
        Expression on a log scale (base 2, or the base in ``uns["log1p"]``); counts for voom
        and Wald.
    condition : str or array-like of shape (n_samples,)
        The name of an annotation that X carries, or a label for every sample. Of numbers with
        fractions, or of which most occur once (a dose, ages), the slope is tested, by
        ``"moderated_t"``, ``"voom"`` or ``"wald"``; to compare them as levels, give a
        `reference` or make them categorical.
    method : {"moderated_t", "voom", "wald", "welch_t", "wilcoxon"}, default="moderated_t"
        limma's t with the residual variance squeezed towards that of all genes [1]_; the same
        for counts, weighted by the precision that their mean gives them [3]_; DESeq2's Wald
        test of counts, a negative binomial regression with dispersions that are shrunken
        towards their trend, fold changes not shrunken [4]_; Welch's t; Wilcoxon's
        rank sum test (normal approximation, corrected for ties).
    reference : level, optional
        The baseline, by default the first category (the first level in sorted order where
        the condition is not categorical). ``"rest"`` compares each level with all other
        samples (Welch's t and Wilcoxon), as is usual for clusters of cells.
    covariate_keys : sequence of str, default=()
        Annotations to adjust for; for ``"moderated_t"``, ``"voom"`` and ``"wald"``.
    batch_key : str, optional
        The annotation that names the batch, likewise. A batch in the design is the right way
        to test data of several batches, not data corrected beforehand.
    adjust : {"bh", "by", "holm", "max_t"}, default="bh"
        The adjustment for many genes, in every contrast of its own: Benjamini and Hochberg,
        Benjamini and Yekutieli, Holm, or Westfall and Young's maximum t over permutations of
        the labels (within batches).
    layer : str, optional
        The layer of an AnnData to test in place of ``X``.
    trend, robust : bool, default=False
        Options of the moderated t and of voom: a prior variance that follows mean expression,
        and one that genes of outlying variance do not set [2]_.
    library_size : str or array-like of shape (n_samples,), optional
        For voom: effective library sizes (such as sums of counts times TMM factors), or the
        annotation that holds them. By default the sums of counts. For Wald: size factors on any
        scale, by default medians of ratios.
    cooks_cutoff : bool, default=True
        For Wald: the p-value is NaN where a count lies too far from its replicates (by Cook's
        distance) and there are too few of these, 3 to 6, to replace it. With 7 replicates or
        more such counts are replaced in any case.
    independent_filtering : bool, default=True
        For Wald with ``adjust="bh"``: leave genes of low mean out of the adjustment, as many as
        pays off at ``alpha``; their ``p_adjusted`` is NaN.
    alpha : float, default=0.1
        For Wald: the false discovery rate for which the filter is chosen.
    lfc_threshold : float, default=0
        For ``"moderated_t"``, ``"voom"`` and ``"wald"``: test whether the absolute log2 fold
        change is above this (limma's ``treat`` [5]_; DESeq2's ``greaterAbs``).
    n_permutations : int, default=1000
        For ``adjust="max_t"``, the observed labels included.
    random_state : int, default=0
        For ``adjust="max_t"``.

    Returns
    -------
    DataFrame
        Indexed by gene; for more than two levels one block of rows a contrast, named in the
        column ``contrast``. The other columns: ``log2_fold_change`` (level minus reference, or
        of one unit of a continuous condition; base 2), ``mean_expression`` (over all samples, as
        X is; for Wald of counts divided by size factors, outliers replaced), ``std_error`` (of
        the fold change; Welch's for Wilcoxon), ``statistic``, ``p_value``, ``p_adjusted``. A
        gene whose missing values leave nothing to test is NaN there; a constant gene has a
        p-value of 1.
        For Wald a gene without counts is NaN throughout, one with an outlying count in its
        p-values, one below the filter in ``p_adjusted``.

    Warns
    -----
    BatchWarning
        Where an AnnData or DataFrame was corrected for batches before: the p-values are then
        too small (11 % false positives at 5 % where the condition is spread 80/20 over the
        batches). An array does not tell.
    GeneExpressionWarning
        For Wald: the number of genes whose p-value is NaN for an outlying count.
    TrendWarning
        For Wald: where no trend of the dispersion over the mean is found.
    ScaleWarning
        For raw counts or intensities where a log scale is expected, and the other way round.

    Raises
    ------
    ValueError
        For a condition of one level, a missing label, a level that is confounded with
        batches or covariates, too few replicates, and an option that the method does not take.

    References
    ----------
    .. [1] Smyth (2004), "Linear models and empirical Bayes methods for assessing differential
       expression in microarray experiments", doi:10.2202/1544-6115.1027.
    .. [2] Phipson et al. (2016), doi:10.1214/16-AOAS920.
    .. [3] Law, Chen, Shi, Smyth (2014), "voom: precision weights unlock linear model analysis
       tools for RNA-seq read counts", doi:10.1186/gb-2014-15-2-r29.
    .. [4] Love, Huber, Anders (2014), "Moderated estimation of fold change and dispersion for
       RNA-seq data with DESeq2", doi:10.1186/s13059-014-0550-8.
    .. [5] McCarthy, Smyth (2009), "Testing significance relative to a fold-change threshold is
       a TREAT", doi:10.1093/bioinformatics/btp053.

    Examples
    --------
    >>> import pandas as pd
    >>> from geneexpr import differential_expression
    >>> X = pd.DataFrame({"MYC": [1.0, 1.5, 4.0, 4.5], "ACTB": [9.0, 8.0, 9.5, 8.5]})
    >>> table = differential_expression(X, ["control", "control", "case", "case"],
    ...                                 reference="control")
    >>> table["log2_fold_change"]
    gene
    MYC     3.0
    ACTB    0.5
    Name: log2_fold_change, dtype: float64
    """
    given = {
        "trend": trend,
        "robust": robust,
        "library_size": library_size,
        "lfc_threshold": lfc_threshold,
        "cooks_cutoff": cooks_cutoff,
        "independent_filtering": independent_filtering,
        "alpha": alpha,
    }
    _check_options(method, adjust, given, batch_key, covariate_keys, n_permutations)
    warn_corrected(X, layer)
    of = _Genes()
    matrix = check_input(of, X, reset=True, layer=layer, **input_options(method))
    beside = nuisance_columns(X, matrix.shape[0], batch_key, covariate_keys)
    labels, levels = _labels(X, condition)
    if levels is None and reference is None and is_continuous(labels):
        _check_slope(method, adjust)
        design = slope_design(labels, beside)
    else:
        design = group_design(labels, beside, reference, levels)
    to_base_2 = to_log2(X, method, layer)
    options = {
        "trend": trend,
        "robust": robust,
        "sizes": sizes_of(X, library_size),
        "lfc_threshold": lfc_threshold / to_base_2,
        "flag_outliers": cooks_cutoff,
    }

    def test(design):
        return run_tests(matrix, design, method, **options)

    tests = test(design)
    if adjust == "max_t":
        strata = labels_of(X, batch_key)
        designs = _permuted(design, strata, n_permutations, random_state)
        adjusted = _max_t(tests, [np.abs(test(d).statistics) for d in designs])
    elif method == "wald" and independent_filtering and adjust == "bh":
        adjusted = np.stack([filtered_adjustment(p, tests.means, alpha) for p in tests.p_values])
    else:
        adjusted = np.stack([adjust_p_values(p, adjust) for p in tests.p_values])
    if method == "wald" and cooks_cutoff:
        _warn_outliers(tests)
    return _table(of, tests, adjusted, design, to_base_2)


class _Genes(GeneEstimator):
    """Holds the names of the genes of a table."""

    called = "differential_expression"


def _check_options(method, adjust, given, batch_key, covariate_keys, n_permutations):
    """Raise for an option that has no such value, or that a method does not take."""
    check_choice("method", method, METHODS)
    check_choice("adjust", adjust, ADJUSTMENTS)
    check_keys("covariate_keys", covariate_keys)
    adjusting = batch_key is not None or len(covariate_keys)
    if adjusting and method not in ADJUSTED:
        raise ValueError(
            f"method={method!r} cannot adjust for batches or covariates; use one of "
            f"{name_some(ADJUSTED)}."
        )
    for name, (default, methods) in OPTIONS.items():
        value = given[name]
        changed = value is not None if default is None else value != default
        if changed and method not in methods:
            raise ValueError(
                f"method={method!r} does not take {name}=, which is an option of "
                f"{name_some(methods)}: leave it out, or choose one of these."
            )
    check_number("alpha", given["alpha"], above=0, below=1)
    check_number("lfc_threshold", given["lfc_threshold"], least=0, below=np.inf)
    if adjust == "max_t":
        _check_permutable(method, given["lfc_threshold"], len(covariate_keys))
    check_number("n_permutations", n_permutations, least=1, whole=True)


def _check_slope(method, adjust):
    refuse_slope(method, "condition")
    if adjust == "max_t":
        raise ValueError(
            "adjust='max_t' permutes levels, but condition is continuous; use adjust='holm'."
        )


def _check_permutable(method, lfc_threshold, n_covariates):
    if n_covariates:
        raise ValueError(
            "adjust='max_t' permutes labels, which is not exact beside covariates; use 'holm'."
        )
    if method == "wald":
        raise ValueError(
            "adjust='max_t' would fit every gene again for each permutation of method='wald'; use "
            "'holm' for the family-wise error, or method='voom'."
        )
    if lfc_threshold:
        raise ValueError(
            "adjust='max_t' permutes labels, after which no gene has a fold change of "
            f"lfc_threshold={lfc_threshold!r}; use 'holm'."
        )


def _warn_outliers(tests):
    n = int((np.isnan(tests.p_values) & ~np.isnan(tests.statistics)).any(axis=0).sum())
    if n:
        warnings.warn(
            f"{n} of {len(tests.means)} genes have a count that lies too far from its replicates: "
            "their p_value is NaN. Look at them; cooks_cutoff=False tests them all the same.",
            GeneExpressionWarning,
            stacklevel=3,
        )


def _labels(X, condition):
    """Return the labels and, of categories, the levels that occur, in their order."""
    named = isinstance(condition, str)
    labels = annotation(X, condition) if named else condition
    levels = categories(X, condition) if named else levels_of(condition)
    labels = labels_of(X, None, labels, given_name="condition")
    if levels is None:
        return labels, None
    there = set(labels.tolist())
    return labels, [level for level in levels if level in there]


def _permuted(design, strata, n_permutations, random_state):
    """Yield the design, then designs with labels permuted within the strata."""
    rng = np.random.default_rng(random_state)
    strata = np.zeros(len(design.codes)) if strata is None else np.asarray(strata)
    members = [np.flatnonzero(strata == stratum) for stratum in pd.unique(strata)]
    yield design
    for _ in range(n_permutations - 1):
        codes = design.codes.copy()
        for rows in members:
            codes[rows] = rng.permutation(codes[rows])
        yield replace(design, codes=codes)


def _max_t(tests, permuted):
    observed = np.abs(tests.statistics)
    return np.stack([max_t(o, [p[i] for p in permuted]) for i, o in enumerate(observed)])


def to_log2(X, method, layer):
    """Return what turns differences of X into base 2: scanpy logs to base e."""
    scale = None if layer is not None or method in OF_COUNTS else scale_of(X)
    if scale is None:
        return 1.0
    return 1 / np.log(2) if scale.get("base") is None else float(np.log2(scale["base"]))


def _table(of, tests, adjusted, design, to_log2):
    names = getattr(of, "feature_names_in_", None)
    genes = pd.Index(np.arange(of.n_features_in_) if names is None else names, name="gene")
    tables = []
    for i, contrast in enumerate(design.contrasts):
        table = pd.DataFrame(
            {
                "log2_fold_change": tests.effects[i] * to_log2,
                "mean_expression": tests.means,
                "std_error": tests.std_errors[i] * to_log2,
                "statistic": tests.statistics[i],
                "p_value": tests.p_values[i],
                "p_adjusted": adjusted[i],
            },
            index=genes,
        )
        if len(design.contrasts) > 1:
            level, baseline = (design.levels[int(f(contrast))] for f in (np.argmax, np.argmin))
            baseline = REST if design.against_rest else baseline
            table.insert(0, "contrast", f"{level} - {baseline}")
        tables.append(table)
    return tables[0] if len(tables) == 1 else pd.concat(tables)
