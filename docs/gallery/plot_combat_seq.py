"""
Counts in, counts out: ComBat-seq
=================================

Methods for counts (DESeq2, edgeR, a negative binomial model) cannot take the output of
ComBat, which is logged and has no integers. ComBat-seq maps every count to the same
quantile of what the gene would show without the laboratory: counts stay counts, zeros stay
zeros. What it learned is frozen, so a sample that comes later is corrected alone.
Without the public data a simulated cohort takes their place.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np
from sklearn.decomposition import PCA
from sklearn.metrics import silhouette_score
from sklearn.pipeline import make_pipeline

from geneexpr import (
    ComBatSeqCorrector,
    CPMNormalizer,
    LogTransformer,
    LowExpressionFilter,
    VarianceFilter,
)
from geneexpr.datasets import DatasetUnavailableError, fetch_hapmap_lcl, make_cohort

try:
    cells = fetch_hapmap_lcl()
except DatasetUnavailableError:
    cells = make_cohort(150, 5000, n_batches=3, random_state=0)
    cells.obs = cells.obs.rename(columns={"batch": "lab", "condition": "sex"})
rng = np.random.default_rng(0)
new = rng.choice(cells.n_obs, 20, replace=False)
old = np.setdiff1d(np.arange(cells.n_obs), new)
print(cells.obs["lab"].iloc[old].value_counts().to_dict())

# %%
# The filter and the corrector learn from the old samples only. Genes without a count in
# some laboratory would stay as they are; the filter has dropped most of these.
prepare = LowExpressionFilter(condition="lab").fit(cells[old])
counts = prepare.transform(cells)
seq = ComBatSeqCorrector(batch_key="lab").fit(counts[old])
corrected = seq.transform(counts)
print(f"{counts.n_vars} genes, of which {seq.corrected_genes_.sum()} are corrected")
print("whole numbers:", np.array_equal(corrected.X, np.trunc(corrected.X)))
print("zeros that stayed zero:", (corrected.X[counts.X == 0] == 0).all())

# %%
# Each sample is corrected on its own: one row gives what it gives among all others.
alone = seq.transform(counts[new[:1]])
print("the same alone:", np.array_equal(alone.X[0], corrected.X[new[0]]))

# %%
# The gene whose laboratories differ most, among those with many counts. Points are old
# samples, crosses are the new ones, which the corrector has not seen.
spread = np.where(counts.X.mean(axis=0) > 200, np.ptp(seq.batch_effects_, axis=0), 0)
gene = int(np.nanargmax(spread))
labs = cells.obs["lab"].unique().tolist()
place = cells.obs["lab"].map({lab: i for i, lab in enumerate(labs)}).to_numpy(float)
place += rng.uniform(-0.2, 0.2, cells.n_obs)
fig, axes = plt.subplots(1, 2, figsize=(9, 4), layout="constrained", sharey=True)
for ax, data, title in zip(axes, [counts, corrected], ["before", "after ComBat-seq"], strict=True):
    values = data.X[:, gene] + 1
    ax.scatter(place[old], values[old], s=12, label="in fit")
    ax.scatter(place[new], values[new], s=40, marker="x", label="new")
    ax.set(title=title, xticks=range(len(labs)), xticklabels=labs, yscale="log")
axes[0].set_ylabel(f"counts of {counts.var_names[gene]} + 1")
axes[1].legend(frameon=False)
plt.show()

# %%
# All genes: the silhouette of the laboratories in two components, of new samples too. Near
# 1 they are apart, near 0 or below they overlap.
log = make_pipeline(CPMNormalizer(), LogTransformer(), VarianceFilter(n_genes=1000))
for data, title in zip([counts, corrected], ["before", "after"], strict=True):
    points = PCA(2, random_state=0).fit_transform(log.fit_transform(data).X)
    for rows, who in ((old, "in fit"), (new, "new")):
        separation = silhouette_score(points[rows], cells.obs["lab"].iloc[rows])
        print(f"{title:6} {who:6} silhouette {separation:.2f}")

# %%
# To protect a group that is spread unevenly over the laboratories, name it: then its
# effect is not taken for theirs. It must be known of new samples, so what is to be
# predicted is refused.
protecting = ComBatSeqCorrector(batch_key="lab", condition="sex")
try:
    protecting.fit(counts[old], cells.obs["sex"].iloc[old])
except ValueError as error:
    print(str(error).split(". ")[0])
