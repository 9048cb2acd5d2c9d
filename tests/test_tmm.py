"""TMM, TMMwsp and upper quartile: edgeR's factors, frozen for new samples."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from geneexpr import (
    CPMNormalizer,
    ScaleWarning,
    TMMNormalizer,
    UpperQuartileNormalizer,
    ZeroDepthWarning,
    norm_factors,
)
from geneexpr.stats._size_factors import tmm_factors, tmmwsp_factors

cases = pytest.mark.parametrize("case", ["edger_pasilla", "edger_pickrell"])
OPTIONS = {
    "lr0.2_sum0.1": {"logratio_trim": 0.2, "sum_trim": 0.1},
    "lr0.4_sum0": {"logratio_trim": 0.4, "sum_trim": 0},
    "lr0.1_sum0.02": {"logratio_trim": 0.1, "sum_trim": 0.02},
    "noweight": {"weighting": False},
    "Acutoff-16": {"a_cutoff": -16},
}


@pytest.fixture
def opened(gold):
    def load(case):
        case = gold(case)
        return case.table("X.csv.gz").astype(float), case.out("norm_factors"), case

    return load


@cases
class TestAgainstEdgeR:
    @pytest.mark.parametrize("method", ["TMM", "TMMwsp"])
    def test_factors(self, opened, relative_error, case, method):
        X, expected, _ = opened(case)
        assert relative_error(norm_factors(X, method), expected[method]) < 1e-14
        sparse = sp.csr_matrix(X.to_numpy())
        assert relative_error(norm_factors(sparse, method), expected[method]) < 1e-14

    @pytest.mark.parametrize("method", ["TMM", "TMMwsp"])
    def test_options(self, opened, relative_error, case, method):
        X, expected, _ = opened(case)
        tried = 0
        for said, options in OPTIONS.items():
            if f"{method}_{said}" in expected:
                ours = norm_factors(X, method, **options)
                assert relative_error(ours, expected[f"{method}_{said}"]) < 1e-14, said
                tried += 1
        assert tried >= 2

    def test_a_given_reference(self, opened, relative_error, case):
        X, expected, _ = opened(case)
        column = next(c for c in expected if c.startswith("TMM_ref"))
        reference = X.iloc[int(column.removeprefix("TMM_ref")) - 1]
        ours = norm_factors(X, reference=reference.sample(frac=1, random_state=0))
        assert relative_error(ours, expected[column]) < 1e-14

    def test_upper_quartile(self, opened, relative_error, case):
        X, expected, _ = opened(case)
        for column in [c for c in expected if c.startswith("upperquartile") and "lib" not in c]:
            quantile = float(column.partition("_p")[2] or 0.75)
            model = UpperQuartileNormalizer(quantile).fit(X)
            assert relative_error(model.norm_factors_, expected[column]) < 1e-14

    def test_values(self, opened, relative_error, case):
        X, _, case = opened(case)
        assert relative_error(TMMNormalizer().fit_transform(X), case.out("cpm_tmm")) < 1e-14
        for name in [n for n in case.outputs if n.startswith("logcpm_tmm_prior")]:
            prior = float(name.removeprefix("logcpm_tmm_prior"))
            ours = TMMNormalizer(log=True, prior_count=prior).fit_transform(X)
            assert relative_error(ours, case.out(name)) < 1e-10

    def test_values_by_length(self, opened, relative_error, case):
        """edgeR's rpkm is its cpm a kilobase, logarithms included."""
        X, _, case = opened(case)
        kilobases = case.table("var.csv")["length"] / 1000
        ours = TMMNormalizer().fit_transform(X) / kilobases
        assert relative_error(ours, case.out("rpkm_tmm")) < 1e-12
        call = case.outputs["logrpkm_tmm"]["call"]
        prior = float(call.partition("prior.count=")[2].rstrip(")"))
        logged = TMMNormalizer(log=True, prior_count=prior).fit_transform(X)
        assert relative_error(logged - np.log2(kilobases), case.out("logrpkm_tmm")) < 1e-10

    def test_the_reference_is_that_of_edger(self, opened, case):
        X, _, case = opened(case)
        chosen = case.out("ref_columns")["value"]
        for method in ("TMM", "TMMwsp"):
            row = X.iloc[int(chosen[f"{method}_ref_1based"]) - 1]
            np.testing.assert_array_equal(TMMNormalizer(method).fit(X).reference_counts_, row)

    def test_fit_on_some_then_new_samples(self, opened, relative_error, case):
        """edgeR's own per-sample function against the frozen training reference."""
        X, _, case = opened(case)
        frozen = case.out("tmm_frozen")
        train = frozen.index[frozen["is_train"] == 1]
        model = TMMNormalizer().fit(X.loc[train])
        ours = model.norm_factors(X.loc[frozen.index])
        assert relative_error(ours, frozen["factor_scaled_by_train"]) < 1e-14
        one = model.transform(X.loc[frozen.index[-1:]])
        depth = X.loc[frozen.index[-1]].sum() * frozen["factor_scaled_by_train"].iloc[-1]
        np.testing.assert_allclose(one.iloc[0], X.loc[frozen.index[-1]] / depth * 1e6, rtol=1e-12)


counts_of = arrays(np.float64, (6, 30), elements=st.integers(0, 50))


@given(counts_of, st.sampled_from(["TMM", "TMMwsp"]))
@pytest.mark.filterwarnings("ignore::geneexpr.ZeroDepthWarning")
def test_factors_multiply_to_one_and_ignore_depth(counts, method):
    counts[:, 0] += 1
    model = TMMNormalizer(method).fit(counts)
    np.testing.assert_allclose(model.norm_factors_.prod(), 1, rtol=1e-9)
    np.testing.assert_array_equal(model.norm_factors(counts), model.norm_factors_)
    factors = tmm_factors if method == "TMM" else tmmwsp_factors
    assert factors(counts[:1], counts[0]) == 1


def test_a_new_sample_with_other_zeros():
    """Where genes are dropped anew in each call, this raised or misaligned them."""
    rng = np.random.default_rng(0)
    X = rng.poisson(rng.gamma(1, 30, 200), (10, 200)).astype(float)
    X[:, :20] = 0
    model = TMMNormalizer().fit(X)
    new = rng.poisson(20, (3, 200)).astype(float)
    new[:, 50:70] = 0
    out = model.transform(new)
    np.testing.assert_array_equal(model.transform(new[[1]]), out[[1]])
    assert np.isfinite(out).all()


def test_upper_quartile_of_one_row_alone():
    """Centred anew in each call, a row alone differed by up to 15 % from the same among four."""
    X = np.random.default_rng(0).poisson(50, (8, 100)).astype(float)
    model = UpperQuartileNormalizer().fit(X[:4])
    np.testing.assert_array_equal(model.transform(X[[5]]), model.transform(X)[[5]])


def test_pooled_keeps_nobodys_profile():
    X = np.random.default_rng(0).poisson(50, (8, 100)).astype(float)
    model = TMMNormalizer(reference="pooled").fit(X)
    np.testing.assert_allclose(model.reference_counts_, X.mean(axis=0))
    assert not (model.reference_counts_ == X).all(axis=1).any()
    kept = TMMNormalizer().fit(X).reference_counts_
    assert (kept == X).all(axis=1).sum() == 1


def test_log_cpm_freezes_the_mean_library_size():
    X = np.random.default_rng(0).poisson(20, (6, 40)).astype(float)
    model = CPMNormalizer(log=True).fit(X)
    new = np.full((1, 40), 3.0)
    size, mean = 120.0, model.mean_library_size_
    prior = 2 * size / mean
    np.testing.assert_allclose(
        model.transform(new), np.log2((3 + prior) / (size + 2 * prior) * 1e6), rtol=1e-14
    )
    np.testing.assert_allclose(
        model.inverse_transform(model.transform(X), library_size=X.sum(axis=1)), X, atol=1e-10
    )


def test_an_empty_sample_has_the_value_of_a_zero():
    X = np.random.default_rng(0).poisson(20, (6, 40)).astype(float)
    X[2, 7] = 0
    model = TMMNormalizer(log=True).fit(X)
    with pytest.warns(ZeroDepthWarning):
        empty = model.transform(np.zeros((1, 40)))
    np.testing.assert_allclose(empty, model.transform(X)[2, 7], rtol=1e-12)


def test_errors():
    X = pd.DataFrame(np.random.default_rng(0).poisson(20, (6, 4)) * 1.0, columns=list("ABCD"))
    with pytest.raises(ValueError, match=r"method must be one of 'TMM', 'TMMwsp'; got 'RLE'"):
        TMMNormalizer("RLE").fit(X)
    with pytest.raises(
        ValueError, match=r"logratio_trim must be a number at least 0 and below 0\.5; got 0\.5"
    ):
        TMMNormalizer(logratio_trim=0.5).fit(X)
    with pytest.raises(ValueError, match=r"missing or negative for 2 of 4 genes"):
        TMMNormalizer(reference=pd.Series({"A": 5, "C": 1})).fit(X)
    with pytest.raises(ValueError, match="reference is a Series by gene, but X has no gene names"):
        TMMNormalizer(reference=pd.Series({"A": 5})).fit(X.to_numpy())
    with pytest.raises(ValueError, match="quantile must be a number above 0 and below 1; got 75"):
        UpperQuartileNormalizer(75).fit(X)
    with pytest.raises(ValueError, match="prior_count must be a number above 0"):
        CPMNormalizer(log=True, prior_count=0).fit(X)
    with pytest.raises(ValueError, match="log needs counts to learn from"):
        CPMNormalizer(log=True).fit(X * 0)
    with pytest.warns(
        ScaleWarning, match=r"0\.75 quantile of the counts is zero in 1 of 2 samples \(row 1"
    ):
        UpperQuartileNormalizer().fit(np.array([[1.0, 2, 3, 4, 5], [0, 0, 0, 0, 9]]))
