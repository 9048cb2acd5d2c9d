"""The genes that vary most over the training samples."""

import warnings

import numpy as np

from .._base import GeneSelector
from .._blocks import fold, gene_blocks
from .._validation import check_choice, check_number, warn_nothing_kept
from ..stats._moments import merge_moments, summarise_batches

TIE = 1e-10
"""Scores closer than this, relatively, are equal."""

METHODS = ("variance", "mad", "iqr", "dispersion")


def gene_variance(moments):
    """Return the unbiased variance of every gene; exactly 0 where it is constant.

    Parameters
    ----------
    moments : BatchMoments
        Of all samples as one batch.

    Returns
    -------
    array of shape (n_genes,)
    """
    free = np.maximum(moments.counts[0] - 1, 1)
    constant = moments.minima[0] >= moments.maxima[0]
    return np.where(constant, 0.0, moments.squares[0] / free)


def gene_dispersion(moments):
    """Return variance over mean of every gene, 0 where the mean is 0.

    Parameters
    ----------
    moments : BatchMoments
        Of all samples as one batch; no gene may have a negative value.

    Returns
    -------
    array of shape (n_genes,)
    """
    variance, mean = gene_variance(moments), moments.means[0]
    return np.divide(variance, mean, out=np.zeros_like(variance), where=mean > 0)


def median_absolute_deviation(block):
    """Return the median absolute deviation from the median of every gene, not scaled.

    Parameters
    ----------
    block : array of shape (n_samples, n_genes)

    Returns
    -------
    array of shape (n_genes,)

    Examples
    --------
    >>> import numpy as np
    >>> median_absolute_deviation(np.array([[1.0], [2.0], [4.0]]))
    array([1.])
    """
    return np.nanmedian(np.abs(block - np.nanmedian(block, axis=0)), axis=0)


def interquartile_range(block):
    """Return the interquartile range of every gene (quantiles of type 7, as numpy's and R's).

    Parameters
    ----------
    block : array of shape (n_samples, n_genes)

    Returns
    -------
    array of shape (n_genes,)

    Examples
    --------
    >>> import numpy as np
    >>> interquartile_range(np.array([[1.0], [2.0], [4.0]]))
    array([1.5])
    """
    lower, upper = np.nanquantile(block, [0.25, 0.75], axis=0)
    return upper - lower


class VarianceFilter(GeneSelector):
    """Keep the genes that vary most.

    Row-independent at ``transform``. ``fit`` with ``"variance"`` and ``"dispersion"`` is one
    row fold: on CSR one pass over the non-zeros, never dense. ``"mad"`` and ``"iqr"`` go over
    blocks of genes with all their rows (128 MiB at a time).

    Parameters
    ----------
    n_genes : int, optional
        How many genes to keep; all, if there are fewer. Ties go to the gene that comes first.
    threshold : float, optional
        Keep genes above it. With neither, constant genes are dropped; with both, both hold.
    method : {"variance", "mad", "iqr", "dispersion"}, default="variance"
        Unbiased variance, median absolute deviation (not scaled), interquartile range, or
        variance over mean (for counts and other values that are not negative).
    layer : str, optional
        The layer of an AnnData to judge by, instead of ``X``.

    Attributes
    ----------
    scores_ : array of shape (n_genes,)
        The measure of every gene; NaN where all its values are missing.
    support_ : array of bool of shape (n_genes,)
        Genes that are kept.
    n_features_in_ : int
        Number of genes seen in `fit`.
    feature_names_in_ : array of shape (n_genes,)
        Their names, if they have names.

    Notes
    -----
    Missing values are left out gene by gene.

    Raises
    ------
    ValueError
        For infinite values, fewer than two samples, and negative values with
        ``method="dispersion"``.

    Examples
    --------
    >>> import pandas as pd
    >>> from geneexpr import VarianceFilter
    >>> X = pd.DataFrame({"ACTB": [9.0, 9.0], "MYC": [2.0, 6.0], "TP53": [4.0, 5.0]})
    >>> VarianceFilter(n_genes=1).fit_transform(X)
       MYC
    0  2.0
    1  6.0
    """

    def __init__(self, n_genes=None, *, threshold=None, method="variance", layer=None):
        self.n_genes = n_genes
        self.threshold = threshold
        self.method = method
        self.layer = layer

    def fit(self, X, y=None):
        """Learn how much every gene varies.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)
        y : None
            Ignored.

        Returns
        -------
        self
        """
        check_choice("method", self.method, METHODS)
        if self.n_genes is not None:
            check_number("n_genes", self.n_genes, least=1, whole=True)
        if self.threshold is not None:
            check_number("threshold", self.threshold, least=-np.inf)
        matrix = self._check(X, reset=True, allow_nan=True, min_samples=2, layer=self.layer)
        self.scores_ = self._score(matrix)
        self.support_ = _most(self.scores_, self.n_genes, self.threshold)
        warn_nothing_kept(self)
        return self

    def _score(self, matrix):
        if self.method in ("mad", "iqr"):
            measure = median_absolute_deviation if self.method == "mad" else interquartile_range
            with warnings.catch_warnings():
                # A gene without any value has no score, which the attribute's docstring says.
                warnings.filterwarnings("ignore", "All-NaN slice", RuntimeWarning)
                return np.concatenate([measure(block) for _, block in gene_blocks(matrix)])
        moments = fold(
            matrix,
            lambda block: summarise_batches(block, np.zeros(block.shape[0], dtype=int), 1),
            merge_moments,
        )
        if self.method == "variance":
            return gene_variance(moments)
        if moments.minima.min() < 0:
            raise ValueError(
                'Negative values in data passed to VarianceFilter(method="dispersion"): variance '
                'over mean is for counts; use method="variance" for logged or centred values.'
            )
        return gene_dispersion(moments)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.positive_only = self.method == "dispersion"
        return tags


def _most(scores, n_genes, threshold):
    """Mark the genes of highest score; of equal ones, those that come first."""
    scores = np.where(np.isnan(scores), -np.inf, scores)
    if threshold is not None:
        passed = scores > threshold
    elif n_genes is None:
        passed = scores > 0
    else:
        passed = np.ones(len(scores), dtype=bool)
    if n_genes is None:
        return passed
    support = np.zeros(len(scores), dtype=bool)
    support[ranked(scores)[:n_genes]] = True
    return support & passed


def ranked(scores):
    """Rank genes by falling score; scores equal but for rounding keep the genes' order.

    Equal genes of a count matrix get scores that differ in the last bits with the order in
    which they were summed (dense, sparse, on disk); the choice must not.
    """
    order = np.argsort(-scores, kind="stable")
    falling = scores[order]
    with np.errstate(invalid="ignore"):  # -inf less -inf, of genes without a score
        steps = falling[:-1] - falling[1:] > TIE * np.abs(falling[:-1])
    tied = np.concatenate([[0], np.cumsum(steps)])
    return order[np.lexsort((order, tied))]
