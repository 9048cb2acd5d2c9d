"""Tests of every gene: the numbers of limma, genefilter and multtest, and hard cases."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy import stats

from geneexpr.stats._contrasts import (
    contrast_matrix,
    group_effects,
    moderated_tests,
    slope_effects,
    two_sided_t,
)
from geneexpr.stats._moments import merge_moments, summarise_batches
from geneexpr.stats._rank_sum import kruskal_wallis, rank_sum_z, rank_sums, two_sided_normal
from geneexpr.stats._variance_prior import trigamma_inverse, variance_prior
from geneexpr.stats._welch import welch_tests


@pytest.fixture
def leukaemia(gold):
    case = gold("limma_ALL_2group")
    codes = (case.table("group.csv").iloc[:, 0] != "NEG").to_numpy().astype(int)
    return case, case.table("X.csv.gz").to_numpy(), codes


class TestModerated:
    @pytest.mark.parametrize(
        ("output", "options"),
        [
            ("topTable", {}),
            ("topTable_trend", {"trend": True}),
            ("topTable_robust", {"robust": True}),
        ],
    )
    def test_numbers_of_limma(self, leukaemia, relative_error, output, options):
        case, X, codes = leukaemia
        effects = group_effects(summarise_batches(X, codes, 2), contrast_matrix(2))
        ours, theirs = moderated_tests(effects, **options), case.out(output)
        assert relative_error(ours.effects[0], theirs["logFC"]) < 1e-10
        assert relative_error(ours.means, theirs["AveExpr"]) < 1e-12
        assert relative_error(ours.statistics[0], theirs["t"]) < 1e-10
        assert relative_error(ours.p_values[0], theirs["P.Value"]) < 1e-10

    def test_a_threshold_is_that_of_treat(self, leukaemia, relative_error):
        case, X, codes = leukaemia
        effects = group_effects(summarise_batches(X, codes, 2), contrast_matrix(2))
        ours, theirs = moderated_tests(effects, threshold=0.3), case.out("topTreat")
        assert relative_error(ours.statistics[0], theirs["t"]) < 1e-10
        assert relative_error(ours.p_values[0], theirs["P.Value"]) < 1e-10
        tiny = moderated_tests(effects, threshold=1e-12)
        np.testing.assert_allclose(tiny.p_values, moderated_tests(effects).p_values, rtol=1e-6)

    def test_two_groups_without_prior_are_those_of_student(self, gold, relative_error):
        case = gold("genefilter_ALL")
        codes = pd.Categorical(case.table("factors.csv")["f2"]).codes.astype(int)
        moments = summarise_batches(case.table("X.csv.gz").to_numpy(), codes, 2)
        effects = group_effects(moments, contrast_matrix(2, reference=1))
        errors = np.sqrt(effects.covariance[0] * effects.variances)
        theirs = case.out("rowttests")
        assert relative_error(effects.values[0], theirs["dm"]) < 1e-10
        assert relative_error((effects.values / errors)[0], theirs["statistic"]) < 1e-10
        p = two_sided_t(effects.values / errors, effects.df)[0]
        assert relative_error(p, theirs["p.value"]) < 1e-10

    def test_prior_of_limma(self, leukaemia, relative_error):
        case, X, codes = leukaemia
        effects = group_effects(summarise_batches(X, codes, 2), contrast_matrix(2))
        prior = variance_prior(effects.variances, effects.df)
        theirs = case.out("ebayes_hyper")["value"]
        assert relative_error(prior.scale, theirs["s2.prior"]) < 1e-12
        assert relative_error(prior.df, theirs["df.prior"]) < 1e-10

    def test_groups_with_covariates_are_least_squares(self):
        rng = np.random.default_rng(0)
        X, codes = rng.normal(size=(20, 30)), np.arange(20) % 3
        beside = rng.normal(size=(20, 2))
        design = np.column_stack([np.eye(3)[codes], beside])
        effects = group_effects(summarise_batches(X, codes, 3, beside), contrast_matrix(3))
        coefficients, squares, *_ = np.linalg.lstsq(design, X)
        np.testing.assert_allclose(effects.values, coefficients[1:3] - coefficients[0], atol=1e-12)
        np.testing.assert_allclose(effects.variances, squares / 15, rtol=1e-12)
        inverse = np.linalg.inv(design.T @ design)
        contrasts = np.hstack([contrast_matrix(3), np.zeros((2, 2))])
        np.testing.assert_allclose(
            effects.covariance[..., 0], contrasts @ inverse @ contrasts.T, rtol=1e-12
        )

    def test_f_of_two_contrasts_without_prior_is_that_of_anova(self, gold, relative_error):
        case = gold("genefilter_ALL")
        codes = pd.Categorical(case.table("factors.csv")["fk"]).codes.astype(int)
        X = case.table("X.csv.gz").to_numpy()
        effects = group_effects(summarise_batches(X, codes, 3), contrast_matrix(3))
        weights = np.linalg.inv(effects.covariance[..., 0])
        f = np.einsum("xg,xy,yg->g", effects.values, weights, effects.values) / 2
        theirs = case.out("rowFtests_eqvar")["statistic"]
        assert relative_error(f / effects.variances, theirs) < 1e-10
        tests = moderated_tests(effects)
        prior = variance_prior(effects.variances, effects.df)
        posterior = prior.squeeze(effects.variances, effects.df)
        np.testing.assert_allclose(tests.overall, f / posterior, rtol=1e-10)

    def test_f_of_one_contrast_is_t_squared(self):
        X, codes = np.random.default_rng(0).normal(size=(12, 40)), np.arange(12) % 2
        moments = summarise_batches(X, codes, 2)
        one = moderated_tests(group_effects(moments, contrast_matrix(2)))
        np.testing.assert_array_equal(one.overall_p, one.p_values[0])

    def test_slope_is_that_of_least_squares(self):
        rng = np.random.default_rng(0)
        X, dose = rng.normal(size=(15, 20)), rng.normal(size=15)
        X[:, 0] += 2 * dose
        moments = summarise_batches(X, np.zeros(15, int), 1, dose[:, None])
        effects = slope_effects(moments)
        byhand = stats.linregress(dose, X[:, 0])
        assert effects.values[0, 0] == pytest.approx(byhand.slope, rel=1e-12)
        error = np.sqrt(effects.covariance[0, 0] * effects.variances)[0]
        assert error == pytest.approx(byhand.stderr, rel=1e-12)

    def test_missing_values_are_left_out_gene_by_gene(self):
        rng = np.random.default_rng(0)
        X, codes = rng.normal(size=(12, 30)), np.arange(12) % 2
        X[3, 0] = np.nan
        X[::2, 1] = np.nan
        effects = group_effects(summarise_batches(X, codes, 2), contrast_matrix(2))
        rows = np.arange(12) != 3
        without = group_effects(summarise_batches(X[rows], codes[rows], 2), contrast_matrix(2))
        assert effects.values[0, 0] == pytest.approx(without.values[0, 0], rel=1e-12)
        assert effects.df[0] == 9
        tests = moderated_tests(effects)
        assert np.isnan(tests.p_values[0, 1])
        assert np.isfinite(np.delete(tests.p_values[0], 1)).all()

    def test_a_constant_gene_has_no_difference(self):
        X = np.random.default_rng(0).normal(size=(10, 20))
        X[:, 0] = 8.3
        tests = moderated_tests(
            group_effects(summarise_batches(X, np.arange(10) % 2, 2), contrast_matrix(2))
        )
        assert tests.p_values[0, 0] == pytest.approx(1)
        assert np.isfinite(tests.p_values).all()

    def test_blocks_of_rows_give_the_same(self):
        X, codes = np.random.default_rng(0).normal(size=(30, 25)), np.arange(30) % 3
        whole = summarise_batches(X, codes, 3)
        parts = merge_moments(
            summarise_batches(X[:11], codes[:11], 3), summarise_batches(X[11:], codes[11:], 3)
        )
        a, b = (moderated_tests(group_effects(m, contrast_matrix(3))) for m in (whole, parts))
        np.testing.assert_allclose(a.overall_p, b.overall_p, rtol=1e-10)

    @pytest.mark.parametrize("x", [1e-3, 0.5, 3.0, 1e4])
    def test_trigamma_inverse(self, x):
        from scipy.special import polygamma

        assert trigamma_inverse(polygamma(1, x)) == pytest.approx(x, rel=1e-8)

    def test_robust_prior_gives_outliers_less_weight(self):
        rng = np.random.default_rng(0)
        X, codes = rng.normal(size=(10, 400)), np.arange(10) % 2
        X[:, 0] *= 30
        moments = summarise_batches(X, codes, 2)
        effects = group_effects(moments, contrast_matrix(2))
        plain, robust = moderated_tests(effects), moderated_tests(effects, robust=True)
        assert robust.std_errors[0, 0] > plain.std_errors[0, 0]
        both = moderated_tests(effects, robust=True, trend=True)
        assert np.isfinite(both.p_values).all()


class TestWelch:
    def test_t_of_multtest(self, gold, relative_error):
        case = gold("multtest_golub")
        codes, theirs = case.table("obs.csv")["cl"].to_numpy(), case.out("stats")
        moments = summarise_batches(case.table("X.csv.gz").to_numpy(float), codes, 2)
        ours = welch_tests(moments, contrast_matrix(2))
        assert relative_error(ours.statistics[0], theirs["welch_t"]) < 1e-10
        assert relative_error(ours.p_values[0], theirs["welch_p"]) < 1e-10

    def test_f_of_genefilter(self, gold, relative_error):
        case = gold("genefilter_ALL")
        codes = pd.Categorical(case.table("factors.csv")["fk"]).codes.astype(int)
        moments = summarise_batches(case.table("X.csv.gz").to_numpy(), codes, 3)
        ours, theirs = welch_tests(moments, contrast_matrix(3)), case.out("rowFtests_welch")
        assert relative_error(ours.overall, theirs["statistic"]) < 1e-10
        assert relative_error(ours.overall_p, theirs["p.value"]) < 1e-10

    def test_pairs_of_three_groups_leave_the_third_out(self):
        X, codes = np.random.default_rng(0).normal(size=(12, 5)), np.arange(12) % 3
        ours = welch_tests(summarise_batches(X, codes, 3), contrast_matrix(3))
        byhand = stats.ttest_ind(X[codes == 2], X[codes == 0], equal_var=False)
        np.testing.assert_allclose(ours.p_values[1], byhand.pvalue, rtol=1e-10)

    def test_groups_without_variance(self):
        X = np.array([[1.0, 2.0], [1.0, 2.0], [3.0, 2.0], [3.0, 2.0], [4.0, 2.0], [4.0, 2.0]])
        codes = np.array([0, 0, 1, 1, 2, 2])
        ours = welch_tests(summarise_batches(X, codes, 3), contrast_matrix(3))
        np.testing.assert_array_equal(ours.p_values, [[0, 1], [0, 1]])
        np.testing.assert_array_equal(ours.overall_p, [0, 1])


class TestRanks:
    def test_p_of_r(self, gold, relative_error):
        """Kruskal and Wallis for two groups is the rank sum test, corrected for ties."""
        case = gold("multtest_golub")
        codes, theirs = case.table("obs.csv")["cl"].to_numpy(), case.out("stats")
        ranked = rank_sums(case.table("X.csv.gz").to_numpy(float), codes, 2)
        z = rank_sum_z(*ranked, np.bincount(codes))[1]
        assert relative_error(two_sided_normal(z), theirs["kruskal_p"]) < 1e-10
        p = kruskal_wallis(*ranked, np.bincount(codes))[1]
        assert relative_error(p, theirs["kruskal_p"]) < 1e-10
        # multtest does not correct for ties, of which these rounded values have a few
        assert relative_error(z, theirs["wilcoxon_std"]) < 1e-4

    def test_sparse_and_dense_and_scipy_agree(self):
        rng = np.random.default_rng(0)
        X = np.where(rng.random((40, 30)) < 0.6, 0, rng.integers(-2, 4, (40, 30))).astype(float)
        X[:, 0] = 0
        codes = np.arange(40) % 3
        sums, ties = rank_sums(X, codes, 3)
        np.testing.assert_array_equal(rank_sums(sp.csc_matrix(X), codes, 3)[0], sums)
        ranks = stats.rankdata(X, axis=0)
        np.testing.assert_allclose(sums, [ranks[codes == g].sum(axis=0) for g in range(3)])
        h, p = kruskal_wallis(sums, ties, np.bincount(codes))
        byhand = stats.kruskal(*(X[codes == g, 1] for g in range(3)))
        assert (h[1], p[1]) == pytest.approx(byhand)
        assert (h[0], p[0]) == (0, 1)
        assert rank_sum_z(sums, ties, np.bincount(codes))[0, 0] == 0
