import re

import anndata as ad
import joblib
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.feature_selection import SelectKBest
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from geneexpr import (
    ComBatCorrector,
    CPMNormalizer,
    ToArray,
    TorchMLPClassifier,
    grouped_permutation_importance,
    make_cohort,
)
from geneexpr.explanation._exchange import with_columns
from geneexpr.explanation._permutation_importance import impurity_of_genes

GENES = ["MYC", "NCL", "NPM1", "ACTB", "GAPDH", "TP53"]
SETS = {"house": ["ACTB", "GAPDH"], "MYC targets": ["MYC", "NCL", "NPM1"]}


@pytest.fixture(scope="module")
def cohort():
    """Three genes that say the same of the class, and three that say nothing."""
    rng = np.random.default_rng(0)
    signal = rng.normal(size=(90, 1))
    values = np.hstack([signal + 0.1 * rng.normal(size=(90, 3)), rng.normal(size=(90, 3))])
    return pd.DataFrame(values, columns=GENES), np.where(signal[:, 0] > 0, "case", "control")


@pytest.fixture(scope="module")
def forest(cohort):
    return RandomForestClassifier(50, random_state=0).fit(*cohort)


def test_the_loss_of_a_linear_model_is_known():
    # Exchanging x for a copy x' costs (beta (x - x'))^2, on average twice the variance.
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 3)) * [1, 2, 1]
    beta = np.array([1.0, -0.5, 0.0])
    model = LinearRegression().fit(X, X @ beta)
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    model.fit(frame, X @ beta)
    sets = {"a": ["a"], "b": ["b"], "a and b": ["a", "b"], "c": ["c"]}
    table = grouped_permutation_importance(
        model, frame, X @ beta, groups=sets, scoring="neg_mean_squared_error", n_repeats=200
    )
    part = X * beta
    expected = {"a": part[:, 0], "b": part[:, 1], "a and b": part.sum(axis=1), "c": 0 * part[:, 2]}
    for name, numbers in expected.items():
        row = table.loc[name]
        assert row["mean"] == pytest.approx(
            2 * numbers.var(), abs=4 * row["std"] / 200**0.5 + 1e-12
        )
        assert row["low"] <= row["mean"] <= row["high"]
    assert table.index[0] == "a and b"
    assert table.loc["a and b", "n_genes"] == 2
    assert table.loc["a and b", "genes"] == ["a", "b"]


def test_single_genes_agree_with_scikit_learn(cohort, forest):
    X, y = cohort
    ours = grouped_permutation_importance(forest, X, y, groups=None, n_repeats=20).loc[GENES]
    theirs = permutation_importance(forest, X, y, n_repeats=20, random_state=0)
    error = 3 * np.hypot(ours["std"], theirs.importances_std) / 20**0.5
    assert (np.abs(ours["mean"] - theirs.importances_mean) <= error + 1e-12).all()
    assert ours["n_genes"].tolist() == [1] * 6
    np.testing.assert_allclose(ours["impurity"], forest.feature_importances_)


def test_genes_that_go_together_are_worth_something_together(cohort, forest):
    X, y = cohort
    alone = grouped_permutation_importance(forest, X, y, groups=None)
    together = grouped_permutation_importance(forest, X, y, groups=SETS)
    assert together.index.tolist() == ["MYC targets", "house"]
    assert together["mean"].iloc[0] > 0.35 > alone["mean"].max()
    assert together["impurity"].iloc[0] == pytest.approx(
        alone.loc[SETS["MYC targets"], "impurity"].sum()
    )


def test_modules_are_found(cohort, forest):
    X, y = cohort
    table = grouped_permutation_importance(forest, X, y, groups="modules")
    assert set(table["genes"].iloc[0]) == {"MYC", "NCL", "NPM1"}
    assert table.index[0] == f"{GENES[forest.feature_importances_.argmax()]} +2"
    assert sorted(gene for genes in table["genes"] for gene in genes) == sorted(GENES)
    plain = LogisticRegression().fit(X, y)
    assert "impurity" not in grouped_permutation_importance(plain, X, y, groups="modules")


def named(X, kind=np.asarray):
    obs = pd.DataFrame(index=[f"s{i}" for i in range(len(X))])
    return ad.AnnData(kind(X.to_numpy()), obs=obs, var=pd.DataFrame(index=list(X.columns)))


def on_disk(X, folder, kind):
    from geneexpr.io import open_zarr, write_zarr

    write_zarr(named(X, kind), folder / "x.zarr")
    return open_zarr(folder / "x.zarr")


@pytest.mark.parametrize(
    "kind", ["csr", "csc", "list", "frame", "anndata", "sparse anndata", "zarr", "sparse zarr"]
)
def test_every_container_gives_the_same(cohort, kind, tmp_path):
    X, y = cohort
    X = X.where(X.abs() > 0.3, 0.0)
    dense = X.to_numpy()
    model = make_pipeline(ToArray(), RandomForestClassifier(20, random_state=0))
    expected = grouped_permutation_importance(
        model.fit(dense, y), dense, y, groups=None, n_repeats=3
    )
    other = {
        "csr": lambda: sp.csr_matrix(dense),
        "csc": lambda: sp.csc_array(dense),
        "list": lambda: dense.tolist(),
        "frame": lambda: X,
        "anndata": lambda: named(X),
        "sparse anndata": lambda: named(X, sp.csr_matrix),
        "zarr": lambda: on_disk(X, tmp_path, np.asarray),
        "sparse zarr": lambda: on_disk(X, tmp_path, sp.csr_matrix),
    }[kind]()
    found = grouped_permutation_importance(model.fit(other, y), other, y, groups=None, n_repeats=3)
    columns = ["n_genes", "mean", "std", "low", "high", "impurity"]
    np.testing.assert_allclose(found[columns], expected[columns], atol=1e-12)
    has_names = kind not in ("csr", "csc", "list")
    assert set(found.index) == (set(GENES) if has_names else {f"x{i}" for i in range(6)})


class Spy(ClassifierMixin, BaseEstimator):
    """Keeps what it was asked about."""

    def fit(self, X, y):
        self.classes_, self.seen_ = np.unique(y), []
        return self

    def predict(self, X):
        self.seen_.append(X)
        return np.repeat(self.classes_[:1], X.shape[0])


def test_annotations_stay_and_genes_move_together():
    X = make_cohort(30, 8, n_batches=2, sparse=True, random_state=0)
    X.layers["double"] = 2 * X.X
    X.obsm["pca"] = np.arange(60.0).reshape(30, 2)
    y = X.obs["condition"]
    spy = Spy().fit(X, y)
    genes = [X.var_names[1], X.var_names[4]]
    before = X.X.toarray()
    grouped_permutation_importance(spy, X, y, groups={"two": genes}, n_repeats=3)
    for seen in spy.seen_[1:]:
        pd.testing.assert_frame_equal(seen.obs, X.obs)
        np.testing.assert_array_equal(seen.obsm["pca"], X.obsm["pca"])
        assert sp.issparse(seen.X)
        assert seen.X.has_canonical_format
        matrix = seen.X.toarray()
        np.testing.assert_array_equal(seen.layers["double"].toarray(), 2 * matrix)
        others = [0, 2, 3, 5, 6, 7]
        np.testing.assert_array_equal(matrix[:, others], before[:, others])
        assert not np.array_equal(matrix[:, [1, 4]], before[:, [1, 4]])
        pairs = [sorted(map(tuple, m[:, [1, 4]])) for m in (matrix, before)]
        assert pairs[0] == pairs[1]
    np.testing.assert_array_equal(before, X.X.toarray())


def test_rows_change_places_within_batches_where_asked():
    X = make_cohort(30, 8, n_batches=2, random_state=0)
    y, batch = X.obs["condition"], X.obs["batch"].to_numpy()
    spy, plain = Spy().fit(X, y), Spy().fit(X.X, y)
    grouped_permutation_importance(
        spy, X, y, groups={"one": X.var_names[:1]}, n_repeats=3, batch_key="batch"
    )
    for seen in spy.seen_[1:]:
        assert not np.array_equal(seen.X, X.X)
        for level in np.unique(batch):
            here = batch == level
            assert sorted(seen.X[here, 0]) == sorted(X.X[here, 0])
    grouped_permutation_importance(plain, X.X, y, groups=None, n_repeats=3, batch=batch)
    np.testing.assert_array_equal(plain.seen_[1][:, 0], spy.seen_[1].X[:, 0])
    with pytest.raises(ValueError, match="There is no annotation 'site' in obs"):
        grouped_permutation_importance(spy, X, y, batch_key="site")


def test_a_pipeline_that_reads_batches():
    X = make_cohort(60, 40, n_batches=2, effect_size=3.0, random_state=0)
    y = X.obs["condition"]
    model = make_pipeline(CPMNormalizer(log=True), ComBatCorrector(batch_key="batch"), ToArray())
    model.steps.append(("forest", RandomForestClassifier(30, random_state=0)))
    model.fit(X, y)
    truth = X.var_names[X.var["class_gene"]]
    sets = {"true": truth, "other": X.var_names[~X.var["class_gene"]][:20]}
    table = grouped_permutation_importance(
        model, X, y, groups=sets, scoring="accuracy", n_repeats=3
    )
    assert table.index.tolist() == ["true", "other"]
    assert table["mean"].iloc[0] > 0.1
    assert 0 < table["impurity"].sum() <= 1 + 1e-12


def test_what_is_a_forests_own_importance(cohort, forest):
    X, y = cohort
    picked = make_pipeline(
        SelectKBest(k=2), StandardScaler(), RandomForestClassifier(5, random_state=0)
    )
    own = impurity_of_genes(picked.fit(X, y), 6)
    support = picked[0].get_support()
    np.testing.assert_array_equal(own[support], picked[-1].feature_importances_)
    assert (own[~support] == 0).all()
    assert impurity_of_genes(picked.fit(X.to_numpy(), y), 6).sum() == pytest.approx(1)
    search = GridSearchCV(picked, {"selectkbest__k": [2]}, cv=2).fit(X, y)
    assert impurity_of_genes(search, 6).sum() == pytest.approx(1)
    mixed = make_pipeline(PCA(2), RandomForestClassifier(5, random_state=0)).fit(X, y)
    assert impurity_of_genes(mixed, 6) is None
    network = TorchMLPClassifier((4,), max_epochs=2, random_state=0).fit(X, y)
    assert impurity_of_genes(network, 6) is None
    skipped = make_pipeline("passthrough", forest)
    np.testing.assert_array_equal(impurity_of_genes(skipped, 6), forest.feature_importances_)


def test_one_seed_one_result(cohort, forest):
    X, y = cohort
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    with joblib.parallel_config("threading"):  # processes take seconds to start
        a, b, c = (
            grouped_permutation_importance(forest, X, y, groups=SETS, random_state=s, n_jobs=jobs)
            for s, jobs in ((0, None), (0, 2), (1, None))
        )
    np.testing.assert_array_equal(state, np.random.get_state()[1])  # noqa: NPY002
    pd.testing.assert_frame_equal(a, b)
    assert not a["mean"].equals(c["mean"])


def test_columns_of_sparse_rows():
    rng = np.random.default_rng(0)
    dense = rng.integers(0, 3, size=(6, 5)).astype(float)
    new = rng.integers(0, 3, size=(6, 2)).astype(float)
    expected = dense.copy()
    expected[:, [3, 1]] = new
    found = with_columns(sp.csr_matrix(dense), np.array([3, 1]), sp.csr_matrix(new))
    np.testing.assert_array_equal(found.toarray(), expected)
    assert found.has_sorted_indices
    assert found.nnz == (expected != 0).sum()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"groups": "sets"},
            "groups must be None, \"modules\" or a mapping of names to genes; got 'sets'.",
        ),
        (
            {"groups": {"a": ["ENSG1", "ENSG2"]}},
            "None of 1 groups has a gene in X: they name 'ENSG1', 'ENSG2', X has 'MYC', 'NCL', 'NPM1' and 3 more. Are these identifiers of the same kind?",
        ),
        ({"groups": {"a": []}}, "1 of 1 gene sets name no genes: 'a'."),
        (
            {"X": lambda X: X.to_numpy(), "groups": SETS},
            "groups name genes, but X has no gene names. Give X as a DataFrame or an AnnData.",
        ),
        (
            {"X": lambda X: 0 * X, "groups": "modules"},
            "All 6 genes are constant in X: there are no modules.",
        ),
        ({"n_repeats": 1}, "n_repeats must be a whole number at least 2; got 1."),
        ({"confidence": 95}, "confidence must be a number above 0 and below 1; got 95."),
        ({"correlation": 0}, "correlation must be a number above 0 and at most 1; got 0."),
    ],
)
def test_bad_input_says_what_to_do(cohort, forest, change, message):
    X, y = cohort
    change = dict(change)
    X = change.pop("X", lambda X: X)(X)
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        grouped_permutation_importance(forest, X, y, **change)


def test_an_unfitted_pipeline(cohort):
    with pytest.raises(NotFittedError):
        grouped_permutation_importance(
            make_pipeline(StandardScaler(), LogisticRegression()), *cohort
        )
