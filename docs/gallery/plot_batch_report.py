"""
How large is the batch effect, and did the correction work?
===========================================================

Look before you correct, and look again afterwards. `confounding_report` says whether batch
and class can be told apart at all, `batch_effect_report` measures the batch effect in six
ways, and `BatchEffectDisplay` puts before and after side by side.
"""

# %%
# Three sites, one class difference. A tenth of the genes depends on the class.
import matplotlib.pyplot as plt
from sklearn.pipeline import make_pipeline

from geneexpr import (
    BatchEffectDisplay,
    ComBatCorrector,
    CPMNormalizer,
    LogTransformer,
    LowExpressionFilter,
    batch_effect_report,
    confounding_report,
    make_cohort,
    variance_partition,
)

cohort = make_cohort(180, 1500, n_batches=3, batch_location=0.6, n_class_genes=150, random_state=0)
print(confounding_report("batch", ["condition"], data=cohort))

# %%
# Filter, bring to one depth, log; then measure. Silhouette, kBET, LISI and AUC compare
# samples of the same class only, so that they see the batch and nothing else.
keys = {"batch_key": "batch", "condition": "condition"}
log = make_pipeline(LowExpressionFilter(condition="condition"), CPMNormalizer(), LogTransformer())
expression = log.fit_transform(cohort)
before = batch_effect_report(expression, **keys)
print(before)

# %%
# The same after ComBat. The first six numbers should go to what data without a batch effect
# show; the last three, of the class, should not go down.
corrected = ComBatCorrector(batch_key="batch").fit_transform(expression)
after = batch_effect_report(corrected, **keys)
print(before.compare(after).round(2))

# %%
# In the figure 0 stands for no batch effect and 1 for batches that do not overlap.
BatchEffectDisplay.from_reports(before, after)
plt.show()

# %%
# Which genes were hit hardest? A share near one means that a gene tells the site and hardly
# anything else.
genes = variance_partition(expression, **keys)
print(genes.nlargest(5, "batch")[["batch", "condition", "residual"]].round(2))

# %%
# A report on the samples that a corrector was fitted on shows it at its best. What counts
# is how a model does on samples that it has not seen: that is the matter of the leakage audit.
