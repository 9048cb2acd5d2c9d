"""
One sample, and groups of genes
===============================

Why did the model say this of *this* patient? And what are genes worth that say the same as others?
Counts of a cohort are simulated in two batches, with twenty genes that differ between the
classes. One sample is explained by LIME and compared with exact SHAP values; then genes are
shuffled one by one and in groups, beside a forest's own importance.
"""

# %%
# 120 samples with 400 genes. The pipeline reads the batch from the annotations.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from geneexpr import (
    ComBatCorrector,
    CPMNormalizer,
    OnMatrix,
    ToArray,
    explain,
    explain_instance,
    grouped_permutation_importance,
    make_cohort,
)

cohort = make_cohort(
    160, 400, n_batches=2, n_class_genes=20, effect_size=1.2, module_strength=0.8, random_state=1
)
y = cohort.obs["condition"].to_numpy()
train = np.arange(160) < 120


def pipeline(model):
    return make_pipeline(
        CPMNormalizer(log=True),
        ComBatCorrector(batch_key="batch"),
        OnMatrix(StandardScaler()),
        ToArray(),
        model,
    )


linear = pipeline(LogisticRegression(C=0.01)).fit(cohort[train], y[train])
print(f"accuracy {linear.score(cohort[~train], y[~train]):.2f}")

# %%
# **One sample.** Each gene keeps its value or takes the median of the background; a linear model
# says what that does to the log-odds. LIME explains whatever pipeline it is given, from its input
# on. From raw counts it would say, rightly, that a very abundant gene moves all others through
# the library size; so it is given what comes behind the normalisation, ``linear[1:]``.
logged = linear[0].transform(cohort)
lime = explain_instance(
    linear[1:], logged[~train][[3]], background=logged[train], n_genes=12, n_perturbed=2000
)
print(lime)

# %%
# SHAP values (points) are exact here, since the margin is linear behind the correction. LIME draws
# at random, and compares with the median of the background, not its mean: the two differ where a
# gene has two levels. Class genes are blue.
exact = explain(linear, cohort[~train], background=cohort[train]).to_frame().iloc[3]
table = lime.to_frame()
truth = cohort.var["class_gene"]

fig, (left, right) = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
place = np.arange(len(table))[::-1]
colors = ["tab:blue" if truth[gene] else "0.6" for gene in table["gene"]]
left.barh(place, table["weight"], color=colors)
left.scatter(exact[table["gene"]], place, color="black", marker="D", s=18, zorder=3)
left.set(yticks=place, yticklabels=table["gene"], xlabel="log-odds of " + str(lime.r2.index[0]))
left.set_title("One sample: LIME (bars), SHAP (points)")
left.axvline(0, color="black", linewidth=0.8)

# %%
# **Groups.** A forest on the same samples. Shuffling a single gene costs little where others say
# the same; the genes of the class, shuffled together, are worth nearly everything. The model's own
# importance, by impurity, is beside it.
forest = pipeline(RandomForestClassifier(100, random_state=0)).fit(cohort[train], y[train])
marks = cohort.var_names[truth]
sets = {
    "class genes": marks,
    "best gene alone": marks[[np.argmax(forest[-1].feature_importances_[truth])]],
    **{
        str(name): cohort.var_names[(cohort.var["module"] == name) & ~truth]
        for name in cohort.var["module"].unique()
        if str(name) not in ("", "nan", "-1", "none")
    },
}
sets = {name: genes for name, genes in sets.items() if len(genes)}
shuffled = grouped_permutation_importance(
    forest, cohort[~train], y[~train], groups=sets, scoring="roc_auc", n_repeats=5
)
print(shuffled.drop(columns="genes").to_string(float_format="%.3f"))

place = np.arange(len(shuffled))[::-1]
right.barh(place + 0.2, shuffled["mean"], 0.4, color="tab:blue", label="AUC lost when shuffled")
right.errorbar(
    shuffled["mean"],
    place + 0.2,
    xerr=[shuffled["mean"] - shuffled["low"], shuffled["high"] - shuffled["mean"]],
    fmt="none",
    color="black",
    capsize=2,
)
right.barh(place - 0.2, shuffled["impurity"], 0.4, color="tab:orange", label="impurity, summed")
right.set(yticks=place, yticklabels=shuffled.index, title="Groups of genes in a forest")
right.legend(frameon=False)
plt.show()
