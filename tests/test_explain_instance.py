import re
import sys

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.cluster import DBSCAN
from sklearn.ensemble import RandomForestClassifier, VotingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from geneexpr import (
    ComBatCorrector,
    CPMNormalizer,
    TMMNormalizer,
    ToArray,
    TorchMLPClassifier,
    explain_instance,
    make_cohort,
)

GENES = [f"gene{i}" for i in range(12)]


@pytest.fixture(scope="module")
def cohort():
    rng = np.random.default_rng(0)
    y = np.arange(61) % 2
    X = pd.DataFrame(rng.normal(5, 1, size=(61, 12)), columns=GENES)
    X["gene3"] += 2 * y
    X["gene7"] -= 2 * y
    return X, np.where(y, "case", "control")


@pytest.fixture(scope="module")
def counts():
    """Counts with batches, as an AnnData."""
    adata = make_cohort(60, 80, n_batches=2, effect_size=2.0, random_state=0)
    adata.layers["raw"] = adata.X.copy()
    return adata


def effects(model, X, i):
    """What each gene of a linear pipeline adds, compared with the lower median."""
    Z = model[:-1].transform(X)
    return model[-1].coef_[0] * (Z[i] - np.sort(Z, axis=0)[(len(Z) - 1) // 2])


def test_a_linear_margin_is_recovered(cohort):
    X, y = cohort
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    found = explain_instance(model, X.iloc[[4]], background=X, n_genes=12)
    weights = found.to_frame().set_index("gene")["weight"]
    # LIME's ridge of strength 1 shrinks by little among 5 000 rows.
    np.testing.assert_allclose(weights[GENES], effects(model, X, 4), rtol=5e-3, atol=1e-4)
    assert found.r2["control"] == pytest.approx(1, abs=1e-5)
    assert found.output["control"] == pytest.approx(model.decision_function(X)[4])
    assert (found.prediction, found.scale, found.n_candidates) == (y[4], "log-odds", 12)


def test_few_genes_say_how_much_they_explain(cohort):
    X, y = cohort
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    found = explain_instance(model, X.iloc[[4]], background=X, n_genes=2)
    expected = effects(model, X, 4)
    best = np.argsort(-np.abs(expected))[:2]
    assert found.to_frame()["gene"].tolist() == [GENES[i] for i in best]
    # The genes are exchanged independently, so that their squares add up.
    share = (expected[best] ** 2).sum() / (expected**2).sum()
    assert found.r2.iloc[0] == pytest.approx(share, abs=0.02)


def test_many_genes_are_screened_first():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(40, 3000))
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, np.arange(40) % 2)
    model[-1].coef_[0] = 0.01 * rng.normal(size=3000)
    model[-1].coef_[0, :5] = [2, -2, 2, -2, 2]
    found = explain_instance(
        model, X[0], background=X, n_genes=5, max_exchanged=50, n_perturbed=1000
    )
    expected = effects(model, X, 0)
    large = np.flatnonzero(np.abs(expected) > 0.5)
    table = found.to_frame().set_index("gene")["weight"]
    assert len(large) >= 3
    np.testing.assert_allclose(table[[f"x{i}" for i in large]], expected[large], atol=0.1)
    differs = X[0] != np.sort(X, axis=0)[19]
    assert (found.n_candidates, found.n_exchanged) == (differs.sum(), 50)


@pytest.mark.parametrize(
    "kind", ["array", "row", "csr", "csc", "frame", "anndata", "sparse anndata", "zarr"]
)
def test_every_container_gives_the_same(cohort, kind, tmp_path):
    X = cohort[0].where(cohort[0] > 4.5, 0.0)
    model = make_pipeline(ToArray(), RandomForestClassifier(20, random_state=0))
    dense = X.to_numpy()
    model.fit(dense, cohort[1])
    expected = explain_instance(model, dense[[3]], background=dense, n_perturbed=300)
    x, background = {
        "array": lambda: (dense[[3]], dense),
        "row": lambda: (dense[3].tolist(), dense),
        "csr": lambda: (sp.csr_matrix(dense)[[3]], sp.csr_matrix(dense)),
        "csc": lambda: (sp.csc_array(dense[[3]]), sp.csc_array(dense)),
        "frame": lambda: (X.iloc[[3]], X),
        "anndata": lambda: (named(X)[[3]], named(X)),
        "sparse anndata": lambda: (named(X, sp.csr_matrix)[[3]], named(X, sp.csr_matrix)),
        "zarr": lambda: on_disk(X, tmp_path),
    }[kind]()
    if kind in ("frame", "anndata", "sparse anndata", "zarr"):
        model = make_pipeline(ToArray(), model[-1]).fit(background, cohort[1])
    found = explain_instance(model, x, background=background, n_perturbed=300)
    np.testing.assert_array_equal(found.table["weight"], expected.table["weight"])
    pd.testing.assert_series_equal(found.r2, expected.r2)
    has_names = kind in ("frame", "anndata", "sparse anndata", "zarr")
    assert found.table["gene"].iloc[0].startswith("gene" if has_names else "x")


def named(X, kind=np.asarray):
    obs = pd.DataFrame(index=[f"s{i}" for i in range(len(X))])
    return ad.AnnData(kind(X.to_numpy()), obs=obs, var=pd.DataFrame(index=list(X.columns)))


def on_disk(X, folder):
    from geneexpr.io import open_zarr, write_zarr

    write_zarr(named(X), folder / "x.zarr")
    adata = open_zarr(folder / "x.zarr")
    return adata[[3]], adata


def test_annotations_and_counts_survive(counts):
    # Warnings are errors here: rows that were no counts, or of no batch, would not pass.
    model = make_pipeline(
        TMMNormalizer(log=True),
        ComBatCorrector(batch_key="batch"),
        ToArray(),
        StandardScaler(),
        LogisticRegression(),
    ).fit(counts, counts.obs["condition"])
    found = explain_instance(model, counts[[5]], background=counts, n_perturbed=400)
    assert set(found.table["gene"]) <= set(counts.var_names)
    frame = counts.to_df().set_index(counts.obs["batch"].to_numpy(), append=True)
    frame.index.names = ["sample", "batch"]
    model.fit(frame, counts.obs["condition"])
    same = explain_instance(model, frame.iloc[[5]], background=frame, n_perturbed=400)
    np.testing.assert_allclose(same.table["weight"], found.table["weight"])


class Spy(ClassifierMixin, BaseEstimator):
    """Remembers what it was asked about."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return np.repeat(self.classes_[:1], X.shape[0])

    def decision_function(self, X):
        self.seen_ = X
        matrix = X.layers["raw"] if hasattr(X, "layers") else X
        return np.asarray(matrix[:, [0]].sum(axis=1), dtype=float).ravel()


def test_what_the_pipeline_is_given(counts):
    counts = counts.copy()
    counts.X, counts.layers["raw"] = sp.csr_matrix(counts.X), sp.csr_matrix(2 * counts.X)
    counts.obsm["pca"] = np.arange(120.0).reshape(60, 2)
    before = counts.X.copy(), counts.obs.copy()
    spy = Spy().fit(counts, counts.obs["condition"])
    x = counts[[np.argmax(counts.X[:, 0].toarray())]]
    found = explain_instance(spy, x, background=counts, n_perturbed=50, n_genes=1)
    seen = spy.seen_
    assert sp.issparse(seen.X)
    assert sp.issparse(seen.layers["raw"])
    np.testing.assert_array_equal(2 * seen.X.toarray(), seen.layers["raw"].toarray())
    assert seen.n_obs == 50
    assert set(seen.obs["batch"]) == {x.obs["batch"].iloc[0]}
    np.testing.assert_array_equal(seen.obsm["pca"], np.repeat(x.obsm["pca"], 50, axis=0))
    medians = np.sort(counts.X.toarray(), axis=0)[29]
    values = seen.X.toarray()
    assert ((values == x.X.toarray()) | (values == medians)).all()
    assert found.table["gene"].tolist() == [counts.var_names[0]]
    np.testing.assert_array_equal(before[0].toarray(), counts.X.toarray())
    pd.testing.assert_frame_equal(before[1], counts.obs)
    spy.fit(before[0], counts.obs["condition"])
    explain_instance(spy, before[0][3], background=before[0], n_perturbed=50)
    assert sp.issparse(spy.seen_)


def test_several_classes_and_numbers(cohort):
    X, _ = cohort
    three = X.to_numpy()[:, :3].argmax(axis=1)
    model = LogisticRegression(max_iter=1000).fit(X, three)
    found = explain_instance(model, X.iloc[[0]], background=X, n_genes=3)
    assert found.table.groupby("class").size().to_dict() == {0: 3, 1: 3, 2: 3}
    np.testing.assert_allclose(found.output, model.decision_function(X)[0])
    number = explain_instance(Ridge().fit(X, X["gene1"]), X.iloc[[0]], background=X, n_genes=1)
    assert number.table[["class", "gene"]].to_numpy().tolist() == [["output", "gene1"]]
    assert number.scale == "prediction"


def test_a_large_background_is_thinned_evenly():
    X = np.sort(np.random.default_rng(0).normal(size=(2001, 2)), axis=0)
    model = Ridge().fit(X, X[:, 0])
    table = explain_instance(model, X[7], background=X, n_perturbed=50).to_frame()
    rows = np.linspace(0, 2000, 1000).astype(int)
    np.testing.assert_array_equal(table.sort_values("gene")["reference"], X[rows][499])


def test_networks_and_forests(cohort):
    X, y = cohort
    i = int((X["gene3"] - X["gene7"]).argmax())
    for model, scale in [
        (
            make_pipeline(StandardScaler(), TorchMLPClassifier(lr=0.01, random_state=0)),
            "log-odds",
        ),
        (RandomForestClassifier(random_state=0), "probability"),
    ]:
        found = explain_instance(
            model.fit(X, y), X.iloc[[i]], background=X, n_genes=2, n_perturbed=1000
        )
        assert found.scale == scale
        assert set(found.table["gene"]) == {"gene3", "gene7"}
        assert found.r2.iloc[0] > 0.5


def test_one_seed_one_result_and_no_global_generator(cohort):
    X, y = cohort
    model = RandomForestClassifier(10, random_state=0).fit(X, y)
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    a, b, c = (
        explain_instance(model, X.iloc[[0]], background=X, n_perturbed=100, random_state=seed)
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(state, np.random.get_state()[1])  # noqa: NPY002
    pd.testing.assert_frame_equal(a.table, b.table)
    assert not a.table["weight"].equals(c.table["weight"])
    table = a.to_frame()
    table["weight"] = 0
    assert (a.table["weight"] != 0).any()


def test_it_prints():
    X = np.array([[0.0], [1.0], [0.0], [1.0]])
    found = explain_instance(
        Ridge(alpha=0).fit(X, 2 * X[:, 0]), X[1], background=X, n_perturbed=10_000
    )
    assert str(found) == (
        "prediction explained by 1 of 1 genes in which the sample differs, 10000 perturbed rows; "
        "predicted: 2.0\noutput (R² 1.00): x0 +2"
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": lambda X: X.iloc[[0, 1]]}, "x must be one sample; got shape (2, 12)."),
        (
            {"x": lambda X: X.iloc[0]},
            "x is a Series, which carries no annotations. Give the sample as a DataFrame of one row: df.iloc[[i]].",
        ),
        (
            {"x": lambda X: X.iloc[[0], :5]},
            "x has 5 genes, background has 12: both must have the genes that the pipeline was fitted on.",
        ),
        (
            {"x": lambda X: X.iloc[[0], ::-1]},
            "x and background have other genes, or another order: background has 'gene0', 'gene1', 'gene2', 'gene3', 'gene4' and 7 more in other places. GeneAligner brings both to the same genes.",
        ),
        (
            {"background": lambda X: X.iloc[[0]]},
            "x has the median of the background in all genes, so that no gene sets it apart. Give another background.",
        ),
        ({"method": lambda X: "shap"}, "method must be one of 'lime'; got 'shap'."),
        ({"n_genes": lambda X: 0}, "n_genes must be a whole number at least 1; got 0."),
        (
            {"pipeline": lambda X: DBSCAN().fit(X)},
            "DBSCAN has no margin to explain: it needs decision_function, predict_proba or, for numbers, predict. (CalibratedClassifierCV adds probabilities to a classifier that gives labels only.)",
        ),
    ],
)
def test_bad_input_says_what_to_do(cohort, change, message):
    X, y = cohort
    given = {
        "pipeline": lambda X: LogisticRegression().fit(X, y),
        "x": lambda X: X.iloc[[0]],
        "background": lambda X: X,
    }
    given = {name: make(X) for name, make in (given | change).items()}
    pipeline, x = given.pop("pipeline"), given.pop("x")
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        explain_instance(pipeline, x, **given)


def test_unfitted_and_labels_alone(cohort):
    X, y = cohort
    with pytest.raises(NotFittedError):
        explain_instance(
            make_pipeline(StandardScaler(), LogisticRegression()), X.iloc[[0]], background=X
        )
    model = VotingClassifier([("one", LogisticRegression())]).fit(X, y)
    with pytest.raises(ValueError, match="labels only") as error:
        explain_instance(model, X.iloc[[0]], background=X)
    assert str(error.value) == (
        "VotingClassifier has no margin to explain: it needs decision_function, predict_proba or, "
        "for numbers, predict. (CalibratedClassifierCV adds probabilities to a classifier that "
        "gives labels only.)"
    )


def test_a_layer_that_the_background_lacks(counts):
    background = counts.copy()
    del background.layers["raw"]
    spy = Spy().fit(counts, counts.obs["condition"])
    with pytest.raises(ValueError, match=r"^background has no layer 'raw', which x has\.$"):
        explain_instance(spy, counts[[0]], background=background)


def test_without_lime(cohort, monkeypatch):
    X, y = cohort
    model = LogisticRegression().fit(X, y)
    monkeypatch.setitem(sys.modules, "lime.lime_base", None)
    monkeypatch.setitem(sys.modules, "lime", None)
    with pytest.raises(ImportError) as error:
        explain_instance(model, X.iloc[[0]], background=X)
    assert str(error.value) == (
        "explain_instance needs the package lime; install it with: pip install 'geneexpr[explanation]'"
    )


def test_cpm_of_sparse_counts_in_one_block_or_many(counts, monkeypatch):
    from geneexpr.explanation import _instance as where

    X = sp.csr_matrix(counts.X)
    model = make_pipeline(CPMNormalizer(log=True), ToArray(), LogisticRegression())
    model.fit(X, counts.obs["condition"])
    whole = explain_instance(model, X[4], background=X, n_perturbed=80)
    monkeypatch.setattr(where, "block_rows", lambda n, n_bytes: 7)
    parts = explain_instance(model, X[4], background=X, n_perturbed=80)
    np.testing.assert_allclose(parts.table["weight"], whole.table["weight"])
