"""SHAP values of trees, by the explainer of shap on the last step."""

import warnings

import numpy as np

from ._suffix import blocks

_FORESTS = {
    "DecisionTreeClassifier",
    "DecisionTreeRegressor",
    "ExtraTreeClassifier",
    "ExtraTreeRegressor",
    "RandomForestClassifier",
    "RandomForestRegressor",
    "ExtraTreesClassifier",
    "ExtraTreesRegressor",
    "GradientBoostingClassifier",
    "GradientBoostingRegressor",
    "HistGradientBoostingClassifier",
    "HistGradientBoostingRegressor",
}


def is_tree(model):
    """Tell whether a predictor is a tree, a forest or boosted trees, of scikit-learn.

    Parameters
    ----------
    model : predictor

    Returns
    -------
    bool
    """
    package = type(model).__module__.partition(".")[0]
    name = type(model).__name__
    many = name == "GradientBoostingClassifier" and len(getattr(model, "classes_", ())) > 2
    return package == "sklearn" and name in _FORESTS and not many


def tree_values(suffix, matrix, background):
    """Return the interventional SHAP values of trees behind gene-wise steps [1]_.

    Steps that take genes one by one leave the values where they are, so that trees are
    explained on what they see and each column's value goes to its gene.

    Parameters
    ----------
    suffix : Suffix
        Without core.
    matrix, background : matrix of shape (n_samples, n_genes), (n_background, n_genes)
        In gene space.

    Returns
    -------
    array of shape (n_samples, n_genes, n_outputs)

    References
    ----------
    .. [1] Lundberg et al. (2020), "From local explanations to global understanding with
       explainable AI for trees", doi:10.1038/s42256-019-0138-9.
    """
    with warnings.catch_warnings():  # of shap's own plots, on matplotlib
        warnings.simplefilter("ignore")
        import shap  # takes a second
    beside = np.concatenate([suffix.through_genes(block) for block in blocks(background)])
    explainer = shap.TreeExplainer(
        suffix.model, beside, feature_perturbation="interventional", model_output="raw"
    )
    result, start = None, 0
    for block in blocks(matrix):
        found = _cube(
            explainer.shap_values(suffix.through_genes(block), check_additivity=False),
            suffix.model,
        )
        if result is None:
            result = np.zeros((found.shape[2], matrix.shape[0], len(suffix.genes)))
        rows = slice(start, start + len(found))
        result[:, rows, suffix.kept] = np.moveaxis(found, 2, 0)
        start = rows.stop
    return np.moveaxis(result, 0, 2)


def _cube(found, model):
    """Bring what shap gives to (n_samples, n_columns, n_outputs), one output for two classes."""
    found = np.stack(found, axis=2) if isinstance(found, list) else np.asarray(found)
    found = found[:, :, None] if found.ndim == 2 else found
    if found.shape[2] == 2 and len(getattr(model, "classes_", ())) == 2:
        return found[:, :, 1:]
    return found
