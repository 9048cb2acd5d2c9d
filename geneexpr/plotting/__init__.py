"""Plotting: Display objects as scikit-learn's, made from results and drawn on any axes.

matplotlib is imported when the first figure is drawn, not before.
"""

from ._batch_effects import BatchEffectDisplay
from ._differential import MADisplay, VolcanoDisplay
from ._leakage_audit import LeakageAuditDisplay
from ._nested_cv import NestedCVDisplay
from ._sample_qc import SampleQCDisplay
from ._subgroup_forest import SubgroupForestDisplay
from ._training import TrainingCurveDisplay

__all__ = [
    "BatchEffectDisplay",
    "LeakageAuditDisplay",
    "MADisplay",
    "NestedCVDisplay",
    "SampleQCDisplay",
    "SubgroupForestDisplay",
    "TrainingCurveDisplay",
    "VolcanoDisplay",
]
