"""The denoising autoencoder as a transformer."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from geneexpr import AutoencoderEmbedder
from geneexpr.embedding._profile import center_and_spreads

GENES = [f"g{i}" for i in range(30)]
SAMPLES = [f"s{i}" for i in range(100)]
NAMES = [f"autoencoderembedder{i}" for i in range(3)]


def model(n_components=3, **options):
    return AutoencoderEmbedder(
        n_components, **{"hidden_layers": (32,), "max_epochs": 60, "random_state": 0} | options
    )


@pytest.fixture(scope="module", name="X")
def expression():
    """Three hidden factors, noise, and genes of different means."""
    rng = np.random.default_rng(0)
    factors = rng.normal(size=(100, 3))
    return factors @ rng.normal(size=(3, 30)) + 0.3 * rng.normal(size=(100, 30)) + np.arange(30)


@pytest.fixture(scope="module")
def fitted(X):
    return model().fit(X)


def test_center_and_scale_of_every_container(X):
    expected = X.mean(0), np.sqrt(X.var(0).mean())
    for matrix in (X, sp.csr_matrix(X)):
        center, scale, spreads = center_and_spreads(matrix)
        np.testing.assert_allclose(center, expected[0], rtol=1e-12)
        assert scale == pytest.approx(expected[1], rel=1e-12)
        np.testing.assert_allclose(spreads, X.std(0), rtol=1e-12)
    assert center_and_spreads(np.ones((3, 2)))[1] == 1


def test_it_restores_what_genes_share(X, fitted):
    restored = fitted.inverse_transform(fitted.transform(X))
    error = ((restored - X) ** 2).sum() / ((X - X.mean(0)) ** 2).sum()
    assert error < 0.1


def test_it_denoises_new_samples(fitted):
    rng = np.random.default_rng(0)
    factors, loadings = rng.normal(size=(100, 3)), rng.normal(size=(3, 30))
    clean = factors @ loadings + np.arange(30)
    noisy = clean + 0.5 * np.random.default_rng(9).normal(size=clean.shape)
    restored = fitted.inverse_transform(fitted.transform(noisy))
    assert ((restored - clean) ** 2).mean() < 0.6 * ((noisy - clean) ** 2).mean()


def test_a_linear_autoencoder_comes_to_the_error_of_pca(X):
    linear = model(
        hidden_layers=(), noise=0, lr=0.01, weight_decay=0, max_epochs=1500, batch_size=100
    ).fit(X)
    restored = linear.inverse_transform(linear.transform(X))
    pca = PCA(3).fit(X)
    best = ((pca.inverse_transform(pca.transform(X)) - X) ** 2).sum()
    assert 1 - 1e-9 <= ((restored - X) ** 2).sum() / best < 1.001


def test_units_of_the_input_do_not_matter(X, fitted):
    other = model().fit(X * 1000 - 5)
    np.testing.assert_allclose(other.transform(X * 1000 - 5), fitted.transform(X), atol=1e-6)


def test_a_constant_matrix_bears_it():
    Z = model().fit(np.ones((20, 4))).transform(np.ones((2, 4)))
    assert np.isfinite(Z).all()


# ------------------------------------------------------------------ containers


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_array_in_array_out(X, dtype):
    X = X.astype(dtype)
    Z = model().fit_transform(X)
    assert type(Z) is np.ndarray
    assert Z.dtype == dtype
    np.testing.assert_allclose(Z, model().fit(X).transform(X))


def test_frame_in_frame_out(X, fitted):
    frame = pd.DataFrame(X, SAMPLES, GENES)
    embedder = model().fit(frame)
    Z = embedder.transform(frame)
    pd.testing.assert_frame_equal(Z, pd.DataFrame(fitted.transform(X), SAMPLES, NAMES))
    back = embedder.inverse_transform(Z)
    assert list(back.columns) == GENES
    assert list(back.index) == SAMPLES


def test_anndata_in_anndata_out(X, fitted):
    obs = pd.DataFrame({"site": ["a", "b"] * 50}, SAMPLES)
    A = ad.AnnData(X, obs, pd.DataFrame({"length": np.arange(30.0)}, GENES), uns={"note": 1})
    embedder = model().fit(A)
    Z = embedder.transform(A)
    assert list(Z.var_names) == NAMES
    assert list(Z.var.columns) == []
    assert Z.uns["note"] == 1
    pd.testing.assert_frame_equal(Z.obs, A.obs)
    np.testing.assert_allclose(Z.X, fitted.transform(X))
    back = embedder.inverse_transform(Z)
    assert list(back.var_names) == GENES
    assert list(back.obs["site"]) == list(obs["site"])
    assert A.shape == (100, 30)


def test_anndata_to_pandas_keeps_annotations(X):
    A = ad.AnnData(X, pd.DataFrame({"site": ["a", "b"] * 50}, SAMPLES), pd.DataFrame(index=GENES))
    Z = model().set_output(transform="pandas").fit_transform(A)
    assert list(Z.columns) == NAMES
    assert Z.index.get_level_values("site").tolist() == ["a", "b"] * 50


def test_sparse_gives_what_dense_gives(X):
    X = np.where(X > 15, X, 0)
    dense, sparse = model().fit(X), model().fit(sp.csr_matrix(X))
    np.testing.assert_allclose(
        sparse.transform(sp.csr_matrix(X)), dense.transform(X), rtol=1e-6, atol=1e-9
    )


def test_lazy_in_lazy_out(X):
    import dask.array as da

    lazy = ad.AnnData(da.from_array(X, chunks=(40, 15)), var=pd.DataFrame(index=GENES))
    embedder = model(max_epochs=2).fit(lazy)
    Z = embedder.transform(lazy).X
    assert isinstance(Z, da.Array)
    in_memory = embedder.transform(pd.DataFrame(X, columns=GENES))
    np.testing.assert_allclose(Z.compute(), in_memory, rtol=1e-10)


def test_more_components_than_genes_are_possible(X):
    assert model(n_components=50, max_epochs=1).fit_transform(X).shape == (100, 50)


def test_before_a_linear_model_in_a_pipeline(X):
    y = X[:, 3] > np.median(X[:, 3])
    pipe = make_pipeline(model(), LogisticRegression()).fit(X, y)
    assert pipe.score(X, y) > 0.8
    assert list(pipe[:-1].get_feature_names_out()) == NAMES


# ------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_components": 0}, "n_components must be a whole number at least 1; got 0."),
        ({"noise": -1}, "noise must be a number at least 0; got -1."),
    ],
)
def test_bad_settings_are_named(X, options, message):
    with pytest.raises(ValueError, match=message):
        model(**options).fit(X)


def test_inverse_transform_wants_the_components(X, fitted):
    with pytest.raises(ValueError, match="30 features, but Embedding is expecting 3"):
        fitted.inverse_transform(X)


# ------------------------------------------------------------------ options


@pytest.fixture(scope="module")
def counts():
    """Counts of three hidden factors, in libraries of different sizes, and their means."""
    rng = np.random.default_rng(0)
    shares = np.exp(rng.normal(size=(100, 3)) @ rng.normal(size=(3, 30)) / 2)
    shares /= shares.sum(1, keepdims=True)
    means = shares * np.exp(rng.normal(8, 0.5, size=(100, 1)))
    return rng.poisson(means).astype(float), shares


def jacobians(embedder, X):
    """Return the Jacobian of the components of each sample by standardised expression."""
    module = embedder.net_.module_
    seen = module.standardize(torch.from_numpy(X))
    return torch.stack(
        [
            torch.autograd.functional.jacobian(
                lambda row: module.embedding(module.encoder(row[None]))[0], row
            )
            for row in seen
        ]
    )


@pytest.mark.parametrize("hidden", [(), (16,), (16, 8)])
def test_a_tied_decoder_is_the_encoder_transposed(X, hidden):
    tied = model(hidden_layers=hidden, activation="identity", tied=True, max_epochs=3).fit(X)
    module = tied.net_.module_
    (encoder,) = jacobians(tied, X[:1])
    decoder = torch.autograd.functional.jacobian(
        lambda z: module._scores(z[None])[0], torch.zeros(3, dtype=torch.float64)
    )
    torch.testing.assert_close(decoder, encoder.T)


def test_tying_halves_the_weights_and_still_restores(X, fitted):
    def n_weights(embedder):
        return sum(p.numel() for p in embedder.net_.module_.parameters() if p.ndim > 1)

    tied = model(tied=True, max_epochs=120).fit(X)
    assert n_weights(tied) == n_weights(fitted) / 2
    restored = tied.inverse_transform(tied.transform(X))
    assert ((restored - X) ** 2).sum() / ((X - X.mean(0)) ** 2).sum() < 0.15


def test_the_contractive_penalty_lowers_the_jacobian(X, fitted):
    plain = jacobians(fitted, X[:20]).square().sum((1, 2)).mean()
    contracted = model(contractive=0.05).fit(X)
    assert jacobians(contracted, X[:20]).square().sum((1, 2)).mean() < 0.5 * plain


def test_the_jacobian_norm_is_estimated_without_bias(X, fitted):
    exact = jacobians(fitted, X[:20]).square().sum((1, 2)).mean().item()
    module = fitted.net_.module_
    module.generator = torch.Generator().manual_seed(0)
    draws = [module.jacobian_norm(torch.from_numpy(X[:20])).item() for _ in range(200)]
    module.generator = None
    assert np.mean(draws) == pytest.approx(exact, rel=0.05)


def test_sparsity_draws_components_to_zero(X):
    def near_zero(**options):
        Z = model(8, max_epochs=150, **options).fit_transform(X)
        return (np.abs(Z) < 0.05 * np.abs(Z).max()).mean()

    assert near_zero(sparsity=0.3) > near_zero() + 0.15


@pytest.mark.parametrize("loss", ["poisson", "nb"])
def test_losses_of_counts_restore_shares(counts, loss):
    X, shares = counts
    embedder = model(loss=loss, lr=5e-3, max_epochs=150).fit(X)
    restored = embedder.inverse_transform(embedder.transform(X))
    np.testing.assert_allclose(restored.sum(1), np.median(X.sum(1)), rtol=1e-9)
    found = restored / restored.sum(1, keepdims=True)
    flat = np.abs(shares.mean(0) - shares).mean()
    assert np.abs(found - shares).mean() < 0.35 * flat


def test_losses_of_counts_refuse_negative_values(X):
    with pytest.raises(ValueError, match="Negative values in data passed to AutoencoderEmbedder"):
        model(loss="nb").fit(X - 5)


def test_partial_fit_goes_on_and_ends_where_fit_does(X):
    def plain(n):
        return model(noise=0, batch_size=100, max_epochs=n)

    piecewise = plain(1)
    for _ in range(4):
        piecewise.partial_fit(X)
    assert piecewise.n_epochs_ == 4
    np.testing.assert_allclose(piecewise.transform(X), plain(4).fit_transform(X), rtol=1e-9)


def test_going_on_with_another_loss_is_refused(X):
    embedder = model(max_epochs=1, warm_start=True).fit(X)
    with pytest.raises(ValueError, match="but tied changed since"):
        embedder.set_params(tied=True).fit(X)
