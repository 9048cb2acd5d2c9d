"""ComBat: fit and apply on an array, and fit on a sparse matrix that is never dense."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ._data import annotated, frame, log_expression, relative_difference, sparse_counts
from ._jobs import Job, LeftOut, times_faster, within_copies, within_memory

PARAMETERS = {"batch_key": "batch"}


def _data(quick):
    X, batch = log_expression(*((50, 200) if quick else (500, 20_000)))
    return {"X": X, "batch": batch}


def _ours(data):
    from geneexpr import ComBatCorrector

    return lambda: ComBatCorrector().fit_transform(data["X"], batch=data["batch"])


def _ours_anndata(data):
    from geneexpr import ComBatCorrector

    A = annotated(data["X"], batch=data["batch"])
    return lambda: ComBatCorrector(**PARAMETERS).fit_transform(A)


def _combatlearn(data):
    from combatlearn import ComBat

    X = frame(data["X"])
    batch = pd.Series(data["batch"], X.index)
    return lambda: ComBat(batch, method="johnson").fit_transform(X)


def _genes_in_rows(data):
    return frame(data["X"]).T.copy()


def _inmoose(data):
    from inmoose.pycombat import pycombat_norm

    X, batch = _genes_in_rows(data), list(data["batch"])
    return lambda: pycombat_norm(X, batch).T


def _pycombat(data):
    from combat.pycombat import pycombat

    X, batch = _genes_in_rows(data), list(data["batch"])
    return lambda: pycombat(X, batch).T


def _neurocombat(data):
    from neuroCombat import neuroCombat

    X = np.ascontiguousarray(data["X"].T)
    labels = pd.DataFrame({"batch": data["batch"]})
    return lambda: neuroCombat(X, labels, "batch")["data"].T


def _scanpy(data):
    from scanpy.preprocessing import combat

    A = annotated(data["X"], batch=pd.Categorical(data["batch"]))
    return lambda: combat(A, key="batch", inplace=False)


PEERS = {
    "combatlearn": _combatlearn,
    "inmoose": _inmoose,
    "pyComBat": _pycombat,
    "neuroCombat": _neurocombat,
    "scanpy": _scanpy,
}


SPARSE = (100_000, 5_000)


def _sparse_data(quick):
    X = sparse_counts(*((500, 50) if quick else SPARSE), 0.05)
    X.data = np.log2(X.data + 1)
    return {"X": X, "batch": np.array(["a", "b", "c", "d", "e"])[np.arange(X.shape[0]) % 5]}


def _ours_fit(data):
    from geneexpr import ComBatCorrector

    return lambda: ComBatCorrector().fit(data["X"], batch=data["batch"])


def _scanpy_sparse(data):
    if data["X"].shape == SPARSE:
        raise LeftOut("makes the matrix dense; 13 GB and minutes when tried")
    return _scanpy(data)


JOBS = (
    Job(
        "combat",
        "ComBat fit_transform, 500 x 20 000, 5 batches",
        _data,
        {"geneexpr": _ours, "geneexpr on AnnData": _ours_anndata, **PEERS},
        targets=(times_faster(10, *PEERS), within_copies(12)),
        copied=lambda data: data["X"],
        note=lambda data, ours, theirs: relative_difference(ours, theirs),
    ),
    Job(
        "combat_csr",
        "ComBat fit on CSR, 100 000 x 5 000, 5 % (scanpy: fit and apply)",
        _sparse_data,
        {"geneexpr": _ours_fit, "scanpy": _scanpy_sparse},
        targets=(within_memory(0.1 * 8 * SPARSE[0] * SPARSE[1], "a tenth of the dense size"),),
        copied=lambda data: data["X"],
        repeats=3,
    ),
)
