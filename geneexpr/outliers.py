"""Samples that do not look like the others: swapped, degraded, mislabelled, on another scale."""

import numbers

import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn.base import OutlierMixin
from sklearn.decomposition import PCA
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from ._base import GeneEstimator
from ._blocks import block_rows, in_memory, row_blocks
from ._containers import sample_names
from ._validation import check_choice, check_input, check_number
from .stats._sample_outliers import (
    box_distances,
    boxes_of,
    location_and_scale,
    robust_distances,
    typical_correlations,
    unit_profiles,
)

__all__ = ["SampleOutlierDetector"]

METHODS = ("pca", "correlation", "distribution")
MAX_COMPONENTS = 10
SAMPLES_A_COMPONENT = 4
"""With fewer samples for each, a component is spanned by single samples."""
LIMIT = 3.5
REASONS = {
    "pca": "far from the others in principal components",
    "correlation": "correlates less with the others",
    "distribution": "its values are distributed otherwise",
}


class SampleOutlierDetector(OutlierMixin, GeneEstimator):
    """Find samples that do not look like the others.

    Three distances, each put on a scale of robust standard deviations of the training samples:
    from the centre in principal components, of the correlation with other samples, and of the
    distribution of values. Look at what is marked before you drop it: an outlier may be a
    swapped tube, and may be the one patient with a rare disease.

    Every sample is judged on its own, against what `fit` stored. `fit` reads the data into
    memory.

    Parameters
    ----------
    method : {"all", "pca", "correlation", "distribution"}, default="all"
        - ``"pca"``: robust Mahalanobis distance in principal components (median and median
          absolute deviation of each component).
        - ``"correlation"``: median Pearson correlation with the training samples.
        - ``"distribution"``: distance of the boxplot (quantiles .05, .25, .5, .75, .95) from
          the pooled one.
        - ``"all"``: the worst of the three.
    n_components : int, optional
        Principal components; by default one for every four samples, at most 10.
    contamination : "auto" or float in (0, 0.5], default="auto"
        The share of the training samples to mark. "auto" marks those beyond 3.5 robust standard
        deviations (more with few samples, whose deviations are less certain), which hits about
        one in a hundred of normal ones.
    max_references : int, default=200
        How many training samples, chosen at random, correlations are taken with.
    random_state : int, RandomState or None, default=None
        Chooses them.

    Attributes
    ----------
    offset_ : float
        Samples whose score is below it are outliers.
    pca_ : PCA
        Of the training samples (not for methods that do without).
    component_centers_, component_scales_ : array of shape (n_components,)
        Median and robust deviation of each component over the training samples.
    references_ : array of shape (n_references, n_genes)
        Centred profiles of training samples of unit length (for ``"correlation"`` and
        ``"all"``): a model file holds them. ``method="pca"`` keeps no sample's profile.
    pooled_quantiles_ : array of shape (5,)
        Median over the training samples of each quantile.
    scales_ : dict of pair of float
        Location and scale of each distance over the training samples.
    n_features_in_ : int
        Number of genes seen in `fit`.
    feature_names_in_ : array of shape (n_genes,)
        Their names, if they have names.

    Notes
    -----
    Distances are positive and skewed, so their cube root is standardised, which is nearly
    normal (Wilson and Hilferty) [1]_; of a correlation :math:`r` the distance is :math:`1 - r`.

    See Also
    --------
    SampleQCDisplay : Draws boxplots and principal components with the outliers marked.

    References
    ----------
    .. [1] Wilson, Hilferty (1931), "The distribution of chi-square",
       doi:10.1073/pnas.17.12.684.
    .. [2] Kauffmann, Gentleman, Huber (2009), "arrayQualityMetrics: a Bioconductor package for
       quality assessment of microarray data", doi:10.1093/bioinformatics/btn647.

    Examples
    --------
    >>> import numpy as np
    >>> from geneexpr import SampleOutlierDetector
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(8, 2, size=200) + rng.normal(size=(20, 200))
    >>> X[3] = rng.permutation(X[3])
    >>> np.flatnonzero(SampleOutlierDetector(random_state=0).fit_predict(X) == -1)
    array([3])
    """

    def __init__(
        self,
        method="all",
        *,
        n_components=None,
        contamination="auto",
        max_references=200,
        random_state=None,
    ):
        self.method = method
        self.n_components = n_components
        self.contamination = contamination
        self.max_references = max_references
        self.random_state = random_state

    def fit(self, X, y=None):
        """Learn what samples look like.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)
            Expression on a log scale.
        y : None
            Ignored.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For fewer than 3 samples.
        """
        check_choice("method", self.method, (*METHODS, "all"))
        _check_contamination(self.contamination)
        check_number("max_references", self.max_references, least=1, whole=True)
        if self.n_components is not None:
            check_number("n_components", self.n_components, least=1, whole=True)
        matrix = in_memory(check_input(self, X, reset=True, logged=True, min_samples=3))
        self.pca_ = self.references_ = self.pooled_quantiles_ = None
        for method in self._methods:
            getattr(self, f"_learn_{method}")(matrix)
        distances = self._distances(matrix)
        self.scales_ = {
            method: tuple(float(v) for v in location_and_scale(values))
            for method, values in distances.items()
        }
        scores = -self._worst(distances)
        if self.contamination == "auto":
            self.offset_ = -_limit(matrix.shape[0])
        else:
            self.offset_ = float(np.percentile(scores, 100 * self.contamination))
        return self

    def score_samples(self, X):
        """Return how much samples look like the training samples.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)

        Returns
        -------
        array of shape (n_samples,)
            The lower, the stranger: minus the number of robust standard deviations.
        """
        return -self._worst(self._judge(X))

    def decision_function(self, X):
        """Return the scores above the offset: negative for outliers.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)

        Returns
        -------
        array of shape (n_samples,)
        """
        return self.score_samples(X) - self.offset_

    def predict(self, X):
        """Tell outliers from others.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)

        Returns
        -------
        array of int of shape (n_samples,)
            -1 for outliers, 1 for others.
        """
        return np.where(self.decision_function(X) < 0, -1, 1)

    def report(self, X):
        """Say which samples are outliers, and why.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)

        Returns
        -------
        DataFrame
            Indexed by sample: a column a method (robust standard deviations, high is
            strange), ``outlier`` and ``reason`` in words.
        """
        scores = self._standardized(self._judge(X))
        table = pd.DataFrame(scores, index=sample_names(X)).rename_axis("sample")
        beyond = table > -self.offset_
        table["outlier"] = beyond.any(axis=1)
        table["reason"] = [
            "; ".join(REASONS[method] for method in row.index[row]) for _, row in beyond.iterrows()
        ]
        return table

    def project(self, X):
        """Return the principal components of samples.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)

        Returns
        -------
        array of shape (n_samples, n_components)

        Raises
        ------
        AttributeError
            If the method does without principal components.
        """
        check_is_fitted(self)
        if self.pca_ is None:
            raise AttributeError(f"method={self.method!r} has no principal components; use 'all'.")
        matrix = check_input(self, X, reset=False, logged=True)
        return np.concatenate([self.pca_.transform(block) for _, _, block in row_blocks(matrix)])

    def quantiles(self, X):
        """Return the quantiles of every sample that its boxplot shows.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)

        Returns
        -------
        array of shape (n_samples, 5)
            Quantiles .05, .25, .5, .75 and .95.
        """
        check_is_fitted(self)
        matrix = check_input(self, X, reset=False, logged=True)
        return np.concatenate([_by_rows(block, boxes_of) for _, _, block in row_blocks(matrix)])

    @property
    def _methods(self):
        return METHODS if self.method == "all" else (self.method,)

    def _judge(self, X):
        check_is_fitted(self)
        matrix = check_input(self, X, reset=False, logged=True)
        parts = [self._distances(block) for _, _, block in row_blocks(matrix)]
        return {method: np.concatenate([part[method] for part in parts]) for method in parts[0]}

    def _learn_pca(self, matrix):
        n_samples, n_genes = matrix.shape
        most = min(n_samples - 1, n_genes)
        wanted = self.n_components or min(MAX_COMPONENTS, max(1, n_samples // SAMPLES_A_COMPONENT))
        solver = "full"
        if sp.issparse(matrix):
            if min(wanted, most) < min(matrix.shape) and not _all_the_same(matrix):
                solver = "arpack"  # the one that takes sparse input, but no such case
            else:
                matrix = matrix.toarray()
        pca = PCA(min(wanted, most), svd_solver=solver, random_state=0)
        with np.errstate(invalid="ignore"):  # shares of no variance at all
            self.pca_ = pca.fit(matrix)
        scores = self.pca_.transform(matrix)
        self.component_centers_, self.component_scales_ = location_and_scale(scores)

    def _learn_correlation(self, matrix):
        rows = np.arange(matrix.shape[0])
        if len(rows) > self.max_references:
            rng = check_random_state(self.random_state)
            rows = np.sort(rng.choice(rows, self.max_references, replace=False))
        self.references_ = unit_profiles(_dense(matrix[rows]))

    def _learn_distribution(self, matrix):
        boxes = _by_rows(matrix, boxes_of)
        self.pooled_quantiles_ = np.median(boxes, axis=0)

    def _distances(self, matrix):
        """Return the distance of every row by every method, as it is standardised."""
        return {
            method: np.cbrt(_by_rows(matrix, getattr(self, f"_by_{method}")))
            for method in self._methods
        }

    def _by_pca(self, block):
        scores = self.pca_.transform(block)
        return robust_distances(scores, self.component_centers_, self.component_scales_) ** 2

    def _by_correlation(self, block):
        return 1 - typical_correlations(unit_profiles(block), self.references_)

    def _by_distribution(self, block):
        return box_distances(boxes_of(block), self.pooled_quantiles_)

    def _standardized(self, distances):
        return {
            method: (values - self.scales_[method][0]) / (self.scales_[method][1] or 1.0)
            for method, values in distances.items()
        }

    def _worst(self, distances):
        return np.max(list(self._standardized(distances).values()), axis=0)


def _by_rows(matrix, function):
    """Apply a function of dense rows to all rows, a part at a time."""
    step = block_rows(matrix.shape[1])
    starts = range(0, matrix.shape[0], step)
    return np.concatenate([function(_dense(matrix[start : start + step])) for start in starts])


def _dense(block):
    return block.toarray() if sp.issparse(block) else block


def _all_the_same(matrix):
    """Tell whether every sample is the same as the next."""
    return (matrix[1:] != matrix[:-1]).nnz == 0


def _limit(n_samples):
    """Return where outliers begin: the deviation of few samples is less certain."""
    return LIMIT * (1 + 6 / n_samples)


def _check_contamination(contamination):
    if isinstance(contamination, str) and contamination == "auto":
        return
    if not isinstance(contamination, numbers.Real) or not 0 < contamination <= 0.5:
        raise ValueError(
            f"contamination must be 'auto' or a share in (0, 0.5]; got {contamination!r}."
        )
