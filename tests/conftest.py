"""What all tests share: the reference data beside the project, and the estimators."""

import json
import os
from pathlib import Path

# The matrices here are small: a second thread costs more than it gives, and pools of threads
# that compete with those of worker processes cost ten times more. Set before numpy is there.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import hypothesis
import numpy as np
import pandas as pd
import pytest

# A first call compiles; how long anything takes is for the benchmarks to say.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared():
    """Folder of the reference data; a stranger's clone does not have it.

    CI sets GENEEXPR_REQUIRE_SHARED where the folder exists, so that nothing skips there.
    """
    if not (SHARED / "gold").is_dir():
        message = f"the reference data are not beside this clone ({SHARED.name}/ is missing)"
        if os.environ.get("GENEEXPR_REQUIRE_SHARED"):
            pytest.fail(message)
        pytest.skip(message)
    return SHARED


class GoldCase:
    """Inputs of one case and the outputs of R for it, by the names in its params.json."""

    def __init__(self, folder):
        self.folder = folder
        self.outputs = json.loads((folder / "params.json").read_text())["outputs"]

    def table(self, name, **options):
        """Read a table of the case with all its digits."""
        options = {"index_col": 0, "float_precision": "round_trip"} | options
        return pd.read_csv(self.folder / name, **options)

    def out(self, name):
        """Read an output of R."""
        return self.table(self.outputs[name]["file"])


@pytest.fixture
def gold(shared):
    """Return a function that opens a reference case."""
    return lambda case: GoldCase(shared / "gold" / case)


def relative_error(ours, theirs):
    """Largest relative difference; missing values must be missing in both."""
    ours, theirs = np.asarray(ours, float), np.asarray(theirs, float)
    assert ours.shape == theirs.shape
    there = ~np.isnan(theirs)
    np.testing.assert_array_equal(there, ~np.isnan(ours))
    scale = np.maximum(np.abs(theirs[there]), 1e-8 * np.nanmax(np.abs(theirs)))
    return float(np.max(np.abs(ours - theirs)[there] / scale))


@pytest.fixture(name="relative_error")
def _relative_error():
    return relative_error
