"""Explanations against what is known: simulated class genes, and genes of the sex chromosomes."""

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from geneexpr import (
    CPMNormalizer,
    LowExpressionFilter,
    TMMNormalizer,
    ToArray,
    TorchMLPClassifier,
    VarianceFilter,
    explain,
)
from geneexpr.datasets import fetch_hapmap_lcl, make_cohort

N_TRUE = 30


@pytest.fixture(scope="module")
def simulated():
    cells = make_cohort(150, 600, n_class_genes=N_TRUE, effect_size=0.8, random_state=0)
    return cells, cells.obs["condition"].to_numpy(), set(cells.var_names[cells.var["class_gene"]])


@pytest.mark.parametrize(
    ("last", "method", "least"),
    [
        ([LogisticRegression(C=0.01)], "linear", 0.9),
        ([RandomForestClassifier(100, random_state=0)], "tree", 0.8),
        ([TorchMLPClassifier(max_epochs=30, random_state=0)], "network", 0.7),
        ([PCA(15), SVC()], "sampling", 0.75),
    ],
    ids=["linear", "forest", "network", "sampling"],
)
def test_the_top_genes_are_those_that_were_simulated(simulated, last, method, least):
    cells, y, truth = simulated
    model = make_pipeline(CPMNormalizer(log=True), ToArray(), StandardScaler(), *last)
    found = explain(model.fit(cells, y), cells, max_samples=40, background=cells)
    top = found.top_genes(N_TRUE)["gene"]
    precision = np.mean([gene in truth for gene in top])
    assert found.method == method
    assert precision >= least
    assert all(gene in truth for gene in top[:10])
    assert found.additivity_error < 1e-5


@pytest.fixture(scope="module")
def cell_lines(shared):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENEEXPR_DATA", str(shared / "data"))
        return fetch_hapmap_lcl()


@pytest.mark.parametrize(
    "last",
    [
        LogisticRegression(max_iter=200),
        TorchMLPClassifier(max_epochs=15, random_state=0),
        RandomForestClassifier(100, random_state=0),
    ],
    ids=["linear", "network", "forest"],
)
def test_sex_is_explained_by_genes_of_the_sex_chromosomes(cell_lines, last):
    model = make_pipeline(
        LowExpressionFilter(condition="sex"),
        TMMNormalizer(log=True),
        VarianceFilter(n_genes=2000),
        ToArray(),
        StandardScaler(),
        last,
    ).fit(cell_lines, cell_lines.obs["sex"].to_numpy())
    found = explain(model, cell_lines)
    top = found.top_genes(5)
    symbols = cell_lines.var["symbol"][top["gene"]].tolist()
    linked = set(map(str, cell_lines.uns["y_linked"]))
    escaping = set(map(str, cell_lines.uns["x_escape"]))
    assert set(symbols[:4]) == {"RPS4Y1", "CYorf15A", "EIF1AY", "TMSB4Y"}
    assert set(top["gene"][:4]) <= linked
    assert top["gene"][4] in escaping
    # classes_ are female and male: Y-linked genes speak for male, escaping ones against.
    assert found.classes.tolist() == ["male"]
    assert (top["mean_signed_effect"][:4] > 0).all()
    assert top["mean_signed_effect"][4] < 0
