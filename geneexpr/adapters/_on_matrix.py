"""Any scikit-learn transformer inside a pipeline of annotated data."""

import numpy as np
from sklearn.base import clone
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted

from .._base import GeneTransformer
from .._blocks import in_memory, map_rows, row_blocks
from .._containers import DiskRows, like
from .._validation import check_transformed


class OnMatrix(GeneTransformer):
    """Run any scikit-learn transformer inside a pipeline of annotated data.

    The transformer sees the plain matrix; what it gives goes back into the container that
    came in, with the annotations of the samples. Genes that it keeps (by the names that it
    gives out) keep their annotations too; new columns replace them.

    On disk, a transformer with ``partial_fit`` learns block by block; another one gets the
    whole matrix in memory.

    Parameters
    ----------
    transformer : estimator
        For example ``StandardScaler()`` or ``PCA(20)``; it is cloned.

    Attributes
    ----------
    transformer_ : estimator
        The fitted clone.
    n_features_in_ : int
        Number of genes seen in `fit`.
    feature_names_in_ : array of shape (n_genes,)
        Their names, if they have names.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn.preprocessing import StandardScaler
    >>> from geneexpr import OnMatrix
    >>> X = pd.DataFrame({"TP53": [1.0, 3.0]}, index=["s1", "s2"])
    >>> OnMatrix(StandardScaler()).fit_transform(X)
        TP53
    s1  -1.0
    s2   1.0
    """

    def __init__(self, transformer):
        self.transformer = transformer

    def fit(self, X, y=None):
        """Fit the transformer on the matrix of X.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)
        y : array-like of shape (n_samples,), optional
            Passed on.

        Returns
        -------
        self
        """
        matrix = self._check(X, reset=True, **self._accepted())
        self.transformer_ = clone(self.transformer)
        if hasattr(self.transformer_, "set_output"):
            self.transformer_.set_output(transform="default")
        if isinstance(matrix, DiskRows) and hasattr(self.transformer_, "partial_fit"):
            for start, stop, block in row_blocks(matrix):
                self.transformer_.partial_fit(block, None if y is None else y[start:stop])
        else:
            self.transformer_.fit(in_memory(matrix), y)
        return self

    def transform(self, X):
        """Transform the matrix and put it back into X's kind of container.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)

        Returns
        -------
        container like X, of shape (n_samples, n_out)
        """
        matrix = self._check(X, **self._accepted())
        names = self.get_feature_names_out()
        return self._map(
            X, matrix, self.transformer_.transform, n_columns=len(names), **self._kept(names)
        )

    def inverse_transform(self, X):
        """Invert the transformer and put the result into X's kind of container.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_out)

        Returns
        -------
        container like X, of shape (n_samples, n_genes)
        """
        check_is_fitted(self)
        matrix = check_transformed(self, X, allow_nan=True)
        back = map_rows(matrix, self.transformer_.inverse_transform, n_columns=self.n_features_in_)
        return like(X, back, genes=self._genes_in())

    def get_feature_names_out(self, input_features=None):
        """Return the names that the transformer gives to its columns.

        Parameters
        ----------
        input_features : array-like of str, optional
            Names of the genes, if not those seen in `fit`.

        Returns
        -------
        array of str
        """
        check_is_fitted(self)
        genes = super().get_feature_names_out(input_features)
        return np.asarray(self.transformer_.get_feature_names_out(genes), dtype=object)

    def _genes_in(self):
        return super().get_feature_names_out()

    def _kept(self, names):
        """Tell which genes the columns are, or that they are new."""
        genes = self._genes_in()
        if np.array_equal(names, genes):
            return {}
        place = {gene: i for i, gene in enumerate(genes)}
        if hasattr(self, "feature_names_in_") and all(name in place for name in names):
            return {"take": np.array([place[name] for name in names])}
        return {"genes": names}

    def _accepted(self):
        tags = get_tags(self.transformer).input_tags
        return {"allow_nan": tags.allow_nan, "sparse": tags.sparse}

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        inner = get_tags(self.transformer)
        tags.input_tags.sparse = inner.input_tags.sparse
        tags.input_tags.allow_nan = inner.input_tags.allow_nan
        tags.input_tags.positive_only = inner.input_tags.positive_only
        tags.target_tags.required = inner.target_tags.required
        tags.transformer_tags.preserves_dtype = inner.transformer_tags.preserves_dtype
        tags.non_deterministic = inner.non_deterministic
        return tags
