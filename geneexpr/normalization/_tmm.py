"""TMM: library sizes made effective by trimmed means of M-values."""

from functools import partial

import numpy as np
import pandas as pd
import scipy.sparse as sp

from .._blocks import fold, row_blocks
from .._containers import DiskRows, name_some
from .._validation import check_choice, check_number
from ..stats._library_size import library_sizes
from ..stats._size_factors import tmm_factors, tmmwsp_factors, upper_quantiles
from ._base import collect
from ._library_size import EffectiveSizeNormalizer

FACTORS = {"TMM": tmm_factors, "TMMwsp": tmmwsp_factors}
TOO_SPARSE = 1e-20
"""If the median upper quartile is lower, as for TMMwsp, the reference is the sample whose counts
have the largest sum of square roots."""


def factors_against(counts, reference, method="TMM", *, center=1.0, **options):
    """Return the normalisation factors of samples against a reference profile.

    Parameters
    ----------
    counts : array or CSR matrix of shape (n_samples, n_genes)
    reference : array of shape (n_genes,)
        Counts of the reference.
    method : {"TMM", "TMMwsp"}, default="TMM"
    center : float, default=1.0
        What the factors are divided by: the geometric mean of those of the training samples.
    **options
        As `TMMNormalizer`'s.

    Returns
    -------
    array of shape (n_samples,)
        Before the division the reference itself has the factor 1.

    Examples
    --------
    >>> import numpy as np
    >>> counts = np.array([[10.0, 20.0, 30.0], [20.0, 40.0, 60.0]])
    >>> factors_against(counts, counts[0])
    array([1., 1.])
    """
    return FACTORS[method](counts, reference, **options) / center


def reference_row(quartiles):
    """Choose the reference sample as edgeR does.

    Parameters
    ----------
    quartiles : array of shape (n_samples,)
        Upper quartile of each sample over its library size.

    Returns
    -------
    int or None
        The sample whose quartile is nearest to their mean; None where these are too sparse.

    Examples
    --------
    >>> import numpy as np
    >>> reference_row(np.array([1.0, 2.2, 3.0]))
    1
    """
    if np.median(quartiles) < TOO_SPARSE:
        return None
    return int(np.argmin(np.abs(quartiles - quartiles.mean())))


class TMMNormalizer(EffectiveSizeNormalizer):
    """Counts per million of the effective library size: trimmed mean of M-values.

    On the training samples the factors are those of edgeR's ``calcNormFactors`` and the values
    those of its ``cpm``. A new sample is compared with the frozen reference, whatever zeros it
    has. Row-independent; sparse input stays sparse without ``log``. ``fit`` is three row folds,
    peak memory one block.

    Parameters
    ----------
    method : {"TMM", "TMMwsp"}, default="TMM"
        TMMwsp pairs genes that are zero in one of two samples: for sparse data.
    logratio_trim : float, default=0.3
        Share of the genes trimmed from each end of the log-ratios.
    sum_trim : float, default=0.05
        Share trimmed from each end of the mean log abundances.
    weighting : bool, default=True
        Weight genes by the inverse of the asymptotic variance of their log-ratio.
    a_cutoff : float, default=-1e10
        Genes of mean log abundance up to this are left out.
    reference : {"auto", "pooled"} or Series, default="auto"
        What samples are compared with: the training sample that edgeR would choose, the mean
        profile of the training samples (so that no person's profile is kept in the model), or
        counts by gene.
    log : bool, default=False
        Give log2 with edgeR's prior count, as `CPMNormalizer`.
    prior_count : float, default=2
        For ``log``.

    Attributes
    ----------
    norm_factors_ : array of shape (n_samples,)
        Factors of the training samples; they multiply to one.
    reference_counts_ : array of shape (n_genes,)
        Counts of the reference. With ``reference="auto"`` this is the profile of a training
        sample, without its name.
    center_ : float
        Geometric mean of the training factors before they were centred.
    median_library_size_, mean_library_size_ : float
        Of the effective library sizes of the training samples.
    n_features_in_ : int
        Number of genes seen in `fit`.
    feature_names_in_ : array of shape (n_genes,)
        Their names, if they have names.

    See Also
    --------
    norm_factors : The factors alone.

    References
    ----------
    .. [1] Robinson, Oshlack (2010), "A scaling normalization method for differential
       expression analysis of RNA-seq data", doi:10.1186/gb-2010-11-3-r25.

    Examples
    --------
    >>> from geneexpr import TMMNormalizer, make_cohort
    >>> cohort = make_cohort(20, 200, random_state=0)
    >>> model = TMMNormalizer().fit(cohort)
    >>> print(f"{model.norm_factors_.prod():.3f}")
    1.000
    """

    def __init__(
        self,
        method="TMM",
        *,
        logratio_trim=0.3,
        sum_trim=0.05,
        weighting=True,
        a_cutoff=-1e10,
        reference="auto",
        log=False,
        prior_count=2,
    ):
        self.method = method
        self.logratio_trim = logratio_trim
        self.sum_trim = sum_trim
        self.weighting = weighting
        self.a_cutoff = a_cutoff
        self.reference = reference
        self.log = log
        self.prior_count = prior_count

    def norm_factors(self, X):
        """Return the factors of any samples against the frozen reference.

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
        check_choice("method", self.method, tuple(FACTORS))
        for name in ("logratio_trim", "sum_trim"):
            check_number(name, getattr(self, name), least=0, below=0.5)
        check_number("a_cutoff", self.a_cutoff, below=np.inf)
        self.reference_counts_ = self._reference_counts(matrix, sizes)
        self.center_ = 1.0
        raw = collect(matrix, self._factor_function())
        self.center_ = float(np.exp(np.log(raw).mean()))
        self.norm_factors_ = raw / self.center_
        return self.norm_factors_

    def _factor_function(self):
        return partial(
            factors_against,
            reference=self.reference_counts_,
            method=self.method,
            center=self.center_,
            logratio_trim=self.logratio_trim,
            sum_trim=self.sum_trim,
            weighting=self.weighting,
            a_cutoff=self.a_cutoff,
        )

    def _reference_counts(self, matrix, sizes):
        if isinstance(self.reference, pd.Series):
            return self._given_reference()
        check_choice("reference", self.reference, ("auto", "pooled"))
        if self.reference == "pooled":
            return fold(matrix, _gene_totals, np.add) / matrix.shape[0]
        row = None if self.method == "TMMwsp" else reference_row(_relative_quartiles(matrix, sizes))
        if row is None:
            row = int(np.argmax(collect(matrix, lambda block: library_sizes(np.sqrt(block)))))
        return one_row(matrix, row)

    def _given_reference(self):
        genes = getattr(self, "feature_names_in_", None)
        if genes is None:
            raise ValueError(
                "reference is a Series by gene, but X has no gene names. Give X as a DataFrame or "
                "an AnnData."
            )
        counts = self.reference.set_axis(self.reference.index.astype(str))
        if not counts.index.is_unique:
            twice = counts.index[counts.index.duplicated()].unique()
            raise ValueError(f"reference names {name_some(twice)} more than once.")
        numbers = pd.to_numeric(counts.reindex(genes), errors="coerce").to_numpy(np.float64)
        bad = ~(np.isfinite(numbers) & (numbers >= 0))
        if bad.any() or not numbers.any():
            raise ValueError(
                "reference must hold a count for every gene, not all of them zero; missing or "
                f"negative for {int(bad.sum())} of {len(genes)} genes: {name_some(genes[bad])}. "
                "Complete it, or take reference='auto' or 'pooled'."
            )
        return numbers


def norm_factors(X, method="TMM", **options):
    """Return edgeR's normalisation factors of a set of samples.

    Parameters
    ----------
    X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)
        Counts.
    method : {"TMM", "TMMwsp"}, default="TMM"
    **options
        As `TMMNormalizer`'s.

    Returns
    -------
    array of shape (n_samples,)
        They multiply to one. For samples that come later, against the reference of these, use
        `TMMNormalizer.norm_factors`.

    Examples
    --------
    >>> import numpy as np
    >>> from geneexpr import norm_factors
    >>> norm_factors(np.array([[10.0, 20.0, 30.0], [20.0, 40.0, 60.0]]))
    array([1., 1.])
    """
    return TMMNormalizer(method, **options).fit(X).norm_factors_


def expressed_genes(matrix):
    """Mark the genes that some sample has a count of."""
    return fold(matrix, lambda block: _gene_totals(block) > 0, np.logical_or)


def _relative_quartiles(matrix, sizes):
    quantiles = partial(upper_quantiles, quantile=0.75, genes=expressed_genes(matrix))
    return np.divide(collect(matrix, quantiles), sizes, out=np.zeros_like(sizes), where=sizes > 0)


def one_row(matrix, index):
    """Return one row of any container's matrix as a dense array of float64."""
    if isinstance(matrix, DiskRows):
        for start, stop, block in row_blocks(matrix):
            if start <= index < stop:
                return one_row(block, index - start)
    row = matrix[[index]]
    return np.asarray(row.toarray() if sp.issparse(row) else row, dtype=np.float64)[0]


def _gene_totals(block):
    return np.asarray(block.sum(axis=0, dtype=np.float64)).ravel()
