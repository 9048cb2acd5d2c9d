"""
A variational autoencoder of counts
===================================

Two batches of cells, whose counts are few. The model takes the batch out of the components,
tells the expression that the counts stand for, and generates cells.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np
from sklearn.decomposition import PCA

from geneexpr import VariationalAutoencoderEmbedder, lisi
from geneexpr.datasets import make_cohort

cells = make_cohort(
    600,
    400,
    n_classes=3,
    n_batches=2,
    n_class_genes=80,
    effect_size=1.5,
    batch_location=0.8,
    library_size=4000,
    extra_poisson=0,
    dtype=np.float32,
    random_state=0,
)

# %%
# The batch is an annotation of the cells; the decoder is told it, the encoder is not.
model = VariationalAutoencoderEmbedder(
    8, batch_key="batch", lr=3e-3, max_epochs=80, random_state=0
).fit(cells)
Z = model.transform(cells).X
logs = np.log1p(cells.X / cells.X.sum(1, keepdims=True) * 4000)
pca = PCA(8, random_state=0).fit(logs)
batch = cells.obs["batch"].to_numpy()
for name, embedding in {"PCA": pca.transform(logs), "model": Z}.items():
    mixed = np.mean(lisi(embedding, batch=batch)["lisi"])
    print(f"{name}: effective number of batches around a cell {mixed:.2f} of 2")

# %%
# Half of the molecules of every cell are taken away. How well do the shares restored from the
# other half foretell them? The deviance is that of a Poisson distribution; lower is better.
thinned = cells.copy()
thinned.X = np.random.default_rng(0).binomial(cells.X.astype(int), 0.5).astype(np.float32)
taken = cells.X - thinned.X
again = VariationalAutoencoderEmbedder(8, lr=3e-3, max_epochs=80, random_state=0).fit(thinned.X)
shares = {"model": again.denoise(thinned.X)}
logs_thinned = np.log1p(thinned.X / thinned.X.sum(1, keepdims=True) * 4000)
small = PCA(8, random_state=0).fit(logs_thinned)
shares["PCA"] = np.expm1(small.inverse_transform(small.transform(logs_thinned))).clip(1e-3)
for name, share in shares.items():
    mean = share / share.sum(1, keepdims=True) * taken.sum(1, keepdims=True)
    logs_of_ratio = np.log(np.where(taken > 0, taken / mean, 1))
    print(f"{name}: deviance {2 * (taken * logs_of_ratio - taken + mean).mean():.3f}")

# %%
# ``score_samples`` is a lower bound of each cell's log-probability. Cells whose genes were
# swapped stand out; generated ones do not.
drawn, swapped = cells[:200].copy(), cells[:200].copy()
drawn.X = model.sample(200, batch=model.batches_[0])
drawn.obs["batch"] = model.batches_[0]
swapped.X = swapped.X[:, np.random.default_rng(0).permutation(cells.n_vars)]
for name, some in {"measured": cells, "generated": drawn, "swapped": swapped}.items():
    print(f"{name}: median bound {np.median(model.score_samples(some)):.0f}")

# %%
# Components of the cells by class and by batch, and the bound in training.
fig, axes = plt.subplots(1, 3, figsize=(12, 4), layout="constrained")
plane = PCA(2).fit_transform(Z)
for axis, key in zip(axes, ("condition", "batch"), strict=False):
    for level in np.unique(cells.obs[key]):
        rows = (cells.obs[key] == level).to_numpy()
        axis.scatter(*plane[rows].T, s=8, label=level)
    axis.set(xlabel="first axis of the components", ylabel="second axis", title=key)
    axis.legend()
history = model.history_
for name in ("train_loss", "valid_loss"):
    axes[2].plot(history[name], label=name)
axes[2].set(xlabel="epoch", ylabel="negative evidence bound a cell")
axes[2].legend()
plt.show()
