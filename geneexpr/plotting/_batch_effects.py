"""A batch effect before and after correction: the samples, and all measures."""

import numpy as np

from .._containers import name_some
from ._style import (
    BLACK,
    BLUE,
    GREY,
    LIGHT_GREY,
    MANY_POINTS,
    ORANGE,
    axes_for,
    legend_above,
    palette,
    point_size,
    shortened,
)

_MOST_LEVELS = 8
_LEFT = 0.1
"""How far bars go below what chance gives."""
_BARS = (LIGHT_GREY, BLUE)
_CLASS_BARS = (LIGHT_GREY, ORANGE)


class BatchEffectDisplay:
    """Samples by batch and by class, and the measures of a report, before and after.

    Make it with `from_reports`. The points are the samples on their first two principal
    components. The bars of the batch are scaled so that 0 is what to expect without a batch
    effect and 1 what to expect where batches do not overlap, and bear the values themselves;
    those of the class are the values. A good correction shortens the first and leaves the
    others long.

    Parameters
    ----------
    reports : sequence of BatchEffectReport
        One, or two: before and after correction.
    names : sequence of str
        One a report.

    Attributes
    ----------
    axes_ : array of matplotlib Axes
        Panels of samples, row by row (batches, then classes), then that of the measures.
    figure_ : matplotlib Figure

    Examples
    --------
    >>> from geneexpr import BatchEffectDisplay, batch_effect_report, make_cohort
    >>> cohort = make_cohort(60, 100, n_batches=2, random_state=0)
    >>> report = batch_effect_report(cohort, batch_key="batch", condition="condition")
    >>> display = BatchEffectDisplay.from_reports(report)
    >>> len(display.axes_)
    3
    """

    def __init__(self, reports, *, names):
        self.reports = list(reports)
        self.names = list(names)

    @classmethod
    def from_reports(cls, before, after=None, *, names=("before", "after"), axes=None):
        """Draw what `batch_effect_report` returned.

        Parameters
        ----------
        before : BatchEffectReport
        after : BatchEffectReport, optional
            Of the same samples after correction.
        names : sequence of str, default=("before", "after")
        axes : sequence of matplotlib Axes, optional
            As many as panels, by default those of a new figure.

        Returns
        -------
        BatchEffectDisplay
        """
        reports = [before] if after is None else [before, after]
        names = list(names)[: len(reports)]
        if len(names) < len(reports):
            raise ValueError(f"names must name {len(reports)} reports; got {len(names)}.")
        lacking = [r for r in reports if not hasattr(r, "measures") or not hasattr(r, "points")]
        if lacking:
            raise TypeError(
                "Reports as batch_effect_report returns them were expected, got "
                f"{type(lacking[0]).__name__}."
            )
        return cls(reports, names=names).plot(axes)

    def plot(self, axes=None):
        """Draw on these axes, or on those of a new figure.

        Parameters
        ----------
        axes : sequence of matplotlib Axes, optional
            As many as panels.

        Returns
        -------
        BatchEffectDisplay
            Itself.
        """
        keys = [key for key in ("batch", "condition") if key in self.reports[0].points]
        axes = self._axes(axes, len(keys))
        panels = iter(axes)
        for i, key in enumerate(keys):
            row = [next(panels) for _ in self.reports]
            for ax, report, name in zip(row, self.reports, self.names, strict=True):
                _draw_points(ax, report.points, key)
                if i == 0 and len(self.reports) > 1:
                    ax.set_title(name, fontsize="medium", loc="left", pad=20)
            _legend(row[0], self.reports[0].points[key], "batch" if key == "batch" else "class")
        _draw_measures(axes[-1], self.reports, self.names)
        self.axes_, self.figure_ = axes, axes[-1].figure
        return self

    def _axes(self, axes, n_rows):
        n_columns = len(self.reports)
        n_panels = n_rows * n_columns + 1
        if axes is None:
            import matplotlib.pyplot as plt

            figure = plt.figure(
                figsize=(2.6 * n_columns + 4.6, 2.9 * n_rows + 0.4), layout="constrained"
            )
            grid = figure.add_gridspec(
                n_rows, n_columns + 1, width_ratios=[*[1.0] * n_columns, 1.35]
            )
            places = [grid[i, j] for i in range(n_rows) for j in range(n_columns)]
            axes = [figure.add_subplot(place) for place in [*places, grid[:, -1]]]
        axes = np.asarray(axes, dtype=object).ravel()
        if len(axes) != n_panels:
            raise ValueError(f"This figure has {n_panels} panels; got {len(axes)} axes.")
        return np.array([axes_for(ax) for ax in axes], dtype=object)


def scaled_effects(measures):
    """Return the measures of the batch as 0 (no batch effect) to 1 (batches apart).

    Parameters
    ----------
    measures : DataFrame
        Of `BatchEffectReport`.

    Returns
    -------
    Series
        Those that measure the batch; below 0 where there is less than expected by chance.
    """
    of_batch = measures.dropna(subset=["no_batch_effect"])
    reach = of_batch["batches_apart"] - of_batch["no_batch_effect"]
    return (of_batch["value"] - of_batch["no_batch_effect"]) / reach


def _draw_points(ax, points, key):
    levels = sorted(points[key].unique())
    many = len(levels) > _MOST_LEVELS
    looks = dict.fromkeys(levels, (GREY, "o")) if many else palette(levels)
    x, y = (points[name] for name in points.columns[:2])
    for level in levels:
        rows = (points[key] == level).to_numpy()
        color, marker = looks[level]
        ax.scatter(
            x[rows],
            y[rows],
            s=point_size(len(points)),
            color=color,
            marker=marker,
            alpha=0.8,
            linewidths=0,
            rasterized=len(points) > MANY_POINTS,
            label=shortened(level, 12),
        )
    shares = points.attrs.get("explained", [])
    for axis, share, number in zip((ax.xaxis, ax.yaxis), shares, "12", strict=False):
        axis.set_label_text(f"PC {number} ({share:.0%})", fontsize="small")
    ax.set(xticks=[], yticks=[])


def _legend(ax, labels, what):
    levels = sorted(labels.unique())
    if len(levels) <= _MOST_LEVELS:
        legend_above(ax)
        return
    said = f"{len(levels)} levels of {what}: {name_some(levels, 2)}"
    ax.text(0, 1.02, said, transform=ax.transAxes, fontsize="small")


def _draw_measures(ax, reports, names):
    """Draw a group of bars for every measure, first those of the batch."""
    effects = [scaled_effects(report.measures) for report in reports]
    of_batch = list(effects[0].index)
    of_class = [name for name in reports[0].measures.index if name not in of_batch]
    height = 0.8 / len(reports)
    places = [*range(len(of_batch)), *(len(of_batch) + 0.7 + i for i in range(len(of_class)))]
    for i, (report, effect) in enumerate(zip(reports, effects, strict=True)):
        value = report.measures["value"]
        last = i == len(reports) - 1
        for place, measure in zip(places, [*of_batch, *of_class], strict=True):
            batch = measure in effect.index
            length = effect[measure] if batch else value[measure]
            y = place + (i - (len(reports) - 1) / 2) * height
            color = (_BARS if batch else _CLASS_BARS)[last]
            shown = 0.0 if np.isnan(length) else float(np.clip(length, -_LEFT, 1))
            ax.barh(y, shown, height * 0.92, color=color)
            said = "-" if np.isnan(value[measure]) else f"{value[measure]:.2f}"
            ax.text(max(shown, 0) + 0.02, y, said, va="center", fontsize="x-small", color=BLACK)
    ax.axvline(0, color=GREY, lw=0.8)
    ax.set_yticks(places, [*of_batch, *of_class], fontsize="small")
    ax.set_ylim(places[-1] + 0.6, -0.6)
    ax.set_xlim(-_LEFT, 1.2)
    ax.set_xticks([0, 1], ["no batch\neffect", "batches\napart"], fontsize="small")
    ax.tick_params(axis="y", length=0)
    if len(reports) > 1:
        said = f"grey: {names[0]}, coloured: {names[1]}"
        ax.set_title(said, fontsize="small", loc="right")
