"""A network behind its first layer, as a list of layers, and slopes through it."""

import copy
from dataclasses import dataclass

import numpy as np

_ELEMENTWISE = {"ReLU", "GELU", "SiLU", "ELU", "Tanh", "Sigmoid", "Softplus", "LeakyReLU", "SELU"}
_NOTHING = {"Identity", "Dropout"}


@dataclass(frozen=True)
class Opened:
    """A network, cut behind the linear layer that genes enter it by.

    Parameters
    ----------
    weights : array of shape (n_genes, n_units)
    offset : array of shape (n_units,)
        Both of the first layer.
    rest : list of torch.nn.Module
        What follows, in evaluation mode and double precision.
    preface : callable or None
        What is done to each gene before: from arrays to arrays.
    """

    weights: np.ndarray
    offset: np.ndarray
    rest: list
    preface: object = None

    def seen(self, rows):
        """Return rows as the first layer sees them."""
        return rows if self.preface is None else self.preface(rows)

    def units(self, rows):
        """Return what the first layer makes of rows, in double precision."""
        seen = self.seen(rows).astype(np.float64, copy=False)
        return seen @ self.weights.astype(np.float64) + self.offset


def open_network(module):
    """Cut a perceptron behind its first layer; None for a network of another kind.

    Parameters
    ----------
    module : torch.nn.Module

    Returns
    -------
    Opened or None
    """
    kind = type(module).__name__
    if kind == "MLP" and hasattr(module, "hidden"):
        center, scale = _standard(module) if getattr(module, "centered", False) else (None, None)
        return _opened([*module.hidden, module.output], center, scale)
    if kind == "EncodedMLP" and hasattr(module, "encoder"):
        half = module.encoder
        between = _components(half.components, half.n_components, module.shift, module.spread)
        layers = [*half.encoder, between, *module.head.hidden, module.head.output]
        return _opened(layers, *_standard(half), counts=half.counts)
    return None


def open_encoder(module, weights, offset, rest):
    """Cut an autoencoder's encoder behind its first layer, with a network behind it.

    Parameters
    ----------
    module : torch.nn.Module
        An Autoencoder or a VariationalAutoencoder.
    weights : array of shape (n_components, k)
    offset : array of shape (k,)
        Of a linear layer behind the components (of a variational encoder: their means).
    rest : list of torch.nn.Module
        What follows that.

    Returns
    -------
    Opened
    """
    import torch

    last = module.embedding if hasattr(module, "embedding") else module.posterior
    behind = torch.nn.Linear(*weights.shape, dtype=torch.float64)
    with torch.no_grad():
        behind.weight.copy_(torch.from_numpy(np.ascontiguousarray(weights.T)))
        behind.bias.copy_(torch.from_numpy(np.ascontiguousarray(offset)))
    counts = module.likelihood is not None and module.likelihood.counts
    layers = [*module.encoder, _components(last, len(weights)), behind, *rest]
    return _opened(layers, *_standard(module), counts=counts)


def _opened(layers, center, scale, *, counts=False):
    """Cut layers behind the first, with what is done to each gene before."""
    first, *rest = (copy.deepcopy(layer).cpu().eval() for layer in layers)
    weight = first.weight.detach().numpy()
    weight = weight if type(first).__name__ == "GeneLinear" else np.ascontiguousarray(weight.T)
    offset, preface = first.bias.detach().double().numpy(), None
    if counts:

        def preface(rows):
            return (np.log1p(rows) - center) / scale

    elif center is not None:
        weight = weight / scale.astype(weight.dtype)
        offset = offset - center @ weight.astype(np.float64)
    return Opened(
        weights=weight, offset=offset, rest=[layer.double() for layer in rest], preface=preface
    )


def _standard(module):
    """Return what a network takes off each gene, and what it divides by."""
    return (t.detach().cpu().double().numpy() for t in (module.center, module.scale))


def _components(layer, n_components, shift=0.0, spread=None):
    """Return the layer of an encoder's components, their standardisation folded in."""
    import torch

    layer, n = copy.deepcopy(layer), n_components
    across = type(layer).__name__ == "GeneLinear"
    spread = layer.bias.new_ones(n) if spread is None else spread
    with torch.no_grad():
        weight = layer.weight[:, :n] / spread if across else layer.weight[:n] / spread[:, None]
        offset = (layer.bias[:n] - shift) / spread
    layer.weight, layer.bias = torch.nn.Parameter(weight), torch.nn.Parameter(offset)
    return layer


def has_secants(layers):
    """Tell whether all that is not linear in these layers works on single numbers."""
    return all(_is_known(layer) for layer in layers)


def _is_known(layer):
    name = type(layer).__name__
    if name == "Residual":
        return has_secants(layer.block)
    return name in _ELEMENTWISE | _NOTHING | {"Linear", "GeneLinear"} or _is_batch_norm(layer)


def _is_batch_norm(layer):
    return any(base.__name__ == "BatchNorm1d" for base in type(layer).__mro__)


def secant_slopes(layers, ends, starts):
    r"""Return slopes from inputs to outputs that account for the whole difference.

    The rescale rule of DeepLIFT [1]_: an activation has the slope
    :math:`(\sigma(a) - \sigma(b)) / (a - b)` between its two arguments, and slopes multiply
    along the layers. For each pair, slopes times the difference of the inputs add up to the
    difference of the outputs.

    Parameters
    ----------
    layers : list of torch.nn.Module
        In evaluation mode and double precision.
    ends, starts : tensor of shape (..., n_units)
        Inputs, of one shape.

    Returns
    -------
    slopes : tensor of shape (n_outputs, ..., n_units)

    References
    ----------
    .. [1] Shrikumar, Greenside, Kundaje (2017), "Learning important features through
       propagating activation differences", ICML, doi:10.48550/arXiv.1704.02685.
    """
    import torch

    with torch.no_grad():
        (a, b), backs = (ends, starts), []
        for layer in layers:
            a, b, back = _secant(layer, a, b)
            backs.append(back)
        slopes = torch.eye(a.shape[-1], dtype=a.dtype)
        slopes = slopes.reshape(-1, *[1] * (a.ndim - 1), a.shape[-1])
        for back in reversed(backs):
            slopes = back(slopes)
        return slopes.expand(-1, *ends.shape)


def _secant(layer, a, b):
    """Return what a layer makes of both inputs, and how slopes go back through it."""
    name = type(layer).__name__
    if name in _NOTHING:
        return a, b, lambda slopes: slopes
    if name == "Residual":
        return _residual(layer, a, b)
    if _is_batch_norm(layer):
        factor = layer.weight / (layer.running_var + layer.eps).sqrt()
        shift = layer.bias - layer.running_mean * factor
        return a * factor + shift, b * factor + shift, lambda slopes: slopes * factor
    if hasattr(layer, "weight"):
        weight = layer.weight if name == "GeneLinear" else layer.weight.T
        return a @ weight + layer.bias, b @ weight + layer.bias, lambda slopes: slopes @ weight.T
    return _activation(layer, a, b)


def _residual(layer, a, b):
    backs, at = [], (a, b)
    for inner in layer.block:
        *at, back = _secant(inner, *at)
        backs.append(back)

    def through(slopes):
        inside = slopes
        for back in reversed(backs):
            inside = back(inside)
        return slopes + inside

    return a + at[0], b + at[1], through


def _activation(layer, a, b):
    import torch

    high, low = layer(a), layer(b)
    step = a - b
    near = step.abs() < 1e-6
    slope = (high - low) / torch.where(near, 1.0, step)
    # Where both arguments are the same, the slope there; a quotient would be noise.
    with torch.enable_grad():
        middle = ((a + b) / 2)[near].requires_grad_()
        (tangent,) = torch.autograd.grad(layer(middle).sum(), middle) if len(middle) else (middle,)
    slope[near] = tangent
    return high, low, lambda slopes: slopes * slope


def path_slopes(layers, ends, starts, *, n_nodes):
    r"""Return mean gradients on the straight paths between inputs, by Gauss and Legendre [1]_.

    Parameters
    ----------
    layers : list of torch.nn.Module
    ends, starts : tensor of shape (n, n_units)
    n_nodes : int

    Returns
    -------
    slopes : tensor of shape (n_outputs, n, n_units)

    References
    ----------
    .. [1] Sundararajan, Taly, Yan (2017), "Axiomatic attribution for deep networks", ICML,
       doi:10.48550/arXiv.1703.01365.
    """
    import torch

    nodes, shares = np.polynomial.legendre.leggauss(n_nodes)
    total = None
    for t, share in zip((nodes + 1) / 2, shares / 2, strict=True):
        x = (starts + t * (ends - starts)).requires_grad_()
        output = x
        for layer in layers:
            output = layer(output)
        n_outputs = output.shape[1]
        grads = [
            torch.autograd.grad(output[:, i].sum(), x, retain_graph=i + 1 < n_outputs)[0]
            for i in range(n_outputs)
        ]
        part = torch.stack(grads) * share
        total = part if total is None else total + part
    return total.detach()
