"""voom: the weights, the trend and the table of limma, in blocks and sparse as well."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy import stats

from geneexpr import DifferentialExpressionSelector, differential_expression
from geneexpr.stats._lowess import lowess
from geneexpr.stats._variance_prior import variance_prior
from geneexpr.stats._voom import (
    cross_products,
    log_cpm,
    mean_variance_trend,
    squared_residuals,
    weighted_effects,
    weighted_products,
)


@pytest.fixture
def pasilla(gold):
    case = gold("voom_pasilla")
    return case, case.table("X.csv.gz").astype(float), case.table("design.csv").to_numpy(float)


@pytest.mark.parametrize("normalised", [True, False])
def test_values_and_weights_of_limma(pasilla, relative_error, normalised):
    case, X, design = pasilla
    X, name = X.to_numpy(), "" if normalised else "plain_"
    sizes = case.out("tmm")["eff_lib"].to_numpy() if normalised else X.sum(axis=1)
    products = cross_products(sp.csr_matrix(X), sizes, design)
    fit = np.linalg.solve(design.T @ design, products[:-2])
    variances = squared_residuals(X, sizes, design, fit) / 4
    trend = mean_variance_trend(variances, products[-2] / 7, products[-1], sizes)
    weights = trend.weights(design @ fit + np.log2(sizes + 1)[:, None] - np.log2(1e6))
    assert relative_error(log_cpm(X, sizes), case.out(f"voom_{name}E")) < 1e-10
    assert relative_error(weights, case.out(f"voom_{name}weights")) < 1e-10
    if normalised:
        assert relative_error(trend.roots, case.out("voom_trend")["lowess"]) < 1e-10
        assert relative_error(trend.sizes, case.out("voom_trend")["sx_sorted"]) < 1e-10


def test_prior_of_limma(pasilla, relative_error):
    case, X, design = pasilla
    sizes = case.out("tmm")["eff_lib"].to_numpy()
    matrix = X.to_numpy()
    products = cross_products(matrix, sizes, design)
    fit = np.linalg.solve(design.T @ design, products[:-2])
    variances = squared_residuals(matrix, sizes, design, fit) / 4
    trend = mean_variance_trend(variances, products[-2] / 7, products[-1], sizes)
    weighted = weighted_products(matrix, sizes, design, fit, trend)
    effects = weighted_effects(weighted, fit, np.eye(3)[2:], 7, products[-2] / 7)
    prior = variance_prior(effects.variances, effects.df)
    theirs = case.out("voom_ebayes")["value"]
    assert relative_error(prior.scale, theirs["s2.prior"]) < 1e-8
    assert relative_error(prior.df, theirs["df.prior"]) < 1e-8


def test_table_of_limma(pasilla, relative_error):
    case, X, _ = pasilla
    obs, theirs = case.table("obs.csv"), case.out("voom_topTable")
    obs["depth"] = case.out("tmm")["eff_lib"]
    adata = ad.AnnData(X, obs=obs)
    options = {"method": "voom", "reference": "untreated", "batch_key": "type"}
    table = differential_expression(adata, "condition", library_size="depth", **options)
    for ours, column in {
        "log2_fold_change": "logFC",
        "mean_expression": "AveExpr",
        "statistic": "t",
        "p_value": "P.Value",
        "p_adjusted": "adj.P.Val",
    }.items():
        assert relative_error(table[ours], theirs[column]) < 1e-8, ours


def test_selects_what_the_table_shows(pasilla):
    case, X, _ = pasilla
    obs = case.table("obs.csv")
    adata = ad.AnnData(sp.csr_matrix(X.to_numpy()), obs=obs, var=pd.DataFrame(index=X.columns))
    selector = DifferentialExpressionSelector("voom", alpha=0.05, batch_key="type")
    kept = selector.fit(adata, obs["condition"]).transform(adata)
    table = differential_expression(adata, "condition", method="voom", batch_key="type")
    assert list(kept.var_names) == list(table.index[table["p_adjusted"] <= 0.05])
    assert 100 < kept.n_vars < 1000
    assert kept.X.max() == adata[:, kept.var_names].X.max(), "the counts stay as they are"


def test_a_slope_on_counts():
    rng = np.random.default_rng(0)
    dose = rng.uniform(0, 3, 30)
    X = rng.poisson(50, (30, 200)).astype(float)
    X[:, 0] = rng.poisson(20 * 2**dose)
    selector = DifferentialExpressionSelector("voom", n_genes=1).fit(X, dose)
    assert np.flatnonzero(selector.support_).tolist() == [0]
    assert selector.log2_fold_changes_[0, 0] == pytest.approx(1, abs=0.1)


def test_a_sample_without_counts():
    X = np.random.default_rng(0).poisson(9, (8, 20)).astype(float)
    X[3] = 0
    with pytest.raises(ValueError, match=r"1 of 8 samples have no counts .* \(row 3\), .*: drop"):
        differential_expression(X, np.arange(8) % 2, method="voom")
    with pytest.raises(ValueError, match="Negative values in data"):
        differential_expression(X - 5, np.arange(8) % 2, method="voom")


@pytest.mark.parametrize("size", [0, -1, np.inf, "many"])
def test_library_sizes_that_are_none(size):
    X = np.random.default_rng(0).poisson(9, (8, 20)).astype(float)
    sizes = np.array([180.0] * 8, dtype=object)
    sizes[5] = size
    for method in ("voom", "wald"):
        with pytest.raises(ValueError, match=r"positive .*; it is not for 1 of 8 samples \(row 5"):
            differential_expression(X, np.arange(8) % 2, method=method, library_size=sizes)


def test_lowess_follows_a_line_through_an_outlier():
    x = np.sort(np.random.default_rng(0).uniform(0, 1, 300))
    y = 3 * x + np.random.default_rng(1).normal(0, 0.01, 300)
    y[150] += 40
    line = stats.linregress(np.delete(x, 150), np.delete(y, 150))
    np.testing.assert_allclose(lowess(x, y), line.intercept + line.slope * x, atol=0.01)
    assert lowess(np.array([1.0]), np.array([2.0])) == [2.0]
