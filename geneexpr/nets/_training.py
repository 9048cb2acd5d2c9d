"""The training core: optimiser, one step, the best weights, and weights as arrays."""

import numpy as np
import torch


class Batch(tuple):
    """The pair (x, y) of a mini-batch, with the weights of its samples.

    It is a pair because that is what skorch's callbacks unpack.

    Attributes
    ----------
    weight : tensor of shape (n_samples,) or None
    """

    def __new__(cls, x, y=None, weight=None):
        """Pair x with y."""
        batch = super().__new__(cls, (x, y))
        batch.weight = weight
        return batch


class Examples:
    """Rows with their targets and weights: what a network learns from or is judged on.

    Parameters
    ----------
    rows : DenseRows, SparseRows or BlockRows
    index : tensor of int
        Which of the rows, sorted.
    target : tensor of shape (n_rows, ...), optional
    weight : tensor of shape (n_rows,), optional
    """

    def __init__(self, rows, index, target=None, weight=None):
        self.rows = rows
        self.index = index
        self.target = None if target is None else target.to(rows.device)
        self.weight = None if weight is None else weight.to(rows.device)

    def __len__(self):
        return len(self.index)

    def batches(self, batch_size, generator=None):
        """Yield mini-batches, shuffled if there is a generator."""
        for rows, x in self.rows.batches(self.index, batch_size, generator):
            rows = rows.to(self.rows.device)
            yield Batch(
                x,
                None if self.target is None else self.target[rows],
                None if self.weight is None else self.weight[rows],
            )


def make_optimizer(module, *, lr, weight_decay):
    """Return a fused Adam with decoupled weight decay on the matrices, not the offsets.

    Parameters
    ----------
    module : torch.nn.Module
    lr : float
    weight_decay : float

    Returns
    -------
    torch.optim.AdamW

    References
    ----------
    .. [1] Loshchilov, Hutter, "Decoupled weight decay regularization", ICLR 2019,
       doi:10.48550/arXiv.1711.05101.
    """
    matrices = [p for p in module.parameters() if p.requires_grad and p.ndim > 1]
    offsets = [p for p in module.parameters() if p.requires_grad and p.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": offsets, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=lr, fused=True)


@torch.no_grad()
def select_genes(layer, optimizer, strength):
    """Take the proximal step of the group lasso [1]_ that belongs to a step of Adam.

    Together they lower the loss plus ``strength`` times the sum over genes of the length of
    their weights. A gene whose gradient is shorter than ``strength`` gets weights of exactly
    zero. Adam divides the gradient of each weight by its own root mean square, and the
    threshold is divided alike [2]_, by that of the gene.

    Parameters
    ----------
    layer : GeneLinear
    optimizer : torch.optim.AdamW
    strength : float

    References
    ----------
    .. [1] Yuan, Lin (2006), "Model selection and estimation in regression with grouped
       variables", Journal of the Royal Statistical Society B 68, 49-67,
       doi:10.1111/j.1467-9868.2005.00532.x.
    .. [2] Yun, Lozano, Yang (2021), "Adaptive proximal gradient methods for structured neural
       networks", NeurIPS 34.
    """
    state = optimizer.state.get(layer.weight)
    if not state:  # frozen
        return
    group = optimizer.param_groups[0]
    squares = state["exp_avg_sq"].mean(dim=1) / (1 - group["betas"][1] ** state["step"])
    layer.shrink(group["lr"] * strength / squares.sqrt_().add_(group["eps"]))


def weights_to_arrays(module):
    """Return all weights and buffers of a module as arrays by name."""
    return {name: t.detach().cpu().numpy().copy() for name, t in module.state_dict().items()}


def weights_from_arrays(module, arrays):
    """Give a module the weights and buffers in ``arrays``."""
    module.load_state_dict({name: torch.tensor(array) for name, array in arrays.items()})
    return module


def optimizer_to_arrays(optimizer):
    """Return what an optimiser remembers of each parameter, as a list of dicts of arrays.

    A parameter that was never trained has an empty dict.
    """
    whole = optimizer.state_dict()
    numbers = [i for group in whole["param_groups"] for i in group["params"]]
    return [
        {key: value.cpu().numpy().copy() for key, value in whole["state"].get(i, {}).items()}
        for i in numbers
    ]


def optimizer_from_arrays(optimizer, memory):
    """Give an optimiser back what it remembered."""
    whole = optimizer.state_dict()
    whole["state"] = {
        i: {key: torch.tensor(value) for key, value in entry.items()}
        for i, entry in enumerate(memory)
        if entry
    }
    optimizer.load_state_dict(whole)
    return optimizer


class BestWeights:
    """A copy of the weights at the lowest loss so far.

    Parameters
    ----------
    module : torch.nn.Module
    """

    def __init__(self, module):
        self._module = module
        self._copies = None
        self.loss = np.inf
        self.epoch = 0

    def offer(self, loss, epoch):
        """Copy the weights if ``loss`` is the lowest so far, and say whether it was."""
        if not loss < self.loss:
            return False
        self.loss, self.epoch = loss, epoch
        weights = list(self._module.state_dict().values())
        if self._copies is None:
            self._copies = [w.clone() for w in weights]
        else:
            for copy, weight in zip(self._copies, weights, strict=True):
                copy.copy_(weight)
        return True

    def restore(self):
        """Put the best weights back into the module, if any were kept, and let go of them."""
        if self._copies is None:
            return
        for weight, copy in zip(self._module.state_dict().values(), self._copies, strict=True):
            weight.copy_(copy)
        self._copies = None
