"""Zarr stores: opened lazily, sliced and pickled freely, written block by block."""

import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import zarr
from joblib import Parallel, delayed
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline

from geneexpr import CPMNormalizer, LogTransformer, ToArray
from geneexpr.datasets import make_cohort
from geneexpr.io import _zarr, open_zarr, write_zarr

N_SAMPLES, N_GENES = 120, 40


def dense(X):
    X = X.compute() if hasattr(X, "compute") else X
    return X.toarray() if sp.issparse(X) else np.asarray(X)


@pytest.fixture(scope="module", params=["dense", "csr"])
def cohort(request):
    made = make_cohort(
        N_SAMPLES,
        N_GENES,
        n_batches=2,
        effect_size=3.0,
        library_size=2000,
        sparse=request.param == "csr",
        random_state=0,
    )
    made.layers["twice"] = made.X * 2
    return made


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of 16 rows, so that a small store has many."""
    monkeypatch.setattr(_zarr, "block_rows", lambda n_columns: 16)


@pytest.fixture
def store(cohort, tmp_path, small_blocks):
    path = tmp_path / "cohort.zarr"
    write_zarr(cohort, path)
    return path


def test_annotations_are_in_memory_and_matrices_are_lazy(store, cohort):
    opened = open_zarr(store)
    assert type(opened.X).__module__.startswith("dask.array")
    assert opened.X.chunks == ((16,) * 7 + (8,), (N_GENES,))
    assert sp.issparse(opened.X._meta) == sp.issparse(cohort.X)
    assert opened.X.dtype == cohort.X.dtype
    np.testing.assert_array_equal(dense(opened.X), dense(cohort.X))
    assert type(opened.layers["twice"]).__module__.startswith("dask.array")
    np.testing.assert_array_equal(dense(opened.layers["twice"]), dense(cohort.X) * 2)
    pd.testing.assert_frame_equal(opened.obs, cohort.obs)
    pd.testing.assert_frame_equal(opened.var, cohort.var)
    np.testing.assert_array_equal(opened.varm["batch_scale"], cohort.varm["batch_scale"])
    assert list(opened.uns["cohort"]["batches"]) == cohort.uns["cohort"]["batches"]


def test_a_slice_of_a_slice_is_lazy_and_right(store, cohort):
    rows, again = np.arange(0, N_SAMPLES, 2), np.array([1, 4, 30, 59])
    view = open_zarr(store)[rows][again]
    assert view.is_view
    np.testing.assert_array_equal(dense(view.X), dense(cohort[rows][again].X))
    normalised = CPMNormalizer().fit_transform(view)
    expected = CPMNormalizer().fit_transform(cohort[rows][again].copy())
    np.testing.assert_allclose(dense(normalised.X), dense(expected.X), rtol=1e-12)


def column_sums(adata):
    return dense(adata.X).sum(axis=0), adata.obs_names.tolist()


def test_it_pickles_and_goes_to_workers(store, cohort):
    opened = open_zarr(store)
    view = opened[5:90][::3]
    for adata, expected in ((opened, cohort), (view, cohort[5:90][::3])):
        sums, names = column_sums(pickle.loads(pickle.dumps(adata)))
        np.testing.assert_array_equal(sums, dense(expected.X).sum(axis=0))
        assert names == expected.obs_names.tolist()
    results = Parallel(n_jobs=2)(delayed(column_sums)(adata) for adata in (opened, view))
    np.testing.assert_array_equal(results[0][0], dense(cohort.X).sum(axis=0))
    np.testing.assert_array_equal(results[1][0], dense(cohort[5:90][::3].X).sum(axis=0))


def nested_scores(adata, n_jobs):
    model = make_pipeline(
        CPMNormalizer(), LogTransformer(), ToArray(), LogisticRegression(max_iter=500)
    )
    folds = StratifiedKFold(3, shuffle=True, random_state=0)
    search = GridSearchCV(
        model, {"logisticregression__C": [0.1, 1.0]}, cv=folds, scoring="roc_auc", n_jobs=n_jobs
    )
    return cross_val_score(search, adata, adata.obs["condition"].to_numpy(), cv=folds)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_nested_cross_validation_gives_what_memory_gives(store, cohort, n_jobs):
    expected = nested_scores(cohort, 1)
    assert expected.mean() > 0.8
    np.testing.assert_allclose(nested_scores(open_zarr(store), n_jobs), expected, rtol=1e-8)


def test_lazy_results_are_written_by_block(store, cohort, tmp_path):
    lazy = make_pipeline(CPMNormalizer(), LogTransformer()).fit_transform(open_zarr(store))
    write_zarr(lazy, tmp_path / "log.zarr")
    written = open_zarr(tmp_path / "log.zarr")
    expected = make_pipeline(CPMNormalizer(), LogTransformer()).fit_transform(cohort)
    np.testing.assert_allclose(dense(written.X), dense(expected.X), rtol=1e-12)
    assert sp.issparse(written.X._meta) == sp.issparse(cohort.X)
    assert written.uns["log1p"]["base"] == 2


def test_a_store_can_replace_itself(store, cohort):
    write_zarr(CPMNormalizer().fit_transform(open_zarr(store)), store, overwrite=True)
    expected = CPMNormalizer().fit_transform(cohort)
    np.testing.assert_allclose(dense(open_zarr(store).X), dense(expected.X), rtol=1e-12)
    assert [p.name for p in store.parent.iterdir()] == [store.name]


def test_writing_changes_nothing_and_does_not_overwrite(store, cohort, tmp_path):
    adata = cohort.copy()
    adata.obs["note"] = "same"
    write_zarr(adata[:50], tmp_path / "part.zarr")
    assert adata.obs["note"].dtype == object
    assert open_zarr(tmp_path / "part.zarr").shape == (50, N_GENES)
    with pytest.raises(FileExistsError, match=re.escape(f"{store} exists; give another path")):
        write_zarr(adata, store)


def test_an_interrupted_write_leaves_nothing(store, cohort, tmp_path):
    adata = cohort.copy()
    adata.uns["function"] = len
    with pytest.raises(Exception, match="builtin_function_or_method"):
        write_zarr(adata, tmp_path / "new.zarr")
    assert sorted(p.name for p in tmp_path.iterdir()) == [store.name]


def test_stores_of_anndata_open_too(cohort, tmp_path):
    with ad.settings.override(zarr_write_format=2), pytest.warns(UserWarning, match="zarr v2"):
        cohort.write_zarr(tmp_path / "plain.zarr")
    opened = open_zarr(tmp_path / "plain.zarr")
    np.testing.assert_array_equal(dense(opened[::7].X), dense(cohort[::7].X))


@pytest.mark.parametrize(
    ("rows", "stored", "expected"),
    [(100, 30, 90), (100, 100, 100), (100, 300, 300), (100, 900, 100)],
)
def test_blocks_end_where_stored_chunks_end(rows, stored, expected):
    assert _zarr._aligned(rows, stored) == expected


def test_without_dask_the_stored_arrays_are_given(store, cohort, monkeypatch):
    def absent(name, **_):
        if name.startswith("dask"):
            raise ImportError(name)
        return zarr

    monkeypatch.setattr(_zarr, "import_optional", absent)
    opened = open_zarr(store)
    expected_type = "CSRDataset" if sp.issparse(cohort.X) else "Array"
    assert expected_type in type(opened.X).__name__
    fitted = LogTransformer().fit(opened)
    assert fitted.n_features_in_ == N_GENES


def test_what_is_no_store_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no Zarr store at .*absent\.zarr"):
        open_zarr(tmp_path / "absent.zarr")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ValueError, match="folder is not a Zarr group"):
        open_zarr(tmp_path / "folder")
    zarr.open_group(tmp_path / "other.zarr", mode="w")
    with pytest.raises(ValueError, match=r"holds no AnnData \(its encoding-type is None\)"):
        open_zarr(tmp_path / "other.zarr")


def test_a_matrix_stored_by_columns_is_refused(tmp_path):
    by_column = ad.AnnData(sp.csc_matrix(np.eye(4)))
    write_zarr(by_column, tmp_path / "csc.zarr")
    with pytest.raises(ValueError, match=r"stored as csc_matrix.*Store it by rows"):
        open_zarr(tmp_path / "csc.zarr")


MEMORY = """
import sys
import anndata as ad, dask.array as da, numpy as np, pandas as pd
from peak_memory import peak
from geneexpr import CPMNormalizer
from geneexpr.io import open_zarr, write_zarr

folder, n, g = sys.argv[1], 50_000, 2_000
block = np.random.default_rng(0).integers(0, 9, (2_000, g)).astype(np.float32)
X = da.concatenate([da.from_array(block, chunks=-1)] * (n // 2_000))
obs, var = (pd.DataFrame(index=np.arange(k).astype(str)) for k in (n, g))
at_start = peak()
write_zarr(ad.AnnData(X, obs=obs, var=var), folder + "/in.zarr")
write_zarr(CPMNormalizer().fit_transform(open_zarr(folder + "/in.zarr")), folder + "/out.zarr")
print((peak() - at_start) / (n * g * 4))
"""


def test_a_store_passes_through_a_fraction_of_its_size_in_memory(tmp_path):
    run = subprocess.run(
        [sys.executable, "-c", MEMORY, str(tmp_path)],
        env=os.environ
        | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parent / "jobs")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert float(run.stdout) < 0.6
