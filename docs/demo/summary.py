"""Turn results into plain numbers: what metrics.json holds and the report is written from."""

import platform
from importlib.metadata import version

import numpy as np
import pandas as pd
import study
from explain import gene_table, known_genes
from scores import auc, count_interval, macro_auc, paired_difference, score, score_by_batch


def summarise(results, seconds):
    """Return all that is reported, as values that JSON takes.

    Parameters
    ----------
    results : Results
    seconds : float
        What the job took.
    """
    cohort, run = results.cohort, results.run
    return {
        "title": cohort.title,
        "source": cohort.source,
        "notes": cohort.notes,
        "data": _data(cohort),
        "confounded": aliased_columns(cohort),
        "batch_alone": _batch_alone(cohort),
        "search": _search(run),
        "nested": _nested(run),
        "permuted": _permuted(results),
        "external": _external(cohort, run),
        "genes": _genes(cohort, run),
        "without": None if results.without is None else _without(results),
        "seconds": {"total": round(seconds, 1), **results.seconds},
        "versions": _versions(),
    }


def _data(cohort):
    obs = cohort.adata.obs[[cohort.batch, cohort.label, cohort.donor]].astype(str)
    obs.columns = ["batch", "label", "donor"]
    training, external = obs[cohort.is_training], obs[cohort.is_external]
    new = obs[cohort.is_external & ~cohort.is_shared]
    return {
        "label": cohort.label,
        "batch": cohort.batch,
        "classes": sorted(obs["label"].unique()),
        "n_samples": len(obs),
        "n_genes": int(cohort.adata.n_vars),
        "equal_lengths": cohort.equal_lengths,
        "by_batch": {str(b): _counts(part) for b, part in obs.groupby("batch")},
        "training": _counts(training) | {"batches": sorted(training["batch"].unique())},
        "external": cohort.external
        and {
            "name": cohort.external,
            "all": _counts(external),
            "new": _counts(new),
            "n_shared": int(cohort.is_shared.sum()),
        },
        "no_external": cohort.no_external,
    }


def _counts(part):
    return {
        "n": len(part),
        "n_donors": int(part["donor"].nunique()),
        "classes": {str(k): int(v) for k, v in part["label"].value_counts().sort_index().items()},
    }


def aliased_columns(cohort):
    """Return the annotations that say nothing beyond the batch, so hide behind it.

    Returns
    -------
    list of dict
        ``column``, and ``values``: its one value in each batch.
    """
    obs = cohort.adata.obs
    known = {cohort.label, cohort.batch, cohort.donor}
    found = []
    for column in obs.columns.difference(sorted(known), sort=False):
        if pd.api.types.is_float_dtype(obs[column]):
            continue
        table = obs.groupby(cohort.batch, observed=True)[column].unique()
        if table.map(len).max() == 1 and obs.loc[cohort.is_training, column].nunique() > 1:
            values = {str(batch): str(value[0]) for batch, value in table.items()}
            found.append({"column": str(column), "values": values})
    return found


def _batch_alone(cohort):
    """AUC of guessing each class by its share in the batch: what the batch gives away."""
    y, batches = cohort.column(cohort.label), cohort.column(cohort.batch)
    y, batches = y[cohort.is_training], batches[cohort.is_training]
    shares = pd.crosstab(batches, y, normalize="index")
    return float(
        np.mean([auc(y == c, shares[c].loc[batches].to_numpy())[0] for c in shares.columns])
    )


# ------------------------------------------------------------------ the training laboratories


def _search(run):
    table = run.found.cv_results_
    order = np.argsort(table["rank_test_log_loss"], kind="stable")
    return {
        "chosen": study.describe(run.found.best_params_),
        "chosen_in_outer_parts": run.chosen_outside,
        "correction_in_outer_parts": {
            name: sum(said.endswith(name) for said in run.chosen_outside)
            for name in (study.NONE, study.COMBAT)
        },
        "n_outer": study.N_OUTER,
        "n_inner": study.N_INNER,
        "candidates": [
            {
                "candidate": study.describe(table["params"][i]),
                "log_loss": -float(table["mean_test_log_loss"][i]),
                "log_loss_sd": float(table["std_test_log_loss"][i]),
                "auc": float(table["mean_test_auc"][i]),
                "auc_sd": float(table["std_test_auc"][i]),
            }
            for i in order
        ],
    }


def _plain(scores):
    """Write one ``score`` as plain values."""
    n, right = scores["auc"].n, scores["right"]
    low, high = count_interval(right, n)
    return {
        "n": n,
        "n_donors": scores["auc"].n_donors,
        "auc": scores["auc"].as_dict(),
        "balanced_accuracy": scores["balanced_accuracy"].as_dict(),
        "right": right,
        "right_interval": [low, high],
    }


def _by_batch(predictions):
    return {batch: _plain(scores) for batch, scores in score_by_batch(predictions).items()}


def _nested(run):
    return {name: _by_batch(predictions) for name, predictions in run.nested.items()}


def _permuted(results):
    runs = results.permuted
    observed = _aucs(results.run.result)
    scored = [_aucs(run) for run in runs]
    return {
        "n": len(runs),
        "candidate": study.describe(results.run.found.best_params_),
        "auc": {
            batch: {
                "mean": float(np.mean([s[batch] for s in scored])),
                "least": float(np.min([s[batch] for s in scored])),
                "most": float(np.max([s[batch] for s in scored])),
                "as_high": int(sum(s[batch] >= value for s in scored)),
                "p": (1 + sum(s[batch] >= value for s in scored)) / (1 + len(scored)),
                "each": [round(float(s[batch]), 4) for s in scored],
            }
            for batch, value in observed.items()
        },
    }


def _aucs(predictions):
    """AUC of each batch and of all, without intervals."""
    parts = {str(b): predictions[predictions.batches == b] for b in np.unique(predictions.batches)}
    parts["pooled"] = predictions
    return {name: float(macro_auc(p.y, p.probabilities, p.classes)[0]) for name, p in parts.items()}


# ------------------------------------------------------------------ the external batch


def _external(cohort, run):
    if cohort.external is None:
        return None
    uncorrected = run.external["trained uncorrected"]
    ways = {}
    for way, predictions in run.external.items():
        shared = run.external_shared.get(way)
        difference = paired_difference(predictions, uncorrected)
        ways[way] = {
            **_plain(score(predictions)),
            "difference_to_uncorrected": difference.as_dict(),
            "wrong": _wrong(predictions),
            "with_shared_donors": None if shared is None else _plain(score(shared)),
            "warned": run.warned[way],
        }
    return {"headline": run.headline, "ways": ways}


def _wrong(predictions):
    called = predictions.predicted
    return [
        {
            "sample": str(predictions.samples[i]),
            "is": str(predictions.y[i]),
            "called": str(called[i]),
            "probability": float(predictions.probabilities[i].max()),
        }
        for i in predictions.wrong
    ]


# ------------------------------------------------------------------ genes


def _genes(cohort, run):
    explanation = run.explanation
    return {
        "method": explanation.method,
        "gap": explanation.gap,
        "n_entering": len(explanation.genes),
        "n_used": len(explanation.used),
        "known": known_genes(cohort, explanation),
        "top": gene_table(cohort, explanation, run.result.classes),
    }


def _without(results):
    cohort, run = results.cohort, results.without
    removed = cohort.gene_sets[cohort.left_out]
    rest = study.without_genes(cohort, removed)
    return {
        "name": cohort.left_out,
        "n_removed": int(cohort.adata.var_names.isin(list(removed)).sum()),
        "chosen": study.describe(run.found.best_params_),
        "chosen_in_outer_parts": run.chosen_outside,
        "nested": _nested(run),
        "external": _external(rest, run),
        "genes": _genes(rest, run),
    }


def _versions():
    packages = ("geneexpr", "numpy", "scikit-learn", "torch", "skorch", "anndata")
    return {"python": platform.python_version()} | {name: version(name) for name in packages}
