"""Training curves."""

import matplotlib
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from geneexpr import AutoencoderEmbedder, TorchMLPClassifier, TrainingCurveDisplay

matplotlib.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


@pytest.fixture
def data():
    X = np.random.default_rng(0).normal(size=(60, 8))
    return X, X[:, 0] > 0


def test_lines_are_the_history(data):
    model = TorchMLPClassifier((4,), max_epochs=6, early_stopping=True, random_state=0).fit(*data)
    display = TrainingCurveDisplay.from_estimator(model)
    for column, line in display.lines_.items():
        np.testing.assert_array_equal(line.get_ydata(), model.history_[column])
        np.testing.assert_array_equal(line.get_xdata(), np.arange(1, 7))
    assert display.best_epoch_ == model.history_["valid_loss"].idxmin() + 1
    names = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert names == ["training", "held out", f"best: epoch {display.best_epoch_}"]


def test_a_pipeline_on_given_axes(data):
    figure, ax = plt.subplots()
    pipe = make_pipeline(StandardScaler(), AutoencoderEmbedder(2, max_epochs=1, random_state=0))
    display = TrainingCurveDisplay.from_estimator(pipe.fit(*data), ax=ax)
    assert (display.ax_, display.figure_) == (ax, figure)
    assert list(display.lines_) == ["train_loss"]
    assert display.lines_["train_loss"].get_marker() == "o"
    assert display.best_epoch_ is None


@pytest.mark.parametrize("make", [lambda: LogisticRegression(), lambda: TorchMLPClassifier()])
def test_what_was_not_trained_is_refused(make):
    message = "A fitted network estimator .* was expected, got"
    with pytest.raises(TypeError, match=message):
        TrainingCurveDisplay.from_estimator(make())


def test_a_history_of_its_own():
    display = TrainingCurveDisplay(pd.DataFrame({"train_loss": [2.0, 1.0]})).plot()
    assert display.ax_.get_xlabel() == "epoch"
