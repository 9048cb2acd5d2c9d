"""The demo on a user's files: every way in which they may not fit is said plainly."""

import importlib
import importlib.util
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

DEMO = Path(__file__).resolve().parents[1] / "docs" / "demo"
sys.path.insert(0, str(DEMO))
intake = importlib.import_module("intake")
IntakeError = importlib.import_module("cohort").IntakeError


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
    spec = importlib.util.spec_from_file_location("demo_main", DEMO / "__main__.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.main(["--counts", "c.csv", "--label", "state"]) == 2
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
