"""Heatmaps: the order of genes and samples, names that fit, strips, bytes that stay the same."""

import io
import itertools

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from geneexpr import HeatmapDisplay, make_cohort
from geneexpr.plotting._style import ladder, lightness

plt = pytest.importorskip("matplotlib.pyplot")


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def frame(n_samples=12, n_genes=30, seed=0):
    X = np.random.default_rng(seed).normal(size=(n_samples, n_genes))
    samples = pd.MultiIndex.from_arrays(
        [[f"s{i}" for i in range(n_samples)], list("abc" * n_samples)[:n_samples]],
        names=["sample", "site"],
    )
    return pd.DataFrame(X, samples, [f"g{i}" for i in range(n_genes)])


def test_values_are_z_scores_in_the_order_of_the_trees():
    X = frame()
    display = HeatmapDisplay.from_data(X)
    z = (X - X.mean()) / X.std(ddof=0)
    expected = z.to_numpy()[np.ix_(display.sample_order, display.gene_order)].T
    np.testing.assert_allclose(display.image_.get_array(), expected)
    assert sorted(display.gene_order) == list(range(30))
    assert set(display.trees_) == {"genes", "samples"}


def test_clusters_are_found_again():
    rng = np.random.default_rng(0)
    kind = rng.permutation(np.repeat([0, 1], 10))
    X = rng.normal(size=(20, 40)) + 5 * np.outer(kind, np.arange(40) % 2 == 0)
    for metric in ("euclidean", "correlation"):
        display = HeatmapDisplay.from_data(X, metric=metric)
        assert np.abs(np.diff(kind[display.sample_order])).sum() == 1


def test_trees_are_those_of_scipy():
    from scipy.cluster.hierarchy import linkage

    X = np.random.default_rng(1).normal(size=(9, 5))
    display = HeatmapDisplay.from_data(X, standardize=False, method="complete")
    np.testing.assert_allclose(
        display.sample_tree, linkage(X, "complete", optimal_ordering=True), rtol=1e-8
    )


@pytest.mark.parametrize("n_genes", [10, 100, 5000])
@pytest.mark.parametrize("figsize", [(4, 3.5), (6, 8)])
def test_names_of_genes_do_not_cover_each_other(n_genes, figsize):
    figure, ax = plt.subplots(figsize=figsize, layout="constrained")
    display = HeatmapDisplay.from_data(frame(12, n_genes), ax=ax, max_clustered=200)
    figure.canvas.draw()
    texts = [t for t in ax.get_yticklabels() if t.get_text()]
    assert texts
    ends = sorted((t.get_window_extent().y0, t.get_window_extent().y1) for t in texts)
    assert all(low[1] <= high[0] + 1 for low, high in itertools.pairwise(ends))
    said = ax.get_ylabel()
    assert said.startswith(f"{n_genes:,} genes".replace(",", "\u2009"))
    if len(texts) < n_genes:
        assert f"{len(texts)} named" in said
    assert (display.gene_tree is None) == (n_genes > 200)


def test_what_is_not_clustered_says_so():
    X = frame(30)
    display = HeatmapDisplay.from_data(X, sample_annotations="site", max_clustered=10)
    assert X.index.get_level_values("site")[display.sample_order].is_monotonic_increasing
    assert "sorted by site (clustered up to 10)" in display.ax_.get_xlabel()
    display.figure_.canvas.draw()
    assert "as given (clustered up to 10)" in display.ax_.get_ylabel()


def test_genes_are_chosen_by_name_number_and_variance():
    X = frame()
    X["g7"] *= 9
    X["g3"] *= 5
    assert sorted(HeatmapDisplay.from_data(X, genes=2).genes) == ["g3", "g7"]
    assert HeatmapDisplay.from_data(X, genes=["g5", "g1"]).genes.tolist() == ["g5", "g1"]
    dense = HeatmapDisplay.from_data(X.to_numpy(), genes=2).values
    np.testing.assert_allclose(
        HeatmapDisplay.from_data(sp.csr_matrix(X.to_numpy()), genes=2).values, dense
    )


def test_labelled_genes_are_the_only_ones_named():
    display = HeatmapDisplay.from_data(frame(), label_genes=["g3", "g20"])
    display.figure_.canvas.draw()
    assert {t.get_text() for t in display.ax_.get_yticklabels()} == {"g3", "g20"}


def test_anndata_and_given_labels_are_annotations():
    cohort = make_cohort(20, 30, n_batches=2, random_state=0)
    display = HeatmapDisplay.from_data(cohort, sample_annotations=["condition", "batch"])
    assert list(display.strips_) == ["batch", "condition"]
    display = HeatmapDisplay.from_data(cohort.X, sample_annotations={"age": np.linspace(0, 9, 20)})
    assert list(display.strips_) == ["age"]


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_the_same_data_give_the_same_bytes(kind):
    def drawn():
        display = HeatmapDisplay.from_data(frame(), sample_annotations="site")
        file = io.BytesIO()
        with plt.rc_context({"svg.hashsalt": "geneexpr"}):
            display.figure_.savefig(
                file, format=kind, metadata={"Date": None} if kind == "svg" else {}
            )
        return file.getvalue()

    assert drawn() == drawn()


def test_small_data_and_equal_values_are_drawn():
    HeatmapDisplay.from_data(np.full((6, 4), 8.3)).figure_.canvas.draw()
    HeatmapDisplay.from_data(frame(12, 1)).figure_.canvas.draw()
    one = HeatmapDisplay.from_data(frame(1, 4), standardize=False)
    one.figure_.canvas.draw()
    assert one.ax_.get_xlabel() == "1 sample"


@pytest.mark.parametrize("turn", [0, 1, 2])
@pytest.mark.parametrize("n", range(2, 9))
def test_levels_of_strips_differ_in_grey(n, turn):
    light = sorted(lightness(color) for color in ladder(n, turn))
    assert min(np.diff(light)) > 4


def test_colours_of_values_become_lighter_all_the_way():
    from geneexpr.plotting._style import VALUES

    light = [lightness(plt.get_cmap(VALUES)(i / 20)) for i in range(21)]
    assert min(np.diff(light)) > 2


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"genes": ["g1", "x", "y"]}, ValueError, "genes names 2 genes that X lacks: 'x', 'y'."),
        ({"genes": ["g1", "g1"]}, ValueError, "genes names 'g1' more than once."),
        ({"genes": []}, ValueError, "genes names no gene; name one or more, or None for all."),
        (
            {"label_genes": ["x"]},
            ValueError,
            "label_genes names 1 genes that the heatmap lacks: 'x'",
        ),
        ({"sample_annotations": "sex"}, ValueError, "There is no annotation 'sex'"),
        ({"sample_annotations": [3]}, TypeError, "sample_annotations must name annotations"),
        (
            {"sample_annotations": {"sex": ["f"]}},
            ValueError,
            r"sample_annotations\['sex'\] must hold one label a sample: got shape \(1,\) for 12",
        ),
        ({"metric": "cosine"}, ValueError, "metric must be one of 'euclidean', 'correlation'"),
        ({"method": "ward", "metric": "correlation"}, ValueError, "method='ward' takes metric="),
    ],
)
def test_bad_input_is_refused(options, error, message):
    with pytest.raises(error, match=message):
        HeatmapDisplay.from_data(frame(), **options)


def test_bad_values_are_refused():
    with pytest.raises(ValueError, match="z-scores need two samples or more; got 1 sample"):
        HeatmapDisplay.from_data(frame(1))
    X = frame()
    X.iloc[0, 0] = np.nan
    with pytest.raises(ValueError, match="contains NaN"):
        HeatmapDisplay.from_data(X)
