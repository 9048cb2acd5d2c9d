"""Counts per million: every sample scaled by its library size."""

import numpy as np

from .._base import GeneTransformer
from .._blocks import fold, map_rows
from .._containers import like
from .._validation import check_transformed, warn_zero_depth
from ..stats._library_size import library_sizes, scaled

MILLION = 1e6


def counts_per_million(counts):
    """Scale every sample to a million.

    Parameters
    ----------
    counts : array or CSR matrix of shape (n_samples, n_genes)

    Returns
    -------
    cpm : like ``counts``
        A sample without counts is a row of zeros.
    depths : array of shape (n_samples,)
        The library sizes.

    Examples
    --------
    >>> import numpy as np
    >>> counts_per_million(np.array([[1.0, 3.0]]))[0]
    array([[250000., 750000.]])
    """
    return scaled(counts, MILLION)


def median_library_size(matrix):
    """Return the median library size over row blocks of any container's matrix."""
    sizes = fold(matrix, lambda block: [library_sizes(block)], lambda a, b: a + b)
    return float(np.median(np.concatenate(sizes)))


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
    """Base of CPM, TPM and FPKM: a subclass says how counts are scaled, and back."""

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
        matrix = self._check(X, reset=True, counts=True)
        self._fit_genes(X)
        self.median_library_size_ = median_library_size(matrix)
        return self

    def transform(self, X):
        """Scale every sample, each on its own.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)
            Counts.

        Returns
        -------
        container like X, of shape (n_samples, n_genes)
            CSR stays CSR. A sample without counts becomes a row of zeros, with a warning.
        """
        matrix = self._check(X, counts=True)
        name, scale = type(self).__name__, self._scale()

        def function(block):
            result, depths = scale(block)
            warn_zero_depth(depths, name)
            return result

        return self._map(X, matrix, function)

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

    def _fit_genes(self, X):
        """Learn from the genes; CPM needs nothing."""

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        tags.couples_genes = True
        return tags


class CPMNormalizer(LibrarySizeTransformer):
    """Counts per million: divide every sample by its library size.

    Row-independent; sparse input stays sparse. ``fit`` is one row fold (of the library
    sizes), peak memory one block; only `inverse_transform` uses what it learns.

    Attributes
    ----------
    median_library_size_ : float
        Median total count of the training samples.
    n_features_in_ : int
        Number of genes seen in `fit`.
    feature_names_in_ : array of shape (n_genes,)
        Their names, if they have names.

    See Also
    --------
    TPMNormalizer : Accounts for gene length as well.

    References
    ----------
    .. [1] Robinson, Smyth (2010), "A scaling normalization method for differential
       expression analysis of RNA-seq data", doi:10.1186/gb-2010-11-3-r25.

    Examples
    --------
    >>> import numpy as np
    >>> from geneexpr import CPMNormalizer
    >>> CPMNormalizer().fit_transform(np.array([[1.0, 3.0], [2.0, 2.0]]))
    array([[250000., 750000.],
           [500000., 500000.]])
    """

    def _scale(self):
        return counts_per_million

    def _unscale(self):
        return _from_cpm


def _from_cpm(cpm, sizes):
    return times_rows(cpm, sizes / MILLION)


def times_rows(matrix, factors):
    """Multiply the rows of an array or CSR matrix."""
    if hasattr(matrix, "tocsr"):
        result = matrix.copy()
        result.data *= np.repeat(factors, np.diff(matrix.indptr)).astype(matrix.dtype)
        return result
    return matrix * factors[:, None].astype(matrix.dtype)
