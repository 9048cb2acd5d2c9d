"""Intervals that hold the true number as often as promised."""

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, RegressorMixin, is_classifier
from sklearn.utils import column_or_1d
from sklearn.utils.validation import check_array, check_is_fitted

from .._containers import sample_names
from .._validation import check_choice
from ._conformal_base import Conformal, mapie
from ._out_of_fold import Outcome

SCORES = ("absolute", "gamma")


class _Given(RegressorMixin, BaseEstimator):
    """A regressor whose input is the prediction: MAPIE sees predictions alone."""

    n_features_in_ = 1

    def fit(self, X, y=None):
        return self

    def predict(self, X):
        return np.asarray(X)[:, 0]


def prediction_intervals(predicted, held, true, *, level, conformity_score="absolute"):
    """Return limits around predictions that hold the truth at a level, through MAPIE.

    Parameters
    ----------
    predicted : array of shape (n_samples,)
        Of new samples.
    held : array of shape (n_held,)
        Predictions for samples that the model had not seen.
    true : array of shape (n_held,)
        What they should have been.
    level : float
    conformity_score : {"absolute", "gamma"}

    Returns
    -------
    array of shape (n_samples, 2)

    Examples
    --------
    Of 19 samples, the 18th largest error is 18, and so is the limit at 0.9:

    >>> error = np.arange(1.0, 20)
    >>> prediction_intervals(np.array([50.0]), 30 + error, np.full(19, 30.0), level=0.9)
    array([[32., 68.]])
    """
    regression = mapie("mapie.regression")
    model = regression.SplitConformalRegressor(
        _Given(), confidence_level=level, conformity_score=conformity_score
    )
    model.conformalize(held[:, None], true)
    return model.predict_interval(predicted[:, None])[1][:, :, 0]


class ConformalRegressor(RegressorMixin, Conformal):
    """Predict intervals that hold the true number as often as promised.

    The interval of a sample is as wide as nearly all errors on samples that the model had not
    seen [1]_. With ``level=0.9``, nine intervals of ten hold the truth, whatever the model. The
    promise is for new samples like those of ``fit`` (exchangeable with them), on average over
    all of them. It does not carry to another laboratory: `coverage_report` says how far it
    does, and folds that leave whole laboratories out (``group_key="laboratory"``) give
    intervals that take the difference between laboratories into account.

    Any regressor, alone or at the end of a pipeline, and any container. Row-independent. Uses
    MAPIE (``pip install 'geneexpr[evaluation]'``).

    Parameters
    ----------
    estimator : regressor
        It is cloned.
    level : float, default=0.9
        The share of new samples whose interval holds the truth.
    method : {"cross", "split"}, default="cross"
        - ``"cross"``: every sample is predicted by a model of the other folds, the final model
          is fitted on all samples. Uses all samples; the level is met approximately.
        - ``"split"``: one fold is held out, the model is fitted on the others. The level is
          met exactly, for exchangeable samples; fit and limit rest on fewer samples.
    cv : int or splitter, default=5
        Folds. An integer: shuffled, groups kept together.
    conformity_score : {"absolute", "gamma"}, default="absolute"
        - ``"absolute"``: the error, so that all intervals have the same width.
        - ``"gamma"``: the error divided by the prediction, so that the interval widens with it;
          for positive numbers. Both limits are set by errors of their own side.
    group_key : str, optional
        The annotation, such as a donor, whose samples are never in two folds.
    random_state : int, RandomState or None, default=0
        Deals the folds.
    n_jobs : int, optional
        Processes for the folds, as in joblib.

    Attributes
    ----------
    estimator_ : regressor
        Fitted.
    calibration_predictions_ : array of shape (n_held,)
        Predictions for samples by a model that had not seen them.
    calibration_outcomes_ : array of shape (n_held,)
        What they should have been.
    n_features_in_ : int
        Number of genes seen in `fit`.
    feature_names_in_ : array of shape (n_genes,)
        Their names, if they have names.

    Raises
    ------
    ValueError
        For fewer samples to calibrate on than the level asks for: 11 at 0.9, 21 at 0.95 (and
        twice as many for ``"gamma"``).
    ImportError
        If MAPIE is not installed.

    See Also
    --------
    coverage_report : How often the intervals hold the truth in each laboratory left out.
    ConformalClassifier : Sets of classes.

    References
    ----------
    .. [1] Lei, G'Sell, Rinaldo, Tibshirani, Wasserman (2018), "Distribution-free predictive
       inference for regression", doi:10.1080/01621459.2017.1307116.
    .. [2] Vovk (2015), "Cross-conformal predictors", doi:10.1007/s10472-013-9368-4.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from sklearn.linear_model import Ridge
    >>> from geneexpr import ConformalRegressor
    >>> rng = np.random.default_rng(0)
    >>> age = rng.uniform(20, 80, 60)
    >>> X = pd.DataFrame({"CDKN2A": age / 10 + rng.normal(size=60)})
    >>> ConformalRegressor(Ridge()).fit(X[2:], age[2:]).predict_interval(X[:2]).round(1)
        low  high
    0  36.9  67.5
    1  14.4  45.0
    """

    def __init__(
        self,
        estimator,
        *,
        level=0.9,
        method="cross",
        cv=5,
        conformity_score="absolute",
        group_key=None,
        random_state=0,
        n_jobs=None,
    ):
        self.estimator = estimator
        self.level = level
        self.method = method
        self.cv = cv
        self.conformity_score = conformity_score
        self.group_key = group_key
        self.random_state = random_state
        self.n_jobs = n_jobs

    def predict_interval(self, X):
        """Predict an interval for every sample.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)

        Returns
        -------
        DataFrame of shape (n_samples, 2)
            ``low`` and ``high``, in the units of y; indexed by sample.
        """
        check_is_fitted(self)
        limits = prediction_intervals(
            self._predictions(X),
            self.calibration_predictions_,
            self.calibration_outcomes_,
            level=self.level,
            conformity_score=self.conformity_score,
        )
        return pd.DataFrame(limits, index=sample_names(X), columns=["low", "high"])

    def _covered(self, X, y):
        """Tell of every sample whether its interval holds the truth, and how wide it is."""
        low, high = self.predict_interval(X).to_numpy().T
        y = np.asarray(y, dtype=np.float64)
        return (low <= y) & (y <= high), high - low

    def _check_options(self):
        super()._check_options()
        check_choice("conformity_score", self.conformity_score, SCORES)
        if is_classifier(self.estimator):
            raise TypeError(
                f"ConformalRegressor needs a regressor; {type(self.estimator).__name__} is a "
                "classifier, for which there is ConformalClassifier."
            )

    def _surest(self):
        # MAPIE sets the two limits of relative errors apart, each at half the risk.
        return self.level if self.conformity_score == "absolute" else (1 + self.level) / 2

    def _read_outcome(self, y):
        y = column_or_1d(y, warn=True)
        y = check_array(y, ensure_2d=False, dtype=np.float64, input_name="y", estimator=self)
        below = int((y <= 0).sum())
        if self.conformity_score == "gamma" and below:
            raise ValueError(
                f"conformity_score='gamma' is for positive numbers; {below} of {len(y)} values of "
                "y are not. Use conformity_score='absolute'."
            )
        return Outcome(y, y, None)

    def _learn_outcome(self, outcome):
        pass
