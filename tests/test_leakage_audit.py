"""The audit: signal, batch and leak are told apart, and every step is looked at."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    LeaveOneGroupOut,
    StratifiedGroupKFold,
    cross_val_score,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from geneexpr import (
    ComBatCorrector,
    LogTransformer,
    SplitBy,
    ToArray,
    TPMNormalizer,
    leakage_audit,
    load_model,
    save_model,
)
from geneexpr.evaluation._rows import permutation_within, reassigned

FAST = {"batch_key": "batch", "cv": 3, "n_permutations": 19}


def cohort(n=120, *, link=0.5, signal=0.0, n_genes=40, seed=0, kind="frame"):
    """Two batches; ``link`` is the share of cases in the second, 1 - link in the first."""
    rng = np.random.default_rng(seed)
    batch = np.repeat([0, 1], n // 2)
    case = np.zeros(n, bool)
    for b, share in ((0, 1 - link), (1, link)):
        rows = np.flatnonzero(batch == b)
        case[rng.permutation(rows)[: round(share * len(rows))]] = True
    X = rng.normal(8, 1, (n, n_genes)) + rng.normal(size=(2, n_genes))[batch]
    X[:, :5] += signal * case[:, None]
    obs = pd.DataFrame(
        {
            "batch": np.array(["a", "b"])[batch],
            "outcome": np.array(["control", "case"])[case.astype(int)],
            "donor": [f"d{i // 2}" for i in range(n)],
        },
        index=[f"s{i}" for i in range(n)],
    )
    y = obs["outcome"].to_numpy()
    genes = [f"g{i}" for i in range(n_genes)]
    if kind == "anndata":
        return ad.AnnData(X, obs=obs, var=pd.DataFrame(index=genes)), y
    index = pd.MultiIndex.from_frame(obs.reset_index(names="sample"))
    return pd.DataFrame(X, index=index, columns=genes), y


def model(*steps):
    return make_pipeline(*steps, ToArray(), LogisticRegression(C=0.01, max_iter=1000))


PROTECTED = ComBatCorrector(batch_key="batch", covariate_keys=["outcome"], allow_outcome=True)


# ------------------------------------------------------------------ what the scores say


def test_clean_data_with_signal_pass():
    audit = leakage_audit(model(), *cohort(signal=2.0), **FAST)
    assert audit.passed
    assert audit.problems == audit.cautions == ()
    score = audit.scores["score"]
    assert score[["pooled", "within batches", "left-out batches"]].min() > 0.9
    assert abs(score["shuffled, pooled"] - 0.5) < 0.05
    assert audit.verdict == (
        f"No sign of leakage. The AUC is {score['pooled']:.2f} pooled, "
        f"{score['within batches']:.2f} within batches, {score['left-out batches']:.2f} on batches "
        f"left out; with labels shuffled within batches it is {score['shuffled, pooled']:.2f}. No "
        "step lets the rows of a known batch act on each other."
    )
    assert str(audit).startswith(audit.verdict)


def test_a_corrected_pipeline_on_clean_data_passes():
    corrector = ComBatCorrector(batch_key="batch", unseen_batch="estimate")
    audit = leakage_audit(model(corrector), *cohort(signal=2.0, kind="anndata"), **FAST)
    assert audit.passed
    assert audit.scores.loc["left-out batches", "score"] > 0.9


def test_a_label_linked_with_the_batch_is_no_signal():
    audit = leakage_audit(model(), *cohort(link=0.85), **FAST)
    score = audit.scores["score"]
    assert score["pooled"] > 0.65
    assert score["within batches"] < 0.65
    assert len(audit.problems) == 1
    assert audit.problems[0].startswith(
        "Where no signal is left (labels shuffled within batches), the pooled AUC still is "
        f"{score['shuffled, pooled']:.2f}: that much comes from classes being spread unevenly"
    )
    assert audit.verdict.startswith("Do not trust the pooled score: one problem found.")
    assert "these data do not show a signal" in audit.cautions[0]


def test_classes_that_chance_spread_unevenly_are_a_note():
    audit = leakage_audit(model(), *cohort(n=60, link=0.6), **FAST)
    assert audit.scores.loc["shuffled, pooled", "score"] > 0.58
    assert audit.passed
    assert audit.cautions[-1].startswith(
        "Classes are spread unevenly over the batches, though no more than chance would spread them"
    )


@pytest.mark.parametrize("kind", ["frame", "anndata"])
def test_a_protected_outcome_is_caught(kind):
    """The measured trap: no signal within batches, and ComBat that protects the outcome."""
    X, y = cohort(link=0.85, kind=kind, n_genes=150)
    plain = leakage_audit(model(ComBatCorrector(batch_key="batch")), X, y, **FAST)
    trap = leakage_audit(model(PROTECTED), X, y, **FAST)
    assert plain.passed
    assert plain.scores.loc["pooled", "score"] < 0.6
    score = trap.scores["score"]
    assert score["pooled"] > plain.scores.loc["pooled", "score"] + 0.1
    assert score["shuffled, pooled"] > 0.6
    assert score["within batches"] < 0.65
    assert len(trap.problems) == 2
    assert "Quote the score within batches" in trap.problems[0]
    assert trap.problems[1].startswith(
        "The step 'combatcorrector' reads the annotation 'outcome', which gives the outcome away, "
        "when it transforms"
    )
    assert trap.steps["reads_outcome"].dropna().to_dict() == {"combatcorrector": "outcome"}


def test_an_outcome_that_only_fit_reads_is_no_leak():
    from geneexpr import LowExpressionFilter

    X, y = cohort(signal=2.0)
    X = 2**X
    audit = leakage_audit(
        model(LowExpressionFilter(condition="outcome"), LogTransformer()), X.round(), y, **FAST
    )
    assert audit.passed
    assert audit.steps["reads_outcome"].isna().all()


def test_a_protected_covariate_that_is_not_the_outcome_is_no_leak():
    X, y = cohort(signal=2.0)
    sex = pd.Index(np.tile(["f", "m"], 60), name="sex")
    X = X.set_index(sex, append=True)
    corrector = ComBatCorrector(batch_key="batch", covariate_keys=["sex"])
    audit = leakage_audit(model(corrector), X, y, **FAST)
    assert audit.passed
    assert audit.steps["reads_outcome"].isna().all()


class Answers(TransformerMixin, BaseEstimator):
    """Write an annotation into the first gene."""

    def fit(self, X, y=None):
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X):
        X = X.copy()
        X[X.columns[0]] = 9.0 * (X.index.get_level_values("outcome") == "case")
        return X


def test_an_answer_among_the_genes_is_caught_by_shuffling():
    audit = leakage_audit(model(Answers()), *cohort(), **FAST)
    assert audit.scores.loc["shuffled, within batches", "score"] > 0.9
    assert any(p.startswith("Even within batches shuffled labels are") for p in audit.problems)


def test_batch_and_outcome_that_are_one():
    X, y = cohort(link=1.0)
    audit = leakage_audit(model(), X, y, **FAST)
    assert np.isnan(audit.scores.loc["within batches", "score"])
    assert audit.problems[0].startswith("No batch holds two classes, so batch and outcome")


def test_a_model_that_does_not_carry_over_is_told():
    X, y = cohort(signal=3.0)
    first = (X.index.get_level_values("batch") == "a") & (y == "case")
    X.loc[first, X.columns[:5]] -= 6.0  # the effect has the other sign in this batch
    audit = leakage_audit(model(StandardScaler().set_output(transform="pandas")), X, y, **FAST)
    assert audit.scores.loc["left-out batches", "score"] < 0.5
    assert audit.batches["left_out"].notna().all()


# ------------------------------------------------------------------ what the steps do


class Centred(TransformerMixin, BaseEstimator):
    """Take the means of whatever rows come off: what a fitted transformer must not do."""

    def __init__(self, honest=False):
        self.honest = honest

    def fit(self, X, y=None):
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X):
        return X - X.mean(axis=0)

    def __sklearn_tags__(self):
        from geneexpr._base import GeneTags

        tags = super().__sklearn_tags__()
        return GeneTags(**{k: getattr(tags, k) for k in _fields(tags)}, couples_rows=self.honest)


def _fields(tags):
    from dataclasses import fields

    return [f.name for f in fields(tags)]


@pytest.mark.parametrize("honest", [True, False])
def test_a_step_that_couples_rows_is_caught(honest):
    X, y = cohort(signal=2.0)
    audit = leakage_audit(model(Centred(honest)), X, y, **FAST)
    assert audit.steps["rows"].to_dict() == {
        "centred": "coupled",
        "toarray": "independent",
        "logisticregression": "independent",
    }
    (problem,) = audit.problems
    assert problem.startswith("The step 'centred' gives a sample another result alone than among")
    assert ("does not declare it (couples_rows)" in problem) is not honest


def test_a_new_batch_that_is_estimated_from_its_rows_is_told():
    corrector = ComBatCorrector(batch_key="batch", unseen_batch="estimate")
    audit = leakage_audit(model(corrector), *cohort(signal=2.0), **FAST)
    step = audit.steps.loc["combatcorrector"]
    assert step["rows"] == "independent"
    assert step["rows_of_new_batch"] == "coupled"
    assert np.isinf(step["difference_new_batch"])
    assert step["declares_rows"] is True
    assert audit.cautions[-1].startswith(
        "The step 'combatcorrector' estimates a new batch from its rows that come together"
    )


def test_a_model_that_refuses_new_batches_is_told():
    audit = leakage_audit(model(ComBatCorrector(batch_key="batch")), *cohort(signal=2.0), **FAST)
    assert np.isnan(audit.scores.loc["left-out batches", "score"])
    assert audit.steps.loc["combatcorrector", "rows_of_new_batch"] == "refused"
    assert audit.steps.loc["toarray", "rows_of_new_batch"] == "not reached"
    (caution,) = audit.cautions
    assert caution.startswith("No score on batches left out for 'a', 'b', since the model refuses")
    assert "Set unseen_batch='estimate'" in caution


class Paired(TransformerMixin, BaseEstimator):
    """A step of somebody's that needs two rows, and fails in its own way on one."""

    def fit(self, X, y=None):
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X):
        if len(X) < 2:
            raise IndexError("row 1")
        return X


def test_a_step_that_fails_on_one_row_is_told():
    audit = leakage_audit(model(Paired()), *cohort(signal=2.0), **FAST)
    assert audit.problems[0].startswith("The step 'paired' cannot process a sample alone, and does")


class KnowsBatches(TransformerMixin, BaseEstimator):
    """Look up what was learned of each batch, as tools do that never thought of a new one."""

    def fit(self, X, y=None):
        self.means_ = X.groupby(level="batch").mean()
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X):
        return X - self.means_.loc[X.index.get_level_values("batch")].to_numpy()


def test_any_error_on_a_new_batch_is_told():
    audit = leakage_audit(model(KnowsBatches()), *cohort(signal=2.0), **FAST)
    assert audit.passed
    assert audit.batches["error"].str.contains("not in index|None of").all()
    assert audit.steps.loc["knowsbatches", "rows_of_new_batch"] == "refused"


class Noisy(TransformerMixin, BaseEstimator):
    def fit(self, X, y=None):
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X):
        return X + np.random.default_rng().normal(scale=0.1, size=X.shape)


def test_a_random_step_is_told():
    audit = leakage_audit(model(Noisy()), *cohort(signal=2.0), **FAST)
    assert audit.steps.loc["noisy", "rows"] == "random"
    assert "gives other results each time" in audit.problems[0]


def test_tags_of_coupled_genes_are_shown():
    X, y = cohort(signal=2.0)
    steps = TPMNormalizer(gene_lengths=None), LogTransformer()
    audit = leakage_audit(model(*steps), (2**X).round(), y, **FAST)
    assert audit.steps.loc["tpmnormalizer", "declares_genes"] is True
    assert audit.steps.loc["logtransformer", "declares_genes"] is False
    assert audit.steps.loc["logisticregression", "declares_genes"] is None


def test_searches_and_nested_pipelines_are_looked_into():
    inner = make_pipeline(Centred(), StandardScaler())
    pipe = make_pipeline(ToArray(), inner, LogisticRegression(max_iter=1000))
    search = GridSearchCV(pipe, {"logisticregression__C": [0.01, 0.1]}, cv=2)
    audit = leakage_audit(search, *cohort(signal=2.0), batch_key="batch", cv=2, n_permutations=2)
    assert list(audit.steps.index) == [
        "toarray",
        "pipeline.centred",
        "pipeline.standardscaler",
        "logisticregression",
    ]
    assert audit.steps.loc["pipeline.centred", "rows"] == "coupled"


# ------------------------------------------------------------------ input


@pytest.mark.parametrize("sparse", [False, True])
def test_arrays_of_any_pipeline(sparse):
    frame, y = cohort(signal=2.0)
    X = sp.csr_matrix(frame.to_numpy()) if sparse else frame.to_numpy()
    batch = frame.index.get_level_values("batch")
    pipe = make_pipeline(StandardScaler(with_mean=False), LinearSVC(C=0.01))
    audit = leakage_audit(pipe, X, y, batch=batch, cv=3, n_permutations=19)
    assert audit.passed
    assert audit.scores.loc["pooled", "score"] > 0.9


def test_several_classes():
    frame, _ = cohort(180)
    y = np.tile(["x", "y", "z"], 60)
    frame.loc[y == "y", frame.columns[:4]] += 3
    frame.loc[y == "z", frame.columns[4:8]] += 3
    audit = leakage_audit(model(), frame, y, **FAST)
    assert audit.passed
    assert audit.scores.loc["within batches", "score"] > 0.9


def test_a_continuous_outcome_is_scored_by_correlation():
    frame, _ = cohort(link=0.5)
    batch = (frame.index.get_level_values("batch") == "b").astype(float)
    rng = np.random.default_rng(0)
    pipe = make_pipeline(StandardScaler(), PCA(5, random_state=0), Ridge())
    linked = leakage_audit(pipe, frame, rng.normal(size=120) + 3 * batch, **FAST)
    assert linked.metric == "correlation"
    assert linked.scores.loc["pooled", "score"] > 0.5
    assert linked.scores.loc["within batches", "score"] < 0.3
    assert "the pooled correlation still is" in linked.problems[0]
    true = frame.iloc[:, 0].to_numpy() - 2 * batch
    honest = leakage_audit(make_pipeline(StandardScaler(), Ridge()), frame, true, **FAST)
    assert honest.scores.loc["within batches", "score"] > 0.8
    whole = leakage_audit(make_pipeline(StandardScaler(), Ridge()), frame, true.round(), **FAST)
    assert whole.metric == "correlation"


def test_the_audit_is_reproducible_and_changes_nothing():
    X, y = cohort(signal=1.0)
    before, pipe = X.copy(), model()
    first, second = (leakage_audit(pipe, X, y, **FAST) for _ in range(2))
    pd.testing.assert_frame_equal(first.permutations, second.permutations)
    pd.testing.assert_frame_equal(X, before)
    assert not hasattr(pipe[-1], "coef_")


def test_donors_stay_together_with_a_splitter():
    X, y = cohort(signal=2.0)
    y = np.repeat(y[::2], 2)
    cv = SplitBy(StratifiedGroupKFold(3, shuffle=True, random_state=0), "donor")
    audit = leakage_audit(model(), X, y, batch_key="batch", cv=cv, n_permutations=2)
    assert "permutations are too few" in audit.cautions[0]


def test_without_permutations_no_signal_is_claimed():
    audit = leakage_audit(model(), *cohort(), batch_key="batch", cv=3, n_permutations=0)
    assert audit.verdict.startswith("No sign of leakage, but no proof of a signal either")
    assert "0 permutations are too few" in audit.cautions[0]
    assert repr(audit) == str(audit)


def test_errors():
    X, y = cohort()
    with pytest.raises(ValueError, match="y has one class only"):
        leakage_audit(model(), X, np.full(120, "case"), **FAST)
    with pytest.raises(ValueError, match="y has 100 labels for 120 samples"):
        leakage_audit(model(), X, y[:100], **FAST)
    with pytest.raises(ValueError, match=r"There is no annotation 'site'"):
        leakage_audit(model(), X, y, batch_key="site")
    with pytest.raises(ValueError, match="The batches are needed"):
        leakage_audit(model(), X, y)
    unknown = y.astype(object)
    unknown[[4, 7]] = None
    with pytest.raises(ValueError, match="y is missing for 2 of 120 samples: row 4, 7"):
        leakage_audit(model(), X, unknown, **FAST)
    rare = np.where(np.arange(120) < 2, "rare", y)
    with pytest.raises(ValueError, match=r"cv=3 folds need .* the smallest has 2\. Use fewer"):
        leakage_audit(model(), X, rare, **FAST)
    with pytest.raises(ValueError, match="multilabel"):
        leakage_audit(model(), X, np.eye(120, dtype=int)[:, :3], **FAST)


def test_warnings_of_corrections_are_told():
    corrector = ComBatCorrector(batch_key="batch", unseen_batch="passthrough")
    audit = leakage_audit(model(corrector), *cohort(signal=2.0), **FAST)
    (caution,) = audit.cautions
    assert caution.startswith("Trained without the batch 'a' and tried on it, the model warns: All")
    assert "60 of 60 rows are of batches that fit has not seen ('a') and stay unc" in caution


def test_other_warnings_are_passed_on():
    weak = make_pipeline(ToArray(), LogisticRegression(C=1e6, max_iter=1))
    with pytest.warns(ConvergenceWarning):
        leakage_audit(weak, *cohort(), batch_key="batch", cv=2, n_permutations=1)


# ------------------------------------------------------------------ parts


@pytest.mark.parametrize("kind", ["frame", "anndata"])
def test_values_are_dealt_and_annotations_stay(kind):
    X, _ = cohort(kind=kind)
    if kind == "anndata":
        X.layers["counts"] = X.X + 1
    order = permutation_within(np.repeat([0, 1], 60), np.random.default_rng(0))
    assert sorted(order) == list(range(120))
    assert (order[:60] < 60).all()
    dealt = reassigned(X, order)
    if kind == "frame":
        pd.testing.assert_index_equal(dealt.index, X.index)
        np.testing.assert_array_equal(dealt.to_numpy(), X.to_numpy()[order])
        return
    pd.testing.assert_frame_equal(dealt.obs, X.obs)
    np.testing.assert_array_equal(dealt.X, X.X[order])
    np.testing.assert_array_equal(dealt.layers["counts"], X.layers["counts"][order])
    np.testing.assert_array_equal(X.layers["counts"], X.X + 1)


@pytest.mark.parametrize("kind", ["frame", "anndata"])
def test_split_by(kind):
    X, y = cohort(signal=2.0, kind=kind)
    cv = SplitBy(LeaveOneGroupOut(), "batch")
    assert cv.get_n_splits(X, y) == 2
    labels = np.repeat(["a", "b"], 60)
    for (train, test), batch in zip(cv.split(X, y), "ab", strict=True):
        assert set(labels[test]) == {batch}
        assert set(labels[train]) == set("ab") - {batch}
    scores = cross_val_score(model(), X, y, cv=cv, scoring="roc_auc")
    assert scores.min() > 0.9
    search = GridSearchCV(model(), {"logisticregression__C": [0.01, 0.1]}, cv=cv).fit(X, y)
    assert search.n_splits_ == 2
    assert repr(cv) == "SplitBy(LeaveOneGroupOut(), 'batch')"
    assert SplitBy(KFold(4), "batch").get_n_splits() == 4
    with pytest.raises(ValueError, match="so groups= must not be given"):
        list(cv.split(X, y, groups=labels))
    with pytest.raises(ValueError, match="carries no annotations"):
        list(cv.split(np.zeros((4, 2))))


def test_a_search_that_splits_by_an_annotation_is_saved(tmp_path):
    X, y = cohort(signal=2.0)
    cv = SplitBy(LeaveOneGroupOut(), "batch")
    search = GridSearchCV(model(), {"logisticregression__C": [0.01, 0.1]}, cv=cv).fit(X, y)
    save_model(search, tmp_path / "search.skops")
    loaded = load_model(tmp_path / "search.skops")
    np.testing.assert_array_equal(loaded.predict(X), search.predict(X))
    assert repr(loaded.cv) == repr(cv)
