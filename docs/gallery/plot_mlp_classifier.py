"""
A classifier, the genes that it reads, and how sure it is
=========================================================

Three subtypes of a simulated cohort, four samples a donor. A small network tells them apart;
the group lasso leaves it few genes to read; and one number, learned by cross-fitting, makes
its probabilities as sure as they deserve to be.
"""

# %%
import matplotlib.pyplot as plt
from sklearn.calibration import CalibrationDisplay
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from geneexpr import (
    CPMNormalizer,
    LogTransformer,
    OnMatrix,
    ToArray,
    TorchMLPClassifier,
    TrainingCurveDisplay,
    VarianceFilter,
)
from geneexpr.datasets import make_cohort

cohort = make_cohort(
    600,
    1500,
    n_classes=3,
    n_class_genes=60,
    effect_size=1.0,
    n_samples_per_donor=4,
    dispersion=0.3,
    random_state=0,
)
subtype = cohort.obs["condition"].to_numpy()
first = cohort.obs["donor"].isin(cohort.obs["donor"].unique()[:75]).to_numpy()
train, test = cohort[first], cohort[~first]


def pipeline(last):
    """Steps from counts to a prediction; every one takes and gives AnnData."""
    return make_pipeline(
        CPMNormalizer(),
        LogTransformer(),
        VarianceFilter(n_genes=600),
        OnMatrix(StandardScaler()),
        *last,
    )


# %%
# Donors stand on one side of the split, here and inside: ``group_key`` keeps them together
# where the network stops early and where it is calibrated. A linear model stands beside it.
settings = {"group_key": "donor", "max_epochs": 60, "random_state": 0}
sparse = {"l1": 0.05, "lr_schedule": "cosine"}
models = {
    "logistic regression": pipeline([ToArray(), LogisticRegression(C=0.01, max_iter=1000)]),
    "network": pipeline([TorchMLPClassifier(**settings)]),
    "network, calibrated": pipeline([TorchMLPClassifier(calibration="temperature", **settings)]),
    "network, few genes": pipeline([TorchMLPClassifier(**sparse, **settings)]),
}
chances = {}
for name, model in models.items():
    chances[name] = model.fit(train, subtype[first]).predict_proba(test)
    accuracy = (model.classes_[chances[name].argmax(axis=1)] == subtype[~first]).mean()
    loss = log_loss(subtype[~first], chances[name])
    print(f"{name:20s} accuracy {accuracy:.2f}, log loss {loss:.2f}")
print(f"temperature {models['network, calibrated'][-1].temperature_:.2f}")

# %%
# Which genes? The simulation knows which ones depend on the subtype.
selected = models["network, few genes"][-1].selected_genes_
tells = cohort.var["class_gene"]
print(f"{len(selected)} genes selected; {tells[selected].mean():.0%} of them tell a subtype,")
print(f"of all genes {tells.mean():.0%}")

# %%
# The chance that the network gives to its choice, against how often it is right: below the
# diagonal it is too sure. On the right, a training that stops early.
fig, (left, right) = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
for name in ("network", "network, calibrated"):
    right_choice = models[name].classes_[chances[name].argmax(axis=1)] == subtype[~first]
    CalibrationDisplay.from_predictions(
        right_choice, chances[name].max(axis=1), n_bins=5, strategy="quantile", name=name, ax=left
    )
left.set(xlabel="chance of the subtype chosen", ylabel="share that is right")
left.set(xlim=(0.5, 1.02), ylim=(0.5, 1.02))
watched = pipeline([TorchMLPClassifier(early_stopping=True, **settings)]).fit(train, subtype[first])
TrainingCurveDisplay.from_estimator(watched, ax=right)
plt.show()
