"""What conformal classifiers and regressors share: folds, predictions of unseen samples."""

import warnings

import numpy as np
from sklearn.base import MetaEstimatorMixin, clone
from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold
from sklearn.utils import get_tags
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from .._base import GeneEstimator
from .._containers import DiskRows, is_named
from .._optional import import_optional
from .._validation import check_choice, check_input, check_number, labels_of
from ._out_of_fold import Outcome, predict_out_of_fold, predictions_of
from ._rows import take_rows

METHODS = ("cross", "split")


def calibration_folds(outcome, cv, *, groups=None, random_state=None):
    """Deal samples out to folds: classes evenly, a group never on both sides.

    Parameters
    ----------
    outcome : Outcome
        Classes as codes, or numbers.
    cv : int
        How many folds; fewer where there are not so many groups, or so many samples of the
        largest class.
    groups : array of shape (n_samples,), optional
    random_state : int, RandomState or None

    Returns
    -------
    list of (train, test)

    Examples
    --------
    >>> from geneexpr.evaluation._out_of_fold import Outcome
    >>> ages = Outcome(None, np.array([40.0, 41.0, 60.0, 61.0]), None)
    >>> folds = calibration_folds(ages, 2, groups=np.array(["a", "a", "b", "b"]), random_state=0)
    >>> [test.tolist() for _, test in folds]
    [[2, 3], [0, 1]]
    """
    n_samples = len(outcome.values)
    units = np.arange(n_samples)
    if groups is not None:
        units = np.unique(groups, return_inverse=True)[1]
    n_folds = min(cv, len(np.unique(units)))
    if outcome.classes is not None:
        n_folds = min(n_folds, np.bincount(outcome.values).max())
    if n_folds < 2:
        raise ValueError(
            f"Calibrating needs samples of at least two groups; got {n_samples} sample(s) in "
            f"{len(np.unique(units))} group(s) (n_samples = {n_samples})."
        )
    options = {"shuffle": True, "random_state": random_state}
    blank = np.zeros((n_samples, 1))
    if outcome.classes is None:
        if groups is None:
            return list(KFold(n_folds, **options).split(blank))
        return list(GroupKFold(n_folds, **options).split(blank, groups=units))
    with warnings.catch_warnings():
        # A class with fewer samples than folds is absent from some, which harms nothing here.
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        splitter = StratifiedGroupKFold(n_folds, **options)
        return list(splitter.split(blank, outcome.values, units))


def check_enough(n_samples, level):
    """Raise where no quantile of so many samples reaches the level."""
    needed = max(1 / (1 - level), 1 / level)
    if n_samples <= needed + 1e-9:  # MAPIE compares 10 with 10.000000000000002
        raise ValueError(
            f"A limit at level {level:g} needs more than {needed:.3g} samples to calibrate on, got "
            f"{n_samples}. Give more samples, lower the level, or calibrate on all of them with "
            "method='cross'."
        )


class Conformal(MetaEstimatorMixin, GeneEstimator):
    """Base of the conformal estimators: fits the estimator and keeps unseen predictions.

    A subclass has ``_read_outcome(y)`` and ``_learn_outcome(outcome)``.
    """

    def fit(self, X, y, *, groups=None):
        """Fit the estimator, and predict samples that it has not seen.

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
        """
        self._check_options()
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None."
            )
        data = self._data(X, reset=True)
        outcome = self._read_outcome(y)
        check_consistent_length(data, outcome.values)
        given = labels_of(X, self.group_key, groups, key_name="group_key", given_name="groups")
        self._learn_outcome(outcome)
        self._fit_and_hold_out(data, outcome, self._folds(data, outcome, given))
        return self

    def predict(self, X):
        """Predict by the estimator alone.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)

        Returns
        -------
        array of shape (n_samples,)
        """
        check_is_fitted(self)
        return self.estimator_.predict(self._data(X))

    def _check_options(self):
        check_choice("method", self.method, METHODS)
        check_number("level", self.level, above=0, below=1)
        if not hasattr(self.cv, "split"):
            check_number("cv", self.cv, least=2, whole=True)
        # Missing packages are said before, not after, the estimator was fitted for hours.
        mapie("mapie")

    def _data(self, X, *, reset=False):
        """Check X and its genes; return what the estimator gets."""
        tags = get_tags(self.estimator).input_tags
        options = {"allow_nan": tags.allow_nan, "sparse": tags.sparse}
        matrix = check_input(self, X, reset=reset, min_samples=2 if reset else 1, **options)
        return X if is_named(X) or isinstance(matrix, DiskRows) else matrix

    def _folds(self, data, outcome, groups):
        if hasattr(self.cv, "split"):
            rows = data if is_named(data) else np.zeros((len(outcome.values), 1))
            return list(self.cv.split(rows, outcome.given, groups))
        return calibration_folds(outcome, self.cv, groups=groups, random_state=self.random_state)

    def _fit_and_hold_out(self, data, outcome, folds):
        train = np.arange(len(outcome.values))
        if self.method == "cross":
            held = predict_out_of_fold(self.estimator, data, outcome, folds, self.n_jobs)
            rows, predicted = held.rows, held.values
        else:
            train, rows = folds[0]
        check_enough(len(rows), self._surest())
        seen = take_rows(data, train) if self.method == "split" else data
        self.estimator_ = clone(self.estimator).fit(seen, outcome.given[train])
        if self.method == "split":
            predicted = predictions_of(self.estimator_, take_rows(data, rows), outcome)
        order = np.argsort(rows, kind="stable")
        self.calibration_predictions_ = predicted[order]
        self.calibration_outcomes_ = outcome.values[rows][order]

    def _surest(self):
        """Return the level that the limits of one side are set at."""
        return self.level

    def _outcome(self):
        """Return an empty outcome of the classes seen in ``fit``."""
        return Outcome(None, None, getattr(self, "classes_", None))

    def _predictions(self, X):
        check_is_fitted(self)
        return predictions_of(self.estimator_, self._data(X), self._outcome())

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        inner = get_tags(self.estimator).input_tags
        tags.input_tags.sparse = inner.sparse
        tags.input_tags.allow_nan = inner.allow_nan
        tags.input_tags.positive_only = inner.positive_only
        tags.target_tags.required = True
        return tags


def mapie(name):
    """Import a module of MAPIE."""
    return import_optional(name, extra="evaluation", purpose="Conformal prediction")
