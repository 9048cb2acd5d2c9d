"""The figures of the report: each a function from results to one PNG."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from explain import kinds_of
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch
from scores import macro_auc
from sklearn.metrics import roc_curve

# Okabe and Ito's colours: told apart with every kind of colour vision. Batches, classes and
# gene sets stand in one figure, so they share as few as the eight colours allow.
BATCH_COLORS = ("#009E73", "#CC79A7", "#000000", "#56B4E9", "#E69F00", "#D55E00", "#F0E442")
CLASS_COLORS = ("#D55E00", "#0072B2", "#F0E442", "#56B4E9", "#CC79A7", "#009E73", "#000000")
LINE_COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#000000")
MARKERS = ("o", "^", "s", "D", "v", "P", "X")
GREY = "#777777"
MOST_NAMED = len(BATCH_COLORS)

STYLE = {
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.labelsize": 10,
    "legend.fontsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.constrained_layout.use": True,
    "savefig.dpi": 150,
    "svg.hashsalt": "geneexpr",
}


def draw_all(results, folder):
    """Write every figure into a folder.

    Returns
    -------
    dict of str to Path
        The files, by the name of the figure.
    """
    drawings = {
        "pca": draw_pca,
        "confusion": draw_confusion,
        "roc": draw_roc,
        "genes": draw_genes,
        "permutations": draw_permutations,
    }
    if results.without is not None:
        drawings["genes_without"] = draw_genes_without
    files = {}
    with plt.rc_context(STYLE):
        for name, draw in drawings.items():
            figure = draw(results)
            files[name] = Path(folder) / f"{name}.png"
            figure.savefig(files[name], metadata={"Software": None})
            plt.close(figure)
    return files


def _palette(names, colors):
    """Give every name a colour and a marker; the eighth name and later repeat them."""
    return {
        name: (colors[i % len(colors)], MARKERS[i % len(MARKERS)]) for i, name in enumerate(names)
    }


# ------------------------------------------------------------------ principal components


def draw_pca(results):
    """Samples before and after correction, by batch (top) and by class (bottom)."""
    cohort, scatter = results.cohort, results.scatter
    figure, grid = plt.subplots(2, 2, figsize=(9, 7.6))
    columns = {cohort.batch: BATCH_COLORS, cohort.label: CLASS_COLORS}
    for row, (key, colors) in zip(grid, columns.items(), strict=True):
        labels = cohort.column(key)
        palette = _palette(np.unique(labels), colors)
        for axes, when in zip(row, ("before", "after"), strict=True):
            at = getattr(scatter, when)
            share = getattr(scatter, f"share_{when}")
            for name, (color, marker) in palette.items():
                inside = labels == name
                axes.scatter(
                    *at[inside].T,
                    s=24,
                    color=color,
                    marker=marker,
                    alpha=0.8,
                    linewidths=0.4,
                    edgecolors="white",
                    label=f"{name} (n = {inside.sum()})",
                )
            axes.set_title(f"{when.capitalize()} correction, by {key}")
            axes.set_xlabel(f"PC 1 ({share[0]:.0%} of variance)")
            axes.set_ylabel(f"PC 2 ({share[1]:.0%})")
        handles, names = row[0].get_legend_handles_labels()
        row[1].legend(
            handles, names, frameon=False, loc="center left", bbox_to_anchor=(1.01, 0.5), title=key
        )
    return figure


# ------------------------------------------------------------------ confusion and ROC


def draw_confusion(results):
    """Counts of truth against call, cross-validated and external."""
    panels = {"Nested cross-validation": results.run.result}
    if results.run.external:
        panels[f"External: {results.cohort.external}"] = results.run.external[results.run.headline]
    classes = results.run.result.classes
    side = max(3.4, 1.0 + 0.75 * len(classes))
    figure, row = plt.subplots(
        1, len(panels), figsize=(side * len(panels) + 0.6, side), squeeze=False
    )
    for axes, (title, p) in zip(row[0], panels.items(), strict=True):
        table = np.array(
            [[((p.y == a) & (p.predicted == b)).sum() for b in classes] for a in classes]
        )
        share = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
        axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
        for (i, j), n in np.ndenumerate(table):
            color = "white" if share[i, j] > 0.5 else "black"
            axes.text(j, i, f"{n}\n{share[i, j]:.0%}", ha="center", va="center", color=color)
        ticks = range(len(classes))
        axes.set_xticks(ticks, classes, rotation=0 if len(classes) < 4 else 45)
        axes.set_yticks(ticks, classes)
        axes.set_xlabel("called")
        axes.set_ylabel(f"{results.cohort.label} in truth")
        axes.set_title(f"{title}\n(n = {len(p.y)})")
        axes.spines[:].set_visible(False)
    return figure


def draw_roc(results):
    """ROC curves: by batch within training, and of the external test."""
    run, cohort = results.run, results.cohort
    whole = run.result
    inside = {str(b): whole[whole.batches == b] for b in np.unique(whole.batches)[:MOST_NAMED]}
    inside["pooled"] = whole
    if results.without is not None:
        inside[f"pooled, without {cohort.left_out} genes"] = results.without.result
    panels = {"Nested cross-validation": inside}
    if run.external:
        outside = dict(run.external)
        if results.without is not None:
            outside[f"without {cohort.left_out} genes"] = results.without.external[
                results.without.headline
            ]
        panels[f"External: {cohort.external}, new donors"] = outside
    n_lines = max(map(len, panels.values()))
    figure, (curves, keys) = plt.subplots(
        2,
        len(panels),
        figsize=(4.9 * len(panels), 5.3 + 0.25 * n_lines),
        height_ratios=(4.8, 0.3 + 0.25 * n_lines),
        squeeze=False,
    )
    for axes, key, (title, lines) in zip(curves, keys, panels.items(), strict=True):
        handles = _roc_panel(axes, lines)
        axes.set_title(title)
        axes.set_xlabel(_roc_label(whole.classes, "called so in error"))
        axes.set_ylabel(_roc_label(whole.classes, "found"))
        key.set_axis_off()
        key.legend(handles=handles, frameon=False, loc="upper left", title="AUC", alignment="left")
    return figure


def _roc_label(classes, what):
    if len(classes) > 2:
        return f"share {what}, mean over classes"
    control, case = classes
    return f"share of {case} {what}" if what == "found" else f"share of {control} called {case}"


def _roc_panel(axes, lines):
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=":")
    curves = [roc_points(p) for p in lines.values()]
    handles = []
    for i, ((name, p), color) in enumerate(
        zip(lines.items(), (*LINE_COLORS, GREY, "black"), strict=False)
    ):
        value = macro_auc(p.y, p.probabilities, p.classes)[0]
        # Equal curves lie on one another: the lower ones wider, so that all are seen.
        above = sum(np.array_equal(curves[i], later) for later in curves[i + 1 :])
        handles += axes.plot(
            *curves[i],
            color=color,
            linewidth=1.8 + 2.4 * above,
            solid_capstyle="butt",
            label=f"{name}: {value:.3f} (n = {len(p.y)})",
        )
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
    return handles


def roc_points(predictions):
    """Return the corners of a ROC curve: false and true positive rates.

    With more than two classes, every class against the rest, averaged.
    """
    p = predictions
    if len(p.classes) == 2:
        return _corners(np.array(roc_curve(p.y == p.classes[1], p.probabilities[:, 1])[:2]))
    grid = np.linspace(0, 1, 201)
    curves = [
        np.interp(grid, *roc_curve(p.y == name, p.probabilities[:, k])[:2])
        for k, name in enumerate(p.classes)
    ]
    return np.array([np.r_[0, grid], np.r_[0, np.mean(curves, axis=0)]])


def _corners(curve):
    """Drop the points that lie within a straight piece."""
    x, y = np.diff(curve)
    turns = x[:-1] * y[1:] != y[:-1] * x[1:]
    return curve[:, np.concatenate([[True], turns, [True]])]


# ------------------------------------------------------------------ genes


def draw_genes(results):
    """Top genes by SHAP beside their expression."""
    return _genes_figure(results.cohort, results.run)


def draw_genes_without(results):
    """The same for the run without the known genes."""
    return _genes_figure(results.cohort, results.without)


def _genes_figure(cohort, run):
    explanation = run.explanation
    top = explanation.top()
    if not len(top):
        return _no_genes()
    genes = explanation.genes[top]
    symbols, kinds = cohort.symbols(genes), kinds_of(cohort, genes)
    heights = (0.16, 0.16, 0.27 * max(len(top), 6))
    figure = plt.figure(figsize=(11, sum(heights) + 1.3))
    grid = figure.add_gridspec(3, 2, width_ratios=(1, 1.7), height_ratios=heights, hspace=0.01)
    bars, heat = figure.add_subplot(grid[2, 0]), figure.add_subplot(grid[2, 1])
    _bars(bars, cohort, explanation.importance[top], symbols, kinds)
    rows = np.flatnonzero(cohort.is_training)
    labels, batches = (cohort.column(key)[rows] for key in (cohort.label, cohort.batch))
    order = np.lexsort((batches, labels))
    _heatmap(heat, explanation.expression[order][:, top])
    strips = {cohort.label: (labels, CLASS_COLORS), cohort.batch: (batches, BATCH_COLORS)}
    handles = []
    for i, (key, (names, colors)) in enumerate(strips.items()):
        palette = _palette(np.unique(cohort.column(key)), colors)
        handles += _strip(figure.add_subplot(grid[i, 1]), key, names[order], palette)
    heat.legend(
        handles=handles,
        frameon=False,
        loc="upper center",
        bbox_to_anchor=(0.5, 0),
        ncols=min(len(handles), 6),
    )
    figure.suptitle(f"Expression in the {len(rows)} training samples", x=0.66, fontsize=11)
    return figure


def _no_genes():
    figure, axes = plt.subplots(figsize=(7, 1.2))
    axes.set_axis_off()
    axes.text(
        0.5, 0.5, "The chosen model uses no gene: it says the same of every sample.", ha="center"
    )
    return figure


def _bars(axes, cohort, importance, symbols, kinds):
    names = [*cohort.gene_sets, ""]
    colors = dict(zip(names, LINE_COLORS, strict=False))
    colors[""] = "#999999"
    place = np.arange(len(symbols))
    axes.barh(place, importance, color=[colors[kind] for kind in kinds], height=0.75)
    axes.set_yticks(place, symbols, fontstyle="italic")
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(symbols) - 0.5, -0.5)
    axes.set_xlabel("mean |SHAP value| (log-odds)")
    axes.set_title(f"Top {len(symbols)} genes of the chosen model")
    shown = [name for name in names if name in kinds]
    if len(cohort.gene_sets):
        handles = [Patch(color=colors[name], label=name or "in no list") for name in shown]
        axes.legend(handles=handles, frameon=False, loc="lower right")


def _heatmap(axes, expression):
    image = axes.imshow(
        np.clip(expression, -2.5, 2.5).T,
        aspect="auto",
        cmap="PuOr_r",
        vmin=-2.5,
        vmax=2.5,
        interpolation="none",
    )
    axes.set_axis_off()
    axes.figure.colorbar(
        image, ax=axes, label="SD from the training mean", shrink=0.9, pad=0.02, fraction=0.05
    )


def _strip(axes, key, labels, palette):
    """Colour the samples in a strip; return what the legend shows of it."""
    names, codes = np.unique(labels, return_inverse=True)
    axes.imshow(
        codes[None],
        aspect="auto",
        cmap=ListedColormap([palette[name][0] for name in names]),
        vmin=-0.5,
        vmax=len(names) - 0.5,
        interpolation="none",
    )
    axes.set_xticks([])
    axes.set_yticks([0], [key])
    axes.yaxis.tick_right()
    axes.tick_params(axis="y", length=0)
    axes.spines[:].set_visible(False)
    return [Patch(color=palette[name][0], label=name) for name in names]


# ------------------------------------------------------------------ permutations


def draw_permutations(results):
    """AUC under permuted labels, beside that of the true ones."""
    whole = results.run.result
    names = [str(b) for b in np.unique(whole.batches)[:MOST_NAMED]] + ["pooled"]
    figure, axes = plt.subplots(figsize=(7.2, 1.5 + 0.55 * len(names)))
    for place, name in enumerate(names):
        values = np.sort([_auc_of(p, name) for p in results.permuted])
        # Spread upwards by rank within a row, so that no point hides another.
        lift = 0.3 * ((np.arange(len(values)) * 0.618) % 1) - 0.15
        axes.scatter(
            values,
            place + lift,
            s=14,
            color=GREY,
            alpha=0.7,
            linewidths=0,
            label=f"labels permuted ({len(values)} runs)" if place == 0 else None,
        )
        axes.scatter(
            _auc_of(whole, name),
            place,
            s=70,
            marker="D",
            color=LINE_COLORS[0],
            label="true labels" if place == 0 else None,
        )
    axes.axvline(0.5, color=GREY, linewidth=0.8, linestyle=":")
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlim(min(0.2, axes.get_xlim()[0]), 1.03)
    axes.set_xlabel("AUC of the chosen candidate, cross-validated")
    axes.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.25), ncols=2)
    return figure


def _auc_of(predictions, batch):
    p = predictions if batch == "pooled" else predictions[predictions.batches == batch]
    return macro_auc(p.y, p.probabilities, p.classes)[0]
