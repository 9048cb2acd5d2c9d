"""Inputs: drawn fast, the same in every run."""

from __future__ import annotations

import numpy as np
import pandas as pd
import scipy.sparse as sp

N_BATCHES = 5


def names(prefix, n):
    """Names such as g0, g1, ..."""
    return [f"{prefix}{i}" for i in range(n)]


def log_expression(n_samples, n_genes, seed=0):
    """Log expression with shifts and scales of batches: (array, batch labels)."""
    rng = np.random.default_rng(seed)
    batch = np.arange(n_samples) % N_BATCHES
    X = rng.standard_normal((n_samples, n_genes))
    X *= rng.uniform(0.7, 1.4, (N_BATCHES, n_genes))[batch]
    X += rng.normal(0, 0.5, (N_BATCHES, n_genes))[batch]
    X += rng.uniform(2, 12, n_genes)
    return X, np.array(names("batch", N_BATCHES))[batch]


def counts(n_samples, n_genes, seed=0):
    """Negative-binomial counts, about a fifth of them zero, and lengths of the genes."""
    rng = np.random.default_rng(seed)
    mean = rng.lognormal(3, 2.5, n_genes)
    depth = rng.lognormal(0, 0.3, (n_samples, 1))
    X = rng.poisson(rng.gamma(4.0, 0.25, (n_samples, n_genes)) * mean * depth)
    return X.astype(np.float64), rng.integers(300, 20_000, n_genes).astype(np.float64)


def sparse_counts(n_samples, n_genes, density, seed=0):
    """CSR counts with every gene equally likely to be non-zero, drawn without zeros."""
    rng = np.random.default_rng(seed)
    indices = [
        np.flatnonzero(rng.random(n_genes, dtype=np.float32) < density).astype(np.int32)
        for _ in range(n_samples)
    ]
    indptr = np.concatenate([[0], np.cumsum([len(row) for row in indices])])
    data = rng.geometric(0.4, indptr[-1]).astype(np.float64)
    return sp.csr_matrix((data, np.concatenate(indices), indptr), (n_samples, n_genes))


def frame(X):
    """Return a DataFrame of samples by genes."""
    return pd.DataFrame(X, names("s", X.shape[0]), names("g", X.shape[1]))


def annotated(X, var=None, **obs):
    """Return an AnnData."""
    import anndata as ad

    genes = pd.DataFrame(var or {}, index=names("g", X.shape[1]))
    return ad.AnnData(X, obs=pd.DataFrame(obs, index=names("s", X.shape[0])), var=genes)


def relative_difference(ours, theirs):
    """Return the largest difference, as a share of the largest value."""
    ours, theirs = dense(ours), dense(theirs)
    return f"differs by {np.nanmax(np.abs(ours - theirs)) / np.nanmax(np.abs(ours)):.0e} at most"


def dense(result):
    """Return the matrix of whatever a contender gave: samples in rows."""
    result = getattr(result, "X", result)
    return np.asarray(result.toarray() if sp.issparse(result) else result)
