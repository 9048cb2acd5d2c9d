"""The classes of warnings, one family."""


class GeneExpressionWarning(UserWarning):
    """Base of all warnings of geneexpr, so that one filter turns them into errors.

    Examples
    --------
    >>> import warnings
    >>> from geneexpr import GeneExpressionWarning
    >>> warnings.simplefilter("error", GeneExpressionWarning)
    >>> warnings.simplefilter("default", GeneExpressionWarning)
    """


class ScaleWarning(GeneExpressionWarning):
    """The values look as if they were on another scale than the method expects."""


class ZeroDepthWarning(GeneExpressionWarning):
    """A sample has no counts at all; it becomes a row of zeros."""


class BatchWarning(GeneExpressionWarning):
    """A batch correction was not, or not fully, applied, or misleads what comes after it."""


class SelectionWarning(GeneExpressionWarning):
    """A selector keeps no gene."""


class TrendWarning(GeneExpressionWarning):
    """A trend over the genes rests on few samples or genes, or could not be fitted."""


class ModelFileWarning(GeneExpressionWarning):
    """A model file was written by another version."""


class ExplanationWarning(GeneExpressionWarning):
    """An explanation rests on little, or does not add up to what it explains."""


class OutOfDistributionWarning(GeneExpressionWarning):
    """A sample to predict does not look like those that the model was trained on."""
