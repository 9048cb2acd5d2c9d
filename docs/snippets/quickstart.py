"""From raw counts to a saved, validated model."""

from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from geneexpr import (
    ComBatCorrector,
    LogTransformer,
    LowExpressionFilter,
    ToArray,
    TorchMLPClassifier,
    TPMNormalizer,
    VarianceFilter,
    save_model,
)
from geneexpr.datasets import make_cohort

cohort = make_cohort(160, 2000, n_batches=3, effect_size=0.4, random_state=0)
train, new = cohort[:120], cohort[120:]

# [pipeline
pipeline = Pipeline(
    [
        ("filter", LowExpressionFilter(condition="y")),
        ("tpm", TPMNormalizer(gene_lengths="length")),
        ("log", LogTransformer()),
        ("combat", ComBatCorrector(batch_key="batch")),
        ("variance", VarianceFilter(n_genes=300)),
        ("array", ToArray()),
        ("scale", StandardScaler()),
        ("model", LogisticRegression(max_iter=1000)),
    ]
)
search = GridSearchCV(
    pipeline,
    {
        "combat": [ComBatCorrector(batch_key="batch"), "passthrough"],
        "model": [LogisticRegression(max_iter=1000), TorchMLPClassifier(random_state=0)],
    },
    scoring="roc_auc",
    cv=StratifiedKFold(4, shuffle=True, random_state=0),
)
search.fit(train, train.obs["condition"])
print(f"cross-validated AUC {search.best_score_:.3f}")
print(f"AUC on new samples {search.score(new, new.obs['condition']):.3f}")
# pipeline]

save_model(search.best_estimator_, "model.skops")
