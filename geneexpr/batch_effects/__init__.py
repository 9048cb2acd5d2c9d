"""Batch effects: learned on training samples, frozen, applied to new ones."""

from ._combat import ComBatCorrector
from ._combat_seq import ComBatSeqCorrector
from ._linear import LinearBatchCorrector
from ._mean_center import MeanCenterCorrector
from ._ratio import RatioCorrector
from ._surrogate_variables import SurrogateVariableCorrector

__all__ = [
    "ComBatCorrector",
    "ComBatSeqCorrector",
    "LinearBatchCorrector",
    "MeanCenterCorrector",
    "RatioCorrector",
    "SurrogateVariableCorrector",
]
