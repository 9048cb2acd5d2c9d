"""Upper-quartile normalisation: library sizes made effective by a quantile of the counts."""

import warnings
from functools import partial

import numpy as np

from .._containers import name_some
from .._validation import ScaleWarning, check_number
from ..stats._library_size import library_sizes
from ..stats._size_factors import upper_quantiles
from ._base import collect
from ._library_size import EffectiveSizeNormalizer
from ._tmm import expressed_genes


def quantile_factors(counts, quantile, genes):
    """Return a quantile of each sample's counts over its library size.

    Parameters
    ----------
    counts : array or CSR matrix of shape (n_samples, n_genes)
    quantile : float
    genes : array of bool of shape (n_genes,)
        Genes that enter.

    Returns
    -------
    array of shape (n_samples,)
        0 for a sample in which this quantile is zero.

    Examples
    --------
    >>> import numpy as np
    >>> quantile_factors(np.array([[1.0, 2.0, 5.0]]), 0.5, np.ones(3, dtype=bool))
    array([0.25])
    """
    quantiles, sizes = upper_quantiles(counts, quantile, genes), library_sizes(counts)
    return np.divide(quantiles, sizes, out=np.zeros(len(sizes)), where=sizes > 0)


def centred_quantile_factors(counts, quantile, genes, center):
    """Return `quantile_factors` over a centre; 1, with a warning, where the quantile is zero.

    Parameters
    ----------
    counts : array or CSR matrix of shape (n_samples, n_genes)
    quantile : float
    genes : array of bool of shape (n_genes,)
    center : float
        Geometric mean of the training factors.

    Returns
    -------
    array of shape (n_samples,)
    """
    raw = quantile_factors(counts, quantile, genes)
    sparse = np.flatnonzero((raw == 0) & (library_sizes(counts) > 0))
    if len(sparse):
        # R gives no number here, for any sample; a geometric mean with a zero has none.
        warnings.warn(
            f"The {quantile:g} quantile of the counts is zero in {len(sparse)} of {len(raw)} "
            f"samples (row {name_some(sparse)}), which are scaled by library size alone. Filter "
            'lowly expressed genes, raise quantile, or use TMMNormalizer("TMMwsp").',
            ScaleWarning,
            stacklevel=5,
        )
    return np.where(raw > 0, raw / center, 1.0)


class UpperQuartileNormalizer(EffectiveSizeNormalizer):
    """Counts per million of the effective library size: upper quartile.

    On the training samples the factors are those of edgeR's ``calcNormFactors`` with
    ``method="upperquartile"``. Row-independent; sparse input stays sparse without ``log``.
    ``fit`` is three row folds, peak memory one block.

    Parameters
    ----------
    quantile : float, default=0.75
        Which quantile, over the genes that some training sample expresses.
    log : bool, default=False
        Give log2 with edgeR's prior count, as `CPMNormalizer`.
    prior_count : float, default=2
        For ``log``.

    Attributes
    ----------
    norm_factors_ : array of shape (n_samples,)
        Factors of the training samples; they multiply to one.
    expressed_genes_ : array of bool of shape (n_genes,)
        Genes whose counts enter the quantile, frozen.
    center_ : float
        Geometric mean of the training factors before they were centred.
    median_library_size_, mean_library_size_ : float
        Of the effective library sizes of the training samples.
    n_features_in_ : int
        Number of genes seen in `fit`.
    feature_names_in_ : array of shape (n_genes,)
        Their names, if they have names.

    Warns
    -----
    ScaleWarning
        If the quantile of a sample is zero: it is scaled by its library size alone, and left
        out of the centre. (edgeR then has no factor for any sample.)

    References
    ----------
    .. [1] Bullard et al. (2010), "Evaluation of statistical methods for normalization and
       differential expression in mRNA-Seq experiments", doi:10.1186/1471-2105-11-94.

    Examples
    --------
    >>> from geneexpr import UpperQuartileNormalizer, make_cohort
    >>> cohort = make_cohort(20, 200, random_state=0)
    >>> model = UpperQuartileNormalizer().fit(cohort)
    >>> print(f"{model.norm_factors_.prod():.3f}")
    1.000
    """

    def __init__(self, quantile=0.75, *, log=False, prior_count=2):
        self.quantile = quantile
        self.log = log
        self.prior_count = prior_count

    def norm_factors(self, X):
        """Return the factors of any samples, on the scale of the training samples.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)
            Counts.

        Returns
        -------
        array of shape (n_samples,)
            Effective library sizes are library sizes times these.
        """
        return collect(self._check(X, counts=True), self._factor_function())

    def _learn_factors(self, matrix, sizes):
        check_number("quantile", self.quantile, above=0, below=1)
        self.expressed_genes_ = expressed_genes(matrix)
        raw = collect(
            matrix, partial(quantile_factors, quantile=self.quantile, genes=self.expressed_genes_)
        )
        self.center_ = float(np.exp(np.log(raw[raw > 0]).mean())) if raw.any() else 1.0
        self.norm_factors_ = collect(matrix, self._factor_function())
        return self.norm_factors_

    def _factor_function(self):
        return partial(
            centred_quantile_factors,
            quantile=self.quantile,
            genes=self.expressed_genes_,
            center=self.center_,
        )
