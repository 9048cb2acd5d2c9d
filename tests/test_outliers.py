"""Sample outliers: what was planted is found for its reason, and little else."""

import re

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from geneexpr import CPMNormalizer, LogTransformer, SampleOutlierDetector, make_cohort
from geneexpr.stats._sample_outliers import robust_distances, typical_correlations, unit_profiles


def logged(n_samples, seed=0):
    cohort = make_cohort(n_samples, 600, random_state=seed)
    return LogTransformer().fit_transform(CPMNormalizer().fit_transform(cohort))


@pytest.fixture
def planted():
    """A cohort whose samples 2 and 7 went wrong: genes shuffled, and half as much signal."""
    data = logged(40)
    data.X[2] = np.random.default_rng(0).permutation(data.X[2])
    data.X[7] *= 0.6
    return data


def test_planted_samples_are_found_for_their_reasons(planted):
    table = SampleOutlierDetector(random_state=0).fit(planted).report(planted)
    assert np.flatnonzero(table["outlier"]).tolist() == [2, 7]
    assert table.index.tolist() == planted.obs_names.tolist()
    said = table["reason"].iloc[[0, 2, 7]].tolist()
    assert said[0] == ""
    assert said[1].endswith("correlates less with the others")
    assert said[2].endswith("its values are distributed otherwise")


@pytest.mark.parametrize(
    ("method", "found"), [("pca", [2, 7]), ("correlation", [2]), ("distribution", [7])]
)
def test_every_method_finds_what_it_looks_for(planted, method, found):
    marks = SampleOutlierDetector(method, random_state=0).fit_predict(planted)
    assert np.flatnonzero(marks == -1).tolist() == found


@pytest.mark.parametrize("n_samples", [10, 40, 120])
def test_few_clean_samples_are_marked(n_samples):
    share = [
        (SampleOutlierDetector(random_state=0).fit_predict(logged(n_samples, seed)) == -1).mean()
        for seed in range(5)
    ]
    assert np.mean(share) <= 0.02


def test_a_new_sample_is_judged_alone():
    data = logged(40)
    train, new = data[:30], data[30:].copy()
    new.X[0] = new.X[0][::-1]
    detector = SampleOutlierDetector(random_state=0).fit(train)
    scores = detector.score_samples(new)
    alone = np.concatenate([detector.score_samples(new[[i]]) for i in range(10)])
    np.testing.assert_allclose(alone, scores, rtol=1e-9)
    assert detector.predict(new)[0] == -1
    np.testing.assert_allclose(detector.decision_function(new), scores - detector.offset_)


def test_a_sample_is_not_compared_with_itself():
    rows = unit_profiles(np.random.default_rng(0).normal(size=(6, 50)))
    expected = [np.median(np.corrcoef(rows)[i, np.arange(6) != i]) for i in range(6)]
    np.testing.assert_allclose(typical_correlations(rows, rows), expected, atol=1e-12)


def test_distances_in_components_are_those_of_mahalanobis():
    scores = np.random.default_rng(0).normal(size=(20, 3)) * [1, 2, 5]
    inverse = np.diag(1 / np.square([1.0, 2.0, 5.0]))
    expected = np.sqrt(np.einsum("ij,jk,ik->i", scores, inverse, scores))
    got = robust_distances(scores, np.zeros(3), np.array([1.0, 2.0, 5.0]))
    np.testing.assert_allclose(got, expected)


@pytest.mark.parametrize("share", [0.05, 0.25])
def test_contamination_is_the_share_that_is_marked(share):
    marks = SampleOutlierDetector(contamination=share, random_state=0).fit_predict(logged(40))
    assert (marks == -1).sum() == 40 * share


def test_only_so_many_profiles_are_kept():
    detector = SampleOutlierDetector("correlation", max_references=12, random_state=0)
    assert detector.fit(logged(40)).references_.shape == (12, 600)
    assert SampleOutlierDetector("pca").fit(logged(40)).references_ is None


def test_sparse_input_gives_the_same():
    data = logged(30).X
    data[data < 5] = 0
    dense = SampleOutlierDetector(random_state=0).fit(data).score_samples(data)
    sparse = SampleOutlierDetector(random_state=0).fit(sp.csr_matrix(data))
    np.testing.assert_allclose(sparse.score_samples(sp.csr_matrix(data)), dense, rtol=1e-6)


def test_constant_genes_and_equal_samples_are_no_outliers():
    data = np.tile(np.arange(20.0), (8, 1))
    assert (SampleOutlierDetector(random_state=0).fit_predict(data) == 1).all()


@pytest.mark.parametrize(
    ("options", "X", "message"),
    [
        ({"method": "knn"}, None, "method must be one of"),
        ({"contamination": 0.7}, None, "contamination must be 'auto' or a share in (0, 0.5]; got"),
        ({"contamination": "some"}, None, "contamination must be 'auto' or a share"),
        ({"n_components": 0}, None, "n_components must be a whole number at least 1; got 0."),
        ({"max_references": 0}, None, "max_references must be a whole number at least 1"),
        ({}, np.full((5, 4), np.nan), "contains NaN"),
        ({}, np.ones((2, 4)), "2 sample"),
    ],
)
def test_bad_input_is_named(options, X, message):
    data = np.random.default_rng(0).normal(8, 1, (12, 30)) if X is None else X
    with pytest.raises(ValueError, match=re.escape(message)):
        SampleOutlierDetector(**options).fit(data)


def test_components_of_a_method_without_them():
    detector = SampleOutlierDetector("distribution").fit(logged(12))
    with pytest.raises(AttributeError, match="method='distribution' has no principal components"):
        detector.project(logged(12))


def test_frames_name_their_samples():
    frame = pd.DataFrame(logged(12).X, index=[f"p{i}" for i in range(12)])
    frame.columns = [f"g{i}" for i in range(600)]
    assert SampleOutlierDetector(random_state=0).fit(frame).report(frame).index[3] == "p3"


def test_equal_samples_of_a_sparse_matrix_are_no_outliers():
    data = sp.csr_matrix(np.tile([0.0, 3.0, 0.0, 5.0, 1.0], (8, 1)))
    assert (SampleOutlierDetector(random_state=0).fit_predict(data) == 1).all()
