"""Scores of gene sets: GSVA's numbers, closed forms, missing genes, frozen ranges."""

import json

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from geneexpr import GeneExpressionWarning, GeneSetScorer, ToArray, load_model, save_model
from geneexpr.io import open_zarr, write_zarr

RNG = np.random.default_rng(0)
X = pd.DataFrame(
    RNG.poisson(3.0, (12, 40)).astype(float), columns=[f"g{i}" for i in range(40)]
).rename_axis(index="sample")
SETS = {"a": ["g1", "g5", "g9"], "b": [f"g{i}" for i in range(20)], "c": ["g39"]}
METHODS = ["ssgsea", "mean_z", "singscore"]
methods = pytest.mark.parametrize("method", METHODS)


@pytest.fixture
def gsva(gold):
    case = gold("gsva_ALL")
    sets = json.loads((case.folder / "gene_sets.json").read_text())
    return case, case.table("X.csv.gz"), sets


class TestReference:
    def test_ssgsea_is_that_of_gsva(self, gsva, relative_error):
        case, expression, sets = gsva
        scores = GeneSetScorer(sets).fit_transform(expression)
        assert list(scores.columns) == list(case.out("ssgsea").columns)
        assert relative_error(scores, case.out("ssgsea")) < 1e-11
        scores = GeneSetScorer(sets, normalize=False).fit_transform(expression)
        assert relative_error(scores, case.out("ssgsea_nonorm")) < 1e-11

    def test_mean_z_is_the_combined_z_score_of_gsva(self, gsva):
        case, expression, sets = gsva
        scorer = GeneSetScorer(sets, "mean_z").fit(expression)
        combined = scorer.transform(expression) * np.sqrt(scorer.set_sizes_)
        np.testing.assert_allclose(combined, case.out("zscore"), atol=1e-12)

    def test_new_samples_are_divided_by_the_range_of_the_training_samples(self, gsva):
        case, expression, sets = gsva
        scorer = GeneSetScorer(sets).fit(expression[:10])
        raw = case.out("ssgsea_nonorm")
        span = raw[:10].to_numpy().max() - raw[:10].to_numpy().min()
        np.testing.assert_allclose(scorer.transform(expression[10:]), raw[10:] / span, rtol=1e-10)


class TestByHand:
    def test_ssgsea(self):
        """The running sums of Barbie et al. (2009), step by step."""
        row = np.array([[0.3, 2.0, -1.0, 5.0, 1.0]])
        frame = pd.DataFrame(row, columns=list("abcde"))
        score = GeneSetScorer({"s": ["b", "c"]}, normalize=False).fit_transform(frame)
        order = np.argsort(-row[0])
        ranks = np.argsort(np.argsort(row[0])) + 1.0
        inside = np.isin(order, [1, 2])
        weight = np.where(inside, ranks[order] ** 0.25, 0)
        walk = np.cumsum(weight) / weight.sum() - np.cumsum(~inside) / (~inside).sum()
        np.testing.assert_allclose(score.to_numpy(), walk.sum(), rtol=1e-12)

    def test_singscore(self):
        frame = pd.DataFrame([[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]], columns=list("abcdef"))
        sets = {"low": ["a", "b"], "high": ["e", "f"], "middle": ["c", "d"], "mixed": ["b", "f"]}
        scores = GeneSetScorer(sets, "singscore").fit_transform(frame)
        np.testing.assert_allclose(scores, [[-0.5, 0.5, 0, (4 - 1.5) / 4 - 0.5]])

    def test_mean_z_of_a_constant_gene_is_zero(self):
        frame = pd.DataFrame({"a": [1.0, 3.0], "b": [7.0, 7.0]})
        scores = GeneSetScorer({"s": ["a", "b"]}, "mean_z").fit_transform(frame)
        z = np.array([-1, 1]) / np.sqrt(2)
        np.testing.assert_allclose(scores["s"], z / 2)

    @pytest.mark.parametrize("method", ["ssgsea", "singscore"])
    def test_ranks_see_no_monotone_change_and_no_order_of_genes(self, method):
        scores = GeneSetScorer(SETS, method).fit_transform(X)
        shuffled = X[RNG.permutation(X.columns)]
        again = GeneSetScorer(SETS, method).fit_transform(np.log1p(shuffled) * 3)
        np.testing.assert_allclose(again, scores, rtol=1e-12)


class TestContainers:
    @methods
    def test_named_sets_in_every_container(self, method, tmp_path):
        scorer = GeneSetScorer(SETS, method).fit(X)
        expected = scorer.transform(X)
        assert list(expected.columns) == list(scorer.get_feature_names_out()) == list("abc")
        sparse = ad.AnnData(sp.csr_matrix(X.to_numpy()))
        sparse.var_names = X.columns
        write_zarr(sparse, tmp_path / "x.zarr")
        stored = open_zarr(tmp_path / "x.zarr")
        for given in (sparse, stored):
            again = GeneSetScorer(SETS, method).fit(given)
            out = again.transform(given)
            matrix = out.X.compute() if hasattr(out.X, "compute") else out.X
            np.testing.assert_allclose(matrix, expected, rtol=1e-10, atol=1e-12)
            assert list(out.var_names) == list("abc")

    @methods
    def test_a_sample_alone_scores_the_same(self, method):
        scorer = GeneSetScorer(SETS, method).fit(X)
        whole = scorer.transform(X).to_numpy()
        alone = np.vstack([scorer.transform(X[i : i + 1]).to_numpy() for i in range(len(X))])
        np.testing.assert_array_equal(alone, whole)

    def test_a_model_learns_from_pathways(self):
        y = np.arange(60) % 2
        noise = np.random.default_rng(0).normal(size=(60, 300))
        noise[:, :40] += 0.8 * y[:, None]
        frame = pd.DataFrame(noise, columns=[f"g{i}" for i in range(300)])
        sets = {f"s{j}": [f"g{i}" for i in range(20 * j, 20 * j + 20)] for j in range(15)}
        model = make_pipeline(
            GeneSetScorer(sets), ToArray(), StandardScaler(), LogisticRegression()
        )
        assert cross_val_score(model, frame, y).mean() > 0.9


MORE_SETS = {
    "whole": ["g1", "g2"],
    "half": ["g3", "x1"],
    "none": ["x1", "x2", "x3"],
    "more": ["g7", "g8"],
}


class TestMissingGenes:
    def test_sets_without_genes_are_left_out_and_named(self):
        message = (
            r"^GeneSetScorer leaves out 1 of 4 gene sets of which X has too few genes "
            r"\(min_genes=1, min_overlap=0\): 'none'\.$"
        )
        with pytest.warns(GeneExpressionWarning, match=message):
            scorer = GeneSetScorer(MORE_SETS).fit(X)
        assert list(scorer.get_feature_names_out()) == ["whole", "half", "more"]
        assert scorer.missing_genes_ == {"half": ["x1"]}
        assert scorer.set_sizes_.tolist() == [2, 1, 2]

    @pytest.mark.parametrize("option", [{"min_genes": 2}, {"min_overlap": 0.6}])
    def test_options(self, option):
        with pytest.warns(GeneExpressionWarning, match=r"leaves out 2 of 4 .*: 'half', 'none'\.$"):
            scorer = GeneSetScorer(MORE_SETS, **option).fit(X)
        assert list(scorer.set_names_) == ["whole", "more"]

    def test_few_genes_warn(self):
        message = (
            r"^GeneSetScorer finds 1 of the 4 genes of all sets in X; it lacks genes such as 'x1', "
            r"'x2', 'x3'\. Are these identifiers of the same kind\? missing_genes_ names all\.$"
        )
        with pytest.warns(GeneExpressionWarning, match=message):
            GeneSetScorer({"s": ["g1", "x1", "x2", "x3"]}).fit(X)

    def test_no_set_left(self):
        message = (
            r"^None of 1 gene sets has enough genes in X \(min_genes=1, min_overlap=0\); X lacks 2 "
            r"of their genes, such as 'TP53', 'MDM2', and has 'g0', 'g1', 'g2' and 37 more\. Are "
            r"these identifiers of the same kind\?$"
        )
        with pytest.raises(ValueError, match=message):
            GeneSetScorer({"P53": ["TP53", "MDM2"]}).fit(X)


class TestErrors:
    def test_arrays_have_no_names(self):
        message = (
            r"^gene_sets name genes, but X has no gene names\. Give X as a DataFrame or an AnnData"
        )
        with pytest.raises(ValueError, match=message):
            GeneSetScorer(SETS).fit(X.to_numpy())

    @pytest.mark.parametrize("method", ["ssgsea", "singscore"])
    def test_a_set_of_all_genes_has_no_others(self, method):
        message = (
            rf"^{method} compares the genes of a set with the others, but 'all' holds all 40 genes "
            r"of X\. Give X with more genes, or use method='mean_z'\.$"
        )
        sets = {"all": list(X.columns), **SETS}
        with pytest.raises(ValueError, match=message):
            GeneSetScorer(sets, method).fit(X)
        assert GeneSetScorer(sets, "mean_z").fit_transform(X).shape == (12, 4)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"method": "gsva"}, r"^method must be one of 'ssgsea', 'mean_z', 'singscore'; got"),
            (
                {"min_overlap": 2},
                r"^min_overlap must be a number at least 0 and at most 1; got 2\.$",
            ),
            ({"min_genes": 0}, r"^min_genes must be a whole number at least 1; got 0\.$"),
        ],
    )
    def test_options(self, options, message):
        with pytest.raises(ValueError, match=message):
            GeneSetScorer(SETS, **options).fit(X)

    def test_a_model_file_keeps_the_sets(self, tmp_path):
        scorer = GeneSetScorer(SETS).fit(X)
        save_model(scorer, tmp_path / "model.skops")
        again = load_model(tmp_path / "model.skops")
        pd.testing.assert_frame_equal(again.transform(X), scorer.transform(X))
        assert again.gene_sets == SETS

    def test_the_path_of_a_file_is_no_mapping(self):
        with pytest.raises(ValueError, match="as read_gmt gives them; got str"):
            GeneSetScorer("h.all.gmt").fit(X)
