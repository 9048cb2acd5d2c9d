"""MeanCenterCorrector and RatioCorrector: means by hand, covariates, new batches, refusals."""

import numpy as np
import pytest
import scipy.sparse as sp

from geneexpr import BatchWarning, MeanCenterCorrector, RatioCorrector

BATCH = np.repeat(["a", "b"], 30)


@pytest.fixture
def intensities():
    """Positive values whose batches and classes differ by factors."""
    rng = np.random.default_rng(0)
    y = np.tile(["case", "control"], 30)
    X = rng.gamma(20, 5, (60, 40))
    X[y == "case", :10] *= 3
    return X * np.where(BATCH == "a", 1.0, rng.uniform(2, 4))[:, None], y


def test_means_of_every_batch_become_zero(intensities):
    X, _ = intensities
    X = np.log2(X)
    out = MeanCenterCorrector().fit_transform(X, batch=BATCH)
    for name in "ab":
        own = name == BATCH
        np.testing.assert_allclose(out[own], X[own] - X[own].mean(axis=0), atol=1e-12)


def test_missing_values_are_left_out_of_the_means(intensities):
    X, _ = intensities
    X = np.log2(X)
    X[::7, ::3] = np.nan
    out = MeanCenterCorrector().fit_transform(X, batch=BATCH)
    np.testing.assert_array_equal(np.isnan(out), np.isnan(X))
    np.testing.assert_allclose(np.nanmean(out[:30], axis=0), 0, atol=1e-12)


def test_a_protected_covariate_keeps_its_effect():
    """A batch of the old alone is not centred at zero but where the old stand among all."""
    age = np.array([1.0, 2.0, 3.0, 3.0, 4.0, 5.0])
    X = 2 * age[:, None] + np.repeat([0.0, 10.0], 3)[:, None]
    out = MeanCenterCorrector().fit_transform(X, batch=list("aaabbb"), covariates=age)
    np.testing.assert_allclose(out.ravel(), 2 * (age - 3), atol=1e-12)


@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array])
def test_ratios_by_hand(kind):
    X = np.array([[1.0, 0.0], [4.0, 0.0], [10.0, 2.0], [1000.0, 0.0]])
    batch = list("aabb")
    plain = RatioCorrector().fit_transform(kind(X), batch=batch)
    geometric = RatioCorrector(mean="geometric").fit_transform(kind(X), batch=batch)
    dense = np.asarray(plain.todense() if sp.issparse(plain) else plain)
    np.testing.assert_allclose(dense, X / [[2.5, 1], [2.5, 1], [505, 1], [505, 1]])
    dense = np.asarray(geometric.todense() if sp.issparse(geometric) else geometric)
    np.testing.assert_allclose(dense, X / [[2, 1], [2, 1], [100, 2], [100, 2]])
    assert sp.issparse(plain) == sp.issparse(geometric) == (kind is sp.csr_array)


@pytest.mark.parametrize("mean", ["arithmetic", "geometric"])
def test_factors_between_batches_go(intensities, mean):
    X, _ = intensities
    factors = np.random.default_rng(1).uniform(0.2, 5, 40)
    twins = np.vstack([X[:30], X[:30] * factors])
    out = RatioCorrector(mean=mean).fit_transform(twins, batch=BATCH)
    np.testing.assert_allclose(out[30:], out[:30])


def test_geometric_ratios_are_mean_centred_logarithms(intensities):
    X, y = intensities
    age = np.arange(60.0) % 17
    ratio = RatioCorrector(mean="geometric").fit(X, y, batch=BATCH, covariates=age)
    centred = MeanCenterCorrector().fit(np.log(X), y, batch=BATCH, covariates=age)
    out = np.log(ratio.transform(X, batch=BATCH))
    np.testing.assert_allclose(out, centred.transform(np.log(X), batch=BATCH), atol=1e-10)
    np.testing.assert_allclose(ratio.class_means_, centred.class_means_, atol=1e-10)


def test_class_means_are_those_of_the_ratios(intensities):
    X, y = intensities
    model = RatioCorrector().fit(X, y, batch=BATCH)
    out = model.transform(X, batch=BATCH)
    for i, name in enumerate(["case", "control"]):
        np.testing.assert_allclose(model.class_means_[i], out[y == name].mean(axis=0))


@pytest.mark.parametrize("mean", ["arithmetic", "geometric"])
def test_a_new_batch_is_estimated_as_fit_would_have(intensities, mean):
    X, _ = intensities
    model = RatioCorrector(mean=mean, unseen_batch="estimate").fit(X, batch=BATCH)
    new = model.transform(X[30:], batch=["z"] * 30)
    np.testing.assert_allclose(new, model.transform(X, batch=BATCH)[30:])


@pytest.mark.parametrize("mean", ["arithmetic", "geometric"])
def test_adapt_with_the_class_mix_knows_what_the_mean_should_be(intensities, mean):
    """A new batch of cases alone, everything doubled: its ratios are those of cases."""
    X, y = intensities
    model = RatioCorrector(mean=mean).fit(X, y, batch=BATCH)
    cases = 2 * X[:30][y[:30] == "case"]
    adapted = model.adapt(cases, batch="c", class_proportions={"case": 1.0})
    out = adapted.transform(cases, batch=["c"] * 15)
    level = out.mean(axis=0) if mean == "arithmetic" else np.exp(np.log(out).mean(axis=0))
    expected = model.class_means_[0] if mean == "arithmetic" else np.exp(model.class_means_[0])
    np.testing.assert_allclose(level, expected)
    naive = model.adapt(cases, batch="c").transform(cases, batch=["c"] * 15)
    assert abs(naive[:, :10].mean() - expected[:10].mean()) > 0.2


@pytest.mark.parametrize("mean", ["arithmetic", "geometric"])
def test_a_gene_that_a_new_batch_lacks_is_divided_by_what_is_usual(intensities, mean):
    X, _ = intensities
    model = RatioCorrector(mean=mean).fit(X, batch=BATCH)
    new = X[:12].copy()
    new[:, 0] = 0
    out = model.adapt(new, batch="z").transform(np.ones((1, 40)), batch=["z"])
    assert np.isfinite(out).all()
    assert 0 < out[0, 0] < 1


def test_any_positive_scale_passes_without_a_warning(intensities):
    X, _ = intensities
    RatioCorrector().fit(1000 * X, batch=BATCH)


@pytest.mark.filterwarnings("ignore:1 of 3 batches have one sample only")
def test_a_batch_of_one_sample_becomes_ones(intensities):
    X, _ = intensities
    batch = np.append(BATCH[:-1], "c")
    for mean in ("arithmetic", "geometric"):
        out = RatioCorrector(mean=mean).fit_transform(X, batch=batch)
        np.testing.assert_allclose(out[-1], 1)
    np.testing.assert_allclose(MeanCenterCorrector().fit_transform(np.log(X), batch=batch)[-1], 0)


# ------------------------------------------------------------------ what is refused


@pytest.mark.parametrize("mean", ["arithmetic", "geometric"])
def test_negative_values_raise(mean):
    X = np.random.default_rng(0).normal(size=(60, 5))
    with pytest.raises(
        ValueError, match=r"Negative values in data passed to RatioCorrector: .*Mea"
    ):
        RatioCorrector(mean=mean).fit(X, batch=BATCH)


def test_an_unknown_mean_raises(intensities):
    with pytest.raises(ValueError, match="mean must be one of 'arithmetic', 'geometric'; got 'har"):
        RatioCorrector(mean="harmonic").fit(intensities[0], batch=BATCH)


@pytest.mark.parametrize("corrector", [MeanCenterCorrector, RatioCorrector])
def test_what_every_corrector_refuses(intensities, corrector):
    X, y = intensities
    X = np.log2(X)
    with pytest.raises(ValueError, match="is confounded with the batch"):
        corrector().fit(X, batch=BATCH, covariates={"tissue": BATCH})
    with pytest.raises(ValueError, match="'tumour' gives the outcome y away"):
        corrector().fit(X, y, batch=BATCH, covariates={"tumour": y})
    with pytest.raises(ValueError, match="batch is identical to the outcome y"):
        corrector().fit(X, BATCH, batch=BATCH)
    with pytest.raises(ValueError, match="has not seen: 'z'"):
        corrector().fit(X, batch=BATCH).transform(X, batch=["z"] * 60)
    with pytest.warns(BatchWarning, match="got no batch labels"):
        np.testing.assert_array_equal(corrector().fit_transform(X), X)


def test_a_gene_missing_from_a_batch_raises_where_a_mean_is_needed(intensities):
    X, _ = intensities
    X = np.log2(X)
    X[BATCH == "b", 4] = np.nan
    with pytest.raises(ValueError, match="1 of 40 genes have missing values"):
        MeanCenterCorrector().fit(X, batch=BATCH)
