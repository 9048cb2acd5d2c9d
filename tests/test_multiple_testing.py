"""Adjusted p-values: those of R, exact ones by all permutations, and what never fails."""

import itertools

import numpy as np
import pytest

from geneexpr.stats._contrasts import contrast_matrix
from geneexpr.stats._moments import summarise_batches
from geneexpr.stats._multiple_testing import adjust_p_values, max_t
from geneexpr.stats._welch import welch_tests


@pytest.mark.parametrize(("method", "column"), [("bh", "BH"), ("by", "BY"), ("holm", "Holm")])
def test_adjusts_as_multtest(gold, relative_error, method, column):
    case = gold("multtest_golub")
    ours = adjust_p_values(case.out("stats")["welch_p"], method)
    assert relative_error(ours, case.out("adjusted")[column]) < 1e-14


def test_max_t_over_all_permutations_is_that_of_multtest(gold, relative_error):
    case = gold("multtest_golub")
    theirs, samples = case.out("maxT_complete"), case.out("maxT_complete_samples")
    X = case.table("X.csv.gz").loc[samples.index, theirs.index].to_numpy(float)

    def statistic(codes):
        moments = summarise_batches(X, codes, 2)
        return np.abs(welch_tests(moments, contrast_matrix(2)).statistics[0])

    codes = samples["cl"].to_numpy()
    every = itertools.combinations(range(len(codes)), int(codes.sum()))
    permuted = (statistic(np.isin(np.arange(len(codes)), ones).astype(int)) for ones in every)
    assert relative_error(max_t(statistic(codes), permuted), theirs["adjp_maxT"]) < 1e-14


def test_tests_that_were_not_made_do_not_count():
    p = np.array([0.01, np.nan, 0.2])
    for method in ("bh", "by", "holm"):
        adjusted = adjust_p_values(p, method)
        assert np.isnan(adjusted[1])
        np.testing.assert_array_equal(adjusted[[0, 2]], adjust_p_values(p[[0, 2]], method))
    observed = np.array([3.0, np.nan, 1.0])
    assert np.isnan(max_t(observed, [observed])[1])


def test_unknown_method():
    with pytest.raises(ValueError, match="method must be one of 'bh', 'by', 'holm', got 'fdr'"):
        adjust_p_values([0.1], "fdr")
