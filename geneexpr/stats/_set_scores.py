"""Scores of gene sets in single samples, all sets of a block of samples at once.

The sets are a sparse 0/1 matrix of shape (n_sets, n_genes). Its products run over the genes of
a set one by one, in the same order for every sample, so that a sample's scores do not depend
on the samples beside it, to the last bit.
"""

import numpy as np
import scipy.sparse as sp
from scipy.stats import rankdata


def set_matrix(genes, sizes, n_genes):
    """Return the sets as a sparse matrix.

    Parameters
    ----------
    genes : ndarray of int of shape (sum of sizes,)
        Positions of the genes of the first set, then of the second, and so on.
    sizes : ndarray of int of shape (n_sets,)
    n_genes : int

    Returns
    -------
    csr_matrix of shape (n_sets, n_genes)
    """
    starts = np.concatenate([[0], np.cumsum(sizes)])
    return sp.csr_matrix((np.ones(len(genes)), genes, starts), shape=(len(sizes), n_genes))


def ssgsea(block, sets, alpha=0.25):
    r"""Score sets by the difference of two running sums over the ranked genes.

    With ascending ranks :math:`r` of :math:`n` genes and :math:`k` genes in the set, the area
    between the two sums is

    .. math:: \frac{\sum_{set} r^{\alpha} r}{\sum_{set} r^{\alpha}} -
              \frac{n(n+1)/2 - \sum_{set} r}{n - k}

    Parameters
    ----------
    block : ndarray of shape (n_samples, n_genes)
    sets : csr_matrix of shape (n_sets, n_genes)
        None of them empty, none with all genes.
    alpha : float, default=0.25
        Weight of the ranks.

    Returns
    -------
    ndarray of shape (n_samples, n_sets)
        Not divided by a range. Equal values share their average rank, so that the order of the
        genes does not matter; GSVA takes tied genes as they come.

    References
    ----------
    Barbie et al. (2009), "Systematic RNA interference reveals that oncogenic KRAS-driven
    cancers require TBK1", doi:10.1038/nature08460.

    Examples
    --------
    >>> ssgsea(np.array([[5.0, 9.0, 1.0]]), set_matrix([1], [1], 3))
    array([[1.5]])
    """
    n = block.shape[1]
    size = _sizes(sets)
    ranks = rankdata(block, axis=1).T
    weights = ranks**alpha
    inside = (sets @ (weights * ranks)) / (sets @ weights)
    outside = (n * (n + 1) / 2 - sets @ ranks) / (n - size)
    return np.ascontiguousarray((inside - outside).T)


def singscore(block, sets):
    """Score sets by their mean rank, from -0.5 (all at the bottom) to 0.5 (all at the top).

    Parameters
    ----------
    block : ndarray of shape (n_samples, n_genes)
    sets : csr_matrix of shape (n_sets, n_genes)
        None of them empty, none with all genes.

    Returns
    -------
    ndarray of shape (n_samples, n_sets)

    References
    ----------
    Foroutan et al. (2018), "Single sample scoring of molecular phenotypes",
    doi:10.1186/s12859-018-2435-4.

    Examples
    --------
    >>> singscore(np.array([[5.0, 9.0, 1.0]]), set_matrix([1, 2], [1, 1], 3))
    array([[ 0.5, -0.5]])
    """
    n, size = block.shape[1], _sizes(sets)
    mean = (sets @ rankdata(block, axis=1).T) / size
    lowest = (size + 1) / 2
    return np.ascontiguousarray(((mean - lowest) / (n - size) - 0.5).T)


def mean_z(block, sets, means, deviations):
    """Average the standardised values of the genes of each set.

    Parameters
    ----------
    block : ndarray of shape (n_samples, n_genes)
    sets : csr_matrix of shape (n_sets, n_genes)
    means, deviations : ndarray of shape (n_genes,)
        Of the training samples; a gene with deviation 0 counts as 0.

    Returns
    -------
    ndarray of shape (n_samples, n_sets)

    Examples
    --------
    >>> sets = set_matrix([0, 1], [2], 2)
    >>> mean_z(np.array([[3.0, 1.0]]), sets, np.array([1.0, 1.0]), np.array([2.0, 0.0]))
    array([[0.5]])
    """
    varies = deviations > 0
    z = np.where(varies, (block - means) / np.where(varies, deviations, 1), 0)
    return np.ascontiguousarray(((sets @ np.ascontiguousarray(z.T)) / _sizes(sets)).T)


def _sizes(sets):
    return np.diff(sets.indptr)[:, None].astype(np.float64)
