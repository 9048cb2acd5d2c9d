"""Write the golden model file of a release, which every later release must load.

    python tests/data/make_golden.py

It fits every estimator there is on a small simulated cohort and writes
``model-<version>.skops`` and, beside it, ``model-<version>.npz``: the cohort and what the
loaded models must give for it. Files of earlier releases stay as they are.
"""

from pathlib import Path

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import geneexpr as ge

SMALL_NET = {"max_epochs": 3, "hidden_layers": (4,), "random_state": 0}


def corrected():
    """Steps from normalised counts to a model, new ones at each call."""
    return [
        ge.LogTransformer(),
        ge.ComBatCorrector(batch_key="batch"),
        ge.VarianceFilter(n_genes=10),
        ge.OnMatrix(StandardScaler()),
    ]


def unfitted():
    """One model of each kind; together they hold every public estimator."""
    filtered = [ge.GeneAligner(), ge.LowExpressionFilter(condition="condition")]
    embedder = ge.AutoencoderEmbedder(n_components=3, **SMALL_NET)
    forest = RandomForestClassifier(3, max_depth=3, random_state=0)
    return {
        "network": make_pipeline(
            *filtered, ge.TPMNormalizer(), *corrected(), ge.TorchMLPClassifier(**SMALL_NET)
        ),
        "embedding": make_pipeline(ge.FPKMNormalizer(), *corrected(), embedder, ge.ToArray()),
        "forest": make_pipeline(ge.CPMNormalizer(), ge.ToArray(), forest),
        "search": GridSearchCV(
            make_pipeline(ge.CPMNormalizer(), *corrected(), ge.ToArray(), LogisticRegression()),
            {"logisticregression__C": [0.01, 1.0], "combatcorrector": ["passthrough"]},
            cv=StratifiedKFold(3, shuffle=True, random_state=0),
            scoring="roc_auc",
        ),
    }


def output(model, cohort):
    """What a model says of a cohort, as an array."""
    if hasattr(model, "predict_proba"):
        return np.asarray(model.predict_proba(cohort))
    return np.asarray(model.transform(cohort))


def main(folder, version):
    """Fit, save, and record what was saved."""
    cohort = ge.make_cohort(48, 40, n_batches=2, effect_size=3.0, random_state=0)
    condition = cohort.obs["condition"].to_numpy(dtype=str)
    models = {name: model.fit(cohort, condition) for name, model in unfitted().items()}
    ge.save_model(models, folder / f"model-{version}.skops")
    np.savez_compressed(
        folder / f"model-{version}.npz",
        counts=cohort.X.astype(np.float32),
        genes=cohort.var_names.to_numpy(dtype=str),
        length=cohort.var["length"].to_numpy(),
        batch=cohort.obs["batch"].to_numpy(dtype=str),
        condition=condition,
        **{f"output_{name}": output(model, cohort) for name, model in models.items()},
    )


if __name__ == "__main__":
    main(Path(__file__).parent, ge.__version__)
