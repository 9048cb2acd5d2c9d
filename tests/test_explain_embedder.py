"""SHAP values of autoencoders and what is behind them, as of one network."""

import itertools
import math
import re

import numpy as np
import pandas as pd
import pytest
from cases import MEMORY, cohort, put
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC, LinearSVC

from geneexpr import (
    AutoencoderEmbedder,
    CPMNormalizer,
    OnMatrix,
    ToArray,
    TorchMLPClassifier,
    TorchMLPRegressor,
    VarianceFilter,
    VariationalAutoencoderEmbedder,
    explain,
)

RNG = np.random.default_rng(0)
X = pd.DataFrame(
    RNG.normal(size=(60, 9)) @ (np.eye(9) + 0.2 * RNG.normal(size=(9, 9))) + 3,
    columns=[f"G{i}" for i in range(9)],
    index=[f"s{i}" for i in range(60)],
)
COUNTS = pd.DataFrame(RNG.poisson(30, size=(60, 9)) * 1.0, columns=X.columns, index=X.index)
TWO = np.where(X["G3"] + 0.5 * X["G5"] > 4.5, "case", "control")
THREE = np.array(["a", "b", "c"])[(X["G3"] > 3).astype(int) + (X["G5"] > 3.5)]
NUMBER = (X["G3"] * 2 - X["G5"]).to_numpy()
NET = {"hidden_layers": (6,), "max_epochs": 8, "random_state": 0}


def plain(**changed):
    return AutoencoderEmbedder(3, **{**NET, "activation": "tanh", **changed})


def variational(**changed):
    return VariationalAutoencoderEmbedder(3, **{**NET, "likelihood": "gaussian", **changed})


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


# ------------------------------------------------------------------ values


@pytest.mark.parametrize(
    ("steps", "y"),
    [
        ([StandardScaler(), plain(), StandardScaler(), LogisticRegression()], TWO),
        ([StandardScaler(), plain(), LogisticRegression()], THREE),
        ([VarianceFilter(n_genes=6), plain(hidden_layers=(6, 4)), PCA(2), LinearSVC()], TWO),
        ([plain(activation="gelu", tied=True), StandardScaler(), Ridge()], NUMBER),
        ([plain(), Ridge()], np.column_stack([NUMBER, -3 * NUMBER])),
        ([StandardScaler(), PCA(5), plain(), StandardScaler(), LogisticRegression()], THREE),
        ([plain(hidden_layers=()), StandardScaler(), LogisticRegression()], TWO),
        ([variational(), StandardScaler(), LogisticRegression()], TWO),
        ([StandardScaler(), variational(hidden_layers=()), LogisticRegression()], THREE),
        ([plain(), StandardScaler(), TorchMLPClassifier(**NET)], TWO),
        ([plain(), PCA(2), TorchMLPClassifier(**NET, calibration="temperature")], THREE),
        ([variational(), StandardScaler(), TorchMLPRegressor(**NET)], NUMBER),
        ([plain(), TorchMLPClassifier(**NET, normalization="layer")], TWO),
    ],
    ids=lambda value: "-".join(type(s).__name__ for s in value) if isinstance(value, list) else "",
)
def test_values_add_up(steps, y):
    model = make_pipeline(*steps).fit(X, y)
    found = explain(model, X[:10], background=X[10:])
    assert found.method == "network"
    assert found.additivity_error < 1e-6
    margin = getattr(model, "decision_function", model.predict)
    total = found.values.sum(axis=1) + found.base_values
    np.testing.assert_allclose(total, margin(X[:10]), atol=1e-6)
    assert found.gene_names.tolist() == X.columns.tolist()
    if np.ndim(y) == 1 and len(set(y)) == 3:
        assert found.values.shape == (10, 9, 3)
        assert found.classes.tolist() == ["a", "b", "c"]


@pytest.mark.parametrize("y", [TWO, THREE], ids=["two", "three"])
@pytest.mark.parametrize("make", [plain, variational])
def test_without_activations_values_are_those_of_a_linear_model(make, y):
    model = make_pipeline(
        VarianceFilter(n_genes=6),
        StandardScaler(),
        make(hidden_layers=(5, 4), activation="identity"),
        StandardScaler(),
        LogisticRegression(),
    ).fit(X, y)
    found = explain(model, X[:7], background=X[7:])
    values = found.values.reshape(7, 9, -1)
    mean = X[7:].mean().to_frame().T
    base = np.atleast_2d(model.decision_function(mean).T).T
    for gene in range(9):
        moved = mean.copy()
        moved.iloc[0, gene] += 1
        slope = (np.atleast_2d(model.decision_function(moved).T).T - base)[0]
        wanted = (X.iloc[:7, gene] - mean.iloc[0, gene]).to_numpy()[:, None] * slope
        np.testing.assert_allclose(values[:, gene], wanted, atol=1e-6)
    np.testing.assert_array_equal(found.in_model, model[0].support_)


def test_without_activations_values_are_exact_shapley_values():
    model = make_pipeline(plain(activation="identity"), StandardScaler(), Ridge())
    rows = X.to_numpy()
    model.fit(rows, NUMBER)
    found = explain(model, rows[:2], background=rows[20:40])
    for i in range(2):
        wanted = shapley(model.predict, rows[i], rows[20:40])
        np.testing.assert_allclose(found.values[i], wanted, atol=1e-6)


def test_one_hidden_layer_has_the_mean_gradients_on_the_paths():
    import torch

    rows = X.to_numpy()
    model = make_pipeline(plain(), StandardScaler(), LogisticRegression()).fit(rows, TWO)
    embedder, scaler, logistic = (step for _, step in model.steps)
    weights = torch.from_numpy(logistic.coef_[0] / scaler.scale_)
    found = explain(model, rows[:3], background=rows[10:20])
    nodes, shares = np.polynomial.legendre.leggauss(40)
    x, b = (torch.from_numpy(part) for part in (rows[:3, None], rows[None, 10:20]))
    wanted = torch.zeros(3, 9, dtype=torch.float64)
    for t, share in zip((nodes + 1) / 2, shares / 2, strict=True):
        at = (b + t * (x - b)).reshape(-1, 9).requires_grad_()
        margin = embedder.net_.module_.encode(at) @ weights
        (slopes,) = torch.autograd.grad(margin.sum(), at)
        wanted += share * ((x - b) * slopes.reshape(3, 10, 9)).mean(dim=1)
    np.testing.assert_allclose(found.values, wanted, atol=1e-8)


@pytest.mark.parametrize(
    "embedder",
    [plain(loss="poisson"), plain(loss="nb", hidden_layers=(6, 4)), variational(likelihood="nb")],
    ids=["poisson", "nb", "variational nb"],
)
def test_encoders_of_counts_take_the_logarithm_of_each_gene_first(embedder):
    model = make_pipeline(
        VarianceFilter(n_genes=7), embedder, StandardScaler(), LogisticRegression()
    ).fit(COUNTS, TWO)
    found = explain(model, COUNTS[:10], background=COUNTS[10:])
    assert found.method == "network"
    assert found.additivity_error < 1e-6
    assert (found.values[:, ~model[0].support_] == 0).all()


# ------------------------------------------------------------------ pipelines and containers


@pytest.mark.parametrize("kind", MEMORY)
def test_every_container_gives_the_same(kind):
    counts, obs, var, y = cohort()
    model = make_pipeline(
        CPMNormalizer(log=True),
        VarianceFilter(n_genes=12),
        ToArray(),
        OnMatrix(StandardScaler()),
        plain(),
        StandardScaler(),
        LogisticRegression(),
    )
    found = explain(model.fit(put(kind, counts, obs, var), y), put(kind, counts, obs, var))
    wanted = explain(model.fit(counts, y), counts)
    assert found.method == wanted.method == "network"
    assert found.additivity_error < 1e-5
    np.testing.assert_allclose(found.values, wanted.values, atol=1e-4)
    if kind in ("frame", "anndata"):
        assert found.gene_names.tolist() == var.index.tolist()


def test_a_frame_goes_through_named_steps():
    model = make_pipeline(StandardScaler(), plain(), StandardScaler(), LogisticRegression())
    named = model.set_output(transform="pandas").fit(X, TWO)
    found = explain(named, X)
    assert found.method == "network"
    assert found.additivity_error < 1e-6


def test_method_network_can_be_asked_for_and_says_what_it_explains():
    model = make_pipeline(plain(), StandardScaler(), LogisticRegression()).fit(X, TWO)
    found = explain(model, X, method="network")
    np.testing.assert_array_equal(found.values, explain(model, X).values)
    assert found.reason == (
        "AutoencoderEmbedder and the linear LogisticRegression behind it are one network, whose "
        "gradients behind the first layer cost little; gene space is X as given"
    )
    behind = make_pipeline(variational(), TorchMLPClassifier(**NET)).fit(X, TWO)
    assert explain(behind, X).reason.startswith(
        "VariationalAutoencoderEmbedder and the TorchMLPClassifier behind it are one network"
    )


def squares():
    return FunctionTransformer(lambda Z: np.hstack([Z, Z**2]))


@pytest.mark.filterwarnings("ignore:.*not whole:geneexpr.GeneExpressionWarning")
@pytest.mark.parametrize(
    ("steps", "message"),
    [
        (
            [plain(), SVC()],
            "SVC behind AutoencoderEmbedder is neither linear nor a network of geneexpr",
        ),
        (
            [plain(), squares(), LogisticRegression()],
            "FunctionTransformer is not linear and stands behind AutoencoderEmbedder",
        ),
        (
            [TruncatedSVD(1), plain(loss="nb"), LogisticRegression()],
            "TruncatedSVD mixes the genes before AutoencoderEmbedder takes their logarithms",
        ),
    ],
    ids=["model", "step", "counts"],
)
def test_says_what_does_not_fit(steps, message):
    rows = COUNTS.to_numpy()
    model = make_pipeline(*steps).fit(rows, TWO)
    with pytest.raises(
        ValueError, match=re.escape(f"method='network' does not fit this pipeline: {message}.")
    ):
        explain(model, rows, method="network")
    if isinstance(steps[-1], SVC):
        found = explain(model, rows[:3], background=rows[10:])
        assert found.method == "sampling"
        assert found.reason.startswith(f"{message}: sampled orders")
