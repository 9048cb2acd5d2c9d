"""Training a network: the same work by five hands."""

from __future__ import annotations

import itertools

import numpy as np

from ._data import sparse_counts
from ._jobs import OURS, Job, equal_score, times_faster, within_memory

HIDDEN, N_CLASSES, LEARNING_RATE = 128, 5, 1e-3
EPOCHS = 5
LOOP, SCRIPT = "hand-written loop", "DataLoader script"


def _data(quick):
    """Standardised expression; a hundred genes of each class differ."""
    n_train, n_genes = (80, 1_000) if quick else (800, 20_531)
    rng = np.random.default_rng(0)
    n = n_train + 400
    X = rng.standard_normal((n, n_genes), dtype=np.float32)
    y = rng.integers(0, N_CLASSES, n)
    for k in range(N_CLASSES):
        X[y == k, 100 * k : 100 * (k + 1)] += 0.25
    train = slice(None, n_train)
    held = slice(n_train, None)
    return {"X": X[train], "y": y[train], "X_test": X[held], "y_test": y[held]}


def _module(n_genes):
    from torch import nn

    return nn.Sequential(nn.Linear(n_genes, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, N_CLASSES))


def _predictor(module):
    import torch

    def predict(X):
        with torch.no_grad():
            return module(torch.from_numpy(X)).argmax(1).numpy()

    return predict


def _ours(batch_size):
    def prepare(data):
        from geneexpr import TorchMLPClassifier

        model = TorchMLPClassifier(
            (HIDDEN,),
            activation="relu",
            dropout=0,
            lr=LEARNING_RATE,
            batch_size=batch_size,
            max_epochs=EPOCHS,
            early_stopping=False,
            random_state=0,
        )
        return lambda: model.fit(data["X"], data["y"]).predict

    return prepare


def _loop(batch_size):
    """The leanest loop that we can write: one gather a batch, a fused optimiser."""

    def prepare(data):
        import torch
        from torch.nn.functional import cross_entropy

        X, y = torch.from_numpy(data["X"]), torch.from_numpy(data["y"])

        def fit():
            torch.manual_seed(0)
            module = _module(X.shape[1])
            optimiser = torch.optim.Adam(module.parameters(), lr=LEARNING_RATE, fused=True)
            for _ in range(EPOCHS):
                for rows in torch.randperm(len(X)).split(batch_size):
                    optimiser.zero_grad()
                    cross_entropy(module(X[rows]), y[rows]).backward()
                    optimiser.step()
            return _predictor(module)

        return fit

    return prepare


def _script(batch_size):
    """The script that most people write."""

    def prepare(data):
        import torch
        from torch.utils.data import DataLoader, TensorDataset

        rows = TensorDataset(torch.from_numpy(data["X"]), torch.from_numpy(data["y"]))

        def fit():
            torch.manual_seed(0)
            module = _module(data["X"].shape[1])
            optimiser = torch.optim.Adam(module.parameters(), lr=LEARNING_RATE)
            loss = torch.nn.CrossEntropyLoss()
            for _ in range(EPOCHS):
                for X, y in DataLoader(rows, batch_size=batch_size, shuffle=True):
                    optimiser.zero_grad()
                    loss(module(X), y).backward()
                    optimiser.step()
            return _predictor(module)

        return fit

    return prepare


def _skorch(batch_size):
    def prepare(data):
        import torch
        from skorch import NeuralNetClassifier

        def fit():
            torch.manual_seed(0)
            net = NeuralNetClassifier(
                _module(data["X"].shape[1]),
                criterion=torch.nn.CrossEntropyLoss,
                optimizer=torch.optim.Adam,
                lr=LEARNING_RATE,
                batch_size=batch_size,
                max_epochs=EPOCHS,
                iterator_train__shuffle=True,
                train_split=None,
                verbose=0,
            )
            return net.fit(data["X"], data["y"]).predict

        return fit

    return prepare


def _sklearn(batch_size):
    def prepare(data):
        from sklearn.neural_network import MLPClassifier

        model = MLPClassifier(
            (HIDDEN,),
            learning_rate_init=LEARNING_RATE,
            batch_size=batch_size,
            max_iter=EPOCHS,
            random_state=0,
        )
        return lambda: model.fit(data["X"], data["y"]).predict

    return prepare


def _accuracy(data, predict):
    return float((predict(data["X_test"]) == data["y_test"]).mean())


def _job(batch_size, faster_than_script):
    prepare = {
        OURS: _ours,
        LOOP: _loop,
        SCRIPT: _script,
        "skorch": _skorch,
        "scikit-learn": _sklearn,
    }
    return Job(
        f"mlp_{batch_size}",
        f"TorchMLPClassifier.fit, 800 x 20 531, 128 hidden, {EPOCHS} epochs, batch {batch_size}",
        _data,
        {name: make(batch_size) for name, make in prepare.items()},
        targets=(
            times_faster(0.9, LOOP),
            times_faster(faster_than_script, SCRIPT),
            times_faster(1, "scikit-learn"),
            times_faster(1, "skorch"),
            equal_score(0.03, "accuracy"),
        ),
        score=_accuracy,
        score_name="accuracy",
    )


N_COMPONENTS = 32


def _autoencoder(data):
    from geneexpr import AutoencoderEmbedder

    model = AutoencoderEmbedder(
        N_COMPONENTS,
        hidden_layers=(HIDDEN,),
        noise=0.0,
        batch_size=128,
        max_epochs=EPOCHS,
        early_stopping=False,
        random_state=0,
    )
    return lambda: model.fit(data["X"]).inverse_transform


def _autoencoder_loop(data):
    import torch
    from torch import nn

    X = torch.from_numpy(data["X"])
    widths = [X.shape[1], HIDDEN, N_COMPONENTS, HIDDEN, X.shape[1]]

    def fit():
        torch.manual_seed(0)
        layers = [nn.Linear(a, b) for a, b in itertools.pairwise(widths)]
        module = nn.Sequential(
            *(part for layer in layers[:-1] for part in (layer, nn.ReLU())), layers[-1]
        )
        optimiser = torch.optim.Adam(module.parameters(), lr=LEARNING_RATE, fused=True)
        for _ in range(EPOCHS):
            for rows in torch.randperm(len(X)).split(128):
                batch = X[rows]
                optimiser.zero_grad()
                nn.functional.mse_loss(module(batch), batch).backward()
                optimiser.step()
        return module

    return fit


SPARSE = (20_000, 20_000)
DENSE = "geneexpr, dense"


def _sparse_data(quick):
    X = sparse_counts(*((300, 500) if quick else SPARSE), 0.1)
    X.data = np.log2(X.data + 1)
    return {"X": X, "y": np.arange(X.shape[0]) % 2}


def _ours_sparse(data):
    from geneexpr import TorchMLPClassifier

    model = TorchMLPClassifier(
        (HIDDEN,), batch_size=256, max_epochs=1, early_stopping=False, random_state=0
    )
    return lambda: model.fit(data["X"], data["y"])


def _ours_dense(data):
    return _ours_sparse({"X": data["X"].toarray(), "y": data["y"]})


def _sklearn_sparse(data):
    from sklearn.neural_network import MLPClassifier

    model = MLPClassifier((HIDDEN,), batch_size=256, max_iter=1, random_state=0)
    return lambda: model.fit(data["X"], data["y"])


JOBS = (
    _job(128, 1.4),
    _job(16, 1.3),
    Job(
        "mlp_csr",
        "TorchMLPClassifier.fit, CSR 20 000 x 20 000, 10 %, one epoch",
        _sparse_data,
        {OURS: _ours_sparse, DENSE: _ours_dense, "scikit-learn": _sklearn_sparse},
        targets=(
            within_memory(0.05 * 8 * SPARSE[0] * SPARSE[1], "a twentieth of the dense size"),
            times_faster(0.5, DENSE),
        ),
        repeats=1,
    ),
    Job(
        "autoencoder",
        f"AutoencoderEmbedder.fit, 800 x 20 531, 128 hidden, {N_COMPONENTS} components, "
        f"{EPOCHS} epochs, batch 128",
        _data,
        {OURS: _autoencoder, LOOP: _autoencoder_loop},
    ),
)
