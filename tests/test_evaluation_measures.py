"""Measures of batch effects: closed forms, scikit-learn's values, extremes, containers."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy.spatial.distance import cdist
from sklearn.metrics import roc_auc_score, silhouette_samples

import geneexpr
from geneexpr import (
    batch_auc,
    batch_effect_report,
    batch_silhouette,
    kbet,
    lisi,
    pvca,
    variance_partition,
)
from geneexpr.evaluation._lisi import inverse_simpson, neighbour_weights
from geneexpr.evaluation._pvca import variance_components
from geneexpr.evaluation._stratified_scores import (
    pair_counts,
    stratified_auc,
    stratified_correlation,
)

MEASURES = [variance_partition, pvca, batch_silhouette, kbet, lisi, batch_auc]


def cohort(n=120, n_batches=3, shift=1.0, seed=0, n_genes=30):
    """Return AnnData with shifts of batches and of the first genes by class, crossed evenly."""
    rng = np.random.default_rng(seed)
    batch = np.arange(n) % n_batches
    state = np.arange(n) // n_batches % 2
    X = rng.normal(size=(n, n_genes)) + rng.normal(size=(n_batches, n_genes))[batch] * shift
    X[:, :5] += 2 * state[:, None]
    obs = pd.DataFrame(
        {"site": np.array(list("xyz"))[batch], "state": np.array(["no", "yes"])[state]},
        index=[f"s{i}" for i in range(n)],
    )
    return ad.AnnData(X, obs=obs, var=pd.DataFrame(index=[f"g{i}" for i in range(n_genes)]))


def one_way(X, codes):
    means = np.stack([X[codes == c].mean(axis=0) for c in range(codes.max() + 1)])
    return ((means[codes] - X.mean(axis=0)) ** 2).sum(axis=0)


# ------------------------------------------------------------------ shares of variance


def test_balanced_shares_are_those_of_the_analysis_of_variance():
    data = cohort()
    table = variance_partition(data, batch_key="site", condition="state")
    batch = pd.factorize(data.obs["site"], sort=True)[0]
    state = pd.factorize(data.obs["state"], sort=True)[0]
    total = ((data.X - data.X.mean(axis=0)) ** 2).sum(axis=0)
    np.testing.assert_allclose(table["batch"], one_way(data.X, batch) / total, rtol=1e-10)
    np.testing.assert_allclose(table["condition"], one_way(data.X, state) / total, rtol=1e-10)
    np.testing.assert_allclose(table["shared"], 0, atol=1e-12)
    np.testing.assert_allclose(table["variance"], data.X.var(axis=0, ddof=1), rtol=1e-10)
    np.testing.assert_allclose(table.drop(columns="variance").sum(axis=1), 1, rtol=1e-12)


def test_unbalanced_shares_are_those_of_least_squares():
    data = cohort()
    keep = np.random.default_rng(1).random(120) < np.where(data.obs["site"] == "x", 0.9, 0.4)
    keep &= (data.obs["site"] != "y") | (data.obs["state"] == "yes")
    data = data[keep].copy()
    table = variance_partition(data, batch_key="site", condition="state")

    def explained(*keys):
        design = pd.get_dummies(data.obs[list(keys)], dtype=float).to_numpy()
        fitted = design @ np.linalg.lstsq(design, data.X, rcond=None)[0]
        return 1 - ((data.X - fitted) ** 2).sum(axis=0) / total

    total = ((data.X - data.X.mean(axis=0)) ** 2).sum(axis=0)
    both, site, state = explained("site", "state"), explained("site"), explained("state")
    np.testing.assert_allclose(table["batch"], both - state, rtol=1e-8)
    np.testing.assert_allclose(table["condition"], both - site, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(table["shared"], site + state - both, rtol=1e-8, atol=1e-12)


def test_a_gene_that_does_not_vary_has_no_shares():
    data = cohort()
    data.X[:, 3] = 8.3
    table = variance_partition(data, batch_key="site", condition="state")
    assert table.loc["g3"].drop("variance").isna().all()
    assert table.loc["g3", "variance"] == 0
    assert not table.drop(index="g3").isna().any().any()


def test_variance_components_of_one_balanced_factor_are_the_closed_form():
    rng = np.random.default_rng(0)
    codes = np.repeat(np.arange(6), 10)
    values = rng.normal(size=6)[codes] + rng.normal(size=60)
    means = values.reshape(6, 10).mean(axis=1)
    within = values.reshape(6, 10).var(axis=1, ddof=1).mean()
    between = means.var(ddof=1) - within / 10
    np.testing.assert_allclose(variance_components(values, [codes]), [between, within], rtol=1e-4)


def test_variance_components_of_two_crossed_factors_are_the_closed_form():
    rng = np.random.default_rng(1)
    a, b = np.divmod(np.arange(120) % 12, 4)
    values = 2 * rng.normal(size=3)[a] + rng.normal(size=4)[b] + rng.normal(size=120)
    total = ((values - values.mean()) ** 2).sum()
    of_a, of_b = one_way(values[:, None], a)[0], one_way(values[:, None], b)[0]
    error = (total - of_a - of_b) / (120 - 1 - 2 - 3)
    expected = [(of_a / 2 - error) / 40, (of_b / 3 - error) / 30, error]
    np.testing.assert_allclose(variance_components(values, [a, b]), expected, rtol=1e-4)


def test_a_factor_without_effect_has_no_variance():
    codes = np.tile([0, 1, 2], 20)
    values = np.repeat(np.random.default_rng(0).normal(size=20), 3)
    found = variance_components(values, [codes])
    assert found[0] < 1e-6 * found[1]
    np.testing.assert_array_equal(variance_components(np.ones(9), [np.arange(9) % 3]), [0, 1])


def test_pvca_tells_what_varies():
    table = pvca(cohort(shift=3.0), batch_key="site", condition="state")
    assert table.index[-1] == "total"
    np.testing.assert_allclose(table[["batch", "condition", "residual"]].sum(axis=1), 1)
    np.testing.assert_allclose(table["weight"].iloc[:-1].sum(), 1)
    weighted = table["weight"].iloc[:-1] @ table["batch"].iloc[:-1]
    assert table.loc["total", "batch"] == pytest.approx(weighted)
    assert table.loc["total", "batch"] > 0.6
    assert pvca(cohort(shift=0.0), batch_key="site").loc["total", "batch"] < 0.05


# ------------------------------------------------------------------ neighbours


def test_lisi_of_mixed_batches_is_their_number_and_of_separate_ones_one():
    rng = np.random.default_rng(0)
    X, batch = rng.normal(size=(1500, 2)), np.arange(1500) % 3
    assert 2.9 < lisi(X, batch=batch, perplexity=200)["lisi"].mean() <= 3
    mixed = lisi(X, batch=batch)
    assert mixed["lisi"].mean() == pytest.approx(mixed["expected"].mean(), rel=0.02)
    np.testing.assert_allclose(lisi(X + 100 * batch[:, None], batch=batch)["lisi"], 1)


def test_lisi_counts_equal_batches_exactly():
    weights = neighbour_weights(np.ones((2, 90)), 30)
    np.testing.assert_allclose(weights, 1 / 90)
    np.testing.assert_allclose(inverse_simpson(weights, np.tile(np.arange(90) % 3, (2, 1))), 3)


def test_the_weights_of_lisi_have_the_perplexity():
    distances = np.sort(np.random.default_rng(0).gamma(5.0, size=(7, 90)), axis=1)
    weights = neighbour_weights(distances, 30)
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    entropy = -(weights * np.log(weights)).sum(axis=1)
    np.testing.assert_allclose(np.exp(entropy), 30, rtol=1e-4)
    slopes = np.diff(np.log(weights), axis=1) / np.diff(distances, axis=1)
    np.testing.assert_allclose(slopes, slopes[:, :1].repeat(89, axis=1), rtol=1e-4)


def test_kbet_rejects_about_alpha_of_mixed_and_all_of_separate_batches():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(1200, 5))
    batch = rng.permutation(np.repeat(["a", "b", "c"], [600, 400, 200]))
    rate = np.mean([kbet(X, batch=rng.permutation(batch))["rejected"].mean() for _ in range(10)])
    assert 0.02 < rate < 0.08
    apart = X + 50 * (batch == "c")[:, None] - 50 * (batch == "a")[:, None]
    assert kbet(apart, batch=batch)["rejected"].mean() == 1


def test_the_statistic_of_kbet_by_hand():
    X = np.array([0.0, 1.0, 2.1, 3.3, 9.0, 9.4])[:, None]
    table = kbet(X, batch=list("aababb"), n_neighbors=2)
    # the neighbours of the first sample are of the batches a and b, one each was expected
    assert table["statistic"].iloc[0] == pytest.approx(0)
    # those of the last are b (9.0) and a (3.3); those of the second a (0.0) and b (2.1)
    assert table["statistic"].tolist() == pytest.approx([0, 0, 2, 0, 0, 0])


def test_silhouettes_are_those_of_scikit_learn():
    data = cohort(n_genes=10)
    table = batch_silhouette(data, batch_key="site")
    np.testing.assert_allclose(
        table["silhouette"], silhouette_samples(data.X, data.obs["site"]), rtol=1e-8
    )
    within = batch_silhouette(data, batch_key="site", condition="state")["silhouette"]
    rows = (data.obs["state"] == "yes").to_numpy()
    points = data.X[rows]
    distances = cdist(points, points)
    np.testing.assert_allclose(
        within[rows],
        silhouette_samples(distances, data.obs["site"][rows], metric="precomputed"),
        rtol=1e-8,
    )


def test_auc_of_predicting_the_batch():
    assert batch_auc(cohort(shift=3.0), batch_key="site")["auc"].min() > 0.99
    nothing = [batch_auc(cohort(shift=0, seed=s), batch_key="site")["auc"].mean() for s in range(5)]
    assert 0.4 < np.mean(nothing) < 0.6


def test_another_class_mix_is_no_batch_effect():
    """Batches with other shares of the classes look different unless classes are compared."""
    rng = np.random.default_rng(0)
    batch = np.repeat(["a", "b"], 200)
    state = np.concatenate([rng.random(200) < 0.2, rng.random(200) < 0.8])
    X = rng.normal(size=(400, 10)) + 3 * state[:, None]
    labels = np.where(state, "yes", "no")
    naive, fair = (
        batch_effect_report(X, batch=batch, condition=c).measures["value"] for c in (None, labels)
    )
    assert naive["batch AUC"] > 0.7
    assert naive["kBET rejection rate"] > 0.9
    assert 0.4 < fair["batch AUC"] < 0.6
    assert fair["kBET rejection rate"] < 0.15
    assert fair["variance by batch alone"] < 0.01


def test_a_class_of_one_batch_only_says_nothing():
    data = cohort()
    data.obs["state"] = np.where(data.obs["site"] == "x", "yes", data.obs["state"])
    data.obs.loc[data.obs["site"] != "x", "state"] = "no"
    columns = {kbet: "rejected", batch_silhouette: "silhouette", lisi: "lisi"}
    for measure, column in columns.items():
        found = measure(data, batch_key="site", condition="state")[column]
        assert found[data.obs["site"] == "x"].isna().all()
        assert found[data.obs["site"] != "x"].notna().all()
    aucs = batch_auc(data, batch_key="site", condition="state")["auc"]
    assert np.isnan(aucs["x"])
    assert aucs[["y", "z"]].notna().all()


# ------------------------------------------------------------------ scores within strata


def test_scores_within_strata():
    rng = np.random.default_rng(0)
    y, scores, strata = rng.integers(0, 2, 50), rng.normal(size=50).round(1), rng.integers(0, 3, 50)
    right, pairs = pair_counts(y == 1, scores, strata)
    by_hand = [
        (roc_auc_score(y[strata == s], scores[strata == s]), np.prod(np.bincount(y[strata == s])))
        for s in range(3)
    ]
    assert right / pairs == pytest.approx(
        sum(auc * n for auc, n in by_hand) / sum(n for _, n in by_hand)
    )
    both = np.column_stack([-scores, scores])
    assert stratified_auc(y, both, strata) == pytest.approx(right / pairs)
    assert np.isnan(stratified_auc(np.zeros(3, int), np.zeros((3, 2)), np.zeros(3)))


def test_correlation_within_strata_sees_no_difference_between_them():
    strata = np.repeat([0, 1], 50)
    noise = np.random.default_rng(0).normal(size=(2, 100))
    y, scores = noise + 10 * strata
    assert np.corrcoef(y, scores)[0, 1] > 0.9
    assert abs(stratified_correlation(y, scores, strata)) < 0.2
    assert stratified_correlation(y, 0.1 + strata, strata) == 0
    assert np.isnan(stratified_correlation(strata, y, strata))


# ------------------------------------------------------------------ containers, sizes, errors


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("kind", ["array", "csr", "frame"])
def test_containers_agree(measure, kind):
    data = cohort()
    expected = measure(data, batch_key="site", condition="state")
    if kind == "frame":
        levels = [data.obs_names, data.obs["site"], data.obs["state"]]
        X = pd.DataFrame(data.X, index=pd.MultiIndex.from_arrays(levels), columns=data.var_names)
        X.index.names = ["sample", "site", "state"]
        found = measure(X, batch_key="site", condition="state")
        pd.testing.assert_frame_equal(found, expected, rtol=1e-6, check_names=False)
        return
    X = data.X if kind == "array" else sp.csr_matrix(data.X)
    found = measure(X, batch=data.obs["site"].array, condition=data.obs["state"].array)
    tolerance = {"rtol": 1e-6, "atol": 1e-8}
    number = expected.select_dtypes("number")
    np.testing.assert_allclose(found[number.columns], number, **tolerance)


@pytest.mark.parametrize("measure", MEASURES)
def test_zarr_agrees(measure, tmp_path):
    data = cohort()
    geneexpr.write_zarr(data, tmp_path / "x.zarr")
    stored = geneexpr.open_zarr(tmp_path / "x.zarr")
    options = {} if measure is variance_partition else {"max_samples": 100}
    expected = measure(data, batch_key="site", condition="state", **options)
    found = measure(stored, batch_key="site", condition="state", **options)
    pd.testing.assert_frame_equal(found, expected, rtol=1e-6, check_names=False)


@pytest.mark.parametrize("measure", [batch_silhouette, kbet, lisi])
def test_many_samples_are_drawn_from(measure):
    data = cohort(300)
    table = measure(data, batch_key="site", max_samples=80)
    assert len(table) == 80
    again = measure(data, batch_key="site", max_samples=80)
    other = measure(data, batch_key="site", max_samples=80, random_state=1)
    assert list(table.index) == list(again.index) != list(other.index)
    assert (table["batch"] == data.obs.loc[table.index, "site"]).all()


@pytest.mark.parametrize("measure", [*MEASURES, batch_effect_report])
def test_errors_say_what_is_missing(measure):
    data = cohort()
    with pytest.raises(ValueError, match=r"The batches are needed: name an annotation .*batch_key"):
        measure(data)
    with pytest.raises(ValueError, match=r"There is no annotation 'lab' in obs; obs has 'site'"):
        measure(data, batch_key="lab")
    with pytest.raises(ValueError, match="All 40 samples are of the batch 'x'"):
        measure(data[data.obs["site"] == "x"], batch_key="site")
    data.obs["age"] = np.arange(120.0)
    with pytest.raises(ValueError, match=r"'age' has 120 levels for 120 samples .*pandas\.qcut"):
        measure(data, batch_key="site", condition="age")
    data.X[2, 3] = np.nan
    with pytest.raises(ValueError, match=r"^X holds missing values \(NaN\), which measures of"):
        measure(data, batch_key="site")


def test_options_out_of_range_say_what_is_allowed():
    data = cohort(30)
    with pytest.raises(ValueError, match="perplexity must be at least 1"):
        lisi(data, batch_key="site", perplexity=0)
    with pytest.raises(ValueError, match="n_neighbors must be at least 1, or None; got 0"):
        kbet(data, batch_key="site", n_neighbors=0)
    for measure in (batch_silhouette, kbet, lisi, batch_auc):
        with pytest.raises(ValueError, match="n_components must be at least 1; got 0"):
            measure(data, batch_key="site", n_components=0)


def test_a_report_shows_its_words():
    report = batch_effect_report(cohort(60), batch_key="site", condition="state")
    assert repr(report) == str(report)
    assert repr(report).startswith("Batches: x (20), y (20), z (20)")


def test_data_without_variation_are_refused():
    with pytest.raises(ValueError, match="No gene varies between the samples"):
        lisi(np.ones((20, 3)), batch=np.arange(20) % 2)


# ------------------------------------------------------------------ the report


def test_the_report_gathers_the_measures():
    data = cohort(shift=2.0)
    report = batch_effect_report(data, batch_key="site", condition="state")
    options = {"batch_key": "site", "condition": "state"}
    value = report.measures["value"]
    assert value["mean LISI"] == lisi(data, **options)["lisi"].mean()
    assert value["kBET rejection rate"] == kbet(data, **options)["rejected"].mean()
    widths = batch_silhouette(data, **options)["silhouette"]
    assert value["batch silhouette"] == pytest.approx(widths.mean())
    assert value["batch AUC"] == batch_auc(data, **options)["auc"].mean()
    assert value["PVCA, batch"] == pvca(data, **options).loc["total", "batch"]
    shares = variance_partition(data, **options)
    total = np.average(shares["batch"], weights=shares["variance"])
    assert value["variance by batch alone"] == pytest.approx(total)
    printed = str(report)
    assert printed.startswith("Batches: x (40), y (40), z (40)\n")
    assert "a classifier tells them apart (AUC 1.00)" in printed
    assert printed.endswith("of the variance, class 5%.") or "class" in printed.splitlines()[-1]


def test_before_and_after():
    data = cohort(shift=2.0)
    options = {"batch_key": "site", "condition": "state"}
    after = geneexpr.ComBatCorrector(batch_key="site").fit_transform(data)
    table = batch_effect_report(data, **options).compare(batch_effect_report(after, **options))
    assert list(table.columns) == ["before", "after", "no_batch_effect"]
    judged = table.dropna()
    assert len(judged) == 6
    distance = (judged[["before", "after"]].sub(judged["no_batch_effect"], axis=0)).abs()
    assert (distance["after"] < distance["before"]).all()
    assert table.loc["class silhouette"].diff()["after"] > 0
