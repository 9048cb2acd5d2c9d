"""The forest plot shows what the table of subgroups says."""

import numpy as np
import pandas as pd
import pytest

from geneexpr import SubgroupForestDisplay

plt = pytest.importorskip("matplotlib.pyplot")
COLUMNS = ["metric", "subgroup", "estimate", "low", "high", "n", "flag"]


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def table_of(subgroups, metrics=("accuracy", "roc_auc")):
    rng = np.random.default_rng(0)
    rows = []
    for metric in metrics:
        for name in ("all", *subgroups):
            estimate = rng.uniform(0.6, 0.9)
            flag = "fewer than 20 samples" if name == "unknown" else ""
            rows.append((metric, name, estimate, estimate - 0.1, estimate + 0.1, 30, flag))
    return pd.DataFrame(rows, columns=COLUMNS)


@pytest.fixture
def table():
    return table_of(["female", "male", "unknown"])


def labels(ax):
    return [text.get_text() for text in ax.get_yticklabels()]


def test_points_are_the_estimates(table):
    display = SubgroupForestDisplay(table).plot()
    for row in table.itertuples():
        point = display.points_[row.metric, row.subgroup]
        assert point.get_xdata()[0] == row.estimate
    assert len(display.axes_) == 2
    assert [ax.get_xlabel() for ax in display.axes_] == ["accuracy", "roc auc"]


def test_all_samples_come_first_and_are_the_line(table):
    display = SubgroupForestDisplay(table).plot()
    (ax, _) = display.axes_
    assert labels(ax) == ["all (n=30)", "female (n=30)", "male (n=30)", "unknown* (n=30)"]
    dashed = [line for line in ax.lines if line.get_linestyle() == "--"]
    assert len(dashed) == 1
    assert dashed[0].get_xdata()[0] == table.loc[0, "estimate"]
    assert ax.yaxis_inverted()


def test_flags_are_hollow_and_explained(table):
    display = SubgroupForestDisplay(table).plot()
    assert display.points_["accuracy", "unknown"].get_markerfacecolor() == "white"
    assert display.points_["accuracy", "male"].get_markerfacecolor() != "white"
    assert display.figure_.get_supxlabel() == "* fewer than 20 samples"


def test_what_is_not_defined_has_no_interval(table):
    table.loc[2, ["estimate", "low", "high"]] = np.nan
    display = SubgroupForestDisplay(table).plot()
    assert np.isnan(display.points_["accuracy", "male"].get_xdata()[0])
    display.figure_.canvas.draw()


def test_four_panels_at_most_and_the_most_telling():
    metrics = ["accuracy", "f1", "brier", "roc_auc", "balanced_accuracy"]
    display = SubgroupForestDisplay(table_of(["a"], metrics))
    assert display.metrics == ["balanced_accuracy", "roc_auc", "brier", "accuracy"]
    assert SubgroupForestDisplay(table_of(["a"], metrics), metrics=["f1"]).metrics == ["f1"]


def test_names_fit_from_two_to_forty_subgroups():
    for n in (2, 40):
        table = table_of([f"hospital of a long name, number {i}" for i in range(n)])
        figure = SubgroupForestDisplay(table).plot().figure_
        figure.canvas.draw()
        boxes = [text.get_window_extent() for text in figure.axes[0].get_yticklabels()]
        assert min(box.x0 for box in boxes) >= 0
        heights = np.sort([box.y0 for box in boxes])
        assert np.diff(heights).min() >= max(box.height for box in boxes)


def test_own_axes(table):
    _, axes = plt.subplots(2, 1)
    display = SubgroupForestDisplay(table).plot(axes)
    assert display.axes_[0] is axes[0]
    with pytest.raises(ValueError, match=r"^This figure has 2 panels; got 1 axes\.$"):
        SubgroupForestDisplay(table).plot(axes[:1])


def test_errors(table):
    with pytest.raises(ValueError, match=r"^The table of subgroups lacks the columns low, flag\.$"):
        SubgroupForestDisplay(table.drop(columns=["low", "flag"]))
    message = r"^The table holds 'accuracy', 'roc_auc'; got 'r2'\.$"
    with pytest.raises(ValueError, match=message):
        SubgroupForestDisplay(table, metrics=["r2"])
    with pytest.raises(ValueError, match=r"^metrics must be a sequence of names; give \['r2'\]\.$"):
        SubgroupForestDisplay(table, metrics="r2")
    with pytest.raises(ValueError, match=r"; got no metric\.$"):
        SubgroupForestDisplay(table, metrics=[])
