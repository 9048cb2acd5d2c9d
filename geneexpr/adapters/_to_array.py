"""The end of the annotated part of a pipeline."""

import scipy.sparse as sp
from sklearn.utils.validation import check_is_fitted

from .._base import GeneTransformer
from .._blocks import in_memory
from .._containers import as_frame
from .._validation import check_transformed, wants_frame


class ToArray(GeneTransformer):
    """End the AnnData part of a pipeline: give the plain matrix, annotations left behind.

    What follows may be any scikit-learn step. A DataFrame or AnnData becomes its array, a
    CSR matrix stays CSR, data on disk are loaded. Names of genes remain to be asked for by
    ``get_feature_names_out``.

    Parameters
    ----------
    dense : bool, default=False
        Also turn a sparse matrix into an array.

    Attributes
    ----------
    n_features_in_ : int
        Number of genes seen in `fit`.
    feature_names_in_ : array of shape (n_genes,)
        Their names, if they have names.

    Examples
    --------
    >>> import pandas as pd
    >>> from geneexpr import ToArray
    >>> ToArray().fit_transform(pd.DataFrame({"TP53": [1.0, 2.0], "MYC": [0.0, 1.0]}))
    array([[1., 0.],
           [2., 1.]])
    """

    def __init__(self, dense=False):
        self.dense = dense

    def fit(self, X, y=None):
        """Learn the genes.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)
        y : None
            Ignored.

        Returns
        -------
        self
        """
        self._check(X, reset=True, allow_nan=True)
        return self

    def transform(self, X):
        """Return the matrix.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)

        Returns
        -------
        array or CSR matrix of shape (n_samples, n_genes)
        """
        matrix = in_memory(self._check(X, allow_nan=True))
        if self.dense and sp.issparse(matrix):
            matrix = matrix.toarray()
        return as_frame(X, matrix, self.get_feature_names_out()) if wants_frame(self) else matrix

    def inverse_transform(self, X):
        """Return the matrix as it is, so that a whole pipeline can be inverted.

        Parameters
        ----------
        X : {array, sparse matrix} of shape (n_samples, n_genes)

        Returns
        -------
        array or CSR matrix of shape (n_samples, n_genes)
        """
        check_is_fitted(self)
        return in_memory(check_transformed(self, X, allow_nan=True))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags
