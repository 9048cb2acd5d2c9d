"""What a model file may hold: public estimators, and reviewed types of scikit-learn.

skops trusts scikit-learn's estimators, plain values and arrays by itself. The names here
are added after reading what each type does when it is restored and used: they hold plain
state, start nothing, open nothing, and their methods are numerical. Two kinds are not safe
as they are, since compiled code follows the indices they hold without looking: decision
trees and neighbour trees. Those are checked or rebuilt after loading (``_trees.py``).

No type of torch, skorch or scipy.stats belongs here: restoring a skorch net unpickles
bytes, and restoring a frozen distribution executes a string of its state.
"""

from __future__ import annotations

import ast
from functools import cache
from importlib import import_module
from importlib.resources import files

_SPLITTERS = (
    "GroupKFold",
    "GroupShuffleSplit",
    "KFold",
    "LeaveOneGroupOut",
    "LeaveOneOut",
    "LeavePGroupsOut",
    "LeavePOut",
    "PredefinedSplit",
    "RepeatedKFold",
    "RepeatedStratifiedKFold",
    "ShuffleSplit",
    "StratifiedGroupKFold",
    "StratifiedKFold",
    "StratifiedShuffleSplit",
    "TimeSeriesSplit",
)
_KERNELS = (
    "CompoundKernel",
    "ConstantKernel",
    "DotProduct",
    "ExpSineSquared",
    "Exponentiation",
    "Matern",
    "Product",
    "RBF",
    "RationalQuadratic",
    "Sum",
    "WhiteKernel",
)
_SELECTION_SCORES = (
    "_mutual_info.mutual_info_classif",
    "_mutual_info.mutual_info_regression",
    "_univariate_selection.chi2",
    "_univariate_selection.f_classif",
    "_univariate_selection.f_regression",
    "_univariate_selection.r_regression",
)

CHECKED_TREES = (
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.tree._tree.Tree",
)
"""Checked after loading: every index must lie inside its array."""

REBUILT_TREES = (
    "sklearn.metrics._dist_metrics.ChebyshevDistance64",
    "sklearn.metrics._dist_metrics.EuclideanDistance64",
    "sklearn.metrics._dist_metrics.ManhattanDistance64",
    "sklearn.metrics._dist_metrics.MinkowskiDistance64",
    "sklearn.neighbors._ball_tree.BallTree",
    "sklearn.neighbors._kd_tree.KDTree",
)
"""Replaced after loading by a tree built anew from the stored points."""

NEVER_TRUSTED = ("torch.", "skorch.", "scipy.stats.")
"""Not even on request."""

PLAIN_TYPES = (
    "geneexpr.evaluation.SplitBy",
    "numpy.dtype",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.calibration._TemperatureScaling",
    "sklearn.gaussian_process._gpc._BinaryGaussianProcessClassifierLaplace",
    "sklearn.impute._iterative._ImputerTriplet",
    "sklearn.metrics._scorer._CurveScorer",
    "sklearn.metrics._scorer._MultimetricScorer",
    "sklearn.metrics._scorer._PassthroughScorer",
    "sklearn.metrics._scorer._Scorer",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
    "sklearn.utils._bunch.Bunch",
    *(f"sklearn.feature_selection.{name}" for name in _SELECTION_SCORES),
    *(f"sklearn.gaussian_process.kernels.{name}" for name in _KERNELS),
    *(f"sklearn.model_selection._split.{name}" for name in _SPLITTERS),
)


@cache
def _score_functions():
    """Names of the functions behind scikit-learn's named scorers."""
    from sklearn.metrics import get_scorer, get_scorer_names

    functions = (getattr(get_scorer(name), "_score_func", None) for name in get_scorer_names())
    return frozenset(f"{f.__module__}.{f.__name__}" for f in functions if f is not None)


@cache
def public_paths():
    """Map each public name of geneexpr to its stage, as the stub lists them.

    Returns
    -------
    dict of str
        Such as ``{"TPMNormalizer": "geneexpr.normalization"}``; read without importing
        any of them.
    """
    stub = ast.parse(files("geneexpr").joinpath("__init__.pyi").read_text(encoding="utf-8"))
    return {
        alias.name: f"geneexpr.{node.module}"
        for node in stub.body
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    }


def public_path(module, name):
    """Return the public module of a class of geneexpr, or `module` if it has none."""
    stage = public_paths().get(name)
    is_ours = stage is not None and f"{module}.".startswith(f"{stage}.")
    return stage if is_ours else module


def is_reviewed(path):
    """Tell whether a model file may hold the type or function of this name.

    Parameters
    ----------
    path : str
        Module and name, such as ``"sklearn.model_selection._split.KFold"``.

    Returns
    -------
    bool
    """
    if path in PLAIN_TYPES or path in CHECKED_TREES or path in REBUILT_TREES:
        return True
    if path.startswith("sklearn.metrics."):
        return path in _score_functions()
    return _is_public_estimator(path)


def _is_public_estimator(path):
    from sklearn.base import BaseEstimator

    module, _, name = path.rpartition(".")
    if public_paths().get(name) != module:
        return False
    found = getattr(import_module(module), name)
    return isinstance(found, type) and issubclass(found, BaseEstimator)
