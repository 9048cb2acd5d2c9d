"""Model cards: what they say, that they name nobody, that they are always the same bytes."""

import copy
import json
import re
from html.parser import HTMLParser
from types import SimpleNamespace

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given
from sklearn.base import BaseEstimator, clone
from sklearn.decomposition import PCA
from sklearn.feature_selection import SelectKBest
from sklearn.gaussian_process.kernels import RBF
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, LeaveOneGroupOut, RepeatedStratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from geneexpr import (
    ComBatCorrector,
    CPMNormalizer,
    LogTransformer,
    SplitBy,
    ToArray,
    UntrustedCardError,
    VarianceFilter,
    explain,
    leakage_audit,
    load_card,
    make_cohort,
    metric_intervals,
    model_card,
    nested_cv,
    subgroup_report,
)
from geneexpr.evaluation._card_data import Identities, canonical_order, row_digests
from geneexpr.evaluation._card_markdown import plain
from geneexpr.evaluation._card_spec import decode, encode
from geneexpr.evaluation._model_card import seal_of


def cohort():
    return make_cohort(
        80, 60, n_batches=2, n_samples_per_donor=2, effect_size=3.0, batch_location=0.3,
        random_state=0,
    )  # fmt: skip


def pipeline():
    return make_pipeline(
        CPMNormalizer(),
        LogTransformer(),
        ComBatCorrector(batch_key="batch", unseen_batch="passthrough"),
        VarianceFilter(n_genes=30),
        ToArray(),
        StandardScaler(),
        LogisticRegression(C=0.1, max_iter=1000),
    )


def card_of(X=None, **options):
    X = cohort() if X is None else X
    y = X.obs["condition"].to_numpy()
    return model_card(pipeline(), X=X, y=y, **({"n_splits": 2} | options))


def texts(card):
    return [card.to_markdown(), card.to_html(), card.to_json()]


# ------------------------------------------------------------------ nobody is named


def test_no_sample_and_no_donor_is_named(tmp_path):
    X = cohort()
    X.obs["barcode"] = [f"TCGA-{i:04d}" for i in range(len(X))]
    y = X.obs["condition"].to_numpy()
    ready = pipeline().set_params(combatcorrector__unseen_batch="estimate")
    audit = leakage_audit(ready, X, y, batch_key="batch", cv=2, n_permutations=1)
    card = card_of(X, leakage=audit, group_key="donor")
    card.save(tmp_path)
    saved = [path.read_text() for path in sorted(tmp_path.iterdir())]
    assert len(saved) == 3
    for text in [*texts(card), repr(card), *saved]:
        for names in (X.obs_names, X.obs["donor"].unique(), X.obs["barcode"]):
            assert not [name for name in names if name in text]
    (donor,) = [a for a in card.record["data"]["annotations"] if a["name"] == "donor"]
    assert donor == {"name": "donor", "kind": "labels", "n_levels": 40, "n_missing": 0}


def test_a_card_that_would_name_somebody_is_refused():
    message = r"The card would name samples: 'sample0003' in sources\. A card holds no identif"
    with pytest.raises(ValueError, match=message):
        card_of(sources=["all but sample0003."])
    with pytest.raises(ValueError, match=r"would name samples: 'donor12' in title"):
        card_of(title="Without donor12")
    frame = pd.DataFrame({"AUC": [1.0]}, index=pd.Index(["donor07"], name="donor"))
    with pytest.raises(ValueError, match=r"'donor07' in performance\.table\.rows"):
        card_of(evaluation=frame)
    with pytest.raises(ValueError, match=r"identifiers names 'site', which X does not carry"):
        card_of(identifiers=["site"])
    with pytest.raises(ValueError, match=r"'batch1' in limits"):
        card_of(limits="batch1 is small", identifiers=["batch"])
    assert "donor12" in card_of(title="Without donor12", identifiers=[]).title


def test_messages_of_reports_hide_names():
    hidden = Identities(cohort()).hide("refused: 'sample0001', sample0002; sample00012 is none")
    assert hidden == "refused: '(sample)', (sample); sample00012 is none"


def test_labels_of_a_frame():
    X = pd.DataFrame(
        np.random.default_rng(0).normal(size=(40, 4)),
        columns=list("abcd"),
        index=pd.MultiIndex.from_arrays(
            [[f"patient {i}" for i in range(40)], np.repeat(["Oslo", "Rome"], 20)],
            names=["who", "lab"],
        ),
    )
    y = np.tile(["x", "z"], 20)
    card = model_card(LogisticRegression(), X=X, y=y, n_splits=2, limits="Oslo and Rome only")
    assert not [text for text in texts(card) if "patient 7" in text]
    assert [a["name"] for a in card.record["data"]["annotations"]] == ["lab"]
    with pytest.raises(ValueError, match=r"would name samples: 'patient 7' in limits"):
        model_card(LogisticRegression(), X=X, y=y, n_splits=None, limits="not patient 7")


# ------------------------------------------------------------------ what it says


def test_steps_parameters_versions_and_seeds():
    card = card_of(seeds={"split": 7}, date="2026-11-22", outcome_key="condition")
    text = card.to_markdown()
    assert "**combatcorrector: geneexpr.ComBatCorrector**" in text
    assert "| batch_key | 'batch' |" in text
    assert "| split | 7 |" in text
    assert "2026-11-22" in text
    assert "| class1 | 40 | 50% |" in text
    assert set(card.record["versions"]) >= {"python", "geneexpr", "numpy", "scikit-learn", "torch"}
    assert ["logisticregression.random_state", None] in card.record["seeds"]


def test_what_was_not_tested_is_listed():
    bare = model_card(pipeline())
    assert "No data were given with this card." in bare.to_markdown()
    assert bare.not_tested[1] == "For whom the model fails (subgroup_report)."
    card = card_of(outcome_key="condition")
    assert "For whom the model fails, by batch." in card.not_tested
    assert not [text for text in card.not_tested if "condition" in text]
    scores = pd.DataFrame({"estimate": [0.9, 0.1]}, index=["roc_auc", "brier"])
    tested = card_of(evaluation=scores, explanation=pd.DataFrame({"gene": ["MYC"]})).not_tested
    assert len(tested) == len(card_of().not_tested) - 3
    unsteady = (
        pipeline().set_params(logisticregression__C=10).fit(cohort(), cohort().obs["condition"])
    )
    unsteady[-1].coef_ = -unsteady[-1].coef_
    X = cohort()
    found = model_card(unsteady, X=X, y=X.obs["condition"], n_splits=2).not_tested
    assert any("its refit on the same data predicts otherwise" in text for text in found)


def test_the_reports_of_the_library_are_taken():
    X = cohort()
    y = X.obs["condition"].to_numpy()
    model = make_pipeline(CPMNormalizer(), LogTransformer(), ToArray(), LogisticRegression())
    nested = nested_cv(model, X, y, outer=2, group_key="donor", progress=False)
    model.set_params(logisticregression__max_iter=1000).fit(X, y)
    report = subgroup_report(model, X, y, by="batch", min_size=41, n_resamples=20)
    explained = explain(model, X)
    card = model_card(
        model, {"nested": nested, "again": metric_intervals(y, model.predict(X), n_resamples=20)},
        X=X, y=y, subgroups=[report], explanation=explained, n_splits=2, outcome_key="condition",
    )  # fmt: skip
    text = card.to_markdown()
    assert "**nested**" in text
    assert "| roc_auc |" in text
    assert "**By batch**" in text
    assert "- batch1: " in text
    assert "- Method: linear" in text
    assert f"| {explained.top_genes(1)['gene'][0]} |" in text
    assert not [said for said in card.not_tested if "by batch" in said or "(explain)" in said]
    frame = pd.DataFrame({"estimate": [0.5], "flag": [""]}, index=["F"])
    plain_report = SimpleNamespace(table=frame, by="sex")
    record = model_card(model, subgroups=plain_report).record["subgroups"][0]
    assert record["tables"] == [["By sex", {"columns": ["", "estimate"], "rows": [["F", 0.5]]}]]
    assert record["flags"] == []


def test_small_classes_are_named():
    X = cohort()
    y = np.where(np.arange(80) < 6, "rare", "common")
    card = model_card(pipeline(), X=X, y=y, n_splits=2)
    assert "The class rare beyond its 6 samples: too few to say much." in card.not_tested


def test_a_regressor():
    X = np.random.default_rng(0).normal(size=(60, 5))
    card = model_card(Ridge(), X=X, y=X[:, 0] * 2.0, n_splits=3)
    assert set(card.record["check"]["scores"]) == {"correlation", "R²"}
    assert "The outcome is a number: mean" in card.to_markdown()


def test_reports_of_other_kinds_are_refused():
    for option, match in {
        "evaluation": "evaluation must be a DataFrame or the result of nested_cv; got int",
        "subgroups": "subgroups must be a DataFrame or the result of subgroup_report; got int",
        "leakage": "leakage must be the result of leakage_audit; got int",
        "explanation": "explanation must be the result of explain, or a DataFrame of genes; got",
    }.items():
        with pytest.raises(TypeError, match=match):
            model_card(pipeline(), **{option: 3})
    with pytest.raises(ValueError, match="X and y belong together"):
        model_card(pipeline(), X=cohort())
    with pytest.raises(ValueError, match="y has 3 labels for 80 samples"):
        model_card(pipeline(), X=cohort(), y=[0, 1, 0])
    with pytest.raises(ValueError, match="n_splits must be a whole number at least 2; got 1"):
        card_of(n_splits=1)


# ------------------------------------------------------------------ form


def test_same_inputs_same_bytes(tmp_path):
    first, second = card_of(), card_of(cohort()[::-1].copy())
    assert first.to_json() == card_of().to_json()
    assert first.to_html() == card_of().to_html()
    assert first.record["data"]["fingerprint"] == second.record["data"]["fingerprint"]
    path = first.save(tmp_path / "new" / "folder")
    assert path.name == "card.json"
    assert path.read_bytes() == first.to_json().encode()


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.open, self.seen = [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_escapes_everything_and_loads_nothing():
    evil = '<script>alert(1)</script> & "quoted" ![x](http://evil) |'
    table = pd.DataFrame({evil: [evil]}, index=[evil])
    card = card_of(title=evil, intended_use=evil, sources=[evil], limits=evil, evaluation={evil: table},
                   explanation=table, seeds={evil: evil}, date=evil)  # fmt: skip
    page = Page(card.to_html())
    tags = {tag for tag, _ in page.seen}
    assert not tags & {"script", "img", "link", "iframe", "a", "object", "b"}
    assert not [attrs for _, attrs in page.seen if {"src", "href", "onload"} & set(attrs)]
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in [
        attrs for tag, attrs in page.seen if tag == "meta"
    ]
    assert "url(" not in card.to_html()
    assert not re.findall(r"(?<!\\)[<>]", card.to_markdown())
    assert not re.findall(r"(?<!\\)\]\(", card.to_markdown())
    lines = [line for line in card.to_markdown().splitlines() if line.startswith("|")]
    assert all(line.endswith(" |") for line in lines)


@given(st.text())
def test_markdown_has_no_markup_of_the_text(text):
    out = plain(text)
    assert "\n" not in out
    assert not re.search(r"(?<!\\)(?:\\\\)*[<>|`*\[\]]", out)


# ------------------------------------------------------------------ files


def test_round_trip(tmp_path):
    card = card_of()
    path = card.save(tmp_path)
    for given_path in (path, tmp_path, str(path)):
        loaded = load_card(given_path)
        assert loaded.record == card.record
        assert texts(loaded) == texts(card)


def test_a_changed_card_is_refused(tmp_path):
    path = card_of().save(tmp_path)
    text = path.read_text()
    path.write_text(text.replace('"n_samples": 80', '"n_samples": 800'))
    with pytest.raises(ValueError, match=r"card\.json was changed after it was written"):
        load_card(path)
    for content, match in {
        "{": "is no model card: it is not JSON",
        "[" * 100_000: "is no model card: it is not JSON",
        '{"a": NaN}': "NaN is no number of JSON",
        "[1]": "is no model card of geneexpr",
        text.replace('"format": 1', '"format": 2'): "has the format 2; this geneexpr reads up to 1",
    }.items():
        path.write_text(content)
        with pytest.raises(ValueError, match=match):
            load_card(path)
    with pytest.raises(FileNotFoundError):
        load_card(tmp_path / "none.json")


def test_the_seal_leaves_itself_out():
    record = copy.deepcopy(card_of(n_splits=None).record)
    assert record["sha256"] == seal_of(record)
    record["title"] = "another"
    assert record["sha256"] != seal_of(record)


# ------------------------------------------------------------------ pipelines as values


class Own(BaseEstimator):
    def __init__(self, func=None):
        self.func = func


PARAMETERS = [
    None, True, 3, 0.1, "text", [1, [2.5]], (1, ("a", None)), {"a": [1], 2: (3,)},
    float("inf"), np.float64(2.5), np.int64(4), np.bool_(True),
]  # fmt: skip


@pytest.mark.parametrize("value", PARAMETERS, ids=repr)
def test_plain_values_come_back(value):
    assert decode(json.loads(json.dumps(encode(value)))) == value


def test_arrays_and_types_come_back():
    array = np.array([[1.5, np.nan], [2, np.inf]], dtype=np.float32)
    back = decode(json.loads(json.dumps(encode(array))))
    assert back.dtype == np.float32
    np.testing.assert_array_equal(back, array)
    assert decode(encode(np.float32)) is np.float32
    assert decode(encode(np.dtype("f8"))) == np.dtype("f8")


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner)
    | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
))  # fmt: skip
def test_any_plain_value_comes_back(value):
    assert decode(json.loads(json.dumps(encode(value), allow_nan=False))) == value


def test_pipelines_come_back():
    search = GridSearchCV(
        make_pipeline(FunctionTransformer(np.log1p), pipeline(), PCA(3), SelectKBest(k=2), Ridge()),
        {"ridge__alpha": np.logspace(-2, 2, 5), "pca": [PCA(2), "passthrough"]},
        cv=SplitBy(LeaveOneGroupOut(), "batch"),
    )
    back = decode(json.loads(json.dumps(encode(search))))
    assert encode(back) == encode(search)
    assert repr(clone(back)) == repr(search)
    splitter = RepeatedStratifiedKFold(n_splits=3, n_repeats=2, random_state=1)
    assert repr(decode(encode(splitter))) == repr(splitter)
    assert decode(encode(RBF(2.0))) == RBF(2.0)


def test_large_parameters_are_summarised():
    lengths = pd.Series(np.arange(200.0), index=[f"g{i}" for i in range(200)])
    for value in (lengths, np.arange(200), list(range(200)), sp.eye(300).tocsr(), pd.Index(["a"])):
        spec = encode(value)
        assert spec["kind"] == "summary"
        assert len(spec["sha256"]) == 64
        assert spec == encode(value)
        with pytest.raises(ValueError, match=r"pipeline\.x cannot be rebuilt from the card"):
            decode(spec, "pipeline.x")
    assert encode(lengths) != encode(lengths + 1)


def test_a_cache_folder_is_left_out():
    spec = encode(make_pipeline(Ridge(), memory="/home/somebody/cache"))
    assert "somebody" not in json.dumps(spec)
    spec["params"]["memory"] = "/tmp/evil"
    assert decode(spec).memory is None


@pytest.mark.parametrize(
    "path",
    ["os.system", "builtins.eval", "subprocess.Popen", "sklearn.utils.Bunch", "geneexpr.os",
     "sklearn.linear_model.os", "sklearn.externals.joblib.Parallel", "geneexpr.load_model",
     "sklearn.pipeline.make_pipeline", "geneexpr.datasets", "", "x"],
)  # fmt: skip
def test_nothing_else_is_built(path):
    spec = {"kind": "object", "class": path, "public": True, "params": {}, "changed": []}
    with pytest.raises(UntrustedCardError, match="not among the public estimators of geneexpr"):
        decode(spec)
    with pytest.raises(UntrustedCardError, match="not among those that a card may name"):
        decode({"kind": "function", "name": path})


def test_damaged_values_are_named():
    spec = encode(Ridge())
    spec["params"]["no_such"] = 1
    with pytest.raises(ValueError, match=r"has no parameter 'no_such' in the installed version"):
        decode(spec)
    with pytest.raises(ValueError, match=r"pipeline\.a is no value .* \(kind 'code'\)"):
        decode({"kind": "code"}, "pipeline.a")
    with pytest.raises(ValueError, match=r"pipeline is damaged: KeyError 'items'"):
        decode({"kind": "tuple"})
    with pytest.raises(ValueError, match="'1e5' is no number"):
        decode({"kind": "number", "value": "1e5"})
    with pytest.raises(UntrustedCardError, match=r"Own, which is not among .* pass pipeline="):
        decode(encode(Own()))
    assert encode(Own(lambda x: x))["params"]["func"] == {
        "kind": "unknown", "type": "builtins.function"
    }  # fmt: skip


# ------------------------------------------------------------------ fingerprints


@given(st.integers(0, 2**32 - 1))
def test_digests_are_the_same_in_every_container(seed):
    rng = np.random.default_rng(seed)
    X = rng.poisson(0.7, (12, 8)).astype(np.float64)
    digests = row_digests(X)
    for other in (sp.csr_matrix(X), sp.csc_array(X), pd.DataFrame(X), X.astype(np.float32)):
        assert row_digests(other) == digests
    order = rng.permutation(12)
    assert row_digests(X[order]) == [digests[i] for i in order]
    y = rng.integers(0, 2, 12)
    first, second = canonical_order(digests, y), canonical_order(row_digests(X[order]), y[order])
    np.testing.assert_array_equal(X[first], X[order][second])
