"""Figures of the report and of the audit: what is drawn, on which axes, from what."""

import subprocess
import sys

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

import geneexpr
from geneexpr import (
    BatchEffectDisplay,
    ComBatCorrector,
    CPMNormalizer,
    LeakageAuditDisplay,
    LogTransformer,
    ToArray,
    batch_effect_report,
    leakage_audit,
    make_cohort,
)
from geneexpr.plotting._batch_effects import scaled_effects

plt = pytest.importorskip("matplotlib.pyplot")
OPTIONS = {"batch_key": "batch", "condition": "condition"}


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def reports():
    cohort = make_cohort(60, 100, n_batches=3, random_state=0)
    X = LogTransformer().fit_transform(CPMNormalizer().fit_transform(cohort))
    after = ComBatCorrector(batch_key="batch").fit_transform(X)
    return [batch_effect_report(data, **OPTIONS) for data in (X, after)]


@pytest.fixture(scope="module")
def audits():
    cohort = make_cohort(60, 30, n_batches=3, effect_size=3, random_state=0)
    y = cohort.obs["condition"].to_numpy()
    leaky = ComBatCorrector(batch_key="batch", covariate_keys=["condition"], allow_outcome=True)
    tail = (ToArray(), LogisticRegression(C=0.01, max_iter=1000))
    prepare = (CPMNormalizer(), LogTransformer())
    return [
        leakage_audit(
            make_pipeline(*prepare, *steps, *tail), cohort, y, batch_key="batch", n_permutations=3
        )
        for steps in ((), (leaky,))
    ]


def test_before_and_after_are_drawn(reports):
    display = BatchEffectDisplay.from_reports(*reports)
    assert len(display.axes_) == 5
    first = display.axes_[0]
    assert first.get_title(loc="left") == "before"
    assert display.axes_[1].get_title(loc="left") == "after"
    drawn = [len(points.get_offsets()) for points in first.collections]
    assert drawn == [20, 20, 20]
    said = [text.get_text() for text in first.get_legend().get_texts()]
    assert said == ["batch1", "batch2", "batch3"]
    measures = display.axes_[-1]
    names = [tick.get_text() for tick in measures.get_yticklabels()]
    assert set(names) == set(reports[0].measures.index)
    numbers = {text.get_text() for text in measures.texts}
    for report in reports:
        assert {f"{value:.2f}" for value in report.measures["value"]} <= numbers


def test_a_report_without_classes_has_two_panels():
    cohort = make_cohort(40, 50, n_batches=2, random_state=0)
    report = batch_effect_report(cohort, batch_key="batch")
    display = BatchEffectDisplay.from_reports(report)
    assert len(display.axes_) == 2
    _, axes = plt.subplots(1, 2)
    assert BatchEffectDisplay.from_reports(report, axes=axes).figure_ is axes[0].figure
    with pytest.raises(ValueError, match="This figure has 2 panels; got 1 axes"):
        BatchEffectDisplay.from_reports(report, axes=axes[:1])


def test_many_batches_get_no_legend():
    cohort = make_cohort(100, 50, n_batches=10, random_state=0)
    report = batch_effect_report(cohort, batch_key="batch")
    ax = BatchEffectDisplay.from_reports(report).axes_[0]
    assert ax.get_legend() is None
    assert ax.texts[0].get_text().startswith("10 levels of batch: 'batch01', 'batch02' and 8 more")


def test_effects_are_scaled_to_no_effect_and_apart(reports):
    before, after = (scaled_effects(report.measures) for report in reports)
    assert len(before) == 6
    assert (before > after).all()
    assert before.max() <= 1
    table = reports[0].measures.copy()
    table["value"] = table["no_batch_effect"]
    np.testing.assert_array_equal(scaled_effects(table), 0)
    table["value"] = table["batches_apart"]
    np.testing.assert_array_equal(scaled_effects(table), 1)


def test_the_audit_is_drawn(audits):
    clean, leaky = (LeakageAuditDisplay.from_audit(audit) for audit in audits)
    scores = clean.audit.scores["score"]
    texts = [text.get_text() for text in clean.axes_[0].texts]
    kinds = ["pooled", "within batches", "left-out batches"]
    assert texts == [f"{scores[kind]:.2f}" for kind in kinds]
    assert clean.axes_[0].get_xlabel() == "AUC"
    assert clean.figure_.get_suptitle() == "No sign of leakage"
    assert leaky.figure_.get_suptitle().startswith("Do not trust the pooled score")
    assert leaky.axes_[0].texts[-1].get_text().strip() == "no score"
    steps = {text.get_text(): text for text in leaky.axes_[1].texts}
    assert steps["combatcorrector"].get_color() != steps["toarray"].get_color()
    assert "red name: reads the outcome" in leaky.axes_[1].get_xlabel().replace("\n", " ")


def test_axes_that_are_given_are_used(audits):
    figure, axes = plt.subplots(1, 2)
    display = LeakageAuditDisplay.from_audit(audits[0], axes=axes)
    assert display.figure_ is figure
    assert figure.get_suptitle() == ""


def test_what_is_no_result_is_refused(reports):
    with pytest.raises(TypeError, match="A result of leakage_audit was expected, got dict"):
        LeakageAuditDisplay.from_audit({})
    with pytest.raises(TypeError, match="batch_effect_report returns them were expected, got int"):
        BatchEffectDisplay.from_reports(reports[0], 3)
    with pytest.raises(ValueError, match="names must name 2 reports; got 1"):
        BatchEffectDisplay.from_reports(*reports, names=["raw"])


def test_importing_a_display_loads_no_matplotlib():
    code = (
        "from geneexpr import BatchEffectDisplay, LeakageAuditDisplay; import sys; "
        "print('matplotlib' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"
    assert "BatchEffectDisplay" in geneexpr.__all__
