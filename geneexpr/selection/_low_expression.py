"""The rule of edgeR's filterByExpr: enough counts in enough samples."""

import numpy as np
import scipy.sparse as sp
from sklearn.utils.multiclass import type_of_target

from .._base import GeneSelector
from .._blocks import fold
from .._containers import annotation
from .._validation import check_number, warn_nothing_kept, warn_zero_depth
from ..stats._library_size import gene_sums
from ._sample_sizes import sizes_of, summed_sizes
from ._tests_of_genes import nuisance_columns

MILLION = 1e6
TOLERANCE = 1e-14
"""Slack of the two comparisons, as in edgeR."""


def min_sample_size(smallest_group, large_n=10, min_prop=0.7):
    """Return in how many samples a gene must be expressed.

    Parameters
    ----------
    smallest_group : float
        Samples in the smallest group (of a design: `smallest_group_of`), or all samples where
        there are no groups.
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


def smallest_group_of(design):
    """Return how many samples the least replicated part of a design amounts to.

    One over the largest leverage: for a design of groups, the size of the smallest.

    Parameters
    ----------
    design : array of shape (n_samples, n_coefficients)
        An intercept is added; columns may depend on each other.

    Returns
    -------
    float

    Examples
    --------
    >>> import numpy as np
    >>> smallest_group_of(np.array([[0.0], [0.0], [0.0], [1.0], [1.0]]))
    2.0
    """
    columns = np.column_stack([np.ones(len(design)), design])
    left, sizes, _ = np.linalg.svd(columns, full_matrices=False)
    basis = left[:, sizes > 1e-10 * sizes[0]]
    # Rounded, since a design of groups must give whole numbers.
    return round(float(1 / np.square(basis).sum(axis=1).max()), 10)


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
    design : sequence of str, optional
        Several annotations (``"y"`` for the target among them), where groups are not all: in
        place of the size of the smallest group, one over the largest leverage of a linear
        model with all of them. With `condition` it is not looked at, as in edgeR.
    library_size : str, optional
        The annotation that holds effective library sizes, such as sums of counts times TMM
        factors. By default the sums of counts.
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
        continuous one, an annotation that X does not carry, and library sizes that are not
        positive.

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
        design=None,
        library_size=None,
        min_count=10,
        min_total_count=15,
        large_n=10,
        min_prop=0.7,
        layer=None,
    ):
        self.condition = condition
        self.design = design
        self.library_size = library_size
        self.min_count = min_count
        self.min_total_count = min_total_count
        self.large_n = large_n
        self.min_prop = min_prop
        self.layer = layer

    def fit(self, X, y=None, *, design=None, library_size=None):
        """Learn which genes are expressed.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)
            Counts.
        y : array-like of shape (n_samples,), optional
            Class labels; used with ``condition="y"`` and with a design that names it.
        design : array-like of shape (n_samples, n_coefficients), optional
            A design matrix, for arrays, which carry no annotations; an intercept is added.
        library_size : array-like of shape (n_samples,), optional
            Effective library sizes, for arrays.

        Returns
        -------
        self
        """
        for name in ("min_count", "min_total_count", "large_n"):
            check_number(name, getattr(self, name), least=0)
        check_number("min_prop", self.min_prop, least=0, most=1)
        matrix = self._check(X, reset=True, counts=True, layer=self.layer)
        smallest = self._smallest_group(X, y, matrix.shape[0], design)
        self.min_samples_ = float(min_sample_size(smallest, self.large_n, self.min_prop))
        sizes = self._library_sizes(X, matrix, library_size)
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

    def fit_transform(self, X, y=None, *, design=None, library_size=None):
        """Learn which genes are expressed, and keep them.

        Parameters
        ----------
        X, y, design, library_size
            As in `fit`.

        Returns
        -------
        container like X, of shape (n_samples, n_selected)
        """
        return self.fit(X, y, design=design, library_size=library_size).transform(X)

    def _library_sizes(self, X, matrix, given):
        sizes = sizes_of(X, self.library_size, given)
        if sizes is None:
            sizes = summed_sizes(matrix)
            warn_zero_depth(sizes, type(self).__name__)
        return sizes

    def _smallest_group(self, X, y, n_samples, design):
        if self.condition is not None:
            return self._smallest_class(X, y, n_samples)
        if self.design is None and design is None:
            return n_samples
        if self.design is None:
            return smallest_group_of(_checked_design(design, n_samples))
        if design is not None:
            raise ValueError(
                f"Got both design={self.design!r} and design= in fit: name annotations that X "
                "carries, or pass a matrix beside an array, not both."
            )
        if isinstance(self.design, str):
            raise ValueError(f"design must be a sequence of names, got {self.design!r} alone.")
        keys = [key for key in self.design if key != "y"]
        columns = nuisance_columns(X, n_samples, None, keys)
        if len(keys) < len(self.design):
            target = nuisance_columns(X, n_samples, None, (), covariates=self._target(y))
            columns = np.hstack([columns, target])
        return smallest_group_of(columns)

    def _target(self, y):
        if y is None:
            named = 'condition="y"' if self.condition == "y" else f"design={self.design!r}"
            raise ValueError(
                f"LowExpressionFilter({named}) requires y to be passed, but the target y is None."
            )
        return np.asarray(y)

    def _smallest_class(self, X, y, n_samples):
        groups = self._target(y) if self.condition == "y" else annotation(X, self.condition)
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
        tags.target_tags.required = self.condition == "y" or (
            self.condition is None and self.design is not None and "y" in self.design
        )
        return tags


def _checked_design(design, n_samples):
    design = np.asarray(design, dtype=np.float64)
    if design.ndim != 2 or len(design) != n_samples or not np.isfinite(design).all():
        raise ValueError(
            f"design must be a matrix of finite numbers with one row a sample: got shape "
            f"{design.shape} for {n_samples} samples."
        )
    return design
