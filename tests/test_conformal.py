"""Sets and intervals hold what they promise, and say where they do not."""

import builtins
import importlib
import re
import sys

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import KFold, LeaveOneGroupOut
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from geneexpr import (
    ComBatCorrector,
    ConformalClassifier,
    ConformalRegressor,
    CPMNormalizer,
    SplitBy,
    ToArray,
    VarianceFilter,
    coverage_report,
    load_model,
    make_cohort,
    save_model,
)
from geneexpr.datasets import _read_hapmap_csv
from geneexpr.evaluation._conformal import prediction_sets
from geneexpr.evaluation._conformal_base import calibration_folds
from geneexpr.evaluation._conformal_regressor import prediction_intervals
from geneexpr.evaluation._out_of_fold import Outcome


def overlapping(n, seed=0, n_classes=2):
    """Return points of classes that overlap, so that sets of one class cannot do."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % n_classes
    return rng.normal(size=(n, 3)) + y[:, None] * 0.8, np.array(["a", "b", "c"])[y]


class TestSets:
    def test_by_hand(self):
        """Of 19 samples the limit at 0.9 is the 18th smallest of 1 - p(own class)."""
        own = np.linspace(0.05, 0.95, 19)
        held = np.column_stack([own, 1 - own])
        new = np.array([[0.5, 0.5], [0.97, 0.03], [0.095, 0.905], [0.105, 0.895]])
        found = prediction_sets(new, held, np.zeros(19, dtype=int), level=0.9)
        limit = np.sort(1 - own)[17]
        np.testing.assert_array_equal(found, 1 - new <= limit + 1e-9)

    def test_a_limit_for_each_class(self):
        """Class 1 is told less well: its own limit is wider."""
        own = np.tile(np.linspace(0.5, 0.95, 19), 2)
        own[19:] -= 0.4
        codes = np.repeat([0, 1], 19)
        held = np.where(codes[:, None] == [0, 1], own[:, None], 1 - own[:, None])
        new = np.array([[0.6, 0.4], [0.85, 0.15], [0.9, 0.1]])
        found = prediction_sets(new, held, codes, level=0.9, per_class=True)
        for code in range(2):
            limit = np.sort(1 - own[codes == code])[17]
            np.testing.assert_array_equal(found[:, code], 1 - new[:, code] <= limit + 1e-9)

    def test_a_class_with_too_few_samples_is_in_every_set(self):
        held = np.tile([[0.9, 0.1]], (30, 1))
        codes = np.r_[np.zeros(25, dtype=int), np.ones(5, dtype=int)]
        found = prediction_sets(held[:2], held, codes, level=0.9, per_class=True)
        assert found.all()

    @pytest.mark.parametrize("score", ["lac", "aps", "top_k"])
    def test_a_higher_level_gives_larger_sets(self, score):
        X, y = overlapping(90, n_classes=3)
        sizes = [
            ConformalClassifier(GaussianNB(), level=level, conformity_score=score)
            .fit(X, y)
            .predict_set(X)
            .to_numpy()
            .sum()
            for level in (0.5, 0.7, 0.9)
        ]
        assert sizes == sorted(sizes)
        assert sizes[0] < sizes[-1]

    @pytest.mark.parametrize("method", ["cross", "split"])
    @pytest.mark.parametrize("level", [0.8, 0.9])
    def test_the_level_is_met_on_new_samples(self, method, level):
        covered = []
        for seed in range(40):
            X, y = overlapping(120, seed)
            model = ConformalClassifier(
                GaussianNB(), level=level, method=method, cv=3, allow_empty=True, random_state=seed
            )
            model.fit(X[:60], y[:60])
            covered.append(model._covered(X[60:], y[60:])[0].mean())
        # Of a limit set by 20 samples the coverage varies by .08, of 40 repetitions by .013.
        assert np.mean(covered) == pytest.approx(level, abs=0.04)

    def test_the_level_is_met_within_each_class(self):
        """A rare class that looks like the other is missed unless it has a limit of its own."""
        rng = np.random.default_rng(0)

        def draw(n):
            rare = rng.random(n) < 0.15
            return rng.normal(size=(n, 2)) + rare[:, None], np.where(rare, "rare", "usual")

        found = {}
        for per_class in (False, True):
            covered = []
            for _ in range(15):
                X, y = draw(200)
                model = ConformalClassifier(GaussianNB(), per_class=per_class).fit(X, y)
                X, y = draw(400)
                covered.append(model._covered(X, y)[0][y == "rare"].mean())
            found[per_class] = np.mean(covered)
        assert found[False] < 0.75
        assert found[True] == pytest.approx(0.9, abs=0.06)

    def test_empty_sets_are_filled_unless_asked_for(self):
        X, y = overlapping(60)
        X = X + 5 * (y == "b")[:, None]  # told apart always: some sets must be empty
        model = LogisticRegression(C=0.01)
        sets = ConformalClassifier(model, level=0.6, allow_empty=True).fit(X, y)
        filled = clone(sets).set_params(allow_empty=False).fit(X, y)
        assert (sets.predict_set(X).sum(axis=1) == 0).any()
        assert (filled.predict_set(X).sum(axis=1) == 1).all()
        likeliest = filled.predict_set(X).idxmax(axis=1).to_numpy()
        np.testing.assert_array_equal(likeliest, filled.predict(X))

    def test_a_set_is_a_frame_of_samples_and_classes(self):
        cohort = make_cohort(40, 20, random_state=0)
        model = make_pipeline(CPMNormalizer(log=True), ToArray(), GaussianNB())
        y = cohort.obs["condition"].to_numpy()
        found = ConformalClassifier(model).fit(cohort, y).predict_set(cohort)
        assert list(found.columns) == ["class1", "class2"]
        assert list(found.index) == list(cohort.obs_names)
        assert set(found.dtypes.astype(str)) == {"bool"}


class TestIntervals:
    def test_by_hand(self):
        error = np.arange(1.0, 20)
        found = prediction_intervals(np.array([0.0, 5.0]), error, np.zeros(19), level=0.9)
        np.testing.assert_allclose(found, [[-18, 18], [-13, 23]])

    def test_relative_errors_widen_with_the_prediction(self):
        true = np.linspace(1, 2, 39)
        held = true * np.linspace(0.8, 1.2, 39)
        found = prediction_intervals(
            np.array([1.0, 10.0]), held, true, level=0.9, conformity_score="gamma"
        )
        widths = found[:, 1] - found[:, 0]
        assert widths[1] == pytest.approx(10 * widths[0])

    @pytest.mark.parametrize("method", ["cross", "split"])
    def test_the_level_is_met_on_new_samples(self, method):
        covered = []
        for seed in range(40):
            rng = np.random.default_rng(seed)
            X = rng.normal(size=(120, 4))
            y = X @ [1, 2, 0, 0] + rng.normal(size=120)
            model = ConformalRegressor(Ridge(), method=method, cv=3, random_state=seed)
            covered.append(model.fit(X[:60], y[:60])._covered(X[60:], y[60:])[0].mean())
        assert np.mean(covered) == pytest.approx(0.9, abs=0.03)

    def test_an_interval_is_a_frame(self):
        X = pd.DataFrame(np.random.default_rng(0).normal(size=(30, 2)), columns=["A", "B"])
        found = ConformalRegressor(Ridge()).fit(X, X["A"] * 2).predict_interval(X)
        assert list(found.columns) == ["low", "high"]
        assert found.index.equals(X.index)


class TestFolds:
    @pytest.mark.parametrize("classes", [None, np.array([0, 1])])
    def test_no_donor_on_both_sides(self, classes):
        rng = np.random.default_rng(0)
        donors = rng.permutation(np.repeat(np.arange(15), 3))
        outcome = Outcome(None, np.arange(45) % 2, classes)
        folds = calibration_folds(outcome, 5, groups=donors, random_state=0)
        assert len(folds) == 5
        for train, test in folds:
            assert not set(donors[train]) & set(donors[test])
        assert sorted(np.concatenate([test for _, test in folds])) == list(range(45))

    def test_the_estimator_never_sees_a_donor_that_it_predicts(self):
        """A model that knows donors by heart is sure of itself, and of no use for others."""
        rng = np.random.default_rng(0)
        donors = np.repeat(np.arange(20), 6)
        y = np.repeat(rng.permutation(np.arange(20) % 2), 6)
        X = np.eye(20)[donors] + 0.01 * rng.normal(size=(120, 20))
        model = ConformalClassifier(ExtraTreesClassifier(50, random_state=0), random_state=0)
        alone = clone(model).fit(X, y).calibration_predictions_
        grouped = clone(model).fit(X, y, groups=donors).calibration_predictions_
        assert alone.max(axis=1).mean() > 0.85
        assert grouped.max(axis=1).mean() < 0.75

    def test_a_named_group_equals_a_passed_one(self):
        X, y = overlapping(60)
        donors = np.arange(60) // 3
        frame = pd.DataFrame(
            X, columns=list("abc"), index=pd.MultiIndex.from_arrays([np.arange(60), donors])
        )
        frame.index.names = ["sample", "donor"]
        named = ConformalClassifier(make_pipeline(ToArray(), GaussianNB()), group_key="donor").fit(
            frame, y
        )
        passed = ConformalClassifier(make_pipeline(ToArray(), GaussianNB())).fit(
            X, y, groups=donors
        )
        np.testing.assert_array_equal(
            named.calibration_predictions_, passed.calibration_predictions_
        )

    def test_a_splitter_of_ones_own(self):
        cohort = make_cohort(60, 20, n_batches=3, random_state=0)
        y = cohort.obs["condition"].to_numpy()
        model = make_pipeline(CPMNormalizer(log=True), ToArray(), GaussianNB())
        by_name = ConformalClassifier(model, cv=SplitBy(LeaveOneGroupOut(), "batch")).fit(cohort, y)
        fitted = [
            clone(model).fit(cohort[train], y[train]).predict_proba(cohort[test])
            for train, test in SplitBy(LeaveOneGroupOut(), "batch").split(cohort, y)
        ]
        rows = [test for _, test in SplitBy(LeaveOneGroupOut(), "batch").split(cohort, y)]
        expected = np.concatenate(fitted)[np.argsort(np.concatenate(rows))]
        np.testing.assert_allclose(by_name.calibration_predictions_, expected)

    def test_split_calibrates_on_the_first_fold_alone(self):
        X, y = overlapping(60)
        model = ConformalClassifier(GaussianNB(), method="split", cv=KFold(3)).fit(X, y)
        alone = GaussianNB().fit(X[20:], y[20:])
        np.testing.assert_allclose(model.calibration_predictions_, alone.predict_proba(X[:20]))
        np.testing.assert_allclose(model.predict_proba(X), alone.predict_proba(X))

    def test_annotations_reach_every_step(self):
        cohort = make_cohort(60, 30, n_batches=2, random_state=0)
        cohort = CPMNormalizer(log=True).fit_transform(cohort)
        y = cohort.obs["condition"].to_numpy()
        model = make_pipeline(ComBatCorrector(batch_key="batch"), ToArray(), GaussianNB())
        found = ConformalClassifier(model).fit(cohort, y).predict_set(cohort)
        assert found.shape == (60, 2)

    def test_a_class_that_a_fold_lacks_has_no_probability_there(self):
        X, y = overlapping(40, n_classes=2)
        y = y.astype(object)
        y[0] = "rare"
        X[0] += 20
        model = ConformalClassifier(GaussianNB()).fit(X, y)
        assert list(model.classes_) == ["a", "b", "rare"]
        assert model.calibration_predictions_[0, 2] == 0
        np.testing.assert_allclose(model.calibration_predictions_.sum(axis=1), 1)


class TestFiles:
    @pytest.mark.parametrize("kind", ["classifier", "regressor"])
    def test_sets_and_intervals_survive_a_file(self, kind, tmp_path):
        X, y = overlapping(60)
        if kind == "classifier":
            model = ConformalClassifier(LogisticRegression()).fit(X, y)
        else:
            model = ConformalRegressor(Ridge()).fit(X, X.sum(axis=1))
        save_model(model, tmp_path / "model.skops")
        again = load_model(tmp_path / "model.skops")
        ask = "predict_set" if kind == "classifier" else "predict_interval"
        pd.testing.assert_frame_equal(getattr(again, ask)(X), getattr(model, ask)(X))

    def test_the_state_holds_nothing_of_mapie(self):
        X, y = overlapping(60)
        model = ConformalClassifier(LogisticRegression()).fit(X, y)
        model.predict_set(X)
        assert not any("mapie" in type(value).__module__ for value in vars(model).values())

    def test_mapie_is_loaded_when_it_is_needed(self):
        for name in [n for n in sys.modules if n.split(".")[0] == "mapie"]:
            del sys.modules[name]
        importlib.import_module("geneexpr.evaluation")
        ConformalClassifier(LogisticRegression())
        assert "mapie" not in sys.modules

    def test_without_mapie_the_error_says_how_to_install_it(self, monkeypatch):
        real = builtins.__import__

        def absent(name, *args, **kwargs):
            if name.split(".")[0] == "mapie":
                raise ModuleNotFoundError("No module named 'mapie'", name="mapie")
            return real(name, *args, **kwargs)

        monkeypatch.setattr(
            importlib, "import_module", lambda name: absent(name) if name == "mapie" else real(name)
        )
        message = (
            r"^Conformal prediction needs the package mapie; install it with: "
            r"pip install 'geneexpr\[evaluation\]'$"
        )
        with pytest.raises(ImportError, match=message):
            ConformalClassifier(LogisticRegression()).fit(*overlapping(60))


class TestErrors:
    def test_a_classifier_has_no_intervals(self):
        X, y = np.zeros((30, 2)), np.arange(30) % 2
        with pytest.raises(TypeError, match="LogisticRegression is a classifier, for which there"):
            ConformalRegressor(LogisticRegression()).fit(X, y)

    def test_too_few_samples(self):
        X, y = overlapping(9)
        message = (
            r"^A limit at level 0\.9 needs more than 10 samples to calibrate on, got 9\. Give more "
            r"samples, lower the level, or calibrate on all of them with method='cross'\.$"
        )
        with pytest.raises(ValueError, match=message):
            ConformalClassifier(GaussianNB()).fit(X, y)

    def test_no_probabilities(self):
        message = (
            r"^ConformalClassifier needs a classifier with predict_proba; LinearSVC has none\. Wrap "
            r"it: CalibratedClassifierCV\(estimator\)\.$"
        )
        with pytest.raises(TypeError, match=message):
            ConformalClassifier(LinearSVC()).fit(*overlapping(60))

    def test_one_class(self):
        X, _ = overlapping(60)
        message = r"^ConformalClassifier needs samples of at least 2 classes; got 1 class: 'a'\.$"
        with pytest.raises(ValueError, match=message):
            ConformalClassifier(GaussianNB()).fit(X, ["a"] * 60)

    def test_scores_for_three_classes(self):
        message = (
            r"^conformity_score='aps' is for three classes and more; y has the classes 'a', 'b'\. Use "
            r"conformity_score='lac'\.$"
        )
        with pytest.raises(ValueError, match=message):
            ConformalClassifier(GaussianNB(), conformity_score="aps").fit(*overlapping(60))

    def test_relative_errors_of_negative_numbers(self):
        X, _ = overlapping(60)
        message = (
            r"^conformity_score='gamma' is for positive numbers; 1 of 60 values of y are not\. Use "
            r"conformity_score='absolute'\.$"
        )
        with pytest.raises(ValueError, match=message):
            ConformalRegressor(Ridge(), conformity_score="gamma").fit(X, np.arange(60))

    def test_relative_errors_need_twice_as_many(self):
        X, _ = overlapping(20)
        message = r"^A limit at level 0\.95 needs more than 20 samples to calibrate on, got 20\."
        with pytest.raises(ValueError, match=message):
            ConformalRegressor(Ridge(), conformity_score="gamma").fit(X, np.arange(1, 21))

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"level": 1}, "level must be a number above 0 and below 1; got 1."),
            ({"method": "jackknife"}, "method must be one of 'cross', 'split'; got 'jackknife'."),
            ({"cv": 1}, "cv must be a whole number at least 2; got 1."),
            (
                {"conformity_score": "raps"},
                "conformity_score must be one of 'lac', 'aps', 'top_k'; got 'raps'.",
            ),
        ],
    )
    def test_options(self, options, message):
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            ConformalClassifier(GaussianNB(), **options).fit(*overlapping(60))

    def test_one_donor(self):
        X, y = overlapping(60)
        message = (
            r"^Calibrating needs samples of at least two groups; got 60 sample\(s\) in 1 group\(s\)"
        )
        with pytest.raises(ValueError, match=message):
            ConformalClassifier(GaussianNB()).fit(X, y, groups=["d"] * 60)

    def test_no_such_annotation(self):
        cohort = make_cohort(40, 20, random_state=0)
        model = make_pipeline(ToArray(), GaussianNB())
        message = "^There is no annotation 'patient' in obs; obs has 'condition'"
        with pytest.raises(ValueError, match=message):
            ConformalClassifier(model, group_key="patient").fit(cohort, cohort.obs["condition"])


class TestCoverage:
    def test_each_batch_is_left_out_in_turn(self):
        cohort = make_cohort(90, 30, n_batches=3, random_state=0)
        y = cohort.obs["condition"].to_numpy()
        model = ConformalClassifier(make_pipeline(CPMNormalizer(log=True), ToArray(), GaussianNB()))
        found = coverage_report(model, cohort, y, by="batch")
        assert list(found.index) == ["batch1", "batch2", "batch3", "all"]
        out = (cohort.obs["batch"] == "batch2").to_numpy()
        own = clone(model).fit(cohort[~out], y[~out])
        covered, sizes = own._covered(cohort[out], y[out])
        row = found.loc["batch2"]
        assert row["n_samples"] == out.sum()
        assert row["coverage"] == pytest.approx(covered.mean())
        assert row["mean_size"] == pytest.approx(sizes.mean())
        assert row["low"] < row["coverage"] < row["high"]
        assert found.loc["all", "n_samples"] == 90

    def test_a_class_not_among_those_of_training_is_not_held(self):
        X, y = overlapping(60)
        lab = np.repeat(["near", "far"], 30)
        y = np.where(lab == "far", np.where(y == "b", "rare", y), y)
        found = coverage_report(ConformalClassifier(GaussianNB()), X, y, by=lab)
        assert found.loc["far", "coverage"] <= 0.5

    def test_of_intervals(self):
        rng = np.random.default_rng(0)
        X = rng.normal(size=(80, 3))
        lab = np.repeat(["near", "far"], 40)
        y = X.sum(axis=1) + rng.normal(size=80) + 10 * (lab == "far")
        found = coverage_report(ConformalRegressor(Ridge()), X, y, by=lab)
        assert list(found.columns)[-1] == "mean_width"
        assert found.loc["all", "coverage"] < 0.1

    def test_folds_of_whole_batches_expect_another_batch(self):
        """Where batches differ, folds across them promise too much; folds by batch do not."""
        cohort = make_cohort(120, 50, n_batches=3, random_state=0)
        y = cohort.obs["condition"].to_numpy()
        steps = CPMNormalizer(log=True), ToArray(), StandardScaler(), LogisticRegression()
        model = ConformalClassifier(make_pipeline(*steps))
        across = coverage_report(model, cohort, y, by="batch")
        within = coverage_report(model.set_params(group_key="batch"), cohort, y, by="batch")
        assert across.loc["all", "high"] < 0.9
        assert within["coverage"].min() >= 0.9

    def test_errors(self):
        X, y = overlapping(60)
        model = ConformalClassifier(GaussianNB())
        with pytest.raises(
            ValueError,
            match=r"^All 60 samples are of 'x': at least two groups are needed to leave one out\.$",
        ):
            coverage_report(model, X, y, by=["x"] * 60)
        with pytest.raises(
            TypeError,
            match=r"^coverage_report takes a ConformalClassifier or .*; got GaussianNB\.$",
        ):
            coverage_report(GaussianNB(), X, y, by=["x", "y"] * 30)
        with pytest.raises(
            ValueError, match=r"^by='lab' names an annotation, but ndarray carries none: give the"
        ):
            coverage_report(model, X, y, by="lab")
        cohort = make_cohort(30, 10, random_state=0)
        with pytest.raises(
            ValueError, match=r"^There is no annotation 'lab' in obs; obs has 'condition'"
        ):
            coverage_report(model, cohort, cohort.obs["condition"], by="lab")


class TestRealData:
    def test_sex_in_three_laboratories(self, shared):
        """In each laboratory left out, nine sets of ten hold the sex of the cells."""
        cells = _read_hapmap_csv(shared / "data" / "hapmap_lcl_sex_counts")
        again = cells.obs["donor"].duplicated(keep=False) & (cells.obs["lab"] == "Cheung")
        cells = cells[~again.to_numpy()].copy()  # 29 donors are in two laboratories
        y = cells.obs["sex"].astype(str).to_numpy()
        steps = CPMNormalizer(log=True), VarianceFilter(n_genes=2000), ToArray()
        model = make_pipeline(*steps, StandardScaler(), LogisticRegression(max_iter=2000))
        found = coverage_report(ConformalClassifier(model), cells, y, by="lab")
        assert found.loc["all", "n_samples"] == 141
        assert found.loc["all", "coverage"] > 0.9
        assert found.loc["all", "mean_size"] < 1.7

    def test_oestrogen_receptor_in_three_studies(self, shared):
        tumours, y = breast_cancer(shared)
        model = make_pipeline(ToArray(), StandardScaler(), LogisticRegression(C=0.01))
        found = coverage_report(ConformalClassifier(model), tumours, y, by="study")
        assert found["coverage"].min() > 0.88
        assert found.loc["all", "mean_size"] < 1.25


def breast_cancer(shared):
    """Return three studies on their common genes, and the status of the oestrogen receptor."""
    folder = shared / "data" / "breast_cancer_3studies_genefu"
    tables, status = {}, {}
    for name in ("nkis", "vdxs", "expos"):
        values = pd.read_csv(folder / f"{name}_expr.csv.gz", index_col=0)
        genes = pd.read_csv(folder / f"{name}_probes.csv.gz", index_col=0)["EntrezGene.ID"]
        genes = genes.reindex(values.index)
        by_gene = values[genes.notna()].groupby(genes.dropna().astype(int)).mean().T
        er = pd.read_csv(folder / f"{name}_clinical.csv.gz", index_col=0)["er"]
        er = er.reindex(by_gene.index)
        tables[name] = by_gene.fillna(by_gene.mean())[er.notna()]
        status[name] = np.where(er.dropna() == 1, "positive", "negative")
    genes = sorted(set.intersection(*(set(table.columns) for table in tables.values())))
    joined = pd.concat([table[genes] for table in tables.values()])
    joined.columns = joined.columns.astype(str)
    study = np.repeat(list(tables), [len(table) for table in tables.values()])
    obs = pd.DataFrame({"study": study}, index=joined.index)
    return ad.AnnData(joined.to_numpy(), obs=obs, var=pd.DataFrame(index=joined.columns)), (
        np.concatenate(list(status.values()))
    )
