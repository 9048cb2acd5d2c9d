"""Options of the networks: normalisation, gene selection, schedules, clipping, calibration."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import expit
from sklearn.feature_selection import SelectFromModel
from sklearn.linear_model import Lasso
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback, Freezer

from geneexpr import TorchMLPClassifier, TorchMLPRegressor, nets
from geneexpr.predictors._calibration import calibration_folds, fit_temperature


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    y = np.where(rng.random(120) < 0.5, "case", "control")
    X = rng.normal(size=(120, 30)).astype(np.float32)
    X[y == "case", :5] += 1.5
    return X, y


def classifier(**options):
    options = {"hidden_layers": (16,), "max_epochs": 5, "random_state": 0} | options
    return TorchMLPClassifier(options.pop("hidden_layers"), **options)


def regressor(**options):
    options = {"hidden_layers": (16,), "max_epochs": 5, "random_state": 0} | options
    return TorchMLPRegressor(options.pop("hidden_layers"), **options)


both = pytest.mark.parametrize("make", [classifier, regressor])


def target(make, y):
    return y if make is classifier else (y == "case").astype(float)


def output(model, X):
    return model.predict_proba(X) if hasattr(model, "predict_proba") else model.predict(X)


# ------------------------------------------------------------------ layers


@both
@pytest.mark.parametrize("normalization", ["batch", "layer"])
def test_normalised_networks_learn_and_treat_rows_alone(make, normalization, data):
    X, y = data
    X = X.astype(float)
    before = torch.get_rng_state()
    model = make(normalization=normalization, hidden_layers=(16, 16), residual=True, max_epochs=30)
    model.fit(X, target(make, y))
    assert torch.equal(before, torch.get_rng_state())
    assert model.score(X, target(make, y)) > 0.7
    alone = np.concatenate([output(model, X[[i]]) for i in range(10)])
    np.testing.assert_allclose(alone, output(model, X)[:10], rtol=1e-10)


def test_layer_norm_and_residual_are_the_formula():
    net = nets.MLP(
        3,
        1,
        hidden_layers=(4, 4),
        activation="tanh",
        normalization="layer",
        residual=True,
        generator=nets.make_generator(0),
    )
    w1, b1, _, _, w2, b2, _, _, w3, b3 = (p.detach().numpy() for p in net.parameters())

    def normalised(h):
        return (h - h.mean(1, keepdims=True)) / np.sqrt(h.var(1, keepdims=True) + 1e-5)

    x = np.array([[0.5, -1.0, 2.0], [1.0, 0.0, 0.0]], dtype=np.float32)
    h = np.tanh(normalised(x @ w1 + b1))
    h = h + np.tanh(normalised(h @ w2.T + b2))
    np.testing.assert_allclose(net(torch.tensor(x)).detach(), h @ w3.T + b3, rtol=1e-4, atol=1e-6)


def test_batch_norm_takes_a_batch_of_one_row(data):
    X, y = data
    layer = nets.BatchNorm(3)
    assert layer(torch.ones(1, 3)).shape == (1, 3)
    assert int(layer.num_batches_tracked) == 0
    model = classifier(normalization="batch", batch_size=1).fit(X[:7], y[:7])
    assert np.isfinite(model.predict_proba(X)).all()


def test_running_statistics_are_part_of_the_best_weights(data):
    X, y = data
    options = {"early_stopping": True, "max_epochs": 60, "patience": 3, "lr": 0.05}
    model = classifier(normalization="batch", **options).fit(X, y)
    best = int(model.history_["valid_loss"].idxmin()) + 1
    again = classifier(normalization="batch", **options | {"max_epochs": best}).fit(X, y)
    np.testing.assert_array_equal(model.predict_proba(X), again.predict_proba(X))


# ------------------------------------------------------------------ gene selection


@both
def test_l1_selects_the_genes_that_tell(make):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 300))
    signal = X[:, :5].sum(1)
    y = np.where(signal > 0, "case", "control") if make is classifier else signal
    model = make(l1=0.1, max_epochs=100, lr_schedule="cosine")
    model.fit(pd.DataFrame(X, columns=[f"g{i}" for i in range(300)]), y)
    assert set(model.selected_genes_) >= {f"g{i}" for i in range(5)}
    assert len(model.selected_genes_) < 60
    assert set(np.argsort(model.feature_importances_)[-5:]) == set(range(5))
    chosen = SelectFromModel(model, prefit=True, threshold=1e-12).get_support()
    assert chosen.sum() == len(model.selected_genes_)
    assert len(make(max_epochs=1).fit(X, y).selected_genes_) == 300


def test_without_hidden_layers_it_is_the_lasso():
    rng = np.random.default_rng(0)
    X = StandardScaler().fit_transform(rng.normal(size=(100, 12)))
    y = 3 * X[:, 0] - 2 * X[:, 1] + 0.5 * X[:, 2] + rng.normal(size=100)
    y = (y - y.mean()) / y.std()
    lasso = Lasso(alpha=0.1).fit(X, y)
    ours = regressor(
        hidden_layers=(),
        l1=0.2,
        dropout=0,
        weight_decay=0,
        batch_size=100,
        lr=0.02,
        lr_schedule="cosine",
        max_epochs=1000,
    ).fit(X, y)
    weights = ours.net_.module_.output.weight.detach().numpy()[:, 0]
    np.testing.assert_allclose(weights, lasso.coef_, atol=1e-4)
    np.testing.assert_array_equal(weights == 0, lasso.coef_ == 0)


def test_with_a_strong_l1_no_gene_stays(data):
    model = classifier(l1=10.0, max_epochs=30).fit(*data)
    assert model.selected_genes_.tolist() == []
    assert len(np.unique(model.predict_proba(data[0])[:, 0])) == 1


def test_a_layer_that_is_frozen_selects_nothing(data):
    model = classifier(l1=10.0, callbacks=[Freezer("hidden.0.*")]).fit(*data)
    assert len(model.selected_genes_) == 30


def test_shrinking_is_the_proximal_step_of_the_group_lasso():
    layer = nets.GeneLinear(3, 2)
    layer.weight.data = torch.tensor([[3.0, 4.0], [0.1, 0.0], [0.0, 0.0]])
    layer.shrink(torch.tensor([0.5, 0.5, 0.5]))
    expected = [[3 * 0.9, 4 * 0.9], [0.0, 0.0], [0.0, 0.0]]
    np.testing.assert_allclose(layer.weight.detach(), expected, rtol=1e-6)


def test_importances_are_there_after_fit():
    with pytest.raises(AttributeError, match="has no selected_genes_ before fit"):
        _ = classifier().selected_genes_


def test_a_module_without_a_gene_layer_says_so():
    with pytest.raises(ValueError, match="Linear has no GeneLinear: build the layer"):
        nets.first_layer(torch.nn.Linear(2, 2))


# ------------------------------------------------------------------ training


def test_the_cosine_schedule_falls_along_half_a_wave(data):
    model = classifier(lr=0.1, lr_schedule="cosine", max_epochs=4, warm_start=True).fit(*data)
    expected = 0.05 * (1 + np.cos(np.pi * np.arange(4) / 4))
    np.testing.assert_allclose(model.history_["lr"], expected)
    model.fit(*data)
    np.testing.assert_allclose(model.history_["lr"][4:], expected)
    model.set_params(lr_schedule=None).fit(*data)
    assert model.net_.optimizer_.param_groups[0]["lr"] == 0.1


def test_the_plateau_schedule_halves_the_rate(data):
    X, y = data
    y = np.random.default_rng(1).permutation(y)
    model = classifier(
        lr=0.01, lr_schedule="plateau", early_stopping=True, patience=20, max_epochs=60
    ).fit(X, y)
    rates = model.history_["lr"].to_numpy()
    assert set(np.unique(rates[1:] / rates[:-1])) <= {0.5, 1.0}
    first = int(np.argmax(rates < 0.01))
    losses = model.history_["valid_loss"].to_numpy()
    assert first == losses[:first].argmin() + 1 + 10


class Longest(Callback):
    """Remember how far the optimiser was told to go."""

    def on_train_begin(self, net, **kwargs):
        self.norms_ = []

    def on_batch_end(self, net, training=False, **kwargs):
        gradients = [p.grad.norm() for p in net.module_.parameters()]
        self.norms_.append(float(torch.stack(gradients).norm()))


@both
def test_gradients_are_clipped(make, data):
    X, y = data
    free, clipped = (
        make(gradient_clip=clip, callbacks=[("longest", Longest())]).fit(X, target(make, y))
        for clip in (None, 0.05)
    )
    assert max(dict(free.net_.callbacks_)["longest"].norms_) > 0.1
    assert max(dict(clipped.net_.callbacks_)["longest"].norms_) <= 0.0501


@both
def test_lower_precision_learns_nearly_the_same(make, data):
    X, y = data
    full, lower = (make(precision=p).fit(X, target(make, y)) for p in ("full", "bf16"))
    assert output(lower, X).dtype == np.float32
    np.testing.assert_allclose(output(lower, X), output(full, X), atol=0.02)
    assert not np.array_equal(output(lower, X), output(full, X))
    auto = make(precision="auto", device="cpu").fit(X, target(make, y))
    np.testing.assert_array_equal(output(auto, X), output(full, X))


def test_lower_precision_wants_float32(data):
    X, y = data
    with pytest.raises(ValueError, match=r'precision="bf16" works on float32; give X as float32'):
        classifier(precision="bf16").fit(X.astype(float), y)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"normalization": "group"}, "normalization must be one of None, 'batch', 'layer'"),
        ({"lr_schedule": "step"}, "lr_schedule must be one of None, 'cosine', 'plateau'"),
        ({"gradient_clip": 0}, "gradient_clip must be a number above 0; got 0."),
        ({"l1": -1}, "l1 must be a number at least 0; got -1."),
        ({"precision": "half"}, "precision must be one of 'auto', 'full', 'bf16'; got 'half'"),
    ],
)
@both
def test_bad_options_are_named(make, setting, message, data):
    X, y = data
    with pytest.raises(ValueError, match=message):
        make(**setting).fit(X, target(make, y))


# ------------------------------------------------------------------ calibration


@pytest.mark.parametrize("n_columns", [1, 3])
@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_the_temperature_is_found_again(n_columns, temperature):
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(20_000, n_columns)) * 2
    if n_columns == 1:
        codes = (rng.random(20_000) < expit(scores[:, 0])).astype(int)
    else:
        codes = (scores + rng.gumbel(size=scores.shape)).argmax(1)
    assert fit_temperature(scores * temperature, codes) == pytest.approx(temperature, rel=0.05)


def test_a_perfect_score_is_not_believed_without_end():
    codes = np.array([0, 1] * 10)
    assert fit_temperature((2.0 * codes - 1)[:, None], codes) == pytest.approx(0.1, rel=1e-3)


def test_weights_of_the_temperature_are_repeated_rows():
    rng = np.random.default_rng(0)
    scores, codes = rng.normal(size=(30, 1)), rng.integers(0, 2, 30)
    weight = rng.integers(0, 3, 30)
    rows = np.repeat(np.arange(30), weight)
    expected = fit_temperature(scores[rows], codes[rows])
    assert fit_temperature(scores, codes, weight) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_calibration_folds_never_cut_a_group(seed):
    rng = np.random.default_rng(seed)
    groups, codes = rng.integers(0, 12, 90), rng.integers(0, 3, 90)
    fold = calibration_folds(codes, groups, seed=seed)
    assert set(fold) == set(range(5))
    assert all(len(set(fold[groups == g])) == 1 for g in set(groups))


def test_calibration_without_folds_says_so():
    with pytest.raises(ValueError, match=r"got 4 samples in 1 groups. Set calibration=None"):
        calibration_folds(np.array([0, 1, 0, 1]), np.zeros(4))


class Rows(Callback):
    """Remember the rows of every training, also of copies: learned from, and judged by."""

    seen = []  # noqa: RUF012

    def on_epoch_begin(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        if len(net.history) == 1:
            sides = dataset_train, dataset_valid
            self.seen.append([set(side.index.tolist()) for side in sides])


def test_scores_for_the_temperature_come_from_networks_that_did_not_see_them(data, monkeypatch):
    from geneexpr.predictors import _classifier

    X, y = data
    donor = np.arange(120) % 15
    folds = []
    deal = _classifier.calibration_folds

    def noted(*given, **options):
        folds.append(deal(*given, **options))
        return folds[-1]

    monkeypatch.setattr(_classifier, "calibration_folds", noted)
    monkeypatch.setattr(Rows, "seen", [])
    model = classifier(calibration="temperature", callbacks=[Rows()], early_stopping=True)
    model.fit(X, y, groups=donor)
    (fold,) = folds
    assert len(Rows.seen) == 6
    for k, (learned, judged) in enumerate(Rows.seen):
        held = set(np.flatnonzero(fold == k))  # none in the last training, of all samples
        assert len(held | learned | judged) == 120
        donors = [set(donor[list(rows)]) for rows in (held, learned, judged)]
        assert sum(map(len, donors)) == len(set.union(*donors)) == 15


def test_calibration_mends_what_is_too_sure():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 40))
    y = (X[:, 0] + rng.normal(size=400) * 1.5 > 0).astype(int)
    learn, test = slice(0, 200), slice(200, None)

    def loss(calibration):
        model = classifier(calibration=calibration, max_epochs=60, lr=0.01).fit(X[learn], y[learn])
        chances = model.predict_proba(X[test])
        return model, -np.log(chances[np.arange(200), y[test]]).mean()

    (plain, before), (mended, after) = loss(None), loss("temperature")
    assert not hasattr(plain, "temperature_")
    assert mended.temperature_ > 1.5
    assert after < before - 0.1
    odds = mended.decision_function(X)
    np.testing.assert_allclose(mended.predict_proba(X)[:, 1], expit(odds), rtol=1e-10)
    assert not hasattr(mended.set_params(calibration=None).fit(X, y), "temperature_")


def test_calibration_goes_with_a_whole_fit_only(data):
    X, y = data
    model = classifier(calibration="temperature", max_epochs=1, warm_start=True)
    with pytest.raises(ValueError, match="needs all samples at once: use fit"):
        model.partial_fit(X, y, classes=["case", "control"])
    with pytest.raises(ValueError, match=r"training goes on with \(warm_start=True\)"):
        model.fit(X, y).fit(X, y)


class Interrupt(Callback):
    """Stand for Ctrl-C."""

    def on_epoch_begin(self, net, **kwargs):
        raise KeyboardInterrupt


def test_an_interruption_of_the_cross_fitting_ends_the_fit(data):
    model = classifier(calibration="temperature", callbacks=[Interrupt()])
    with pytest.raises(KeyboardInterrupt):
        model.fit(*data)
    assert not hasattr(model, "net_")
