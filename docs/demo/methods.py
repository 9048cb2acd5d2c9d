"""The sections on how it was done: models, batches, pipeline, data."""

from html_pieces import figure, p, section, table
from wording import class_counts, right_of, span


def models(metrics):
    """Compare the models, and correction with none, on the same outer parts."""
    lines = metrics["nested"]
    batches = [batch for batch in lines["chosen by the search"] if batch != "pooled"]
    rows = []
    for name, scores in lines.items():
        pooled = scores["pooled"]
        rows.append(
            [
                name,
                pooled["n"],
                right_of(pooled),
                span(pooled["balanced_accuracy"]),
                span(pooled["auc"]),
                *(f"{span(scores[b]['auc'])}, n = {scores[b]['n']}" for b in batches),
            ]
        )
    header = ["candidate", "n", "called right", "balanced accuracy (95 %)", "AUC, pooled (95 %)"]
    search = metrics["search"]
    outer = [[i + 1, chosen] for i, chosen in enumerate(search["chosen_in_outer_parts"])]
    candidates = [
        [
            c["candidate"],
            f"{c['log_loss']:.3f} (SD {c['log_loss_sd']:.3f})",
            f"{c['auc']:.3f} (SD {c['auc_sd']:.3f})",
        ]
        for c in search["candidates"]
    ]
    return section(
        "Models compared",
        table(
            "The best candidate of each kind within every outer part, on the same test samples",
            [*header, *(f"AUC, {batch}" for batch in batches)],
            rows,
            main=[0],
        ),
        p(
            "The first line is the result: model, penalty, number of genes and correction chosen "
            "anew within each outer part. A line that ends in “only” is the best of its kind there."
        ),
        table("What the search chose", ["outer part", "candidate"], outer),
        table(
            f"All candidates in the search on all {metrics['data']['training']['n']} training "
            f"samples (mean and SD over {search['n_inner']} inner parts; these scores chose "
            "the model, so they are no estimate of how good it is)",
            ["candidate", "log loss", "AUC"],
            candidates,
            main=[0],
        ),
    )


def batches(metrics, figures):
    """Show samples before and after correction."""
    batch = metrics["data"]["batch"]
    external = metrics["data"]["external"]
    new = (
        f" {external['name']} is projected on them; after correction, its location and scale are "
        "estimated from its own samples."
        if external
        else ""
    )
    return section(
        f"Samples before and after correction of the {batch}",
        figure(
            figures,
            "pca",
            "Principal components before and after correction",
            f"Principal components of the training samples (500 most variable genes, log2 TPM)."
            f"{new}",
        ),
    )


def method(metrics, model_note):
    """Say what was done, in the order in which it was done."""
    data, search = metrics["data"], metrics["search"]
    equal = "lengths taken as equal" if data["equal_lengths"] else "by gene length"
    return section(
        "How it was done",
        p(
            f"One scikit-learn Pipeline on AnnData: LowExpressionFilter (knows {data['label']}, so "
            f"that genes of one class survive), TPMNormalizer ({equal}), LogTransformer, "
            f"ComBatCorrector on {data['batch']} or nothing, VarianceFilter, standardisation, "
            "model. All of it is fitted within the training part of each split, and frozen."
        ),
        p(
            f"GridSearchCV over {len(search['candidates'])} candidates chose by log loss, in "
            f"{search['n_inner']} inner parts within each of {search['n_outer']} outer parts. "
            f"Parts hold whole donors, and equal shares of {data['batch']} and {data['label']}. "
            "Networks were offered the shorter list of genes only."
        ),
        p(
            "Every score has its n and a 95 % interval from 1,000 bootstrap resamples of donors "
            "within batches. Balanced accuracy is the mean share called right over the classes; "
            "AUC is the area under the ROC curve"
            + (
                ", the mean over classes of one against the rest."
                if len(data["classes"]) > 2
                else "."
            )
        ),
        p(model_note),
        p(f"Chosen on all training samples: {search['chosen']}."),
    )


def data(metrics):
    """Say what came in, and what it took."""
    facts = metrics["data"]
    rows = [
        [name, part["n"], part["n_donors"], class_counts(part)]
        for name, part in facts["by_batch"].items()
    ]
    seconds = metrics["seconds"]
    stages = ", ".join(f"{name} {s:.0f} s" for name, s in seconds.items() if name != "total")
    packages = ", ".join(f"{name} {version}" for name, version in metrics["versions"].items())
    return section(
        "Data and run",
        table(
            f"{facts['n_samples']} samples, {facts['n_genes']:,} genes",
            [facts["batch"], "samples", "donors", facts["label"]],
            rows,
        ),
        *(p(note) for note in metrics["notes"]),
        p(f"{seconds['total']:.0f} seconds: {stages}. {packages}.", "note"),
    )
