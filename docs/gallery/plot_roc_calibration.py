"""
ROC, calibration and confusion, with intervals
==============================================

What a classifier is worth on samples that it has not seen, and how sure that is.
"""

import matplotlib.pyplot as plt
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from geneexpr import (
    CalibrationIntervalDisplay,
    ConfusionIntervalDisplay,
    CPMNormalizer,
    LogTransformer,
    ROCIntervalDisplay,
    ToArray,
    make_cohort,
)

cohort = make_cohort(300, 500, n_batches=2, effect_size=0.7, n_class_genes=12, random_state=0)
train, test = train_test_split(
    cohort, test_size=0.5, stratify=cohort.obs["condition"], random_state=0
)
model = make_pipeline(
    CPMNormalizer(), LogTransformer(), ToArray(), StandardScaler(), LogisticRegression(C=0.001)
).fit(train, train.obs["condition"])

figure, axes = plt.subplots(1, 3, figsize=(13.5, 4.6), layout="constrained")
displays = (ROCIntervalDisplay, CalibrationIntervalDisplay, ConfusionIntervalDisplay)
for display, ax in zip(displays, axes, strict=True):
    display.from_estimator(model, test, test.obs["condition"], ax=ax)

# %%
# The intervals come from a bootstrap of the samples. Where donors gave several samples, name
# them: ``group_key="donor"`` draws the samples of a donor together.
