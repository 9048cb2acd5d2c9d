"""The number that SHAP values add up to: the margin of a fitted model."""

import warnings
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, softmax

CLIP = 1e-3
"""Probabilities are kept this far from 0 and 1 before their log-odds are taken."""


@dataclass(frozen=True)
class Margin:
    """What is explained of a predictor: one column an output.

    Parameters
    ----------
    model : fitted estimator
    name : {"decision_function", "predict_proba", "log_odds", "predict"}
    scale : str
        What the numbers are, in words.
    classes : array or None
        What the columns speak for.
    """

    model: object
    name: str
    scale: str
    classes: np.ndarray | None

    def __call__(self, rows):
        """Return the margin, an array of float64 of shape (n_samples, n_outputs)."""
        method = "predict_proba" if self.name == "log_odds" else self.name
        with unnamed():
            found = np.asarray(getattr(self.model, method)(rows), dtype=np.float64)
        found = found[:, None] if found.ndim == 1 else found
        if self.name == "log_odds":
            return log_odds(found)
        if self.name == "predict_proba" and found.shape[1] == 2:
            return found[:, 1:]
        return found


@contextmanager
def unnamed():
    """Let blocks of rows go without the names that were compared once at the door."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "X does not have valid feature names", UserWarning)
        yield


def log_odds(probabilities):
    """Return log-odds of the second of two classes; of more, centred log-probabilities.

    Parameters
    ----------
    probabilities : array of shape (n_samples, n_classes)
        Clipped to [0.001, 0.999].

    Returns
    -------
    array of shape (n_samples, 1) or (n_samples, n_classes)

    Examples
    --------
    >>> import numpy as np
    >>> log_odds(np.array([[0.5, 0.5], [1.0, 0.0]])).round(2)
    array([[ 0.  ],
           [-6.91]])
    """
    logs = np.log(np.clip(probabilities, CLIP, 1 - CLIP))
    if logs.shape[1] == 2:
        return logs[:, 1:] - logs[:, :1]
    return logs - logs.mean(axis=1, keepdims=True)


def margin_of(model, rows, *, probabilities=False):
    """Choose the margin of a fitted predictor.

    Parameters
    ----------
    model : fitted estimator
    rows : array or sparse matrix
        A few rows as the model sees them.
    probabilities : bool, default=False
        Explain the probabilities themselves where there is no ``decision_function``, as
        forests need it; else their log-odds.

    Returns
    -------
    Margin

    Raises
    ------
    ValueError
        For a model without a margin, or one of several targets at once.
    """
    classes = getattr(model, "classes_", None)
    if isinstance(classes, list):
        raise ValueError(
            f"{type(model).__name__} predicts {len(classes)} targets of classes at once; fit and "
            "explain one at a time."
        )
    classes = None if classes is None else np.asarray(classes)
    if hasattr(model, "decision_function"):
        found = Margin(model, "decision_function", "decision_function", classes)
        found = Margin(model, found.name, _scale(model, found(rows), rows), classes)
    elif hasattr(model, "predict_proba"):
        name, scale = (
            ("predict_proba", "probability") if probabilities else ("log_odds", "log-odds")
        )
        found = Margin(model, name, scale, classes)
    elif hasattr(model, "predict") and classes is None:
        found = Margin(model, "predict", "prediction", None)
    else:
        raise ValueError(
            f"{type(model).__name__} has no margin to explain: it needs decision_function, "
            "predict_proba or, for numbers, predict. (CalibratedClassifierCV adds probabilities "
            "to a classifier that gives labels only.)"
        )
    return Margin(found.model, found.name, found.scale, _output_classes(found(rows), classes))


def _output_classes(margins, classes):
    """Return what each output speaks for: of two classes the second."""
    n_outputs = margins.shape[1]
    if classes is not None and len(classes) == n_outputs:
        return classes
    if classes is not None and len(classes) == 2 and n_outputs == 1:
        return classes[1:]
    if n_outputs == 1:
        return None
    return np.array([f"output {i}" for i in range(n_outputs)], dtype=object)


def _scale(model, margins, rows):
    """Say whether the decision function is the log-odds of the probabilities."""
    if not hasattr(model, "predict_proba"):
        return "decision_function"
    with unnamed():
        given = np.asarray(model.predict_proba(rows))
    if margins.shape[1] == 1 and given.shape[1] == 2:
        same = np.allclose(expit(margins[:, 0]), given[:, 1], atol=1e-4)
        return "log-odds" if same else "decision_function"
    same = margins.shape == given.shape and np.allclose(softmax(margins, axis=1), given, atol=1e-4)
    return "logits" if same else "decision_function"
