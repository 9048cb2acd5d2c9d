import re
import sys

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from geneexpr import TorchMLPClassifier, TorchMLPRegressor, integrated_gradients


@pytest.fixture(scope="module")
def cohort():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 12))
    return X, np.where(X[:, 3] + 0.3 * rng.normal(size=60) > 0, "case", "control")


@pytest.fixture(scope="module")
def network(cohort):
    return TorchMLPClassifier((8,), lr=0.01, max_epochs=60, random_state=0).fit(*cohort)


def test_a_quadratic_by_hand():
    # The gradient along the path is linear in t, which two points integrate exactly.
    x, b = np.array([[3.0, 1.0]]), np.array([1.0, 0.0])
    shares, errors = integrated_gradients(
        lambda z: (z**2).sum(1) + z[:, 0] * z[:, 1], x, b, n_steps=2
    )
    # x = (3, 1), b = (1, 0): at t the gradient is (2(1 + 2t) + t, 2t + 1 + 2t).
    np.testing.assert_allclose(shares, [[2 * 4.5, 1 * 3.0]], rtol=1e-6)
    np.testing.assert_allclose(errors, 0, atol=1e-5)


def test_a_linear_network_is_attributed_exactly(cohort):
    X, y = cohort
    model = TorchMLPClassifier((), max_epochs=20, random_state=0).fit(X, y)
    weights = model.decision_function(np.eye(12)) - model.decision_function(np.zeros((1, 12)))
    shares, errors = integrated_gradients(model.net_.module_, X, X.mean(axis=0))
    np.testing.assert_allclose(shares, (X - X.mean(axis=0)) * weights, rtol=1e-6, atol=1e-9)
    assert np.abs(errors).max() < 1e-6


def test_attributions_add_up_to_the_margin(cohort, network):
    X, _ = cohort
    shares, errors = integrated_gradients(network.net_.module_, X, X[:7], n_steps=64)
    gap = network.decision_function(X) - network.decision_function(X[:7]).mean()
    np.testing.assert_allclose(shares.sum(axis=1) - gap, errors, atol=1e-12)
    assert np.abs(errors).max() < 1e-6
    assert np.abs(shares).mean(axis=0).argmax() == 3


def test_several_baselines_are_averaged(cohort, network):
    X, _ = cohort
    each = [integrated_gradients(network.net_.module_, X[:5], row)[0] for row in X[10:13]]
    both, _ = integrated_gradients(network.net_.module_, X[:5], X[10:13])
    np.testing.assert_allclose(both, np.mean(each, axis=0), atol=1e-12)


def test_blocks_and_sparse_rows_give_the_same(cohort, network, monkeypatch):
    from geneexpr.explanation import _integrated_gradients as where

    X = np.where(np.abs(cohort[0]) < 1, 0, cohort[0])
    whole = integrated_gradients(network.net_.module_, X, np.zeros(12))
    monkeypatch.setattr(where, "_BYTES", 8 * 12 * 32 * 7)
    for rows in (X, sp.csr_matrix(X), sp.csc_array(X)):
        for a, b in zip(
            whole, integrated_gradients(network.net_.module_, rows, np.zeros(12)), strict=True
        ):
            np.testing.assert_allclose(a, b, atol=1e-12)


def test_targets_one_a_row():
    X = np.random.default_rng(0).normal(size=(90, 5))
    y = X[:, :3].argmax(axis=1)
    model = TorchMLPClassifier((6,), max_epochs=20, random_state=0).fit(X, y)
    module = model.net_.module_
    each = [integrated_gradients(module, X, np.zeros(5), target=k)[0] for k in range(3)]
    own, errors = integrated_gradients(module, X, np.zeros(5), target=y)
    np.testing.assert_allclose(own, np.choose(y[:, None], each), atol=1e-12)
    assert np.abs(errors).max() < 1e-5


def test_a_regressor_and_single_precision():
    X = np.random.default_rng(0).normal(size=(60, 5)).astype(np.float32)
    model = TorchMLPRegressor((6,), max_epochs=20, random_state=0).fit(X, X[:, 1])
    shares, errors = integrated_gradients(model.net_.module_, X, np.zeros(5))
    assert shares.dtype == np.float32
    assert np.abs(errors).max() < 1e-4


def test_nothing_is_left_changed(cohort, network):
    X = cohort[0].copy()
    X.flags.writeable = False
    module = network.net_.module_
    module.train()
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    try:
        first, _ = integrated_gradients(module, X, np.zeros(12))
        again, _ = integrated_gradients(module, X, np.zeros(12))
        assert module.training
    finally:
        module.eval()
    assert torch.equal(before[0], torch.get_rng_state())
    np.testing.assert_array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002
    np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"baseline": np.zeros(3)},
            "baseline must have the genes of rows: got 3 values for 12 genes.",
        ),
        ({"target": 1}, "target is 1, but the network has 1 outputs, counted from 0."),
        (
            {"target": "case"},
            "target must be the number of an output, or one number a row; got 'case' for 60 rows.",
        ),
        ({"n_steps": 0}, "n_steps must be a whole number at least 1; got 0."),
        (
            {"module": lambda x: x[None]},
            "The network must give one value or one row of values a sample; got an output of shape (1, 1, 12).",
        ),
    ],
)
def test_bad_input_says_what_to_do(cohort, network, change, message):
    given = {"module": network.net_.module_, "rows": cohort[0], "baseline": np.zeros(12)} | change
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        integrated_gradients(**given)


def test_without_captum(cohort, network, monkeypatch):
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    monkeypatch.setitem(sys.modules, "captum", None)
    with pytest.raises(ImportError) as error:
        integrated_gradients(network.net_.module_, cohort[0], np.zeros(12))
    assert str(error.value) == (
        "integrated_gradients needs the package captum; install it with: pip install 'geneexpr[explanation]'"
    )
