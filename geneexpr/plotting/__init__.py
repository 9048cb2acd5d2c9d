"""Plotting: Display objects as scikit-learn's, made from results and drawn on any axes.

matplotlib is imported when the first figure is drawn, not before.
"""

from ._batch_effects import BatchEffectDisplay
from ._calibration import CalibrationIntervalDisplay
from ._confusion import ConfusionIntervalDisplay
from ._differential import MADisplay, VolcanoDisplay
from ._embedding import EmbeddingDisplay
from ._gene_importance import GeneImportanceDisplay, ShapBeeswarmDisplay
from ._heatmap import HeatmapDisplay
from ._leakage_audit import LeakageAuditDisplay
from ._nested_cv import NestedCVDisplay
from ._roc import ROCIntervalDisplay
from ._sample_qc import SampleQCDisplay
from ._subgroup_forest import SubgroupForestDisplay
from ._training import TrainingCurveDisplay

__all__ = [
    "BatchEffectDisplay",
    "CalibrationIntervalDisplay",
    "ConfusionIntervalDisplay",
    "EmbeddingDisplay",
    "GeneImportanceDisplay",
    "HeatmapDisplay",
    "LeakageAuditDisplay",
    "MADisplay",
    "NestedCVDisplay",
    "ROCIntervalDisplay",
    "SampleQCDisplay",
    "ShapBeeswarmDisplay",
    "SubgroupForestDisplay",
    "TrainingCurveDisplay",
    "VolcanoDisplay",
]
