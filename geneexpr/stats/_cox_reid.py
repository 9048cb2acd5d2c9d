"""Dispersions of counts by the Cox-Reid adjusted profile likelihood."""

import numpy as np

from ._count_glm import GENES_PER_TASK, Layout
from ._maximise import brent_search, spline_maximum
from ._threads import over_slices

LEAST_TOTAL = 5
"""Genes with fewer counts in all say nothing of the dispersion."""
LARGEST = 4.0
"""Upper end of the search for a common dispersion, which runs over its fourth root."""
TOLERANCE = 1e-5
FOLDS = np.linspace(-6.0, 6.0, 11)
"""Where a gene's likelihood is evaluated: log2 of its dispersion over the common one."""


class ProfileLikelihood:
    """The adjusted profile likelihood of the dispersions of some genes.

    Parameters
    ----------
    counts : array of shape (n_samples, n_genes)
    exposures : ndarray of shape (n_samples,) or (n_samples, n_genes)
    layout : Layout
        The design.

    References
    ----------
    .. [1] McCarthy, Chen, Smyth (2012), "Differential expression analysis of multifactor
       RNA-Seq experiments with respect to biological variation", doi:10.1093/nar/gks042.

    Examples
    --------
    >>> import numpy as np
    >>> from geneexpr.stats._count_glm import layout_of
    >>> counts = np.array([[8.0], [12.0], [10.0]])
    >>> likelihood = ProfileLikelihood(counts, np.ones(3), layout_of(np.ones((3, 1))))
    >>> (likelihood(np.array([1e-3])) > likelihood(np.array([1.0]))).tolist()
    [True]
    """

    def __init__(self, counts, exposures, layout: Layout):
        order = layout.order
        self.layout = layout
        self.counts = np.ascontiguousarray(np.asarray(counts)[order].T, dtype=np.float64)
        exposures = np.asarray(exposures, np.float64)[order]
        self.exposures = np.ascontiguousarray(np.atleast_2d(exposures.T))
        # Where the last fits ended is where the next, of another dispersion, begin.
        self._rates = np.zeros((len(self.counts), len(layout.edges) - 1))

    def __call__(self, dispersions):
        """Evaluate at one dispersion a gene.

        Parameters
        ----------
        dispersions : ndarray of shape (n_genes,)

        Returns
        -------
        ndarray of shape (n_genes,)
            Up to a constant a gene.
        """
        from ._count_glm_kernels import profile_of_cells, profile_of_design

        layout, result = self.layout, np.empty(len(self.counts))

        def evaluate(genes):
            exposures = self.exposures[genes] if len(self.exposures) > 1 else self.exposures
            given = self.counts[genes], exposures
            if layout.one_way:
                ends = dispersions[genes], self._rates[genes], result[genes]
                profile_of_cells(*given, layout.edges, *ends)
            else:
                design = layout.design, layout.constant
                profile_of_design(*given, *design, dispersions[genes], result[genes])

        over_slices(evaluate, len(self.counts), GENES_PER_TASK)
        return result


def common_dispersions(n_searches, evaluate):
    """Search the common dispersions of several sets of samples side by side.

    Parameters
    ----------
    n_searches : int
    evaluate : callable
        ``evaluate(dispersions)`` takes a dict of set to dispersion and gives a dict of set to
        the sum of the adjusted profile likelihoods of its genes.

    Returns
    -------
    ndarray of shape (n_searches,)
        Between 0 and 4, to a tolerance of 1e-5 in the fourth root.
    """
    searches = [brent_search(0.0, LARGEST**0.25, TOLERANCE) for _ in range(n_searches)]
    points = {i: next(search) for i, search in enumerate(searches)}
    found = np.empty(n_searches)
    while points:
        values = evaluate({i: point**4 for i, point in points.items()})
        for i in list(points):
            try:
                points[i] = searches[i].send(values[i])
            except StopIteration as stop:
                found[i] = stop.value**4
                del points[i]
    return found


def gene_dispersions_around(likelihood: ProfileLikelihood, common):
    """Estimate every gene's own dispersion, searched around a common one.

    Parameters
    ----------
    likelihood : ProfileLikelihood
    common : float

    Returns
    -------
    ndarray of shape (n_genes,)
        Where a cubic spline through the likelihoods at 11 points from 1/64 to 64 times the
        common dispersion is largest; the common one for genes with fewer than 5 counts.
    """
    result = np.full(len(likelihood.counts), float(common))
    values = np.column_stack([likelihood(result * 2.0**fold) for fold in FOLDS])
    width = FOLDS[1] - FOLDS[0]
    folds = FOLDS[0] + width * spline_maximum(values)
    enough = likelihood.counts.sum(axis=1) >= LEAST_TOTAL
    result[enough] *= 2.0 ** folds[enough]
    return result
