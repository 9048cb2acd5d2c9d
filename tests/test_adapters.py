"""GeneAligner, OnMatrix and ToArray: genes by name, annotations kept, nothing merged."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.decomposition import PCA
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from geneexpr import CPMNormalizer, GeneAligner, OnMatrix, ToArray, VarianceFilter
from geneexpr.adapters._gene_aligner import strip_version

TRAIN = [
    "ENSG00000141510.18",
    "ENSG00000136997.21",
    "ENSG00000002586.20",
    "ENSG00000002586.20_PAR_Y",
]


def frame(genes, rows=2):
    values = np.arange(rows * len(genes), dtype=float).reshape(rows, -1)
    return pd.DataFrame(values, columns=list(genes), index=[f"s{i}" for i in range(rows)])


class TestGeneAligner:
    def test_by_name_in_order_whatever_the_version(self):
        new = frame(
            [
                "X",
                "ENSG00000002586",
                "ENSG00000002586_PAR_Y",
                "ENSG00000136997.1",
                "ENSG00000141510",
            ]
        )
        model = GeneAligner().fit(frame(TRAIN))
        out = model.transform(new)
        assert list(out.columns) == TRAIN
        np.testing.assert_array_equal(out, [[4, 3, 1, 2], [9, 8, 6, 7]])

    def test_the_two_copies_of_a_par_gene_stay_apart(self):
        assert strip_version("ENSG00000002586.20_PAR_Y") == "ENSG00000002586_PAR_Y"
        assert strip_version("ENSMUSG00000017167.17") == "ENSMUSG00000017167"
        assert strip_version("NM_000546.6") == "NM_000546"
        for symbol in ("AC012345.1", "RP11-34P13.7", "HLA-A", "Nkx2.1"):
            assert strip_version(symbol) == symbol

    def test_two_genes_are_never_merged_silently(self):
        twice = frame(["ENSG00000141510.1", "ENSG00000141510.2"])
        message = (
            r"1 genes would be merged silently: 'ENSG00000141510\.1', 'ENSG00000141510\.2' are all "
            r"'ENSG00000141510' to GeneAligner"
        )
        with pytest.raises(ValueError, match=message):
            GeneAligner().fit(twice)
        assert list(GeneAligner(strip_version=False).fit(twice).genes_) == list(twice.columns)
        with pytest.raises(ValueError, match="would be merged silently: 'OLD', 'NEW'"):
            GeneAligner(gene_map={"OLD": "NEW"}).fit(frame(["OLD", "NEW"]))

    def test_missing_genes(self):
        train, new = frame("ABCDEFGHIJ"), frame("BACDEFGHJ")
        with pytest.raises(ValueError, match=r"1 of the 10 genes seen in fit are missing: 'I'"):
            GeneAligner().fit(train).transform(new)
        zero = GeneAligner("zero").fit(train).transform(new)
        assert list(zero.columns) == list("ABCDEFGHIJ")
        np.testing.assert_array_equal(zero["I"], 0)
        np.testing.assert_array_equal(zero["A"], new["A"])
        mean = GeneAligner("mean").fit(train).transform(new)
        np.testing.assert_array_equal(mean["I"], train["I"].mean())

    def test_zero_is_for_counts_only(self):
        model = GeneAligner("zero").fit(frame("ABCDEFGHIJ"))
        for bad in (np.log1p(frame("BACDEFGHJ")), frame("BACDEFGHJ") - 3):
            with pytest.raises(ValueError, match=r'missing="zero" is for counts only'):
                model.transform(bad)

    def test_sparse(self):
        train = ad.AnnData(
            sp.csr_matrix(frame("ABCDE").to_numpy()), var=pd.DataFrame(index=list("ABCDE"))
        )
        model = GeneAligner("zero", min_overlap=0.5).fit(train)
        out = model.transform(train[:, ["E", "A", "C"]])
        assert sp.issparse(out.X)
        np.testing.assert_array_equal(out.X.toarray(), [[0, 0, 2, 0, 4], [5, 0, 7, 0, 9]])
        mean = GeneAligner("mean", min_overlap=0.5).fit(train).transform(train[:, ["E", "A", "C"]])
        np.testing.assert_array_equal(mean.X[:, 1], [3.5, 3.5])

    def test_too_little_overlap_shows_both_sides(self):
        with pytest.raises(
            ValueError,
            match=r"Only 0 of the 3 genes seen in fit are there \(0\.0%; min_overlap=0\.8\)\. Seen "
            r"in fit: 'A', 'B', 'C'; here: '7157', '4609'",
        ):
            GeneAligner("zero").fit(frame("ABC")).transform(frame(["7157", "4609"]))

    def test_gene_key_and_map(self):
        var = pd.DataFrame({"symbol": ["TP53", "MLL"], "length": [1.0, 2.0]}, index=["e1", "e2"])
        adata = ad.AnnData(np.array([[1.0, 2.0]]), var=var)
        model = GeneAligner(gene_key="symbol", gene_map={"MLL": "KMT2A"}).fit(adata)
        assert list(model.get_feature_names_out()) == ["TP53", "KMT2A"]
        out = model.transform(adata[:, ::-1])
        assert list(out.var_names) == ["TP53", "KMT2A"]
        np.testing.assert_array_equal(out.var["length"], [1, 2])
        np.testing.assert_array_equal(out.X, [[1, 2]])
        var["symbol"] = ["TP53", None]
        with pytest.raises(ValueError, match=r"var\['symbol'\] is missing for 1 genes: 'e2'"):
            GeneAligner(gene_key="symbol").fit(ad.AnnData(np.array([[1.0, 2.0]]), var=var))

    def test_report_changes_nothing(self):
        model = GeneAligner().fit(frame(TRAIN[:2]))
        before = set(vars(model))
        report = model.report(frame(["ENSG00000141510", "EXTRA"]))
        assert report.matched == [TRAIN[0]]
        assert report.missing == [TRAIN[1]]
        assert report.extra == ["EXTRA"]
        assert report.renamed == {"ENSG00000141510": TRAIN[0]}
        assert report.overlap == 0.5
        assert str(report).startswith("1 of 2 genes matched (50.0%), 1 of them under another name")
        assert set(vars(model)) == before
        with pytest.raises(
            ValueError, match=r"Genes are compared by name: GeneAligner\.report needs"
        ):
            model.report(np.ones((1, 2)))

    def test_options(self):
        with pytest.raises(ValueError, match="missing must be one of 'raise', 'zero', 'mean'"):
            GeneAligner("drop").fit(frame("AB"))
        with pytest.raises(
            TypeError, match="gene_map must be a mapping from names to names, got list"
        ):
            GeneAligner(gene_map=["A"]).fit(frame("AB"))

    def test_first_in_a_pipeline(self):
        """A new patient's file with other genes in another order goes through."""
        rng = np.random.default_rng(0)
        train = pd.DataFrame(rng.poisson(30, (20, 12)) * 1.0, columns=[f"g{i}" for i in range(12)])
        y = np.tile(["a", "b"], 10)
        model = make_pipeline(
            GeneAligner(),
            CPMNormalizer(),
            VarianceFilter(n_genes=5),
            LogisticRegression(max_iter=10_000),
        ).fit(train, y)
        new = train.iloc[[3], ::-1].assign(extra=9.0)
        np.testing.assert_allclose(
            model.predict_proba(new), model.predict_proba(train)[[3]], rtol=1e-9
        )


class TestOnMatrix:
    obs = pd.DataFrame({"site": list("aabb")}, index=list("wxyz"))
    X = np.random.default_rng(0).normal(size=(4, 3))

    def adata(self):
        return ad.AnnData(
            self.X, obs=self.obs, var=pd.DataFrame({"length": [1, 2, 3]}, list("ABC"))
        )

    def test_genes_that_stay_keep_their_annotations(self):
        scaled = OnMatrix(StandardScaler()).fit_transform(self.adata())
        assert list(scaled.obs["site"]) == list("aabb")
        assert list(scaled.var["length"]) == [1, 2, 3]
        chosen = OnMatrix(SelectKBest(k=2)).fit_transform(self.adata(), list("ppqq"))
        assert set(chosen.var_names) < set("ABC")
        assert list(chosen.var["length"]) == [{"A": 1, "B": 2, "C": 3}[g] for g in chosen.var_names]

    def test_new_columns_replace_the_genes(self):
        out = OnMatrix(PCA(2)).fit_transform(self.adata())
        assert list(out.var_names) == ["pca0", "pca1"]
        assert out.var.shape == (2, 0)
        back = OnMatrix(PCA(2)).fit(self.adata()).inverse_transform(out)
        assert list(back.var_names) == list("ABC")

    def test_on_disk_a_partial_fit_is_a_fold(self):
        import dask.array as da

        lazy = self.adata()
        lazy.X = da.from_array(self.X, chunks=(3, 2))
        model, whole = OnMatrix(StandardScaler()).fit(lazy), StandardScaler().fit(self.X)
        np.testing.assert_allclose(model.transformer_.mean_, whole.mean_, rtol=1e-12)
        np.testing.assert_allclose(
            model.transform(lazy).X.compute(), whole.transform(self.X), rtol=1e-9
        )

    def test_the_transformer_is_cloned_and_refusals_are_its_own(self):
        inner = StandardScaler()
        OnMatrix(inner).fit(self.adata())
        assert not hasattr(inner, "mean_")
        with pytest.raises(
            TypeError, match="Sparse data was passed for X, but dense data is required"
        ):
            OnMatrix(StandardScaler()).fit(sp.csr_matrix(self.X))
        with pytest.raises(ValueError, match="Input X contains NaN"):
            OnMatrix(PCA(1)).fit(np.where(self.X > 1, np.nan, self.X))


class TestToArray:
    def test_ends_the_annotated_part(self):
        adata = ad.AnnData(sp.csr_matrix(np.eye(3)), var=pd.DataFrame(index=list("ABC")))
        out = ToArray().fit_transform(adata)
        assert sp.issparse(out)
        assert isinstance(ToArray(dense=True).fit_transform(adata), np.ndarray)
        assert list(ToArray().fit(adata).get_feature_names_out()) == list("ABC")

    def test_a_pipeline_inverts_through_it(self):
        adata = ad.AnnData(np.array([[1.0, 3.0], [2.0, 2.0]]), var=pd.DataFrame(index=list("AB")))
        pipe = make_pipeline(CPMNormalizer(), ToArray()).fit(adata)
        np.testing.assert_allclose(pipe.inverse_transform(pipe.transform(adata)), adata.X)
        with pytest.raises(ValueError, match="expecting the 2 features that transform gives"):
            pipe[-1].inverse_transform(np.ones((1, 3)))
