"""VST: DESeq2's dispersions, trend and transformation, frozen for new samples."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import digamma, gammaln

from geneexpr import TrendWarning, VarianceStabilizer
from geneexpr.stats._dispersion import (
    gene_dispersions,
    mean_trend,
    parametric_trend,
    spread_over_means,
    stabilised,
    unstabilised,
)
from geneexpr.stats._dispersion_kernels import (
    STIRLING_FROM,
    arrange,
    likelihood,
    log_gamma_and_slope,
    logarithms,
)

CASES = ["deseq2_pasilla", "deseq2_pickrell"]
few = pytest.mark.filterwarnings("ignore::geneexpr.TrendWarning")


def simulated(n_samples=30, n_genes=400, seed=0):
    rng = np.random.default_rng(seed)
    mean = rng.gamma(1, 200, size=n_genes) + 5
    sizes = rng.uniform(0.5, 2, size=(n_samples, 1))
    dispersion = 0.1 + 3 / mean
    gamma = rng.gamma(1 / dispersion, dispersion, size=(n_samples, n_genes))
    return rng.poisson(mean * sizes * gamma).astype(float)


def likelihood_of(counts, means, log_alpha):
    """Arrange one gene and return its likelihood and slope."""
    n = len(counts)
    ordered, work = np.empty((2, n)), np.empty((2, n))
    low, times = np.empty(n + int(STIRLING_FROM)), np.empty(n + int(STIRLING_FROM))
    n_high, n_low = arrange(counts, means, ordered, low, times)
    gene = (ordered[0], ordered[1], n_high, low[:n_low], times[:n_low])
    return likelihood(gene, log_alpha, work, work.view(np.int64))


@pytest.mark.parametrize("case", CASES)
def test_gene_dispersions_are_deseq2(gold, case):
    """At the lower bound (1e-8) the likelihood is flat to rounding: five genes stop elsewhere."""
    case = gold(case)
    factors = case.out("size_factors")["ratio"].to_numpy()
    means, found = gene_dispersions(case.table("X.csv.gz").to_numpy(dtype=float), factors)
    table = case.out("blind_disp_parametric")
    theirs = table["dispGeneEst"].to_numpy()
    np.testing.assert_allclose(means, table["baseMean"], rtol=1e-12)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(theirs))
    high = theirs > 1e-7
    np.testing.assert_allclose(found[high], theirs[high], rtol=1e-6)
    assert (found[theirs <= 1e-7] <= 1e-7).all()


@pytest.mark.parametrize("case", CASES)
def test_trends_are_deseq2(gold, case):
    case = gold(case)
    table = case.out("blind_disp_parametric")
    means, theirs = table["baseMean"].to_numpy(), table["dispGeneEst"].to_numpy()
    expected = case.out("blind_trend_parametric")["value"]
    found = parametric_trend(means, theirs)
    np.testing.assert_allclose(found, expected[["asymptDisp", "extraPois"]], rtol=1e-12)
    expected = case.out("blind_trend_mean")["value"].iloc[0]
    np.testing.assert_allclose(mean_trend(theirs), expected, rtol=1e-13)


@few
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("fit_type", ["parametric", "mean"])
@pytest.mark.parametrize("container", [np.asarray, sp.csr_matrix])
def test_training_samples_are_deseq2(gold, relative_error, case, fit_type, container):
    case = gold(case)
    X = container(case.table("X.csv.gz").to_numpy(dtype=float))
    out = VarianceStabilizer(fit_type=fit_type, n_sub=None).fit_transform(X)
    assert relative_error(out, case.out(f"vst_blind_{fit_type}")) < 1e-8


@few
@pytest.mark.parametrize("case", CASES)
def test_the_subset_of_genes_is_that_of_vst(gold, relative_error, case):
    case = gold(case)
    out = VarianceStabilizer().fit_transform(case.table("X.csv.gz").astype(float))
    assert relative_error(out, case.out("vst_fast")) < 1e-8


@few
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("fit_type", ["parametric", "mean"])
def test_new_samples_meet_the_frozen_trend(gold, relative_error, case, fit_type):
    case = gold(case)
    X = case.table("X.csv.gz").astype(float)
    train = case.out("frozen_split")["is_train"] == 1
    model = VarianceStabilizer(fit_type=fit_type, n_sub=None).fit(X[train])
    theirs = case.out(f"frozen_vst_test_raw_{fit_type}")
    assert relative_error(model.transform(X[~train]), theirs) < 1e-8
    assert relative_error(model.transform(X[~train].iloc[:1]), theirs.iloc[:1]) < 1e-8
    trend = case.out(f"frozen_trend_{fit_type}")["value"].to_numpy()
    ours = [model.asymptotic_dispersion_, model.extra_poisson_][: len(trend)]
    np.testing.assert_allclose(ours, trend, rtol=1e-8)
    expected = trend[0] + (trend[1] / 50 if len(trend) > 1 else 0)
    np.testing.assert_allclose(model.dispersion_function_([50.0]), [expected], rtol=1e-8)


@given(st.floats(1e-6, 1e9))
def test_log_gamma(x):
    value, slope = log_gamma_and_slope(x)
    np.testing.assert_allclose(value, gammaln(x), rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(slope, digamma(x), rtol=1e-12, atol=1e-12)


@given(st.floats(-8, 2))
def test_likelihood_is_that_of_the_negative_binomial(log_alpha):
    counts = np.array([0.0, 3.0, 20.0, 2.5, 10.0, 9.5, 3.0, 400.0])
    means = np.array([2.0, 4.0, 9.0, 2.0, 30.0, 8.0, 1.0, 350.0])
    size = np.exp(-log_alpha)
    constant = (counts * np.log(means) - gammaln(counts + 1)).sum()

    def full(log_alpha):
        return likelihood_of(counts, means, log_alpha)[0] + constant

    theirs = (  # scipy.stats.nbinom has none of fractional counts
        gammaln(counts + size)
        - gammaln(size)
        - gammaln(counts + 1)
        + size * np.log(size / (size + means))
        + counts * np.log(means / (size + means))
    ).sum()
    theirs -= 0.5 * np.log((means / (1 + means / size)).sum())
    np.testing.assert_allclose(full(log_alpha), theirs, rtol=1e-9)
    slope = (full(log_alpha + 1e-5) - full(log_alpha - 1e-5)) / 2e-5
    np.testing.assert_allclose(likelihood_of(counts, means, log_alpha)[1], slope, atol=1e-5)


def test_dispersions_are_near_the_optimum():
    counts = simulated(n_genes=40)
    means, found = gene_dispersions(counts, np.ones(30))
    for mean, dispersion, gene in zip(means, found, counts.T, strict=True):
        expected = np.full(30, mean)
        best = minimize_scalar(
            lambda a, y=gene, m=expected: -likelihood_of(y, m, a)[0],
            bounds=(-9, 3),
            method="bounded",
        )
        # The search stops when a step gains less than 1e-6 of the likelihood.
        np.testing.assert_allclose(np.log(dispersion), best.x, atol=0.05)


def test_logarithms_are_exact():
    x = np.exp(np.random.default_rng(0).uniform(-300, 300, 5000))
    x[:3] = 1.0, np.nextafter(1, 2), np.sqrt(2)
    expected, found = np.log(x), np.empty_like(x)
    logarithms(x, x.view(np.int64), found)
    np.testing.assert_allclose(found, expected, rtol=1e-15, atol=1e-16)


@given(st.floats(1e-4, 2), st.floats(0, 5))
def test_the_way_back(asymptotic, extra):
    q = np.array([0.0, 0.5, 3.0, 1e3, 1e6])
    values = stabilised(q.copy(), asymptotic, extra)
    assert (np.diff(values) > 0).all()
    np.testing.assert_allclose(unstabilised(values, asymptotic, extra), q, rtol=1e-6, atol=1e-6)


def test_inverse_transform_takes_the_size_factors():
    X = simulated()
    model = VarianceStabilizer().fit(X)
    back = model.inverse_transform(model.transform(X), size_factors=model.size_factors_)
    np.testing.assert_allclose(back, X, rtol=1e-8, atol=1e-6)


def test_the_standard_deviation_is_level():
    X = simulated(n_samples=200)
    out = VarianceStabilizer().fit_transform(X)
    low, high = np.array_split(np.argsort(X.mean(axis=0)), 2)
    assert abs(out[:, low].std(axis=0).mean() / out[:, high].std(axis=0).mean() - 1) < 0.1


def test_genes_are_spread_over_the_ranks_of_their_means():
    means = np.array([9.0, 1.0, 30.0, 7.0, 20.0, 8.0])
    np.testing.assert_array_equal(spread_over_means(means, 3), [0, 2, 3])
    assert spread_over_means(means, 6) is None


class TestWarnings:
    def test_few_samples(self):
        with pytest.warns(TrendWarning, match="dispersion to 9 samples and [34][0-9]{2} genes"):
            VarianceStabilizer().fit(simulated(n_samples=9))

    def test_few_genes(self):
        with pytest.warns(TrendWarning, match="to 30 samples and [45][0-9] genes with a"):
            VarianceStabilizer(fit_type="mean").fit(simulated(n_genes=50))

    @few
    def test_no_trend_falls_back_to_the_mean(self):
        X = np.random.default_rng(0).poisson(20, size=(12, 3)).astype(float)
        X[0] = [1, 90, 0]
        X[:, 1] = 20
        with pytest.warns(TrendWarning, match="found no parametric trend"):
            model = VarianceStabilizer().fit(X)
        assert model.fit_type_ == "mean"
        assert model.extra_poisson_ == 0
        assert np.isfinite(model.transform(X)).all()


class TestErrors:
    def test_options(self):
        with pytest.raises(ValueError, match=r"fit_type must be one of 'parametric', 'mean'; got"):
            VarianceStabilizer(fit_type="local").fit(simulated())
        with pytest.raises(
            ValueError, match=r"n_sub \(where .*\) must be a whole number at least 2; got 1\."
        ):
            VarianceStabilizer(n_sub=1).fit(simulated())

    def test_every_gene_has_a_zero(self):
        X = np.tile(np.array([[0.0, 3.0], [2.0, 0.0]]), 6)
        with pytest.raises(ValueError, match="size_factor_method='poscounts'"):
            VarianceStabilizer().fit(X)

    def test_one_sample(self):
        with pytest.raises(ValueError, match="1 sample"):
            VarianceStabilizer().fit(np.ones((1, 20)))
