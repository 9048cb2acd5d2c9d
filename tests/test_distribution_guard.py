"""Samples unlike those of training are named; others are not, but for the share asked for."""

import re

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.base import is_classifier, is_regressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from geneexpr import (
    ConformalClassifier,
    ConformalRegressor,
    CPMNormalizer,
    DistributionGuard,
    OutOfDistributionWarning,
    ToArray,
    VarianceFilter,
    load_model,
    make_cohort,
    save_model,
)
from geneexpr.evaluation._low_rank import LowRank, Neighbors, RowScale, limit_of, row_scale

METHODS = pytest.mark.parametrize("method", ["mahalanobis", "knn"])


@pytest.fixture(scope="module")
def cohort():
    """Logged expression of 200 samples to learn from and 100 new ones."""
    return CPMNormalizer(log=True).fit_transform(make_cohort(300, 200, random_state=0))


@pytest.fixture(scope="module")
def train(cohort):
    return cohort[:200]


@pytest.fixture
def new(cohort):
    return cohort[200:].copy()


def condition(adata):
    return adata.obs["condition"].to_numpy()


def pipeline(*before):
    return make_pipeline(*before, ToArray(), StandardScaler(), LogisticRegression())


class TestWhatIsFound:
    @METHODS
    @pytest.mark.parametrize("space", ["auto", "input"])
    @pytest.mark.parametrize("what", ["ln", "counts", "genes", "tissue", "degraded"])
    def test_every_sample_that_went_wrong(self, train, new, method, space, what):
        rng = np.random.default_rng(0)
        guard = DistributionGuard(pipeline(VarianceFilter(n_genes=80)), method=method, space=space)
        guard.fit(train, condition(train))
        if what == "ln":
            new.X *= np.log(2)
        elif what == "counts":
            new.X = 2**new.X - 1
        elif what == "genes":
            new.X = new.X[:, rng.permutation(new.n_vars)]
        elif what == "tissue":
            new.X += rng.normal(size=new.n_vars)
        else:
            new.X *= rng.random(new.shape) > 0.4
        assert guard.is_outlying(new).mean() > 0.98

    @METHODS
    def test_clean_samples_at_about_alpha(self, method):
        outlying = []
        for seed in range(3):
            cohort = make_cohort(600, 60, random_state=seed)
            cohort = CPMNormalizer(log=True).fit_transform(cohort)
            guard = DistributionGuard(pipeline(), method=method, alpha=0.05)
            guard.fit(cohort[:300], condition(cohort[:300]))
            outlying.append(guard.is_outlying(cohort[300:]).mean())
        assert 0.02 < np.mean(outlying) < 0.09

    def test_what_makes_a_sample_strange_is_said(self, train, new):
        guard = DistributionGuard(pipeline()).fit(train, condition(train))
        new.X[3] *= np.log(2)
        rng = np.random.default_rng(0)
        new.X[5] = rng.permutation(new.X[5])
        table = guard.report(new)
        assert list(table.columns) == ["within", "residual", "scale", "outlying"]
        assert list(table.index) == list(new.obs_names)
        assert table["scale"].iloc[3] > 1
        assert table["scale"].iloc[5] < 1 < table["residual"].iloc[5]
        np.testing.assert_array_equal(table["outlying"], guard.is_outlying(new))
        np.testing.assert_allclose(
            guard.score_samples(new), -table[["within", "residual", "scale"]].max(axis=1)
        )

    def test_the_space_is_that_of_the_pipeline(self, train, new):
        """A gene that the pipeline throws away moves nothing in its own space."""
        kept = VarianceFilter(n_genes=80).fit(train).get_support()
        guards = {
            space: DistributionGuard(pipeline(VarianceFilter(n_genes=80)), space=space).fit(
                train, condition(train)
            )
            for space in ("auto", "input", "variancefilter")
        }
        lost = np.flatnonzero(~kept)[:40]
        new.X[:, lost] = new.X[:, np.random.default_rng(0).permutation(lost)]
        assert guards["auto"].is_outlying(new).mean() < 0.1
        assert guards["variancefilter"].is_outlying(new).mean() < 0.1
        assert guards["input"].is_outlying(new).mean() > 0.5

    def test_the_limit_is_set_by_samples_that_the_steps_have_not_seen(self):
        """Where features outnumber samples, those of training lie in a subspace of their own."""
        rng = np.random.default_rng(0)
        X, y = rng.normal(size=(60, 400)), np.arange(60) % 2
        guard = DistributionGuard(pipeline(), alpha=0.05).fit(X, y)
        assert guard.is_outlying(rng.normal(size=(300, 400))).mean() < 0.12


class TestWarning:
    def test_names_the_samples(self, train, new):
        guard = DistributionGuard(pipeline(), alpha=1e-6).fit(train, condition(train))
        new.X[[3, 8]] *= np.log(2)
        with pytest.warns(OutOfDistributionWarning) as caught:
            guard.predict(new)
        names = f"{new.obs_names[3]!r}, {new.obs_names[8]!r}"
        assert re.match(
            rf"^2 of 100 samples do not look like those that Pipeline was trained on: {names}\. Do "
            r"not believe their predictions before you know why: look at their scale, genes and "
            r"tissue, and at report\(X\)\.$",
            str(caught[0].message),
        )

    def test_names_rows_of_arrays(self):
        rng = np.random.default_rng(0)
        X, y = rng.normal(size=(100, 5)), np.arange(100) % 2
        guard = DistributionGuard(LogisticRegression()).fit(X, y)
        new = X[:3].copy()
        new[1] += 50
        with pytest.warns(OutOfDistributionWarning, match=r"LogisticRegression .*: row 1\. Do"):
            guard.predict_proba(new)

    def test_predictions_are_those_of_the_estimator(self, train, new):
        guard = DistributionGuard(pipeline(), alpha=1e-9).fit(train, condition(train))
        alone = pipeline().fit(train, condition(train))
        np.testing.assert_array_equal(guard.predict(new), alone.predict(new))
        np.testing.assert_allclose(guard.predict_proba(new), alone.predict_proba(new))
        np.testing.assert_allclose(guard.decision_function(new), alone.decision_function(new))
        assert guard.score(new, condition(new)) == alone.score(new, condition(new))
        assert list(guard.classes_) == list(alone.classes_)

    def test_a_search_is_judged_in_the_space_of_its_best_pipeline(self, train, new):
        grid = {"logisticregression__C": [0.01, 1.0]}
        search = GridSearchCV(pipeline(VarianceFilter(n_genes=50)), grid, cv=2)
        guard = DistributionGuard(search, alpha=1e-9).fit(train, condition(train))
        assert guard.components_.shape == (10, 50)
        np.testing.assert_array_equal(guard.predict(new), guard.estimator_.predict(new))

    def test_sets_of_a_conformal_model_with_a_warning(self, train, new):
        conformal = ConformalClassifier(pipeline(VarianceFilter(n_genes=50)))
        guard = DistributionGuard(conformal, alpha=1e-6).fit(train, condition(train))
        alone = conformal.fit(train, condition(train))
        assert guard.components_.shape == (10, 50)
        pd.testing.assert_frame_equal(guard.predict_set(new), alone.predict_set(new))
        np.testing.assert_allclose(guard.predict_proba(new), alone.predict_proba(new))
        new.X[3] *= np.log(2)
        with pytest.warns(OutOfDistributionWarning, match=f"Pipeline .*: {new.obs_names[3]!r}"):
            guard.predict_set(new)

    def test_intervals_of_a_conformal_model(self, train, new):
        guard = DistributionGuard(ConformalRegressor(make_pipeline(ToArray(), Ridge())), alpha=1e-6)
        guard.fit(train, train.X[:, 0])
        found = guard.predict_interval(new)
        assert ((found["low"] < new.X[:, 0]) & (new.X[:, 0] < found["high"])).mean() > 0.8

    def test_it_is_what_the_estimator_is(self):
        assert is_classifier(DistributionGuard(LogisticRegression()))
        assert is_regressor(DistributionGuard(Ridge()))
        for method in ("predict_proba", "predict_set", "predict_interval"):
            assert not hasattr(DistributionGuard(Ridge()), method)


class TestFunctions:
    def test_the_limit_is_the_conformal_quantile(self):
        values = np.random.default_rng(0).permutation(np.arange(1.0, 200))
        assert limit_of(values, 0.01) == 198
        assert limit_of(values, 0.05) == 190

    def test_the_limit_of_few_is_near_the_true_one(self):
        """Of chi-square with 10 degrees of freedom the quantile .99 is 23.2."""
        rng = np.random.default_rng(0)
        found = [limit_of(rng.chisquare(10, 50), 0.01) for _ in range(200)]
        assert np.mean(found) == pytest.approx(24.3, abs=0.8)  # it allows for few samples

    def test_distances_of_a_full_rank_are_mahalanobis(self):
        rng = np.random.default_rng(0)
        points = rng.normal(size=(50, 3)) @ rng.normal(size=(3, 3))
        found = LowRank.learn(points, 3).distances(points)
        off = points - points.mean(axis=0)
        expected = np.einsum("ij,jk,ik->i", off, np.linalg.inv(np.cov(points.T)), off)
        np.testing.assert_allclose(found[:, 0], expected, rtol=1e-9)
        np.testing.assert_array_equal(found[:, 1], 0)

    def test_the_residual_is_what_the_subspace_lacks(self):
        rng = np.random.default_rng(0)
        points = rng.normal(size=(50, 6))
        profile = LowRank.learn(points, 2)
        off = points - points.mean(axis=0)
        rest = off - off @ profile.components.T @ profile.components
        total = points.var(axis=0, ddof=1).sum()
        np.testing.assert_allclose(profile.distances(points)[:, 1], (rest**2).sum(axis=1) / total)

    def test_sparse_points_give_what_dense_ones_give(self):
        points = sp.random_array((40, 30), density=0.3, rng=np.random.default_rng(0)).tocsr()
        sparse, dense = LowRank.learn(points, 5), LowRank.learn(points.toarray(), 5)
        np.testing.assert_allclose(sparse.total_variance, dense.total_variance)
        np.testing.assert_allclose(
            sparse.distances(points.toarray()), dense.distances(points.toarray()), rtol=1e-6
        )

    def test_neighbours_by_hand(self):
        profile = Neighbors.learn(np.array([[0.0], [1.0], [10.0]]), 2)
        np.testing.assert_allclose(profile.distances(np.array([[0.0], [10.0]])), [[0.5], [40.5]])

    def test_scale_of_rows(self):
        rows = np.array([[1.0, 3.0, np.nan], [0.0, 0.0, 0.0]])
        np.testing.assert_allclose(row_scale(rows), [np.arcsinh([2, 1]), [0, 0]])
        features = np.random.default_rng(0).normal(size=(40, 2))
        found = RowScale.learn(features).distances(features)
        assert found.mean() == pytest.approx(2 * 39 / 40)


class TestState:
    @METHODS
    def test_a_file_holds_training_samples_only_where_it_says_so(self, train, method, tmp_path):
        guard = DistributionGuard(pipeline(), method=method).fit(train, condition(train))
        assert hasattr(guard, "references_") == (method == "knn")
        save_model(guard, tmp_path / "guard.skops")
        again = load_model(tmp_path / "guard.skops")
        np.testing.assert_array_equal(again.score_samples(train), guard.score_samples(train))

    def test_donors_stay_together(self):
        """Samples of a donor are alike: left out one by one, others of the donor are near."""
        rng = np.random.default_rng(0)
        donors = np.repeat(np.arange(30), 5)
        X = rng.normal(size=(30, 8))[donors] + 0.05 * rng.normal(size=(150, 8))
        y = donors % 2
        alone = DistributionGuard(LogisticRegression(), method="knn", n_neighbors=1).fit(X, y)
        grouped = DistributionGuard(LogisticRegression(), method="knn", n_neighbors=1)
        grouped.fit(X, y, groups=donors)
        new = rng.normal(size=(200, 8))
        assert alone.is_outlying(new).mean() > 0.8
        assert grouped.is_outlying(new).mean() < 0.1

    def test_training_samples_all_alike(self):
        X, y = np.full((20, 3), 8.3), np.arange(20) % 2
        guard = DistributionGuard(LogisticRegression()).fit(X, y)
        assert not guard.is_outlying(X).any()
        assert guard.is_outlying(X + np.array([0, 0, 1e-3])).all()


class TestErrors:
    def fit(self, X=None, **options):
        rng = np.random.default_rng(0)
        X = rng.normal(size=(40, 5)) if X is None else X
        return DistributionGuard(
            make_pipeline(StandardScaler(), LogisticRegression()), **options
        ).fit(X, np.arange(len(X)) % 2)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (
                {"space": "pca"},
                "space must be 'auto', 'input' or the name of a step before the last; got 'pca', "
                "and the steps are 'standardscaler', 'logisticregression'.",
            ),
            ({"method": "svm"}, "method must be one of 'mahalanobis', 'knn'; got 'svm'."),
            ({"alpha": 0}, "alpha must be a number above 0 and below 1; got 0."),
            ({"cv": 1}, "cv must be a whole number at least 2; got 1."),
        ],
    )
    def test_options(self, options, message):
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            self.fit(**options)

    def test_too_few_samples(self):
        with pytest.raises(ValueError, match=r"Found array with 3 sample\(s\).*minimum of 4"):
            self.fit(np.eye(3))

    def test_one_donor(self):
        X, y = np.random.default_rng(0).normal(size=(40, 5)), np.arange(40) % 2
        message = r"^DistributionGuard needs samples of at least two groups; got one\.$"
        with pytest.raises(ValueError, match=message):
            DistributionGuard(LogisticRegression()).fit(X, y, groups=np.zeros(40))

    def test_missing_values_in_the_space(self):
        from sklearn.ensemble import HistGradientBoostingClassifier

        X = np.random.default_rng(0).normal(size=(60, 5))
        X[3, 2] = np.nan
        message = (
            r"^The space in which samples are compared holds missing or infinite values: put an "
            r"imputer into the pipeline, or name a later step by space=\.$"
        )
        with pytest.raises(ValueError, match=message):
            DistributionGuard(HistGradientBoostingClassifier(max_iter=5)).fit(X, np.arange(60) % 2)

    def test_no_such_annotation(self, train):
        message = "^There is no annotation 'patient' in obs; obs has 'condition'"
        with pytest.raises(ValueError, match=message):
            DistributionGuard(pipeline(), group_key="patient").fit(train, condition(train))

    def test_other_genes(self, train):
        guard = DistributionGuard(pipeline()).fit(train, condition(train))
        frame = pd.DataFrame(train.X[:, ::-1], columns=train.var_names[::-1])
        with pytest.raises(ValueError, match="GeneAligner"):
            guard.is_outlying(frame)
