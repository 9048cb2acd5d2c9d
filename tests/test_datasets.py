"""Simulated cohorts follow the model they state; public data come out the same both ways."""

import functools
import http.server
import re
import threading
import tracemalloc

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy import stats

from geneexpr import datasets
from geneexpr.datasets import DatasetUnavailableError, fetch_hapmap_lcl, make_cohort
from geneexpr.stats._count_sampling import sample_nonzero_counts

LN2 = np.log(2)


@pytest.mark.parametrize(
    ("mean", "dispersion"),
    [(0.02, 0.0), (0.05, 1.0), (0.05, 10.0), (0.9, 0.3), (1.0, 0.3), (3.0, 0.5), (60.0, 0.1)],
)
def test_sampled_counts_follow_the_negative_binomial_law(mean, dispersion):
    shape = (1000, 500)
    rng = np.random.default_rng(1)
    _, counts = sample_nonzero_counts(
        np.full(shape, mean, np.float32), np.full((1, 500), dispersion), rng
    )
    observed = np.bincount(counts).astype(float)
    observed[0] = np.prod(shape) - counts.size
    k = np.arange(observed.size)
    law = stats.nbinom(1 / dispersion, 1 / (1 + dispersion * mean)) if dispersion else None
    expected = (law.pmf(k) if law else stats.poisson.pmf(k, mean)) * np.prod(shape)
    often = expected > 5
    chi2 = np.sum((observed - expected)[often] ** 2 / expected[often])
    assert stats.chi2.sf(chi2, often.sum() - 1) > 0.01


def test_sampled_counts_keep_rates_below_single_precision():
    rng = np.random.default_rng(0)
    _, counts = sample_nonzero_counts(np.full((2000, 2000), 1e-9), np.zeros((1, 2000)), rng)
    # 4e6 entries at 1e-9 are all but surely zero; float32 numbers alone would hit 0.24.
    assert counts.size == 0
    _, counts = sample_nonzero_counts(np.full((2000, 2000), 1e-5), np.zeros((1, 2000)), rng)
    assert 20 < counts.size < 65


def test_dispersion_is_that_of_the_samples_group():
    groups = np.repeat([0, 1], 4000)
    positions, counts = sample_nonzero_counts(
        np.full((8000, 2), 50.0),
        np.array([[0.05, 0.1], [0.5, 1.0]]),
        np.random.default_rng(0),
        groups,
    )
    X = np.zeros(16000)
    X[positions] = counts
    X = X.reshape(8000, 2)
    variance = np.stack([X[groups == g].var(axis=0) for g in (0, 1)])
    np.testing.assert_allclose(variance, 50 + 2500 * np.array([[0.05, 0.1], [0.5, 1.0]]), rtol=0.15)


@pytest.fixture(scope="module")
def large():
    return make_cohort(4000, 100, n_batches=2, n_class_genes=20, extra_poisson=0.0, random_state=0)


def test_truth_is_in_var_and_names_are_in_order(large):
    assert list(large.obs) == ["condition", "batch", "donor", "library_size"]
    assert large.obs_names[0] == "sample0001"
    assert large.var_names[-1] == "gene00100"
    assert large.var["class_gene"].sum() == 20
    assert set(large.var["marks"].dropna()) == {"class2"}
    assert (large.var["log2_fold_change"] != 0).tolist() == large.var["class_gene"].tolist()
    assert large.varm["batch_location"].shape == (100, 2)
    assert large.obsm["module_activity"].shape == (4000, 5)
    assert large.uns["cohort"]["batches"] == ["batch1", "batch2"]
    assert large.X.dtype == np.float64
    assert np.array_equal(large.X, np.round(large.X))


def test_effects_of_class_and_batch_are_the_stated_ones(large):
    relative = large.X / large.obs["library_size"].to_numpy()[:, None]

    def log2_mean(column, level, other, within):
        rows = large.obs[within] == large.obs[within].cat.categories[0]
        of = [relative[rows & (large.obs[column] == v)].mean(axis=0) for v in (level, other)]
        return np.log2(of[0] / of[1])

    found = log2_mean("condition", "class2", "class1", "batch")
    assert np.abs(found - large.var["log2_fold_change"]).max() < 0.25
    found = log2_mean("batch", "batch2", "batch1", "condition")
    location = large.varm["batch_location"]
    assert np.abs(found - (location[:, 1] - location[:, 0])).max() < 0.25
    np.testing.assert_allclose(location.sum(axis=1), 0, atol=1e-12)


def test_batches_change_the_scale_of_genes():
    cohort = make_cohort(
        6000,
        30,
        n_batches=2,
        n_modules=0,
        n_class_genes=0,
        batch_scale=0.6,
        library_size_spread=0.0,
        random_state=3,
    )
    is_first = (cohort.obs["batch"] == "batch1").to_numpy()
    abundant = cohort.var["mean_count"].to_numpy() > 100
    for batch, rows in enumerate((is_first, ~is_first)):
        X = cohort.X[rows][:, abundant]
        squared_cv = (X.var(axis=0) - X.mean(axis=0)) / X.mean(axis=0) ** 2
        stated = (cohort.var["dispersion"] * cohort.varm["batch_scale"][:, batch] ** 2)[abundant]
        np.testing.assert_allclose(squared_cv, stated, rtol=0.25)


def test_genes_of_a_module_move_together(large):
    module = large.var["module"]
    abundant = (large.var["mean_count"] > 50).to_numpy()
    log = np.log2(large.X + 1) - np.log2(large.obs["library_size"].to_numpy())[:, None]
    for index, name in enumerate(module.cat.categories):
        genes = np.flatnonzero((module == name).to_numpy() & abundant)
        activity = large.obsm["module_activity"][:, index]
        slope = np.array([stats.linregress(activity, log[:, g]).slope for g in genes])
        np.testing.assert_allclose(slope, large.var["module_loading"].to_numpy()[genes], atol=0.12)


def test_dispersion_falls_with_the_mean_along_the_trend():
    cohort = make_cohort(4, 5000, dispersion=0.2, extra_poisson=2.0, random_state=0)
    expected = np.clip(0.2 + 2.0 / cohort.var["mean_count"], None, 10)
    residual = np.log(cohort.var["dispersion"] / expected)
    assert abs(residual.mean()) < 0.02
    assert 0.28 < residual.std() < 0.32


def test_samples_of_a_donor_share_class_batch_and_expression():
    cohort = make_cohort(
        120, 300, n_batches=2, n_samples_per_donor=3, donor_effect=1.0, random_state=0
    )
    of_donor = cohort.obs.groupby("donor", observed=True)
    assert of_donor[["condition", "batch"]].nunique().to_numpy().max() == 1
    assert of_donor.size().tolist() == [3] * 40
    log = np.log2(cohort.X / cohort.X.sum(axis=1, keepdims=True) + 1e-6)
    correlation = np.corrcoef(log - log.mean(axis=0))
    same = cohort.obs["donor"].to_numpy()[:, None] == cohort.obs["donor"].to_numpy()
    np.fill_diagonal(correlation, np.nan)
    assert np.nanmean(correlation[same]) > np.nanmean(correlation[~same]) + 0.2


def test_class_proportions_confound_class_and_batch_exactly():
    cohort = make_cohort(
        200, 20, n_batches=2, class_proportions=[[0.8, 0.2], [0.3, 0.7]], random_state=0
    )
    table = pd.crosstab(cohort.obs["batch"], cohort.obs["condition"])
    assert table.to_numpy().tolist() == [[80, 20], [30, 70]]


def test_sparse_and_dense_cohorts_are_the_same():
    options = {"density": 0.1, "n_batches": 3, "n_classes": 3, "random_state": 7}
    dense = make_cohort(300, 2000, **options)
    sparse = make_cohort(300, 2000, sparse=True, dtype=np.float32, **options)
    assert sp.isspmatrix_csr(sparse.X)
    assert sparse.X.dtype == np.float32
    assert sparse.X.has_canonical_format
    np.testing.assert_array_equal(sparse.X.toarray(), dense.X)
    pd.testing.assert_frame_equal(sparse.var, dense.var)
    pd.testing.assert_frame_equal(sparse.obs, dense.obs)


@pytest.mark.parametrize("density", [0.02, 0.05, 0.5])
def test_density_is_met_within_a_tenth(density):
    cohort = make_cohort(400, 2000, density=density, n_batches=3, sparse=True, random_state=0)
    assert cohort.X.nnz / np.prod(cohort.shape) == pytest.approx(density, rel=0.1)


def test_sparse_cohort_is_never_dense():
    tracemalloc.start()
    cohort = make_cohort(2000, 20_000, density=0.02, sparse=True, dtype=np.float32, random_state=0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.3 * np.prod(cohort.shape) * 4


def test_same_seed_same_cohort_and_other_sources_of_randomness():
    first, again, other = (make_cohort(30, 40, random_state=s).X for s in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    for source in (np.random.RandomState, np.random.default_rng):
        a, b = (make_cohort(30, 40, random_state=source(5)).X for _ in range(2))
        np.testing.assert_array_equal(a, b)


def test_no_seed_leaves_the_global_generator_alone():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    a, b = make_cohort(30, 40).X, make_cohort(30, 40).X
    assert not np.array_equal(a, b)
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_classes": 0}, "n_classes must be at least 1, got 0"),
        ({"n_samples": 2, "n_batches": 3}, "n_samples=2 cannot fill n_batches=3"),
        ({"n_class_genes": 2000}, "n_class_genes must lie between 0 and n_genes=1000, got 2000"),
        ({"density": 1.5}, "density must lie between 0 and 1, got 1.5"),
        (
            {"density": 0.1, "library_size": 1e6},
            "density sets the library size: give density or library_size, not both",
        ),
        (
            {"class_proportions": [0.2, 0.3, 0.5]},
            "class_proportions must have the shape (2,) or (1, 2), got (3,)",
        ),
        (
            {"class_proportions": [-1, 2]},
            "class_proportions must be finite, not negative and not all zero in a batch; "
            "got [-1.0, 2.0]",
        ),
    ],
)
def test_impossible_cohorts_are_refused(options, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        make_cohort(**options)


def test_smallest_cohort():
    cohort = make_cohort(1, 1, n_classes=1, n_modules=0, random_state=0)
    assert cohort.shape == (1, 1)
    assert not cohort.var["class_gene"].any()


@pytest.fixture
def served(shared, tmp_path, monkeypatch):
    """Serve the original files over HTTP, with an empty cache and no local folder."""
    original = shared / "data" / "hapmap_lcl_sex_counts" / "original"

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=str(original))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(datasets, "_HAPMAP_URL", f"http://127.0.0.1:{server.server_port}/")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("pooch.os_cache", lambda name: tmp_path / "cache" / name)
    monkeypatch.delenv("GENEEXPR_DATA", raising=False)
    yield tmp_path / "cache"
    server.shutdown()
    server.server_close()


def test_hapmap_is_the_same_from_the_folder_and_from_the_download(shared, served, monkeypatch):
    downloaded = fetch_hapmap_lcl()
    assert len(list((served / "geneexpr" / "hapmap_lcl").iterdir())) == 5
    monkeypatch.setenv("GENEEXPR_DATA", str(shared / "data"))
    local = fetch_hapmap_lcl()
    np.testing.assert_array_equal(downloaded.X, local.X)
    pd.testing.assert_frame_equal(downloaded.obs, local.obs)
    pd.testing.assert_frame_equal(downloaded.var, local.var)
    for key in ("y_linked", "x_escape"):
        np.testing.assert_array_equal(downloaded.uns[key], local.uns[key])


def test_hapmap_is_what_the_docstring_says(shared, monkeypatch):
    monkeypatch.setenv("GENEEXPR_DATA", str(shared / "data"))
    cells = fetch_hapmap_lcl()
    assert cells.shape == (170, 52580)
    assert cells.X.dtype == np.float64
    counts = cells.obs.groupby(["lab", "sex"], observed=True).size()
    assert counts.loc["Montgomery"].to_dict() == {"female": 33, "male": 27}
    assert cells.var["length"].isna().sum() == 12_301
    shared_donors = set.intersection(
        *(set(cells.obs.loc[cells.obs["lab"] == lab, "donor"]) for lab in ("Cheung", "Montgomery"))
    )
    listed = (shared / "data/hapmap_lcl_sex_counts/overlap_montgomery_cheung.txt").read_text()
    assert shared_donors == set(listed.split())
    assert cells["Cheung_NA06985", "ENSG00000000419"].X.item() == 81
    # RPS4Y1, on the Y chromosome: men have it.
    men = cells[cells.obs["lab"] == "Pickrell"]
    rps4y1 = pd.Series(men[:, "ENSG00000129824"].X.ravel(), index=men.obs["sex"].to_numpy())
    assert rps4y1["male"].min() > rps4y1["female"].max()


def test_hapmap_says_what_to_do_when_it_is_nowhere(tmp_path, monkeypatch):
    monkeypatch.setenv("GENEEXPR_DATA", str(tmp_path))
    monkeypatch.setattr("pooch.os_cache", lambda name: tmp_path / "cache" / name)
    monkeypatch.setattr(datasets, "_HAPMAP_URL", "http://127.0.0.1:9/")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(DatasetUnavailableError) as caught:
        fetch_hapmap_lcl()
    message = str(caught.value)
    assert message.startswith(f"cannot load hapmap_lcl: {tmp_path / 'hapmap_lcl_sex_counts'} does")
    assert message.endswith(
        "Set GENEEXPR_DATA to the folder that holds the data sets, connect to the network, "
        "or use geneexpr.datasets.make_cohort"
    )


def test_hapmap_refuses_a_file_with_another_checksum(served, monkeypatch):
    monkeypatch.setattr(datasets, "_HAPMAP_SHA256", {"genderGenes.rda": "0" * 64})
    with pytest.raises(ValueError, match="hash"):
        fetch_hapmap_lcl()
