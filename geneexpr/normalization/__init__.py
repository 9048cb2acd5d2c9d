"""Normalisation: from counts to values that can be compared between samples."""

from ._gene_length import FPKMNormalizer, TPMNormalizer
from ._library_size import CPMNormalizer
from ._log import LogTransformer

__all__ = ["CPMNormalizer", "FPKMNormalizer", "LogTransformer", "TPMNormalizer"]
