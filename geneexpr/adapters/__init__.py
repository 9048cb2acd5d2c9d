"""Between containers, scikit-learn and new data."""

from ._gene_aligner import AlignmentReport, GeneAligner
from ._on_matrix import OnMatrix
from ._to_array import ToArray

__all__ = ["AlignmentReport", "GeneAligner", "OnMatrix", "ToArray"]
