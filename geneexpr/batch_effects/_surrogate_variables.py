"""Surrogate variables of the training samples, frozen, and those of new samples."""

import numbers
import warnings

import numpy as np
import scipy.sparse as sp
from sklearn.utils import check_random_state, column_or_1d
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import check_is_fitted

from .._base import GeneTransformer
from .._blocks import in_memory, row_blocks
from .._containers import mark_corrected
from .._covariates import as_text, code_covariates, covariate_columns, design_matrix
from .._validation import BatchWarning
from ..stats import dependent_columns
from ..stats._surrogate_variables import (
    FrozenSurrogates,
    count_by_asymptotics,
    count_by_permutation,
    estimate_surrogates,
    freeze_surrogates,
    surrogate_effects,
    surrogates_of,
)


class SurrogateVariableCorrector(GeneTransformer):
    """Remove unknown sources of variation: surrogate variables, learned once and frozen.

    ``fit`` estimates the surrogate variables of the training samples as ``sva::sva`` does,
    with ``y`` as the variable of interest: variation that ``y`` explains is protected.
    `transform` gives each sample its own surrogate variables by frozen SVA ("exact") and
    subtracts their effects, so each row is corrected on its own, without knowing ``y``.

    Because it protects ``y``, the corrected *training* samples hold more of ``y`` than new
    ones will: scores on them are too good. `fit_transform` therefore treats the training
    samples as if they were new; R's own values for them are in ``training_values_``.

    ``fit`` needs all training samples in memory as a dense array, twice. The fitted state
    holds the decomposition of the training samples (as large as they are). Sparse rows come
    back dense.

    Parameters
    ----------
    n_sv : int or {"be", "leek"}, default="be"
        How many surrogate variables, or how to estimate their number: "be" permutes
        residuals 20 times (Buja and Eyuboglu), "leek" looks at the decay of eigenvalues.
    covariate_keys : sequence of str, default=()
        Annotations that are protected as well, in ``fit`` only: columns of ``AnnData.obs``
        or levels of the row index of a DataFrame. For arrays pass ``covariates=``.
    n_iterations : int, default=5
        Rounds of reweighting the genes.
    allow_outcome : bool, default=False
        Must be True: SVA protects ``y`` by its construction, and this says that you know.
    random_state : int, RandomState or None, default=None
        For the permutations of "be".

    Attributes
    ----------
    n_sv_ : int
        The number of surrogate variables. If it is 0 nothing is corrected, and the
        attributes below are missing.
    training_variables_ : array of shape (n_samples, n_sv)
        Surrogate variables of the training samples; each has length one, its sign means
        nothing.
    surrogate_effects_ : array of shape (n_sv, n_genes)
        What one unit of a surrogate variable adds to each gene.
    unmodelled_probability_, outcome_probability_ : array of shape (n_genes,)
        Probability that a gene is affected by the surrogate variables, and by ``y``.
    weights_, centre_ : array of shape (n_genes,)
        Weights of the genes, and means of the weighted training samples.
    axes_, scores_ : array of shape (rank, n_genes), (n_samples, rank)
        Principal axes of the weighted training samples, and their scores.
    training_values_ : array of shape (n_samples, n_genes)
        What ``sva::fsva`` gives for the training samples. Not kept in model files.
    n_features_in_ : int
        Number of genes seen in `fit`.
    feature_names_in_ : array of shape (n_genes,)
        Their names, if they have names.

    Raises
    ------
    ValueError
        Without ``allow_outcome=True``, without ``y``, if ``y`` has one class or a missing
        label, if a covariate and ``y`` determine each other, or with too few samples.

    Warns
    -----
    BatchWarning
        If no surrogate variable is found, so that nothing is corrected.

    References
    ----------
    .. [1] Leek, Storey (2007), "Capturing heterogeneity in gene expression studies by
       surrogate variable analysis", doi:10.1371/journal.pgen.0030161.
    .. [2] Leek, Storey (2008), "A general framework for multiple testing dependence",
       doi:10.1073/pnas.0808709105.
    .. [3] Parker, Corrada Bravo, Leek (2014), "Removing batch effects for prediction problems
       with frozen surrogate variable analysis", doi:10.7717/peerj.561.

    Examples
    --------
    >>> import numpy as np
    >>> from geneexpr import SurrogateVariableCorrector
    >>> rng = np.random.default_rng(0)
    >>> y, hidden = np.arange(60) % 2, rng.normal(size=60)
    >>> X = rng.normal(size=(60, 300))
    >>> X[:, :20] += 2 * y[:, None]
    >>> X[:, 10:150] += np.outer(hidden, rng.normal(size=140))
    >>> model = SurrogateVariableCorrector(allow_outcome=True, random_state=0).fit(X, y)
    >>> model.n_sv_
    1
    >>> bool(abs(np.corrcoef(model.training_variables_[:, 0], hidden)[0, 1]) > 0.95)
    True
    """

    def __init__(
        self,
        n_sv="be",
        covariate_keys=(),
        *,
        n_iterations=5,
        allow_outcome=False,
        random_state=None,
    ):
        self.n_sv = n_sv
        self.covariate_keys = covariate_keys
        self.n_iterations = n_iterations
        self.allow_outcome = allow_outcome
        self.random_state = random_state

    def fit(self, X, y=None, *, covariates=None):
        """Estimate the surrogate variables of the training samples.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)
            Expression on a log scale, without missing values.
        y : array-like of shape (n_samples,)
            The outcome: classes or numbers. Its effects are protected.
        covariates : array-like of shape (n_samples,) or (n_samples, p), optional
            Covariates to protect, for arrays; a mapping or DataFrame names them.

        Returns
        -------
        self
        """
        _check_consent(self, y)
        matrix = in_memory(self._check(X, reset=True, min_samples=2))
        rows = (matrix.toarray() if sp.issparse(matrix) else matrix).astype(np.float64)
        full, reduced = self._designs(X, y, covariates, len(rows))
        self.n_sv_ = self._count(rows, full)
        if self.n_sv_ == 0:
            warnings.warn(
                "SurrogateVariableCorrector found no surrogate variable and corrects nothing.",
                BatchWarning,
                stacklevel=2,
            )
            self.training_values_ = rows
            return self
        found = estimate_surrogates(rows, full, reduced, self.n_sv_, n_iterations=self.n_iterations)
        self.unmodelled_probability_ = found.unmodelled
        self.outcome_probability_ = found.modelled
        self._freeze(rows, full, found)
        return self

    def transform(self, X):
        """Subtract from each sample the effects of its own surrogate variables.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)

        Returns
        -------
        container like X, of shape (n_samples, n_genes)
            Dense, unless there is nothing to correct; what is on disk comes back lazy.
        """
        matrix = self._check(X)
        if self.n_sv_ == 0:
            return self._map(X, matrix, lambda block: block.copy())
        frozen, effects = self._frozen(), self.surrogate_effects_

        def function(block):
            out = block.toarray() if sp.issparse(block) else block.copy()
            for row in out:
                row -= surrogates_of(row.astype(np.float64), frozen) @ effects
            return out

        corrected = self._map(X, matrix, function, sparse=False)
        return mark_corrected(corrected, type(self).__name__)

    def surrogate_variables(self, X):
        """Return the surrogate variables of samples, each as if it alone were new.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)

        Returns
        -------
        array of shape (n_samples, n_sv)
        """
        check_is_fitted(self)
        matrix = self._check(X)
        if self.n_sv_ == 0:
            return np.empty((matrix.shape[0], 0))
        frozen, found = self._frozen(), []
        for _, _, block in row_blocks(matrix):
            block = block.toarray() if sp.issparse(block) else block
            found += [surrogates_of(row.astype(np.float64), frozen) for row in block]
        return np.array(found)

    # -------------------------------------------------------------- fit

    def _designs(self, X, y, covariates, n_samples):
        """Return the design with the outcome, and the one without it."""
        columns = covariate_columns(X, self.covariate_keys, covariates, n_samples)
        protected = np.empty((n_samples, 0))
        if columns:
            protected, _ = design_matrix(columns, code_covariates(columns))
        reduced = np.hstack([np.ones((n_samples, 1)), protected])
        full = np.hstack([reduced, _outcome_columns(y, n_samples)])
        if full.shape[1] == reduced.shape[1] or dependent_columns(full).any():
            raise ValueError(
                "The outcome y and the covariates determine each other (or y has one class), so "
                "their effects cannot be told apart; leave the covariate out."
            )
        if n_samples < full.shape[1] + 2:
            raise ValueError(
                f"{n_samples} samples are too few for a design of {full.shape[1]} columns and a "
                f"surrogate variable; at least {full.shape[1] + 2} are needed."
            )
        return full, reduced

    def _count(self, rows, full):
        most = min(len(rows) - full.shape[1] - 1, rows.shape[1])
        if isinstance(self.n_sv, numbers.Integral) and not isinstance(self.n_sv, bool):
            if not 0 <= self.n_sv <= most:
                raise ValueError(
                    f"n_sv={self.n_sv}, but {len(rows)} samples of {rows.shape[1]} genes with a "
                    f"design of {full.shape[1]} columns allow 0 to {most} surrogate variables."
                )
            return int(self.n_sv)
        if self.n_sv == "be":
            return min(
                most, count_by_permutation(rows, full, check_random_state(self.random_state))
            )
        if self.n_sv == "leek":
            return min(most, count_by_asymptotics(rows, full))
        raise ValueError(f"n_sv must be a number, 'be' or 'leek'; got {self.n_sv!r}.")

    def _freeze(self, rows, full, found):
        frozen = freeze_surrogates(rows, found)
        self.training_variables_ = frozen.variables
        self.weights_, self.centre_ = frozen.weights, frozen.centre
        self.axes_, self.scores_ = frozen.axes, frozen.scores
        self.surrogate_effects_ = surrogate_effects(rows, full, frozen.variables)
        self.training_values_ = rows - frozen.variables @ self.surrogate_effects_

    def _frozen(self):
        return FrozenSurrogates(
            self.weights_, self.centre_, self.axes_, self.scores_, self.training_variables_
        )

    # -------------------------------------------------------------- state and tags

    def __getstate__(self):
        state = super().__getstate__()
        state.pop("training_values_", None)
        return state

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.couples_genes = True
        return tags


def _check_consent(corrector, y):
    if not corrector.allow_outcome:
        raise ValueError(
            "SurrogateVariableCorrector protects the outcome y by its construction: corrected "
            "training samples hold more of y than new samples will. allow_outcome=True says that "
            "this is known; judge the model on samples that fit has not seen."
        )
    if y is None:
        raise ValueError(
            "SurrogateVariableCorrector requires y to be passed, but the target y is None."
        )


def _outcome_columns(y, n_samples):
    """Return the outcome as numbers, or a column a class but the first."""
    y = column_or_1d(y)
    if len(y) != n_samples:
        raise ValueError(f"y has {len(y)} labels for {n_samples} samples.")
    missing = np.array([label is None or label != label for label in y])
    if missing.any():
        raise ValueError(
            f"y is missing for {int(missing.sum())} of {n_samples} samples. Drop these samples: "
            "what is not known cannot be protected."
        )
    if type_of_target(y) == "continuous":
        numbers_of = y.astype(np.float64)
        spread = numbers_of.std()
        return ((numbers_of - numbers_of.mean()) / (spread or 1.0))[:, None]
    columns = {"y": as_text(y, "y")}
    return design_matrix(columns, code_covariates(columns))[0]
