"""Every error and warning that the design names, with its words."""

import re

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from geneexpr import (
    BatchWarning,
    ComBatCorrector,
    CPMNormalizer,
    DifferentialExpressionSelector,
    FPKMNormalizer,
    LogTransformer,
    LowExpressionFilter,
    MedianOfRatiosNormalizer,
    QuantileNormalizer,
    ScaleWarning,
    SelectionWarning,
    TMMNormalizer,
    TPMNormalizer,
    UpperQuartileNormalizer,
    VarianceFilter,
    VarianceStabilizer,
    ZeroDepthWarning,
    differential_expression,
)

COUNTERS = [
    CPMNormalizer(),
    TPMNormalizer(gene_lengths=None),
    FPKMNormalizer(gene_lengths=None),
    TMMNormalizer(),
    TMMNormalizer("TMMwsp", reference="pooled", log=True),
    UpperQuartileNormalizer(),
    MedianOfRatiosNormalizer(),
    MedianOfRatiosNormalizer(method="poscounts"),
    VarianceStabilizer(),
    LowExpressionFilter(),
]
NORMALIZERS = COUNTERS[:-1]
few_genes = pytest.mark.filterwarnings("ignore::geneexpr.TrendWarning")
counters = pytest.mark.parametrize("estimator", COUNTERS, ids=lambda e: type(e).__name__)
good = np.random.default_rng(0).poisson(50, (12, 6)).astype(float)
logged = np.log2(good + 1)


def named(X=good, **obs):
    """Put a matrix into an AnnData with these annotations."""
    rows = [f"s{i}" for i in range(len(X))]
    return ad.AnnData(
        X.copy(),
        obs=pd.DataFrame(obs, index=rows),
        var=pd.DataFrame(index=[f"g{i}" for i in range(X.shape[1])]),
    )


class TestCounts:
    @few_genes
    @counters
    @pytest.mark.parametrize("make", [np.asarray, sp.csr_matrix, named])
    def test_negative_values_raise(self, estimator, make):
        bad = good.copy()
        bad[3, 2] = -1.5
        message = (
            rf"Negative values in data passed to {type(estimator).__name__}: counts \(or other "
            r"abundances, not logged\) were expected, got -1\.5 as lowest, first in row 3, column 2\. "
            r"If X is logged or centred, give the counts\."
        )
        with pytest.raises(ValueError, match=message):
            estimator.fit(make(bad))

    @few_genes
    @counters
    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_non_finite_values_raise(self, estimator, value):
        bad = good.copy()
        bad[3, 2] = value
        with pytest.raises(ValueError, match=r"Input X contains (NaN|infinity)"):
            estimator.fit(bad)
        with pytest.raises(ValueError, match=r"Input X contains (NaN|infinity)"):
            estimator.fit(good).transform(named(bad).X)

    @few_genes
    @counters
    def test_fractions_warn(self, estimator):
        message = (
            rf"{type(estimator).__name__} expects counts, but X holds values that are not whole "
            r"numbers \(such as [\d.]+\)\. If these are expected counts \(RSEM, salmon\), this is "
            r"fine; if X is already normalised or logged, it is not\."
        )
        with pytest.warns(ScaleWarning, match=message):
            estimator.fit(good * 1.25 + 0.01)

    @few_genes
    @pytest.mark.parametrize("estimator", NORMALIZERS, ids=lambda e: type(e).__name__)
    def test_a_sample_without_counts_warns(self, estimator):
        bad = good.copy()
        bad[[2, 5]] = 0
        message = (
            rf"2 of 12 samples have no counts at all \(row 2, 5\): to {type(estimator).__name__} "
            r"they are rows of zeros\. Drop them if they are failed libraries\."
        )
        with pytest.warns(ZeroDepthWarning, match=message):
            out = estimator.fit(good).transform(bad)
        assert np.isfinite(out).all()
        assert (out[[2, 5]] == out[2, 0]).all()
        if not (getattr(estimator, "log", False) or isinstance(estimator, VarianceStabilizer)):
            assert (out[2] == 0).all()

    @few_genes
    @pytest.mark.parametrize("estimator", NORMALIZERS, ids=lambda e: type(e).__name__)
    @pytest.mark.parametrize("value", [0, 7])
    def test_constant_genes_stay_finite(self, estimator, value):
        flat = good.copy()
        flat[:, 1:4] = value
        assert np.isfinite(estimator.fit(flat).transform(flat)).all()
        assert np.isfinite(estimator.transform(flat[:1] * 0 + 1)).all()

    @few_genes
    @counters
    def test_what_anndata_says_is_logged_warns(self, estimator):
        logged_before = named()
        logged_before.uns["log1p"] = {"base": None}
        message = (
            rf"{type(estimator).__name__} expects values that are not logged, but uns\['log1p'\] "
            r"says that X is\. Give the counts, or delete uns\['log1p'\] if it does not speak of X\."
        )
        with pytest.warns(ScaleWarning, match=message):
            estimator.fit(logged_before)

    @pytest.mark.parametrize("make", [MedianOfRatiosNormalizer, VarianceStabilizer])
    def test_no_gene_without_a_zero(self, make):
        sparse = np.tile(good, 2) * (1 - np.eye(12))
        option = "method" if make is MedianOfRatiosNormalizer else "size_factor_method"
        message = (
            rf"^{make.__name__} cannot compute geometric means: each of 12 genes has a zero in at "
            r"least one sample, as is usual in sparse data \(single cells\)\. Fit with "
            rf"{option}='poscounts', which needs one count in a gene only\.$"
        )
        with pytest.raises(ValueError, match=message):
            make().fit(sparse)
        assert np.isfinite(MedianOfRatiosNormalizer(method="poscounts").fit_transform(sparse)).all()


LOG_METHODS = ["moderated_t", "welch_t", "wilcoxon"]
of_logs = pytest.mark.parametrize("method", LOG_METHODS)
halves = np.arange(12) % 2


class TestTestsOfGenes:
    @of_logs
    def test_counts_warn(self, method):
        message = (
            rf"expects expression on a log scale, but X holds whole numbers up to {good.max():g}\. "
            r"Normalise and log first \(CPMNormalizer\(log=True\), VarianceStabilizer; "
            r"LogTransformer for intensities\), or choose a method for counts \(method='voom'\)\.$"
        )
        for X in (good, sp.csr_matrix(good), named()):
            with pytest.warns(ScaleWarning, match=f"^DifferentialExpressionSelector {message}"):
                DifferentialExpressionSelector(method, n_genes=2).fit(X, halves)
            with pytest.warns(ScaleWarning, match=f"^differential_expression {message}"):
                differential_expression(X, halves, method=method)

    @of_logs
    def test_other_linear_scales_warn_and_logs_do_not(self, method):
        with pytest.warns(ScaleWarning, match="X holds values up to 1"):
            differential_expression(good * 1.5 + 0.1, halves, method=method)
        with pytest.warns(ScaleWarning, match="X holds whole numbers up to 21"):
            differential_expression(np.minimum(good, 21), halves, method=method)
        for fine in (logged, logged - logged.mean(axis=0), np.round(logged), good > 50):
            differential_expression(fine, halves, method=method)

    def test_logs_given_to_voom_warn(self):
        message = (
            r"^differential_expression expects counts, but X holds values that are not whole "
            r"numbers \(such as [\d.]+\)\. If these are expected counts \(RSEM, salmon\), this is "
            r"fine; if X is already normalised or logged, it is not\.$"
        )
        with pytest.warns(ScaleWarning, match=message):
            differential_expression(logged, halves, method="voom")
        with pytest.raises(ValueError, match="passed to differential_expression: counts"):
            differential_expression(logged - 7, halves, method="voom")

    def test_counts_in_a_layer_of_logged_data_are_fine(self):
        adata = named(logged)
        adata.uns["log1p"] = {"base": 2}
        adata.layers["counts"] = good
        table = differential_expression(adata, halves, method="voom", layer="counts")
        np.testing.assert_array_equal(
            table["p_value"], differential_expression(good, halves, method="voom")["p_value"]
        )

    @pytest.mark.parametrize("method", ["welch_t", "wilcoxon"])
    def test_a_group_of_one(self, method):
        message = (
            rf"^{method} needs two samples in every group, the level\(s\) 1 have 1 sample; use "
            r"method='moderated_t', or drop them\.$"
        )
        one = (np.arange(12) == 3).astype(int)
        with pytest.raises(ValueError, match=message):
            differential_expression(logged, one, method=method)
        assert differential_expression(logged, one)["p_value"].between(0, 1).all()

    def test_groups_of_one_each(self):
        message = (
            r"^2 sample\(s\) for 2 columns of the design leave no residual degree of freedom: at "
            r"least one group needs replicates\.$"
        )
        with pytest.raises(ValueError, match=message):
            differential_expression(logged[:2], ["a", "b"])

    @pytest.mark.parametrize("method", [*LOG_METHODS, "voom"])
    def test_constant_genes_are_no_evidence(self, method):
        X = (good if method == "voom" else logged).copy()
        X[:, 1] = 0
        if method == "voom":  # zeros in libraries of other depths are no constant
            X[:, 0] += X.sum(axis=1).max() - X.sum(axis=1)
        row = differential_expression(X, halves, method=method).loc[1]
        assert row["p_value"] == pytest.approx(1, abs=1e-6)
        assert row["log2_fold_change"] == pytest.approx(0, abs=1e-9)

    @pytest.mark.parametrize("method", LOG_METHODS[:2])
    def test_a_gene_that_cannot_be_tested_is_missing_throughout(self, method):
        X = logged.copy()
        X[:, 1] = np.nan
        X[::2, 2] = np.nan
        X[0, 3] = np.nan
        table = differential_expression(X, halves, method=method)
        undefined = ["log2_fold_change", "std_error", "statistic", "p_value", "p_adjusted"]
        assert table.loc[[1, 2], undefined].isna().all(axis=None)
        assert table.loc[[0, 3, 4, 5]].notna().all(axis=None)
        kept = DifferentialExpressionSelector(method, n_genes=6).fit(X, halves).support_
        assert kept.tolist() == [True, False, False, True, True, True]

    @pytest.mark.parametrize("method", ["wilcoxon", "voom"])
    def test_missing_values_where_no_method_takes_them(self, method):
        X = (good if method == "voom" else logged).copy()
        X[3, 2] = np.nan
        with pytest.raises(ValueError, match="Input X contains NaN"):
            differential_expression(X, halves, method=method)


class TestMissingValues:
    def test_of_microarrays_go_through_quantiles_and_filters(self):
        X = logged.copy()
        X[1, 3], X[:, 5] = np.nan, np.nan
        out = QuantileNormalizer().fit_transform(X)
        np.testing.assert_array_equal(np.isnan(out), np.isnan(X))
        kept = VarianceFilter(n_genes=5).fit(X).support_
        assert kept.tolist() == [True] * 5 + [False]
        row = X[:1].copy()
        row[:] = np.nan
        assert np.isnan(QuantileNormalizer().fit(X).transform(row)).all()

    def test_nothing_left_warns(self):
        with pytest.warns(SelectionWarning, match="VarianceFilter keeps none of 6 genes"):
            VarianceFilter(threshold=1e9).fit(logged)


class TestGenes:
    def test_duplicates(self):
        adata = named()
        adata.var_names = ["a", "a", "b", "b", "c", "d"]
        message = (
            r"Gene names must be unique, got 'a', 'b' more than once\. Sum or rename them first "
            r"\(AnnData\.var_names_make_unique\(\) renames\)\."
        )
        with pytest.raises(ValueError, match=message):
            VarianceFilter().fit(adata)

    def test_missing(self):
        message = (
            r"The feature names should match those that were passed during fit\.\n"
            r"Feature names seen at fit time, yet now missing:\n- g0\n- g1\n"
            r"Genes are never matched by position\. GeneAligner brings new data to the genes seen "
            r"in fit, by name and in order\."
        )
        with pytest.raises(ValueError, match=message):
            VarianceFilter().fit(named()).transform(named()[:, 2:])

    def test_other_order(self):
        message = r"Feature names must be in the same order as they were in fit\.\nGenes are never matched"
        with pytest.raises(ValueError, match=message):
            VarianceFilter().fit(named()).transform(named()[:, ::-1])

    def test_a_transposed_array(self):
        model = VarianceFilter().fit(good)
        message = (
            r"X has 12 features, but VarianceFilter is expecting 6 features as input\. Samples are "
            r"rows and genes are columns: X of shape \(6, 12\) may be transposed\."
        )
        with pytest.raises(ValueError, match=message):
            model.transform(good.T)
        with pytest.raises(ValueError, match=r"expecting 6 features as input\.$"):
            model.transform(good[:, :4])

    def test_names_on_one_side_only_warn_as_in_scikit_learn(self):
        with pytest.warns(
            UserWarning, match="X does not have valid feature names, but VarianceFilter"
        ):
            VarianceFilter().fit(named()).transform(good)
        with pytest.warns(UserWarning, match="X has feature names, but VarianceFilter was fitted"):
            VarianceFilter().fit(good).transform(named())


class TestBatches:
    lab = np.array(["a", "b", "c"] * 4)

    def test_missing_labels(self):
        lab = self.lab.astype(object)
        lab[[1, 4]] = None
        message = (
            r"The annotation 'lab' is missing for 2 of 12 samples: 's1', 's4'\. Fill it in or drop "
            r"these samples\."
        )
        with pytest.raises(ValueError, match=message):
            ComBatCorrector(batch_key="lab").fit(named(logged, lab=lab))

    def test_no_labels_correct_nothing(self):
        with pytest.warns(BatchWarning):
            out = ComBatCorrector().fit(logged).transform(logged)
        np.testing.assert_allclose(out, logged, rtol=1e-12)

    def test_confounded_design(self):
        adata = named(logged, lab=self.lab, drug=np.where(self.lab == "a", "x", "y"))
        with pytest.raises(ValueError, match=r"(?i)confounded"):
            ComBatCorrector(batch_key="lab", covariate_keys=("drug",)).fit(adata)

    def test_unseen_batch(self):
        model = ComBatCorrector(batch_key="lab").fit(named(logged, lab=self.lab))
        new = named(logged, lab=np.array(["a", "z"] * 6))
        with pytest.raises(ValueError, match=r"'z'.*unseen_batch"):
            model.transform(new)

    def test_estimating_takes_ten_rows(self):
        model = ComBatCorrector(batch_key="lab", unseen_batch="estimate")
        model.fit(named(logged, lab=self.lab))
        with pytest.raises(ValueError, match=r"10"):
            model.transform(named(logged[:9], lab=np.array(["z"] * 9)))

    def test_linear_scale_warns(self):
        with pytest.warns(ScaleWarning, match=r"(?i)log"):
            ComBatCorrector(batch_key="lab").fit(named(good, lab=self.lab))

    def test_too_few_rows(self):
        with pytest.raises(ValueError, match=re.escape("1 sample")):
            VarianceFilter().fit(good[:1])


def test_what_is_no_matrix():
    with pytest.raises(ValueError, match="Expected 2D array, got 1D array instead"):
        LogTransformer().fit(good[0])
    with pytest.raises(ValueError, match="could not convert string to float"):
        LogTransformer().fit(np.array([["a", "b"]]))
    with pytest.raises(
        ValueError, match="layer='counts' was given, but layers exist only in AnnData"
    ):
        VarianceFilter(layer="counts").fit(good)
