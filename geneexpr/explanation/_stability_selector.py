"""Genes that a model chooses again and again on subsamples."""

import warnings

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from sklearn.base import clone, is_regressor
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import check_array

from .._base import GeneSelector
from .._blocks import in_memory
from .._validation import SelectionWarning, check_number, labels_of, warn_nothing_kept

_TRIES = 100
"""How often groups are drawn until every class is there."""


def subsamples(n_samples, fraction, n_resamples, rng, *, strata=None, groups=None):
    """Draw rows without replacement: a share of each class, or a share of the groups.

    Parameters
    ----------
    n_samples : int
    fraction : float
    n_resamples : int
    rng : RandomState
    strata : array of int of shape (n_samples,), optional
        Classes, of each of which that share is drawn, at least one sample.
    groups : array of int of shape (n_samples,), optional
        Samples that stay together; then of the classes only this is asked, that none is
        lost.

    Yields
    ------
    ndarray of int
        Rows, ascending.

    Examples
    --------
    >>> rng = np.random.RandomState(0)
    >>> [rows.tolist() for rows in subsamples(4, 0.5, 2, rng, strata=np.array([0, 0, 1, 1]))]
    [[1, 2], [0, 3]]
    """
    for _ in range(n_resamples):
        if groups is not None:
            yield _groups_of_all_classes(groups, fraction, rng, strata)
            continue
        codes = np.zeros(n_samples, dtype=int) if strata is None else strata
        parts = [_share(np.flatnonzero(codes == code), fraction, rng) for code in np.unique(codes)]
        yield np.sort(np.concatenate(parts))


def _share(items, fraction, rng):
    return rng.permutation(items)[: max(1, int(fraction * len(items)))]


def _groups_of_all_classes(groups, fraction, rng, strata):
    names = np.unique(groups)
    wanted = None if strata is None else len(np.unique(strata))
    for _ in range(_TRIES):
        rows = np.flatnonzero(np.isin(groups, _share(names, fraction, rng)))
        if wanted is None or len(np.unique(strata[rows])) == wanted:
            return rows
    raise ValueError(
        f"No {fraction:g} of {len(names)} groups in {_TRIES} draws held all {wanted} classes: the "
        "classes are spread over too few groups. Raise sample_fraction."
    )


def chosen_genes(model, n_features, n_genes):
    """Return what a fitted model chose: its support, or the genes of highest importance.

    Parameters
    ----------
    model : fitted estimator
        With ``get_support``, ``coef_`` or ``feature_importances_``.
    n_features : int
    n_genes : int or None
        At most so many, of those whose importance is not 0; None: all of these.

    Returns
    -------
    array of bool of shape (n_features,)
    """
    if hasattr(model, "get_support"):
        return np.asarray(model.get_support())
    sizes = _importances(model, n_features)
    chosen = sizes > 0
    if n_genes is None:
        return chosen
    mask = np.zeros(n_features, dtype=bool)
    mask[np.argsort(-sizes, kind="stable")[:n_genes]] = True
    return mask & chosen


def _importances(model, n_features):
    for name in ("coef_", "feature_importances_"):
        found = getattr(model, name, None)
        if found is not None:
            found = found.toarray() if hasattr(found, "toarray") else np.asarray(found)
            sizes = np.abs(found).reshape(-1, found.shape[-1]).max(axis=0)
            if len(sizes) == n_features:
                return sizes
    raise ValueError(
        f"{type(model).__name__} says of none of the {n_features} genes how much it matters: "
        "estimator must have get_support, coef_ or feature_importances_ with one value a gene."
    )


class StabilitySelector(GeneSelector):
    r"""Keep the genes that a model chooses on most random halves of the samples.

    A single fit chooses among correlated genes by chance. Here the model is fitted on many
    subsamples, and a gene is kept that is chosen on a share of at least ``threshold`` of them.
    If ``q`` genes are chosen on average and no unimportant gene is favoured, the expected
    number of unimportant genes kept is at most :math:`q^2 / ((2\pi - 1) p)` for a threshold
    :math:`\pi` above a half, p genes and halves of the samples [1]_ (``expected_false_``).

    Row-independent at ``transform``; ``fit`` holds the matrix in memory.

    Parameters
    ----------
    estimator : estimator
        Fitted, as a clone, on plain matrices. With ``get_support`` (a selector), ``coef_``
        (best with an L1 penalty) or ``feature_importances_``.
    n_genes : int, optional
        How many genes of highest importance to count as chosen on a subsample; by default all
        whose importance is not 0, as an L1 penalty leaves. A selector chooses by itself.
    threshold : float, default=0.6
        Share of the subsamples.
    n_resamples : int, default=100
    sample_fraction : float, default=0.5
        Share of the samples of each class (or of the groups) in a subsample.
    group_key : str, optional
        The annotation, such as a donor, whose samples are drawn together.
    random_state : int, RandomState or None, default=0
    n_jobs : int, optional
        Processes, as in joblib.

    Attributes
    ----------
    frequencies_ : array of shape (n_genes,)
        Share of the subsamples on which each gene was chosen.
    mean_chosen_ : float
        Genes chosen on a subsample, on average.
    expected_false_ : float
        The bound on unimportant genes kept; NaN for a threshold of at most a half.
    support_ : array of bool of shape (n_genes,)
        Genes that are kept.
    n_features_in_ : int
        Number of genes seen in `fit`.
    feature_names_in_ : array of shape (n_genes,)
        Their names, if they have names.

    Raises
    ------
    ValueError
        For an estimator that says nothing of genes, and classes that lie in too few groups.

    Warns
    -----
    SelectionWarning
        Where no gene is chosen often enough, or all are chosen on every subsample.

    References
    ----------
    .. [1] Meinshausen, Bühlmann (2010), "Stability selection",
       doi:10.1111/j.1467-9868.2010.00740.x.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from sklearn.feature_selection import SelectKBest
    >>> from geneexpr import StabilitySelector
    >>> rng = np.random.default_rng(0)
    >>> y = np.arange(40) % 2
    >>> X = pd.DataFrame(rng.normal(size=(40, 3)), columns=["MYC", "ACTB", "TP53"])
    >>> X["TP53"] += 3 * y
    >>> selector = StabilitySelector(SelectKBest(k=1), n_resamples=20).fit(X, y)
    >>> selector.frequencies_, selector.get_feature_names_out()
    (array([0., 0., 1.]), array(['TP53'], dtype=object))
    """

    def __init__(
        self,
        estimator,
        *,
        n_genes=None,
        threshold=0.6,
        n_resamples=100,
        sample_fraction=0.5,
        group_key=None,
        random_state=0,
        n_jobs=None,
    ):
        self.estimator = estimator
        self.n_genes = n_genes
        self.threshold = threshold
        self.n_resamples = n_resamples
        self.sample_fraction = sample_fraction
        self.group_key = group_key
        self.random_state = random_state
        self.n_jobs = n_jobs

    def fit(self, X, y, *, groups=None):
        """Count how often each gene is chosen.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)
        y : array-like of shape (n_samples,)
            Class labels, or a continuous target.
        groups : array-like of shape (n_samples,), optional
            Group of each sample, for arrays, which carry no annotations.

        Returns
        -------
        self
        """
        self._check_options()
        if y is None:
            raise ValueError("StabilitySelector requires y to be passed, but the target y is None.")
        matrix = in_memory(self._check(X, reset=True, min_samples=4))
        labels = self._labels(y, matrix.shape[0])
        given = labels_of(X, self.group_key, groups, key_name="group_key", given_name="groups")
        rows = subsamples(
            matrix.shape[0],
            self.sample_fraction,
            self.n_resamples,
            check_random_state(self.random_state),
            strata=self._strata(labels),
            groups=None if given is None else pd.factorize(given)[0],
        )
        counts = Parallel(n_jobs=self.n_jobs)(
            delayed(_fit_and_choose)(clone(self.estimator), matrix[at], labels[at], self.n_genes)
            for at in rows
        )
        self._summarise(np.stack(counts))
        warn_nothing_kept(self)
        return self

    def _check_options(self):
        check_number("threshold", self.threshold, above=0, most=1)
        check_number("sample_fraction", self.sample_fraction, above=0, below=1)
        check_number("n_resamples", self.n_resamples, least=1, whole=True)
        if self.n_genes is not None:
            check_number("n_genes", self.n_genes, least=1, whole=True)

    def _labels(self, y, n_samples):
        labels = np.asarray(y)
        labels = labels.ravel() if labels.shape == (n_samples, 1) else labels
        if labels.shape != (n_samples,):
            raise ValueError(f"y must hold one label a sample: got shape {labels.shape}.")
        if pd.isna(labels).any():
            raise ValueError(
                f"y is missing for {int(pd.isna(labels).sum())} of {n_samples} samples."
            )
        if labels.dtype.kind == "f":
            check_array(labels, ensure_2d=False, input_name="y", estimator=self)
        return labels

    def _strata(self, labels):
        """Return classes as codes, or None for a continuous target."""
        if is_regressor(self.estimator) or type_of_target(labels) == "continuous":
            return None
        levels, codes = np.unique(labels, return_inverse=True)
        if len(levels) < 2:
            raise ValueError(
                f"y has one class only, {levels[0]!r}: there is nothing to choose genes by."
            )
        return codes

    def _summarise(self, chosen):
        n_genes = chosen.shape[1]
        self.mean_chosen_ = float(chosen.sum(axis=1).mean())
        if n_genes > 1 and self.mean_chosen_ == n_genes:
            warnings.warn(
                f"{type(self.estimator).__name__} chooses all {n_genes} genes on every subsample, "
                "so that none stands out. Give n_genes, or an estimator with an L1 penalty.",
                SelectionWarning,
                stacklevel=3,
            )
        self.frequencies_ = chosen.mean(axis=0)
        self.support_ = self.frequencies_ >= self.threshold
        excess = 2 * self.threshold - 1
        self.expected_false_ = (
            self.mean_chosen_**2 / (excess * n_genes) if excess > 0 else float("nan")
        )

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags


def _fit_and_choose(model, matrix, labels, n_genes):
    return chosen_genes(model.fit(matrix, labels), matrix.shape[1], n_genes)
