"""Effects and dispersions of a batch of counts, drawn to those of genes like it."""

import numpy as np

from ._threads import over_slices


def shrink_count_effects(counts, means, effects, dispersions):
    """Shrink with the other genes as the prior.

    Parameters
    ----------
    counts, means : ndarray of shape (n_genes, n_samples)
        Counts of the samples of one batch and their expectations.
    effects, dispersions : ndarray of shape (n_genes,)

    Returns
    -------
    effects, dispersions : ndarray of shape (n_genes,)
        Averages over all other genes, weighted by the likelihood of this gene's counts under
        their expectations and dispersions. A gene that is impossible (in double precision)
        under all others keeps its own, as in ``sva``.

    References
    ----------
    .. [1] Zhang, Parmigiani, Johnson (2020), "ComBat-seq: batch effect adjustment for RNA-seq
       count data", doi:10.1093/nargab/lqaa078.

    Examples
    --------
    >>> import numpy as np
    >>> counts = np.array([[4.0, 6.0], [5.0, 5.0], [900.0, 800.0]])
    >>> effects = np.array([0.1, 0.3, 2.0])
    >>> shrink_count_effects(counts, counts, effects, np.full(3, 0.1))[0].round(3)
    array([0.3, 0.1, 2. ])
    """
    from ._count_shrinkage_kernels import posterior_means

    counts, means = np.ascontiguousarray(counts), np.ascontiguousarray(means)
    new_effects, new_dispersions = np.empty_like(effects), np.empty_like(dispersions)
    if len(effects) < 2:
        return effects, dispersions

    def shrink(genes):
        posterior_means(
            counts,
            means,
            genes.start,
            effects,
            dispersions,
            new_effects[genes],
            new_dispersions[genes],
        )

    over_slices(shrink, len(effects), max(256, len(effects) // 16))
    return new_effects, new_dispersions
