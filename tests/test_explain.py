"""SHAP values of whole pipelines: exact where they can be, and adding up everywhere."""

import itertools
import math
import re

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from cases import DISK, MEMORY, N_SAMPLES, cohort, dense, put
from sklearn.decomposition import PCA, FactorAnalysis, FastICA, KernelPCA, TruncatedSVD
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler
from sklearn.svm import SVC, LinearSVC

import geneexpr
from geneexpr import (
    ComBatCorrector,
    CPMNormalizer,
    Explanation,
    GeneSetScorer,
    LogTransformer,
    OnMatrix,
    ToArray,
    TorchMLPClassifier,
    TorchMLPRegressor,
    VarianceFilter,
    explain,
)
from geneexpr.explanation._sampling import BlackBox, gene_slopes

RNG = np.random.default_rng(0)
X = pd.DataFrame(
    RNG.normal(size=(60, 12)) @ (np.eye(12) + 0.2 * RNG.normal(size=(12, 12))),
    columns=[f"G{i}" for i in range(12)],
    index=[f"s{i}" for i in range(60)],
)
THREE = np.array(["a", "b", "c"])[(X["G3"] > 0).astype(int) + (X["G5"] > 0.5)]
TWO = np.where(X["G3"] + 0.5 * X["G5"] > 0, "case", "control")
NUMBER = (X["G3"] * 2 - X["G5"]).to_numpy()


def shapley(function, x, background):
    """Return exact Shapley values, by all coalitions."""
    n = len(x)
    worth = {}
    for size in range(n + 1):
        for chosen in itertools.combinations(range(n), size):
            rows = background.copy()
            rows[:, chosen] = x[list(chosen)]
            worth[chosen] = function(rows).mean()
    values = np.zeros(n)
    for gene in range(n):
        others = [g for g in range(n) if g != gene]
        for size in range(n):
            share = math.factorial(size) * math.factorial(n - 1 - size) / math.factorial(n)
            for chosen in itertools.combinations(others, size):
                values[gene] += share * (worth[tuple(sorted((*chosen, gene)))] - worth[chosen])
    return values


# ------------------------------------------------------------------ linear


def test_a_linear_model_by_hand():
    model = LinearRegression().fit(np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), [1.0, 3.0, 0.0])
    with pytest.warns(geneexpr.ExplanationWarning, match="holds 2 rows"):
        found = explain(model, np.array([[2.0, 2.0], [0.0, 0.0]]), method="linear")
    # The slopes are 2 and -1, the mean of the samples is (1, 1).
    np.testing.assert_allclose(found.values, [[2.0, -1.0], [-2.0, 1.0]], atol=1e-12)
    assert found.base_values == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("steps", "y"),
    [
        ([StandardScaler(), LogisticRegression()], TWO),
        ([LogisticRegression()], THREE),
        ([SelectKBest(k=7), RobustScaler(), PCA(4, whiten=True), LogisticRegression()], THREE),
        ([MinMaxScaler(), TruncatedSVD(4), StandardScaler(), LinearSVC()], TWO),
        ([MaxAbsScaler(), FastICA(4, random_state=0, tol=0.1), Ridge()], NUMBER),
        ([ToArray(), OnMatrix(StandardScaler()), FactorAnalysis(3), LinearRegression()], NUMBER),
        ([StandardScaler(), LinearDiscriminantAnalysis()], THREE),
        ([SGDClassifier(random_state=0)], TWO),
        ([SVC(kernel="linear")], TWO),
        (
            [
                GeneSetScorer(
                    {"u": ["G1", "G3"], "v": ["G5", "G7", "G8"]}, method="mean_z", min_genes=1
                ),
                LogisticRegression(),
            ],
            TWO,
        ),
    ],
    ids=lambda value: "-".join(type(s).__name__ for s in value) if isinstance(value, list) else "",
)
def test_values_of_a_linear_suffix_are_analytic(steps, y):
    model = make_pipeline(*steps).fit(X, y)
    found = explain(model, X[:20], background=X[20:])
    margin = getattr(model, "decision_function", model.predict)
    assert found.method == "linear"
    # A margin that is linear in the genes has the slopes that one gene at a time shows.
    mean = X[20:].mean().to_frame().T
    base = np.atleast_2d(margin(mean).T).T
    for gene in range(X.shape[1]):
        moved = mean.copy()
        moved.iloc[0, gene] += 1
        slope = (np.atleast_2d(margin(moved).T).T - base)[0]
        expected = np.outer(X.iloc[:20, gene] - mean.iloc[0, gene], slope)
        given = found.values[:, gene].reshape(20, -1)
        np.testing.assert_allclose(given, expected, atol=1e-8)
    assert found.additivity_error < 1e-8
    assert found.base_values == pytest.approx(margin(X[20:]).mean(axis=0), abs=1e-9)


def test_a_logarithm_moves_no_value_from_a_gene_to_another():
    counts, _, var, y = cohort()
    frame = pd.DataFrame(counts, columns=var.index)
    model = make_pipeline(LogTransformer(), StandardScaler(), LogisticRegression()).fit(frame, y)
    found = explain(model, frame)
    assert "after LogTransformer, which takes genes one by one but not linearly" in found.reason
    np.testing.assert_allclose(found.data, np.log2(counts + 1))
    few = frame.columns[[3, 5, 8]]
    part = make_pipeline(LogTransformer(), StandardScaler(), LogisticRegression())
    part.fit(frame[few], y)
    found = explain(part, frame[few][:3], background=frame[few])
    for row in range(3):
        exact = shapley(
            lambda rows: part.decision_function(pd.DataFrame(rows, columns=few)),
            frame[few].to_numpy()[row],
            frame[few].to_numpy(),
        )
        np.testing.assert_allclose(found.values[row], exact, atol=1e-8)


def test_gene_space_begins_after_what_couples_genes():
    counts, _, var, y = cohort()
    frame = pd.DataFrame(counts, columns=var.index)
    model = make_pipeline(CPMNormalizer(log=True), LogisticRegression(max_iter=500)).fit(frame, y)
    found = explain(model, frame)
    assert found.reason.endswith(
        "gene space begins after CPMNormalizer, which couples the genes of a sample"
    )
    seen = model[0].transform(frame).to_numpy()
    expected = (seen - seen.mean(axis=0)) * model[-1].coef_[0]
    np.testing.assert_allclose(found.values, expected, atol=1e-8)
    np.testing.assert_array_equal(found.data, seen)


def test_genes_that_are_left_out_have_no_value():
    model = make_pipeline(SelectKBest(k=3), LogisticRegression()).fit(X, TWO)
    found = explain(model, X)
    np.testing.assert_array_equal(found.in_model, model[0].get_support())
    assert not found.values[:, ~found.in_model].any()
    assert found.values.shape == X.shape


# ------------------------------------------------------------------ trees


@pytest.mark.parametrize(
    ("model", "y", "scale"),
    [
        (RandomForestClassifier(5, max_depth=3, random_state=0), TWO, "probability"),
        (RandomForestClassifier(5, max_depth=3, random_state=0), THREE, "probability"),
        (RandomForestRegressor(5, max_depth=3, random_state=0), NUMBER, "prediction"),
        (GradientBoostingClassifier(n_estimators=5, random_state=0), TWO, "log-odds"),
        (HistGradientBoostingClassifier(max_iter=5, min_samples_leaf=5), THREE, "logits"),
    ],
    ids=["forest", "forest of three", "forest of numbers", "boosting", "boosting of three"],
)
def test_values_of_trees_are_exact(model, y, scale):
    genes = ["G1", "G3", "G5", "G8", "G9"]
    pipeline = make_pipeline(VarianceFilter(n_genes=4), StandardScaler(), model).fit(X[genes], y)
    found = explain(pipeline, X[genes][:2], background=X[genes][20:35])
    assert found.method == "tree"
    assert found.scale == scale
    assert found.additivity_error < 1e-6
    assert ("on the probability, since it has no log-odds" in found.reason) == (
        scale == "probability"
    )
    output = 1 if len(set(y)) == 3 else 0
    name = {"probability": "predict_proba", "prediction": "predict"}.get(scale)
    margin = getattr(pipeline, name or "decision_function")

    def of_rows(rows):
        given = margin(pd.DataFrame(rows, columns=genes))
        if given.ndim == 1:
            return given
        return given[:, 1]

    for row in range(2):
        exact = shapley(of_rows, X[genes].to_numpy()[row], X[genes].to_numpy()[20:35])
        given = found.values[row] if found.values.ndim == 2 else found.values[row, :, output]
        np.testing.assert_allclose(given, exact, atol=1e-6)


def test_trees_behind_components_are_sampled():
    model = make_pipeline(PCA(3), RandomForestClassifier(5, random_state=0)).fit(X, TWO)
    found = explain(model, X[:3], background=X)
    assert found.method == "sampling"
    assert found.reason.startswith("PCA mixes the genes before RandomForestClassifier")
    with pytest.raises(ValueError, match="method='tree' does not fit this pipeline: PCA mixes"):
        explain(model, X, method="tree")


# ------------------------------------------------------------------ sampling


def test_sampled_values_are_those_of_a_linear_model():
    model = make_pipeline(StandardScaler(), PCA(5), LogisticRegression()).fit(X, TWO)
    exact = explain(model, X[:10], background=X[10:30], max_background=20)
    found = explain(model, X[:10], background=X[10:30], max_background=20, method="sampling")
    np.testing.assert_allclose(found.values, exact.values, atol=1e-10)
    assert found.additivity_error < 1e-10
    assert found.groups.keys() == set(X.columns)


def test_sampled_values_come_near_those_of_all_coalitions():
    genes = ["G1", "G3", "G5", "G8"]
    model = SVC().fit(X[genes], TWO)
    found = explain(model, X[genes][:3], background=X[genes][20:36])
    errors = []
    for row in range(3):
        exact = shapley(
            lambda rows: model.decision_function(pd.DataFrame(rows, columns=genes)),
            X[genes].to_numpy()[row],
            X[genes].to_numpy()[20:36],
        )
        errors.append((found.values[row] - exact) / found.standard_errors[row])
    assert np.abs(errors).max() < 3
    assert found.additivity_error < 1e-10


def test_linear_steps_ahead_change_nothing_but_the_cost(monkeypatch):
    wide = pd.DataFrame(
        np.repeat(X.to_numpy(), 6, axis=1) + 0.3 * RNG.normal(size=(60, 72)),
        columns=[f"W{i}" for i in range(72)],
    )
    model = make_pipeline(StandardScaler(), PCA(4), SVC()).fit(wide, TWO)
    fast = explain(model, wide[:4], background=wide)
    monkeypatch.setattr("geneexpr.explanation._methods.wants_names", lambda steps: True)
    slow = explain(model, wide[:4], background=wide)
    np.testing.assert_allclose(fast.values, slow.values, atol=1e-9)
    np.testing.assert_allclose(fast.group_values.sum(axis=1), fast.values.sum(axis=1))
    assert len(fast.groups) <= 50
    assert "modules of correlated genes" in fast.reason
    np.testing.assert_array_equal(np.sort(np.concatenate([*fast.groups.values()])), np.arange(72))


def test_very_many_genes_are_moved_one_way(monkeypatch):
    box = BlackBox(lambda rows: rows @ np.array([[2.0], [0.0], [-1.0]]))
    both = gene_slopes(box, np.ones(3), np.array([0.5, 1.0, 0.0]))
    np.testing.assert_allclose(both, [[2.0], [0.0], [0.0]])  # the last one does not vary
    monkeypatch.setattr("geneexpr.explanation._sampling.MANY", 2)
    np.testing.assert_allclose(gene_slopes(box, np.ones(3), np.array([0.5, 1.0, 0.0])), both)


def test_gene_sets_are_the_groups_that_are_sampled():
    sets = {"large": ["G1", "G3", "G5"], "small": ["G5", "G7"], "elsewhere": ["TP53"]}
    model = KNeighborsClassifier(7).fit(X, TWO)
    found = explain(model, X[:3], background=X, gene_sets=sets)
    assert found.groups["large"].tolist() == [1, 3]  # G5 belongs to the smaller set
    assert found.groups["small"].tolist() == [5, 7]
    assert found.scale == "log-odds"
    table = found.by_module()
    assert set(table["module"]) >= {"large", "small"}
    assert (table["standard_error"] >= 0).all()


def test_gene_sets_are_summed_where_nothing_is_sampled():
    sets = {"large": ["G1", "G3", "G5"], "small": ["G5", "G7"]}
    found = explain(LogisticRegression().fit(X, THREE), X, gene_sets=sets)
    np.testing.assert_allclose(found.module_values[:, 1], found.values[:, [5, 7]].sum(axis=1))
    table = found.by_module(1, per_class=True)
    assert table["class"].tolist() == ["a", "b", "c"]
    assert table["standard_error"].isna().all()


# ------------------------------------------------------------------ networks


NET = {"hidden_layers": (8,), "max_epochs": 15, "random_state": 0, "lr": 0.01}


@pytest.mark.parametrize(
    ("model", "y"),
    [
        (TorchMLPClassifier(**NET), TWO),
        (TorchMLPClassifier(**NET, calibration="temperature"), THREE),
        (TorchMLPClassifier(**{**NET, "hidden_layers": ()}), TWO),
        (
            TorchMLPClassifier(
                **{**NET, "hidden_layers": (8, 8, 4)},
                residual=True,
                normalization="batch",
                activation="relu",
            ),
            THREE,
        ),
        (TorchMLPClassifier(**NET, normalization="layer", activation="gelu"), TWO),
        (TorchMLPRegressor(**NET), NUMBER),
        (TorchMLPRegressor(**NET), np.column_stack([NUMBER, -3 * NUMBER])),
    ],
    ids=["tanh", "temperature", "linear", "deep", "layer norm", "number", "two numbers"],
)
@pytest.mark.parametrize(
    "ahead", [[StandardScaler()], [VarianceFilter(n_genes=6), PCA(4)]], ids=["scaled", "components"]
)
def test_values_of_networks_add_up(model, y, ahead):
    if np.ndim(y) == 2:
        ahead = ahead[-1:]
    pipeline = make_pipeline(*ahead, model).fit(X, y)
    found = explain(pipeline, X[:10], background=X[10:])
    assert found.method == "network"
    assert found.additivity_error < 1e-6
    margin = getattr(pipeline, "decision_function", pipeline.predict)
    total = found.values.sum(axis=1) + found.base_values
    np.testing.assert_allclose(total, margin(X[:10]), atol=1e-6)


def test_one_hidden_layer_has_the_mean_gradients_on_the_paths():
    model = TorchMLPClassifier(**NET).fit(X, TWO)
    found = explain(model, X[:6], background=X[10:22], method="network")
    path = explain(
        model, X[:6], background=X[10:22], max_background=12, method="integrated_gradients"
    )
    assert path.method == "integrated_gradients"
    assert path.additivity_error < 1e-5
    np.testing.assert_allclose(found.values, path.values, atol=1e-5)


def test_deep_networks_follow_the_rescale_rule():
    shap = pytest.importorskip("shap")
    import torch

    model = TorchMLPClassifier(**{**NET, "hidden_layers": (8, 6)}).fit(X, TWO)
    found = explain(model, X[:5], background=X[10:30])
    layers = []
    for layer in [*model.net_.module_.hidden, model.net_.module_.output]:
        if hasattr(layer, "weight"):
            weight = layer.weight.detach()
            weight = weight.T if type(layer).__name__ == "GeneLinear" else weight
            plain = torch.nn.Linear(*weight.T.shape, dtype=weight.dtype)
            plain.weight.data, plain.bias.data = weight.contiguous(), layer.bias.detach()
            layer = plain
        elif type(layer).__name__ == "Dropout":
            continue
        layers.append(layer)
    tensors = model.net_.module_.standardize(torch.from_numpy(X.to_numpy()))
    explainer = shap.DeepExplainer(torch.nn.Sequential(*layers), tensors[10:30])
    theirs = explainer.shap_values(tensors[:5], check_additivity=False)
    np.testing.assert_allclose(found.values, np.squeeze(theirs), atol=1e-6)


def test_a_network_behind_an_encoder_adds_up():
    counts, _, _, y = cohort()
    encoder = geneexpr.AutoencoderEmbedder(3, max_epochs=3, random_state=0).fit(np.log1p(counts))
    model = TorchMLPClassifier(**NET, encoder=encoder).fit(np.log1p(counts), y)
    found = explain(model, np.log1p(counts))
    assert found.method == "network"
    assert found.additivity_error < 1e-6


# ------------------------------------------------------------------ any pipeline, any container


def test_a_search_stands_for_its_best_pipeline():
    search = GridSearchCV(
        make_pipeline(StandardScaler(), LogisticRegression()),
        {"logisticregression__C": [0.1, 1.0]},
        cv=2,
    ).fit(X, TWO)
    found = explain(search, X)
    np.testing.assert_array_equal(found.values, explain(search.best_estimator_, X).values)


def test_pipelines_in_pipelines_are_explained_through():
    inner = make_pipeline(StandardScaler(), "passthrough", PCA(4))
    model = make_pipeline(inner, make_pipeline(StandardScaler(), LogisticRegression()))
    assert explain(model.fit(X, TWO), X).method == "linear"


@pytest.mark.parametrize("kind", [*MEMORY, *DISK])
@pytest.mark.parametrize("last", ["linear", "network", "tree"])
def test_every_container_gives_the_same(kind, last, tmp_path):
    counts, obs, var, y = cohort()
    models = {
        "linear": make_pipeline(ToArray(dense=True), StandardScaler(), LogisticRegression()),
        "network": TorchMLPClassifier(**NET),
        "tree": make_pipeline(ToArray(dense=True), RandomForestClassifier(5, random_state=0)),
    }
    model = make_pipeline(CPMNormalizer(log=True), models[last]).fit(counts, y)
    expected = explain(model, counts, max_samples=20)
    given = put(kind, counts, obs, var, tmp_path)
    if last != "network" or kind in MEMORY:  # networks see rows on disk in another order
        model = make_pipeline(CPMNormalizer(log=True), models[last]).fit(given, y)
    else:
        model = model.fit(put("anndata", counts, obs, var), y)
    before = dense(given).copy() if kind != "h5ad" else None
    found = explain(model, given, max_samples=20)
    np.testing.assert_allclose(found.values, expected.values, atol=1e-6)
    assert found.method == last
    assert len(found.values) == 20
    if before is not None:
        np.testing.assert_array_equal(dense(given), before)
    if "frame" in kind or "anndata" in kind:
        assert found.gene_names.tolist() == list(var.index)
        assert set(found.sample_names) < set(obs.index)


def test_sparse_genes_stay_sparse():
    rows = sp.csr_matrix(np.where(X.abs() > 1, X, 0))
    model = make_pipeline(StandardScaler(with_mean=False), LogisticRegression()).fit(rows, TWO)
    found = explain(model, rows)
    assert sp.issparse(found.data)
    dense_model = make_pipeline(StandardScaler(with_mean=False), LogisticRegression())
    dense_model.fit(rows.toarray(), TWO)
    expected = explain(dense_model, rows.toarray())
    np.testing.assert_allclose(found.values, expected.values, atol=1e-6)
    assert found.expression(["x3"]).shape == (60, 1)


def test_annotations_reach_a_batch_corrector():
    logged, obs, var, y = cohort(counts=False)
    frame = put("frame", logged, obs, var)
    model = make_pipeline(ComBatCorrector(batch_key="batch"), LogisticRegression(max_iter=500))
    model.fit(frame, y)
    found = explain(model, frame)
    assert found.reason.endswith("after ComBatCorrector, which reads annotations or layers")
    assert found.additivity_error < 1e-8
    assert len(found.values) == N_SAMPLES


def test_names_that_steps_ask_for_are_given():
    model = make_pipeline(StandardScaler(), PCA(3), SVC()).set_output(transform="pandas")
    found = explain(model.fit(X, TWO), X[:3], background=X)
    plain = explain(make_pipeline(StandardScaler(), PCA(3), SVC()).fit(X, TWO), X[:3], background=X)
    np.testing.assert_allclose(found.values, plain.values, atol=1e-9)


def test_the_same_seed_gives_the_same():
    model = KNeighborsClassifier().fit(X, TWO)
    one, two, other = (
        explain(model, X, max_samples=5, max_background=7, random_state=seed) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(one.values, two.values)
    assert list(one.sample_names) == list(two.sample_names) != list(other.sample_names)
    assert one.n_background == 7


# ------------------------------------------------------------------ the result


def test_tables():
    found = explain(LogisticRegression().fit(X, THREE), X)
    assert isinstance(found, Explanation)
    assert found.classes.tolist() == ["a", "b", "c"]
    assert found.values.shape == (60, 12, 3)
    frame = found.to_frame("b")
    assert frame.index.name == "sample"
    assert list(frame) == list(X)
    np.testing.assert_array_equal(frame, found.values[:, :, 1])
    top = found.top_genes(3)
    assert list(top) == ["gene", "mean_abs_shap", "mean_signed_effect"]
    assert len(top) == 3
    assert top["gene"].tolist()[:2] in (["G3", "G5"], ["G5", "G3"])
    each = found.top_genes(2, per_class=True)
    assert each["class"].tolist() == ["a", "a", "b", "b", "c", "c"]
    rising = each[(each["class"] == "a") & (each["gene"] == "G3")]["mean_signed_effect"]
    assert (rising < 0).all()  # class a has low G3
    assert "60 samples in 12 genes (12 in the model), logits" in repr(found)


def test_correlated_genes_are_shown_together():
    wide = X.assign(COPY=X["G3"] + 0.1 * X["G0"])
    found = explain(LogisticRegression().fit(wide, TWO), wide)
    table = found.by_module()
    first = table.iloc[0]
    assert sorted(first["genes"]) == ["COPY", "G3"]
    assert first["n_genes"] == 2
    np.testing.assert_allclose(
        first["mean_abs_shap"], found.to_frame()[["COPY", "G3"]].sum(axis=1).abs().mean()
    )


# ------------------------------------------------------------------ what is refused


FITTED = LogisticRegression().fit(X, TWO)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: explain(LogisticRegression(), X),
            "This LogisticRegression instance is not fitted yet. Call 'fit' with appropriate "
            "arguments before using this estimator.",
        ),
        (
            lambda: explain(make_pipeline(StandardScaler(), LogisticRegression()), X),
            "This Pipeline instance is not fitted yet. Call 'fit' with appropriate arguments before "
            "using this estimator.",
        ),
        (
            lambda: explain(FITTED, X, method="deep"),
            "method must be one of 'auto', 'linear', 'tree', 'network', 'sampling', "
            "'integrated_gradients'; got 'deep'.",
        ),
        (
            lambda: explain(FITTED, X, method="network"),
            "method='network' does not fit this pipeline: LogisticRegression is no network of "
            "geneexpr. method='auto' chooses one that does.",
        ),
        (
            lambda: explain(SVC().fit(X, TWO), X, method="linear"),
            "method='linear' does not fit this pipeline: SVC is not linear. method='auto' chooses "
            "one that does.",
        ),
        (lambda: explain(FITTED, X[:0]), "X holds nothing to explain: got 0 samples of 12 genes."),
        (
            lambda: explain(FITTED, X.iloc[0]),
            "X must have samples as rows and genes as columns, got shape (12,). For one sample give "
            "X[[i]] (a DataFrame: df.iloc[[i]]).",
        ),
        (
            lambda: explain(FITTED, X[:1]),
            "X itself is the background where none is given, and it holds 1 row: SHAP values compare "
            "a sample with at least 2 others. Give background=, such as the training samples.",
        ),
        (
            lambda: explain(FITTED, X, background=X[:1]),
            "background holds 1 row: SHAP values compare a sample with at least 2 others. Give "
            "background=, such as the training samples.",
        ),
        (
            lambda: explain(FITTED, X, background=X.rename(columns={"G0": "TP53"})),
            "background and X must have the same genes; they differ in 'G0', 'TP53'.",
        ),
        (
            lambda: explain(FITTED, X, background=X[X.columns[::-1]]),
            "background and X must have the same genes; they are in another order.",
        ),
        (
            lambda: explain(FITTED, X, background=X.to_numpy()[:, 1:]),
            "background and X must have the same genes: got 11 and 12 columns.",
        ),
        (
            lambda: explain(StandardScaler().fit(X), X),
            "StandardScaler predicts nothing, so that there is nothing to explain. Give a pipeline "
            "that ends in a classifier or a regressor.",
        ),
        (
            lambda: explain(
                GridSearchCV(LogisticRegression(), {"C": [1.0]}, refit=False).fit(X, TWO), X
            ),
            "This GridSearchCV holds no fitted pipeline (refit=False). Fit best_params_ on the "
            "training samples and explain that.",
        ),
        (
            lambda: explain(FITTED, X, gene_sets={"a": ["TP53"]}),
            "None of 1 gene sets has a gene among the 12 that are explained (such as 'G0'): are "
            "these names of the same kind?",
        ),
        (
            lambda: explain(FITTED, X, max_samples=0),
            "max_samples must be a whole number at least 1; got 0.",
        ),
        (
            lambda: explain(FITTED, X, max_background=1),
            "max_background must be a whole number at least 2; got 1.",
        ),
        (
            lambda: explain(LogisticRegression().fit(X, THREE), X).to_frame(),
            "There are 3 outputs ('a', 'b', 'c'): name the one that is meant, output=...",
        ),
        (
            lambda: explain(FITTED, X).to_frame("healthy"),
            "output must be one of 'control'; got 'healthy'.",
        ),
        (
            lambda: explain(FITTED, X).expression(["TP53"]),
            "1 of 1 genes are not explained: 'TP53'.",
        ),
        (lambda: explain(FITTED, X).top_genes(0), "k must be a whole number at least 1; got 0."),
    ],
)
def test_what_is_refused(call, message):
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        call()
    assert str(caught.value) == message


def test_other_genes_are_refused_in_the_words_of_the_pipeline():
    for model in (FITTED, make_pipeline(StandardScaler(), LogisticRegression()).fit(X, TWO)):
        with pytest.raises(ValueError, match="Feature names must be in the same order"):
            explain(model, X[X.columns[::-1]])
        with pytest.raises(ValueError, match="Feature names unseen at fit time"):
            explain(model, X.rename(columns={"G0": "TP53"}))


def test_lists_are_taken_as_arrays():
    rows = X.to_numpy()
    model = LogisticRegression().fit(rows, TWO)
    found = explain(model, rows[:5].tolist(), background=rows.tolist())
    np.testing.assert_array_equal(found.values, explain(model, rows[:5], background=rows).values)


def test_a_class_is_no_pipeline():
    with pytest.raises(TypeError, match="pipeline must be a fitted Pipeline or estimator, got the"):
        explain(LogisticRegression, X)


def test_a_small_background_is_warned_of():
    with pytest.warns(geneexpr.ExplanationWarning) as caught:
        explain(FITTED, X, background=X[:5])
    assert str(caught[0].message) == (
        "The background holds 5 rows, so that base value and values depend on who they are. Give "
        "at least 10, such as the training samples."
    )


def test_values_that_do_not_add_up_are_warned_of(monkeypatch):
    monkeypatch.setattr(
        "geneexpr.explanation._methods.column_means", lambda matrix: np.ones(matrix.shape[1])
    )
    with pytest.warns(geneexpr.ExplanationWarning, match="The values do not add up"):
        explain(FITTED, X)


# ------------------------------------------------------------------ size


@pytest.mark.parametrize("kind", ["zarr", "dask_csr", "array"])
@pytest.mark.parametrize(
    "last", [LogisticRegression(), TorchMLPClassifier(**NET), SVC()], ids=["linear", "net", "svc"]
)
def test_many_rows_are_their_own_background(kind, last, tmp_path):
    rows = np.abs(np.random.default_rng(1).normal(size=(240, 60)))
    y = np.where(rows[:, 3] > 0.6, "case", "control")
    obs = pd.DataFrame(index=[f"s{i}" for i in range(240)])
    var = pd.DataFrame(index=[f"g{i}" for i in range(60)])
    given = put(kind, rows, obs, var, tmp_path)
    model = make_pipeline(LogTransformer(), ToArray(dense=True), last).fit(given, y)
    most = 5 if isinstance(last, SVC) else None
    found = explain(model, given, max_samples=most, max_background=120)
    assert found.additivity_error < 1e-6
    assert found.n_background == 120 or found.method == "linear"
    assert found.top_genes(1)["gene"].iloc[0] == ("x3" if kind == "array" else "g3")
    assert found.data.shape == found.values.shape
    if most:
        names = np.arange(240) if kind == "array" else np.asarray(obs.index)
        assert set(found.sample_names) <= set(names)
        at = list(names).index(found.sample_names[0])
        np.testing.assert_allclose(dense(found.data)[0], np.log2(rows[at] + 1))


@pytest.mark.parametrize("last", [LogisticRegression(), TorchMLPClassifier(**NET)], ids=str)
def test_sparse_rows_are_never_dense_at_once(last):
    import tracemalloc

    rng = np.random.default_rng(0)
    rows = sp.random(4000, 1000, density=0.02, random_state=rng, format="csr")
    y = np.arange(4000) % 2
    model = make_pipeline(LogTransformer(), last).fit(rows[:100], y[:100])
    explain(model, rows[:20], background=rows)
    tracemalloc.start()
    explain(model, rows[:20], background=rows, max_background=50)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6  # the background as a dense array is 32 MB


def test_components_that_are_not_linear_are_sampled():
    logged, _, var, y = cohort(counts=False)
    frame = pd.DataFrame(logged, columns=var.index)
    model = make_pipeline(KernelPCA(3, kernel="rbf"), LogisticRegression()).fit(frame, y)
    found = explain(model, frame[:4], background=frame)
    assert found.method == "sampling"
    assert found.reason.startswith(
        "KernelPCA is not linear, and no other exact method fits: sampled orders of 24"
    )
    assert found.gene_names.tolist() == list(frame)
    assert found.additivity_error < 1e-6
