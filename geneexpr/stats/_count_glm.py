"""Negative binomial regression of counts with a logarithmic link, gene by gene."""

from dataclasses import dataclass

import numpy as np

from ._linear_models import dependent_columns
from ._threads import over_slices

GENES_PER_TASK = 256
LEAST_RATE = 1e-300
"""A rate of zero (no counts in a cell) is written as the logarithm of this."""


@dataclass(frozen=True, slots=True)
class Layout:
    """A design as the fits read it: samples side by side where they have the same row.

    Attributes
    ----------
    design : ndarray of shape (n_samples, p)
        Rows in ``order``.
    order : ndarray of int of shape (n_samples,)
        The samples, cell by cell.
    cells : ndarray of shape (n_cells, p)
        The different rows.
    edges : ndarray of int of shape (n_cells + 1,)
        Where the cells begin and end.
    constant : ndarray of shape (p,)
        The coefficients that write a constant.
    one_way : bool
        There are as many cells as coefficients, so every cell has a rate of its own.
    """

    design: np.ndarray
    order: np.ndarray
    cells: np.ndarray
    edges: np.ndarray
    constant: np.ndarray
    one_way: bool


def layout_of(design) -> Layout:
    """Arrange a design of full rank that holds a constant.

    Parameters
    ----------
    design : array-like of shape (n_samples, p)

    Returns
    -------
    Layout

    Examples
    --------
    >>> layout = layout_of([[1, 0], [1, 1], [1, 0]])
    >>> layout.order, layout.edges, layout.one_way
    (array([0, 2, 1]), array([0, 2, 3]), True)
    """
    design = np.asarray(design, np.float64)
    cells, codes = np.unique(design, axis=0, return_inverse=True)
    codes = codes.ravel()
    order = np.argsort(codes, kind="stable")
    edges = np.concatenate([[0], np.cumsum(np.bincount(codes))])
    constant = np.linalg.lstsq(cells, np.ones(len(cells)), rcond=None)[0]
    return Layout(
        np.ascontiguousarray(design[order]),
        order,
        cells,
        edges,
        constant,
        len(cells) == design.shape[1],
    )


def full_rank(design):
    """Tell whether no column of a design depends on the others."""
    return not dependent_columns(design).any()


def fit_log_linear(counts, exposures, layout, dispersions, codes=None):
    """Fit the coefficients of every gene, the dispersions being known.

    Parameters
    ----------
    counts : ndarray of shape (n_genes, n_samples)
    exposures : ndarray of shape (n_samples,) or (n_genes, n_samples)
        The expected count is the exposure times ``exp(design @ coefficients)``.
    layout : Layout
    dispersions : ndarray of shape (n_genes, n_codes)
    codes : ndarray of int of shape (n_samples,), optional
        Which of a gene's dispersions a sample has, by default the first.

    Returns
    -------
    ndarray of shape (n_genes, p)
        To a tolerance of 1e-10 where the design is one-way; else the scoring stops as
        edgeR's does, at an expected gain in likelihood of 1e-6.

    References
    ----------
    .. [1] McCarthy, Chen, Smyth (2012), "Differential expression analysis of multifactor
       RNA-Seq experiments with respect to biological variation", doi:10.1093/nar/gks042.

    Examples
    --------
    >>> import numpy as np
    >>> counts = np.array([[4.0, 6.0, 20.0]])
    >>> layout = layout_of([[1, 0], [1, 0], [1, 1]])
    >>> np.exp(fit_log_linear(counts, np.ones(3), layout, np.array([[0.1]]))).round(6)
    array([[5., 4.]])
    """
    from ._count_glm_kernels import fit_cells, fit_genes

    order = layout.order
    codes = np.zeros(len(order), np.intp) if codes is None else codes[order]
    exposures = np.ascontiguousarray(np.atleast_2d(exposures)[:, order])
    p = layout.design.shape[1]
    result = np.empty((len(counts), p))

    def fit(genes):
        own = np.ascontiguousarray(counts[genes][:, order])
        among = exposures[genes] if len(exposures) > 1 else exposures
        some = np.ascontiguousarray(dispersions[genes])
        if layout.one_way:
            fit_cells(own, among, layout.edges, some, codes, result[genes])
        else:
            constant = layout.constant
            fit_genes(own, among, layout.design, constant, some, codes, result[genes])

    over_slices(fit, len(counts), GENES_PER_TASK)
    if layout.one_way:
        rates = np.log(np.maximum(result, LEAST_RATE))
        result = rates if _is_identity(layout.cells) else np.linalg.solve(layout.cells, rates.T).T
    return result


def _is_identity(cells):
    return np.array_equal(cells, np.eye(len(cells)))


def with_prior_counts(counts, exposures, mean_exposure, prior=1e-4):
    """Add a small count to all, in proportion to the exposures, so that no rate is zero.

    Parameters
    ----------
    counts : ndarray of shape (n_genes, n_samples)
    exposures : ndarray of shape (n_samples,)
    mean_exposure : float
        The exposure that gets ``prior`` added.
    prior : float, default=1e-4

    Returns
    -------
    counts : ndarray of shape (n_genes, n_samples)
    added : ndarray of shape (n_samples,)
        Twice this is to be added to the exposures, each on the scale of the counts.
    """
    added = prior * exposures / mean_exposure
    return counts + added, added
