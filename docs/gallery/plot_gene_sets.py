"""
From genes to pathways
======================

A list of genes says little by itself. Here a cohort is simulated in which two of forty gene
sets differ between the classes, each gene by little. We ask which sets hold more of the chosen
genes than chance would give, which lie at an end of the ranking, whether a model on scores of
sets does as well as one on genes, and how stable the chosen genes are.
"""

# %%
# 60 samples, 2 000 genes, 40 sets of 25 genes. The genes of the first set rise in cases, those
# of the second fall.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from geneexpr import (
    GeneSetScorer,
    StabilitySelector,
    differential_expression,
    over_representation,
    ranked_enrichment,
    signature_stability,
    validate_signature,
)

rng = np.random.default_rng(0)
genes = [f"gene{i}" for i in range(2000)]
sets = {f"set {j}": genes[25 * j : 25 * (j + 1)] for j in range(40)}
y = np.arange(60) % 2
values = rng.normal(rng.uniform(3, 10, 2000), 1, (60, 2000))
values[:, :25] += 0.6 * y[:, None]
values[:, 25:50] -= 0.6 * y[:, None]
X = pd.DataFrame(values, columns=genes)

# %%
# **Over-representation** asks of a list. The universe is what could have been chosen: here the
# genes of the table.
table = differential_expression(X, y, reference=0)
chosen = table.index[table["p_value"] < 0.01]
found = over_representation(chosen, sets, universe=table)
print(f"{len(chosen)} genes chosen")
print(found.drop(columns="genes").head(4).to_string(float_format="%.2g"))

# %%
# **Ranked enrichment** needs no threshold, and tells up from down.
ranked = ranked_enrichment(table, sets)
columns = ["set_size", "enrichment_score", "normalized_score", "p_value", "q_value"]
print(ranked[columns].head(4).to_string(float_format="%.2g"))

# %%
# **Scores of sets** as features: what the genes of a set have in common adds up, and their
# noise does not. The scorer is a step of the pipeline, so its range is that of the training
# samples.
folds = StratifiedKFold(5, shuffle=True, random_state=0)


def auc(*steps):
    model = make_pipeline(*steps, StandardScaler(), LogisticRegression())
    return cross_val_score(model, X, y, cv=folds, scoring="roc_auc")


scores = {"genes": auc()}
for method in ("ssgsea", "singscore", "mean_z"):
    scores[method] = auc(GeneSetScorer(sets, method))

fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
left.boxplot(list(scores.values()), tick_labels=list(scores))
left.set(ylabel="AUC in 5 folds", ylim=(0.4, 1.02), title="A model on genes, or on sets")
for label, color in [(0, "0.5"), (1, "tab:red")]:
    both = GeneSetScorer(sets).fit_transform(X)[y == label]
    right.scatter(both["set 0"], both["set 1"], s=18, color=color, label=f"class {label}")
right.set(xlabel="ssGSEA, set 0", ylabel="ssGSEA, set 1", title="The two sets that differ")
right.legend(frameon=False)
plt.show()

# %%
# **Stability.** Of the 30 best genes of one fold, few are among those of another: many come
# close. Those that are among the best on most random halves are few, and true.
best = [
    SelectKBest(k=30).fit(X.iloc[train], y[train]).get_support() for train, _ in folds.split(X, y)
]
print(signature_stability(best, n_genes=2000))

selector = StabilitySelector(SelectKBest(k=30), threshold=0.6, random_state=0).fit(X, y)
stable = selector.get_feature_names_out()
print(f"{len(stable)} stable genes, {np.isin(stable, genes[:50]).sum()} of them true")
print(f"at most {selector.expected_false_:.1f} false ones were to be expected")

# %%
# **Known genes.** With a list of known biomarkers, the overlap is compared with that of random
# signatures of the same size and expression.
check = validate_signature(
    stable,
    {"known": genes[:50:2]},
    universe=table,
    mean_expression=table["mean_expression"],
)
columns = ["set_size", "overlap", "expected", "p_value", "matched_expected", "matched_p_value"]
print(check[columns].to_string(float_format="%.2g"))
