"""Embeddings: points, colours, names of many levels."""

import io

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from geneexpr import EmbeddingDisplay, make_cohort

plt = pytest.importorskip("matplotlib.pyplot")


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def test_points_and_labels_are_those_of_the_estimator():
    cohort = make_cohort(40, 50, n_batches=2, random_state=0)
    pca = PCA(3, random_state=0).fit(cohort.X)
    display = EmbeddingDisplay.from_estimator(pca, cohort, color="batch", dimensions=(2, 0))
    np.testing.assert_allclose(display.points, pca.transform(cohort.X))
    assert display.ax_.get_xlabel() == f"PC 3 ({100 * pca.explained_variance_ratio_[2]:.1f} %)"
    rows = (cohort.obs["batch"] == "batch1").to_numpy()
    np.testing.assert_allclose(display.points_[0].get_offsets(), display.points[rows][:, [2, 0]])
    both = make_pipeline(StandardScaler(), PCA(2, random_state=0)).fit(cohort.X)
    shown = EmbeddingDisplay.from_estimator(both, cohort.X, color=cohort.obs["condition"].array)
    assert shown.ax_.get_xlabel().startswith("PC 1 (")


def test_numbers_are_on_a_scale():
    display = EmbeddingDisplay.from_points(np.eye(3), color=[0.5, 1.5, 2.5])
    assert display.colorbar_ is not None
    np.testing.assert_allclose(display.points_[0].get_array(), [0.5, 1.5, 2.5])


def test_many_levels_are_named_among_their_points():
    rng = np.random.default_rng(0)
    kinds = np.repeat([f"t{i:02d}" for i in range(20)], 200)
    points = np.repeat(rng.normal(size=(20, 2)) * 9, 200, axis=0) + rng.normal(size=(4000, 2))
    frame = pd.DataFrame(points, columns=["UMAP 1", "UMAP 2"])
    display = EmbeddingDisplay.from_points(frame, color=kinds)
    assert {text.get_text() for text in display.names_} == set(kinds)
    assert display.ax_.get_xlabel() == "UMAP 1"
    assert display.points_[0].get_rasterized()


def test_the_same_data_give_the_same_bytes():
    def drawn():
        points = np.random.default_rng(0).normal(size=(3000, 2))
        file = io.BytesIO()
        display = EmbeddingDisplay.from_points(points, color=np.arange(3000) % 3)
        display.figure_.savefig(file)
        return file.getvalue()

    assert drawn() == drawn()


def test_small_data_are_drawn():
    EmbeddingDisplay.from_points(np.zeros((1, 2))).figure_.canvas.draw()
    EmbeddingDisplay.from_points(np.zeros((9, 2)), color=list("abcdefghi")).figure_.canvas.draw()


@pytest.mark.parametrize(
    ("points", "options", "message"),
    [
        (np.zeros((3, 1)), {}, r"dimensions=\(0, 1\) do not all exist: the points have 1"),
        (np.zeros((3, 2)), {"dimensions": (0,)}, "dimensions must be a pair"),
        (np.zeros((3, 2)), {"color": ["a"]}, "color must hold one label a sample"),
        (
            np.zeros((3, 2)),
            {"color": ["a", None, "b"]},
            "color is missing for 1 of 3 samples: row 1",
        ),
        (np.array([[0, np.nan]]), {}, "Points must be finite; .* for 1 of 1 samples: 0"),
        (np.zeros((3, 2)), {"color": "site"}, "The annotation 'site' was asked for"),
    ],
)
def test_bad_input_is_refused(points, options, message):
    with pytest.raises(ValueError, match=message):
        EmbeddingDisplay.from_points(points, **options)


def test_what_does_not_transform_is_refused():
    with pytest.raises(TypeError, match="A fitted estimator with transform"):
        EmbeddingDisplay.from_estimator(object(), np.zeros((3, 2)))


def test_long_names_fit_a_small_figure():
    figure, ax = plt.subplots(figsize=(3, 2.5), layout="constrained")
    labels = [f"a very long name of a laboratory {i % 5}" for i in range(300)]
    points = np.random.default_rng(0).normal(size=(300, 2))
    EmbeddingDisplay.from_points(points, color=labels, ax=ax)
    figure.canvas.draw()  # without a warning that the axes collapsed
    assert ax.get_legend().get_window_extent().x1 <= figure.bbox.x1
