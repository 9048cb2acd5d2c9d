"""From counts of several laboratories to an explained, tested prediction.

    python docs/demo
    python docs/demo --counts counts.csv --samples samples.csv --label column --batch column \
        --lengths lengths.csv

The first form takes three laboratories' counts of lymphoblastoid cells, from the folder named
by GENEEXPR_DATA or by download; without both, simulated counts. The second does the same job on
files of one's own. What comes out is in demo_output/: open report.html.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

# What loads NumPy or PyTorch is imported below, once the number of threads is set.
NEEDED = ("counts", "samples", "label", "batch", "lengths")


def use_one_thread():
    """Let NumPy and PyTorch use one thread each: the job runs in two processes as it is."""
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, "1")


def parse(arguments=None):
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="make demo",
        description="From counts of several laboratories to an explained, tested prediction.",
    )
    parser.add_argument("--counts", help="counts: genes in rows, samples in columns")
    parser.add_argument("--samples", help="one row a sample, annotations in columns")
    parser.add_argument("--label", help="column of SAMPLES to predict")
    parser.add_argument("--batch", help="column of SAMPLES that says where a sample was measured")
    parser.add_argument(
        "--lengths", help="gene and length in bases; 'none' for 3′ counting and UMIs"
    )
    parser.add_argument("--donor", help="column of SAMPLES that names the donor")
    parser.add_argument("--external", help="the batch to keep for the end")
    parser.add_argument(
        "--drop-genes-without-length",
        action="store_true",
        help="drop genes that LENGTHS lacks, instead of stopping",
    )
    parser.add_argument("--output", default="demo_output", help="folder to write to")
    return parser.parse_args(arguments)


def cohort_of(options):
    """Return the cohort that the command line asks for."""
    given = [name for name in NEEDED if getattr(options, name) is not None]
    if not given:
        from data import load_cohort

        return load_cohort()
    missing = [name.upper() for name in NEEDED if name not in given]
    if missing:
        from cohort import IntakeError

        raise IntakeError(
            f"A run on your own files needs {', '.join(name.upper() for name in NEEDED)}; missing: "
            f"{', '.join(missing)}. (LENGTHS=none takes gene lengths as equal.)"
        )
    from intake import read_files

    return read_files(
        options.counts,
        options.samples,
        label=options.label,
        batch=options.batch,
        lengths=options.lengths,
        donor=options.donor,
        external=options.external,
        drop_genes_without_length=options.drop_genes_without_length,
    )


def run(options, start):
    """Do the job and write its output; return the verdict."""
    cohort = cohort_of(options)
    print("\n".join([f"Data: {cohort.source}", *cohort.notes]), flush=True)

    from tqdm import tqdm

    with tqdm(total=1, unit="step", leave=False) as progress:
        progress.set_description("loading torch")
        import figures
        from job import n_steps, run_job
        from report import write_report
        from summary import summarise
        from wording import verdict

        progress.total = n_steps(cohort) + 2
        results = run_job(cohort, progress)
        folder = Path(options.output)
        folder.mkdir(parents=True, exist_ok=True)
        progress.set_description("model file")
        model_note = write_model(results, folder / "model.skops")
        progress.update()
        progress.set_description("figures and report")
        files = figures.draw_all(results, folder)
        metrics = summarise(results, time.perf_counter() - start)
        write_report(folder / "report.html", metrics, files, model_note)
        (folder / "metrics.json").write_text(json.dumps(metrics, indent=1, allow_nan=False) + "\n")
        progress.update()
    return verdict(metrics), folder, time.perf_counter() - start


def write_model(results, path):
    """Save the chosen pipeline, load it again, and say whether it predicts the same."""
    import numpy as np
    from study import rows_of

    from geneexpr import load_model, save_model

    pipeline, rows = results.run.pipeline, rows_of(results.cohort, results.cohort.is_training)
    save_model(pipeline, path)
    counts = rows.counts
    same = np.array_equal(load_model(path).predict_proba(counts), pipeline.predict_proba(counts))
    return (
        f"The chosen pipeline, fitted on all {len(rows)} training samples, is in {path.name} "
        f"({path.stat().st_size / 1e6:.1f} MB; read it with geneexpr.load_model). Read back, its "
        f"predictions of the training samples are {'the same' if same else 'NOT the same'}."
    )


def main(arguments=None):
    """Run the demo; return the exit status."""
    start = time.perf_counter()
    use_one_thread()
    from cohort import IntakeError

    try:
        (headline, reasons), folder, seconds = run(parse(arguments), start)
    except IntakeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print("\n".join(["", headline, *(f"- {reason}" for reason in reasons), ""]))
    print(f"{seconds:.0f} seconds. Open {folder / 'report.html'}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
