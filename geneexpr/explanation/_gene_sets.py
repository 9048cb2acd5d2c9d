"""Gene sets against the genes that there are: checks, positions, and what is missing."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from .._containers import gene_names, is_anndata, name_some


@dataclass(slots=True, frozen=True)
class Located:
    """Gene sets as positions among the genes that there are.

    Parameters
    ----------
    names : list of str
    genes : ndarray of int
        Positions of the genes of the first set, ascending, then of the second, and so on.
    sizes : ndarray of int of shape (n_sets,)
        How many genes of each set there are.
    missing : dict of str to list of str
        Genes of each set that there are not; sets that are complete are not listed.
    """

    names: list
    genes: np.ndarray
    sizes: np.ndarray
    missing: dict

    def keep(self, mask):
        """Return the sets that a mask of shape (n_sets,) marks."""
        names = [name for name, kept in zip(self.names, mask, strict=True) if kept]
        return Located(
            names,
            self.genes[np.repeat(mask, self.sizes)],
            self.sizes[mask],
            {name: genes for name, genes in self.missing.items() if name in set(names)},
        )


def gene_list(genes, what):
    """Return distinct names of genes, in their order, from any iterable of them.

    Parameters
    ----------
    genes : iterable of str or int
    what : str
        What they are, for the errors.

    Returns
    -------
    list of str
    """
    if isinstance(genes, (str, bytes)) or not np.iterable(genes) or isinstance(genes, Mapping):
        raise ValueError(
            f"{what} must be a list of gene names; got {type(genes).__name__}"
            f"{f' {genes!r}' if isinstance(genes, str) else ''}."
        )
    found = list(genes)
    if any(pd.isna(gene) for gene in found):
        raise ValueError(
            f"{what} has {sum(bool(pd.isna(gene)) for gene in found)} missing names of "
            f"{len(found)}. Drop them."
        )
    return list(dict.fromkeys(str(gene) for gene in found))


def check_gene_sets(gene_sets):
    """Return gene sets as a dict of lists of str.

    Parameters
    ----------
    gene_sets : mapping of str to iterable of genes

    Returns
    -------
    dict of str to list of str
    """
    if not isinstance(gene_sets, Mapping):
        raise ValueError(
            "gene_sets must map the name of a set to its genes, as read_gmt gives them; got "
            f"{type(gene_sets).__name__}."
        )
    if not gene_sets:
        raise ValueError("gene_sets holds no sets.")
    sets = {
        str(name): gene_list(genes, f"The gene set {str(name)!r}")
        for name, genes in gene_sets.items()
    }
    if len(sets) < len(gene_sets):
        raise ValueError("gene_sets has two names that are the same as text (such as 1 and '1').")
    empty = [name for name, genes in sets.items() if not genes]
    if empty:
        raise ValueError(
            f"{len(empty)} of {len(sets)} gene sets name no genes: {name_some(empty)}."
        )
    return sets


def locate(gene_sets, genes):
    """Find the genes of every set among the genes that there are.

    Parameters
    ----------
    gene_sets : dict of str to list of str
        Checked.
    genes : array-like of str
        Distinct names.

    Returns
    -------
    Located

    Examples
    --------
    >>> found = locate({"P53": ["TP53", "MDM2"]}, ["MDM2", "MYC"])
    >>> found.genes, found.missing
    (array([0]), {'P53': ['TP53']})
    """
    index = pd.Index(np.asarray(genes, dtype=object))
    positions, missing = [], {}
    for name, members in gene_sets.items():
        at = index.get_indexer(members)
        positions.append(np.sort(at[at >= 0]))
        if (at < 0).any():
            missing[name] = [gene for gene, i in zip(members, at, strict=True) if i < 0]
    sizes = np.array([len(at) for at in positions], dtype=np.int64)
    return Located(list(gene_sets), np.concatenate(positions).astype(np.int64), sizes, missing)


def universe_of(source):
    """Return the genes that entered a model or a test.

    Parameters
    ----------
    source : iterable of str, fitted estimator or Pipeline, Explanation, AnnData, or DataFrame
        A DataFrame with a column ``p_value`` is a table of tests indexed by gene, of which
        those with a p-value were tested; of any other the columns are genes. Of an
        `Explanation` those that reached the model.

    Returns
    -------
    list of str
    """
    if hasattr(source, "in_model"):
        return gene_list(source.gene_names[source.in_model], "universe")
    if isinstance(source, pd.DataFrame) and "p_value" in source:
        return gene_list(source.index[source["p_value"].notna()], "universe")
    if isinstance(source, pd.DataFrame) or is_anndata(source):
        names = gene_names(source)
        if names is None:
            raise ValueError("universe is a DataFrame without gene names in its columns.")
        return gene_list(names, "universe")
    if hasattr(source, "get_params") and not isinstance(source, type):
        names = getattr(source, "feature_names_in_", None)
        if names is None:
            raise ValueError(
                f"universe is a {type(source).__name__} that knows no gene names. Fit it on a "
                "DataFrame or an AnnData, or pass the names."
            )
        return gene_list(names, "universe")
    return gene_list(source, "universe")


def chosen_in(genes, universe, what="genes"):
    """Return the chosen genes, which must all be in the universe.

    Parameters
    ----------
    genes : iterable of str, or DataFrame
        A DataFrame with a column ``gene``, or with a column ``p_value`` and indexed by gene.
    universe : list of str
    what : str, default="genes"

    Returns
    -------
    list of str
    """
    chosen = gene_list(_genes_of(genes), what)
    if not chosen:
        raise ValueError(f"{what} is empty.")
    known = set(universe)
    other = [gene for gene in chosen if gene not in known]
    if other:
        raise ValueError(
            f"{len(other)} of {len(chosen)} {what} are not in the universe: {name_some(other)}. "
            "The universe holds all genes that could have been chosen: those that entered the "
            "model."
        )
    return chosen


def _genes_of(table):
    """Return the genes that a table is about; anything but a DataFrame goes through."""
    if not isinstance(table, pd.DataFrame):
        return table
    if "gene" in table:
        return table["gene"]
    if "p_value" in table:
        return table.index
    raise ValueError(
        "genes is a DataFrame that has neither a column 'gene', as top_genes gives it, nor a "
        f"column 'p_value', as a table of tests indexed by gene; it has "
        f"{name_some(table.columns)}. Give a list of genes."
    )
