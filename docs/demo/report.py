"""Write the report: one HTML file that holds its figures and needs nothing else."""

from html import escape

from html_pieces import CSS, SCORE_HEADER, figure, p, score_cells, section, table
from methods import batches, data, method, models
from wording import limits, points, right_of, span, verdict


def write_report(path, metrics, figures, model_note):
    """Write the report.

    Parameters
    ----------
    path : Path
    metrics : dict
        What ``summarise`` returns.
    figures : dict of str to Path
    model_note : str
        What to say of the model file.
    """
    sections = [
        _verdict(metrics),
        _scores(metrics, figures),
        _external(metrics, figures),
        _limits(metrics),
        _genes(metrics, figures),
        _without(metrics, figures),
        models(metrics),
        batches(metrics, figures),
        method(metrics, model_note),
        data(metrics),
    ]
    title = escape(metrics["title"])
    path.write_text(
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{CSS}</style>\n</head>\n<body>\n"
        + "\n".join(part for part in sections if part)
        + "\n</body>\n</html>\n",
        encoding="utf-8",
    )


def _verdict(metrics):
    headline, reasons = verdict(metrics)
    items = "".join(f"<li>{escape(reason)}</li>" for reason in reasons)
    return (
        f"<h1>{escape(metrics['title'])}</h1>\n"
        f'<p class="source">{escape(metrics["source"])}</p>\n'
        f'<div class="verdict"><p>{escape(headline)}</p><ul>{items}</ul></div>'
    )


def _scores(metrics, figures):
    nested = metrics["nested"]["chosen by the search"]
    without = metrics["without"]
    header = ["samples", *SCORE_HEADER, "AUC, labels permuted: mean (least to most), p"]
    if without:
        header.append(f"AUC without {without['name']} genes (95 %)")
    rows = []
    for batch, scores in nested.items():
        chance = metrics["permuted"]["auc"][batch]
        name = "all, pooled" if batch == "pooled" else batch
        row = [
            name,
            *score_cells(scores),
            f"{chance['mean']:.3f} ({chance['least']:.3f} to {chance['most']:.3f}), "
            f"{chance['p']:.3f}",
        ]
        if without:
            row.append(span(without["nested"]["chosen by the search"][batch]["auc"]))
        rows.append(row)
    return section(
        "How well, within the training batches",
        table(
            f"Nested cross-validation, {metrics['search']['n_outer']} outer parts, no donor on "
            "both sides",
            header,
            rows,
            main=[len(rows) - 1],
        ),
        figure(
            figures,
            "permutations",
            "AUC with permuted labels beside the AUC with true labels",
            f"Each grey point is one of {metrics['permuted']['n']} cross-validations of the chosen "
            "candidate on labels permuted within batches; the diamond is the nested result.",
        ),
        figure(
            figures,
            "roc",
            "ROC curves",
            "Where curves coincide, the lower one is drawn wider.",
        ),
        figure(
            figures,
            "confusion",
            "Confusion matrices",
            "How many samples of each true class were called what; shares within the true class.",
        ),
    )


def _external(metrics, figures):
    external = metrics["external"]
    if not external:
        return section("External test", p(metrics["data"]["no_external"]))
    name = metrics["data"]["external"]["name"]
    ways = external["ways"]
    header = [
        "how the new batch was met",
        *SCORE_HEADER,
        "balanced accuracy less uncorrected (95 %, paired)",
    ]
    rows = []
    for way, scores in ways.items():
        difference = scores["difference_to_uncorrected"]
        said = "—" if way == "trained uncorrected" else points(difference)
        rows.append([way, *score_cells(scores), said])
    main = [list(ways).index(external["headline"])]
    parts = [
        table(f"{name}, donors who are not in training", header, rows, main=main),
        p(
            "The bold line goes with the chosen pipeline; this was fixed before anything was "
            "predicted. Passed through: the samples reach the corrected model as they are. "
            "Estimated: location and scale of the new batch come from its own samples.",
            "note",
        ),
    ]
    return section(
        "External test", *parts, _shared(metrics), _without_external(metrics), *_warned(ways)
    )


def _shared(metrics):
    batch, external = metrics["data"]["external"], metrics["external"]
    if not batch["n_shared"]:
        return p(f"No donor of {batch['name']} is in training.")
    scores = external["ways"][external["headline"]]["with_shared_donors"]
    return p(
        f"{batch['n_shared']} samples of {batch['name']} are of donors who are in training too and "
        f"were left out; with them the score would have been: {right_of(scores)} called right, AUC "
        f"{span(scores['auc'])}, balanced accuracy {span(scores['balanced_accuracy'])}, "
        f"n = {scores['n']}."
    )


def _without_external(metrics):
    without = metrics["without"]
    if not without:
        return ""
    rows = [[way, *score_cells(s)] for way, s in without["external"]["ways"].items()]
    return table(
        f"The same without the {without['n_removed']} {without['name']} genes",
        ["how the new batch was met", *SCORE_HEADER],
        rows,
        main=[list(without["external"]["ways"]).index(without["external"]["headline"])],
    )


def _warned(ways):
    said = dict.fromkeys(message for scores in ways.values() for message in scores["warned"])
    return [p(f"geneexpr warned: {message}", "note") for message in said]


def _limits(metrics):
    items = "".join(
        f"<dt>{escape(head)}</dt><dd>{escape(text)}</dd>" for head, text in limits(metrics)
    )
    return section(
        "What cannot be told apart, and what the numbers do not say", f"<dl>{items}</dl>"
    )


def _gene_rows(genes):
    return [
        [
            gene["symbol"],
            gene["gene"],
            gene["chromosome"] or "—",
            gene["kind"] or "—",
            f"{gene['mean_abs_shap']:.3f}",
            gene["more_means"],
        ]
        for gene in genes["top"]
    ]


GENE_HEADER = [
    "gene",
    "identifier",
    "chromosome",
    "known as",
    "mean |SHAP|",
    "more of it speaks for",
]


def _known(genes):
    rows = [
        [
            row["name"],
            f"{row['among_top']} of {row['n_top']}",
            f"{row['in_model']} of {row['n_model']:,}",
            f"{row['p']:.2g}",
        ]
        for row in genes["known"]
    ]
    if not rows:
        return ""
    header = [
        "known genes",
        "among the top genes",
        "among all that enter the model",
        "by chance, p",
    ]
    return table("Known genes among the top ones", header, rows)


def _genes(metrics, figures):
    genes = metrics["genes"]
    return section(
        "Which genes it rests on",
        p(
            f"SHAP values of the chosen pipeline, fitted on all training samples, mapped back to "
            f"the genes that enter the model: {genes['method']}. The values of a sample sum to "
            "what sets its log-odds apart from the mean of the training samples, to within "
            f"{genes['gap']:.1e} of the spread of the log-odds."
        ),
        _known(genes),
        figure(
            figures,
            "genes",
            "Top genes by SHAP value and a heatmap of their expression",
            "Left: mean absolute SHAP value. Right: expression of the same genes as the model sees "
            "it, in standard deviations, clipped at 2.5.",
        ),
        table(f"Top {len(genes['top'])} genes", GENE_HEADER, _gene_rows(genes)),
    )


def _without(metrics, figures):
    without = metrics["without"]
    if not without:
        return ""
    genes = without["genes"]
    return section(
        f"Without the {without['name']} genes",
        p(
            f"{without['n_removed']} {without['name']} genes were taken out and everything was "
            "done again with the same kind of model (its settings searched anew). Chosen on all "
            f"training samples: {without['chosen']}."
        ),
        _known(genes),
        figure(
            figures,
            "genes_without",
            "Top genes by SHAP value of the run without the known genes",
            "As above, for this run. The heatmap is ordered by class, then batch.",
        ),
    )
