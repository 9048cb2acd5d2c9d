"""Selection by tests: from the training fold alone, ranked, adjusted, beside batches."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_selection import RFE, SelectFromModel
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

from geneexpr import DifferentialExpressionSelector, SelectionWarning, differential_expression

METHODS = ["moderated_t", "welch_t", "wilcoxon"]


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    X, y = rng.normal(6, 1, (40, 60)), np.array(["case", "control"])[np.arange(40) % 2]
    X[y == "case", :5] += 4
    X[y == "case", 5:8] -= 3
    return X, y


@pytest.mark.parametrize("method", METHODS)
def test_keeps_what_the_table_shows(data, method):
    X, y = data
    selector = DifferentialExpressionSelector(method, alpha=0.01).fit(X, y)
    table = differential_expression(X, y, method=method)
    np.testing.assert_array_equal(selector.p_adjusted_, table["p_adjusted"])
    np.testing.assert_array_equal(selector.log2_fold_changes_[0], table["log2_fold_change"])
    assert np.flatnonzero(selector.support_).tolist() == list(range(8))
    both = DifferentialExpressionSelector(method, alpha=0.01, n_genes=3).fit(X, y)
    assert both.support_.sum() == 3
    assert not both.support_[8:].any()


def test_direction_and_fold_change(data):
    X, y = data

    def chosen(**options):
        return np.flatnonzero(
            DifferentialExpressionSelector(alpha=0.01, **options).fit(X, y).support_
        ).tolist()

    assert chosen(direction="down") == list(range(5))  # lower in "control", the second class
    assert chosen(direction="up") == [5, 6, 7]
    sizes = np.abs(DifferentialExpressionSelector().fit(X, y).log2_fold_changes_[0])
    assert chosen(min_log2_fold_change=3.3) == np.flatnonzero(sizes >= 3.3).tolist()


@pytest.mark.parametrize("method", METHODS)
def test_more_than_two_classes(data, method):
    X, _ = data
    y = np.arange(40) % 3
    X[y == 2, 20] += 4
    selector = DifferentialExpressionSelector(method, n_genes=1).fit(X, y)
    assert np.flatnonzero(selector.support_).tolist() == [20]
    assert selector.log2_fold_changes_.shape == (2, 60)
    with pytest.raises(ValueError, match="direction='up' speaks of two classes, y has 3"):
        DifferentialExpressionSelector(method, direction="up").fit(X, y)


@pytest.mark.parametrize("whole", [False, True])
def test_a_continuous_target_is_tested_by_its_slope(data, whole):
    X, _ = data
    age = np.random.default_rng(1).permutation(np.arange(20, 60)).astype(float)
    X[:, 30] += 0.2 * age
    X[:, 31] -= 0.2 * age
    y = age.astype(int) if whole else age + 0.5
    selector = DifferentialExpressionSelector(alpha=0.01).fit(X, y)
    assert np.flatnonzero(selector.support_).tolist() == [30, 31]
    falling = DifferentialExpressionSelector(alpha=0.01, direction="down").fit(X, y)
    assert np.flatnonzero(falling.support_).tolist() == [31]
    with pytest.raises(ValueError, match=r"method='welch_t' compares classes, but y is continuous"):
        DifferentialExpressionSelector("welch_t").fit(X, y)


def test_a_batch_belongs_into_the_design():
    rng = np.random.default_rng(0)
    batch = np.repeat(["x", "y"], 30)
    y = np.where(rng.random(60) < np.where(batch == "x", 0.2, 0.8), "case", "control")
    X = rng.normal(6, 1, (60, 300)) + 2 * (batch == "y")[:, None]
    assert DifferentialExpressionSelector(alpha=0.05).fit(X, y).support_.mean() > 0.5
    by_argument = DifferentialExpressionSelector(alpha=0.05).fit(X, y, batch=batch)
    assert by_argument.support_.mean() < 0.02
    obs = pd.DataFrame({"site": batch}, index=[f"s{i}" for i in range(60)])
    by_name = DifferentialExpressionSelector(batch_key="site").fit(ad.AnnData(X, obs=obs), y)
    np.testing.assert_array_equal(by_name.p_values_, by_argument.p_values_)
    assert 0.01 < (by_name.p_values_ < 0.05).mean() < 0.1
    age = DifferentialExpressionSelector().fit(X, y, covariates=(batch == "y").astype(float))
    np.testing.assert_allclose(age.p_values_, by_name.p_values_, rtol=1e-8)


def test_noise_is_not_learned_inside_a_pipeline():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 2000)), np.arange(60) % 2
    selector = DifferentialExpressionSelector(n_genes=20)
    inside = cross_val_score(make_pipeline(selector, LogisticRegression()), X, y, cv=5).mean()
    leaked = cross_val_score(LogisticRegression(), selector.fit_transform(X, y), y, cv=5).mean()
    assert inside < 0.65 < 0.8 < leaked


@pytest.mark.parametrize(
    "model",
    [
        LogisticRegression(solver="liblinear", l1_ratio=1),
        RandomForestClassifier(20, random_state=0),
        SVC(),
        KNeighborsClassifier(),
        make_pipeline(RFE(LogisticRegression(), n_features_to_select=4), SVC()),
        make_pipeline(SelectFromModel(LogisticRegression(), max_features=4), SVC()),
    ],
    ids=["l1", "forest", "svm", "knn", "rfe", "from_model"],
)
def test_works_with_the_models_of_scikit_learn(data, model):
    X, y = data
    pipeline = make_pipeline(DifferentialExpressionSelector(n_genes=10), model)
    assert cross_val_score(pipeline, sp.csr_matrix(X), y, cv=3).mean() > 0.9


def test_p_values_too_small_to_tell_are_ranked_by_the_statistic():
    rng = np.random.default_rng(0)
    y = np.arange(400) % 2
    X = rng.normal(0, 4e-5, (400, 6)) + np.outer(y, [20.0, 36.0, 28.0, 0, 0, 0])
    selector = DifferentialExpressionSelector(n_genes=1).fit(X, y)
    assert np.flatnonzero(selector.support_).tolist() == [1]


def test_nothing_kept_warns():
    X = np.random.default_rng(0).normal(size=(20, 30))
    with pytest.warns(SelectionWarning, match="DifferentialExpressionSelector keeps none of 30"):
        DifferentialExpressionSelector(alpha=1e-6).fit(X, np.arange(20) % 2)


def test_missing_values(data):
    X, y = data
    X[::2, 0], X[0, 1] = np.nan, np.nan
    selector = DifferentialExpressionSelector(alpha=0.01).fit(X, y)
    assert np.flatnonzero(selector.support_).tolist() == list(range(1, 8))


def test_errors(data):
    X, y = data
    with pytest.raises(ValueError, match="requires y to be passed"):
        DifferentialExpressionSelector().fit(X, None)
    with pytest.raises(ValueError, match="method must be one of 'moderated_t', 'voom', 'wald'"):
        DifferentialExpressionSelector("t").fit(X, y)
    with pytest.raises(ValueError, match="n_genes must be a whole number at least 1; got 0"):
        DifferentialExpressionSelector(n_genes=0).fit(X, y)
    with pytest.raises(ValueError, match="alpha must be a number above 0 and at most 1; got 5"):
        DifferentialExpressionSelector(alpha=5).fit(X, y)
    with pytest.raises(ValueError, match="'wilcoxon' cannot adjust for batches or covariates"):
        DifferentialExpressionSelector("wilcoxon").fit(X, y, batch=np.arange(40) // 20)
    with pytest.raises(ValueError, match="y is missing for 1 of 40 samples"):
        DifferentialExpressionSelector().fit(X, [None, *y[1:]])
    with pytest.raises(ValueError, match="The condition has one level only, 'case'"):
        DifferentialExpressionSelector().fit(X, np.repeat("case", 40))


class TestCovariatesBesideAnArray:
    def test_a_mapping_and_a_frame_are_read_by_name(self):
        rng = np.random.default_rng(0)
        X, y = rng.normal(size=(24, 30)), np.repeat([0, 1], 12)
        age, sex = rng.normal(size=24), rng.choice(["f", "m"], 24)
        design = np.column_stack([age, sex == "m"])
        given = ({"age": age, "sex": sex}, pd.DataFrame({"age": age, "sex": sex}), design)
        fits = [DifferentialExpressionSelector(alpha=1).fit(X, y, covariates=c) for c in given]
        for fit in fits[1:]:
            np.testing.assert_allclose(fit.p_values_, fits[0].p_values_, rtol=1e-10)

    def test_keys_and_columns_are_not_mixed(self):
        X = pd.DataFrame(np.ones((4, 2)), columns=["a", "b"])
        model = DifferentialExpressionSelector(covariate_keys=["age"])
        with pytest.raises(ValueError, match=r"Got both covariate_keys=\['age'\] and covariates="):
            model.fit(X, [0, 0, 1, 1], covariates=[1, 2, 3, 4])
