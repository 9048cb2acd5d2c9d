"""The demo: what it reads, how it scores, and the whole job in small."""

import dataclasses
import importlib
import importlib.util
import json
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

DEMO = Path(__file__).resolve().parents[1] / "docs" / "demo"
sys.path.insert(0, str(DEMO))
cohort, intake, scores = map(importlib.import_module, ("cohort", "intake", "scores"))
data, explain, study = map(importlib.import_module, ("data", "explain", "study"))
wording = importlib.import_module("wording")
IntakeError = cohort.IntakeError


def command_line():
    """Load the module that ``python docs/demo`` runs."""
    spec = importlib.util.spec_from_file_location("demo_main", DEMO / "__main__.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# ------------------------------------------------------------------ a user's files


def tables(n=48, n_genes=30, n_batches=2, seed=0):
    """Counts, samples and lengths that fit together."""
    rng = np.random.default_rng(seed)
    names = [f"s{i:02d}" for i in range(n)]
    genes = [f"g{i}" for i in range(n_genes)]
    counts = pd.DataFrame(rng.poisson(80, (n_genes, n)), genes, names)
    samples = pd.DataFrame(
        {
            "state": np.where(np.arange(n) % 2, "case", "control"),
            "site": np.array(["A", "B", "C", "D"])[np.arange(n) // 2 % n_batches],
        },
        names,
    )
    lengths = pd.DataFrame({"length": rng.integers(300, 5000, n_genes)}, genes)
    return counts, samples, lengths


@pytest.fixture
def read(tmp_path):
    """Write the tables that are given, and read them as a user's files."""

    def reader(counts=None, samples=None, lengths=None, **options):
        made = tables()
        given = [made[i] if t is None else t for i, t in enumerate((counts, samples, lengths))]
        paths = [tmp_path / f"{name}.csv" for name in ("counts", "samples", "lengths")]
        for table, path in zip(given, paths, strict=True):
            if isinstance(table, str):
                path.write_text(table)
            else:
                table.to_csv(path)
        options = {"label": "state", "batch": "site", "lengths": paths[2]} | options
        return intake.read_files(paths[0], paths[1], **options)

    return reader


def refuses(message):
    return pytest.raises(IntakeError, match=f"^{re.escape(message)}$")


def test_reads_files_that_fit(read):
    counts, samples, lengths = tables()
    made = read(samples=samples.sample(frac=1, random_state=0), lengths=lengths[::-1])
    assert made.adata.shape == (48, 30)
    np.testing.assert_array_equal(made.adata.X, counts.T)
    np.testing.assert_array_equal(made.adata.var["length"], lengths["length"])
    np.testing.assert_array_equal(made.column("state"), samples["state"])
    assert made.external is None
    assert made.no_external == (
        "There is no external test: 'site' has 2 batches, and keeping one for the end would leave "
        "a single batch to train on, so nothing to correct for. Three batches or more are needed."
    )


def test_reads_tabs_gzip_and_integer_names(tmp_path):
    counts, samples, _ = tables()
    counts.index = range(100, 100 + len(counts))
    counts.to_csv(tmp_path / "counts.tsv.gz", sep="\t")
    samples.to_csv(tmp_path / "samples.csv", sep=";")
    made = intake.read_files(
        tmp_path / "counts.tsv.gz",
        tmp_path / "samples.csv",
        label="state",
        batch="site",
        lengths="none",
    )
    assert list(made.adata.var_names[:2]) == ["100", "101"]
    assert made.equal_lengths
    assert "length" not in made.adata.var


def test_takes_lengths_that_lack_genes_only_when_asked(read):
    _, _, lengths = tables()
    with refuses(
        "2 of 30 genes have no length in lengths.csv: 'g0', 'g1'. Add them, drop these genes with "
        "--drop-genes-without-length (make: ARGS=...), or give LENGTHS=none if lengths do not "
        "matter (3′ counting, UMIs)."
    ):
        read(lengths=lengths[2:])
    made = read(lengths=lengths[2:], drop_genes_without_length=True)
    assert made.adata.n_vars == 28
    assert made.notes[0].startswith(
        "2 of 30 genes have no length in lengths.csv and were dropped by name; they hold "
    )


def changed(table, **columns):
    return table.assign(**columns)


def duplicated_column(table):
    table = table.copy()
    table.columns = ["s00", *table.columns[:-1]]
    return table


C, S, L = tables()
SAME = "the effect of the batch and that of the class cannot be told apart"
REFUSALS = {
    "transposed": (
        {"counts": C.T},
        "counts.csv is transposed: it has the samples of samples.csv in its rows, and they are "
        "expected in its columns, with genes in rows. In pandas: pd.read_csv('counts.csv', "
        "index_col=0).T.to_csv('transposed.csv').",
    ),
    "other samples": (
        {"samples": S.rename(lambda name: f"x{name}")},
        "No sample of samples.csv is in counts.csv: one has 'xs00', 'xs01', 'xs02' and 45 more, "
        "the other 's00', 's01', 's02' and 45 more. Use the same names in both.",
    ),
    "names rewritten by R": (
        {"samples": S.rename(lambda n: f"1-{n}"), "counts": C.rename(columns=lambda n: f"X1.{n}")},
        "No sample of samples.csv is in counts.csv: one has '1-s00', '1-s01', '1-s02' and 45 more, "
        "the other 'X1.s00', 'X1.s01', 'X1.s02' and 45 more. R rewrote the names in one of them: "
        "read it there with check.names=FALSE.",
    ),
    "names in another column": (
        {"samples": S.rename_axis("name").reset_index()},
        "No sample of samples.csv is in counts.csv: one has '0', '1', '2' and 45 more, the other "
        "'s00', 's01', 's02' and 45 more. The sample names are in its column 'name': move that "
        "column to the front.",
    ),
    "some samples missing": (
        {"samples": S[1:], "counts": C.drop(columns=["s05", "s06"])},
        "2 of 47 samples of samples.csv are not in counts.csv: 's05', 's06'; 1 of 46 columns of "
        "counts.csv are not in samples.csv: 's00'. Remove them, or add what is missing.",
    ),
    "no label column": (
        {"label": "disease"},
        "samples.csv has no column 'disease' (given as LABEL); its columns are 'state', 'site'.",
    ),
    "no batch column": (
        {"batch": "lab"},
        "samples.csv has no column 'lab' (given as BATCH); its columns are 'state', 'site'.",
    ),
    "no donor column": (
        {"donor": "person"},
        "samples.csv has no column 'person' (given as DONOR); its columns are 'state', 'site'.",
    ),
    "one class": (
        {"samples": changed(S, state="case")},
        "'state' has one class only ('case') in samples.csv: there is nothing to tell apart. Name "
        "a column with two classes or more.",
    ),
    "one batch": (
        {"samples": changed(S, site="A")},
        "'site' has one value only ('A') in samples.csv: there is no batch to correct for or to "
        "compare. Name a column with two batches or more.",
    ),
    "missing labels": (
        {"samples": changed(S, state=S["state"].where(np.arange(48) > 1))},
        "'state' is missing for 2 of 48 samples of samples.csv: 's00', 's01'. Fill it in or remove "
        "these samples from both files.",
    ),
    "missing batches": (
        {"samples": changed(S, site=S["site"].where(np.arange(48) > 0))},
        "'site' is missing for 1 of 48 samples of samples.csv: 's00'. Fill it in or remove these "
        "samples from both files.",
    ),
    "too many classes": (
        {"samples": changed(S, state=np.arange(48) / 7)},
        "'state' has 48 different values in 48 samples of samples.csv: this job predicts classes, "
        "20 at most. Group the values, or name another column.",
    ),
    "few of a class": (
        {"samples": changed(S, state=np.where(np.arange(48) < 4, "case", "control"))},
        "Too few samples of a class of 'state' in the 48 training samples: 'case' has 4. Nested "
        "cross-validation needs 10 of each; drop the class or merge it with another.",
    ),
    "few in a batch": (
        {"samples": changed(S, site=np.where(np.arange(48) < 3, "A", "B"))},
        "Too few samples in a batch of 'site' in the 48 training samples: 'A' has 3. Every "
        "training fold must hold some of each batch, so a batch needs 6; drop it or merge it with "
        "another.",
    ),
    "label is batch": (
        {"batch": "state"},
        "LABEL and BATCH are the same column, 'state': correcting for it would remove what is to "
        "be predicted. Name the column that says where each sample was measured.",
    ),
    "label equals batch": (
        {"samples": changed(S, site=np.where(S["state"] == "case", "A", "B"))},
        f"LABEL 'state' and BATCH 'site' divide the samples of samples.csv in the same way: {SAME}.",
    ),
    "batches of one class": (
        {"samples": changed(S, site=S["state"] + (np.arange(48) // 24).astype(str))},
        f"Every batch of 'site' holds one class of 'state' only, in the 48 training samples: {SAME}"
        ", and correcting one removes the other. Use batches that mix the classes.",
    ),
    "duplicated genes": (
        {"counts": C.rename({"g1": "g0", "g3": "g2"})},
        "counts.csv has 2 row names more than once: 'g0', 'g2'. Its first column must name each "
        "row once.",
    ),
    "duplicated samples in counts": (
        {"counts": duplicated_column(C)},
        "counts.csv has 1 column names more than once: 's00'. Rename or remove the repeated "
        "columns.",
    ),
    "duplicated samples in the sheet": (
        {"samples": S.rename({"s01": "s00"})},
        "samples.csv has 1 row names more than once: 's00'. Its first column must name each row "
        "once.",
    ),
    "text": (
        {"counts": changed(C.astype(object), s03=["n/d", *C["s03"][1:]])},
        "counts.csv holds text where counts are expected: 'n/d' (gene 'g0', sample 's03'), and "
        "such values in 1 of 48 columns. All columns but the first must be samples.",
    ),
    "missing counts": (
        {"counts": changed(C, s03=[np.nan, *C["s03"][1:]])},
        "counts.csv has 1 missing or infinite values, the first for gene 'g0' in sample 's03'. Raw "
        "counts are expected.",
    ),
    "negative": (
        {"counts": changed(C, s03=[-1, *C["s03"][1:]])},
        "counts.csv has 1 negative values, the first for gene 'g0' in sample 's03'. Raw counts are "
        "expected.",
    ),
    "no counts": (
        {"counts": changed(C, s03=0)},
        "1 samples of counts.csv have no counts at all: 's03'. Remove them from both files.",
    ),
    "CPM": (
        {"counts": C / C.sum() * 1e6},
        "Every sample of counts.csv sums to the same (1e+06): these are CPM, TPM or the like, and "
        "raw counts are expected.",
    ),
    "logarithms": (
        {"counts": np.log2(C)},
        f"The largest value of counts.csv is {np.log2(C).max().max():.3g}, and values are not "
        "whole: these look like logarithms, and raw counts are expected.",
    ),
    "other genes": (
        {"lengths": L.rename(lambda gene: f"ENSG{gene}")},
        "No gene of the counts is in lengths.csv: one has 'g0', 'g1', 'g2' and 27 more, the other "
        "'ENSGg0', 'ENSGg1', 'ENSGg2' and 27 more. Use the same kind of gene names in both.",
    ),
    "versions of genes": (
        {"lengths": L.rename(lambda gene: f"{gene}.3")},
        "No gene of the counts is in lengths.csv: one has 'g0', 'g1', 'g2' and 27 more, the other "
        "'g0.3', 'g1.3', 'g2.3' and 27 more. They agree without the version after the dot: remove "
        "it in both.",
    ),
    "no length column": (
        {"lengths": changed(L.rename(columns={"length": "bases"}), gc=0.5)},
        "lengths.csv has no column 'length'; its columns are 'bases', 'gc'. Name the column with "
        "the gene lengths 'length'.",
    ),
    "lengths of zero": (
        {"lengths": L.mask(L.index.to_numpy()[:, None] == "g4", 0)},
        "lengths.csv has lengths of 0 or less, for 'g4'.",
    ),
    "lengths in words": (
        {"lengths": L.astype(object).mask(L.index.to_numpy()[:, None] == "g4", "long")},
        "lengths.csv has lengths that are not numbers, for 'g4'.",
    ),
    "empty": ({"counts": ""}, "counts.csv is empty (given as --counts)."),
    "one column": (
        {"samples": "s00\ns01\n"},
        "samples.csv has one column only. A table with commas, tabs or semicolons between its "
        "columns is expected.",
    ),
    "no external batch of that name": (
        {"external": "Z"},
        "There is no batch 'Z' in 'site' (given as --external); it has 'A', 'B'.",
    ),
    "an external batch that leaves one": (
        {"external": "A"},
        "site 'A' cannot be the external test: it would leave a single batch to train on.",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_says_how_files_do_not_fit(case, read):
    given, message = REFUSALS[case]
    with refuses(message):
        read(**given)


def test_says_which_file_is_not_there(tmp_path):
    with refuses("There is no file 'nowhere.csv' (given as --samples)."):
        intake.read_files("c.csv", "nowhere.csv", label="a", batch="b", lengths="none")


def test_refuses_spreadsheets_and_ragged_tables(read, tmp_path):
    with pytest.raises(IntakeError, match=r"^counts\.csv is no regular table: .*as the first\.$"):
        read(counts=C.to_csv() + "g99,1,2,3" + ",4" * 60 + "\n")
    (tmp_path / "book.csv").write_bytes(b"PK\x03\x04\xff\xfe\x00\x81")
    with refuses(
        "book.csv is no text (given as --samples): a table as CSV or TSV is expected, plain or "
        "with .gz; a spreadsheet can be saved as CSV."
    ):
        intake.read_files("c.csv", tmp_path / "book.csv", label="a", batch="b", lengths="none")


def test_says_which_arguments_are_missing(capsys):
    assert command_line().main(["--counts", "c.csv", "--label", "state"]) == 2
    assert capsys.readouterr().err == (
        "error: A run on your own files needs COUNTS, SAMPLES, LABEL, BATCH, LENGTHS; missing: "
        "SAMPLES, BATCH, LENGTHS. (LENGTHS=none takes gene lengths as equal.)\n"
    )


def test_keeps_the_smallest_batch_that_can_be_spared():
    _, samples, _ = tables(72, n_batches=3)
    samples["donor"] = samples.index
    samples.loc[samples.index[:4], "site"] = "B"
    name, why = intake.choose_external(samples, "state", "site", "donor")
    assert name == "A"
    assert why.startswith("The external test is site 'A' (22 samples): the smallest batch with")
    # Donors who are in other batches too do not count.
    inside = samples["site"] == "A"
    samples.loc[inside, "donor"] = samples["donor"][~inside].iloc[: inside.sum()].to_numpy()
    assert intake.choose_external(samples, "state", "site", "donor")[0] == "C"


def test_names_donors_apart_from_a_column_of_that_name(read):
    made = read(samples=changed(S, donor="same"))
    assert made.donor == "sample_as_donor"
    assert made.notes[-1] == (
        "No donor column was named: every sample is taken as a donor of its own. If the column "
        "'donor' names donors, say so with --donor donor."
    )


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
    assert found.gap < (1e-12 if kind == 0 else 0.15)
    assert set(found.genes) <= set(simulated.adata.var_names)
    assert explain.kinds_of(simulated, found.genes[found.top(1)])[0]


def test_linear_shap_values_are_those_one_can_compute_by_hand():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 3))
    model = LogisticRegression().fit(x, x[:, 0] > 0)
    values, _ = explain._linear(model, x, x)
    np.testing.assert_allclose(values[..., 0], model.coef_ * (x - x.mean(axis=0)), atol=1e-12)


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
