"""What a corrector refuses: confounded designs, and covariates that give the outcome away."""

import numpy as np
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import r2_score
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_predict, cross_val_score
from sklearn.utils.multiclass import type_of_target

from .._containers import name_some
from ..stats import dependent_columns

MAX_AUC = 0.95
MAX_R2 = 0.9
MAX_LEVELS = 20
"""Numbers with more levels than this are no classes."""
_REASON = (
    "Protecting it would write the outcome into the corrected values (signal that is not "
    "there), and new samples have no outcome yet. Take it out of the covariates; "
    "allow_outcome=True is for data that are described, not predicted from."
)


def check_confounding(codes, batches, design, names):
    """Raise where batch and covariates cannot be told apart, and name what is confounded.

    Parameters
    ----------
    codes : array of int of shape (n_samples,)
    batches : list of str
    design : array of shape (n_samples, p)
    names : list of str
        The covariate behind each column of ``design``.
    """
    within = within_batches(design, codes, len(batches))
    if not dependent_columns(within).any():
        return
    names = np.asarray(names)
    before = []
    for name in dict.fromkeys(names.tolist()):
        if dependent_columns(within[:, names == name]).any():
            where = _where(design[:, names == name], codes, batches)
            raise ValueError(
                f"The covariate {name!r} is confounded with the batch: {where}. The effects of "
                "the two cannot be told apart; leave the covariate out, or the batches that hold "
                "one kind of sample only."
            )
        before.append(name)
        if dependent_columns(within[:, np.isin(names, before)]).any():
            raise ValueError(
                f"The covariate {name!r} is determined by the batch and the covariates "
                f"{name_some(before[:-1])} together; leave one of them out."
            )


def within_batches(design, codes, n_batches):
    """Take the batch means off; what is left of a column by rounding alone becomes zero."""
    counts = np.bincount(codes, minlength=n_batches)
    within = design.copy()
    for column in within.T:
        length = np.linalg.norm(column)
        column -= (np.bincount(codes, column, n_batches) / np.maximum(counts, 1))[codes]
        if np.linalg.norm(column) <= 1e-9 * length:
            column[:] = 0
    return within


def _where(columns, codes, batches):
    """Say in words in which batches a covariate does not vary."""
    constant = [
        batch
        for code, batch in enumerate(batches)
        if (columns[codes == code] == columns[codes == code][:1]).all()
    ]
    if len(constant) == len(batches):
        return "it does not vary within any batch"
    return f"it does not vary within {name_some(constant)}, and the other batches do not link these"


def check_outcome(y, codes, covariates):
    """Raise where the batch determines the outcome, or a covariate gives it away.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
    codes : array of int of shape (n_samples,) or None
        Batch of each sample.
    covariates : dict of str to array of shape (n_samples, p)
        The columns of each covariate.
    """
    y = np.asarray(y)
    kind = _kind_of_outcome(y)
    if kind in ("binary", "multiclass"):
        classes, outcome = np.unique(y, return_inverse=True)
        if codes is not None and _determines(codes, outcome):
            said = "is identical to" if _determines(outcome, codes) else "determines"
            raise ValueError(
                f"The batch {said} the outcome y: each batch holds samples of one of the "
                f"{len(classes)} classes only. Correcting for it removes the outcome from the "
                "data; no corrector can tell the two apart. allow_outcome=True corrects "
                "nevertheless."
            )
        judge, measure, most = _auc, "AUC", MAX_AUC
    elif kind == "continuous":
        outcome, judge, measure, most = y.astype(np.float64), _r2, "R²", MAX_R2
    else:
        return
    candidates = {f"The covariate {name!r} gives": own for name, own in covariates.items()}
    if len(covariates) > 1:
        together = f"The covariates {name_some(covariates)} together give"
        candidates[together] = np.hstack(list(covariates.values()))
    for said, columns in candidates.items():
        score = judge(columns, outcome) if columns.shape[1] else 0.0
        if score > most:
            raise ValueError(
                f"{said} the outcome y away ({measure} {score:.2f}, at most {most} is "
                f"allowed). {_REASON}"
            )


def _kind_of_outcome(y):
    """Return the type of target; ages in whole years are numbers, not classes."""
    kind = type_of_target(y)
    n_levels = len(np.unique(y)) if kind == "multiclass" and y.dtype.kind in "iuf" else 0
    return "continuous" if n_levels > min(MAX_LEVELS, len(y) / 2) else kind


def _determines(a, b):
    """Tell whether each level of ``a`` goes with one level of ``b``, which has several."""
    n_pairs = len(set(zip(a.tolist(), b.tolist(), strict=True)))
    return n_pairs == len(np.unique(a)) and len(np.unique(b)) > 1


def _auc(columns, outcome):
    """Cross-validated AUC of the covariate for the outcome, the mean over classes."""
    counts = np.bincount(outcome)
    if len(counts) < 2:
        return 0.0
    levels = np.unique(columns, axis=0, return_inverse=True)[1].ravel()
    if _determines(levels, outcome) and _determines(outcome, levels):
        return 1.0
    if counts.min() < 2:
        return 0.0
    folds = StratifiedKFold(min(5, counts.min()), shuffle=True, random_state=0)
    model, scoring = LogisticRegression(max_iter=1000), "roc_auc_ovr"
    # Fold by fold: chances of several folds, put together, rank a covariate of two levels lower.
    return cross_val_score(model, columns, outcome, cv=folds, scoring=scoring).mean()


def _r2(columns, outcome):
    """Cross-validated R² of the covariate for a continuous outcome."""
    if len(outcome) < 5 or np.ptp(outcome) == 0:
        return 0.0
    folds = KFold(5, shuffle=True, random_state=0)
    return r2_score(outcome, cross_val_predict(LinearRegression(), columns, outcome, cv=folds))
