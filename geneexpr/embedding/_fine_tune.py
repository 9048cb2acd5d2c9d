"""Going on with a trained embedder on another cohort, whose genes overlap only in part."""

import copy

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted

from .. import nets
from .._containers import gene_names, name_some, values
from .._network import check_number
from .._skorch_net import history_of

SILENT = ("encoder.0.weight", "embedding.weight", "posterior.weight", "output.weight")
"""Weights that begin at zero for a gene that the network has not seen."""


def places_of(genes, known):
    """Return the place of each gene among those known, -1 where it is not.

    Parameters
    ----------
    genes, known : sequence of str

    Returns
    -------
    array of int of shape (n_genes,)

    Examples
    --------
    >>> places_of(["b", "x"], ["a", "b"])
    array([ 1, -1])
    """
    places = {gene: i for i, gene in enumerate(known)}
    return np.array([places.get(gene, -1) for gene in genes], dtype=np.int64)


def rewired(old, fresh, places):
    """Give a fresh module the weights of an old one, gene by gene.

    A gene that the old module has not seen has no weight in the encoder and none in the
    decoder's last layer, so it changes no component before training does; its mean and its
    dispersion are those that the fresh module began with. A gene that is missing now counted
    as one at its mean.

    Parameters
    ----------
    old, fresh : torch.nn.Module
        With ``by_gene`` and ``offset``; the genes may differ, all else is alike.
    places : array of int of shape (n_genes,)
        Where each gene of ``fresh`` is in ``old``, -1 for new ones.

    Returns
    -------
    torch.nn.Module
        ``fresh``.
    """
    known = torch.from_numpy(np.flatnonzero(places >= 0))
    source = torch.from_numpy(places[places >= 0])
    before, after = old.state_dict(), fresh.state_dict()
    for name, tensor in after.items():
        if name not in fresh.by_gene:
            tensor.copy_(before[name])
            continue
        taken = before[name][source].to(tensor.dtype)
        if name in SILENT:
            tensor.zero_()
        elif name == fresh.offset and len(known):
            tensor += (taken - tensor[known]).mean()  # shares are known up to a constant
        tensor[known] = taken
    return fresh


def with_batches(module, n_batches):
    """Return the weights of a module by name, with columns for more batches.

    Each new batch begins as the mean of those known.

    Parameters
    ----------
    module : VariationalAutoencoder
    n_batches : int
        As many as there will be, those known first.

    Returns
    -------
    dict of str to tensor
    """
    weights = module.state_dict()
    more = n_batches - module.n_batches
    for name in module.by_batch if more else ():
        columns = weights[name][:, -module.n_batches :]
        weights[name] = torch.cat(
            [weights[name], columns.mean(1, keepdim=True).expand(-1, more)], 1
        )
    return weights


class FineTuning:
    """Mixin of the embedders that another cohort can be learned by.

    It asks for ``_learn_start(matrix)``, which keeps in ``_begin`` what a network begins
    with, and for ``_fit(X, resume=True, ...)``.
    """

    def fine_tune(self, X, y=None, *, groups=None, max_epochs=None, lr=None, min_overlap=0.5):
        """Return a copy of this embedder that goes on learning from other samples.

        Their genes may differ. Genes are matched by name: those that both have keep their
        weights, genes of ``X`` that are new begin without any, and genes that ``X`` lacks are
        dropped, which is as if each stood at its mean. So before the first epoch the copy
        embeds ``X`` as this embedder does once `GeneAligner` has brought it in line. (To keep
        the genes of the first cohort, put `GeneAligner` before and call `partial_fit`.)

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)
            On the scale of the samples in `fit`. An array, which has no names, must have the
            same genes.
        y : None
            Ignored.
        groups : array-like of shape (n_samples,), optional
            As in `fit`.
        max_epochs : int, optional
            By default that of this embedder; 0 brings it to the genes of ``X``, no more.
        lr : float, optional
            Learning rate, by default that of this embedder.
        min_overlap : float, default=0.5
            Raise if less than this share of the genes of ``X`` was seen in `fit`.

        Returns
        -------
        embedder
            A new object; this one is unchanged. Its history goes on.
        """
        tuned = self._tuned(X, max_epochs, lr, min_overlap)
        if max_epochs != 0:
            tuned._fit(X, resume=True, groups=groups)
        return tuned

    def _tuned(self, X, max_epochs, lr, min_overlap):
        """Return a copy brought to the genes of X, not trained yet."""
        check_is_fitted(self)
        places = self._places(X, min_overlap)
        tuned = copy.deepcopy(self)
        if max_epochs is not None:
            check_number("max_epochs", max_epochs, least=0, whole=True)
            tuned.max_epochs = max_epochs or self.max_epochs
        tuned.lr = self.lr if lr is None else lr
        tuned.callbacks = self.callbacks
        tuned._learn_start(tuned._values(X, reset=True))
        tuned.architecture_ = {**self.architecture_, "n_inputs": tuned.n_features_in_}
        tuned._take_over(tuned.net_.module_, places)
        return tuned

    def _take_over(self, old, places):
        """Build the module anew, with the weights of the old one where it has them."""
        dtype = old.center.dtype
        generator = self.net_.generator_
        fresh = self._build(dtype, nets.make_generator(0), **self.architecture_)
        self._prepare(fresh)
        rewired(old.cpu(), fresh, places)
        frozen = [name for name, p in old.named_parameters() if not p.requires_grad]
        self.net_ = self._compose(fresh, self.device_, generator)
        for name in frozen:
            fresh.get_parameter(name).requires_grad_(False)
        self.net_.history_ = history_of(self._history)

    def _places(self, X, min_overlap):
        """Return where the genes of X are among those seen in fit."""
        check_number("min_overlap", min_overlap, least=0)
        genes, known = gene_names(X), getattr(self, "feature_names_in_", None)
        if genes is None or known is None:
            n_genes = values(X).shape[1]
            if n_genes != self.n_features_in_:
                raise ValueError(
                    f"X has {n_genes} genes and fit saw {self.n_features_in_}, and genes without "
                    "names cannot be matched: give both cohorts as DataFrame or AnnData."
                )
            return np.arange(n_genes)
        places = places_of(genes, known)
        share = float((places >= 0).mean())
        if share < min_overlap or not (places >= 0).any():
            raise ValueError(
                f"{(places >= 0).sum()} of {len(places)} genes of X were seen in fit "
                f"({share:.0%}; min_overlap={min_overlap:g}); new are "
                f"{name_some(genes[places < 0])}. Are both named alike? GeneAligner has "
                "strip_version and gene_map for that."
            )
        return places
