"""Filters: edgeR's choice of genes, ranks that do not depend on rounding, honest names."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from geneexpr import LowExpressionFilter, SelectionWarning, TMMNormalizer, VarianceFilter


class TestLowExpression:
    @pytest.mark.parametrize(
        ("case", "column", "options"),
        [
            ("edger_pasilla", "nogroup", {}),
            ("edger_pasilla", "group", {"condition": "y"}),
            ("edger_pasilla", "mincount5", {"condition": "y", "min_count": 5}),
            ("edger_pasilla", "mintotal50", {"condition": "y", "min_total_count": 50}),
            ("edger_pasilla", "largeN2", {"condition": "y", "large_n": 2, "min_prop": 0.5}),
            ("edger_pickrell", "nogroup", {}),
            ("edger_pickrell", "group", {"condition": "y"}),
            ("edger_pickrell", "mincount20", {"condition": "y", "min_count": 20}),
            ("edger_pickrell", "minprop.9", {"condition": "y", "min_prop": 0.9, "large_n": 5}),
        ],
    )
    def test_keeps_the_genes_of_edger(self, gold, case, column, options):
        case = gold(case)
        X, kept = (
            case.table("X.csv.gz").astype(float),
            case.out("filterByExpr")[column].astype(bool),
        )
        group = case.table("group.csv").iloc[:, 0].astype(str).to_numpy()
        for matrix in (X, sp.csr_matrix(X.to_numpy())):
            ours = LowExpressionFilter(**options).fit(matrix, group).get_support()
            np.testing.assert_array_equal(ours, kept)

    @pytest.mark.parametrize("case", ["edger_pasilla", "edger_pickrell"])
    def test_keeps_the_genes_of_edger_for_a_design(self, gold, case):
        """By the design matrix beside an array, and by the names of annotations."""
        case = gold(case)
        X, design = case.table("X.csv.gz").astype(float), case.table("design.csv")
        kept = case.out("filterByExpr")["design"].astype(bool)
        for matrix in (X, sp.csr_matrix(X.to_numpy())):
            ours = LowExpressionFilter().fit(matrix, design=design.to_numpy()).support_
            np.testing.assert_array_equal(ours, kept)
        obs = case.table("obs.csv").drop(columns="condition", errors="ignore").astype(str)
        group = case.table("group.csv").iloc[:, 0].astype(str).to_numpy()
        keys = ["type"] if "type" in obs else []
        adata = ad.AnnData(X, obs=obs)
        by_name = LowExpressionFilter(design=["y", *keys]).fit(adata, group)
        np.testing.assert_array_equal(by_name.support_, kept)

    @pytest.mark.parametrize("case", ["edger_pasilla", "edger_pickrell"])
    def test_keeps_the_genes_of_edger_for_effective_library_sizes(self, gold, case):
        case = gold(case)
        X = case.table("X.csv.gz").astype(float)
        kept = case.out("filterByExpr")["dge_group_tmm"].astype(bool)
        group = case.table("group.csv").iloc[:, 0].astype(str).to_numpy()
        sizes = X.sum(axis=1).to_numpy() * TMMNormalizer().fit(X).norm_factors_
        named = X.set_index(pd.Index(sizes, name="effective_size"), append=True)
        fits = [
            LowExpressionFilter("y").fit(X.to_numpy(), group, library_size=sizes),
            LowExpressionFilter("y", library_size="effective_size").fit(named, group),
        ]
        for model in fits:
            np.testing.assert_array_equal(model.support_, kept)

    def test_every_column_of_edger_is_tested(self, gold):
        """Those of the options above, a design, and effective library sizes."""
        known = {
            "nogroup",
            "group",
            "mincount5",
            "mintotal50",
            "largeN2",
            "mincount20",
            "minprop.9",
        }
        known |= {"design", "dge_group_tmm"}
        for case in ("edger_pasilla", "edger_pickrell"):
            assert set(gold(case).out("filterByExpr").columns) <= known

    def test_a_condition_wins_over_a_design(self):
        X = np.random.default_rng(0).poisson(50, (6, 8)).astype(float)
        obs = pd.DataFrame({"a": list("xxyyyy"), "b": list("xxxyyy")}, index=list("uvwxyz"))
        adata = ad.AnnData(X, obs=obs)
        assert LowExpressionFilter("a", design=["b"]).fit(adata).min_samples_ == 2
        assert LowExpressionFilter(design=["b"]).fit(adata).min_samples_ == pytest.approx(3)
        both = LowExpressionFilter(design=["a", "b"]).fit(adata).min_samples_
        assert both == pytest.approx(1)

    def test_bad_designs_and_library_sizes(self):
        X = np.full((4, 3), 50.0)
        frame = pd.DataFrame(X).set_index(pd.Index(list("aabb"), name="site"), append=True)
        with pytest.raises(ValueError, match=r"one row a sample: got shape \(3, 2\) for 4 samples"):
            LowExpressionFilter().fit(X, design=np.ones((3, 2)))
        with pytest.raises(ValueError, match=r"Got both design=\['site'\] and design= in fit"):
            LowExpressionFilter(design=["site"]).fit(frame, design=np.ones((4, 1)))
        with pytest.raises(ValueError, match=r"must be a sequence of names, got 'site' alone"):
            LowExpressionFilter(design="site").fit(frame)
        with pytest.raises(ValueError, match=r"design=\['y'\]\) requires y to be passed"):
            LowExpressionFilter(design=["y"]).fit(frame)
        with pytest.raises(ValueError, match=r"positive for every sample; it is not for 1 of 4"):
            LowExpressionFilter().fit(X, library_size=[1.0, 2.0, 0.0, 3.0])
        with pytest.raises(ValueError, match=r"'size' was asked for, but ndarray carries no annot"):
            LowExpressionFilter(library_size="size").fit(X)

    def test_fit_transform_passes_what_stands_beside_an_array(self):
        X = np.array([[9.0, 90.0], [9.0, 90.0], [0.0, 90.0]])
        sizes = [50.0, 50.0, 200.0]
        out = LowExpressionFilter().fit_transform(X, library_size=sizes, design=[[1], [1], [0]])
        np.testing.assert_array_equal(
            out,
            LowExpressionFilter().fit(X, library_size=sizes, design=[[1], [1], [0]]).transform(X),
        )

    def test_a_gene_of_one_class_needs_the_condition(self):
        """Why `condition` is explicit: without it the rule drops what marks a small class."""
        rng = np.random.default_rng(0)
        X = rng.poisson(100, (12, 30)).astype(float)
        y = np.array(["tumour"] * 4 + ["normal"] * 8)
        X[y == "normal", 0] = 0
        assert not LowExpressionFilter().fit(X, y).get_support()[0]
        assert LowExpressionFilter(condition="y").fit(X, y).get_support()[0]

    def test_condition_by_annotation(self):
        rng = np.random.default_rng(0)
        obs = pd.DataFrame({"state": ["a", "b", "b", "b"]}, index=list("wxyz"))
        adata = ad.AnnData(rng.poisson(50, (4, 6)).astype(float), obs=obs)
        assert LowExpressionFilter(condition="state").fit(adata).min_samples_ == 1

    def test_counts_in_a_layer(self):
        counts = np.random.default_rng(0).poisson(20, (5, 40)).astype(float)
        adata = ad.AnnData(np.log2(counts + 1), layers={"counts": counts})
        model = LowExpressionFilter(layer="counts").fit(adata)
        np.testing.assert_array_equal(
            model.get_support(), LowExpressionFilter().fit(counts).get_support()
        )
        out = model.transform(adata)
        np.testing.assert_array_equal(out.layers["counts"], counts[:, model.get_support()])
        with pytest.raises(
            ValueError, match=r"There is no layer 'raw'.*its layers are \['counts'\]"
        ):
            LowExpressionFilter(layer="raw").fit(adata)

    def test_bad_conditions(self):
        X = np.full((4, 3), 50.0)
        with pytest.raises(ValueError, match=r'condition="y"\) requires y to be passed'):
            LowExpressionFilter(condition="y").fit(X)
        with pytest.raises(ValueError, match=r"must name groups of samples, got continuous values"):
            LowExpressionFilter(condition="y").fit(X, [0.1, 0.2, 0.3, 0.4])
        with pytest.raises(ValueError, match=r"y has 2 labels for 4 samples"):
            LowExpressionFilter(condition="y").fit(X, ["a", "b"])
        with pytest.raises(
            ValueError, match=r"'state' was asked for, but ndarray carries no annot"
        ):
            LowExpressionFilter(condition="state").fit(X)

    def test_nothing_kept_warns(self):
        X = np.array([[1.0, 0.0], [0.0, 1.0]])
        with pytest.warns(SelectionWarning, match="LowExpressionFilter keeps none of 2 genes"):
            model = LowExpressionFilter().fit(X)
        assert model.transform(X).shape == (2, 0)
        np.testing.assert_array_equal(model.inverse_transform(model.transform(X)), np.zeros((2, 2)))


class TestVariance:
    @given(arrays(np.float64, (6, 9), elements=st.integers(0, 3)), st.integers(1, 9))
    def test_sparse_dense_and_shifted_choose_the_same(self, X, k):
        """Ties fall to the first gene, whatever the order in which sums were rounded."""
        dense = VarianceFilter(n_genes=k).fit(X).get_support()
        assert dense.sum() == k
        np.testing.assert_array_equal(
            VarianceFilter(n_genes=k).fit(sp.csr_matrix(X)).get_support(), dense
        )
        np.testing.assert_array_equal(VarianceFilter(n_genes=k).fit(X + 0.1).get_support(), dense)

    @pytest.mark.parametrize(
        ("method", "by_hand"),
        [
            ("variance", lambda X: X.var(axis=0, ddof=1)),
            ("mad", lambda X: np.median(np.abs(X - np.median(X, axis=0)), axis=0)),
            ("iqr", lambda X: np.subtract(*np.quantile(X, [0.75, 0.25], axis=0))),
            ("dispersion", lambda X: X.var(axis=0, ddof=1) / X.mean(axis=0)),
        ],
    )
    def test_scores(self, method, by_hand):
        X = np.random.default_rng(0).gamma(2.0, 3.0, (15, 40))
        scores = VarianceFilter(method=method).fit(X).scores_
        np.testing.assert_allclose(scores, by_hand(X), rtol=1e-12)

    def test_keeps_the_genes_of_genefilter(self, gold, relative_error):
        """Those above the median of their variances; interquartile ranges as R's IQR."""
        case = gold("genefilter_ALL")
        X, theirs = case.table("X.csv.gz"), case.out("filters")
        scores = VarianceFilter(method="iqr").fit(X).scores_
        assert relative_error(scores, theirs["iqr_type7"]) < 1e-10
        variances = VarianceFilter().fit(X).scores_
        for share in (0.5, 0.8):
            model = VarianceFilter(threshold=np.quantile(variances, share)).fit(X)
            kept = theirs[f"varFilter_var_{share}"].astype(bool)
            np.testing.assert_array_equal(model.support_, kept)

    def test_constant_genes_are_those_whose_extremes_agree(self):
        """Seven copies of 8.3 have a computed variance of 2e-14."""
        X = np.column_stack([np.full(7, 8.3), np.arange(7.0), np.full(7, 0.1) * 3])
        for matrix in (X, sp.csr_matrix(X)):
            model = VarianceFilter().fit(matrix)
            assert model.get_support().tolist() == [False, True, False]
            assert model.scores_[0] == model.scores_[2] == 0.0

    def test_missing_values_are_left_out(self):
        X = np.array([[1.0, np.nan], [3.0, np.nan], [np.nan, np.nan], [5.0, np.nan]])
        for method in ("variance", "mad", "iqr"):
            scores = VarianceFilter(method=method).fit(X).scores_
            kept = VarianceFilter(method=method).fit(X[[0, 1, 3], :1]).scores_
            assert scores[0] == kept[0]
        assert VarianceFilter(n_genes=1).fit(X).get_support().tolist() == [True, False]

    def test_more_genes_than_there_are_keeps_all(self):
        X = np.random.default_rng(0).normal(size=(5, 3))
        assert VarianceFilter(n_genes=100).fit(X).get_support().all()

    def test_errors(self):
        X = np.random.default_rng(0).normal(size=(5, 3))
        with pytest.raises(
            ValueError, match=r"method must be one of 'variance', 'mad', 'iqr', 'disp"
        ):
            VarianceFilter(method="range").fit(X)
        with pytest.raises(ValueError, match="n_genes must be a whole number at least 1; got 0"):
            VarianceFilter(n_genes=0).fit(X)
        with pytest.raises(
            ValueError, match=r'Negative values .*VarianceFilter\(method="dispersion"'
        ):
            VarianceFilter(method="dispersion").fit(X)
        with pytest.raises(ValueError, match=r"Found array with 1 sample\(s\)"):
            VarianceFilter().fit(X[:1])
        with pytest.warns(SelectionWarning, match="VarianceFilter keeps none of 3 genes"):
            VarianceFilter().fit(np.ones((4, 3)))

    def test_selected_genes_go_back_to_their_places(self):
        X = pd.DataFrame([[1.0, 5.0, 2.0], [1.0, 9.0, 4.0]], columns=list("ABC"))
        model = VarianceFilter(n_genes=2).fit(X)
        back = model.inverse_transform(model.transform(X))
        assert list(back.columns) == list("ABC")
        np.testing.assert_array_equal(back, [[0, 5, 2], [0, 9, 4]])
        sparse = model.inverse_transform(sp.csr_matrix(model.transform(X).to_numpy()))
        np.testing.assert_array_equal(sparse.toarray(), back)
        with pytest.raises(ValueError, match="expecting the 2 features that transform gives"):
            model.inverse_transform(X)
        with pytest.raises(ValueError, match="in their order; got 'A' in other places"):
            model.inverse_transform(X[["B", "A"]])
