"""Fitting the model of a card anew: the same data agree, whatever differs is named."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from test_model_card import card_of, cohort, pipeline

from geneexpr import TPMNormalizer, UntrustedCardError, load_card, model_card, reproduce
from geneexpr.evaluation._model_card import ModelCard, seal_of


def data():
    X = cohort()
    return X, X.obs["condition"].to_numpy()


def test_the_same_data_agree_from_the_file(tmp_path):
    X, y = data()
    path = card_of(group_key="donor").save(tmp_path)
    found = reproduce(path, X, y)
    assert found.reproduced
    assert found.differences == found.notes == ()
    assert str(found) == repr(found) == "Reproduced: 18 of 18 numbers agree."
    assert found.numbers["agrees"].all()
    assert found.numbers["difference"].max() == 0
    assert (found.versions["recorded"] == found.versions["now"]).all()
    assert found.pipeline.score(X, y) > 0.9


def test_other_order_other_names_another_container():
    X, y = data()
    card = card_of()
    order = np.random.default_rng(0).permutation(len(y))
    other = X[order].copy()
    other.obs_names = [f"renamed{i}" for i in range(len(y))]
    other.X = sp.csr_matrix(other.X)
    assert reproduce(card, other, y[order]).reproduced


def test_changed_values_labels_and_annotations_are_named():
    X, y = data()
    card = card_of()
    values = X.copy()
    values.X[3, 5] += 50
    found = reproduce(card, values, y)
    assert not found.reproduced
    assert found.differences[0] == "The values of X are not those of the card."
    assert "numbers differ by more than 1e-06, most " in found.differences[-1]
    assert str(found).startswith("Not reproduced: ")

    labels = y.copy()
    labels[np.flatnonzero(y == "class1")[:3]] = "class2"
    assert reproduce(card, X, labels).differences[0] == (
        "The outcome y is not that of the card. Recorded: 40 class1, 40 class2; "
        "given: 37 class1, 43 class2."
    )
    batches = X.copy()
    batches.obs["batch"] = batches.obs["batch"].to_numpy()[::-1]
    batches.var["length"] += 1
    del batches.obs["library_size"]
    assert reproduce(card, batches, y).differences[:3] == (
        "The samples lack the annotation 'library_size' of the card.",
        "The samples have other values of the annotation 'batch'.",
        "The genes have other values of the annotation 'length'.",
    )


def test_other_genes_and_sizes_are_named():
    X, y = data()
    card = card_of()
    assert reproduce(card, X[:, ::-1].copy(), y).differences[0] == (
        "The genes are the same but in another order: bring them into the order of the card's data."
    )
    fewer = reproduce(card, X[:, :50].copy(), y).differences
    assert fewer[0] == (
        "The card is of 80 samples and 60 genes, the data given have 80 samples and 50 genes."
    )
    assert fewer[1] == "The genes have other names."


def test_other_versions_are_a_note():
    card = card_of()
    record = card.record | {"versions": card.record["versions"] | {"numpy": "1.0"}}
    found = reproduce(ModelCard(record | {"sha256": seal_of(record)}), *data())
    assert found.reproduced
    (note,) = found.notes
    assert note.startswith("The card was written with numpy 1.0 (now ")


def test_other_numbers_are_told():
    card = card_of()
    scores = {"AUC": [0.5, None], "balanced accuracy": card.record["check"]["scores"]["AUC"]}
    record = card.record | {"check": card.record["check"] | {"scores": scores}}
    found = reproduce(ModelCard(record), *data())
    assert list(found.numbers.index[~found.numbers["agrees"]])[:2] == ["AUC, fold 1", "AUC, fold 2"]
    assert not found.reproduced


def test_a_search_a_regressor_and_an_array():
    X = np.random.default_rng(0).normal(size=(60, 5))
    y = 2 * X[:, 0] + X[:, 1]
    search = GridSearchCV(Ridge(), {"alpha": np.array([0.1, 10])}, cv=2)
    card = model_card(search, X=X, y=y, n_splits=3)
    assert reproduce(card, X, y).reproduced
    frame = pd.DataFrame(X)
    assert reproduce(card, frame, y).reproduced


class Halved(TransformerMixin, BaseEstimator):
    def __init__(self, by=2):
        self.by = by

    def fit(self, X, y=None):
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X):
        return X / self.by


def test_steps_of_ones_own_are_passed():
    X = np.random.default_rng(0).normal(size=(40, 3))
    y = (X[:, 0] > 0).astype(int)
    own = make_pipeline(Halved(), LogisticRegression())
    card = model_card(own, X=X, y=y, n_splits=2)
    assert any("halved is recorded by name only" in text for text in card.not_tested)
    with pytest.raises(UntrustedCardError, match=r"Halved, which is not among the public"):
        reproduce(card, X, y)
    assert reproduce(card, X, y, pipeline=own).reproduced
    other = make_pipeline(Halved(by=4), LogisticRegression(C=1e-3))
    found = reproduce(card, X, y, pipeline=other)
    assert found.differences[0] == (
        "The pipeline is not that of the card: 'halved.by', 'logisticregression.C' differ."
    )
    assert not found.reproduced


def test_large_parameters_are_passed():
    X, y = data()
    lengths = pd.Series(np.tile([1.0, 2.0, 3.0], 40), index=[f"gene{i:05d}" for i in range(1, 121)])
    steps = pipeline().steps[1:]
    model = make_pipeline(TPMNormalizer(gene_lengths=lengths), *(step for _, step in steps))
    card = model_card(model, X=X, y=y, n_splits=2)
    with pytest.raises(ValueError, match=r"tpmnormalizer|only a summary was recorded"):
        reproduce(card, X, y)
    assert reproduce(card, X, y, pipeline=model).reproduced


def test_errors():
    X, y = data()
    with pytest.raises(ValueError, match="The card holds no numbers to compare with"):
        reproduce(card_of(n_splits=None), X, y)
    card = card_of()
    with pytest.raises(ValueError, match="tolerance must be a number at least 0; got -1"):
        reproduce(card, X, y, tolerance=-1)
    with pytest.raises(ValueError, match="y has 3 labels for 80 samples"):
        reproduce(card, X, y[:3])
    fitted = pipeline().fit(X, y)
    with pytest.raises(ValueError, match=r"The fitted pipeline predicts the classes 'class1', "):
        model_card(fitted, X=X, y=np.where(y == "class1", "a", "b"))


def test_a_sealed_card_that_names_code_runs_nothing(tmp_path):
    card = card_of()
    evil = {"kind": "object", "class": "os.system", "public": True, "params": {}, "changed": []}
    record = card.record | {"pipeline": evil}
    path = ModelCard(record | {"sha256": seal_of(record)}).save(tmp_path)
    assert load_card(path).record["pipeline"] == evil
    with pytest.raises(UntrustedCardError, match=r"pipeline is to be a os\.system, which is not"):
        reproduce(path, *data())
