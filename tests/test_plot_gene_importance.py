"""Top genes of an explanation: which, in what order, where their points stand."""

import io
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp

from geneexpr import GeneImportanceDisplay, ShapBeeswarmDisplay

plt = pytest.importorskip("matplotlib.pyplot")
KINDS = [GeneImportanceDisplay, ShapBeeswarmDisplay]


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def explained(n_samples=40, n_genes=30, **more):
    data = np.random.default_rng(0).normal(size=(n_samples, n_genes))
    effects = np.where(np.arange(n_genes) % 2, -1, 1) * np.arange(n_genes)
    parts = {"values": data * effects, "data": data, "classes": None}
    parts["gene_names"] = np.array([f"g{i}" for i in range(n_genes)])
    return SimpleNamespace(**parts | more)


@pytest.mark.parametrize("kind", KINDS)
def test_the_top_genes_come_first(kind):
    given = explained()
    display = kind.from_explanation(given, k=5)
    mean = np.abs(given.values).mean(axis=0)
    assert display.genes.tolist() == [f"g{i}" for i in np.argsort(-mean)[:5]]
    labels = [text.get_text() for text in display.ax_.get_yticklabels()]
    assert labels == display.genes.tolist()
    assert display.ax_.get_ylabel() == "top 5 of 30 genes"


def test_bars_are_the_mean_and_tell_the_direction():
    given = explained()
    display = GeneImportanceDisplay.from_explanation(given, k=4)
    widths = [bar.get_width() for bar in display.bars_]
    np.testing.assert_allclose(widths, np.sort(np.abs(given.values).mean(axis=0))[:-5:-1])
    for gene, bar in zip(display.genes, display.bars_, strict=True):
        assert bool(bar.get_hatch()) == bool(int(gene[1:]) % 2), "odd genes lower the output"


def test_points_stand_at_their_values_within_their_row():
    given = explained()
    display = ShapBeeswarmDisplay.from_explanation(given, k=3)
    for row, points in enumerate(display.points_):
        x, y = np.asarray(points.get_offsets()).T
        np.testing.assert_allclose(x, display.values[:, row])
        assert np.abs(y - row).max() < 0.5


def test_an_output_of_several_is_named():
    given = explained()
    stack = np.stack([given.values, -2 * given.values], axis=2)
    given = explained(values=stack, classes=np.array(["a", "b"]))
    display = ShapBeeswarmDisplay.from_explanation(given, k=2, output="b")
    assert "for b" in display.ax_.get_xlabel()
    with pytest.raises(ValueError, match=r"has 2 outputs \('a', 'b'\); name one: output="):
        GeneImportanceDisplay.from_explanation(given)
    with pytest.raises(ValueError, match="There is no output 'c'; the explanation has 'a', 'b'"):
        GeneImportanceDisplay.from_explanation(given, output="c")


def test_what_explain_returns_is_drawn():
    import pandas as pd
    from sklearn.linear_model import LogisticRegression

    from geneexpr import explain

    X = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 3)), columns=["MYC", "ACTB", "TP53"])
    found = explain(LogisticRegression().fit(X, X["TP53"] > 0), X)
    assert ShapBeeswarmDisplay.from_explanation(found).genes[0] == "TP53"
    assert GeneImportanceDisplay.from_explanation(found).genes[0] == "TP53"


@pytest.mark.parametrize("kind", KINDS)
def test_sparse_small_and_equal_values_are_drawn(kind):
    given = explained()
    sparse = kind.from_explanation(explained(data=sp.csr_matrix(given.data)), k=3)
    np.testing.assert_allclose(sparse.expression, kind.from_explanation(given, k=3).expression)
    kind.from_explanation(explained(1, 1)).figure_.canvas.draw()
    kind.from_explanation(explained(values=np.zeros((40, 30)))).figure_.canvas.draw()


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_data_give_the_same_bytes(kind):
    def drawn():
        file = io.BytesIO()
        kind.from_explanation(explained()).figure_.savefig(file)
        return file.getvalue()

    assert drawn() == drawn()


@pytest.mark.parametrize("kind", KINDS)
def test_bad_input_is_refused(kind):
    with pytest.raises(TypeError, match="An Explanation as explain returns it was expected"):
        kind.from_explanation(np.zeros((3, 3)))
    with pytest.raises(ValueError, match="k must be a whole number at least 1; got 0"):
        kind.from_explanation(explained(), k=0)
