"""Selection: the genes that are worth keeping, learned from the training samples."""

from ._differential_expression import differential_expression
from ._low_expression import LowExpressionFilter
from ._variance import VarianceFilter

__all__ = ["LowExpressionFilter", "VarianceFilter", "differential_expression"]
