"""Data whose batches were corrected are marked, and no p-value is taken from them unwarned."""

import pickle
import warnings

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline

import geneexpr.io
from geneexpr import (
    BatchWarning,
    ComBatCorrector,
    DifferentialExpressionSelector,
    GeneAligner,
    LinearBatchCorrector,
    LogTransformer,
    MeanCenterCorrector,
    RatioCorrector,
    SurrogateVariableCorrector,
    ToArray,
    VarianceFilter,
    differential_expression,
)

REASON = (
    r"a test of corrected data takes the estimated batch effects for known ones, and its p-values "
    r"are too small where batch and condition are linked \(measured: 11 % false positives at 5 %\)"
)
REFUSED = (
    rf"^DifferentialExpressionSelector\(alpha=0\.05\) got data that ComBatCorrector has corrected: "
    rf"{REASON}\. Put this step before the corrector, with the batch in the design of its test "
    r"\(batch_key=\), or choose a number of genes \(n_genes=\) in place of alpha\.$"
)
WARNED = (
    rf"^differential_expression got data that ComBatCorrector has corrected: {REASON}\. Test the "
    r"data as they were before, with the batch in the design \(batch_key=\)\.$"
)
y = np.array(["case", "control"])[np.arange(60) % 2]
combat = ComBatCorrector(batch_key="lab")
by_alpha = DifferentialExpressionSelector(alpha=0.05)


def cohort(kind="anndata", effect=2.0):
    rng = np.random.default_rng(0)
    lab = np.array(["a", "b", "c"])[np.arange(60) % 3]
    X = rng.normal(6, 1, (60, 40)) + (lab == "b")[:, None]
    X[y == "case", :5] += effect
    names = [f"s{i}" for i in range(60)]
    genes = [f"g{i}" for i in range(40)]
    obs = pd.DataFrame({"lab": lab, "drug": y}, index=names)
    if kind == "anndata":
        return ad.AnnData(X, obs=obs, var=pd.DataFrame(index=genes))
    index = pd.MultiIndex.from_arrays([names, lab, y], names=["sample", "lab", "drug"])
    return pd.DataFrame(X, index=index, columns=genes)


both = pytest.mark.parametrize("kind", ["anndata", "frame"])


@both
def test_selection_by_alpha_is_refused(kind):
    X = cohort(kind)
    corrected = combat.fit_transform(X, y)
    with pytest.raises(ValueError, match=REFUSED):
        by_alpha.fit(corrected, y)
    with pytest.raises(ValueError, match=REFUSED):
        clone(by_alpha).set_params(n_genes=3).fit(corrected, y)
    assert by_alpha.fit(X, y).support_[:5].all()  # what was corrected is a copy
    assert DifferentialExpressionSelector(n_genes=5).fit(corrected, y).support_[:5].all()


@both
def test_a_table_of_p_values_is_warned_of(kind):
    X = cohort(kind)
    corrected = combat.fit_transform(X)
    with pytest.warns(BatchWarning, match=WARNED):
        differential_expression(corrected, "drug")
    assert len(differential_expression(X, "drug", batch_key="lab")) == 40


@both
@pytest.mark.parametrize(
    "carry",
    [
        lambda X: X[:30],
        lambda X: X[:50][:30],
        lambda X: X[:30].copy(),
        lambda X: train_test_split(X, train_size=30, random_state=0)[0],
        lambda X: pickle.loads(pickle.dumps(X))[:30],
        lambda X: LogTransformer(pseudocount=10).fit_transform(X)[:30],
        lambda X: VarianceFilter(n_genes=20).fit_transform(X)[:30],
        lambda X: GeneAligner().fit_transform(X)[:30],
        lambda X: combat.fit_transform(X)[:30],
    ],
    ids=["slice", "slice2", "copy", "split", "pickle", "log", "filter", "align", "again"],
)
def test_the_mark_is_carried(kind, carry):
    corrected = carry(combat.fit_transform(cohort(kind)))
    with pytest.raises(ValueError, match=REFUSED):
        by_alpha.fit(corrected, np.arange(30) % 2)


def test_set_output_carries_it_into_the_frame():
    frame = clone(combat).set_output(transform="pandas").fit_transform(cohort())
    assert isinstance(frame, pd.DataFrame)
    with pytest.raises(ValueError, match=REFUSED):
        by_alpha.fit(frame, y)


def test_files_carry_it(tmp_path):
    corrected = combat.fit_transform(cohort())
    geneexpr.io.write_zarr(corrected, tmp_path / "a.zarr")
    corrected.write_h5ad(tmp_path / "a.h5ad")
    for read in (geneexpr.io.open_zarr(tmp_path / "a.zarr"), ad.read_h5ad(tmp_path / "a.h5ad")):
        with pytest.raises(ValueError, match=REFUSED):
            by_alpha.fit(read, y)


@both
def test_inside_a_pipeline_under_cross_validation(kind):
    X = cohort(kind)
    wrong = make_pipeline(combat, VarianceFilter(n_genes=30), by_alpha, LogisticRegression())
    with pytest.raises(ValueError, match=REFUSED[1:-1]):
        cross_val_score(wrong, X, y, cv=3, error_score="raise")
    right = make_pipeline(
        DifferentialExpressionSelector(alpha=0.05, batch_key="lab"),
        combat,
        ToArray(),
        LogisticRegression(),
    )
    assert cross_val_score(right, X, y, cv=3).mean() > 0.8


@both
def test_the_input_is_not_marked(kind):
    X = cohort(kind)
    mark = X.uns if kind == "anndata" else X.attrs
    mark["mine"] = {"note": [1]}
    corrected = combat.fit_transform(X)
    assert dict(mark) == {"mine": {"note": [1]}}
    marks = corrected.uns if kind == "anndata" else corrected.attrs
    assert marks["geneexpr"] == {"batch_corrected": "ComBatCorrector"}
    assert marks["mine"] == {"note": [1]}
    marks["mine"]["note"].append(2)
    assert mark["mine"] == {"note": [1]}


def test_where_nothing_was_corrected_nothing_is_marked():
    one = cohort()[::3].copy()
    with pytest.warns(BatchWarning, match="All samples are of the batch 'a'"):
        out = combat.fit_transform(one)
    assert "geneexpr" not in out.uns
    with pytest.warns(BatchWarning, match="sees one batch and corrects nothing"):
        out = ComBatCorrector().fit_transform(cohort())
    assert "geneexpr" not in out.uns


def test_a_layer_is_no_work_of_the_corrector():
    X = cohort()
    X.layers["log"] = X.X.copy()
    corrected = combat.fit_transform(X)
    selector = DifferentialExpressionSelector(alpha=0.05, batch_key="lab", layer="log")
    np.testing.assert_array_equal(
        selector.fit(corrected, y).support_,
        clone(selector).set_params(layer=None).fit(X, y).support_,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        differential_expression(corrected, "drug", batch_key="lab", layer="log")


def test_an_array_carries_no_mark():
    corrected = combat.fit_transform(cohort()).X
    assert by_alpha.fit(corrected, y).support_.any()


def test_the_reason_is_true():
    """A group 80/20 over two batches, no effect: protected by ComBat, then a t-test."""
    rng = np.random.default_rng(0)
    lab = np.repeat(["a", "b"], 50)
    drug = np.where(np.arange(100) % 50 < np.where(lab == "a", 40, 10), "x", "y")
    obs = pd.DataFrame({"lab": lab, "drug": drug}, index=[f"s{i}" for i in range(100)])
    X = ad.AnnData(rng.normal(6, 1, (100, 4000)) + rng.normal(0, 1, 4000) * (lab == "b")[:, None])
    X.obs = obs
    corrected = ComBatCorrector(batch_key="lab", covariate_keys=("drug",)).fit_transform(X)
    with pytest.warns(BatchWarning, match=WARNED):
        after = differential_expression(corrected, "drug")["p_value"]
    beside = differential_expression(X, "drug", batch_key="lab")["p_value"]
    assert (after < 0.05).mean() > 0.09
    assert abs((beside < 0.05).mean() - 0.05) < 0.015


@pytest.mark.parametrize(
    "corrector",
    [
        LinearBatchCorrector(batch_key="lab"),
        MeanCenterCorrector(batch_key="lab"),
        RatioCorrector(batch_key="lab"),
        SurrogateVariableCorrector(n_sv=1, allow_outcome=True),
    ],
    ids=lambda corrector: type(corrector).__name__,
)
def test_every_corrector_leaves_its_name(corrector):
    corrected = corrector.fit_transform(cohort(), y)
    with pytest.raises(ValueError, match=f"got data that {type(corrector).__name__} has corr"):
        by_alpha.fit(corrected, y)
