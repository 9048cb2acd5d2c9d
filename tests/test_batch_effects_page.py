"""The page on batch effects holds what it says: its code runs, from top to bottom."""

import re
import textwrap
from pathlib import Path

import numpy as np
import pytest

PAGE = Path(__file__).resolve().parents[1] / "docs" / "batch_effects.rst"
SETUP = """
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, LeaveOneGroupOut
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from geneexpr import *
"""


def test_the_code_of_the_page_runs(capsys):
    plt = pytest.importorskip("matplotlib.pyplot")
    blocks = re.findall(r"\.\. code-block:: python\n\n((?:   .*\n|\n)+)", PAGE.read_text())
    assert len(blocks) == 4
    names = {}
    exec(SETUP, names)
    adata = names["make_cohort"](90, 60, n_batches=3, effect_size=2, random_state=0)
    adata.obs["site"] = adata.obs["batch"].astype(str)
    adata.obs["sex"] = np.tile(["f", "m"], 45)
    adata.obs["age"] = np.arange(90.0) % 37
    log = names["LogTransformer"]().fit_transform(names["CPMNormalizer"]().fit_transform(adata))
    corrected = names["ComBatCorrector"](batch_key="site").fit_transform(log)
    names |= {"adata": adata, "expression": log, "corrected": corrected}
    for block in blocks:
        exec(textwrap.dedent(block), names)
    plt.close("all")
    names["search"].fit(adata, adata.obs["condition"])
    assert names["search"].best_score_ > 0.8
    assert names["audit"].passed
    printed = capsys.readouterr().out
    assert "batch and covariates can be told apart" in printed
    assert "No sign of leakage" in printed
