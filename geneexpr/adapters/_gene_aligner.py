"""New data brought to the genes of the training data, by name."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn.utils.validation import check_is_fitted

from .._base import GeneTransformer
from .._blocks import fold
from .._containers import gene_annotation, gene_names, name_some
from .._validation import check_choice, check_input, stored

MISSING = ("raise", "zero", "mean")

VERSIONED = re.compile(r"^(ENS[A-Z]*\d{11})\.\d+(_PAR_Y)?$|^([NX][MRP]_\d+)\.\d+$")


def strip_version(name):
    """Strip the version of an Ensembl or RefSeq identifier; ``_PAR_Y`` is kept.

    Parameters
    ----------
    name : str

    Returns
    -------
    str

    Examples
    --------
    >>> strip_version("ENSG00000182378.15_PAR_Y"), strip_version("RP11-34P13.7")
    ('ENSG00000182378_PAR_Y', 'RP11-34P13.7')
    """
    match = VERSIONED.match(name)
    if not match:
        return name
    ensembl, par, refseq = match.groups()
    return refseq or ensembl + (par or "")


@dataclass(frozen=True)
class AlignmentReport:
    """How the genes of new data meet those seen in `GeneAligner.fit`.

    Parameters
    ----------
    matched : list of str
        Genes of the training data that are there.
    missing : list of str
        Genes of the training data that are not.
    extra : list of str
        Genes of the new data that are not needed.
    renamed : dict of str to str
        Matched genes that have another name in the new data: from theirs to ours.
    """

    matched: list
    missing: list
    extra: list
    renamed: dict

    @property
    def overlap(self):
        """Share of the training genes that are there."""
        return len(self.matched) / max(1, len(self.matched) + len(self.missing))

    def __str__(self):
        return "\n".join(
            [
                f"{len(self.matched)} of {len(self.matched) + len(self.missing)} genes matched "
                f"({self.overlap:.1%}), {len(self.renamed)} of them under another name",
                f"{len(self.missing)} missing" + _listed(self.missing),
                f"{len(self.extra)} extra, left out" + _listed(self.extra),
            ]
        )


def _listed(names):
    return f": {name_some(names)}" if names else ""


class GeneAligner(GeneTransformer):
    """Bring new data to the genes seen in `fit`: by name, in their order.

    Put it first in a pipeline. Every other step raises where genes differ; this one looks
    each gene up by name, leaves out what is not needed, and treats what is missing as told.
    Row-independent. With ``missing="mean"`` fit is one row fold.

    Parameters
    ----------
    missing : {"raise", "zero", "mean"}, default="raise"
        What a gene becomes that the new data lack: an error, zero (counts only: on another
        scale a zero means something else), or its mean in the training data.
    strip_version : bool, default=True
        Compare Ensembl and RefSeq identifiers without their version
        (``ENSG00000141510.18``). The suffix ``_PAR_Y`` is kept, so that the two copies of a
        pseudoautosomal gene stay apart.
    gene_key : str, optional
        The column of ``AnnData.var`` that holds the names to compare, where ``var_names``
        are something else.
    gene_map : mapping of str to str, optional
        Other names of genes and what they are to be called (aliases, symbols to Ensembl).
        Names that are not in it stay.
    min_overlap : float, default=0.8
        Raise if less than this share of the training genes is there.

    Attributes
    ----------
    genes_ : array of shape (n_genes,)
        Names that come out: those of the training data, after `gene_key` and `gene_map`.
    means_ : array of shape (n_genes,)
        Mean of every gene in the training data; with ``missing="mean"`` only.
    n_features_in_ : int
        Number of genes seen in `fit`.
    feature_names_in_ : array of shape (n_genes,)
        Their names, if they have names.

    Raises
    ------
    ValueError
        If two genes would become one, too few genes are found, a gene is missing under
        ``missing="raise"``, or zeros are to be filled in where X holds no counts.

    Examples
    --------
    >>> import pandas as pd
    >>> from geneexpr import GeneAligner
    >>> train = pd.DataFrame({"ENSG00000141510.18": [5.0], "ENSG00000136997.21": [7.0]})
    >>> new = pd.DataFrame({"ENSG00000136997": [1.0], "ENSG00000141510.4": [2.0]})
    >>> GeneAligner().fit(train).transform(new)
       ENSG00000141510.18  ENSG00000136997.21
    0                 2.0                 1.0
    """

    def __init__(
        self,
        missing="raise",
        *,
        strip_version=True,
        gene_key=None,
        gene_map=None,
        min_overlap=0.8,
    ):
        self.missing = missing
        self.strip_version = strip_version
        self.gene_key = gene_key
        self.gene_map = gene_map
        self.min_overlap = min_overlap

    def fit(self, X, y=None):
        """Learn the genes, and their means if these may be needed.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)
        y : None
            Ignored.

        Returns
        -------
        self
        """
        check_choice("missing", self.missing, MISSING)
        if self.gene_map is not None and not isinstance(self.gene_map, Mapping | pd.Series):
            raise TypeError(
                "gene_map must be a mapping from names to names, got "
                f"{type(self.gene_map).__name__}."
            )
        matrix = self._check(X, reset=True, allow_nan=True)
        self.genes_ = super().get_feature_names_out()
        if hasattr(self, "feature_names_in_"):
            self.genes_, _ = self._named(X)
        if self.missing == "mean":
            sums, counts = fold(matrix, _column_sums, _added)
            self.means_ = np.divide(sums, counts, out=np.zeros_like(sums), where=counts > 0)
        return self

    def transform(self, X):
        """Return the genes seen in `fit`, in their order.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, any)

        Returns
        -------
        container like X, of shape (n_samples, n_genes)
        """
        check_is_fitted(self)
        if not self._compares(X):  # without names: as many genes as in fit, or an error
            return self._map(X, self._check(X, allow_nan=True), lambda block: block)
        matrix = check_input(self, X, reset=False, allow_nan=True, names=False)
        theirs, keys = self._named(X)
        take = self._places(keys)
        self._judge(theirs, take)
        fill = None
        if (take < 0).any():
            fill = self.means_ if self.missing == "mean" else np.zeros(len(take))
        counts = fill is not None and self.missing == "zero"
        return self._map(
            X,
            matrix,
            lambda block: _taken(_only_counts(block) if counts else block, take, fill),
            take=take,
            genes=self.genes_,
            n_columns=len(take),
        )

    def report(self, X):
        """Say how the genes of X meet those seen in `fit`; nothing is transformed.

        Parameters
        ----------
        X : {DataFrame, AnnData} of shape (n_samples, any)

        Returns
        -------
        AlignmentReport
            With the lists ``matched``, ``missing``, ``extra``, the dict ``renamed`` and the
            share ``overlap``.
        """
        check_is_fitted(self)
        if not self._compares(X):
            raise ValueError(
                "Genes are compared by name: GeneAligner.report needs data with gene names, and "
                "to have been fitted on such."
            )
        names = gene_names(X)
        take = self._places(self._named(X)[1])
        found = take >= 0
        extra = np.ones(len(names), dtype=bool)
        extra[take[found]] = False
        pairs = zip(names[take[found]], self.genes_[found], strict=True)
        return AlignmentReport(
            matched=list(self.genes_[found]),
            missing=list(self.genes_[~found]),
            extra=list(names[extra]),
            renamed={theirs: ours for theirs, ours in pairs if theirs != ours},
        )

    def get_feature_names_out(self, input_features=None):
        """Return the names of the genes that come out.

        Parameters
        ----------
        input_features : array-like of str, optional
            Checked against the genes seen in `fit`.

        Returns
        -------
        array of str
        """
        check_is_fitted(self)
        super().get_feature_names_out(input_features)
        return self.genes_

    def _compares(self, X):
        return hasattr(self, "feature_names_in_") and gene_names(X) is not None

    def _named(self, X):
        """Return the names of X's genes after gene_key and gene_map, and what is compared."""
        names = gene_names(X)
        if self.gene_key is not None:
            column = gene_annotation(X, self.gene_key)
            bare = pd.isna(column)
            if bare.any():
                raise ValueError(
                    f"var[{self.gene_key!r}] is missing for {int(bare.sum())} genes: "
                    f"{name_some(names[bare])}. Drop them or name them."
                )
            names = column.astype(str).astype(object)
        if self.gene_map is not None:
            mapping = dict(self.gene_map)
            names = np.array([mapping.get(name, name) for name in names], dtype=object)
        keys = self._compared(names)
        _raise_merged(keys, gene_names(X))
        return names, keys

    def _compared(self, names):
        if not self.strip_version:
            return names
        return np.array([strip_version(name) for name in names], dtype=object)

    def _places(self, keys):
        """Return where each training gene stands among these keys; -1 where nowhere."""
        return pd.Index(keys).get_indexer(self._compared(self.genes_))

    def _judge(self, theirs, take):
        absent = self.genes_[take < 0]
        found = len(take) - len(absent)
        if found / len(take) < self.min_overlap:
            raise ValueError(
                f"Only {found} of the {len(take)} genes seen in fit are there "
                f"({found / len(take):.1%}; min_overlap={self.min_overlap:g}). Seen in fit: "
                f"{name_some(self.genes_, 3)}; here: {name_some(theirs, 3)}. Other identifiers "
                "need gene_map= or gene_key=; a transposed matrix needs a transpose."
            )
        if len(absent) and self.missing == "raise":
            raise ValueError(
                f"{len(absent)} of the {len(take)} genes seen in fit are missing: "
                f'{name_some(absent)}. Use missing="zero" (counts only) or missing="mean", or '
                "fit on the genes that both have."
            )

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.no_validation = True  # other genes in another order are what it is for
        return tags


def _raise_merged(keys, names):
    """Raise where two genes would become one."""
    index = pd.Index(keys)
    if index.is_unique:
        return
    twice = index.duplicated()
    same = [name for name, key in zip(names, keys, strict=True) if key == index[twice][0]]
    raise ValueError(
        f"{int(twice.sum())} genes would be merged silently: {name_some(same)} are all "
        f"{index[twice][0]!r} to GeneAligner. Sum or drop them first, or set strip_version=False."
    )


def _column_sums(block):
    if sp.issparse(block):
        sums = np.asarray(block.sum(axis=0, dtype=np.float64)).ravel()
        return sums, np.full(len(sums), float(block.shape[0]))
    return np.nansum(block, axis=0, dtype=np.float64), (~np.isnan(block)).sum(axis=0, dtype=float)


def _added(a, b):
    return a[0] + b[0], a[1] + b[1]


def _only_counts(block):
    entries = stored(block)
    if entries.size and (entries.min() < 0 or not np.array_equal(entries, np.trunc(entries))):
        raise ValueError(
            'missing="zero" is for counts only: on another scale zero is not absence. Align the '
            'counts before normalising, or use missing="mean".'
        )
    return block


def _taken(block, take, fill):
    """Take columns; -1 gives the gene's value in ``fill``."""
    if fill is None:
        return block[:, take] if sp.issparse(block) else block.take(take, axis=1)
    there = take >= 0
    if sp.issparse(block):
        if fill[~there].any():
            return _taken(block.toarray(), take, fill)
        places = sp.csr_matrix(
            (np.ones(there.sum()), (take[there], np.flatnonzero(there))),
            shape=(block.shape[1], len(take)),
            dtype=block.dtype,
        )
        return type(block)(block @ places)
    wide = np.empty((block.shape[0], len(take)), dtype=block.dtype)
    wide[:, there] = block[:, take[there]]
    wide[:, ~there] = fill[~there]
    return wide
