"""A nested cross-validation: scores of the folds, parameters and genes that were chosen."""

from collections import Counter

import numpy as np

from ._style import BLACK, BLUE, GREY, LIGHT_GREY, SKY, grid_for, palette, shortened

_MOST_GENES = 20
_MOST_VALUES = 6
_LEAST_LINES = 10
_UNIT = ("accuracy", "balanced_accuracy", "f1", "roc_auc", "average_precision")
"""Share an axis: from 0 to 1, and more is better."""


class NestedCVDisplay:
    """The scores of the outer folds, and what was chosen in them.

    Make it with `from_result`. On the left every small point is an outer fold, the large one
    their mean with its corrected interval; a grey diamond is what the searches reported of
    themselves, which is too good by the distance between the two. In the middle stands how
    often each value of a parameter was chosen, on the right how often each gene was. Panels
    for which there is nothing are left out. Several results, one below the other, show one
    measure each.

    Parameters
    ----------
    results : dict
        Name to `NestedCVResult`.
    metric : str, optional
        The measure to compare several results by; by default the main one of the first.
    level : float, default=0.95
        Of the intervals.

    Attributes
    ----------
    axes_ : array of matplotlib Axes
        Scores, and where they are there parameters and genes.
    figure_ : matplotlib Figure

    Examples
    --------
    >>> from sklearn.naive_bayes import GaussianNB
    >>> from geneexpr import NestedCVDisplay, make_cohort, nested_cv
    >>> cohort = make_cohort(60, 20, random_state=0)
    >>> result = nested_cv(GaussianNB(), cohort.X, cohort.obs["condition"], progress=False)
    >>> display = NestedCVDisplay.from_result(result)
    >>> len(display.axes_)
    1
    """

    def __init__(self, results, *, metric=None, level=0.95):
        self.results = results
        self.metric = metric
        self.level = level

    @classmethod
    def from_result(cls, result, *, axes=None, level=0.95):
        """Draw what `nested_cv` returned.

        Parameters
        ----------
        result : NestedCVResult
        axes : sequence of matplotlib Axes, optional
            One for the scores, one for the parameters if a search chose some, one for the
            genes if a step chose some. By default those of a new figure.
        level : float, default=0.95

        Returns
        -------
        NestedCVDisplay
        """
        _check(result)
        return cls({"": result}, level=level).plot(axes)

    @classmethod
    def from_results(cls, results, *, metric=None, axes=None, level=0.95):
        """Draw one measure of several results, one below the other.

        Parameters
        ----------
        results : dict
            Name to `NestedCVResult`.
        metric : str, optional
            By default the main one of the first.
        axes : sequence of one matplotlib Axes, optional
        level : float, default=0.95

        Returns
        -------
        NestedCVDisplay
        """
        if not isinstance(results, dict) or not results:
            raise TypeError(f"A dict of results was expected, got {type(results).__name__}.")
        for result in results.values():
            _check(result)
        metric = next(iter(results.values())).metric if metric is None else metric
        for name, result in results.items():
            if metric not in result.metrics:
                raise ValueError(
                    f"The result of {name!r} has no {metric!r}; it has "
                    f"{', '.join(map(repr, result.metrics))}."
                )
        return cls(results, metric=metric, level=level).plot(axes)

    def plot(self, axes=None):
        """Draw on these axes, or on those of a new figure.

        Parameters
        ----------
        axes : sequence of matplotlib Axes, optional

        Returns
        -------
        NestedCVDisplay
            Itself.
        """
        panels = self._panels()
        rows = max(n for _, n, _ in panels)
        made = axes is None
        axes = grid_for(
            axes,
            len(panels),
            figsize=(0.6 + sum(width for *_, width in panels), max(2.2, 1.1 + 0.24 * rows)),
            width_ratios=[width for *_, width in panels],
        )
        for ax, (draw, *_) in zip(axes, panels, strict=True):
            draw(ax)
        self.axes_, self.figure_ = axes, axes[0].figure
        if made and len(self.results) == 1:
            self.figure_.suptitle(_headline(self._first(), self.level), x=0.01, ha="left")
        return self

    def _first(self):
        return next(iter(self.results.values()))

    def _panels(self):
        """Return how to draw each panel, how many lines it has, and how wide it is."""
        if self.metric is not None:
            return [(self._draw_models, 1.6 * len(self.results), 5.5)]
        result = self._first()
        panels = [(self._draw_scores, 2 * len(_same_scale(result)), 4.2)]
        values = _chosen_values(result.params)
        if values:
            lines = len(values) + len(result.params.columns)
            panels.append((lambda ax: _draw_values(ax, values), lines, 3.2))
        genes = result.gene_frequencies()
        if genes is not None:
            shown = genes.head(_MOST_GENES)
            panels.append((lambda ax: _draw_genes(ax, shown, result), len(shown) + 1, 3.2))
        return panels

    def _draw_scores(self, ax):
        result = self._first()
        names = _same_scale(result)
        for y, name in enumerate(names):
            _draw_line(ax, result, name, y, self.level, BLUE, "o")
        inner = result.scores["inner_score"].mean()
        if np.isfinite(inner) and names[0] == result.metric:
            ax.plot(inner, 0.46, "D", color=GREY, ms=6, label="the search's own score", zorder=3)
            ax.legend(loc="lower left", bbox_to_anchor=(0, 1), frameon=False, fontsize="small")
        _finish(ax, [name.replace("_", " ") for name in names], "score of an outer fold")

    def _draw_models(self, ax):
        colors = palette(self.results)
        for y, (name, result) in enumerate(self.results.items()):
            _draw_line(ax, result, self.metric, y, self.level, *colors[name])
        _finish(ax, [shortened(name, 40) for name in self.results], self.metric.replace("_", " "))


def _check(result):
    if not all(hasattr(result, name) for name in ("scores", "params", "summary")):
        raise TypeError(f"A result of nested_cv was expected, got {type(result).__name__}.")


def _headline(result, level):
    best = result.summary(level).loc[result.metric]
    return (
        f"{result.metric.replace('_', ' ')} {best['estimate']:.3f} "
        f"({best['low']:.3f} to {best['high']:.3f})"
    )


def _same_scale(result):
    """Return the measures that share an axis with the main one: it first."""
    if result.metric not in _UNIT:
        return [result.metric]
    return [name for name in result.metrics if name in _UNIT]


def _draw_line(ax, result, name, y, level, color, marker):
    """Draw the folds of a measure, and their mean with its interval."""
    folds = result.scores[name].dropna().to_numpy()
    jitter = (np.arange(len(folds)) * 0.618 % 1 - 0.5) * 0.16
    ax.scatter(folds, y + 0.24 + jitter, s=14, color=color, alpha=0.5, linewidths=0, zorder=2)
    found = result.summary(level).loc[name]
    if np.isfinite(found["low"]):
        ax.plot([found["low"], found["high"]], [y, y], color=color, lw=2, zorder=2)
    ax.plot(found["estimate"], y, marker, color=color, ms=8, zorder=3)
    ax.annotate(
        f"{found['estimate']:.3g}",
        (found["estimate"], y),
        (0, 6),
        textcoords="offset points",
        ha="center",
        fontsize="small",
    )


def _finish(ax, labels, xlabel):
    ax.set_yticks(range(len(labels)), labels)
    ax.set(ylim=(len(labels) - 0.4, -0.6), xlabel=xlabel)
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="x", color=LIGHT_GREY, lw=0.5)
    ax.set_axisbelow(True)


def _chosen_values(params):
    """Return (parameter, value, share of the folds); numbers ascend, words by their share."""
    found = []
    for name in params:
        there = [value for value in params[name] if value == value]  # not every grid has it
        counts = Counter(there).most_common(_MOST_VALUES)
        if all(_is_number(value) for value, _ in counts):
            counts = sorted(counts)
        found += [(name, _said(value), n / len(params)) for value, n in counts]
    return found


def _is_number(value):
    return isinstance(value, int | float | np.number) and not isinstance(value, bool | np.bool_)


def _said(value):
    return f"{value:.4g}" if _is_number(value) else str(value)


def _draw_values(ax, values):
    """Draw a bar for every chosen value, under the name of its parameter."""
    y, ticks, labels, last = 0, [], [], None
    for name, value, share in values:
        if name != last:
            said = shortened(" ".join(name.split("__")), 34)
            ax.text(0.01, y, said, va="center", fontsize="small", color=BLACK, weight="bold")
            y, last = y + 1, name
        ax.barh(y, share, color=SKY, height=0.7)
        ticks.append(y)
        labels.append(shortened(value, 16))
        y += 1
    ax.set_yticks(ticks, labels, fontsize="small")
    ax.set(
        ylim=(max(y, _LEAST_LINES) - 0.4, -0.6),
        xlim=(0, 1),
        xlabel="share of the folds that chose it",
    )
    ax.tick_params(axis="y", length=0)


def _draw_genes(ax, shown, result):
    """Draw a bar for every gene that was chosen most often."""
    ax.barh(range(len(shown)), shown.to_numpy(), color=SKY, height=0.7)
    ax.set_yticks(range(len(shown)), [shortened(g, 18) for g in shown.index], fontsize="small")
    ax.set(ylim=(max(len(shown), _LEAST_LINES) - 0.4, -0.6), xlim=(0, 1))
    ax.set_xlabel("share of the folds that chose it")
    ax.tick_params(axis="y", length=0)
    n_all, stability = len(result.gene_frequencies()), result.gene_stability()
    text = f"{len(shown)} of {n_all} genes" if n_all > len(shown) else "genes"
    if stability is not None and np.isfinite(stability):
        text += f", stability {stability:.3f}"
    ax.set_title(text, fontsize="small", loc="left")
