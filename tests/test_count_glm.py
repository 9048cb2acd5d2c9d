"""Negative binomial fits, dispersions and quantiles: edgeR, SciPy, and what must hold."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import nbinom

from geneexpr import norm_factors
from geneexpr.stats._count_glm import fit_log_linear, layout_of, with_prior_counts
from geneexpr.stats._count_quantiles import cumulative, match_quantiles, quantiles
from geneexpr.stats._count_shrinkage import shrink_count_effects
from geneexpr.stats._cox_reid import ProfileLikelihood, gene_dispersions_around
from geneexpr.stats._maximise import brent_search, spline_maximum


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def draw(rng, n=12, genes=30, dispersion=0.2):
    exposures = rng.lognormal(0, 0.3, n)
    mean = rng.lognormal(3, 1, (genes, 1)) * exposures
    return rng.poisson(rng.gamma(1 / dispersion, mean * dispersion)).astype(float), exposures


def designs(n=12):
    group = np.arange(n) % 2
    slope = np.linspace(-1, 1, n) ** 3
    ones = np.ones(n)
    return {
        "intercept": np.column_stack([ones]),
        "groups": np.column_stack([ones, group]),
        "additive": np.column_stack([ones, group, np.arange(n) % 3 == 0]),
        "slope": np.column_stack([ones, group, slope]),
    }


# ------------------------------------------------------------------ regression


@pytest.mark.parametrize("case", ["edger_pasilla", "edger_pickrell"])
def test_fold_changes_are_those_of_edger(gold, case):
    """glmFit with a prior count of 0.125, at the dispersions that estimateDisp found."""
    case = gold(case)
    found, dispersions = case.out("glmLRT"), case.out("dispersions")
    X = case.table("X.csv.gz")[dispersions.index]
    X = X.to_numpy(float)
    depths = X.sum(axis=1) * norm_factors(X)
    counts, added = with_prior_counts(X.T, depths, depths.mean(), prior=0.125)
    layout = layout_of(case.table("design.csv").to_numpy())
    tagwise = dispersions[["tagwise"]].to_numpy()
    fitted = fit_log_linear(counts, depths + 2 * added, layout, tagwise)
    np.testing.assert_allclose(
        fitted[:, -1] / np.log(2), found.loc[dispersions.index, "logFC"], rtol=1e-7, atol=1e-8
    )


@pytest.mark.parametrize("name", designs())
def test_coefficients_are_the_most_likely(rng, name):
    counts, exposures = draw(rng)
    design, dispersions = designs()[name], np.full((len(counts), 1), 0.2)
    fitted = fit_log_linear(counts, exposures, layout_of(design), dispersions)
    for y, found in zip(counts[:6], fitted, strict=False):

        def loss(coefficients, y=y):
            mean = exposures * np.exp(design @ coefficients)
            return -nbinom.logpmf(y, 5, 5 / (5 + mean)).sum()

        best = minimize(loss, found, method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-10})
        assert loss(found) <= best.fun + 1e-6
        np.testing.assert_allclose(found, best.x, atol=2e-3)


def test_every_sample_has_the_dispersion_of_its_code(rng):
    counts, exposures = draw(rng)
    codes = np.repeat([0, 1], 6)
    layout = layout_of(designs()["intercept"])
    dispersions = np.tile([1e-9, 1e9], (len(counts), 1))
    fitted = fit_log_linear(counts, exposures, layout, dispersions, codes)
    # A sample of endless dispersion says nothing of the mean.
    expected = np.log(counts[:, :6].sum(axis=1) / exposures[:6].sum())
    np.testing.assert_allclose(fitted[:, 0], expected, rtol=1e-6)


def test_exposures_of_each_gene(rng):
    counts, exposures = draw(rng)
    factors = rng.lognormal(0, 0.5, (len(counts), 1))
    for design in designs().values():
        given = layout_of(design), np.full((len(counts), 1), 0.1)
        shifted = fit_log_linear(counts, exposures * factors, *given)
        plain = fit_log_linear(counts, exposures, *given)
        # Where the scoring starts, and so where it stops, depends on the exposures.
        within = 1e-8 if given[0].one_way else 1e-5
        np.testing.assert_allclose(shifted[:, 0], plain[:, 0] - np.log(factors[:, 0]), atol=within)
        np.testing.assert_allclose(shifted[:, 1:], plain[:, 1:], atol=within)


def test_an_empty_cell_has_a_rate_of_next_to_nothing():
    layout = layout_of(np.array([[1, 0], [1, 0], [1, 1], [1, 1]]))
    fitted = fit_log_linear(np.array([[4.0, 6, 0, 0]]), np.ones(4), layout, np.array([[0.1]]))
    np.testing.assert_allclose(np.exp(fitted[0, 0]), 5)
    assert np.exp(fitted[0].sum()) < 1e-200


def test_one_count_in_a_tiny_library_does_not_run_away():
    layout = layout_of(np.ones((5, 1)))
    exposures = np.array([1e-8, 1, 1, 1, 1])
    counts = np.array([[500.0, 3, 2, 4, 3]])
    fitted = fit_log_linear(counts, exposures, layout, np.array([[2.0]]))
    assert np.isfinite(fitted).all()


# ------------------------------------------------------------------ dispersions


def profile_by_hand(y, exposures, design, dispersion):
    """Adjusted profile likelihood by its definition, up to a constant."""
    layout = layout_of(design)
    coefficients = fit_log_linear(y[None], exposures, layout, np.array([[dispersion]]))[0]
    mean = exposures * np.exp(design @ coefficients)
    size = 1 / dispersion
    information = (design * (mean / (1 + dispersion * mean))[:, None]).T @ design
    return (
        nbinom.logpmf(y, size, size / (size + mean)).sum() - 0.5 * np.linalg.slogdet(information)[1]
    )


@pytest.mark.parametrize("name", designs())
def test_the_profile_likelihood_is_that_of_its_definition(rng, name):
    counts, exposures = draw(rng)
    design = designs()[name].astype(float)
    likelihood = ProfileLikelihood(counts.T, exposures, layout_of(design))
    values = [likelihood(np.full(len(counts), d)) for d in (1e-4, 0.03, 0.5, 3.0)]
    for gene in range(0, 30, 7):
        expected = [
            profile_by_hand(counts[gene], exposures, design, d) for d in (1e-4, 0.03, 0.5, 3.0)
        ]
        found = np.array(values)[:, gene]
        np.testing.assert_allclose(found - found[0], np.subtract(expected, expected[0]), atol=1e-4)


@pytest.mark.parametrize("dispersion", [1e-20, 1e-12, 1e-7])
def test_the_profile_likelihood_nears_that_of_poisson(rng, dispersion):
    counts, exposures = draw(rng)
    likelihood = ProfileLikelihood(counts.T, exposures, layout_of(np.ones((12, 1))))
    limit = likelihood(np.full(len(counts), 1e-11))
    np.testing.assert_allclose(likelihood(np.full(len(counts), dispersion)), limit, rtol=1e-4)


def test_dispersions_come_out_on_average(rng):
    counts, exposures = draw(rng, n=40, genes=300, dispersion=0.3)
    likelihood = ProfileLikelihood(counts.T, exposures, layout_of(np.ones((40, 1))))
    for common in (0.05, 0.3, 1.0):
        found = gene_dispersions_around(likelihood, common)
        assert 0.27 < np.median(found) < 0.33


def test_a_gene_of_few_counts_has_the_common_dispersion():
    counts = np.zeros((6, 2))
    counts[:4, 0], counts[:, 1] = 1, [0, 30, 1, 12, 2, 9]
    likelihood = ProfileLikelihood(counts, np.ones(6), layout_of(np.ones((6, 1))))
    found = gene_dispersions_around(likelihood, 0.2)
    assert found[0] == 0.2
    assert found[1] > 0.4


# ------------------------------------------------------------------ maxima


@pytest.mark.parametrize("best", [0.0, 0.3, 1.2, 1.4142])
def test_brents_search_finds_the_maximum(best):
    search = brent_search(0.0, 2**0.5, 1e-5)
    points = [next(search)]
    found = None
    while found is None:
        try:
            points.append(search.send(-((points[-1] - best) ** 2) * (1 + points[-1])))
        except StopIteration as stop:
            found = stop.value
    assert found == pytest.approx(best, abs=2e-5)
    assert len(points) < 40


def test_splines_through_a_cubic_are_that_cubic(rng):
    places = np.arange(11.0)
    for best in rng.uniform(2, 7, 20):
        cubic = -((places - best) ** 2) * (1 + (places + 2 * best) * 1e-3)
        near = np.linspace(best - 0.5, best + 0.5, 100_001)
        exact = near[np.argmax(-((near - best) ** 2) * (1 + (near + 2 * best) * 1e-3))]
        assert spline_maximum(cubic[None])[0] == pytest.approx(exact, abs=1e-4)


def test_a_maximum_at_an_end_stays_there():
    values = np.array([np.arange(11.0), -np.arange(11.0)])
    np.testing.assert_array_equal(spline_maximum(values), [10, 0])


# ------------------------------------------------------------------ quantiles


def random_distributions(rng, n=3000):
    means = rng.lognormal(3, 2.5, n)
    dispersions = rng.gamma(2, 0.15, n) + 1e-3
    counts = rng.poisson(rng.gamma(1 / dispersions, means * dispersions)).astype(float)
    return counts, means, dispersions


def test_quantiles_are_those_of_scipy(rng):
    counts, means, dispersions = random_distributions(rng)
    size = 1 / dispersions
    share = size / (size + means)
    p = rng.random(len(means)) * 0.9998
    np.testing.assert_array_equal(quantiles(p, means, dispersions), nbinom.ppf(p, size, share))
    np.testing.assert_allclose(
        cumulative(counts, means, dispersions), nbinom.cdf(counts, size, share), rtol=1e-9
    )


def test_matched_counts_are_those_of_scipy(rng):
    counts, means, dispersions = random_distributions(rng)
    new_means = means * rng.lognormal(0, 0.7, len(means))
    new_dispersions = dispersions * rng.lognormal(0, 0.3, len(means))
    found = match_quantiles(counts, means, dispersions, new_means, new_dispersions)
    p = nbinom.cdf(counts - 1, 1 / dispersions, 1 / (1 + means * dispersions))
    mapped = 1 + nbinom.ppf(p, 1 / new_dispersions, 1 / (1 + new_means * new_dispersions))
    stay = (counts <= 1) | (p > 1 - 1e-4)
    np.testing.assert_array_equal(found, np.where(stay, counts, mapped))


@pytest.mark.parametrize("dispersion", [1e-20, 1e-10, 1e-4, 0.3])
def test_the_same_distribution_changes_nothing(dispersion):
    counts = np.r_[np.arange(2.0, 200), np.arange(900.0, 1100)]
    means, dispersions = np.maximum(counts, 1) * 1.01, np.full(len(counts), dispersion)
    found = match_quantiles(counts, means, dispersions, means, dispersions)
    np.testing.assert_array_equal(found, counts)


def test_the_order_of_counts_stays(rng):
    counts = np.arange(2.0, 400)
    at = np.ones(len(counts))
    found = match_quantiles(counts, 120 * at, 0.1 * at, 300 * at, 0.4 * at)
    changed = found != counts
    assert (np.diff(found[changed]) >= 0).all()


# ------------------------------------------------------------------ shrinkage


def test_shrinkage_is_that_of_its_definition(rng):
    counts, _ = draw(rng, n=4, genes=9)
    means = counts + 1.0
    effects, dispersions = rng.normal(size=9), rng.uniform(0.05, 0.5, 9)
    found = shrink_count_effects(counts, means, effects, dispersions)
    for gene in range(9):
        others = np.delete(np.arange(9), gene)
        size = 1 / dispersions[others, None]
        weights = nbinom.pmf(counts[gene], size, size / (size + means[others])).prod(axis=1)
        for values, own in zip((effects, dispersions), found, strict=True):
            expected = weights @ values[others] / weights.sum()
            assert own[gene] == pytest.approx(expected, rel=1e-9)


def test_a_single_gene_is_not_shrunk():
    effects, dispersions = np.array([0.4]), np.array([0.1])
    found = shrink_count_effects(np.ones((1, 3)), np.ones((1, 3)), effects, dispersions)
    np.testing.assert_array_equal(found, [[0.4], [0.1]])
