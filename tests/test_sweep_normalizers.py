"""A step of a grid may be any normaliser, or none."""

import runpy
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline

from geneexpr import (
    CPMNormalizer,
    LowExpressionFilter,
    MedianOfRatiosNormalizer,
    QuantileNormalizer,
    TMMNormalizer,
    ToArray,
    UpperQuartileNormalizer,
    VarianceFilter,
    VarianceStabilizer,
)
from geneexpr.datasets import make_cohort

SNIPPET = Path(__file__).resolve().parents[1] / "docs" / "snippets" / "sweep_normalizers.py"
NORMALIZERS = [
    CPMNormalizer(log=True),
    TMMNormalizer(log=True),
    UpperQuartileNormalizer(log=True),
    MedianOfRatiosNormalizer(),
    VarianceStabilizer(),
    QuantileNormalizer(),
    "passthrough",
]


@pytest.mark.parametrize("sparse", [False, True])
def test_a_grid_sweeps_all_normalisers_on_anndata(sparse):
    counts = make_cohort(48, 400, sparse=sparse, random_state=0)
    y = counts.obs["condition"].to_numpy()
    before = counts.X.copy()
    pipeline = Pipeline(
        [
            ("expressed", LowExpressionFilter(condition="y")),
            ("normalize", "passthrough"),
            ("variable", VarianceFilter(n_genes=50)),
            ("array", ToArray(dense=True)),
            ("predict", LogisticRegression(solver="liblinear")),
        ]
    )
    search = GridSearchCV(pipeline, {"normalize": NORMALIZERS}, cv=2, error_score="raise")
    search.fit(counts, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert len(search.cv_results_["params"]) == len(NORMALIZERS)
    np.testing.assert_array_equal(search.predict(counts[:1]), search.predict(counts)[:1])
    assert abs(counts.X - before).max() == 0


def test_the_example_of_the_docs_runs():
    search = runpy.run_path(str(SNIPPET))["search"]
    assert len(search.cv_results_["params"]) == len(NORMALIZERS)
    assert search.best_score_ > 0.9
