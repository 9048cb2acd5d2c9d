"""Compiled loop of `_count_shrinkage`: every gene beside every other.

Imported by the function that needs it only, since numba takes a second to load.
"""

import math

import numpy as np
from numba import njit

from ._count_glm_kernels import log_gamma, log_rising

LEAST_LOG = -745.0
"""A likelihood below the exponential of this is zero in double precision."""


@njit(cache=True, nogil=True, error_model="numpy")
def posterior_means(counts, means, first, effects, dispersions, new_effects, new_dispersions):
    """Fill in the averages over all other genes, weighted by the likelihood under each.

    Parameters
    ----------
    counts, means : array of shape (n_genes, n_samples)
    first : int
        Gene that the first place of the results belongs to.
    effects, dispersions : array of shape (n_genes,)
    new_effects, new_dispersions : array of shape (n,)
    """
    n_genes, n = counts.shape
    slopes, sizes, constants = np.empty((n_genes, n)), np.empty(n_genes), np.empty(n_genes)
    log_gammas, values = np.empty(n_genes), np.empty(n_genes)
    for g in range(n_genes):
        sizes[g] = 1.0 / dispersions[g]
        log_gammas[g] = log_gamma(sizes[g])
        constants[g] = 0.0
        for j in range(n):
            inflation = math.log1p(means[g, j] * dispersions[g])
            slopes[g, j] = math.log(max(means[g, j], 1e-300)) - inflation
            constants[g] -= sizes[g] * inflation
    for at in range(len(new_effects)):
        own = first + at
        shared, highest = 0.0, -np.inf
        for j in range(n):
            shared -= log_gamma(counts[own, j] + 1.0)
        for g in range(n_genes):
            value = shared + constants[g]
            for j in range(n):
                y = counts[own, j]
                value += log_rising(y, sizes[g], log_gammas[g]) + y * slopes[g, j]
            values[g] = value
            if g != own and value > highest:
                highest = value
        if highest < LEAST_LOG:
            new_effects[at], new_dispersions[at] = effects[own], dispersions[own]
            continue
        total, effect, dispersion = 0.0, 0.0, 0.0
        for g in range(n_genes):
            if g != own:
                weight = math.exp(values[g] - highest)
                total += weight
                effect += weight * effects[g]
                dispersion += weight * dispersions[g]
        new_effects[at], new_dispersions[at] = effect / total, dispersion / total
