"""Options outside of what they may be: said before anything is computed, in one form."""

import numpy as np
import pandas as pd
import pytest

from geneexpr import (
    CPMNormalizer,
    DifferentialExpressionSelector,
    HighlyVariableGenes,
    LowExpressionFilter,
    MedianOfRatiosNormalizer,
    QuantileNormalizer,
    TMMNormalizer,
    UpperQuartileNormalizer,
    VarianceFilter,
    VarianceStabilizer,
)
from geneexpr._options import check_choice, check_number

COUNTS = np.random.default_rng(0).poisson(30, (8, 12)).astype(float)
GROUP = np.arange(8) % 2


@pytest.mark.parametrize("value", [np.nan, "1", None, True, 1.5, -1])
def test_a_whole_number_in_a_range(value):
    with pytest.raises(
        ValueError, match=r"^n must be a whole number at least 0 and at most 9; got"
    ):
        check_number("n", value, least=0, most=9, whole=True)
    check_number("n", np.int32(9), least=0, most=9, whole=True)
    check_number("x", np.float32(0.5), above=0, below=1)


@pytest.mark.parametrize("value", ["c", 1, None, np.array(["a", "b"]), ["a"]])
def test_a_choice(value):
    with pytest.raises(ValueError, match=r"^way must be one of 'a', 'b'; got"):
        check_choice("way", value, ("a", "b"))


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (CPMNormalizer(log=True, prior_count="2"), "prior_count must be a number above 0"),
        (TMMNormalizer(logratio_trim="a"), "logratio_trim must be a number at least 0 and below"),
        (TMMNormalizer(a_cutoff="low"), "a_cutoff must be a number"),
        (TMMNormalizer(reference=np.ones(12)), "reference must be one of 'auto', 'pooled'; got"),
        (UpperQuartileNormalizer("3/4"), "quantile must be a number above 0 and below 1; got '3/4"),
        (MedianOfRatiosNormalizer(control_genes=[]), "control_genes names no gene; None stands"),
        (MedianOfRatiosNormalizer(control_genes=[-99]), "give positions from 0 to 11, or a bool"),
        (MedianOfRatiosNormalizer(control_genes=[12]), "do not fit the 12 genes of X: give"),
        (QuantileNormalizer(ties="min"), "ties must be one of 'average', 'first'; got 'min'"),
        (VarianceStabilizer(n_sub="all"), r"n_sub \(where it is not None\) must be a whole number"),
        (VarianceStabilizer(n_sub=2.5), "must be a whole number at least 2; got 2.5"),
        (LowExpressionFilter(min_count=np.nan), "min_count must be a number at least 0; got nan"),
        (LowExpressionFilter(min_prop=2), "min_prop must be a number at least 0 and at most 1"),
        (HighlyVariableGenes("many"), "n_genes must be a whole number at least 1; got 'many'"),
        (HighlyVariableGenes(2.5), "n_genes must be a whole number at least 1; got 2.5"),
        (HighlyVariableGenes(span=0), "span must be a number above 0 and at most 1; got 0"),
        (HighlyVariableGenes(base=1), "base must be a number above 1 and below inf; got 1"),
        (VarianceFilter(2.5), "n_genes must be a whole number at least 1; got 2.5"),
        (VarianceFilter(threshold="high"), "threshold must be a number"),
        (DifferentialExpressionSelector(n_genes="5"), "n_genes must be a whole number at least 1"),
        (
            DifferentialExpressionSelector(alpha=np.nan),
            "alpha must be a number above 0 and at most",
        ),
        (
            DifferentialExpressionSelector(min_log2_fold_change=-1),
            "min_log2_fold_change must be a number at least 0; got -1",
        ),
    ],
    ids=lambda value: str(value)[:50],
)
def test_every_option_is_checked_in_fit(estimator, message):
    with pytest.raises(ValueError, match=message):
        estimator.fit(COUNTS, GROUP)


def test_a_reference_by_gene():
    X = pd.DataFrame(COUNTS, columns=[f"g{i}" for i in range(12)])
    reference = X.iloc[0]
    message = "negative for 1 of 12 genes: 'g3'. Complete it, or take reference='auto' or 'pooled'"
    for wrong in ("many", np.nan, -1):
        given = reference.astype(object)
        given["g3"] = wrong
        with pytest.raises(ValueError, match=message):
            TMMNormalizer(reference=given).fit(X)
    with pytest.raises(ValueError, match="reference names 'g0', 'g1' more than once"):
        TMMNormalizer(reference=pd.concat([reference, reference[:2]])).fit(X)
