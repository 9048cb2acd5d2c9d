"""Evaluation: how large a batch effect is, and whether a score can be believed."""

from ._batch_auc import batch_auc
from ._batch_effect_report import BatchEffectReport, batch_effect_report
from ._card_spec import UntrustedCardError
from ._compare_models import compare_models
from ._conformal import ConformalClassifier
from ._conformal_regressor import ConformalRegressor
from ._confounding import ConfoundingReport, confounding_report
from ._coverage import coverage_report
from ._distribution_guard import DistributionGuard
from ._kbet import kbet
from ._leakage_audit import LeakageAudit, leakage_audit
from ._lisi import lisi
from ._model_card import ModelCard, load_card, model_card
from ._nested_cv import nested_cv
from ._nested_result import NestedCVResult
from ._performance import metric_intervals, performance_report
from ._pvca import pvca
from ._reproduce import Reproduction, reproduce
from ._silhouette import batch_silhouette
from ._split_by import SplitBy
from ._subgroup_report import SubgroupReport, subgroup_report
from ._variance_partition import variance_partition

__all__ = [
    "BatchEffectReport",
    "ConformalClassifier",
    "ConformalRegressor",
    "ConfoundingReport",
    "DistributionGuard",
    "LeakageAudit",
    "ModelCard",
    "NestedCVResult",
    "Reproduction",
    "SplitBy",
    "SubgroupReport",
    "UntrustedCardError",
    "batch_auc",
    "batch_effect_report",
    "batch_silhouette",
    "compare_models",
    "confounding_report",
    "coverage_report",
    "kbet",
    "leakage_audit",
    "lisi",
    "load_card",
    "metric_intervals",
    "model_card",
    "nested_cv",
    "performance_report",
    "pvca",
    "reproduce",
    "subgroup_report",
    "variance_partition",
]
