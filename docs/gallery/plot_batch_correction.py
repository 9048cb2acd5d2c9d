"""
Three laboratories, before and after ComBat
===========================================

Lymphoblastoid cell lines sequenced in three laboratories. Before correction the
laboratory is what one sees first; after it, what is left is biology and noise.
Without the public data a simulated cohort takes their place.
"""

# %%
import matplotlib.pyplot as plt
from sklearn.decomposition import PCA
from sklearn.metrics import silhouette_score
from sklearn.pipeline import make_pipeline

from geneexpr import (
    ComBatCorrector,
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
print(cells.obs["lab"].value_counts().to_dict())

# %%
# The first steps do not look at the laboratory, the last one takes it from ``obs``.
prepare = make_pipeline(LowExpressionFilter(condition="lab"), CPMNormalizer(), LogTransformer())
before = prepare.fit_transform(cells)
after = ComBatCorrector(batch_key="lab").fit_transform(before)

# %%
# The 1000 most variable genes in two dimensions. The silhouette says how well the
# laboratories separate: near 1 they are apart, near 0 they overlap.
fig, axes = plt.subplots(1, 2, figsize=(9, 4.2), layout="constrained")
for ax, data, title in zip(axes, [before, after], ["before", "after ComBat"], strict=True):
    variable = VarianceFilter(n_genes=1000).fit_transform(data).X
    points = PCA(2, random_state=0).fit_transform(variable)
    separation = silhouette_score(points, cells.obs["lab"])
    print(f"{title}: silhouette of the laboratories {separation:.2f}")
    for lab, color in zip(cells.obs["lab"].unique(), ["C0", "C1", "C2"], strict=True):
        rows = (cells.obs["lab"] == lab).to_numpy()
        ax.scatter(*points[rows].T, s=18, color=color, label=lab)
    ax.set(title=title, xlabel="component 1", ylabel="component 2")
fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
plt.show()
