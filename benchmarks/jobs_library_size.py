"""CPM, TPM, FPKM and the logarithm, dense and sparse."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ._data import annotated, counts, frame, names, relative_difference, sparse_counts
from ._jobs import Job, times_faster, within_copies


def _data(quick):
    X, lengths = counts(*((50, 200) if quick else (500, 20_000)))
    return {"X": X, "lengths": pd.Series(lengths, names("g", X.shape[1]))}


def _sparse_data(quick):
    X = sparse_counts(*((200, 200) if quick else (20_000, 20_000)), 0.1)
    lengths = np.random.default_rng(1).integers(300, 20_000, X.shape[1])
    return {"X": X, "lengths": pd.Series(lengths.astype(float), names("g", X.shape[1]))}


def _ours(name, lengths=True):
    """Ours, on the bare matrix."""

    def prepare(data):
        import geneexpr

        given = {"gene_lengths": data["lengths"].to_numpy()} if lengths else {}
        return lambda: getattr(geneexpr, name)(**given).fit_transform(data["X"])

    return prepare


def _ours_anndata(name, lengths=True):
    def prepare(data):
        import geneexpr

        A = annotated(data["X"], {"length": data["lengths"].to_numpy()})
        return lambda: getattr(geneexpr, name)().fit_transform(A)

    return prepare


def _rnanorm(name, lengths=True):
    def prepare(data):
        import rnanorm

        given = {"gene_lengths": data["lengths"]} if lengths else {}
        X = frame(data["X"]) if isinstance(data["X"], np.ndarray) else data["X"]
        return lambda: getattr(rnanorm, name)(**given).fit_transform(X)

    return prepare


def _scanpy_total(data):
    from scanpy.preprocessing import normalize_total

    A = annotated(data["X"])
    return lambda: normalize_total(A, target_sum=1e6, inplace=False)["X"]


def _numpy_log(data):
    return lambda: np.log2(data["X"] + 1)


def _scanpy_log(data):
    from scanpy.preprocessing import log1p

    return lambda: log1p(data["X"], base=2, copy=True)


def _same(data, ours, theirs):
    return relative_difference(ours, theirs)


def _job(name, title, contenders, **how):
    return Job(name, title, contenders=contenders, copied=lambda data: data["X"], **how)


DENSE = {"data": _data, "note": _same}
SPARSE = {"data": _sparse_data, "repeats": 5}
SIZE, SPARSE_SIZE = "500 x 20 000", "CSR 20 000 x 20 000, 10 %"

JOBS = (
    _job(
        "tpm",
        f"TPM fit_transform, {SIZE}",
        {
            "geneexpr": _ours("TPMNormalizer"),
            "geneexpr on AnnData": _ours_anndata("TPMNormalizer"),
            "rnanorm": _rnanorm("TPM"),
        },
        targets=(times_faster(5, "rnanorm"),),
        **DENSE,
    ),
    _job(
        "tpm_csr",
        f"TPM fit_transform, {SPARSE_SIZE}",
        {"geneexpr": _ours("TPMNormalizer"), "rnanorm": _rnanorm("TPM")},
        targets=(within_copies(4),),
        **SPARSE,
    ),
    _job(
        "fpkm",
        f"FPKM fit_transform, {SIZE}",
        {"geneexpr": _ours("FPKMNormalizer"), "rnanorm": _rnanorm("FPKM")},
        **DENSE,
    ),
    _job(
        "cpm",
        f"CPM fit_transform, {SIZE}",
        {
            "geneexpr": _ours("CPMNormalizer", lengths=False),
            "rnanorm": _rnanorm("CPM", lengths=False),
            "scanpy": _scanpy_total,
        },
        **DENSE,
    ),
    _job(
        "cpm_csr",
        f"CPM fit_transform, {SPARSE_SIZE}",
        {"geneexpr": _ours("CPMNormalizer", lengths=False), "scanpy": _scanpy_total},
        **SPARSE,
    ),
    _job(
        "log",
        f"log2(x + 1), {SIZE}",
        {
            "geneexpr": _ours("LogTransformer", lengths=False),
            "numpy": _numpy_log,
            "scanpy": _scanpy_log,
        },
        **DENSE,
    ),
    _job(
        "log_csr",
        f"log2(x + 1), {SPARSE_SIZE}",
        {"geneexpr": _ours("LogTransformer", lengths=False), "scanpy": _scanpy_log},
        **SPARSE,
    ),
)
