"""Write the golden model files of a release, which every later release must load.

    python tests/data/make_golden.py

It fits every estimator there is on a small simulated cohort and writes
``model-<version>.skops`` and, beside it, ``model-<version>.npz``: the cohort and what the
loaded models must give for it; then alike ``model-<version>-methods`` and
``model-<version>-networks``, with what the first does not hold. A pair that is there already
stays as it is, and so do those of earlier releases.
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
LINEAR_NET = {**SMALL_NET, "hidden_layers": ()}

SAYS = ("predict_proba", "transform", "decision_function", "predict")
"""What a model is asked: the first of these that it has."""


def corrected():
    """Steps from normalised counts to a model, new ones at each call."""
    return [
        ge.LogTransformer(),
        ge.ComBatCorrector(batch_key="batch"),
        ge.VarianceFilter(n_genes=10),
        ge.OnMatrix(StandardScaler()),
    ]


def few():
    """Keep a few genes: the size of a network's file goes by them."""
    return ge.VarianceFilter(n_genes=8)


def first_models(cohort):
    """One model of each kind."""
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


def methods(cohort):
    """The other estimators, several in a pipeline."""
    logged = {"log": True}
    probe_sets = {gene: f"set{i // 10}" for i, gene in enumerate(cohort.var_names)}
    gene_sets = {"a": list(cohort.var_names[:10]), "b": list(cohort.var_names[5:20])}
    stable = ge.StabilitySelector(
        LogisticRegression(C=0.1), n_resamples=5, n_genes=5, random_state=0
    )
    return {
        "linear": make_pipeline(
            ge.TMMNormalizer(**logged), ge.LinearBatchCorrector(batch_key="batch"), stable
        ),
        "selected": make_pipeline(
            ge.HighlyVariableGenes(n_genes=30, flavor="seurat_v3"),
            ge.UpperQuartileNormalizer(**logged),
            ge.DifferentialExpressionSelector(n_genes=8),
            ge.MeanCenterCorrector(batch_key="batch"),
        ),
        "stabilised": make_pipeline(
            ge.ComBatSeqCorrector(batch_key="batch"),
            few(),
            ge.VarianceStabilizer(fit_type="mean", n_sub=8),
        ),
        "ratio": make_pipeline(
            ge.MedianOfRatiosNormalizer(),
            ge.LogTransformer(),
            few(),
            ge.RatioCorrector(batch_key="batch"),
        ),
        "surrogates": make_pipeline(
            few(),
            ge.QuantileNormalizer(),
            ge.LogTransformer(),
            ge.SurrogateVariableCorrector(n_sv=1, allow_outcome=True),
        ),
        "probes": ge.RMANormalizer(probe_sets=probe_sets),
        "gene sets": make_pipeline(ge.CPMNormalizer(**logged), ge.GeneSetScorer(gene_sets)),
        "outliers": make_pipeline(
            ge.CPMNormalizer(**logged), few(), ge.SampleOutlierDetector(method="pca")
        ),
    }


def networks(cohort):
    """The other networks, of few arrays."""
    embedder = ge.VariationalAutoencoderEmbedder(2, batch_key="batch", **LINEAR_NET)
    head = {"max_epochs": 3, "random_state": 0, "calibration": "temperature"}
    standard = [ge.CPMNormalizer(log=True), few(), ge.OnMatrix(StandardScaler())]
    return {
        "variational": make_pipeline(few(), embedder),
        # Fitted behind the one before, whose embedder it shares.
        "encoded": make_pipeline(few(), ge.TorchMLPClassifier((), encoder=embedder, **head)),
        "regressor": make_pipeline(*standard, ge.TorchMLPRegressor(**SMALL_NET)),
    }


def output(model, cohort):
    """What a model says of a cohort, as an array."""
    said = next(name for name in SAYS if hasattr(model, name))
    found = getattr(model, said)(cohort)
    return np.asarray(found.X if hasattr(found, "X") else found)


def fitted(name, model, cohort, condition):
    """Fit a model to the condition, a regressor to numbers that it knows."""
    if name == "regressor":
        condition = np.unique(condition, return_inverse=True)[1] * 10.0
    return model.fit(cohort, condition)


def main(folder, version):
    """Fit, save, and record what was saved."""
    for stem, n_samples, make in (
        (f"model-{version}", 48, first_models),
        (f"model-{version}-methods", 24, methods),
        (f"model-{version}-networks", 24, networks),
    ):
        path = folder / f"{stem}.skops"
        if path.exists():
            print(f"{path.name} is there and stays as it is")
            continue
        cohort = ge.make_cohort(n_samples, 40, n_batches=2, effect_size=3.0, random_state=0)
        condition = cohort.obs["condition"].to_numpy(dtype=str)
        models = {
            name: fitted(name, model, cohort, condition) for name, model in make(cohort).items()
        }
        ge.save_model(models, path)
        np.savez_compressed(
            folder / f"{stem}.npz",
            counts=cohort.X.astype(np.float32),
            genes=cohort.var_names.to_numpy(dtype=str),
            length=cohort.var["length"].to_numpy(),
            batch=cohort.obs["batch"].to_numpy(dtype=str),
            condition=condition,
            **{f"output_{name}": output(model, cohort) for name, model in models.items()},
        )


if __name__ == "__main__":
    main(Path(__file__).parent, ge.__version__)
