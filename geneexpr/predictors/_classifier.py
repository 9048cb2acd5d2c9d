"""The base of all classifiers that train a network: labels, weights, probabilities."""

import numpy as np
import torch
from sklearn.base import ClassifierMixin
from sklearn.utils import check_consistent_length, check_random_state, column_or_1d
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import assert_all_finite

from .. import nets
from .._skorch_net import ClassifierNet
from .._validation import check_choice, name_some
from ._calibration import calibration_folds, fit_temperature
from ._predictor import NetworkPredictor, check_weight


class NetworkClassifier(ClassifierMixin, NetworkPredictor):
    """Base of the network classifiers.

    A subclass has ``class_weight`` among its settings, and ``calibration`` if it likes, and
    the hooks of `NetworkPredictor`. Two classes have one output, the log-odds of the second;
    more have one each.
    """

    calibration = None

    _net_class = ClassifierNet
    _nonlinearity = staticmethod(nets.probabilities)

    def fit(self, X, y, sample_weight=None, groups=None):
        """Train the network.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)
            Expression, on one scale for all genes (see `StandardScaler`).
        y : array-like of shape (n_samples,)
            Class labels of any type.
        sample_weight : array-like of shape (n_samples,), optional
            A weight of 2 counts like a sample given twice; of 0 like one not given.
        groups : array-like of shape (n_samples,), optional
            Beside an array: samples of one group (donor) stay on one side of the
            early-stopping split. For DataFrame and AnnData name them by ``group_key``.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If there are fewer than two classes, or the loss becomes infinite or NaN.
        """
        self._check_settings()
        resume = self.warm_start and hasattr(self, "net_")
        if resume and self.calibration is not None:
            raise ValueError(
                "Calibration by cross-fitting trains anew on parts of the samples, which says "
                "nothing of a network that training goes on with (warm_start=True). Set "
                "calibration=None, or warm_start=False."
            )
        matrix = self._values(X, reset=not resume)
        y = self._check_labels(matrix, y)
        weight = check_weight(sample_weight, matrix)
        used = slice(None) if weight is None else weight > 0
        classes = np.unique(y[used])
        if resume and not np.array_equal(classes, self.classes_):
            raise ValueError(
                f"warm_start=True goes on with the classes of the first fit ("
                f"{name_some(self.classes_)}); got {name_some(classes)}."
            )
        self._learn_from(X, matrix, y, classes, weight, resume=resume, groups=groups)
        return self

    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """Train for one more epoch, without early stopping and schedule.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)
        y : array-like of shape (n_samples,)
        classes : array-like of shape (n_classes,), optional
            All classes that there will be; needed in the first call.
        sample_weight : array-like of shape (n_samples,), optional

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If ``calibration`` is set, which needs all samples at once.
        """
        self._check_settings()
        if self.calibration is not None:
            raise ValueError(
                "Calibration by cross-fitting needs all samples at once: use fit, or set "
                "calibration=None for partial_fit."
            )
        resume = hasattr(self, "net_")
        matrix = self._values(X, reset=not resume)
        y = self._check_labels(matrix, y)
        classes = self._all_classes(classes, resume)
        weight = check_weight(sample_weight, matrix)
        self._learn_from(X, matrix, y, classes, weight, resume=resume, epochs=1)
        return self

    def decision_function(self, X):
        """Return the scores before they are turned into probabilities.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)

        Returns
        -------
        array of shape (n_samples,) or (n_samples, n_classes)
            Log-odds of ``classes_[1]`` for two classes, else one score a class; divided by
            ``temperature_`` where there is one.
        """
        scores = self._forward(X, self._calibrated)
        return scores[:, 0] if scores.shape[1] == 1 else scores

    def predict_proba(self, X):
        """Return the probability of each class.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)

        Returns
        -------
        array of shape (n_samples, n_classes)
            In the order of ``classes_``.
        """
        return self._forward(X, lambda output: nets.probabilities(self._calibrated(output)))

    def predict(self, X):
        """Return the most probable class.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)

        Returns
        -------
        array of shape (n_samples,)
        """
        scores = self.decision_function(X)
        codes = (scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(axis=1)
        return self.classes_[codes]

    def _calibrated(self, scores):
        return scores / self.temperature_ if hasattr(self, "temperature_") else scores

    def _learn_from(self, X, matrix, y, classes, weight, **options):
        if len(classes) < 2:
            raise ValueError(
                f"{type(self).__name__} needs samples of at least 2 classes; got 1 class: "
                f"{name_some(classes)}."
            )
        used = np.ones(len(y), dtype=bool) if weight is None else weight > 0
        codes = np.zeros(len(y), dtype=np.int64)
        codes[used] = _encode(y[used], classes)
        weight = self._class_weighted(y, codes, used, classes, weight)
        n_outputs = 1 if len(classes) == 2 else len(classes)
        architecture = self._architecture(self.n_features_in_, n_outputs)
        self.classes_ = classes
        vars(self).pop("temperature_", None)
        temperature = None
        if self.calibration is not None:
            temperature = self._cross_fit(
                X, matrix, codes, weight, architecture, options.get("groups")
            )
        self._train(matrix, architecture, target=codes, weight=weight, strata=codes, X=X, **options)
        if temperature is not None:
            self.temperature_ = temperature

    def _cross_fit(self, X, matrix, codes, weight, architecture, groups):
        """Learn the temperature from samples that the network which scores them did not see.

        Samples of a fold have weight zero, which leaves them out of training and of the
        early-stopping split alike.
        """
        weight = np.ones(len(codes)) if weight is None else weight
        used = np.flatnonzero(weight > 0)
        together = self._groups_of(X, groups)
        seed = check_random_state(self.random_state).randint(2**31 - 1)
        fold = np.full(len(codes), -1)
        fold[used] = calibration_folds(
            codes[used], None if together is None else together[used], seed=seed
        )
        scores = np.empty((len(codes), architecture["n_outputs"]))
        for k in range(fold.max() + 1):
            # Not a clone: that would forget what an encoder has learned.
            side = type(self)(**self.get_params(deep=False)).set_params(
                calibration=None, random_state=seed + k, verbose=0, warm_start=False
            )
            side._keeps_on_interrupt = False  # there is no network to keep yet
            side.n_features_in_, side.classes_ = self.n_features_in_, self.classes_
            kept = np.where(fold == k, 0.0, weight)
            side._train(
                matrix, architecture, target=codes, weight=kept, strata=codes, X=X, groups=groups
            )
            scores[fold == k] = side._outputs(matrix)[fold == k]
        return fit_temperature(scores[used], codes[used], weight[used])

    def _train(self, matrix, architecture, *, target, weight=None, **options):
        if self.class_weight is not None and not options.get("resume"):
            self._begin_odds = class_odds(target, weight, architecture["n_outputs"])
        super()._train(matrix, architecture, target=target, weight=weight, **options)

    def _prepare(self, module):
        """Start the offsets of a weighted fit where its classes are: small steps go no far way."""
        super()._prepare(module)
        odds = vars(self).pop("_begin_odds", None)
        if odds is not None and hasattr(module, "output"):
            with torch.no_grad():
                module.output.bias.copy_(torch.from_numpy(odds))

    def _compose(self, module, device, generator):
        net = super()._compose(module, device, generator)
        net.n_classes_ = len(self.classes_)
        return net

    def _class_weighted(self, y, codes, used, classes, weight):
        if self.class_weight is None:
            return weight
        present = np.unique(codes[used])
        of_class = np.ones(len(classes))
        of_class[present] = compute_class_weight(
            self.class_weight, classes=classes[present], y=y[used]
        )
        return of_class[codes] if weight is None else weight * of_class[codes]

    def _check_labels(self, matrix, y):
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None."
            )
        y = column_or_1d(y, warn=True)
        assert_all_finite(y, input_name="y", estimator_name=type(self).__name__)
        check_classification_targets(y)
        check_consistent_length(matrix, y)
        return y

    def _all_classes(self, classes, resume):
        if classes is None:
            if not resume:
                raise ValueError("classes must be passed on the first call to partial_fit.")
            return self.classes_
        classes = np.unique(classes)
        if resume and not np.array_equal(classes, self.classes_):
            raise ValueError(
                f"classes are not the same as on the first call to partial_fit: got "
                f"{name_some(classes)}, had {name_some(self.classes_)}."
            )
        return classes

    def _check_settings(self):
        super()._check_settings()
        check_choice("calibration", self.calibration, (None, "temperature"))

    @staticmethod
    def _loss(module, output, batch):
        return nets.classification_loss(output, batch[1], batch.weight)


def class_odds(codes, weight, n_outputs):
    """Return the scores that a model without genes would give the classes.

    Parameters
    ----------
    codes : array of int of shape (n_samples,)
    weight : array of shape (n_samples,) or None
    n_outputs : int
        1 for two classes.

    Returns
    -------
    array of shape (n_outputs,)
        Log-odds of the second class, or logarithms of the shares of all, less their mean.

    Examples
    --------
    >>> import numpy as np
    >>> class_odds(np.array([0, 0, 1]), np.array([1.0, 1.0, 2.0]), 1)
    array([0.])
    """
    totals = np.bincount(codes, weight, minlength=max(2, n_outputs)).astype(np.float64)
    logs = np.log(np.maximum(totals, 1e-9 * totals.sum()))
    return logs[1:] - logs[0] if n_outputs == 1 else logs - logs.mean()


def _encode(y, classes):
    """Return the place of each label among the sorted classes."""
    codes = np.searchsorted(classes, y)
    known = classes[np.minimum(codes, len(classes) - 1)] == y
    if not known.all():
        raise ValueError(
            f"y holds labels that are not among the classes {name_some(classes)}: "
            f"{name_some(np.unique(y[~known]))}."
        )
    return codes
