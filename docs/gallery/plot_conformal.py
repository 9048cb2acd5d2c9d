"""
Sets that hold what they promise
================================

A probability of .9 is a claim of the model. A conformal set is a promise that was tested on
samples the model had not seen: at level .9, nine sets of ten hold the true class. The promise
is for samples like these. Here four laboratories differ, and the question is how much of it is
left in one more.
"""

# %%
# Four simulated laboratories with batch effects.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from geneexpr import (
    ConformalClassifier,
    CPMNormalizer,
    DistributionGuard,
    ToArray,
    coverage_report,
    make_cohort,
)

cohort = make_cohort(240, 60, n_batches=4, random_state=0)
cohort = CPMNormalizer(log=True).fit_transform(cohort)
y = cohort.obs["condition"].to_numpy()
model = make_pipeline(ToArray(), StandardScaler(), LogisticRegression(C=0.1))

conformal = ConformalClassifier(model).fit(cohort[:160], y[:160])
print(conformal.predict_set(cohort[160:166]))

# %%
# `coverage_report` leaves each laboratory out in turn. With folds across the laboratories the
# model is calibrated on samples of laboratories that it knows; with folds of whole laboratories
# (``group_key="batch"``) it is calibrated on what it will meet.
ways = {
    "folds across laboratories": ConformalClassifier(model),
    "folds of whole laboratories": ConformalClassifier(model, group_key="batch"),
}
reports = {name: coverage_report(way, cohort, y, by="batch") for name, way in ways.items()}
for name, report in reports.items():
    print(f"\n{name}\n{report.round(2)}")

# %%
fig, ax = plt.subplots(figsize=(6.5, 3.6), layout="constrained")
for i, (name, report) in enumerate(reports.items()):
    at = np.arange(len(report)) + (i - 0.5) * 0.25
    reach = [report["coverage"] - report["low"], report["high"] - report["coverage"]]
    label = f"{name}: {report.loc['all', 'mean_size']:.2f} classes a set"
    color, marker = (("#D55E00", "^"), ("#0072B2", "o"))[i]
    ax.errorbar(report["coverage"], at, xerr=reach, fmt=marker, color=color, label=label)
ax.axvline(0.9, color="#777777", linestyle="--")
ax.set_yticks(range(len(report)), report.index)
ax.invert_yaxis()
ax.set(xlabel="share of sets that hold the true class", xlim=(0.4, 1.02))
fig.legend(*ax.get_legend_handles_labels(), frameon=False, loc="outside upper left")
plt.show()

# %%
# Sets say how sure the model is of samples like those it knows. Whether a sample is one of
# these, a `DistributionGuard` tells: its `predict` is that of the model, and warns.
guard = DistributionGuard(model).fit(cohort[:160], y[:160])
new = cohort[160:].copy()
rng = np.random.default_rng(0)
other_log, shuffled = new.copy(), new.copy()
other_log.X = new.X * np.log(2)
shuffled.X = new.X[:, rng.permutation(new.n_vars)]
for name, samples in {
    "clean": new,
    "natural logarithm": other_log,
    "genes shuffled": shuffled,
}.items():
    print(f"{name:18}{guard.is_outlying(samples).mean():.2f} outlying")
print(guard.report(other_log).round(1).head(3))
