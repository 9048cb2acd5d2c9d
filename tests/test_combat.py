"""ComBatCorrector: the numbers of sva, frozen, in any container; and what it refuses."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn import config_context
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline

from geneexpr import BatchWarning, ComBatCorrector, ScaleWarning

# ------------------------------------------------------------------ the numbers of sva

OPTIONS = {
    "par": {},
    "par_mod": {},
    "meanonly": {"mean_only": True},
    "meanonly_mod": {"mean_only": True},
    "ref": {},
    "ref_mod": {},
    "ref_meanonly": {"mean_only": True},
    "nonpar": {"parametric": False},
    "nonpar_mod": {"parametric": False},
    "nonpar_meanonly": {"parametric": False, "mean_only": True},
    "nonpar_ref": {"parametric": False},
    "size1_par": {},
    "size1_par_mod": {},
    "zerovar_par": {},
    "zerovar_par_mod": {},
    "na_par": {},
    "na_par_mod": {},
}
ABSENT = {"combat_sim_rnaseq": ("size1", "na")}
OUTPUTS = [
    (case, name)
    for case in ("combat_bladder", "combat_sim_rnaseq")
    for name in OPTIONS
    if not name.startswith(ABSENT.get(case, ("none",)))
]


def gold_input(case, name):
    """Return input, batch, covariates and R's output of one call, rows in one order."""
    expected = case.out(name)
    table = {"zerovar": "X_zerovar.csv.gz", "na": "X_na.csv.gz"}.get(name.split("_")[0], "X.csv.gz")
    X = case.table(table).loc[expected.index, expected.columns]
    batch = case.table("batch.csv", dtype=str).iloc[:, 0].loc[X.index].to_numpy()
    design = case.table("mod.csv").loc[X.index].to_numpy()
    return X, batch, design if name.endswith("_mod") else None, expected


@pytest.mark.parametrize(("case", "name"), OUTPUTS)
@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array])
def test_training_rows_are_those_of_sva(gold, relative_error, case, name, kind):
    case = gold(case)
    X, batch, design, expected = gold_input(case, name)
    options = dict(OPTIONS[name])
    if name.split("_")[0] == "ref" or name == "nonpar_ref":
        options["reference_batch"] = (
            case.outputs[name]["call"].split("ref.batch='")[1].split("'")[0]
        )
    model = ComBatCorrector(**options)
    values = kind(X.to_numpy())
    if name.startswith("size1"):
        with pytest.warns(BatchWarning, match="batches have one sample only"):
            out = model.fit_transform(values, batch=batch, covariates=design)
    else:
        out = model.fit_transform(values, batch=batch, covariates=design)
    assert relative_error(out, expected) < 1e-10
    again = model.transform(values, batch=batch, covariates=design)
    np.testing.assert_array_equal(again, out)
    if name.startswith("zerovar"):
        unchanged = ~model.corrected_genes_
        assert unchanged.any()
        np.testing.assert_array_equal(out[:, unchanged], X.to_numpy()[:, unchanged])
    if "reference_batch" in options:
        own = batch == options["reference_batch"]
        np.testing.assert_array_equal(out[own], X.to_numpy()[own])


@pytest.mark.parametrize("case", ["combat_bladder", "combat_sim_rnaseq"])
def test_standardisation_is_that_of_sva(gold, relative_error, case):
    case = gold(case)
    X, batch, design, _ = gold_input(case, "par_mod")
    model = ComBatCorrector().fit(X.to_numpy(), batch=batch, covariates=design)
    theirs = case.out("internal_par").loc[X.columns]
    assert relative_error(model.pooled_sd_**2, theirs.iloc[:, 1]) < 1e-10


# ------------------------------------------------------------------ a simulated cohort


def simulate(n=40, genes=60, seed=0, share=0.5, batches=("a", "b")):
    rng = np.random.default_rng(seed)
    batch = np.repeat(batches, n)
    y = np.tile(np.where(np.arange(n) < share * n, "case", "control"), len(batches))
    X = rng.normal(size=(len(batch), genes))
    X[y == "case", :15] += 2
    for name in batches:
        effect = np.random.default_rng(sum(map(ord, name)))
        own = batch == name
        X[own] *= effect.gamma(30, 1 / 30, genes) * effect.uniform(0.7, 1.4)
        X[own] += effect.normal(size=genes)
    return X, batch, y


@pytest.fixture
def cohort():
    return simulate()


def as_frame(X, **levels):
    names = [f"s{i}" for i in range(len(X))]
    index = pd.MultiIndex.from_arrays([names, *levels.values()], names=["sample", *levels])
    return pd.DataFrame(X, index, [f"g{i}" for i in range(X.shape[1])])


def as_anndata(X, **obs):
    names = [f"s{i}" for i in range(len(X))]
    var = pd.DataFrame(index=[f"g{i}" for i in range(X.shape[1])])
    return ad.AnnData(X, obs=pd.DataFrame(obs, names), var=var)


def test_by_hand_one_gene_without_shrinkage():
    """With one gene there is nothing to shrink to: batches end at one mean and variance."""
    X = np.array([[1.0], [3.0], [11.0], [13.0]])
    out = ComBatCorrector().fit_transform(X, batch=["a", "a", "b", "b"])
    # pooled variance 1, batch variances 2 on that scale: 1 / sqrt(2) of the deviation is left
    np.testing.assert_allclose(out.ravel(), 7 + np.array([-1, 1, -1, 1]) / np.sqrt(2))


def test_rows_are_corrected_each_on_its_own(cohort):
    X, batch, _ = cohort
    model = ComBatCorrector().fit(X, batch=batch)
    whole = model.transform(X, batch=batch)
    for rows in ([3], [50, 2], np.random.default_rng(0).permutation(80)):
        np.testing.assert_array_equal(model.transform(X[rows], batch=batch[rows]), whole[rows])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_dtype_stays(cohort, dtype):
    X, batch, _ = cohort
    out = ComBatCorrector().fit_transform(X.astype(dtype), batch=batch)
    assert out.dtype == dtype
    exact = ComBatCorrector().fit_transform(X, batch=batch)
    np.testing.assert_allclose(out, exact, atol=1e-5 if dtype == np.float32 else 0)


def test_missing_values_stay_missing(cohort):
    X, batch, _ = cohort
    X[::7, ::5] = np.nan
    out = ComBatCorrector().fit_transform(X, batch=batch)
    np.testing.assert_array_equal(np.isnan(out), np.isnan(X))


def test_labels_come_from_any_container(cohort):
    X, batch, y = cohort
    age = np.random.default_rng(0).integers(20, 80, len(X))
    model = ComBatCorrector("site", ["age", "sex"])
    sex = np.where(np.arange(len(X)) % 3, "f", "m")
    by_array = ComBatCorrector().fit_transform(
        X, batch=batch, covariates=pd.DataFrame({"age": age, "sex": sex})
    )
    adata = as_anndata(X, site=pd.Categorical(batch), age=age, sex=pd.Categorical(sex))
    frame = as_frame(X, site=batch, age=age, sex=sex)
    np.testing.assert_array_equal(model.fit_transform(adata, y).X, by_array)
    np.testing.assert_array_equal(model.transform(frame[:0:-1])[::-1], by_array[1:])


@pytest.mark.parametrize("labels", [[1, 2], [1.0, 2.0], ["1", "2"]])
def test_a_batch_is_what_its_label_reads_as(cohort, labels):
    X, batch, _ = cohort
    model = ComBatCorrector().fit(X, batch=np.where(batch == "a", 1, 2))
    assert model.batches_ == ["1", "2"]
    same = model.transform(X, batch=np.array(labels)[(batch == "b").astype(int)])
    np.testing.assert_array_equal(same, model.transform(X, batch=np.where(batch == "a", 1, 2)))


def test_labels_that_read_the_same_raise(cohort):
    X, _, _ = cohort
    mixed = np.array([1, "1"] * 40, dtype=object)
    with pytest.raises(ValueError, match="hold 1, '1', which read the same"):
        ComBatCorrector().fit(X, batch=mixed)


def test_routed_labels_reach_every_step_of_cross_validation(cohort):
    X, batch, y = cohort
    with config_context(enable_metadata_routing=True):
        step = ComBatCorrector().set_fit_request(batch=True).set_transform_request(batch=True)
        pipe = make_pipeline(step, LogisticRegression())
        scores = cross_val_score(pipe, X, y, params={"batch": batch}, error_score="raise")
    assert scores.mean() > 0.9


def test_no_sample_names_in_the_state(cohort):
    X, batch, y = cohort
    frame = as_frame(X, site=batch)
    assert b"s17" not in pickle.dumps(ComBatCorrector("site").fit(frame, y))


def test_sparse_fit_stays_small():
    """Peak resident size of a process that fits on CSR, beside that of the dense matrix."""
    code = """
import numpy as np, scipy.sparse as sp
from peak_memory import peak
from geneexpr import ComBatCorrector
rng = np.random.default_rng(0)
X = sp.random_array((20_000, 5_000), density=.05, format="csr", rng=rng)
batch = rng.integers(0, 5, 20_000)
ComBatCorrector().fit(X[:100], batch=batch[:100])
before = peak()
ComBatCorrector().fit(X, batch=batch)
print((peak() - before) / (20_000 * 5_000 * 8))
"""
    run = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent / "jobs")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert float(run.stdout) < 0.1


# ------------------------------------------------------------------ no labels, one batch


def test_without_labels_nothing_is_corrected_and_it_says_so(cohort):
    X, _, _ = cohort
    with pytest.warns(BatchWarning, match="got no batch labels, sees one batch and corrects noth"):
        model = ComBatCorrector().fit(X)
    out = model.transform(X)
    np.testing.assert_array_equal(out, X)
    assert not np.shares_memory(out, X)
    assert sp.issparse(model.transform(sp.csr_array(X)))
    with pytest.raises(ValueError, match="was fitted without batch labels"):
        model.transform(X, batch=np.repeat("a", len(X)))


def test_one_batch_is_left_as_it_is_and_others_can_be_brought_to_it(cohort):
    X, batch, _ = cohort
    own, new = X[batch == "a"], X[batch == "b"]
    model = ComBatCorrector(unseen_batch="estimate")
    with pytest.warns(BatchWarning, match="All samples are of the batch 'a'"):
        out = model.fit_transform(own, batch=np.repeat("a", 40))
    np.testing.assert_array_equal(out, own)
    brought = model.transform(new, batch=np.repeat("b", 40))
    before = np.abs(new.mean(axis=0) - own.mean(axis=0)).mean()
    assert np.abs(brought.mean(axis=0) - own.mean(axis=0)).mean() < 0.15 * before


def test_labels_at_fit_are_needed_at_transform(cohort):
    X, batch, _ = cohort
    model = ComBatCorrector().fit(X, batch=batch)
    with pytest.raises(ValueError, match="was fitted with batch labels and needs them here"):
        model.transform(X)


# ------------------------------------------------------------------ unseen batches


def test_an_unseen_batch_raises_by_default(cohort):
    X, batch, _ = cohort
    model = ComBatCorrector("site").fit(as_frame(X, site=batch))
    with pytest.raises(ValueError, match=r"has not seen: 'z'; fit saw 'a', 'b'. Set unseen_batch="):
        model.transform(as_frame(X[:3], site=["a", "z", "z"]))


def test_passthrough_leaves_rows_of_unseen_batches_and_warns(cohort):
    X, batch, _ = cohort
    model = ComBatCorrector(unseen_batch="passthrough").fit(X, batch=batch)
    labels = np.where(np.arange(80) % 2, batch, "z")
    with pytest.warns(BatchWarning, match=r"40 of 80 rows are of batches .* \('z'\) and stay unco"):
        out = model.transform(X, batch=labels)
    np.testing.assert_array_equal(out[::2], X[::2])
    np.testing.assert_array_equal(out[1::2], model.transform(X, batch=batch)[1::2])


@pytest.mark.parametrize("options", [{}, {"mean_only": True}, {"parametric": False}])
def test_estimating_a_batch_under_a_new_name_gives_what_fit_learned_of_it(cohort, options):
    X, batch, _ = cohort
    model = ComBatCorrector(unseen_batch="estimate", **options).fit(X, batch=batch)
    own = batch == "b"
    renamed = model.transform(X[own], batch=np.repeat("z", own.sum()))
    np.testing.assert_allclose(renamed, model.transform(X, batch=batch)[own], rtol=1e-9)


def test_estimate_needs_ten_rows_of_each_batch(cohort):
    X, batch, _ = cohort
    model = ComBatCorrector(unseen_batch="estimate").fit(X, batch=batch)
    with pytest.raises(ValueError, match=r"at least 10 rows; got fewer for 'z' \(9\)"):
        model.transform(X[:30], batch=np.array(["z"] * 9 + ["y"] * 10 + ["a"] * 11))


def test_unseen_batch_takes_three_values(cohort):
    X, batch, _ = cohort
    with pytest.raises(ValueError, match="unseen_batch must be one of 'raise', 'passthrough'"):
        ComBatCorrector(unseen_batch="ignore").fit(X, batch=batch)


@pytest.mark.parametrize("sparse", [False, True])
def test_a_new_batch_in_many_blocks_on_disk_is_estimated_as_in_memory(cohort, sparse):
    da = pytest.importorskip("dask.array")
    X, batch, _ = cohort
    X = np.maximum(X, 0)
    labels = np.where(np.arange(80) % 3, batch, "z")
    model = ComBatCorrector("site", unseen_batch="estimate").fit(as_anndata(X, site=batch))
    lazy = as_anndata(da.from_array(X, chunks=(7, 20)), site=labels)
    if sparse:
        lazy.X = da.from_array(X, chunks=(7, -1)).map_blocks(sp.csr_matrix)
    expected = model.transform(as_anndata(X, site=labels)).X
    np.testing.assert_allclose(model.transform(lazy).X.compute(), expected, rtol=1e-10, atol=1e-12)
    new = labels == "z"
    adapted = model.adapt(lazy[new])
    np.testing.assert_allclose(
        adapted.transform(lazy[new]).X.compute(), expected[new], rtol=1e-10, atol=1e-12
    )


def test_adapt_freezes_a_new_batch(cohort):
    X, batch, y = cohort
    model = ComBatCorrector().fit(X, y, batch=batch)
    new = simulate(batches=("c",), seed=5)[0]
    adapted = model.adapt(new, batch="c")
    assert (model.batches_, adapted.batches_) == (["a", "b"], ["a", "b", "c"])
    whole = adapted.transform(new, batch=np.repeat("c", 40))
    one = adapted.transform(new[[7]], batch=["c"])
    np.testing.assert_array_equal(one, whole[[7]])
    estimated = model.set_params(unseen_batch="estimate").transform(new, batch=np.repeat("c", 40))
    np.testing.assert_array_equal(whole, estimated)
    np.testing.assert_array_equal(
        adapted.transform(X, batch=batch), model.transform(X, batch=batch)
    )


@pytest.mark.parametrize("share", [0.0, 0.1, 0.9, 1.0])
def test_adapt_with_the_class_mix_keeps_a_classifier_right(cohort, share):
    X, batch, y = cohort
    model = ComBatCorrector()
    classifier = LogisticRegression().fit(model.fit_transform(X, y, batch=batch), y)
    new, label, truth = simulate(n=60, share=share, batches=("c",), seed=9)
    mix = {"case": share, "control": 1 - share}
    known = model.adapt(new, batch=label, class_proportions=mix)
    unknown = model.adapt(new, batch=label)
    score = classifier.score(known.transform(new, batch=label), truth)
    assert score > 0.9
    assert score > classifier.score(unknown.transform(new, batch=label), truth)


def test_class_means_are_those_of_the_corrected_data(cohort):
    X, batch, y = cohort
    age = np.random.default_rng(1).normal(size=len(X))
    X[::9, 3] = np.nan
    model = ComBatCorrector()
    out = model.fit_transform(X, y, batch=batch, covariates=age)
    c = model.covariates_[0]
    effects = ((age - c["mean"]) / c["sd"])[:, None] * model.covariate_effects_
    z = (out - effects - model.grand_mean_) / model.pooled_sd_
    for k, name in enumerate(model.outcome_classes_):
        np.testing.assert_allclose(
            model.class_means_[k], np.nanmean(z[y == name], axis=0), atol=1e-12
        )
        share = (~np.isnan(X[y == name])).sum(axis=0) / (~np.isnan(X)).sum(axis=0)
        np.testing.assert_allclose(model.class_shares_[k], share)


@pytest.mark.parametrize(
    "y",
    [np.arange(80), np.linspace(0, 1, 80), [None] * 80, np.eye(80)[:, :2].astype(int)],
    ids=["identifiers", "continuous", "missing", "two columns"],
)
def test_any_outcome_is_taken_and_none_changes_the_correction(cohort, y):
    X, batch, _ = cohort
    model = ComBatCorrector().fit(X, y, batch=batch)
    assert model.outcome_classes_ == []
    np.testing.assert_array_equal(
        model.transform(X, batch=batch), ComBatCorrector().fit_transform(X, batch=batch)
    )


def test_samples_without_an_outcome_have_no_part_in_the_class_means(cohort):
    X, batch, y = cohort
    some = np.where(np.arange(80) % 4, y, None)
    model = ComBatCorrector()
    z = (model.fit_transform(X, some, batch=batch) - model.grand_mean_) / model.pooled_sd_
    for k, name in enumerate(["case", "control"]):
        np.testing.assert_allclose(model.class_means_[k], z[some == name].mean(axis=0), atol=1e-12)


def test_adapt_says_what_it_cannot_do(cohort):
    X, batch, y = cohort
    model = ComBatCorrector().fit(X, batch=batch)
    with pytest.raises(ValueError, match="adapt learns new batches, but 'a' in X_ref was seen"):
        model.adapt(X[:20], batch="a")
    with pytest.raises(ValueError, match="class_proportions needs the class means"):
        model.adapt(X[:20], batch="z", class_proportions={"case": 1.0})
    model.fit(X, y, batch=batch)
    with pytest.raises(ValueError, match="names 'tumour', but the classes of y are 'case', 'cont"):
        model.adapt(X[:20], batch="z", class_proportions={"tumour": 1.0})
    for shares in ({"case": 0.7}, {"case": np.nan}, {"case": 1.5, "control": -0.5}):
        with pytest.raises(ValueError, match="must be shares that sum to 1"):
            model.adapt(X[:20], batch="z", class_proportions=shares)
    with pytest.raises(ValueError, match=r"must be a mapping of class to share, such as {'case'"):
        model.adapt(X[:20], batch="z", class_proportions=[0.5, 0.5])


# ------------------------------------------------------------------ what it refuses


def test_a_missing_label_raises_and_names_the_samples(cohort):
    X, batch, _ = cohort
    labels = batch.astype(object)
    labels[[2, 5]] = None
    frame = as_frame(X, site=labels)
    with pytest.raises(ValueError, match="'site' is missing for 2 of 80 samples: 's2', 's5'"):
        ComBatCorrector("site").fit(frame)
    with pytest.raises(ValueError, match="batch is missing for 2 of 80 samples: row 2, 5"):
        ComBatCorrector().fit(X, batch=labels)


def test_confounding_names_the_covariate_and_the_batches():
    X, batch, _ = simulate(batches=("a", "b", "c"))
    tissue = np.where(batch == "a", "lung", "liver")
    frame = as_frame(X, site=batch, tissue=tissue)
    with pytest.raises(ValueError, match="covariate 'tissue' is confounded with the batch: it doe"):
        ComBatCorrector("site", ["tissue"]).fit(frame)
    both = tissue.copy()
    both[batch == "b"] = np.where(np.arange(40) % 2, "liver", "skin")
    frame = as_frame(X, site=batch, tissue=both)
    with pytest.raises(ValueError, match="it does not vary within 'a', 'c', and the other batches"):
        ComBatCorrector("site", ["tissue"]).fit(frame)


def test_covariates_that_determine_each_other_raise(cohort):
    X, batch, _ = cohort
    age = np.random.default_rng(0).normal(size=80)
    table = {"age": age, "months": 12 * age + (batch == "b")}
    with pytest.raises(ValueError, match="'months' is determined by the batch and the covariates"):
        ComBatCorrector().fit(X, batch=batch, covariates=table)


def test_a_covariate_without_variation_is_dropped(cohort):
    X, batch, _ = cohort
    out = ComBatCorrector().fit_transform(X, batch=batch, covariates={"one": np.ones(80)})
    np.testing.assert_array_equal(out, ComBatCorrector().fit_transform(X, batch=batch))


@pytest.mark.parametrize("text", [True, False])
def test_a_covariate_that_gives_the_outcome_away_raises(cohort, text):
    X, batch, y = cohort
    same = np.where(y == "case", "T", "N") if text else (y == "case").astype(float)
    noisy = same.copy()
    noisy[[0, 60]] = same[[60, 0]]
    for covariate in (same, noisy):
        arguments = {"batch": batch, "covariates": {"tumour": covariate}}
        with pytest.raises(ValueError, match=r"'tumour' gives the outcome y away.*allow_outcome"):
            ComBatCorrector().fit(X, y, **arguments)
        ComBatCorrector(allow_outcome=True).fit(X, y, **arguments)
        ComBatCorrector().fit(X, **arguments)


def test_a_harmless_covariate_passes_the_guard(cohort):
    X, batch, y = cohort
    sex = np.where(np.arange(80) % 2, "f", "m")
    ComBatCorrector().fit(X, y, batch=batch, covariates={"sex": sex})
    ComBatCorrector().fit(X, np.arange(80.0), batch=batch, covariates={"sex": sex})


def test_two_covariates_that_give_the_outcome_away_together_raise(cohort):
    X, batch, _ = cohort
    a, b = np.random.default_rng(0).normal(size=(2, 80))
    with pytest.raises(ValueError, match="The covariates 'a', 'b' together give the outcome"):
        ComBatCorrector().fit(X, a + b > 0, batch=batch, covariates={"a": a, "b": b})


def test_a_covariate_that_gives_a_continuous_outcome_away_raises(cohort):
    X, batch, _ = cohort
    age = np.random.default_rng(0).normal(50, 10, 80)
    with pytest.raises(ValueError, match="'age' gives the outcome y away"):
        ComBatCorrector().fit(X, 2.5 * age + 1, batch=batch, covariates={"age": age})


def test_a_batch_identical_to_the_outcome_raises(cohort):
    X, batch, _ = cohort
    y = np.where(batch == "a", "case", "control")
    with pytest.raises(ValueError, match="batch is identical to the outcome y"):
        ComBatCorrector().fit(X, y, batch=batch)
    ComBatCorrector(allow_outcome=True).fit(X, y, batch=batch)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda X: 2 ** (X + 5), "expects expression on a log scale, but X reaches"),
        (lambda X: np.full_like(X, 1e6 / X.shape[1]) + 1e-3 * X, "but X has rows that sum to 1e6"),
    ],
)
def test_linear_scale_warns(make, match):
    rng = np.random.default_rng(0)
    X = make(rng.normal(size=(20, 25_000 if "rows" in match else 50)))
    with pytest.warns(ScaleWarning, match=match):
        ComBatCorrector().fit(X, batch=np.repeat(["a", "b"], 10))


def test_a_gene_missing_from_a_batch_raises_by_name(cohort):
    X, batch, _ = cohort
    X[batch == "b", 4] = np.nan
    with pytest.raises(ValueError, match=r"1 of 60 genes have missing values such that .*: 'g4'"):
        ComBatCorrector("site").fit(as_frame(X, site=batch))


def test_too_few_samples_raise(cohort):
    X, _, _ = cohort
    with (
        pytest.raises(ValueError, match="No variance is left to pool: 3 samples in 3 batches"),
        pytest.warns(BatchWarning, match="3 of 3 batches have one sample only"),
    ):
        ComBatCorrector().fit(X[:3], batch=["a", "b", "c"])


def test_an_unknown_reference_batch_raises(cohort):
    X, batch, _ = cohort
    with pytest.raises(ValueError, match="reference_batch='z' is not among the batches 'a', 'b'"):
        ComBatCorrector(reference_batch="z").fit(X, batch=batch)


def test_genes_that_are_all_constant_come_back(cohort):
    _, batch, _ = cohort
    X = np.full((80, 3), 8.3)
    np.testing.assert_array_equal(ComBatCorrector().fit_transform(X, batch=batch), X)


def test_an_unseen_level_of_a_covariate_raises(cohort):
    X, batch, _ = cohort
    sex = np.where(np.arange(80) % 2, "f", "m")
    model = ComBatCorrector().fit(X, batch=batch, covariates={"sex": sex})
    with pytest.raises(ValueError, match="'sex' has levels that fit has not seen: 'x'"):
        model.transform(X[:2], batch=["a", "b"], covariates={"sex": ["f", "x"]})
    with pytest.raises(ValueError, match=r"fit saw the covariates \['sex'\], this call has \[\]"):
        model.transform(X[:2], batch=["a", "b"])
