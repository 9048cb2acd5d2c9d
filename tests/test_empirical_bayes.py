"""Empirical Bayes: the formulas of the paper, one gene at a time, against the vectors."""

import numpy as np
import pytest

from geneexpr.stats import (
    location_scale_prior,
    shrink_location,
    shrink_location_scale,
    shrink_nonparametric,
)


@pytest.fixture
def genes():
    rng = np.random.default_rng(0)
    z = rng.normal(rng.normal(0.5, 1, 60), rng.gamma(8, 1 / 8, 60), (12, 60))
    return z, z.mean(axis=0), z.var(axis=0, ddof=1)


def test_prior_by_the_method_of_moments(genes):
    _, gamma, delta = genes
    prior = location_scale_prior(gamma, delta)
    m, s2 = delta.mean(), delta.var(ddof=1)
    assert prior.mean == pytest.approx(gamma.mean())
    assert prior.variance == pytest.approx(gamma.var(ddof=1))
    # mean and variance of the inverse gamma distribution
    assert prior.rate / (prior.shape - 1) == pytest.approx(m)
    assert prior.rate**2 / ((prior.shape - 1) ** 2 * (prior.shape - 2)) == pytest.approx(s2)


def test_shrinkage_lies_between_the_gene_and_all_genes(genes):
    _, gamma, delta = genes
    prior = location_scale_prior(gamma, delta)
    shrunk, scale = shrink_location_scale(gamma, delta, 12, prior)
    assert (np.abs(shrunk - prior.mean) <= np.abs(gamma - prior.mean)).all()
    assert scale.std() < delta.std()
    nearly, _ = shrink_location_scale(gamma, delta, 1e9, prior)
    np.testing.assert_allclose(nearly, gamma, rtol=1e-6)


def test_shrinkage_solves_its_two_equations(genes):
    _, gamma, delta = genes
    prior = location_scale_prior(gamma, delta)
    g, d = shrink_location_scale(gamma, delta, 12, prior, tol=1e-12)
    np.testing.assert_allclose(g, shrink_location(gamma, 12, prior, d), rtol=1e-9)
    squares = 11 * delta + 12 * (gamma - g) ** 2
    np.testing.assert_allclose(
        d, (squares / 2 + prior.rate) / (12 / 2 + prior.shape - 1), rtol=1e-9
    )


def test_a_negative_location_does_not_delay_the_stop(genes):
    """The rule of sva divides by the location itself, sign included."""
    _, gamma, _ = genes
    gamma, delta = -np.abs(gamma) - 1, np.linspace(0.5, 2, 60)
    prior = location_scale_prior(gamma, delta)
    n, old_g, old_d = 3, gamma, delta
    while True:
        g = shrink_location(gamma, n, prior, old_d)
        d = (((n - 1) * delta + n * (gamma - g) ** 2) / 2 + prior.rate) / (n / 2 + prior.shape - 1)
        change = max((abs(g - old_g) / old_g).max(), (abs(d - old_d) / old_d).max())
        old_g, old_d = g, d
        if change <= 1e-4:
            break
    np.testing.assert_array_equal(shrink_location_scale(gamma, delta, n, prior)[0], g)


def test_one_gene_or_genes_alike_have_a_prior_of_one_point():
    one = location_scale_prior(np.array([2.0]), np.array([3.0]))
    location, scale = shrink_location_scale(np.array([2.0]), np.array([3.0]), 5, one)
    assert (location.tolist(), scale.tolist()) == ([2.0], [3.0])
    assert shrink_nonparametric(np.array([2.0]), np.array([3.0]), 5, np.array([2.0]), 12.0) == (
        np.array([2.0]),
        np.array([3.0]),
    )


def test_nonparametric_is_the_weighted_mean_over_the_other_genes(genes):
    z, gamma, delta = genes
    squares = 11 * delta
    g, d = shrink_nonparametric(gamma, delta, 12, gamma, squares)
    for i in range(0, 60, 11):
        others = np.arange(60) != i
        residuals = ((z[:, [i]] - gamma[others]) ** 2).sum(axis=0)
        likelihood = (2 * np.pi * delta[others]) ** -6.0 * np.exp(-residuals / (2 * delta[others]))
        assert g[i] == pytest.approx(np.average(gamma[others], weights=likelihood), rel=1e-10)
        assert d[i] == pytest.approx(np.average(delta[others], weights=likelihood), rel=1e-10)


def test_nonparametric_does_not_underflow_with_many_samples(genes):
    _, gamma, delta = genes
    g, d = shrink_nonparametric(gamma, delta, 50_000, gamma, 49_999 * delta)
    assert np.isfinite(g).all()
    assert np.isfinite(d).all()
