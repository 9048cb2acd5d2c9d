"""The multi-layer perceptron as a regressor."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.linear_model import LinearRegression
from skorch.callbacks import EpochScoring

from geneexpr import GeneExpressionWarning, TorchMLPRegressor
from geneexpr.predictors._regressor import target_moments

N, GENES = 120, [f"g{i}" for i in range(20)]


def model(**options):
    options = {"hidden_layers": (16,), "max_epochs": 20, "lr": 0.01, "random_state": 0} | options
    return TorchMLPRegressor(options.pop("hidden_layers"), **options)


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, len(GENES)))
    Y = np.column_stack([1000 + 50 * X[:, 0], 1e-4 * (X[:, 1] - X[:, 2])])
    return X, Y


# ------------------------------------------------------------------ targets


def test_moments_by_hand_and_weighted():
    y = np.array([[1.0], [3.0], [99.0]])
    mean, scale = target_moments(y, np.array([3.0, 1.0, 0.0]))
    assert mean == [1.5]
    assert scale == pytest.approx([np.sqrt(0.75)])


def test_a_constant_target_is_predicted_exactly(data):
    X, _ = data
    y = np.full(N, 8.3)
    mean, scale = target_moments(y[:, None])
    assert (mean, scale) == ([8.3], [1.0])
    np.testing.assert_allclose(model(max_epochs=200).fit(X, y).predict(X), y, rtol=0.02)


def test_targets_of_all_units_are_learned_alike(data):
    X, Y = data
    fitted = model(max_epochs=60).fit(X, Y)
    predicted = fitted.predict(X)
    assert predicted.shape == (N, 2)
    residual = ((Y - predicted) ** 2).mean(0) / Y.var(0)
    assert (residual < 0.1).all()
    np.testing.assert_allclose(fitted.target_mean_, Y.mean(0))
    np.testing.assert_allclose(fitted.target_scale_, Y.std(0))


def test_units_do_not_matter(data):
    X, Y = data
    one = model().fit(X, Y).predict(X)
    other = model().fit(X, Y * 1000 + 7).predict(X)
    np.testing.assert_allclose((other - 7) / 1000, one, rtol=1e-6)


@pytest.mark.parametrize("shape", [(N,), (N, 1)])
def test_predictions_have_the_shape_of_the_target(shape, data):
    X, Y = data
    assert model().fit(X, Y[:, 0].reshape(shape)).predict(X).shape == shape


def test_without_hidden_layers_it_finds_what_linear_regression_finds(data):
    X, Y = data
    X = X[:, :4]
    Y = Y + np.random.default_rng(1).normal(size=Y.shape) * Y.std(0)
    options = {"dropout": 0, "weight_decay": 0, "max_epochs": 1500, "batch_size": N, "lr": 0.02}
    ours = model(hidden_layers=(), lr_schedule="cosine", **options).fit(X, Y).predict(X)
    theirs = LinearRegression().fit(X, Y).predict(X)
    np.testing.assert_allclose((ours - theirs) / Y.std(0), 0, atol=1e-3)


def test_huber_bears_outliers_among_targets(data):
    X, Y = data
    y = Y[:, 0].copy()
    y[:6] += 3000
    clean = slice(6, None)
    options = {"max_epochs": 60, "early_stopping": False}
    error = {
        loss: np.abs(model(loss=loss, **options).fit(X, y).predict(X)[clean] - y[clean]).mean()
        for loss in ("mse", "huber")
    }
    assert error["huber"] < 0.8 * error["mse"]


@pytest.mark.parametrize("loss", ["mse", "huber"])
def test_weights_count_like_repeated_rows(loss, data):
    X, Y = data
    weight = np.random.default_rng(0).integers(0, 3, N)
    rows = np.repeat(np.arange(N), weight)
    options = {"dropout": 0, "batch_size": 500, "loss": loss}
    weighted = model(**options).fit(X, Y, sample_weight=weight)
    repeated = model(**options).fit(X[rows], Y[rows])
    np.testing.assert_allclose(weighted.predict(X), repeated.predict(X), rtol=1e-7, atol=1e-10)


# ------------------------------------------------------------------ containers


@pytest.mark.parametrize("kind", ["csr", "frame", "anndata", "dask"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_container_predicts_alike(kind, dtype, data):
    import dask.array as da

    X, Y = data
    X = np.where(X > 0.5, X, 0).astype(dtype)
    genes = pd.DataFrame(index=GENES)
    frame = pd.DataFrame(X, columns=GENES)
    container = {
        "csr": sp.csr_matrix(X),
        "frame": frame,
        "anndata": ad.AnnData(X, var=genes),
        "dask": ad.AnnData(da.from_array(X, chunks=(30, 7)), var=genes),
    }[kind]
    fitted = model().fit(X if kind == "csr" else frame, Y)
    found = fitted.predict(container)
    assert found.dtype == dtype
    expected = fitted.predict(X if kind == "csr" else frame)
    np.testing.assert_allclose(found, expected, rtol=1e-4 if dtype == np.float32 else 1e-10)
    assert model().fit(container, Y).score(container, Y) > 0.3


# ------------------------------------------------------------------ training


def test_early_stopping_judges_on_other_rows(data):
    X, Y = data
    fitted = model(early_stopping=True, max_epochs=100, patience=3).fit(X, Y)
    assert list(fitted.history_) == ["epoch", "train_loss", "valid_loss"]
    assert fitted.loss_curve_ == fitted.history_["train_loss"].tolist()


def test_scores_of_skorch_work(data):
    X, Y = data
    scoring = EpochScoring("r2", lower_is_better=False, name="valid_r2")
    fitted = model(early_stopping=True, callbacks=[scoring]).fit(X, Y)
    assert fitted.history_["valid_r2"].iloc[-1] > 0.5


def test_partial_fit_keeps_the_first_scale(data):
    X, Y = data
    fitted = model().partial_fit(X, Y)
    mean = fitted.target_mean_
    for _ in range(30):
        fitted.partial_fit(X[:60], Y[:60])
    assert fitted.target_mean_ is mean
    assert fitted.n_epochs_ == 31
    assert fitted.score(X[:60], Y[:60]) > 0.9


def test_warm_start_goes_on_and_wants_as_many_targets(data):
    X, Y = data
    twice = model(max_epochs=3, warm_start=True).fit(X, Y).fit(X, Y)
    np.testing.assert_array_equal(twice.predict(X), model(max_epochs=6).fit(X, Y).predict(X))
    with pytest.raises(ValueError, match="but n_outputs changed since"):
        twice.fit(X, Y[:, 0])


def test_verbose_shows_a_progress_bar(data, capsys):
    model(verbose=1, max_epochs=3).fit(*data)
    assert "3/3" in capsys.readouterr().err


def test_an_interruption_leaves_a_usable_model(data, monkeypatch):
    from geneexpr._skorch_net import RegressorNet

    step, calls = RegressorNet.train_step, []

    def interrupted(self, batch, **options):
        calls.append(batch)
        if len(calls) == 10:
            raise KeyboardInterrupt
        return step(self, batch, **options)

    monkeypatch.setattr(RegressorNet, "train_step", interrupted)
    with pytest.warns(GeneExpressionWarning, match="interrupted in epoch 3"):
        fitted = model().fit(*data)
    assert fitted.n_epochs_ == 2
    assert np.isfinite(fitted.predict(data[0])).all()


# ------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (None, "TorchMLPRegressor requires y to be passed, but the target y is None."),
        (np.full(N, np.nan), "Input y contains NaN"),
        (np.zeros(3), "inconsistent numbers of samples"),
    ],
)
def test_bad_targets_are_named(y, message, data):
    with pytest.raises(ValueError, match=message):
        model().fit(data[0], y)


def test_an_unknown_loss_is_named(data):
    with pytest.raises(ValueError, match="loss must be one of 'mse', 'huber'; got 'mae'"):
        model(loss="mae").fit(*data)


def test_a_loss_that_diverges_says_what_to_try(data):
    with pytest.raises(ValueError, match=r"The loss became (nan|inf).*gradient_clip=1.0"):
        model(lr=1e30, activation="relu").fit(*data)
