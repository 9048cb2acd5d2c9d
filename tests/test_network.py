"""What all network estimators share: seeds, threads, stopping, callbacks, state."""

import pickle
import threading
from copy import deepcopy

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from skorch.callbacks import (
    Callback,
    EarlyStopping,
    EpochScoring,
    Freezer,
    GradientNormClipping,
    LRScheduler,
    ProgressBar,
)

from geneexpr import AutoencoderEmbedder, GeneExpressionWarning, TorchMLPClassifier
from geneexpr._network import check_number, validation_split


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


def embedder(**options):
    options = {"hidden_layers": (16,), "max_epochs": 5, "random_state": 0} | options
    return AutoencoderEmbedder(3, **options)


both = pytest.mark.parametrize("make", [classifier, embedder])


def output(model, X):
    return model.predict_proba(X) if hasattr(model, "predict_proba") else model.transform(X)


# ------------------------------------------------------------------ seeds and threads


@both
def test_the_same_seed_gives_the_same_network_also_in_threads(make, data):
    X, y = data
    before = torch.get_rng_state()
    expected = output(make(early_stopping=True, dropout=0.3).fit(X, y), X)
    found = [None] * 3

    def train(i):
        found[i] = output(make(early_stopping=True, dropout=0.3).fit(X, y), X)

    threads = [threading.Thread(target=train, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in found:
        np.testing.assert_array_equal(result, expected)
    assert torch.equal(before, torch.get_rng_state())


@both
def test_another_seed_gives_another_network(make, data):
    X, y = data
    first, second = (output(make(random_state=seed).fit(X, y), X) for seed in (0, 1))
    assert not np.allclose(first, second)


# ------------------------------------------------------------------ stopping


class Interrupt(Callback):
    """Stand for Ctrl-C in the middle of an epoch."""

    def __init__(self, epoch=4):
        self.epoch = epoch

    def on_batch_end(self, net, **kwargs):
        if len(net.history) == self.epoch:
            raise KeyboardInterrupt


class Watch(Callback):
    """Remember the weights after every epoch."""

    def initialize(self):
        self.weights_ = []
        return self

    def on_epoch_end(self, net, **kwargs):
        self.weights_.append([p.detach().clone() for p in net.module_.parameters()])


def weights_after(model, epoch):
    watch = dict(model.net_.callbacks_)["Watch"]
    now = list(model.net_.module_.parameters())
    return all(torch.equal(a, b) for a, b in zip(now, watch.weights_[epoch - 1], strict=True))


def test_early_stopping_keeps_the_best_weights(data):
    X, y = data
    y = np.random.default_rng(1).permutation(y)
    model = classifier(
        early_stopping=True, max_epochs=200, patience=3, lr=0.01, callbacks=[Watch()]
    ).fit(X, y)
    losses = model.history_["valid_loss"]
    best = int(losses.idxmin()) + 1
    assert model.n_epochs_ == best + 3 < 200
    assert weights_after(model, best)
    assert model.loss_curve_ == model.history_["train_loss"].tolist()


def test_early_stopping_by_itself_begins_at_500_samples(data):
    X, y = data
    few = classifier(max_epochs=1).fit(X, y)
    many = classifier(max_epochs=1).fit(np.tile(X, (5, 1)), np.tile(y, 5))
    assert "valid_loss" not in few.history_
    assert "valid_loss" in many.history_


def test_an_interruption_keeps_the_best_weights(data):
    X, y = data
    model = classifier(early_stopping=True, callbacks=[Watch(), Interrupt()], max_epochs=50)
    with pytest.warns(GeneExpressionWarning, match="interrupted in epoch 4; the best weights"):
        model.fit(X, y)
    assert weights_after(model, int(model.history_["valid_loss"].idxmin()) + 1)
    assert model.predict(X).shape == (120,)


def test_an_interruption_in_the_first_epoch_leaves_a_usable_model(data):
    X, y = data
    with pytest.warns(GeneExpressionWarning, match="interrupted in epoch 1"):
        model = classifier(callbacks=[Interrupt(1)]).fit(X, y)
    assert np.isfinite(model.predict_proba(X)).all()
    assert model.n_epochs_ == len(model.loss_curve_)


@both
def test_a_loss_that_diverges_says_what_to_try(make, data):
    X, y = data
    message = (
        r"The loss became (nan|inf) in epoch \d+\. Put X on one scale first \(logarithm of counts, "
        r"then StandardScaler\).* or lower lr \(it is 1e\+30\), or clip gradients"
    )
    with pytest.raises(ValueError, match=message):
        make(lr=1e30).fit(X, y)


# ------------------------------------------------------------------ the validation split


def test_the_split_is_stratified_and_disjoint():
    strata = np.repeat([0, 1, 2], [70, 25, 5])
    learn, judge = validation_split(strata, None, 0.2, seed=0)
    assert sorted([*learn, *judge]) == list(range(100))
    assert np.bincount(strata[judge]).tolist() == [14, 5, 1]


@pytest.mark.parametrize("seed", range(5))
def test_the_split_never_cuts_a_group_and_keeps_every_class_in_training(seed):
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, 15, 100)
    strata = (groups % 3 == 0).astype(int)
    learn, judge = validation_split(strata, groups, 0.2, seed)
    assert not set(groups[learn]) & set(groups[judge])
    assert set(strata[learn]) == {0, 1}
    assert 5 <= len(judge) <= 35


def test_a_split_that_cannot_be_made_says_so():
    message = "no rows can be spared among 2: validation_fraction=0.15 is too small"
    with pytest.raises(ValueError, match=message):
        validation_split(np.array([0, 1]), None, 0.15, 0)


class Sides(Callback):
    """Remember which rows were trained on and which judged on."""

    def on_epoch_end(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        self.sides_ = dataset_train.index.numpy(), dataset_valid.index.numpy()


@both
@pytest.mark.parametrize("kind", ["array", "frame", "anndata"])
def test_early_stopping_keeps_donors_together(make, kind, data):
    X, y = data
    donor = np.array([f"d{i % 20}" for i in range(120)])
    names = [f"s{i}" for i in range(120)]
    genes = [f"g{i}" for i in range(30)]
    index = pd.MultiIndex.from_arrays([names, donor], names=["sample", "donor"])
    container = {
        "array": X,
        "frame": pd.DataFrame(X, index, genes),
        "anndata": ad.AnnData(X, pd.DataFrame({"donor": donor}, names), pd.DataFrame(index=genes)),
    }[kind]
    model = make(early_stopping=True, callbacks=[Sides()])
    if kind == "array":
        model.fit(container, y, groups=donor)
    else:
        model.set_params(group_key="donor").fit(container, y)
    learn, judge = dict(model.net_.callbacks_)["Sides"].sides_
    assert len(judge)
    assert not set(donor[learn]) & set(donor[judge])


# ------------------------------------------------------------------ callbacks and history


def test_callbacks_of_skorch_work(data, capsys):
    X, y = data
    callbacks = [
        EpochScoring("accuracy", lower_is_better=False, name="valid_acc"),
        EpochScoring("accuracy", lower_is_better=False, on_train=True, name="train_acc"),
        EpochScoring("roc_auc", lower_is_better=False, name="auc"),
        LRScheduler("StepLR", step_size=1, gamma=0.5),
        GradientNormClipping(1.0),
        ProgressBar(),
    ]
    model = classifier(early_stopping=True, callbacks=callbacks, max_epochs=4).fit(X, y)
    history = model.history_
    assert history["valid_acc"].between(0, 1).all()
    assert history["auc"].between(0, 1).all()
    assert history["event_lr"].tolist() == [1e-3, 5e-4, 2.5e-4, 1.25e-4]
    assert history["train_acc"].iloc[-1] > history["train_acc"].iloc[0]


def test_skorch_early_stopping_ends_the_training_quietly(data, capsys):
    X, y = data
    stop = EarlyStopping(monitor="train_loss", patience=2, threshold=10.0)
    assert classifier(callbacks=[stop], max_epochs=50).fit(X, y).n_epochs_ < 10


def test_the_callbacks_of_the_user_stay_as_they_were(data):
    X, y = data
    watch = Watch()
    model = classifier(callbacks=[("mine", watch)]).fit(X, y)
    assert not hasattr(watch, "weights_")
    assert len(dict(model.net_.callbacks_)["mine"].weights_) == 5
    assert clone(model).callbacks[0][0] == "mine"


def test_history_is_a_frame_with_a_row_an_epoch(data):
    X, y = data
    with pytest.raises(AttributeError, match="no history_ before fit"):
        _ = classifier().history_
    history = classifier(early_stopping=True).fit(X, y).history_
    assert list(history.columns) == ["epoch", "train_loss", "valid_loss"]
    assert history["epoch"].tolist() == [1, 2, 3, 4, 5]


def test_verbose_shows_a_progress_bar(data, capsys):
    X, y = data
    classifier(verbose=1).fit(X, y)
    assert "5/5" in capsys.readouterr().err


# ------------------------------------------------------------------ going on


@both
def test_warm_start_goes_on_where_it_stopped(make, data):
    X, y = data
    once = make(max_epochs=6).fit(X, y)
    twice = make(max_epochs=3, warm_start=True).fit(X, y).fit(X, y)
    assert twice.n_epochs_ == 6
    np.testing.assert_array_equal(output(once, X), output(twice, X))
    anew = make(max_epochs=3).fit(X, y).fit(X, y)
    assert anew.n_epochs_ == 3


@both
def test_going_on_takes_another_dtype(make, data):
    X, y = data
    model = make(warm_start=True).fit(X, y)
    before = output(model, X)
    assert output(model.fit(X.astype(float), y), X).dtype == before.dtype == np.float32


@both
def test_going_on_with_another_network_is_refused(make, data):
    X, y = data
    model = make(warm_start=True).fit(X, y).set_params(hidden_layers=(7,))
    with pytest.raises(ValueError, match="network of the first fit, but hidden_layers changed"):
        model.fit(X, y)


@both
def test_a_frozen_layer_survives_a_copy(make, data):
    X, y = data
    name = "hidden.0.*" if make is classifier else "encoder.0.*"
    model = make(callbacks=[Freezer(name)]).fit(X, y)
    other = deepcopy(model)
    for each in (model, other):
        each.set_params(warm_start=True, callbacks=[Freezer(name)]).fit(X, y)
    np.testing.assert_array_equal(output(other, X), output(model, X))


# ------------------------------------------------------------------ the state


def plain(value):
    """Tell whether a value is made of arrays, strings, numbers, lists and dicts."""
    if isinstance(value, dict):
        return all(isinstance(k, str) and plain(v) for k, v in value.items())
    if isinstance(value, (list, tuple)):
        return all(plain(v) for v in value)
    if isinstance(value, np.ndarray):
        return value.dtype != object or all(isinstance(v, str) for v in value.flat)
    return value is None or isinstance(value, (bool, int, float, str))


@both
def test_the_state_is_made_of_plain_values(make, data):
    X, y = data
    model = make(early_stopping=True, callbacks=[Watch()]).fit(pd.DataFrame(X).add_prefix("g"), y)
    state = model.__getstate__()
    assert {key for key, value in state.items() if not plain(value)} == set()
    assert model.callbacks is not None


@both
@pytest.mark.parametrize("copy", [deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_copy_predicts_and_learns_on_as_the_original(make, copy, data):
    X, y = data
    model = make(dropout=0.2).fit(X, y)
    other = copy(model)
    np.testing.assert_array_equal(output(other, X), output(model, X))
    pd.testing.assert_frame_equal(other.history_, model.history_)
    for each in (model, other):
        each.set_params(warm_start=True).fit(X, y)
    np.testing.assert_array_equal(output(other, X), output(model, X))
    assert other.n_epochs_ == model.n_epochs_ == 10
    assert len(other.net_.history) == 10


def test_an_unfitted_estimator_keeps_its_callbacks_through_pickle():
    assert len(pickle.loads(pickle.dumps(classifier(callbacks=[Watch()]))).callbacks) == 1


# ------------------------------------------------------------------ settings


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"lr": 0}, "lr must be a number above 0; got 0."),
        ({"dropout": 1.0}, "dropout must be a number at least 0 and below 1; got 1.0."),
        ({"batch_size": 1.5}, "batch_size must be a whole number at least 1; got 1.5."),
        ({"hidden_layers": (8, 0)}, "hidden_layers must be a whole number at least 1; got 0."),
        ({"activation": "swish"}, "activation must be one of 'relu', .*; got 'swish'"),
        ({"early_stopping": "yes"}, "early_stopping must be one of True, False, 'auto'; got 'yes'"),
        ({"device": "tpu"}, "device must be one of .*; got 'tpu'"),
    ],
)
@both
def test_bad_settings_are_named(make, setting, message, data):
    X, y = data
    with pytest.raises(ValueError, match=message):
        make(**setting).fit(X, y)


def test_check_number_takes_numpy_numbers_and_no_booleans():
    check_number("lr", np.float32(0.1), above=0)
    with pytest.raises(ValueError, match="lr must be a number above 0; got True"):
        check_number("lr", True, above=0)
