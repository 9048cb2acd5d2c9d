"""Embedders that learned from one cohort, on another with other genes."""

import re

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import get_tags

from geneexpr import (
    AutoencoderEmbedder,
    GeneAligner,
    OnMatrix,
    ScaleWarning,
    TorchMLPClassifier,
    TorchMLPRegressor,
    VariationalAutoencoderEmbedder,
    load_model,
    save_model,
)
from geneexpr.embedding._fine_tune import places_of

N_GENES = 60
GENES = np.array([f"g{i}" for i in range(N_GENES)])


@pytest.fixture(scope="module", name="loadings")
def what_genes_share():
    return np.random.default_rng(0).normal(size=(4, N_GENES + 10))


def logged(loadings, n_samples, seed, shift=0.0):
    rng = np.random.default_rng(seed)
    factors = rng.normal(size=(n_samples, 4))
    X = factors @ loadings + 0.3 * rng.normal(size=(n_samples, loadings.shape[1])) + shift
    return pd.DataFrame(X, columns=[f"g{i}" for i in range(X.shape[1])])


def counts(loadings, n_samples, seed):
    mean = np.exp(logged(loadings * 0.5, n_samples, seed) + 4)
    return pd.DataFrame(
        np.random.default_rng(seed).poisson(mean).astype(np.float32), columns=mean.columns
    )


@pytest.fixture(scope="module")
def large(loadings):
    return logged(loadings, 400, 1)[GENES]


@pytest.fixture(scope="module")
def small(loadings):
    """Twenty samples, without ten of the genes, with ten others, in another order."""
    frame = logged(loadings, 20, 2, shift=0.2).iloc[:, 10:]
    return frame[np.random.default_rng(0).permutation(frame.columns)]


@pytest.fixture(scope="module")
def embedder(large):
    return AutoencoderEmbedder(4, hidden_layers=(32,), max_epochs=60, random_state=0).fit(large)


def test_places_by_name():
    assert places_of(["c", "z", "a"], ["a", "b", "c"]).tolist() == [2, -1, 0]


@pytest.mark.parametrize("options", [{}, {"tied": True}, {"hidden_layers": ()}])
def test_before_training_it_embeds_what_the_aligner_brings_in_line(large, small, options):
    settings = {"hidden_layers": (8,), "max_epochs": 5, "random_state": 0} | options
    embedder = AutoencoderEmbedder(4, **settings).fit(large)
    moved = embedder.fine_tune(small, max_epochs=0)
    aligner = GeneAligner(missing="mean", min_overlap=0.5).fit(large)
    expected = embedder.transform(aligner.transform(small))
    np.testing.assert_allclose(moved.transform(small), expected, rtol=1e-8, atol=1e-8)
    assert list(moved.feature_names_in_) == list(small.columns)
    restored = moved.inverse_transform(moved.transform(small))
    shared = [gene for gene in small if gene in large]
    whole = embedder.inverse_transform(expected)
    np.testing.assert_allclose(restored[shared], whole[shared], rtol=1e-8, atol=1e-8)


def test_the_embedder_itself_is_unchanged(embedder, large, small):
    before = embedder.transform(large)
    moved = embedder.fine_tune(small, max_epochs=3, lr=1e-2)
    pd.testing.assert_frame_equal(embedder.transform(large), before)
    assert moved.n_epochs_ == embedder.n_epochs_ + 3
    assert (moved.max_epochs, moved.lr) == (3, 1e-2)
    assert (embedder.max_epochs, embedder.lr) == (60, 1e-3)


def test_twenty_samples_restore_better_than_from_scratch(embedder, small, loadings):
    held_out = logged(loadings, 300, 3, shift=0.2)[small.columns]

    def error(model):
        restored = model.inverse_transform(model.transform(held_out))
        return ((restored - held_out).to_numpy() ** 2).mean()

    scratch = AutoencoderEmbedder(4, hidden_layers=(32,), max_epochs=100, random_state=0)
    tuned = embedder.fine_tune(small, max_epochs=100)
    assert error(tuned) < 0.7 * error(scratch.fit(small))
    assert error(tuned) < error(embedder.fine_tune(small, max_epochs=0))


def test_it_goes_over_to_another_machine_by_file(embedder, small, tmp_path):
    save_model(embedder, tmp_path / "large.skops")
    loaded = load_model(tmp_path / "large.skops")
    here, there = (m.fine_tune(small, max_epochs=2) for m in (embedder, loaded))
    pd.testing.assert_frame_equal(there.transform(small), here.transform(small))
    save_model(there, tmp_path / "small.skops")
    again = load_model(tmp_path / "small.skops")
    pd.testing.assert_frame_equal(again.transform(small), here.transform(small))


def test_frozen_layers_stay_frozen(embedder, small):
    model = embedder.fine_tune(small, max_epochs=0)
    model.net_.module_.embedding.weight.requires_grad_(False)
    moved = model.fine_tune(small, max_epochs=2)
    assert torch.equal(moved.net_.module_.embedding.weight, model.net_.module_.embedding.weight)
    assert not torch.equal(
        moved.net_.module_.decoder[0].weight, model.net_.module_.decoder[0].weight
    )


def test_too_few_genes_in_common_raise(embedder, small):
    other = small.set_axis([f"h{i}" if i > 5 else f"g{i}" for i in range(small.shape[1])], axis=1)
    message = r"6 of 60 genes of X were seen in fit \(10%; min_overlap=0.5\); new are 'h6', 'h7'"
    with pytest.raises(ValueError, match=message):
        embedder.fine_tune(other)


def test_genes_without_names_must_be_as_many(embedder, small):
    with pytest.raises(ValueError, match="X has 7 genes and fit saw 60, and genes without names"):
        embedder.fine_tune(small.to_numpy()[:, :7])


# ------------------------------------------------------------------ counts


@pytest.mark.filterwarnings("ignore::geneexpr.ScaleWarning")  # the aligner fills in means
@pytest.mark.parametrize("likelihood", ["nb", "zinb"])
def test_counts_of_other_genes_and_another_batch(loadings, likelihood, tmp_path):
    large, small = counts(loadings, 300, 1)[GENES], counts(loadings, 20, 2).iloc[:, 5:]
    sites = np.array(["a", "b"])[np.arange(300) % 2]
    options = {"hidden_layers": (16,), "lr": 5e-3, "max_epochs": 30, "random_state": 0}
    model = VariationalAutoencoderEmbedder(4, likelihood=likelihood, **options)
    model.fit(large.set_index(sites), batch=sites)
    moved = model.fine_tune(small, batch=["new"] * 20, max_epochs=0)
    assert moved.batches_ == ["a", "b", "new"]
    aligner = GeneAligner(missing="mean", min_overlap=0.5).fit(np.log1p(large))
    aligned = np.expm1(aligner.transform(np.log1p(small)))
    found = moved.transform(small)
    np.testing.assert_allclose(
        found, model.set_params(unseen_batch="mix").transform(aligned), atol=1e-4
    )
    tuned = model.fine_tune(small, batch=["new"] * 20, max_epochs=30)
    before, after = (m.score(small, batch=["new"] * 20) for m in (moved, tuned))
    assert after > before + 5
    save_model(tuned, tmp_path / "tuned.skops")
    again = load_model(tmp_path / "tuned.skops")
    pd.testing.assert_frame_equal(again.denoise(small), tuned.denoise(small))


# ------------------------------------------------------------------ an encoder in a classifier


@pytest.fixture(scope="module")
def labelled(loadings):
    """Twenty samples to learn from and two hundred to judge by, of the genes of the large."""
    X = logged(loadings, 220, 5)[GENES]
    factor = np.linalg.lstsq(loadings[:, :N_GENES].T, X.to_numpy().T, rcond=None)[0][0]
    return X, np.where(factor > 0, "case", "control")


def classifier(encoder, **options):
    options = {"hidden_layers": (), "dropout": 0, "lr": 0.05, "random_state": 0} | options
    return TorchMLPClassifier(encoder=encoder, **options)


@pytest.mark.parametrize("freeze", [True, False, 3])
def test_a_classifier_learns_from_components(embedder, labelled, freeze, tmp_path):
    X, y = labelled
    before = embedder.transform(X)
    model = classifier(embedder, freeze=freeze, max_epochs=30).fit(X[:20], y[:20])
    assert model.score(X[20:], y[20:]) > 0.8
    pd.testing.assert_frame_equal(embedder.transform(X), before)
    found = model.net_.module_.encoder(torch.from_numpy(X.to_numpy())).detach().numpy()
    assert np.array_equal(found, before.to_numpy()) == (freeze is True)
    save_model(model, tmp_path / "model.skops")
    again = load_model(tmp_path / "model.skops")
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))


def test_the_encoder_thaws_after_as_many_epochs(embedder, labelled):
    X, y = labelled
    for max_epochs, same in ((4, True), (5, False)):
        model = classifier(embedder, freeze=4, max_epochs=max_epochs).fit(X, y)
        found = model.net_.module_.encoder.components.weight
        assert torch.equal(found, embedder.net_.module_.embedding.weight) == same


def test_counts_go_through_a_variational_encoder(loadings):
    X = counts(loadings, 200, 7)[GENES]
    y = np.random.default_rng(7).normal(size=(200, 4))[:, 0] > 0  # the first factor
    embedder = VariationalAutoencoderEmbedder(
        6, hidden_layers=(32,), lr=5e-3, max_epochs=100, random_state=0
    ).fit(X)
    model = classifier(FrozenEstimator(embedder), hidden_layers=(16,), calibration="temperature")
    assert model.fit(X[:150], y[:150]).score(X[150:], y[150:]) > 0.75
    assert model.temperature_ > 0


def test_a_frozen_embedder_survives_cross_validation(embedder, labelled):
    X, y = labelled
    model = classifier(FrozenEstimator(embedder), max_epochs=20)
    assert cross_val_score(model, X, y, cv=3, error_score="raise").mean() > 0.85


def test_calibration_needs_no_frozen_embedder(embedder, labelled):
    X, y = labelled
    found = [
        classifier(encoder, calibration="temperature", max_epochs=5).fit(X, y)
        for encoder in (embedder, FrozenEstimator(embedder))
    ]
    assert found[0].temperature_ == found[1].temperature_
    np.testing.assert_array_equal(found[0].predict_proba(X), found[1].predict_proba(X))


def test_an_encoder_that_is_cloned_or_of_other_genes_raises(embedder, labelled):
    X, y = labelled
    with pytest.raises(NotFittedError, match=r"not fitted.*FrozenEstimator\(embedder\)"):
        clone(classifier(embedder)).fit(X, y)
    with pytest.raises(ValueError, match=r"fitted on 60 genes, and X holds others.*fine_tune"):
        classifier(embedder).fit(X.iloc[:, ::-1], y)
    with pytest.raises(ValueError, match="freeze must be a whole number at least 0; got -1"):
        classifier(embedder, freeze=-1).fit(X, y)
    with pytest.raises(ValueError, match=r"encoder must be a fitted Auto.*got PCA\(\). Put other"):
        classifier(PCA()).fit(X, y)


# ------------------------------------------------------------------ an encoder in a regressor


def regressor(encoder, **options):
    options = {"hidden_layers": (), "dropout": 0, "lr": 0.05, "random_state": 0} | options
    return TorchMLPRegressor(encoder=encoder, **options)


@pytest.fixture(scope="module")
def measured(loadings):
    """Samples and two of the factors behind them, in units of their own."""
    X = logged(loadings, 220, 5)[GENES]
    factors = np.linalg.lstsq(loadings[:, :N_GENES].T, X.to_numpy().T, rcond=None)[0]
    return X, np.column_stack([100 + 20 * factors[0], factors[1]])


@pytest.mark.parametrize("freeze", [True, False, 3])
def test_a_regressor_learns_from_components(embedder, measured, freeze, tmp_path):
    X, y = measured
    before = embedder.transform(X)
    model = regressor(embedder, freeze=freeze, max_epochs=60).fit(X[:40], y[:40])
    assert model.predict(X).shape == (220, 2)
    assert model.score(X[40:], y[40:]) > 0.8
    pd.testing.assert_frame_equal(embedder.transform(X), before)
    found = model.net_.module_.encoder(torch.from_numpy(X.to_numpy())).detach().numpy()
    assert np.array_equal(found, before.to_numpy()) == (freeze is True)
    save_model(model, tmp_path / "model.skops")
    again = load_model(tmp_path / "model.skops")
    np.testing.assert_array_equal(again.predict(X), model.predict(X))


def test_a_frozen_linear_head_is_linear_regression_on_the_components(embedder, measured):
    X, y = measured
    options = {"max_epochs": 1500, "batch_size": 500, "weight_decay": 0, "lr_schedule": "cosine"}
    ours = regressor(embedder, **options).fit(X, y).predict(X)
    z = embedder.transform(X)
    theirs = LinearRegression().fit(z, y).predict(z)
    np.testing.assert_allclose((ours - theirs) / y.std(0), 0, atol=1e-3)


def test_training_of_a_regressor_goes_on_behind_its_encoder(embedder, measured):
    X, y = measured
    once = regressor(embedder, max_epochs=6).fit(X, y)
    twice = regressor(embedder, max_epochs=3, warm_start=True).fit(X, y).fit(X, y)
    np.testing.assert_array_equal(once.predict(X), twice.predict(X))
    assert twice.partial_fit(X, y).n_epochs_ == 7


@pytest.mark.parametrize("make", [classifier, regressor])
def test_weights_of_zero_are_left_out_of_the_standardisation_too(make, embedder, measured):
    X, y = measured
    y = y if make is regressor else y[:, 0] > 100
    weight = np.where(np.arange(220) < 150, 1.0, 0.0)
    strange = X.mask(np.tile(weight[:, None] == 0, X.shape[1]), 1e3)
    weighted = make(embedder, max_epochs=5).fit(strange, y, sample_weight=weight)
    fewer = make(embedder, max_epochs=5).fit(X[:150], y[:150])
    np.testing.assert_allclose(weighted.predict(X), fewer.predict(X), rtol=1e-7)


# ------------------------------------------------------------------ an encoder of counts


@pytest.fixture(scope="module", params=["variational", "autoencoder"])
def of_counts(request, loadings):
    X = counts(loadings, 100, 7)[GENES]
    options = {"hidden_layers": (8,), "max_epochs": 3, "random_state": 0}
    if request.param == "variational":
        return X, VariationalAutoencoderEmbedder(3, **options).fit(X)
    return X, AutoencoderEmbedder(3, loss="nb", **options).fit(X)


def wanting_counts(make, encoder):
    """The predictor at the end of a pipeline, with a scaler before it or not."""
    return make_pipeline(OnMatrix(StandardScaler()), make(encoder, max_epochs=1))


@pytest.mark.parametrize("make", [classifier, regressor])
def test_what_is_no_count_is_refused_as_by_the_encoder(make, of_counts):
    X, encoder = of_counts
    y = np.arange(100) % 2
    with pytest.raises(ValueError, match="Negative values in data passed to") as theirs:
        encoder.transform(X - 1)
    words = str(theirs.value).split(type(encoder).__name__)
    expected = r"TorchMLP\w+".join(map(re.escape, words))
    with pytest.raises(ValueError, match=expected):
        make(encoder).fit(X - 1, y)
    with pytest.raises(ValueError, match=r"Negative values in data passed to TorchMLP\w+: counts"):
        wanting_counts(make, encoder).fit(X, y)
    model = make(encoder, max_epochs=1).fit(X, y)
    with pytest.raises(ValueError, match=expected):
        model.predict(X - 1)
    with pytest.warns(ScaleWarning, match=r"TorchMLP\w+ expects counts, but X holds values that"):
        model.predict(np.log1p(X))
    assert get_tags(model).input_tags.positive_only
    assert not get_tags(make(None)).input_tags.positive_only


@pytest.mark.parametrize("make", [classifier, regressor])
def test_counts_are_read_from_the_layer_of_the_encoder(make, loadings):
    X = counts(loadings, 100, 7)[GENES]
    y = np.arange(100) % 2
    X.index = X.index.astype(str)
    both = ad.AnnData(np.log1p(X), layers={"counts": X})
    options = {"hidden_layers": (8,), "max_epochs": 3, "random_state": 0}
    encoder = VariationalAutoencoderEmbedder(3, layer="counts", **options).fit(both)
    plain = VariationalAutoencoderEmbedder(3, **options).fit(X)
    found = make(encoder, max_epochs=3).fit(both, y).predict(both)
    np.testing.assert_array_equal(found, make(plain, max_epochs=3).fit(X, y).predict(X))


@pytest.mark.parametrize("make", [classifier, regressor])
def test_data_on_disk_go_through_an_encoder(make, of_counts):
    import dask.array as da

    X, encoder = of_counts
    y = np.arange(100) % 2
    genes = pd.DataFrame(index=GENES)
    lazy = ad.AnnData(da.from_array(X.to_numpy(), chunks=(30, 11)), var=genes)
    model = make(encoder, max_epochs=2).fit(lazy, y)
    np.testing.assert_allclose(model.predict(lazy), model.predict(X), rtol=1e-6)
    negative = ad.AnnData(da.from_array(X.to_numpy() - 1, chunks=(30, 11)), var=genes)
    with pytest.raises(ValueError, match="Negative values in data passed to TorchMLP"):
        model.predict(negative)
