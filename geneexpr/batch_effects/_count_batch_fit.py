"""Fitting the model of ComBat-seq in blocks of genes, and one more batch beside it."""

from dataclasses import dataclass, replace

import numpy as np

from ..stats._count_glm import Layout, fit_log_linear, full_rank, layout_of, with_prior_counts
from ..stats._count_shrinkage import shrink_count_effects
from ..stats._cox_reid import (
    LEAST_TOTAL,
    ProfileLikelihood,
    common_dispersions,
    gene_dispersions_around,
)
from ._count_batches import CountBatches, GeneColumns, depths_of, present_genes

LEAST_DISPERSION = 1e-8
"""What a dispersion within classes may not fall below when a mix of classes is taken off."""


@dataclass(frozen=True, slots=True)
class _Group:
    """Samples of one batch: where they are among the rows, and what their means depend on."""

    name: str
    rows: np.ndarray
    layout: Layout
    own: bool
    """Genes get dispersions of their own; False gives them the common one."""


def fit_count_batches(
    matrix, codes, design, names, *, shrink=False, shrink_dispersions=False
) -> CountBatches:
    """Fit ComBat-seq; on the samples it is fitted on, `correct_counts` equals ``sva``.

    Parameters
    ----------
    matrix : array, CSR matrix or DiskRows of shape (n_samples, n_genes)
        Counts.
    codes : ndarray of int of shape (n_samples,)
    design : ndarray of shape (n_samples, p)
        The covariates, levels as columns of 0 and 1 without the first.
    names : list of str
        The batches.
    shrink, shrink_dispersions : bool, default=False
        Draw the effects (and the dispersions) of a batch to those of genes like it.

    Returns
    -------
    CountBatches

    References
    ----------
    .. [1] Zhang, Parmigiani, Johnson (2020), "ComBat-seq: batch effect adjustment for RNA-seq
       count data", doi:10.1093/nargab/lqaa078.
    """
    corrected = present_genes(matrix, codes, len(names)).all(axis=0)
    _check_genes(corrected, names)
    depths = depths_of(matrix, corrected)
    rows = np.flatnonzero(depths > 0)
    codes, design, depths = codes[rows], design[rows], depths[rows]
    groups = _groups(codes, design, names)
    columns = GeneColumns(matrix, rows, corrected)
    common = _common_dispersions(columns, groups, lambda genes: depths)
    model = _empty_model(len(names), design.shape[1], corrected, depths.mean())
    for genes, counts in columns:
        _fit_block(model, genes, counts, codes, design, depths, groups, common)
    if shrink and len(names) > 1:
        model = _shrunk(model, columns, codes, design, depths, shrink_dispersions)
    return model


def _check_genes(corrected, names):
    if not corrected.any():
        raise ValueError(
            f"None of {len(corrected)} genes has a count in every one of the {len(names)} batches: "
            "there is nothing to correct. Are these counts, and are the batches large enough?"
        )


def _empty_model(n_batches, p, corrected, library_size):
    n_genes = len(corrected)
    return CountBatches(
        log_rates=np.full((n_batches, n_genes), np.nan),
        effects=np.full((n_batches, n_genes), np.nan),
        dispersions=np.full((n_batches, n_genes), np.nan),
        slopes=np.zeros((p, n_genes)),
        mean=np.full(n_genes, np.nan),
        dispersion=np.full(n_genes, np.nan),
        library_size=float(library_size),
    )


def _check_rows(rows, name):
    if len(rows) < 2:
        raise ValueError(
            f"The batch {name!r} has {len(rows)} sample(s) with counts in the genes that are "
            "corrected; it needs 2 at least, since one sample has no dispersion."
        )


def _groups(codes, design, names):
    """Choose the design of each batch: an intercept alone where the covariates do not fit."""
    groups = []
    for batch, name in enumerate(names):
        rows = np.flatnonzero(codes == batch)
        _check_rows(rows, name)
        columns = np.column_stack([np.ones(len(rows)), design[rows]])
        own = len(rows) > columns.shape[1] and full_rank(columns)
        groups.append(_Group(name, rows, layout_of(columns if own else columns[:, :1]), own))
    return groups


def _likelihood(group, counts, exposures, genes):
    exposures = exposures[group.rows]
    exposures = exposures if exposures.ndim == 1 else exposures[:, genes]
    return ProfileLikelihood(counts[group.rows][:, genes], exposures, group.layout)


def _common_dispersions(columns, groups, exposures):
    """Search the common dispersions of all batches together, in one pass over genes a step."""

    def likelihoods(wanted):
        for genes, counts in columns:
            for i in wanted:
                enough = counts[groups[i].rows].sum(axis=0) >= LEAST_TOTAL
                yield i, _likelihood(groups[i], counts, exposures(genes), enough)

    kept = list(likelihoods(range(len(groups)))) if columns.one_block else None

    def evaluate(dispersions):
        sums, n_genes = dict.fromkeys(dispersions, 0.0), dict.fromkeys(dispersions, 0)
        for i, likelihood in kept or likelihoods(list(dispersions)):
            if i in sums:
                n_genes[i] += len(likelihood.counts)
                sums[i] += likelihood(np.full(len(likelihood.counts), dispersions[i])).sum()
        for i, n in n_genes.items():
            if not n:
                raise ValueError(
                    f"The batch {groups[i].name!r} has no gene with {LEAST_TOTAL} counts in all "
                    "that is seen in every batch: its dispersion cannot be estimated."
                )
        return sums

    return common_dispersions(len(groups), evaluate)


def _block_dispersions(groups, counts, exposures, common):
    """Return the dispersions of some genes in every batch, of shape (n_genes, n_batches)."""
    result = np.tile(common, (counts.shape[1], 1))
    for i, group in enumerate(groups):
        if group.own:
            likelihood = _likelihood(group, counts, exposures, slice(None))
            result[:, i] = gene_dispersions_around(likelihood, common[i])
    return result


def _fit_block(model, genes, counts, codes, design, depths, groups, common):
    """Fit some genes and write them into the model."""
    n_batches = len(groups)
    dispersions = _block_dispersions(groups, counts, depths, common)
    layout = layout_of(np.hstack([np.eye(n_batches)[codes], design]))
    given = layout, dispersions, codes
    counts = np.ascontiguousarray(counts.T)
    # Mean and effects come from counts that are never zero, else either could be infinite.
    raised, added = with_prior_counts(counts, depths, depths.mean())
    shares = np.bincount(codes, minlength=n_batches) / len(codes)
    mean = fit_log_linear(raised, depths + 2 * added, *given)[:, :n_batches] @ shares
    exposures = np.exp(mean)[:, None] * depths
    effects = fit_log_linear(raised, exposures + 2 * added, *given)[:, :n_batches].T
    fitted = fit_log_linear(counts, exposures, *given)
    model.mean[genes] = mean
    model.effects[:, genes] = effects if n_batches > 1 else 0.0
    model.log_rates[:, genes] = fitted[:, :n_batches].T + mean
    model.slopes[:, genes] = fitted[:, n_batches:].T
    model.dispersions[:, genes] = dispersions.T
    model.dispersion[genes] = dispersions.mean(axis=1)


def _shrunk(model, columns, codes, design, depths, shrink_dispersions):
    """Shrink the effects of every batch; all genes of a batch are in memory for it."""
    effects, dispersions = model.effects.copy(), model.dispersions.copy()
    genes = np.flatnonzero(model.corrected)
    for batch in range(len(effects)):
        rows = np.flatnonzero(codes == batch)
        counts = np.hstack([block[rows] for _, block in columns])
        predictor = model.log_rates[batch, genes] + design[rows] @ model.slopes[:, genes]
        effects[batch, genes], dispersions[batch, genes] = shrink_count_effects(
            counts.T,
            (depths[rows, None] * np.exp(predictor)).T,
            model.effects[batch, genes],
            model.dispersions[batch, genes],
        )
    dispersion = dispersions.mean(axis=0) if shrink_dispersions else model.dispersion
    return replace(model, effects=effects, dispersion=dispersion)


# ------------------------------------------------------------------ one more batch


def estimate_count_batch(model: CountBatches, matrix, rows, design, name, *, shrink=False):
    """Estimate the rates and dispersions of one more batch, everything else frozen.

    Parameters
    ----------
    model : CountBatches
    matrix : array, CSR matrix or DiskRows of shape (n_samples, n_genes)
    rows : ndarray of int
        The samples of the batch.
    design : ndarray of shape (n_samples, p)
    name : str
        The batch, for the error.
    shrink : bool, default=False

    Returns
    -------
    log_rates, effects, dispersions : ndarray of shape (n_genes,)
        NaN for genes that are not corrected or have no counts here.
    """
    codes = np.full(matrix.shape[0], -1)
    codes[rows] = 0
    genes = model.corrected & present_genes(matrix, codes, 1)[0]
    depths = depths_of(matrix, model.corrected)[rows]
    rows, depths = rows[depths > 0], depths[depths > 0]
    design = design[rows]
    _check_rows(rows, name)
    group = _Group(name, np.arange(len(rows)), layout_of(np.ones((len(rows), 1))), True)

    def exposures(genes):
        return depths[:, None] * np.exp(design @ model.slopes[:, genes])

    columns = GeneColumns(matrix, rows, genes)
    common = _common_dispersions(columns, [group], exposures)
    fitted = replace(_empty_model(1, len(design.T), genes, 1.0), slopes=model.slopes)
    for genes, counts in columns:
        given = exposures(genes)
        dispersions = _block_dispersions([group], counts, given, common)
        counts = np.ascontiguousarray(counts.T)
        fitted.dispersions[0, genes] = dispersions[:, 0]
        fitted.log_rates[0, genes] = _intercepts(counts, given.T, group, dispersions)
        counts, added = with_prior_counts(counts, depths, model.library_size)
        expected = given * np.exp(model.mean[genes]) + 2 * added[:, None] * given / depths[:, None]
        fitted.effects[0, genes] = _intercepts(counts, expected.T, group, dispersions)
        fitted.mean[genes] = model.mean[genes]
    if shrink:
        codes = np.zeros(len(rows), int)
        fitted = _shrunk(fitted, columns, codes, design, depths, False)
    return fitted.log_rates[0], fitted.effects[0], fitted.dispersions[0]


def _intercepts(counts, exposures, group, dispersions):
    return fit_log_linear(counts, exposures, group.layout, dispersions)[:, 0]


# ------------------------------------------------------------------ mixes of classes


def class_rates(model: CountBatches, matrix, codes, design, members):
    """Return the mean rates of classes of samples, without batch effects and covariates.

    Parameters
    ----------
    model : CountBatches
    matrix : array, CSR matrix or DiskRows of shape (n_samples, n_genes)
    codes : ndarray of int of shape (n_samples,)
    design : ndarray of shape (n_samples, p)
    members : ndarray of shape (n_samples, n_classes)
        1 where a sample is of a class.

    Returns
    -------
    rates : ndarray of shape (n_classes, n_genes)
        NaN for genes that are not corrected.
    """
    depths = depths_of(matrix, model.corrected)
    rates = np.full((members.shape[1], len(model.mean)), np.nan)
    sizes = np.maximum(members.T @ depths, 1.0)[:, None]
    for genes, counts in GeneColumns(matrix, np.arange(len(codes)), model.corrected):
        removed = model.effects[codes][:, genes] + design @ model.slopes[:, genes]
        rates[:, genes] = members.T @ (counts * np.exp(-removed)) / sizes
    return rates


def to_training_mix(log_rates, effects, dispersions, rates, shares, usual_shares):
    """Bring what was estimated from one mix of classes to the mix of the training samples.

    Parameters
    ----------
    log_rates, effects, dispersions : ndarray of shape (n_genes,)
        Of a batch with these shares of the classes.
    rates : ndarray of shape (n_classes, n_genes)
        As `class_rates` gives them.
    shares, usual_shares : ndarray of shape (n_classes,)
        Of the batch, and of the training samples.

    Returns
    -------
    log_rates, effects, dispersions : ndarray of shape (n_genes,)
        The variance of a mixture is that within the classes and that between them; the
        second is exchanged, with the mean.
    """
    mean, between, squares = _mixture(rates, shares)
    usual_mean, usual_between, usual_squares = _mixture(rates, usual_shares)
    known = (mean > 0) & (usual_mean > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        shift = np.where(known, np.log(mean / usual_mean), 0.0)
        within = np.maximum((dispersions * mean**2 - between) / squares, LEAST_DISPERSION)
        usual = (within * usual_squares + usual_between) / usual_mean**2
    return log_rates - shift, effects - shift, np.where(known, usual, dispersions)


def _mixture(rates, shares):
    mean = shares @ rates
    return mean, shares @ (rates - mean) ** 2, shares @ rates**2
