"""What all normalisers share that scale every sample by a size of its own."""

import operator

import numpy as np

from .._base import GeneTransformer
from .._blocks import fold, map_rows
from .._containers import like
from .._validation import check_transformed


def collect(matrix, function):
    """Apply a function of rows to all row blocks and join what it gives for each row."""
    return np.concatenate(fold(matrix, lambda block: [function(block)], operator.add))


def per_sample(name, given, default, n_samples, *, positive=False):
    """Return one size a sample: from one number, from one a sample, or the default."""
    sizes = np.asarray(default if given is None else given, dtype=np.float64)
    if sizes.ndim > 1 or sizes.size not in (1, n_samples):
        raise ValueError(
            f"{name} must be one number or one a sample ({n_samples}); got shape {sizes.shape}."
        )
    if not (np.isfinite(sizes) & ((sizes > 0) if positive else (sizes >= 0))).all():
        raise ValueError(f"{name} must be finite and {'positive' if positive else 'not negative'}.")
    return np.broadcast_to(sizes, (n_samples,))


class SizeFactorNormalizer(GeneTransformer):
    """Base of all that scale every sample by a size that its own counts give.

    A subclass has four hooks (`CPMNormalizer` is the simplest example):

    - ``_learn_sizes(X, matrix)`` learns from the checked matrix what `fit` freezes, and returns
      the sizes of the training samples,
    - ``_size_function()`` gives ``function(block)``, the sizes of any rows,
    - ``_scale_function()`` gives ``function(block, sizes)``, the scaled rows,
    - ``_unscale_function()`` gives ``function(block, sizes)``, the way back.

    A method that finds sizes only in scaling returns None for both of the first two. The
    functions hold what was learned, not the estimator: on disk they run later, when it may
    have been fitted anew.
    """

    _min_samples = 1

    def fit(self, X, y=None):
        """Learn what new samples will be compared with.

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
        return self._scaled(X, *self._learn(X))

    def transform(self, X):
        """Scale every sample, each on its own.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)
            Counts.

        Returns
        -------
        container like X, of shape (n_samples, n_genes)
            CSR stays CSR where zeros stay zeros. A sample without counts becomes a row of
            zeros (on a logarithmic scale, of the value that a zero has), with a warning.
        """
        return self._scaled(X, self._check(X, counts=True), None)

    def _learn(self, X):
        """Return the checked matrix and the sizes of its samples."""
        matrix = self._check(X, reset=True, counts=True, min_samples=self._min_samples)
        return matrix, self._learn_sizes(X, matrix)

    def _scaled(self, X, matrix, sizes):
        sizes_of, scale = self._size_function(), self._scale_function()

        def function(block, sizes):
            if sizes is None and sizes_of is not None:
                sizes = sizes_of(block)
            return scale(block, sizes)

        return self._map(X, matrix, function, sizes, **self._output())

    def _unscaled(self, X, name, given, default, **limits):
        """Bring X back to counts, by the sizes that its caller gives, or by the default."""
        matrix = check_transformed(self, X)
        sizes = per_sample(name, given, default, matrix.shape[0], **limits)
        sparse = self._output().get("sparse")
        return like(X, map_rows(matrix, self._unscale_function(), sizes, sparse=sparse))

    def _output(self):
        """Return options of ``_map``: what is not as in X."""
        return {}

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        tags.couples_genes = True
        return tags
