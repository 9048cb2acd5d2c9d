"""Confounding of batch and covariates: by hand, by rank, in words."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy.stats.contingency import association

from geneexpr import confounding_report
from geneexpr.evaluation._confounding import correlation_ratio, cramers_v


def test_cramers_v_by_hand():
    table = np.array([[20, 10], [5, 25]])
    plain = association(table, method="cramer")
    n = table.sum()
    squared = max(0, plain**2 - 1 / (n - 1))
    assert cramers_v(table) == pytest.approx(np.sqrt(squared / (2 - 1 / (n - 1) - 1)))
    assert cramers_v([[7, 7, 7], [7, 7, 7]]) == 0
    assert cramers_v(np.diag([4, 5, 6])) == pytest.approx(1)
    assert cramers_v([[3, 4]]) == 0


def test_cramers_v_is_not_biased_by_small_tables():
    rng = np.random.default_rng(0)
    pairs = rng.integers(0, 4, (200, 2, 40))
    tables = [np.histogram2d(a, b, bins=4)[0].astype(int) for a, b in pairs]
    plain = [association(table, method="cramer") for table in tables]
    ours = [cramers_v(table) for table in tables]
    assert np.mean(plain) > 0.25
    assert np.mean(ours) < 0.1


def test_correlation_ratio():
    rng = np.random.default_rng(0)
    codes = np.arange(300) % 3
    assert correlation_ratio(rng.normal(size=300), codes) < 0.15
    assert correlation_ratio(codes * 2.0, codes) == 1
    assert correlation_ratio(np.ones(300), codes) == 0


def samples():
    obs = pd.DataFrame({"site": list("xxyyzz") * 5, "age": np.arange(30.0) % 7})
    obs["sex"] = np.tile(["f", "m"], 15)
    obs["state"] = np.where(obs["site"] == "x", "case", "control")
    obs.index = [f"s{i}" for i in range(30)]
    return obs


def test_a_design_of_full_rank():
    report = confounding_report("site", ["sex", "age"], data=samples())
    assert report.passed
    assert report.rank == report.n_columns == 5
    assert report.associations["estimable"].all()
    assert report.associations["kind"].to_dict() == {"sex": "levels", "age": "number"}
    assert report.tables["sex"].to_numpy().tolist() == [[5, 5, 5], [5, 5, 5]]
    assert "sex: little association with the batch (0.00)" in str(report)
    assert "The design has full rank (5): batch and covariates can be told apart." in str(report)


def test_a_class_in_one_batch_only():
    report = confounding_report("site", ["state", "sex"], data=samples())
    assert not report.passed
    assert not report.associations.loc["state", "estimable"]
    assert report.associations.loc["sex", "estimable"]
    assert report.rank == 4
    assert report.not_estimable == (
        "'case' and 'control' of 'state' are never in the same batch, nor linked by batches that "
        "share other levels with both: their difference cannot be told from that of the batches.",
    )


def test_levels_linked_through_others_are_estimable():
    batch, level = list("aabbcc"), list("uvvwwu")
    assert confounding_report(batch * 2, {"dose": level * 2}).passed
    apart = confounding_report(["a", "a", "b", "b"], {"dose": ["u", "v", "w", "w"]})
    assert apart.not_estimable[0].startswith("'u' or 'v' and 'w' of 'dose' are never")


def test_numbers_that_do_not_vary_within_batches():
    obs = samples()
    obs["year"] = obs["site"].map({"x": 2001, "y": 2005, "z": 2020})
    obs["depth"] = 3.0
    report = confounding_report("site", ["year", "depth"], data=obs)
    assert "'year' does not vary within any batch" in report.not_estimable[0]
    assert "'depth' has the same value in all samples" in report.not_estimable[1]


def test_covariates_that_are_one_only_together():
    batch = np.tile(["a", "b"], 8)
    first = np.repeat([0, 1, 0, 1], 4)
    other = np.where((batch == "b") ^ (first == 1), "m", "f")
    report = confounding_report(batch, {"first": first.astype(str), "sex": other})
    assert report.passed
    twice = confounding_report(batch, {"first": first.astype(str), "again": 2.0 * first})
    assert twice.rank == 3
    assert twice.not_estimable == (
        "'again' is determined by the batch and 'first' together: leave one of them out.",
    )


def test_all_carriers_agree():
    obs = samples()
    expected = confounding_report("site", ["sex", "age"], data=obs).associations
    X = np.zeros((30, 2))
    levels = pd.MultiIndex.from_frame(obs.reset_index(names="sample"))
    carriers = [ad.AnnData(X, obs=obs), pd.DataFrame(X, index=levels, columns=["g1", "g2"])]
    for data in carriers:
        found = confounding_report("site", ["sex", "age"], data=data).associations
        pd.testing.assert_frame_equal(found, expected)
    beside = confounding_report(obs["site"], obs[["sex", "age"]]).associations
    pd.testing.assert_frame_equal(beside, expected)


def test_errors():
    obs = samples()
    with pytest.raises(ValueError, match="need data=, which carries them"):
        confounding_report(obs["site"], ["sex"])
    with pytest.raises(ValueError, match="'site' names an annotation, but data= is missing"):
        confounding_report("site", obs[["sex"]])
    with pytest.raises(ValueError, match="There is one batch only"):
        confounding_report(["a"] * 30, obs[["sex"]])
    with pytest.raises(ValueError, match="'sex' has 3 values for 30 samples"):
        confounding_report(obs["site"], {"sex": ["f", "m", "f"]})
    obs.loc["s3", "sex"] = None
    with pytest.raises(ValueError, match="'sex' is missing for 1 of 30 samples: row 3"):
        confounding_report("site", "sex", data=obs)
