"""Models compared on the same folds: the corrected test, its level, and the figure."""

import re

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB

from geneexpr import NestedCVDisplay, compare_models, make_cohort, nested_cv
from geneexpr.stats._resampled import corrected_interval, corrected_t_test

plt = pytest.importorskip("matplotlib.pyplot")
QUIET = {"progress": False}


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def data():
    cohort = make_cohort(60, 20, effect_size=1.5, random_state=0)
    return np.log1p(np.asarray(cohort.X)), cohort.obs["condition"].to_numpy()


def models():
    return {
        "bayes": GaussianNB(),
        "logistic": LogisticRegression(C=0.1, max_iter=1000),
        "guess": DummyClassifier(),
    }


# ------------------------------------------------------------------ the test


def test_the_corrected_test_by_hand():
    differences = np.array([0.05, 0.02, 0.08, -0.01, 0.04])
    error = np.sqrt((1 / 5 + 1 / 4) * differences.var(ddof=1))
    t, p = corrected_t_test(differences, 1 / 4)
    assert t == pytest.approx(differences.mean() / error)
    assert p == pytest.approx(2 * stats.t.sf(abs(t), 4))
    low, high = corrected_interval(differences, 1 / 4, 0.9)
    reach = stats.t.ppf(0.95, 4) * error
    assert (low, high) == pytest.approx((differences.mean() - reach, differences.mean() + reach))


def test_without_overlap_it_is_the_paired_t_test():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 12))
    expected = stats.ttest_rel(first, second)
    assert corrected_t_test(first - second, 0.0) == pytest.approx((expected[0], expected[1]))


def test_differences_that_do_not_vary():
    assert corrected_t_test(np.zeros(5), 0.25) == (0.0, 1.0)
    assert corrected_t_test(np.full(5, -0.1), 0.25) == (-np.inf, 0.0)
    assert np.isnan(corrected_t_test(np.array([0.1]), 0.25)).all()


def test_the_table_of_pairs(data):
    table = compare_models(models(), *data, **QUIET)
    assert list(table.index) == [("bayes", "logistic"), ("bayes", "guess"), ("logistic", "guess")]
    assert table["metric"].eq("roc_auc").all()
    assert table["n_folds"].eq(25).all()
    assert table.loc[("logistic", "guess"), "p_adjusted"] < 0.001
    assert table["score_second"].eq(0.5).tolist() == [False, True, True]
    np.testing.assert_allclose(
        table["difference"], table["score_first"] - table["score_second"], atol=1e-12
    )
    assert ((table["low"] <= table["difference"]) & (table["difference"] <= table["high"])).all()
    expected = np.minimum(1, np.sort(table["p"]) * [3, 2, 1])
    np.testing.assert_allclose(np.sort(table["p_adjusted"]), np.maximum.accumulate(expected))


def test_the_order_of_a_pair_changes_the_sign_only(data):
    both = {name: models()[name] for name in ("bayes", "logistic")}
    one = compare_models(both, *data, repeats=2, **QUIET).iloc[0]
    other = compare_models(dict(reversed(both.items())), *data, repeats=2, **QUIET).iloc[0]
    assert one["difference"] == -other["difference"]
    assert one["low"] == -other["high"]
    assert one["p"] == other["p"]


def test_results_need_no_second_run(data):
    options = {"repeats": 2, **QUIET}
    results = {name: nested_cv(model, *data, **options) for name, model in models().items()}
    expected = compare_models(models(), *data, **options)
    pd.testing.assert_frame_equal(compare_models(results), expected)
    mixed = {"bayes": results["bayes"], "guess": DummyClassifier()}
    found = compare_models(mixed, *data, **options)
    assert found.loc[("bayes", "guess"), "p"] == expected.loc[("bayes", "guess"), "p"]
    named = compare_models(results, metric="accuracy", level=0.5)
    assert named["metric"].eq("accuracy").all()
    wide = compare_models(results, metric="accuracy")
    assert (wide["low"] <= named["low"]).all()


def test_a_cache_folder_a_model(data, tmp_path):
    both = {name: models()[name] for name in ("bayes", "guess")}
    first = compare_models(both, *data, repeats=1, cache=tmp_path, **QUIET)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bayes", "guess"]
    second = compare_models(both, *data, repeats=1, cache=tmp_path, **QUIET)
    pd.testing.assert_frame_equal(first, second)


def test_equal_models_differ_seldom():
    """Without signal, two models that see different genes differ by chance only."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    rng, rejected, naive = np.random.default_rng(0), [], []
    halves = [
        make_pipeline(FunctionTransformer(_half, kw_args={"half": i}), GaussianNB()) for i in (0, 1)
    ]
    y = np.arange(40) % 2
    for _ in range(40):
        X = rng.normal(size=(40, 10))
        options = {"scoring": "accuracy", "repeats": 4, **QUIET}
        results = [nested_cv(model, X, y, **options) for model in halves]
        found = compare_models(dict(zip("ab", results, strict=True)))
        rejected.append(found["p"].iloc[0] < 0.05)
        scores = [result.scores["accuracy"] for result in results]
        naive.append(stats.ttest_rel(*scores).pvalue < 0.05)
    assert np.mean(rejected) <= 0.125
    assert np.mean(naive) > 0.2


def _half(X, half):
    return X[:, 5 * half : 5 * half + 5]


# ------------------------------------------------------------------ bad input


def test_bad_input_is_named(data):
    X, y = data
    first = nested_cv(GaussianNB(), X, y, **QUIET)
    cases = [
        (
            lambda: compare_models({"a": GaussianNB()}, X, y),
            "models must be a dict of at least two, name to estimator; got 1 in a dict.",
        ),
        (
            lambda: compare_models([GaussianNB(), GaussianNB()], X, y),
            "models must be a dict of at least two, name to estimator; got list.",
        ),
        (
            lambda: compare_models({"a": first, "b": GaussianNB()}),
            "The model 'b' is an estimator: X and y are needed to run it.",
        ),
        (
            lambda: compare_models({"a": first, "b": first}, metric="auc"),
            "metric must be one of 'roc_auc', 'average_precision', 'accuracy', "
            "'balanced_accuracy', 'f1', 'brier'; got 'auc'.",
        ),
        (
            lambda: compare_models(
                {"a": first, "b": nested_cv(GaussianNB(), X, y, random_state=1, **QUIET)}
            ),
            "'a' and 'b' were not tested on the same folds: run both with the same outer, repeats, "
            "groups and random_state.",
        ),
        (
            lambda: compare_models(
                {"a": first, "b": nested_cv(GaussianNB(), X, y, scoring="accuracy", **QUIET)}
            ),
            "The result of 'b' has no 'roc_auc'; it has 'accuracy'. Name another metric=, or run "
            "it with that scoring.",
        ),
        (
            lambda: compare_models(
                {"a": first, "b": nested_cv(GaussianNB(), X, y == y[0], **QUIET)}
            ),
            "'a' and 'b' were not tested on the same outcome y.",
        ),
        (lambda: compare_models({"a": first, "b": first}, level=2), "level must be a number above"),
    ]
    for call, message in cases:
        with pytest.raises(ValueError, match=re.escape(message)):
            call()


# ------------------------------------------------------------------ the figure


def test_the_figure_of_a_result(data):
    from sklearn.feature_selection import SelectKBest
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline

    pipeline = make_pipeline(SelectKBest(), GaussianNB())
    search = GridSearchCV(pipeline, {"selectkbest__k": [2, 5]}, cv=3, scoring="roc_auc")
    result = nested_cv(search, *data, **QUIET)
    display = result.plot()
    scores, values, genes = display.axes_
    assert [t.get_text() for t in scores.get_yticklabels()][:2] == ["roc auc", "average precision"]
    summary = result.summary().loc["roc_auc"]
    segment = next(line for line in scores.lines if len(line.get_xdata()) == 2)
    np.testing.assert_allclose(segment.get_xdata(), [summary["low"], summary["high"]])
    frequencies = result.gene_frequencies().head(20)
    assert [t.get_text() for t in genes.get_yticklabels()] == list(frequencies.index)
    np.testing.assert_allclose([bar.get_width() for bar in genes.patches], frequencies)
    shares = result.params["selectkbest__k"].value_counts(normalize=True)
    np.testing.assert_allclose([bar.get_width() for bar in values.patches], shares)
    assert display.figure_.get_suptitle().startswith(f"roc auc {summary['estimate']:.3f}")
    given = plt.subplots(1, 3)[1]
    assert NestedCVDisplay.from_result(result, axes=given).axes_[0] is given[0]


def test_a_parameter_that_is_none_and_one_of_some_grids_only(data):
    from sklearn.model_selection import GridSearchCV
    from sklearn.tree import DecisionTreeClassifier

    grids = [{"max_depth": [None, 1]}, {"min_samples_leaf": [5]}]
    search = GridSearchCV(DecisionTreeClassifier(random_state=0), grids, cv=2)
    result = nested_cv(search, *data, repeats=4, **QUIET)
    chosen = result.params.get("max_depth")
    assert any(value is None for value in chosen)
    labels = [t.get_text() for t in result.plot().axes_[1].get_yticklabels()]
    assert "None" in labels
    assert "nan" not in labels


def test_the_figure_of_several_results(data):
    results = {name: nested_cv(model, *data, **QUIET) for name, model in models().items()}
    display = NestedCVDisplay.from_results(results, metric="accuracy")
    (ax,) = display.axes_
    assert [t.get_text() for t in ax.get_yticklabels()] == list(results)
    assert ax.get_xlabel() == "accuracy"
    assert len(nested_cv(GaussianNB(), *data, **QUIET).plot().axes_) == 1
    with pytest.raises(TypeError, match="A result of nested_cv was expected, got DataFrame"):
        NestedCVDisplay.from_result(results["bayes"].scores)
    with pytest.raises(TypeError, match="A dict of results was expected, got list"):
        NestedCVDisplay.from_results(list(results.values()))
    with pytest.raises(ValueError, match="The result of 'bayes' has no 'r2'; it has 'roc_auc', "):
        NestedCVDisplay.from_results(results, metric="r2")
