"""Logarithms of expression, with a pseudocount and, for microarrays, a floor."""

import numpy as np
import scipy.sparse as sp

from .._base import GeneTransformer
from .._blocks import map_rows, row_blocks
from .._containers import is_anndata, like
from .._validation import check_choice, check_transformed, stored, warn_logged
from ..stats._library_size import CHUNK_ENTRIES, with_entries

BASES = (2, 10, "e")
_LOG = {2: np.log2, 10: np.log10, "e": np.log}
_NATURAL = {2: np.log(2.0), 10: np.log(10.0), "e": 1.0}


def log_expression(matrix, base=2, pseudocount=1.0, floor=None):
    """Take ``log(max(x, floor) + pseudocount)``.

    Parameters
    ----------
    matrix : array or CSR matrix of shape (n_samples, n_genes)
    base : {2, 10, "e"}, default=2
    pseudocount : float, default=1.0
    floor : float, optional
        Lower values are raised to it first.

    Returns
    -------
    array or CSR matrix
        CSR stays CSR where zeros stay zeros.

    Examples
    --------
    >>> import numpy as np
    >>> log_expression(np.array([0.0, 1.0, 3.0]))
    array([0., 1., 2.])
    """
    if not sp.issparse(matrix):
        return _log_entries(matrix, base, pseudocount, floor)
    if pseudocount != 1 or (floor is not None and floor > 0):
        return _log_entries(matrix.toarray(), base, pseudocount, floor)
    data = _log_entries(matrix.data, base, pseudocount, floor)
    return with_entries(matrix, data)


def _log_entries(values, base, pseudocount, floor):
    """Take the logarithm of an array, in chunks that stay in the cache."""
    values = np.ascontiguousarray(values)
    result = np.empty_like(values)
    dtype, flat, out = values.dtype.type, values.reshape(-1), result.reshape(-1)
    for start in range(0, len(flat), CHUNK_ENTRIES):
        chunk = slice(start, start + CHUNK_ENTRIES)
        entries, logs = flat[chunk], out[chunk]
        if floor is not None:
            entries = np.maximum(entries, dtype(floor), out=logs)
        if pseudocount == 1:
            np.log1p(entries, out=logs)
            if base != "e":
                logs *= dtype(1.0 / _NATURAL[base])
        else:
            _LOG[base](np.add(entries, dtype(pseudocount), out=logs), out=logs)
    return result


def unlog_expression(matrix, base=2, pseudocount=1.0):
    """Invert `log_expression`: ``base ** x - pseudocount``.

    Parameters
    ----------
    matrix : array or CSR matrix of shape (n_samples, n_genes)
    base : {2, 10, "e"}, default=2
    pseudocount : float, default=1.0

    Returns
    -------
    array or CSR matrix

    Examples
    --------
    >>> import numpy as np
    >>> unlog_expression(np.array([0.0, 1.0, 2.0]))
    array([0., 1., 3.])
    """
    if sp.issparse(matrix):
        if pseudocount == 1:
            result = matrix.copy()
            result.data = unlog_expression(matrix.data, base, pseudocount)
            return result
        matrix = matrix.toarray()
    powers = matrix * matrix.dtype.type(_NATURAL[base])
    return np.expm1(powers) if pseudocount == 1 else np.exp(powers) - pseudocount


class LogTransformer(GeneTransformer):
    """Logarithm of expression: ``log(max(x, floor) + pseudocount)``.

    Row-independent. Sparse input stays sparse with the pseudocount 1, since zeros stay
    zeros; with another it becomes dense. ``fit`` learns the genes only. For AnnData,
    ``uns["log1p"]["base"]`` records the base in scanpy's form (None for e).

    Parameters
    ----------
    base : {2, 10, "e"}, default=2
        Base of the logarithm.
    pseudocount : float, default=1
        Added first, so that zeros have a logarithm.
    floor : float, optional
        Lower values are raised to it first: for microarray scales (MAS 4 and 5, background
        subtracted) with genuine negatives. ``floor + pseudocount`` must be positive. Without
        it negative values raise.

    Attributes
    ----------
    n_features_in_ : int
        Number of genes seen in `fit`.
    feature_names_in_ : array of shape (n_genes,)
        Their names, if they have names.

    Raises
    ------
    ValueError
        For negative values without ``floor``, and for a base that is none of the three.

    Examples
    --------
    >>> import numpy as np
    >>> from geneexpr import LogTransformer
    >>> LogTransformer().fit_transform(np.array([[0.0, 1.0, 3.0]]))
    array([[0., 1., 2.]])
    >>> LogTransformer(pseudocount=0, floor=16).fit_transform(np.array([[-40.0, 64.0]]))
    array([[4., 6.]])
    """

    def __init__(self, base=2, pseudocount=1, floor=None):
        self.base = base
        self.pseudocount = pseudocount
        self.floor = floor

    def fit(self, X, y=None):
        """Check the options and learn the genes.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)
            Values that are not logged.
        y : None
            Ignored.

        Returns
        -------
        self
        """
        check_choice("base", self.base, BASES)
        lowest = 0 if self.floor is None else self.floor
        if lowest + self.pseudocount <= 0 and (self.floor is not None or self.pseudocount < 0):
            raise ValueError(
                "floor + pseudocount must be positive to have a logarithm; got "
                f"floor={self.floor!r}, pseudocount={self.pseudocount!r}."
            )
        for _, _, block in row_blocks(self._checked(X, reset=True)):
            _not_below(block, self.floor, self.pseudocount)
        return self

    def transform(self, X):
        """Take the logarithm of every entry.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)
            Values that are not logged.

        Returns
        -------
        container like X, of shape (n_samples, n_genes)
        """
        matrix = self._checked(X)
        base, pseudocount, floor = self.base, self.pseudocount, self.floor
        recorded = {"log1p": {"base": None if base == "e" else base}} if pseudocount == 1 else None
        return self._map(
            X,
            matrix,
            lambda block: log_expression(
                _not_below(block, floor, pseudocount), base, pseudocount, floor
            ),
            uns=recorded,
            sparse=None if pseudocount == 1 and (floor is None or floor <= 0) else False,
        )

    def inverse_transform(self, X):
        """Bring logarithms back: ``base ** x - pseudocount``.

        What `floor` raised stays raised.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)

        Returns
        -------
        container like X, of shape (n_samples, n_genes)
        """
        matrix = check_transformed(self, X)
        base, pseudocount = self.base, self.pseudocount
        back = map_rows(
            matrix,
            lambda block: unlog_expression(block, base, pseudocount),
            sparse=None if pseudocount == 1 else False,
        )
        return like(X, back, uns={"log1p": None})

    def _checked(self, X, *, reset=False):
        matrix = self._check(X, reset=reset)
        if is_anndata(X):
            warn_logged(X, "LogTransformer")
        return matrix

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = self.floor is None
        return tags


def _not_below(block, floor, pseudocount):
    """Raise on values that have no logarithm."""
    entries = stored(block)
    if floor is None and entries.size and entries.min() < 0:
        raise ValueError(
            f"Negative values in data passed to LogTransformer: got {entries.min():g} as lowest. "
            "If X is logged already, leave this step out; if the negatives are genuine "
            "(background-subtracted microarrays), give a floor."
        )
    if pseudocount == 0 and floor is None:
        zero = entries.size < np.prod(block.shape) or not entries.all()
        if zero:
            raise ValueError(
                "pseudocount=0 gives zeros no logarithm; give a pseudocount or a floor."
            )
    return block
