"""The pieces of a heatmap on its axes; imported with the first heatmap only."""

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.patches import Patch
from matplotlib.ticker import FixedFormatter, FuncFormatter
from matplotlib.transforms import ScaledTranslation

from ._beside import Beside, Corner, Thinned, inset
from ._heatmap_order import branches
from ._style import GREY, VALUES, ladder, shortened

TREE = 34.0
STRIP = 8.0
GAP = 2.0
LEGEND_ROW = 13.0
"""Of a tree, of a strip, between pieces, and of a row of a legend, in points."""
LABEL = 8.5
"""What a name needs along its axis, in points."""
MOST_LEVELS = 12
"""An annotation of more levels is named by its count."""
SCALE_STEPS = 5
MOST_BRANCHES = 200
"""The highest; those of thousands of leaves would fill the tree with ink."""


def draw_heatmap(ax, display, named):
    """Draw a heatmap with all that stands beside it.

    Parameters
    ----------
    ax : matplotlib Axes
    display : HeatmapDisplay
    named : array of int
        Rows of the figure that may get names.

    Returns
    -------
    image, strips, trees, colorbar
    """
    image = _draw_image(ax, display)
    _name_genes(ax, display, named)
    _name_samples(ax, display)
    strips, top = _draw_strips(ax, display)
    trees = {}
    if display.sample_tree is not None:
        place = Beside(ax, "top", top + GAP, TREE)
        trees["samples"] = _draw_tree(inset(ax, place), display.sample_tree, upright=True)
    top += GAP + TREE if "samples" in trees else 0
    if display.gene_tree is not None:
        place = Beside(ax, "left", GAP, TREE)
        trees["genes"] = _draw_tree(inset(ax, place), display.gene_tree, upright=False)
    colorbar = _draw_colorbar(ax, image, display, max(top - TREE, GAP))
    _draw_legends(ax, display, max(top, GAP + TREE) + 2 * GAP)
    return image, strips, trees, colorbar


def _draw_image(ax, display):
    values = display.values[np.ix_(display.sample_order, display.gene_order)].T
    low, high = (values.min(), values.max()) if display.limit is None else (None, display.limit)
    low = -high if low is None else low
    if low == high:
        low, high = low - 0.5, high + 0.5
    return ax.imshow(
        values, aspect="auto", cmap=VALUES, vmin=low, vmax=high, interpolation_stage="data"
    )


def _name_genes(ax, display, named):
    n = len(display.genes)
    said = "1 gene" if n == 1 else f"{n:,} genes".replace(",", "\u2009")
    how = f", {display.how_genes}" if display.how_genes.startswith("as given") else ""

    def label(n_shown):
        return said + ("" if n_shown == n else f", {n_shown} named") + how

    names = [shortened(name) for name in display.genes[display.gene_order]]
    axis = ax.yaxis
    axis.tick_right()
    axis.set_label_position("right")
    axis.set_major_locator(Thinned(named, LABEL, said=label))
    axis.set_major_formatter(FuncFormatter(lambda x, _: names[round(x)]))
    ax.tick_params(axis="y", labelsize="x-small", length=0 if len(named) == n else 2, pad=2)
    ax.spines[:].set_visible(False)


def _name_samples(ax, display):
    n = len(display.samples)
    said = "1 sample" if n == 1 else f"{n:,} samples".replace(",", "\u2009")
    said += "" if display.how_samples in ("", "clustered") else f", {display.how_samples}"
    names = [shortened(name, 20) for name in display.samples[display.sample_order]]
    ax.xaxis.set_major_locator(Thinned(np.arange(n), LABEL, all_or_none=True))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: names[round(x)]))
    ax.tick_params(axis="x", labelsize="x-small", length=0, pad=2, rotation=90)
    ax.set_xlabel(said)


def _draw_strips(ax, display):
    """Draw the annotations from bottom to top, and return where the last one ends."""
    strips, top = {}, 0.0
    for turn, note in reversed(list(enumerate(display.annotations))):
        strip = inset(ax, Beside(ax, "top", top + GAP, STRIP))
        colors = _colors(note, turn)[display.sample_order]
        strips[note.name] = strip.imshow(colors[None], aspect="auto", interpolation="nearest")
        strip.set(xticks=[])
        strip.yaxis.tick_right()
        strip.set_yticks([0], [shortened(note.name, 20)], fontsize="x-small")
        strip.tick_params(length=0, pad=2)
        strip.spines[:].set_visible(False)
        top += GAP + STRIP
    return strips, top


def _colors(note, turn):
    """Return the colour of each sample."""
    if note.levels is not None:
        return np.array(ladder(len(note.levels), turn))[note.codes]
    return _scale(note)((note.values - note.values.min()) / (np.ptp(note.values) or 1.0))[:, :3]


def _scale(note):
    """Colours of an annotation on a scale: white to black, unlike those of the heatmap."""
    import matplotlib as mpl

    return mpl.colormaps["Greys"]


def _draw_tree(ax, tree, *, upright):
    lines = branches(tree)[-MOST_BRANCHES:]
    n = len(tree) + 1
    drawn = LineCollection(
        lines if upright else lines[..., ::-1],
        colors=GREY,
        linewidths=0.7 if n < 100 else 0.4,
    )
    ax.add_collection(drawn, autolim=False)
    top = float(tree[:, 2].max()) * 1.02 or 1.0
    if upright:
        ax.set(xlim=(-0.5, n - 0.5), ylim=(0, top))
    else:
        ax.set(xlim=(top, 0), ylim=(n - 0.5, -0.5))
    ax.set_axis_off()
    return drawn


def _draw_colorbar(ax, image, display, above):
    place = Corner(ax, GAP + TREE - 26, 7, above=above + 2, height=TREE - 6)
    colorbar = ax.figure.colorbar(image, cax=inset(ax, place), ticklocation="left")
    colorbar.outline.set_visible(False)
    low, high = image.get_clim()
    ticks = [low, (low + high) / 2, high] if display.limit else [low, high]
    colorbar.set_ticks(ticks)
    colorbar.ax.yaxis.set_major_formatter(FixedFormatter([f"{tick:.3g}" for tick in ticks]))
    colorbar.ax.tick_params(labelsize="x-small", length=0, pad=2)
    colorbar.ax.set_title(display.unit, fontsize="x-small", pad=5, loc="right")
    return colorbar


def _draw_legends(ax, display, top):
    """Write what the colours of the strips mean, a row or more an annotation."""
    room = int(11 * ax.figure.get_figwidth())
    for turn, note in reversed(list(enumerate(display.annotations))):
        title = Patch(alpha=0, label=f"{shortened(note.name, 16)}:")
        handles = [title, *_handles(note, turn)]
        lengths = [len(handle.get_label()) + 2 for handle in handles]
        columns = len(handles)
        if sum(lengths) > room:
            columns = int(np.clip(room // max(lengths), 1, len(handles)))
        legend = ax.legend(
            handles=handles,
            loc="lower left",
            bbox_to_anchor=(0.0, 1.0),
            bbox_transform=ax.transAxes + ScaledTranslation(0, top / 72, _inches(ax)),
            ncols=columns,
            frameon=False,
            borderaxespad=0,
            borderpad=0,
            handlelength=0.9,
            handletextpad=0.4,
            columnspacing=0.9,
            fontsize="x-small",
        )
        ax.add_artist(legend)
        legend.set_clip_on(False)  # else the layout makes no room for it
        top += LEGEND_ROW * -(-len(handles) // columns)
    ax.legend_ = None


def _inches(ax):
    return ax.get_figure(root=False).dpi_scale_trans


def _handles(note, turn):
    if note.levels is None:
        low, high = note.values.min(), note.values.max()
        steps = np.linspace(0, 1, SCALE_STEPS if high > low else 1)
        scale = _scale(note)
        return [
            Patch(
                facecolor=scale(step),
                edgecolor=GREY,
                lw=0.4,
                label=f"{low + step * (high - low):.3g}",
            )
            for step in steps
        ]
    colors = ladder(len(note.levels), turn)
    if len(note.levels) > MOST_LEVELS:
        ends = [(colors[0], note.levels[0]), (colors[-1], note.levels[-1])]
        said = Patch(alpha=0, label=f"{len(note.levels)} levels, from")
        return [said, *(Patch(color=c, label=shortened(level, 16)) for c, level in ends)]
    return [
        Patch(color=color, label=shortened(level, 16))
        for color, level in zip(colors, note.levels, strict=True)
    ]
