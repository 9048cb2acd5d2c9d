"""A warning where a sample to predict does not look like those of training."""

import warnings

import numpy as np
import pandas as pd
from sklearn.base import MetaEstimatorMixin, clone
from sklearn.model_selection import GroupKFold, KFold
from sklearn.utils import get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from .._base import GeneEstimator
from .._blocks import row_blocks
from .._containers import DiskRows, is_named, name_some, sample_names, values
from .._validation import (
    OutOfDistributionWarning,
    check_choice,
    check_input,
    check_number,
    labels_of,
)
from ._low_rank import (
    LowRank,
    Neighbors,
    RowScale,
    by_rows,
    default_components,
    limit_of,
    row_scale,
)
from ._pipeline_space import finite, inner_has, matrix_of, pipeline_of, steps_of, through
from ._rows import take_rows

METHODS = ("mahalanobis", "knn")


class DistributionGuard(MetaEstimatorMixin, GeneEstimator):
    """Warn where a sample to predict does not look like those of training.

    A model predicts for any row of numbers: of another tissue, of counts where logs were
    expected, of genes in another order. This keeps what training samples look like in the
    pipeline's own space, the output of all steps before the last, which is what the last step
    decides by. `predict` and `predict_proba` are those of the estimator, and name the samples
    that are farther than a limit (`OutOfDistributionWarning`).

    Beside the distance in this space, mean and spread of the values of a sample are compared,
    which another logarithm or a missing one change, whatever the steps do then.

    The limits are set by samples left out: the steps are fitted anew on the other folds, so that
    of new samples like those of training a share of about ``alpha`` is named.

    Row-independent. ``fit`` holds the space in memory.

    Parameters
    ----------
    estimator : estimator
        Most often a pipeline, or a `ConformalClassifier` of one; it is cloned.
    space : str, default="auto"
        ``"auto"``: the output of all steps before the last of a pipeline (of the best one of a
        search), and X itself for other estimators. ``"input"``: X itself, which sees also what
        the steps throw away. Or the name of a step: its output.
    method : {"mahalanobis", "knn"}, default="mahalanobis"
        - ``"mahalanobis"``: principal components give two distances: within their subspace
          (Mahalanobis), where samples differ more than usual in usual ways, and from it, where
          genes no longer go together [1]_. Keeps no training sample.
        - ``"knn"``: the mean distance to the nearest training samples [2]_, for training
          samples of several kinds. Keeps the training samples in this space
          (``references_``), and so does a model file.
    alpha : float, default=0.01
        The share of samples like those of training that is named; it is divided among the
        distances.
    n_components : int, optional
        Of the subspace; by default one for every four samples, at most 10.
    n_neighbors : int, default=5
    cv : int, default=5
        Folds that set the limit.
    group_key : str, optional
        The annotation, such as a donor, whose samples are never in two folds.
    random_state : int, RandomState or None, default=0
        Deals the folds.

    Attributes
    ----------
    estimator_ : estimator
        Fitted.
    limits_ : array of shape (3,) or (2,)
        What each squared distance must not exceed; the last is of the scale.
    scale_center_, scale_covariance_ : arrays of shape (2,) and (2, 2)
        Of mean and spread of the values of a sample (of their inverse hyperbolic sine).
    center_, components_, variances_, total_variance_ : arrays and float
        Of the principal components (``"mahalanobis"``).
    references_ : array of shape (n_samples, n_features)
        Training samples in the space (``"knn"``).
    classes_ : array of shape (n_classes,)
        Of a classifier.
    n_features_in_ : int
        Number of genes seen in `fit`.
    feature_names_in_ : array of shape (n_genes,)
        Their names, if they have names.

    Warns
    -----
    OutOfDistributionWarning
        Where samples to predict are farther than the limit; names them.

    See Also
    --------
    SampleOutlierDetector : Strange samples within a cohort, before anything is fitted.

    Notes
    -----
    A step that removes a difference hides it from the steps after it. Differences that matter to
    the model but not to these distances (a swapped label, another prevalence) are not seen, and
    the more the training samples differ (several laboratories, degraded samples among them),
    the farther a new one may be.

    With fewer than ``3 / alpha`` samples their distances do not reach the limit: it is then that
    of a normal distribution of their cube roots, and at least the largest of them.

    References
    ----------
    .. [1] Jackson, Mudholkar (1979), "Control procedures for residuals associated with
       principal component analysis", doi:10.1080/00401706.1979.10489779.
    .. [2] Sun, Ming, Zhu, Li (2022), "Out-of-distribution detection with deep nearest
       neighbors", doi:10.48550/arXiv.2204.06507.

    Examples
    --------
    >>> import warnings
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from geneexpr import CPMNormalizer, DistributionGuard, ToArray, make_cohort
    >>> cohort = CPMNormalizer(log=True).fit_transform(make_cohort(80, 50, random_state=0))
    >>> train, new = cohort[:60], cohort[60:].copy()
    >>> guard = DistributionGuard(make_pipeline(ToArray(), StandardScaler(), LogisticRegression()))
    >>> guard = guard.fit(train, train.obs["condition"])
    >>> new.X[2:] *= 0.6931  # the natural logarithm in place of that to the base 2
    >>> int(guard.is_outlying(new)[2:].sum())
    18
    """

    def __init__(
        self,
        estimator,
        *,
        space="auto",
        method="mahalanobis",
        alpha=0.01,
        n_components=None,
        n_neighbors=5,
        cv=5,
        group_key=None,
        random_state=0,
    ):
        self.estimator = estimator
        self.space = space
        self.method = method
        self.alpha = alpha
        self.n_components = n_components
        self.n_neighbors = n_neighbors
        self.cv = cv
        self.group_key = group_key
        self.random_state = random_state

    def fit(self, X, y=None, *, groups=None):
        """Fit the estimator, and learn what training samples look like in its space.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)
            What the estimator takes; it gets the container with its annotations.
        y : array-like of shape (n_samples,)
            The outcome.
        groups : array-like of shape (n_samples,), optional
            Group (donor) of each sample, for arrays, which carry no annotations.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For fewer than 4 samples, or missing values in the space.
        """
        self._check_options()
        data = self._data(X, reset=True)
        given = labels_of(X, self.group_key, groups, key_name="group_key", given_name="groups")
        self.estimator_ = clone(self.estimator).fit(data, y)
        if hasattr(self.estimator_, "classes_"):
            self.classes_ = self.estimator_.classes_
        steps = steps_of(self.estimator_, self.space)
        # One number for all folds, so that their distances can be compared.
        k = self.n_components or default_components(data.shape[0])
        scales = self._scales(data)
        self._keep(self._learn(matrix_of(through(steps, data)), k), RowScale.learn(scales))
        held = self._held_out(steps, data, y, given, scales, k)
        share = self.alpha / held.shape[1]
        self.limits_ = np.array([limit_of(column, share) for column in held.T])
        return self

    def predict(self, X):
        """Predict, and warn of samples unlike those of training.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)

        Returns
        -------
        array of shape (n_samples,)
        """
        return self._guarded(X, "predict")

    @available_if(inner_has("predict_proba"))
    def predict_proba(self, X):
        """Return the probabilities of the estimator, and warn as `predict` does.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)

        Returns
        -------
        array of shape (n_samples, n_classes)
        """
        return self._guarded(X, "predict_proba")

    @available_if(inner_has("decision_function"))
    def decision_function(self, X):
        """Return the scores of the estimator, and warn as `predict` does.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)

        Returns
        -------
        array of shape (n_samples,) or (n_samples, n_classes)
        """
        return self._guarded(X, "decision_function")

    @available_if(inner_has("predict_set"))
    def predict_set(self, X):
        """Return the sets of a `ConformalClassifier`, and warn as `predict` does.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)

        Returns
        -------
        DataFrame of bool of shape (n_samples, n_classes)
        """
        return self._guarded(X, "predict_set")

    @available_if(inner_has("predict_interval"))
    def predict_interval(self, X):
        """Return the intervals of a `ConformalRegressor`, and warn as `predict` does.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)

        Returns
        -------
        DataFrame of shape (n_samples, 2)
        """
        return self._guarded(X, "predict_interval")

    @available_if(inner_has("score"))
    def score(self, X, y):
        """Return the score of the estimator; it does not warn.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)
        y : array-like of shape (n_samples,)

        Returns
        -------
        float
        """
        check_is_fitted(self)
        return self.estimator_.score(self._data(X), y)

    def score_samples(self, X):
        """Return how much samples look like those of training.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)

        Returns
        -------
        array of shape (n_samples,)
            Minus the distance in units of the limit: below -1 is outlying.
        """
        return -self._judge(X)[-1].max(axis=1)

    def is_outlying(self, X):
        """Tell which samples do not look like those of training.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)

        Returns
        -------
        array of bool of shape (n_samples,)
        """
        return self.score_samples(X) < -1

    def report(self, X):
        """Say which samples are outlying, and in which way.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)

        Returns
        -------
        DataFrame
            Indexed by sample: the distances in units of their limits (``within`` the subspace
            and ``residual`` from it, or to ``neighbors``; ``scale`` of the values) and
            ``outlying``.
        """
        found = self._judge(X)[-1]
        parts = [*self._profile().parts, "scale"]
        table = pd.DataFrame(found, index=sample_names(X), columns=parts)
        return table.assign(outlying=(table > 1).any(axis=1)).rename_axis("sample")

    def _guarded(self, X, method):
        data, space, distances = self._judge(X)
        self._warn(X, (distances > 1).any(axis=1))
        whole = pipeline_of(self.estimator_)
        steps = steps_of(self.estimator_, self.space)
        last = whole[-1] if steps is not None and len(steps) == len(whole) - 1 else None
        if hasattr(last, method):
            return getattr(last, method)(space)  # the other steps are done
        return getattr(self.estimator_, method)(data)

    def _warn(self, X, outlying):
        if not outlying.any():
            return
        names = sample_names(X)
        rows = np.flatnonzero(outlying)
        said = f"row {name_some(rows)}" if names is None else name_some(names[rows])
        warnings.warn(
            f"{len(rows)} of {len(outlying)} samples do not look like those that "
            f"{type(pipeline_of(self.estimator_)).__name__} was trained on: {said}. Do not "
            "believe their predictions before you know why: look at their scale, genes and "
            "tissue, and at report(X).",
            OutOfDistributionWarning,
            stacklevel=4,
        )

    def _data(self, X, *, reset=False):
        tags = get_tags(self.estimator).input_tags
        options = {"allow_nan": tags.allow_nan, "sparse": tags.sparse}
        matrix = check_input(self, X, reset=reset, min_samples=4 if reset else 1, **options)
        return X if is_named(X) or isinstance(matrix, DiskRows) else matrix

    def _learn(self, points, n_components):
        if self.method == "knn":
            return Neighbors.learn(points, self.n_neighbors)
        return LowRank.learn(points, n_components)

    def _keep(self, profile, scale):
        """Store what was learned as plain values."""
        names = ("references",) if self.method == "knn" else LowRank.__slots__
        for name in names:
            setattr(self, f"{name}_", getattr(profile, name))
        self.scale_center_, self.scale_covariance_ = scale.center, scale.covariance

    def _scales(self, data):
        """Return mean and spread of the values of every row of X itself."""
        blocks = row_blocks(values(data))
        return np.concatenate([by_rows(row_scale, block) for _, _, block in blocks])

    def _profile(self):
        if self.method == "knn":
            return Neighbors(self.references_, min(self.n_neighbors, len(self.references_)))
        return LowRank(*(getattr(self, f"{name}_") for name in LowRank.__slots__))

    def _held_out(self, steps, data, y, groups, scales, n_components):
        """Return distances of samples from the others, the steps fitted without them."""
        parts = []
        for train, test in self._folds(data.shape[0], groups):
            seen, own = take_rows(data, train), None
            if steps is not None:
                own = clone(steps)
                seen = own.fit_transform(seen, None if y is None else np.asarray(y)[train])
            profile = self._learn(matrix_of(seen), n_components)
            held = matrix_of(through(own, take_rows(data, test)))
            scale = RowScale.learn(scales[train]).distances(scales[test])
            parts.append(np.column_stack([by_rows(profile.distances, held), scale]))
        return np.concatenate(parts)

    def _folds(self, n_samples, groups):
        options = {"shuffle": True, "random_state": self.random_state}
        blank = np.zeros((n_samples, 1))
        if groups is None:
            return KFold(min(self.cv, n_samples), **options).split(blank)
        n_groups = len(np.unique(groups))
        if n_groups < 2:
            raise ValueError("DistributionGuard needs samples of at least two groups; got one.")
        return GroupKFold(min(self.cv, n_groups), **options).split(blank, groups=groups)

    def _distances(self, space, data):
        """Return the distances of samples, in units of their limits."""
        measure = self._profile().distances
        blocks = row_blocks(values(space))
        inside = np.concatenate([by_rows(measure, finite(block)) for _, _, block in blocks])
        scale = RowScale(self.scale_center_, self.scale_covariance_).distances(self._scales(data))
        found = np.column_stack([inside, scale])
        # Where training samples do not differ at all, any difference is beyond the limit.
        apart = np.where(found > 0, np.inf, 0.0)
        return np.sqrt(np.divide(found, self.limits_, out=apart, where=self.limits_ > 0))

    def _judge(self, X):
        """Return checked data, its space, and distances in units of their limits."""
        check_is_fitted(self)
        data = self._data(X)
        space = through(steps_of(self.estimator_, self.space), data)
        return data, space, self._distances(space, data)

    def _check_options(self):
        check_choice("method", self.method, METHODS)
        check_number("alpha", self.alpha, above=0, below=1)
        check_number("cv", self.cv, least=2, whole=True)
        check_number("n_neighbors", self.n_neighbors, least=1, whole=True)
        if self.n_components is not None:
            check_number("n_components", self.n_components, least=1, whole=True)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        inner = get_tags(self.estimator)
        tags.estimator_type = inner.estimator_type
        tags.classifier_tags = inner.classifier_tags
        tags.regressor_tags = inner.regressor_tags
        tags.target_tags = inner.target_tags
        tags.input_tags.sparse = inner.input_tags.sparse
        tags.input_tags.allow_nan = inner.input_tags.allow_nan
        tags.input_tags.positive_only = inner.input_tags.positive_only
        tags.non_deterministic = inner.non_deterministic
        return tags
