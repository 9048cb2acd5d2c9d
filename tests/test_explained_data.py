"""Whether explanations name genes that are known to matter; EXPLANATIONS.md has all figures."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from geneexpr import (
    ComBatCorrector,
    CPMNormalizer,
    LowExpressionFilter,
    OnMatrix,
    ToArray,
    explain,
    explain_instance,
    fetch_hapmap_lcl,
    grouped_permutation_importance,
    make_cohort,
)


@pytest.fixture(scope="module")
def cohort():
    X = make_cohort(150, 400, n_class_genes=20, n_batches=2, random_state=0)
    y = X.obs["condition"].to_numpy()
    model = make_pipeline(
        CPMNormalizer(log=True),
        ComBatCorrector(batch_key="batch"),
        OnMatrix(StandardScaler()),
        ToArray(),
        LogisticRegression(C=0.01),
    )
    return model.fit(X[:100], y[:100]), X, y


def test_every_view_of_a_model_names_the_class_genes(cohort):
    model, X, y = cohort
    truth = X.var["class_gene"]
    top = explain(model, X[100:], background=X[:100]).top_genes(10)["gene"]
    assert truth[top].mean() >= 0.9
    logged = model[0].transform(X)
    found = explain_instance(model[1:], logged[[120]], background=logged[:100], n_genes=5)
    assert truth[found.to_frame()["gene"]].mean() >= 0.8
    sets = {"true": X.var_names[truth], "others": X.var_names[~truth]}
    shuffled = grouped_permutation_importance(
        model, X[100:], y[100:], groups=sets, scoring="roc_auc", n_repeats=5
    )
    assert shuffled.index[0] == "true"


def test_sex_is_explained_by_sex_linked_genes(shared, monkeypatch):
    monkeypatch.setenv("GENEEXPR_DATA", str(shared / "data"))
    X = fetch_hapmap_lcl()
    model = make_pipeline(
        LowExpressionFilter(condition="sex"),
        CPMNormalizer(log=True),
        ComBatCorrector(batch_key="lab"),
        OnMatrix(StandardScaler()),
        ToArray(),
        LogisticRegression(C=0.01),
    ).fit(X, X.obs["sex"])
    linked = np.concatenate([X.uns["y_linked"], X.uns["x_escape"]])
    linked = np.union1d(linked, X.var_names[X.var["chromosome"] == "Y"])
    top = explain(model, X).top_genes(10)["gene"]
    assert np.isin(top[:5], linked).all()
    assert np.isin(top, linked).sum() >= 7
