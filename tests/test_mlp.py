"""The multi-layer perceptron as a classifier."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from geneexpr import TorchMLPClassifier

GENES = [f"g{i}" for i in range(40)]


def model(**options):
    options = {"hidden_layers": (16,), "max_epochs": 20, "lr": 0.01, "random_state": 0} | options
    return TorchMLPClassifier(options.pop("hidden_layers"), **options)


@pytest.fixture(params=[2, 3], ids=["binary", "multi-class"])
def data(request):
    rng = np.random.default_rng(0)
    codes = rng.integers(0, request.param, 150)
    X = rng.normal(size=(150, len(GENES)))
    X[np.arange(150), codes] += 4
    return X, codes


# ------------------------------------------------------------------ labels and outputs


@pytest.mark.parametrize(
    "label",
    [
        np.array(["b", "a", "c"]),
        np.array(["b", "a", "c"], dtype=object),
        np.array([7, -1, 3]),
        np.array([2.0, 1.0, 5.0]),
        pd.Categorical(["x", "y", "z"], categories=["z", "y", "x"]),
    ],
    ids=["str", "object", "int", "float", "categorical"],
)
def test_labels_of_any_type_come_back(label, data):
    X, codes = data
    y = label[codes]
    fitted = model().fit(X, y)
    predicted = fitted.predict(X)
    assert set(predicted) <= set(np.asarray(y))
    assert (predicted == np.asarray(y)).mean() > 0.9
    np.testing.assert_array_equal(fitted.classes_, np.unique(np.asarray(y)))


def test_booleans_come_back():
    X = np.random.default_rng(0).normal(size=(60, 4))
    predicted = model().fit(X, X[:, 0] > 0).predict(X)
    assert predicted.dtype == bool


def test_scores_probabilities_and_labels_agree(data):
    X, codes = data
    fitted = model().fit(X, codes)
    scores, chances = fitted.decision_function(X), fitted.predict_proba(X)
    assert chances.shape == (150, codes.max() + 1)
    np.testing.assert_allclose(chances.sum(1), 1)
    np.testing.assert_array_equal(chances.argmax(1), fitted.predict(X))
    if codes.max() == 1:
        assert scores.shape == (150,)
        np.testing.assert_allclose(chances[:, 1], 1 / (1 + np.exp(-scores)))
    else:
        np.testing.assert_allclose(
            chances, np.exp(scores) / np.exp(scores).sum(1, keepdims=True), rtol=1e-10
        )


def test_without_hidden_layers_it_finds_what_logistic_regression_finds(data):
    X, codes = data
    X = X[:, :3] + np.random.default_rng(1).normal(size=(150, 3)) * 2
    options = {"dropout": 0, "weight_decay": 0, "max_epochs": 2000, "batch_size": 150}
    ours = model(hidden_layers=(), lr=0.05, **options).fit(X, codes)
    theirs = LogisticRegression(C=np.inf, max_iter=5000, tol=1e-10).fit(X, codes)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-3)


# ------------------------------------------------------------------ containers


def containers(X):
    names = [f"s{i}" for i in range(len(X))]
    frame = pd.DataFrame(X, names, GENES)
    return {
        "csr_matrix": sp.csr_matrix(X),
        "csr_array": sp.csr_array(X),
        "csc_matrix": sp.csc_matrix(X),
        "fortran": np.asfortranarray(X),
        "frame": frame,
        "anndata": ad.AnnData(frame),
        "anndata_csr": ad.AnnData(sp.csr_matrix(X), var=pd.DataFrame(index=GENES)),
    }


@pytest.mark.parametrize("kind", list(containers(np.zeros((1, 40)))))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_container_gives_the_same_network(kind, dtype, data):
    X, codes = data
    X = np.where(X > 0.5, X, 0).astype(dtype)
    expected = model().fit(X, codes).predict_proba(X)
    container = containers(X)[kind]
    found = model().fit(container, codes).predict_proba(container)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, expected)


def test_data_on_disk_are_learned_in_blocks(tmp_path, data):
    import dask.array as da

    X, codes = data
    genes = pd.DataFrame(index=GENES)
    lazy = ad.AnnData(da.from_array(X, chunks=(40, 15)), var=genes)
    fitted = model(early_stopping=True).fit(lazy, codes)
    assert fitted.score(lazy, codes) > 0.9
    again = model(early_stopping=True).fit(lazy, codes)
    np.testing.assert_array_equal(fitted.predict_proba(lazy), again.predict_proba(lazy))
    in_memory = fitted.predict_proba(ad.AnnData(X, var=genes))
    np.testing.assert_allclose(fitted.predict_proba(lazy), in_memory)


@pytest.mark.parametrize("kind", ["array", "csr_matrix"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_row_gives_the_same_alone_and_among_others(kind, dtype, data):
    X, codes = data
    X = np.tile(X, (1, 50)).astype(dtype)
    container = X if kind == "array" else sp.csr_matrix(X)
    fitted = model().fit(container, codes)
    whole = fitted.decision_function(container)
    alone = np.concatenate([fitted.decision_function(container[[i]]) for i in range(150)])
    part = fitted.decision_function(container[[5, 3, 99]])
    (w1, _, w2, _) = (p.detach().numpy() for p in fitted.net_.module_.parameters())
    bound = np.linalg.norm(X, axis=1).max() * np.linalg.norm(w1) * np.linalg.norm(w2)
    bound *= 2 * 8 * np.finfo(dtype).eps
    np.testing.assert_allclose(alone, whole, rtol=0, atol=bound)
    np.testing.assert_allclose(part, whole[[5, 3, 99]], rtol=0, atol=bound)


def test_only_a_mini_batch_of_sparse_data_is_ever_dense(monkeypatch, data):
    X, codes = data
    dense_rows = []
    original = sp.csr_matrix.toarray

    def toarray(self, *args, **kwargs):
        dense_rows.append(self.shape[0])
        return original(self, *args, **kwargs)

    monkeypatch.setattr(sp.csr_matrix, "toarray", toarray)
    model(batch_size=10, max_epochs=1, early_stopping=True).fit(sp.csr_matrix(X), codes)
    assert 8 <= max(dense_rows) <= 10


@pytest.mark.parametrize("data", [3], indirect=True)
def test_in_a_grid_with_two_workers(data):
    X, codes = data
    pipe = make_pipeline(StandardScaler(), model(callbacks=None))
    grid = {"torchmlpclassifier__hidden_layers": [(), (8,)]}
    search = GridSearchCV(pipe, grid, cv=3, n_jobs=2, error_score="raise").fit(X, codes)
    assert search.best_score_ > 0.8
    assert search.predict(X).shape == (150,)


def test_prediction_changes_no_state(data):
    X, codes = data
    fitted = model().fit(X, codes)
    before = {name: id(value) for name, value in vars(fitted).items()}
    fitted.predict_proba(X)
    assert before == {name: id(value) for name, value in vars(fitted).items()}
    assert not fitted.net_.module_.training


# ------------------------------------------------------------------ weights


def test_weights_count_like_repeated_rows(data):
    X, codes = data
    weight = np.random.default_rng(0).integers(0, 3, 150)
    rows = np.repeat(np.arange(150), weight)
    options = {"dropout": 0, "batch_size": 500}
    weighted = model(**options).fit(X, codes, sample_weight=weight)
    repeated = model(**options).fit(X[rows], codes[rows])
    np.testing.assert_allclose(
        weighted.predict_proba(X), repeated.predict_proba(X), rtol=1e-7, atol=1e-9
    )


def test_class_weight_is_a_weight_of_each_sample(data):
    X, codes = data
    by_class = model(class_weight={c: c + 1.0 for c in np.unique(codes)}).fit(X, codes)
    one_each = model(class_weight=dict.fromkeys(np.unique(codes), 1.0))  # starts at the odds too
    by_sample = one_each.fit(X, codes, sample_weight=codes + 1.0)
    np.testing.assert_array_equal(by_class.predict_proba(X), by_sample.predict_proba(X))


def test_balanced_classes_raise_the_recall_of_the_rare_one():
    rng = np.random.default_rng(0)
    y = (rng.random(400) < 0.05).astype(int)
    X = rng.normal(size=(400, 3)) + y[:, None] * 0.8
    plain, balanced = (model(class_weight=w).fit(X, y) for w in (None, "balanced"))
    assert balanced.predict(X)[y == 1].mean() > plain.predict(X)[y == 1].mean() + 0.3


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (np.ones(3), r"one weight a sample: got shape \(3,\) for 150 samples"),
        (np.full(150, -1.0), "sample_weight must not be negative; got -1."),
        (np.zeros(150), "sample_weight is zero for all samples."),
    ],
)
def test_bad_weights_are_named(weight, message, data):
    with pytest.raises(ValueError, match=message):
        model().fit(*data, sample_weight=weight)


# ------------------------------------------------------------------ partial fit and errors


def test_partial_fit_learns_batch_by_batch(data):
    X, codes = data
    fitted = model(lr=0.01)
    for _ in range(15):
        for rows in np.array_split(np.arange(150), 3):
            fitted.partial_fit(X[rows], codes[rows], classes=np.unique(codes))
    assert fitted.score(X, codes) > 0.9
    assert fitted.n_epochs_ == 45


def test_partial_fit_wants_all_classes_at_first(data):
    X, codes = data
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        model().partial_fit(X, codes)
    fitted = model().partial_fit(X[:1], codes[:1], classes=np.unique(codes))
    with pytest.raises(ValueError, match="classes are not the same as on the first call"):
        fitted.partial_fit(X, codes, classes=[0, 99])
    with pytest.raises(ValueError, match=r"labels that are not among the classes 0, 1.*: 99"):
        fitted.partial_fit(X, np.full(150, 99))


def test_warm_start_wants_the_same_classes(data):
    X, codes = data
    fitted = model(warm_start=True).fit(X, codes)
    with pytest.raises(ValueError, match=r"goes on with the classes of the first fit \(0, 1"):
        fitted.fit(X, codes + 1)


def test_one_class_is_refused(data):
    X, _ = data
    with pytest.raises(ValueError, match="needs samples of at least 2 classes; got 1 class: 'a'"):
        model().fit(X, np.full(150, "a"))


def test_other_genes_are_refused(data):
    X, codes = data
    frame = pd.DataFrame(X, columns=GENES)
    fitted = model().fit(frame, codes)
    with pytest.raises(ValueError, match="GeneAligner"):
        fitted.predict(frame[GENES[::-1]])


def test_missing_values_are_refused(data):
    X, codes = data
    X[3, 4] = np.nan
    with pytest.raises(ValueError, match="Input X contains NaN"):
        model().fit(X, codes)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU is present")
def test_a_gpu_learns_what_the_cpu_learns(data):
    import pickle

    X, codes = data
    X = X.astype(np.float32)
    on_gpu = model(device="cuda").fit(X, codes)
    assert on_gpu.device_ == "cuda"
    on_cpu = model(device="cpu").fit(X, codes)
    assert on_gpu.score(X, codes) == pytest.approx(on_cpu.score(X, codes), abs=0.05)
    np.testing.assert_allclose(
        pickle.loads(pickle.dumps(on_gpu)).predict_proba(X), on_gpu.predict_proba(X), rtol=1e-5
    )


def test_a_weighted_fit_starts_at_the_odds_of_its_classes():
    X, y = np.zeros((12, 3)), np.repeat([0, 1], [9, 3])
    model = TorchMLPClassifier(
        class_weight={0: 1.0, 1: 6.0}, max_epochs=1, lr=1e-12, random_state=0
    )
    # Without genes, dropout and training only the offset is left: 18 to 9.
    assert model.set_params(hidden_layers=()).fit(X, y).predict_proba(X)[0, 1] == pytest.approx(
        2 / 3
    )


# ------------------------------------------------------------------ genes on other scales


@pytest.mark.parametrize(("shift", "spread"), [(8.0, 1.0), (0.0, 40.0), (1e4, 30.0)])
def test_genes_on_another_scale_are_learned_from_as_well(shift, spread, data):
    X, y = data
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    usual, other = model().fit(X, y), model().fit(X * spread + shift, y)
    assert not usual.architecture_["centered"]
    assert other.architecture_["centered"]
    np.testing.assert_allclose(
        other.predict_proba(X * spread + shift), usual.predict_proba(X), atol=1e-3
    )


def test_training_goes_on_with_the_center_of_the_first_samples(data):
    X, y = data[0] + 20, data[1]
    going = model().partial_fit(X[:100], y[:100], classes=np.unique(y))
    center = going.net_.module_.center.clone()
    going.partial_fit(X[100:] + 5, y[100:])
    np.testing.assert_array_equal(going.net_.module_.center, center)
    np.testing.assert_allclose(center, X[:100].mean(axis=0), atol=1e-3)
