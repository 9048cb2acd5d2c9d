"""
For whom a model fails
======================

One number for all hides who gets the errors. `subgroup_report` measures a model in every
subgroup of the samples, with intervals, and says how large the largest gap is. The subgroups are
read by name from the annotations.
"""

# %%
# A simulated cohort of tumours in which a third of the diagnoses of men are wrong, and few
# samples are of unknown sex.
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from geneexpr import CPMNormalizer, ToArray, make_cohort, subgroup_report

cohort = make_cohort(500, 60, n_batches=2, effect_size=1.5, random_state=0)
rng = np.random.default_rng(0)
sex = rng.choice(["female", "male", "unknown"], 500, p=[0.5, 0.47, 0.03])
cohort.obs["sex"] = sex
diagnosis = cohort.obs["condition"].astype(str).to_numpy()
wrong = (sex == "male") & (rng.random(500) < 0.33)
diagnosis[wrong] = np.where(diagnosis[wrong] == "class1", "class2", "class1")

model = make_pipeline(
    CPMNormalizer(log=True), ToArray(), StandardScaler(), LogisticRegression(C=0.1)
)
model.fit(cohort[:200], diagnosis[:200])
test, truth = cohort[200:], diagnosis[200:]

# %%
# Subgroups that are too small, or lack a class, are flagged and kept out of the gaps.
metrics = ["balanced_accuracy", "roc_auc", "brier"]
report = subgroup_report(model, test, truth, by="sex", metrics=metrics)
print(report)

# %%
report.plot()

# %%
# Several annotations form every combination. The more subgroups, the smaller each, and the
# larger the largest gap by chance: the intervals of the gaps allow for the number of pairs.
crossed = subgroup_report(model, test, truth, by=["sex", "batch"], metrics=["balanced_accuracy"])
print(crossed)
