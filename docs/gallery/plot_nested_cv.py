"""
How good is it really? Nested cross-validation and intervals
============================================================

A grid search reports the best of many scores, so its score is too good. `nested_cv` runs the
whole search inside of every outer fold and tests what it chose on samples that took no part.
"""

# %%
# Sixty samples and two hundred genes **without any signal**, and a search over how many genes
# to use and how. The search finds something; the outer folds do not.
import matplotlib.pyplot as plt
from sklearn.dummy import DummyClassifier
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, GroupShuffleSplit
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from geneexpr import (
    CPMNormalizer,
    LogTransformer,
    NestedCVDisplay,
    ToArray,
    compare_models,
    make_cohort,
    nested_cv,
    performance_report,
)

grid = {"selectkbest__k": [2, 10, 50], "logisticregression__C": [0.01, 1]}


def search(classifier=None):
    """Search the number of genes, and how strongly the classifier is held back."""
    classifier = LogisticRegression(max_iter=1000) if classifier is None else classifier
    model = make_pipeline(
        CPMNormalizer(), LogTransformer(), ToArray(), StandardScaler(), SelectKBest(), classifier
    )
    params = {name: values for name, values in grid.items() if name in model.get_params()}
    return GridSearchCV(model, params, cv=3, scoring="roc_auc")


empty = make_cohort(60, 200, effect_size=0.0, random_state=1)
nothing = nested_cv(search(), empty, empty.obs["condition"], progress=False)
print(nothing)

# %%
# Now with a signal, and three samples of every donor. ``group_key`` keeps donors together in
# both loops.
cohort = make_cohort(120, 200, effect_size=0.35, n_samples_per_donor=3, random_state=0)
y = cohort.obs["condition"].to_numpy()
result = nested_cv(search(), cohort, y, group_key="donor", repeats=2, progress=False)
print(result.summary().round(3))

# %%
# The figure: every small point is an outer fold, the bar the interval of their mean, which
# allows for training sets that overlap. Beside it what the searches chose, and how often each
# gene was chosen.
result.plot()

# %%
# Are two models different? On the same folds, with a test that knows of the overlap.
others = {"naive Bayes": search(GaussianNB()), "guess": DummyClassifier()}
results = {"logistic": result} | {
    name: nested_cv(model, cohort, y, group_key="donor", repeats=2, progress=False)
    for name, model in others.items()
}
print(compare_models(results)[["difference", "low", "high", "p_adjusted"]].round(3))
NestedCVDisplay.from_results(results)

# %%
# For a single, untouched test set there is `performance_report`. Whole donors are drawn for its
# intervals, because samples of one donor are alike.
halves = GroupShuffleSplit(1, test_size=0.5, random_state=0).split(y, y, cohort.obs["donor"])
train, test = next(halves)  # no donor on both sides
model = search().fit(cohort[train], y[train])
print(performance_report(model, cohort[test], y[test], group_key="donor").round(2))
plt.show()
