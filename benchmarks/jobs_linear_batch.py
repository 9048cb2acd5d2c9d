"""Linear batch correction, and ComBat with the other genes as its prior."""

from __future__ import annotations

import numpy as np

from ._data import frame, log_expression, relative_difference
from ._jobs import Job, times_faster, within_copies


def _linear_data(quick):
    X, batch = log_expression(*((50, 200) if quick else (500, 20_000)))
    return {"X": X, "batch": batch}


def _linear(data):
    from geneexpr import LinearBatchCorrector

    return lambda: LinearBatchCorrector().fit_transform(data["X"], batch=data["batch"])


def _least_squares(data):
    """What one writes by hand: one regression on sum-to-zero columns."""
    codes = np.unique(data["batch"], return_inverse=True)[1]
    n = codes.max()
    coded = np.vstack([np.eye(n), -np.ones(n)])[codes]
    design = np.column_stack([np.ones(len(codes)), coded])

    def correct():
        slopes = np.linalg.lstsq(design, data["X"], rcond=None)[0]
        return data["X"] - coded @ slopes[1:]

    return correct


def _nonparametric_data(quick):
    X, batch = log_expression(*((50, 200) if quick else (100, 5000)))
    return {"X": X, "batch": batch}


def _nonparametric(data):
    from geneexpr import ComBatCorrector

    model = ComBatCorrector(parametric=False)
    return lambda: model.fit_transform(data["X"], batch=data["batch"])


def _inmoose(data):
    from inmoose.pycombat import pycombat_norm

    X, batch = frame(data["X"]).T.copy(), list(data["batch"])
    return lambda: pycombat_norm(X, batch, par_prior=False).T


JOBS = (
    Job(
        "linear_batch",
        "LinearBatchCorrector fit_transform, 500 x 20 000, 5 batches",
        _linear_data,
        {"geneexpr": _linear, "numpy lstsq": _least_squares},
        targets=(within_copies(10),),
        copied=lambda data: data["X"],
        note=lambda data, ours, theirs: relative_difference(ours, theirs),
    ),
    Job(
        "combat_nonparametric",
        "ComBat, non-parametric prior, fit_transform, 100 x 5 000, 5 batches",
        _nonparametric_data,
        {"geneexpr": _nonparametric, "inmoose": _inmoose},
        targets=(times_faster(20, "inmoose"),),
        note=lambda data, ours, theirs: relative_difference(ours, theirs),
        repeats=3,
        memory=False,
    ),
)
