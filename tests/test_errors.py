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
    FPKMNormalizer,
    LogTransformer,
    LowExpressionFilter,
    ScaleWarning,
    TPMNormalizer,
    VarianceFilter,
    ZeroDepthWarning,
)

COUNTERS = [
    CPMNormalizer(),
    TPMNormalizer(gene_lengths=None),
    FPKMNormalizer(gene_lengths=None),
    LowExpressionFilter(),
]
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

    @counters
    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_non_finite_values_raise(self, estimator, value):
        bad = good.copy()
        bad[3, 2] = value
        with pytest.raises(ValueError, match=r"Input X contains (NaN|infinity)"):
            estimator.fit(bad)
        with pytest.raises(ValueError, match=r"Input X contains (NaN|infinity)"):
            estimator.fit(good).transform(named(bad).X)

    @counters
    def test_fractions_warn(self, estimator):
        message = (
            rf"{type(estimator).__name__} expects counts, but X holds values that are not whole "
            r"numbers \(such as [\d.]+\)\. If these are expected counts \(RSEM, salmon\), this is "
            r"fine; if X is already normalised or logged, it is not\."
        )
        with pytest.warns(ScaleWarning, match=message):
            estimator.fit(good * 1.25 + 0.01)

    @pytest.mark.parametrize("estimator", COUNTERS[:3], ids=lambda e: type(e).__name__)
    def test_a_sample_without_counts_warns(self, estimator):
        bad = good.copy()
        bad[[2, 5]] = 0
        message = (
            rf"2 of 12 samples have no counts at all \(row 2, 5\): {type(estimator).__name__} makes "
            r"them rows of zeros\. Drop them if they are failed libraries\."
        )
        with pytest.warns(ZeroDepthWarning, match=message):
            out = estimator.fit(good).transform(bad)
        assert (out[[2, 5]] == 0).all()


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
