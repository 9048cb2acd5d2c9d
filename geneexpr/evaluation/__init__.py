"""Evaluation: how large a batch effect is, and whether a score can be believed."""

from ._batch_auc import batch_auc
from ._batch_effect_report import BatchEffectReport, batch_effect_report
from ._confounding import ConfoundingReport, confounding_report
from ._kbet import kbet
from ._leakage_audit import LeakageAudit, leakage_audit
from ._lisi import lisi
from ._pvca import pvca
from ._silhouette import batch_silhouette
from ._split_by import SplitBy
from ._variance_partition import variance_partition

__all__ = [
    "BatchEffectReport",
    "ConfoundingReport",
    "LeakageAudit",
    "SplitBy",
    "batch_auc",
    "batch_effect_report",
    "batch_silhouette",
    "confounding_report",
    "kbet",
    "leakage_audit",
    "lisi",
    "pvca",
    "variance_partition",
]
