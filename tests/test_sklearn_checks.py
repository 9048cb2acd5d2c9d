"""scikit-learn's estimator checks, all of them, over every public estimator.

Their data are no expression matrices, so our own family of warnings is ignored here alone.
"""

import os
import subprocess
import sys

import pytest
from cases import for_checks, public_estimators
from sklearn.utils.estimator_checks import parametrize_with_checks

INSTANCES = [for_checks(name, cls) for name, cls in public_estimators().items()]


@pytest.mark.filterwarnings("ignore::geneexpr.GeneExpressionWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks(INSTANCES)
def test_estimator_check(estimator, check):
    check(estimator)


@pytest.mark.skipif("SCIPY_ARRAY_API" in os.environ, reason="this is the inner run")
def test_the_check_of_array_api_input():
    """SciPy reads the switch once, at its import, so this check runs in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", __file__, "-q", "-k", "array_api"],
        env={**os.environ, "SCIPY_ARRAY_API": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    assert f"{len(INSTANCES)} passed" in done.stdout
