"""Predictors: networks that classify samples."""

from ._mlp import TorchMLPClassifier

__all__ = ["TorchMLPClassifier"]
