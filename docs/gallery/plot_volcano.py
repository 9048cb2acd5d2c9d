"""
Volcano and MA plots
====================

What `differential_expression` found, gene by gene: how much each changes, how sure that is,
and how strongly it is expressed.
"""

import matplotlib.pyplot as plt

from geneexpr import (
    LowExpressionFilter,
    MADisplay,
    VolcanoDisplay,
    differential_expression,
    make_cohort,
)

cohort = make_cohort(24, 4000, random_state=0)
cohort = LowExpressionFilter(condition="condition").fit_transform(cohort)
table = differential_expression(cohort, "condition", method="voom", batch_key="batch")

figure, axes = plt.subplots(1, 2, figsize=(11, 4.5), layout="constrained")
VolcanoDisplay.from_results(table, min_log2_fold_change=0.5, ax=axes[0])
MADisplay.from_results(table, min_log2_fold_change=0.5, ax=axes[1])

# %%
# Marked are the genes whose adjusted p-value is at most ``alpha`` and that change by
# ``min_log2_fold_change`` at least; the surest have names. The genes that the simulation made
# different are known, so the share of false discoveries can be counted.

found = table.index[(table["p_adjusted"] <= 0.05) & (table["log2_fold_change"].abs() >= 0.5)]
truth = cohort.var["log2_fold_change"] != 0
print(f"{len(found)} genes found, {(~truth[found]).mean():.1%} of them false")
