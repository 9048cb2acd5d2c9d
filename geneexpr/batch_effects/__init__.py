"""Batch effects: learned on training samples, frozen, applied to new ones."""

from ._combat import ComBatCorrector
from ._linear import LinearBatchCorrector
from ._mean_center import MeanCenterCorrector
from ._ratio import RatioCorrector

__all__ = ["ComBatCorrector", "LinearBatchCorrector", "MeanCenterCorrector", "RatioCorrector"]
