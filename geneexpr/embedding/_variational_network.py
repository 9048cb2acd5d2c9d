"""How the variational autoencoder is trained and asked, beneath its public methods."""

from functools import partial

import numpy as np
import torch
from skorch.callbacks import Callback

from .. import nets
from .._base import GeneTransformer
from .._blocks import map_rows, row_blocks
from .._containers import name_some
from .._network import NetworkEstimator, check_number
from .._skorch_net import history_of
from .._validation import check_choice, labels_of, warn_zero_depth
from ._fine_tune import FineTuning, with_batches
from ._profile import count_profile, start_of_counts, start_of_values

N_DRAWS = 16
"""Draws of each posterior for the evidence bound; they come in pairs of either sign."""


class VariationalNetwork(FineTuning, GeneTransformer, NetworkEstimator):
    """Base of `VariationalAutoencoderEmbedder`: profile, batches, training, bounds."""

    def fine_tune(
        self, X, y=None, *, batch=None, groups=None, max_epochs=None, lr=None, min_overlap=0.5
    ):
        """Return a copy of this embedder that goes on learning from other samples.

        Genes may differ, as in `AutoencoderEmbedder.fine_tune`. Batches that `fit` has not seen
        begin as the mean of those that it has.

        Parameters
        ----------
        X, y, groups, max_epochs, lr, min_overlap
            As in `AutoencoderEmbedder.fine_tune`.
        batch : array-like of shape (n_samples,), optional
            As in `fit`.

        Returns
        -------
        embedder
            A new object; this one is unchanged. Its history goes on.
        """
        tuned = self._tuned(X, max_epochs, lr, min_overlap)
        labels = labels_of(X, self.batch_key, batch)
        if self.batches_ and labels is not None:
            tuned._add_batches(_as_text(labels))
        if max_epochs != 0:
            tuned._fit(X, batch, resume=True, groups=groups)
        return tuned

    def _add_batches(self, texts):
        old = self.net_.module_
        self.batches_ = [*self.batches_, *sorted(set(texts) - set(self.batches_))]
        self.architecture_ = {**self.architecture_, "n_batches": len(self.batches_)}
        weights = with_batches(old, len(self.batches_))
        module = self._build(old.center.dtype, None, **self.architecture_)
        module.load_state_dict(weights)
        self.net_ = self._compose(module, self.device_, self.net_.generator_)
        self.net_.history_ = history_of(self._history)
        codes = self._encode(texts, "batch")
        self.batch_proportions_ = np.bincount(codes, minlength=len(self.batches_)) / len(codes)

    # -------------------------------------------------------------- fit

    def _fit(self, X, batch, *, resume, groups=None, epochs=None):
        self._check_settings()
        matrix = self._values(X, reset=not resume)
        labels = labels_of(X, self.batch_key, batch)
        if not resume:
            texts = [] if labels is None else _as_text(labels)
            self.batches_ = sorted(set(texts))
            self._learn_start(matrix)
        codes = self._training_codes(labels, matrix.shape[0])
        if not resume:
            self.batch_proportions_ = np.bincount(codes) / len(codes)
        architecture = {
            "n_inputs": self.n_features_in_,
            "n_components": int(self.n_components),
            "hidden_layers": [int(width) for width in self.hidden_layers],
            "activation": self.activation,
            "dropout": float(self.dropout),
            "likelihood": self.likelihood,
            "n_batches": len(self.batches_),
        }
        options = {"X": X, "groups": groups, "resume": resume, "epochs": epochs}
        self._train(matrix, architecture, target=codes, strata=codes, **options)

    def _learn_start(self, matrix):
        """Learn what training begins with; kept until the module is built."""
        if self.likelihood == "gaussian":
            self.median_library_size_, self.library_spread_ = 1.0, 0.0
            self._begin = start_of_values(matrix)
            return
        found = count_profile(matrix)
        warn_zero_depth(found.libraries, type(self).__name__)
        self.median_library_size_ = float(np.median(found.filled))
        self.library_spread_ = float(np.log(found.filled).std())
        self._begin = start_of_counts(found)

    def _training_codes(self, labels, n_samples):
        if labels is None and self.batches_:
            raise ValueError(
                f"This {type(self).__name__} was fitted with batch labels and needs them to train "
                "on: pass batch= beside an array, or use batch_key with an AnnData or DataFrame."
            )
        if labels is None:
            return np.zeros(n_samples, dtype=np.int64)
        return self._encode(_as_text(labels), "batch")

    def _prepare(self, module):
        module.start({name: torch.as_tensor(value) for name, value in self._begin.items()})
        del self._begin

    def _attach_callbacks(self, net, epochs):
        super()._attach_callbacks(net, epochs)
        net.callbacks_.append(("kl_warmup", KLWarmup(self.kl_warmup)))

    # -------------------------------------------------------------- rows

    def _values(self, X, *, reset=False):
        counts = self.likelihood != "gaussian"
        return self._check(X, reset=reset, counts=counts, layer=self.layer)

    def _codes(self, X, batch, n_rows=None):
        """Return the code of each sample's batch, -1 for a mean over all; None without any.

        With ``n_rows`` the labels are needed, not only compared.
        """
        labels = labels_of(X, self.batch_key, batch)
        if not self.batches_:
            if labels is not None:
                raise ValueError(
                    f"This {type(self).__name__} was fitted without batch labels; it cannot use "
                    "those given here. Pass them to fit as well."
                )
            return None
        if labels is None:
            if n_rows is not None and self.unseen_batch == "raise":
                raise ValueError(
                    f"This {type(self).__name__} was fitted with batch labels and needs them "
                    "here: pass batch= beside an array, or set unseen_batch='mix'."
                )
            return None if n_rows is None else np.full(n_rows, -1)
        return self._encode(_as_text(labels), "batch", mix=self.unseen_batch == "mix")

    def _encode(self, texts, name, *, mix=False):
        places = {batch: i for i, batch in enumerate(self.batches_)}
        codes = np.array([places.get(text, -1) for text in texts], dtype=np.int64)
        if (codes < 0).any() and not mix:
            new = sorted({text for text, code in zip(texts, codes, strict=True) if code < 0})
            raise ValueError(
                f"{name} holds batches that fit has not seen: {name_some(new)}; fit saw "
                f"{name_some(self.batches_) or 'none'}. Set unseen_batch='mix' to embed their "
                "samples as any other and take the mean over all batches in decoding."
            )
        return codes

    def _bounds(self, matrix, codes):
        """Return the evidence bound of every row."""
        if codes is None:
            codes = np.zeros(matrix.shape[0], dtype=np.int64)
        draws = np.random.default_rng(0).standard_normal((N_DRAWS // 2, self._n_features_out))
        noise = np.concatenate([draws, -draws])
        parts = [
            self._evidence(block, codes[start:stop], noise)
            for start, stop, block in row_blocks(matrix)
        ]
        return np.concatenate(parts)

    def _drawn(self, rng, z, codes, sizes):
        parameter = next(self.net_.module_.parameters())
        z, sizes = (torch.from_numpy(a).to(parameter) for a in (z, sizes))
        codes = torch.from_numpy(codes).to(parameter.device)
        return self.net_.module_.draw(rng, z, codes, sizes).numpy()

    def _evidence(self, block, codes, noise):
        module, result = self.net_.module_, np.empty(len(codes))
        noise = torch.from_numpy(noise).to(next(module.parameters()))
        for code in np.unique(codes):
            rows = codes == code
            every = range(max(1, len(self.batches_))) if code < 0 else [int(code)]
            bounds = [
                self._apply_block(block[rows], partial(_bound, module, noise, each))
                for each in every
            ]
            result[rows] = np.mean(bounds, axis=0)[:, 0]
        return result

    def _restored(self, matrix, function):
        return map_rows(
            matrix,
            lambda block: self._apply_block(block, function),
            n_columns=self.n_features_in_,
            dtype=self._dtype,
            sparse=False,
        )

    @property
    def _n_features_out(self):
        return self.architecture_["n_components"]

    @property
    def _dtype(self):
        return self.net_.module_.center.cpu().numpy().dtype

    def _check_settings(self):
        super()._check_settings()
        check_number("n_components", self.n_components, least=1, whole=True)
        check_number("kl_warmup", self.kl_warmup, least=0, whole=True)
        check_choice("likelihood", self.likelihood, nets.LIKELIHOODS)
        check_choice("unseen_batch", self.unseen_batch, ("raise", "mix"))

    @staticmethod
    def _build(dtype, generator, **architecture):
        return nets.VariationalAutoencoder(**architecture, dtype=dtype, generator=generator)

    @staticmethod
    def _loss(module, output, batch):
        return module.loss(output, *batch, batch.weight)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = self.likelihood != "gaussian"
        return tags


class KLWarmup(Callback):
    """Let the weight of the divergence grow to one over the first epochs.

    Parameters
    ----------
    n_epochs : int
    """

    def __init__(self, n_epochs):
        self.n_epochs = n_epochs

    def on_epoch_begin(self, net, **kwargs):
        """Set the weight of this epoch."""
        net.module_.kl_weight = min(1.0, len(net.history) / max(1, self.n_epochs))


def _bound(module, noise, code, x):
    codes = torch.full((len(x),), code, device=x.device)
    return module.evidence(x, codes, noise)[:, None]


def _as_text(labels):
    return [str(label) for label in labels]
