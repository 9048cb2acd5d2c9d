"""Let cross-validation choose the normaliser."""

from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from geneexpr import (
    CPMNormalizer,
    LogTransformer,
    LowExpressionFilter,
    MedianOfRatiosNormalizer,
    QuantileNormalizer,
    TMMNormalizer,
    ToArray,
    UpperQuartileNormalizer,
    VarianceFilter,
    VarianceStabilizer,
)
from geneexpr.datasets import make_cohort

counts = make_cohort(80, 1500, random_state=0)
y = counts.obs["condition"].to_numpy()

# [search
pipeline = Pipeline(
    [
        ("expressed", LowExpressionFilter(condition="y")),
        ("normalize", "passthrough"),
        ("log", LogTransformer()),
        ("variable", VarianceFilter(n_genes=300)),
        ("array", ToArray()),
        ("scale", StandardScaler()),
        ("predict", LogisticRegression()),
    ]
)
logged = [
    CPMNormalizer(log=True),
    TMMNormalizer(log=True),
    UpperQuartileNormalizer(log=True),
    VarianceStabilizer(),
]
linear = [MedianOfRatiosNormalizer(), QuantileNormalizer(), "passthrough"]
grid = [
    {"normalize": logged, "log": ["passthrough"]},
    {"normalize": linear},
]
search = GridSearchCV(pipeline, grid, scoring="roc_auc", cv=3).fit(counts, y)
# search]

for candidate, score in zip(
    search.cv_results_["params"], search.cv_results_["mean_test_score"], strict=True
):
    print(f"{candidate['normalize']!s:35s} {score:.2f}")
