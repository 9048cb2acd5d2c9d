"""The rule of edgeR's filterByExpr: enough counts in enough samples."""

import numpy as np
import scipy.sparse as sp
from sklearn.utils.multiclass import type_of_target

from .._base import GeneSelector
from .._blocks import fold
from .._containers import annotation
from .._validation import warn_nothing_kept, warn_zero_depth
from ..stats._library_size import gene_sums, library_sizes

MILLION = 1e6
TOLERANCE = 1e-14
"""Slack of the two comparisons, as in edgeR."""


def min_sample_size(smallest_group, large_n=10, min_prop=0.7):
    """Return in how many samples a gene must be expressed.

    Parameters
    ----------
    smallest_group : int
        Samples in the smallest group, or all samples where there are no groups.
    large_n : int, default=10
        Beyond it only a share of the samples is asked for.
    min_prop : float, default=0.7
        That share.

    Returns
    -------
    float

    Examples
    --------
    >>> min_sample_size(4), min_sample_size(20)
    (4, 17.0)
    """
    if smallest_group <= large_n:
        return smallest_group
    return large_n + (smallest_group - large_n) * min_prop


def expression_counts(counts, sizes, cutoff):
    """Count, gene by gene, the samples whose CPM reaches the cutoff, and sum the counts.

    Parameters
    ----------
    counts : array or CSR matrix of shape (n_samples, n_genes)
    sizes : array of shape (n_samples,)
        Library sizes.
    cutoff : float
        In CPM.

    Returns
    -------
    array of shape (2, n_genes)
        Samples that reach the cutoff, and total counts.
    """
    n_genes = counts.shape[1]
    millions = np.where(sizes > 0, sizes / MILLION, np.inf)
    if sp.issparse(counts):
        reached = counts.data / np.repeat(millions, np.diff(counts.indptr)) >= cutoff
        totals, expressed = gene_sums(counts), gene_sums(counts, reached)
    else:
        expressed = (counts / millions[:, None] >= cutoff).sum(axis=0)
        totals = counts.sum(axis=0, dtype=np.float64)
    if cutoff <= 0:
        expressed = np.full(n_genes, counts.shape[0])
    return np.stack([expressed.astype(np.float64), totals])


class LowExpressionFilter(GeneSelector):
    """Keep genes with enough counts in enough samples: the rule of edgeR `filterByExpr`.

    A gene is kept if its CPM reaches ``min_count / median library size`` (in millions) in at
    least as many samples as the smallest group has, and if its counts sum to
    `min_total_count`. Row-independent at ``transform``. ``fit`` is two row folds (library
    sizes, then genes), peak memory one block.

    Parameters
    ----------
    condition : str, optional
        The biological grouping, whose smallest group counts: ``"y"`` for the target that is
        given to ``fit``, or the name of an annotation. Without it every sample counts, and a
        gene that only one class expresses is removed.
    min_count : float, default=10
        Counts that make a gene expressed in a sample of median library size.
    min_total_count : float, default=15
        Counts over all samples.
    large_n : int, default=10
        Size of a group beyond which only a share of its samples is asked for.
    min_prop : float, default=0.7
        That share.
    layer : str, optional
        The layer of an AnnData that holds the counts, if ``X`` does not.

    Attributes
    ----------
    support_ : array of bool of shape (n_genes,)
        Genes that are kept.
    min_samples_ : float
        In how many samples a gene had to be expressed.
    cpm_cutoff_ : float
        The CPM from which it was.
    n_features_in_ : int
        Number of genes seen in `fit`.
    feature_names_in_ : array of shape (n_genes,)
        Their names, if they have names.

    Raises
    ------
    ValueError
        For negative or non-finite values, ``condition="y"`` without ``y`` or with a
        continuous one, and an annotation that X does not carry.

    References
    ----------
    .. [1] Chen, Lun, Smyth (2016), "From reads to genes to pathways: differential expression
       analysis of RNA-Seq experiments using Rsubread and the edgeR quasi-likelihood
       pipeline", doi:10.12688/f1000research.8987.2.

    Examples
    --------
    >>> import numpy as np
    >>> from geneexpr import LowExpressionFilter
    >>> counts = np.array([[0.0, 90.0, 10.0], [0.0, 80.0, 0.0], [1.0, 99.0, 0.0]])
    >>> LowExpressionFilter().fit_transform(counts)
    array([[90.],
           [80.],
           [99.]])
    """

    def __init__(
        self,
        condition=None,
        *,
        min_count=10,
        min_total_count=15,
        large_n=10,
        min_prop=0.7,
        layer=None,
    ):
        self.condition = condition
        self.min_count = min_count
        self.min_total_count = min_total_count
        self.large_n = large_n
        self.min_prop = min_prop
        self.layer = layer

    def fit(self, X, y=None):
        """Learn which genes are expressed.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)
            Counts.
        y : array-like of shape (n_samples,), optional
            Class labels; used with ``condition="y"`` only.

        Returns
        -------
        self
        """
        matrix = self._check(X, reset=True, counts=True, layer=self.layer)
        smallest = self._smallest_group(X, y, matrix.shape[0])
        self.min_samples_ = float(min_sample_size(smallest, self.large_n, self.min_prop))
        sizes = np.concatenate(
            fold(matrix, lambda block: [library_sizes(block)], lambda a, b: a + b)
        )
        warn_zero_depth(sizes, type(self).__name__)
        median = np.median(sizes)
        self.cpm_cutoff_ = float(self.min_count / median * MILLION) if median > 0 else np.inf
        expressed, totals = fold(
            matrix,
            lambda block, sizes: expression_counts(block, sizes, self.cpm_cutoff_),
            np.add,
            sizes,
        )
        self.support_ = (expressed >= self.min_samples_ - TOLERANCE) & (
            totals >= self.min_total_count - TOLERANCE
        )
        warn_nothing_kept(self)
        return self

    def _smallest_group(self, X, y, n_samples):
        if self.condition is None:
            return n_samples
        if self.condition != "y":
            groups = annotation(X, self.condition)
        elif y is None:
            raise ValueError(
                'LowExpressionFilter(condition="y") requires y to be passed, but the target y is '
                "None."
            )
        else:
            groups = np.asarray(y)
        kind = type_of_target(groups, input_name="condition")
        if kind not in ("binary", "multiclass"):
            raise ValueError(
                f"condition={self.condition!r} must name groups of samples, got {kind} values. For "
                "a continuous target use condition=None."
            )
        if len(groups) != n_samples:
            raise ValueError(f"y has {len(groups)} labels for {n_samples} samples.")
        return int(np.unique(groups, return_counts=True)[1].min())

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        tags.target_tags.required = self.condition == "y"
        return tags
