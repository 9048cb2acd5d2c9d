"""The base of all transformers and the mixin of all selectors; almost empty."""

from dataclasses import dataclass, fields

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.feature_selection import SelectorMixin
from sklearn.utils import Tags, get_tags
from sklearn.utils.validation import check_is_fitted

from ._blocks import map_rows
from ._containers import as_frame, is_anndata, like
from ._validation import check_input, check_transformed, wants_frame

STATE_VERSION = 1


@dataclass(slots=True)
class GeneTags(Tags):
    """scikit-learn's tags, and what an audit or an explanation asks of a step.

    Parameters
    ----------
    couples_genes : bool
        A gene's output depends on the other genes of its row (TPM, quantile).
    couples_rows : bool
        A row's output depends on the rows that come with it.
    """

    couples_genes: bool = False
    couples_rows: bool = False


class GeneEstimator(BaseEstimator):
    """What transformers and predictors share: tags, and a state of plain values."""

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags = GeneTags(**{field.name: getattr(tags, field.name) for field in fields(tags)})
        tags.input_tags.sparse = True
        return tags

    def __getstate__(self):
        state = {key: _encode(value) for key, value in super().__getstate__().items()}
        return {**state, "_geneexpr_state": STATE_VERSION}

    def __setstate__(self, state):
        state = {key: _decode(value) for key, value in state.items()}
        version = state.pop("_geneexpr_state", None)
        if version is not None and version > STATE_VERSION:
            raise ValueError(
                f"This {type(self).__name__} has a state of version {version}; this geneexpr reads "
                f"up to {STATE_VERSION}. Update geneexpr."
            )
        super().__setstate__(state)


class GeneTransformer(OneToOneFeatureMixin, TransformerMixin, GeneEstimator):
    """Base of all transformers: what comes in goes out, in the same kind of container.

    A subclass writes ``fit`` and ``transform`` (see `CPMNormalizer` for the shape) and has:

    - ``_check(X)``, ``_check(X, reset=True)``: the checked matrix,
    - ``_map(X, matrix, function)``: the function's result in X's kind of container.
    """

    def _check(self, X, *, reset=False, **options):
        """Return the checked matrix of X; without ``reset`` the estimator must be fitted."""
        if not reset:
            check_is_fitted(self)
        return check_input(self, X, reset=reset, **options)

    def _map(self, X, matrix, function, *aligned, take=None, genes=None, uns=None, **lazy):
        """Apply a function to the row blocks and put the result into X's kind of container."""
        matrix = map_rows(matrix, function, *aligned, **lazy)
        return self._like(X, matrix, take=take, genes=genes, uns=uns)

    def _like(self, X, matrix, **how):
        if is_anndata(X) and wants_frame(self):
            return as_frame(X, matrix, self.get_feature_names_out())
        return like(X, matrix, **how)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


class GeneSelector(SelectorMixin, GeneTransformer):
    """Base of all selectors. A subclass's ``fit`` learns ``support_``, one bool a gene."""

    def _get_support_mask(self):
        check_is_fitted(self)
        return self.support_

    def transform(self, X):
        """Keep the selected genes.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)
            The genes seen in ``fit``.

        Returns
        -------
        container like X, of shape (n_samples, n_selected)
        """
        matrix = self._check(X, allow_nan=get_tags(self).input_tags.allow_nan)
        support = self.support_
        return self._map(
            X,
            matrix,
            lambda block: _columns(block, support),
            take=support,
            n_columns=int(support.sum()),
        )

    def inverse_transform(self, X):
        """Put the selected genes back into their places; the others are zero.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_selected)

        Returns
        -------
        container like X, of shape (n_samples, n_genes)
        """
        check_is_fitted(self)
        matrix = check_transformed(self, X, allow_nan=True)
        support = self.support_
        genes = getattr(self, "feature_names_in_", None)
        if genes is None:
            genes = np.asarray([f"x{i}" for i in range(self.n_features_in_)], dtype=object)
        return like(
            X,
            map_rows(matrix, lambda block: _spread(block, support), n_columns=len(support)),
            genes=genes,
        )


def _columns(block, support):
    # A take along the rows is several times faster than a boolean index of columns.
    return block[:, support] if hasattr(block, "tocsr") else block.take(np.flatnonzero(support), 1)


def _spread(block, support):
    if hasattr(block, "tocsr"):
        wide = block.copy()
        wide.indices = np.flatnonzero(support).astype(block.indices.dtype)[block.indices]
        return type(block)((wide.data, wide.indices, wide.indptr), (block.shape[0], len(support)))
    wide = np.zeros((block.shape[0], len(support)), dtype=block.dtype)
    wide[:, support] = block
    return wide


def _encode(value):
    """Write a Series as plain values, which is all that a model file may hold."""
    if isinstance(value, pd.Series):
        return {"_series": value.to_numpy(), "_index": value.index.to_numpy(), "_name": value.name}
    return value


def _decode(value):
    if isinstance(value, dict) and value.keys() == {"_series", "_index", "_name"}:
        return pd.Series(value["_series"], index=value["_index"], name=value["_name"])
    return value
