"""The genes that matter most in an explanation: a bar each, or a point for every sample."""

import numpy as np

from .._containers import name_some
from .._options import check_number
from ._style import (
    BLUE,
    GREY,
    MANY_POINTS,
    ORANGE,
    VALUES,
    axes_for,
    columns_for,
    legend_above,
    shortened,
)

SWARM = 0.38
"""Half the height of a swarm, in rows."""
FULL = 8
"""Points to one side that fill a swarm; fewer leave it narrow."""


def output_of(explanation, output=None):
    """Return the SHAP values of one output, and which that is.

    Parameters
    ----------
    explanation : Explanation
        Or anything with ``values``, ``gene_names`` and, of several outputs, ``classes``.
    output : label of a class, or int, optional
        Needed where there are several.

    Returns
    -------
    values : array of shape (n_samples, n_genes)
    name : object or None
        The class.
    """
    lacking = [name for name in ("values", "gene_names") if not hasattr(explanation, name)]
    if lacking:
        raise TypeError(
            "An Explanation as explain returns it was expected, got "
            f"{type(explanation).__name__}, which has no {name_some(lacking)}."
        )
    found = np.asarray(explanation.values, dtype=float)
    classes = getattr(explanation, "classes", None)
    if found.ndim == 2:
        if output is not None and (classes is None or output not in list(classes)):
            raise ValueError(f"output={output!r} was given, but the explanation has one output.")
        return found, None if classes is None or not len(classes) else classes[-1]
    labels = list(range(found.shape[2])) if classes is None else list(classes)
    if output is None:
        raise ValueError(
            f"The explanation has {len(labels)} outputs ({name_some(labels)}); name one: "
            f"output={labels[0]!r}."
        )
    if output not in labels:
        raise ValueError(f"There is no output {output!r}; the explanation has {name_some(labels)}.")
    return found[:, :, labels.index(output)], output


def top_genes(values, k):
    """Return the positions of the k genes of largest mean absolute value.

    Examples
    --------
    >>> import numpy as np
    >>> top_genes(np.array([[0.1, -3.0, 0.2]]), 2)
    array([1, 2])
    """
    check_number("k", k, least=1, whole=True)
    mean = np.abs(values).mean(axis=0)
    return np.lexsort((np.arange(len(mean)), -mean))[:k]


class _TopGenesDisplay:
    """What both figures share: values of the top genes, and what they are of."""

    def __init__(self, values, *, genes, expression=None, output=None, scale="", n_genes=None):
        self.values = np.asarray(values, dtype=float)
        self.genes = np.array([str(gene) for gene in genes], dtype=object)
        self.expression = None if expression is None else np.asarray(expression, dtype=float)
        self.output = output
        self.scale = scale
        self.n_genes = len(self.genes) if n_genes is None else n_genes

    @classmethod
    def from_explanation(cls, explanation, *, k=15, output=None, ax=None):
        """Draw what `explain` returned.

        Parameters
        ----------
        explanation : Explanation
        k : int, default=15
            How many genes, those of the largest mean absolute value first.
        output : label of a class, optional
            Needed where the explanation has several outputs.
        ax : matplotlib Axes, optional
            By default those of a new figure.

        Returns
        -------
        display
            With ``ax_`` and ``figure_``.
        """
        found, output = output_of(explanation, output)
        top = top_genes(found, k)
        data = getattr(explanation, "data", None)
        if data is not None:
            data = data[:, top]
            data = data.toarray() if hasattr(data, "toarray") else np.asarray(data)
        display = cls(
            found[:, top],
            genes=np.asarray(explanation.gene_names)[top],
            expression=data,
            output=output,
            scale=getattr(explanation, "scale", ""),
            n_genes=found.shape[1],
        )
        return display.plot(ax=ax)

    def _axes(self, ax):
        ax = axes_for(ax, figsize=(6.0, float(np.clip(1.2 + 0.24 * len(self.genes), 2.0, 12.0))))
        names = [shortened(gene) for gene in self.genes]
        ax.set_yticks(range(len(names)), names, fontsize="small" if len(names) <= 20 else 6)
        ax.tick_params(axis="y", length=0)
        ax.set_ylim(len(names) - 0.4, -0.6)
        return ax

    def _finish(self, ax, said):
        of = "" if self.output is None else f" for {shortened(self.output, 20)}"
        unit = f" ({self.scale})" if self.scale else ""
        ax.set_xlabel(f"{said}{of}{unit}")
        ax.locator_params(axis="x", nbins=5)
        if self.n_genes > len(self.genes):
            ax.set_ylabel(f"top {len(self.genes)} of {self.n_genes} genes", fontsize="small")
        self.ax_, self.figure_ = ax, ax.figure
        return self


class GeneImportanceDisplay(_TopGenesDisplay):
    """The genes that move a model's output most: the mean absolute SHAP value of each.

    Make it with `from_explanation`. A bar is plain where more expression raises the output
    and hatched where it lowers it (by the sign of the correlation over the samples).

    Parameters
    ----------
    values : array of shape (n_samples, k)
        SHAP values of the top genes, the first first.
    genes : sequence of str
    expression : array of shape (n_samples, k), optional
        Without it no direction is shown.
    output : object, optional
        The class that the values speak for.
    scale : str
        Unit of the values.
    n_genes : int, optional
        Of how many genes these are the top.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    bars_ : matplotlib BarContainer
    importance : array of shape (k,)

    See Also
    --------
    ShapBeeswarmDisplay : A point for every sample.

    Examples
    --------
    >>> import numpy as np
    >>> from geneexpr import GeneImportanceDisplay
    >>> values = np.array([[0.5, -0.1], [-0.3, 0.1]])
    >>> display = GeneImportanceDisplay(values, genes=["MYC", "TP53"]).plot()
    >>> display.importance
    array([0.4, 0.1])
    """

    @property
    def importance(self):
        """Mean absolute value of each gene."""
        return np.abs(self.values).mean(axis=0)

    def plot(self, ax=None):
        """Draw on these axes, or on those of a new figure.

        Parameters
        ----------
        ax : matplotlib Axes, optional

        Returns
        -------
        GeneImportanceDisplay
            Itself.
        """
        ax = self._axes(ax)
        lowers = self._lowers()
        self.bars_ = ax.barh(range(len(self.genes)), self.importance, 0.7, color=BLUE)
        for bar, down in zip(self.bars_, lowers, strict=True):
            if down:
                bar.set(facecolor=ORANGE, hatch="////", edgecolor="white", linewidth=0)
        if self._has_direction():
            from matplotlib.patches import Patch

            ways = [Patch(color=BLUE, label="more expression raises")]
            look = {"facecolor": ORANGE, "hatch": "////", "edgecolor": "white", "linewidth": 0}
            ways.append(Patch(label="more expression lowers", **look))
            legend_above(ax, handles=ways, ncols=columns_for(ax, [way.get_label() for way in ways]))
        return self._finish(ax, "mean |SHAP value|")

    def _has_direction(self):
        return self.expression is not None and len(self.expression) > 1

    def _lowers(self):
        """Tell for which genes the values fall as the expression rises."""
        if not self._has_direction():
            return np.zeros(len(self.genes), dtype=bool)
        centred = self.expression - self.expression.mean(axis=0)
        return (centred * self.values).sum(axis=0) < 0


class ShapBeeswarmDisplay(_TopGenesDisplay):
    """SHAP values of the top genes, a point for every sample, coloured by the expression.

    Make it with `from_explanation`. Each row of points is one gene; right of 0 it raises the
    output for this sample, left it lowers it. Colours go from blue (low expression of the
    gene) by grey to yellow (high), lighter all the way.

    Parameters
    ----------
    values : array of shape (n_samples, k)
        SHAP values of the top genes, the first first.
    genes : sequence of str
    expression : array of shape (n_samples, k), optional
        What the colours show; without it the points are of one colour.
    output : object, optional
        The class that the values speak for.
    scale : str
        Unit of the values.
    n_genes : int, optional
        Of how many genes these are the top.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    points_ : list of matplotlib PathCollection
        One a gene.
    colorbar_ : matplotlib Colorbar, or None

    See Also
    --------
    GeneImportanceDisplay : A bar for every gene.

    Examples
    --------
    >>> import numpy as np
    >>> from geneexpr import ShapBeeswarmDisplay
    >>> values = np.random.default_rng(0).normal(size=(30, 2))
    >>> display = ShapBeeswarmDisplay(values, genes=["MYC", "TP53"]).plot()
    >>> len(display.points_)
    2
    """

    def plot(self, ax=None):
        """Draw on these axes, or on those of a new figure.

        Parameters
        ----------
        ax : matplotlib Axes, optional

        Returns
        -------
        ShapBeeswarmDisplay
            Itself.
        """
        ax = self._axes(ax)
        ax.axvline(0, color=GREY, lw=0.8, zorder=0)
        n = len(self.values)
        low, high = self.values.min(), self.values.max()
        options = {
            "s": float(np.clip(3000 / max(n, 1), 2, 18)),
            "linewidths": 0,
            "rasterized": n * len(self.genes) > MANY_POINTS,
        }
        self.points_ = []
        for row in range(len(self.genes)):
            x = self.values[:, row]
            y = row + SWARM * swarm(x, low, high)
            color = {"color": BLUE}
            if self.expression is not None:
                color = {"c": _ranked(self.expression[:, row]), "cmap": VALUES}
                color |= {"vmin": 0, "vmax": 1}
            self.points_.append(ax.scatter(x, y, **color, **options))
        self.colorbar_ = None
        if self.expression is not None and self.points_:
            self.colorbar_ = bar = ax.figure.colorbar(self.points_[0], ax=ax, aspect=40, pad=0.02)
            bar.set_ticks([0, 1], labels=["low", "high"])
            bar.set_label("expression", labelpad=-12)
            bar.outline.set_visible(False)
        return self._finish(ax, "SHAP value")


def swarm(x, low, high, n_bins=100):
    """Spread points of nearly equal x to both sides, wider where there are more.

    Parameters
    ----------
    x : array of shape (n,)
    low, high : float
        Ends of the axis.
    n_bins : int, default=100
        Points of one bin are spread.

    Returns
    -------
    array of shape (n,)
        Within -1 and 1; depends on the values and their order alone.

    Examples
    --------
    >>> import numpy as np
    >>> swarm(np.array([0.0, 0.0, 0.0, 1.0]), 0.0, 1.0)
    array([ 0.   , -0.125,  0.125,  0.   ])
    """
    bins = np.floor((x - low) / ((high - low) or 1.0) * (n_bins - 1)).astype(int)
    order = np.argsort(bins, kind="stable")
    starts = np.searchsorted(bins[order], bins[order], side="left")
    rank = np.empty(len(x), dtype=int)
    rank[order] = np.arange(len(x)) - starts
    place = np.where(rank % 2 == 1, -1, 1) * ((rank + 1) // 2)
    fullest = np.bincount(bins).max() // 2 if len(x) else 1
    return place / max(fullest, FULL)


def _ranked(x):
    """Bring expression between 0 and 1, outliers cut off at the 2nd and 98th percentile."""
    low, high = np.quantile(x, [0.02, 0.98])
    return np.clip((x - low) / (high - low), 0, 1) if high > low else np.full(len(x), 0.5)
