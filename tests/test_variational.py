"""The variational autoencoder of counts: its likelihoods, its batches, what it generates."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import scipy.stats
import torch
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import EpochScoring

from geneexpr import VariationalAutoencoderEmbedder, nets
from geneexpr.embedding._profile import count_profile
from geneexpr.embedding._variational_network import KLWarmup

N_SAMPLES, N_GENES = 200, 40
FAST = {"hidden_layers": (32,), "max_epochs": 60, "lr": 5e-3, "random_state": 0}


def model(n_components=3, **options):
    return VariationalAutoencoderEmbedder(n_components, **FAST | options)


@pytest.fixture(scope="module", name="cohort")
def simulated():
    """Shares of two groups and three factors, counts of them, and two batches of an effect."""
    rng = np.random.default_rng(0)
    group, batch = np.arange(N_SAMPLES) % 2, np.arange(N_SAMPLES) // 2 % 2
    factors = rng.normal(size=(N_SAMPLES, 3)) * 0.5
    logs = factors @ rng.normal(size=(3, N_GENES))
    logs += rng.normal(size=N_GENES) + np.outer(group, rng.normal(size=N_GENES))
    clean = np.exp(logs)
    noisy = np.exp(logs + np.outer(batch, rng.normal(size=N_GENES)))
    depth = np.exp(rng.normal(7, 0.3, size=(N_SAMPLES, 1)))

    def counts(weights):
        mean = weights / weights.sum(1, keepdims=True) * depth
        return rng.poisson(rng.gamma(10, mean / 10)).astype(np.float32)

    return {
        "X": counts(clean),
        "batched": counts(noisy),
        "shares": clean / clean.sum(1, keepdims=True),
        "group": group,
        "batch": np.array(["a", "b"])[batch],
    }


@pytest.fixture(scope="module")
def fitted(cohort):
    return model().fit(cohort["X"])


@pytest.fixture(scope="module")
def fitted_batches(cohort):
    return model(max_epochs=100).fit(cohort["batched"], batch=cohort["batch"])


# ------------------------------------------------------------------ likelihoods


X = torch.tensor([[0.0, 1.0, 7.0, 250.0], [3.0, 0.0, 0.0, 100_000.0]], dtype=torch.float64)
MEAN = torch.tensor([[0.2, 1.5, 9.0, 200.0], [1.0, 4.0, 1e-4, 90_000.0]], dtype=torch.float64)
SIZE = torch.tensor([0.3, 1.0, 5.0, 40.0], dtype=torch.float64)


def scipy_negative_binomial(x, mean, size):
    return scipy.stats.nbinom.logpmf(x.numpy(), size.numpy(), (size / (size + mean)).numpy())


def test_poisson_is_scipys():
    found = nets._count_losses.poisson_terms(X, MEAN.log())
    np.testing.assert_allclose(found, scipy.stats.poisson.logpmf(X, MEAN), rtol=1e-10)


def test_negative_binomial_is_scipys():
    found = nets._count_losses.negative_binomial_terms(X, MEAN.log(), SIZE.log())
    np.testing.assert_allclose(found, scipy_negative_binomial(X, MEAN, SIZE), rtol=1e-9)


def test_zero_inflation_mixes_in_zeros():
    logits = torch.tensor([[-1.0, 0.0, 2.0, 9.0], [0.5, -20.0, 1.0, 0.0]], dtype=torch.float64)
    found = nets._count_losses.zero_inflated_terms(X, MEAN.log(), SIZE.log(), logits)
    zero = 1 / (1 + np.exp(-logits.numpy()))
    pmf = np.exp(scipy_negative_binomial(X, MEAN, SIZE))
    expected = np.log(zero * (X.numpy() == 0) + (1 - zero) * pmf)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_gaussian_is_scipys():
    found = nets._count_losses.gaussian_terms(X, MEAN, SIZE.log())
    np.testing.assert_allclose(found, scipy.stats.norm.logpdf(X, MEAN, SIZE), rtol=1e-10)


def test_large_counts_keep_their_digits_in_float32():
    single = nets._count_losses.negative_binomial_terms(
        X.float(), MEAN.log().float(), SIZE.log().float()
    )
    np.testing.assert_allclose(single, scipy_negative_binomial(X, MEAN, SIZE), atol=2e-2)


@pytest.mark.parametrize("name", ["negative_binomial_terms", "zero_inflated_terms"])
def test_gradients_are_those_of_the_values(name):
    generator = torch.Generator().manual_seed(0)
    like = {"dtype": torch.float64, "generator": generator, "requires_grad": True}
    more = [torch.randn(2, 4, **like)] if name == "zero_inflated_terms" else []
    small = X.clamp(max=20)
    inputs = (small, torch.randn(2, 4, **like), torch.randn(4, **like), *more)
    assert torch.autograd.gradcheck(getattr(nets._count_losses, name), inputs)


def test_the_divergence_is_that_of_two_normal_distributions():
    mean, log_variance = torch.tensor([[0.3, -1.0]]), torch.tensor([[0.5, -2.0]])
    posterior = torch.distributions.Normal(mean, (log_variance / 2).exp())
    prior = torch.distributions.Normal(torch.zeros(1, 2), torch.ones(1, 2))
    expected = torch.distributions.kl_divergence(posterior, prior).sum(1)
    torch.testing.assert_close(nets.divergence(mean, log_variance), expected)


# ------------------------------------------------------------------ what it begins with


def test_dispersions_by_moments_come_near_the_true_ones():
    rng = np.random.default_rng(0)
    mean = np.exp(rng.normal(6, 0.3, size=(2000, 1))) * np.ones(30) / 3
    found = count_profile(rng.poisson(rng.gamma(4, mean / 4)).astype(float))
    assert np.median(found.sizes) == pytest.approx(4, rel=0.15)
    assert found.shares == pytest.approx(1 / 30, rel=0.1)


def test_the_profile_is_the_same_of_sparse_counts(cohort):
    dense, sparse = count_profile(cohort["X"]), count_profile(sp.csr_matrix(cohort["X"]))
    for name in ("center", "scale", "shares", "sizes", "libraries"):
        np.testing.assert_allclose(getattr(sparse, name), getattr(dense, name), rtol=1e-4)


def test_the_divergence_grows_in(cohort):
    class Weights(EpochScoring):
        def on_epoch_end(self, net, **kwargs):
            net.history.record("kl_weight", net.module_.kl_weight)

    watch = Weights(lambda *_: 0.0, name="unused")
    embedder = model(kl_warmup=4, max_epochs=6, callbacks=[watch]).fit(cohort["X"])
    assert embedder.history_["kl_weight"].tolist() == [0.25, 0.5, 0.75, 1, 1, 1]
    assert KLWarmup(0).n_epochs == 0


# ------------------------------------------------------------------ expression


@pytest.mark.parametrize("likelihood", ["poisson", "nb", "zinb"])
def test_it_denoises_better_than_pca_of_equal_dimension(cohort, likelihood):
    X, shares = cohort["X"], cohort["shares"]
    thinned = np.random.default_rng(1).binomial(X.astype(int), 0.1).astype(np.float32)
    denoised = model(likelihood=likelihood, max_epochs=150).fit(thinned).denoise(thinned)
    libraries = thinned.sum(1, keepdims=True)
    np.testing.assert_allclose(denoised.sum(1), libraries[:, 0], rtol=1e-4)
    logged = np.log1p(thinned / libraries * 1e4)
    pca = PCA(3).fit(logged)
    restored = np.expm1(pca.inverse_transform(pca.transform(logged))).clip(0)
    restored /= restored.sum(1, keepdims=True)

    def error(found):
        return np.abs(np.sqrt(found) - np.sqrt(shares)).mean()

    assert error(denoised / libraries) < 0.9 * error(restored)


def test_a_gaussian_likelihood_takes_logged_values(cohort):
    logged = np.log2(cohort["shares"] * 1e4 + 1) - 5
    embedder = model(likelihood="gaussian", max_epochs=150).fit(logged)
    restored = embedder.denoise(logged)
    error = ((restored - logged) ** 2).sum() / ((logged - logged.mean(0)) ** 2).sum()
    assert error < 0.3
    np.testing.assert_allclose(restored, embedder.inverse_transform(embedder.transform(logged)))


def test_library_sizes_can_be_chosen(cohort, fitted):
    X = cohort["X"]
    np.testing.assert_allclose(fitted.denoise(X, library_size=100).sum(1), 100, rtol=1e-4)
    Z = fitted.transform(X)
    np.testing.assert_allclose(fitted.inverse_transform(Z).sum(1), np.median(X.sum(1)), rtol=1e-4)
    np.testing.assert_allclose(
        fitted.inverse_transform(Z, library_size=100),
        fitted.denoise(X, library_size=100),
        rtol=1e-4,
    )


def test_a_sample_without_counts_is_a_row_of_zeros(cohort, fitted):
    empty = np.zeros((1, N_GENES), dtype=np.float32)
    assert (fitted.denoise(empty) == 0).all()
    assert np.isfinite(fitted.score_samples(empty)).all()
    with pytest.warns(UserWarning, match="1 of 201 samples have no counts at all"):
        model(max_epochs=1).fit(np.vstack([cohort["X"], empty]))


# ------------------------------------------------------------------ batches


def told_apart(Z, labels):
    half = np.arange(len(Z)) % 4 < 2
    return LogisticRegression().fit(Z[half], labels[half]).score(Z[~half], labels[~half])


def test_components_hold_the_group_and_not_the_batch(cohort):
    half = np.random.default_rng(0).permutation(N_SAMPLES)
    X, batch, group = (cohort[name][half] for name in ("batched", "batch", "group"))
    without = model(6, max_epochs=100).fit(X)
    Z = model(6, max_epochs=100).fit_transform(X, batch=batch)
    assert told_apart(Z, group) > 0.9
    assert told_apart(without.transform(X), batch) > 0.9
    assert told_apart(Z, batch) < 0.75


def test_mixed_decoding_is_the_mean_over_batches(cohort, fitted_batches):
    X = cohort["batched"][:5]
    each = [fitted_batches.denoise(X, as_batch=name) for name in ("a", "b")]
    assert np.abs(each[0] - each[1]).max() > 1
    np.testing.assert_allclose(fitted_batches.denoise(X), (each[0] + each[1]) / 2, rtol=1e-5)


def test_denoising_as_one_batch_undoes_the_batch(cohort, fitted_batches):
    X = cohort["batched"]
    shares = fitted_batches.denoise(X, library_size=1, as_batch="a")
    raw = X / X.sum(1, keepdims=True)
    b = cohort["batch"] == "b"
    off = [np.abs(np.sqrt(m[b]) - np.sqrt(cohort["shares"][b])).mean() for m in (shares, raw)]
    assert off[0] < 0.6 * off[1]


def test_an_unseen_batch_raises_or_is_mixed(cohort, fitted_batches):
    X, other = cohort["batched"][:4], ["a", "b", "c", "c"]
    message = r"batch holds batches that fit has not seen: 'c'; fit saw 'a', 'b'\. Set unseen_batch"
    for method in ("transform", "score_samples"):
        with pytest.raises(ValueError, match=message):
            getattr(fitted_batches, method)(X, batch=other)
    fitted_batches.set_params(unseen_batch="mix")
    try:
        np.testing.assert_array_equal(
            fitted_batches.transform(X, batch=other), fitted_batches.transform(X)
        )
        mixed = fitted_batches.score_samples(X, batch=other)
        bounds = [fitted_batches.score_samples(X, batch=[name] * 4) for name in ("a", "b")]
        np.testing.assert_allclose(mixed[2:], np.mean(bounds, axis=0)[2:], rtol=1e-5)
        np.testing.assert_allclose(mixed[0], bounds[0][0], rtol=1e-5)
    finally:
        fitted_batches.set_params(unseen_batch="raise")


def test_labels_are_needed_where_the_decoder_asks_for_them(cohort, fitted, fitted_batches):
    X = cohort["batched"]
    with pytest.raises(ValueError, match="was fitted with batch labels and needs them here"):
        fitted_batches.score_samples(X)
    with pytest.raises(ValueError, match="was fitted without batch labels"):
        fitted.transform(X, batch=cohort["batch"])
    with pytest.raises(ValueError, match="as_batch holds batches that fit has not seen: 'z'"):
        fitted_batches.denoise(X, as_batch="z")


def test_batches_travel_with_annotated_data(cohort, fitted_batches):
    obs = pd.DataFrame({"site": cohort["batch"]}, [f"s{i}" for i in range(N_SAMPLES)])
    var = pd.DataFrame(index=[f"g{i}" for i in range(N_GENES)])
    A = ad.AnnData(np.log1p(cohort["batched"]), obs, var, layers={"counts": cohort["batched"]})
    embedder = model(max_epochs=100, batch_key="site", layer="counts").fit(A)
    Z = embedder.transform(A)
    np.testing.assert_array_equal(Z.X, fitted_batches.transform(cohort["batched"]))
    pd.testing.assert_frame_equal(Z.obs, obs)
    denoised = embedder.denoise(A)
    np.testing.assert_array_equal(denoised.X, fitted_batches.denoise(cohort["batched"]))
    assert list(denoised.var_names) == list(var.index)


# ------------------------------------------------------------------ evidence and samples


def test_the_bound_is_below_what_many_draws_say(cohort, fitted):
    """Importance sampling from the posterior tends to the log-probability from below."""
    X = torch.from_numpy(cohort["X"][:20])
    module, rng = fitted.net_.module_, torch.Generator().manual_seed(0)
    with torch.no_grad():
        mean, log_variance = module(X).chunk(2, 1)
        ratios = []
        for _ in range(500):
            noise = torch.randn(mean.shape, generator=rng)
            z = mean + (log_variance / 2).exp() * noise
            prior = -0.5 * z.square().sum(1)
            posterior = -0.5 * (noise.square() + log_variance).sum(1)
            ratios.append(module.log_likelihood(X, z, None) + prior - posterior)
        marginal = torch.logsumexp(torch.stack(ratios), 0) - np.log(500)
    gap = marginal.numpy() - fitted.score_samples(cohort["X"][:20])
    assert gap.mean() > 0
    assert gap.mean() < 5


def test_scores_are_repeatable_and_tell_samples_from_shuffled_ones(cohort, fitted):
    X = cohort["X"]
    scores = fitted.score_samples(X)
    np.testing.assert_array_equal(scores, fitted.score_samples(X))
    np.testing.assert_allclose(fitted.score_samples(X[7:9]), scores[7:9], rtol=1e-5)
    assert fitted.score(X) == pytest.approx(scores.mean())
    assert fitted.score(X[:, np.random.default_rng(0).permutation(N_GENES)]) < scores.mean() - 100


def test_a_search_can_go_by_the_bound(cohort):
    search = GridSearchCV(model(max_epochs=15), {"n_components": [1, 4]}, cv=3).fit(cohort["X"])
    assert search.best_params_ == {"n_components": 4}


@pytest.mark.parametrize("likelihood", ["poisson", "nb", "zinb"])
def test_generated_counts_look_like_the_training_samples(cohort, likelihood):
    X = cohort["X"]
    embedder = model(likelihood=likelihood).fit(X)
    drawn = embedder.sample(4000)
    assert drawn.shape == (4000, N_GENES)
    assert (drawn == np.round(drawn)).all()
    assert drawn.sum(1).mean() == pytest.approx(X.sum(1).mean(), rel=0.15)
    profiles = [m.mean(0) / m.mean() for m in (drawn, X)]
    assert np.corrcoef(*np.log(profiles))[0, 1] > 0.97
    np.testing.assert_array_equal(drawn, embedder.sample(4000))
    assert (drawn != embedder.sample(4000, random_state=7)).any()


def test_samples_of_a_batch_have_its_effect(cohort, fitted_batches):
    drawn = {name: fitted_batches.sample(2000, batch=name) for name in ("a", "b")}
    for name, values in drawn.items():
        of_batch = cohort["batched"][cohort["batch"] == name]
        logs = [np.log(m.mean(0) / m.mean()) for m in (values, of_batch)]
        assert np.corrcoef(*logs)[0, 1] > 0.95


# ------------------------------------------------------------------ training


@pytest.fixture
def untouched_global_generator():
    before = torch.random.get_rng_state()
    yield
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.usefixtures("untouched_global_generator")
def test_one_seed_gives_one_network(cohort):
    first, second = (model(max_epochs=3).fit(cohort["X"]) for _ in range(2))
    np.testing.assert_array_equal(first.transform(cohort["X"]), second.transform(cohort["X"]))
    other = model(max_epochs=3, random_state=1).fit(cohort["X"])
    assert (first.transform(cohort["X"]) != other.transform(cohort["X"])).any()
    first.sample(3)


def test_early_stopping_judges_by_the_whole_bound(cohort):
    embedder = model(early_stopping=True, patience=3, kl_warmup=50, max_epochs=40, lr=2e-2)
    history = embedder.fit(cohort["X"]).history_
    assert "valid_loss" in history
    best = history["valid_loss"].min()
    assert embedder.n_epochs_ <= 40
    assert history["valid_loss"].iloc[-1] >= best


def test_partial_fit_and_warm_start_go_on(cohort):
    X, batch = cohort["batched"], cohort["batch"]
    piecewise = model()
    for _ in range(3):
        piecewise.partial_fit(X, batch=batch)
    assert piecewise.n_epochs_ == 3
    whole = model(max_epochs=3).fit(X, batch=batch)
    np.testing.assert_allclose(piecewise.transform(X), whole.transform(X), rtol=1e-5)
    piecewise.set_params(warm_start=True, max_epochs=2).fit(X, batch=batch)
    assert piecewise.n_epochs_ == 5
    with pytest.raises(ValueError, match="has not seen: 'new'"):
        piecewise.partial_fit(X[:2], batch=["a", "new"])
    with pytest.raises(ValueError, match="needs them to train on"):
        piecewise.partial_fit(X)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_components": 0}, "n_components must be a whole number at least 1; got 0."),
        ({"kl_warmup": -1}, "kl_warmup must be a whole number at least 0; got -1."),
        ({"likelihood": "beta"}, "likelihood must be one of .*; got 'beta'."),
        ({"unseen_batch": "skip"}, "unseen_batch must be one of 'raise', 'mix'; got 'skip'."),
    ],
)
def test_bad_settings_are_named(cohort, options, message):
    with pytest.raises(ValueError, match=message):
        model(**options).fit(cohort["X"])


def test_negative_counts_raise(cohort):
    message = "Negative values in data passed to VariationalAutoencoderEmbedder"
    with pytest.raises(ValueError, match=message):
        model().fit(cohort["X"] - 1)
