"""Samples on two dimensions of an embedding, coloured by an annotation."""

import numpy as np

from .._containers import gene_names, is_anndata, name_some, sample_names, values
from ._annotations import annotation_of
from ._style import (
    BLUE,
    MANY_POINTS,
    VALUES,
    axes_for,
    columns_for,
    ladder,
    legend_above,
    palette,
    point_size,
    shortened,
    write_names,
)

MOST_IN_LEGEND = 7
"""More levels are named where their samples lie: a legend would ask for too much looking up."""


class EmbeddingDisplay:
    """Samples (cells) as points on two dimensions, coloured by an annotation.

    Make it with `from_estimator` or `from_points`. Up to seven levels have a colour and a
    marker each and stand in a legend; more of them are named at the middle of their samples.
    Numbers are coloured from blue (low) by grey to yellow (high), lighter all the way. Points
    of more than 2 000 samples are drawn as an image, also into PDF and SVG, and in a fixed
    random order, so that no level covers another because it comes later.

    Parameters
    ----------
    points : array of shape (n_samples, n_dimensions)
    annotation : Annotation, optional
        What the colours mean.
    dimensions : pair of int, default=(0, 1)
        What is drawn.
    explained : sequence of float, optional
        Share of the variance that each dimension explains.
    names : sequence of str, optional
        Of the dimensions; ``what`` and a number by default.
    what : str, default="dimension"

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    points_ : list of matplotlib PathCollection
        One a level; of numbers, and without colours, one.
    names_ : list of matplotlib Annotation
        Of levels that are named among the points.
    colorbar_ : matplotlib Colorbar, or None

    See Also
    --------
    BatchEffectDisplay : The same by batch and class, before and after correction.

    Examples
    --------
    >>> from sklearn.decomposition import PCA
    >>> from geneexpr import EmbeddingDisplay, make_cohort
    >>> cohort = make_cohort(60, 100, n_batches=2, random_state=0)
    >>> pca = PCA(2, random_state=0).fit(cohort.X)
    >>> display = EmbeddingDisplay.from_estimator(pca, cohort, color="batch")
    >>> [len(points.get_offsets()) for points in display.points_]
    [30, 30]
    """

    def __init__(
        self,
        points,
        *,
        annotation=None,
        dimensions=(0, 1),
        explained=None,
        names=None,
        what="dimension",
    ):
        self.points = np.asarray(points, dtype=float)
        self.annotation = annotation
        self.dimensions = tuple(dimensions)
        self.explained = explained
        self.names = names
        self.what = what

    @classmethod
    def from_estimator(cls, estimator, X, *, color=None, dimensions=(0, 1), ax=None):
        """Draw samples as a fitted estimator embeds them.

        Parameters
        ----------
        estimator : estimator
            Fitted, with ``transform``: a PCA, an embedder, or a pipeline that ends with one.
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)
            Estimators of scikit-learn get the matrix of an AnnData.
        color : str or array-like of shape (n_samples,), optional
            An annotation that X carries, or labels.
        dimensions : pair of int, default=(0, 1)
        ax : matplotlib Axes, optional
            By default those of a new figure.

        Returns
        -------
        EmbeddingDisplay
        """
        if not hasattr(estimator, "transform"):
            raise TypeError(
                "A fitted estimator with transform (a PCA, an embedder, a pipeline that ends with "
                f"one) was expected, got {type(estimator).__name__}. For points that are there "
                "already, use EmbeddingDisplay.from_points."
            )
        given = X
        foreign = type(estimator).__module__.startswith("sklearn.")
        if is_anndata(X) and foreign and not hasattr(estimator, "steps"):
            given = values(X)
        points = estimator.transform(given)
        last = estimator.steps[-1][1] if hasattr(estimator, "steps") else estimator
        explained = getattr(last, "explained_variance_ratio_", None)
        what = "PC" if "PCA" in type(last).__name__ else "dimension"
        return cls._drawn(points, X, color, dimensions, ax, explained=explained, what=what)

    @classmethod
    def from_points(cls, points, *, color=None, dimensions=(0, 1), explained=None, ax=None):
        """Draw points that are there already, such as ``adata.obsm["X_umap"]``.

        Parameters
        ----------
        points : {array, DataFrame, AnnData} of shape (n_samples, n_dimensions)
            Named columns name the axes.
        color : str or array-like of shape (n_samples,), optional
            An annotation that ``points`` carry, or labels.
        dimensions : pair of int, default=(0, 1)
        explained : sequence of float, optional
            Share of the variance that each dimension explains.
        ax : matplotlib Axes, optional
            By default those of a new figure.

        Returns
        -------
        EmbeddingDisplay
        """
        return cls._drawn(points, points, color, dimensions, ax, explained=explained)

    @classmethod
    def _drawn(cls, points, X, color, dimensions, ax, **options):
        matrix = _checked(points, dimensions, X)
        note = None if color is None else annotation_of(X, color, len(matrix))
        names = gene_names(points)
        display = cls(matrix, annotation=note, dimensions=dimensions, names=names, **options)
        return display.plot(ax=ax)

    def plot(self, ax=None):
        """Draw on these axes, or on those of a new figure.

        Parameters
        ----------
        ax : matplotlib Axes, optional

        Returns
        -------
        EmbeddingDisplay
            Itself.
        """
        ax = axes_for(ax, figsize=(5.6, 4.6))
        x, y = (self.points[:, i] for i in self.dimensions)
        n, note = len(x), self.annotation
        options = {"linewidths": 0, "rasterized": n > MANY_POINTS}
        options["s"] = point_size(n) if n <= MANY_POINTS else float(np.clip(20000 / n, 0.6, 6))
        self.names_, self.colorbar_ = [], None
        if note is None:
            self.points_ = [ax.scatter(x, y, color=BLUE, alpha=0.8, **options)]
        elif note.levels is None:
            self.points_ = [ax.scatter(x, y, c=note.values, cmap=VALUES, **options)]
            self.colorbar_ = ax.figure.colorbar(self.points_[0], ax=ax, label=note.name)
            self.colorbar_.outline.set_visible(False)
        elif n > MANY_POINTS:
            self.points_ = _draw_mixed(ax, x, y, note, options)
        else:
            self.points_ = _draw_levels(ax, x, y, note, options)
        if note is not None and note.levels is not None:
            self._name_levels(ax, x, y, np.sqrt(30 / options["s"]))
        for axis, i in zip((ax.xaxis, ax.yaxis), self.dimensions, strict=True):
            axis.set_label_text(self._axis_label(i))
        ax.set(xticks=[], yticks=[])
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _name_levels(self, ax, x, y, markerscale):
        note = self.annotation
        if len(note.levels) <= MOST_IN_LEGEND:
            labels = ax.get_legend_handles_labels()[1]
            legend_above(ax, ncols=columns_for(ax, labels), markerscale=markerscale)
            return
        of = "" if note.name == "color" else f" of {note.name}"
        ax.set_title(f"{len(note.levels)} levels{of}", fontsize="small", loc="left")
        sizes = np.bincount(note.codes, minlength=len(note.levels))
        largest = np.argsort(-sizes, kind="stable")
        middles = np.array([_middle(x, y, note.codes == i) for i in largest])
        names = [note.levels[i] for i in largest]
        self.names_ = write_names(ax, *middles.T, names)
        for text in self.names_:
            text.set_bbox({"facecolor": "white", "alpha": 0.7, "lw": 0, "pad": 0.5})

    def _axis_label(self, i):
        named = self.names is not None and self.what == "dimension"
        name = str(self.names[i]) if named else f"{self.what} {i + 1}"
        return name if self.explained is None else f"{name} ({100 * self.explained[i]:.1f} %)"


def _middle(x, y, rows):
    """Return the sample of a level nearest to its median, which may lie among no samples."""
    x, y = x[rows], y[rows]
    nearest = np.argmin((x - np.median(x)) ** 2 + (y - np.median(y)) ** 2)
    return x[nearest], y[nearest]


def _draw_levels(ax, x, y, note, options):
    """Draw one level after the other, each with its colour and marker."""
    looks = palette(note.levels)
    drawn = []
    for code, level in enumerate(note.levels):
        rows = note.codes == code
        color, marker = looks[level]
        label = f"{shortened(level, 16)} ({rows.sum()})"
        drawn.append(
            ax.scatter(
                x[rows], y[rows], color=color, marker=marker, alpha=0.8, label=label, **options
            )
        )
    return drawn


def _draw_mixed(ax, x, y, note, options):
    """Draw all points in a random order, in colours of different lightness, without markers."""
    colors = np.array(ladder(len(note.levels)))
    order = np.random.default_rng(0).permutation(len(x))
    drawn = [ax.scatter(x[order], y[order], c=colors[note.codes[order]], **options)]
    sizes = np.bincount(note.codes, minlength=len(note.levels))
    for color, level, size in zip(colors, note.levels, sizes, strict=True):
        label = f"{shortened(level, 16)} ({size})"
        ax.scatter([], [], color=[color], s=options["s"], linewidths=0, label=label)
    return drawn


def _checked(points, dimensions, X):
    matrix = values(points)
    matrix = np.asarray(matrix.toarray() if hasattr(matrix, "toarray") else matrix, dtype=float)
    if matrix.ndim != 2 or not len(matrix):
        raise ValueError(f"Points must be of shape (n_samples, n_dimensions); got {matrix.shape}.")
    if len(dimensions) != 2:
        raise ValueError(f"dimensions must be a pair; got {dimensions!r}.")
    if not all(0 <= i < matrix.shape[1] for i in dimensions):
        raise ValueError(
            f"dimensions={tuple(dimensions)!r} do not all exist: the points have "
            f"{matrix.shape[1]} dimensions, counted from 0."
        )
    bad = np.flatnonzero(~np.isfinite(matrix[:, list(dimensions)]).all(axis=1))
    if len(bad):
        rows = sample_names(X)
        said = bad if rows is None else np.asarray(rows)[bad]
        raise ValueError(
            f"Points must be finite; got missing or infinite values for {len(bad)} of "
            f"{len(matrix)} samples: {name_some(said)}."
        )
    return matrix
