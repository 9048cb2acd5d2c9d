"""The numbers by which a fitted model decides: its margin, its probabilities or its prediction."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Output:
    """What a model says of rows, one column a class.

    Parameters
    ----------
    model : fitted estimator
    name : {"decision_function", "predict_proba", "predict"}
    classes : list
        What the columns stand for; of two classes there is one column, for the second. A number
        that belongs to no class is called "output".
    """

    model: object
    name: str
    classes: list

    def __call__(self, rows):
        """Return the output, an array of float64 of shape (n_samples, n_columns)."""
        found = np.asarray(getattr(self.model, self.name)(rows), dtype=np.float64)
        found = found[:, None] if found.ndim == 1 else found
        if self.name == "predict_proba" and found.shape[1] == 2:
            found = found[:, 1:]
        wanted = len(self.classes)
        if found.shape[1] != wanted:
            raise ValueError(
                f"{self.name} of {type(self.model).__name__} gives {found.shape[1]} values a "
                f"sample where {wanted} were expected, one a class (of two classes one). Of "
                'several targets explain one at a time; an SVC needs decision_function_shape="ovr".'
            )
        return found


def output_of(model):
    """Choose the output of a fitted model that explanations are of.

    Parameters
    ----------
    model : fitted estimator or Pipeline

    Returns
    -------
    Output

    Raises
    ------
    ValueError
        For a model that predicts nothing.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> found = output_of(LogisticRegression().fit([[0.0], [1.0]], ["no", "yes"]))
    >>> found.name, found.classes, found([[0.0]]).shape
    ('decision_function', ['yes'], (1, 1))
    """
    for name in ("decision_function", "predict_proba", "predict"):
        if hasattr(model, name):
            break
    else:
        raise ValueError(
            f"{type(model).__name__} predicts nothing: it has none of decision_function, "
            "predict_proba and predict. Give a pipeline that ends in a classifier or a regressor."
        )
    classes = getattr(model, "classes_", None)
    if classes is None:
        return Output(model, name, ["output"])
    if name == "predict":
        raise ValueError(
            f"{type(model).__name__} gives labels only, which is too little to explain: it needs "
            "decision_function or predict_proba (CalibratedClassifierCV adds it)."
        )
    classes = np.asarray(classes).tolist()
    return Output(model, name, classes[1:] if len(classes) == 2 else classes)
