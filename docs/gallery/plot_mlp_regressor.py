"""
Several numbers from one network
================================

The regressor learns all targets with one network, each standardised inside. On simulated
counts the true activities of the gene modules are known: predict them, select the genes that
it takes, and look at the training.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from geneexpr import (
    CPMNormalizer,
    LogTransformer,
    ToArray,
    TorchMLPRegressor,
    TrainingCurveDisplay,
    VarianceFilter,
)
from geneexpr.datasets import make_cohort

cohort = make_cohort(400, 2000, n_modules=4, module_strength=0.5, random_state=0)
prepare = make_pipeline(
    CPMNormalizer(), LogTransformer(), VarianceFilter(n_genes=500), ToArray(), StandardScaler()
)
train, test = slice(0, 300), slice(300, None)
X_train = prepare.fit_transform(cohort[train]).astype(np.float32)
X_test = prepare.transform(cohort[test]).astype(np.float32)
truth = cohort.obsm["module_activity"]

# %%
# Ridge regression stands beside it: the modules act linearly on the logarithm, so a network
# has nothing to add here, and should not lose much. ``l1`` leaves most genes out.
models = {
    "ridge": RidgeCV(np.logspace(0, 4, 9)),
    "network": TorchMLPRegressor(random_state=0),
    "network, few genes": TorchMLPRegressor(l1=0.03, lr_schedule="cosine", random_state=0),
}
for name, model in models.items():
    score = model.fit(X_train, truth[train]).score(X_test, truth[test])
    print(f"{name:20s} R2 on held-out samples {score:.2f}")
sparse = models["network, few genes"]
print(f"{len(sparse.selected_genes_)} of {X_train.shape[1]} genes selected")

# %%
# The loss is that of the standardised targets: 1 is what their means would give.
watched = TorchMLPRegressor(early_stopping=True, random_state=0).fit(X_train, truth[train])
fig, (left, right) = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
TrainingCurveDisplay.from_estimator(watched, ax=left)
right.scatter(truth[test, 0], sparse.predict(X_test)[:, 0], s=14)
right.axline((0, 0), slope=1, color="0.7", zorder=0)
right.set(xlabel="true activity of module 1", ylabel="predicted")
plt.show()
