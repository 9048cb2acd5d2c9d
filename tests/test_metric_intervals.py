"""Measures with intervals: scikit-learn's values, DeLong's variance, intervals that cover."""

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier

from geneexpr import make_cohort, metric_intervals, performance_report
from geneexpr.stats import _weighted_metrics as weighted
from geneexpr.stats._delong import delong, delong_over_classes
from geneexpr.stats._metric_intervals import (
    bca_interval,
    bootstrap_values,
    jackknife_values,
    percentile_interval,
    wilson_interval,
)


def predictions(n_classes, n=120, seed=0):
    """Classes, and probabilities with ties."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(n) % n_classes)
    z = rng.normal(size=(n, n_classes)) + 1.2 * np.eye(n_classes)[y]
    p = (np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)).round(1) + 1e-3
    return y, p / p.sum(axis=1, keepdims=True)


def of_sklearn(y, p):
    called, n_classes = p.argmax(axis=1), p.shape[1]
    binary = n_classes == 2
    scores = p[:, 1] if binary else p
    average = "binary" if binary else "macro"
    options = {} if binary else {"multi_class": "ovr"}
    return {
        "accuracy": sk.accuracy_score(y, called),
        "balanced_accuracy": sk.balanced_accuracy_score(y, called),
        "f1": sk.f1_score(y, called, average=average),
        "roc_auc": sk.roc_auc_score(y, scores, **options),
        "average_precision": sk.average_precision_score(y, scores),
        "brier": sk.brier_score_loss(y, scores, labels=np.arange(n_classes)),
    }


# ------------------------------------------------------------------ the estimates


@pytest.mark.parametrize("n_classes", [2, 3, 5])
def test_estimates_are_those_of_scikit_learn(n_classes):
    y, p = predictions(n_classes)
    found = metric_intervals(y, y_score=p, n_resamples=20)["estimate"]
    for name, value in of_sklearn(y, p).items():
        assert found[name] == pytest.approx(value, rel=1e-12), name


@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_resample_is_worth_what_scikit_learn_says_of_its_rows(n_classes):
    y, p = predictions(n_classes, 60)
    rng = np.random.default_rng(1)
    rows = rng.integers(0, len(y), (5, len(y)))
    weights = np.stack([np.bincount(drawn, minlength=len(y)) for drawn in rows]).astype(float)
    table = weighted.confusion(y, p.argmax(axis=1), n_classes, weights)
    found = {name: getattr(weighted, name)(table) for name in ("accuracy", "f1")}
    for name in ("roc_auc", "average_precision"):
        measure = getattr(weighted, name)
        found[name] = (
            measure(y == 1, p[:, 1], weights)
            if n_classes == 2
            else weighted.mean_over_classes(measure, y, p, weights)
        )
    found["brier"] = weighted.brier(y, p, weights)
    for i, drawn in enumerate(rows):
        expected = of_sklearn(y[drawn], p[drawn])
        for name, values in found.items():
            assert values[i] == pytest.approx(expected[name], rel=1e-12), name


def test_numbers_are_measured_as_scikit_learn_does():
    rng = np.random.default_rng(0)
    y = rng.normal(1e3, 1, 50)
    predicted = y + rng.normal(size=50)
    found = metric_intervals(y, predicted, n_resamples=20)["estimate"]
    assert found["r2"] == pytest.approx(sk.r2_score(y, predicted), rel=1e-9)
    assert found["mse"] == pytest.approx(sk.mean_squared_error(y, predicted), rel=1e-12)
    assert found["mae"] == pytest.approx(sk.mean_absolute_error(y, predicted), rel=1e-12)


def test_the_calibration_line_is_a_logistic_regression():
    y, p = predictions(2, 400)
    x = np.log(p[:, 1] / p[:, 0])
    model = LogisticRegression(C=np.inf, tol=1e-10).fit(x[:, None], y)
    found = metric_intervals(y, y_score=p, n_resamples=20)["estimate"]
    assert found["calibration_slope"] == pytest.approx(model.coef_[0, 0], rel=1e-5)
    shifted = 1 / (1 + np.exp(-x - found["calibration_intercept"]))
    assert shifted.mean() == pytest.approx(y.mean(), rel=1e-9)


def test_the_calibration_error_by_hand():
    y, p = np.array([1, 0, 1, 1]), np.array([0.05, 0.05, 0.95, 1.0])
    found = metric_intervals(y, y_score=p, metrics=["calibration_error"], n_resamples=20)
    # two samples said .05 of which half happened; two said .975 on average that both did
    assert found.loc["calibration_error", "estimate"] == pytest.approx(0.5 * 0.45 + 0.5 * 0.025)


def test_a_separated_outcome_has_no_calibration_slope():
    y, p = np.array([0, 0, 1, 1]), np.array([0.1, 0.2, 0.7, 0.9])
    found = metric_intervals(y, y_score=p)
    assert found.loc["calibration_slope", ["estimate", "low", "high"]].isna().all()
    assert found.loc["roc_auc", "estimate"] == 1


def test_a_class_that_is_not_there_leaves_its_measures_undefined():
    found = metric_intervals(["a"] * 4, y_score=[0.1, 0.2, 0.3, 0.9], classes=["a", "b"])
    assert found["estimate"].isna()[["roc_auc", "average_precision", "calibration_slope"]].all()
    assert found.loc["roc_auc", ["low", "high"]].isna().all()
    assert found.loc["accuracy", "estimate"] == 0.75
    assert found.loc["balanced_accuracy", "estimate"] == 0.75


# ------------------------------------------------------------------ DeLong


def delong_directly(positive, scores):
    """The covariance from all pairs."""
    ours, others = scores[:, positive], scores[:, ~positive]
    right = (ours[:, :, None] > others[:, None]) + 0.5 * (ours[:, :, None] == others[:, None])
    by_positive, by_negative = right.mean(axis=2), right.mean(axis=1)
    covariance = np.cov(by_positive) / ours.shape[1] + np.cov(by_negative) / others.shape[1]
    return right.mean(axis=(1, 2)), covariance


@given(st.integers(0, 10**6), st.integers(2, 30), st.integers(2, 30), st.integers(1, 6))
def test_delong_from_ranks_is_delong_from_pairs(seed, n_positive, n_negative, n_levels):
    rng = np.random.default_rng(seed)
    positive = rng.permutation(np.arange(n_positive + n_negative) < n_positive)
    scores = rng.integers(0, n_levels, (2, len(positive))) + rng.integers(0, 2, len(positive))
    auc, covariance = delong(positive, scores)
    expected_auc, expected = delong_directly(positive, scores)
    np.testing.assert_allclose(auc, expected_auc, atol=1e-12)
    np.testing.assert_allclose(covariance, expected, atol=1e-12)


def test_delong_over_two_classes_is_delong():
    y, p = predictions(2)
    auc, variance = delong_over_classes(y, p)
    expected_auc, expected = delong(y == 1, p[:, 1][None])
    assert (auc, variance) == (pytest.approx(expected_auc[0]), pytest.approx(expected[0, 0]))


def test_delong_over_classes_agrees_with_the_bootstrap():
    y, p = predictions(4, 800)
    options = {"y_score": p, "metrics": ["roc_auc"]}
    by_formula = metric_intervals(y, method="delong", **options).loc["roc_auc"]
    drawn = metric_intervals(y, **options).loc["roc_auc"]
    assert by_formula["method"] == "delong"
    assert by_formula["estimate"] == pytest.approx(sk.roc_auc_score(y, p, multi_class="ovr"))
    width = drawn["high"] - drawn["low"]
    assert by_formula["high"] - by_formula["low"] == pytest.approx(width, rel=0.1)


def test_delong_is_refused_for_donors_and_leaves_other_measures_to_the_bootstrap():
    y, p = predictions(2)
    with pytest.raises(ValueError, match="its interval would be too narrow"):
        metric_intervals(y, y_score=p, method="delong", groups=np.arange(len(y)) // 2)
    found = metric_intervals(y, y_score=p, method="delong", n_resamples=50)["method"]
    assert found["accuracy"] == "wilson"
    assert found["brier"] == "bootstrap"
    assert found["roc_auc"] == "delong"


# ------------------------------------------------------------------ intervals


def test_wilson_against_its_published_example():
    # Newcombe (1998), doi:10.1002/(SICI)1097-0258(19980430)17:8<857::AID-SIM777>3.0.CO;2-E
    for n_right, n, low, high in [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ]:
        assert wilson_interval(n_right, n) == pytest.approx((low, high), abs=5e-5)


def test_bca_agrees_with_scipy():
    from scipy.stats import bootstrap

    values = np.random.default_rng(0).lognormal(size=40)

    def variance(weights):
        mean = weights @ values / weights.sum(axis=1)
        return (weights @ values**2 / weights.sum(axis=1) - mean**2)[None]

    units = np.arange(40)
    drawn = bootstrap_values(variance, units, 20000, np.random.default_rng(1))
    low, high = bca_interval(drawn, [values.var()], jackknife_values(variance, units))
    expected = bootstrap((values,), np.var, n_resamples=20000, rng=2).confidence_interval
    assert low[0] == pytest.approx(expected.low, rel=0.03)
    assert high[0] == pytest.approx(expected.high, rel=0.05)


def test_blocks_accelerate_as_single_samples_do():
    values = np.random.default_rng(0).lognormal(size=400)

    def mean(weights):
        return (weights @ values / weights.sum(axis=1))[None]

    units = np.arange(400)
    drawn = bootstrap_values(mean, units, 2000, np.random.default_rng(1))
    single = bca_interval(drawn, [values.mean()], jackknife_values(mean, units))
    left_out = jackknife_values(mean, units, most=100)
    assert left_out.shape == (1, 100)
    blocks = bca_interval(drawn, [values.mean()], left_out)
    width = single[1] - single[0]
    np.testing.assert_allclose(single, blocks, atol=0.01 * width[0])
    assert not np.allclose(single, percentile_interval(drawn), atol=0.02 * width[0])


def test_percentiles_agree_with_the_normal_interval_of_a_mean():
    values = np.random.default_rng(0).normal(size=200)
    drawn = bootstrap_values(
        lambda w: (w @ values / w.sum(axis=1))[None],
        np.arange(200),
        20000,
        np.random.default_rng(1),
    )
    low, high = percentile_interval(drawn)
    reach = 1.96 * values.std() / np.sqrt(200)
    assert low[0] == pytest.approx(values.mean() - reach, abs=0.05 * reach)
    assert high[0] == pytest.approx(values.mean() + reach, abs=0.05 * reach)


@pytest.mark.parametrize("method", ["bootstrap", "bca", "delong"])
def test_intervals_cover_the_truth(method):
    """Of 200 test sets about 95 % hold the area and the accuracy of the population."""
    from scipy.stats import norm

    rng, caught = np.random.default_rng(0), []
    for _ in range(200):
        y = np.arange(80) % 2
        score = rng.normal(size=80) + 1.0 * y
        found = metric_intervals(
            y, (score > 0.5).astype(int), y_score=score, metrics=["accuracy", "roc_auc"],
            method=method, n_resamples=200,
        )  # fmt: skip
        truth = np.array([norm.cdf(0.5), norm.cdf(np.sqrt(0.5))])
        caught.append((found["low"] <= truth) & (truth <= found["high"]))
    share = np.mean(caught, axis=0)
    assert ((share >= 0.90) & (share <= 0.99)).all(), share


def test_donors_widen_the_interval():
    """Eight samples a donor with one prediction between them are worth one sample."""
    y, p = predictions(2, 40)
    many, donors = np.repeat(y, 8), np.repeat(np.arange(40), 8)
    once = metric_intervals(y, y_score=p)
    drawn = metric_intervals(many, y_score=np.repeat(p, 8, axis=0), groups=donors)
    naive = metric_intervals(many, y_score=np.repeat(p, 8, axis=0))
    columns = ["estimate", "low", "high"]
    pd.testing.assert_frame_equal(once[columns], drawn[columns], rtol=1e-6)
    assert drawn["n_groups"].eq(40).all()
    assert drawn["n"].eq(320).all()
    width = (drawn["high"] - drawn["low"])["accuracy"]
    assert (naive["high"] - naive["low"])["accuracy"] < 0.5 * width


@given(st.integers(0, 10**6), st.sampled_from([2, 3]))
def test_the_order_of_the_samples_and_the_names_of_the_classes_do_not_matter(seed, n_classes):
    y, p = predictions(n_classes, 30, seed)
    order = np.random.default_rng(seed).permutation(30)
    named = np.array(["a", "b", "c"])[y]
    first = metric_intervals(y, y_score=p, n_resamples=20)
    second = metric_intervals(named[order], y_score=p[order], n_resamples=20)
    np.testing.assert_allclose(first["estimate"], second["estimate"], rtol=1e-6, atol=1e-12)


@given(st.integers(0, 10**6))
def test_what_depends_on_order_only_is_unchanged_by_a_monotone_score(seed):
    rng = np.random.default_rng(seed)
    y, score = np.arange(30) % 2, rng.normal(size=30)
    options = {"metrics": ["roc_auc", "average_precision"], "n_resamples": 50}
    first = metric_intervals(y, y_score=score, **options)
    second = metric_intervals(y, y_score=np.exp(score), **options)
    pd.testing.assert_frame_equal(first, second)


def test_intervals_are_reproducible_and_nest():
    y, p = predictions(2)
    first = metric_intervals(y, y_score=p, random_state=3)
    pd.testing.assert_frame_equal(first, metric_intervals(y, y_score=p, random_state=3))
    wide = metric_intervals(y, y_score=p, random_state=3, level=0.99)
    assert (wide["low"] <= first["low"]).all()
    assert (wide["high"] >= first["high"]).all()


def test_large_data_are_resampled_in_parts(monkeypatch):
    from geneexpr.stats import _metric_intervals as module

    y, p = predictions(2)
    whole = metric_intervals(y, y_score=p, method="bca", n_resamples=100)
    monkeypatch.setattr(module, "CHUNK", 1000)
    parts = metric_intervals(y, y_score=p, method="bca", n_resamples=100)
    pd.testing.assert_frame_equal(whole, parts)


def test_a_perfect_score_has_no_width_but_by_wilson():
    y = np.arange(20) % 2
    found = metric_intervals(y, y_score=0.1 + 0.8 * y, method="delong")
    assert found.loc["roc_auc", ["estimate", "low", "high"]].eq(1).all()
    assert found.loc["balanced_accuracy", "low"] == 1
    assert found.loc["accuracy", "low"] == pytest.approx(0.839, abs=1e-3)


# ------------------------------------------------------------------ of a fitted model


@pytest.fixture(scope="module")
def cohort():
    return make_cohort(80, 20, effect_size=2, random_state=0)


def test_a_report_is_the_measures_of_the_predictions(cohort):
    X, y = np.log1p(cohort.X), cohort.obs["condition"].to_numpy()
    model = LogisticRegression(max_iter=5000).fit(X[:40], y[:40])
    report = performance_report(model, X[40:], y[40:])
    expected = metric_intervals(
        y[40:], model.predict(X[40:]), y_score=model.predict_proba(X[40:]), classes=model.classes_
    )
    pd.testing.assert_frame_equal(report, expected)


def test_a_report_of_a_model_without_probabilities(cohort):
    X, y = np.log1p(cohort.X), cohort.obs["condition"].to_numpy()
    report = performance_report(RidgeClassifier().fit(X[:40], y[:40]), X[40:], y[40:])
    assert list(report.index) == [
        "accuracy", "balanced_accuracy", "f1", "roc_auc", "average_precision",
    ]  # fmt: skip


def test_a_report_of_a_regressor_reads_whole_numbers_as_numbers(cohort):
    X = np.log1p(cohort.X)
    age = (50 + 10 * X[:, 0]).round()
    report = performance_report(LinearRegression().fit(X[:40], age[:40]), X[40:], age[40:])
    assert list(report.index) == ["r2", "mse", "mae"]
    assert report.loc["r2", "estimate"] > 0.9


def test_a_report_takes_donors_by_name():
    cohort = make_cohort(60, 20, effect_size=2, random_state=0)
    cohort.obs["donor"] = np.repeat([f"d{i}" for i in range(15)], 4)
    y = cohort.obs["condition"].to_numpy()
    model = LogisticRegression(max_iter=5000).fit(cohort.X[:30], y[:30])

    class ReadsX(ClassifierMixin, BaseEstimator):
        classes_ = model.classes_

        def predict(self, X):
            return model.predict(X.X)

    report = performance_report(ReadsX(), cohort[30:], y[30:], group_key="donor")
    assert report["n_groups"].eq(8).all()
    message = "There is no annotation 'patient' in obs; obs has 'condition', 'batch', 'donor', 'l"
    with pytest.raises(ValueError, match=re.escape(message)):
        performance_report(ReadsX(), cohort[30:], y[30:], group_key="patient")


# ------------------------------------------------------------------ bad input

Y, P = np.array([0, 1, 0, 1]), np.array([0.2, 0.7, 0.4, 0.6])


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((Y,), {}, "Predictions are needed: give y_pred=, y_score=, or both."),
        (
            ([0.5, 1.5],),
            {},
            "y_true holds numbers: their predictions are needed (y_pred=).",
        ),
        (
            ([0.5, 1.5], [0, 1]),
            {"metrics": ["r2"], "y_score": [0, 1]},
            "y_score= is for classes; y_true holds numbers. Give y_pred alone.",
        ),
        ((Y, Y[:3]), {}, "y_pred has 3 rows for 4 samples of y_true."),
        ((Y,), {"y_score": P[:3]}, "y_score has 3 rows for 4 samples of y_true."),
        (
            (["a", None, "b"], ["a", "b", "b"]),
            {},
            "y_true is missing for 1 of 3 samples: row 1. Drop these samples.",
        ),
        (
            ([0.1, np.nan, 2.0], [0.1, 0.2, 0.3]),
            {},
            "y_true is missing for 1 of 3 samples: row 1. Drop these samples.",
        ),
        (
            (Y,),
            {"y_score": [0.1, np.nan, 0.2, np.inf]},
            "y_score is missing or infinite for 2 of 4 samples: row 1, 3. Drop these samples, or "
            "look at what the model saw there.",
        ),
        (
            (Y,),
            {"y_score": ["a", "b", "c", "d"]},
            "y_score must hold numbers; predicted classes go into y_pred.",
        ),
        (
            (Y,),
            {"y_score": np.full((4, 3), 1 / 3)},
            "y_score scores 3 classes and the labels hold 2 (0, 1): name the classes in the order "
            "of the columns (classes=model.classes_).",
        ),
        (
            (Y,),
            {"y_score": P, "classes": [0, 1, 2]},
            "y_score scores 2 classes; classes= names 3.",
        ),
        (
            (Y, [0, 1, 0, 3]),
            {"classes": [0, 1]},
            "y_pred holds labels that are not among the classes: 3; the classes are 0, 1.",
        ),
        (
            ([1, 1, 1], [1, 1, 1]),
            {},
            "At least two distinct classes are needed; got 1. Where the samples hold one class "
            "only, name all of them (classes=).",
        ),
        (
            (Y, Y),
            {"metrics": ["roc_auc"]},
            "The metric 'roc_auc' needs scores: give y_score (predict_proba, or "
            "decision_function).",
        ),
        (
            (Y,),
            {"y_score": 4 * P - 2, "metrics": ["brier"]},
            "The metric 'brier' needs probabilities, and y_score holds none (values within 0 and "
            "1, rows that sum to 1).",
        ),
        (
            ([0, 1, 2],),
            {"y_score": np.eye(3), "metrics": ["calibration_slope"]},
            "The metric 'calibration_slope' needs two classes; there are 3.",
        ),
        (
            (Y, Y),
            {"metrics": "accuracy"},
            "metrics must be a sequence of names; give ['accuracy'].",
        ),
        ((Y, Y), {"metrics": []}, "metrics is empty; None gives all measures."),
        (
            (Y, Y),
            {"metrics": ["auc"]},
            "A metric must be one of 'accuracy', 'balanced_accuracy', 'f1', 'roc_auc', "
            "'average_precision', 'brier', 'calibration_error', 'calibration_slope', "
            "'calibration_intercept'; got 'auc'.",
        ),
        (
            (Y, Y),
            {"method": "jackknife"},
            "method must be one of 'bootstrap', 'bca', 'delong'; got 'jackknife'.",
        ),
        ((Y, Y), {"level": 95}, "level must be a number above 0 and below 1; got 95."),
        (
            (Y, Y),
            {"n_resamples": 5},
            "n_resamples must be a whole number at least 20; got 5.",
        ),
        (
            (Y, Y),
            {"groups": ["d"] * 4},
            "groups holds one group only ('d'); donors are drawn for the intervals, so at least "
            "two are needed.",
        ),
        (
            (Y, Y),
            {"groups": ["d", "e"]},
            "groups must hold one label a sample: got shape (2,) for 4 samples.",
        ),
    ],
)
def test_bad_input_is_named(arguments, options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        metric_intervals(*arguments, **options)
