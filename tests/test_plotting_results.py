"""Figures of tests of genes and of the quality of samples: what is drawn, and what it says."""

import numpy as np
import pytest

from geneexpr import (
    CPMNormalizer,
    LogTransformer,
    MADisplay,
    SampleOutlierDetector,
    SampleQCDisplay,
    VolcanoDisplay,
    differential_expression,
    make_cohort,
)

plt = pytest.importorskip("matplotlib.pyplot")


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def cohort():
    data = make_cohort(24, 400, random_state=0)
    return LogTransformer().fit_transform(CPMNormalizer().fit_transform(data))


@pytest.fixture(scope="module")
def table(cohort):
    return differential_expression(cohort, "condition")


@pytest.fixture(scope="module")
def contrasts(cohort):
    return differential_expression(cohort, np.array(list("abc"))[np.arange(24) % 3])


def points(display, group):
    return np.asarray(display.points_[group].get_offsets())


@pytest.mark.parametrize("kind", [VolcanoDisplay, MADisplay])
def test_genes_that_pass_are_marked(table, kind):
    display = kind.from_results(table, alpha=0.05, min_log2_fold_change=0.4)
    passing = (table["p_adjusted"] <= 0.05) & (table["log2_fold_change"].abs() >= 0.4)
    assert 0 < passing.sum() < len(table)
    np.testing.assert_array_equal(display.passes, passing)
    up = table["log2_fold_change"] > 0
    assert len(points(display, "up")) == (passing & up).sum()
    assert len(points(display, "down")) == (passing & ~up).sum()
    assert len(points(display, "not marked")) == (~passing).sum()
    shown = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert shown == [f"down ({(passing & ~up).sum()})", f"up ({(passing & up).sum()})"]


def test_positions_are_those_of_the_table(table):
    up = VolcanoDisplay.from_results(table, min_log2_fold_change=0.4)
    rows = table[up.passes & (table["log2_fold_change"] > 0).to_numpy()]
    expected = np.column_stack([rows["log2_fold_change"], -np.log10(rows["p_value"])])
    np.testing.assert_allclose(points(up, "up"), expected)
    ma = MADisplay.from_results(table, min_log2_fold_change=0.4)
    np.testing.assert_allclose(points(ma, "up"), rows[["mean_expression", "log2_fold_change"]])


def test_the_surest_genes_are_named(table):
    display = VolcanoDisplay.from_results(table, min_log2_fold_change=0.4, n_labels=3)
    marked = table[display.passes].sort_values("p_value")
    assert [text.get_text() for text in display.names_] == marked.index[:3].tolist()
    display = MADisplay.from_results(table, label_genes=[table.index[5]])
    assert [text.get_text() for text in display.names_] == [table.index[5]]


@pytest.mark.parametrize("figsize", [(3, 2.5), (6, 4.5)])
def test_names_do_not_cover_each_other(table, figsize):
    figure, ax = plt.subplots(figsize=figsize, layout="constrained")
    display = VolcanoDisplay.from_results(table, min_log2_fold_change=0.2, n_labels=25, ax=ax)
    for _ in range(2):
        figure.canvas.draw()
    boxes = [
        super(type(text), text).get_window_extent() for text in display.names_ if text.get_visible()
    ]
    assert boxes
    for i, box in enumerate(boxes):
        assert ax.bbox.contains(*box.min)
        assert ax.bbox.contains(*box.max)
        assert not any(box.overlaps(other) for other in boxes[:i])


def test_one_of_several_contrasts_is_drawn(contrasts):
    with pytest.raises(
        ValueError, match=r"The table holds 2 contrasts \(.*\); name one: contrast="
    ):
        VolcanoDisplay.from_results(contrasts)
    contrast = contrasts["contrast"].iloc[-1]
    display = VolcanoDisplay.from_results(contrasts, contrast=contrast)
    assert len(display.genes) == 400
    assert contrast in display.ax_.get_xlabel()
    with pytest.raises(ValueError, match="There is no contrast 'x'; the table holds"):
        MADisplay.from_results(contrasts, contrast="x")


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda t: t.to_numpy(), TypeError, "as differential_expression returns it was expected"),
        (lambda t: t.drop(columns="p_value"), ValueError, "The table lacks the columns 'p_value'"),
    ],
)
def test_what_is_no_table_of_tests_is_refused(table, change, error, message):
    with pytest.raises(error, match=message):
        VolcanoDisplay.from_results(change(table))
    with pytest.raises(ValueError, match="label_genes names genes that the table lacks: 'nogene'"):
        VolcanoDisplay.from_results(table, label_genes=["nogene"])


def test_given_axes_are_used(table, cohort):
    figure, axes = plt.subplots(1, 2)
    assert VolcanoDisplay.from_results(table, ax=axes[0]).figure_ is figure
    detector = SampleOutlierDetector(random_state=0).fit(cohort)
    assert SampleQCDisplay.from_estimator(detector, cohort, axes=axes).figure_ is figure
    assert plt.get_fignums() == [figure.number]


def test_boxes_and_components_are_those_of_the_detector(cohort):
    data = cohort.copy()
    data.X[3] *= 0.5
    detector = SampleOutlierDetector(random_state=0).fit(data)
    display = SampleQCDisplay.from_estimator(detector, data)
    expected = np.quantile(data.X, [0.05, 0.25, 0.5, 0.75, 0.95], axis=1).T
    np.testing.assert_allclose(display.quantiles, expected)
    np.testing.assert_allclose(display.components, detector.project(data))
    assert [text.get_text() for text in display.names_] == [data.obs_names[3]]
    ticks = [text.get_text() for text in display.axes_[0].get_xticklabels()]
    assert ticks == data.obs_names.tolist()


def test_a_method_without_components_has_one_panel(cohort):
    detector = SampleOutlierDetector("distribution").fit(cohort)
    assert len(SampleQCDisplay.from_estimator(detector, cohort).axes_) == 1
