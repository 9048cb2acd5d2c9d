"""What steps declare and what they do: whether one gene moves the others."""

import numpy as np
import pytest
from cases import carries, cohort, dense, expects_counts, for_contract, put
from sklearn.base import clone
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    Normalizer,
    PowerTransformer,
    QuantileTransformer,
    StandardScaler,
)
from sklearn.utils import get_tags

from geneexpr import (
    CPMNormalizer,
    LogTransformer,
    OnMatrix,
    TMMNormalizer,
    VarianceFilter,
)
from geneexpr.explanation._steps import (
    COUPLES,
    GENES,
    LINEAR_GENES,
    NotLinearError,
    kept_genes,
    kind_of,
    pull_back,
)

TRANSFORMERS = [
    (name, estimator)
    for name, estimator in for_contract()
    if hasattr(estimator, "transform") and carries(estimator, "anndata")
]


@pytest.mark.filterwarnings("ignore::geneexpr.GeneExpressionWarning")
@pytest.mark.parametrize(
    "estimator", [e for _, e in TRANSFORMERS], ids=[name for name, _ in TRANSFORMERS]
)
def test_a_transformer_declares_whether_it_couples_genes(estimator):
    counts, obs, var, y = cohort(counts=expects_counts(estimator))
    if type(estimator).__name__ == "GeneSetScorer":
        estimator = clone(estimator).set_params(gene_sets={"a": ["g1", "g2", "g3"], "b": ["g9"]})
    fitted = clone(estimator)
    fitted.fit(put("anndata", counts, obs, var), y)
    names = np.asarray(fitted.get_feature_names_out(), dtype=object)
    genes = [i for i, gene in enumerate(var.index) if gene in set(names)]
    if not genes:
        return  # its outputs are no genes: components, set scores
    before = fitted.transform(put("anndata", counts, obs, var))
    moved = False
    for gene in genes[1:6]:
        changed = counts.copy()
        changed[:, gene] = np.roll(counts[:, gene], 7) * 3 + 5
        after = dense(fitted.transform(put("anndata", changed, obs, var)))
        others = names != var.index[gene]
        moved |= not np.allclose(dense(before)[:, others], after[:, others], rtol=1e-9)
    assert moved == get_tags(estimator).couples_genes


def test_set_scores_on_ranks_couple_genes_and_mean_scores_do_not():
    tags = {
        e.method: get_tags(e).couples_genes
        for n, e in TRANSFORMERS
        if n.startswith("GeneSetScorer")
    }
    assert tags == {"ssgsea": True, "mean_z": False, "singscore": True}


@pytest.mark.parametrize(
    ("step", "kind"),
    [
        (Normalizer(), COUPLES),
        (OnMatrix(Normalizer()), COUPLES),
        (CPMNormalizer(), COUPLES),
        (TMMNormalizer(log=True), COUPLES),
        (FunctionTransformer(lambda X: X / X.sum(axis=1, keepdims=True)), COUPLES),
        (FunctionTransformer(np.log1p), GENES),
        (LogTransformer(), GENES),
        (PowerTransformer(), GENES),
        (QuantileTransformer(n_quantiles=10), GENES),
        (MinMaxScaler(clip=True), GENES),
        (MinMaxScaler(), LINEAR_GENES),
        (FunctionTransformer(), LINEAR_GENES),
        (OnMatrix(StandardScaler()), LINEAR_GENES),
        (VarianceFilter(n_genes=5), LINEAR_GENES),
    ],
    ids=str,
)
def test_kinds_of_steps(step, kind):
    counts, _, _, _ = cohort()
    counts = counts[:, 1:] + 1
    after = clone(step).fit(counts)
    assert kind_of(after, counts[:8], np.asarray(after.transform(counts[:8]))) == kind


def test_a_step_of_unknown_kind_is_not_pulled_back():
    with pytest.raises(NotLinearError, match="PowerTransformer is not linear"):
        pull_back(PowerTransformer(), np.ones((2, 1)))


def test_kept_genes_of_a_selector():
    counts, _, _, _ = cohort()
    selector = VarianceFilter(n_genes=5).fit(counts)
    np.testing.assert_array_equal(kept_genes(selector, 24), np.flatnonzero(selector.support_))
    assert kept_genes(PowerTransformer(), 24) is None
