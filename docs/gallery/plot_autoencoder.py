"""
A denoising autoencoder
=======================

The embedder learns a few components without labels; ``inverse_transform`` gives the
expression that they explain. On simulated counts the true activity of the gene modules is
known, so we can ask how much of it the components hold.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from geneexpr import AutoencoderEmbedder, CPMNormalizer, LogTransformer, ToArray, VarianceFilter
from geneexpr.datasets import make_cohort

cohort = make_cohort(400, 2000, n_modules=6, module_strength=1.0, random_state=0)
prepare = make_pipeline(
    CPMNormalizer(), LogTransformer(), VarianceFilter(n_genes=500), ToArray(), StandardScaler()
)
X = prepare.fit_transform(cohort).astype(np.float32)
train, test = slice(0, 300), slice(300, None)
truth = cohort.obsm["module_activity"]

# %%
# Train on 300 samples; how well do the components of the others tell the activities? The
# modules of this cohort act linearly on the logarithm, so PCA is hard to beat here: always
# keep it beside a network.
embedder = AutoencoderEmbedder(n_components=6, random_state=0).fit(X[train])
pca = PCA(6, random_state=0).fit(X[train])
for name, model in {"autoencoder": embedder, "PCA": pca}.items():
    line = LinearRegression().fit(model.transform(X[train]), truth[train])
    score = line.score(model.transform(X[test]), truth[test])
    print(f"{name}: R2 of the module activities {score:.2f}")

# %%
# Its losses, and two of its components.
fig, (left, right) = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
left.plot(embedder.loss_curve_)
left.set(xlabel="epoch", ylabel="training loss")
Z = embedder.transform(X)
points = right.scatter(Z[:, 0], Z[:, 1], c=truth[:, 0], s=14)
right.set(xlabel="component 1", ylabel="component 2")
fig.colorbar(points, label="activity of module 1")
plt.show()
