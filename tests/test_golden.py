"""Models saved by earlier releases load and give what they gave."""

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from geneexpr import load_model

SAYS = ("predict_proba", "transform", "decision_function", "predict")
"""What a model is asked: the first of these that it has, as in ``make_golden.py``."""

FILES = sorted((Path(__file__).parent / "data").glob("model-*.skops"))


def test_there_is_a_golden_file():
    assert FILES


@pytest.mark.filterwarnings("ignore::geneexpr._validation.ModelFileWarning")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_golden_models_give_what_they_gave(path):
    stored = np.load(path.with_suffix(".npz"), allow_pickle=False)
    cohort = ad.AnnData(
        stored["counts"].astype(np.float64),
        obs=pd.DataFrame(
            {"batch": stored["batch"], "condition": stored["condition"]},
            index=[f"s{i}" for i in range(len(stored["batch"]))],
        ),
        var=pd.DataFrame({"length": stored["length"]}, index=stored["genes"].astype(object)),
    )
    models = load_model(path)
    assert {f"output_{name}" for name in models} == {n for n in stored if n.startswith("output")}
    for name, model in models.items():
        said = next(each for each in SAYS if hasattr(model, each))
        found = getattr(model, said)(cohort)
        found = found.X if hasattr(found, "X") else found
        np.testing.assert_allclose(found, stored[f"output_{name}"], rtol=1e-4, atol=1e-5)


def test_golden_files_are_small():
    assert all(path.stat().st_size < 60_000 for path in FILES)
