"""Predictors: networks that classify samples or predict numbers from them."""

from ._mlp import TorchMLPClassifier
from ._mlp_regressor import TorchMLPRegressor

__all__ = ["TorchMLPClassifier", "TorchMLPRegressor"]
