"""Normalisation: from counts to values that can be compared between samples."""

from ._gene_length import FPKMNormalizer, TPMNormalizer
from ._library_size import CPMNormalizer
from ._log import LogTransformer
from ._median_of_ratios import MedianOfRatiosNormalizer
from ._quantile import QuantileNormalizer
from ._rma import RMANormalizer
from ._tmm import TMMNormalizer, norm_factors
from ._upper_quartile import UpperQuartileNormalizer
from ._variance_stabilizer import VarianceStabilizer

__all__ = [
    "CPMNormalizer",
    "FPKMNormalizer",
    "LogTransformer",
    "MedianOfRatiosNormalizer",
    "QuantileNormalizer",
    "RMANormalizer",
    "TMMNormalizer",
    "TPMNormalizer",
    "UpperQuartileNormalizer",
    "VarianceStabilizer",
    "norm_factors",
]
