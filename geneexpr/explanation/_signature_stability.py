"""The stability of chosen genes over folds or subsamples."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from .._validation import check_number
from ..stats._stability import jaccard, kuncheva, nogueira
from ._gene_sets import gene_list


@dataclass(frozen=True)
class SignatureStability:
    """What `signature_stability` found.

    Attributes
    ----------
    nogueira : float
        Stability corrected for chance, for sets of any sizes; 1 for equal sets, about 0 for
        random ones. Below 0.4 is poor, above 0.75 excellent, by the authors' rule of thumb.
    interval : tuple of two floats
        Its confidence interval.
    kuncheva : float
        Mean consistency of pairs; NaN for sets of different sizes.
    jaccard : float
        Mean share of common genes of pairs, not corrected for chance.
    n_sets, n_genes : int
    frequencies : Series
        Share of the sets that hold each gene, the most frequent first.
    """

    nogueira: float
    interval: tuple
    kuncheva: float
    jaccard: float
    n_sets: int
    n_genes: int
    frequencies: pd.Series

    def __str__(self):
        low, high = self.interval
        return (
            f"{self.n_sets} sets of {self.n_genes} genes: stability {self.nogueira:.2f} "
            f"({low:.2f} to {high:.2f}), Kuncheva {self.kuncheva:.2f}, Jaccard {self.jaccard:.2f}"
        )


def signature_stability(sets, n_genes, *, confidence=0.95):
    """Measure how alike the genes are that were chosen on different folds.

    Parameters
    ----------
    sets : iterable of iterable of str, or array of bool of shape (n_sets, n_genes)
        The genes chosen in each fold, by name (or position), or the ``support_`` of each.
    n_genes : int
        How many genes could have been chosen.
    confidence : float, default=0.95
        Level of the interval. It takes the folds for independent; those of one
        cross-validation share most samples, so it says how the folds spread, not how another
        cohort would.

    Returns
    -------
    SignatureStability

    Raises
    ------
    ValueError
        For fewer than two sets, and more genes than there can be.

    References
    ----------
    Nogueira, Sechidis, Brown (2018), "On the stability of feature selection algorithms",
    Journal of Machine Learning Research 18(174); Kuncheva (2007), "A stability index for
    feature selection".

    Examples
    --------
    >>> from geneexpr import signature_stability
    >>> found = signature_stability([["TP53", "MYC"], ["TP53", "MYC"], ["TP53", "KRAS"]], 1000)
    >>> round(found.nogueira, 2), round(found.jaccard, 2)
    (0.67, 0.56)
    """
    check_number("confidence", confidence, above=0, below=1)
    check_number("n_genes", n_genes, least=1, whole=True)
    names, chosen = _membership(sets)
    if len(chosen) < 2:
        raise ValueError(f"Stability compares at least two sets of genes; got {len(chosen)}.")
    if n_genes < len(names):
        raise ValueError(
            f"n_genes must be no less than the {len(names)} genes that the sets hold together; "
            f"got {n_genes!r}."
        )
    stability, interval = nogueira(chosen, int(n_genes), confidence)
    shares = pd.Series(chosen.mean(axis=0), index=pd.Index(names, name="gene"), name="frequency")
    return SignatureStability(
        nogueira=stability,
        interval=interval,
        kuncheva=kuncheva(chosen, int(n_genes)),
        jaccard=jaccard(chosen),
        n_sets=len(chosen),
        n_genes=int(n_genes),
        frequencies=shares.sort_values(ascending=False, kind="stable"),
    )


def _membership(sets):
    """Return the genes of any set, and which set holds which."""
    sets = list(sets)
    masks = [np.asarray(s) for s in sets if getattr(s, "dtype", None) == np.bool_]
    if masks and len(masks) == len(sets):
        if len({mask.shape for mask in masks}) > 1:
            raise ValueError(
                f"Supports must all be of one shape; got {sorted({mask.shape for mask in masks})}."
            )
        return list(range(masks[0].shape[0])), np.stack(masks)
    lists = [gene_list(genes, f"Set {i}") for i, genes in enumerate(sets)]
    names = list(dict.fromkeys(gene for genes in lists for gene in genes))
    index = pd.Index(names, dtype=object)
    chosen = np.zeros((len(lists), len(names)), dtype=bool)
    for row, genes in zip(chosen, lists, strict=True):
        row[index.get_indexer(genes)] = True
    return names, chosen
