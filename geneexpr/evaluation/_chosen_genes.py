"""The genes that the steps of a fitted pipeline kept."""

import numpy as np

from .._containers import gene_names, values


def chosen_genes(model, X):
    """Return the genes that reach the last step that can be followed, or None.

    Steps that choose (``get_support``, ``selected_genes_``, or names out that are some of the
    names in) are followed one by one; the way ends at a step that makes new features.

    Parameters
    ----------
    model : estimator
        Fitted; a pipeline, or a search over one.
    X : container
        What it was fitted on: names the genes. Without names they are ``x0``, ``x1``, ...

    Returns
    -------
    list of str, or None
        None where no step chooses.

    Examples
    --------
    >>> from sklearn.feature_selection import SelectKBest
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> X = np.array([[0.0, 5.0], [0.1, 3.0], [5.0, 4.0], [5.1, 4.1]])
    >>> model = make_pipeline(SelectKBest(k=1), LogisticRegression()).fit(X, [0, 0, 1, 1])
    >>> chosen_genes(model, X)
    ['x0']
    """
    names = gene_names(X)
    if names is None:
        names = np.array([f"x{i}" for i in range(values(X).shape[1])], dtype=object)
    found = names
    for step in _steps(getattr(model, "best_estimator_", model)):
        passed = _passed(step, found)
        if passed is None:
            break
        found = passed
    return None if len(found) == len(names) else [str(name) for name in found]


def _steps(model):
    """Yield the steps of a pipeline and of pipelines within it, or the model itself."""
    if not hasattr(model, "steps"):
        yield model
        return
    for _, step in model.steps:
        if step is not None and not isinstance(step, str):
            yield from _steps(step)


def _passed(step, names):
    """Return the names that a step keeps; None where it makes new ones or ends the way."""
    if hasattr(step, "get_support"):
        return _taken(names, np.asarray(step.get_support()))
    if hasattr(step, "selected_genes_"):
        return np.asarray(step.selected_genes_, dtype=object)
    if not hasattr(step, "get_feature_names_out"):
        # A step that gives as many columns as it got, such as one of somebody's own.
        keeps = hasattr(step, "transform") and getattr(step, "n_features_in_", 0) == len(names)
        return names if keeps and not hasattr(step, "predict") else None
    try:
        out = [str(name) for name in _names_out(step, names)]
    except (AttributeError, TypeError, ValueError):
        return None
    # An aligner gives genes other names, with which the way goes on.
    still_genes = hasattr(step, "genes_") or set(out) <= set(map(str, names))
    return np.array(out, dtype=object) if still_genes else None


def _names_out(step, names):
    if hasattr(step, "feature_names_in_"):
        return step.get_feature_names_out()
    return step.get_feature_names_out(names)


def _taken(names, support):
    return names[support] if len(support) == len(names) else None
