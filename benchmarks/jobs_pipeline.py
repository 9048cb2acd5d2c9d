"""One step on AnnData beside the array, and one sample through a whole pipeline."""

from __future__ import annotations

from functools import partial

import numpy as np

from ._data import annotated, counts
from ._jobs import OURS, Job, within_seconds

ANNDATA = "geneexpr on AnnData"


def _data(n_samples):
    def make(quick):
        X, lengths = counts(*((40, 400) if quick else (n_samples, 20_000)))
        rng = np.random.default_rng(1)
        n = len(X)
        return {
            "X": X,
            "lengths": lengths,
            "y": np.where(rng.random(n) < 0.5, "case", "control"),
            "batch": np.array(["a", "b", "c", "d"])[np.arange(n) % 4],
        }

    return make


def _step(as_anndata, n_rows):
    def prepare(data):
        from geneexpr import CPMNormalizer

        X = data["X"][:n_rows]
        X = annotated(X, batch=data["batch"][:n_rows]) if as_anndata else X
        step = CPMNormalizer().fit(X)
        return lambda: step.transform(X)

    return prepare


def _step_job(name, n_rows):
    return Job(
        name,
        f"CPM transform of {n_rows} x 20 000, as array and as AnnData",
        _data(500),
        {OURS: _step(False, n_rows), ANNDATA: _step(True, n_rows)},
        targets=(within_seconds(0.005, ours=ANNDATA, beyond=OURS),),
        repeats=41,
        memory=False,
    )


def _pipeline(model, lengths, **batch):
    from sklearn import config_context
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    import geneexpr as ge

    combat = ge.ComBatCorrector(**batch)
    if not batch:
        with config_context(enable_metadata_routing=True):
            combat.set_fit_request(batch=True).set_transform_request(batch=True)
    return make_pipeline(
        ge.LowExpressionFilter(condition="y"),
        ge.TPMNormalizer(gene_lengths=lengths),
        ge.LogTransformer(),
        combat,
        ge.VarianceFilter(n_genes=5_000),
        ge.ToArray(),
        StandardScaler(),
        model,
    )


def _logistic():
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=200)


def _network():
    from geneexpr import TorchMLPClassifier

    return TorchMLPClassifier(max_epochs=3, early_stopping=False, random_state=0)


def _predict_array(model):
    def prepare(data):
        from sklearn import config_context

        from geneexpr import LowExpressionFilter

        # An array has no names to find the lengths of the kept genes by.
        kept = LowExpressionFilter(condition="y").fit(data["X"], data["y"]).get_support()
        pipeline = _pipeline(model(), data["lengths"][kept])
        one, label = data["X"][:1].copy(), data["batch"][:1]
        routed = partial(config_context, enable_metadata_routing=True)
        with routed():
            pipeline.fit(data["X"], data["y"], batch=data["batch"])

        def predict():
            with routed():
                return pipeline.predict(one, batch=label)

        return predict

    return prepare


def _predict_anndata(model):
    def prepare(data):
        A = annotated(data["X"], {"length": data["lengths"]}, batch=data["batch"])
        pipeline = _pipeline(model(), "length", batch_key="batch").fit(A, data["y"])
        one = A[:1].copy()
        return lambda: pipeline.predict(one)

    return prepare


def _predict_job(name, title, model):
    return Job(
        name,
        f"predict one sample of 20 000 genes: filter, TPM, log, ComBat, variance, scale, {title}",
        _data(200),
        {OURS: _predict_array(model), ANNDATA: _predict_anndata(model)},
        targets=(within_seconds(0.010), within_seconds(0.020, ours=ANNDATA)),
        repeats=51,
        memory=False,
    )


def _cohort(n_samples, n_genes):
    def prepare(data):
        from geneexpr.datasets import make_cohort

        size = (500, 200) if data["quick"] else (n_samples, n_genes)
        return lambda: make_cohort(*size, density=0.05, sparse=True, random_state=0)

    return prepare


JOBS = (
    _step_job("anndata_step", 500),
    _step_job("anndata_step_one", 1),
    _predict_job("predict_logistic", "logistic regression", _logistic),
    _predict_job("predict_network", "network", _network),
    Job(
        "cohort",
        "make_cohort, CSR 100 000 x 20 000 at 5 %",
        lambda quick: {"quick": quick},
        {OURS: _cohort(100_000, 20_000)},
        targets=(within_seconds(120),),
        repeats=1,
    ),
)
