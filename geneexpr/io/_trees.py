"""Make the trees in a loaded model safe: compiled code follows their indices blindly."""

from __future__ import annotations

import numpy as np
from sklearn.ensemble import (
    BaggingClassifier,
    BaggingRegressor,
    BaseEnsemble,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    IsolationForest,
)
from sklearn.neighbors import BallTree, KDTree

_BAGGING = (BaggingClassifier, BaggingRegressor)
_BOOSTING = (GradientBoostingClassifier, GradientBoostingRegressor)


def walk(root):
    """Yield every object inside a model: estimators, and what their attributes hold."""
    pending, seen = [root], {}
    while pending:
        item = pending.pop()
        if id(item) in seen:
            continue
        seen[id(item)] = item
        if isinstance(item, dict):
            pending.extend(item.values())
        elif isinstance(item, list | tuple | set):
            pending.extend(item)
        elif isinstance(item, np.ndarray):
            if item.dtype == object:
                pending.extend(item.ravel().tolist())
        elif hasattr(item, "__dict__") and not isinstance(item, type):
            yield item
            pending.extend(vars(item).values())


def secure_trees(model, *, rebuild=True):
    """Check every decision tree of a model and rebuild every neighbour tree.

    Parameters
    ----------
    model : object
        A model as it came out of a file, or as it is to go into one.
    rebuild : bool, default=True
        Replace the neighbour trees of the model; else only look where they stand.

    Raises
    ------
    ValueError
        If a decision tree points outside its own nodes or outside the features, or a
        neighbour tree stands where it cannot be rebuilt.
    """
    for item in walk(model):
        try:
            _check_forest(item)
            _check_histograms(item)
        except (AttributeError, IndexError, KeyError, TypeError) as error:
            raise _refusal(item, f"its trees are incomplete ({error})") from error
        _check_neighbours(item, rebuild)


def _check_forest(item):
    """Check the trees that an estimator of scikit-learn asks directly."""
    if "tree_" in vars(item) and not isinstance(item.tree_, KDTree | BallTree):
        _check_tree(item.tree_, item, item.n_features_in_)
    if not isinstance(item, BaseEnsemble) or "estimators_" not in vars(item):
        return
    members = np.asarray(item.estimators_, dtype=object)
    if isinstance(item, _BOOSTING):
        if members.ndim != 2 or members.shape[1] != item.n_trees_per_iteration_:
            raise _refusal(item, "the number of trees per iteration is not the stated one")
    elif isinstance(item, _BAGGING):
        return  # each member checks the width of the columns it is given
    for index, member in enumerate(members.ravel()):
        if not hasattr(member, "tree_") and not isinstance(item, _BOOSTING):
            continue
        width = item.n_features_in_
        if isinstance(item, IsolationForest):
            width = min(width, len(item.estimators_features_[index]))
        _check_tree(member.tree_, item, width)


def _check_tree(tree, owner, n_features):
    if (type(tree).__module__, type(tree).__name__) != ("sklearn.tree._tree", "Tree"):
        raise _refusal(owner, f"{type(tree).__name__} stands in place of a tree")
    if tree.node_count < 1:
        raise _refusal(owner, "a tree has no nodes")
    if tree.n_features != n_features:
        raise _refusal(owner, f"a tree of {tree.n_features} features is asked with {n_features}")
    inner = np.flatnonzero(tree.children_left != -1)
    children = np.stack([tree.children_left[inner], tree.children_right[inner]], axis=1)
    _check_links(owner, inner, children, tree.node_count, tree.feature[inner], n_features)
    if _depth(inner, children, tree.node_count) != tree.max_depth:
        raise _refusal(owner, f"a tree does not have the depth {tree.max_depth} that it states")


def _check_links(owner, inner, children, n_nodes, feature, n_features):
    # Children stand after their parent, so that following them comes to an end.
    if np.any(children <= inner[:, None]) or np.any(children >= n_nodes):
        raise _refusal(owner, "a tree points to nodes that it does not have")
    if np.any(feature < 0) or np.any(feature >= n_features):
        raise _refusal(owner, "a tree asks for features that the model does not have")


def _depth(inner, children, n_nodes):
    """Return the depth of the deepest node; links only point forward."""
    depth = np.zeros(n_nodes, dtype=np.int64)
    for node, pair in zip(inner, children, strict=True):
        depth[pair] = np.maximum(depth[pair], depth[node] + 1)
    return depth.max()


def _check_histograms(item):
    """Check the trees of histogram-based gradient boosting."""
    for of_iteration in vars(item).get("_predictors") or ():
        for predictor in of_iteration:
            _check_predictor(predictor, item)


def _check_predictor(predictor, owner):
    nodes = predictor.nodes
    if len(nodes) == 0:
        raise _refusal(owner, "a tree has no nodes")
    inner = np.flatnonzero(nodes["is_leaf"] == 0)
    children = np.stack([nodes["left"][inner], nodes["right"][inner]], axis=1).astype(np.int64)
    feature = nodes["feature_idx"][inner].astype(np.int64)
    _check_links(owner, inner, children, len(nodes), feature, owner.n_features_in_)
    categorical = nodes["is_categorical"][inner] != 0
    if not categorical.any():
        return
    known = owner.is_categorical_
    n_sets = min(len(predictor.raw_left_cat_bitsets), len(predictor.binned_left_cat_bitsets))
    sets = nodes["bitset_idx"][inner][categorical]
    if known is None or not known[feature[categorical]].all() or np.any(sets >= n_sets):
        raise _refusal(owner, "a tree asks for categories that the model does not have")


def _check_neighbours(item, rebuild):
    """Build the neighbour tree of an estimator anew, as its ``fit`` did."""
    for name, tree in vars(item).items():
        if not isinstance(tree, KDTree | BallTree):
            continue
        if name != "_tree" or not hasattr(item, "_fit_X"):
            raise ValueError(
                f"a {type(item).__name__} holds a {type(tree).__name__} in {name}, which a model "
                "file cannot hold safely"
            )
        if rebuild:
            item._tree = type(tree)(
                item._fit_X,
                item.leaf_size,
                metric=item.effective_metric_,
                **(item.effective_metric_params_ or {}),
            )


def _refusal(owner, reason):
    return ValueError(
        f"the model file is damaged or was tampered with: in {type(owner).__name__}, {reason}"
    )
