"""Genes that go together: modules of correlated genes, led by the most important ones."""

import numpy as np

from ._gene_sets import check_gene_sets, locate

THRESHOLD = 0.7
"""Absolute correlation from which on a gene belongs to a module."""


def correlated_modules(rows, importance, *, threshold=THRESHOLD, max_modules=50, partition=False):
    """Group genes around the most important ones, by their correlation with these.

    The most important gene leads the first module, which all genes join that are correlated
    with it; the most important of those left leads the next. That takes one product of the
    matrix with a column a module, so 20 000 genes are a matter of milliseconds.

    Parameters
    ----------
    rows : array of shape (n_samples, n_genes)
    importance : array of shape (n_genes,)
        Genes of importance 0 join no module, and lead none.
    threshold : float, default=0.7
        Of the absolute correlation with the leading gene.
    max_modules : int, default=50
    partition : bool, default=False
        Let every gene of importance above 0 that is left join the leader it is most
        correlated with, so that all are in one module.

    Returns
    -------
    list of array of int
        Positions of the genes of each module, its leader first; a module may be one gene.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).normal(size=(50, 2))
    >>> rows = np.column_stack([x[:, 0], -x[:, 0], x[:, 1]])
    >>> [genes.tolist() for genes in correlated_modules(rows, np.array([1.0, 3.0, 2.0]))]
    [[1, 0], [2]]
    """
    z = _standardised(rows)
    free = importance > 0
    order = np.argsort(-importance, kind="stable")
    leaders, members = [], []
    for gene in order:
        if len(leaders) == max_modules or importance[gene] <= 0:
            break
        if not free[gene]:
            continue
        joins = free & (np.abs(z[:, gene] @ z) >= threshold)
        joins[gene] = False
        free &= ~joins
        free[gene] = False
        leaders.append(gene)
        members.append(np.flatnonzero(joins))
    if partition and leaders and free.any():
        left = np.flatnonzero(free)
        nearest = np.abs(z[:, left].T @ z[:, leaders]).argmax(axis=1)
        members = [np.append(m, left[nearest == i]) for i, m in enumerate(members)]
    return [np.append(gene, m).astype(np.int64) for gene, m in zip(leaders, members, strict=True)]


def _standardised(rows):
    """Return rows whose columns have mean 0 and length 1; constant genes are all zero."""
    z = np.nan_to_num(rows - np.nanmean(rows, axis=0)).astype(np.float32)
    length = np.sqrt(np.einsum("ij,ij->j", z, z))
    return z / np.where(length > 0, length, 1)


def name_modules(modules, genes):
    """Name each module after its leader and how many genes follow.

    Parameters
    ----------
    modules : list of array of int
    genes : array of str

    Returns
    -------
    dict of str to array of int

    Examples
    --------
    >>> list(name_modules([np.array([1, 0]), np.array([2])], np.array(["A", "B", "C"])))
    ['B +1', 'C']
    """
    return {f"{genes[m[0]]} +{len(m) - 1}" if len(m) > 1 else str(genes[m[0]]): m for m in modules}


def located_sets(gene_sets, genes):
    """Find the genes of gene sets in gene space.

    Parameters
    ----------
    gene_sets : mapping of str to iterable of str
    genes : array of str

    Returns
    -------
    dict of str to array of int
        Sets without any gene here are left out.

    Raises
    ------
    ValueError
        If no set has a gene here.
    """
    found = locate(check_gene_sets(gene_sets), genes)
    ends = np.cumsum(found.sizes)[:-1]
    sets = dict(zip(found.names, np.split(found.genes, ends), strict=True))
    sets = {name: at for name, at in sets.items() if len(at)}
    if not sets:
        raise ValueError(
            f"None of {len(gene_sets)} gene sets has a gene among the {len(genes)} that are "
            f"explained (such as {genes[0]!r}): are these names of the same kind?"
        )
    return sets


def disjoint(sets, genes):
    """Let each gene belong to one set, the smallest that has it.

    Parameters
    ----------
    sets : dict of str to array of int
    genes : array of bool of shape (n_genes,)
        Those that are to be grouped.

    Returns
    -------
    dict of str to array of int
    """
    owner = np.full(len(genes), -1)
    names = sorted(sets, key=lambda name: (len(sets[name]), name))
    for number, name in reversed(list(enumerate(names))):
        owner[sets[name]] = number
    owner[~genes] = -1
    groups = {name: np.flatnonzero(owner == number) for number, name in enumerate(names)}
    return {name: groups[name] for name in sets if len(groups[name])}
