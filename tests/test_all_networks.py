"""How every network estimator is trained: each promise tried on all four of them."""

import pickle

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch
from networks import GENES, N, every, matrix, network, output, target
from skorch.callbacks import Callback

from geneexpr import GeneExpressionWarning, TorchMLPClassifier


@pytest.fixture
def given(kind):
    """What ``fit`` of an estimator is given."""
    return matrix(kind), target(kind)


def goes_on(model, X, y, **options):
    if isinstance(model, TorchMLPClassifier):
        options["classes"] = np.unique(y)
    return model.partial_fit(X, y, **options)


# ------------------------------------------------------------------ interruption


class Watch(Callback):
    """Remember the weights after every epoch."""

    def initialize(self):
        self.weights_ = []
        return self

    def on_epoch_end(self, net, **kwargs):
        self.weights_.append(weights(net.module_))


class Interrupt(Callback):
    """Stand for Ctrl-C behind the second mini-batch of an epoch."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_batch_end(self, net, training=False, batch=None, **kwargs):
        now = len(net.history), len(net.history[-1]["batches"])
        if training and now == (self.epoch, 2):
            raise KeyboardInterrupt


def weights(module):
    return [value.clone() for value in module.state_dict().values()]


def same(first, second):
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@every
def test_an_interruption_keeps_the_best_weights(kind, given):
    X, y = given
    options = {"early_stopping": True, "lr": 0.1, "patience": 50, "kl_warmup": 1}
    if kind != "variational":
        del options["kl_warmup"]
    callbacks = [("watch", Watch()), Interrupt(9)]
    model = network(kind, callbacks=callbacks, max_epochs=50, **options)
    with pytest.warns(GeneExpressionWarning, match="interrupted in epoch 9; the best weights of"):
        model.fit(X, y)
    assert model.n_epochs_ == 8 == len(model.loss_curve_)
    best = int(model.history_["valid_loss"].argmin())
    epochs = dict(model.net_.callbacks_)["watch"].weights_
    assert same(weights(model.net_.module_), epochs[best])
    assert not any(same(epochs[best], other) for i, other in enumerate(epochs) if i != best)
    assert np.isfinite(output(model, X)).all()
    np.testing.assert_array_equal(output(pickle.loads(pickle.dumps(model)), X), output(model, X))


@every
def test_without_samples_to_judge_by_an_interruption_keeps_the_weights_as_they_are(kind, given):
    X, y = given
    model = network(kind, callbacks=[Interrupt(3)])
    with pytest.warns(GeneExpressionWarning, match="in epoch 3; the weights as they were then are"):
        model.fit(X, y)
    assert model.n_epochs_ == 2
    whole = network(kind, max_epochs=2).fit(X, y)
    assert not same(weights(model.net_.module_), weights(whole.net_.module_))
    assert np.isfinite(output(model, X)).all()


@every
def test_an_interruption_in_the_first_epoch_leaves_a_usable_model(kind, given):
    X, y = given
    model = network(kind, callbacks=[Interrupt(1)], early_stopping=True)
    with pytest.warns(GeneExpressionWarning, match="in epoch 1; the weights as they were then"):
        model.fit(X, y)
    assert (model.n_epochs_, model.loss_curve_) == (0, [])
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(output(again, X), output(model, X))


@every
def test_partial_fit_goes_on_after_an_interruption(kind, given):
    X, y = given
    model = goes_on(network(kind), X, y).set_params(callbacks=[Interrupt(2)])
    with pytest.warns(GeneExpressionWarning, match="interrupted in epoch 2; the weights as"):
        goes_on(model, X, y)
    assert model.n_epochs_ == 1
    assert goes_on(model.set_params(callbacks=None), X, y).n_epochs_ == 2
    assert np.isfinite(output(model, X)).all()


# ------------------------------------------------------------------ a loss that is no number


class Poison(Callback):
    """Make the weights NaN behind an epoch."""

    def on_epoch_end(self, net, **kwargs):
        with torch.no_grad():
            for parameter in net.module_.parameters():
                parameter.fill_(torch.nan)


@every
def test_a_loss_that_is_no_number_says_what_to_try(kind, given):
    X, y = given
    message = (
        r"^The loss became nan in epoch 2\. Put X on one scale first \(logarithm of counts, then "
        r"StandardScaler\) and look for extreme values, or lower lr \(it is 0\.002\), or clip "
        r"gradients \(gradient_clip=1\.0\)\.$"
    )
    model = network(kind, lr=0.002, callbacks=[Poison()])
    with pytest.raises(ValueError, match=message):
        model.fit(X, y)
    begun = goes_on(network(kind, lr=0.002, callbacks=[Poison()]), X, y)
    with pytest.raises(ValueError, match=message):
        goes_on(begun, X, y)


@every
def test_a_rate_that_is_too_high_diverges_with_the_same_words(kind, given):
    with pytest.raises(ValueError, match=r"The loss became (nan|-?inf).*lower lr \(it is 1e\+30\)"):
        network(kind, lr=1e30, gradient_clip=None).fit(*given)


@every
def test_a_loss_on_held_out_samples_that_is_no_number_is_heard(kind, given):
    X, y = given

    class AtValidation(Callback):
        def on_batch_begin(self, net, training=False, **kwargs):
            if not training:
                Poison().on_epoch_end(net)

    with pytest.raises(ValueError, match="The loss became nan in epoch 1"):
        network(kind, early_stopping=True, callbacks=[AtValidation()]).fit(X, y)


# ------------------------------------------------------------------ going on


@every
def test_warm_start_goes_on_where_it_stopped(kind, given):
    X, y = given
    options = {"kl_warmup": 0} if kind == "variational" else {}
    once = network(kind, max_epochs=6, **options).fit(X, y)
    twice = network(kind, max_epochs=3, warm_start=True, **options).fit(X, y).fit(X, y)
    assert twice.n_epochs_ == len(twice.history_) == 6
    np.testing.assert_array_equal(output(once, X), output(twice, X))


@every
def test_partial_fit_ends_where_fit_does(kind, given):
    X, y = given
    whole = network(kind, max_epochs=3, early_stopping=False).fit(X, y)
    model = network(kind, early_stopping=True)  # which one epoch has no use for
    for _ in range(3):
        goes_on(model, X, y)
    np.testing.assert_allclose(output(model, X), output(whole, X), rtol=1e-5)
    assert list(model.history_) == ["epoch", "train_loss"]


# ------------------------------------------------------------------ how it is trained


@every
def test_history_bar_and_callbacks(kind, given, capsys):
    model = network(kind, verbose=1, early_stopping=True, callbacks=[Watch()]).fit(*given)
    assert "5/5" in capsys.readouterr().err
    assert list(model.history_) == ["epoch", "train_loss", "valid_loss"]
    assert model.loss_curve_ == model.history_["train_loss"].tolist()
    assert network(kind, verbose=0).fit(*given).n_epochs_ == 5
    assert capsys.readouterr().err == ""


@every
def test_the_rate_falls_along_half_a_wave(kind, given):
    model = network(kind, lr=0.01, lr_schedule="cosine", max_epochs=4).fit(*given)
    expected = 0.005 * (1 + np.cos(np.pi * np.arange(4) / 4))
    np.testing.assert_allclose(model.history_["lr"], expected)
    steady = network(kind, lr=0.01, max_epochs=4).fit(*given)
    assert not same(weights(model.net_.module_), weights(steady.net_.module_))


class Longest(Callback):
    """Remember how far the optimiser was told to go."""

    def initialize(self):
        self.norms_ = []
        return self

    def on_batch_end(self, net, training=False, **kwargs):
        if training:
            gradients = [p.grad.norm() for p in net.module_.parameters()]
            self.norms_.append(float(torch.stack(gradients).norm()))


@every
def test_gradients_are_clipped(kind, given):
    free, clipped = (
        network(kind, gradient_clip=clip, callbacks=[("longest", Longest())]).fit(*given)
        for clip in (None, 0.01)
    )
    assert max(dict(free.net_.callbacks_)["longest"].norms_) > 0.02
    assert max(dict(clipped.net_.callbacks_)["longest"].norms_) <= 0.01001


@every
def test_lower_precision_learns_nearly_the_same(kind, given):
    X, y = given
    full, lower, auto = (
        network(kind, precision=p, device="cpu").fit(X, y) for p in ("full", "bf16", "auto")
    )
    scale = np.abs(output(full, X)).max()
    assert output(lower, X).dtype == np.float32
    np.testing.assert_allclose(output(lower, X), output(full, X), atol=0.05 * scale)
    assert not np.array_equal(output(lower, X), output(full, X))
    np.testing.assert_array_equal(output(auto, X), output(full, X))
    with pytest.raises(ValueError, match='precision="bf16" works on float32'):
        network(kind, precision="bf16").fit(X.astype(float), y)


class Sides(Callback):
    """Remember which rows were trained on and which judged on."""

    def on_epoch_end(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        self.sides_ = dataset_train.index.numpy(), dataset_valid.index.numpy()


@every
@pytest.mark.parametrize("container", ["array", "frame", "anndata"])
def test_early_stopping_keeps_donors_together(kind, container, given):
    X, y = given
    donor = np.array([f"d{i % 17}" for i in range(N)])
    names = [f"s{i}" for i in range(N)]
    model = network(kind, early_stopping=True, callbacks=[("sides", Sides())])
    if container == "array":
        model.fit(X, y, groups=donor)
    else:
        index = pd.MultiIndex.from_arrays([names, donor], names=["sample", "donor"])
        held = pd.DataFrame(X, index, GENES)
        if container == "anndata":
            obs, var = pd.DataFrame({"donor": donor}, names), pd.DataFrame(index=GENES)
            held = ad.AnnData(X, obs, var)
        model.set_params(group_key="donor").fit(held, y)
    learn, judge = dict(model.net_.callbacks_)["sides"].sides_
    assert sorted([*learn, *judge]) == list(range(N))
    assert len(judge)
    assert not set(donor[learn]) & set(donor[judge])


@pytest.mark.parametrize("kind", ["classifier", "variational"])
def test_early_stopping_judges_by_every_class_and_batch_in_proportion(kind, given):
    X, _ = given
    rare = np.where(np.arange(N) % 10 == 0, "rare", "common")
    model = network(kind, early_stopping=True, validation_fraction=0.25, max_epochs=1)
    model.set_params(callbacks=[("sides", Sides())])
    for seed in range(5):  # one split may have the proportion by chance
        model.set_params(random_state=seed)
        model.fit(X, rare) if kind == "classifier" else model.fit(X, batch=rare)
        _, judge = dict(model.net_.callbacks_)["sides"].sides_
        assert (len(judge), (rare[judge] == "rare").sum()) == (30, 3)


@every
def test_data_on_disk_are_learned_in_blocks(kind, given):
    import dask.array as da

    X, y = given
    lazy = ad.AnnData(da.from_array(X, chunks=(25, 11)), var=pd.DataFrame(index=GENES))
    held = pd.DataFrame(X, columns=GENES)
    model = network(kind, early_stopping=True).fit(lazy, y)
    again = network(kind, early_stopping=True).fit(lazy, y)
    np.testing.assert_array_equal(output(model, held), output(again, held))
    found = output(model, lazy)
    found = found.X.compute() if hasattr(found, "X") else found
    np.testing.assert_allclose(found, output(model, held), rtol=1e-4, atol=1e-5)
