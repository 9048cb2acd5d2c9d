"""Correct batches of a store that is far larger than the memory it takes."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from pathlib import Path

import numpy as np

from ._jobs import Job, within_memory

SHAPE = (200_000, 2000)
N_BATCHES = 5


def _store(quick):
    """Write float32 expression block by block; the folder goes when the process ends."""
    import anndata as ad
    import dask.array as da
    import pandas as pd

    from geneexpr.io import open_zarr, write_zarr

    n, p = (2000, 50) if quick else SHAPE
    step = n // 100

    def block(block_info=None):
        start = block_info[None]["array-location"][0][0]
        batch = np.arange(start, start + step) % N_BATCHES
        values = np.random.default_rng(start).standard_normal((step, p), dtype=np.float32)
        return values + 6 + batch[:, None].astype(np.float32)

    folder = Path(tempfile.mkdtemp(prefix="geneexpr-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    X = da.map_blocks(block, chunks=((step,) * 100, p), dtype=np.float32)
    rows = np.arange(n)
    lab = np.array([f"lab{i}" for i in range(N_BATCHES)])[rows % N_BATCHES]
    write_zarr(ad.AnnData(X, obs=pd.DataFrame({"lab": lab}, rows.astype(str))), folder / "X.zarr")
    return {"store": open_zarr(folder / "X.zarr"), "out": folder / "corrected.zarr"}


def _corrected(name):
    def prepare(data):
        import geneexpr
        from geneexpr.io import write_zarr

        def correct():
            shutil.rmtree(data["out"], ignore_errors=True)
            corrector = getattr(geneexpr, name)(batch_key="lab")
            write_zarr(corrector.fit_transform(data["store"]), data["out"])

        return correct

    return prepare


JOBS = (
    Job(
        "batch_on_disk",
        "correct 200 000 x 2 000 float32 from Zarr to Zarr, 5 batches (ComBat; linear)",
        _store,
        {
            "geneexpr": _corrected("ComBatCorrector"),
            "geneexpr, linear": _corrected("LinearBatchCorrector"),
        },
        targets=(within_memory(2 * 2**30, "2 GiB"),),
        repeats=1,
    ),
)
