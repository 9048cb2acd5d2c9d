"""Surrogate variables: directions of variation that the model does not explain.

Arrays are samples by genes. Every step works on products of samples by samples, so time and
memory grow with the number of genes only linearly.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh
from scipy.special import fdtr

from ._local_fdr import local_fdr


@dataclass(frozen=True, slots=True)
class SurrogateVariables:
    """Surrogate variables of training samples, and what new samples need.

    Attributes
    ----------
    variables : ndarray of shape (n_samples, n_sv)
        Orthonormal columns; their signs are arbitrary.
    unmodelled, modelled : ndarray of shape (n_genes,)
        Probability that a gene is affected by the surrogate variables, and by the outcome.
    """

    variables: np.ndarray
    unmodelled: np.ndarray
    modelled: np.ndarray

    @property
    def weights(self):
        """Weight of each gene: affected by the variables, not by the outcome."""
        return self.unmodelled * (1 - self.modelled)


def residuals(X, design):
    """Return what the columns of a design leave of every gene."""
    return X - design @ np.linalg.lstsq(design, X, rcond=None)[0]


def f_test(X, full, reduced) -> np.ndarray:
    """Return the p-value of every gene for a design against a part of it.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_genes)
    full, reduced : ndarray of shape (n_samples, p)
        Designs of full rank.

    Returns
    -------
    ndarray of shape (n_genes,)
        1 for genes that neither design leaves anything of.

    Examples
    --------
    >>> X = np.array([[0.0], [1.0], [10.0], [11.0]])
    >>> one = np.ones((4, 1))
    >>> f_test(X, np.c_[one, [0, 0, 1, 1]], one).round(4)
    array([0.005])
    """
    n, p, q = len(X), full.shape[1], reduced.shape[1]
    of_full = np.square(residuals(X, full)).sum(axis=0)
    of_reduced = np.square(residuals(X, reduced)).sum(axis=0)
    gained = np.maximum(of_reduced - of_full, 0) / (p - q)
    constant = of_reduced <= 1e-24 * np.square(X).sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = gained / (of_full / (n - p))
    # R's 1 - pf, which rounds to zero below 1e-16, where local_fdr stops anyhow
    return np.where(constant, 1.0, 1 - fdtr(p - q, n - p, np.where(constant, 0, ratio)))


def estimate_surrogates(X, full, reduced, n_sv, *, n_iterations=5) -> SurrogateVariables:
    """Estimate surrogate variables by iteratively reweighted least squares, as ``sva`` does.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_genes)
    full : ndarray of shape (n_samples, p)
        Intercept, covariates and outcome.
    reduced : ndarray of shape (n_samples, q)
        The same without the outcome.
    n_sv : int
    n_iterations : int, default=5

    Returns
    -------
    SurrogateVariables

    References
    ----------
    Leek, Storey (2008), "A general framework for multiple testing dependence",
    doi:10.1073/pnas.0808709105.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> hidden, y = rng.normal(size=40), np.arange(40) % 2
    >>> X = rng.normal(size=(40, 200))
    >>> X[:, :80] += np.outer(hidden, rng.normal(size=80))
    >>> one = np.ones((40, 1))
    >>> found = estimate_surrogates(X, np.c_[one, y], one, 1)
    >>> bool(abs(np.corrcoef(found.variables[:, 0], hidden)[0, 1]) > 0.9)
    True
    """
    variables = _leading(residuals(X, full), n_sv)
    for _ in range(n_iterations):
        with_all = np.hstack([full, variables])
        without_outcome = np.hstack([reduced, variables])
        modelled = 1 - local_fdr(f_test(X, with_all, without_outcome))
        unmodelled = 1 - local_fdr(f_test(X, without_outcome, reduced))
        found = SurrogateVariables(variables, unmodelled, modelled)
        weighted = X * found.weights
        variables = _leading(weighted - weighted.mean(axis=0), n_sv)
    return SurrogateVariables(variables, unmodelled, modelled)


def _leading(rows, n):
    """Return the leading eigenvectors of the products of rows, each with a settled sign."""
    vectors = np.linalg.eigh(rows @ rows.T)[1][:, : -n - 1 : -1]
    largest = np.abs(vectors).argmax(axis=0)
    return vectors * np.sign(vectors[largest, np.arange(vectors.shape[1])])


# ------------------------------------------------------------------ how many


def count_by_permutation(X, design, rng, *, n_permutations=20, level=0.1) -> int:
    """Count the surrogate variables that permuted residuals do not show (Buja, Eyuboglu).

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_genes)
    design : ndarray of shape (n_samples, p)
    rng : numpy.random.Generator or RandomState
    n_permutations : int, default=20
    level : float, default=0.1
        Largest share of permutations that reach the observed share of variance.

    Returns
    -------
    int

    References
    ----------
    Buja, Eyuboglu (1992), "Remarks on parallel analysis",
    doi:10.1207/s15327906mbr2704_2.
    """
    rest = residuals(X, design)
    n_kept = min(X.shape) - design.shape[1]
    if n_kept < 1:
        return 0
    observed = _shares(rest, n_kept)
    reached = np.zeros(n_kept)
    for _ in range(n_permutations):
        order = np.argsort(rng.random_sample(rest.shape), axis=0)
        permuted = np.take_along_axis(rest, order, axis=0)
        reached += _shares(residuals(permuted, design), n_kept) >= observed
    p = np.maximum.accumulate(reached / n_permutations)
    return int((p <= level).sum())


def _shares(rows, n):
    values = (
        np.linalg.eigvalsh(rows @ rows.T)[::-1][:n]
        if len(rows) <= rows.shape[1]
        else (np.linalg.svd(rows, compute_uv=False)[:n] ** 2)
    )
    return values / max(values.sum(), np.finfo(float).tiny)


def count_by_asymptotics(X, design) -> int:
    """Count the surrogate variables by eigenvalues beyond a threshold (Leek).

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_genes)
        With less than ten genes nothing can be told, and the count is 0.
    design : ndarray of shape (n_samples, p)

    Returns
    -------
    int

    References
    ----------
    Leek (2011), "Asymptotic conditional singular value decomposition for high-dimensional
    genomic data", doi:10.1111/j.1541-0420.2010.01455.x.
    """
    n_samples = len(X)
    if X.shape[1] < 10:
        return 0
    scales, step = np.linspace(0, 2, 100), X.shape[1] // 10
    off = np.linalg.qr(design, mode="complete")[0][:, design.shape[1] :]
    ranks = np.zeros((100, 10))
    for j in range(1, 11):
        some, n = X[:, : j * step], j * step
        smallest = np.linalg.eigvalsh(some @ some.T)[0] / n
        rest = off.T @ some
        values = np.linalg.eigvalsh(rest @ rest.T / n) - smallest
        above = values[None] > (scales * n ** (-1 / 3) * n_samples)[:, None]
        ranks[:, j - 1] = above.sum(axis=1)
    spread = ranks.var(axis=1, ddof=1)
    # The reference counts the eigenvalues that the design makes zero as their rounding
    # falls, half of them as positive: what that adds to the first variance on average.
    spread[0] += design.shape[1] / 4
    return _stable_count(ranks[:, 9], spread)


def _stable_count(ranks, spread):
    """Return the count on the plateau between two peaks of its variance over gene sets."""
    rises = np.argmax(spread > 2 * spread[0]) + 1
    flat = np.r_[np.full(rises, 1e5), spread[rises:]] < 0.5 * spread[0]
    start = np.argmax(flat) + 1
    ends = spread * np.r_[np.zeros(start), np.ones(100 - start)] > spread[0]
    finish = np.argmax(ends) + 1
    finish = 100 if finish == 1 else finish
    rows = range(start, finish + 1) if start <= finish else range(start, finish - 1, -1)
    values, counts = np.unique(ranks[[i - 1 for i in rows]], return_counts=True)
    return int(values[counts.argmax()])


# ------------------------------------------------------------------ new samples


@dataclass(frozen=True, slots=True)
class FrozenSurrogates:
    """The decomposition of the weighted training samples, for "exact" frozen SVA.

    Attributes
    ----------
    weights, centre : ndarray of shape (n_genes,)
        Weights of the genes, and means of the weighted training samples.
    axes : ndarray of shape (rank, n_genes)
        Principal axes of the weighted training samples.
    scores : ndarray of shape (n_samples, rank)
        The training samples on these axes.
    variables : ndarray of shape (n_samples, n_sv)
        The surrogate variables of the training samples.
    """

    weights: np.ndarray
    centre: np.ndarray
    axes: np.ndarray
    scores: np.ndarray
    variables: np.ndarray


def freeze_surrogates(X, found: SurrogateVariables) -> FrozenSurrogates:
    """Decompose the weighted training samples once, for all new samples.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_genes)
    found : SurrogateVariables

    Returns
    -------
    FrozenSurrogates
    """
    weighted = X * found.weights
    centre = weighted.mean(axis=0)
    left, values, axes = np.linalg.svd(weighted - centre, full_matrices=False)
    there = values > 1e-13 * max(values[0], np.finfo(float).tiny)
    return FrozenSurrogates(
        found.weights, centre, axes[there], (left * values)[:, there], found.variables
    )


def surrogates_of(row, frozen: FrozenSurrogates) -> np.ndarray:
    """Return the surrogate variables of one new sample ("exact" frozen SVA).

    The sample joins the training samples in the singular value decomposition. That adds one
    direction and a product of rank one to what is known already, so the problem has as many
    rows as there are training samples, not genes.

    Parameters
    ----------
    row : ndarray of shape (n_genes,)
    frozen : FrozenSurrogates

    Returns
    -------
    ndarray of shape (n_sv,)

    References
    ----------
    Parker, Corrada Bravo, Leek (2014), "Removing batch effects for prediction problems with
    frozen surrogate variable analysis", doi:10.7717/peerj.561.
    """
    scores, n_sv = frozen.scores, frozen.variables.shape[1]
    n = len(scores)
    apart = row * frozen.weights - frozen.centre
    on_axes = frozen.axes @ apart
    beside = apart - on_axes @ frozen.axes
    z = np.append(on_axes, np.linalg.norm(beside))
    products = np.diag(np.append(np.square(scores).sum(axis=0), 0.0))
    products += n / (n + 1) * np.outer(z, z)
    size = len(z)
    values, vectors = eigh(products, subset_by_index=[max(0, size - n_sv), size - 1])
    values, vectors = values[::-1], vectors[:, ::-1]
    lengths = np.sqrt(np.maximum(values, 0))
    lengths = np.where(lengths > 0, lengths, np.inf)
    of_row = (z @ vectors) * n / (n + 1) / lengths
    of_training = scores @ vectors[:-1] / lengths
    agreement = (of_training * frozen.variables[:, : of_training.shape[1]]).sum(axis=0)
    out = np.zeros(n_sv)
    out[: len(of_row)] = of_row * np.sign(agreement)
    return out


def surrogate_effects(X, design, variables) -> np.ndarray:
    """Return the slopes of every gene on the surrogate variables, beside a design.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_genes)
    design : ndarray of shape (n_samples, p)
    variables : ndarray of shape (n_samples, n_sv)

    Returns
    -------
    ndarray of shape (n_sv, n_genes)
    """
    return np.linalg.lstsq(np.hstack([design, variables]), X, rcond=None)[0][design.shape[1] :]
