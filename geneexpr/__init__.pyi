from ._validation import (
    BatchWarning as BatchWarning,
    GeneExpressionWarning as GeneExpressionWarning,
    ModelFileWarning as ModelFileWarning,
    ScaleWarning as ScaleWarning,
    SelectionWarning as SelectionWarning,
    ZeroDepthWarning as ZeroDepthWarning,
)
from .batch_effects import ComBatCorrector as ComBatCorrector
from .normalization import (
    CPMNormalizer as CPMNormalizer,
    FPKMNormalizer as FPKMNormalizer,
    LogTransformer as LogTransformer,
    TPMNormalizer as TPMNormalizer,
)
from .adapters import AlignmentReport as AlignmentReport, GeneAligner as GeneAligner, OnMatrix as OnMatrix, ToArray as ToArray
from .selection import LowExpressionFilter as LowExpressionFilter, VarianceFilter as VarianceFilter
from .embedding import AutoencoderEmbedder as AutoencoderEmbedder
from .predictors import TorchMLPClassifier as TorchMLPClassifier
