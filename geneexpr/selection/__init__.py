"""Selection: the genes that are worth keeping, learned from the training samples."""

from ._differential_expression import differential_expression
from ._differential_selector import DifferentialExpressionSelector
from ._highly_variable import HighlyVariableGenes
from ._low_expression import LowExpressionFilter
from ._variance import VarianceFilter

__all__ = [
    "DifferentialExpressionSelector",
    "HighlyVariableGenes",
    "LowExpressionFilter",
    "VarianceFilter",
    "differential_expression",
]
