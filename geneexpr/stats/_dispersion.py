"""Negative binomial dispersions, their trend over the mean, and the scale that levels it."""

import math

import numpy as np

from ._threads import over_slices

SMALLEST = 1e-8
"""Lower bound of a dispersion; the upper is the number of samples, and at least 10."""
GENES_PER_TASK = 128


def gene_dispersions(counts, size_factors):
    """Estimate every gene's dispersion alone, with a common mean of all samples.

    Parameters
    ----------
    counts : array of shape (n_samples, n_genes)
    size_factors : array of shape (n_samples,)

    Returns
    -------
    means : array of shape (n_genes,)
        Mean normalised counts.
    dispersions : array of shape (n_genes,)
        By the Cox-Reid adjusted likelihood, by DESeq2's line search and its stopping rule; NaN
        for a gene without counts. Between 1e-8 and the number of samples (at least 10).

    References
    ----------
    .. [1] Love, Huber, Anders (2014), "Moderated estimation of fold change and dispersion for
       RNA-seq data with DESeq2", doi:10.1186/s13059-014-0550-8.
    """
    from ._dispersion_kernels import dispersions_of

    n_samples, n_genes = counts.shape
    means, result = np.empty(n_genes), np.empty(n_genes)
    factors = np.ascontiguousarray(size_factors, dtype=np.float64)
    largest = float(max(10, n_samples))

    def estimate(genes):
        rows = np.ascontiguousarray(counts[:, genes].T, dtype=np.float64)
        dispersions_of(rows, factors, SMALLEST, largest, means[genes], result[genes])

    over_slices(estimate, n_genes, GENES_PER_TASK)
    return means, result


def parametric_trend(means, dispersions):
    """Fit the trend ``asymptotic + extra / mean`` through the dispersions of genes.

    Parameters
    ----------
    means, dispersions : array of shape (n_genes,)
        NaN where a gene has none. Genes at dispersions up to 1e-6 do not enter.

    Returns
    -------
    (asymptotic, extra) : tuple of float, or None
        None where the fit does not converge to positive coefficients.
    """
    used = dispersions > 100 * SMALLEST
    means, dispersions = means[used], dispersions[used]
    coefficients = np.array([0.1, 1.0])
    for _ in range(11):
        ratio = dispersions / (coefficients[0] + coefficients[1] / means)
        good = (ratio > 1e-4) & (ratio < 15)
        if good.sum() < 2:
            return None
        old = coefficients
        coefficients, converged = _gamma_regression(1 / means[good], dispersions[good], old)
        if not (coefficients > 0).all():
            return None
        if converged and (np.log(coefficients / old) ** 2).sum() < 1e-6:
            return tuple(float(c) for c in coefficients)
    return None


def _gamma_regression(x, y, start, max_iterations=25):
    """Fit y ~ 1 + x with gamma errors and the identity link, by reweighted least squares.

    The first comparison is with the deviance at the start, as R's ``glm`` does it: its early
    stop is part of the reference's numbers.
    """
    design = np.column_stack([np.ones_like(x), x])
    coefficients, deviance = start, _gamma_deviance(y, design @ start)
    for _ in range(max_iterations):
        fitted = design @ coefficients
        new = np.linalg.lstsq(design / fitted[:, None], y / fitted, rcond=None)[0]
        for _ in range(max_iterations):
            if (design @ new > 0).all():
                break
            new = (new + coefficients) / 2
        else:
            return coefficients, False
        old_deviance, deviance = deviance, _gamma_deviance(y, design @ new)
        coefficients = new
        if abs(deviance - old_deviance) / (abs(deviance) + 0.1) < 1e-8:
            return coefficients, True
    return coefficients, False


def _gamma_deviance(y, mean):
    return -2 * np.sum(np.log(y / mean) - (y - mean) / mean)


def mean_trend(dispersions, trim=0.001):
    """Return the trimmed mean of the dispersions above 1e-7; the least one where none is."""
    used = np.sort(dispersions[dispersions > 10 * SMALLEST])
    cut = math.floor(len(used) * trim)
    return float(used[cut : len(used) - cut].mean()) if len(used) else SMALLEST


def spread_over_means(means, n_sub, least=5.0):
    """Choose genes that are evenly spread over the ranks of their means.

    Parameters
    ----------
    means : array of shape (n_genes,)
    n_sub : int
    least : float, default=5.0
        Genes of a mean up to this are left out.

    Returns
    -------
    array of int, ascending, or None where fewer than ``n_sub`` genes are left
    """
    candidates = np.flatnonzero(means > least)
    if len(candidates) < n_sub:
        return None
    ranked = candidates[np.argsort(means[candidates], kind="stable")]
    places = np.round(np.linspace(1, len(ranked), n_sub)).astype(int) - 1
    return np.sort(ranked[places])


def stabilised(normalised, asymptotic, extra):
    """Bring normalised counts to the scale on which their standard deviation is level.

    Parameters
    ----------
    normalised : array of shape (n_samples, n_genes)
        Changed in place.
    asymptotic, extra : float
        The dispersion is ``asymptotic + extra / mean``.

    Returns
    -------
    array of shape (n_samples, n_genes)
        Like log2 for high counts.

    Examples
    --------
    >>> import numpy as np
    >>> stabilised(np.array([0.0, 10.0, 1e6]), 0.1, 1.0).round(3)
    array([ 2.322,  4.222, 19.932])
    """
    normalised *= asymptotic
    root = normalised + (1 + extra)
    root *= normalised
    np.sqrt(root, out=root)
    root += normalised
    root *= 2
    root += 1 + extra
    root /= 4 * asymptotic
    return np.log2(root, out=root)


def unstabilised(values, asymptotic, extra):
    """Invert `stabilised`."""
    scaled = np.exp2(values) * (4 * asymptotic)
    return (scaled - (1 + extra)) ** 2 / (4 * asymptotic * scaled)
