"""Sets of classes that hold the true one as often as promised."""

import warnings

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import column_or_1d
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import assert_all_finite, check_is_fitted

from .._containers import name_some, sample_names
from .._validation import check_choice
from ._conformal_base import Conformal, mapie
from ._out_of_fold import Outcome

SCORES = ("lac", "aps", "top_k")


class _Given(ClassifierMixin, BaseEstimator):
    """A classifier whose input are the probabilities: MAPIE sees predictions alone."""

    def __init__(self, n_classes):
        self.n_classes = n_classes

    @property
    def classes_(self):
        return np.arange(self.n_classes)

    @property
    def n_features_in_(self):
        return self.n_classes

    def fit(self, X, y=None):
        return self

    def predict(self, X):
        return X.argmax(axis=1)

    def predict_proba(self, X):
        return X


def prediction_sets(probabilities, held, codes, *, level, conformity_score="lac", per_class=False):
    """Return the classes that cannot be ruled out at a level, through MAPIE.

    Parameters
    ----------
    probabilities : array of shape (n_samples, n_classes)
        Of new samples.
    held : array of shape (n_held, n_classes)
        Probabilities of samples that the model had not seen.
    codes : array of int of shape (n_held,)
        Their classes.
    level : float
        The share of new samples whose set holds their class.
    conformity_score : {"lac", "aps", "top_k"}
    per_class : bool
        A limit for each class from its own samples; a class with too few of them is in
        every set.

    Returns
    -------
    array of bool of shape (n_samples, n_classes)

    Examples
    --------
    Of ten samples, seven are told apart well:

    >>> held = np.tile([[0.9, 0.1], [0.2, 0.8]], (10, 1))
    >>> codes = np.tile([0, 1], 10)
    >>> prediction_sets(np.array([[0.95, 0.05], [0.5, 0.5]]), held, codes, level=0.8)
    array([[ True, False],
           [False, False]])
    """
    options = {"confidence_level": level, "conformity_score": conformity_score, "random_state": 0}
    if not per_class:
        return _mapie_sets(probabilities, held, codes, options)
    sets = np.ones(probabilities.shape, dtype=bool)
    for code in range(held.shape[1]):
        own = codes == code
        if own.sum() > max(1 / (1 - level), 1 / level) + 1e-9:
            found = _mapie_sets(probabilities, held[own], codes[own], options)
            sets[:, code] = found[:, code]
    return sets


def _mapie_sets(probabilities, held, codes, options):
    classification = mapie("mapie.classification")
    model = classification.SplitConformalClassifier(_Given(held.shape[1]), **options)
    with warnings.catch_warnings():
        # One class at a time, or a rare class that is in no held-out fold: as intended.
        warnings.filterwarnings("ignore", "WARNING: your conformalization dataset has less")
        model.conformalize(held, codes)
    return model.predict_set(probabilities)[1][:, :, 0]


def _estimator_has_probabilities(self):
    return hasattr(getattr(self, "estimator_", self.estimator), "predict_proba")


class ConformalClassifier(ClassifierMixin, Conformal):
    """Predict sets of classes that hold the true one as often as promised.

    A class joins the set of a sample unless its score is worse than nearly all scores that
    true classes had among samples that the model had not seen [1]_. With ``level=0.9``, nine
    sets of ten hold the true class, whatever the model: a poor one gives large sets. The
    promise is for new samples like those of ``fit`` (exchangeable with them), on average over
    all of them. It does not carry to another laboratory: `coverage_report` says how far it
    does, and folds that leave whole laboratories out (``group_key="laboratory"``) give sets
    that take the difference between laboratories into account.

    Any classifier with ``predict_proba``, alone or at the end of a pipeline, and any container.
    Row-independent. Uses MAPIE (``pip install 'geneexpr[evaluation]'``).

    Parameters
    ----------
    estimator : classifier
        With ``predict_proba``; it is cloned.
    level : float, default=0.9
        The share of new samples whose set holds their class.
    method : {"cross", "split"}, default="cross"
        - ``"cross"``: every sample is predicted by a model of the other folds, the final model
          is fitted on all samples. Uses all samples; the level is met approximately.
        - ``"split"``: one fold is held out, the model is fitted on the others. The level is
          met exactly, for exchangeable samples; fit and limit rest on fewer samples.
    cv : int or splitter, default=5
        Folds. An integer: shuffled, classes in equal shares, groups kept together.
    conformity_score : {"lac", "aps", "top_k"}, default="lac"
        - ``"lac"``: one minus the probability of the class; the smallest sets on average [1]_.
        - ``"aps"``: the probability of all classes at least as likely; hard samples get larger
          sets [2]_. For three classes and more.
        - ``"top_k"``: the rank of the class; all sets have the same size. For three classes and
          more.
    per_class : bool, default=False
        Promise the level within each class: a limit for each, from its own samples. Otherwise
        a rare class can be missed often without a difference to the average. A class with too
        few samples to set a limit (10 or less at level 0.9) is in every set.
    allow_empty : bool, default=False
        Leave sets empty where every class can be ruled out. A model that is right more often
        than the level has to give some: with 99 of 100 right, nine sets of a hundred are empty
        at level 0.9. Otherwise the likeliest class is put into them, and the level is exceeded.
    group_key : str, optional
        The annotation, such as a donor, whose samples are never in two folds.
    random_state : int, RandomState or None, default=0
        Deals the folds.
    n_jobs : int, optional
        Processes for the folds, as in joblib.

    Attributes
    ----------
    estimator_ : classifier
        Fitted.
    classes_ : array of shape (n_classes,)
    calibration_predictions_ : array of shape (n_held, n_classes)
        Probabilities of samples by a model that had not seen them.
    calibration_outcomes_ : array of int of shape (n_held,)
        Their classes, as positions in ``classes_``.
    n_features_in_ : int
        Number of genes seen in `fit`.
    feature_names_in_ : array of shape (n_genes,)
        Their names, if they have names.

    Raises
    ------
    ValueError
        For fewer samples to calibrate on than the level asks for: 11 at 0.9, 21 at 0.95; for a
        score that needs more than two classes.
    TypeError
        For an estimator without ``predict_proba``.
    ImportError
        If MAPIE is not installed.

    See Also
    --------
    coverage_report : How often the sets hold the true class in each laboratory left out.
    ConformalRegressor : Intervals for numbers.

    References
    ----------
    .. [1] Sadinle, Lei, Wasserman (2019), "Least ambiguous set-valued classifiers with bounded
       error levels", doi:10.1080/01621459.2017.1395341.
    .. [2] Romano, Sesia, Candès (2020), "Classification with valid and adaptive coverage",
       doi:10.48550/arXiv.2006.02544.
    .. [3] Vovk (2015), "Cross-conformal predictors", doi:10.1007/s10472-013-9368-4.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from geneexpr import ConformalClassifier, CPMNormalizer, ToArray, make_cohort
    >>> cohort = make_cohort(60, 50, random_state=0)
    >>> steps = CPMNormalizer(log=True), ToArray(), StandardScaler(), LogisticRegression()
    >>> train, new = cohort[:40], cohort[40:43]
    >>> conformal = ConformalClassifier(make_pipeline(*steps)).fit(train, train.obs["condition"])
    >>> conformal.predict_set(new)
                class1  class2
    sample0041   False    True
    sample0042    True    True
    sample0043    True    True
    """

    def __init__(
        self,
        estimator,
        *,
        level=0.9,
        method="cross",
        cv=5,
        conformity_score="lac",
        per_class=False,
        allow_empty=False,
        group_key=None,
        random_state=0,
        n_jobs=None,
    ):
        self.estimator = estimator
        self.level = level
        self.method = method
        self.cv = cv
        self.conformity_score = conformity_score
        self.per_class = per_class
        self.allow_empty = allow_empty
        self.group_key = group_key
        self.random_state = random_state
        self.n_jobs = n_jobs

    @available_if(_estimator_has_probabilities)
    def predict_proba(self, X):
        """Return the probabilities of the estimator.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)

        Returns
        -------
        array of shape (n_samples, n_classes)
        """
        return self._predictions(X)

    def predict_set(self, X):
        """Predict a set of classes for every sample.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)

        Returns
        -------
        DataFrame of bool of shape (n_samples, n_classes)
            Whether the class is in the set; indexed by sample, a column a class.
        """
        check_is_fitted(self)
        probabilities = self._predictions(X)
        sets = prediction_sets(
            probabilities,
            self.calibration_predictions_,
            self.calibration_outcomes_,
            level=self.level,
            conformity_score=self.conformity_score,
            per_class=self.per_class,
        )
        if not self.allow_empty:
            empty = np.flatnonzero(~sets.any(axis=1))
            sets[empty, probabilities[empty].argmax(axis=1)] = True
        return pd.DataFrame(sets, index=sample_names(X), columns=self.classes_)

    def _covered(self, X, y):
        """Tell of every sample whether its set holds its class, and how large the set is."""
        sets = self.predict_set(X).to_numpy()
        own = np.asarray(y)[:, None] == self.classes_[None]
        return (sets & own).any(axis=1), sets.sum(axis=1)

    def _check_options(self):
        super()._check_options()
        check_choice("conformity_score", self.conformity_score, SCORES)
        if not hasattr(self.estimator, "predict_proba"):
            raise TypeError(
                f"ConformalClassifier needs a classifier with predict_proba; "
                f"{type(self.estimator).__name__} has none. Wrap it: "
                "CalibratedClassifierCV(estimator)."
            )

    def _read_outcome(self, y):
        y = column_or_1d(y, warn=True)
        assert_all_finite(y, input_name="y", estimator_name=type(self).__name__)
        check_classification_targets(y)
        classes, codes = np.unique(y, return_inverse=True)
        if len(classes) < 2:
            raise ValueError(
                f"ConformalClassifier needs samples of at least 2 classes; got 1 class: "
                f"{name_some(classes)}."
            )
        if len(classes) == 2 and self.conformity_score != "lac":
            raise ValueError(
                f"conformity_score={self.conformity_score!r} is for three classes and more; y has "
                f"the classes {name_some(classes)}. Use conformity_score='lac'."
            )
        return Outcome(y, codes, classes)

    def _learn_outcome(self, outcome):
        self.classes_ = outcome.classes
