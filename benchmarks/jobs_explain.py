"""SHAP values of a whole logistic pipeline, and of a network beside the explainers of shap."""

from __future__ import annotations

from functools import partial

import numpy as np

from ._data import counts
from ._jobs import OURS, Job, equal_score, times_faster, within_copies

N_EXPLAINED, N_BACKGROUND, HIDDEN = 100, 100, 128
DEEP, GRADIENT, KERNEL = "shap DeepExplainer", "shap GradientExplainer", "shap KernelExplainer"
KERNEL_ROWS, KERNEL_COALITIONS = 10, 64
"""The kernel explainer is given what it can do in minutes, not what it needs."""


# ------------------------------------------------------------------ a linear pipeline


def _linear_data(quick):
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from geneexpr import CPMNormalizer

    X, _ = counts(*((40, 400) if quick else (500, 20_000)))
    y = np.arange(len(X)) % 2
    X[y == 1, :50] *= 2
    model = make_pipeline(
        CPMNormalizer(log=True), StandardScaler(), LogisticRegression(max_iter=50, tol=1e-2)
    )
    return {"X": X, "model": model.fit(X, y)}


def _explain_linear(data):
    from geneexpr import explain

    return lambda: explain(data["model"], data["X"])


def _by_shap(data):
    """What a user writes: the pipeline up to its model, then shap on the model."""
    import shap

    model = data["model"]

    def call():
        seen = model[:-1].transform(data["X"])
        background = shap.maskers.Independent(seen, max_samples=len(seen))
        return shap.LinearExplainer(model[-1], background)(seen).values

    return call


def _same_values(data, ours, theirs):
    # shap weighs scaled genes, we weigh those before the scaler: the same products.
    return f"largest difference {np.abs(ours.values - theirs).max():.1e}"


# ------------------------------------------------------------------ a network


def _network_data(n_genes, quick):
    from geneexpr import TorchMLPClassifier

    n_genes = 400 if quick else n_genes
    rng = np.random.default_rng(0)
    n = N_EXPLAINED + 3 * N_BACKGROUND
    X = rng.standard_normal((n, n_genes), dtype=np.float32)
    y = np.arange(n) % 2
    X[y == 1, :100] += 0.3
    model = TorchMLPClassifier((HIDDEN,), max_epochs=5, random_state=0).fit(X, y)
    beside = X[N_EXPLAINED : N_EXPLAINED + N_BACKGROUND]
    return {"X": X[:N_EXPLAINED], "background": beside, "model": model}


def _explain_network(data):
    from geneexpr import explain

    return lambda: explain(data["model"], data["X"], background=data["background"])


def _plain(model):
    """Return the same network of PyTorch's own layers, which are all that shap knows."""
    import torch

    module = model.net_.module_
    first = module.hidden[0]
    layer = torch.nn.Linear(*first.weight.shape)
    layer.weight.data, layer.bias.data = first.weight.detach().T.contiguous(), first.bias.detach()
    return torch.nn.Sequential(layer, torch.nn.Tanh(), module.output).eval()


def _of_tensors(name, **options):
    def prepare(data):
        import shap
        import torch

        network = _plain(data["model"])
        X, beside = (torch.from_numpy(np.array(data[key])) for key in ("X", "background"))

        def call():
            explainer = getattr(shap, name)(network, beside)
            return np.squeeze(explainer.shap_values(X, **options))

        return call

    return prepare


def _kernel(data):
    import shap

    model = data["model"]

    def call():
        explainer = shap.KernelExplainer(model.decision_function, data["background"][:KERNEL_ROWS])
        return explainer.shap_values(
            data["X"], nsamples=KERNEL_COALITIONS, l1_reg="num_features(10)", silent=True
        )

    return call


def _digits(data, found):
    """Return how many digits the values add up to, of the base value and the margin."""
    rows, values = data["background"], getattr(found, "values", found)
    margin = data["model"].decision_function
    base = margin(rows).mean(dtype=np.float64)
    error = np.abs(values.sum(axis=1, dtype=np.float64) + base - margin(data["X"])).max()
    return float(-np.log10(error))


def _correlation(data, ours, theirs):
    values = getattr(theirs, "values", theirs)
    return f"correlation with ours {np.corrcoef(ours.values.ravel(), values.ravel())[0, 1]:.4f}"


_deep = _of_tensors("DeepExplainer", check_additivity=False)
_gradient = _of_tensors("GradientExplainer", nsamples=100, rseed=0)


def _network_job(name, n_genes, others):
    return Job(
        name,
        f"explain: TorchMLPClassifier, 100 samples of {n_genes} genes, background of 100",
        partial(_network_data, n_genes),
        {OURS: _explain_network, **others},
        targets=(times_faster(1, *others), equal_score(0, "digits of additivity")),
        score=_digits,
        score_name="digits of additivity",
        note=_correlation,
        repeats=3,
    )


JOBS = [
    Job(
        "explain_logistic",
        "explain: counts per million, scaler and logistic regression, 500 x 20 000",
        _linear_data,
        {OURS: _explain_linear, "shap LinearExplainer": _by_shap},
        targets=(within_copies(20),),
        copied=lambda data: data["X"],
        note=_same_values,
    ),
    _network_job("explain_mlp", 20_000, {DEEP: _deep, GRADIENT: _gradient}),
    _network_job("explain_mlp_small", 1_000, {DEEP: _deep, GRADIENT: _gradient, KERNEL: _kernel}),
]
