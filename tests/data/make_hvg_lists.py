"""Write the genes that scanpy chooses as highly variable, to compare ours with.

    python tests/data/make_hvg_lists.py FOLDER

FOLDER holds the matrix of 10x PBMC 3k as ``counts_matrix.mtx.gz``, genes in rows. Needs scanpy
and scikit-misc (the ``bench`` extra). ``hvg_lists.json`` gets the versions and, for every
case, the positions of the chosen genes. `simulated_cells`, `pbmc_cells` and `log_normalized`
are used by the tests as well.
"""

import gzip
import hashlib
import importlib.metadata
import json
import sys
import warnings
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import scipy.io
import scipy.sparse as sp

LISTS = Path(__file__).parent / "hvg_lists.json"
CASES = {
    f"{cells}-{flavor}-{'batches' if key else 'one'}{suffix}": {
        "cells": cells,
        "n_genes": n_genes,
        "flavor": flavor,
        "batch_key": key,
        **options,
    }
    for cells, n_genes in (("simulated", 200), ("pbmc3k", 2000))
    for flavor in ("seurat", "cell_ranger", "seurat_v3")
    for key in (None, "batch")
    for suffix, options in (
        ("", {}),
        ("-float32", {"dtype": "float32"}),
        ("-base2", {"base": 2}),
    )
    # Only "seurat" takes logarithms back; scanpy fails on batches of PBMC 3k for "seurat_v3".
    if not (suffix == "-base2" and flavor != "seurat")
    if not (cells == "pbmc3k" and flavor == "seurat_v3" and key)
    if not (cells == "pbmc3k" and suffix)
}


def simulated_cells():
    """Return counts of 400 cells and 1 500 genes in three batches, 1 gene in 50 silent."""
    rng = np.random.default_rng(20)
    batch = np.array(["a", "b", "c"])[np.searchsorted([200, 320], np.arange(400), side="right")]
    mean = rng.lognormal(0.5, 1.5, 1500) * rng.lognormal(0, 0.3, (400, 1))
    mean *= rng.lognormal(0, 0.4, (3, 1500))[np.searchsorted(["a", "b", "c"], batch)]
    shape = rng.uniform(0.5, 5, 1500)
    counts = rng.poisson(rng.gamma(shape, mean / shape)).astype(np.float64)
    counts[:, ::50] = 0
    return ad.AnnData(sp.csr_matrix(counts), obs=_obs(batch))


def pbmc_cells(folder):
    """Return PBMC 3k with every third cell in the same batch."""
    with gzip.open(Path(folder) / "counts_matrix.mtx.gz") as file:
        counts = sp.csr_matrix(scipy.io.mmread(file).T, dtype=np.float64)
    return ad.AnnData(counts, obs=_obs(np.array(["a", "b", "c"])[np.arange(counts.shape[0]) % 3]))


def log_normalized(cells, dtype="float64", base=None):
    """Return log1p of counts scaled to 10 000 a cell, the base recorded as scanpy does."""
    counts = cells.X
    sizes = np.asarray(counts.sum(axis=1)).ravel()
    data = np.log1p(counts.data * np.repeat(1e4 / sizes, np.diff(counts.indptr)))
    data = (data if base is None else data / np.log(base)).astype(dtype)
    X = sp.csr_matrix((data, counts.indices, counts.indptr), counts.shape)
    return ad.AnnData(X, obs=cells.obs, uns={"log1p": {"base": base}})


def of_case(case, cells):
    """Return what a case is tried on: counts, or logged values."""
    if case["flavor"] == "seurat_v3":
        counts = cells.copy()
        counts.X = counts.X.astype(case.get("dtype", "float64"))
        return counts
    return log_normalized(cells, case.get("dtype", "float64"), case.get("base"))


def fingerprint(cells):
    """Return a hash of the counts, which tells other input from another choice."""
    return hashlib.sha256(cells.X.tocoo().data.tobytes()).hexdigest()[:16]


def _obs(batch):
    names = [f"cell{i}" for i in range(len(batch))]
    return pd.DataFrame({"batch": pd.Categorical(batch)}, index=names)


def chosen(case, cells):
    """Return the positions of the genes that scanpy chooses."""
    import scanpy as sc

    options = {"n_top_genes": case["n_genes"], "inplace": False}
    options |= {key: case[key] for key in ("flavor", "batch_key")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        table = sc.pp.highly_variable_genes(of_case(case, cells), **options)
    return np.flatnonzero(table["highly_variable"]).tolist()


def main(folder):
    cells = {"simulated": simulated_cells(), "pbmc3k": pbmc_cells(folder)}
    packages = ("scanpy", "scikit-misc", "anndata", "numpy", "scipy", "pandas")
    lists = {
        "script": "tests/data/make_hvg_lists.py",
        "versions": {name: importlib.metadata.version(name) for name in packages},
        "fingerprints": {name: fingerprint(value) for name, value in cells.items()},
        "genes": {name: chosen(case, cells[case["cells"]]) for name, case in CASES.items()},
    }
    lines = [f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in lists.items()]
    LISTS.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main(sys.argv[1])
