"""Wald tests of negative binomial regressions: outlying counts, filter, p-values."""

from dataclasses import dataclass

import numpy as np
from scipy.special import chdtrc, fdtri, ndtr

from ._contrasts import GeneTests
from ._dispersion import GENES_PER_TASK
from ._lowess import lowess
from ._multiple_testing import adjust_p_values
from ._negative_binomial import (
    CountFit,
    CountModel,
    GeneDispersions,
    as_rows,
    dispersions_of_rows,
    fit_rows,
)
from ._threads import over_slices

REPLICATES_TO_REPLACE = 7
REPLICATES_TO_JUDGE = 3
REPLACEMENT_TRIM = 0.2
SMALLEST_ROBUST_DISPERSION = 0.04
_TRIMS = ((3, 1 / 3, 2.04), (23, 1 / 4, 1.86), (np.inf, 1 / 8, 1.51))
"""Up to so many replicates: share trimmed from each end, and what makes up for it."""
FILTER_STEPS = 50
FILTER_SPAN = 1 / 5
FEW_REJECTIONS = 10


@dataclass(frozen=True, slots=True)
class WaldFit:
    """What the regressions of some genes leave to be tested.

    Attributes
    ----------
    means : ndarray of shape (n_genes,)
        Mean normalised counts, outliers replaced.
    dispersions : ndarray of shape (n_genes,)
    coefficients : ndarray of shape (n_genes, p)
        Natural logarithms; NaN for a gene without counts.
    covariances : ndarray of shape (n_genes, p, p)
    outlying : ndarray of bool of shape (n_genes,)
        Genes with a count too far from the others, and too few replicates to replace it.
    replaced : ndarray of bool of shape (n_genes,)
        Genes that were fitted again with such counts replaced.
    present : ndarray of bool of shape (n_genes, n_cells)
        Whether there is any count in each level of the condition.
    """

    means: np.ndarray
    dispersions: np.ndarray
    coefficients: np.ndarray
    covariances: np.ndarray
    outlying: np.ndarray
    replaced: np.ndarray
    present: np.ndarray


def join(parts):
    """Put the fits (or dispersions) of consecutive genes together.

    Parameters
    ----------
    parts : list of dataclass instances of one kind

    Returns
    -------
    the same kind
    """
    kind = type(parts[0])
    return kind(
        *(np.concatenate([getattr(part, name) for part in parts]) for name in kind.__slots__)
    )


def wald_fit(counts, alone, model, prior, levels) -> WaldFit:
    """Fit genes, find outlying counts, and fit again where these can be replaced.

    A count is outlying where its Cook's distance is beyond the 99 % quantile of the
    F distribution. Where a sample has seven replicates or more, such counts become the trimmed
    mean of the gene; with three to six, the gene is marked.

    Parameters
    ----------
    counts : ndarray of shape (n_samples, n_genes)
    alone : GeneDispersions
    model : CountModel
    prior : DispersionPrior
    levels : ndarray of int of shape (n_samples,)
        Level of the condition.

    Returns
    -------
    WaldFit

    References
    ----------
    Love, Huber, Anders (2014), doi:10.1186/s13059-014-0550-8.
    """
    members = np.eye(int(levels.max()) + 1, dtype=bool)[levels]

    def fit(genes):
        part = GeneDispersions(alone.means[genes], alone.values[genes], alone.coefficients[genes])
        return _fit_genes(as_rows(counts, genes), part, model, prior, members)

    return join(over_slices(fit, counts.shape[1], GENES_PER_TASK))


def _fit_genes(rows, alone, model, prior, members):
    fit, means = fit_rows(rows, alone, model, prior), alone.means.copy()
    distances = cooks_distances(rows, fit, model)
    limit = cooks_limit(model)
    with np.errstate(invalid="ignore"):
        beyond = distances > limit
    replaceable = model.replicated(REPLICATES_TO_REPLACE)
    replaced = beyond.any(axis=1) & replaceable.any()
    judged = model.replicated(REPLICATES_TO_JUDGE) & ~replaceable
    outlying = beyond[:, judged].any(axis=1)
    if replaced.any():
        changed = _with_replacements(rows[replaced], beyond[replaced] & replaceable, model)
        _fit_again(fit, means, np.flatnonzero(replaced), changed, model, prior)
    if int(model.cells.max()) == 1 and model.linear and members.shape[1] == 2:
        outlying[outlying] = ~_within_others(rows[outlying], distances[outlying])
    return WaldFit(
        means,
        fit.dispersions,
        fit.coefficients,
        fit.covariances,
        outlying,
        replaced,
        (rows > 0) @ members > 0,
    )


def _fit_again(fit, means, genes, rows, model, prior):
    """Put the fit of genes with replaced counts in the place of their first one."""
    alone = dispersions_of_rows(rows, model)
    means[genes] = alone.means
    again = fit_rows(rows, alone, model, prior)
    fit.dispersions[genes] = again.dispersions
    fit.coefficients[genes] = again.coefficients
    fit.covariances[genes] = again.covariances


def _within_others(rows, distances):
    """Tell where three other counts or more are above the most outlying one."""
    at = np.argmax(distances, axis=1)
    return (rows > np.take_along_axis(rows, at[:, None], axis=1)).sum(axis=1) >= 3


def _with_replacements(rows, outlying, model):
    middle = trimmed_mean(rows / model.factors, REPLACEMENT_TRIM)
    return np.where(outlying, np.trunc(middle[:, None] * model.factors), rows)


# ------------------------------------------------------------------ outlying counts


def cooks_limit(model: CountModel) -> float:
    """Return the 99 % quantile of the F distribution that Cook's distances are held against."""
    return float(fdtri(model.columns.shape[1], model.df, 0.99))


def cooks_distances(rows, fit: CountFit, model: CountModel) -> np.ndarray:
    """Return how far each sample pulls the fit of each gene.

    Parameters
    ----------
    rows : ndarray of shape (n_genes, n_samples)
        Counts.
    fit : CountFit
    model : CountModel

    Returns
    -------
    ndarray of shape (n_genes, n_samples)
    """
    dispersions = robust_dispersions(rows / model.factors, model)[:, None]
    variances = fit.expected * (1 + dispersions * fit.expected)
    with np.errstate(invalid="ignore", divide="ignore"):
        pull = np.square(rows - fit.expected) / variances * fit.leverages
        return pull / np.square(1 - fit.leverages) / model.columns.shape[1]


def robust_dispersions(normalised, model: CountModel) -> np.ndarray:
    """Estimate dispersions by moments that single outliers do not reach.

    Parameters
    ----------
    normalised : ndarray of shape (n_genes, n_samples)
    model : CountModel

    Returns
    -------
    ndarray of shape (n_genes,)
        At least 0.04.
    """
    judged = model.replicated(REPLICATES_TO_JUDGE)
    if judged.any():
        cells = np.unique(model.cells[judged])
        variances = [_trimmed_variance(normalised[:, model.cells == cell]) for cell in cells]
        variance = np.max(variances, axis=0)
    else:
        variance = _trimmed_variance(normalised, _TRIMS[-1])
    means = normalised.mean(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.fmax((variance - means) / means**2, SMALLEST_ROBUST_DISPERSION)


def _trimmed_variance(values, how=None):
    n = values.shape[1]
    _, trim, factor = how or next(row for row in _TRIMS if n <= row[0])
    centre = trimmed_mean(values, trim)[:, None]
    return factor * trimmed_mean(np.square(values - centre), trim)


def trimmed_mean(values, trim) -> np.ndarray:
    """Return the mean of each row without a share of the values at each end.

    Examples
    --------
    >>> import numpy as np
    >>> trimmed_mean(np.array([[9.0, 1.0, 2.0, 3.0]]), 0.25)
    array([2.5])
    """
    n = values.shape[1]
    cut = int(np.floor(n * trim))
    return np.sort(values, axis=1)[:, cut : n - cut].mean(axis=1)


# ------------------------------------------------------------------ tests


def wald_tests(fit: WaldFit, contrasts, *, flag_outliers=True, lfc_threshold=0.0) -> GeneTests:
    """Test contrasts of the coefficients of every gene against 0, or against a fold change.

    Parameters
    ----------
    fit : WaldFit
    contrasts : ndarray of shape (n_contrasts, p)
    flag_outliers : bool, default=True
        Give genes with an outlying count the p-value NaN.
    lfc_threshold : float, default=0
        Test whether the absolute log2 fold change is above this.

    Returns
    -------
    GeneTests
        Effects and their errors to base 2. A gene without counts is NaN; one whose counts were
        all replaced by 0 has no effect. Overall is the chi-square of all contrasts together.
    """
    gone = fit.replaced & (fit.means == 0)
    values = np.einsum("xp,gp->xg", contrasts, fit.coefficients)
    covariance = np.einsum("xp,gpq,yq->xyg", contrasts, fit.covariances, contrasts)
    values[:, gone], covariance[..., gone] = 0.0, 0.0
    effects = values / np.log(2)
    std_errors = np.sqrt(np.einsum("xxg->xg", covariance)) / np.log(2)
    statistics, p_values = _against(effects, std_errors, lfc_threshold)
    overall, overall_p = statistics[0], p_values[0]
    if len(contrasts) > 1:
        overall = _chi_squares(values, covariance)
        overall_p = chdtrc(len(contrasts), overall)
    if flag_outliers:
        p_values = np.where(fit.outlying, np.nan, p_values)
        overall_p = np.where(fit.outlying, np.nan, overall_p)
    return GeneTests(effects, std_errors, statistics, p_values, fit.means, overall, overall_p)


def without_counts(tests: GeneTests, present, pairs) -> GeneTests:
    """Give genes without a count in both levels of a contrast no effect, in place.

    Parameters
    ----------
    tests : GeneTests
    present : ndarray of bool of shape (n_genes, n_levels)
    pairs : list of pair of int
        Levels of each contrast.

    Returns
    -------
    GeneTests
    """
    for i, pair in enumerate(pairs):
        empty = ~present[:, pair].any(axis=1) & ~np.isnan(tests.effects[i])
        tests.effects[i, empty] = tests.statistics[i, empty] = 0.0
        tests.p_values[i, empty & ~np.isnan(tests.p_values[i])] = 1.0
    return tests


def _against(effects, std_errors, threshold):
    with np.errstate(invalid="ignore", divide="ignore"):
        distance = np.maximum(np.abs(effects) - threshold, 0)
        statistics = np.sign(effects) * np.where(distance == 0, 0.0, distance / std_errors)
        if threshold == 0:
            return statistics, 2 * ndtr(-np.abs(statistics))
        beyond = 2 * ndtr((threshold - np.abs(effects)) / std_errors)
    return statistics, np.minimum(1, beyond)


def _chi_squares(values, covariance):
    result = np.full(values.shape[1], np.nan)
    there = ~np.isnan(values).any(axis=0)
    solvable = there & (np.einsum("xxg->xg", covariance) > 0).all(axis=0)
    result[there] = 0.0
    matrices = np.moveaxis(covariance[..., solvable], -1, 0)
    solved = np.linalg.solve(matrices, values[:, solvable].T[..., None])[..., 0]
    result[solvable] = (solved * values[:, solvable].T).sum(axis=1)
    return result


# ------------------------------------------------------------------ filter


def filtered_adjustment(p_values, means, alpha=0.1) -> np.ndarray:
    """Adjust p-values (Benjamini, Hochberg) of the genes above a mean that pays.

    Genes of low mean cannot reach significance but count as tests. Of fifty quantiles of
    the mean, the first is taken that gives about as many rejections as the best.

    Parameters
    ----------
    p_values, means : ndarray of shape (n_genes,)
    alpha : float, default=0.1
        The false discovery rate at which rejections are counted.

    Returns
    -------
    ndarray of shape (n_genes,)
        NaN for genes below that mean.

    References
    ----------
    Bourgon, Gentleman, Huber (2010), doi:10.1073/pnas.0914005107; Love, Huber, Anders (2014),
    doi:10.1186/s13059-014-0550-8.

    Examples
    --------
    >>> import numpy as np
    >>> filtered_adjustment(np.array([0.01, 0.02, 0.5]), np.array([5.0, 3.0, 0.0]))
    array([0.02, 0.02,  nan])
    """
    lowest = float(np.mean(means == 0))
    shares = np.linspace(lowest, 0.95 if lowest < 0.95 else 1.0, FILTER_STEPS)
    limits = np.quantile(means, shares)

    def above(limit):
        return adjust_p_values(np.where(means >= limit, p_values, np.nan))

    with np.errstate(invalid="ignore"):
        rejections = np.array([(above(limit) < alpha).sum() for limit in limits], float)
    return above(limits[_first_enough(shares, rejections)])


def _first_enough(shares, rejections):
    if rejections.max() <= FEW_REJECTIONS:
        return 0
    smooth = lowess(shares, rejections, FILTER_SPAN)
    some = rejections > 0
    noise = np.sqrt(np.mean(np.square(rejections[some] - smooth[some])))
    best = smooth.max()
    for enough in (best - noise, 0.9 * best, 0.8 * best):
        if (rejections > enough).any():
            return int(np.argmax(rejections > enough))
    return 0
