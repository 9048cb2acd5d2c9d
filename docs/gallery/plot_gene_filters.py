"""
Which genes to keep
===================

Two filters with two reasons. The low-expression filter drops genes whose counts say
nothing; it looks at counts. The variance filter keeps the genes that differ most between
samples; it belongs after the logarithm, since on counts the variance only says which
genes are abundant.
"""

# %%
# A cohort with known truth: ``var["class_gene"]`` marks the genes that differ between the
# classes.
import matplotlib.pyplot as plt
import numpy as np

from geneexpr import CPMNormalizer, LogTransformer, LowExpressionFilter, VarianceFilter
from geneexpr.datasets import make_cohort

cohort = make_cohort(80, 3000, n_modules=0, library_size=300_000, random_state=0)
expressed = LowExpressionFilter(condition="y").fit(cohort, cohort.obs["condition"])
print(f"{expressed.get_support().sum()} of {cohort.n_vars} genes are expressed")

# %%
# Without ``condition`` the rule asks for expression in all samples, and genes that only one
# class expresses go first.
strict = LowExpressionFilter().fit(cohort)
lost = expressed.get_support() & ~strict.get_support()
print(f"{lost.sum()} genes would be lost without the classes")

# %%
# Variance on counts, and on log counts per million.
log = LogTransformer().fit_transform(CPMNormalizer().fit_transform(expressed.transform(cohort)))
on_log = VarianceFilter(n_genes=300).fit(log)
mean = np.asarray(log.X).mean(axis=0)
kept, truth = on_log.get_support(), log.var["class_gene"].to_numpy()

fig, ax = plt.subplots(figsize=(6.5, 4.2), layout="constrained")
for mask, color, label in [
    (~kept, "0.8", "dropped"),
    (kept & ~truth, "tab:blue", "kept"),
    (kept & truth, "tab:red", "kept, differs between classes"),
]:
    ax.scatter(mean[mask], on_log.scores_[mask], s=8, color=color, label=label)
ax.set(xlabel="mean log2(CPM + 1)", ylabel="variance", yscale="log")
ax.legend(frameon=False, markerscale=2)
plt.show()
