"""Median of ratios: DESeq2's size factors, frozen for new samples."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from geneexpr import (
    MedianOfRatiosNormalizer,
    TrendWarning,
    VarianceStabilizer,
    ZeroDepthWarning,
)
from geneexpr.stats._median_of_ratios import log_count_sums, median_ratios

counts_of = arrays(np.float64, (5, 6), elements=st.integers(0, 10_000))
CASES = ["deseq2_pasilla", "deseq2_pickrell"]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("method", ["ratio", "poscounts"])
@pytest.mark.parametrize("container", [np.asarray, sp.csr_matrix])
def test_size_factors_are_deseq2(gold, relative_error, case, method, container):
    case = gold(case)
    X = case.table("X.csv.gz").to_numpy(dtype=float)
    model = MedianOfRatiosNormalizer(method=method).fit(container(X))
    factors = case.out("size_factors")[method]
    assert relative_error(model.size_factors_, factors) < 1e-12
    means = case.out("log_geomeans")[f"log_geomean_{method}"].to_numpy()
    used = np.isfinite(means)
    np.testing.assert_array_equal(np.isfinite(model.log_geometric_means_), used)
    np.testing.assert_allclose(
        model.log_geometric_means_[used], means[used], rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize("case", CASES)
def test_control_genes_by_name(gold, relative_error, case):
    case = gold(case)
    X = case.table("X.csv.gz").astype(float)
    expected = case.out("size_factors")["ratio_control_every3rd"]
    named = MedianOfRatiosNormalizer(control_genes=list(X.columns[::3])).fit(X)
    assert relative_error(named.size_factors_, expected) < 1e-12
    placed = MedianOfRatiosNormalizer(control_genes=np.arange(0, X.shape[1], 3))
    assert relative_error(placed.fit(X.to_numpy()).size_factors_, expected) < 1e-12


@pytest.mark.parametrize("case", CASES)
def test_new_samples_meet_the_frozen_means_and_are_not_centred_again(gold, relative_error, case):
    case = gold(case)
    X = case.table("X.csv.gz").astype(float)
    expected = case.out("frozen_size_factors")
    train = expected["is_train"] == 1
    model = MedianOfRatiosNormalizer().fit(X[train])
    assert relative_error(model.size_factors_, expected["sf_train"][train]) < 1e-12
    theirs = case.out("frozen_geomeans").iloc[:, 0]
    assert relative_error(np.exp(model.log_geometric_means_), theirs) < 1e-12
    raw = expected["sf_test_raw"][~train]
    assert relative_error(model.size_factors(X[~train]), raw) < 1e-12
    scaled = X[~train].div(raw, axis=0)
    assert relative_error(model.transform(X[~train]), scaled) < 1e-12
    one = model.transform(X[~train].iloc[:1])
    assert relative_error(one, scaled.iloc[:1]) < 1e-12


def test_zeros_of_a_new_sample_do_not_enter_its_median():
    """A median over the zeros too would halve the factor, or make it 0."""
    model = MedianOfRatiosNormalizer().fit(np.full((3, 7), 10.0))
    shallow = np.array([[0.0, 0.0, 2.0, 3.0, 4.0, 0.0, 0.0]])
    np.testing.assert_allclose(model.size_factors(shallow), [0.3], rtol=1e-14)
    np.testing.assert_allclose(model.size_factors(sp.csr_matrix(shallow)), [0.3], rtol=1e-14)


@given(counts_of)
@pytest.mark.filterwarnings("ignore::geneexpr.ZeroDepthWarning")
def test_depth_cancels_and_the_way_back(counts):
    counts = np.vstack([counts, np.full(6, 7.0)])
    model = MedianOfRatiosNormalizer(method="poscounts").fit(counts)
    scaled = model.transform(counts)
    np.testing.assert_allclose(model.transform(counts * 3), scaled, rtol=1e-12)
    back = model.inverse_transform(scaled, size_factors=model.size_factors_)
    np.testing.assert_allclose(back, counts, rtol=1e-12)
    sparse = model.fit_transform(sp.csr_matrix(counts))
    assert sp.issparse(sparse)
    np.testing.assert_allclose(sparse.toarray(), scaled, rtol=1e-12)


@given(counts_of)
def test_summaries_of_blocks_add_up(counts):
    whole = log_count_sums(counts)
    parts = log_count_sums(counts[:2]) + log_count_sums(sp.csr_matrix(counts[2:]))
    np.testing.assert_allclose(parts, whole, rtol=1e-12)


def test_an_explicit_zero_is_a_zero():
    X = sp.csr_matrix((np.array([0.0, 4.0]), np.array([0, 1]), np.array([0, 2])), shape=(1, 2))
    np.testing.assert_array_equal(log_count_sums(X), [[0, np.log(4)], [0, 1], [1, 1]])
    np.testing.assert_allclose(median_ratios(X, np.zeros(2)), [4], rtol=1e-14)


class TestErrors:
    counts = np.array([[0.0, 3.0], [2.0, 0.0]])

    def test_every_gene_has_a_zero(self):
        wide = np.tile(self.counts, 6)
        with pytest.raises(ValueError, match=r"each of 12 genes has a zero.*method='poscounts'"):
            MedianOfRatiosNormalizer().fit(wide)
        model = MedianOfRatiosNormalizer(method="poscounts").fit(wide)
        assert np.isfinite(model.size_factors_).all()

    def test_a_small_panel_goes_on_with_poscounts(self):
        with pytest.warns(TrendWarning, match="each of 2 genes has a zero in at least"):
            model = MedianOfRatiosNormalizer().fit(self.counts)
        assert model.method_ == "poscounts"
        np.testing.assert_allclose(model.size_factors_, np.sqrt([3, 2]), rtol=1e-14)

    def test_a_training_sample_without_counts_is_what_is_wrong(self):
        X = np.full((4, 20), 5.0)
        X[2] = 0
        message = r"1 of 4 samples have no counts at all \(row 2\), so none of 20 genes"
        with pytest.raises(ValueError, match=message):
            MedianOfRatiosNormalizer().fit(X)
        with pytest.raises(ValueError, match=r"or fit with size_factor_method='poscounts'"):
            VarianceStabilizer().fit(X)

    def test_nothing_counted(self):
        with pytest.raises(ValueError, match="none of 3 genes has a count in any sample"):
            MedianOfRatiosNormalizer(method="poscounts").fit(np.zeros((2, 3)))

    def test_a_sample_without_counts(self):
        model = MedianOfRatiosNormalizer(method="poscounts").fit(self.counts)
        with pytest.warns(ZeroDepthWarning, match=r"1 of 2 samples have no counts at all \(row 1"):
            out = model.transform(np.array([[1.0, 2.0], [0.0, 0.0]]))
        np.testing.assert_array_equal(out[1], [0, 0])

    def test_a_sample_outside_the_reference(self):
        model = MedianOfRatiosNormalizer().fit(np.array([[1.0, 0.0], [1.0, 3.0]]))
        with pytest.raises(
            ValueError, match=r"no size factor for 1 of 2 samples \(row 1\).*any of the 1 genes"
        ):
            model.transform(np.array([[1.0, 2.0], [0.0, 5.0]]))

    def test_options(self):
        with pytest.raises(ValueError, match=r"method must be one of 'ratio', 'poscounts'; got"):
            MedianOfRatiosNormalizer(method="mean").fit(np.ones((2, 2)))
        frame = pd.DataFrame(np.ones((2, 2)), columns=["A", "B"])
        with pytest.raises(ValueError, match="control_genes are not among the genes of X: 'C'"):
            MedianOfRatiosNormalizer(control_genes=["A", "C"]).fit(frame)
        with pytest.raises(ValueError, match="control_genes are names, but X has no gene names"):
            MedianOfRatiosNormalizer(control_genes=["A"]).fit(np.ones((2, 2)))
        model = MedianOfRatiosNormalizer().fit(frame)
        with pytest.raises(ValueError, match=r"size_factors must be one number or one a sample"):
            model.inverse_transform(frame, size_factors=[1, 2, 3])
        with pytest.raises(ValueError, match="size_factors must be finite and positive"):
            model.inverse_transform(frame, size_factors=0)
