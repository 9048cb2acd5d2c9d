"""The demo: how it splits, scores and explains, and the whole job in small."""

import dataclasses
import importlib
import importlib.util
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

DEMO = Path(__file__).resolve().parents[1] / "docs" / "demo"
sys.path.insert(0, str(DEMO))
cohort, scores = map(importlib.import_module, ("cohort", "scores"))
data, explain, study = map(importlib.import_module, ("data", "explain", "study"))
wording = importlib.import_module("wording")


def command_line():
    """Load the module that ``python docs/demo`` runs."""
    spec = importlib.util.spec_from_file_location("demo_main", DEMO / "__main__.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# ------------------------------------------------------------------ scores


def test_scores_equal_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    y = rng.choice(["a", "b"], 60)
    decision = np.round(rng.normal(size=60), 1)
    weights = scores.donor_weights(np.arange(60), np.zeros(60), n_resamples=5)
    assert scores.auc(y == "b", decision)[0] == pytest.approx(roc_auc_score(y, decision))
    predicted = np.where(decision > 0, "b", "a")
    for w, a, b in zip(
        weights,
        scores.auc(y == "b", decision, weights),
        scores.balanced_accuracy(y, predicted, ["a", "b"], weights),
        strict=True,
    ):
        assert a == pytest.approx(roc_auc_score(y, decision, sample_weight=w))
        assert b == pytest.approx(balanced_accuracy_score(y, predicted, sample_weight=w))


def test_scores_of_three_classes_equal_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    y = rng.choice(["a", "b", "c"], 60)
    p = rng.dirichlet([1, 1, 1], 60)
    expected = roc_auc_score(y, p, multi_class="ovr")
    assert scores.macro_auc(y, p, np.array(["a", "b", "c"]))[0] == pytest.approx(expected)


def test_draws_whole_donors_within_their_batch():
    donors = np.repeat(np.arange(20), 3)
    batches = np.repeat(["A", "B"], 30)
    weights = scores.donor_weights(donors, batches, n_resamples=50)
    by_donor = weights.reshape(50, 20, 3)
    assert (by_donor == by_donor[:, :, :1]).all()
    assert (by_donor[:, :10, 0].sum(axis=1) == 10).all()
    assert (by_donor[:, 10:, 0].sum(axis=1) == 10).all()


def test_interval_covers_as_often_as_it_says():
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(200):
        x = rng.normal(0.3, 1, 80)
        w = scores.donor_weights(np.arange(80), np.zeros(80), n_resamples=300, random_state=rng)
        low, high = scores.interval(w @ x / 80)
        covered += low <= 0.3 <= high
    assert 180 <= covered <= 199


def test_exact_interval_of_a_share():
    assert scores.count_interval(31, 31) == pytest.approx((0.8878, 1), abs=1e-4)
    assert scores.count_interval(5, 10) == pytest.approx((0.1871, 0.8129), abs=1e-4)


# ------------------------------------------------------------------ folds, permutations, genes


@pytest.fixture(scope="module")
def simulated():
    made = data.simulated("It is a test.", n_samples=90, n_genes=150, effect_size=1.5)
    made.adata.obs["region"] = made.adata.obs["batch"].map(
        {"batch1": "north", "batch2": "south", "batch3": "south"}
    )
    return made


def test_folds_keep_donors_together_and_batches_whole(simulated):
    donors = np.array([f"d{i // 2}" for i in range(90)])
    adata = simulated.adata.copy()
    adata.obs["donor"] = donors
    copy = cohort.Cohort(adata, "condition", "batch", "donor", "", "")
    rows = np.arange(90)
    folds = study.donor_folds(copy, rows, 5)
    assert sorted(np.concatenate([test for _, test in folds])) == list(rows)
    for train, test in folds:
        assert not set(donors[train]) & set(donors[test])
        assert set(copy.column("batch")[train]) == {"batch1", "batch2", "batch3"}
        assert 16 <= len(test) <= 20


def test_permutes_labels_within_batches_only(simulated):
    rows = study.rows_of(simulated, simulated.is_training)
    y = study.permute_labels(simulated, rows, np.random.default_rng(0))
    batches = simulated.column("batch")[rows.where]
    assert (y != rows.y).any()
    for batch in np.unique(batches):
        assert sorted(y[batches == batch]) == sorted(rows.y[batches == batch])


def test_an_external_donor_who_is_in_training_counts_as_shared(simulated):
    adata = simulated.adata.copy()
    donors = adata.obs["donor"].astype(str).to_numpy()
    inside = np.flatnonzero(simulated.is_external)[:3]
    donors[inside] = donors[np.flatnonzero(simulated.is_training)[:3]]
    adata.obs["donor"] = donors
    copy = cohort.Cohort(adata, "condition", "batch", "donor", "", "", external="batch3")
    np.testing.assert_array_equal(np.flatnonzero(copy.is_shared), inside)


@pytest.mark.parametrize("kind", [0, 1, 2], ids=["logistic", "autoencoder", "MLP"])
def test_shap_values_add_up_and_find_the_genes(simulated, kind):
    rows = study.rows_of(simulated, simulated.is_training)
    model = study.build_grid(simulated)[kind]["model"][0]
    pipeline = study.build_pipeline(simulated).set_params(model=model, variable__n_genes=60)
    pipeline.fit(rows.counts, rows.y)
    found = explain.explain(pipeline, rows.counts, rows.counts)
    assert found.values.shape == (len(rows), 60, 1)
    assert found.gap < (1e-12 if kind == 0 else 1e-6)
    assert set(found.genes) <= set(simulated.adata.var_names)
    assert explain.kinds_of(simulated, found.genes[found.top(1)])[0]


def test_linear_shap_values_are_those_one_can_compute_by_hand(simulated):
    rows = study.rows_of(simulated, simulated.is_training)
    pipeline = study.build_pipeline(simulated).set_params(variable__n_genes=60)
    pipeline.fit(rows.counts, rows.y)
    found = explain.explain(pipeline, rows.counts, rows.counts)
    x = pipeline[:-1].transform(rows.counts)
    assert found.genes.tolist() == pipeline[:-1].get_feature_names_out().tolist()
    np.testing.assert_array_equal(found.expression, x)
    by_hand = pipeline[-1].coef_ * (x - x.mean(axis=0))
    np.testing.assert_allclose(found.values[..., 0], by_hand, atol=1e-9)


# ------------------------------------------------------------------ the whole job, in small


@pytest.fixture(scope="module")
def output(simulated, tmp_path_factory):
    """Run the whole job on a small cohort; return its folder and what was found."""
    from types import SimpleNamespace

    figures, job, report, summary = map(
        importlib.import_module, ("figures", "job", "report", "summary")
    )
    folder = tmp_path_factory.mktemp("demo_output")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "N_OUTER": 2,
            "N_INNER": 2,
            "N_PERMUTATIONS": 6,
            "N_GENES": (40, 80),
        }.items():
            patch.setattr(study, name, value)
        patch.setattr(study, "N_JOBS", 1)
        patch.setattr(job, "N_PCA_GENES", 50)
        ticks = []
        bar = SimpleNamespace(set_description=lambda _: None, update=lambda: ticks.append(1))
        results = job.run_job(simulated, bar)
        assert len(ticks) == job.n_steps(simulated)
        metrics = json.loads(json.dumps(summary.summarise(results, 1.0), allow_nan=False))
    files = figures.draw_all(results, folder)
    report.write_report(folder / "report.html", metrics, files, "The model is here.")
    return folder, metrics, results, files


def test_job_finds_the_signal_and_says_so(output):
    _, metrics, _, _ = output
    headline, reasons = wording.verdict(metrics)
    assert headline == (
        "Yes: condition is predicted from expression, and it carries over to batch3."
    )
    assert len(reasons) == 4
    pooled = metrics["nested"]["chosen by the search"]["pooled"]
    assert pooled["n"] == 60
    assert pooled["auc"]["low"] <= pooled["auc"]["value"] <= pooled["auc"]["high"]
    assert metrics["permuted"]["auc"]["pooled"]["most"] < pooled["auc"]["value"]


def test_job_meets_the_new_batch_in_three_ways(output):
    _, metrics, _, _ = output
    ways = metrics["external"]["ways"]
    assert list(ways) == [
        "trained uncorrected",
        "ComBat, new batch passed through",
        "ComBat, new batch estimated",
    ]
    assert all(scores["n"] == 30 for scores in ways.values())
    assert "'batch3'" in ways["ComBat, new batch passed through"]["warned"][0]


def test_job_compares_every_model_and_correction(output):
    _, metrics, _, _ = output
    assert list(metrics["nested"]) == [
        "chosen by the search",
        "logistic regression only",
        "autoencoder + logistic only",
        "MLP only",
        "no correction only",
        "ComBat only",
    ]


def test_job_leaves_the_known_genes_out(output):
    _, metrics, results, _ = output
    known = results.cohort.gene_sets[results.cohort.left_out]
    assert metrics["without"]["n_removed"] == len(known)
    assert not set(results.without.explanation.genes) & known


def test_limits_name_what_follows_the_batch(output):
    _, metrics, _, _ = output
    heads = dict(wording.limits(metrics))
    assert heads["Batch and region cannot be told apart."] == (
        "Every batch has one region only: batch1 is north, batch2 is south and batch3 is south. "
        "What sets batch1 apart may be its batch or its region (north). ComBat takes out both "
        "together, and no analysis of these data can say which of them it was."
    )
    counts = metrics["data"]["external"]["new"]["classes"]
    assert (
        f"The external test has {counts['class1']} class1 and {counts['class2']} class2 samples of new donors."
        in heads
    )


def test_report_holds_everything_and_asks_for_nothing(output):
    folder, metrics, _, files = output
    text = (folder / "report.html").read_text()
    assert text.count("data:image/png;base64,") == len(files) == 6
    assert not re.search(r"(src|href)=\"(?!data:)", text)
    assert "<script" not in text
    for said in (*wording.verdict(metrics)[1], "What cannot be told apart", "It is a test."):
        assert said.replace("'", "&#x27;") in text
    assert all(path.stat().st_size > 5000 for path in files.values())


def test_a_model_of_no_gene_is_reported_as_such(output, tmp_path):
    _, metrics, results, _ = output
    empty = results.run.explanation
    empty = explain.Explanation(empty.genes, empty.values * 0, empty.expression, 0.0, "none")
    run = dataclasses.replace(results.run, explanation=empty)
    figures, summary = map(importlib.import_module, ("figures", "summary"))
    figures._genes_figure(results.cohort, run).savefig(tmp_path / "genes.png")
    made = {**metrics, "without": None, "genes": summary._genes(results.cohort, run)}
    assert wording._rests_on(made) == "The model uses none of the 40 genes that enter it."


def test_figures_are_the_same_every_time(output, tmp_path):
    _, _, results, files = output
    again = importlib.import_module("figures").draw_all(results, tmp_path)
    for name, path in files.items():
        assert again[name].read_bytes() == path.read_bytes(), name


def test_model_file_predicts_the_same(output, tmp_path):
    _, _, results, _ = output
    note = command_line().write_model(results, tmp_path / "model.skops")
    assert note.endswith("its predictions of the training samples are the same.")


def test_says_no_where_there_is_nothing():
    chance = {"auc": {"pooled": {"as_high": 8, "most": 0.7}}, "n": 20}
    score = {"value": 0.6, "low": 0.52, "high": 0.68}
    metrics = {
        "data": {"label": "state", "classes": ["a", "b"]},
        "nested": {"chosen by the search": {"pooled": {"auc": score}}},
        "permuted": chance,
    }
    assert wording._headline(metrics) == "No: state is not predicted beyond chance."


# ------------------------------------------------------------------ the real data


def test_real_data_drop_genes_without_length(shared, monkeypatch):
    monkeypatch.setenv("GENEEXPR_DATA", str(shared / "data"))
    made = data.load_cohort()
    assert made.adata.shape == (170, 40279)
    assert made.notes[0].startswith(
        "12,301 of 52,580 genes have no length and were dropped by name"
    )
    assert made.is_shared.sum() == 29
    new = made.column("sex")[made.is_external & ~made.is_shared]
    assert dict(zip(*np.unique(new, return_counts=True), strict=True)) == {"female": 22, "male": 9}
    assert len(made.gene_sets[data.SEX_LINKED]) == 32


def test_without_real_data_it_says_so_and_simulates(monkeypatch):
    from geneexpr import datasets

    def unavailable():
        raise datasets.DatasetUnavailableError("nothing there")

    monkeypatch.setattr(datasets, "fetch_hapmap_lcl", unavailable)
    made = data.load_cohort()
    assert made.notes[0] == (
        "The real data could not be had: GENEEXPR_DATA names no folder that holds them, and they "
        "could not be downloaded. Simulated counts take their place."
    )
    assert made.external == "batch3"
