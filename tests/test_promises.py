"""The promises, end to end, as a user would try them."""

import subprocess
import sys
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    LeaveOneGroupOut,
    StratifiedKFold,
    cross_val_predict,
    cross_val_score,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from geneexpr import (
    BatchWarning,
    ComBatCorrector,
    LogTransformer,
    LowExpressionFilter,
    OnMatrix,
    ToArray,
    TPMNormalizer,
    VarianceFilter,
    make_cohort,
)

CV = StratifiedKFold(3, shuffle=True, random_state=0)


@pytest.fixture(scope="module")
def cohort():
    """A hundred samples of three laboratories, thirty of them kept apart as new patients."""
    adata = make_cohort(130, 400, n_batches=3, n_class_genes=40, random_state=0)
    y = adata.obs["condition"].to_numpy().astype(str)
    return adata[:100].copy(), y[:100], adata[100:].copy(), y[100:]


def pipeline(**combat):
    return make_pipeline(
        LowExpressionFilter(condition="y"),
        TPMNormalizer(),
        LogTransformer(),
        ComBatCorrector(batch_key="batch", **combat),
        VarianceFilter(n_genes=100),
        OnMatrix(StandardScaler()),
        ToArray(),
        LogisticRegression(max_iter=1000),
    )


def as_frame(adata):
    """The same cohort as a DataFrame: annotations are levels of the row index."""
    index = pd.MultiIndex.from_arrays(
        [adata.obs_names, adata.obs["batch"].astype(str)], names=["sample", "batch"]
    )
    return pd.DataFrame(adata.X, index=index, columns=adata.var_names)


@pytest.mark.parametrize("container", ["AnnData", "DataFrame"])
def test_batch_labels_survive_a_parallel_search_and_new_patients(cohort, container):
    train, y, new, y_new = cohort
    model = pipeline()
    if container == "DataFrame":
        lengths = train.var["length"]
        train, new = as_frame(train), as_frame(new)
        model.set_params(tpmnormalizer__gene_lengths=lengths)
    grid = {
        "variancefilter__n_genes": [50, 100],
        "combatcorrector": [ComBatCorrector(batch_key="batch"), "passthrough"],
    }
    search = GridSearchCV(model, grid, scoring="roc_auc", cv=CV, n_jobs=2, error_score="raise")
    search.fit(train, y)
    assert search.best_score_ > 0.9
    assert (search.predict(new) == y_new).mean() > 0.8
    one = new.iloc[[4]] if container == "DataFrame" else new[[4]]
    np.testing.assert_allclose(
        search.predict_proba(one), search.predict_proba(new)[[4]], rtol=1e-10
    )


def test_cross_val_predict(cohort):
    train, y, _, _ = cohort
    assert (cross_val_predict(pipeline(), train, y, cv=CV) == y).mean() > 0.8


def test_leave_one_lab_out(cohort):
    """The batch left out is unseen: an error by default, and two ways out of it."""
    train, y, _, _ = cohort
    options = {"cv": LeaveOneGroupOut(), "groups": train.obs["batch"], "error_score": "raise"}
    with pytest.raises(ValueError, match=r"unseen_batch"):
        cross_val_score(pipeline(), train, y, **options)
    with pytest.warns(BatchWarning):
        passed = cross_val_score(pipeline(unseen_batch="passthrough"), train, y, **options)
    estimated = cross_val_score(pipeline(unseen_batch="estimate"), train, y, **options)
    assert len(passed) == len(estimated) == 3
    assert estimated.mean() > 0.8


def test_without_annotations_the_error_says_what_to_do(cohort):
    """A plain scikit-learn step turns AnnData into an array, and the labels are gone."""
    train, y, _, _ = cohort
    lost = make_pipeline(ToArray(), ComBatCorrector(batch_key="batch"))
    with pytest.raises(
        ValueError, match=r"'batch' was asked for, but ndarray carries no annotations"
    ):
        lost.fit(train, y)
    frame = as_frame(train)
    flat = make_pipeline(StandardScaler(), ComBatCorrector(batch_key="batch"))
    with pytest.raises(ValueError, match="carries no annotations"):
        flat.fit(frame, y)
    kept = make_pipeline(
        StandardScaler().set_output(transform="pandas"), ComBatCorrector(batch_key="batch")
    )
    assert kept.fit_transform(frame, y).shape == frame.shape


def test_set_output_takes_anndata_out_of_the_pipeline_with_its_labels(cohort):
    train, y, _, _ = cohort
    pipe = make_pipeline(
        LogTransformer(), StandardScaler(), ComBatCorrector(batch_key="batch")
    ).set_output(transform="pandas")
    out = pipe.fit_transform(train, y)
    assert list(out.columns) == list(train.var_names)
    np.testing.assert_array_equal(out.index.get_level_values("batch"), train.obs["batch"])


def test_a_test_sample_cannot_shape_its_own_preprocessing(cohort):
    train, y, new, _ = cohort
    model = pipeline().fit(train, y)
    spoiled = new.copy()
    spoiled.X[1:] *= 50
    np.testing.assert_array_equal(model[:-1].transform(spoiled)[0], model[:-1].transform(new)[0])


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    run_job("write", folder)
    return folder


def run_job(name, folder):
    """Run a job in a process of its own and return its peak resident size in MiB."""
    script = Path(__file__).parent / "jobs" / "on_disk.py"
    done = subprocess.run(
        [sys.executable, str(script), name, str(folder)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


CEILING = 1100
"""MiB; the imports alone take 300 to 450, the store holds 1465."""


@pytest.mark.parametrize("job", ["combat", "mlp"])
def test_a_store_larger_than_memory(store, job):
    from geneexpr.io import open_zarr

    opened = open_zarr(store / "store.zarr")
    assert opened.X.nbytes / 2**20 > 1.3 * CEILING
    assert run_job(job, store) < CEILING
    if job == "combat":
        corrected = open_zarr(store / "corrected.zarr")
        assert isinstance(corrected, ad.AnnData)
        assert corrected.shape == opened.shape
