"""The documentation holds what it says: its snippets run, its reference is complete."""

import re
import runpy
from copy import deepcopy
from inspect import ismodule
from pathlib import Path
from pkgutil import resolve_name

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import geneexpr

ROOT = Path(__file__).resolve().parents[1]
SNIPPETS = ROOT / "docs" / "snippets"


def test_the_quickstart_runs_and_predicts(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = runpy.run_path(str(SNIPPETS / "quickstart.py"))
    scores = [float(score) for score in re.findall(r"AUC.* ([.\d]+)", capsys.readouterr().out)]
    assert len(scores) == 2
    assert min(scores) > 0.85
    loaded = geneexpr.load_model(tmp_path / "model.skops")
    np.testing.assert_allclose(
        loaded.predict_proba(names["new"]), names["search"].predict_proba(names["new"])
    )


def test_the_example_of_the_readme_runs(capsys):
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    exec(compile(example, "README.md", "exec"), {})
    assert float(capsys.readouterr().out) > 0.85


@pytest.fixture
def centerer():
    return runpy.run_path(str(SNIPPETS / "own_transformer.py"))["GeneCenterer"]()


def _containers():
    anndata = pytest.importorskip("anndata")
    X = np.random.default_rng(0).poisson(2.0, (12, 5)).astype(float)
    genes, samples = list("abcde"), [f"s{i}" for i in range(12)]
    frame = pd.DataFrame(X, samples, genes)
    return X, [X, sp.csr_matrix(X), frame, anndata.AnnData(frame)]


def test_the_transformer_of_the_docs_takes_every_container(centerer):
    X, containers = _containers()
    for given in containers:
        result = centerer.fit_transform(given)
        matrix = np.asarray(getattr(result, "X", result))
        np.testing.assert_allclose(matrix, X - X.mean(axis=0), rtol=1e-12)
        assert type(result) is (np.ndarray if sp.issparse(given) else type(given))


def test_the_transformer_of_the_docs_is_row_independent(centerer):
    X, _ = _containers()
    alone = np.vstack([centerer.fit(X).transform(X[[i]]) for i in range(len(X))])
    np.testing.assert_array_equal(alone, centerer.transform(X))


def test_the_transformer_of_the_docs_checks_the_genes(centerer):
    _, (_, _, frame, _) = _containers()
    centerer.fit(frame)
    with pytest.raises(ValueError, match="GeneAligner"):
        centerer.transform(frame[frame.columns[::-1]])


@pytest.fixture
def gated():
    return runpy.run_path(str(SNIPPETS / "own_network.py"))["GatedClassifier"]


def test_the_network_of_the_docs_is_a_classifier(gated):
    from sklearn.base import clone
    from sklearn.model_selection import GridSearchCV

    rng = np.random.default_rng(0)
    X, noise = rng.normal(size=(2, 80, 10)).astype(np.float32)
    y = np.where(X[:, 0] + 0.3 * noise[:, 0] > 0, "case", "control")
    model = gated((8,), max_epochs=30, lr=0.01, dropout=0.3, random_state=0)
    search = GridSearchCV(model, {"lr": [0.01, 1e-5]}, cv=3, error_score="raise").fit(X, y)
    assert search.best_params_ == {"lr": 0.01}
    assert search.score(X, y) > 0.9
    fitted = model.fit(X, y)
    copy = deepcopy(fitted)
    np.testing.assert_array_equal(copy.predict_proba(X), fitted.predict_proba(X))
    np.testing.assert_array_equal(clone(model).fit(X, y).predict_proba(X), model.predict_proba(X))
    weights = list(fitted.net_.module_.state_dict())
    assert "gate" in weights
    alone = np.concatenate([fitted.predict_proba(X[[i]]) for i in range(10)])
    np.testing.assert_allclose(alone, fitted.predict_proba(X)[:10], rtol=1e-5)


def test_the_snippets_are_as_short_as_the_docs_say():
    assert len(_code(SNIPPETS / "own_network.py")) <= 25
    assert len(_code(SNIPPETS / "own_transformer.py")) <= 20  # without the imports
    assert len(_code(SNIPPETS / "quickstart.py", "# [pipeline", "# pipeline]")) <= 30


def _code(path, start=None, end=None):
    text = path.read_text()
    text = text.split(start)[1].split(end)[0] if start else text
    skipped = ('"""', "import ", "from ")
    return [line for line in text.splitlines() if line.strip() and not line.startswith(skipped)]


def test_every_public_name_is_in_the_reference():
    reference = (ROOT / "docs" / "api" / "index.rst").read_text()
    listed = set(re.findall(r"^   ([\w.]+)$", reference, re.MULTILINE))
    public = {name for name in geneexpr.__all__ if not ismodule(getattr(geneexpr, name))}
    assert public - listed == set()


def test_the_reference_names_nothing_that_is_not_there():
    reference = (ROOT / "docs" / "api" / "index.rst").read_text()
    for name in re.findall(r"^   ([\w.]+)$", reference, re.MULTILINE):
        resolve_name(f"geneexpr.{name}")
