"""The space in which the last step of a pipeline decides."""

import numpy as np
from sklearn.pipeline import Pipeline

from .._blocks import in_memory
from .._containers import name_some, values


def inner_has(name):
    """Return a check for ``available_if``: whether the estimator has a method."""

    def check(self):
        fitted = getattr(self, "estimator_", self.estimator)
        getattr(fitted, name)  # its own error says why it is not there
        return True

    return check


def pipeline_of(model):
    """Return the best pipeline of a search, that within a conformal model, or the model itself."""
    if hasattr(model, "calibration_predictions_"):
        model = model.estimator_
    return getattr(model, "best_estimator_", model)


def steps_of(model, space):
    """Return the steps that lead into the space, or None where it is X itself."""
    model = pipeline_of(model)
    steps = model.steps if isinstance(model, Pipeline) else []
    if space == "auto":
        return model[:-1] if len(steps) > 1 else None
    if space == "input":
        return None
    names = [name for name, _ in steps]
    if space not in names[:-1]:
        raise ValueError(
            f"space must be 'auto', 'input' or the name of a step before the last; got {space!r}, "
            f"and the steps are {name_some(names) or 'none'}."
        )
    return model[: names.index(space) + 1]


def through(steps, data):
    """Return the data in the space that the steps lead into."""
    return data if steps is None else steps.transform(data)


def matrix_of(space):
    """Return the matrix of the space in memory."""
    return finite(in_memory(values(space)))


def finite(points):
    """Return the points; raise where one is not finite."""
    if not np.isfinite(points.data if hasattr(points, "tocsr") else points).all():
        raise ValueError(
            "The space in which samples are compared holds missing or infinite values: put an "
            "imputer into the pipeline, or name a later step by space=."
        )
    return points
