"""A heatmap of genes and samples, clustered, under annotations of the samples."""

import numpy as np
import pandas as pd

from .._base import GeneEstimator
from .._blocks import fold, gene_blocks
from .._containers import gene_names, name_some, sample_names
from .._options import check_choice, check_number
from .._validation import check_input
from ..stats._moments import merge_moments, summarise_batches
from ._annotations import annotations_of
from ._heatmap_order import clustered, standardized
from ._style import axes_for

METRICS = ("euclidean", "correlation")
METHODS = ("average", "complete", "single", "ward")


class HeatmapDisplay:
    """Expression of genes (rows) in samples (columns), similar ones beside each other.

    Make it with `from_data`. Genes and samples are clustered hierarchically, up to
    ``max_clustered`` of either, since the cost grows with the square of their number. Beyond
    that, samples are sorted by their annotations and genes stay in the order given, and the
    axis says so. As many genes are named as there is room for at the size of the figure; the
    axis says how many genes there are, and how many of them are named.

    The colours run from blue (low) by grey to yellow (high) and become lighter all the way, so
    they can be read in a grey print and with every kind of colour vision.

    Parameters
    ----------
    values : array of shape (n_samples, n_genes)
        What is drawn.
    genes, samples : sequence of str
    annotations : sequence of Annotation
    gene_order, sample_order : array of int
        From top to bottom, and from left to right.
    gene_tree, sample_tree : array, optional
        As `scipy.cluster.hierarchy.linkage` returns them; None where nothing was clustered.
    unit : str
        What the colours mean.
    limit : float, optional
        The colours end at plus and minus this; by default at the extremes.
    how_genes, how_samples : str
        What their order is.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Of the heatmap itself.
    figure_ : matplotlib Figure
    image_ : matplotlib AxesImage
    strips_ : dict of matplotlib AxesImage
        One an annotation.
    trees_ : dict of matplotlib LineCollection
        Of "genes" and "samples", where they were clustered.
    colorbar_ : matplotlib Colorbar

    See Also
    --------
    EmbeddingDisplay : Samples as points, for more of them than a heatmap can show.

    Examples
    --------
    >>> from geneexpr import HeatmapDisplay, make_cohort
    >>> cohort = make_cohort(40, 200, n_batches=2, random_state=0)
    >>> display = HeatmapDisplay.from_data(
    ...     cohort, genes=30, sample_annotations=["condition", "batch"]
    ... )
    >>> sorted(display.strips_), len(display.gene_order)
    (['batch', 'condition'], 30)
    """

    def __init__(
        self,
        values,
        *,
        genes,
        samples,
        annotations=(),
        gene_order=None,
        sample_order=None,
        gene_tree=None,
        sample_tree=None,
        unit="expression",
        limit=None,
        how_genes="",
        how_samples="",
    ):
        self.values = np.asarray(values)
        self.genes = np.array([str(gene) for gene in genes], dtype=object)
        self.samples = np.array([str(sample) for sample in samples], dtype=object)
        self.annotations = list(annotations)
        n_samples, n_genes = self.values.shape
        self.gene_order = np.arange(n_genes) if gene_order is None else gene_order
        self.sample_order = np.arange(n_samples) if sample_order is None else sample_order
        self.gene_tree = gene_tree
        self.sample_tree = sample_tree
        self.unit = unit
        self.limit = limit
        self.how_genes = how_genes
        self.how_samples = how_samples

    @classmethod
    def from_data(
        cls,
        X,
        *,
        genes=None,
        sample_annotations=(),
        layer=None,
        standardize=True,
        limit=2.5,
        cluster_genes=True,
        cluster_samples=True,
        metric="euclidean",
        method="average",
        max_clustered=5000,
        label_genes=None,
        ax=None,
    ):
        """Draw a matrix of expression.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)
            On a log scale, usually. Only the genes that are drawn become dense.
        genes : sequence of str, or int, optional
            The genes to draw, by name (by position where X has no names), or how many of the
            most variable. By default all.
        sample_annotations : str, sequence of str, or mapping, default=()
            Annotations that X carries, or labels by name: drawn as strips above the samples.
        layer : str, optional
            The layer of an AnnData to draw in place of ``X``.
        standardize : bool, default=True
            Draw z-scores of each gene; else the values themselves.
        limit : float, default=2.5
            z-scores beyond it have the same colour.
        cluster_genes, cluster_samples : bool, default=True
        metric : {"euclidean", "correlation"}, default="euclidean"
            Distance of what is drawn.
        method : {"average", "complete", "single", "ward"}, default="average"
        max_clustered : int, default=5000
            More genes or samples are not clustered.
        label_genes : sequence of str, optional
            The genes to name, in place of as many as fit.
        ax : matplotlib Axes, optional
            By default those of a new figure.

        Returns
        -------
        HeatmapDisplay

        Raises
        ------
        ValueError
            For genes that X lacks, missing or infinite values, annotations that are not there,
            and z-scores of a single sample.
        """
        check_choice("metric", metric, METRICS)
        check_choice("method", method, METHODS)
        check_number("limit", limit, above=0)
        check_number("max_clustered", max_clustered, least=0, whole=True)
        if method == "ward" and metric != "euclidean":
            raise ValueError("method='ward' takes metric='euclidean' only; got 'correlation'.")
        values, names = _chosen(X, genes, layer)
        rows = sample_names(X)
        rows = np.arange(len(values)) if rows is None else rows
        annotations = annotations_of(X, sample_annotations, len(values))
        if standardize:
            values = _z_scores(values)
        options = {"metric": metric, "method": method}
        sample_order, sample_tree, how_samples = _order(
            values, cluster_samples, max_clustered, annotations, **options
        )
        gene_order, gene_tree, how_genes = _order(
            values.T, cluster_genes, max_clustered, (), **options
        )
        display = cls(
            values,
            genes=names,
            samples=rows,
            annotations=annotations,
            gene_order=gene_order,
            sample_order=sample_order,
            gene_tree=gene_tree,
            sample_tree=sample_tree,
            unit="z-score" if standardize else "expression",
            limit=limit if standardize else None,
            how_genes=how_genes,
            how_samples=how_samples,
        )
        return display.plot(ax=ax, label_genes=label_genes)

    def plot(self, ax=None, *, label_genes=None):
        """Draw on these axes, or on those of a new figure.

        Strips, trees and the scale of colours stand outside the axes and keep their size.

        Parameters
        ----------
        ax : matplotlib Axes, optional
        label_genes : sequence of str, optional
            The genes to name, in place of as many as fit.

        Returns
        -------
        HeatmapDisplay
            Itself.
        """
        from ._heatmap_pieces import draw_heatmap

        named = self._named(label_genes)
        n_samples, n_genes = self.values.shape
        width, height = 3.6 + 0.12 * n_samples, 2.2 + 0.15 * n_genes + 0.35 * len(self.annotations)
        figsize = (float(np.clip(width, 4.5, 9)), float(np.clip(height, 3.2, 9)))
        ax = axes_for(ax, figsize=figsize)
        pieces = draw_heatmap(ax, self, named)
        self.image_, self.strips_, self.trees_, self.colorbar_ = pieces
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _named(self, label_genes):
        """Return the rows of the figure that may get names."""
        if label_genes is None:
            return np.arange(len(self.genes))
        chosen = _places(self.genes, label_genes, "label_genes", "the heatmap")
        rows = np.empty(len(self.genes), dtype=int)
        rows[self.gene_order] = np.arange(len(self.genes))
        return np.unique(rows[chosen])


class _Given(GeneEstimator):
    """Holds what the check of the input learns."""

    called = "HeatmapDisplay"


def _chosen(X, genes, layer):
    """Return the values of the chosen genes as a dense array, and their names."""
    matrix = check_input(_Given(), X, reset=True, layer=layer)
    names = gene_names(X)
    names = np.arange(matrix.shape[1]).astype(str).astype(object) if names is None else names
    if genes is None:
        places = np.arange(len(names))
    elif np.ndim(genes) == 0 and not isinstance(genes, str):
        check_number("genes", genes, least=1, whole=True)
        places = _most_variable(matrix, genes)
    else:
        genes = [genes] if isinstance(genes, str) else list(genes)
        places = _places(names, [str(gene) for gene in genes], "genes", "X")
    if not len(places):
        raise ValueError("genes names no gene; name one or more, or None for all.")
    parts = []
    for columns, block in gene_blocks(matrix) if len(places) < len(names) else ():
        here = (places >= columns.start) & (places < columns.stop)
        parts.append((np.flatnonzero(here), block[:, places[here] - columns.start]))
    if not parts:
        parts = [(places[columns], block) for columns, block in gene_blocks(matrix)]
    values = np.empty((matrix.shape[0], len(places)))
    for columns, block in parts:
        values[:, columns] = block
    return values, names[places]


def _most_variable(matrix, n_genes):
    moments = fold(
        matrix,
        lambda block: summarise_batches(block, np.zeros(block.shape[0], dtype=int), 1),
        merge_moments,
    )
    ranked = np.lexsort((np.arange(matrix.shape[1]), -moments.squares[0]))
    return np.sort(ranked[:n_genes])


def _places(names, wanted, option, where):
    places = pd.Index(names).get_indexer(list(wanted))
    unknown = [gene for gene, i in zip(wanted, places, strict=True) if i < 0]
    if unknown:
        raise ValueError(
            f"{option} names {len(unknown)} genes that {where} lacks: {name_some(unknown)}."
        )
    if len(np.unique(places)) < len(places):
        twice = pd.Index(wanted)[pd.Index(wanted).duplicated()].unique()
        raise ValueError(f"{option} names {name_some(twice)} more than once.")
    return places


def _z_scores(values):
    if len(values) < 2:
        raise ValueError(
            "z-scores need two samples or more; got 1 sample. Give standardize=False to draw the "
            "values themselves."
        )
    return standardized(values)


def _order(rows, cluster, most, annotations, *, metric, method):
    """Return the order of rows, their tree where there is one, and what the order is."""
    n = len(rows)
    if cluster and 2 <= n <= most:
        order, tree = clustered(rows, metric=metric, method=method)
        return order, tree, "clustered"
    if not cluster or n < 2:
        return np.arange(n), None, "" if n < 2 else "as given"
    if not annotations:
        return np.arange(n), None, f"as given (clustered up to {most})"
    order = np.lexsort([note.keys for note in reversed(annotations)])
    said = ", ".join(note.name for note in annotations)
    return order, None, f"sorted by {said} (clustered up to {most})"
