"""
Transfer learning: from a large study to twenty samples
=======================================================

An embedder learns from a large study what genes do together, without labels. A small study
of the same tissue then needs labels only to tell what the components mean. The two were
measured apart: one lacks genes that the other has, and every gene is shifted.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import t
from sklearn.model_selection import StratifiedShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from geneexpr import AutoencoderEmbedder, CPMNormalizer, TorchMLPClassifier
from geneexpr.datasets import make_cohort

both = make_cohort(
    700,
    1000,
    n_batches=2,
    n_class_genes=150,
    effect_size=0.7,
    batch_location=0.5,
    dispersion=0.3,
    dtype=np.float32,
    random_state=0,
)
logged = CPMNormalizer(log=True).fit_transform(both)
is_large = (both.obs["batch"] == both.obs["batch"].iloc[0]).to_numpy()
large, small = logged[is_large, :900], logged[~is_large, 100:]
labels = small.obs["condition"].to_numpy()
print(f"large study: {large.shape}, small study: {small.shape}, without labels and with")

# %%
# The embedder is trained on the large study alone. ``save_model`` and ``load_model`` would take
# it to another machine; nothing in the file names a sample.
embedder = AutoencoderEmbedder(
    16, hidden_layers=(128,), noise=0.5, max_epochs=60, random_state=0
).fit(large)

# %%
# Twenty samples of the small study are drawn for training, again and again; the others judge.
# ``fine_tune`` brings the embedder to the genes of the small study and goes on for some epochs
# (without labels), then the classifier learns on its components, with the encoder as it is or
# learning along. From scratch, the same network has the twenty samples and no more.
drawn = StratifiedShuffleSplit(10, train_size=20, random_state=0)
scores = {"from scratch": [], "encoder frozen": [], "encoder learns along": []}
for train, test in drawn.split(labels, labels):
    tuned = embedder.fine_tune(small[train], max_epochs=20)
    head = {"hidden_layers": (), "lr": 0.02, "max_epochs": 60, "random_state": 0}
    models = {
        "from scratch": make_pipeline(
            StandardScaler().set_output(transform="pandas"), TorchMLPClassifier(random_state=0)
        ),
        "encoder frozen": TorchMLPClassifier(encoder=tuned, **head),
        "encoder learns along": TorchMLPClassifier(
            encoder=tuned, freeze=20, **{**head, "lr": 0.002, "max_epochs": 100}
        ),
    }
    frame = small.to_df()
    for name, model in models.items():
        data = frame if name == "from scratch" else small
        fitted = model.fit(data.iloc[train] if data is frame else data[train], labels[train])
        held_out = data.iloc[test] if data is frame else data[test]
        scores[name].append(fitted.score(held_out, labels[test]))

# %%
# The draws share their samples, so the interval of a mean difference is widened by the share of
# training to test samples (Nadeau and Bengio 2003, doi 10.1023/A:1024068626366).
n_train, n_test = 20, len(labels) - 20
base = np.array(scores["from scratch"])
for name, found in scores.items():
    gap = np.array(found) - base
    half = t.ppf(0.975, len(gap) - 1) * gap.std(ddof=1) * np.sqrt(1 / len(gap) + n_train / n_test)
    print(
        f"{name}: accuracy {np.mean(found):.3f}, difference {gap.mean():+.3f} "
        f"[{gap.mean() - half:+.3f}, {gap.mean() + half:+.3f}]"
    )

# %%
# Every line is one draw of twenty samples.
fig, axes = plt.subplots(figsize=(6, 4), layout="constrained")
axes.plot(list(scores), np.array(list(scores.values())), color="0.7", marker="o")
axes.plot(list(scores), [np.mean(v) for v in scores.values()], color="C3", lw=3, label="mean")
axes.set(ylabel="accuracy on the rest of the small study")
axes.legend()
plt.show()
