"""Statistics of expression: arrays in, arrays out."""

from ._empirical_bayes import (
    LocationScalePrior,
    location_scale_prior,
    shrink_location,
    shrink_location_scale,
    shrink_nonparametric,
)
from ._linear_models import (
    BatchRegression,
    dependent_columns,
    estimable_genes,
    regress_on_batches,
)
from ._moments import BatchMoments, merge_moments, summarise_batches

__all__ = [
    "BatchMoments",
    "BatchRegression",
    "LocationScalePrior",
    "dependent_columns",
    "estimable_genes",
    "location_scale_prior",
    "merge_moments",
    "regress_on_batches",
    "shrink_location",
    "shrink_location_scale",
    "shrink_nonparametric",
    "summarise_batches",
]
