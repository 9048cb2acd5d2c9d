"""Time contenders in turn in one process; weigh each in a process of its own."""

from __future__ import annotations

import contextlib
import gc
import io
import json
import math
import os
import subprocess
import sys
import tempfile
import time
import traceback
import warnings

from ._jobs import COPY, OURS, LeftOut, Row

COPIES = 15
STATUS = "/proc/self/status"


def measure(job, *, quick=False, progress=print):
    """Time all contenders in turn, so that a slow spell of the machine strikes all alike."""
    data = job.data(quick)
    rows, calls = {}, {}
    for name, prepare in _with_copy(job, data).items():
        rows[name] = row = Row(name)
        progress(f"{job.name}: preparing {name}")
        with _failure_to(row):
            calls[name] = prepare(data)
    repeats = 1 if quick else job.repeats
    if repeats > 1 or job.note or job.score:
        _compare(job, data, rows, calls)
    for turn in range(repeats):
        progress(f"{job.name}: round {turn + 1} of {repeats}")
        for name in [n for n in calls if not rows[n].failure]:
            share = math.ceil(COPIES / repeats) if name == COPY and not quick else 1
            for _ in range(share):
                with _failure_to(rows[name]):
                    rows[name].seconds.append(_seconds(calls[name]))
    del data, calls
    for name, row in rows.items():
        if job.memory and name != COPY and not row.failure:
            progress(f"{job.name}: weighing {name}")
            row.peak = _in_subprocess("peak", job, name, quick)
        if job.first_call and name.startswith(OURS) and not row.failure:
            progress(f"{job.name}: first calls of {name}")
            row.first, row.first_ever = first_calls(job, name, quick)
    return rows


def _with_copy(job, data):
    if job.copied is None:
        return dict(job.contenders)
    return {COPY: lambda data: job.copied(data).copy, **job.contenders}


def _compare(job, data, rows, calls):
    """Run everybody once, untimed: compiles what compiles late, and compares the results."""
    ours = None
    for name in [n for n in calls if n != COPY]:
        with _failure_to(rows[name]):
            result = quietly(calls[name])
            if name == OURS:
                ours = result
            elif job.note is not None and ours is not None:
                rows[name].note = job.note(data, ours, result)
            if job.score is not None:
                rows[name].score = job.score(data, result)
                rows[name].note = f"{job.score_name} {rows[name].score:.3f}"


def _seconds(call):
    gc.collect()
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        start = time.perf_counter()
        result = call()
        seconds = time.perf_counter() - start
    del result
    return seconds


def quietly(call):
    """Call without the chatter of those who print and warn."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        return call()


@contextlib.contextmanager
def _failure_to(row):
    """Write what went wrong into the row: a peer that fails is a result, not an end."""
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    except ModuleNotFoundError as error:
        row.failure = f"not installed (no module {error.name})"
    except LeftOut as reason:
        row.failure = f"left out: {reason}"
    except Exception as error:
        if row.name.startswith(OURS):
            traceback.print_exc()
        text = " ".join(str(error).split())
        row.failure = f"fails: {type(error).__name__}: {text[:120]}"


def first_calls(job, name, quick):
    """Seconds that a first call takes longer than a later one: compiled before, and never."""
    with tempfile.TemporaryDirectory() as empty:
        compiled_anew = {"NUMBA_CACHE_DIR": empty}
        first_ever = _in_subprocess("first", job, name, quick, **compiled_anew)
        return _in_subprocess("first", job, name, quick, **compiled_anew), first_ever


def _in_subprocess(what, job, name, quick, **environment):
    """Measure in a process of its own; None where that fails."""
    child = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "benchmarks", f"--{what}", job.name, name]
        + ["--quick"] * quick,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )
    try:
        return json.loads(child.stdout.splitlines()[-1])[what]
    except (IndexError, ValueError, KeyError):
        return None


def first_here(job, name, quick):
    """Seconds that the first call of this process takes longer than the second."""
    call = quietly(lambda: job.contenders[name](job.data(quick)))
    first = _seconds(call)
    return max(0.0, first - _seconds(call))


def peak_here(job, name, quick):
    """Peak resident size of one call, less what was resident before it; Linux only."""
    quietly(job.contenders[name](job.data(True)))  # imports and compiles on a small input
    call = quietly(lambda: job.contenders[name](job.data(quick)))
    gc.collect()
    before = _resident("VmRSS")
    with open("/proc/self/clear_refs", "w") as file:  # 5 resets the peak
        file.write("5")
    quietly(call)
    return max(0, _resident("VmHWM") - before)


def _resident(field):
    with open(STATUS) as file:
        line = next(line for line in file if line.startswith(field))
    return 1024 * int(line.split()[1])
