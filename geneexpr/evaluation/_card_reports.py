"""What other parts of the library found, as plain tables and sentences of a model card."""

import platform
from importlib.metadata import PackageNotFoundError, version

import numpy as np
import pandas as pd

from ._card_spec import walk

_PACKAGES = (
    *("geneexpr", "numpy", "scipy", "scikit-learn", "pandas", "anndata", "torch", "skorch"),
    *("shap", "numba"),
)
_TOP_GENES = 20
_MANY_LEVELS = 20
_FEW_SAMPLES = 30


# ------------------------------------------------------------------ tables


def table_of(frame):
    """Return a DataFrame as names of columns and rows of plain values.

    Examples
    --------
    >>> table_of(pd.DataFrame({"AUC": [0.9, np.nan]}, index=pd.Index(["F", "M"], name="sex")))
    {'columns': ['sex', 'AUC'], 'rows': [['F', 0.9], ['M', None]]}
    """
    frame = frame.to_frame() if isinstance(frame, pd.Series) else frame
    columns = [_column_name(column) for column in frame.columns]
    rows = [list(row) for row in frame.itertuples(index=False, name=None)]
    if not _counts_rows(frame.index):
        columns = [*(str(name or "") for name in frame.index.names), *columns]
        labels = [list(v) if isinstance(v, tuple) else [v] for v in frame.index]
        rows = [[*label, *row] for label, row in zip(labels, rows, strict=True)]
    return {"columns": columns, "rows": [[_cell(value) for value in row] for row in rows]}


def _counts_rows(index):
    return isinstance(index, pd.RangeIndex) and index.name is None


def _column_name(column):
    parts = column if isinstance(column, tuple) else (column,)
    return " ".join(str(part) for part in parts if str(part))


def _cell(value):
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    if isinstance(value, list | tuple | dict | set | np.ndarray):
        return str(value)
    return None if pd.isna(value) else str(value)


def _frame_of(report, attributes, name, called):
    """Return the table of a report: itself, or what one of its attributes or methods gives."""
    if isinstance(report, pd.DataFrame | pd.Series):
        return report
    for attribute in attributes:
        found = getattr(report, attribute, None)
        found = found() if callable(found) else found
        if isinstance(found, pd.DataFrame | pd.Series):
            return found
    raise TypeError(
        f"{name} must be a DataFrame or {called}; got {type(report).__name__}, which has no "
        f"{' or '.join(attributes)} that is a table."
    )


# ------------------------------------------------------------------ reports


def read_performance(evaluation):
    """Return the tables of one or several estimates of performance, each with its name."""
    if evaluation is None:
        return []
    named = evaluation if isinstance(evaluation, dict) else {"": evaluation}
    return [
        {
            "name": str(name),
            "table": table_of(
                _frame_of(found, ("summary", "table"), "evaluation", "the result of nested_cv")
            ),
        }
        for name, found in named.items()
    ]


def read_subgroups(subgroups, hide):
    """Return the tables and flags of one or several subgroup reports."""
    if subgroups is None:
        return []
    if not isinstance(subgroups, list | tuple):
        subgroups = [subgroups]
    return [_subgroup(report, hide) for report in subgroups]


def _subgroup(report, hide):
    table = _frame_of(report, ("table",), "subgroups", "the result of subgroup_report")
    if "flag" in table and (table["flag"] == "").all():
        table = table.drop(columns="flag")
    by = getattr(report, "by", None)
    tables = [["" if by is None else f"By {_said(by)}", table_of(table)]]
    gaps = getattr(report, "gaps", None)
    if isinstance(gaps, pd.DataFrame | pd.Series) and len(gaps):
        tables.append(["Largest gaps", table_of(gaps)])
    return {"by": _keys(by), "tables": tables, "flags": _sentences(report, "flags", hide)}


def _keys(by):
    return [] if by is None else [by] if isinstance(by, str) else [str(key) for key in by]


def _said(by):
    return by if isinstance(by, str) else " and ".join(map(str, by))


def _sentences(report, attribute, hide):
    found = getattr(report, attribute, None)
    if found is None:
        return []
    if isinstance(found, pd.Series):
        found = [f"{name}: {text}" for name, text in found.items()]
    return [hide(str(text)) for text in ([found] if isinstance(found, str) else found)]


def read_leakage(audit, hide):
    """Return the verdict, the sentences and the tables of a leakage audit."""
    if audit is None:
        return None
    needed = ("verdict", "problems", "cautions", "scores", "batches", "steps")
    missing = [name for name in needed if not hasattr(audit, name)]
    if missing:
        raise TypeError(
            f"leakage must be the result of leakage_audit; got {type(audit).__name__}, which has "
            f"no {', '.join(missing)}."
        )
    return {
        "verdict": hide(audit.verdict),
        "problems": _sentences(audit, "problems", hide),
        "cautions": _sentences(audit, "cautions", hide),
        "metric": audit.metric,
        "chance": float(audit.chance),
        "scores": table_of(audit.scores),
        "batches": table_of(audit.batches.drop(columns=["error", "warning"], errors="ignore")),
        "steps": table_of(audit.steps[["rows", "rows_of_new_batch"]]),
    }


def read_explanation(explanation):
    """Return the genes that count most, of an explanation or of a table."""
    if explanation is None:
        return None
    if isinstance(explanation, pd.DataFrame | pd.Series):
        found = explanation
    elif hasattr(explanation, "top_genes"):
        found = explanation.top_genes(_TOP_GENES)
    else:
        raise TypeError(
            "explanation must be the result of explain, or a DataFrame of genes; got "
            f"{type(explanation).__name__}."
        )
    if not isinstance(found, pd.DataFrame | pd.Series):
        found = pd.DataFrame({"gene": list(found)})
    notes = [
        f"{word}: {getattr(explanation, name)}"
        for name, word in (("method", "Method"), ("reason", "Reason"), ("scale", "Values are of"))
        if isinstance(getattr(explanation, name, None), str)
    ]
    error = getattr(explanation, "additivity_error", None)
    notes += [] if error is None else [f"Additivity error: {float(error):.2g}"]
    return {
        "notes": notes,
        "table": table_of(found.head(_TOP_GENES)),
    }


# ------------------------------------------------------------------ what surrounds them


def read_seeds(pipeline, seeds):
    """Return every seed: those of the steps, by path, and those that were given."""
    found = [
        [path, value]
        for path, value in walk(pipeline)
        if path.rpartition(".")[2] in ("random_state", "seed")
    ]
    return [*found, *([str(name), seed] for name, seed in dict(seeds or {}).items())]


def read_versions(pipeline):
    """Return the versions of Python and of the packages that the numbers may depend on."""
    nodes = (node for _, node in walk(pipeline) if isinstance(node, dict))
    classes = [node["class"] for node in nodes if node.get("kind") == "object"]
    theirs = sorted({name.partition(".")[0] for name in classes} - {"sklearn", "geneexpr"})
    found = {"python": platform.python_version()}
    for name in (*_PACKAGES, *theirs):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def untested(record):
    """Say what a card does not rest on: what was not given, and what no card can hold."""
    leakage, data = record["leakage"], record["data"]
    found = []
    if not record["performance"]:
        found.append("How well the model predicts samples that it has not seen.")
    found += _groups_left_out(record)
    if leakage is None:
        found.append("Whether the score comes from batch effects or a leak (leakage_audit).")
    if leakage is None or not any(
        row[0] == "left-out batches" and row[1] is not None for row in leakage["scores"]["rows"]
    ):
        found.append("Samples of a laboratory, batch or platform that was not in training.")
    if record["explanation"] is None:
        found.append("Which genes the predictions rest on (explain).")
    if not _is_calibrated(record):
        found.append("Whether predicted probabilities are right as probabilities (calibration).")
    if data is not None:
        found += _small_classes(data["outcome"])
    found += _not_recorded(record["pipeline"])
    found += _unsteady(record["check"])
    found.append("Use in care: no prospective study is part of this card.")
    return found


def _groups_left_out(record):
    if record["data"] is None:
        return [] if record["subgroups"] else ["For whom the model fails (subgroup_report)."]
    looked_at = {key for report in record["subgroups"] for key in report["by"]}
    left_out = [
        a["name"]
        for a in record["data"]["annotations"]
        if a["kind"] == "labels"
        and 1 < a["n_levels"] <= _MANY_LEVELS
        and a["name"] not in looked_at
        and a["name"] != record["outcome_key"]
    ]
    return [f"For whom the model fails, by {name}." for name in left_out]


def _is_calibrated(record):
    regression = record["data"] is not None and record["data"]["outcome"]["kind"] == "numbers"
    tables = [part["table"] for part in record["performance"]]
    words = [str(cell) for table in tables for row in table["rows"] for cell in row]
    words += [name for table in tables for name in table["columns"]]
    found = " ".join(words).lower()
    return regression or "brier" in found or "calibration" in found


def _small_classes(outcome):
    return [
        f"The class {name} beyond its {n} samples: too few to say much."
        for name, n in outcome.get("counts", ())
        if n < _FEW_SAMPLES
    ]


def _not_recorded(pipeline):
    """Name the parameters that a refit from this card cannot have."""
    for path, node in walk(pipeline):
        kind = node.get("kind") if isinstance(node, dict) else None
        if kind in ("summary", "unknown") or (kind == "object" and not node["public"]):
            yield f"A refit from this card alone: {path or 'the model'} is recorded by name only."


def _unsteady(check):
    difference = None if check is None else check["refit_difference"]
    if difference is not None and difference > 1e-3:
        yield (
            "Whether the fitted model can be had again: its refit on the same data predicts "
            f"otherwise, by up to {difference:.2g}. Set every random_state."
        )
