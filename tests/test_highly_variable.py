"""Highly variable genes: scanpy's choice, from stored lists of it, and honest edges."""

import importlib.util
import json
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from cases import DISK, MEMORY, dense, put

from geneexpr import HighlyVariableGenes, ScaleWarning, SelectionWarning, make_cohort
from geneexpr.stats._highly_variable import (
    cell_ranger_dispersions,
    clipped_sums_by_batch,
    gene_sums_by_batch,
    seurat_dispersions,
)
from geneexpr.stats._loess import cell_vertices, local_quadratic, loess

DATA = Path(__file__).parent / "data"
STORED = json.loads((DATA / "hvg_lists.json").read_text())
FLAVORS = ("seurat", "cell_ranger", "seurat_v3")


def _script():
    spec = importlib.util.spec_from_file_location("make_hvg_lists", DATA / "make_hvg_lists.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


lists = _script()


@pytest.fixture(scope="module")
def cells():
    return lists.simulated_cells()


@pytest.fixture(scope="module")
def pbmc(shared):
    return lists.pbmc_cells(shared / "data" / "pbmc3k_counts_seurat")


def model_of(case):
    options = {key: case[key] for key in ("n_genes", "flavor", "batch_key")}
    return HighlyVariableGenes(**options)


class TestScanpysChoice:
    @pytest.mark.parametrize("name", [n for n in lists.CASES if n.startswith("simulated")])
    def test_simulated_cells(self, cells, name):
        assert lists.fingerprint(cells) == STORED["fingerprints"]["simulated"]
        case = lists.CASES[name]
        X = lists.of_case(case, cells)
        expected = STORED["genes"][name]
        assert np.flatnonzero(model_of(case).fit(X).support_).tolist() == expected
        X.X = X.X.toarray()
        assert np.flatnonzero(model_of(case).fit(X).support_).tolist() == expected

    @pytest.mark.parametrize("name", [n for n in lists.CASES if n.startswith("pbmc3k")])
    def test_pbmc3k(self, pbmc, name):
        """Of genes with the same counts in other cells, scanpy takes any: scores are equal."""
        assert lists.fingerprint(pbmc) == STORED["fingerprints"]["pbmc3k"]
        case = lists.CASES[name]
        model = model_of(case).fit(lists.of_case(case, pbmc))
        expected = np.isin(np.arange(len(model.support_)), STORED["genes"][name])
        assert model.support_.sum() == expected.sum()
        ours, theirs = model.support_ & ~expected, expected & ~model.support_
        assert ours.sum() <= 1, "the last gene may be one of several that are tied"
        if ours.any():
            scores = model.variances_norm_
            np.testing.assert_allclose(scores[ours], scores[theirs], rtol=1e-12)

    def test_the_lists_say_where_they_are_from(self):
        assert STORED["versions"].keys() >= {"scanpy", "scikit-misc"}
        assert STORED["genes"].keys() == lists.CASES.keys()


class TestLoess:
    def test_values_of_scikit_misc(self):
        """R's data set cars: skmisc.loess.loess(speed, dist, span=0.75, degree=2), 0.5.3."""
        speed = [4, 4, 7, 7, 8, 9, 10, 10, 10, 11, 11, 12, 12, 12, 12, 13, 13, 13, 13, 14, 14, 14]
        speed += [14, 15, 15, 15, 16, 16, 17, 17, 17, 18, 18, 18, 18, 19, 19, 19, 20, 20, 20, 20]
        speed += [20, 22, 23, 24, 24, 24, 24, 25]
        dist = [
            2,
            10,
            4,
            22,
            16,
            10,
            18,
            26,
            34,
            17,
            28,
            14,
            20,
            24,
            28,
            26,
            34,
            34,
            46,
            26,
            36,
            60,
        ]
        dist += [80, 20, 26, 54, 32, 40, 32, 40, 50, 42, 56, 76, 84, 36, 46, 68, 32, 48, 52, 56, 64]
        dist += [66, 54, 70, 92, 93, 120, 85]
        fitted = loess(np.array(speed, float), np.array(dist, float), span=0.75)
        first = [5.89362799, 5.89362799, 12.49978573, 12.49978573, 15.28108222, 18.44656836]
        np.testing.assert_allclose(fitted[:6], first, atol=5e-9)

    def test_a_parabola_is_kept_whatever_the_order(self):
        x = np.random.default_rng(0).normal(size=200)
        np.testing.assert_allclose(loess(x, 3 - x + 2 * x**2), 3 - x + 2 * x**2, atol=1e-12)

    def test_equal_points_stay_in_one_cell(self):
        rising = np.repeat([0.0, 1.0, 2.0, 3.0], [5, 1, 1, 1])
        assert cell_vertices(rising, 4).tolist() == [-0.015, 0.0, 3.015]

    def test_a_neighbourhood_without_width_is_level(self):
        x, y = np.r_[np.zeros(8), 1.0], np.arange(9.0)
        assert local_quadratic(x, y, 0.0, 8) == (3.5, 0.0)
        assert np.isfinite(loess(x, y)).all()

    @pytest.mark.parametrize("n", [0, 1, 2, 3])
    def test_few_points(self, n):
        fitted = loess(np.arange(float(n)), np.ones(n))
        np.testing.assert_allclose(fitted, np.ones(n), atol=1e-12)


class TestSums:
    def test_sparse_dense_and_by_hand(self):
        X = np.random.default_rng(0).poisson(1.0, (50, 7)).astype(float)
        codes = np.arange(50) % 3
        by_hand = [[X[codes == b].sum(0), (X[codes == b] ** 2).sum(0)] for b in range(3)]
        for block in (X, sp.csr_matrix(X), sp.csr_array(X)):
            sums = gene_sums_by_batch(block, codes, 3)
            np.testing.assert_array_equal(sums, np.moveaxis(by_hand, 1, 2))
        limits = np.full((3, 7), 1.5)
        cut = np.minimum(X, 1.5)
        by_hand = [[cut[codes == b].sum(0), (cut[codes == b] ** 2).sum(0)] for b in range(3)]
        for block in (X, sp.csr_matrix(X)):
            sums = clipped_sums_by_batch(block, codes, limits)
            np.testing.assert_array_equal(sums, np.moveaxis(by_hand, 1, 2))

    def test_many_rows_are_cut_into_pieces(self):
        X = sp.random(5000, 40, 0.5, format="csr", rng=np.random.default_rng(0))
        sums = gene_sums_by_batch(X, np.zeros(5000, int), 1, np.expm1)
        np.testing.assert_allclose(sums[0, :, 0], np.expm1(X.toarray()).sum(axis=0), rtol=1e-12)


class TestDispersions:
    def test_a_gene_alone_in_its_bin_has_one(self):
        found = seurat_dispersions(np.array([1.0, 1.0, 50.0]), np.array([2.0, 4.0, 9.0]))
        np.testing.assert_allclose(found.normalized, [-np.sqrt(0.5), np.sqrt(0.5), 1.0])

    def test_constant_genes_have_none(self):
        found = seurat_dispersions(np.array([0.0, 2.0, 2.0]), np.array([0.0, 0.0, 3.0]))
        assert np.isnan(found.normalized[:2]).all()

    def test_median_and_mad_by_hand(self):
        found = cell_ranger_dispersions(np.full(5, 2.0), np.array([2.0, 4.0, 6.0, 8.0, 20.0]))
        expected = np.array([-2.0, -1.0, 0.0, 1.0, 7.0]) * 0.6744897501960817
        np.testing.assert_allclose(found.normalized, expected)


class TestEdges:
    @pytest.mark.parametrize("flavor", FLAVORS)
    @pytest.mark.parametrize("kind", [*MEMORY, *DISK])
    def test_batches_in_every_container(self, cells, flavor, kind, tmp_path):
        small = cells[:, 300:420][np.r_[0:40, 200:240, 330:370]].copy()
        X = small.X.toarray() if flavor == "seurat_v3" else np.log1p(small.X.toarray() / 3)
        obs, var = small.obs, small.var
        expected = HighlyVariableGenes(30, flavor=flavor, batch_key="batch")
        expected.fit(ad.AnnData(X, obs=obs, var=var))
        container = put(kind, X, obs, var, tmp_path)
        named = kind in DISK or kind.startswith(("frame", "anndata"))
        model = HighlyVariableGenes(30, flavor=flavor, batch_key="batch" if named else None)
        labels = {} if named else {"batch": obs["batch"].to_numpy()}
        out = model.fit_transform(container, **labels)
        np.testing.assert_array_equal(model.support_, expected.support_)
        np.testing.assert_array_equal(dense(out), X[:, expected.support_])
        alone = HighlyVariableGenes(30, flavor=flavor).fit(X)
        assert (alone.support_ != model.support_).any()

    @pytest.mark.parametrize("flavor", FLAVORS)
    def test_more_genes_than_there_are(self, cells, flavor):
        X = cells.X[:, 51:99] if flavor == "seurat_v3" else np.log1p(cells.X / 3)[:, 51:400:2]
        assert HighlyVariableGenes(2000, flavor=flavor).fit(X).support_.all()

    @pytest.mark.parametrize("flavor", FLAVORS)
    def test_constant_and_silent_genes_are_never_kept(self, cells, flavor):
        X = cells.X[:, 1:40].toarray()
        X[:, 3], X[:, 5] = 0, 7
        X = X if flavor == "seurat_v3" else np.log1p(X / 3)
        for batch in (None, np.arange(400) % 2):
            for matrix in (X, sp.csr_matrix(X)):
                model = HighlyVariableGenes(39, flavor=flavor).fit(matrix, batch=batch)
                assert not model.support_[[3, 5]].any()
                assert model.support_.sum() > 25

    def test_nothing_varies(self):
        with pytest.warns(SelectionWarning, match="HighlyVariableGenes keeps none of 3 genes"):
            HighlyVariableGenes().fit(np.full((4, 3), 1.5))

    def test_learned_by_flavor(self, cells):
        logged = HighlyVariableGenes(200).fit(lists.log_normalized(cells))
        assert logged.support_.sum() == logged.n_batches_.sum() == 200
        assert np.isnan(logged.dispersions_norm_[::50]).all()
        model = HighlyVariableGenes(200, flavor="seurat_v3").fit(cells)
        X = cells.X.toarray()
        np.testing.assert_allclose(model.means_, X.mean(axis=0))
        np.testing.assert_allclose(model.variances_, X.var(axis=0, ddof=1), rtol=1e-10)
        assert np.sort(model.ranks_[model.support_]).tolist() == list(range(200))
        assert (
            model.variances_norm_[~model.support_].max()
            <= model.variances_norm_[model.support_].min()
        )

    def test_base_of_the_log(self, cells):
        """Recorded in AnnData; given by hand where there is no place for it."""
        logged = lists.log_normalized(cells, base=2)
        frame = pd.DataFrame(logged.X.toarray(), columns=cells.var_names)
        expected = HighlyVariableGenes(200).fit(logged).support_
        np.testing.assert_array_equal(
            HighlyVariableGenes(200, base=2).fit(frame).support_, expected
        )
        assert (HighlyVariableGenes(200).fit(frame).support_ != expected).any()

    def test_counts_in_a_layer(self, cells):
        logged = lists.log_normalized(cells)
        logged.layers["counts"] = cells.X
        model = HighlyVariableGenes(200, flavor="seurat_v3", layer="counts").fit(logged)
        expected = HighlyVariableGenes(200, flavor="seurat_v3").fit(cells)
        np.testing.assert_array_equal(model.support_, expected.support_)

    def test_many_equal_genes(self):
        """Where the original loess stops, since most genes have the same mean, we go on."""
        X = np.eye(40)[:, :30]
        X[:, 20:] = make_cohort(40, 10, random_state=0).X
        model = HighlyVariableGenes(5, flavor="seurat_v3").fit(X)
        assert np.isfinite(model.variances_norm_).all()
        assert model.support_.sum() == 5

    def test_scales(self, cells):
        with pytest.warns(
            ScaleWarning, match=r"expects log1p of normalised counts, but X holds whole"
        ):
            HighlyVariableGenes(10).fit(np.minimum(cells.X.toarray(), 9))
        with pytest.warns(ScaleWarning, match=r"values that are not whole numbers"):
            HighlyVariableGenes(10, flavor="seurat_v3").fit(np.log1p(cells.X))
        with pytest.raises(ValueError, match=r"too large to be logarithms, for 1 of 2 genes: 1\."):
            HighlyVariableGenes(10).fit(np.array([[1.5, 800.0], [2.0, 3.0]]))

    def test_bad_input(self):
        X = np.array([[0.5, 2.5], [1.5, 0.0], [0.0, 1.0]])
        with pytest.raises(ValueError, match=r"n_genes must be a whole number at least 1; got 0"):
            HighlyVariableGenes(0).fit(X)
        with pytest.raises(
            ValueError, match=r"flavor must be one of 'seurat', 'cell_ranger', 'seurat_v3'"
        ):
            HighlyVariableGenes(flavor="vst").fit(X)
        with pytest.raises(ValueError, match=r"1 of 2 batches have 1 sample.*'b'"):
            HighlyVariableGenes().fit(X, batch=["a", "a", "b"])
        with pytest.raises(ValueError, match=r"Found array with 1 sample"):
            HighlyVariableGenes().fit(X[:1])
        with pytest.raises(
            ValueError,
            match=r"Negative values in data passed to HighlyVariableG.* for 1 of 1 genes: 0",
        ):
            HighlyVariableGenes().fit(-X[:, :1] * 2 / 3)
