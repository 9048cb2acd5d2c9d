"""Quantile normalisation: limma and preprocessCore, frozen for new samples."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from geneexpr import QuantileNormalizer
from geneexpr.stats import _quantiles
from geneexpr.stats._quantile_kernels import order_rows
from geneexpr.stats._quantiles import quantile_sums, to_target

values_of = arrays(np.float64, (6, 9), elements=st.integers(-20, 20))
some_missing = arrays(np.float64, (6, 9), elements=st.one_of(st.just(np.nan), st.integers(-9, 9)))


@pytest.fixture
def bladder(gold):
    return gold("quantile_bladder")


@pytest.mark.parametrize("kind", ["", "_ties", "_na"])
@pytest.mark.parametrize("package", ["limma", "pc"])
def test_training_samples_are_limma_and_preprocesscore(bladder, relative_error, kind, package):
    X = bladder.table(f"X{kind}.csv.gz").astype(float)
    out = QuantileNormalizer().fit_transform(X)
    assert relative_error(out, bladder.out(f"{package}{kind}")) < 1e-12
    assert relative_error(QuantileNormalizer().fit(X).transform(X), out) == 0


def test_ties_in_order_are_limma_within_a_tied_block(bladder, relative_error):
    """The order within a block of equal values is arbitrary in R, that of the genes here."""
    X = bladder.table("X_ties.csv.gz").to_numpy(dtype=float)
    out = QuantileNormalizer(ties="first").fit_transform(X)
    theirs = bladder.out("limma_noties").to_numpy()
    for ours, expected, values in zip(out, theirs, X, strict=True):
        by_value = np.lexsort((ours, values)), np.lexsort((expected, values))
        assert relative_error(ours[by_value[0]], expected[by_value[1]]) < 1e-12
        stable = np.argsort(values, kind="stable")
        assert (np.diff(ours[stable]) >= 0).all()


def test_new_samples_get_the_frozen_target(bladder, relative_error):
    train = bladder.out("split")["is_train"] == 1
    X = bladder.table("X.csv.gz").astype(float)
    model = QuantileNormalizer().fit(X[train])
    assert relative_error(model.target_, bladder.out("target_train")["target"]) < 1e-12
    assert relative_error(model.transform(X[train]), bladder.out("frozen_train")) < 1e-12
    for kind in ("", "_ties", "_na"):
        new = bladder.table(f"X{kind}.csv.gz").astype(float)[~train]
        assert relative_error(model.transform(new), bladder.out(f"frozen_test{kind}")) < 1e-12
        alone = model.transform(new.iloc[:1])
        assert relative_error(alone, bladder.out(f"frozen_test{kind}").iloc[:1]) < 1e-12


@given(values_of)
def test_order_alone_counts(values):
    model = QuantileNormalizer(ties="first").fit(values)
    out = model.transform(values)
    np.testing.assert_array_equal(np.sort(out, axis=1), np.tile(model.target_, (6, 1)))
    np.testing.assert_array_equal(model.transform(values * 3 + 1), out)
    averaged = QuantileNormalizer().fit(values).transform(values)
    for row, given_row in zip(averaged, values, strict=True):
        for value in np.unique(given_row):
            assert len(np.unique(row[given_row == value])) == 1


@given(some_missing)
def test_missing_stays_missing_and_blocks_add_up(values):
    values[0, :2] = 1, 2
    parts = quantile_sums(values[:2]) + quantile_sums(values[2:])
    np.testing.assert_allclose(parts, quantile_sums(values), rtol=1e-12, atol=1e-12)
    out = QuantileNormalizer().fit_transform(values)
    np.testing.assert_array_equal(np.isnan(out), np.isnan(values))


def test_sparse_becomes_dense():
    X = np.array([[0.0, 2.0, 0.0], [4.0, 0.0, 1.0]])
    for fit in (lambda m: m.fit_transform, lambda m: m.fit(X).transform):
        out = fit(QuantileNormalizer())(sp.csr_matrix(X))
        np.testing.assert_array_equal(out, QuantileNormalizer().fit_transform(X))


def test_a_single_value_gets_the_middle():
    target = np.array([1.0, 2.0, 5.0])
    out = to_target(np.array([[np.nan, 7.0, np.nan], [np.nan] * 3]), target)
    np.testing.assert_array_equal(out, [[np.nan, 2, np.nan], [np.nan] * 3])


def test_what_cannot_be():
    with pytest.raises(ValueError, match=r"ties must be one of 'average', 'first'; got 'max'\."):
        QuantileNormalizer(ties="max").fit(np.ones((2, 2)))
    with pytest.raises(ValueError, match="found no value in X: all are missing"):
        QuantileNormalizer().fit(np.full((2, 3), np.nan))


hard_rows = arrays(
    np.float64,
    (3, 40),
    elements=st.one_of(
        st.floats(allow_infinity=False), st.sampled_from([0.0, -0.0, np.nan, 1.0, 1 + 2e-16])
    ),
)


@given(hard_rows)
def test_the_compiled_sort_is_a_stable_sort(values):
    order, ordered = np.empty(values.shape, np.int32), np.empty(values.shape)
    order_rows(values, order, ordered)
    expected = np.argsort(values, axis=1, kind="stable")
    np.testing.assert_array_equal(order, expected)
    np.testing.assert_array_equal(ordered, np.take_along_axis(values, expected, axis=1))


def test_the_compiled_sort_takes_rows_that_differ_in_their_last_bits_only():
    values = 1 + np.random.default_rng(0).permutation(3000)[None] * 2**-52
    order, ordered = np.empty(values.shape, np.int32), np.empty(values.shape)
    order_rows(values, order, ordered)
    np.testing.assert_array_equal(order, np.argsort(values, axis=1))


@pytest.mark.parametrize("ties", ["average", "first"])
def test_large_matrices_get_the_numbers_of_small_ones(monkeypatch, ties):
    rng = np.random.default_rng(0)
    values = rng.poisson(5, size=(7, 300)) + rng.normal(size=(7, 300)) * (rng.random(300) < 0.5)
    values[0, :9] = np.nan
    small = QuantileNormalizer(ties=ties).fit_transform(values)
    monkeypatch.setattr(_quantiles, "LARGE", 1)
    model = QuantileNormalizer(ties=ties)
    np.testing.assert_array_equal(model.fit_transform(values), small)
    np.testing.assert_array_equal(model.fit(values).transform(values), small)
