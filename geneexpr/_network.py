"""The base of all estimators that train a network: they compose a skorch net, ``net_``."""

import math
import numbers

import numpy as np
import pandas as pd
import torch
from sklearn.utils import check_random_state

from . import nets
from ._base import GeneEstimator
from ._blocks import row_blocks, row_edges
from ._containers import DiskRows
from ._options import check_number as check_number
from ._skorch_net import Criterion, KeepBest, Net, ProgressBar, Schedule, copied, history_of
from ._validation import check_choice, labels_of

EARLY_STOPPING_SAMPLES = 500
"""From how many training samples on ``early_stopping="auto"`` stops early."""


class NetworkEstimator(GeneEstimator):
    """Base of the estimators that train a network.

    A subclass assigns the settings that `_train` reads (``lr``, ``weight_decay``,
    ``max_epochs``, ``batch_size``, ``early_stopping``, ``validation_fraction``,
    ``patience``, ``group_key``, ``device``, ``random_state``, ``callbacks``,
    ``warm_start``, ``verbose``) and has two hooks:

    - ``_build(dtype, generator, **architecture)``: the module; static.
    - ``_loss(module, output, batch)``: the loss of a mini-batch; static. ``output`` is what
      the module gives: a tensor, or a tuple or dict of them.

    It may also assign what else is read, which is off here: ``lr_schedule`` (None, "cosine",
    "plateau"), ``gradient_clip``, ``precision`` ("auto", "full", "bf16"), ``l1`` (for modules
    whose first layer is a `nets.GeneLinear`), ``normalization`` and ``residual``.
    """

    _net_class = Net
    _nonlinearity = None
    _keeps_on_interrupt = True

    lr_schedule = None
    gradient_clip = None
    precision = "full"
    l1 = 0.0
    normalization = None
    residual = False

    @property
    def history_(self):
        """Everything recorded in training, a row an epoch (DataFrame)."""
        if "_history" not in vars(self):
            raise AttributeError(f"This {type(self).__name__} has no history_ before fit.")
        return pd.DataFrame(self._history)

    def _train(self, matrix, architecture, *, target=None, weight=None, strata=None, **options):
        """Train on the rows of a checked matrix.

        Parameters
        ----------
        matrix : array, CSR matrix or DiskRows of shape (n_samples, n_genes)
        architecture : dict
            Plain values for ``_build``.
        target : array of shape (n_samples, ...), optional
        weight : array of shape (n_samples,), optional
            Rows of weight zero are dropped first.
        strata : array of int of shape (n_samples,), optional
            Classes, for the validation split.
        **options
            ``groups``: labels of rows that belong together, beside X; ``X``: where
            ``group_key`` is looked up; ``resume``: go on with ``net_``; ``epochs``.
        """
        resume, epochs = options.get("resume", False), options.get("epochs")
        if resume:
            self._check_same(architecture)
        used = np.arange(matrix.shape[0]) if weight is None else np.flatnonzero(weight > 0)
        learn, judge = used, None
        if epochs is None and self._stops_early(len(used)):
            learn, judge = self._split(used, strata, options["X"], options.get("groups"))
        net = self.net_ if resume else self._start(architecture, float_type(matrix))
        dtype = next(net.module_.parameters()).dtype
        rows = _rows(matrix, dtype).to(net.device)
        target, weight = _as_tensors(target, weight, used, dtype)
        learn, judge = (
            index if index is None else nets.Examples(rows, torch.from_numpy(index), target, weight)
            for index in (learn, judge)
        )
        epochs = epochs or self.max_epochs
        self._attach_callbacks(net, epochs)
        nets.use_generator(net.module_, net.noise_generator_)
        try:
            net.learn(learn, judge, epochs)
        finally:
            nets.use_generator(net.module_, None)
        self._keep(net, architecture)

    def _check_same(self, architecture):
        """Raise where a setting that shapes the network changed between two fits."""
        before = self.architecture_
        changed = [key for key, value in architecture.items() if before.get(key, value) != value]
        if changed:
            raise ValueError(
                f"Training goes on with the network of the first fit, but {', '.join(changed)} "
                "changed since. Start anew with warm_start=False, or from a clone."
            )

    def _stops_early(self, n_samples):
        if self.early_stopping == "auto":
            return n_samples >= EARLY_STOPPING_SAMPLES
        return self.early_stopping

    def _split(self, used, strata, X, groups):
        """Return the rows to train on and those to judge on."""
        groups = self._groups_of(X, groups)
        seed = check_random_state(self.random_state).randint(2**31 - 1)
        learn, judge = validation_split(
            np.zeros(len(used), int) if strata is None else strata[used],
            None if groups is None else groups[used],
            self.validation_fraction,
            seed,
        )
        return used[learn], used[judge]

    def _groups_of(self, X, groups):
        return labels_of(X, self.group_key, groups, key_name="group_key", given_name="groups")

    def _start(self, architecture, dtype):
        """Build the net with fresh weights."""
        device = nets.choose_device(self.device, dtype)
        seed = check_random_state(self.random_state).randint(2**31 - 1)
        generator = nets.make_generator(seed)
        module = self._build(dtype, generator, **architecture)
        self._prepare(module)
        return self._compose(module, device, generator)

    def _prepare(self, module):
        """Give a fresh module what it learns from the data other than by gradients."""

    def _compose(self, module, device, generator):
        loss = self._loss
        net = self._net_class(
            module,
            Criterion(lambda output, batch: loss(module, output, batch)),
            lr=self.lr,
            optimizer__weight_decay=self.weight_decay,
            batch_size=self.batch_size,
            device=device,
            train_split=None,
            predict_nonlinearity=self._nonlinearity,
            verbose=0,
        )
        net.generator_ = generator
        net.noise_generator_ = generator
        if device != "cpu":
            net.noise_generator_ = nets.make_generator(generator.initial_seed(), device)
        net.initialize()
        net._set_training(False)
        return net

    def _attach_callbacks(self, net, epochs):
        """Add copies of the user's callbacks, then our own; take over what was set anew."""
        net.set_params(lr=self.lr, batch_size=self.batch_size)
        net.optimizer_.param_groups[0]["weight_decay"] = self.weight_decay
        net.gradient_clip, net.l1 = self.gradient_clip, self.l1
        net.keeps_on_interrupt = self._keeps_on_interrupt
        net.lower_precision = lowers_precision(self.precision, net)
        net.callbacks = [copied(item) for item in self.callbacks or ()]
        own = [("keep_best", KeepBest(self.patience))]
        if self.lr_schedule is not None:
            halve_after = max(1, self.patience // 2)
            own.insert(0, ("schedule", Schedule(self.lr_schedule, self.lr, epochs, halve_after)))
        if self.verbose:
            own.append(("progress", ProgressBar(epochs)))
        net._initialize_callbacks()
        net.callbacks_ += own

    def _keep(self, net, architecture):
        self.net_ = net
        self.architecture_ = architecture
        self.device_ = str(net.device)
        rows = [{k: v for k, v in row.items() if _is_plain(v)} for row in net.history]
        names = dict.fromkeys(k for row in rows for k in row if not k.endswith("_best"))
        self._history = {name: [row.get(name, math.nan) for row in rows] for name in names}
        self.loss_curve_ = list(self._history.get("train_loss", []))
        self.n_epochs_ = len(rows)

    def _apply(self, matrix, function):
        """Apply a function of tensors to all rows, in blocks; return one array."""
        parts = [self._apply_block(block, function) for _, _, block in row_blocks(matrix)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _apply_block(self, block, function):
        parameter = next(self.net_.module_.parameters())
        return nets.apply_rows(function, block, dtype=parameter.dtype, device=parameter.device)

    def _check_settings(self):
        """Raise on settings that no network can be trained with."""
        check_number("lr", self.lr, above=0)
        check_number("weight_decay", self.weight_decay, least=0)
        check_number("max_epochs", self.max_epochs, least=1, whole=True)
        check_number("batch_size", self.batch_size, least=1, whole=True)
        check_number("patience", self.patience, least=1, whole=True)
        check_number("validation_fraction", self.validation_fraction, above=0, below=1)
        check_number("dropout", self.dropout, least=0, below=1)
        check_choice("activation", self.activation, nets.ACTIVATIONS)
        check_choice("early_stopping", self.early_stopping, (True, False, "auto"))
        check_choice("normalization", self.normalization, (None, *nets.NORMALIZATIONS))
        check_choice("lr_schedule", self.lr_schedule, (None, "cosine", "plateau"))
        check_choice("precision", self.precision, ("auto", "full", "bf16"))
        check_number("l1", self.l1, least=0)
        if self.gradient_clip is not None:
            check_number("gradient_clip", self.gradient_clip, above=0)
        for width in self.hidden_layers:
            check_number("hidden_layers", width, least=1, whole=True)

    def __getstate__(self):
        state = super().__getstate__()
        net = state.pop("net_", None)
        if net is not None:
            state["callbacks"] = None
            state["_net_state"] = {
                "weights": nets.weights_to_arrays(net.module_),
                "optimizer": nets.optimizer_to_arrays(net.optimizer_),
                "generator": net.generator_.get_state().numpy(),
                "frozen": [k for k, p in net.module_.named_parameters() if not p.requires_grad],
            }
        return state

    def __setstate__(self, state):
        state = dict(state)
        saved = state.pop("_net_state", None)
        super().__setstate__(state)
        if saved is None:
            return
        weights = saved["weights"]
        dtype = torch.tensor(next(iter(weights.values()))).dtype
        module = self._build(dtype, None, **self.architecture_)
        nets.weights_from_arrays(module, weights)
        generator = nets.make_generator(0)
        generator.set_state(torch.tensor(saved["generator"]))
        self.device_ = _device_at_hand(self.device_, dtype)
        self.net_ = self._compose(module, self.device_, generator)
        nets.optimizer_from_arrays(self.net_.optimizer_, saved["optimizer"])
        for name in saved["frozen"]:
            module.get_parameter(name).requires_grad_(False)
        self.net_.history_ = history_of(self._history)


def validation_split(strata, groups, fraction, seed):
    """Choose the rows that a training is judged on.

    Every class keeps its share as nearly as whole rows (or whole groups) allow, and at
    least one row in training.

    Parameters
    ----------
    strata : array of int of shape (n_samples,)
        Class codes.
    groups : array of shape (n_samples,) or None
        Rows of one group stay on one side.
    fraction : float
        Share of the rows to judge on.
    seed : int

    Returns
    -------
    learn, judge : arrays of int
        Sorted.

    Raises
    ------
    ValueError
        If no row can be spared.
    """
    rng = np.random.RandomState(seed)
    units = np.arange(len(strata)) if groups is None else np.unique(groups, return_inverse=True)[1]
    total = np.bincount(strata)
    members = np.zeros((units.max() + 1, len(total)), dtype=int)
    np.add.at(members, (units, strata), 1)
    wanted, chosen = total * fraction, np.zeros_like(total)
    scale = np.maximum(wanted, 1e-12)
    judged = np.zeros(len(members), dtype=bool)
    for unit in rng.permutation(len(members)):
        after = chosen + members[unit]
        nearer = ((after - wanted) ** 2 / scale).sum() < ((chosen - wanted) ** 2 / scale).sum()
        if nearer and (after[total > 0] < total[total > 0]).all():
            chosen, judged[unit] = after, True
    judge = judged[units]
    if not judge.any():
        what = "rows" if groups is None else "groups of rows"
        raise ValueError(
            f"Early stopping needs a validation split, but no {what} can be spared among "
            f"{len(members)}: validation_fraction={fraction:g} is too small for them, or each is "
            "the only one of a class. Set early_stopping=False."
        )
    return np.flatnonzero(~judge), np.flatnonzero(judge)


def lowers_precision(precision, net):
    """Tell whether a net is to multiply matrices in bfloat16 while it trains.

    Parameters
    ----------
    precision : {"auto", "full", "bf16"}
        "auto" says yes for float32 on a GPU that has bfloat16; a CPU gains nothing by it.
    net : skorch.NeuralNet

    Raises
    ------
    ValueError
        If "bf16" is asked for with float64, which PyTorch would leave as it is.
    """
    if precision == "full":
        return False
    single = next(net.module_.parameters()).dtype == torch.float32
    if precision == "bf16":
        if not single:
            raise ValueError('precision="bf16" works on float32; give X as float32.')
        return True
    return single and str(net.device).startswith("cuda") and torch.cuda.is_bf16_supported()


def float_type(matrix):
    """Return the torch dtype that arithmetic on a matrix is done in."""
    return torch.float32 if matrix.dtype == np.float32 else torch.float64


def _rows(matrix, dtype):
    """Wrap a checked matrix for gathering, in the dtype of the network."""
    dtype = np.float32 if dtype == torch.float32 else np.float64
    if not isinstance(matrix, DiskRows):
        return nets.rows_of(matrix.astype(dtype, copy=False))
    return nets.BlockRows(
        lambda start, stop: matrix.check(matrix.read(start, stop)), row_edges(matrix), dtype
    )


def _as_tensors(target, weight, used, dtype):
    """Return targets and weights as tensors; the weights of the used rows average to one."""
    if target is not None:
        target = torch.from_numpy(target)
        target = target.to(dtype) if target.is_floating_point() else target
    if weight is not None:
        weight = torch.from_numpy(weight / weight[used].mean()).to(dtype)
    return target, weight


def _is_plain(value):
    return isinstance(value, (bool, numbers.Number, str))


def _device_at_hand(device, dtype):
    """Return the device that a network was trained on, or the CPU where that is not there."""
    try:
        return nets.choose_device(device, dtype)
    except ValueError:
        return "cpu"
