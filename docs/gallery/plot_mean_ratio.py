"""
Mean centring and ratios
========================

The simplest corrections ask for a mean and nothing else: ``MeanCenterCorrector`` subtracts
the mean of each gene in each batch, for effects that add on a log scale; ``RatioCorrector``
divides by it, for effects that multiply. Without the public data a simulated cohort takes
their place.
"""

# %%
# Cell lines of three laboratories: logged for the differences, not logged for the ratios.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.pipeline import make_pipeline

from geneexpr import (
    CPMNormalizer,
    LogTransformer,
    LowExpressionFilter,
    MeanCenterCorrector,
    RatioCorrector,
)
from geneexpr.datasets import DatasetUnavailableError, fetch_hapmap_lcl, make_cohort

try:
    cells = fetch_hapmap_lcl()
except DatasetUnavailableError:
    cells = make_cohort(150, 5000, n_batches=3, random_state=0)
    cells.obs = cells.obs.rename(columns={"batch": "lab", "condition": "sex"})
linear = make_pipeline(LowExpressionFilter(condition="lab"), CPMNormalizer()).fit_transform(cells)
logged = LogTransformer().fit_transform(linear)

# %%
# One gene, the one whose mean differs most between laboratories.
centred = MeanCenterCorrector(batch_key="lab").fit_transform(logged)
ratios = RatioCorrector(batch_key="lab").fit_transform(linear)
geometric = RatioCorrector(batch_key="lab", mean="geometric").fit_transform(linear)
labs = np.unique(cells.obs["lab"])
rows = [(cells.obs["lab"] == lab).to_numpy() for lab in labs]
means = np.array([logged.X[own].mean(axis=0) for own in rows])
gene = int(np.argmax(np.ptp(means, axis=0)))
tables = {
    "log2 CPM": logged,
    "mean centring": centred,
    "ratio, arithmetic": ratios,
    "ratio, geometric": geometric,
}

fig, axes = plt.subplots(1, 4, figsize=(12, 3.6), layout="constrained")
for ax, (name, data) in zip(axes, tables.items(), strict=True):
    ax.boxplot([data.X[own, gene] for own in rows], tick_labels=labs)
    ax.set(title=name)
    if name.startswith("ratio"):
        ax.set_yscale("symlog", linthresh=1)
fig.suptitle(str(linear.var_names[gene]))
plt.show()

# %%
# What each leaves of the difference between laboratories, over all genes. Centring and the
# arithmetic ratio end at the same mean in every laboratory, on their own scale.
for name, data in tables.items():
    of_labs = np.array([data.X[own].mean(axis=0) for own in rows])
    print(f"{name:18} largest difference of means {np.ptp(of_labs, axis=0).max():.2g}")

# %%
# A batch that was not there in ``fit`` is centred by its own mean ("add-on" correction), which
# takes the mix of the training samples for granted. With another mix the difference between
# the classes goes as well; ``adapt`` with ``class_proportions`` puts that right.
old, fourth = logged[~rows[2]].copy(), logged[rows[2]].copy()
sex = cells.obs["sex"].to_numpy()
model = MeanCenterCorrector(batch_key="lab").fit(old, sex[~rows[2]])
one = fourth[sex[rows[2]] == sex[0]].copy()
gap = np.abs(model.class_means_[0] - model.class_means_[1])
marker = int(np.argmax(gap))
naive = model.adapt(one).transform(one)
mixed = model.adapt(one, class_proportions={sex[0]: 1.0}).transform(one)
own_class = model.outcome_classes_.index(str(sex[0]))
print(f"mean of {sex[0]} samples for the gene that tells the classes apart best:")
print(f"  in training   {model.class_means_[own_class, marker]:+.2f}")
print(f"  mix unknown   {naive.X[:, marker].mean():+.2f}")
print(f"  mix known     {mixed.X[:, marker].mean():+.2f}")
