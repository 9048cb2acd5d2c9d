"""New samples, whatever their counts: each is normalised alone, by what the training told."""

import copy
import functools

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from geneexpr import (
    CPMNormalizer,
    MedianOfRatiosNormalizer,
    QuantileNormalizer,
    RMANormalizer,
    TMMNormalizer,
    UpperQuartileNormalizer,
    VarianceStabilizer,
)

TRAINING = np.random.default_rng(0).poisson(40, (10, 24)).astype(float) + 1
new_samples = arrays(np.float64, (5, 24), elements=st.integers(0, 2**33))
models = [
    CPMNormalizer(log=True),
    TMMNormalizer(),
    TMMNormalizer("TMMwsp"),
    TMMNormalizer(reference="pooled", log=True),
    UpperQuartileNormalizer(),
    MedianOfRatiosNormalizer(),
    QuantileNormalizer(),
    QuantileNormalizer(ties="first"),
    VarianceStabilizer(),
    RMANormalizer(np.repeat(np.arange(6), 4)),
]


# Empty samples and panels without a trend warn; what they become is tested here.
pytestmark = [
    pytest.mark.filterwarnings(f"ignore::geneexpr.{category}")
    for category in ("ZeroDepthWarning", "TrendWarning", "ScaleWarning")
]


@functools.cache
def fitted(number):
    return models[number].fit(TRAINING)


@pytest.mark.parametrize("number", range(len(models)), ids=lambda i: type(models[i]).__name__)
@settings(max_examples=30)
@given(new_samples, st.permutations(range(5)))
def test_a_sample_does_not_know_which_others_come_with_it(number, X, order):
    model = fitted(number)
    before = copy.deepcopy(model.__dict__)
    together = model.transform(X)
    assert np.isfinite(together).all()
    np.testing.assert_array_equal(model.transform(X[order]), together[order])
    for i in range(len(X)):
        np.testing.assert_array_equal(model.transform(X[i : i + 1])[0], together[i])
    sparse = model.transform(sp.csr_array(X))
    sparse = sparse.toarray() if sp.issparse(sparse) else sparse
    np.testing.assert_allclose(sparse, together, rtol=1e-10)
    np.testing.assert_equal(model.__dict__, before)


@settings(max_examples=30)
@given(new_samples, st.integers(2, 9))
def test_depth_does_not_matter(X, deeper):
    """Of what scales by size; the trimming of TMM looks at weights, which depend on depth."""
    model = MedianOfRatiosNormalizer().fit(TRAINING)
    np.testing.assert_allclose(model.transform(X * deeper), model.transform(X), rtol=1e-10)
    model = UpperQuartileNormalizer().fit(TRAINING)
    np.testing.assert_allclose(model.transform(X * deeper), model.transform(X), rtol=1e-10)
