"""The ways to compute SHAP values, each with what it fits and what it says of itself."""

from dataclasses import dataclass, field

import numpy as np

from ._composed import NotOneNetworkError, compose, is_network, output_scale
from ._gene_modules import correlated_modules, disjoint, located_sets, name_modules
from ._linear_path import column_means, linear_values, linear_weights
from ._margin import Margin
from ._network_path import network_values
from ._sampling import SMALL, BlackBox, gene_slopes, sampled_values, shared_out
from ._steps import NotLinearError, pull_back, wants_names
from ._suffix import blocks
from ._tree_path import is_tree, tree_values

N_BACKGROUND = 100
"""Rows of the background for trees and networks."""
N_SAMPLED = 16
"""Rows of the background for sampling and integrated gradients."""
MAX_GROUPS = 50
_MOVES = 50_000
"""Rows that are spent on moving genes one by one, but at least two a gene."""


class NotFitError(ValueError):
    """A method cannot explain this pipeline; the message says why."""


@dataclass
class Found:
    """What a method computed.

    Parameters
    ----------
    method, reason : str
    margin : Margin
    values : array of shape (n_samples, n_genes, n_outputs)
    base : array of shape (n_outputs,)
    n_background : int
    margins : array of shape (n_samples, n_outputs), optional
        Of the samples, where they are known already.
    groups : dict of str to array of int, optional
    group_values, errors : array of shape (n_samples, n_groups, n_outputs), optional
    """

    method: str
    reason: str
    margin: Margin
    values: np.ndarray
    base: np.ndarray
    n_background: int
    margins: np.ndarray | None = field(default=None, repr=False)
    groups: dict | None = None
    group_values: np.ndarray | None = field(default=None, repr=False)
    errors: np.ndarray | None = field(default=None, repr=False)


def by_weights(request):
    """Explain a linear model exactly."""
    suffix = request.suffix
    margin = suffix.margin()
    try:
        weights = linear_weights(suffix, margin)
    except NotLinearError as error:
        raise NotFitError(str(error)) from None
    background = request.background(None)
    margins = suffix.margins(margin, background)
    return Found(
        "linear",
        f"{type(suffix.model).__name__} is linear in the genes, so that values are exact",
        margin,
        linear_values(request.matrix, weights, column_means(background)),
        margins.mean(axis=0),
        background.shape[0],
        margins if background is request.matrix else None,
    )


def by_trees(request):
    """Explain trees exactly, by shap."""
    suffix = request.suffix
    name = type(suffix.model).__name__
    if not is_tree(suffix.model):
        raise NotFitError(
            f"{name} is no tree, forest or boosting that shap's TreeExplainer explains"
        )
    if suffix.core:
        raise NotFitError(
            f"{type(suffix.core[0]).__name__} mixes the genes before {name}, so that trees say "
            "nothing of single genes"
        )
    margin = suffix.margin(probabilities=True)
    background = request.background(N_BACKGROUND)
    reason = f"{name} is made of trees, whose values shap's TreeExplainer gives exactly"
    if margin.scale == "probability":
        reason += ", on the probability, since it has no log-odds"
    return Found(
        "tree",
        reason,
        margin,
        tree_values(suffix, request.matrix, background),
        suffix.margins(margin, background).mean(axis=0),
        background.shape[0],
    )


def by_slopes(request):
    """Explain one of our networks by gradients."""
    suffix = request.suffix
    margin = suffix.margin()
    try:
        composed = compose(suffix, margin)
    except NotOneNetworkError as error:
        raise NotFitError(str(error)) from None
    background = request.background(N_BACKGROUND)
    return Found(
        "network",
        f"{composed.said}, whose gradients behind the first layer cost little",
        margin,
        network_values(suffix, composed, request.matrix, background),
        suffix.margins(margin, background).mean(axis=0),
        background.shape[0],
    )


def by_integration(request):
    """Explain one of our networks by integrated gradients."""
    from ._integrated_gradients import integrated_gradients  # takes captum, asked for only

    suffix = request.suffix
    name = type(suffix.model).__name__
    if not is_network(suffix.model):
        raise NotFitError(f"{name} is no network of geneexpr")
    if suffix.core:
        raise NotFitError(f"{type(suffix.core[0]).__name__} mixes the genes before {name}")
    margin = suffix.margin()
    background = request.background(N_SAMPLED)
    beside = np.concatenate([suffix.through_genes(block) for block in blocks(background)])
    scale = output_scale(suffix.model)
    cube = np.zeros((len(scale), request.matrix.shape[0], len(suffix.genes)))
    start = 0
    for block in blocks(request.matrix):
        dense = suffix.through_genes(block)
        rows = slice(start, start + len(dense))
        for output, factor in enumerate(scale):
            shares, _ = integrated_gradients(
                suffix.model.net_.module_, dense, beside, target=output
            )
            cube[output, rows, suffix.kept] = (factor * shares).T
        start = rows.stop
    return Found(
        "integrated_gradients",
        "integrated gradients were asked for, along paths from each row of the background",
        margin,
        np.moveaxis(cube, 0, 2),
        suffix.margins(margin, background).mean(axis=0),
        background.shape[0],
    )


def by_sampling(request):
    """Explain any model by sampled orders of groups of genes."""
    suffix = request.suffix
    margin = suffix.margin()
    background = request.background(N_SAMPLED)
    rows, beside = (
        np.concatenate([suffix.through_genes(block) for block in blocks(matrix)])
        for matrix in (request.matrix, background)
    )
    box, enter = _black_box(suffix, margin)
    spread = np.concatenate([rows, beside]).std(axis=0, dtype=np.float64)
    center = beside.mean(axis=0)
    slopes = None
    if rows.shape[1] > SMALL:
        points = np.linspace(0, len(beside) - 1, _n_points(rows.shape[1], len(beside))).astype(int)
        around = beside[np.unique(points)] if len(points) > 1 else center[None]
        slopes = np.mean([np.abs(gene_slopes(box, x, spread, enter)) for x in around], axis=0)
    groups = _groups(request, rows, beside, spread, slopes)
    members = list(groups.values())
    found, errors = sampled_values(box, rows, beside, members, enter=enter, rng=request.generator())
    if slopes is None:
        slopes = np.ones((rows.shape[1], found.shape[2]))
    cube = np.zeros((len(rows), len(suffix.genes), found.shape[2]))
    cube[:, suffix.kept] = shared_out(found, members, rows, center, slopes)
    reason = f"sampled orders of {len(members)} "
    if all(len(genes) == 1 for genes in members):
        reason += "genes"
    else:
        reason += (
            f"{'gene sets and modules' if request.gene_sets else 'modules of correlated genes'}, "
            "whose values (by_module) have standard errors; genes share the value of theirs"
        )
    return Found(
        "sampling",
        reason,
        margin,
        cube,
        suffix.margins(margin, background).mean(axis=0),
        background.shape[0],
        groups={name: suffix.kept[genes] for name, genes in groups.items()},
        group_values=found,
        errors=errors,
    )


def _n_points(n_genes, n_background):
    """Return around how many rows the genes are moved one by one."""
    return max(1, min(n_background, _MOVES // (2 * n_genes)))


def _black_box(suffix, margin):
    """Return the core as a function, on the columns of the linear steps that it begins with."""
    ahead, behind = suffix.core[: suffix.n_linear], suffix.core[suffix.n_linear :]
    if not ahead or wants_names(suffix.core):
        return BlackBox(suffix.core_margin(margin)), None

    def enter(rows):
        return suffix.apply(ahead, rows)

    width = enter(np.zeros((1, len(suffix.kept)))).shape[1]
    weights = np.eye(width)
    for step in reversed(ahead):
        weights = pull_back(step, weights)
    return BlackBox(lambda rows: margin(suffix.apply(behind, rows)), weights), enter


def _groups(request, rows, beside, spread, slopes):
    """Return disjoint groups of the genes that reach the core, by name."""
    names = request.suffix.genes[request.suffix.kept]
    n_genes = len(names)
    if request.gene_sets is None and slopes is None:
        return {str(name): np.array([i]) for i, name in enumerate(names)}
    importance = np.ones(n_genes)
    if slopes is not None:
        # A gene that moves nothing alone may do so with others: the smallest weight, not none.
        importance = np.abs(slopes).max(axis=1) * spread
        importance += 1e-9 * max(importance.max(), 1e-9)
    groups = {}
    if request.gene_sets is not None:
        sets = located_sets(request.gene_sets, names)
        groups = disjoint(sets, np.ones(n_genes, dtype=bool))
        for genes in groups.values():
            importance[genes] = 0
    together = correlated_modules(
        np.concatenate([rows, beside]), importance, max_modules=MAX_GROUPS, partition=True
    )
    return groups | name_modules(together, names)


AUTO = ("linear", "tree", "network", "sampling")
METHODS = {
    "linear": by_weights,
    "tree": by_trees,
    "network": by_slopes,
    "sampling": by_sampling,
    "integrated_gradients": by_integration,
}
