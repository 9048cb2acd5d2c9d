"""
Surrogate variables find what nobody wrote down
===============================================

Where the batch is unknown, surrogate variables stand in for it: directions of variation that
the outcome does not explain. ``SurrogateVariableCorrector`` estimates them on the training
samples and gives every new sample its own, one sample at a time (frozen SVA). Without the
public data a simulated cohort takes their place.
"""

# %%
# Cell lines of three laboratories. The laboratory is not told to the corrector; the sex is
# the outcome. Two thirds are for training.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

from geneexpr import (
    CPMNormalizer,
    LogTransformer,
    LowExpressionFilter,
    SurrogateVariableCorrector,
    VarianceFilter,
)
from geneexpr.datasets import DatasetUnavailableError, fetch_hapmap_lcl, make_cohort

try:
    cells = fetch_hapmap_lcl()
except DatasetUnavailableError:
    cells = make_cohort(150, 5000, n_batches=3, random_state=0)
    cells.obs = cells.obs.rename(columns={"batch": "lab", "condition": "sex"})
rows = np.arange(cells.n_obs)
train, test = train_test_split(rows, test_size=1 / 3, stratify=cells.obs["lab"], random_state=0)
prepare = make_pipeline(
    LowExpressionFilter(), CPMNormalizer(), LogTransformer(), VarianceFilter(n_genes=2000)
)
known = prepare.fit_transform(cells[train].copy())
new = prepare.transform(cells[test].copy())

# %%
# SVA protects the outcome by its construction, so corrected training samples hold more of it
# than new samples will. ``allow_outcome=True`` says that this is known.
sva = SurrogateVariableCorrector(3, allow_outcome=True).fit(known, known.obs["sex"])
found = {"training samples": (known, sva.training_variables_), "new samples": (new, None)}

# %%
# The surrogate variables are the laboratories, in training samples and in new ones alike.
fig, axes = plt.subplots(1, 2, figsize=(9, 4.2), layout="constrained")
for ax, (name, (data, variables)) in zip(axes, found.items(), strict=True):
    variables = sva.surrogate_variables(data) if variables is None else variables
    for lab, color in zip(np.unique(cells.obs["lab"]), ["C0", "C1", "C2"], strict=True):
        own = (data.obs["lab"] == lab).to_numpy()
        ax.scatter(*variables[own, :2].T, s=18, color=color, label=lab)
    ax.set(title=name, xlabel="surrogate variable 1", ylabel="surrogate variable 2")
fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
plt.show()

# %%
# How much of the variance between new samples goes with the laboratory, before and after.
labs = new.obs["lab"].to_numpy()


def share_between(X):
    """Mean over genes of the share of variance between laboratories."""
    means = np.array([X[labs == lab].mean(axis=0) for lab in np.unique(labs)])
    sizes = np.array([(labs == lab).sum() for lab in np.unique(labs)])[:, None]
    total = ((X - X.mean(axis=0)) ** 2).sum(axis=0)
    between = (sizes * (means - X.mean(axis=0)) ** 2).sum(axis=0)
    return float(np.mean(between[total > 0] / total[total > 0]))


print(f"before {share_between(new.X):.2f}, after {share_between(sva.transform(new).X):.2f}")
