"""Variance-stabilised counts: the blind transformation of DESeq2, frozen."""

import operator
import warnings
from functools import partial

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .._blocks import fold, gene_blocks
from .._validation import TrendWarning, check_choice, check_number
from ..stats._dispersion import (
    gene_dispersions,
    mean_trend,
    parametric_trend,
    spread_over_means,
    stabilised,
    unstabilised,
)
from ..stats._library_size import gene_sums, times_rows
from ._median_of_ratios import METHODS, MedianRatioNormalizer, divided

FIT_TYPES = ("parametric", "mean")
FEW_SAMPLES, FEW_GENES = 10, 100
USABLE_DISPERSION = 1e-6


def normalised_sums(block, factors):
    """Sum the normalised counts of every gene."""
    if hasattr(block, "tocsr"):
        return gene_sums(divided(block.astype(np.float64), factors))
    return (1 / factors) @ block


def some_columns(block, columns):
    """Return some genes of a block, in a list, dense."""
    return [_dense(block[:, columns])]


class VarianceStabilizer(MedianRatioNormalizer):
    """Counts on a scale like log2 on which the standard deviation hardly depends on the mean.

    DESeq2's blind variance stabilising transformation. With the dispersion modelled as
    ``a + e / mean`` and the normalised count q, the value is
    ``log2((1 + e + 2aq + 2 sqrt(aq (1 + e + aq))) / 4a)``. `fit` freezes the geometric means
    behind the size factors and the trend (a, e); both treat a new sample alone. For clustering,
    PCA and learning on bulk counts; tests of counts want the counts.

    Row-independent; the result is dense. ``fit`` is three row folds (geometric means, size
    factors, means) and the dispersions of ``n_sub`` genes; with ``n_sub=None`` of all genes, in
    gene blocks over all rows. Counts are expected to be whole numbers; others warn, and the
    likelihood takes them as they are.

    Parameters
    ----------
    fit_type : {"parametric", "mean"}, default="parametric"
        The trend of the dispersion over the mean; "mean" is one dispersion for all genes
        (e = 0). Where the parametric fit fails, the mean is used, with a warning.
    n_sub : int or None, default=1000
        Fit the trend to so many genes, evenly spread over the ranks of the means above 5
        (R's ``vst``). None, or where there are fewer: to all genes (R's
        ``varianceStabilizingTransformation``).
    size_factor_method : {"ratio", "poscounts"}, default="ratio"
        As the method of `MedianOfRatiosNormalizer`.

    Attributes
    ----------
    asymptotic_dispersion_, extra_poisson_ : float
        The trend, a and e.
    fit_type_ : {"parametric", "mean"}
        The fit used.
    log_geometric_means_ : array of shape (n_genes,)
        Natural logarithms of the reference of the size factors.
    size_factors_ : array of shape (n_samples,)
        Size factors of the training samples.
    median_size_factor_ : float
        Their median, for `inverse_transform`.
    n_features_in_ : int
        Number of genes seen in `fit`.
    feature_names_in_ : array of shape (n_genes,)
        Their names, if they have names.

    Raises
    ------
    ValueError
        Where every gene has a zero (``size_factor_method="ratio"``), and for a sample with no
        counts in the genes of the reference.

    Warns
    -----
    TrendWarning
        Below 10 samples or 100 usable genes: the trend then moves strongly with the samples.

    See Also
    --------
    MedianOfRatiosNormalizer : The size factors alone.

    References
    ----------
    .. [1] Anders, Huber (2010), "Differential expression analysis for sequence count data",
       doi:10.1186/gb-2010-11-10-r106.
    .. [2] Love, Huber, Anders (2014), "Moderated estimation of fold change and dispersion for
       RNA-seq data with DESeq2", doi:10.1186/s13059-014-0550-8.

    Examples
    --------
    >>> import numpy as np
    >>> from geneexpr import VarianceStabilizer
    >>> rng = np.random.default_rng(0)
    >>> mean = rng.gamma(1, 200, size=300)
    >>> counts = rng.poisson(mean * rng.gamma(5, 0.2, size=(20, 300))).astype(float)
    >>> model = VarianceStabilizer(fit_type="mean").fit(counts)
    >>> round(model.asymptotic_dispersion_, 1)
    0.2
    >>> model.transform(counts).shape
    (20, 300)
    """

    _min_samples = 2
    _method_parameter = "size_factor_method"

    def __init__(self, *, fit_type="parametric", n_sub=1000, size_factor_method="ratio"):
        self.fit_type = fit_type
        self.n_sub = n_sub
        self.size_factor_method = size_factor_method

    @property
    def dispersion_function_(self):
        """The learned trend: a function of mean normalised counts."""
        check_is_fitted(self)
        return partial(_trend, asymptotic=self.asymptotic_dispersion_, extra=self.extra_poisson_)

    def _learn_sizes(self, X, matrix):
        check_choice("fit_type", self.fit_type, FIT_TYPES)
        check_choice("size_factor_method", self.size_factor_method, METHODS)
        if self.n_sub is not None:
            check_number("n_sub (where it is not None)", self.n_sub, least=2, whole=True)
        self._learn_size_factors(matrix, self.size_factor_method)
        self._fit_trend(*self._dispersions(matrix))
        return self.size_factors_

    def _dispersions(self, matrix):
        """Return means and dispersions of the chosen genes."""
        factors, genes = self.size_factors_, None
        if self.n_sub is not None and matrix.shape[1] > self.n_sub:
            sums = fold(matrix, normalised_sums, operator.add, factors)
            genes = spread_over_means(sums / matrix.shape[0], self.n_sub)
        if genes is not None:
            chosen = fold(matrix, partial(some_columns, columns=genes), operator.add)
            return gene_dispersions(np.concatenate(chosen), factors)
        parts = [gene_dispersions(block, factors) for _, block in gene_blocks(matrix)]
        return tuple(np.concatenate(part) for part in zip(*parts, strict=True))

    def _fit_trend(self, means, dispersions):
        n_usable = int((dispersions > USABLE_DISPERSION).sum())
        if len(self.size_factors_) < FEW_SAMPLES or n_usable < FEW_GENES:
            self._warn(
                f"fits the trend of the dispersion to {len(self.size_factors_)} samples and "
                f"{n_usable} genes with a dispersion; below {FEW_SAMPLES} samples or "
                f"{FEW_GENES} genes it moves strongly from one set of samples to the next."
            )
        self.fit_type_ = self.fit_type
        if self.fit_type == "parametric":
            trend = parametric_trend(means, dispersions)
            if trend is not None:
                self.asymptotic_dispersion_, self.extra_poisson_ = trend
                return
            self._warn(
                "found no parametric trend of the dispersion (the fit did not converge to "
                "positive coefficients): it uses the mean dispersion instead, as "
                "fit_type='mean' does."
            )
            self.fit_type_ = "mean"
        self.asymptotic_dispersion_, self.extra_poisson_ = mean_trend(dispersions), 0.0

    def _warn(self, what):
        warnings.warn(f"{type(self).__name__} {what}", TrendWarning, stacklevel=5)

    def _scale_function(self):
        return partial(stabilised_counts, trend=(self.asymptotic_dispersion_, self.extra_poisson_))

    def _unscale_function(self):
        return partial(
            unstabilised_counts, trend=(self.asymptotic_dispersion_, self.extra_poisson_)
        )

    def _output(self):
        return {"sparse": False}


def stabilised_counts(block, factors, trend):
    """Divide the rows by their size factors and stabilise their variance."""
    return stabilised(divided(_dense(block), factors), *trend)


def unstabilised_counts(block, factors, trend):
    """Invert `stabilised_counts`."""
    return times_rows(unstabilised(_dense(block), *trend), factors)


def _dense(block):
    return block.toarray() if hasattr(block, "tocsr") else block


def _trend(means, *, asymptotic, extra):
    return asymptotic + extra / np.asarray(means, dtype=np.float64)
