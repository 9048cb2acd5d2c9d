"""Values at given ranks: always those of a full sort."""

import numpy as np
import pytest
from scipy.stats import rankdata

from geneexpr.stats._order_statistics import SMALL, order_statistics, ranked

RNG = np.random.default_rng(0)
N = 3 * SMALL
SHAPES = {
    "even": RNG.normal(size=N),
    "skewed": RNG.lognormal(0, 6, size=N),
    "tied": RNG.poisson(1.5, size=N).astype(float),
    "mostly zero": RNG.poisson(0.01, size=N).astype(float),
    "constant": np.full(N, 3.0),
    "ascending": np.arange(float(N)),
    "two far ends": np.where(np.arange(N) % 2, -1e300, 1e300) / 4,
    "float32": RNG.normal(size=N).astype(np.float32),
    "few": RNG.normal(size=9),
}
shapes = pytest.mark.parametrize("values", SHAPES.values(), ids=SHAPES.keys())


@shapes
def test_the_values_are_those_of_a_sort(values):
    n = len(values)
    ranks = (0, n // 20, n // 2, n // 2 + 1, n - 2, n - 1)
    assert order_statistics(values, ranks) == list(np.sort(values)[list(ranks)])


@shapes
def test_ties_share_their_average_rank(values):
    average = rankdata(values)
    for value, rank in ranked(values, (len(values) // 3, len(values) // 2)):
        assert rank == average[np.flatnonzero(values == value)[0]]
