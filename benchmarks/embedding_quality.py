"""How good an embedding is, beside scVI: ``python -m benchmarks.embedding_quality FOLDER``.

FOLDER holds ``sc_mixology`` and ``pbmc3k_counts_seurat``. Both models have the same layers,
likelihood, mini-batches and number of epochs, and every seed has its own split: four fifths of
the cells to train on. What is compared is of the held-out cells (evidence bound) or of all
(neighbourhoods, clusters). Differences are paired by seed; their intervals are Student's.
"""

from __future__ import annotations

import argparse
import logging
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

HIDDEN, N_COMPONENTS, BATCH, LIKELIHOOD = 128, 10, 128, "nb"
N_GENES = 1000


def load_mixology(folder):
    """Return counts of the genes that all have, true cell lines and batches."""
    counts, labels, batches = [], [], []
    for name in ("sc_celseq2", "sc_celseq2_5cl_p1", "sc_celseq2_5cl_p2", "sc_dropseq"):
        table = pd.read_csv(folder / "sc_mixology" / f"{name}.count.csv.gz", index_col=0)
        about = pd.read_csv(folder / "sc_mixology" / f"{name}.metadata.csv.gz", index_col=0)
        about = about[about["demuxlet_cls"] == "SNG"]
        counts.append(table[about.index])
        labels += list(about["cell_line_demuxlet"])
        batches += [name] * len(about)
    whole = pd.concat(counts, axis=1, join="inner")
    return whole.to_numpy(np.float32).T, np.array(labels), np.array(batches)


def load_pbmc(folder):
    """Return counts and cell types; there is one batch."""
    from scipy.io import mmread

    place = folder / "pbmc3k_counts_seurat"
    counts = mmread(place / "counts_matrix.mtx.gz").T.toarray().round().astype(np.float32)
    return counts, pd.read_csv(place / "cells.csv.gz")["classified"].to_numpy(str), None


def most_variable(X, n_genes=N_GENES):
    """Keep the genes whose logs of shares vary most."""
    logs = np.log1p(X / X.sum(1, keepdims=True) * 1e4)
    return np.ascontiguousarray(X[:, np.sort(np.argsort(-logs.var(0))[:n_genes])])


def embed_ours(X, batch, train, seed, epochs):
    """Return the embedding, the mean evidence bound of held-out cells, and seconds."""
    from geneexpr import VariationalAutoencoderEmbedder

    model = VariationalAutoencoderEmbedder(
        N_COMPONENTS,
        likelihood=LIKELIHOOD,
        hidden_layers=(HIDDEN,),
        batch_size=BATCH,
        max_epochs=epochs,
        early_stopping=False,
        random_state=seed,
    )
    beside = {} if batch is None else {"batch": batch[train]}
    start = time.perf_counter()
    model.fit(X[train], **beside)
    seconds = time.perf_counter() - start
    beside = {} if batch is None else {"batch": batch[~train]}
    return model.transform(X), model.score(X[~train], **beside), seconds


def embed_scvi(X, batch, train, seed, epochs):
    """Return the same of scVI."""
    import anndata as ad
    import scvi

    scvi.settings.verbosity = logging.ERROR
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    scvi.settings.seed = seed
    adata = ad.AnnData(X.copy())
    adata.obs["batch"] = "one" if batch is None else batch
    part = adata[train].copy()
    scvi.model.SCVI.setup_anndata(part, batch_key="batch")
    model = scvi.model.SCVI(
        part, n_hidden=HIDDEN, n_latent=N_COMPONENTS, gene_likelihood=LIKELIHOOD
    )
    start = time.perf_counter()
    model.train(
        max_epochs=epochs,
        batch_size=BATCH,
        train_size=1.0,
        accelerator="cpu",
        enable_progress_bar=False,
        enable_checkpointing=False,
        logger=False,
    )
    seconds = time.perf_counter() - start
    bounds = [float(model.get_elbo(adata[~train].copy())) for _ in range(4)]
    return model.get_latent_representation(adata), -abs(np.mean(bounds)), seconds


def judge(Z, labels, batch):
    """Return silhouette and NMI of the labels, and the mean LISI of the batches."""
    from sklearn.cluster import KMeans
    from sklearn.metrics import normalized_mutual_info_score, silhouette_score

    from geneexpr import lisi

    clusters = KMeans(len(set(labels)), n_init=5, random_state=0).fit_predict(Z)
    found = {
        "silhouette": silhouette_score(Z, labels),
        "NMI": normalized_mutual_info_score(labels, clusters),
    }
    if batch is not None:
        # of the cell lines that are in every batch: others cannot mix
        common = [
            line for line in set(labels) if len(set(batch[labels == line])) == len(set(batch))
        ]
        rows = np.isin(labels, common)
        found["batch LISI"] = float(np.mean(lisi(Z[rows], batch=batch[rows])["lisi"]))
    return found


def compare(load, folder, seeds, epochs):
    """Return a table: a row a seed and model."""
    X, labels, batch = load(folder)
    X = most_variable(X)
    rows = []
    for seed in range(seeds):
        train = np.random.default_rng(seed).random(len(X)) < 0.8
        models = [("geneexpr", embed_ours), ("scVI", embed_scvi)]
        for name, embed in models[:: 1 if seed % 2 else -1]:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                Z, bound, seconds = embed(X, batch, train, seed, epochs)
            row = {"held-out bound": bound, **judge(Z, labels, batch), "seconds": seconds}
            rows.append({"model": name, "seed": seed, **row})
            print(rows[-1], flush=True)
    return pd.DataFrame(rows)


def summary(table):
    """Return means of both, and the paired difference with its 95 % interval."""
    from scipy.stats import t

    wide = table.pivot(index="seed", columns="model").drop(columns="seed", errors="ignore")
    rows = {}
    for name in table.columns[2:]:
        ours, theirs = wide[name]["geneexpr"], wide[name]["scVI"]
        gap = ours - theirs
        half = t.ppf(0.975, len(gap) - 1) * gap.std() / np.sqrt(len(gap))
        rows[name] = {
            "geneexpr": ours.mean(),
            "scVI": theirs.mean(),
            "difference": gap.mean(),
            "low": gap.mean() - half,
            "high": gap.mean() + half,
        }
    return pd.DataFrame(rows).T


def denoise(folder, kept=0.5, epochs=100):
    """Return errors of thinned counts restored by us and by PCA of equal dimension.

    Half of the molecules are kept at random. The error is the mean Poisson deviance of the other
    half, given the restored shares and its own library size: no model has seen it.
    """
    from sklearn.decomposition import PCA

    from geneexpr import VariationalAutoencoderEmbedder

    X = most_variable(load_pbmc(folder)[0])
    thinned = np.random.default_rng(0).binomial(X.astype(int), kept).astype(np.float32)
    rest = X - thinned
    sizes = np.maximum(thinned.sum(1, keepdims=True), 1)
    model = VariationalAutoencoderEmbedder(N_COMPONENTS, max_epochs=epochs, random_state=0)
    logs = np.log1p(thinned / sizes * 1e4)
    pca = PCA(N_COMPONENTS, random_state=0).fit(logs)
    shares = {
        "geneexpr": model.fit(thinned).denoise(thinned, library_size=1),
        "PCA": np.expm1(pca.inverse_transform(pca.transform(logs))).clip(0),
        "thinned counts": thinned,
    }
    return {name: deviance(rest, share) for name, share in shares.items()}


def deviance(x, shares):
    """Return the mean Poisson deviance of counts, given each gene's share of the library."""
    shares = shares + 1e-6 * shares.sum(1, keepdims=True)
    mean = shares / shares.sum(1, keepdims=True) * x.sum(1, keepdims=True)
    logs = np.log(np.where(x > 0, x / np.maximum(mean, 1e-12), 1))
    return float(2 * (x * logs - x + mean).mean())


def main():
    """Run all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=60)
    options = parser.parse_args()
    print("deviance of held-out molecules, pbmc3k:", denoise(options.folder))
    for load in (load_mixology, load_pbmc):
        table = compare(load, options.folder, options.seeds, options.epochs)
        print(f"\n{load.__name__}\n{summary(table).round(4).to_string()}\n")


if __name__ == "__main__":
    main()
