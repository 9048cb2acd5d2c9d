"""For whom a model fails: measures, intervals, gaps and flags of subgroups."""

import builtins
import importlib
import re

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import accuracy_score, brier_score_loss, r2_score, roc_auc_score
from sklearn.model_selection import KFold, RepeatedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from geneexpr import (
    CPMNormalizer,
    SubgroupReport,
    ToArray,
    VarianceFilter,
    metric_intervals,
    subgroup_report,
)
from geneexpr.datasets import _read_hapmap_csv

COLUMNS = ["metric", "subgroup", "estimate", "low", "high", "n", "flag"]


def tumours(n=400, seed=0, worse=0.0):
    """Return samples whose outcome is harder to tell in men by a share of flipped labels."""
    rng = np.random.default_rng(seed)
    sex = np.where(rng.random(n) < 0.5, "female", "male")
    site = np.array(["x", "y", "z"])[rng.integers(0, 3, n)]
    X = rng.normal(size=(n, 4))
    y = X[:, 0] + 0.5 * rng.normal(size=n) > 0
    y ^= (sex == "male") & (rng.random(n) < worse)
    obs = pd.DataFrame(
        {"sex": sex, "site": site, "donor": np.arange(n) // 2, "age": rng.normal(size=n)},
        index=[f"s{i}" for i in range(n)],
    )
    return ad.AnnData(X, obs=obs, var=pd.DataFrame(index=list("abcd"))), np.where(y, "ill", "well")


@pytest.fixture(scope="module")
def fitted():
    X, y = tumours(200, seed=1)
    return make_pipeline(ToArray(), LogisticRegression()).fit(X, y)


@pytest.fixture(scope="module")
def new():
    return tumours()


class TestTable:
    def test_estimates_are_those_of_scikit_learn(self, fitted, new):
        X, y = new
        table = subgroup_report(fitted, X, y, by="sex", n_resamples=50).table
        assert list(table.columns) == COLUMNS
        found = table.set_index(["metric", "subgroup"])["estimate"]
        for sex in ("all", "female", "male"):
            rows = np.ones(len(y), bool) if sex == "all" else (X.obs["sex"] == sex).to_numpy()
            chance = fitted.predict_proba(X[rows])[:, 1]
            assert found["accuracy", sex] == accuracy_score(y[rows], fitted.predict(X[rows]))
            assert found["roc_auc", sex] == pytest.approx(roc_auc_score(y[rows], chance))
            expected = brier_score_loss(y[rows] == "well", chance)
            assert found["brier", sex] == pytest.approx(expected)

    def test_all_samples_come_first_with_the_intervals_of_the_whole(self, fitted, new):
        X, y = new
        table = subgroup_report(fitted, X, y, by="sex", metrics=["roc_auc"]).table
        whole = metric_intervals(
            y, y_score=fitted.predict_proba(X), classes=fitted.classes_, metrics=["roc_auc"]
        )
        assert table["subgroup"].tolist() == ["all", "female", "male"]
        np.testing.assert_allclose(
            table.loc[0, ["estimate", "low", "high"]].astype(float),
            whole.loc["roc_auc", ["estimate", "low", "high"]].astype(float),
        )

    def test_counts_add_up(self, fitted, new):
        X, y = new
        report = subgroup_report(fitted, X, y, by="site", n_resamples=20)
        assert report.counts.loc["all", "n"] == len(y)
        assert report.counts.iloc[1:].sum().tolist() == report.counts.iloc[0].tolist()
        assert report.counts.loc["x", "ill"] == ((X.obs["site"] == "x") & (y == "ill")).sum()

    def test_several_annotations_form_every_combination(self, fitted, new):
        X, y = new
        report = subgroup_report(fitted, X, y, by=["sex", "site"], n_resamples=20)
        assert report.by == ("sex", "site")
        assert list(report.counts.index[1:4]) == ["female, x", "female, y", "female, z"]
        rows = (X.obs["sex"] == "male") & (X.obs["site"] == "z")
        assert report.counts.loc["male, z", "n"] == rows.sum()

    def test_arrays_take_labels(self, new):
        X, y = new
        plain = LogisticRegression().fit(X.X[:200], y[:200])
        wide = make_pipeline(ToArray(), LogisticRegression()).fit(X[:200], y[:200])
        X, y = X[200:].copy(), y[200:]
        named = subgroup_report(wide, X, y, by="sex", n_resamples=20)
        passed = subgroup_report(plain, X.X, y, by=X.obs["sex"].to_numpy(), n_resamples=20)
        pd.testing.assert_frame_equal(named.table, passed.table)
        both = subgroup_report(
            plain, X.X, y, by={"sex": X.obs["sex"], "site": X.obs["site"]}, n_resamples=20
        )
        expected = subgroup_report(wide, X, y, by=["sex", "site"], n_resamples=20)
        pd.testing.assert_frame_equal(both.table, expected.table)

    def test_index_levels_of_a_frame(self, fitted, new):
        X, y = new
        index = pd.MultiIndex.from_arrays([X.obs_names, X.obs["sex"]], names=["sample", "sex"])
        frame = pd.DataFrame(X.X, index=index, columns=X.var_names)
        framed = subgroup_report(fitted, frame, y, by="sex", n_resamples=20)
        named = subgroup_report(fitted, X, y, by="sex", n_resamples=20)
        pd.testing.assert_frame_equal(framed.table, named.table)

    def test_of_numbers(self):
        X, _ = tumours()
        y = X.X[:, 0] * 3 + np.random.default_rng(0).normal(size=len(X))
        model = make_pipeline(ToArray(), LinearRegression()).fit(X[:200], y[:200])
        report = subgroup_report(model, X[200:], y[200:], by="sex", n_resamples=50)
        assert report.table["metric"].unique().tolist() == ["r2", "mse", "mae"]
        rows = (X.obs["sex"] == "male").to_numpy()[200:]
        expected = r2_score(y[200:][rows], model.predict(X[200:])[rows])
        found = report.table.set_index(["metric", "subgroup"])["estimate"]
        assert found["r2", "male"] == pytest.approx(expected)
        assert list(report.counts.columns) == ["n"]

    def test_accuracies_of_one_have_an_interval(self):
        X, _ = tumours(100)
        y = np.where(X.X[:, 0] > 0, "ill", "well")
        model = make_pipeline(ToArray(), LogisticRegression(C=1e6)).fit(X, y)
        row = subgroup_report(model, X, y, by="sex", n_resamples=20).table.iloc[1]
        assert row["estimate"] == row["high"] == 1
        assert row["low"] == pytest.approx(row["n"] / (row["n"] + 1.959964**2), abs=1e-6)


class TestGaps:
    def test_a_real_gap_is_found(self, fitted):
        X, y = tumours(600, worse=0.3)
        gap = subgroup_report(fitted, X, y, by="sex").gaps.loc["accuracy"]
        assert gap["highest"] == "female"
        assert gap["lowest"] == "male"
        assert 0.1 < gap["low"] < gap["gap"] < gap["high"]

    def test_gaps_of_chance_are_within_their_intervals(self, fitted):
        """Of the largest among three groups too, since the interval holds for all pairs."""
        beyond = []
        for seed in range(40):
            X, y = tumours(240, seed=seed)
            report = subgroup_report(fitted, X, y, by="site", metrics=["accuracy"], n_resamples=400)
            beyond.append(report.gaps.loc["accuracy", "low"] > 0)
        assert np.mean(beyond) <= 0.15

    def test_subgroups_with_a_flag_are_left_out(self, fitted):
        X, y = tumours(300)
        X.obs["site"] = np.where(np.arange(300) < 5, "tiny", X.obs["site"])
        report = subgroup_report(fitted, X, y, by="site", n_resamples=50)
        assert report.flags.to_dict() == {"tiny": "fewer than 20 samples"}
        assert "tiny" not in {*report.gaps["highest"], *report.gaps["lowest"]}
        flagged = report.table[report.table["subgroup"] == "tiny"]
        assert (flagged["flag"] == "fewer than 20 samples").all()
        assert (report.table.loc[report.table["subgroup"] == "x", "flag"] == "").all()

    def test_a_class_that_a_subgroup_lacks(self, fitted):
        X, y = tumours(300)
        X.obs["site"] = np.where((y == "ill") & (X.obs["site"] == "x"), "y", X.obs["site"])
        report = subgroup_report(fitted, X, y, by="site", n_resamples=50)
        assert report.flags.to_dict() == {"x": "no sample of 'ill'"}
        lacking = report.table[(report.table["subgroup"] == "x")].set_index("metric")
        assert lacking.loc["roc_auc", ["estimate", "low", "high"]].isna().all()
        assert lacking.loc["accuracy", "estimate"] > 0

    def test_nothing_to_compare(self, fitted):
        X, y = tumours(30)
        report = subgroup_report(fitted, X, y, by="sex", n_resamples=20, min_size=25)
        assert report.gaps["gap"].isna().all()
        assert "  none: fewer than two subgroups without a flag" in str(report)

    def test_donors_widen_the_intervals(self, fitted):
        X, y = tumours(200)
        twice = np.repeat(np.arange(200), 4)
        obs = X.obs.iloc[twice].assign(donor=twice)
        obs.index = [f"s{i}" for i in range(800)]
        X, y = ad.AnnData(X.X[twice], obs=obs, var=X.var), y[twice]
        options = {"by": "sex", "metrics": ["accuracy"]}
        alone = subgroup_report(fitted, X, y, **options).table
        grouped = subgroup_report(fitted, X, y, group_key="donor", **options).table
        ratio = (grouped["high"] - grouped["low"]) / (alone["high"] - alone["low"])
        np.testing.assert_allclose(ratio, 2, atol=0.3)


class TestFolds:
    def test_out_of_fold(self):
        X, y = tumours(150)
        model = make_pipeline(ToArray(), LogisticRegression())
        report = subgroup_report(model, X, y, by="sex", cv=KFold(3), metrics=["accuracy"])
        predicted = np.empty(150, dtype=object)
        for train, test in KFold(3).split(y):
            predicted[test] = model.fit(X[train], y[train]).predict(X[test])
        found = report.table.set_index("subgroup")["estimate"]
        rows = (X.obs["sex"] == "male").to_numpy()
        assert found["male"] == accuracy_score(y[rows], predicted[rows])

    def test_no_donor_in_two_folds(self):
        """Labels that follow the donor can be learnt by heart, and only that."""
        rng = np.random.default_rng(0)
        donor = np.repeat(np.arange(40), 5)
        X = pd.DataFrame(np.eye(40)[donor])
        y = rng.permutation(np.resize(["a", "b"], 40))[donor]
        sex = rng.choice(["f", "m"], 200)
        model = LogisticRegression()
        options = {"by": sex, "cv": 5, "metrics": ["accuracy"], "n_resamples": 20}
        alone = subgroup_report(model, X.to_numpy(), y, **options)
        grouped = subgroup_report(model, X.to_numpy(), y, groups=donor, **options)
        assert alone.table.loc[0, "estimate"] > 0.95
        assert grouped.table.loc[0, "estimate"] < 0.7


class TestRealData:
    def test_sex_by_laboratory(self, shared):
        """29 donors are in two laboratories: they are in one fold, and drawn together."""
        cells = _read_hapmap_csv(shared / "data" / "hapmap_lcl_sex_counts")
        y = cells.obs["sex"].astype(str).to_numpy()
        steps = CPMNormalizer(log=True), VarianceFilter(n_genes=2000), ToArray()
        model = make_pipeline(*steps, StandardScaler(), LogisticRegression(max_iter=2000))
        report = subgroup_report(
            model, cells, y, by="lab", cv=5, group_key="donor", metrics=["accuracy"]
        )
        table = report.table.set_index("subgroup")
        assert table["n"].to_dict() == {"all": 170, "Cheung": 41, "Montgomery": 60, "Pickrell": 69}
        assert table["estimate"].min() > 0.75
        assert report.flags.empty
        assert report.gaps.loc["accuracy", "low"] < 0 < report.gaps.loc["accuracy", "gap"]


class TestWords:
    def test_printed(self, fitted):
        X, y = tumours(600, worse=0.3)
        X.obs["sex"] = np.where(np.arange(600) < 3, "unknown", X.obs["sex"])
        report = subgroup_report(fitted, X, y, by="sex", metrics=["accuracy"], n_resamples=200)
        assert isinstance(report, SubgroupReport)
        said = repr(report)
        assert said.startswith("By sex, with 95% intervals\n")
        assert "female (n=" in said
        assert re.search(
            r"  accuracy: 0\.\d\d \[0\.\d\d, 0\.\d\d\], female above male \(the interval is above 0\)",
            said,
        )
        assert "FLAG unknown: fewer than 20 samples" in said

    def test_plot_draws_a_forest(self, fitted, new):
        X, y = new
        display = subgroup_report(fitted, X, y, by="sex", n_resamples=20).plot()
        assert type(display).__name__ == "SubgroupForestDisplay"


class TestErrors:
    def test_no_such_annotation(self, fitted, new):
        X, y = new
        message = (
            r"^There is no annotation 'gender' in obs; obs has 'sex', 'site', 'donor', 'age'\.$"
        )
        with pytest.raises(ValueError, match=message):
            subgroup_report(fitted, X, y, by="gender")

    def test_no_such_level_of_the_index(self, fitted, new):
        X, y = new
        frame = X.to_df().rename_axis("sample")
        message = r"^There is no annotation 'sex': the row index has the levels 'sample'\. Add it"
        with pytest.raises(ValueError, match=message):
            subgroup_report(fitted, frame, y, by="sex")

    def test_arrays_carry_no_annotations(self, fitted, new):
        X, y = new
        message = (
            r"^by='sex' names an annotation, but ndarray carries none: give the labels themselves, "
            r"one a sample \(by=labels\), or X as AnnData or DataFrame\.$"
        )
        with pytest.raises(ValueError, match=message):
            subgroup_report(fitted, X.X, y, by="sex")

    def test_one_level(self, fitted, new):
        X, y = new
        message = (
            r"^All 400 samples are of the subgroup 'x' of 'subgroup': at least two are needed to "
            r"compare\.$"
        )
        with pytest.raises(ValueError, match=message):
            subgroup_report(fitted, X.X, y, by=["x"] * 400)

    def test_a_value_a_sample(self, fitted, new):
        X, y = new
        message = (
            r"^'age' has 400 levels for 400 samples \(.* and 395 more\): groups of samples were "
            r"expected\. Cut numbers into groups first \(pandas\.qcut\)\.$"
        )
        with pytest.raises(ValueError, match=message):
            subgroup_report(fitted, X, y, by="age")

    def test_missing_labels(self, fitted, new):
        X, y = new
        X = X.copy()
        X.obs.loc["s3", "sex"] = np.nan
        message = r"^The annotation 'sex' is missing for 1 of 400 samples: 's3'\."
        with pytest.raises(ValueError, match=message):
            subgroup_report(fitted, X, y, by="sex")

    def test_lengths(self, fitted, new):
        X, y = new
        with pytest.raises(
            ValueError, match=r"^y must hold one value a sample: got 399 for 400\.$"
        ):
            subgroup_report(fitted, X, y[:-1], by="sex")
        with pytest.raises(ValueError, match=r"^by must hold one label a sample: got shape \(3,\)"):
            subgroup_report(fitted, X.X, y, by=["a", "b", "a"])

    def test_empty(self, fitted, new):
        X, y = new
        message = r"^by is empty: name the annotations that form the subgroups\.$"
        with pytest.raises(ValueError, match=message):
            subgroup_report(fitted, X, y, by=[])

    def test_a_subgroup_named_all(self, fitted, new):
        X, y = new
        message = r"^A subgroup is named 'all', which stands for all samples: rename it\.$"
        with pytest.raises(ValueError, match=message):
            subgroup_report(fitted, X.X, y, by=["all", "none"] * 200)

    def test_folds_with_repetition(self, new):
        X, y = new
        message = r"^cv must predict every sample once; use folds without repetition\.$"
        with pytest.raises(ValueError, match=message):
            subgroup_report(DummyClassifier(), X, y, by="sex", cv=RepeatedKFold(n_repeats=2))

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"min_size": 0}, "min_size must be a whole number at least 1; got 0."),
            ({"level": 95}, "level must be a number above 0 and below 1; got 95."),
            ({"n_resamples": 3}, "n_resamples must be a whole number at least 20; got 3."),
        ],
    )
    def test_options(self, fitted, new, options, message):
        X, y = new
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            subgroup_report(fitted, X, y, by="sex", **options)

    def test_without_fairlearn_the_error_says_how_to_install_it(self, fitted, new, monkeypatch):
        real = builtins.__import__

        def absent(name, *args):
            if name.startswith("fairlearn"):
                raise ModuleNotFoundError("No module named 'fairlearn'", name="fairlearn")
            return real(name, *args)

        monkeypatch.setattr(importlib, "import_module", absent)
        X, y = new
        message = (
            r"^subgroup_report needs the package fairlearn; install it with: "
            r"pip install 'geneexpr\[evaluation\]'$"
        )
        with pytest.raises(ImportError, match=message):
            subgroup_report(fitted, X, y, by="sex", n_resamples=20)
