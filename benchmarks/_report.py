"""The table, and the file that keeps it with machine and versions."""

from __future__ import annotations

import os
import platform
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ._jobs import COPY, OURS

RESULTS = Path(__file__).parent / "RESULTS.md"
PACKAGES = (
    *("geneexpr", "numpy", "scipy", "scikit-learn", "pandas", "anndata", "torch", "skorch"),
    *("combat", "combatlearn", "inmoose", "neuroCombat", "pydeseq2", "qnorm", "rnanorm", "scanpy"),
    "scikit-misc",
)
HEADER = ("who", "median s", "times ours", "copies", "peak MB", "remarks")


def job_table(job, rows, *, quick=False):
    """One job as a Markdown table with its targets underneath."""
    mine = rows[OURS].median if OURS in rows else None
    copy = rows[COPY].median if COPY in rows else None
    cells = [HEADER] + [_cells(row, mine, copy) for row in rows.values()]
    widths = [max(len(row[i]) for row in cells) for i in range(len(HEADER))]
    lines = [_line(row, widths) for row in cells]
    lines.insert(1, "|" + "|".join("-" * (w + 2) for w in widths) + "|")
    # A target speaks of the full size: a quick run says nothing of it.
    verdicts = [] if quick else [f"- {target.judge(rows)}" for target in job.targets]
    return "\n".join([f"{SECTION}{job.name}: {job.title}", "", *lines, "", *verdicts, ""])


def _line(cells, widths):
    return "| " + " | ".join(c.ljust(w) for c, w in zip(cells, widths, strict=True)) + " |"


def _cells(row, mine, copy):
    if row.failure or row.median is None:
        return (row.name, "", "", "", "", row.failure or "nothing measured")
    return (
        row.name,
        _digits(row.median),
        f"{row.median / mine:.2f}" if mine else "",
        f"{row.median / copy:.2f}" if copy else "",
        "" if row.peak is None else f"{row.peak / 1e6:.0f}",
        "; ".join(filter(None, [row.note, _first_call(row)])),
    )


def _first_call(row):
    if row.first is None or row.first_ever is None:
        return ""
    return (
        f"first call of a process {row.first:.1f} s longer, {row.first_ever:.1f} s where nothing "
        "is compiled yet"
    )


def _digits(seconds):
    return f"{seconds:.4f}" if seconds < 0.1 else f"{seconds:.3f}"


def machine():
    """Processor, cores, memory and interpreter."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{_processor()}, {os.cpu_count()} cores, {memory:.0f} GiB, "
        f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    )


def _processor():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown processor"
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def versions():
    """Installed versions of all who take part."""
    return ", ".join(f"{name} {_version(name)}" for name in PACKAGES)


def _version(name):
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


EXPLANATION = """\
# Benchmark results

Made by `make bench`. All contenders of a job take turns in one process, each with its
input already in the form it likes best; a figure is the median over the rounds. "times
ours" is the ratio to geneexpr. "copies" counts plain copies of the matrix
(`X.copy()`, median of 15 or more, in the same turns). "peak MB" is the largest resident
size during one call less the size before it, in a process of its own. A first call is timed
apart, in a process of its own, where loops are compiled: what it takes longer than the next is
a remark. Absolute times depend on the machine; compare ratios.

What the numbers are worth is measured apart: [accuracy on nine expression sets](ACCURACY.md),
[embeddings beside scVI](EMBEDDING.md), [prediction across studies](CROSS_STUDY.md), [the genes that
explanations name](EXPLANATIONS.md).
"""
SECTION = "### "


def write_results(tables, order, path=RESULTS):
    """Keep what was measured, each job in the place of its last run.

    Parameters
    ----------
    tables : dict of str to str
        The table of each job that ran, by its name.
    order : sequence of str
        The names of all jobs.
    path : Path

    Returns
    -------
    bool
        False, and nothing is written, where some jobs only ran and the others in the file were
        measured on another machine or with other versions.
    """
    setting = f"- {machine()}\n- {versions()}\n"
    earlier = {}
    if set(tables) != set(order):
        text = path.read_text() if path.exists() else ""
        if text and setting not in text:
            return False
        earlier = _sections(text)
    dated = {name: f"{table}- measured on {date.today()}\n" for name, table in tables.items()}
    kept = {**earlier, **dated}
    body = [kept[name] for name in order if name in kept]
    path.write_text("\n".join([f"{EXPLANATION}\n{setting}", *body]))
    return True


def _sections(text):
    """Return the section of each job in a file of results."""
    parts = text.split(f"\n{SECTION}")[1:]
    return {part.split(":")[0]: f"{SECTION}{part.rstrip()}\n" for part in parts}
