"""Quality of samples: the distribution of each, and where it lies among the others."""

import numpy as np

from ._style import BLUE, GREY, VERMILION, axes_for, grid_for, point_size, shortened, write_names

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
MANY_SAMPLES = 60
"""From here on a box is a thin line, and only outliers are named."""


class SampleQCDisplay:
    """Boxplots and principal components of samples, outliers marked and named.

    Make it with `from_estimator`. A box spans the quartiles, its whiskers the quantiles .05 and
    .95; the grey band is the box of the median sample.

    Parameters
    ----------
    quantiles : array of shape (n_samples, 5)
        Quantiles .05, .25, .5, .75 and .95 of each sample.
    components : array of shape (n_samples, n_components), or None
        The first two are drawn; None leaves this panel out.
    outlier : array of bool of shape (n_samples,)
    names : sequence of str
    explained : sequence of float, optional
        Share of the variance that each component explains.

    Attributes
    ----------
    axes_ : array of matplotlib Axes
    figure_ : matplotlib Figure
    names_ : list of matplotlib Annotation
        Of the outliers among the principal components.

    See Also
    --------
    SampleOutlierDetector : Finds the outliers.

    Examples
    --------
    >>> import numpy as np
    >>> from geneexpr import SampleOutlierDetector, SampleQCDisplay
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(8, 2, size=200) + rng.normal(size=(20, 200))
    >>> X[3] = rng.permutation(X[3])
    >>> detector = SampleOutlierDetector(random_state=0).fit(X)
    >>> display = SampleQCDisplay.from_estimator(detector, X)
    >>> [text.get_text() for text in display.names_]
    ['3']
    """

    def __init__(self, *, quantiles, components, outlier, names, explained=None):
        self.quantiles = np.asarray(quantiles, dtype=float)
        self.components = None if components is None else np.asarray(components, dtype=float)
        self.outlier = np.asarray(outlier, dtype=bool)
        self.names = [str(name) for name in names]
        self.explained = explained

    @classmethod
    def from_estimator(cls, estimator, X, *, axes=None):
        """Draw samples as a fitted detector sees them.

        Parameters
        ----------
        estimator : SampleOutlierDetector
            Fitted; or anything with ``report``, ``quantiles`` and, for the second panel,
            ``project``.
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)
        axes : sequence of matplotlib Axes, optional
            Two, or one for a method without principal components; by default of a new figure.

        Returns
        -------
        SampleQCDisplay
        """
        table = estimator.report(X)
        pca = getattr(estimator, "pca_", None)
        display = cls(
            quantiles=estimator.quantiles(X),
            components=None if pca is None else estimator.project(X),
            outlier=table["outlier"].to_numpy(),
            names=table.index,
            explained=None if pca is None else pca.explained_variance_ratio_,
        )
        return display.plot(axes=axes)

    def plot(self, axes=None):
        """Draw on these axes, or on those of a new figure.

        Parameters
        ----------
        axes : sequence of matplotlib Axes, optional

        Returns
        -------
        SampleQCDisplay
            Itself.
        """
        n_panels = 1 if self.components is None else 2
        width = float(np.clip(0.16 * len(self.names), 3.5, 8.0))
        if axes is None:
            figsize = (width + 4.0 * (n_panels - 1), 4.0)
            ratios = [width, 4.0][:n_panels]
            axes = grid_for(None, n_panels, figsize=figsize, width_ratios=ratios)
        else:
            axes = grid_for(axes, n_panels, figsize=None)
        self._draw_boxes(axes[0])
        self.names_ = [] if self.components is None else self._draw_components(axes[1])
        self.axes_, self.figure_ = axes, axes[0].figure
        return self

    def _draw_boxes(self, ax):
        axes_for(ax)
        place = np.arange(len(self.names))
        many = len(place) >= MANY_SAMPLES
        low, q1, middle, q3, high = self.quantiles.T
        typical = np.median(self.quantiles, axis=0)
        ax.axhspan(typical[1], typical[3], color=GREY, alpha=0.12, lw=0)
        ax.axhline(typical[2], color=GREY, lw=0.8)
        box = float(np.clip(250 / len(place), 1.0, 9.0))
        for mask, color in ((~self.outlier, BLUE), (self.outlier, VERMILION)):
            ax.vlines(place[mask], low[mask], high[mask], color=color, lw=min(0.8, box / 3))
            ax.vlines(place[mask], q1[mask], q3[mask], color=color, lw=box, alpha=0.6)
            ax.plot(place[mask], middle[mask], "_", color="black", ms=box * 0.9, mew=0.9)
        shown = place[self.outlier] if many else place
        labels = [shortened(self.names[i]) for i in shown]
        ax.set_xticks(shown, labels, rotation=90, fontsize="x-small")
        for i, text in zip(shown, ax.get_xticklabels(), strict=True):
            text.set_color(VERMILION if self.outlier[i] else "black")
        ax.set(xlim=(-1, len(place)), ylabel="expression")
        ax.set_xlabel(f"{len(place)} samples" if many else "")

    def _draw_components(self, ax):
        x = self.components[:, 0]
        y = self.components[:, 1] if self.components.shape[1] > 1 else np.zeros_like(x)
        size = point_size(len(x))
        for mask, color, label in (
            (~self.outlier, BLUE, None),
            (self.outlier, VERMILION, f"outlier ({self.outlier.sum()})"),
        ):
            ax.scatter(x[mask], y[mask], s=size, color=color, linewidths=0, label=label)
        ax.set(xlabel=self._axis_label(0), ylabel=self._axis_label(1))
        if self.components.shape[1] == 1:
            ax.set_yticks([])
        if self.outlier.any():
            ax.legend(frameon=False, fontsize="small", loc="best")
        names = [name for name, out in zip(self.names, self.outlier, strict=True) if out]
        return write_names(
            ax, x[self.outlier], y[self.outlier], names, avoid=np.column_stack([x, y])
        )

    def _axis_label(self, i):
        if i >= self.components.shape[1]:
            return ""
        said = "" if self.explained is None else f" ({100 * self.explained[i]:.0f} %)"
        return f"PC{i + 1}{said}"
