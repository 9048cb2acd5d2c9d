"""Gene sets at the top or the bottom of a ranking, by pre-ranked GSEA."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from .._containers import name_some
from .._optional import import_optional
from .._validation import check_number
from ._gene_sets import check_gene_sets, locate

_COLUMNS = {
    "ES": "enrichment_score",
    "NES": "normalized_score",
    "NOM p-val": "p_value",
    "FDR q-val": "q_value",
}


def ranked_enrichment(
    ranking,
    gene_sets,
    *,
    by="statistic",
    min_size=15,
    max_size=500,
    weight=1.0,
    n_permutations=1000,
    random_state=0,
    n_jobs=1,
):
    """Test whether gene sets lie at the top or the bottom of a ranking (pre-ranked GSEA).

    Needs no threshold on the genes, where `over_representation` needs a list of chosen ones.
    Computed by gseapy (the extra ``genesets``); genes are permuted, so the p-values say how a
    set compares with random sets of its size, and are too small where the genes of a set are
    correlated.

    Parameters
    ----------
    ranking : Series, mapping, or DataFrame
        A signed score of every gene, by name: a coefficient, or a table of which the column
        ``by`` is taken. It is indexed by gene, as that of `differential_expression`, or has a
        column ``gene``, as ``top_genes`` of an `Explanation` has (give all genes, and
        ``by="mean_signed_effect"``).
    gene_sets : mapping of str to iterable of str
        As `read_gmt` gives them.
    by : str, default="statistic"
        The column of a DataFrame.
    min_size, max_size : int, default=15 and 500
        Leave out sets with fewer or more genes in the ranking.
    weight : float, default=1
        Exponent of the scores in the running sum; 0 is the Kolmogorov-Smirnov statistic.
    n_permutations : int, default=1000
    random_state : int, default=0
        Seed of the permutations.
    n_jobs : int, default=1
        Threads.

    Returns
    -------
    DataFrame
        Indexed by ``gene_set``, smallest p-value first, then largest score: ``set_size``,
        ``enrichment_score``, ``normalized_score``, ``p_value`` (no less than one over
        ``n_permutations``, below which permutations cannot see), ``q_value`` (false discovery
        rate, as GSEA estimates it), ``leading_edge`` (genes up to the peak, a list).

    Raises
    ------
    ImportError
        Without gseapy.
    ValueError
        For a ranking with missing or equal scores throughout, genes named twice, and where no
        set has a fitting number of genes.

    References
    ----------
    Subramanian et al. (2005), "Gene set enrichment analysis", doi:10.1073/pnas.0506580102;
    Fang, Liu, Peltz (2023), "GSEApy", doi:10.1093/bioinformatics/btac757.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from geneexpr import ranked_enrichment
    >>> ranking = pd.Series(np.linspace(2, -2, 101), index=[f"g{i}" for i in range(101)])
    >>> sets = {"top": [f"g{i}" for i in range(15)], "even": [f"g{i}" for i in range(0, 100, 5)]}
    >>> table = ranked_enrichment(ranking, sets, n_permutations=100)
    >>> table.index[0], table["enrichment_score"].iloc[0].round(2)
    ('top', np.float64(1.0))
    """
    check_number("min_size", min_size, least=1, whole=True)
    check_number("max_size", max_size, least=min_size, whole=True)
    check_number("weight", weight, least=0)
    check_number("n_permutations", n_permutations, least=1, whole=True)
    scores = _scores(ranking, by)
    sets = check_gene_sets(gene_sets)
    fitting = _fitting(sets, scores.index, min_size, max_size)
    gseapy = import_optional("gseapy", extra="genesets", purpose="ranked_enrichment")
    done = gseapy.prerank(
        rnk=scores,
        gene_sets=fitting,
        min_size=min_size,
        max_size=max_size,
        weight=weight,
        permutation_num=n_permutations,
        seed=random_state,
        threads=n_jobs,
        outdir=None,
        no_plot=True,
    )
    return _table(done.res2d, fitting, n_permutations)


def _scores(ranking, by):
    if isinstance(ranking, pd.DataFrame):
        if by not in ranking:
            raise ValueError(
                f"The ranking has no column {by!r}; it has {name_some(ranking.columns)}. Name one "
                "with by=."
            )
        ranking = ranking.set_index("gene") if "gene" in ranking else ranking
        ranking = ranking[by].dropna()
    if not isinstance(ranking, (pd.Series, Mapping)):
        raise ValueError(
            "ranking must be a Series indexed by gene, a mapping or a DataFrame; got "
            f"{type(ranking).__name__}."
        )
    scores = pd.Series(ranking, dtype=np.float64)
    scores.index = scores.index.astype(str)
    if not scores.index.is_unique:
        twice = scores.index[scores.index.duplicated()].unique()
        raise ValueError(
            f"The ranking names {name_some(twice)} more than once. Of a table with several "
            "contrasts, give the rows of one."
        )
    bad = scores.index[~np.isfinite(scores.to_numpy())]
    if len(bad):
        raise ValueError(
            f"The ranking has no finite score for {len(bad)} of {len(scores)} genes: "
            f"{name_some(bad)}. Drop them."
        )
    if scores.nunique() < 2:
        raise ValueError(f"The ranking gives all {len(scores)} genes the same score.")
    # Ties keep the order of the names, not of the rows, so that the result is one.
    return scores.sort_index().sort_values(ascending=False, kind="stable")


def _fitting(sets, genes, min_size, max_size):
    found = locate(sets, genes)
    mask = (found.sizes >= min_size) & (found.sizes <= max_size)
    if not mask.any():
        raise ValueError(
            f"None of {len(sets)} gene sets has {min_size} to {max_size} genes in the ranking of "
            f"{len(genes)}; the largest has {found.sizes.max()}."
        )
    found = found.keep(mask)
    names = np.asarray(genes, dtype=object)
    parts = np.split(names[found.genes], np.cumsum(found.sizes)[:-1])
    return {name: part.tolist() for name, part in zip(found.names, parts, strict=True)}


def _table(result, sets, n_permutations):
    table = result.set_index("Term")[list(_COLUMNS)].rename(columns=_COLUMNS)
    table = table.astype(np.float64)
    table.insert(0, "set_size", [len(sets[name]) for name in table.index])
    # GSEA's own 0 of so many permutations is no probability.
    table["p_value"] = table["p_value"].clip(lower=1 / n_permutations)
    table["leading_edge"] = [genes.split(";") for genes in result["Lead_genes"]]
    table.index.name = "gene_set"
    order = np.lexsort((-table["normalized_score"].abs(), table["p_value"]))
    return table.take(order)
