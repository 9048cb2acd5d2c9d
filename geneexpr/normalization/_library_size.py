"""Counts per million: every sample scaled by its library size."""

from functools import partial

import numpy as np

from .._validation import check_number, warn_zero_depth
from ..stats._library_size import (
    counts_of_log_per_million,
    counts_of_per_million,
    library_sizes,
    log_per_million,
    per_million,
)
from ._base import SizeFactorNormalizer, collect


class LibrarySizeNormalizer(SizeFactorNormalizer):
    """Base of all that scale by library size; `inverse_transform` takes this."""

    def inverse_transform(self, X, *, library_size=None):
        """Bring scaled values back to counts.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)
            Values on the scale that ``transform`` gives.
        library_size : float or array-like of shape (n_samples,), optional
            Total counts of each sample (times its normalisation factor, where the method has
            one), which ``transform`` divided out; by default the median of the training
            samples.

        Returns
        -------
        container like X, of shape (n_samples, n_genes)
            Expected counts, not rounded.
        """
        return self._unscaled(X, "library_size", library_size, self.median_library_size_)


class EffectiveSizeNormalizer(LibrarySizeNormalizer):
    """Base of CPM, TMM and upper quartile: counts per million of an effective library size.

    A subclass has ``log`` and ``prior_count``, and two hooks: ``_learn_factors(matrix, sizes)``
    learns a reference and gives the factors of the training samples; ``_factor_function()``
    gives ``function(block)``, the factors of any rows. By default all factors are 1.
    """

    def _learn_factors(self, matrix, sizes):
        return 1.0

    def _factor_function(self):
        return None

    def _learn_sizes(self, X, matrix):
        if self.log:  # the logarithm of a zero
            check_number("prior_count", self.prior_count, above=0, below=np.inf)
        sizes = collect(matrix, library_sizes)
        sizes *= self._learn_factors(matrix, sizes)
        self.median_library_size_ = float(np.median(sizes))
        self.mean_library_size_ = float(sizes.mean())
        if self.log and self.mean_library_size_ == 0:
            raise ValueError("log needs counts to learn from, but every sample is without any.")
        return sizes

    def _size_function(self):
        return partial(effective_sizes, factor_function=self._factor_function())

    def _scale_function(self):
        return partial(
            warned, scale=self._by_prior(per_million, log_per_million), name=type(self).__name__
        )

    def _unscale_function(self):
        return self._by_prior(counts_of_per_million, counts_of_log_per_million)

    def _by_prior(self, plain, logged):
        if not self.log:
            return plain
        return partial(logged, prior_count=self.prior_count, mean_size=self.mean_library_size_)

    def _output(self):
        return {"uns": {"log1p": {"base": 2}}, "sparse": False} if self.log else {}


class CPMNormalizer(EffectiveSizeNormalizer):
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


def effective_sizes(block, factor_function):
    """Return library sizes, times factors where the method has these."""
    sizes = library_sizes(block)
    return sizes if factor_function is None else sizes * factor_function(block)


def warned(block, sizes, scale, name):
    """Scale the rows, with a warning of those of size 0."""
    warn_zero_depth(sizes, name)
    return scale(block, sizes)
