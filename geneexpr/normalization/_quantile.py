"""Quantile normalisation to the frozen mean distribution of the training samples."""

import operator

import numpy as np

from .._base import GeneTransformer
from .._blocks import fold
from .._containers import DiskRows
from .._validation import check_choice
from ..stats._quantiles import (
    quantile_sums,
    sorted_rows,
    sorted_to_target,
    target_of,
    to_target,
)

TIES = ("average", "first")


class QuantileNormalizer(GeneTransformer):
    """Give every sample the mean distribution of the training samples.

    On the training samples the values are those of limma's ``normalizeQuantiles`` and of
    ``preprocessCore::normalize.quantiles``; a new sample gets the frozen distribution. For
    microarrays and other continuous values, before or after the logarithm. Unfit where the
    distribution itself differs with the condition, and for counts with many zeros.

    Row-independent; the result is dense. ``fit`` is one row fold (of the sorted rows), peak
    memory one block; ``fit_transform`` in memory sorts once and holds the ranks besides.

    Parameters
    ----------
    ties : {"average", "first"}, default="average"
        "average": equal values of a sample stay equal. "first": they get ascending ranks in
        the order of the genes (R's ``ties=FALSE``), so that every sample has exactly the same
        values.

    Attributes
    ----------
    target_ : array of shape (n_genes,)
        The mean distribution, ascending.
    n_features_in_ : int
        Number of genes seen in `fit`.
    feature_names_in_ : array of shape (n_genes,)
        Their names, if they have names.

    Raises
    ------
    ValueError
        Where no sample has a value. NaN is allowed elsewhere: it stays, and the values that
        a sample has are spread over the whole distribution.

    See Also
    --------
    RMANormalizer : Background, quantiles and probe sets of Affymetrix arrays.

    References
    ----------
    .. [1] Bolstad, Irizarry, Astrand, Speed (2003), "A comparison of normalization methods for
       high density oligonucleotide array data based on variance and bias",
       doi:10.1093/bioinformatics/19.2.185.

    Examples
    --------
    >>> import numpy as np
    >>> from geneexpr import QuantileNormalizer
    >>> model = QuantileNormalizer().fit(np.array([[1.0, 5.0, 3.0], [2.0, 3.0, 7.0]]))
    >>> model.target_
    array([1.5, 3. , 6. ])
    >>> model.transform(np.array([[30.0, 10.0, 20.0]]))
    array([[6. , 1.5, 3. ]])
    """

    def __init__(self, *, ties="average"):
        self.ties = ties

    def fit(self, X, y=None):
        """Learn the mean of the sorted samples.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)
            Expression on any scale; NaN where missing.
        y : None
            Ignored.

        Returns
        -------
        self
        """
        matrix = self._checked(X)
        self._learn(fold(matrix, quantile_sums, operator.add))
        return self

    def fit_transform(self, X, y=None):
        """Fit, and bring the training samples to their mean distribution.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)
            Expression on any scale; NaN where missing.
        y : None
            Ignored.

        Returns
        -------
        container like X, of shape (n_samples, n_genes)
        """
        matrix = self._checked(X)
        if isinstance(matrix, DiskRows):
            return self.fit(X).transform(X)
        sums, ordered, order = sorted_rows(matrix, self.ties)
        self._learn(sums)
        return self._like(X, sorted_to_target(ordered, order, self.target_, self.ties))

    def transform(self, X):
        """Bring every sample to the frozen distribution, each on its own.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)
            Expression on the scale of the training samples; NaN where missing.

        Returns
        -------
        container like X, of shape (n_samples, n_genes)
            Dense. Missing values stay missing.
        """
        matrix = self._check(X, allow_nan=True)
        target, ties = self.target_, self.ties
        return self._map(X, matrix, lambda block: to_target(block, target, ties), sparse=False)

    def _checked(self, X):
        check_choice("ties", self.ties, TIES)
        return self._check(X, reset=True, allow_nan=True)

    def _learn(self, sums):
        if not sums[-1]:
            raise ValueError(
                "QuantileNormalizer found no value in X: all are missing. Give samples that have "
                "values."
            )
        self.target_ = np.maximum.accumulate(target_of(sums))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.couples_genes = True
        return tags
