"""Differential expression as a table: columns, levels, batches, errors."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from geneexpr import DifferentialExpressionSelector, differential_expression

COLUMNS = [
    "log2_fold_change",
    "mean_expression",
    "std_error",
    "statistic",
    "p_value",
    "p_adjusted",
]
METHODS = ["moderated_t", "welch_t", "wilcoxon"]


@pytest.fixture
def cohort():
    rng = np.random.default_rng(0)
    state = np.array(["b", "a", "c"])[np.arange(24) % 3]
    X = rng.normal(6, 1, (24, 40))
    X[state == "c", :4] += 5
    obs = pd.DataFrame(
        {
            "state": state,
            "site": np.array(["x", "y"])[np.arange(24) // 3 % 2],
            "age": rng.normal(50, 9, 24),
        },
        index=[f"s{i}" for i in range(24)],
    )
    var = pd.DataFrame(index=[f"g{i}" for i in range(40)])
    return ad.AnnData(X, obs=obs, var=var)


def test_table_of_limma(gold, relative_error):
    case = gold("limma_ALL_2group")
    group = case.table("group.csv").iloc[:, 0].to_numpy()
    table = differential_expression(case.table("X.csv.gz"), group, reference="NEG")
    assert list(table.columns) == COLUMNS
    theirs = case.out("topTable")
    assert list(table.index) == list(theirs.index)
    assert relative_error(table["p_adjusted"], theirs["adj.P.Val"]) < 1e-10
    error = theirs["stdev.unscaled"] * np.sqrt(theirs["s2.post"])
    assert relative_error(table["std_error"], error) < 1e-10


def test_a_threshold_of_the_fold_change_is_that_of_treat(gold, relative_error):
    case = gold("limma_ALL_2group")
    group, X = case.table("group.csv").iloc[:, 0].to_numpy(), case.table("X.csv.gz")
    theirs = case.out("topTreat")
    adata = ad.AnnData(X.to_numpy() * np.log(2))
    adata.uns["log1p"] = {"base": None}
    for data in (X, adata):
        table = differential_expression(data, group, reference="NEG", lfc_threshold=0.3)
        for ours, column in {
            "log2_fold_change": "logFC",
            "statistic": "t",
            "p_value": "P.Value",
            "p_adjusted": "adj.P.Val",
        }.items():
            assert relative_error(table[ours], theirs[column]) < 1e-8, ours


@pytest.mark.parametrize("method", METHODS)
def test_containers_agree(cohort, method):
    table = differential_expression(cohort, "state", method=method)
    assert list(table.columns) == ["contrast", *COLUMNS]
    assert list(table["contrast"].unique()) == ["b - a", "c - a"]
    assert set(table[table["p_adjusted"] < 0.01].index) == {"g0", "g1", "g2", "g3"}
    for other in (cohort.X, sp.csr_matrix(cohort.X)):
        again = differential_expression(other, cohort.obs["state"].to_numpy(), method=method)
        np.testing.assert_allclose(again["p_value"], table["p_value"], rtol=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_the_reference_turns_the_sign(cohort, method):
    two = cohort[cohort.obs["state"] != "b"]
    one = differential_expression(two, "state", method=method)
    other = differential_expression(two, "state", method=method, reference="c")
    for column in ("log2_fold_change", "statistic"):
        np.testing.assert_allclose(one[column], -other[column], rtol=1e-9)
    np.testing.assert_allclose(one["p_value"], other["p_value"], rtol=1e-9)
    assert one["log2_fold_change"].iloc[0] > 2


def test_the_first_category_is_the_reference(cohort):
    cohort.obs["state"] = pd.Categorical(cohort.obs["state"], ["c", "b", "a", "unused"])
    table = differential_expression(cohort, "state")
    assert list(table["contrast"].unique()) == ["b - c", "a - c"]


def test_batches_and_covariates_are_adjusted_for(cohort):
    cohort.X[(cohort.obs["site"] == "y").to_numpy()] += 5
    plain = differential_expression(cohort, "state")
    adjusted = differential_expression(cohort, "state", batch_key="site", covariate_keys=["age"])
    assert adjusted["std_error"].max() < plain["std_error"].min()


def test_max_t_is_exact_in_its_lowest_value(cohort):
    two = cohort[cohort.obs["state"] != "b"]
    options = {"adjust": "max_t", "n_permutations": 50}
    table = differential_expression(two, "state", **options)
    assert table["p_adjusted"].min() == 1 / 50
    assert (table["p_adjusted"] >= differential_expression(two, "state")["p_value"] - 0.2).all()
    again = differential_expression(two, "state", batch_key="site", **options)
    assert again["p_adjusted"].min() == 1 / 50
    with pytest.raises(ValueError, match="permutes labels, which is not exact beside covariates"):
        differential_expression(two, "state", covariate_keys=["age"], **options)


def test_max_t_is_that_of_multtest_but_for_the_permutations_drawn(gold, relative_error):
    case = gold("multtest_golub")
    theirs, ours_n, theirs_n = case.out("maxT"), 400, 2000
    X, labels = case.table("X.csv.gz").loc[:, theirs.index], case.table("obs.csv")["cl"]
    table = differential_expression(
        X, labels.to_numpy(), method="welch_t", adjust="max_t", n_permutations=ours_n
    )
    assert relative_error(table["statistic"], theirs["teststat"]) < 1e-10
    p = theirs["adjp"].to_numpy()
    slack = 4.5 * np.sqrt(p * (1 - p) * (1 / ours_n + 1 / theirs_n)) + 2 / ours_n
    assert (np.abs(table["p_adjusted"] - p) <= slack).all()


def test_fold_changes_of_data_logged_to_base_e_are_of_base_2(cohort):
    plain = differential_expression(cohort, "state")
    cohort.uns["log1p"] = {"base": None}
    natural = differential_expression(cohort, "state")
    np.testing.assert_allclose(
        natural["log2_fold_change"], plain["log2_fold_change"] / np.log(2), rtol=1e-12
    )
    np.testing.assert_array_equal(natural["p_value"], plain["p_value"])


@pytest.mark.parametrize("method", ["welch_t", "wilcoxon"])
def test_each_level_against_the_rest(cohort, method):
    table = differential_expression(cohort, "state", method=method, reference="rest")
    assert list(table["contrast"].unique()) == ["a - rest", "b - rest", "c - rest"]
    is_c = np.where(cohort.obs["state"] == "c", "c", "other")
    alone = differential_expression(cohort, is_c, method=method, reference="other")
    for column in COLUMNS:
        ours = table.loc[table["contrast"] == "c - rest", column]
        np.testing.assert_allclose(ours, alone[column], rtol=1e-9, err_msg=column)
    with pytest.raises(ValueError, match="reference='rest' is for 'welch_t' and 'wilcoxon'"):
        differential_expression(cohort, "state", reference="rest")


def test_a_continuous_condition_is_a_slope(cohort):
    cohort.X[:, 7] += 0.4 * (cohort.obs["age"] - 50)
    table = differential_expression(cohort, "age", batch_key="site")
    assert list(table.columns) == COLUMNS
    selector = DifferentialExpressionSelector(batch_key="site")
    selector.fit(cohort, cohort.obs["age"].to_numpy())
    np.testing.assert_array_equal(table["p_value"], selector.p_values_)
    np.testing.assert_array_equal(table["log2_fold_change"], selector.log2_fold_changes_[0])
    assert table["p_value"].idxmin() == "g7"
    with pytest.raises(ValueError, match="'wilcoxon' compares classes, but condition is contin"):
        differential_expression(cohort, "age", method="wilcoxon")
    with pytest.raises(ValueError, match="permutes levels, but condition is continuous"):
        differential_expression(cohort, "age", adjust="max_t")
    dose = np.repeat([0.5, 1.0, 2.0], 8)
    as_levels = differential_expression(cohort, pd.Categorical(dose))
    assert list(as_levels["contrast"].unique()) == ["1.0 - 0.5", "2.0 - 0.5"]
    pd.testing.assert_frame_equal(differential_expression(cohort, dose, reference=0.5), as_levels)


def test_layers(cohort):
    cohort.layers["logged"] = cohort.X.copy()
    expected = differential_expression(cohort, "state")
    cohort.X = cohort.X * 0
    pd.testing.assert_frame_equal(
        differential_expression(cohort, "state", layer="logged"), expected
    )


@pytest.mark.parametrize(
    ("method", "option", "value", "takers"),
    [
        ("wald", "trend", True, "'moderated_t', 'voom'"),
        ("welch_t", "robust", True, "'moderated_t', 'voom'"),
        ("moderated_t", "library_size", np.ones(24), "'voom', 'wald'"),
        ("wilcoxon", "lfc_threshold", 1, "'moderated_t', 'voom', 'wald'"),
        ("moderated_t", "cooks_cutoff", False, "'wald'"),
        ("voom", "independent_filtering", False, "'wald'"),
        ("moderated_t", "alpha", 0.05, "'wald'"),
    ],
)
def test_an_option_that_a_method_does_not_take(cohort, method, option, value, takers):
    message = f"method='{method}' does not take {option}=, which is an option of {takers}: leave"
    with pytest.raises(ValueError, match=message):
        differential_expression(cohort, "state", method=method, **{option: value})


def test_errors(cohort):
    with pytest.raises(ValueError, match=r"sequence of names, got 'age' alone: give \['age'\]"):
        differential_expression(cohort, "state", covariate_keys="age")
    with pytest.raises(
        ValueError, match="lfc_threshold must be a number at least 0 and below inf; got nan"
    ):
        differential_expression(cohort, "state", lfc_threshold=np.nan)
    with pytest.raises(ValueError, match=r"no gene has a fold change of lfc_threshold=1; use 'hol"):
        differential_expression(cohort, "state", lfc_threshold=1, adjust="max_t")
    with pytest.raises(ValueError, match="n_permutations must be a whole number at least 1; got 0"):
        differential_expression(cohort, "state", adjust="max_t", n_permutations=0)
    missing = cohort.X.copy()
    missing[0, 0] = np.nan
    with pytest.raises(ValueError, match="differential_expression does not accept missing values"):
        differential_expression(missing, cohort.obs["state"].to_numpy(), method="wilcoxon")
    with pytest.raises(ValueError, match="The condition has one level only, 'x'"):
        differential_expression(cohort, np.repeat("x", 24))
    with pytest.raises(ValueError, match=r"reference='z' is no level .* 'a', 'b', 'c'"):
        differential_expression(cohort, "state", reference="z")
    with pytest.raises(ValueError, match="'welch_t' cannot adjust for batches or covariates"):
        differential_expression(cohort, "state", method="welch_t", batch_key="site")
    with pytest.raises(ValueError, match="cannot be told apart from the batches and covariates"):
        differential_expression(cohort, "state", batch_key="state")
    with pytest.raises(ValueError, match="condition is missing for 1 of 24 samples: row 0"):
        differential_expression(cohort, [None, *cohort.obs["state"][1:]])
    with pytest.raises(ValueError, match=r"2 sample\(s\) for 2 columns .* needs replicates"):
        differential_expression(cohort[:2], "state")
    with pytest.raises(ValueError, match=r"the level\(s\) 'c' have 1 sample; use method='mod"):
        differential_expression(cohort[[0, 1, 2, 3, 4]], "state", method="wilcoxon")
    table = differential_expression(cohort[[0, 1, 2, 3, 4]], "state")
    assert np.isfinite(table["p_value"]).all()


def test_no_covariates_are_an_empty_sequence():
    X, condition = np.random.default_rng(0).normal(5, 1, (12, 4)), np.arange(12) % 2
    with pytest.raises(ValueError, match="must be a sequence of names, got None: give \\(\\) for"):
        differential_expression(X, condition, covariate_keys=None)
