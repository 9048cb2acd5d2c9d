"""
Removing laboratory and sequencing depth with a linear model
============================================================

``LinearBatchCorrector`` is limma's ``removeBatchEffect`` learned once and frozen: one
regression a gene, of which the part of the batch, and of any covariate named in
``remove_keys``, is subtracted. What is named in ``covariate_keys`` is protected. Without the
public data a simulated cohort takes their place.
"""

# %%
# Cell lines of three laboratories, with the depth of each library as an annotation.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline

from geneexpr import CPMNormalizer, LinearBatchCorrector, LogTransformer, LowExpressionFilter
from geneexpr.datasets import DatasetUnavailableError, fetch_hapmap_lcl, make_cohort

try:
    cells = fetch_hapmap_lcl()
except DatasetUnavailableError:
    cells = make_cohort(150, 5000, n_batches=3, random_state=0)
    cells.obs = cells.obs.rename(columns={"batch": "lab", "condition": "sex"})
cells.obs["log_depth"] = np.log2(np.asarray(cells.X.sum(axis=1)).ravel())

prepare = make_pipeline(LowExpressionFilter(condition="lab"), CPMNormalizer(), LogTransformer())
logged = prepare.fit_transform(cells)

# %%
# How much of the variance of a gene goes with the laboratory and with the depth, before and
# after. On the samples that it was fitted on, the correction leaves none of what it removes.
correctors = {
    "before": None,
    "laboratory removed": LinearBatchCorrector("lab", ["sex"]),
    "laboratory and depth removed": LinearBatchCorrector("lab", ["sex"], remove_keys=["log_depth"]),
}


def share_of_variance(X, columns):
    """Mean over genes of R², of every gene regressed on these columns."""
    columns = columns - columns.mean(axis=0)
    centred = X - X.mean(axis=0)
    fitted = columns @ np.linalg.lstsq(columns, centred, rcond=None)[0]
    total = (centred**2).sum(axis=0)
    return float(np.mean((fitted**2).sum(axis=0)[total > 0] / total[total > 0]))


labs = np.unique(logged.obs["lab"])
of_lab = (logged.obs["lab"].to_numpy()[:, None] == labs[1:]).astype(float)
of_depth = logged.obs[["log_depth"]].to_numpy()
results = {}
for name, corrector in correctors.items():
    results[name] = logged if corrector is None else corrector.fit_transform(logged)
    lab, depth = (share_of_variance(results[name].X, c) for c in (of_lab, of_depth))
    print(f"{name:30} laboratory {lab:.3f}  depth {depth:.3f}")

# %%
# The same in the first two principal components.
fig, axes = plt.subplots(1, 3, figsize=(11, 3.8), layout="constrained")
for ax, (name, data) in zip(axes, results.items(), strict=True):
    points = PCA(2, random_state=0).fit_transform(data.X)
    for lab, color in zip(labs, ["C0", "C1", "C2"], strict=True):
        rows = (cells.obs["lab"] == lab).to_numpy()
        ax.scatter(*points[rows].T, s=14, color=color, label=lab)
    ax.set(title=name, xlabel="component 1", ylabel="component 2")
fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
plt.show()

# %%
# What was learned is frozen: one new sample is corrected on its own, and the protected
# covariate need not be known of it.
model = correctors["laboratory removed"]
one = logged[:1].copy()
del one.obs["sex"]
print(np.array_equal(model.transform(one).X, results["laboratory removed"].X[:1]))
