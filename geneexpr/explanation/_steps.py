"""What a fitted step does to genes: takes them one by one, mixes them linearly, or couples them."""

import numpy as np
import scipy.sparse as sp
from sklearn.utils import get_tags

from .._validation import wants_frame
from ._margin import unnamed

COUPLES, GENES, LINEAR_GENES, MIXES, OPAQUE = "couples", "genes", "linear genes", "mixes", "opaque"
"""Kinds of steps.

``COUPLES``: a gene's output depends on its whole row, or on annotations beside it, so that
genes before the step are not what the model weighs; ``GENES``: each output column depends on
one gene; ``LINEAR_GENES``: and linearly; ``MIXES``: outputs are linear in all genes;
``OPAQUE``: anything else.
"""

_COUPLING = {"Normalizer"}
"""Steps of scikit-learn that scale whole rows; our own declare it by their tag."""


class NotLinearError(ValueError):
    """A step is not linear in its inputs."""


def kind_of(step, before, after):
    """Say what a fitted step does to genes.

    Parameters
    ----------
    step : fitted transformer
    before, after : matrix
        A few rows, and what the step makes of them.

    Returns
    -------
    str
        One of the kinds above.
    """
    if declares_coupling(step) or _reads_beside(step):
        return COUPLES
    if _rule(step) is not None:
        return LINEAR_GENES if kept_genes(step, before.shape[1]) is not None else MIXES
    if before.shape[1] != after.shape[1] or _renames(step):
        return OPAQUE
    return GENES if takes_genes_alone(step, before) else COUPLES


def declares_coupling(step):
    """Tell whether a step says that it couples the genes of a row.

    Our own transformers, and those of users, declare it by the tag ``couples_genes``.

    Parameters
    ----------
    step : transformer

    Returns
    -------
    bool
    """
    if hasattr(step, "transformer_"):
        return declares_coupling(step.transformer_)
    return bool(_COUPLING & _names(step)) or getattr(get_tags(step), "couples_genes", False)


def why_coupled(step):
    """Say why gene space begins after a step."""
    if declares_coupling(step):
        return "couples the genes of a sample"
    if "GeneAligner" in _names(step):
        return "brings the genes in line"
    if _reads_beside(step):
        return "reads annotations or layers"
    return "couples the genes of a sample, as trying it on some rows shows"


def _reads_beside(step):
    """Tell whether a step reads annotations or layers, or brings other genes in line."""
    keys = ("batch_key", "layer", "gene_key", "batches_")
    return "GeneAligner" in _names(step) or any(_given(step, key) for key in keys)


def _given(step, key):
    value = getattr(step, key, None)
    return value is not None and not (isinstance(value, list) and not value)


def _renames(step):
    return bool({"ClassNamePrefixFeaturesOutMixin", "GeneSetScorer"} & _names(step))


def takes_genes_alone(step, rows):
    """Look whether outputs stay as they are when other genes change.

    Half of the genes, drawn at random, take the values of another sample; the outputs of the
    other half must not move.

    Parameters
    ----------
    step : fitted transformer
        With as many outputs as inputs.
    rows : array or sparse matrix of shape (n_samples, n_genes)

    Returns
    -------
    bool

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.preprocessing import Normalizer, QuantileTransformer
    >>> rows = np.random.default_rng(0).random((20, 5))
    >>> takes_genes_alone(QuantileTransformer(n_quantiles=20).fit(rows), rows)
    True
    >>> takes_genes_alone(Normalizer().fit(rows), rows)
    False
    """
    rng = np.random.default_rng(0)
    dense = rows.toarray() if sp.issparse(rows) else np.asarray(rows)
    sparse = type(rows) if sp.issparse(rows) else np.asarray
    others = np.roll(dense, 1, axis=0) if len(dense) > 1 else dense * 1.5 + 1
    with unnamed():
        first = _dense(step.transform(sparse(dense)))
        for _ in range(3):
            changed = rng.random(dense.shape[1]) < 0.5
            moved = _dense(step.transform(sparse(np.where(changed, others, dense))))
            if not np.allclose(first[:, ~changed], moved[:, ~changed], rtol=1e-6, atol=1e-8):
                return False
    return True


def _dense(matrix):
    return matrix.toarray() if sp.issparse(matrix) else np.asarray(matrix)


def kept_genes(step, n_in):
    """Return the input that each output of a step is, or None where inputs are mixed.

    Parameters
    ----------
    step : fitted transformer
    n_in : int

    Returns
    -------
    array of int of shape (n_out,) or None
    """
    if hasattr(step, "transformer_"):
        return kept_genes(step.transformer_, n_in)
    if "SelectorMixin" in _names(step):
        return step.get_support(indices=True)
    return np.arange(n_in) if _ONE_BY_ONE & _names(step) else None


def pull_back(step, weights):
    """Return the weights of a step's inputs from those of its outputs.

    Parameters
    ----------
    step : fitted transformer
        Linear.
    weights : array of shape (n_out, k)

    Returns
    -------
    array of shape (n_in, k)

    Raises
    ------
    NotLinearError
        For a step that is not known to be linear.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.preprocessing import StandardScaler
    >>> scaler = StandardScaler().fit([[0.0, 0.0], [2.0, 8.0]])
    >>> pull_back(scaler, np.ones((2, 1)))
    array([[1.  ],
           [0.25]])
    """
    rule = _rule(step)
    if rule is None:
        raise NotLinearError(f"{type(step).__name__} is not linear")
    return rule(step, weights)


def _names(step):
    return {base.__name__ for base in type(step).__mro__}


def _rule(step):
    names = [base.__name__ for base in type(step).__mro__]
    rule = next((_RULES[name] for name in names if name in _RULES), None)
    return rule if rule is not None and rule(step, None) is not NotImplemented else None


def _as_it_is(step, weights):
    if getattr(step, "func", None) is not None:
        return NotImplemented
    return weights


def _inside(step, weights):
    rule = _rule(step.transformer_)
    return NotImplemented if rule is None else rule(step.transformer_, weights)


def _selected(step, weights):
    if weights is None:
        return None
    support = step.get_support()
    wide = np.zeros((len(support), weights.shape[1]), dtype=weights.dtype)
    wide[support] = weights
    return wide


def _divided(step, weights):
    if getattr(step, "clip", False):
        return NotImplemented
    if weights is None or step.scale_ is None:
        return weights
    return weights / step.scale_[:, None]


def _multiplied(step, weights):
    if step.clip:
        return NotImplemented
    return None if weights is None else weights * step.scale_[:, None]


def _components(step, weights):
    if weights is None:
        return None
    if getattr(step, "whiten", False) and hasattr(step, "explained_variance_"):
        scale = np.sqrt(step.explained_variance_)
        weights = weights / np.maximum(scale, np.finfo(scale.dtype).eps)[:, None]
    return np.asarray(step.components_.T @ weights)


def _factors(step, weights):
    if weights is None:
        return None
    psi = step.components_ / step.noise_variance_
    covariance = np.linalg.inv(np.eye(len(psi)) + psi @ step.components_.T)
    return psi.T @ (covariance @ weights)


def _scalings(step, weights):
    if getattr(step, "solver", None) == "lsqr":
        return NotImplemented
    return None if weights is None else step.scalings_[:, : weights.shape[0]] @ weights


def _mean_z(step, weights):
    if step.method != "mean_z":
        return NotImplemented
    if weights is None:
        return None
    sizes = np.asarray(step.set_sizes_)
    spread = np.zeros((step.n_features_in_, weights.shape[1]))
    np.add.at(spread, step.set_genes_, np.repeat(weights / sizes[:, None], sizes, axis=0))
    varies = step.deviations_ > 0
    return np.where(varies, 1 / np.where(varies, step.deviations_, 1), 0)[:, None] * spread


_RULES = {
    "ToArray": _as_it_is,
    "FunctionTransformer": _as_it_is,
    "OnMatrix": _inside,
    "SelectorMixin": _selected,
    "StandardScaler": _divided,
    "RobustScaler": _divided,
    "MaxAbsScaler": _divided,
    "MinMaxScaler": _multiplied,
    "PCA": _components,
    "IncrementalPCA": _components,
    "TruncatedSVD": _components,
    "FastICA": _components,
    "GaussianRandomProjection": _components,
    "SparseRandomProjection": _components,
    "NeighborhoodComponentsAnalysis": _components,
    "FactorAnalysis": _factors,
    "LinearDiscriminantAnalysis": _scalings,
    "GeneSetScorer": _mean_z,
}
_ONE_BY_ONE = {
    "ToArray",
    "FunctionTransformer",
    "StandardScaler",
    "RobustScaler",
    "MaxAbsScaler",
    "MinMaxScaler",
}


def wants_names(steps):
    """Tell whether any step must be given a DataFrame, since it hands one on or picks columns.

    Parameters
    ----------
    steps : list of fitted transformers

    Returns
    -------
    bool
    """
    return any("_BaseComposition" in _names(step) or wants_frame(step) for step in steps)
