"""Counts per million: every sample scaled by its library size."""

from functools import partial

import numpy as np

from .._base import GeneTransformer
from .._blocks import fold, map_rows
from .._containers import like
from .._validation import check_transformed, warn_zero_depth
from ..stats._library_size import (
    counts_of_log_per_million,
    library_sizes,
    log_per_million,
    per_million,
)

MILLION = 1e6


def all_library_sizes(matrix):
    """Return the library sizes over row blocks of any container's matrix."""
    return np.concatenate(fold(matrix, lambda block: [library_sizes(block)], lambda a, b: a + b))


def per_sample(library_size, default, n_samples):
    """Return a column of library sizes: one number, one a sample, or the default."""
    sizes = np.asarray(default if library_size is None else library_size, dtype=np.float64)
    if sizes.ndim > 1 or sizes.size not in (1, n_samples):
        raise ValueError(
            f"library_size must be one number or one a sample ({n_samples}); got shape "
            f"{sizes.shape}."
        )
    if not (np.isfinite(sizes) & (sizes >= 0)).all():
        raise ValueError("library_size must be finite and not negative.")
    return np.broadcast_to(sizes, (n_samples,))


class LibrarySizeTransformer(GeneTransformer):
    """Base of all that scale by library size.

    A subclass has ``_scaled(X, matrix, factors)``, which scales checked counts, by the training
    factors if there are any, and ``_unscale()``, which gives ``function(block, sizes)`` for the
    way back; ``_learn(X)`` may learn more.
    """

    def fit(self, X, y=None):
        """Learn the median library size, and what else the method needs of the genes.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)
            Counts.
        y : None
            Ignored.

        Returns
        -------
        self
        """
        self._learn(X)
        return self

    def fit_transform(self, X, y=None):
        """Fit, and scale the training samples.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)
            Counts.
        y : None
            Ignored.

        Returns
        -------
        container like X, of shape (n_samples, n_genes)
        """
        return self._scaled(X, self._learn(X), getattr(self, "norm_factors_", None))

    def transform(self, X):
        """Scale every sample, each on its own.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)
            Counts.

        Returns
        -------
        container like X, of shape (n_samples, n_genes)
            CSR stays CSR, except with ``log``. A sample without counts becomes a row of zeros
            (with ``log``, of the value that a zero has in any sample), with a warning.
        """
        return self._scaled(X, self._check(X, counts=True), None)

    def inverse_transform(self, X, *, library_size=None):
        """Bring scaled values back to counts.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)
            Values on the scale that ``transform`` gives.
        library_size : float or array-like of shape (n_samples,), optional
            Total counts of each sample, which ``transform`` divided out; by default the
            median of the training samples.

        Returns
        -------
        container like X, of shape (n_samples, n_genes)
            Expected counts, not rounded.
        """
        matrix = check_transformed(self, X)
        sizes = per_sample(library_size, self.median_library_size_, matrix.shape[0])
        return like(X, map_rows(matrix, self._unscale(), sizes))

    def _learn(self, X):
        """Learn from checked counts, and return these."""
        matrix = self._check(X, reset=True, counts=True)
        self.median_library_size_ = float(np.median(all_library_sizes(matrix)))
        return matrix

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        tags.couples_genes = True
        return tags


class EffectiveSizeTransformer(LibrarySizeTransformer):
    """Base of CPM, TMM and upper quartile: counts per million of an effective library size.

    A subclass has ``log`` and ``prior_count``, and two hooks: ``_learn_factors(matrix, sizes)``
    learns a reference and gives the training factors; ``_factor_function()`` gives
    ``function(block)``, the factors of any rows. By default all factors are 1.
    """

    def inverse_transform(self, X, *, library_size=None):
        """Bring scaled values back to counts.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)
            Values on the scale that ``transform`` gives.
        library_size : float or array-like of shape (n_samples,), optional
            Effective library size of each sample, which ``transform`` divided out; by default
            the median of the training samples.

        Returns
        -------
        container like X, of shape (n_samples, n_genes)
            Expected counts, not rounded.
        """
        return super().inverse_transform(X, library_size=library_size)

    def _learn_factors(self, matrix, sizes):
        return np.ones_like(sizes)

    def _factor_function(self):
        return None

    def _learn(self, X):
        matrix = self._check(X, reset=True, counts=True)
        if self.log and not self.prior_count > 0:
            raise ValueError(
                f"prior_count must be positive to take the logarithm of zeros; got "
                f"{self.prior_count!r}."
            )
        sizes = all_library_sizes(matrix)
        effective = sizes * self._learn_factors(matrix, sizes)
        self.median_library_size_ = float(np.median(effective))
        self.mean_library_size_ = float(effective.mean())
        if self.log and self.mean_library_size_ == 0:
            raise ValueError("log needs counts to learn from, but every sample is without any.")
        return matrix

    def _scaled(self, X, matrix, factors):
        name, factor_function = type(self).__name__, self._factor_function()
        prior = (self.prior_count, self.mean_library_size_) if self.log else None

        def function(block, factors):
            sizes = library_sizes(block)
            warn_zero_depth(sizes, name)
            if factors is None and factor_function is not None:
                factors = factor_function(block)
            if factors is not None:
                sizes = sizes * factors
            return (
                per_million(block, sizes)
                if prior is None
                else log_per_million(block, sizes, *prior)
            )

        return self._map(
            X,
            matrix,
            function,
            factors,
            uns={"log1p": {"base": 2}} if self.log else None,
            sparse=False if self.log else None,
        )

    def _unscale(self):
        if not self.log:
            return _from_cpm
        return partial(
            counts_of_log_per_million,
            prior_count=self.prior_count,
            mean_size=self.mean_library_size_,
        )


class CPMNormalizer(EffectiveSizeTransformer):
    """Counts per million: divide every sample by its library size.

    Row-independent; sparse input stays sparse without ``log``. ``fit`` is one row fold (of the
    library sizes), peak memory one block.

    Parameters
    ----------
    log : bool, default=False
        Give log2 of counts per million by the rule of edgeR: the prior count is scaled by the
        library size relative to the mean of the training samples, which is frozen.
    prior_count : float, default=2
        Added to the counts of a sample of mean library size, with ``log`` only.

    Attributes
    ----------
    median_library_size_ : float
        Median total count of the training samples, for `inverse_transform`.
    mean_library_size_ : float
        Their mean, for ``log``.
    n_features_in_ : int
        Number of genes seen in `fit`.
    feature_names_in_ : array of shape (n_genes,)
        Their names, if they have names.

    See Also
    --------
    TPMNormalizer : Accounts for gene length as well.
    TMMNormalizer : Accounts for composition as well.

    References
    ----------
    .. [1] Robinson, McCarthy, Smyth (2010), "edgeR: a Bioconductor package for differential
       expression analysis of digital gene expression data", doi:10.1093/bioinformatics/btp616.

    Examples
    --------
    >>> import numpy as np
    >>> from geneexpr import CPMNormalizer
    >>> CPMNormalizer().fit_transform(np.array([[1.0, 3.0], [2.0, 2.0]]))
    array([[250000., 750000.],
           [500000., 500000.]])
    """

    def __init__(self, *, log=False, prior_count=2):
        self.log = log
        self.prior_count = prior_count


def _from_cpm(cpm, sizes):
    return times_rows(cpm, sizes / MILLION)


def times_rows(matrix, factors):
    """Multiply the rows of an array or CSR matrix."""
    if hasattr(matrix, "tocsr"):
        result = matrix.copy()
        result.data *= np.repeat(factors, np.diff(matrix.indptr)).astype(matrix.dtype)
        return result
    return matrix * factors[:, None].astype(matrix.dtype)
