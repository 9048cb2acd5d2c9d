"""Training a variational autoencoder on counts, beside scVI."""

from __future__ import annotations

import logging
import warnings

import numpy as np

from ._jobs import OURS, Job, times_faster

HIDDEN, N_COMPONENTS, BATCH = 128, 10, 128
EPOCHS = 2
LOOP, SCVI = "DataLoader script", "scVI"


def _data(quick):
    """Counts of five factors in cells of different depth, a sixth of them not zero."""
    n_cells, n_genes = (300, 100) if quick else (10_000, 2_000)
    rng = np.random.default_rng(0)
    logs = 0.3 * rng.normal(size=(n_cells, 5)) @ rng.normal(size=(5, n_genes))
    means = np.exp(logs + rng.normal(-2, 1, n_genes)) * rng.gamma(2, 0.5, size=(n_cells, 1))
    return rng.poisson(means).astype(np.float32)


def _ours(likelihood):
    def prepare(X):
        from geneexpr import VariationalAutoencoderEmbedder

        model = VariationalAutoencoderEmbedder(
            N_COMPONENTS,
            likelihood=likelihood,
            hidden_layers=(HIDDEN,),
            batch_size=BATCH,
            max_epochs=EPOCHS,
            early_stopping=False,
            random_state=0,
        )
        return lambda: model.fit(X)

    return prepare


def _scvi(likelihood):
    """All cells for training, and nothing written to disk: epochs are all that is timed."""

    def prepare(X):
        import anndata as ad
        import scvi

        scvi.settings.verbosity = logging.ERROR
        logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
        adata = ad.AnnData(X.copy())
        options = {
            "max_epochs": EPOCHS,
            "batch_size": BATCH,
            "train_size": 1.0,
            "accelerator": "cpu",
            "enable_progress_bar": False,
            "enable_checkpointing": False,
            "logger": False,
        }

        def fit():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                scvi.model.SCVI.setup_anndata(adata)
                model = scvi.model.SCVI(
                    adata, n_hidden=HIDDEN, n_latent=N_COMPONENTS, gene_likelihood=likelihood
                )
                model.train(**options)
            return model

        return fit

    return prepare


def _script(X):
    """The script of a course: the formulas of the paper by torch.distributions, a DataLoader."""
    import torch
    from torch import nn
    from torch.utils.data import DataLoader, TensorDataset

    rows = TensorDataset(torch.from_numpy(X))

    def fit():
        torch.manual_seed(0)
        encoder = nn.Sequential(nn.Linear(X.shape[1], HIDDEN), nn.ReLU(), nn.Dropout(0.1))
        posterior = nn.Linear(HIDDEN, 2 * N_COMPONENTS)
        decoder = nn.Sequential(
            nn.Linear(N_COMPONENTS, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, X.shape[1])
        )
        log_size = nn.Parameter(torch.zeros(X.shape[1]))
        parts = nn.ModuleList([encoder, posterior, decoder])
        optimiser = torch.optim.Adam([*parts.parameters(), log_size], lr=1e-3)
        for _ in range(EPOCHS):
            for (x,) in DataLoader(rows, batch_size=BATCH, shuffle=True):
                optimiser.zero_grad()
                mean, log_variance = posterior(encoder(torch.log1p(x))).chunk(2, dim=1)
                z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
                mu = torch.softmax(decoder(z), dim=1) * x.sum(1, keepdim=True)
                found = torch.distributions.NegativeBinomial(
                    log_size.exp(), logits=(mu + 1e-8).log() - log_size, validate_args=False
                ).log_prob(x)
                kl = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(1)
                (kl - found.sum(1)).mean().backward()
                optimiser.step()
        return parts

    return fit


def _job(likelihood, beside):
    return Job(
        f"vae_{likelihood}",
        f"VariationalAutoencoderEmbedder.fit, {likelihood}, 10 000 x 2 000, {HIDDEN} hidden, "
        f"{EPOCHS} epochs, batch {BATCH}",
        _data,
        {OURS: _ours(likelihood), SCVI: _scvi(likelihood), **beside},
        targets=(times_faster(1.4, SCVI),),
        repeats=3,
        memory=False,
    )


JOBS = (_job("nb", {LOOP: _script}), _job("zinb", {}))
