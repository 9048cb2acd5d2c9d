"""A perceptron, or an autoencoder's encoder and what is behind it, as one network of the genes."""

from dataclasses import dataclass

import numpy as np

from ._layers import Opened, open_encoder, open_network
from ._linear_path import model_weights
from ._steps import NotLinearError, pull_back

_ENCODERS = {"Autoencoder", "VariationalAutoencoder"}


class NotOneNetworkError(ValueError):
    """The genes do not go through one network that can be opened; the message says why."""


@dataclass(frozen=True)
class Composed:
    """All that is behind the linear steps at the beginning of the core, as one network.

    Parameters
    ----------
    opened : Opened
    scale : array of shape (n_outputs,)
        What the outputs are multiplied by to give the margin.
    said : str
        What it is made of, in words.
    """

    opened: Opened
    scale: np.ndarray
    said: str


def compose(suffix, margin):
    """Open the network that the genes go through.

    It is a perceptron of ours, or the encoder of an autoencoder with the model behind it, a
    linear one or a perceptron; the linear steps between them are folded into one layer.

    Parameters
    ----------
    suffix : Suffix
    margin : Margin

    Returns
    -------
    Composed

    Raises
    ------
    NotOneNetworkError
        For anything else.
    """
    model = suffix.model
    name = type(model).__name__
    embedder = embedder_of(suffix)
    if embedder is not None:
        return _behind_encoder(suffix, embedder, margin)
    if not is_network(model):
        raise NotOneNetworkError(f"{name} is no network of geneexpr")
    opened = open_network(model.net_.module_)
    if not suffix.mixes or opened is None or (opened.preface is not None and suffix.core):
        raise NotOneNetworkError(f"the genes do not enter {name} through one linear layer")
    return Composed(opened, output_scale(model), f"{name} is a perceptron")


def is_network(model):
    """Tell whether a predictor composes one of our networks."""
    return hasattr(getattr(model, "net_", None), "module_") and hasattr(model, "architecture_")


def embedder_of(suffix):
    """Return the autoencoder that ends the linear steps of the core, or None."""
    if suffix.mixes:
        return None
    step = suffix.core[suffix.n_linear]
    module = getattr(getattr(step, "net_", None), "module_", None)
    return step if type(module).__name__ in _ENCODERS else None


def output_scale(model):
    """Return what the outputs of the network are multiplied by to give the margin."""
    if hasattr(model, "target_scale_"):
        return np.atleast_1d(model.target_scale_).astype(np.float64)
    n_outputs = model.architecture_["n_outputs"]
    return np.full(n_outputs, 1 / float(getattr(model, "temperature_", 1.0)))


def _behind_encoder(suffix, embedder, margin):
    """Join the encoder, the linear steps behind it and the model."""
    name, model = type(embedder).__name__, suffix.model
    head = _head(model, name, margin, suffix.probe)
    steps, weights = suffix.core[suffix.n_linear + 1 :], head.weights.astype(np.float64)
    try:
        for step in reversed(steps):
            weights = pull_back(step, weights)
    except NotLinearError as error:
        raise NotOneNetworkError(f"{error} and stands behind {name}") from None
    # What is behind is linear, so that at components of zero it shows its offset.
    components = embedder.get_feature_names_out()
    zero = suffix.apply(steps, np.zeros((1, len(components))), components)
    opened = open_encoder(embedder.net_.module_, weights, head.units(zero)[0], head.rest)
    if opened.preface is not None and suffix.n_linear:
        raise NotOneNetworkError(
            f"{type(suffix.core[0]).__name__} mixes the genes before {name} takes their logarithms"
        )
    scale = output_scale(model) if is_network(model) else np.ones(head.weights.shape[1])
    kind = "" if is_network(model) else "linear "
    return Composed(
        opened, scale, f"{name} and the {kind}{type(model).__name__} behind it are one network"
    )


def _head(model, embedder, margin, rows):
    """Open the model that is behind an encoder: a perceptron, or weights alone."""
    name = type(model).__name__
    if is_network(model):
        opened = open_network(model.net_.module_)
        if opened is None or opened.preface is not None:
            raise NotOneNetworkError(
                f"the components of {embedder} do not enter {name} through one linear layer"
            )
        return opened
    try:
        weights = model_weights(model, margin, rows)
    except NotLinearError:
        raise NotOneNetworkError(
            f"{name} behind {embedder} is neither linear nor a network of geneexpr"
        ) from None
    return Opened(weights=weights, offset=np.zeros(weights.shape[1]), rest=[])
