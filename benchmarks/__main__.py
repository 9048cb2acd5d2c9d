"""Run benchmarks: ``python -m benchmarks [JOB ...] [--quick]``."""

from __future__ import annotations

import argparse
import json
import sys

from ._jobs import all_jobs
from ._measure import first_here, measure, peak_here
from ._report import RESULTS, job_table, machine, versions, write_results


def main():
    arguments = _parser().parse_args()
    jobs = all_jobs()
    if arguments.list:
        print("\n".join(f"{job.name:24} {job.title}" for job in jobs.values()))
        return
    if arguments.peak:
        name, contender = arguments.peak
        print(json.dumps({"peak": peak_here(jobs[name], contender, arguments.quick)}))
        return
    if arguments.first:
        name, contender = arguments.first
        print(json.dumps({"first": first_here(jobs[name], contender, arguments.quick)}))
        return
    chosen = _chosen(jobs, arguments.jobs)
    print(f"{machine()}\n{versions()}\n", flush=True)
    tables = {}
    for job in chosen:
        rows = measure(job, quick=arguments.quick, progress=_progress)
        tables[job.name] = job_table(job, rows, quick=arguments.quick)
        _progress("")
        print(tables[job.name], flush=True)
    if arguments.quick:
        return
    if write_results(tables, list(jobs)):
        print(f"Written to {RESULTS}")
    else:
        print(f"Not written: {RESULTS.name} is of another machine or other versions; run all jobs.")


def _chosen(jobs, names):
    """Jobs whose name begins with one of the names; all where none is given."""
    for name in names:
        if not any(job.startswith(name) for job in jobs):
            sys.exit(f"There is no job {name!r}; there are {', '.join(jobs)}")
    return [j for j in jobs.values() if not names or j.name.startswith(tuple(names))]


def _progress(text):
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def _parser():
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("jobs", nargs="*", help="names of jobs or how they begin; all by default")
    parser.add_argument("--quick", action="store_true", help="tiny inputs, one round")
    parser.add_argument("--list", action="store_true", help="name the jobs")
    parser.add_argument("--peak", nargs=2, metavar=("JOB", "WHO"), help=argparse.SUPPRESS)
    parser.add_argument("--first", nargs=2, metavar=("JOB", "WHO"), help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    main()
