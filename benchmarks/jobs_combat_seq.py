"""ComBat-seq: fit and apply on counts, against the Python port of sva."""

from __future__ import annotations

import numpy as np

from ._data import N_BATCHES, counts, dense, frame, names
from ._jobs import Job, times_faster


def _data(quick):
    X, _ = counts(*((20, 50) if quick else (60, 10_000)))
    batch = np.arange(len(X)) % N_BATCHES
    rng = np.random.default_rng(1)
    X = rng.binomial(X.astype(int), rng.uniform(0.3, 1, (N_BATCHES, X.shape[1]))[batch])
    return {"X": X.astype(np.float64), "batch": np.array(names("batch", N_BATCHES))[batch]}


def _ours(data):
    from geneexpr import ComBatSeqCorrector

    return lambda: ComBatSeqCorrector().fit_transform(data["X"], batch=data["batch"])


def _inmoose(data):
    from inmoose.pycombat import pycombat_seq

    X, batch = frame(data["X"].astype(int)).T.copy(), list(data["batch"])
    return lambda: np.asarray(pycombat_seq(X, batch)).T


def _equal_counts(data, ours, theirs):
    difference = np.abs(dense(ours) - dense(theirs))
    return f"{(difference == 0).mean():.3%} of counts equal, off by {difference.max():.0f} at most"


JOBS = (
    Job(
        "combat_seq",
        "ComBat-seq fit_transform, 60 x 10 000, 5 batches",
        _data,
        {"geneexpr": _ours, "inmoose": _inmoose},
        targets=(times_faster(5, "inmoose"),),
        copied=lambda data: data["X"],
        note=_equal_counts,
        repeats=3,
    ),
)
