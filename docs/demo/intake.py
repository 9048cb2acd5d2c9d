"""Read a user's files into one AnnData, and say plainly where they do not fit together."""

import csv
import gzip
from pathlib import Path

import numpy as np
import pandas as pd
from cohort import LEAST_EXTERNAL, Cohort, IntakeError, check_groups, some

MOST_CLASSES = 20


def read_files(
    counts,
    samples,
    *,
    label,
    batch,
    lengths,
    donor=None,
    external=None,
    drop_genes_without_length=False,
):
    """Return the cohort that three files describe.

    Parameters
    ----------
    counts : path
        Genes in rows (first column: their names), samples in columns.
    samples : path
        One row a sample (first column: its name), annotations in columns.
    label, batch : str
        Columns of ``samples``: what to predict, and where the sample was measured.
    lengths : path or "none"
        Gene and length in bases; "none" for 3′ counting and UMIs.
    donor : str, optional
        Column of ``samples`` that names the donor; None: every sample is a donor.
    external : str, optional
        The batch to keep for the end.
    drop_genes_without_length : bool
        Drop genes that ``lengths`` does not have, instead of raising.
    """
    sheet = _read_sheet(samples)
    _check_columns(sheet, samples, label=label, batch=batch, donor=donor)
    table = _read_counts(counts)
    _check_names(table, sheet, Path(counts).name, Path(samples).name)
    sheet = sheet.loc[table.columns]
    _check_counts(table, Path(counts).name)
    table, length, notes = _with_lengths(table, lengths, drop_genes_without_length)
    if donor is None:
        donor, sheet = _own_donors(sheet, notes)
    cohort = Cohort(
        adata=_to_anndata(table, sheet, length),
        label=label,
        batch=batch,
        donor=donor,
        title=f"{label[:1].upper()}{label[1:]} from {Path(counts).name}",
        source=f"{Path(counts).name} and {Path(samples).name}",
        equal_lengths=length is None,
        notes=notes,
    )
    cohort.external, why = choose_external(sheet, label, batch, donor, external)
    if cohort.external is None:
        cohort.no_external = why
    else:
        notes.append(why)
    training = sheet[sheet[batch] != cohort.external]
    check_groups(training, label, batch, donor, f"the {len(training)} training samples")
    return cohort


def _own_donors(sheet, notes):
    """Take every sample as a donor of its own, under a name that is free."""
    name = "donor" if "donor" not in sheet else "sample_as_donor"
    note = "No donor column was named: every sample is taken as a donor of its own."
    if name != "donor":
        note += " If the column 'donor' names donors, say so with --donor donor."
    notes.append(note)
    return name, sheet.assign(**{name: sheet.index})


# ------------------------------------------------------------------ files


def _header(path, option):
    """Return the first line of a table and its separator."""
    path = Path(path)
    if not path.is_file():
        raise IntakeError(f"There is no file {str(path)!r} (given as {option}).")
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8-sig", newline="") as lines:
            first = lines.readline()
    except (UnicodeDecodeError, gzip.BadGzipFile) as error:
        raise IntakeError(
            f"{path.name} is no text (given as {option}): a table as CSV or TSV is expected, plain "
            "or with .gz; a spreadsheet can be saved as CSV."
        ) from error
    if not first.strip():
        raise IntakeError(f"{path.name} is empty (given as {option}).")
    separator = max("\t,;", key=first.count)
    if separator not in first:
        raise IntakeError(
            f"{path.name} has one column only. A table with commas, tabs or semicolons between "
            "its columns is expected."
        )
    return next(csv.reader([first], delimiter=separator)), separator


def _read(path, option, **kwargs):
    header, separator = _header(path, option)
    twice = pd.Index(header[1:])
    twice = twice[twice.duplicated()].unique()
    if len(twice):
        raise IntakeError(
            f"{Path(path).name} has {len(twice)} column names more than once: {some(twice)}. "
            "Rename or remove the repeated columns."
        )
    try:
        table = pd.read_csv(
            path, sep=separator, index_col=0, encoding="utf-8-sig", low_memory=False, **kwargs
        )
    except pd.errors.ParserError as error:
        raise IntakeError(
            f"{Path(path).name} is no regular table: {str(error).strip()}. Every row must have as "
            "many fields as the first."
        ) from error
    table.index = table.index.astype(str)
    table.columns = table.columns.astype(str)
    if not table.index.is_unique:
        twice = table.index[table.index.duplicated()].unique()
        raise IntakeError(
            f"{Path(path).name} has {len(twice)} row names more than once: {some(twice)}. "
            "Its first column must name each row once."
        )
    return table


def _read_sheet(path):
    return _read(path, "--samples", dtype=str)


def _read_counts(path):
    return _read(path, "--counts")


# ------------------------------------------------------------------ the sample sheet


def _check_columns(sheet, path, *, label, batch, donor):
    file = Path(path).name
    named = {"LABEL": label, "BATCH": batch} | ({} if donor is None else {"DONOR": donor})
    for option, column in named.items():
        if column not in sheet:
            raise IntakeError(
                f"{file} has no column {column!r} (given as {option}); "
                f"its columns are {some(sheet.columns, 8)}."
            )
        missing = sheet.index[sheet[column].isna()]
        if len(missing):
            raise IntakeError(
                f"{column!r} is missing for {len(missing)} of {len(sheet)} samples of {file}: "
                f"{some(missing)}. Fill it in or remove these samples from both files."
            )
    if label == batch:
        raise IntakeError(
            f"LABEL and BATCH are the same column, {label!r}: correcting for it would remove what "
            "is to be predicted. Name the column that says where each sample was measured."
        )
    classes, batches = sheet[label].nunique(), sheet[batch].nunique()
    if classes == 1:
        raise IntakeError(
            f"{label!r} has one class only ({sheet[label].iloc[0]!r}) in {file}: there is nothing "
            "to tell apart. Name a column with two classes or more."
        )
    if batches == 1:
        raise IntakeError(
            f"{batch!r} has one value only ({sheet[batch].iloc[0]!r}) in {file}: there is no batch "
            "to correct for or to compare. Name a column with two batches or more."
        )
    if len(sheet.groupby([label, batch])) == classes == batches:
        raise IntakeError(
            f"LABEL {label!r} and BATCH {batch!r} divide the samples of {file} in the same way: "
            "the effect of the batch and that of the class cannot be told apart."
        )
    if classes > MOST_CLASSES:
        raise IntakeError(
            f"{label!r} has {classes} different values in {len(sheet)} samples of {file}: this job "
            f"predicts classes, {MOST_CLASSES} at most. Group the values, or name another column."
        )


def _check_names(table, sheet, counts, samples):
    """Raise unless the columns of the counts are the rows of the sample sheet."""
    columns, rows = table.columns, sheet.index
    if not columns.isin(rows).any():
        if table.index.isin(rows).any():
            raise IntakeError(
                f"{counts} is transposed: it has the samples of {samples} in its rows, and they "
                "are expected in its columns, with genes in rows. In pandas: "
                f"pd.read_csv({counts!r}, index_col=0).T.to_csv('transposed.csv')."
            )
        hint = _renamed_by_r(columns, rows) or _in_another_column(columns, sheet)
        raise IntakeError(
            f"No sample of {samples} is in {counts}: one has {some(rows)}, the other "
            f"{some(columns)}. {hint or 'Use the same names in both.'}"
        )
    without_counts, without_row = rows[~rows.isin(columns)], columns[~columns.isin(rows)]
    said = []
    if len(without_counts):
        said.append(
            f"{len(without_counts)} of {len(rows)} samples of {samples} are not in {counts}: "
            f"{some(without_counts)}"
        )
    if len(without_row):
        said.append(
            f"{len(without_row)} of {len(columns)} columns of {counts} are not in {samples}: "
            f"{some(without_row)}"
        )
    if said:
        raise IntakeError("; ".join(said) + ". Remove them, or add what is missing.")


def _renamed_by_r(columns, rows):
    """Give a hint where R's make.names stands between the two spellings."""
    made = rows.str.replace(r"[^0-9A-Za-z._]", ".", regex=True)
    made = made.where(~made.str.match(r"[0-9_]"), "X" + made)
    if not columns.isin(made).any():
        return ""
    return "R rewrote the names in one of them: read it there with check.names=FALSE."


def _in_another_column(columns, sheet):
    """Give a hint where the names stand in the sheet, but not in its first column."""
    for name in sheet.columns:
        if sheet[name].isin(columns).any():
            return f"The sample names are in its column {name!r}: move that column to the front."
    return ""


# ------------------------------------------------------------------ the counts


def _check_counts(table, file):
    text = table.columns[[not pd.api.types.is_numeric_dtype(kind) for kind in table.dtypes]]
    for column in text:
        bad = pd.to_numeric(table[column], errors="coerce").isna() & table[column].notna()
        gene = table.index[int(np.argmax(bad.to_numpy()))]
        raise IntakeError(
            f"{file} holds text where counts are expected: {str(table.at[gene, column])!r} (gene "
            f"{gene!r}, sample {column!r}), and such values in {len(text)} of {table.shape[1]} "
            "columns. All columns but the first must be samples."
        )
    matrix = table.to_numpy(dtype=float)
    for wrong, what in ((~np.isfinite(matrix), "missing or infinite"), (matrix < 0, "negative")):
        if wrong.any():
            gene, sample = (int(i) for i in np.argwhere(wrong)[0])
            raise IntakeError(
                f"{file} has {int(wrong.sum())} {what} values, the first for gene "
                f"{table.index[gene]!r} in sample {table.columns[sample]!r}. Raw counts are "
                "expected."
            )
    _check_scale(matrix, table.columns, file)


def _check_scale(matrix, samples, file):
    totals = matrix.sum(axis=0)
    empty = samples[totals == 0]
    if len(empty):
        raise IntakeError(
            f"{len(empty)} samples of {file} have no counts at all: {some(empty)}. Remove them "
            "from both files."
        )
    if np.ptp(totals) <= 0.01 * totals.mean() and (matrix != np.floor(matrix)).any():
        raise IntakeError(
            f"Every sample of {file} sums to the same ({totals.mean():.6g}): these are CPM, TPM or "
            "the like, and raw counts are expected."
        )
    if matrix.max() < 50 and (matrix != np.floor(matrix)).any():
        raise IntakeError(
            f"The largest value of {file} is {matrix.max():.3g}, and values are not whole: these "
            "look like logarithms, and raw counts are expected."
        )


# ------------------------------------------------------------------ gene lengths


def _with_lengths(table, path, drop):
    """Return the counts of genes with a length, their lengths, and notes."""
    if str(path).lower() == "none":
        return table, None, ["Gene lengths are taken as equal, as asked for."]
    file = Path(path).name
    length = _length_column(_read(path, "--lengths"), file)
    known = table.index.isin(length.index)
    if not known.any():
        raise IntakeError(
            f"No gene of the counts is in {file}: one has {some(table.index)}, the other "
            f"{some(length.index)}.{_version_hint(table.index, length.index)}"
        )
    length = length.reindex(table.index)
    usable = (length > 0).to_numpy()
    if usable.all():
        return table, length, []
    without = table.index[~usable]
    if not drop:
        raise IntakeError(
            f"{len(without):,} of {len(table):,} genes have no length in {file}: {some(without)}. "
            "Add them, drop these genes with --drop-genes-without-length (make: ARGS=...), or give "
            "LENGTHS=none if lengths do not matter (3′ counting, UMIs)."
        )
    share = table[~usable].to_numpy().sum() / table.to_numpy().sum()
    note = (
        f"{len(without):,} of {len(table):,} genes have no length in {file} and were dropped by "
        f"name; they hold {share:.2%} of all counts."
    )
    return table[usable], length[usable], [note]


def _length_column(table, file):
    names = [name for name in table.columns if name.lower() in ("length", "lengths")]
    if not names and table.shape[1] > 1:
        raise IntakeError(
            f"{file} has no column 'length'; its columns are {some(table.columns, 8)}. Name the "
            "column with the gene lengths 'length'."
        )
    column = table[names[0] if names else table.columns[0]]
    length = pd.to_numeric(column, errors="coerce")
    bad = table.index[length.isna() & column.notna()]
    if len(bad):
        raise IntakeError(f"{file} has lengths that are not numbers, for {some(bad)}.")
    if (length <= 0).any():
        raise IntakeError(
            f"{file} has lengths of 0 or less, for {some(length.index[length <= 0])}."
        )
    return length


def _version_hint(genes, others):
    bare = [names.str.replace(r"\.\d+$", "", regex=True) for names in (genes, others)]
    if bare[0].isin(bare[1]).any():
        return " They agree without the version after the dot: remove it in both."
    return " Use the same kind of gene names in both."


def _to_anndata(table, sheet, length):
    from anndata import AnnData

    genes = pd.DataFrame(index=table.index.rename("gene"))
    if length is not None:
        genes["length"] = length.to_numpy()
    sheet = sheet.rename_axis("sample")
    return AnnData(table.to_numpy(dtype=np.float64).T.copy(), obs=sheet, var=genes)


# ------------------------------------------------------------------ the external test


def choose_external(sheet, label, batch, donor, asked=None):
    """Return the batch to keep for the end (or None), and why.

    Of three batches or more it is the smallest that holds two samples of every class and ten
    of donors who are in no other batch, and whose absence leaves enough to train on.
    """
    batches = sheet[batch].value_counts().sort_index().sort_values(kind="stable")
    if asked is not None:
        if asked not in batches.index:
            raise IntakeError(
                f"There is no batch {asked!r} in {batch!r} (given as --external); it has "
                f"{some(sorted(batches.index), 8)}."
            )
        problem = _cannot_be_external(sheet, label, batch, donor, asked)
        if problem:
            raise IntakeError(f"{batch} {asked!r} cannot be the external test: {problem}.")
        return asked, f"The external test is {batch} {asked!r}, as asked for."
    if len(batches) < 3:
        return None, (
            f"There is no external test: {batch!r} has {len(batches)} batches, and keeping one for "
            "the end would leave a single batch to train on, so nothing to correct for. Three "
            "batches or more are needed."
        )
    problems = []
    for name in batches.index:
        problem = _cannot_be_external(sheet, label, batch, donor, name)
        if problem is None:
            return str(name), (
                f"The external test is {batch} {name!r} ({batches[name]} samples): the smallest "
                "batch with enough samples of every class whose absence leaves enough to train on. "
                "Name another with --external."
            )
        problems.append(f"{name!r}: {problem}")
    return None, (
        f"There is no external test: none of the {len(batches)} batches of {batch!r} can be kept "
        f"for the end ({'; '.join(problems)})."
    )


def _cannot_be_external(sheet, label, batch, donor, name):
    """Say why a batch cannot be the external test, or return None."""
    inside = sheet[batch] == name
    training, held = sheet[~inside], sheet[inside]
    held = held[~held[donor].isin(training[donor])]
    classes = sorted(sheet[label].unique())
    if training[batch].nunique() < 2:
        return "it would leave a single batch to train on"
    counts = held[label].value_counts().reindex(classes, fill_value=0)
    if counts.min() < 2:
        return f"it has {counts.min()} new donors' samples of {label} {counts.idxmin()!r}, not 2"
    if len(held) < LEAST_EXTERNAL:
        return (
            f"it has {len(held)} samples of donors who are in no other batch, not {LEAST_EXTERNAL}"
        )
    unseen = set(classes) - set(training[label])
    if unseen:
        return f"no other batch has {label} {some(sorted(unseen))}"
    try:
        check_groups(training, label, batch, donor, "the other batches")
    except IntakeError as error:
        return str(error).rstrip(".")
    return None
