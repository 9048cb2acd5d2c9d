"""Fit, transform and write a store that does not fit into memory; print the peak in MiB.

Run as ``python on_disk.py {write,combat,mlp} FOLDER``: each job in a process of its own, so
that the peak resident size is that of the job alone.
"""

import sys
import warnings
from pathlib import Path

import numpy as np
from peak_memory import peak

N_SAMPLES, N_GENES = 24_000, 8_000


def write(folder):
    """Write 1.5 GB of expression, drawn block by block."""
    import anndata as ad
    import dask.array as da
    import pandas as pd

    from geneexpr.io import write_zarr

    def block(block_info=None):
        start = block_info[None]["array-location"][0][0]
        rng = np.random.default_rng(start)
        values = rng.integers(0, 200, (1000, N_GENES)).astype(np.float64) / 16
        values[::2, :50] += 4  # the second class
        return values + (start % 3000) / 1000  # three laboratories

    X = da.map_blocks(block, chunks=((1000,) * (N_SAMPLES // 1000), N_GENES), dtype=np.float64)
    rows = np.arange(N_SAMPLES)
    obs = pd.DataFrame(
        {"lab": np.array(["a", "b", "c"])[rows // 1000 % 3], "label": np.where(rows % 2, "x", "y")},
        index=rows.astype(str),
    )
    write_zarr(ad.AnnData(X, obs=obs), folder / "store.zarr")


def combat(folder):
    """Correct the store and write the result."""
    from geneexpr import ComBatCorrector
    from geneexpr.io import open_zarr, write_zarr

    store = open_zarr(folder / "store.zarr")
    corrected = ComBatCorrector(batch_key="lab").fit_transform(store)
    write_zarr(corrected, folder / "corrected.zarr")


def mlp(folder):
    """Scale and train on the store, and predict it."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from geneexpr import OnMatrix, TorchMLPClassifier
    from geneexpr.io import open_zarr

    store = open_zarr(folder / "store.zarr")
    network = TorchMLPClassifier((16,), max_epochs=1, batch_size=256, random_state=0)
    y = store.obs["label"].to_numpy()
    model = make_pipeline(OnMatrix(StandardScaler()), network).fit(store, y)
    if model.score(store, y) < 0.9:
        raise SystemExit("the network learned nothing")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    {"write": write, "combat": combat, "mlp": mlp}[sys.argv[1]](Path(sys.argv[2]))
    print(peak() // 2**20)
