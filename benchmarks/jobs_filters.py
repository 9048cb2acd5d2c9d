"""Filters of genes: variance on dense and sparse input, low expression."""

from __future__ import annotations

import numpy as np

from ._data import counts, log_expression, sparse_counts
from ._jobs import Job, within_memory

N_GENES = 2_000
SPARSE = (20_000, 20_000)


def _data(quick):
    return {"X": log_expression(*((50, 4_000) if quick else (500, 20_000)))[0]}


def _sparse_data(quick):
    return {"X": sparse_counts(*((200, 4_000) if quick else SPARSE), 0.1)}


def _count_data(quick):
    X = counts(*((50, 200) if quick else (500, 20_000)))[0]
    return {"X": X, "y": np.where(np.arange(len(X)) % 3, "case", "control")}


def _ours(method):
    def prepare(data):
        from geneexpr import VarianceFilter

        return lambda: VarianceFilter(n_genes=N_GENES, method=method).fit(data["X"])

    return prepare


def _sklearn(data):
    from sklearn.feature_selection import VarianceThreshold

    return lambda: VarianceThreshold(1e-3).fit(data["X"])


def _low_expression(data):
    from geneexpr import LowExpressionFilter

    return lambda: LowExpressionFilter(condition="y").fit(data["X"], data["y"])


def _matrix(data):
    return data["X"]


VARIANCE = {"geneexpr": _ours("variance"), "geneexpr, MAD": _ours("mad"), "scikit-learn": _sklearn}

JOBS = (
    Job("variance", "VarianceFilter.fit, 500 x 20 000", _data, VARIANCE, copied=_matrix),
    Job(
        "variance_csr",
        "VarianceFilter.fit, CSR 20 000 x 20 000, 10 %",
        _sparse_data,
        {"geneexpr": _ours("variance"), "scikit-learn": _sklearn},
        targets=(within_memory(0.02 * 8 * SPARSE[0] * SPARSE[1], "2 % of the dense size"),),
        copied=_matrix,
        repeats=5,
    ),
    Job(
        "low_expression",
        "LowExpressionFilter.fit (filterByExpr), 500 x 20 000",
        _count_data,
        {"geneexpr": _low_expression},
        copied=_matrix,
    ),
)
