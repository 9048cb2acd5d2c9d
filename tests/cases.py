"""Every public estimator, discovered, and the containers that it must take."""

import inspect

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp
from sklearn.base import BaseEstimator
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import get_tags

import geneexpr
import geneexpr.io
from geneexpr import ToArray

N_SAMPLES, N_GENES = 36, 24

REQUIRED = {
    "ConformalClassifier": {
        "estimator": make_pipeline(ToArray(), ExtraTreesClassifier(5, max_depth=3, random_state=0)),
        "level": 0.8,
    },
    "ConformalRegressor": {
        "estimator": make_pipeline(ToArray(), ExtraTreesRegressor(5, max_depth=3, random_state=0)),
        "level": 0.8,
    },
    "DistributionGuard": {
        "estimator": make_pipeline(ToArray(), ExtraTreesClassifier(5, max_depth=3, random_state=0)),
    },
    "GeneSetScorer": {"gene_sets": None},
    "OnMatrix": {"transformer": StandardScaler()},
    "RMANormalizer": {"probe_sets": None},
    "StabilitySelector": {
        "estimator": ExtraTreesClassifier(5, max_depth=3, random_state=0),
        "n_resamples": 5,
        "threshold": 0.1,
    },
}
"""Arguments without a default, and those that keep a test short."""

FOR_CHECKS = {
    "allow_outcome": True,
    "batch_size": 200,
    "dropout": 0,
    "early_stopping": False,
    "gene_lengths": None,
    "lr": 0.01,
}
"""What scikit-learn's checks need: their data have no gene lengths, and a network must reach
the same optimum whatever the order of the rows."""

SMALL_NET = {"hidden_layers": (8,), "max_epochs": 3, "random_state": 0}

VARIANTS = {
    "AutoencoderEmbedder": [
        {"n_components": 3, "max_epochs": 3, "random_state": 0},
        {"n_components": 3, "max_epochs": 3, "random_state": 0, "tied": True, "loss": "nb"},
    ],
    "CPMNormalizer": [{}, {"log": True}],
    "ComBatCorrector": [
        {"batch_key": "batch"},
        {"batch_key": "batch", "mean_only": True},
        {"batch_key": "batch", "parametric": False},
        {"batch_key": "batch", "reference_batch": "b"},
        {"batch_key": "batch", "covariate_keys": ("age",)},
    ],
    "ComBatSeqCorrector": [
        {"batch_key": "batch"},
        {"batch_key": "batch", "covariate_keys": ("age",)},
        {"batch_key": "batch", "shrink": True},
    ],
    "ConformalClassifier": [
        {},
        {"method": "split", "cv": 2, "level": 0.5},
        {"group_key": "age", "per_class": True},
    ],
    "ConformalRegressor": [{}, {"method": "split", "cv": 2, "level": 0.5}],
    "DifferentialExpressionSelector": [
        {"n_genes": 7},
        {"min_log2_fold_change": 0.1, "trend": True, "robust": True},
        {"n_genes": 7, "method": "welch_t"},
        {"n_genes": 7, "method": "wilcoxon"},
        {"n_genes": 7, "method": "voom"},
        {"n_genes": 7, "method": "wald"},
    ],
    "DistributionGuard": [{}, {"method": "knn"}, {"space": "input", "n_components": 2}],
    "GeneAligner": [{}, {"missing": "mean"}],
    "GeneSetScorer": [{}, {"method": "mean_z"}, {"method": "singscore"}],
    "HighlyVariableGenes": [
        {"n_genes": 7},
        {"n_genes": 7, "flavor": "cell_ranger"},
        {"n_genes": 7, "flavor": "seurat_v3"},
    ],
    "LinearBatchCorrector": [
        {"batch_key": "batch"},
        {"batch_key": "batch", "covariate_keys": ("age",)},
        {"batch_key": "batch", "remove_keys": ("age",)},
        {"remove_keys": ("age",)},
    ],
    "LogTransformer": [{}, {"base": "e", "pseudocount": 0.5}, {"base": 10, "floor": 2.0}],
    "LowExpressionFilter": [
        {},
        {"condition": "y"},
        {"condition": "batch", "min_count": 5},
        {"design": ("batch", "age")},
    ],
    "TorchMLPClassifier": [
        SMALL_NET,
        {**SMALL_NET, "hidden_layers": (8, 8), "normalization": "batch", "residual": True},
        {**SMALL_NET, "normalization": "layer", "calibration": "temperature"},
        {**SMALL_NET, "hidden_layers": (), "l1": 0.05, "lr_schedule": "cosine"},
    ],
    "TorchMLPRegressor": [
        SMALL_NET,
        {**SMALL_NET, "normalization": "batch", "loss": "huber", "gradient_clip": 1.0},
    ],
    "MeanCenterCorrector": [
        {"batch_key": "batch"},
        {"batch_key": "batch", "covariate_keys": ("age",)},
    ],
    "MedianOfRatiosNormalizer": [{}, {"method": "poscounts"}],
    "QuantileNormalizer": [{}, {"ties": "first"}],
    "RatioCorrector": [
        {"batch_key": "batch"},
        {"batch_key": "batch", "mean": "geometric"},
        {"batch_key": "batch", "mean": "geometric", "covariate_keys": ("age",)},
    ],
    "StabilitySelector": [{}, {"n_genes": 7}],
    "SampleOutlierDetector": [
        {"random_state": 0},
        {"method": "pca"},
        {"method": "correlation", "max_references": 9, "random_state": 0},
        {"method": "distribution", "contamination": 0.2},
    ],
    "SurrogateVariableCorrector": [{"allow_outcome": True, "n_sv": 2}],
    "TMMNormalizer": [{}, {"method": "TMMwsp"}, {"reference": "pooled", "log": True}],
    "ToArray": [{}, {"dense": True}],
    "UpperQuartileNormalizer": [{}, {"log": True}],
    "VariationalAutoencoderEmbedder": [
        {"n_components": 3, "max_epochs": 3, "random_state": 0},
        {
            "n_components": 3,
            "max_epochs": 3,
            "batch_key": "batch",
            "likelihood": "zinb",
            "random_state": 0,
        },
        {"n_components": 3, "max_epochs": 3, "likelihood": "gaussian", "random_state": 0},
    ],
    "VarianceFilter": [
        {"n_genes": 7},
        {"n_genes": 7, "method": "mad"},
        {"n_genes": 7, "method": "iqr"},
        {"threshold": 1.0, "method": "dispersion"},
    ],
    "VarianceStabilizer": [{}, {"fit_type": "mean", "n_sub": 5}],
}
"""Options under which the contract holds; an estimator that is not here is tried as it comes."""


def public_estimators():
    """Return every public estimator class by name."""
    found = {name: getattr(geneexpr, name) for name in geneexpr.__all__}
    return {
        name: value
        for name, value in sorted(found.items())
        if inspect.isclass(value) and issubclass(value, BaseEstimator)
    }


def for_checks(name, cls):
    """Return an instance for scikit-learn's own checks."""
    parameters = inspect.signature(cls).parameters
    options = {key: value for key, value in FOR_CHECKS.items() if key in parameters}
    return cls(**REQUIRED.get(name, {}), **options)


def for_contract():
    """Return pairs of an id and an instance: every estimator under each of its variants."""
    pairs = []
    for name, cls in public_estimators().items():
        for options in VARIANTS.get(name, [{}]):
            said = ",".join(f"{key}={value}" for key, value in options.items())
            estimator = cls(**{**REQUIRED.get(name, {}), **options})
            pairs.append((f"{name}({said})", estimator))
    return pairs


# ------------------------------------------------------------------ one cohort, all containers


def cohort(counts=True, seed=0):
    """Return matrix, annotations of samples and of genes, and target of a small cohort."""
    rng = np.random.default_rng(seed)
    obs = pd.DataFrame(
        {
            "batch": np.array(["a", "b", "c"])[np.arange(N_SAMPLES) % 3],
            "age": rng.integers(20, 80, N_SAMPLES).astype(float),
        },
        index=pd.Index([f"s{i}" for i in range(N_SAMPLES)], name="sample"),
    )
    var = pd.DataFrame(
        {"length": rng.integers(200, 5000, N_GENES).astype(float)},
        index=[f"g{i}" for i in range(N_GENES)],
    )
    y = np.array(["case", "control"])[(np.arange(N_SAMPLES) // 3) % 2]
    mean = rng.gamma(1.0, 60.0, N_GENES) * (1 + (obs["batch"] == "b").to_numpy()[:, None])
    X = rng.poisson(rng.gamma(2.0, mean / 2)).astype(np.float64)
    X[:, 0] = 0.0
    return (X if counts else np.log2(X + 1)), obs, var, y


MEMORY = ("array", "csr_matrix", "csr_array", "csc_matrix", "frame", "anndata", "anndata_csr")
DISK = ("zarr", "zarr_csr", "dask", "dask_csr", "h5ad")


def put(kind, X, obs, var, folder=None):
    """Put a matrix into a container of this kind; those on disk go into the folder."""
    if kind == "array":
        return X
    if kind in ("csr_matrix", "csr_array", "csc_matrix"):
        return getattr(sp, kind)(X)
    if kind == "frame":
        index = pd.MultiIndex.from_arrays(
            [obs.index, *(obs[c] for c in obs)], names=["sample", *obs.columns]
        )
        return pd.DataFrame(X, index=index, columns=var.index)
    sparse = kind.endswith("csr")
    adata = ad.AnnData(sp.csr_matrix(X) if sparse else X, obs=obs, var=var)
    if kind.startswith("anndata"):
        return adata
    path = folder / f"{kind}-{abs(hash(X.tobytes()))}"
    if kind == "h5ad":
        adata.write_h5ad(path)
        return ad.read_h5ad(path, backed="r")
    import dask.array as da

    if kind == "dask":
        adata.X = da.from_array(X, chunks=(7, 5))
        return adata
    adata.X = da.from_array(X, chunks=(7, -1))
    if sparse:
        adata.X = adata.X.map_blocks(sp.csr_matrix)
    if kind.startswith("dask"):
        return adata
    geneexpr.io.write_zarr(adata, path)
    return geneexpr.io.open_zarr(path)


def dense(X):
    """Return what a container holds as an array."""
    X = X.X if isinstance(X, ad.AnnData) else X
    X = X.compute() if hasattr(X, "compute") else X
    X = X[:] if hasattr(X, "to_memory") or type(X).__module__.startswith(("h5py", "zarr")) else X
    return X.toarray() if sp.issparse(X) else np.asarray(X)


def annotated(estimator):
    """Tell the annotations that an estimator asks for by name, as arguments for arrays."""
    keys = estimator.get_params(deep=False)
    wanted = {}
    if keys.get("batch_key"):
        wanted["batch"] = keys["batch_key"]
    for key, name in (("covariate_keys", "covariates"), ("remove_keys", "remove")):
        if keys.get(key):
            wanted[name] = list(keys[key])
    return wanted


def for_kind(estimator, kind, obs):
    """Return the estimator and the labels to pass beside a container of this kind.

    An array carries no annotations: the same estimator without its keys, labels beside it.
    """
    from sklearn.base import clone

    wanted = annotated(estimator)
    if not wanted or kind not in MEMORY[:4]:
        return clone(estimator), {}
    bare = clone(estimator).set_params(
        **{
            k: type(v)() if isinstance(v, tuple) else None
            for k, v in estimator.get_params(deep=False).items()
            if k in ("batch_key", "covariate_keys", "remove_keys")
        }
    )
    return bare, {name: obs[key].to_numpy() for name, key in wanted.items()}


def carries(estimator, kind):
    """Tell whether containers of this kind can hold what the estimator needs."""
    keys = estimator.get_params(deep=False)
    named = keys.get("condition") not in (None, "y") or keys.get("design") is not None
    named = named or keys.get("group_key") is not None
    return not named or kind not in MEMORY[:4]


def takes(estimator, kind):
    """Tell whether the estimator takes containers of this kind."""
    sparse = kind.endswith(("csr", "matrix", "csr_array"))
    return not sparse or get_tags(estimator).input_tags.sparse


def expects_counts(estimator):
    """Tell whether an estimator works on counts rather than on logged values."""
    if getattr(estimator, "flavor", None) in ("seurat", "cell_ranger"):
        return False
    tags = get_tags(estimator).input_tags
    return tags.positive_only or type(estimator).__name__ == "GeneAligner"
