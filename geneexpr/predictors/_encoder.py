"""Predicting from the components of an embedder that was trained on other samples."""

import numpy as np
import torch
from sklearn.exceptions import NotFittedError
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted
from skorch.callbacks import Callback

from .._network import check_number
from .._validation import check_input


class WithEncoder:
    """Mixin of predictors that take an ``encoder`` and ``freeze``.

    Its place is before the base class, whose hooks it extends.
    """

    encoder, freeze = None, True  # of older model files

    def _values(self, X, *, reset):
        """Check X as the encoder does: what it reads, and whether that must be counts."""
        if self.encoder is None:
            return super()._values(X, reset=reset)
        layer = getattr(self.encoder, "layer", None)
        return check_input(self, X, reset=reset, counts=takes_counts(self.encoder), layer=layer)

    def _encoded(self, architecture):
        """Put the encoder before the network that these values describe, if there is one."""
        if self.encoder is None:
            return architecture
        check_encoder(self.encoder, self)
        network = self.encoder.net_.module_
        encoder = {**self.encoder.architecture_, "kind": type(network).__name__}
        if self.freeze is True:
            encoder["dropout"] = 0.0
        head = {key: value for key, value in architecture.items() if key != "n_inputs"}
        return {**head, "encoder": encoder}

    def _train(self, matrix, architecture, *, weight=None, **options):
        if self.encoder is not None and not options.get("resume"):
            z = self.encoder._apply(matrix, self.encoder.net_.module_.encode)
            z = z if weight is None else z[weight > 0]
            self._begin = z.mean(0), z.std(0)
        super()._train(matrix, architecture, weight=weight, **options)

    def _prepare(self, module):
        super()._prepare(module)
        if self.encoder is None:
            return
        shift, spread = self._begin
        del self._begin
        with torch.no_grad():
            module.encoder.take_over(self.encoder.net_.module_)
            module.shift.copy_(torch.from_numpy(shift))
            module.spread.copy_(torch.from_numpy(np.where(spread > 0, spread, 1)))
        module.freeze(self.freeze is True)

    def _attach_callbacks(self, net, epochs):
        super()._attach_callbacks(net, epochs)
        if self.encoder is not None and not isinstance(self.freeze, bool):
            net.callbacks_.insert(0, ("thaw", Thaw(self.freeze)))

    def _check_settings(self):
        super()._check_settings()
        if self.encoder is not None and not hasattr(self.encoder, "fine_tune"):
            raise ValueError(
                "encoder must be a fitted AutoencoderEmbedder or VariationalAutoencoderEmbedder; "
                f"got {self.encoder!r}. Put other transformers before this "
                f"{type(self).__name__} in a pipeline."
            )
        if not isinstance(self.freeze, bool):
            check_number("freeze", self.freeze, least=0, whole=True)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        if self.encoder is not None and hasattr(self.encoder, "__sklearn_tags__"):
            tags.input_tags.positive_only = takes_counts(self.encoder)
        return tags


class Thaw(Callback):
    """Keep the encoder as it is for the first epochs, then let it learn.

    Parameters
    ----------
    n_epochs : int
    """

    def __init__(self, n_epochs):
        self.n_epochs = n_epochs

    def on_epoch_begin(self, net, **kwargs):
        """Freeze, or thaw."""
        net.module_.freeze(len(net.history) <= self.n_epochs)

    def on_train_end(self, net, **kwargs):
        """Leave nothing frozen."""
        net.module_.freeze(False)


def takes_counts(encoder):
    """Tell whether an embedder is one of counts."""
    return get_tags(encoder).input_tags.positive_only


def check_encoder(encoder, predictor):
    """Raise where an encoder is not fitted, or was fitted on other genes.

    Parameters
    ----------
    encoder : embedder
    predictor : predictor
        Its genes are those of the samples that it learns from.
    """
    name = type(predictor).__name__
    try:
        check_is_fitted(encoder)
    except NotFittedError:
        raise NotFittedError(
            f"The encoder of this {name} is not fitted. Fit it first; where {name} is cloned "
            "(cross-validation, a grid) give encoder=FrozenEstimator(embedder) of "
            "sklearn.frozen, or its clone forgets what the embedder learned."
        ) from None
    theirs, ours = (getattr(e, "feature_names_in_", None) for e in (encoder, predictor))
    same = encoder.n_features_in_ == predictor.n_features_in_
    if theirs is not None and ours is not None:
        same = np.array_equal(theirs, ours)
    if not same:
        raise ValueError(
            f"The encoder was fitted on {encoder.n_features_in_} genes, and X holds others, or in "
            f"another order ({predictor.n_features_in_}). Bring the encoder to the genes of X "
            "with its fine_tune(X), or X to the genes of the encoder with GeneAligner."
        )
