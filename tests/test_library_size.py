"""CPM, TPM, FPKM and logarithms: R's numbers, toys by hand, and what they may not do."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from geneexpr import (
    CPMNormalizer,
    FPKMNormalizer,
    LogTransformer,
    ScaleWarning,
    TPMNormalizer,
    ZeroDepthWarning,
)

counts_of = arrays(np.float64, (5, 4), elements=st.integers(0, 10_000))
lengths_of = arrays(np.float64, 4, elements=st.integers(1, 100_000))


@pytest.mark.parametrize("case", ["edger_pasilla", "edger_pickrell"])
def test_cpm_is_edger(gold, relative_error, case):
    case = gold(case)
    X = case.table("X.csv.gz").astype(float)
    assert relative_error(CPMNormalizer().fit_transform(X), case.out("cpm_plain")) < 1e-14


@pytest.mark.parametrize(
    ("cls", "name"),
    [(TPMNormalizer, "tpm"), (FPKMNormalizer, "fpkm"), (FPKMNormalizer, "rpkm_edgeR")],
)
def test_tpm_and_fpkm_are_r(gold, relative_error, cls, name):
    case = gold("tpm_pickrell")
    X = case.table("X.csv.gz").astype(float)
    lengths = case.table("var.csv")["length"].sample(frac=1, random_state=0)
    out = cls(gene_lengths=lengths).fit_transform(X)
    assert relative_error(out, case.out(name)) < 1e-12


def test_fit_on_some_transform_others_is_r_on_all(gold, relative_error):
    """Nothing of a sample's value depends on the others, so R's numbers hold for new ones."""
    case = gold("tpm_pickrell")
    X = case.table("X.csv.gz").astype(float)
    lengths = case.table("var.csv")["length"]
    model = TPMNormalizer(gene_lengths=lengths).fit(X.iloc[:8])
    assert relative_error(model.transform(X.iloc[8:]), case.out("tpm").iloc[8:]) < 1e-12
    logged = LogTransformer().fit_transform(model.transform(X))
    assert relative_error(logged, case.out("log2_tpm_plus1")) < 1e-12


def test_tpm_by_hand():
    counts = np.array([[10.0, 10.0, 0.0], [0.0, 5.0, 5.0]])
    # per base: 10/1000, 10/500, 0 -> shares 1/3, 2/3, 0; and 0, 5/500, 5/250 -> 0, 1/3, 2/3
    out = TPMNormalizer(np.array([1000.0, 500.0, 250.0])).fit_transform(counts)
    np.testing.assert_allclose(out, np.array([[1, 2, 0], [0, 1, 2]]) * 1e6 / 3, rtol=1e-15)


@given(counts_of, lengths_of)
@pytest.mark.filterwarnings("ignore::geneexpr.ZeroDepthWarning")
def test_tpm_sums_to_a_million_and_ignores_depth(counts, lengths):
    counts = np.vstack([counts, np.full(4, 7.0)])
    tpm = TPMNormalizer(lengths).fit_transform(counts)
    sums = tpm.sum(axis=1)
    np.testing.assert_allclose(sums, np.where(counts.sum(axis=1) > 0, 1e6, 0), rtol=1e-12)
    np.testing.assert_allclose(TPMNormalizer(lengths).fit_transform(counts * 3), tpm, rtol=1e-12)


@given(counts_of, lengths_of)
@pytest.mark.filterwarnings("ignore::geneexpr.ZeroDepthWarning")
def test_the_way_back(counts, lengths):
    depth = counts.sum(axis=1)
    for model in (CPMNormalizer(), TPMNormalizer(lengths), FPKMNormalizer(lengths)):
        scaled = model.fit_transform(counts)
        np.testing.assert_allclose(
            model.inverse_transform(scaled, library_size=depth), counts, rtol=1e-9, atol=1e-9
        )
        sparse = model.inverse_transform(sp.csr_matrix(scaled), library_size=depth)
        np.testing.assert_allclose(sparse.toarray(), counts, rtol=1e-9, atol=1e-9)


def test_the_way_back_without_depth_takes_the_median_of_training():
    model = CPMNormalizer().fit(np.array([[1.0, 9.0], [10.0, 20.0], [50.0, 50.0]]))
    assert model.median_library_size_ == 30
    np.testing.assert_allclose(model.inverse_transform(np.array([[5e5, 5e5]])), [[15, 15]])
    with pytest.raises(ValueError, match=r"one number or one a sample \(1\); got shape \(2,\)"):
        model.inverse_transform(np.array([[5e5, 5e5]]), library_size=[1, 2])


def test_none_says_equal_lengths():
    counts = np.array([[1.0, 3.0], [2.0, 2.0]])
    np.testing.assert_array_equal(
        TPMNormalizer(gene_lengths=None).fit_transform(counts),
        CPMNormalizer().fit_transform(counts),
    )


def test_a_sample_without_counts_is_a_row_of_zeros():
    counts = np.array([[0.0, 0.0], [1.0, 3.0]])
    model = CPMNormalizer().fit(counts)
    for X in (counts, sp.csr_matrix(counts)):
        with pytest.warns(
            ZeroDepthWarning, match=r"1 of 2 samples have no counts at all \(row 0\)"
        ):
            out = model.transform(X)
        np.testing.assert_array_equal(
            out.toarray() if sp.issparse(out) else out, [[0, 0], [250000, 750000]]
        )


def test_sparse_output_shares_nothing_with_its_input():
    X = sp.csr_matrix(np.array([[1.0, 0.0, 3.0], [0.0, 2.0, 2.0]]))
    out = CPMNormalizer().fit_transform(X)
    out.data[:] = 0
    out.eliminate_zeros()
    np.testing.assert_array_equal(X.toarray(), [[1, 0, 3], [0, 2, 2]])


def test_csr_with_duplicate_entries_is_summed_first():
    X = sp.csr_matrix(
        (np.array([1.0, 2.0, 1.0]), np.array([0, 0, 1]), np.array([0, 3])), shape=(1, 2)
    )
    np.testing.assert_array_equal(LogTransformer().fit_transform(X).toarray(), [[2, 1]])
    assert X.nnz == 3


class TestGeneLengths:
    counts = pd.DataFrame([[1.0, 2.0, 3.0]], columns=["A", "B", "C"])

    def test_by_name_in_any_order_with_others(self):
        series = pd.Series({"C": 30.0, "X": 5.0, "A": 10.0, "B": 20.0})
        model = TPMNormalizer(gene_lengths=series).fit(self.counts)
        np.testing.assert_array_equal(model.gene_lengths_, [10, 20, 30])
        np.testing.assert_array_equal(
            TPMNormalizer(gene_lengths=series.to_dict()).fit(self.counts).gene_lengths_,
            [10, 20, 30],
        )

    def test_missing_genes_are_named(self):
        with pytest.raises(
            ValueError,
            match=r"gene_lengths must be positive numbers; missing or not positive for 2 of 3 "
            r"genes: 'B', 'C'\. Drop these genes by name, or complete the values\.",
        ):
            TPMNormalizer(gene_lengths={"A": 10, "C": 0}).fit(self.counts)

    def test_positions_are_refused_where_there_are_names(self):
        with pytest.raises(
            ValueError, match="gene_lengths must be taken by name, since X has gene"
        ):
            TPMNormalizer(gene_lengths=[1, 2, 3]).fit(self.counts)

    def test_names_are_refused_where_there_are_none(self):
        with pytest.raises(ValueError, match="gene_lengths are indexed by gene, but X has no gene"):
            TPMNormalizer(gene_lengths={"A": 10}).fit(self.counts.to_numpy())

    def test_a_column_of_var_needs_anndata(self):
        with pytest.raises(ValueError, match=r"The annotation 'length' of the genes was asked for"):
            TPMNormalizer().fit(self.counts)
        adata = ad.AnnData(
            self.counts.to_numpy(), var=pd.DataFrame({"size": [1, 2, 3]}, list("ABC"))
        )
        with pytest.raises(ValueError, match=r"There is no annotation 'length' .* var has 'size'"):
            TPMNormalizer().fit(adata)

    def test_a_gene_named_twice(self):
        twice = pd.Series([1.0, 2.0, 3.0], index=["A", "A", "B"])
        with pytest.raises(ValueError, match="gene_lengths name 'A' more than once"):
            TPMNormalizer(gene_lengths=twice).fit(self.counts)


class TestScale:
    def test_fractions_warn(self):
        with pytest.warns(
            ScaleWarning, match=r"CPMNormalizer expects counts, but X holds values that"
        ):
            CPMNormalizer().fit(np.array([[1.5, 2.0]]))

    def test_negatives_raise_and_say_where(self):
        with pytest.raises(ValueError, match=r"got -3 as lowest, first in row 1, column 0"):
            CPMNormalizer().fit(np.array([[1.0, 2.0], [-3.0, 0.0]]))
        with pytest.raises(ValueError, match=r"got -3 as lowest, first in row 1, column 0"):
            CPMNormalizer().fit(sp.csr_matrix(np.array([[1.0, 2.0], [-3.0, 0.0]])))

    def test_what_is_logged_is_not_counted(self):
        adata = ad.AnnData(np.array([[1.0, 2.0]]), var=pd.DataFrame(index=["A", "B"]))
        logged = LogTransformer().fit_transform(adata)
        assert logged.uns["log1p"] == {"base": 2}
        assert "log1p" not in adata.uns
        with pytest.warns(ScaleWarning, match=r"uns\['log1p'\] says that X is"):
            LogTransformer().fit(logged)
        whole = LogTransformer().fit_transform(ad.AnnData(np.array([[1.0, 3.0]])))
        with pytest.warns(ScaleWarning, match=r"CPMNormalizer expects values that are not logged"):
            CPMNormalizer().fit(whole)
        assert "log1p" not in LogTransformer().fit(adata).inverse_transform(logged).uns


class TestLog:
    @given(arrays(np.float64, (3, 4), elements=st.floats(0, 1e9)), st.sampled_from([2, 10, "e"]))
    def test_there_and_back(self, X, base):
        model = LogTransformer(base=base, pseudocount=0.5)
        np.testing.assert_allclose(
            model.inverse_transform(model.fit_transform(X)), X, rtol=1e-9, atol=1e-9
        )

    def test_small_values_keep_their_digits(self):
        np.testing.assert_allclose(
            LogTransformer("e").fit_transform(np.array([[1e-20, 1e-5]])),
            [[1e-20, 9.99995e-6]],
            rtol=1e-6,
        )

    def test_negative_values_need_a_floor(self):
        X = np.array([[-40.0, 64.0]])
        with pytest.raises(ValueError, match=r"got -40 as lowest.*give a floor"):
            LogTransformer().fit(X)
        np.testing.assert_array_equal(
            LogTransformer(pseudocount=0, floor=16).fit_transform(X), [[4, 6]]
        )

    def test_options_are_checked(self):
        X = np.array([[0.0, 1.0]])
        with pytest.raises(ValueError, match=r"base must be one of 2, 10, 'e'; got 3\."):
            LogTransformer(base=3).fit(X)
        with pytest.raises(ValueError, match=r"floor \+ pseudocount must be positive"):
            LogTransformer(floor=-1, pseudocount=1).fit(X)
        with pytest.raises(ValueError, match=r"pseudocount=0 gives zeros no logarithm"):
            LogTransformer(pseudocount=0).fit(X)

    def test_sparse_stays_sparse_where_zeros_stay_zeros(self):
        X = sp.csr_matrix(np.array([[0.0, 3.0]]))
        assert sp.issparse(LogTransformer().fit_transform(X))
        np.testing.assert_array_equal(
            LogTransformer(pseudocount=2).fit_transform(X), [[1, np.log2(5)]]
        )
