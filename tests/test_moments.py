"""Moments by batch: against NumPy, merged in any way, dense and sparse."""

from functools import reduce
from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse as sp

from geneexpr.stats import estimable_genes, merge_moments, regress_on_batches, summarise_batches
from geneexpr.stats._moments import _TILE_ROWS

N, G, B = 150, 40, 4


@pytest.fixture(params=[False, True], ids=["complete", "missing"])
def cohort(request):
    rng = np.random.default_rng(0)
    X = rng.poisson(0.8, (N, G)) * rng.normal(3, 1, (N, G))
    if request.param:
        X[rng.random(X.shape) < 0.05] = np.nan
    return X, rng.integers(0, B, N), rng.normal(size=(N, 2))


def expected(X, codes, covariates):
    """All moments of one batch after another, written as their definitions."""
    out = {}
    for batch in range(B):
        x, c = X[codes == batch], covariates[codes == batch]
        there = ~np.isnan(x)
        n = there.sum(axis=0)
        dx = np.where(there, x - np.nanmean(x, axis=0), 0)
        c_mean = np.where(there[..., None], c[:, None], 0).sum(axis=0) / n[:, None]
        dc = np.where(there[..., None], c[:, None] - c_mean, 0)
        for name, value in {
            "counts": n,
            "means": np.nanmean(x, axis=0),
            "squares": (dx**2).sum(axis=0),
            "minima": np.nanmin(x, axis=0),
            "maxima": np.nanmax(x, axis=0),
            "covariate_means": c_mean.T,
            "covariate_squares": np.einsum("ngp,ngq->pqg", dc, dc),
            "products": np.einsum("ngp,ng->pg", dc, dx),
        }.items():
            out.setdefault(name, []).append(value)
    return {name: np.array(value) for name, value in out.items()}


def assert_moments(moments, theirs):
    for name, value in theirs.items():
        ours = np.broadcast_to(getattr(moments, name), value.shape)
        np.testing.assert_allclose(ours, value, rtol=1e-12, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("kind", [np.asarray, sp.csr_matrix, sp.csc_array])
def test_moments_are_those_of_their_definition(cohort, kind):
    X, codes, covariates = cohort
    moments = summarise_batches(kind(X), codes, B, covariates)
    assert_moments(moments, expected(X, codes, covariates))
    assert moments.n_rows.tolist() == np.bincount(codes, minlength=B).tolist()
    assert moments.has_missing == bool(np.isnan(X).any())


@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array])
def test_merging_blocks_of_any_size_gives_the_moments_of_all_rows(cohort, kind):
    X, codes, covariates = cohort
    edges = [0, 1, 1, 12, 70, N]
    parts = [
        summarise_batches(kind(X[a:b]), codes[a:b], B, covariates[a:b]) for a, b in pairwise(edges)
    ]
    assert_moments(reduce(merge_moments, parts), expected(X, codes, covariates))
    right = reduce(lambda a, b: merge_moments(b, a), reversed(parts))
    assert_moments(right, expected(X, codes, covariates))


def test_a_batch_longer_than_a_tile_is_exact():
    X = np.random.default_rng(0).normal(1e6, 1, (3 * _TILE_ROWS + 7, 3))
    moments = summarise_batches(X, np.zeros(len(X), int), 1)
    exact = X.astype(np.longdouble)
    np.testing.assert_allclose(moments.means[0], exact.mean(axis=0).astype(float), rtol=1e-15)
    squares = ((exact - exact.mean(axis=0)) ** 2).sum(axis=0).astype(float)
    np.testing.assert_allclose(moments.squares[0], squares, rtol=1e-10)


def test_constant_is_where_minimum_and_maximum_agree_not_where_variance_is_small():
    X = np.full((7, 1), 8.3)
    moments = summarise_batches(X, np.zeros(7, int), 1)
    assert X.var(ddof=1) != 0
    assert moments.minima[0, 0] == moments.maxima[0, 0] == 8.3


def test_float32_is_summed_in_float64():
    X = np.random.default_rng(0).normal(size=(500, 5)).astype(np.float32)
    moments = summarise_batches(X, np.zeros(500, int), 1)
    np.testing.assert_allclose(moments.means[0], X.astype(float).mean(axis=0), rtol=1e-13)


def test_negative_codes_are_left_out():
    X = np.array([[1.0], [100.0], [3.0]])
    assert summarise_batches(X, [0, -1, 0], 1).means.tolist() == [[2.0]]


def test_a_gene_missing_from_a_batch_has_no_count_there():
    X = np.array([[np.nan, 1.0], [np.nan, 2.0], [5.0, 4.0], [6.0, 3.0]])
    for matrix in (X, sp.csr_array(X)):
        moments = summarise_batches(matrix, [0, 0, 1, 1], 2)
        assert moments.counts.tolist() == [[0, 2], [2, 2]]
        assert estimable_genes(moments).tolist() == [False, True]


def test_extremes_of_a_sparse_gene_count_the_zeros_that_are_not_stored():
    X = sp.csr_array(np.array([[2.0, 0.0, -1.0], [3.0, 0.0, 0.0]]))
    moments = summarise_batches(X, [0, 0], 1)
    assert moments.minima.tolist() == [[2, 0, -1]]
    assert moments.maxima.tolist() == [[3, 0, 0]]


def test_row_sums_are_the_smallest_and_the_largest():
    X = np.array([[1.0, 2.0], [5.0, 5.0], [0.5, 0.0]])
    for matrix in (X, sp.csr_array(X)):
        assert summarise_batches(matrix, [0, 1, 0], 2).row_sums.tolist() == [0.5, 10.0]


def test_regression_is_least_squares_over_the_samples_there_are(cohort):
    X, codes, covariates = cohort
    fit = regress_on_batches(summarise_batches(X, codes, B, covariates))
    design = np.hstack([np.eye(B)[codes], covariates])
    for gene in range(0, G, 7):
        there = ~np.isnan(X[:, gene])
        beta = np.linalg.lstsq(design[there], X[there, gene])[0]
        np.testing.assert_allclose(fit.intercepts[:, gene], beta[:B], rtol=1e-9)
        np.testing.assert_allclose(fit.coefficients[:, gene], beta[B:], rtol=1e-9)
        residuals = X[there, gene] - design[there] @ beta
        squares = np.bincount(codes[there], residuals**2, minlength=B)
        np.testing.assert_allclose(fit.residual_squares[:, gene], squares, rtol=1e-9)
