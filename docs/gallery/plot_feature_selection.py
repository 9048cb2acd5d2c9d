"""
Choosing genes inside a pipeline
================================

Ways to choose genes, each inside the Pipeline that is cross-validated, so that it sees the
training samples alone: this library's selectors, and scikit-learn's own (RFE, SelectFromModel,
L1, trees). Then what happens where the genes are chosen on all samples beforehand. On a
cohort with known truth we see both the score and how many of the chosen genes are real.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_selection import RFE, SelectFromModel
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_validate
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

from geneexpr import (
    CPMNormalizer,
    DifferentialExpressionSelector,
    LowExpressionFilter,
    ToArray,
    VarianceFilter,
)
from geneexpr.datasets import make_cohort

cohort = make_cohort(
    80, 1500, n_batches=2, n_class_genes=60, effect_size=0.5, dispersion=0.3, random_state=0
)
y = (cohort.obs["condition"] == "class2").to_numpy().astype(int)
truth = cohort.var["class_gene"]
folds = StratifiedKFold(5, shuffle=True, random_state=0)

# %%
# The same preparation for all, and 40 genes for the classifier. What comes after ``ToArray``
# are scikit-learn's own steps. ``make_cohort`` divides the samples among two batches as well:
# the test may take them into its design.
svm = SVC(kernel="linear", C=0.01)
l1 = LogisticRegression(solver="liblinear", l1_ratio=1, C=0.3)
ways = {
    "variance": [VarianceFilter(n_genes=40), ToArray(), svm],
    "moderated t": [DifferentialExpressionSelector(n_genes=40), ToArray(), svm],
    "moderated t, batch in design": [
        DifferentialExpressionSelector(n_genes=40, batch_key="batch"),
        ToArray(),
        svm,
    ],
    "Wilcoxon": [DifferentialExpressionSelector("wilcoxon", n_genes=40), ToArray(), svm],
    "RFE with a linear SVM": [ToArray(), RFE(svm, n_features_to_select=40, step=0.3), svm],
    "SelectFromModel, L1": [ToArray(), SelectFromModel(l1, max_features=40), svm],
    "SelectFromModel, forest": [
        ToArray(),
        SelectFromModel(
            RandomForestClassifier(200, random_state=0), max_features=40, threshold=-np.inf
        ),
        svm,
    ],
    "no selection: forest": [ToArray(), RandomForestClassifier(200, random_state=0)],
    "moderated t, then k-NN": [
        DifferentialExpressionSelector(n_genes=40),
        ToArray(),
        KNeighborsClassifier(7),
    ],
}


def whole(steps):
    """Put the preparation before the steps."""
    return make_pipeline(LowExpressionFilter(condition="y"), CPMNormalizer(log=True), *steps)


def chosen(pipeline):
    """Return the genes that reach the classifier."""
    return pipeline[:-1].get_feature_names_out()


rows = {}
for name, steps in ways.items():
    fitted = cross_validate(whole(steps), cohort, y, cv=folds, return_estimator=True)
    genes = [chosen(pipeline) for pipeline in fitted["estimator"]]
    real = np.mean([truth[g].mean() for g in genes])
    both = np.mean([len(set(a) & set(b)) / len(a) for a in genes for b in genes if a is not b])
    rows[name] = fitted["test_score"].mean(), real, both
print(f"{'':30s} accuracy  real genes  same in other folds")
for name, (accuracy, real, both) in rows.items():
    print(f"{name:30s} {accuracy:8.2f}  {real:10.0%}  {both:19.0%}")

# %%
# Here the tests choose best, with or without the batch in their design (the classes are spread
# evenly over the batches; were they not, ``batch_key`` would matter). Genes that vary most are
# not those that tell the classes apart. RFE and the forest change their choice from fold to
# fold: with 64 training samples much of it is chance.
names, at = list(rows), np.arange(len(rows))
fig, axes = plt.subplots(1, 3, figsize=(10, 3.8), sharey=True, layout="constrained")
labels = ["accuracy", "share of real genes", "same genes in other folds"]
for ax, column, label in zip(axes, zip(*rows.values(), strict=True), labels, strict=True):
    ax.hlines(at, 0, column, color="0.8", linewidth=2)
    ax.plot(column, at, "o", color="tab:blue")
    ax.set(xlabel=label, xlim=(0, 1.05), yticks=at, yticklabels=names)
axes[0].axvline(0.5, color="0.6", linestyle=":")
axes[0].invert_yaxis()
plt.show()

# %%
# Why inside: labels drawn at random have nothing to be learned. Genes chosen on all samples
# beforehand make it look otherwise (Ambroise and McLachlan 2002, doi 10.1073/pnas.102102699).
noise = np.random.default_rng(0).permutation(y)
steps = ways["moderated t"]
inside = cross_validate(whole(steps), cohort, noise, cv=folds)["test_score"].mean()
kept = whole(steps)[:-1].fit_transform(cohort, noise)
beforehand = cross_validate(svm, kept, noise, cv=folds)["test_score"].mean()
print(f"random labels, genes chosen inside the folds: accuracy {inside:.2f}")
print(f"random labels, genes chosen on all samples:   accuracy {beforehand:.2f}")
