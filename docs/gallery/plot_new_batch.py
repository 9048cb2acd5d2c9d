"""
A batch that the model has never seen
=====================================

A model is trained on three sites and meets a fourth. What to do with it is a decision, and
no choice is free: ``unseen_batch="raise"`` refuses, ``"passthrough"`` leaves the rows as
they are, ``"estimate"`` takes location and scale of the new batch from its own rows. The
last assumes that the new site has the class mix of the training data.
"""

# %%
# Four sites with strong batch effects; the fourth is kept apart.
import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from geneexpr import (
    BatchWarning,
    ComBatCorrector,
    CPMNormalizer,
    LogTransformer,
    LowExpressionFilter,
    ToArray,
)
from geneexpr.datasets import make_cohort

cohort = make_cohort(
    320, 1500, n_batches=4, batch_location=1.0, effect_size=0.5, n_class_genes=60, random_state=1
)
fourth = (cohort.obs["batch"] == cohort.obs["batch"].cat.categories[-1]).to_numpy()
old, new = cohort[~fourth].copy(), cohort[fourth].copy()
case = cohort.obs["condition"].cat.categories[1]


def accuracy(unseen_batch, samples):
    """Train on the old sites, predict the samples of the new one."""
    correct = ComBatCorrector(batch_key="batch", unseen_batch=unseen_batch or "raise")
    model = make_pipeline(
        LowExpressionFilter(condition="y"),
        CPMNormalizer(),
        LogTransformer(),
        correct if unseen_batch else "passthrough",
        ToArray(),
        StandardScaler(),
        LogisticRegression(C=0.01, max_iter=1000),
    ).fit(old, old.obs["condition"] == case)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BatchWarning)  # both ways warn, and rightly so
        return model.score(samples, samples.obs["condition"] == case)


# %%
# Class mixes of the new samples, from even to one class.
cases = np.flatnonzero(new.obs["condition"] == case)
controls = np.flatnonzero(new.obs["condition"] != case)
shares = [0.5, 0.7, 0.9, 1.0]
mixes = [new[np.r_[cases[: round(38 * s)], controls[: 38 - round(38 * s)]]].copy() for s in shares]
ways = {None: "no correction at all", "passthrough": "passthrough", "estimate": "estimate"}
scores = {name: [accuracy(way, mix) for mix in mixes] for way, name in ways.items()}
for name, row in scores.items():
    print(f"{name:22}" + "  ".join(f"{value:.2f}" for value in row))

# %%
# Where the mix is that of the training data, estimating is best. Where it is not, the
# correction takes the difference between the classes for a batch effect. (That passthrough
# does well on cases alone only says that it calls nearly everybody a case.)
fig, ax = plt.subplots(figsize=(6.5, 4), layout="constrained")
for name, row in scores.items():
    ax.plot(shares, row, "o-", label=name)
ax.set(xlabel="share of cases among the new samples", ylabel="accuracy", ylim=(0, 1.05))
ax.legend(frameon=False)
plt.show()

# %%
# With reference rows whose mix is known, ``adapt`` freezes the new batch's parameters, and
# every later sample of that site is corrected on its own.
log = make_pipeline(CPMNormalizer(), LogTransformer())
combat = ComBatCorrector(batch_key="batch").fit(log.fit_transform(old), old.obs["condition"])
reference, patient = log.transform(new[:30]), log.transform(new[30:31])
adapted = combat.adapt(reference)
print(adapted.transform(patient).shape)
