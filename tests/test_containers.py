"""The verbs of the containers: container by verb, and the errors that they raise."""

import copy

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from cases import DISK, MEMORY, cohort, dense, put
from hypothesis import given
from hypothesis import strategies as st

from geneexpr import CPMNormalizer, GeneExpressionWarning
from geneexpr import _blocks as blocks
from geneexpr import _containers as containers
from geneexpr import _validation as validation

NAMED = [
    kind for kind in (*MEMORY, *DISK) if kind in ("frame", "anndata", "anndata_csr") or kind in DISK
]


@pytest.fixture
def held(tmp_path):
    X, obs, var, _ = cohort()
    return lambda kind: (put(kind, X, obs, var, tmp_path), X, obs, var)


@pytest.mark.parametrize("kind", [*MEMORY, *DISK])
class TestVerbs:
    def test_values(self, held, kind):
        container, X, _, _ = held(kind)
        matrix = containers.values(container)
        assert matrix.shape == X.shape
        assert isinstance(matrix, containers.DiskRows) == (kind in DISK)
        np.testing.assert_array_equal(dense(blocks.in_memory(matrix)), X)

    def test_values_of_a_view_of_a_view(self, held, kind):
        container, X, _, _ = held(kind)
        if kind == "h5ad":
            return  # one level of slicing, no more; the next test says what it raises
        rows = container.iloc if kind == "frame" else container
        once = rows[np.arange(0, 36, 2)]
        twice = (once.iloc if kind == "frame" else once)[[4, 1, 7]]
        np.testing.assert_array_equal(
            dense(blocks.in_memory(containers.values(twice))), X[[8, 2, 14]]
        )

    def test_fold_sees_every_row_once(self, held, kind):
        container, X, _, _ = held(kind)
        weights = np.arange(len(X), dtype=float)
        total = blocks.fold(
            containers.values(container),
            lambda block, w: np.asarray(block.sum(axis=1)).ravel() @ w,
            np.add,
            weights,
        )
        assert np.isclose(total, X.sum(axis=1) @ weights, rtol=1e-12)

    def test_map_rows(self, held, kind):
        container, X, _, _ = held(kind)
        out = blocks.map_rows(
            containers.values(container),
            lambda block, w: (
                block.multiply(w[:, None]).tocsr() if sp.issparse(block) else block * w[:, None]
            ),
            np.arange(len(X), dtype=float),
        )
        np.testing.assert_array_equal(dense(out), X * np.arange(len(X))[:, None])

    def test_gene_blocks_hold_all_rows(self, held, kind):
        container, X, _, _ = held(kind)
        found = list(blocks.gene_blocks(containers.values(container), n_bytes=36 * 8 * 5))
        assert len(found) == 5
        np.testing.assert_array_equal(np.hstack([block for _, block in found]), X)

    def test_names_and_annotations(self, held, kind):
        container, _, obs, var = held(kind)
        if kind not in NAMED:
            assert containers.gene_names(container) is None
            assert containers.sample_names(container) is None
            with pytest.raises(ValueError, match=r"'batch' was asked for, but .* carries no annot"):
                containers.annotation(container, "batch")
            return
        assert list(containers.gene_names(container)) == list(var.index)
        assert list(containers.sample_names(container)) == list(obs.index)
        np.testing.assert_array_equal(containers.annotation(container, "batch"), obs["batch"])
        np.testing.assert_array_equal(containers.annotation(container, "age"), obs["age"])
        if kind != "frame":
            np.testing.assert_array_equal(
                containers.gene_annotation(container, "length"), var["length"]
            )

    def test_like_puts_any_matrix_back(self, held, kind):
        container, X, _, var = held(kind)
        fresh = containers.like(container, X * 2)
        np.testing.assert_array_equal(dense(fresh), X * 2)
        some = np.zeros(X.shape[1], dtype=bool)
        some[[1, 5]] = True
        fewer = containers.like(container, X[:, some], take=some)
        new = containers.like(container, X[:, :3], genes=["p", "q", "r"])
        if kind in NAMED:
            assert type(fewer) is (pd.DataFrame if kind == "frame" else ad.AnnData)
            assert list(containers.gene_names(fewer)) == list(var.index[some])
            assert list(containers.gene_names(new)) == ["p", "q", "r"]
        np.testing.assert_array_equal(dense(fewer), X[:, some])


def rich():
    X, obs, var, _ = cohort()
    adata = ad.AnnData(X, obs=obs, var=var, layers={"counts": X + 1})
    adata.obsm["pca"], adata.varm["loadings"] = X[:, :2].copy(), X.T[:, :2].copy()
    adata.obsp["near"] = sp.identity(len(X), format="csr")
    adata.uns["study"] = {"name": "one"}
    adata.raw = adata
    return adata


class TestAnnData:
    def test_what_is_kept_and_what_is_dropped(self):
        adata, some = rich(), np.arange(24) % 2 == 0
        before = copy.deepcopy(adata)
        same = containers.like(adata, adata.X)
        fewer = containers.like(adata, adata.X[:, some], take=some)
        new = containers.like(adata, adata.X[:, :2], genes=["p", "q"])
        for out in (same, fewer, new):
            pd.testing.assert_frame_equal(out.obs, adata.obs)
            assert out.uns == {"study": {"name": "one"}}
            assert "pca" in out.obsm
            assert "near" in out.obsp
            assert out.raw is None
            out.uns["study"]["name"] = "changed"
            out.obs["age"] = 0
        np.testing.assert_array_equal(same.layers["counts"], adata.layers["counts"])
        np.testing.assert_array_equal(fewer.layers["counts"], adata.layers["counts"][:, some])
        np.testing.assert_array_equal(fewer.varm["loadings"], adata.varm["loadings"][some])
        assert list(fewer.var["length"]) == list(adata.var["length"][some])
        assert not new.layers
        assert not new.varm
        assert new.var.shape == (2, 0)
        pd.testing.assert_frame_equal(adata.obs, before.obs)
        assert adata.uns == before.uns

    def test_genes_that_are_not_there_have_no_annotation(self):
        adata = rich()
        out = containers.like(
            adata, adata.X[:, :3], take=np.array([2, -1, 0]), genes=["a", "b", "c"]
        )
        assert out.var["length"].isna().tolist() == [False, True, False]
        assert out.var["length"].iloc[0] == adata.var["length"].iloc[2]
        assert not out.layers

    def test_no_x(self):
        with pytest.raises(
            ValueError, match="This AnnData holds no X; give it one, or name a layer"
        ):
            CPMNormalizer().fit(
                ad.AnnData(obs=pd.DataFrame(index=["a"]), var=pd.DataFrame(index=["g"]))
            )

    def test_hdf5_takes_one_level_of_slicing(self, tmp_path):
        X, obs, var, _ = cohort()
        once = put("h5ad", X, obs, var, tmp_path)[[8, 2, 14]]
        model = CPMNormalizer().fit(once)
        np.testing.assert_array_equal(
            dense(model.transform(once)), CPMNormalizer().fit_transform(X[[8, 2, 14]])
        )
        with pytest.raises(ValueError, match="you cannot make a view of a view"):
            once[[0]]


class TestDataFrame:
    def test_text_columns_are_named(self):
        frame = pd.DataFrame({"g1": [1.0, 2.0], "sex": ["f", "m"]})
        with pytest.raises(
            ValueError,
            match=r"All columns must be genes with numeric values, got text in 'sex'\. Annotations of "
            r"samples belong in the row index: df\.set_index\('sex', append=True\)",
        ):
            CPMNormalizer().fit(frame)

    def test_nullable_and_sparse_dtypes(self):
        whole = CPMNormalizer().fit_transform(pd.DataFrame({"a": [1, 2], "b": [3, 2]}))
        nullable = pd.DataFrame({"a": [1, 2], "b": [3, 2]}, dtype="Int64")
        np.testing.assert_array_equal(CPMNormalizer().fit_transform(nullable), whole)
        sparse = pd.DataFrame({"a": [1.0, 2], "b": [3.0, 2]}).astype(pd.SparseDtype(float, 0))
        np.testing.assert_array_equal(CPMNormalizer().fit_transform(sparse), whole)

    def test_a_label_among_the_genes(self):
        frame = pd.DataFrame({"g1": [1.0, 2.0], "site": [1, 2]}, index=["s1", "s2"])
        with pytest.raises(
            ValueError, match=r"'site' is a column of the DataFrame, where all columns"
        ):
            containers.annotation(frame, "site")
        with pytest.raises(
            ValueError, match=r"There is no annotation 'lab': the row index has no named"
        ):
            containers.annotation(frame, "lab")

    def test_names(self):
        with pytest.raises(
            ValueError, match="Genes must have one name each, got columns with 2 levels"
        ):
            CPMNormalizer().fit(
                pd.DataFrame([[1.0]], columns=pd.MultiIndex.from_tuples([("a", "b")]))
            )
        with pytest.raises(
            TypeError, match="Feature names are only supported if all input features"
        ):
            CPMNormalizer().fit(pd.DataFrame([[1.0, 2.0]], columns=["a", 7]))
        unnamed = CPMNormalizer().fit(pd.DataFrame([[1.0, 2.0]]))
        assert not hasattr(unnamed, "feature_names_in_")


class TestLabels:
    def test_missing_labels_name_the_samples(self):
        obs = pd.DataFrame({"site": ["a", None, "b", None]}, index=list("wxyz"))
        adata = ad.AnnData(np.ones((4, 2)), obs=obs)
        with pytest.raises(ValueError, match="'site' is missing for 2 of 4 samples: 'x', 'z'"):
            containers.annotation(adata, "site")
        with pytest.raises(ValueError, match="There is no annotation 'lab' in obs; obs has 'site'"):
            containers.annotation(adata, "lab")

    def test_labels_beside_an_array(self):
        X = np.ones((3, 2))
        assert validation.labels_of(X, None) is None
        np.testing.assert_array_equal(
            validation.labels_of(X, None, ["a", "b", "a"]), ["a", "b", "a"]
        )
        with pytest.raises(ValueError, match=r"one label a sample: got shape \(2,\) for 3 samples"):
            validation.labels_of(X, None, ["a", "b"])
        with pytest.raises(ValueError, match="batch is missing for 1 of 3 samples: row 1"):
            validation.labels_of(X, None, ["a", None, "b"])

    def test_a_series_is_never_aligned_silently(self):
        frame = pd.DataFrame(np.ones((2, 1)), index=["s1", "s2"], columns=["g"])
        series = pd.Series(["a", "b"], index=["s2", "s1"])
        with pytest.raises(ValueError, match="labels are never aligned silently"):
            validation.labels_of(frame, None, series)
        adata = ad.AnnData(np.ones((2, 1)), obs=pd.DataFrame({"site": ["a", "b"]}, ["s1", "s2"]))
        with pytest.raises(ValueError, match="Got both batch_key='site' and batch="):
            validation.labels_of(adata, "site", ["a", "b"])


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(1, 40))
def test_blocks_follow_the_chunks_of_dask(chunks, most):
    """However the store is cut, blocks are whole rows, in order, and no taller than asked."""
    import dask.array as da

    n = sum(chunks)
    X = np.arange(n * 3, dtype=float).reshape(n, 3)
    rows = containers.values(da.from_array(X, chunks=(tuple(chunks), 2)))
    found = list(blocks.row_blocks(rows))
    assert [start for start, _, _ in found] == [0, *np.cumsum(chunks)[:-1]]
    np.testing.assert_array_equal(np.vstack([block for _, _, block in found]), X)
    assert blocks.block_rows(3, n_bytes=most * 24) == most


def test_the_warnings_are_one_family():
    family = [
        v for v in vars(validation).values() if isinstance(v, type) and issubclass(v, Warning)
    ]
    assert len(family) >= 5
    assert all(issubclass(w, GeneExpressionWarning) for w in family)


def test_name_some():
    assert containers.name_some(["a", "b"]) == "'a', 'b'"
    assert containers.name_some(range(9), 2) == "0, 1 and 7 more"
