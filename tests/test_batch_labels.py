"""Labels that no corrector can use: each says what was got and what to do."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from geneexpr import (
    BatchWarning,
    ComBatCorrector,
    ComBatSeqCorrector,
    LinearBatchCorrector,
    MeanCenterCorrector,
    RatioCorrector,
)

CORRECTORS = [
    ComBatCorrector,
    ComBatSeqCorrector,
    LinearBatchCorrector,
    MeanCenterCorrector,
    RatioCorrector,
]
LOCATIONS = CORRECTORS[2:]
BATCH = np.repeat(["a", "b"], 12)


@pytest.fixture
def samples():
    X = np.random.default_rng(0).poisson(20, (24, 15)).astype(float)
    obs = pd.DataFrame({"site": BATCH, "sex": np.tile(["f", "m"], 12)})
    obs.index = [f"s{i}" for i in range(24)]
    return ad.AnnData(X, obs=obs)


@pytest.mark.parametrize("corrector", CORRECTORS)
def test_labels_that_are_missing_or_too_few_raise(corrector, samples):
    X = samples.X
    unknown = BATCH.astype(object)
    unknown[3] = None
    with pytest.raises(ValueError, match="batch is missing for 1 of 24 samples: row 3"):
        corrector().fit(X, batch=unknown)
    numbers = np.where(BATCH == "a", 1.0, np.nan)
    with pytest.raises(ValueError, match="batch is missing for 12 of 24 samples"):
        corrector().fit(X, batch=numbers)
    with pytest.raises(ValueError, match=r"one label a sample: got shape \(23,\) for 24 samples"):
        corrector().fit(X, batch=BATCH[:-1])


@pytest.mark.parametrize("corrector", CORRECTORS)
def test_levels_that_no_sample_has_are_no_batches(corrector, samples):
    expected = corrector("site").fit_transform(samples).X
    samples.obs["site"] = pd.Categorical(samples.obs["site"], categories=["z", "b", "a"])
    model = corrector("site").fit(samples)
    assert model.batches_ == ["a", "b"]
    np.testing.assert_array_equal(model.transform(samples).X, expected)


@pytest.mark.parametrize("corrector", CORRECTORS)
def test_numbers_and_text_name_the_same_batch(corrector, samples):
    X, numbers = samples.X, np.repeat([1, 2], 12)
    expected = corrector().fit_transform(X, batch=BATCH)
    model = corrector().fit(X, batch=numbers)
    for labels in (numbers, numbers.astype(float), numbers.astype(str)):
        np.testing.assert_array_equal(model.transform(X, batch=labels), expected)


@pytest.mark.parametrize("corrector", CORRECTORS)
def test_keys_of_the_wrong_kind_say_so(corrector, samples):
    with pytest.raises(
        ValueError, match=r"covariate_keys must be a sequence of names, got 'sex' alone: give"
    ):
        corrector("site", covariate_keys="sex").fit(samples)
    with pytest.raises(ValueError, match=r"batch_key must be .*one.*got \['site'\]"):
        corrector(["site"]).fit(samples)
    if corrector is ComBatSeqCorrector:
        with pytest.raises(ValueError, match="condition must be the name of one annotation"):
            corrector("site", ["sex"]).fit(samples)


@pytest.mark.parametrize("corrector", CORRECTORS)
def test_one_label_stands_for_all_reference_samples(corrector, samples):
    X = samples.X
    model = corrector().fit(X, batch=BATCH)
    for label in (3, np.int64(3), np.str_("3")):
        assert model.adapt(X[:10], batch=label).batches_ == ["3", "a", "b"]


@pytest.mark.parametrize("corrector", LOCATIONS)
def test_a_batch_of_one_sample_is_told(corrector, samples):
    batch = np.append(BATCH[:-1], "c")
    with pytest.warns(BatchWarning, match="which cannot be told from its batch"):
        out = corrector().fit_transform(samples.X, batch=batch)
    assert np.isfinite(out).all()
