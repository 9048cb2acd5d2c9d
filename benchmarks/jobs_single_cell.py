"""Single cells: highly variable genes. (The rank test of clusters is in `jobs_normalizers`.)"""

from __future__ import annotations

import numpy as np

from ._data import annotated, sparse_counts
from ._jobs import Job, times_faster

SIZE = "CSR 20 000 x 20 000, 5 %"
N_GENES = 2000


def _counts(quick):
    return sparse_counts(*((200, 300) if quick else (20_000, 20_000)), 0.05)


def _logged(quick):
    X = _counts(quick)
    X.data = np.log1p(X.data)
    return X


def _ours(flavor):
    def prepare(X):
        from geneexpr import HighlyVariableGenes

        model = HighlyVariableGenes(N_GENES if X.shape[1] > N_GENES else 50, flavor=flavor)
        return lambda: model.fit(X).support_

    return prepare


def _scanpy(flavor):
    def prepare(X):
        from scanpy.preprocessing import highly_variable_genes

        cells = annotated(X)
        options = {"n_top_genes": N_GENES if X.shape[1] > N_GENES else 50, "flavor": flavor}

        def choose():
            table = highly_variable_genes(cells, inplace=False, **options)
            return table["highly_variable"].to_numpy()

        return choose

    return prepare


def _differing(_, ours, theirs):
    return f"{int((ours & ~theirs).sum())} of {int(theirs.sum())} genes are others"


JOBS = tuple(
    Job(
        f"hvg_{flavor}",
        f"2 000 highly variable genes, flavor {flavor!r}, {SIZE}",
        _counts if flavor == "seurat_v3" else _logged,
        {"geneexpr": _ours(flavor), "scanpy": _scanpy(flavor)},
        targets=(times_faster(2, "scanpy"),),
        copied=lambda X: X,
        note=_differing,
    )
    for flavor in ("seurat", "cell_ranger", "seurat_v3")
)
