"""Chosen genes against lists of genes that are known."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from .._containers import name_some
from .._validation import check_number
from ..stats._hypergeometric import stratified_overlap
from ._gene_sets import check_gene_sets, chosen_in, gene_list, locate, universe_of
from ._over_representation import overlap_table


def validate_signature(genes, reference, *, universe, mean_expression=None, n_bins=10):
    """Compare chosen genes with known biomarkers, and with random signatures.

    The overlap is set beside that of random signatures of the same size: any genes of the
    universe (hypergeometric), and with ``mean_expression`` genes of the same expression.
    Well-expressed genes are both easier to choose and better studied, so that an overlap may
    say no more than that. Both distributions are exact, not sampled: random genes drawn from
    each bin of expression overlap in a sum of independent hypergeometric numbers.

    Parameters
    ----------
    genes : iterable of str, or DataFrame
        The signature, as in `over_representation`; each gene must be in the universe.
    reference : iterable of str, or mapping of str to iterable of str
        One list of known genes, or several by name.
    universe : iterable of str, fitted estimator, Explanation, AnnData, or DataFrame
        The genes that could have been chosen, as in `over_representation`.
    mean_expression : Series or mapping, optional
        Mean expression of every gene of the universe.
    n_bins : int, default=10
        Random genes come from the same of so many equally large bins of expression.

    Returns
    -------
    DataFrame
        Indexed by ``reference``: ``set_size`` (known genes in the universe), ``n_unknown``
        (known genes outside it), ``overlap``, ``expected``, ``enrichment``, ``odds_ratio``,
        ``p_value``, ``p_adjusted``, and with ``mean_expression`` ``matched_expected``,
        ``matched_sd`` and ``matched_p_value`` of random signatures of the same size and
        expression; ``genes`` (known genes that were chosen) and ``unknown`` (lists).

    Raises
    ------
    ValueError
        For chosen genes outside the universe, a reference without a gene in it, and genes
        without an expression.

    References
    ----------
    Venet, Dumont, Detours (2011), "Most random gene expression signatures are significantly
    associated with breast cancer outcome", doi:10.1371/journal.pcbi.1002240.

    Examples
    --------
    >>> from geneexpr import validate_signature
    >>> universe = ["ESR1", "GATA3", "ACTB", "GAPDH", "MYC"]
    >>> table = validate_signature(["ESR1", "GATA3"], ["ESR1", "GATA3", "PGR"], universe=universe)
    >>> table[["set_size", "n_unknown", "overlap", "p_value"]]
               set_size  n_unknown  overlap  p_value
    reference
    reference         2          1        2      0.1
    """
    universe = universe_of(universe)
    chosen = chosen_in(genes, universe)
    if not isinstance(reference, Mapping):
        reference = {"reference": gene_list(reference, "reference")}
    sets = check_gene_sets(reference)
    found = locate(sets, universe)
    _check_known(sets, found)
    is_chosen = np.isin(np.asarray(universe, dtype=object), chosen)
    members = np.split(found.genes, np.cumsum(found.sizes)[:-1])
    overlap = np.array([int(is_chosen[at].sum()) for at in members])
    table = overlap_table(overlap, found.sizes, len(chosen), len(universe))
    table.index = pd.Index(found.names, name="reference", dtype=object)
    unknown = [found.missing.get(name, []) for name in found.names]
    table.insert(1, "n_unknown", [len(names) for names in unknown])
    if mean_expression is not None:
        bins = expression_bins(_aligned(mean_expression, universe), n_bins)
        matched = [_matched(at, is_chosen, bins, k) for at, k in zip(members, overlap, strict=True)]
        columns = ["matched_expected", "matched_sd", "matched_p_value"]
        table[columns] = np.array(matched)
    names = np.asarray(universe, dtype=object)
    table["genes"] = [names[at[is_chosen[at]]].tolist() for at in members]
    table["unknown"] = unknown
    return table


def expression_bins(mean_expression, n_bins):
    """Put genes into bins of about equal size by their expression; equal ones stay together.

    Parameters
    ----------
    mean_expression : ndarray of shape (n_genes,)
    n_bins : int

    Returns
    -------
    ndarray of int of shape (n_genes,)

    Examples
    --------
    >>> expression_bins(np.array([3.0, 1.0, 2.0, 4.0]), 2)
    array([1, 0, 0, 1])
    """
    check_number("n_bins", n_bins, least=1, whole=True)
    edges = np.quantile(mean_expression, np.arange(1, n_bins) / n_bins)
    return np.searchsorted(edges, mean_expression, side="left")


def _matched(known, is_chosen, bins, overlap):
    """Return mean, deviation and p-value of the overlap of random genes from the same bins."""
    n_bins = bins.max() + 1
    drawn = np.bincount(bins[is_chosen], minlength=n_bins)
    marked = np.bincount(bins[known], minlength=n_bins)
    mass = stratified_overlap(marked, drawn, np.bincount(bins, minlength=n_bins))
    k = np.arange(len(mass))
    mean = float(mass @ k)
    deviation = float(np.sqrt(mass @ (k - mean) ** 2))
    return mean, deviation, min(1.0, float(mass[overlap:].sum()))


def _check_known(sets, found):
    without = [name for name, size in zip(found.names, found.sizes, strict=True) if size == 0]
    if without:
        raise ValueError(
            f"No gene of {name_some(without)} is in the universe; the reference names "
            f"{name_some(sets[without[0]], 3)}. Are these identifiers of the same kind?"
        )


def _aligned(mean_expression, universe):
    series = pd.Series(mean_expression, dtype=np.float64)
    series.index = series.index.astype(str)
    if not series.index.is_unique:
        twice = series.index[series.index.duplicated()].unique()
        raise ValueError(f"mean_expression names {name_some(twice)} more than once.")
    values = series.reindex(universe)
    lost = values.index[~np.isfinite(values.to_numpy())]
    if len(lost):
        raise ValueError(
            f"mean_expression has no finite value for {len(lost)} of {len(universe)} genes of the "
            f"universe: {name_some(lost)}. Complete it, or drop these genes from the universe."
        )
    return values.to_numpy()
