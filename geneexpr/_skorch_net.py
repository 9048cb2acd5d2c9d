"""The skorch net that network estimators compose, and the callbacks that they add to it."""

import math
import warnings

import numpy as np
import pandas as pd
import torch
from sklearn.base import ClassifierMixin, RegressorMixin, clone
from skorch import NeuralNet
from skorch.callbacks import Callback
from skorch.history import History
from skorch.utils import TeeGenerator
from tqdm import tqdm

from . import nets
from ._validation import GeneExpressionWarning


class Net(NeuralNet):
    """A skorch net on the training core of `nets`.

    It gathers mini-batches itself, draws from the generator of its fit alone, and leaves
    out what skorch records of every batch unless there are callbacks that may read it.

    Attributes
    ----------
    gradient_clip : float or None
        Longest gradient, over all weights together.
    l1 : float
        Strength of the group lasso on the genes.
    lower_precision : bool
        Multiply matrices in bfloat16 while training.
    keeps_on_interrupt : bool
        Ctrl-C ends the training alone; else what called it, too.
    """

    gradient_clip = None
    l1 = 0.0
    lower_precision = False
    keeps_on_interrupt = True

    def get_default_callbacks(self):
        """Return none: what the estimator needs it adds itself."""
        return []

    def initialize_optimizer(self, triggered_directly=None):
        """Make the fused optimiser."""
        self.optimizer_ = nets.make_optimizer(
            self.module_, lr=self.lr, weight_decay=self.optimizer__weight_decay
        )
        return self

    def get_iterator(self, dataset, training=False):
        """Gather mini-batches, shuffled for training."""
        return dataset.batches(self.batch_size, self.generator_ if training else None)

    def get_dataset(self, X, y=None):
        """Take rows of an array as they are."""
        if isinstance(X, nets.Examples):
            return X
        rows = nets.rows_of(X).to(self.device)
        return nets.Examples(rows, torch.arange(len(rows)))

    def train_step(self, batch, **fit_params):
        """Take one step of the optimiser."""
        if not self.callbacks:  # a callback may hold on to a gradient
            nets.recycle_gradients(self.module_)
        for group in self.optimizer_.param_groups:  # as zero_grad() does, in a tenth of its time
            for parameter in group["params"]:
                parameter.grad = None
        output = self._output(batch[0])
        loss = self.criterion_(output, batch)
        loss.backward()
        if self.callbacks_:
            parameters = TeeGenerator(self.get_all_learnable_params())
            self.notify("on_grad_computed", named_parameters=parameters, batch=batch, training=True)
        if self.gradient_clip is not None:
            torch.nn.utils.clip_grad_norm_(self.module_.parameters(), self.gradient_clip)
        self.optimizer_.step()
        if self.l1:
            nets.select_genes(nets.first_layer(self.module_), self.optimizer_, self.l1)
        return {"loss": loss.detach(), "y_pred": _each(output, torch.Tensor.detach)}

    def _output(self, x):
        if not self.lower_precision:
            return self.module_(x)
        with torch.autocast(x.device.type, dtype=torch.bfloat16):
            output = self.module_(x)
        return _each(output, lambda tensor: tensor.to(x.dtype))

    def validation_step(self, batch, **fit_params):
        """Judge one mini-batch."""
        with torch.no_grad():
            output = self.module_(batch[0])
            return {"loss": self.criterion_(output, batch), "y_pred": output}

    def run_single_epoch(self, iterator, training, prefix, step_fn, **fit_params):
        """Run over all mini-batches and record the mean loss of a sample."""
        self._set_training(training)
        total, n_rows = 0.0, 0
        for batch in iterator:
            self.notify("on_batch_begin", batch=batch, training=training)
            step = step_fn(batch)
            n = len(batch[0])
            total, n_rows = total + step["loss"] * n, n_rows + n
            if self.callbacks:
                self.history.record_batch(f"{prefix}_loss", step["loss"].item())
                self.history.record_batch(f"{prefix}_batch_size", n)
            self.notify("on_batch_end", batch=batch, training=training, **step)
        self._record(f"{prefix}_loss", float(total) / n_rows)

    def _record(self, name, loss):
        if not math.isfinite(loss):
            raise ValueError(
                f"The loss became {loss} in epoch {len(self.history)}. Put X on one scale first "
                "(logarithm of counts, then StandardScaler) and look for extreme values, or lower "
                f"lr (it is {self.lr:g}), or clip gradients (gradient_clip=1.0)."
            )
        earlier = [epoch[name] for epoch in self.history[:-1] if name in epoch]
        self.history.record(name, loss)
        self.history.record(f"{name}_best", not earlier or loss < min(earlier))

    def learn(self, train, valid, epochs):
        """Train for some epochs, until a callback stops it or the user interrupts it."""
        self.notify("on_train_begin", X=train, y=None)
        before = len(self.history)
        try:
            for _ in range(epochs):
                self._run_epoch(train, valid)
        except _Stop:
            pass
        except KeyboardInterrupt:
            if not self.keeps_on_interrupt:
                raise
            done = len(self.history) - 1
            del self.history[done:]
            judged = valid is not None and done > before
            warnings.warn(
                f"Training was interrupted in epoch {done + 1}; the "
                + ("best weights of the epochs before" if judged else "weights as they were then")
                + " are kept.",
                GeneExpressionWarning,
                stacklevel=4,
            )
        finally:
            self._set_training(False)
            self.notify("on_train_end", X=train, y=None)

    def _run_epoch(self, train, valid):
        datasets = {"dataset_train": train, "dataset_valid": valid}
        self.notify("on_epoch_begin", **datasets)
        self.run_single_epoch(self.get_iterator(train, True), True, "train", self.train_step)
        if valid is not None:
            self.run_single_epoch(self.get_iterator(valid), False, "valid", self.validation_step)
        try:
            self.notify("on_epoch_end", **datasets)
        except KeyboardInterrupt as stop:
            raise _Stop from stop  # this is how skorch's EarlyStopping ends the training


class ClassifierNet(ClassifierMixin, Net):
    """A net whose scores are of classes, so that skorch's scoring callbacks work.

    Its labels are the codes of the classes.
    """

    @property
    def classes_(self):
        """The codes of the classes."""
        return np.arange(self.n_classes_)

    def predict(self, X):
        """Return the code of the most probable class."""
        return self.predict_proba(X).argmax(axis=1)


class RegressorNet(RegressorMixin, Net):
    """A net whose outputs are numbers, so that skorch's scoring callbacks work.

    Its targets are the standardised ones.
    """


class _Stop(KeyboardInterrupt):
    """A callback ended the training."""


class Criterion(torch.nn.Module):
    """A loss as the module that skorch expects, seeing output and whole mini-batch."""

    def __init__(self, loss):
        super().__init__()
        self.loss = loss

    def forward(self, output, batch):
        """Return the loss."""
        return self.loss(output, batch)


class KeepBest(Callback):
    """Keep the weights with the lowest validation loss, and stop when it falls no more.

    Without a validation split it does nothing.

    Parameters
    ----------
    patience : int
        Epochs without a lower loss before training stops.
    """

    def __init__(self, patience):
        self.patience = patience

    def on_train_begin(self, net, **kwargs):
        """Start anew."""
        self.best_ = nets.BestWeights(net.module_)

    def on_epoch_end(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        """Keep or count."""
        if dataset_valid is None:
            return
        epoch = len(net.history)
        better = self.best_.offer(net.history[-1, "valid_loss"], epoch)
        if not better and epoch - self.best_.epoch >= self.patience:
            raise _Stop

    def on_train_end(self, net, **kwargs):
        """Put the best weights back."""
        self.best_.restore()


class Schedule(Callback):
    """Lower the learning rate while training, and record it as ``lr``.

    Parameters
    ----------
    kind : {"cosine", "plateau"}
        "cosine" lowers it along half a wave, from ``lr`` in the first epoch to nearly zero in
        the last. "plateau" halves it whenever the loss (on the validation split where there is
        one) has not fallen for ``patience`` epochs.
    lr : float
        Where it begins.
    epochs : int
        Epochs that there will be at most.
    patience : int
    """

    def __init__(self, kind, lr, epochs, patience):
        self.kind = kind
        self.lr = lr
        self.epochs = epochs
        self.patience = patience

    def on_train_begin(self, net, **kwargs):
        """Start anew."""
        self.done_, self.waited_, self.rate_, self.lowest_ = 0, 0, self.lr, math.inf

    def on_epoch_begin(self, net, **kwargs):
        """Set and record the rate of this epoch."""
        if self.kind == "cosine":
            self.rate_ = self.lr * (1 + math.cos(math.pi * self.done_ / self.epochs)) / 2
        for group in net.optimizer_.param_groups:
            group["lr"] = self.rate_
        net.history.record("lr", self.rate_)

    def on_epoch_end(self, net, dataset_valid=None, **kwargs):
        """Count the epochs, and those without a lower loss."""
        self.done_ += 1
        loss = net.history[-1, "train_loss" if dataset_valid is None else "valid_loss"]
        self.waited_ = 0 if loss < self.lowest_ else self.waited_ + 1
        self.lowest_ = min(loss, self.lowest_)
        if self.kind == "plateau" and self.waited_ == self.patience:
            self.rate_, self.waited_ = self.rate_ / 2, 0


class ProgressBar(Callback):
    """Show epochs and losses in one line.

    Parameters
    ----------
    epochs : int
    """

    def __init__(self, epochs):
        self.epochs = epochs

    def on_train_begin(self, net, **kwargs):
        """Open the bar."""
        self.bar_ = tqdm(total=self.epochs, unit="epoch")

    def on_epoch_end(self, net, **kwargs):
        """Move on by one epoch."""
        last = net.history[-1]
        shown = {key: last[key] for key in ("train_loss", "valid_loss") if key in last}
        self.bar_.set_postfix(shown, refresh=False)
        self.bar_.update()

    def on_train_end(self, net, **kwargs):
        """Close the bar."""
        self.bar_.close()


def _each(output, function):
    """Apply a function to the tensor that a module gave, or to each of several."""
    if isinstance(output, torch.Tensor):
        return function(output)
    if isinstance(output, dict):
        return {key: _each(value, function) for key, value in output.items()}
    if isinstance(output, (tuple, list)):
        return tuple(_each(value, function) for value in output)
    return output


def copied(item):
    """Copy a callback, so that the one which the user gave stays as it was."""
    if isinstance(item, tuple):
        return (item[0], copied(item[1]))
    return item if isinstance(item, type) else clone(item, safe=False)


def history_of(columns):
    """Return a history of skorch with these columns."""
    history = History()
    for row in pd.DataFrame(columns).to_dict("records"):
        history.new_epoch()
        for name, value in row.items():
            history.record(name, value)
    return history
