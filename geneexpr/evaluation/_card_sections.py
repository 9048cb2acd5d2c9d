"""What a model card says, section by section: a record in, headings, sentences and tables out."""

from dataclasses import dataclass

from ._card_spec import walk


@dataclass(frozen=True, slots=True)
class Table:
    """A caption, names of columns, and rows of text."""

    caption: str
    header: list
    rows: list


@dataclass(frozen=True, slots=True)
class Points:
    """Sentences in a list."""

    items: list


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what stands below it: sentences (str), `Points` and `Table`."""

    title: str
    blocks: list


def sections_of(record):
    """Return what the card says.

    Parameters
    ----------
    record : dict
        As `ModelCard` holds it.

    Returns
    -------
    list of Section
    """
    found = [
        Section("Intended use", [record["intended_use"] or "Not stated."]),
        Section("Data", _data(record)),
        Section("Performance", _performance(record)),
        Section("Performance by subgroup", _subgroups(record)),
        Section("Leakage audit", _leakage(record["leakage"])),
        Section("Genes", _genes(record["explanation"])),
        Section("Limits", _limits(record)),
        Section("Steps and parameters", _steps(record)),
        Section("Seeds", _seeds(record)),
        Section("Versions", [_two_columns("", ["package", "version"], record["versions"].items())]),
        Section("To reproduce this", _reproduction(record)),
    ]
    return [section for section in found if section.blocks]


# ------------------------------------------------------------------ data


def _data(record):
    data, sources = record["data"], record["sources"]
    parts = ["Sources:" if sources else "Sources: not stated."]
    parts += [Points(sources)] if sources else []
    if data is None:
        return [*parts, "No data were given with this card."]
    parts.append(
        f"{data['n_samples']:,} samples, {data['n_genes']:,} genes"
        f"{'' if data['genes_are_named'] else ' (without names)'}. Samples are not named in this "
        "card."
    )
    parts.append(_outcome(data["outcome"]))
    if data["annotations"]:
        parts.append(
            Table(
                "Annotations of the samples",
                ["name", "kind", "levels", "missing"],
                [
                    [a["name"], a["kind"], shown(a["n_levels"]), shown(a["n_missing"])]
                    for a in data["annotations"]
                ],
            )
        )
    if data["gene_annotations"]:
        parts.append(f"Annotations of the genes: {', '.join(data['gene_annotations'])}.")
    return parts


def _outcome(outcome):
    if outcome["kind"] == "numbers":
        return (
            f"The outcome is a number: mean {shown(outcome['mean'])}, standard deviation "
            f"{shown(outcome['standard_deviation'])}."
        )
    total = sum(n for _, n in outcome["counts"])
    rows = [[name, shown(n), f"{n / total:.0%}"] for name, n in outcome["counts"]]
    return Table("Classes of the outcome", ["class", "samples", "share"], rows)


# ------------------------------------------------------------------ what was found


def _performance(record):
    found = [_table(part["table"], part["name"]) for part in record["performance"]]
    return found or ["Not estimated."]


def _subgroups(record):
    parts = []
    for report in record["subgroups"]:
        parts += [_table(table, name) for name, table in report["tables"]]
        parts += [Points(report["flags"])] if report["flags"] else []
    return parts or ["Not looked at."]


def _leakage(leakage):
    if leakage is None:
        return ["Not done."]
    points = [*(f"Problem: {text}" for text in leakage["problems"])]
    points += [f"Note: {text}" for text in leakage["cautions"]]
    return [
        leakage["verdict"],
        *([Points(points)] if points else []),
        _table(leakage["scores"], f"Scores ({leakage['metric']}, chance is {leakage['chance']:g})"),
        _table(leakage["batches"], "Batches"),
        _table(leakage["steps"], "Steps: rows alone against rows together"),
    ]


def _genes(explanation):
    if explanation is None:
        return ["Not explained."]
    notes = [Points(explanation["notes"])] if explanation["notes"] else []
    return [*notes, _table(explanation["table"], "Genes that count most")]


def _limits(record):
    stated, untested = record["limits"], record["not_tested"]
    parts = [Points(stated)] if stated else []
    return [*parts, "Not tested:", Points(untested)] if untested else parts


# ------------------------------------------------------------------ how it was done


def _steps(record):
    parts = []
    for path, node in walk(record["pipeline"]):
        if isinstance(node, dict) and node.get("kind") == "object":
            name = f"{path}: {node['class']}" if path else node["class"]
            parts.append(Table(name, ["parameter", "value"], _parameters(node)))
    return parts


def _parameters(node):
    """Return a row for each parameter that was set, and one for all that were not."""
    params, changed = node["params"], node["changed"]
    rows = [[name, _parameter(params[name])] for name in changed]
    left = [f"{name}={_parameter(value)}" for name, value in params.items() if name not in changed]
    return [*rows, ["(at their defaults)", ", ".join(left)]] if left else rows


def _parameter(value):
    """Write a parameter; what has a table of its own by its class."""
    if isinstance(value, list):
        return f"[{', '.join(map(_parameter, value))}]"
    if not isinstance(value, dict):
        return repr(value)
    kind = value["kind"]
    if kind == "object":
        return value["class"].rpartition(".")[2]
    if kind in ("number", "dtype", "scalar type", "function"):
        return str(value.get("value") or value.get("name"))
    if kind == "tuple":
        items = [_parameter(item) for item in value["items"]]
        return f"({', '.join(items)}{',' * (len(items) == 1)})"
    if kind == "dict":
        pairs = (f"{_parameter(key)}: {_parameter(item)}" for key, item in value["items"])
        return f"{{{', '.join(pairs)}}}"
    if kind == "array":
        return f"array({_parameter(value['values'])})"
    if kind == "summary":
        size = " × ".join(map(str, value["shape"]))
        return f"{value['of']} of size {size}, sha256 {value['sha256'][:16]}…"
    return f"a {value.get('type')}, not recorded"


def _seeds(record):
    rows = [[name, _parameter(value)] for name, value in record["seeds"]]
    return [_two_columns("", ["where", "seed"], rows)] if rows else ["No step takes a seed."]


def _reproduction(record):
    check, data = record["check"], record["data"]
    if check is None:
        return ["No numbers were recorded to compare with."]
    kept = f", {check['group_key']} kept together" if check["group_key"] else ""
    parts = [
        "reproduce(card, X, y) fits the pipeline anew from this record and compares. The folds "
        "depend on the content of the rows, not on their order."
    ]
    if check["n_splits"]:
        folds = [str(i + 1) for i in range(check["n_splits"])]
        rows = [[name, *map(shown, scores)] for name, scores in check["scores"].items()]
        caption = f"Scores by fold ({check['splitter']}, {check['n_splits']} folds{kept})"
        parts.append(Table(caption, ["score", *folds], rows))
    if check["refit_difference"] is not None:
        parts.append(
            "Predictions of the fitted pipeline and of its refit differ by at most "
            f"{check['refit_difference']:.1e}."
        )
    prints = data["fingerprint"]
    rows = [[key, prints[key]] for key in ("values", "outcome", "genes")]
    return [*parts, _two_columns("Fingerprint of the data (sha256)", ["of", "hash"], rows)]


# ------------------------------------------------------------------ tables


def _two_columns(caption, header, pairs):
    return Table(caption, header, [[str(name), str(value)] for name, value in pairs])


def _table(table, caption):
    return Table(
        caption, table["columns"], [[shown(cell) for cell in row] for row in table["rows"]]
    )


def shown(cell):
    """Write a cell of a table.

    Examples
    --------
    >>> shown(0.91234), shown(1200), shown(None), shown(True)
    ('0.912', '1,200', '–', 'yes')
    """
    if cell is None:
        return "–"
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, int):
        return f"{cell:,}"
    if isinstance(cell, float):
        return f"{cell:.3f}" if cell == 0 or 1e-3 <= abs(cell) < 1e3 else f"{cell:.3g}"
    return str(cell)
