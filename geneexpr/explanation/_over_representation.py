"""Gene sets that hold more of the chosen genes than chance would give."""

import numpy as np
import pandas as pd

from .._containers import name_some
from .._validation import check_number
from ..stats._hypergeometric import hypergeometric_tail
from ..stats._multiple_testing import adjust_p_values
from ._gene_sets import check_gene_sets, chosen_in, locate, universe_of


def over_representation(genes, gene_sets, *, universe, min_size=1, max_size=None):
    """Test whether gene sets are over-represented among chosen genes.

    One-sided hypergeometric test (Fisher's exact test), all sets at once.

    Parameters
    ----------
    genes : iterable of str, or DataFrame
        The chosen genes; each must be in the universe. Or a table of them: ``top_genes`` of an
        `Explanation`, or the rows of a table of `differential_expression` that are meant.
    gene_sets : mapping of str to iterable of str
        As `read_gmt` gives them.
    universe : iterable of str, fitted estimator, Explanation, AnnData, or DataFrame
        The genes that could have been chosen: those that entered the model, not all genes of
        the organism, which would make every set of expressed genes significant. Of a fitted
        estimator or Pipeline those that it saw in ``fit`` (``pipeline[k:]`` for those that
        reached step k), of an `Explanation` those that reached the model, of a table of
        `differential_expression` those that have a p-value.
    min_size : int, default=1
        Leave out sets with fewer genes in the universe.
    max_size : int, optional
        Leave out sets with more.

    Returns
    -------
    DataFrame
        Indexed by ``gene_set``, smallest p-value first: ``set_size`` and ``overlap`` (within
        the universe), ``expected`` (overlap by chance), ``enrichment`` (overlap over
        expected), ``odds_ratio`` (of the sample; infinite where all of one kind are chosen),
        ``p_value``, ``p_adjusted`` (Benjamini and Hochberg over the sets tested), ``genes``
        (those that overlap, a list).

    Raises
    ------
    ValueError
        For chosen genes outside the universe, and where no set has enough genes in it.

    References
    ----------
    Boyle et al. (2004), "GO::TermFinder", doi:10.1093/bioinformatics/bth456; on the universe:
    Timmons, Szkop, Gallagher (2015), doi:10.1186/s13059-015-0761-7.

    Examples
    --------
    >>> from geneexpr import over_representation
    >>> sets = {"P53": ["TP53", "MDM2"], "OTHER": ["ACTB", "GAPDH"]}
    >>> table = over_representation(["TP53", "MDM2"], sets,
    ...                             universe=["TP53", "MDM2", "ACTB", "GAPDH"])
    >>> table[["overlap", "expected", "p_value"]].round(3)
              overlap  expected  p_value
    gene_set
    P53             2       1.0    0.167
    OTHER           0       1.0    1.000
    """
    universe = universe_of(universe)
    chosen = chosen_in(genes, universe)
    sets = check_gene_sets(gene_sets)
    found = _of_size(locate(sets, universe), sets, min_size, max_size)
    is_chosen = np.isin(np.asarray(universe, dtype=object), chosen)
    ends = np.cumsum(found.sizes)
    starts = ends - found.sizes
    overlap = np.diff(np.concatenate([[0], np.cumsum(is_chosen[found.genes])])[[0, *ends]])
    table = overlap_table(overlap, found.sizes, len(chosen), len(universe))
    names = np.asarray(universe, dtype=object)
    members = (found.genes[start:end] for start, end in zip(starts, ends, strict=True))
    table["genes"] = [names[at[is_chosen[at]]].tolist() for at in members]
    table.index = pd.Index(found.names, name="gene_set", dtype=object)
    return table.sort_values("p_value", kind="stable")


def overlap_table(overlap, set_sizes, n_chosen, n_total):
    """Compare overlaps with what chance gives.

    Parameters
    ----------
    overlap, set_sizes : ndarray of int of shape (n_sets,)
    n_chosen, n_total : int

    Returns
    -------
    DataFrame of n_sets rows
    """
    expected = set_sizes * (n_chosen / n_total)
    outside = n_total - set_sizes - n_chosen + overlap
    with np.errstate(divide="ignore", invalid="ignore"):
        odds = overlap * outside / ((set_sizes - overlap) * (n_chosen - overlap))
        enrichment = overlap / expected
    p_values = hypergeometric_tail(overlap, set_sizes, n_chosen, n_total)
    return pd.DataFrame(
        {
            "set_size": set_sizes,
            "overlap": overlap,
            "expected": expected,
            "enrichment": enrichment,
            "odds_ratio": odds,
            "p_value": p_values,
            "p_adjusted": adjust_p_values(p_values),
        }
    )


def _of_size(found, sets, min_size, max_size):
    check_number("min_size", min_size, least=1, whole=True)
    if max_size is not None:
        check_number("max_size", max_size, least=min_size, whole=True)
    mask = found.sizes >= min_size
    if max_size is not None:
        mask &= found.sizes <= max_size
    if not mask.any():
        members = dict.fromkeys(gene for genes in sets.values() for gene in genes)
        raise ValueError(
            f"None of {len(mask)} gene sets has {min_size} to {max_size or 'any number of'} genes "
            f"in the universe; the largest has {found.sizes.max()}. The sets name genes such as "
            f"{name_some(members, 3)}: are these identifiers of the same kind?"
        )
    return found.keep(mask)
