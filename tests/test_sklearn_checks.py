"""scikit-learn's estimator checks, all of them, over every public estimator."""

import warnings

import pytest
from cases import for_checks, public_estimators
from sklearn.utils.estimator_checks import parametrize_with_checks

from geneexpr import GeneExpressionWarning

INSTANCES = [for_checks(name, cls) for name, cls in public_estimators().items()]


@pytest.mark.filterwarnings("ignore::geneexpr.GeneExpressionWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks(INSTANCES)
def test_estimator_check(estimator, check):
    check(estimator)


def test_warnings_are_one_family():
    """The check suite ignores this family alone: its data are no expression matrices."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", GeneExpressionWarning)
        with pytest.raises(GeneExpressionWarning):
            warnings.warn("scale", GeneExpressionWarning, stacklevel=1)
