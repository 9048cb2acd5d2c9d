"""
Which genes move a prediction
=============================

Four models of one simulated cohort, explained by the same function: a linear one exactly, a
forest by its trees, a network by gradients, and support vectors on components by sampling. The
genes that differ between the classes are known, so we can see who finds them.
"""

# %%
# 120 samples, 500 genes, of which 25 differ between the classes.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from geneexpr import CPMNormalizer, ToArray, TorchMLPClassifier, explain
from geneexpr.datasets import make_cohort

cohort = make_cohort(120, 500, n_class_genes=25, effect_size=0.8, random_state=0)
y = cohort.obs["condition"].to_numpy()
truth = set(cohort.var_names[cohort.var["class_gene"]])

models = {
    "logistic regression": [LogisticRegression(C=0.01)],
    "forest": [RandomForestClassifier(100, random_state=0)],
    "network": [TorchMLPClassifier(random_state=0)],
    "support vectors on PCA": [PCA(15), SVC()],
}
explained = {}
for name, last in models.items():
    model = make_pipeline(CPMNormalizer(log=True), ToArray(), StandardScaler(), *last)
    explained[name] = explain(model.fit(cohort, y), cohort, max_samples=30, background=cohort)

# %%
# An `Explanation` says how it was made, and whether its values add up.
print(explained["logistic regression"])
print()
print(explained["support vectors on PCA"].reason)

# %%
# The genes that move the margin most; the signed effect is that of a high value against a low
# one, in log-odds for the second class.
print(explained["network"].top_genes(5).to_string(float_format="%.3f", index=False))

# %%
# **Precision at 25**: how many of the first 25 genes are among the 25 that differ.
table = pd.DataFrame(
    {
        "method": {name: found.method for name, found in explained.items()},
        "precision": {
            name: np.mean([gene in truth for gene in found.top_genes(25)["gene"]])
            for name, found in explained.items()
        },
        "additivity error": {name: found.additivity_error for name, found in explained.items()},
    }
)
print(table.to_string(float_format="%.2g"))

# %%
# The same genes lead in all four, those of the class in colour.
figure, axes = plt.subplots(1, 4, figsize=(12, 6), layout="constrained")
for ax, (name, found) in zip(axes, explained.items(), strict=True):
    top = found.top_genes(25).iloc[::-1]
    colours = ["#0072B2" if gene in truth else "#BBBBBB" for gene in top["gene"]]
    ax.barh(top["gene"], top["mean_abs_shap"], color=colours)
    ax.set(title=name, xlabel=f"mean |SHAP|\n({found.scale})")
figure.suptitle("The 25 genes that move each model most; in blue those that differ")

# %%
# Correlated genes share what they say. ``by_module`` puts them together: a module is named
# after the gene that leads it.
modules = explained["logistic regression"].by_module(4)
print(modules[["module", "n_genes", "mean_abs_shap"]].to_string(float_format="%.3f", index=False))

# %%
# Where values were sampled, those of modules have standard errors.
modules = explained["support vectors on PCA"].by_module(4)
print(modules.drop(columns="genes").to_string(float_format="%.3f", index=False))
