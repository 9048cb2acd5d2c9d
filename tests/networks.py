"""The network estimators, small, with what each of them learns from."""

from functools import cache

import numpy as np
import pytest

from geneexpr import (
    AutoencoderEmbedder,
    TorchMLPClassifier,
    TorchMLPRegressor,
    VariationalAutoencoderEmbedder,
)

N, GENES = 120, [f"g{i}" for i in range(30)]

NETWORKS = {
    "classifier": TorchMLPClassifier,
    "regressor": TorchMLPRegressor,
    "autoencoder": AutoencoderEmbedder,
    "variational": VariationalAutoencoderEmbedder,
}
every = pytest.mark.parametrize("kind", NETWORKS)


def network(kind, **options):
    """A small network of a kind, unfitted."""
    options = {"hidden_layers": (16,), "max_epochs": 5, "random_state": 0} | options
    if kind in ("autoencoder", "variational"):
        options = {"n_components": 3, "batch_size": 32} | options
    return NETWORKS[kind](**options)


@cache
def counts():
    """Counts of two classes."""
    rng = np.random.default_rng(0)
    mean = np.full((N, len(GENES)), 20.0)
    mean[::2, :5] *= 4
    return rng.poisson(rng.gamma(5, mean / 5)).astype(np.float32)


def matrix(kind):
    """What an estimator learns from: counts, or their logarithms about zero."""
    X = counts()
    return X.copy() if kind == "variational" else (np.log1p(X) - 3).astype(np.float32)


def target(kind):
    """Labels, two numbers, or nothing."""
    first = np.arange(N) % 2 == 0
    return {
        "classifier": np.where(first, "case", "control"),
        "regressor": np.column_stack([first * 50.0, np.arange(N) % 3]),
    }.get(kind)


def output(model, X):
    """What a fitted network says of samples."""
    if hasattr(model, "predict_proba"):
        return model.predict_proba(X)
    return model.predict(X) if hasattr(model, "predict") else model.transform(X)
