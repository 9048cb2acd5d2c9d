"""ComBatSeqCorrector: the counts of sva, frozen, in any container; and what it refuses."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy.stats import nbinom

from geneexpr import BatchWarning, ComBatSeqCorrector, ScaleWarning, ZeroDepthWarning
from geneexpr.batch_effects._count_batch_fit import to_training_mix
from geneexpr.stats._cox_reid import common_dispersions

# ------------------------------------------------------------------ the counts of sva

OUTPUTS = [
    ("combatseq_sim", "plain", {}),
    ("combatseq_sim", "group", {"condition": "group"}),
    ("combatseq_sim", "group_nullmod", {}),
    ("combatseq_sim", "covar", {"covariate_keys": ["sex", "age"]}),
    ("combatseq_sim", "group_covar", {"condition": "group", "covariate_keys": ["sex", "age"]}),
    ("combatseq_pasilla", "plain", {}),
    ("combatseq_pasilla", "group", {"condition": "group"}),
    ("combatseq_pasilla", "group_nullmod", {}),
    ("combatseq_pasilla", "shrink", {"condition": "group", "shrink": True}),
    (
        "combatseq_pasilla",
        "shrink_disp",
        {"condition": "group", "shrink": True, "shrink_dispersions": True},
    ),
]


def gold_input(case, name):
    """Return the counts with their annotations in the row index, and R's output."""
    expected = case.out(name)
    X = case.table("X.csv.gz")[expected.columns].astype(float)
    factors = case.table("factors.csv").loc[X.index]
    X.index = pd.MultiIndex.from_arrays(
        [X.index, *(factors[c] for c in factors)], names=["sample", *factors.columns]
    )
    return X, expected.to_numpy()


@pytest.mark.parametrize(("case", "name", "options"), OUTPUTS)
def test_training_counts_are_those_of_sva(gold, case, name, options):
    X, expected = gold_input(gold(case), name)
    model = ComBatSeqCorrector("batch", **options)
    out = model.fit_transform(X)
    off = np.abs(out.to_numpy() - expected)
    assert (off == 0).mean() >= 0.999
    assert off.max() <= 1
    pd.testing.assert_frame_equal(model.transform(X), out)


@pytest.mark.parametrize(("case", "name", "options"), OUTPUTS)
def test_new_samples_are_corrected_each_on_its_own(gold, case, name, options):
    X, _ = gold_input(gold(case), name)
    model = ComBatSeqCorrector("batch", **options).fit(X)
    # New samples: the training counts of other samples of the same batch, thinned.
    new = X.apply(lambda column: np.floor(0.7 * column[::-1].to_numpy()))
    whole = model.transform(new)
    for row in range(0, len(X), 3):
        pd.testing.assert_frame_equal(model.transform(new[row : row + 1]), whole[row : row + 1])


def test_a_held_out_sample_comes_close_to_what_it_is_in_fit(gold):
    X, expected = gold_input(gold("combatseq_sim"), "plain")
    model = ComBatSeqCorrector("batch").fit(X.drop(index=X.index[[3]]))
    held_out = model.transform(X[3:4]).to_numpy()[0]
    large = expected[3] > 50
    assert np.median(np.abs(held_out[large] / expected[3][large] - 1)) < 0.05


def test_the_map_is_that_of_the_stored_distributions(gold):
    """The counts of one sample, by SciPy from what `fit` stored."""
    X, _ = gold_input(gold("combatseq_sim"), "group_covar")
    model = ComBatSeqCorrector("batch", "group", ["age"]).fit(X)
    sample = X[10:11]
    kept = model.corrected_genes_
    y, depth = sample.to_numpy()[0, kept], sample.to_numpy()[0, kept].sum()
    code = model.batches_.index(sample.index.get_level_values("batch")[0])
    covariates = [
        float(sample.index.get_level_values("group")[0] == "b"),
        sample.index.get_level_values("age")[0],
    ]
    predictor = model.batch_log_rates_[code] + covariates @ model.covariate_effects_
    old_mean = depth * np.exp(predictor)[kept]
    new_mean = old_mean * np.exp(-model.batch_effects_[code][kept])
    old, new = 1 / model.batch_dispersions_[code][kept], 1 / model.dispersions_[kept]
    p = nbinom.cdf(y - 1, old, old / (old + old_mean))
    mapped = 1 + nbinom.ppf(p, new, new / (new + new_mean))
    mapped = np.where((y <= 1) | (p > 1 - 1e-4), y, mapped)
    np.testing.assert_array_equal(model.transform(sample).to_numpy()[0, kept], mapped)


# ------------------------------------------------------------------ a simulated cohort


def simulate(n=20, genes=80, seed=0, share=0.5, batches=("a", "b"), dispersion=0.05):
    """Draw counts with a batch effect a gene, and twice the rate of 20 genes in cases."""
    rng = np.random.default_rng(seed)
    batch = np.repeat(batches, n)
    y = np.tile(np.where(np.arange(n) < round(share * n), "case", "control"), len(batches))
    mean = np.random.default_rng(99).lognormal(4.5, 1.0, genes) * np.ones((len(batch), 1))
    mean[y == "case", :20] *= 2
    for name in batches:
        effect = np.random.default_rng(sum(map(ord, name)))
        mean[batch == name] *= effect.lognormal(0, 0.6, genes)
    mean *= rng.lognormal(0, 0.2, (len(batch), 1))
    X = rng.poisson(rng.gamma(1 / dispersion, mean * dispersion)).astype(np.float64)
    return X, batch, y


@pytest.fixture
def cohort():
    return simulate()


def as_frame(X, **levels):
    names = [f"s{i}" for i in range(len(X))]
    index = pd.MultiIndex.from_arrays([names, *levels.values()], names=["sample", *levels])
    return pd.DataFrame(X, index, [f"g{i}" for i in range(X.shape[1])])


def as_anndata(X, **obs):
    names = [f"s{i}" for i in range(X.shape[0])]
    var = pd.DataFrame(index=[f"g{i}" for i in range(X.shape[1])])
    return ad.AnnData(X, obs=pd.DataFrame(obs, names), var=var)


def batch_distance(X, batch):
    """Mean absolute difference of the log shares of two batches."""
    shares = np.log((X + 0.5) / X.sum(axis=1, keepdims=True))
    a, b = (shares[batch == name].mean(axis=0) for name in np.unique(batch))
    return np.abs(a - b).mean()


def test_the_batch_effect_goes_and_counts_stay_counts(cohort):
    X, batch, _ = cohort
    out = ComBatSeqCorrector().fit_transform(X, batch=batch)
    np.testing.assert_array_equal(out, np.trunc(out))
    np.testing.assert_array_equal(out[X <= 1], X[X <= 1])
    assert out.min() >= 0
    assert batch_distance(out, batch) < 0.1 * batch_distance(X, batch)


def test_effects_are_weighted_to_sum_to_zero(cohort):
    X, batch, _ = cohort
    rows = np.r_[0:20, 20:30]
    model = ComBatSeqCorrector().fit(X[rows], batch=batch[rows])
    np.testing.assert_allclose([20, 10] @ model.batch_effects_, 0, atol=1e-3)
    np.testing.assert_allclose(model.dispersions_, model.batch_dispersions_.mean(axis=0))
    np.testing.assert_allclose(
        model.batch_log_rates_ - model.batch_effects_, [model.log_rates_] * 2, atol=1e-3
    )


def test_dispersions_are_near_the_true_one():
    X, batch, _ = simulate(n=60, genes=150, share=0, dispersion=0.2)
    model = ComBatSeqCorrector().fit(X, batch=batch)
    assert 0.18 < np.median(model.dispersions_) < 0.22


def test_a_gene_missing_from_a_batch_is_left_alone_and_out_of_the_libraries(cohort):
    X, batch, _ = cohort
    X[batch == "b", 5] = 0
    X[batch == "a", 5] = 1e5
    model = ComBatSeqCorrector()
    out = model.fit_transform(X, batch=batch)
    np.testing.assert_array_equal(np.flatnonzero(~model.corrected_genes_), [5])
    np.testing.assert_array_equal(out[:, 5], X[:, 5])
    others = np.delete(X, 5, axis=1)
    expected = ComBatSeqCorrector().fit_transform(others, batch=batch)
    np.testing.assert_array_equal(np.delete(out, 5, axis=1), expected)


def test_an_outlier_stays_as_it_is(cohort):
    X, batch, _ = cohort
    model = ComBatSeqCorrector().fit(X, batch=batch)
    X[3, 7] = 1e7
    assert model.transform(X, batch=batch)[3, 7] == 1e7


def test_zeros_stay_so_sparse_stays_sparse(cohort):
    X, batch, _ = cohort
    X[np.random.default_rng(0).random(X.shape) < 0.3] = 0
    model = ComBatSeqCorrector()
    out = model.fit_transform(sp.csr_array(X), batch=batch)
    assert sp.issparse(out)
    np.testing.assert_array_equal(out.toarray(), model.transform(X, batch=batch))
    np.testing.assert_array_equal(out.toarray(), ComBatSeqCorrector().fit_transform(X, batch=batch))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_dtypes(cohort, dtype):
    X, batch, _ = cohort
    out = ComBatSeqCorrector().fit_transform(X.astype(dtype), batch=batch)
    assert out.dtype == (dtype if dtype == np.float32 else np.float64)
    np.testing.assert_array_equal(out, ComBatSeqCorrector().fit_transform(X, batch=batch))


def test_a_group_is_a_level_even_as_a_number(cohort):
    X, batch, _ = cohort
    group = np.arange(len(X)) % 3
    model = ComBatSeqCorrector("site", "group").fit(as_anndata(X, site=batch, group=group))
    assert model.covariates_ == [{"name": "group", "levels": ["0", "1", "2"]}]
    by_array = ComBatSeqCorrector().fit(X, batch=batch, covariates={"group": group.astype(str)})
    np.testing.assert_array_equal(model.covariate_effects_, by_array.covariate_effects_)


def test_a_protected_condition_keeps_its_effect_under_an_uneven_mix():
    X, batch, y = simulate(n=30)
    mixed = np.r_[np.arange(0, 22), np.arange(38, 60)]  # a: 15 of 22 cases, b: 7 of 22
    frame = as_frame(X[mixed], site=batch[mixed], group=y[mixed])
    case = y[mixed] == "case"

    def fold(out):
        shares = np.log((out + 0.5) / out.sum(axis=1, keepdims=True))
        within = [shares[case & (batch[mixed] == b)].mean(axis=0) for b in "ab"]
        apart = [shares[~case & (batch[mixed] == b)].mean(axis=0) for b in "ab"]
        return np.abs((within[0] - within[1])[:20]).mean() + np.abs(apart[0] - apart[1]).mean()

    protected = ComBatSeqCorrector("site", "group").fit_transform(frame).to_numpy()
    plain = ComBatSeqCorrector("site").fit_transform(frame).to_numpy()
    assert fold(protected) < 0.7 * fold(plain)


def test_a_batch_that_the_covariates_do_not_fit_has_one_dispersion():
    X, batch, y = simulate(batches=("a", "b", "c"))
    alike = y.copy()
    alike[batch == "c"] = "case"
    model = ComBatSeqCorrector("site", "group").fit(as_frame(X, site=batch, group=alike))
    assert [len(np.unique(row)) > 1 for row in model.batch_dispersions_] == [True, True, False]
    rows = np.r_[0:20, 20, 39, 40:60]  # two samples of b, one of each group
    model = ComBatSeqCorrector("site", "group").fit(
        as_frame(X[rows], site=batch[rows], group=y[rows])
    )
    assert [len(np.unique(row)) > 1 for row in model.batch_dispersions_] == [True, False, True]


def test_shrinking_draws_effects_together(cohort):
    X, batch, _ = cohort
    plain = ComBatSeqCorrector().fit(X, batch=batch)
    shrunk = ComBatSeqCorrector(shrink=True).fit(X, batch=batch)
    assert np.std(shrunk.batch_effects_) < np.std(plain.batch_effects_)
    np.testing.assert_array_equal(shrunk.dispersions_, plain.dispersions_)
    both = ComBatSeqCorrector(shrink=True, shrink_dispersions=True).fit(X, batch=batch)
    assert np.std(both.dispersions_) < np.std(plain.dispersions_)


# ------------------------------------------------------------------ on disk, in blocks


@pytest.mark.parametrize("sparse", [False, True])
def test_blocks_of_genes_and_rows_change_nothing(cohort, monkeypatch, sparse):
    da = pytest.importorskip("dask.array")
    X, batch, _ = cohort
    age = np.random.default_rng(1).normal(50, 10, len(X)).round()
    options = {"batch_key": "site", "covariate_keys": ["age"], "shrink": True}
    whole = ComBatSeqCorrector(**options)
    expected = whole.fit_transform(as_anndata(X, site=batch, age=age)).X
    monkeypatch.setattr("geneexpr.batch_effects._count_batches.KEPT_ENTRIES", 0)
    monkeypatch.setattr("geneexpr._blocks.gene_blocks.__defaults__", (8 * len(X) * 7,))
    lazy = as_anndata(da.from_array(X, chunks=(7, 20)), site=batch, age=age)
    if sparse:
        lazy.X = da.from_array(X, chunks=(7, -1)).map_blocks(sp.csr_matrix)
    blocks = ComBatSeqCorrector(**options)
    out = blocks.fit_transform(lazy).X.compute()
    np.testing.assert_array_equal(out.toarray() if sparse else out, expected)
    np.testing.assert_allclose(blocks.batch_dispersions_, whole.batch_dispersions_, rtol=1e-9)


# ------------------------------------------------------------------ unseen batches


def test_an_unseen_batch_raises_by_default(cohort):
    X, batch, _ = cohort
    model = ComBatSeqCorrector().fit(X, batch=batch)
    with pytest.raises(ValueError, match="has not seen: 'z'; fit saw 'a', 'b'"):
        model.transform(X[:2], batch=["a", "z"])


def test_passthrough_leaves_rows_of_unseen_batches_and_warns(cohort):
    X, batch, _ = cohort
    model = ComBatSeqCorrector(unseen_batch="passthrough").fit(X, batch=batch)
    labels = np.where(np.arange(40) % 2, batch, "z")
    with pytest.warns(BatchWarning, match="20 of 40 rows are of batches"):
        out = model.transform(X, batch=labels)
    np.testing.assert_array_equal(out[::2], X[::2])
    np.testing.assert_array_equal(out[1::2], model.transform(X, batch=batch)[1::2])


@pytest.mark.parametrize("options", [{}, {"shrink": True}])
def test_estimating_a_batch_under_a_new_name_gives_what_fit_learned_of_it(cohort, options):
    X, batch, _ = cohort
    X[batch == "b", :3] = np.array([0, 1, 5])
    model = ComBatSeqCorrector(unseen_batch="estimate", **options).fit(X, batch=batch)
    own = batch == "b"
    renamed = model.transform(X[own], batch=np.repeat("z", own.sum()))
    expected = model.transform(X, batch=batch)[own]
    assert (renamed == expected).mean() > 0.999
    assert np.abs(renamed - expected).max() <= 1


def test_a_new_batch_is_brought_to_the_others_with_covariates():
    X, batch, y = simulate(n=30, batches=("a", "b", "c"))
    old = batch != "c"
    frame = as_frame(X, site=batch, group=y)
    model = ComBatSeqCorrector("site", "group", unseen_batch="estimate").fit(frame[old])
    out = np.vstack([model.transform(frame[old]), model.transform(frame[~old])])
    assert batch_distance(out, old) < 0.2 * batch_distance(X, old)


def test_a_gene_without_counts_in_a_new_batch_is_left_alone(cohort):
    X, batch, _ = cohort
    model = ComBatSeqCorrector().fit(X, batch=batch)
    new = simulate(batches=("c",), seed=5)[0]
    new[:, 4] = 0
    adapted = model.adapt(new, batch="c")
    assert np.isnan(adapted.batch_log_rates_[2, 4])
    row = new[:1].copy()
    row[0, 4] = 50
    out = adapted.transform(row, batch=["c"])
    assert out[0, 4] == 50
    assert (out[0, :4] != row[0, :4]).any()


def test_adapt_freezes_a_new_batch(cohort):
    X, batch, y = cohort
    model = ComBatSeqCorrector().fit(X, y, batch=batch)
    new = simulate(batches=("aa",), seed=5)[0]
    adapted = model.adapt(new, batch="aa")
    assert (model.batches_, adapted.batches_) == (["a", "b"], ["a", "aa", "b"])
    whole = adapted.transform(new, batch=np.repeat("aa", 20))
    np.testing.assert_array_equal(adapted.transform(new[[7]], batch=["aa"]), whole[[7]])
    estimated = model.set_params(unseen_batch="estimate").transform(new, batch=["aa"] * 20)
    np.testing.assert_array_equal(whole, estimated)
    np.testing.assert_array_equal(
        adapted.transform(X, batch=batch), model.transform(X, batch=batch)
    )


@pytest.mark.parametrize("share", [0.0, 0.2, 1.0])
def test_adapt_with_the_class_mix_keeps_the_classes_where_they_are(share):
    X, batch, y = simulate(n=40)
    model = ComBatSeqCorrector()
    out = model.fit_transform(X, y, batch=batch)
    new, label, truth = simulate(n=40, share=share, batches=("c",), seed=9)
    mix = {"case": share, "control": 1 - share}
    known = model.adapt(new, batch=label, class_proportions=mix).transform(new, batch=label)
    unknown = model.adapt(new, batch=label).transform(new, batch=label)

    def error(corrected):
        rates = [
            np.log(rows.sum(axis=0)[:20] / rows[:, 20:].sum())
            for rows in (corrected[truth == truth[0]], out[y == truth[0]])
        ]
        return np.abs(rates[0] - rates[1]).mean()

    assert error(known) < 0.1
    assert error(known) < 0.6 * error(unknown)


def test_the_training_mix_changes_nothing():
    rates, shares = np.array([[1.0, 2.0], [3.0, 2.0]]), np.array([0.3, 0.7])
    estimate = np.array([-1.0, 1.0]), np.array([0.1, 0.2]), np.array([0.5, 0.3])
    same = to_training_mix(*estimate, rates, shares, shares)
    np.testing.assert_allclose(same, estimate)


def test_the_mix_of_classes_by_hand():
    """Controls alone at a rate of 1 become an even mix with cases at 3: mean 2, variance 1."""
    rates = np.array([[3.0], [1.0]])
    zero = np.zeros(1)
    log_rate, effect, dispersion = to_training_mix(
        zero, zero, np.array([0.2]), rates, np.array([0.0, 1.0]), np.array([0.5, 0.5])
    )
    np.testing.assert_allclose([log_rate[0], effect[0]], np.log(2))
    np.testing.assert_allclose(dispersion, (0.2 * 5 + 1) / 4)


def test_adapt_needs_the_classes_of_y(cohort):
    X, batch, _ = cohort
    model = ComBatSeqCorrector().fit(X, batch=batch)
    with pytest.raises(ValueError, match="class_proportions needs the class means"):
        model.adapt(X[:20], batch="z", class_proportions={"case": 1.0})


# ------------------------------------------------------------------ no labels, one batch


def test_without_labels_nothing_is_corrected_and_it_says_so(cohort):
    X, _, _ = cohort
    with pytest.warns(BatchWarning, match="ComBatSeqCorrector got no batch labels"):
        out = ComBatSeqCorrector().fit_transform(X)
    np.testing.assert_array_equal(out, X)


def test_one_batch_is_left_as_it_is_and_others_can_be_brought_to_it(cohort):
    X, batch, _ = cohort
    own, new = X[batch == "a"], X[batch == "b"]
    model = ComBatSeqCorrector(unseen_batch="estimate")
    with pytest.warns(BatchWarning, match="All samples are of the batch 'a'"):
        out = model.fit_transform(own, batch=np.repeat("a", 20))
    np.testing.assert_array_equal(out, own)
    brought = np.vstack([own, model.transform(new, batch=np.repeat("b", 20))])
    assert batch_distance(brought, batch) < 0.1 * batch_distance(X, batch)


# ------------------------------------------------------------------ what it refuses


def test_a_batch_of_one_sample_raises_and_names_it(cohort):
    X, batch, _ = cohort
    labels = batch.astype(object)
    labels[[3, 30]] = ["x", "y"]
    with pytest.raises(ValueError, match=r"2 of 4 batches have 1 sample only \('x', 'y'\)"):
        ComBatSeqCorrector().fit(X, batch=labels)


def test_negative_values_raise(cohort):
    X, batch, _ = cohort
    X[2, 3] = -1
    with pytest.raises(ValueError, match="Negative values in data passed to ComBatSeqCorrector"):
        ComBatSeqCorrector().fit(X, batch=batch)


def test_missing_values_raise(cohort):
    X, batch, _ = cohort
    X[2, 3] = np.nan
    with pytest.raises(ValueError, match="contains NaN"):
        ComBatSeqCorrector().fit(X, batch=batch)


def test_fractional_counts_warn_and_come_back_whole(cohort):
    X, batch, _ = cohort
    with pytest.warns(ScaleWarning, match="ComBatSeqCorrector expects counts"):
        model = ComBatSeqCorrector().fit(X + 0.25, batch=batch)
    with pytest.warns(ScaleWarning, match="expects counts"):
        out = model.transform(X + 0.25, batch=batch)
    changed = out != X + 0.25
    np.testing.assert_array_equal(out[changed], np.trunc(out[changed]))
    assert changed.mean() > 0.9


def test_samples_without_counts_have_no_part_and_stay_zero(cohort):
    X, batch, _ = cohort
    empty = np.vstack([X, np.zeros((1, X.shape[1]))])
    labels = np.append(batch, "a")
    with pytest.warns(ZeroDepthWarning, match="1 of 41 samples have no counts at all"):
        out = ComBatSeqCorrector().fit_transform(empty, batch=labels)
    np.testing.assert_array_equal(out[-1], 0)
    np.testing.assert_array_equal(out[:-1], ComBatSeqCorrector().fit_transform(X, batch=batch))


def test_a_confounded_condition_raises_in_words(cohort):
    X, batch, _ = cohort
    frame = as_frame(X, site=batch, group=np.where(batch == "a", "x", "y"))
    with pytest.raises(ValueError, match="'group' is confounded with the batch: it does not vary"):
        ComBatSeqCorrector("site", "group").fit(frame)


def test_an_outcome_as_condition_raises_unless_it_is_allowed(cohort):
    X, batch, y = cohort
    frame = as_frame(X, site=batch, group=y)
    with pytest.raises(ValueError, match="The covariate 'group' gives the outcome y away"):
        ComBatSeqCorrector("site", "group").fit(frame, y)
    allowed = ComBatSeqCorrector("site", "group", allow_outcome=True).fit(frame, y)
    assert allowed.outcome_classes_ == ["case", "control"]


def test_a_condition_is_needed_of_new_samples(cohort):
    X, batch, y = cohort
    model = ComBatSeqCorrector("site", "group").fit(as_frame(X, site=batch, group=y))
    with pytest.raises(ValueError, match="There is no annotation 'group'"):
        model.transform(as_frame(X, site=batch))
    with pytest.raises(ValueError, match="has levels that fit has not seen: 'healthy'"):
        model.transform(as_frame(X, site=batch, group=["healthy"] * len(X)))


def test_batches_without_a_common_gene_raise(cohort):
    X, batch, _ = cohort
    X[batch == "a", ::2] = 0
    X[batch == "b", 1::2] = 0
    with pytest.raises(ValueError, match="None of 80 genes has a count in every one of the 2"):
        ComBatSeqCorrector().fit(X, batch=batch)


def test_a_batch_of_hardly_any_counts_raises_and_names_it(cohort):
    X, batch, _ = cohort
    X[batch == "b"] = 0
    X[20, :], X[21, 0] = 1, 1
    with pytest.raises(ValueError, match="The batch 'b' has no gene with 5 counts"):
        ComBatSeqCorrector().fit(X, batch=batch)


def test_common_dispersions_are_searched_side_by_side():
    best = {0: 0.1, 1: 0.7}
    evaluations = []

    def evaluate(points):
        evaluations.append(len(points))
        return {i: -((np.sqrt(d) - np.sqrt(best[i])) ** 2) for i, d in points.items()}

    np.testing.assert_allclose(common_dispersions(2, evaluate), [0.1, 0.7], rtol=1e-3)
    assert len(evaluations) < 30
