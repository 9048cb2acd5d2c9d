"""TPM and FPKM: counts divided by gene length and by library size."""

from functools import partial

import numpy as np

from .._validation import gene_values, warn_zero_depth
from ..stats._library_size import library_sizes, scaled, times_rows
from ._base import collect
from ._library_size import LibrarySizeNormalizer

MILLION, BILLION = 1e6, 1e9


def transcripts_per_million(counts, lengths):
    """Divide counts by gene length, then scale every sample to a million.

    Parameters
    ----------
    counts : array or CSR matrix of shape (n_samples, n_genes)
    lengths : array of shape (n_genes,)
        In base pairs; the unit cancels.

    Returns
    -------
    tpm : like ``counts``
    depths : array of shape (n_samples,)
        Sums of counts over length.

    Examples
    --------
    >>> import numpy as np
    >>> transcripts_per_million(np.array([[1.0, 3.0]]), np.array([1000.0, 1000.0]))[0]
    array([[250000., 750000.]])
    """
    return scaled(counts, MILLION, 1.0 / lengths, weighted_total=True)


def fragments_per_kilobase_million(counts, lengths):
    """Divide counts by gene length in kilobases and by library size in millions.

    Parameters
    ----------
    counts : array or CSR matrix of shape (n_samples, n_genes)
    lengths : array of shape (n_genes,)
        In base pairs.

    Returns
    -------
    fpkm : like ``counts``
    depths : array of shape (n_samples,)
        The library sizes.

    Examples
    --------
    >>> import numpy as np
    >>> fragments_per_kilobase_million(np.array([[1.0, 3.0]]), np.array([500.0, 1000.0]))[0]
    array([[500000., 750000.]])
    """
    return scaled(counts, BILLION, 1.0 / lengths)


class GeneLengthNormalizer(LibrarySizeNormalizer):
    """Base of both: scaling gives the sizes as well, since for TPM these need the lengths."""

    def __init__(self, gene_lengths="length"):
        self.gene_lengths = gene_lengths

    def _learn_sizes(self, X, matrix):
        self.median_library_size_ = float(np.median(collect(matrix, library_sizes)))
        self.gene_lengths_ = (
            np.ones(self.n_features_in_)
            if self.gene_lengths is None
            else gene_values(self, X, self.gene_lengths, what="gene_lengths")
        )

    def _size_function(self):
        return None

    def _scale_by(self, scale):
        return partial(warned, scale=scale, lengths=self.gene_lengths_, name=type(self).__name__)


class TPMNormalizer(GeneLengthNormalizer):
    """Transcripts per million: counts over gene length, scaled to a million a sample.

    Row-independent; sparse input stays sparse. ``fit`` is one row fold (of the library
    sizes), peak memory one block.

    Parameters
    ----------
    gene_lengths : str, mapping, Series, array or None, default="length"
        Lengths in base pairs, taken by gene name: a column of ``AnnData.var``, or a mapping
        or Series indexed by gene (in any order, other genes allowed). An array is taken by
        position, for X without gene names only. None says on purpose that all genes count
        equally (3' counting, UMIs), which gives CPM.

    Attributes
    ----------
    gene_lengths_ : array of shape (n_genes,)
        The length of every gene, frozen.
    median_library_size_ : float
        Median total count of the training samples, for `inverse_transform`.
    n_features_in_ : int
        Number of genes seen in `fit`.
    feature_names_in_ : array of shape (n_genes,)
        Their names, if they have names.

    Raises
    ------
    ValueError
        In ``fit``, if a gene has no length or one that is not positive (the genes are
        named); in both, for negative or non-finite values and other genes than in ``fit``.

    See Also
    --------
    FPKMNormalizer : Scales by library size instead.
    CPMNormalizer : Leaves gene length out.

    References
    ----------
    .. [1] Wagner, Kin, Lynch (2012), "Measurement of mRNA abundance using RNA-seq data:
       RPKM measure is inconsistent among samples", doi:10.1007/s12064-012-0162-3.

    Examples
    --------
    >>> import pandas as pd
    >>> from geneexpr import TPMNormalizer
    >>> counts = pd.DataFrame({"TP53": [10.0, 0.0], "MYC": [10.0, 5.0]}, index=["s1", "s2"])
    >>> TPMNormalizer(gene_lengths={"MYC": 1000, "TP53": 3000}).fit_transform(counts)
            TP53        MYC
    s1  250000.0   750000.0
    s2       0.0  1000000.0
    """

    def _scale_function(self):
        return self._scale_by(transcripts_per_million)

    def _unscale_function(self):
        return partial(_from_tpm, lengths=self.gene_lengths_)


class FPKMNormalizer(GeneLengthNormalizer):
    """Fragments (reads) per kilobase of gene and million counts; also RPKM.

    Row-independent; sparse input stays sparse. ``fit`` is one row fold (of the library
    sizes), peak memory one block. Sums differ between samples: for comparing proportions
    prefer `TPMNormalizer`.

    Parameters
    ----------
    gene_lengths : str, mapping, Series, array or None, default="length"
        As in `TPMNormalizer`; None counts every gene as one base pair.

    Attributes
    ----------
    gene_lengths_ : array of shape (n_genes,)
        The length of every gene, frozen.
    median_library_size_ : float
        Median total count of the training samples, for `inverse_transform`.
    n_features_in_ : int
        Number of genes seen in `fit`.
    feature_names_in_ : array of shape (n_genes,)
        Their names, if they have names.

    Raises
    ------
    ValueError
        As `TPMNormalizer`.

    References
    ----------
    .. [1] Mortazavi et al. (2008), "Mapping and quantifying mammalian transcriptomes by
       RNA-Seq", doi:10.1038/nmeth.1226.

    Examples
    --------
    >>> import pandas as pd
    >>> from geneexpr import FPKMNormalizer
    >>> counts = pd.DataFrame({"TP53": [10.0], "MYC": [10.0]}, index=["s1"])
    >>> FPKMNormalizer(gene_lengths={"MYC": 1000, "TP53": 2500}).fit_transform(counts)
            TP53       MYC
    s1  200000.0  500000.0
    """

    def _scale_function(self):
        return self._scale_by(fragments_per_kilobase_million)

    def _unscale_function(self):
        return partial(_from_fpkm, lengths=self.gene_lengths_)


def warned(block, sizes, scale, lengths, name):
    """Scale the rows, with a warning of those without counts."""
    result, depths = scale(block, lengths)
    warn_zero_depth(depths, name)
    return result


def _from_tpm(tpm, sizes, lengths):
    weighted = _times_genes(tpm, lengths)
    depths = library_sizes(weighted)
    factors = np.divide(sizes, depths, out=np.zeros_like(depths), where=depths > 0)
    return times_rows(weighted, factors)


def _from_fpkm(fpkm, sizes, lengths):
    return times_rows(_times_genes(fpkm, lengths), sizes / BILLION)


def _times_genes(matrix, factors):
    if hasattr(matrix, "tocsr"):
        result = matrix.copy()
        result.data *= factors[matrix.indices].astype(matrix.dtype)
        return result
    return matrix * factors.astype(matrix.dtype)
