"""Our own contract: every public estimator, in every container, over its whole life."""

import copy
import pickle

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from cases import (
    DISK,
    MEMORY,
    carries,
    cohort,
    dense,
    expects_counts,
    for_contract,
    for_kind,
    put,
    takes,
)
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.utils import get_tags

from geneexpr import GeneAligner, ToArray, load_model, save_model

CASES = for_contract()
pytestmark = [  # a small cohort, and values of any scale
    pytest.mark.filterwarnings("ignore::geneexpr.ScaleWarning"),
    pytest.mark.filterwarnings("ignore::geneexpr.TrendWarning"),
    pytest.mark.filterwarnings("ignore::geneexpr.OutOfDistributionWarning"),
]


def estimators(having=None, lacking=None):
    """Parametrise a test by all estimators, or by those that have or lack a method."""
    cases = [(i, e) for i, e in CASES if having is None or hasattr(e, having)]
    cases = [(i, e) for i, e in cases if lacking is None or not hasattr(e, lacking)]
    return pytest.mark.parametrize("estimator", [e for _, e in cases], ids=[i for i, _ in cases])


def with_kinds(kinds, having=None):
    """Parametrise a test by estimators, and by the kinds of container that each can take."""
    pairs = [
        pytest.param(estimator, kind, id=f"{kind}-{name}")
        for name, estimator in CASES
        for kind in kinds
        if (having is None or hasattr(estimator, having))
        and carries(estimator, kind)
        and takes(estimator, kind)
    ]
    return pytest.mark.parametrize(("estimator", "kind"), pairs)


every, transformers = estimators(), estimators(having="transform")


def data(estimator):
    X, obs, var, y = cohort(counts=expects_counts(estimator))
    return X, obs, var, (y == "case").astype(float) if is_regressor(estimator) else y


def apply(estimator, X, **labels):
    """Transform; or give probabilities, scores or numbers where there is no transform."""
    for method in ("transform", "predict_proba", "score_samples"):
        if hasattr(estimator, method):
            return getattr(estimator, method)(X, **labels)
    return estimator.predict(X)


def for_container(estimator, kind, var, obs):
    """Return the estimator, and the labels to pass, for a container of this kind."""
    lengths = getattr(estimator, "gene_lengths", None)
    if lengths == "length" and not kind.startswith("anndata"):
        series = var["length"] if kind == "frame" else var["length"].to_numpy()
        estimator = clone(estimator).set_params(gene_lengths=series)
    return for_kind(estimator, kind, obs)


def fitted(estimator, X, y, **labels):
    return clone(estimator).fit(X, y, **labels)


def multiplies_matrices(estimator):
    """Whether what it gives comes out of matrix products: networks, and distances in components."""
    return hasattr(estimator, "max_epochs") or hasattr(estimator, "score_samples")


def tolerance(estimator):
    """Networks and projections multiply matrices, whose sums BLAS orders by shape."""
    return 1e-9 if multiplies_matrices(estimator) else 1e-12


@pytest.fixture
def annotated_cohort():
    """The cohort of an estimator as AnnData, and its target."""

    def make(estimator, kind="anndata", folder=None):
        X, obs, var, y = data(estimator)
        return put(kind, X, obs, var, folder), y

    return make


# ------------------------------------------------------------------ containers


@with_kinds(MEMORY)
def test_every_container_in_memory_gives_what_the_annotated_one_gives(estimator, kind):
    X, obs, var, y = data(estimator)
    expected = dense(
        apply(fitted(estimator, put("anndata", X, obs, var), y), put("anndata", X, obs, var))
    )
    bare, labels = for_container(estimator, kind, var, obs)
    container = put(kind, X, obs, var)
    model = bare.fit(container, y, **labels)
    out = apply(model, container, **(labels if hasattr(model, "transform") else {}))
    np.testing.assert_allclose(dense(out), expected, rtol=1e-10, atol=1e-10)


@with_kinds(DISK)
def test_every_container_on_disk_gives_what_memory_gives(estimator, kind, tmp_path):
    X, obs, var, y = data(estimator)
    memory, stored = put("anndata", X, obs, var), put(kind, X, obs, var, tmp_path)
    model = fitted(estimator, memory, y)
    expected = dense(apply(model, memory))
    np.testing.assert_allclose(dense(apply(model, stored)), expected, rtol=1e-10, atol=1e-10)
    if not hasattr(estimator, "max_epochs"):  # networks see the rows in another order
        out = apply(fitted(estimator, stored, y), stored)
        np.testing.assert_allclose(dense(out), expected, rtol=1e-10, atol=1e-10)


@with_kinds(MEMORY, having="transform")
def test_what_comes_in_goes_out(estimator, kind):
    X, obs, var, y = data(estimator)
    bare, labels = for_container(estimator, kind, var, obs)
    container = put(kind, X, obs, var)
    out = bare.fit_transform(container, y, **labels)
    if isinstance(estimator, ToArray):
        assert isinstance(out, np.ndarray) or sp.issparse(out)
    elif kind == "frame":
        assert isinstance(out, pd.DataFrame)
        pd.testing.assert_index_equal(out.index, container.index)
    elif kind.startswith("anndata"):
        assert isinstance(out, ad.AnnData)
        pd.testing.assert_frame_equal(out.obs, container.obs)
        assert list(out.var_names) == list(bare.get_feature_names_out())
    elif kind == "array" or not sp.issparse(out):
        assert isinstance(out, np.ndarray)
    else:
        assert out.format == "csr"
        assert isinstance(out, sp.sparray) == isinstance(container, sp.sparray)


@transformers
def test_on_disk_comes_out_lazy(estimator, tmp_path, annotated_cohort):
    stored, y = annotated_cohort(estimator, "zarr", tmp_path)
    out = clone(estimator).fit(stored, y).transform(stored)
    if isinstance(estimator, ToArray):
        assert isinstance(out, np.ndarray)
    else:
        assert type(out.X).__module__.startswith("dask.array")
        assert out.X.numblocks[1] == 1, "a block holds whole rows"


# ------------------------------------------------------------------ honesty


@with_kinds(["anndata", "anndata_csr", "frame"])
def test_row_independence(estimator, kind):
    """A row's output is the same alone, in any subset, and with all others."""
    X, obs, var, y = data(estimator)
    estimator, labels = for_container(estimator, kind, var, obs)
    container = put(kind, X, obs, var)
    model = fitted(estimator, container, y, **labels)
    rows_of = container.iloc if kind == "frame" else container
    whole = dense(apply(model, container))
    rng = np.random.default_rng(0)
    for rows in ([5], [20, 3], list(rng.permutation(len(whole))[:11])):
        part = dense(apply(model, rows_of[rows]))
        if multiplies_matrices(estimator):
            np.testing.assert_allclose(part, whole[rows], rtol=1e-9, atol=1e-12)
        else:
            np.testing.assert_array_equal(part, whole[rows])


@transformers
def test_fit_transform_is_fit_then_transform(estimator, annotated_cohort):
    X, y = annotated_cohort(estimator)
    one, model = clone(estimator).fit_transform(X, y), fitted(estimator, X, y)
    np.testing.assert_array_equal(dense(one), dense(model.transform(X)))


@with_kinds(["array", "csr_matrix", "frame", "anndata", "anndata_csr"])
def test_the_input_is_not_changed(estimator, kind):
    X, obs, var, y = data(estimator)
    bare, labels = for_container(estimator, kind, var, obs)
    container = put(kind, X, obs, var)
    before = copy.deepcopy(container)
    out = apply(
        bare.fit(container, y, **labels),
        container,
        **(labels if hasattr(bare, "transform") else {}),
    )
    np.testing.assert_array_equal(dense(container), dense(before))
    if kind.startswith("anndata"):
        pd.testing.assert_frame_equal(container.obs, before.obs)
        pd.testing.assert_frame_equal(container.var, before.var)
        assert dict(container.uns) == dict(before.uns)
        if isinstance(out, ad.AnnData):
            out.obs["batch"] = "changed"
            assert (container.obs["batch"] != "changed").all()


# ------------------------------------------------------------------ genes


def reversed_genes(estimator, kind):
    """Return a model, the container that it was fitted on, and that in another gene order."""
    X, obs, var, y = data(estimator)
    estimator, labels = for_container(estimator, kind, var, obs)
    container = put(kind, X, obs, var)
    shuffled = container.iloc[:, ::-1] if kind == "frame" else container[:, ::-1]
    return fitted(estimator, container, y, **labels), container, shuffled


@pytest.mark.parametrize(
    "estimator",
    [e for _, e in CASES if not get_tags(e).no_validation],
    ids=[i for i, e in CASES if not get_tags(e).no_validation],
)
@pytest.mark.parametrize("kind", ["frame", "anndata"])
def test_other_gene_order_raises_and_names_the_aligner(estimator, kind):
    model, _, shuffled = reversed_genes(estimator, kind)
    with pytest.raises(ValueError, match=r"same order as they were in fit.*\n?.*GeneAligner"):
        apply(model, shuffled)


@pytest.mark.parametrize("kind", ["frame", "anndata"])
def test_the_aligner_takes_any_gene_order(kind):
    model, container, shuffled = reversed_genes(GeneAligner(), kind)
    np.testing.assert_array_equal(
        dense(model.transform(shuffled)), dense(model.transform(container))
    )


@every
def test_a_transposed_matrix_is_named_as_such(estimator):
    X, obs, var, y = data(estimator)
    container = put("anndata", X, obs, var)
    model = fitted(estimator, container, y)
    flipped = ad.AnnData(X[: var.shape[0]].T[:, :5].copy())
    flipped.obs_names = var.index
    with pytest.raises(ValueError, match="transpose"):
        apply(model, flipped)


@every
def test_duplicate_genes_raise(estimator, annotated_cohort):
    X, y = annotated_cohort(estimator)
    X.var_names = ["g0", "g0", *X.var_names[2:]]
    with pytest.raises(ValueError, match="Gene names must be unique, got 'g0' more than once"):
        clone(estimator).fit(X, y)


@transformers
def test_integer_names_are_names(estimator):
    """Entrez identifiers are names as any: matched with the same names as text."""
    X, obs, var, y = data(estimator)
    var.index = [str(7000 + i) for i in range(len(var))]
    if getattr(estimator, "gene_lengths", None) == "length":
        estimator = clone(estimator).set_params(gene_lengths=var["length"])
    text = put("frame", X, obs, var)
    numbers = text.set_axis(text.columns.astype(int), axis=1)
    model = fitted(estimator, numbers, y)
    np.testing.assert_array_equal(dense(model.transform(text)), dense(model.transform(numbers)))


@transformers
def test_names_out_fit_the_columns(estimator, annotated_cohort):
    X, y = annotated_cohort(estimator)
    model = fitted(estimator, X, y)
    names = model.get_feature_names_out()
    assert names.dtype == object
    assert dense(model.transform(X)).shape[1] == len(names)


@estimators(having="inverse_transform")
def test_inverse_transform_gives_the_genes_back(estimator, annotated_cohort):
    X, y = annotated_cohort(estimator)
    model = fitted(estimator, X, y)
    back = model.inverse_transform(model.transform(X))
    assert dense(back).shape == X.shape
    if isinstance(back, ad.AnnData):
        assert list(back.var_names) == list(X.var_names)


# ------------------------------------------------------------------ life


@every
def test_slice_twice(estimator, annotated_cohort):
    X, y = annotated_cohort(estimator)
    rows = np.flatnonzero(np.arange(36) % 5)
    twice = X[np.arange(36)][rows]
    model = fitted(estimator, twice, y[rows])
    np.testing.assert_array_equal(dense(apply(model, twice)), dense(apply(model, X[rows].copy())))


@every
@pytest.mark.parametrize("how", ["pickle", "deepcopy", "file"])
def test_a_copy_gives_the_same(estimator, how, annotated_cohort, tmp_path):
    X, y = annotated_cohort(estimator)
    model = fitted(estimator, X, y)
    if how == "file":
        save_model(model, tmp_path / "model.skops")
        again = load_model(tmp_path / "model.skops")
    else:
        again = pickle.loads(pickle.dumps(model)) if how == "pickle" else copy.deepcopy(model)
    np.testing.assert_array_equal(dense(apply(again, X)), dense(apply(model, X)))


@every
def test_a_model_holds_no_sample_names(estimator, annotated_cohort):
    X, y = annotated_cohort(estimator)
    X.obs_names = [f"patient-{i}" for i in range(X.n_obs)]
    assert b"patient-" not in pickle.dumps(fitted(estimator, X, y))


@every
def test_fitting_twice_forgets_the_first(estimator, annotated_cohort):
    X, y = annotated_cohort(estimator)
    half = X[:, :20]
    again = clone(estimator).fit(half, y).fit(X, y)
    np.testing.assert_array_equal(dense(apply(again, X)), dense(apply(fitted(estimator, X, y), X)))


@every
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_arithmetic_follows_the_dtype(estimator, dtype):
    X, obs, var, _ = cohort(counts=True)
    y = data(estimator)[3]
    if not expects_counts(estimator):
        X = np.round(np.log2(X + 1)) if dtype == np.int64 else np.log2(X + 1)
    adata = ad.AnnData(X.astype(dtype), obs=obs, var=var)
    model = fitted(estimator, adata, y)
    out = dense(apply(model, adata))
    kept = get_tags(estimator).transformer_tags if hasattr(estimator, "transform") else None
    if kept is not None and "float32" in kept.preserves_dtype:
        assert out.dtype == (np.float32 if dtype == np.float32 else np.float64)


@transformers
def test_set_output_pandas_carries_the_annotations(estimator, annotated_cohort):
    X, y = annotated_cohort(estimator)
    plain = dense(clone(estimator).fit_transform(X, y))
    out = clone(estimator).set_output(transform="pandas").fit_transform(X, y)
    assert isinstance(out, pd.DataFrame)
    assert list(out.index.names) == ["sample", "batch", "age"]
    np.testing.assert_array_equal(out.to_numpy(), plain)


@with_kinds(["anndata_csr"], having="transform")
def test_set_output_pandas_gives_a_frame_or_on_csr_scikit_learns_error(
    estimator, kind, annotated_cohort
):
    X, y = annotated_cohort(estimator, kind)
    out = clone(estimator).fit_transform(X, y)
    framed = clone(estimator).set_output(transform="pandas")
    if sp.issparse(getattr(out, "X", out)):
        with pytest.raises(ValueError, match="The transformer outputs a scipy sparse matrix"):
            framed.fit_transform(X, y)
    else:
        assert isinstance(framed.fit_transform(X, y), pd.DataFrame)


@estimators(lacking="fit_predict")  # a detector of outliers predicts no target
def test_nested_search_over_annotated_data_with_two_workers(estimator, annotated_cohort):
    """Annotations survive two levels of slicing and the way to other processes."""
    from sklearn.dummy import DummyClassifier

    X, y = annotated_cohort(estimator)
    steps = (
        [clone(estimator)]
        if is_classifier(estimator) or is_regressor(estimator)
        else [clone(estimator), ToArray(), DummyClassifier()]
    )
    cv = StratifiedKFold(2)  # in the order of the rows, so that every fold has every batch
    scoring = "r2" if is_regressor(estimator) else "roc_auc"
    search = GridSearchCV(
        make_pipeline(*steps), {}, cv=cv, scoring=scoring, n_jobs=2, error_score="raise"
    )
    predicted = cross_val_predict(search, X, y, cv=cv)
    assert np.isfinite(predicted).all() if is_regressor(estimator) else set(predicted) <= set(y)
