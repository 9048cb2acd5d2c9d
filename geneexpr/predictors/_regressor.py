"""The base of all regressors that train a network: targets, weights, standardisation."""

import numpy as np
from sklearn.base import MultiOutputMixin, RegressorMixin
from sklearn.utils import check_array, check_consistent_length

from .. import nets
from .._skorch_net import RegressorNet
from .._validation import check_choice
from ._predictor import NetworkPredictor, check_weight


def target_moments(y, weight=None):
    """Return mean and standard deviation of each target.

    Parameters
    ----------
    y : array of shape (n_samples, n_targets)
    weight : array of shape (n_samples,), optional

    Returns
    -------
    mean, scale : arrays of shape (n_targets,)
        The scale of a constant target is 1.

    Examples
    --------
    >>> import numpy as np
    >>> target_moments(np.array([[0.0, 7.0], [4.0, 7.0]]))
    (array([2., 7.]), array([2., 1.]))
    """
    if weight is not None:
        y, weight = y[weight > 0], weight[weight > 0]
    mean = np.average(y, axis=0, weights=weight)
    scale = np.sqrt(np.average((y - mean) ** 2, axis=0, weights=weight))
    constant = y.min(axis=0) == y.max(axis=0)
    return np.where(constant, y[0], mean), np.where(constant | (scale == 0), 1.0, scale)


class NetworkRegressor(RegressorMixin, MultiOutputMixin, NetworkPredictor):
    """Base of the network regressors.

    A subclass has ``loss`` among its settings and the hooks of `NetworkPredictor`. The
    network learns standardised targets, so that ``lr`` and ``l1`` mean the same in all units.
    """

    _net_class = RegressorNet

    def fit(self, X, y, sample_weight=None, groups=None):
        """Train the network.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)
            Expression, on one scale for all genes (see `StandardScaler`).
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            In any units; each target is standardised by its own mean and deviation.
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
            If the loss becomes infinite or NaN.
        """
        self._check_settings()
        resume = self.warm_start and hasattr(self, "net_")
        self._learn_from(X, y, sample_weight, resume=resume, groups=groups)
        return self

    def partial_fit(self, X, y, sample_weight=None):
        """Train for one more epoch, without early stopping and schedule.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            The first call learns the mean and deviation of the targets, which stay; give it
            samples that show their range.
        sample_weight : array-like of shape (n_samples,), optional

        Returns
        -------
        self
        """
        self._check_settings()
        self._learn_from(X, y, sample_weight, resume=hasattr(self, "net_"), epochs=1)
        return self

    def predict(self, X):
        """Predict the targets, in their own units.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)

        Returns
        -------
        array of shape (n_samples,) or (n_samples, n_targets)
            As ``y`` was in ``fit``.
        """
        output = self._forward(X, lambda output: output)
        y = output * self.target_scale_.astype(output.dtype)
        y += self.target_mean_.astype(output.dtype)
        return y if self._many_targets else y[:, 0]

    def _learn_from(self, X, y, sample_weight, *, resume, **options):
        matrix = self._values(X, reset=not resume)
        y = self._check_target(matrix, y)
        weight = check_weight(sample_weight, matrix)
        many, y = y.ndim == 2, y.reshape(len(y), -1)
        architecture = self._architecture(self.n_features_in_, y.shape[1])
        if resume:
            self._check_same(architecture)
        else:
            self.target_mean_, self.target_scale_ = target_moments(y, weight)
        self._many_targets = many
        target = (y - self.target_mean_) / self.target_scale_
        self._train(
            matrix, architecture, target=target, weight=weight, X=X, resume=resume, **options
        )

    def _check_target(self, matrix, y):
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None."
            )
        y = check_array(y, ensure_2d=False, dtype=np.float64, input_name="y", estimator=self)
        check_consistent_length(matrix, y)
        return y

    def _check_settings(self):
        super()._check_settings()
        check_choice("loss", self.loss, nets.REGRESSION_LOSSES)

    @property
    def _loss(self):
        loss = nets.REGRESSION_LOSSES[self.loss]
        return lambda module, output, batch: loss(output, batch[1], batch.weight)
