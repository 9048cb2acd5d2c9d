"""Networks in files, on other machines, and in the workers of a search; all four of them."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from networks import NETWORKS, every, matrix, network, output, target
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, HalvingRandomSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from skorch.callbacks import EpochTimer

from geneexpr import load_model, nets, save_model


@pytest.fixture
def given(kind):
    """What ``fit`` of an estimator is given."""
    return matrix(kind), target(kind)


# ------------------------------------------------------------------ files, and other machines


def plain(value):
    """Tell whether a value is made of arrays in main memory, strings, numbers, lists, dicts."""
    if isinstance(value, dict):
        return all(isinstance(k, str) and plain(v) for k, v in value.items())
    if isinstance(value, (list, tuple)):
        return all(plain(v) for v in value)
    if isinstance(value, np.ndarray):
        return value.dtype != object or all(isinstance(v, str) for v in value.flat)
    return value is None or isinstance(value, (bool, int, float, str, np.number))


@every
def test_the_state_holds_plain_values(kind, given):
    state = network(kind, early_stopping=True, callbacks=[EpochTimer()]).fit(*given).__getstate__()
    assert {key for key, value in state.items() if not plain(value)} == set()
    assert state["callbacks"] is None


@every
def test_what_was_trained_on_a_gpu_is_loaded_where_there_is_none(kind, given, monkeypatch):
    X, y = given
    model = network(kind).fit(X, y)
    state = model.__getstate__() | {"device_": "cuda", "device": "cuda"}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    other = NETWORKS[kind].__new__(NETWORKS[kind])
    other.__setstate__(state)
    assert other.device_ == "cpu"
    assert {p.device.type for p in other.net_.module_.parameters()} == {"cpu"}
    np.testing.assert_array_equal(output(other, X), output(model, X))
    with pytest.raises(ValueError, match=r'device="cuda" was asked for, but PyTorch finds none'):
        other.fit(X, y)
    other.set_params(device="auto", warm_start=True).fit(X, y)
    model.set_params(warm_start=True).fit(X, y)
    np.testing.assert_array_equal(output(other, X), output(model, X))


def test_weights_leave_the_device_on_their_way_into_the_state():
    class Elsewhere:
        """A tensor that must come to the CPU before it is an array."""

        def detach(self):
            return self

        def cpu(self):
            return torch.ones(2)

        def numpy(self):
            raise TypeError("can't convert cuda:0 device type tensor to numpy")

    class Holder:
        param_groups = ({"params": [0]},)

        def state_dict(self):
            return {
                "weight": Elsewhere(),
                "param_groups": [{"params": [0]}],
                "state": {0: {"step": Elsewhere()}},
            }

    module = Holder()
    module.state_dict = lambda: {"weight": Elsewhere()}
    assert nets.weights_to_arrays(module)["weight"].tolist() == [1, 1]
    assert nets.optimizer_to_arrays(Holder())[0]["step"].tolist() == [1, 1]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU is present")
@every
def test_a_file_of_a_gpu_goes_on_on_the_cpu(kind, given, tmp_path, monkeypatch):
    X, y = given
    model = network(kind, device="cuda", precision="full", early_stopping=True).fit(X, y)
    assert {p.device.type for p in model.net_.module_.parameters()} == {"cuda"}
    assert {key for key, value in model.__getstate__().items() if not plain(value)} == set()
    save_model(model, tmp_path / "model.skops")
    expected = output(model, X)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    there = load_model(tmp_path / "model.skops")
    assert there.device_ == "cpu"
    np.testing.assert_allclose(output(there, X), expected, rtol=1e-3, atol=1e-4)
    there.set_params(device="auto", warm_start=True).fit(X, y)
    assert there.n_epochs_ > model.n_epochs_


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU is present")
@every
def test_a_gpu_learns_what_the_cpu_learns(kind, given):
    X, y = given
    on_gpu, on_cpu = (
        network(kind, device=device, precision="full", dropout=0.0, max_epochs=20).fit(X, y)
        for device in ("cuda", "cpu")
    )
    assert on_gpu.loss_curve_[-1] == pytest.approx(on_cpu.loss_curve_[-1], rel=0.2)
    lower = network(kind, device="cuda", precision="bf16", max_epochs=20).fit(X, y)
    assert np.isfinite(output(lower, X)).all()


# ------------------------------------------------------------------ search


def pipeline(kind):
    """A pipeline that ends in a prediction, the network in it."""
    options = {"hidden_layers": (8,), "max_epochs": 2}
    if kind in ("classifier", "regressor"):
        return make_pipeline(StandardScaler(), network(kind, **options))
    first = FunctionTransformer() if kind == "variational" else StandardScaler()
    return make_pipeline(first, network(kind, **options), LogisticRegression())


def searched(kind, **settings):
    return {f"{NETWORKS[kind].__name__.lower()}__{key}": value for key, value in settings.items()}


def labels(kind):
    return target("regressor" if kind == "regressor" else "classifier")


@every
def test_grid_search_with_two_workers(kind):
    grid = searched(kind, hidden_layers=[(4,), (8,)], dropout=[0.0, 0.2])
    found = [
        GridSearchCV(pipeline(kind), grid, cv=2, n_jobs=n_jobs, error_score="raise").fit(
            matrix(kind), labels(kind)
        )
        for n_jobs in (None, 2)
    ]
    X = matrix(kind)
    one, two = (search.cv_results_["mean_test_score"] for search in found)
    assert len(set(one)) > 1
    np.testing.assert_allclose(one, two, rtol=1e-6)
    assert found[0].score(X, labels(kind)) == pytest.approx(found[1].score(X, labels(kind)))


@every
def test_halving_random_search(kind):
    space = searched(kind, activation=["tanh", "relu"], lr=[1e-3, 3e-3, 1e-2], batch_size=[16, 40])
    resource = next(iter(searched(kind, max_epochs=None)))
    search = HalvingRandomSearchCV(
        pipeline(kind),
        space,
        resource=resource,
        max_resources=9,
        min_resources=1,
        random_state=0,
        cv=2,
        n_jobs=2,
        error_score="raise",
    ).fit(matrix(kind), labels(kind))
    assert search.best_params_[resource] == 9
    assert search.n_resources_ == [1, 3, 9]
    step = search.best_estimator_[NETWORKS[kind].__name__.lower()]
    assert step.n_epochs_ == 9


WORKERS = """
import sys
import joblib, numpy as np, torch
from joblib import Parallel, delayed
import geneexpr

def threads(name, seed):
    model = getattr(geneexpr, name)(hidden_layers=(4,), max_epochs=1)
    X = np.random.default_rng(seed).poisson(9.0, size=(20, 3))
    model.fit(X, np.arange(20) % 2)
    return torch.get_num_threads()

if __name__ == "__main__":
    n = Parallel(n_jobs=2)(delayed(threads)(n, i) for i in range(2) for n in sys.argv[1:])
    print(max(n), max(1, joblib.cpu_count() // 2))
"""


def test_two_workers_share_the_processors(tmp_path):
    script = tmp_path / "workers.py"
    script.write_text(WORKERS)
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    free = {name: value for name, value in os.environ.items() if name not in names}
    classes = [cls.__name__ for cls in NETWORKS.values()]
    out = subprocess.run(
        [sys.executable, script, *classes], capture_output=True, text=True, check=True, env=free
    )
    most, share = map(int, out.stdout.split())
    assert most <= share
