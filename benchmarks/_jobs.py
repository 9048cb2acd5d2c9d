"""What a benchmark is: a job, its contenders and the targets it must reach."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

OURS = "geneexpr"
COPY = "copy of the matrix"


class LeftOut(Exception):  # noqa: N818 (it is a decision, not an error)
    """Raised by a contender that is better not tried; says why."""


@dataclass(frozen=True)
class Job:
    """One thing to do, and those who can do it.

    A contender takes the data and gives the call to time, with the input already in the
    form that contender likes best: neither imports nor conversions are timed.
    """

    name: str
    title: str
    data: Callable[[bool], Any]
    """``data(quick)`` makes the input; the quick one takes no time to speak of."""
    contenders: Mapping[str, Callable[[Any], Callable[[], Any]]]
    targets: tuple[Target, ...] = ()
    copied: Callable[[Any], Any] | None = None
    """``copied(data)`` is the matrix whose plain copy is the unit."""
    note: Callable[[Any, Any, Any], str] | None = None
    """``note(data, ours, theirs)`` says how the results compare."""
    score: Callable[[Any, Any], float] | None = None
    """``score(data, result)`` is how good the result is; larger is better."""
    score_name: str = "score"
    repeats: int = 7
    memory: bool = True
    first_call: bool = False
    """Whether to say what the first call of a process takes longer (for what compiles late)."""


@dataclass
class Row:
    """What was measured of one contender; ``failure`` says why nothing was."""

    name: str
    seconds: list[float] = field(default_factory=list)
    peak: int | None = None
    first: float | None = None
    first_ever: float | None = None
    score: float | None = None
    note: str = ""
    failure: str = ""

    @property
    def median(self):
        return sorted(self.seconds)[len(self.seconds) // 2] if self.seconds else None


@dataclass(frozen=True)
class Target:
    """A promise: ``figure(rows)`` is compared with ``limit``; None could not be measured."""

    text: str
    figure: Callable[[Mapping[str, Row]], float | None]
    limit: float
    at_least: bool
    show: str = "{:.2f}"

    def judge(self, rows):
        figure = self.figure(rows)
        if figure is None:
            return f"not measured: {self.text}"
        met = figure >= self.limit if self.at_least else figure <= self.limit
        return f"{'met' if met else 'MISSED'}: {self.text} (got {self.show.format(figure)})"


def times_faster(limit, *others, ours=OURS):
    """Target: the fastest of the others takes at least this many times as long."""

    def figure(rows):
        times = [rows[name].median for name in others if name in rows and rows[name].median]
        mine = rows[ours].median
        return min(times) / mine if times and mine else None

    return Target(
        f"at least {limit:g} times the speed of {_fastest(others)}", figure, limit, at_least=True
    )


def _fastest(names):
    return names[0] if len(names) == 1 else "the fastest of " + ", ".join(names)


def within_copies(limit, ours=OURS):
    """Target: at most this many times as long as a plain copy of the matrix."""

    def figure(rows):
        mine, copy = rows[ours].median, rows[COPY].median
        return mine / copy if mine and copy else None

    return Target(f"within {limit:g} copies of the matrix", figure, limit, at_least=False)


def within_seconds(limit, ours=OURS, beyond=None):
    """Target: a median below so many seconds, or so many seconds beyond another's."""

    def figure(rows):
        mine = rows[ours].median
        if mine is None or beyond is None:
            return mine and 1000 * mine
        return 1000 * (mine - rows[beyond].median) if rows[beyond].median else None

    text = f"{ours} under {1000 * limit:g} ms" + (f" beyond {beyond}" if beyond else "")
    return Target(text, figure, 1000 * limit, at_least=False, show="{:.1f} ms")


def equal_score(slack, name):
    """Target: no other has a score that is better by more than the slack."""

    def figure(rows):
        others = [row.score for row in rows.values() if row.score is not None]
        return None if rows[OURS].score is None else max(others) - rows[OURS].score

    return Target(f"{name} within {slack:g} of the best", figure, slack, at_least=False)


def within_memory(limit, text, ours=OURS):
    """Target: a peak extra memory below so many bytes."""

    def figure(rows):
        peak = rows[ours].peak
        return None if peak is None else peak / 1e6

    return Target(
        f"peak extra memory below {text}, {limit / 1e6:.0f} MB",
        figure,
        limit / 1e6,
        at_least=False,
        show="{:.0f} MB",
    )


def all_jobs():
    """Every job of every ``jobs_*.py`` beside this file, by name."""
    modules = sorted(m.name for m in iter_modules([Path(__file__).parent]))
    found = [import_module(f"benchmarks.{m}").JOBS for m in modules if m.startswith("jobs_")]
    return {job.name: job for jobs in found for job in jobs}
