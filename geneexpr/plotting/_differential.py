"""Volcano and MA plots of the table that `differential_expression` returns."""

import numpy as np
import pandas as pd

from .._containers import name_some
from ._style import (
    BLUE,
    GREY,
    LIGHT_GREY,
    MANY_POINTS,
    VERMILION,
    axes_for,
    legend_above,
    point_size,
    write_names,
)

COLUMNS = ("log2_fold_change", "mean_expression", "p_value", "p_adjusted")


def rows_of(table, contrast=None):
    """Return the rows of one contrast.

    Parameters
    ----------
    table : DataFrame
        As `differential_expression` returns it.
    contrast : str, optional
        Needed where the table holds several.

    Returns
    -------
    table : DataFrame
    contrast : str or None
    """
    if not isinstance(table, pd.DataFrame):
        raise TypeError(
            "A table as differential_expression returns it was expected, got "
            f"{type(table).__name__}."
        )
    missing = [name for name in COLUMNS if name not in table.columns]
    if missing:
        raise ValueError(
            f"The table lacks the columns {name_some(missing)}; a table as "
            "differential_expression returns it was expected."
        )
    if "contrast" not in table.columns:
        if contrast is not None:
            raise ValueError(
                f"contrast={contrast!r} was given, but the table holds one contrast only: it has "
                "no column 'contrast'. Leave contrast out."
            )
        return table, None
    there = pd.unique(table["contrast"])
    if contrast is None and len(there) > 1:
        raise ValueError(
            f"The table holds {len(there)} contrasts ({name_some(there)}); name one: "
            f"contrast={there[0]!r}."
        )
    contrast = there[0] if contrast is None and len(there) else contrast
    if contrast not in there:
        raise ValueError(f"There is no contrast {contrast!r}; the table holds {name_some(there)}.")
    return table[(table["contrast"] == contrast).to_numpy()], contrast


def passing(effects, adjusted, alpha, min_effect):
    """Tell which genes are significant and changed enough, as `DifferentialExpressionSelector`.

    Parameters
    ----------
    effects, adjusted : array of shape (n_genes,)
        Log2 fold changes and adjusted p-values; genes without either do not pass.
    alpha, min_effect : float
        Both limits are included.

    Returns
    -------
    array of bool of shape (n_genes,)

    Examples
    --------
    >>> import numpy as np
    >>> passing(np.array([2.0, -2.0, 0.5]), np.array([0.01, 0.2, 0.01]), 0.05, 1.0)
    array([ True, False, False])
    """
    return (adjusted <= alpha) & (np.abs(effects) >= min_effect)


class _ResultsDisplay:
    """What both plots share: the table, which genes pass, and which get names."""

    _figsize = (6.0, 4.5)

    def __init__(
        self,
        *,
        log2_fold_change,
        mean_expression,
        p_value,
        p_adjusted,
        genes,
        contrast=None,
        alpha=0.05,
        min_log2_fold_change=1.0,
    ):
        self.log2_fold_change = np.asarray(log2_fold_change, dtype=float)
        self.mean_expression = np.asarray(mean_expression, dtype=float)
        self.p_value = np.asarray(p_value, dtype=float)
        self.p_adjusted = np.asarray(p_adjusted, dtype=float)
        self.genes = np.asarray(genes, dtype=object)
        self.contrast = contrast
        self.alpha = alpha
        self.min_log2_fold_change = min_log2_fold_change
        self.passes = passing(
            self.log2_fold_change, self.p_adjusted, self.alpha, self.min_log2_fold_change
        )

    @classmethod
    def from_results(
        cls,
        table,
        *,
        contrast=None,
        alpha=0.05,
        min_log2_fold_change=1.0,
        n_labels=10,
        label_genes=None,
        ax=None,
    ):
        """Draw the table that `differential_expression` returns.

        Parameters
        ----------
        table : DataFrame
            Indexed by gene.
        contrast : str, optional
            Which contrast, where the table holds several.
        alpha : float, default=0.05
            Largest adjusted p-value of a gene that is marked.
        min_log2_fold_change : float, default=1.0
            Smallest change of a gene that is marked, up or down.
        n_labels : int, default=10
            How many of the marked genes get names: those of the smallest p-values.
        label_genes : sequence of str, optional
            Genes that get names in their place, marked or not.
        ax : matplotlib Axes, optional
            By default those of a new figure.

        Returns
        -------
        display
            With ``ax_`` and ``figure_``.
        """
        table, contrast = rows_of(table, contrast)
        columns = {name: table[name].to_numpy() for name in COLUMNS}
        display = cls(
            genes=table.index.to_numpy(),
            contrast=contrast,
            alpha=alpha,
            min_log2_fold_change=min_log2_fold_change,
            **columns,
        )
        return display.plot(ax=ax, n_labels=n_labels, label_genes=label_genes)

    def plot(self, ax=None, *, n_labels=10, label_genes=None):
        """Draw on these axes, or on those of a new figure.

        Parameters
        ----------
        ax : matplotlib Axes, optional
        n_labels : int, default=10
        label_genes : sequence of str, optional
            As in `from_results`.

        Returns
        -------
        display
            Itself.
        """
        named = self._named(n_labels, label_genes)
        ax = axes_for(ax, figsize=self._figsize)
        x, y = self._positions()
        up = self.log2_fold_change > 0
        drawn = np.isfinite(x) & np.isfinite(y)
        groups = [
            ("not marked", ~self.passes, LIGHT_GREY),
            ("down", self.passes & ~up, BLUE),
            ("up", self.passes & up, VERMILION),
        ]
        size = point_size(drawn.sum())
        self.points_ = {}
        for name, mask, color in groups:
            mask = mask & drawn
            self.points_[name] = ax.scatter(
                x[mask],
                y[mask],
                s=size,
                color=color,
                linewidths=0,
                label=None if name == "not marked" else f"{name} ({mask.sum()})",
                rasterized=bool(drawn.sum() > MANY_POINTS),
            )
        self._lines(ax)
        legend_above(ax, markerscale=np.sqrt(30 / size))
        named = named[drawn[named]]
        marked = np.column_stack([x, y])[drawn & self.passes]
        self.names_ = write_names(ax, x[named], y[named], self.genes[named], avoid=marked)
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _named(self, n_labels, label_genes):
        """Return the positions of the genes that get names."""
        if label_genes is None:
            order = np.lexsort((-np.abs(self.log2_fold_change), self.p_value))
            return order[self.passes[order]][:n_labels]
        places = pd.Index(self.genes).get_indexer(list(label_genes))
        unknown = [gene for gene, i in zip(label_genes, places, strict=True) if i < 0]
        if unknown:
            raise ValueError(f"label_genes names genes that the table lacks: {name_some(unknown)}.")
        return places

    def _effect_label(self):
        said = "" if self.contrast is None else f"\n{self.contrast}"
        return f"log$_2$ fold change{said}"


class VolcanoDisplay(_ResultsDisplay):
    """Volcano plot: how much each gene changes against how sure that is.

    Make it with `from_results`. Marked are the genes whose adjusted p-value is at most
    ``alpha`` and whose log2 fold change is at least ``min_log2_fold_change``, up or down.
    The dashed horizontal line stands at the largest p-value of a gene with an adjusted
    p-value within ``alpha``. A p-value of 0 (too small for a number of double precision)
    stands at the smallest number there is; genes without a p-value are not drawn.

    Parameters
    ----------
    log2_fold_change, mean_expression, p_value, p_adjusted : array-like of shape (n_genes,)
    genes : array-like of shape (n_genes,)
    contrast : str, optional
    alpha : float, default=0.05
    min_log2_fold_change : float, default=1.0

    Attributes
    ----------
    passes : array of bool of shape (n_genes,)
        The marked genes.
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    points_ : dict of matplotlib PathCollection
        The points of "up", "down" and "not marked".
    names_ : list of matplotlib Annotation
        One a name; those for which there is no room are not visible.

    Examples
    --------
    >>> import pandas as pd
    >>> from geneexpr import VolcanoDisplay, differential_expression
    >>> X = pd.DataFrame({"MYC": [1.0, 1.5, 4.0, 4.5], "ACTB": [9.0, 8.0, 9.5, 8.5]})
    >>> table = differential_expression(X, ["control", "control", "case", "case"],
    ...                                 reference="control")
    >>> display = VolcanoDisplay.from_results(table)
    >>> display.genes[display.passes].tolist()
    ['MYC']
    """

    def _positions(self):
        tiniest = np.nextafter(0, 1)
        return self.log2_fold_change, -np.log10(np.maximum(self.p_value, tiniest))

    def _lines(self, ax):
        style = {"color": GREY, "lw": 0.8, "ls": "--", "zorder": 1}
        for limit in {-self.min_log2_fold_change, self.min_log2_fold_change} - {0.0}:
            ax.axvline(limit, **style)
        within = self.p_value[self.p_adjusted <= self.alpha]
        if len(within):
            ax.axhline(-np.log10(max(within.max(), np.nextafter(0, 1))), **style)
        ax.set(xlabel=self._effect_label(), ylabel="−log$_{10}$ p-value")


class MADisplay(_ResultsDisplay):
    """MA plot: how much each gene changes against how strongly it is expressed.

    Make it with `from_results`. Marked are the genes whose adjusted p-value is at most
    ``alpha`` and whose log2 fold change is at least ``min_log2_fold_change``, up or down.

    Parameters
    ----------
    log2_fold_change, mean_expression, p_value, p_adjusted : array-like of shape (n_genes,)
    genes : array-like of shape (n_genes,)
    contrast : str, optional
    alpha : float, default=0.05
    min_log2_fold_change : float, default=1.0

    Attributes
    ----------
    passes : array of bool of shape (n_genes,)
        The marked genes.
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    points_ : dict of matplotlib PathCollection
        The points of "up", "down" and "not marked".
    names_ : list of matplotlib Annotation
        One a name; those for which there is no room are not visible.

    Examples
    --------
    >>> import pandas as pd
    >>> from geneexpr import MADisplay, differential_expression
    >>> X = pd.DataFrame({"MYC": [1.0, 1.5, 4.0, 4.5], "ACTB": [9.0, 8.0, 9.5, 8.5]})
    >>> table = differential_expression(X, ["control", "control", "case", "case"],
    ...                                 reference="control")
    >>> MADisplay.from_results(table).ax_.get_xlabel()
    'mean expression'
    """

    def _positions(self):
        return self.mean_expression, self.log2_fold_change

    def _lines(self, ax):
        ax.axhline(0.0, color=GREY, lw=0.8, zorder=1)
        for limit in {-self.min_log2_fold_change, self.min_log2_fold_change} - {0.0}:
            ax.axhline(limit, color=GREY, lw=0.8, ls="--", zorder=1)
        ax.set(xlabel="mean expression", ylabel=self._effect_label())
