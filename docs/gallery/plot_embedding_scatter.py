"""
Samples on principal components, and cells on an embedding
==========================================================

`EmbeddingDisplay` colours samples by an annotation that travels with them.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.decomposition import PCA

from geneexpr import CPMNormalizer, EmbeddingDisplay, LogTransformer, make_cohort

cohort = make_cohort(90, 1000, n_batches=3, random_state=0)
logged = LogTransformer().fit_transform(CPMNormalizer().fit_transform(cohort))
pca = PCA(4, random_state=0).fit(logged.X)

figure, axes = plt.subplots(1, 2, figsize=(10, 4.5), layout="constrained")
for ax, color in zip(axes, ["batch", "condition"], strict=True):
    EmbeddingDisplay.from_estimator(pca, logged, color=color, ax=ax)

# %%
# More than seven levels are named where their cells lie. Points of many cells are drawn as an
# image, also into PDF and SVG, in a fixed random order.

rng = np.random.default_rng(0)
kinds = rng.integers(0, 12, 20000)
points = 6 * rng.normal(size=(12, 2))[kinds] + rng.normal(size=(20000, 2))
EmbeddingDisplay.from_points(points, color=np.array([f"cluster {i}" for i in range(12)])[kinds])
