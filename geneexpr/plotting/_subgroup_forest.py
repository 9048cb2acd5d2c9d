"""A model in every subgroup: one panel a measure, one line a subgroup."""

import numpy as np

from ._style import BLACK, BLUE, GREY, LIGHT_GREY, grid_for, shortened

ALL = "all"
_COLUMNS = ("metric", "subgroup", "estimate", "low", "high", "n", "flag")
_MOST_PANELS = 4
_FIRST = ("balanced_accuracy", "roc_auc", "average_precision", "brier", "r2", "mae")
"""What is drawn where there are more measures than panels."""
_WIDTH, _LINE = 2.5, 0.28
"""Of a panel and of a line, in inches."""
_LONGEST_NOTE = 90


class SubgroupForestDisplay:
    """A forest plot of subgroups: estimates with intervals, beside that of all samples.

    Make it with `from_report`. A line is a subgroup with its number of samples; the diamond and
    the dashed line are all samples together. Subgroups with a flag (too few samples, a class that
    is not there) are hollow and grey, and their names end in a star.

    Parameters
    ----------
    table : DataFrame
        Columns ``metric``, ``subgroup``, ``estimate``, ``low``, ``high``, ``n`` and ``flag``, as
        the report of `subgroup_report` holds it.
    metrics : sequence of str, optional
        The panels, from left to right; by default those of the table, four at most.

    Attributes
    ----------
    axes_ : array of matplotlib Axes
    figure_ : matplotlib Figure
    points_ : dict of matplotlib Line2D
        By metric and subgroup.

    See Also
    --------
    subgroup_report : Makes the table.

    Examples
    --------
    >>> import pandas as pd
    >>> from geneexpr import SubgroupForestDisplay
    >>> rows = [("accuracy", "all", 0.9, 0.8, 0.95, 60, ""), ("accuracy", "f", 0.9, 0.8, 1, 60, "")]
    >>> columns = ["metric", "subgroup", "estimate", "low", "high", "n", "flag"]
    >>> display = SubgroupForestDisplay(pd.DataFrame(rows, columns=columns)).plot()
    >>> sorted(display.points_)
    [('accuracy', 'all'), ('accuracy', 'f')]
    """

    def __init__(self, table, *, metrics=None):
        missing = [name for name in _COLUMNS if name not in table]
        if missing:
            raise ValueError(f"The table of subgroups lacks the columns {', '.join(missing)}.")
        self.table = table
        self.metrics = _chosen(list(dict.fromkeys(table["metric"])), metrics)

    @classmethod
    def from_report(cls, report, *, metrics=None, axes=None):
        """Draw what `subgroup_report` returned.

        Parameters
        ----------
        report : SubgroupReport
        metrics : sequence of str, optional
            The panels, from left to right; by default those of the report, four at most.
        axes : sequence of matplotlib Axes, optional
            One a metric; by default those of a new figure.

        Returns
        -------
        SubgroupForestDisplay
        """
        return cls(report.table, metrics=metrics).plot(axes)

    def plot(self, axes=None):
        """Draw on these axes, or on those of a new figure.

        Parameters
        ----------
        axes : sequence of matplotlib Axes, optional
            One a metric.

        Returns
        -------
        SubgroupForestDisplay
            Itself.
        """
        subgroups = list(dict.fromkeys(self.table["subgroup"]))
        width = 1.8 + _WIDTH * len(self.metrics)
        height = max(1.6, 0.9 + _LINE * len(subgroups))
        self.axes_ = grid_for(axes, len(self.metrics), figsize=(width, height))
        self.figure_ = self.axes_[0].figure
        self.points_ = {}
        for i, (ax, metric) in enumerate(zip(self.axes_, self.metrics, strict=True)):
            self._draw(ax, metric, subgroups)
            if i and axes is None:
                ax.tick_params(axis="y", labelleft=False)
        if axes is None:
            self._explain_stars()
        return self

    def _explain_stars(self):
        said = [flag for flag in dict.fromkeys(self.table["flag"]) if flag]
        if said:
            text = shortened(f"* {', or '.join(said)}", _LONGEST_NOTE)
            self.figure_.supxlabel(text, x=0.01, ha="left", fontsize="small", color=GREY)

    def _draw(self, ax, metric, subgroups):
        rows = self.table[self.table["metric"] == metric].set_index("subgroup")
        for place, name in enumerate(subgroups):
            if name in rows.index:
                self.points_[metric, name] = _draw_line(ax, rows.loc[name], name, place)
        if ALL in rows.index and np.isfinite(rows.loc[ALL, "estimate"]):
            ax.axvline(rows.loc[ALL, "estimate"], color=LIGHT_GREY, linestyle="--", zorder=0)
        counts = self.table.drop_duplicates("subgroup").set_index("subgroup")
        ax.set_yticks(range(len(subgroups)), [_label(name, counts.loc[name]) for name in subgroups])
        ax.set_ylim(len(subgroups) - 0.5, -0.5)
        ax.set_xlabel(metric.replace("_", " "))
        ax.tick_params(axis="y", length=0)
        ax.spines["left"].set_visible(False)


def _chosen(there, metrics):
    """Return the panels: those asked for, or the most telling where there are many."""
    if metrics is None:
        if len(there) <= _MOST_PANELS:
            return there
        first = [name for name in _FIRST if name in there]
        return (first + [name for name in there if name not in first])[:_MOST_PANELS]
    if isinstance(metrics, str):
        raise ValueError(f"metrics must be a sequence of names; give [{metrics!r}].")
    unknown = [name for name in metrics if name not in there]
    if unknown or not len(metrics):
        raise ValueError(
            f"The table holds {', '.join(map(repr, there))}; got "
            f"{', '.join(map(repr, unknown)) or 'no metric'}."
        )
    return list(metrics)


def _draw_line(ax, row, name, place):
    """Draw an estimate with its interval; where there is none, a dash in the middle."""
    flagged, whole = bool(row["flag"]), name == ALL
    color = GREY if flagged else BLACK if whole else BLUE
    if np.isfinite([row["low"], row["high"]]).all():
        ax.plot([row["low"], row["high"]], [place, place], color=color, linewidth=1.5, zorder=1)
    (point,) = ax.plot(
        [row["estimate"]],
        [place],
        marker="D" if whole else "o",
        markersize=6,
        color=color,
        markerfacecolor="white" if flagged else color,
        linestyle="none",
        zorder=2,
    )
    return point


def _label(name, row):
    return f"{shortened(name)}{'*' if row['flag'] else ''} (n={row['n']})"
