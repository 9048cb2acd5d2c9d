"""LinearBatchCorrector: the numbers of limma, frozen; and what it refuses."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import Pipeline

from geneexpr import (
    BatchWarning,
    ComBatCorrector,
    LinearBatchCorrector,
    MeanCenterCorrector,
    ScaleWarning,
    ToArray,
)

# ------------------------------------------------------------------ the numbers of limma

CALLS = {
    "batch_only": {"batch": ["batch"]},
    "batch_design": {"batch": ["batch"], "covariates": ["class"]},
    "two_batches": {"batch": ["batch", "batch2"]},
    "two_batches_design": {"batch": ["batch", "batch2"], "covariates": ["class"]},
    "covariates": {"remove": ["age", "rin"]},
    "batch_cov_design": {"batch": ["batch"], "covariates": ["class"], "remove": ["age", "rin"]},
    "batch_na": {"batch": ["batch"]},
}
PARAMETERS = {"batch": "batch_key", "covariates": "covariate_keys", "remove": "remove_keys"}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array])
def test_training_rows_are_those_of_limma(gold, relative_error, name, kind):
    case = gold("rbe_bladder")
    X = case.table("X_na.csv.gz" if name == "batch_na" else "X.csv.gz")
    factors = case.table("factors.csv", dtype={"batch": str}).loc[X.index]
    labels = {key: factors[columns] for key, columns in CALLS[name].items()}
    if len(CALLS[name].get("batch", ())) == 1:
        labels["batch"] = factors["batch"].to_numpy()
    model = LinearBatchCorrector()
    out = model.fit_transform(kind(X.to_numpy()), **labels)
    assert relative_error(out, case.out(name)) < 1e-10
    np.testing.assert_array_equal(model.transform(kind(X.to_numpy()), **labels), out)


@pytest.mark.parametrize("name", CALLS)
def test_names_of_annotations_give_the_same(gold, relative_error, name):
    case = gold("rbe_bladder")
    X = case.table("X_na.csv.gz" if name == "batch_na" else "X.csv.gz")
    factors = case.table("factors.csv", dtype={"batch": str}).loc[X.index]
    keys = {PARAMETERS[key]: columns for key, columns in CALLS[name].items()}
    if len(keys.get("batch_key", ())) == 1:
        keys["batch_key"] = "batch"
    adata = ad.AnnData(X.to_numpy(), obs=factors, var=pd.DataFrame(index=X.columns))
    out = LinearBatchCorrector(**keys).fit_transform(adata)
    assert relative_error(out.X, case.out(name)) < 1e-10


def by_regression(X, protected, removed):
    """Regress on both and subtract the second, as R does, columns that depend dropped."""
    from geneexpr.stats import dependent_columns

    design = np.hstack([protected, removed])
    kept = ~dependent_columns(design)
    slopes = np.zeros((design.shape[1], X.shape[1]))
    slopes[kept] = np.linalg.lstsq(design[:, kept], X, rcond=None)[0]
    return X - removed @ slopes[protected.shape[1] :]


def sum_coded(labels):
    levels = sorted(set(labels))
    rows = np.vstack([np.eye(len(levels) - 1), -np.ones(len(levels) - 1)])
    return rows[[levels.index(label) for label in labels]]


def test_a_second_batch_within_the_first_is_dropped_and_it_says_so(cohort):
    X, batch, _ = cohort
    batch = np.repeat(["a", "b", "c", "d"], 20)
    chip = np.array([b + "12"[i % 2] if b == "a" else b for i, b in enumerate(batch)])
    with pytest.warns(BatchWarning, match="'the second batch': determined, in part or whole"):
        out = LinearBatchCorrector().fit_transform(X, batch=np.column_stack([batch, chip]))
    one = np.ones((80, 1))
    expected = by_regression(X, one, np.hstack([sum_coded(batch), sum_coded(chip)]))
    np.testing.assert_allclose(out, expected, atol=1e-10)


def test_a_removed_covariate_that_follows_from_the_batch_is_dropped(cohort):
    X, batch, _ = cohort
    age = np.random.default_rng(0).normal(50, 9, 80)
    table = {"year": np.where(batch == "a", 2010.0, 2013.0), "age": age, "months": 12 * age}
    with pytest.warns(BatchWarning, match="'year', 'months': determined, in part or whole"):
        out = LinearBatchCorrector().fit_transform(X, batch=batch, remove=table)
    alone = LinearBatchCorrector().fit_transform(X, batch=batch, remove={"age": age})
    np.testing.assert_allclose(out, alone, atol=1e-10)


def test_dependence_is_judged_gene_by_gene_where_values_are_missing(cohort):
    X, batch, _ = cohort
    dose = np.zeros(80)
    dose[[3, 50]] = [1.0, 2.0]
    X[[3, 50], 7] = np.nan  # for this gene the dose is zero wherever there is a value
    out = LinearBatchCorrector().fit_transform(X, batch=batch, remove=dose)
    there = ~np.isnan(X[:, 7])
    one = np.ones((there.sum(), 1))
    expected = by_regression(X[there][:, [7]], one, sum_coded(batch[there]))
    np.testing.assert_allclose(out[there][:, [7]], expected, atol=1e-10)


# ------------------------------------------------------------------ a simulated cohort


def simulate(n=40, genes=60, seed=0, share=0.5, batches=("a", "b")):
    rng = np.random.default_rng(seed)
    batch = np.repeat(batches, n)
    y = np.tile(np.where(np.arange(n) < share * n, "case", "control"), len(batches))
    X = rng.normal(size=(len(batch), genes))
    X[y == "case", :15] += 2
    for name in batches:
        X[batch == name] += np.random.default_rng(sum(map(ord, name))).normal(0, 1.5, genes)
    return X, batch, y


@pytest.fixture
def cohort():
    return simulate()


def as_frame(X, **levels):
    names = [f"s{i}" for i in range(len(X))]
    index = pd.MultiIndex.from_arrays([names, *levels.values()], names=["sample", *levels])
    return pd.DataFrame(X, index, [f"g{i}" for i in range(X.shape[1])])


def test_rows_are_corrected_each_on_its_own(cohort):
    X, batch, _ = cohort
    chip, age = np.tile(["x", "y", "z", "x"], 20), np.arange(80.0)
    labels = np.column_stack([batch, chip])
    model = LinearBatchCorrector().fit(X, batch=labels, remove=age)
    whole = model.transform(X, batch=labels, remove=age)
    for rows in ([3], [50, 2]):
        out = model.transform(X[rows], batch=labels[rows], remove=age[rows])
        np.testing.assert_array_equal(out, whole[rows])


def test_protected_covariates_are_not_needed_of_known_batches(cohort):
    X, batch, y = cohort
    sex = np.where(np.arange(80) % 3, "f", "m")
    model = LinearBatchCorrector("site", ["sex"])
    out = model.fit_transform(as_frame(X, site=batch, sex=sex), y)
    np.testing.assert_array_equal(model.transform(as_frame(X, site=batch)), out)
    with pytest.raises(ValueError, match="There is no annotation 'sex'"):
        model.set_params(unseen_batch="estimate").transform(as_frame(X, site=["z"] * 80))


def test_missing_values_stay_missing_and_the_dtype_stays(cohort):
    X, batch, _ = cohort
    X[::7, ::5] = np.nan
    out = LinearBatchCorrector().fit_transform(X.astype(np.float32), batch=batch)
    assert out.dtype == np.float32
    np.testing.assert_array_equal(np.isnan(out), np.isnan(X))


def test_a_batch_of_one_sample_becomes_the_grand_mean(cohort):
    X, batch, _ = cohort
    batch = np.append(batch[:-1], "c")
    model = LinearBatchCorrector()
    with pytest.warns(BatchWarning, match=r"1 of 3 batches have one sample only \('c'\)"):
        out = model.fit_transform(X, batch=batch)
    np.testing.assert_allclose(out[-1], model.grand_mean_, atol=1e-12)
    assert model.batches_ == ["a", "b", "c"]


def test_without_labels_nothing_is_corrected_and_it_says_so(cohort):
    X, _, _ = cohort
    with pytest.warns(BatchWarning, match="got no batch labels, sees one batch and corrects noth"):
        out = LinearBatchCorrector().fit_transform(X)
    np.testing.assert_array_equal(out, X)


# ------------------------------------------------------------------ unseen batches


@pytest.mark.parametrize("corrector", [LinearBatchCorrector, MeanCenterCorrector])
def test_estimating_a_batch_under_a_new_name_gives_what_fit_learned_of_it(cohort, corrector):
    X, batch, _ = cohort
    age = np.random.default_rng(5).normal(50, 9, 80)
    model = corrector(unseen_batch="estimate").fit(X, batch=batch, covariates=age)
    known, own = model.transform(X, batch=batch), batch == "b"
    new = model.transform(X[own], batch=["z"] * 40, covariates=age[own])
    np.testing.assert_allclose(new, known[own], atol=1e-10)
    with pytest.raises(ValueError, match=r"at least 10 rows; got fewer for 'z' \(9\)"):
        model.transform(X[:9], batch=["z"] * 9, covariates=age[:9])


def test_an_unseen_batch_raises_or_passes(cohort):
    X, batch, _ = cohort
    model = LinearBatchCorrector().fit(X, batch=batch)
    with pytest.raises(ValueError, match="has not seen: 'z'; fit saw 'a', 'b'"):
        model.transform(X[:2], batch=["a", "z"])
    with pytest.warns(BatchWarning, match="1 of 2 rows are of batches"):
        out = model.set_params(unseen_batch="passthrough").transform(X[:2], batch=["a", "z"])
    np.testing.assert_array_equal(out[1], X[1])


def test_an_unseen_level_of_the_second_batch_raises_or_passes(cohort):
    X, batch, _ = cohort
    labels = np.column_stack([batch, np.tile(["x", "y"], 40)])
    model = LinearBatchCorrector(unseen_batch="estimate").fit(X, batch=labels)
    with pytest.raises(ValueError, match="second batch holds levels that fit has not seen: 'z'"):
        model.transform(X[:2], batch=[["a", "x"], ["a", "z"]])
    model.set_params(unseen_batch="passthrough")
    with pytest.warns(BatchWarning, match=r"1 rows are of levels of the second batch .* \('z'\)"):
        out = model.transform(X[:2], batch=[["a", "x"], ["a", "z"]])
    np.testing.assert_array_equal(out[1], X[1])


@pytest.mark.parametrize("corrector", [LinearBatchCorrector, MeanCenterCorrector])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.9, 1.0])
def test_adapt_with_the_class_mix_keeps_a_classifier_right(cohort, corrector, share):
    X, batch, y = cohort
    model = corrector()
    classifier = LogisticRegression().fit(model.fit_transform(X, y, batch=batch), y)
    new, label, truth = simulate(n=60, share=share, batches=("c",), seed=9)
    known = model.adapt(new, batch="c", class_proportions={"case": share, "control": 1 - share})
    unknown = model.adapt(new, batch=label)
    score = classifier.score(known.transform(new, batch=label), truth)
    assert score > 0.9
    assert score > classifier.score(unknown.transform(new, batch=label), truth)
    assert (model.batches_, known.batches_) == (["a", "b"], ["a", "b", "c"])
    one = known.transform(new[[7]], batch=["c"])
    np.testing.assert_array_equal(one, known.transform(new, batch=label)[[7]])


@pytest.mark.parametrize("corrector", [LinearBatchCorrector, MeanCenterCorrector])
def test_class_means_are_those_of_the_corrected_data(cohort, corrector):
    X, batch, y = cohort
    X[::9, 3] = np.nan
    model = corrector()
    out = model.fit_transform(X, y, batch=batch)
    base = getattr(model, "grand_mean_", 0.0)
    for i, name in enumerate(model.outcome_classes_):
        mean = np.nanmean(out[y == name], axis=0)
        np.testing.assert_allclose(model.class_means_[i] + base, mean, atol=1e-10)


def test_a_gene_that_a_new_batch_lacks_is_left_alone(cohort):
    X, batch, _ = cohort
    model = LinearBatchCorrector().fit(X, batch=batch)
    new = simulate(batches=("c",), seed=5)[0]
    new[:, 4] = np.nan
    adapted = model.adapt(new, batch="c")
    row = np.ones((1, 60))
    assert adapted.transform(row, batch=["c"])[0, 4] == pytest.approx(1)


# ------------------------------------------------------------------ what is refused


def test_a_confounded_covariate_raises_and_is_named(cohort):
    X, batch, _ = cohort
    tissue = np.where(batch == "a", "liver", "lung")
    with pytest.raises(ValueError, match="'tissue' is confounded with the batch"):
        LinearBatchCorrector("site", ["tissue"]).fit(as_frame(X, site=batch, tissue=tissue))


def test_a_covariate_that_gives_the_outcome_away_raises(cohort):
    X, batch, y = cohort
    with pytest.raises(ValueError, match="'tumour' gives the outcome y away"):
        LinearBatchCorrector().fit(X, y, batch=batch, covariates={"tumour": y})


def test_either_batch_identical_to_the_outcome_raises(cohort):
    X, batch, y = cohort
    for labels in ([y, batch], [batch, y]):
        labels = np.column_stack(labels)
        with pytest.raises(ValueError, match="batch is identical to the outcome y"):
            LinearBatchCorrector().fit(X, y, batch=labels)
        LinearBatchCorrector(allow_outcome=True).fit(X, y, batch=labels)


@pytest.mark.parametrize("remove", [np.array(["f", "m"] * 40), np.append(np.inf, np.ones(79))])
def test_what_is_removed_must_be_finite_numbers(cohort, remove):
    X, batch, _ = cohort
    with pytest.raises(ValueError, match="'it' is to be removed, so it must hold finite numbers"):
        LinearBatchCorrector().fit(X, batch=batch, remove={"it": remove})


def test_labels_must_be_those_of_fit(cohort):
    X, batch, _ = cohort
    both = np.column_stack([batch, np.tile(["x", "y"], 40)])
    model = LinearBatchCorrector().fit(X, batch=both, remove={"age": np.arange(80.0)})
    with pytest.raises(ValueError, match=r"fit removed the covariates \['age'\], this call has"):
        model.transform(X, batch=both)
    with pytest.raises(ValueError, match="fit saw 2 labels a sample in batch, this call has 1"):
        model.transform(X, batch=batch, remove={"age": np.arange(80.0)})
    with pytest.raises(ValueError, match="or a table of two columns; got 3 columns"):
        model.fit(X, batch=np.column_stack([both, batch]))
    with pytest.raises(ValueError, match="batch_key must be one name or a list of two"):
        LinearBatchCorrector(["a", "b", "c"]).fit(as_frame(X, a=batch))


def test_two_batches_of_other_sample_names_are_never_aligned_by_position(cohort):
    X, batch, _ = cohort
    both = pd.DataFrame({"lab": batch, "chip": np.tile(["x", "y"], 40)})
    both.index = [f"s{i}" for i in range(80)]
    frame = pd.DataFrame(X, both.index)
    LinearBatchCorrector().fit(frame, batch=both)
    with pytest.raises(ValueError, match="labels are never aligned silently"):
        LinearBatchCorrector().fit(frame, batch=both[::-1])


def test_linear_scale_warns(cohort):
    X, batch, _ = cohort
    with pytest.warns(ScaleWarning, match="LinearBatchCorrector expects expression on a log scale"):
        LinearBatchCorrector().fit(2 ** (X + 6), batch=batch)


# ------------------------------------------------------------------ one set of options


def test_a_grid_sweeps_correctors_and_none_at_all(cohort):
    X, batch, y = cohort
    frame = as_frame(X, lab=batch)
    pipe = Pipeline(
        [("correct", "passthrough"), ("array", ToArray()), ("predict", LogisticRegression())]
    )
    grid = {
        "correct": [
            ComBatCorrector(batch_key="lab"),
            LinearBatchCorrector(batch_key="lab"),
            MeanCenterCorrector(batch_key="lab"),
            "passthrough",
        ]
    }
    folds = StratifiedKFold(4, shuffle=True, random_state=0)
    search = GridSearchCV(pipe, grid, cv=folds, error_score="raise").fit(frame, y)
    scores = search.cv_results_["mean_test_score"]
    assert scores[:3].min() > 0.9
    assert search.predict(frame.iloc[:5]).shape == (5,)


@pytest.mark.parametrize("option", ["batch_key", "covariate_keys", "unseen_batch", "allow_outcome"])
def test_every_corrector_of_known_batches_has_these_options(option):
    from geneexpr import RatioCorrector

    for corrector in (ComBatCorrector, LinearBatchCorrector, MeanCenterCorrector, RatioCorrector):
        assert option in corrector().get_params()
