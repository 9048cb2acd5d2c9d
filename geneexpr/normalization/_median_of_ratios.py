"""Median of ratios: the size factors of DESeq2, with frozen geometric means."""

import operator
import warnings
from functools import partial

import numpy as np
import pandas as pd

from .._blocks import fold
from .._containers import gene_annotation, name_some
from .._validation import TrendWarning, check_choice, warn_zero_depth
from ..stats._library_size import library_sizes, times_rows
from ..stats._median_of_ratios import log_count_sums, log_geometric_means, median_ratios
from ._base import SizeFactorNormalizer, collect

METHODS = ("ratio", "poscounts")
SMALL_PANEL = 10
"""Up to so many genes a zero in each is no sign of a sparse matrix, and no reason to fail."""


def divided(matrix, factors):
    """Divide the rows of an array or CSR matrix."""
    factors = factors.astype(matrix.dtype)
    if hasattr(matrix, "tocsr"):
        result = matrix.copy()
        result.data /= np.repeat(factors, np.diff(matrix.indptr))
        return result
    return matrix / factors[:, None]


def factors_of_block(block, log_means, name, option="method"):
    """Return the size factors of a block of rows; 1 where there are no counts at all."""
    factors = median_ratios(block, log_means)
    undefined = np.isnan(factors)
    if undefined.any():
        depths = library_sizes(block)
        warn_zero_depth(depths, name)
        _refuse(undefined & (depths > 0), name, int(np.isfinite(log_means).sum()), option)
        factors[undefined] = 1.0
    return factors


def _refuse(lost, name, n_reference, option):
    if lost.any():
        raise ValueError(
            f"{name} finds no size factor for {int(lost.sum())} of {len(lost)} samples (row "
            f"{name_some(np.flatnonzero(lost))}): they have no counts in any of the "
            f"{n_reference} genes of the reference. Drop these samples, or fit with "
            f"{option}='poscounts', whose reference has more genes."
        )


def learn_log_means(matrix, method, control, name, option="method"):
    """Return the log geometric means (minus infinity: not compared) and the method used."""
    sums = fold(matrix, log_count_sums, operator.add)
    if control is not None:
        sums[:2, ~control] = 0
    n = matrix.shape[1] if control is None else int(control.sum())
    of = "genes" if control is None else "control genes"
    log_means = log_geometric_means(sums, method)
    if method == "ratio" and n <= SMALL_PANEL and sums[1].any() and not _any_finite(log_means):
        warnings.warn(
            f"{name}: each of {n} {of} has a zero in at least one sample; with so few the "
            f"geometric means are those of {option}='poscounts'.",
            TrendWarning,
            stacklevel=5,
        )
        method, log_means = "poscounts", log_geometric_means(sums, "poscounts")
    if not _any_finite(log_means):
        what = f"none of {n} {of} has a count in any sample. Give counts."
        if sums[1].any():
            what = _why_no_gene(collect(matrix, library_sizes), f"{n} {of}", option)
        raise ValueError(f"{name} cannot compute geometric means: {what}")
    return log_means, method


def _why_no_gene(depths, genes, option):
    """Say which samples leave no gene with a count in every sample, and the ways out."""
    empty = np.flatnonzero(depths == 0)
    if len(empty):
        return (
            f"{len(empty)} of {len(depths)} samples have no counts at all (row "
            f"{name_some(empty)}), so none of {genes} has a count in every sample. Drop these "
            f"samples, or fit with {option}='poscounts'."
        )
    return (
        f"each of {genes} has a zero in at least one sample, as is usual in sparse data (single "
        f"cells). Fit with {option}='poscounts', which needs one count in a gene only."
    )


def _any_finite(values):
    return np.isfinite(values).any()


def control_mask(estimator, X, control_genes):
    """Return a bool a gene: those named in ``control_genes``, or None for all."""
    if control_genes is None:
        return None
    n = estimator.n_features_in_
    if isinstance(control_genes, str):
        return np.asarray(gene_annotation(X, control_genes)).astype(bool)
    given = np.asarray(control_genes)
    if not given.size or (given.dtype == bool and not given.any()):
        raise ValueError("control_genes names no gene; None stands for all of them.")
    names = getattr(estimator, "feature_names_in_", None)
    if names is not None:
        given = given.astype(str)
        missing = given[~np.isin(given, names.astype(str))]
        if len(missing):
            raise ValueError(
                f"control_genes are not among the genes of X: {name_some(missing)}. Drop them, or "
                "give the names that X has."
            )
        return np.asarray(pd.Index(names.astype(str)).isin(given))
    mask = np.zeros(n, dtype=bool)
    if given.dtype != bool and not np.issubdtype(given.dtype, np.integer):
        raise ValueError(
            "control_genes are names, but X has no gene names. Give X as a DataFrame or an "
            "AnnData, or control_genes as positions of columns."
        )
    is_mask = given.dtype == bool
    if (is_mask and given.shape != (n,)) or (not is_mask and ((given < 0) | (given >= n)).any()):
        raise ValueError(
            f"control_genes do not fit the {n} genes of X: give positions from 0 to {n - 1}, or a "
            "bool for each."
        )
    mask[given] = True
    return mask


class MedianRatioNormalizer(SizeFactorNormalizer):
    """Base of all with DESeq2's size factors: learns them, `inverse_transform` takes them."""

    _method_parameter = "method"

    def inverse_transform(self, X, *, size_factors=None):
        """Bring normalised values back to counts.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)
            Values that ``transform`` gives.
        size_factors : float or array-like of shape (n_samples,), optional
            What ``transform`` divided by; by default the median of the training samples.

        Returns
        -------
        container like X, of shape (n_samples, n_genes)
            Expected counts, not rounded.
        """
        return self._unscaled(
            X, "size_factors", size_factors, self.median_size_factor_, positive=True
        )

    def _learn_size_factors(self, matrix, method, control=None):
        """Learn geometric means and size factors; return the method used."""
        self.log_geometric_means_, method = learn_log_means(
            matrix, method, control, type(self).__name__, self._method_parameter
        )
        self.size_factors_ = collect(matrix, self._size_function())
        self.median_size_factor_ = float(np.median(self.size_factors_))
        return method

    def _size_function(self):
        return partial(
            factors_of_block,
            log_means=self.log_geometric_means_,
            name=type(self).__name__,
            option=self._method_parameter,
        )


class MedianOfRatiosNormalizer(MedianRatioNormalizer):
    """Divide every sample by its median ratio to the geometric means of the training samples.

    The size factors of DESeq2. `fit` freezes the geometric means, so a new sample is compared
    with the training samples and never with those that come with it; new size factors are not
    centred again. Robust where few genes change; unfit where most genes do, or where most
    counts are zero (single cells).

    Row-independent; sparse input stays sparse. ``fit`` is two row folds (of the log counts and
    of the size factors), peak memory one block.

    Parameters
    ----------
    method : {"ratio", "poscounts"}, default="ratio"
        "ratio" uses the genes that have a count in every training sample; "poscounts" the
        n-th root of the product of a gene's positive counts, for data with many zeros.
    control_genes : sequence or str, optional
        Genes to compare, by name; a str is a bool column of ``AnnData.var``. For X without
        names: positions, or a bool a column. By default all genes.

    Attributes
    ----------
    log_geometric_means_ : array of shape (n_genes,)
        Natural logarithms of the reference, minus infinity for genes that are no part of it.
    method_ : {"ratio", "poscounts"}
        The method used: "poscounts", with a warning, where each of up to ten genes has a zero.
    size_factors_ : array of shape (n_samples,)
        Size factors of the training samples; 1 for a sample without counts.
    median_size_factor_ : float
        Their median, for `inverse_transform`.
    n_features_in_ : int
        Number of genes seen in `fit`.
    feature_names_in_ : array of shape (n_genes,)
        Their names, if they have names.

    Raises
    ------
    ValueError
        Where each of more than ten genes has a zero (``method="ratio"``), and for a sample that
        has counts, but none in the genes of the reference.

    See Also
    --------
    VarianceStabilizer : The logarithm-like scale that goes with these size factors.

    References
    ----------
    .. [1] Anders, Huber (2010), "Differential expression analysis for sequence count data",
       doi:10.1186/gb-2010-11-10-r106.
    .. [2] Love, Huber, Anders (2014), "Moderated estimation of fold change and dispersion for
       RNA-seq data with DESeq2", doi:10.1186/s13059-014-0550-8.

    Examples
    --------
    >>> import numpy as np
    >>> from geneexpr import MedianOfRatiosNormalizer
    >>> counts = np.array([[10.0, 20.0, 30.0], [40.0, 80.0, 120.0]])
    >>> model = MedianOfRatiosNormalizer().fit(counts)
    >>> model.size_factors_
    array([0.5, 2. ])
    >>> model.transform(counts)
    array([[20., 40., 60.],
           [20., 40., 60.]])
    """

    def __init__(self, *, method="ratio", control_genes=None):
        self.method = method
        self.control_genes = control_genes

    def size_factors(self, X):
        """Return the size factors of any samples, against the frozen geometric means.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)
            Counts.

        Returns
        -------
        array of shape (n_samples,)
        """
        return collect(self._check(X, counts=True), self._size_function())

    def _learn_sizes(self, X, matrix):
        check_choice("method", self.method, METHODS)
        control = control_mask(self, X, self.control_genes)
        self.method_ = self._learn_size_factors(matrix, self.method, control)
        return self.size_factors_

    def _scale_function(self):
        return divided

    def _unscale_function(self):
        return times_rows
