"""ROC, calibration and confusion: the numbers of scikit-learn, intervals, donors, bad input."""

import io

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix, roc_auc_score, roc_curve

from geneexpr import (
    CalibrationIntervalDisplay,
    ConfusionIntervalDisplay,
    ROCIntervalDisplay,
)
from geneexpr.plotting._style import DASHES, MARKERS, palette

plt = pytest.importorskip("matplotlib.pyplot")


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def scored():
    rng = np.random.default_rng(0)
    y = np.repeat(["ill", "well"], 60)
    score = 1 / (1 + np.exp(-np.round(rng.normal(size=120) + 2 * (y == "well") - 1, 1)))
    return y, score


@pytest.fixture(scope="module")
def three():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 90)
    probability = rng.dirichlet(np.ones(3), 90) + np.eye(3)[y]
    return np.array(list("abc"))[y], probability / probability.sum(axis=1, keepdims=True)


def test_curve_and_area_are_those_of_scikit_learn(scored):
    y, score = scored
    curve = ROCIntervalDisplay.from_predictions(y, score).curves["well"]
    fpr, tpr, _ = roc_curve(y == "well", score, drop_intermediate=False)
    np.testing.assert_allclose(curve["fpr"], fpr)
    np.testing.assert_allclose(curve["tpr"], tpr)
    assert curve["auc"] == pytest.approx(roc_auc_score(y == "well", score))
    assert curve["auc_low"] < curve["auc"] < curve["auc_high"]
    assert (curve["low"] <= curve["high"]).all()


def test_each_class_stands_against_the_rest(three):
    y, probability = three
    display = ROCIntervalDisplay.from_predictions(y, probability, n_resamples=50)
    for i, label in enumerate("abc"):
        expected = roc_auc_score(y == label, probability[:, i])
        assert display.curves[label]["auc"] == pytest.approx(expected)
    assert len({line.get_linestyle() for line in display.lines_.values()}) == 3


def test_donors_widen_the_interval(scored):
    y, score = (np.repeat(part, 8) for part in scored)
    donors = np.repeat(np.arange(120), 8)
    alone = ROCIntervalDisplay.from_predictions(y, score).curves["well"]
    together = ROCIntervalDisplay.from_predictions(y, score, groups=donors).curves["well"]
    width = [curve["auc_high"] - curve["auc_low"] for curve in (alone, together)]
    assert width[1] > 2 * width[0]


def test_counts_and_shares_are_those_of_scikit_learn(three):
    y, probability = three
    guess = np.array(list("abc"))[probability.argmax(axis=1)]
    display = ConfusionIntervalDisplay.from_predictions(y, guess)
    np.testing.assert_array_equal(display.counts, confusion_matrix(y, guess))
    np.testing.assert_allclose(display.shares, confusion_matrix(y, guess, normalize="true"))
    assert (display.low <= display.shares).all()
    assert (display.shares <= display.high).all()
    assert len(display.texts_) == 9


def test_a_class_without_samples_has_no_share():
    display = ConfusionIntervalDisplay.from_predictions(["a", "a"], ["a", "b"], n_resamples=0)
    assert np.isnan(display.shares[1]).all()
    display.figure_.canvas.draw()


def test_bins_hold_the_shares_that_were_observed(scored):
    y, score = scored
    curve = CalibrationIntervalDisplay.from_predictions(y, score, n_bins=4).curves["well"]
    assert curve["n"].sum() == 120
    assert curve["observed"] @ curve["n"] == pytest.approx((y == "well").sum())
    assert curve["predicted"] @ curve["n"] == pytest.approx(score.sum())
    assert (curve["low"] <= curve["observed"]).all()


@pytest.mark.parametrize(
    "kind", [ROCIntervalDisplay, CalibrationIntervalDisplay, ConfusionIntervalDisplay]
)
def test_an_estimator_finds_its_donors_by_name(kind):
    rng = np.random.default_rng(0)
    donors = np.repeat([f"d{i}" for i in range(20)], 3)
    index = pd.MultiIndex.from_arrays([np.arange(60), donors], names=["sample", "donor"])
    X = pd.DataFrame(rng.normal(size=(60, 4)), index, list("wxyz"))
    y = np.where(X["w"] + rng.normal(size=60) > 0, "ill", "well")
    model = LogisticRegression().fit(X, y)
    named = kind.from_estimator(model, X, y, group_key="donor", n_resamples=50)
    given = kind.from_estimator(model, X, y, groups=donors, n_resamples=50)

    def drawn(display):
        file = io.BytesIO()
        display.figure_.savefig(file)
        return file.getvalue()

    assert drawn(named) == drawn(given), "the same data give the same bytes"
    with pytest.raises(TypeError, match="A fitted classifier with predict"):
        kind.from_estimator(object(), X, y)


@pytest.mark.parametrize("kind", [ROCIntervalDisplay, CalibrationIntervalDisplay])
@pytest.mark.parametrize(
    ("y", "score", "options", "message"),
    [
        (["a", "a"], [0.1, 0.2], {}, "Two classes or more are needed; got 'a' only."),
        (["a", "b"], [0.1], {}, "y_true and y_score must have one row a sample each"),
        (
            ["a", None],
            [0.1, 0.2],
            {},
            "must hold a label for every sample; 1 of 2 are missing: row 1",
        ),
        (["a", "b"], [0.1, np.nan], {}, "y_score must be finite; .* for 1 of 2 samples: row 1"),
        (list("abc"), [0.1, 0.2, 0.3], {}, r"y_score has 1 columns for 3 classes"),
        (["a", "b"], [0.1, 0.2], {"classes": ["a", "c"]}, "labels that are no class: 'b'"),
        (["a", "b"], [0.1, 0.2], {"groups": ["d"]}, "groups must hold one label a sample"),
        (["a", "b"], [0.1, 0.2], {"level": 1.5}, "level must be a number above 0 and below 1"),
    ],
)
def test_bad_input_is_refused(kind, y, score, options, message):
    with pytest.raises(ValueError, match=message):
        kind.from_predictions(y, score, **options)


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ValueError, match="The curve of 'b' needs samples of it and of others"):
        ROCIntervalDisplay.from_predictions(["a", "a"], [0.1, 0.2], classes=["a", "b"])
    with pytest.raises(ValueError, match="Probabilities lie between 0 and 1; got -1 to 2 for 'b'"):
        CalibrationIntervalDisplay.from_predictions(["a", "b"], [-1, 2])
    with pytest.raises(ValueError, match="hold labels that classes does not name: 'c'"):
        ConfusionIntervalDisplay.from_predictions(["a"], ["c"], classes=["a", "b"])


def test_levels_differ_in_more_than_their_colour():
    looks = palette(range(49))
    assert len(set(looks.values())) == 49
    assert len(set(MARKERS)) == len(set(map(str, DASHES))) == 7
