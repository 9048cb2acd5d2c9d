"""Wald's test of counts: DESeq2's numbers, outliers and filter, on every container."""

import warnings

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy import optimize, stats

from geneexpr import (
    DifferentialExpressionSelector,
    GeneExpressionWarning,
    TrendWarning,
    differential_expression,
)
from geneexpr.stats._negative_binomial import (
    CountModel,
    as_rows,
    design_dispersions,
    fit_rows,
)
from geneexpr.stats._negative_binomial_prior import dispersion_prior
from geneexpr.stats._wald import filtered_adjustment, robust_dispersions, wald_fit, wald_tests

CASES = {
    "deseq2_pasilla": ("condition", "untreated", "type"),
    "deseq2_pickrell": ("gender", "female", None),
}
CYCLING = ["FBgn0051002", "FBgn0051248", "FBgn0053469"]
"""Genes whose reweighted least squares cycle. R then gives them to a general optimiser that stops
where the likelihood changes by 1e-8; ours goes on to the optimum, so these agree to fewer digits."""


class Case:
    """A reference case, and our fit of it."""

    def __init__(self, case, condition, reference, batch):
        self.out = case.out
        self.X, self.obs = case.table("X.csv.gz").astype(float), case.table("obs.csv")
        self.levels = (self.obs[condition] != reference).to_numpy().astype(int)
        columns = [np.ones(len(self.X)), self.levels]
        if batch is not None:
            columns.insert(1, self.obs[batch] != self.obs[batch].min())
        factors = case.out("size_factors")
        factors = factors.set_index("sample") if "sample" in factors else factors
        self.model = CountModel(factors["ratio"], np.column_stack(columns))
        self.alone = design_dispersions(self.X.to_numpy(), self.model)
        self.prior = dispersion_prior(self.alone.means, self.alone.values, self.model.df)
        self.fit = wald_fit(self.X.to_numpy(), self.alone, self.model, self.prior, self.levels)
        self.contrast = np.eye(len(columns))[-1:]


@pytest.fixture(params=CASES)
def case(request, gold):
    return Case(gold(request.param), *CASES[request.param])


def apart(ours, theirs, floor=1e-4):
    """Return the relative difference of every gene, in parts of at least ``floor``."""
    ours, theirs = np.asarray(ours), theirs.to_numpy()
    np.testing.assert_array_equal(np.isnan(ours), np.isnan(theirs))
    return np.nan_to_num(np.abs(ours - theirs) / np.maximum(np.abs(theirs), floor))


def some_counts(n_samples=12, n_genes=300, seed=0, changed=30):
    rng = np.random.default_rng(seed)
    mean = rng.gamma(1, 150, n_genes) + 5
    group = np.arange(n_samples) % 2
    mean = mean * np.where((np.arange(n_genes) < changed) & (group == 1)[:, None], 4.0, 1.0)
    size = 1 / (0.05 + 2 / mean.mean(axis=0) * rng.gamma(3, 1 / 3, n_genes))
    return rng.negative_binomial(size, size / (size + mean)).astype(float), group


class TestReference:
    def test_dispersions_and_their_prior(self, case):
        theirs, trend = case.out("de_dispersions"), case.out("de_trend")
        trend = (trend.set_index("name") if "name" in trend else trend)["value"]
        kept = ~case.fit.replaced
        # R keeps replaced counts in its table; those genes are in the tests below.
        close = apart(case.alone.values[kept], theirs["dispGeneEst"][kept]) <= 1e-6
        assert close.mean() > 0.999
        assert apart(case.fit.dispersions, theirs["dispersion"]).max() < 2e-6
        for ours, name in {
            case.prior.asymptotic: "asymptDisp",
            case.prior.extra: "extraPois",
            case.prior.spread: "varLogDispEsts",
            case.prior.variance: "dispPriorVar",
        }.items():
            assert ours == pytest.approx(trend[name], rel=1e-8), name

    def test_coefficients(self, case):
        theirs = case.out("de_coef")
        well = ~theirs.index.isin(CYCLING)
        for ours, name in zip(case.fit.coefficients.T, theirs, strict=True):
            assert apart(ours / np.log(2), theirs[name])[well].max() < 1e-6
            assert apart(ours / np.log(2), theirs[name]).max() < 1e-2

    @pytest.mark.parametrize(
        ("name", "options"),
        [
            ("wald_results_nofilter", {"flag_outliers": False}),
            ("wald_results", {}),
            ("wald_results_lfcthreshold", {"lfc_threshold": 0.5}),
        ],
    )
    def test_table(self, case, name, options):
        tests, theirs = wald_tests(case.fit, case.contrast, **options), case.out(name)
        well = ~theirs.index.isin(CYCLING)
        for ours, column in [
            (tests.means, "baseMean"),
            (tests.effects[0], "log2FoldChange"),
            (tests.std_errors[0], "lfcSE"),
            (tests.statistics[0], "stat"),
            (tests.p_values[0], "pvalue"),
        ]:
            error = apart(ours, theirs[column])
            # The line search for the dispersion of FBgn0036967 stops elsewhere, by 2e-6 of it.
            assert (error[well] > 1e-6).sum() <= 1, column
            assert error[well].max() < 2e-6, column
            assert (error <= 1e-3).mean() > 0.9997, column

    @pytest.mark.parametrize("name", CASES)
    @pytest.mark.parametrize("filtered", [True, False])
    def test_adjusted_p_values_of_a_sparse_layer(self, gold, name, filtered):
        reference, (condition, baseline, batch) = gold(name), CASES[name]
        X, obs = reference.table("X.csv.gz").astype(float), reference.table("obs.csv")
        adata = ad.AnnData(np.zeros(X.shape), obs=obs, var=pd.DataFrame(index=X.columns))
        adata.layers["counts"] = sp.csr_matrix(X.to_numpy())
        options = {"batch_key": batch, "layer": "counts", "cooks_cutoff": filtered}
        options["independent_filtering"] = filtered
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", GeneExpressionWarning)
            table = differential_expression(
                adata, condition, method="wald", reference=baseline, **options
            )
        theirs = reference.out("wald_results" if filtered else "wald_results_nofilter")
        assert apart(table["p_adjusted"], theirs["padj"]).max() < 3e-6
        selector = DifferentialExpressionSelector("wald", alpha=0.1, **options)
        kept = selector.fit(adata, obs[condition]).get_feature_names_out()
        assert list(kept) == list(theirs.index[theirs["padj"] <= 0.1])

    def test_outliers_are_replaced_or_flagged(self, gold):
        case = Case(gold("deseq2_pickrell"), *CASES["deseq2_pickrell"])
        assert (case.fit.replaced.sum(), case.fit.outlying.sum()) == (14, 6)
        message = r"6 of 2000 genes have a count that lies too far from its replicates: their "
        with pytest.warns(GeneExpressionWarning, match=message):
            table = differential_expression(case.X, case.obs["gender"], method="wald")
        flagged = table["p_value"].isna() & table["statistic"].notna()
        np.testing.assert_array_equal(flagged, case.fit.outlying)

    def test_a_cycling_gene_reaches_the_optimum(self, gold):
        case = Case(gold("deseq2_pasilla"), *CASES["deseq2_pasilla"])
        at = list(case.X.columns).index(CYCLING[1])
        y, alpha = case.X.to_numpy()[:, at], case.fit.dispersions[at]
        ridge = 1e-6 / np.log(2) ** 2

        def loss(b):
            mean = case.model.factors * np.exp(case.model.columns @ b)
            likely = stats.nbinom.logpmf(y, 1 / alpha, 1 / (1 + alpha * mean)).sum()
            return ridge / 2 * b @ b - likely

        ours = case.fit.coefficients[at]
        best = optimize.minimize(loss, ours, method="Nelder-Mead", options={"xatol": 1e-9})
        assert loss(ours) <= best.fun + 1e-9
        assert loss(case.out("de_coef").to_numpy()[at] * np.log(2)) > loss(ours)


class TestByHand:
    def test_two_groups_of_equal_depth(self):
        X, group = some_counts()
        options = {"library_size": np.full(12, 3e6), "cooks_cutoff": False}
        table = differential_expression(X, group, method="wald", **options)
        means = np.array([X[group == level].mean(axis=0) for level in (0, 1)])
        np.testing.assert_allclose(table["mean_expression"], X.mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(
            table["log2_fold_change"], np.log2(means[1] / means[0]), rtol=1e-5, atol=1e-5
        )
        model = CountModel(np.ones(12), np.column_stack([np.ones(12), group]))
        alone = design_dispersions(X, model)
        fit = fit_rows(
            as_rows(X, slice(None)),
            alone,
            model,
            dispersion_prior(alone.means, alone.values, 10),
        )
        variance = sum((1 / mean + fit.dispersions) / 6 for mean in means)
        np.testing.assert_allclose(table["std_error"], np.sqrt(variance) / np.log(2), rtol=1e-4)
        np.testing.assert_allclose(
            table["p_value"], 2 * stats.norm.sf(np.abs(table["statistic"])), rtol=1e-10
        )

    def test_finds_the_genes_that_change(self):
        X, group = some_counts()
        table = differential_expression(X, group, method="wald")
        found = np.flatnonzero(table["p_adjusted"] < 0.1)
        assert set(range(25)) <= set(found[:30]) | set(range(25, 30))
        assert (found >= 30).sum() <= 0.3 * len(found)
        selector = DifferentialExpressionSelector("wald", n_genes=20).fit(X, group)
        assert selector.support_[:30].sum() == 20

    def test_three_levels(self):
        X, _ = some_counts(15)
        level = np.array(["a", "b", "c"])[np.arange(15) % 3]
        X[:, 0], X[level == "c", 0] = 0, 40
        table = differential_expression(X, level, method="wald", reference="b")
        blocks = dict(list(table.groupby("contrast")))
        assert list(blocks) == ["a - b", "c - b"]
        empty = blocks["a - b"].iloc[0]
        assert (empty["log2_fold_change"], empty["statistic"], empty["p_value"]) == (0, 0, 1)
        assert blocks["c - b"].iloc[0]["p_value"] < 0.1
        first = DifferentialExpressionSelector("wald").fit(X, level)
        other = DifferentialExpressionSelector("wald").fit(X, np.char.replace(level, "a", "z"))
        # The chi-square of all contrasts together knows no reference.
        np.testing.assert_allclose(first.statistics_[1:], other.statistics_[1:], rtol=1e-3)

    def test_a_slope_beside_batches(self):
        rng = np.random.default_rng(0)
        dose, batch = rng.uniform(0, 3, 24), np.arange(24) % 2
        X, _ = some_counts(24, changed=0)
        X *= 1 + batch[:, None]
        X[:, 0] = rng.poisson(30 * 2**dose)
        selector = DifferentialExpressionSelector("wald", n_genes=1).fit(X, dose, batch=batch)
        assert np.flatnonzero(selector.support_).tolist() == [0]
        assert selector.log2_fold_changes_[0, 0] == pytest.approx(1, abs=0.1)

    def test_trimmed_variances_of_outliers(self):
        model = CountModel(np.ones(4), np.ones((4, 1)))
        # Trimmed to its middle values: mean 11, squares 1, 1; 1.86 makes up for it.
        assert robust_dispersions(np.array([[10.0, 12.0, 10.0, 1000.0]]), model) == [0.04]
        wide = robust_dispersions(np.array([[0.0, 20.0, 40.0, 60.0]]), model)
        assert wide[0] == pytest.approx((1.86 * 500 - 30) / 900)


class TestPrior:
    @pytest.mark.parametrize(("df", "variance"), [(2, 1.0), (3, 2.0), (10, 1.0)])
    def test_few_degrees_of_freedom(self, df, variance):
        rng = np.random.default_rng(0)
        n = 20_000
        true = 0.2 * np.exp(rng.normal(0, np.sqrt(variance), n))
        prior = dispersion_prior(np.full(n, 1e9), true * rng.chisquare(df, n) / df, df)
        assert prior.variance == pytest.approx(variance, rel=0.25)

    def test_no_trend(self):
        X, group = some_counts(n_genes=12)
        with pytest.warns(TrendWarning, match="found no parametric trend of the dispersion"):
            differential_expression(np.maximum(X, 1) * 0 + 7 + group[:, None], group, method="wald")


class TestFilter:
    def test_few_rejections_mean_no_filter(self):
        p, means = np.linspace(0.001, 1, 50), np.arange(50.0) + 1
        np.testing.assert_allclose(filtered_adjustment(p, means), stats.false_discovery_control(p))

    def test_low_means_are_left_out_where_it_pays(self):
        rng = np.random.default_rng(0)
        means = rng.uniform(0, 100, 2000)
        p = np.where(means > 60, rng.beta(0.2, 2, 2000), rng.uniform(size=2000))
        adjusted = filtered_adjustment(p, means)
        low = np.isnan(adjusted)
        assert 0.3 < low.mean() < 0.65
        assert means[low].max() < means[~low].min()
        np.testing.assert_allclose(adjusted[~low], stats.false_discovery_control(p[~low]))


class TestErrors:
    X, group = some_counts(8, 30)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"adjust": "max_t"}, "adjust='max_t' would fit every gene again for each permutation"),
            ({"alpha": 1.5}, r"alpha must be a number above 0 and below 1; got 1\.5"),
            (
                {"lfc_threshold": -1},
                "lfc_threshold must be a number at least 0 and below inf; got -1",
            ),
            ({"reference": "rest"}, "reference='rest' is for 'welch_t' and 'wilcoxon'"),
            (
                {"library_size": [0] + [1] * 7},
                r"library_size must be .* for 1 of 8 samples \(row 0",
            ),
        ],
    )
    def test_options(self, options, message):
        with pytest.raises(ValueError, match=message):
            differential_expression(self.X, self.group, method="wald", **options)

    def test_counts(self):
        with pytest.raises(ValueError, match="Negative values in data passed to differential"):
            differential_expression(self.X - 9, self.group, method="wald")
        sparse = self.X.copy()
        sparse[np.arange(30) % 8, np.arange(30)] = 0
        message = "each of 30 genes has a zero in at least one sample, as is usual in sparse data"
        with pytest.raises(ValueError, match=message):
            differential_expression(sp.csr_matrix(sparse), self.group, method="wald")
        empty = self.X.copy()
        empty[2, :5] = 0
        message = r"1 of 8 samples have no counts at all \(row 2\), which method='wald' cannot take"
        for X in (empty[:, :5], empty * (np.arange(30) < 5)):
            with pytest.raises(ValueError, match=message):
                differential_expression(X, self.group, method="wald")
