"""Nested cross-validation: the estimate, what was chosen, donors, and going on after a stop."""

import json
import re

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn import config_context
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.datasets import make_regression
from sklearn.decomposition import PCA
from sklearn.dummy import DummyClassifier
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import Ridge, RidgeClassifier
from sklearn.metrics import make_scorer, roc_auc_score
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    LeaveOneGroupOut,
    RandomizedSearchCV,
    StratifiedGroupKFold,
    StratifiedKFold,
    cross_val_score,
)
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from geneexpr import (
    DifferentialExpressionSelector,
    GeneAligner,
    LogTransformer,
    SplitBy,
    ToArray,
    VarianceFilter,
    make_cohort,
    nested_cv,
)
from geneexpr.evaluation._chosen_genes import chosen_genes
from geneexpr.stats._resampled import corrected_error

QUIET = {"progress": False}


@pytest.fixture(scope="module")
def cohort():
    cohort = make_cohort(60, 40, effect_size=0.7, random_state=0)
    cohort.X = np.log1p(cohort.X)
    cohort.obs["donor"] = [f"d{i // 3}" for i in range(60)]
    return cohort


@pytest.fixture(scope="module")
def data(cohort):
    return np.asarray(cohort.X), cohort.obs["condition"].to_numpy()


def pipeline():
    return make_pipeline(SelectKBest(k=10), GaussianNB())


def grid(**options):
    values = {"selectkbest__k": [2, 5, 40], "gaussiannb__var_smoothing": [1e-9, 1e-2]}
    return GridSearchCV(pipeline(), values, **({"cv": 3, "scoring": "roc_auc"} | options))


# ------------------------------------------------------------------ the estimate


def test_the_scores_are_those_of_scikit_learn(data):
    cv = StratifiedKFold(4, shuffle=True, random_state=0)
    expected = cross_val_score(grid(), *data, cv=cv, scoring="roc_auc")
    for outer in (4, cv):
        result = nested_cv(grid(), *data, outer=outer, **QUIET)
        np.testing.assert_allclose(result.scores["roc_auc"], expected)
        assert result.metric == "roc_auc"


def test_nothing_leaks_where_there_is_no_signal():
    """The search says more than it should; the outer folds do not."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 400)), np.arange(60) % 2
    search = RandomizedSearchCV(
        pipeline(), {"selectkbest__k": list(range(1, 30))}, n_iter=12, cv=3, scoring="roc_auc",
        random_state=0,
    )  # fmt: skip
    result = nested_cv(search, X, y, repeats=2, n_jobs=1, **QUIET)
    summary = result.summary().loc["roc_auc"]
    assert summary["low"] < 0.5 < summary["high"]
    assert result.scores["inner_score"].mean() > summary["estimate"] + 0.05


def test_the_summary_is_the_corrected_interval(data):
    from scipy.stats import t

    result = nested_cv(GaussianNB(), *data, repeats=2, **QUIET)
    found, summary = result.scores["accuracy"], result.summary(0.9).loc["accuracy"]
    assert summary["estimate"] == found.mean()
    assert summary["sd"] == pytest.approx(found.std())
    reach = t.ppf(0.95, 9) * np.sqrt((1 / 10 + 12 / 48) * found.var())
    assert summary["low"] == pytest.approx(found.mean() - reach)
    assert summary["high"] == pytest.approx(min(1, found.mean() + reach))
    assert summary["n_folds"] == 10
    assert result.ratio == 0.25


def test_the_corrected_error_covers_where_the_plain_one_does_not():
    """Scores of folds with correlation n_test / n, as Nadeau and Bengio assume."""
    from scipy.stats import t

    rng = np.random.default_rng(0)
    shared, own = rng.normal(size=(2000, 1)), rng.normal(size=(2000, 10))
    scores = np.sqrt(0.2) * shared + np.sqrt(0.8) * own
    reach = t.ppf(0.975, 9)
    corrected = [abs(s.mean()) < reach * corrected_error(s, 0.25) for s in scores]
    plain = [abs(s.mean()) < reach * corrected_error(s, 0.0) for s in scores]
    assert np.mean(corrected) == pytest.approx(0.95, abs=0.02)
    assert np.mean(plain) < 0.8


def test_a_regression():
    X, age = make_regression(60, 5, noise=5, random_state=0)
    result = nested_cv(GridSearchCV(Ridge(), {"alpha": [0.1, 10.0]}, cv=3), X, age, **QUIET)
    assert result.metrics == ["r2", "mse", "mae"]
    assert result.summary().loc["r2", "low"] > 0.9
    assert result.classes is None
    frame = result.predictions.sort_values("row")
    np.testing.assert_array_equal(frame["y_true"], age)
    expected = cross_val_score(
        Ridge(0.1), X, age, cv=KFold(5, shuffle=True, random_state=0), scoring="r2"
    )
    assert result.params["alpha"].eq(0.1).all()
    np.testing.assert_allclose(result.scores["r2"], expected)


def test_three_classes_of_a_model_without_probabilities():
    rng = np.random.default_rng(0)
    y = np.array(["a", "b", "c"])[np.arange(60) % 3]
    X = rng.normal(size=(60, 4)) + 2 * np.eye(3, 4)[np.arange(60) % 3]
    result = nested_cv(RidgeClassifier(), X, y, **QUIET)
    assert "brier" not in result.metrics
    assert result.summary().loc["roc_auc", "estimate"] > 0.85
    assert [c for c in result.predictions if c.startswith("score")] == [
        "score: a", "score: b", "score: c",
    ]  # fmt: skip


# ------------------------------------------------------------------ what was chosen


def test_parameters_genes_and_predictions_of_every_fold(cohort, data):
    frame = pd.DataFrame(data[0], cohort.obs_names, cohort.var_names)
    search = GridSearchCV(
        make_pipeline(VarianceFilter(n_genes=30), ToArray(), SelectKBest(), GaussianNB()),
        {"selectkbest__k": [3, 6]},
        cv=3,
    )
    result = nested_cv(search, frame, data[1], repeats=2, **QUIET)
    assert list(result.params) == ["selectkbest__k"]
    assert [len(genes) for genes in result.genes] == result.params["selectkbest__k"].tolist()
    assert set().union(*result.genes) <= set(cohort.var_names)
    frequencies = result.gene_frequencies()
    assert frequencies.is_monotonic_decreasing
    assert frequencies.iloc[0] == np.mean([frequencies.index[0] in g for g in result.genes])
    assert 0 < result.gene_stability() <= 1
    predictions = result.predictions
    assert len(predictions) == 120
    for _, once in predictions.groupby("repeat"):
        assert sorted(once["row"]) == list(range(60))
    np.testing.assert_array_equal(predictions.index, cohort.obs_names[predictions["row"]])
    fold = predictions.query("repeat == 1 and fold == 2")
    auc = roc_auc_score(fold["y_true"], fold["score: class2"])
    assert result.scores.loc[(1, 2), "roc_auc"] == pytest.approx(auc)
    table = result.to_frame()
    assert {"n_chosen_genes", "param: selectkbest__k", "inner_score"} <= set(table)


def test_the_best_model_of_each_fold_is_the_one_tested(data):
    result = nested_cv(grid(), *data, outer=3, **QUIET)
    for (_, fold), params in result.params.iterrows():
        rows = result.predictions.query("fold == @fold")["row"]
        train = np.setdiff1d(np.arange(60), rows)
        k = int(params["selectkbest__k"])
        model = pipeline().set_params(**{**params.to_dict(), "selectkbest__k": k})
        model.fit(data[0][train], data[1][train])
        score = roc_auc_score(data[1][rows], model.predict_proba(data[0][rows])[:, 1])
        assert score == pytest.approx(result.scores.loc[(0, fold), "roc_auc"])


def test_genes_are_followed_through_steps(data):
    X, y = data
    names = [f"g{i}" for i in range(40)]
    frame = pd.DataFrame(X, columns=names)
    nested = make_pipeline(
        make_pipeline(StandardScaler(), SelectKBest(k=9)), PCA(2), SelectKBest(k=1), GaussianNB()
    ).set_output(transform="pandas")
    kept = nested.fit(frame, y)[0][1].get_support()
    assert chosen_genes(nested, frame) == list(np.array(names)[kept])
    ours = make_pipeline(
        DifferentialExpressionSelector(n_genes=4),
        LogTransformer(),
        ToArray(),
        GaussianNB(),
    ).fit(frame, y)
    assert len(chosen_genes(ours, frame)) == 4
    renamed = {name: name.upper() for name in names}
    aligned = make_pipeline(
        GeneAligner(gene_map=renamed), ToArray(), SelectKBest(k=5), GaussianNB()
    ).fit(frame, y)
    kept = np.array(names)[aligned[2].get_support()]
    assert chosen_genes(aligned, frame) == [name.upper() for name in kept]
    assert chosen_genes(make_pipeline(GeneAligner(gene_map=renamed)).fit(frame), frame) is None
    assert chosen_genes(GaussianNB().fit(X, y), X) is None
    assert chosen_genes(make_pipeline("passthrough", GaussianNB()).fit(X, y), X) is None


def test_what_is_printed(data):
    text = repr(nested_cv(grid(), *data, **QUIET))
    assert re.match(
        r"roc_auc 0\.\d{3} \(95 % interval 0\.\d{3} to [01]\.\d{3}\), mean of 5 outer folds, 60 "
        r"samples\.\nThe searches themselves said 0\.\d{3}\.",
        text,
    )
    assert "Chosen parameters\n  gaussiannb__var_smoothing: " in text
    assert re.search(r"Chosen genes: \d+ to \d+ of 40 a fold, stability", text)
    plain = repr(nested_cv(GaussianNB(), *data, **QUIET))
    assert "searches" not in plain
    assert "Chosen" not in plain


# ------------------------------------------------------------------ containers and workers


def test_every_container_gives_the_same(cohort, data):
    X, y = data
    expected = nested_cv(KNeighborsClassifier(7), X, y, **QUIET)
    model = make_pipeline(ToArray(), KNeighborsClassifier(7))
    frame = pd.DataFrame(X, cohort.obs_names, cohort.var_names)
    for given in (sp.csr_matrix(X), frame, cohort):
        result = nested_cv(model, given, pd.Series(y), **QUIET)
        pd.testing.assert_frame_equal(result.scores, expected.scores, rtol=1e-5)


def test_workers_and_order_change_nothing(data):
    one = nested_cv(grid(), *data, **QUIET)
    two = nested_cv(grid(), *data, n_jobs=2, **QUIET)
    pd.testing.assert_frame_equal(one.to_frame(), two.to_frame())
    pd.testing.assert_frame_equal(one.predictions, two.predictions)
    assert one.genes == two.genes


def test_the_progress_bar(data, capsys):
    nested_cv(GaussianNB(), *data, outer=3)
    assert "outer folds: 100%" in capsys.readouterr().err
    nested_cv(GaussianNB(), *data, outer=3, progress=False)
    assert capsys.readouterr().err == ""


# ------------------------------------------------------------------ donors


class SeesSplits(ClassifierMixin, BaseEstimator):
    """Notes by which donors it was fitted: the first column of X names them."""

    seen = []  # noqa: RUF012

    def __init__(self, level=0):
        self.level = level

    def fit(self, X, y):
        type(self).seen.append(set(X[:, 0].astype(int)))
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        type(self).seen.append(set(X[:, 0].astype(int)))
        return np.repeat(self.classes_[:1], len(X))


@pytest.mark.parametrize("cv", [3, None, StratifiedGroupKFold(3), GroupKFold(3)])
def test_donors_stay_together_in_both_loops(cv):
    donors = np.repeat(np.arange(20), 3)
    X = np.column_stack([donors, np.zeros(60)]).astype(float)
    y = np.repeat([0, 1] * 10, 3)
    SeesSplits.seen.clear()
    search = GridSearchCV(SeesSplits(), {"level": [0]}, cv=cv, scoring="accuracy")
    nested_cv(search, X, y, groups=donors, outer=4, scoring="accuracy", **QUIET)
    assert len(SeesSplits.seen) == 4 * 2 * ((5 if cv is None else 3) + 1)
    for fitted, tested in zip(SeesSplits.seen[::2], SeesSplits.seen[1::2], strict=False):
        assert len(fitted) < 20 or not fitted & tested


def test_donors_by_name_and_leave_one_out(cohort):
    y = cohort.obs["condition"].to_numpy()
    search = GridSearchCV(
        make_pipeline(ToArray(), GaussianNB()),
        {"gaussiannb__var_smoothing": [1e-9, 1e-3]},
        cv=SplitBy(StratifiedGroupKFold(3), "donor"),
    )
    by_name = nested_cv(search, cohort, y, group_key="donor", **QUIET)
    beside = nested_cv(
        clone(search).set_params(cv=StratifiedGroupKFold(3)), cohort, y,
        groups=cohort.obs["donor"].to_numpy(), **QUIET,
    )  # fmt: skip
    pd.testing.assert_frame_equal(by_name.to_frame(), beside.to_frame())
    outer = SplitBy(LeaveOneGroupOut(), "donor")
    left = nested_cv(
        search, cohort, y, group_key="donor", outer=outer, scoring=["accuracy", "f1"], **QUIET
    )
    assert len(left.scores) == 20


def test_donors_reach_the_search_by_metadata_routing_too(data):
    donors = np.arange(60) // 3
    expected = nested_cv(grid(), *data, groups=donors, outer=2, **QUIET)
    with config_context(enable_metadata_routing=True):
        routed = nested_cv(grid(), *data, groups=donors, outer=2, **QUIET)
    pd.testing.assert_frame_equal(expected.to_frame(), routed.to_frame())


def test_splits_that_part_donors_are_refused(data):
    donors = np.arange(60) // 3
    with pytest.raises(ValueError, match=r"outer puts samples of .* groups on both sides of a spl"):
        nested_cv(GaussianNB(), *data, groups=donors, outer=StratifiedKFold(5), **QUIET)
    search = grid(cv=StratifiedKFold(3))
    with pytest.raises(ValueError, match=r"The search's cv puts samples of .* \(an inner one\)"):
        nested_cv(search, *data, groups=donors, **QUIET)


# ------------------------------------------------------------------ scoring


def test_scoring_takes_names_scorers_and_callables(data):
    def share(model, X, y):
        return float((model.predict(X) == y).mean())

    result = nested_cv(
        GaussianNB(), *data, scoring={"mine": share, "log": "neg_log_loss", "accuracy": None},
        **QUIET,
    )  # fmt: skip
    assert result.metrics == ["mine", "accuracy", "log"]
    assert result.metric == "mine"
    np.testing.assert_allclose(result.scores["mine"], result.scores["accuracy"])
    assert nested_cv(GaussianNB(), *data, scoring=share, **QUIET).metrics == ["share"]
    scorer = make_scorer(roc_auc_score, response_method="predict_proba")
    by_scorer = nested_cv(GaussianNB(), *data, scoring={"auc": scorer}, **QUIET).scores["auc"]
    named = nested_cv(GaussianNB(), *data, scoring="roc_auc", **QUIET).scores["roc_auc"]
    np.testing.assert_allclose(by_scorer, named)
    searched = nested_cv(grid(scoring="neg_log_loss"), *data, outer=2, **QUIET)
    assert searched.metric == searched.metrics[0] == "neg_log_loss"
    several = {"scoring": {"auc": "roc_auc", "share": share}, "refit": "share"}
    assert nested_cv(grid(**several), *data, outer=2, **QUIET).metric == "share"
    several = {"scoring": ["roc_auc", "accuracy"], "refit": "accuracy"}
    assert nested_cv(grid(**several), *data, outer=2, **QUIET).metric == "accuracy"


def test_a_model_of_no_declared_kind_is_judged_by_its_outcome(data):
    class Mean(BaseEstimator):
        def fit(self, X, y):
            self.mean_ = y.mean()
            return self

        def predict(self, X):
            return np.full(len(X), self.mean_)

    X = data[0]
    result = nested_cv(Mean(), X, X[:, 0], **QUIET)
    assert result.metrics == ["r2", "mse", "mae"]


def test_predictions_that_are_no_numbers_are_named(data):
    class Lost(Ridge):
        def predict(self, X):
            return np.where(np.arange(len(X)) == 1, np.nan, super().predict(X))

    with pytest.raises(ValueError, match="y_pred is missing for 1 of 12 samples: row 1"):
        nested_cv(Lost(), data[0], data[0][:, 0], **QUIET)


# ------------------------------------------------------------------ going on after a stop


class Stops(GaussianNB):
    """Is interrupted when it is fitted for the third time."""

    fits, limit = 0, 3

    def fit(self, X, y):
        type(self).fits += 1
        if type(self).fits == type(self).limit:
            raise KeyboardInterrupt
        return super().fit(X, y)


def test_an_interrupted_run_goes_on(data, tmp_path):
    expected = nested_cv(GaussianNB(), *data, **QUIET)
    Stops.fits, Stops.limit = 0, 3
    with pytest.raises(KeyboardInterrupt):
        nested_cv(Stops(), *data, cache=tmp_path, **QUIET)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "repeat-0-fold-0.json", "repeat-0-fold-1.json",
    ]  # fmt: skip
    Stops.fits, Stops.limit = 0, 99
    result = nested_cv(Stops(), *data, cache=tmp_path, **QUIET)
    assert Stops.fits == 3
    pd.testing.assert_frame_equal(result.to_frame(), expected.to_frame())
    pd.testing.assert_frame_equal(result.predictions, expected.predictions)
    Stops.fits = 0
    more = nested_cv(Stops(), *data, cache=tmp_path, repeats=2, **QUIET)
    assert Stops.fits == 5
    pd.testing.assert_frame_equal(more.scores.loc[[0]], expected.scores)


def test_the_cache_gives_back_all_that_was_found(data, tmp_path):
    search = grid(n_jobs=2)
    first = nested_cv(search, *data, cache=tmp_path, **QUIET)
    second = nested_cv(grid(verbose=0), *data, cache=tmp_path, n_jobs=2, **QUIET)
    pd.testing.assert_frame_equal(first.to_frame(), second.to_frame())
    pd.testing.assert_frame_equal(first.predictions, second.predictions)
    assert first.genes == second.genes


def test_the_cache_names_no_sample(cohort, tmp_path):
    y = cohort.obs["condition"].to_numpy()
    nested_cv(make_pipeline(ToArray(), GaussianNB()), cohort, y, cache=tmp_path, **QUIET)
    text = "".join(p.read_text() for p in tmp_path.iterdir())
    assert not any(name in text for name in cohort.obs_names)
    assert not any(f'"{donor}"' in text for donor in cohort.obs["donor"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"X": 1}, "X or its annotations"),
        ({"y": 1}, "y or the groups and the outer folds (outer, repeats, random_state)"),
        ({"search": 1}, "the estimator or its grid"),
        ({"scoring": "accuracy"}, "scoring"),
        ({"random_state": 1}, "the outer folds (outer, repeats, random_state)"),
    ],
)
def test_the_cache_of_another_run_is_refused(data, tmp_path, change, said):
    X, y = data
    folder = tmp_path / "kept"
    nested_cv(GaussianNB(), X, y, cache=folder, **QUIET)
    options = {key: value for key, value in change.items() if key in ("scoring", "random_state")}
    X = X + 1e-9 if "X" in change else X
    y = y[::-1] if "y" in change else y
    model = GaussianNB(var_smoothing=1e-8) if "search" in change else GaussianNB()
    message = (
        f"The cache {str(folder)!r} holds another run: {said} differ from those of "
        "repeat-0-fold-0.json. Give another folder, or delete this one to start anew."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        nested_cv(model, X, y, cache=folder, **options, **QUIET)


def test_a_damaged_cache_is_named(data, tmp_path):
    nested_cv(GaussianNB(), *data, cache=tmp_path, **QUIET)
    path = tmp_path / "repeat-0-fold-2.json"
    for text in ("{", json.dumps({"record": 1}), "[]"):
        path.write_text(text)
        with pytest.raises(ValueError, match=r"fold-2\.json is no record of a fold"):
            nested_cv(GaussianNB(), *data, cache=tmp_path, **QUIET)


def test_a_function_that_cannot_be_known_again_is_refused(data, tmp_path):
    with pytest.raises(ValueError, match=r"cache= has to know scoring again.*\(no lambda\)"):
        nested_cv(
            GaussianNB(), *data, scoring={"a": lambda model, X, y: 0.0}, cache=tmp_path, **QUIET
        )


# ------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"outer": 1}, "outer must be a whole number at least 2; got 1."),
        ({"outer": "five"}, "outer must be a number of folds or a splitter; got 'five'."),
        (
            {"outer": KFold(3), "repeats": 2},
            "repeats=2 needs outer to be a number of folds: a splitter brings its own "
            "(RepeatedStratifiedKFold).",
        ),
        ({"repeats": 0}, "repeats must be a whole number at least 1; got 0."),
        ({"random_state": None}, "random_state must be a whole number at least 0; got None."),
        (
            {"outer": 31},
            "outer=31 folds need as many samples of every class; class 'class1' has 30.",
        ),
        (
            {"groups": np.repeat(["a", "b"], 30)},
            "outer=5 folds need as many groups; there are 2 ('a', 'b'). Use fewer folds.",
        ),
        ({"groups": ["a"]}, "groups must hold one label a sample: got shape (1,) for 60 samples."),
        ({"scoring": "auc"}, "scoring='auc' is no measure: it must be one of accuracy, balanced_a"),
        ({"scoring": []}, "scoring is empty; None measures all that suits the task."),
        (
            {"group_key": "donor"},
            "The annotation 'donor' was asked for, but ndarray carries no annotations.",
        ),
    ],
)
def test_bad_options_are_named(data, options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        nested_cv(GaussianNB(), *data, **options, **QUIET)


def test_one_class_in_a_fold_is_named():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(30, 3)), np.repeat(["a", "b"], 15)
    message = (
        "The training samples of fold 0 of repeat 0 are all of one class ('b'): nothing can be "
        "learned from them. Use other folds: stratified ones, or such that a group is not a class."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        nested_cv(GaussianNB(), X, y, outer=KFold(2), **QUIET)
    message = (
        "The test samples of fold 0 of repeat 0 hold no 'b' (10 samples of 'a'), so ROC AUC and "
        "average precision do not exist there. Use fewer or stratified folds, or measures that "
        "do: scoring=['accuracy', 'f1', 'brier']."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        nested_cv(GaussianNB(), X, y, outer=KFold(3), **QUIET)
    result = nested_cv(GaussianNB(), X, y, outer=KFold(3), scoring=["accuracy", "brier"], **QUIET)
    assert result.scores["accuracy"].notna().all()
    with pytest.raises(ValueError, match=re.escape("y has one class only ('a'); at least two are")):
        nested_cv(GaussianNB(), X, ["a"] * 30, **QUIET)


def test_searches_that_cannot_be_nested_are_named(data):
    with pytest.raises(ValueError, match=re.escape("GridSearchCV(refit=False) has no best model")):
        nested_cv(grid(refit=False), *data, **QUIET)
    rows = [(np.arange(30), np.arange(30, 60))]
    with pytest.raises(ValueError, match=re.escape("GridSearchCV(cv=...) holds fixed rows")):
        nested_cv(grid(cv=rows), *data, **QUIET)
    with pytest.raises(TypeError, match="search must be an estimator of scikit-learn's interface"):
        nested_cv({"k": 1}, *data, **QUIET)


def test_labels_of_another_length_and_missing_ones(data):
    X, y = data
    with pytest.raises(ValueError, match="y has 59 labels for 60 samples"):
        nested_cv(GaussianNB(), X, y[:-1], **QUIET)
    missing = pd.Series(y).where(np.arange(60) > 1)
    with pytest.raises(ValueError, match="y is missing for 2 of 60 samples: row 0, 1"):
        nested_cv(GaussianNB(), X, missing, **QUIET)


def test_scores_that_a_model_lacks_are_named(data):
    message = "scoring='brier' needs a model with predict_proba, and this one has none."
    with pytest.raises(ValueError, match=re.escape(message)):
        nested_cv(RidgeClassifier(), *data, scoring="brier", **QUIET)


def test_an_error_says_in_which_fold(data):
    class Fails(DummyClassifier):
        def fit(self, X, y):
            raise RuntimeError("no memory")

    with pytest.raises(RuntimeError, match="no memory") as caught:
        nested_cv(Fails(), *data, **QUIET)
    assert caught.value.__notes__ == [
        "This happened in fold 0 of repeat 0 of the nested cross-validation."
    ]
