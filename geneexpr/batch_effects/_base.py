"""The base of all correctors: labels, covariates, unseen batches, and what is refused."""

import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.utils.multiclass import type_of_target

from .._base import GeneTransformer
from .._blocks import fold
from .._containers import mark_corrected, name_some
from .._covariates import as_text, code_covariates, codes_among, covariate_columns, design_matrix
from .._validation import BatchWarning, ScaleWarning, check_choice, labels_of
from ..stats import estimable_genes, merge_moments, summarise_batches
from ._guards import check_confounding, check_outcome

MIN_ROWS = 10
"""Fewest rows that a new batch is estimated from."""
MAX_CLASSES = 20
"""Most classes whose means are stored in ``fit``."""
MAX_LOGGED = 50
"""No expression on a log scale reaches this."""


@dataclass(slots=True)
class Rows:
    """What is known of the rows of one call, beside the matrix."""

    matrix: object
    codes: np.ndarray | None
    design: np.ndarray
    new_batches: list


class BatchCorrector(GeneTransformer):
    """Base of the correctors; a subclass solves, estimates new batches and corrects rows.

    A subclass has the parameters ``batch_key``, ``covariate_keys``, ``unseen_batch`` and
    ``allow_outcome``, and these methods:

    - ``_solve(moments)`` learns from the `BatchMoments` of the training rows,
    - ``_learn_classes(moments, p)`` stores class means; the moments hold ``p`` covariates,
      then a column for each of ``outcome_classes_``,
    - ``_expected(class_proportions)`` says what a batch without batch effect would show,
    - ``_estimate(moments, expected)`` gives the parameters of one more batch,
    - ``_with_batches(names, estimates)`` gives a copy that knows more batches,
    - ``_rows_function(estimates)`` gives ``function(block, codes, design)``, where the code
      -1 stands for a row that is left as it is and codes from ``len(batches_)`` on stand
      for the new batches of ``estimates``.

    A subclass that removes more than one batch also has ``_labels`` and ``_extend``, which
    get what else ``fit`` and ``transform`` were given beside the batch.
    """

    _covariates_in_transform = True
    """Whether rows of a batch seen in ``fit`` need their covariates."""
    _keeps_zeros = False
    """Whether sparse rows stay sparse."""

    def fit(self, X, y=None, *, batch=None, covariates=None):
        """Learn the batch effects of the training samples.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)
            Expression on a log scale, where NaN stands for a missing value (ComBat-seq: counts).
        y : array-like of shape (n_samples,), optional
            The outcome; it may be missing for some. It is never protected: a batch or
            covariate that gives it away raises, and the means of its classes are stored
            for `adapt`.
        batch : array-like of shape (n_samples,), optional
            Batch of each sample, for arrays, which carry no annotations.
        covariates : array-like of shape (n_samples,) or (n_samples, p), optional
            Covariates to protect, for arrays; a mapping or DataFrame names them.

        Returns
        -------
        self
        """
        self._learn(X, y, batch, covariates)
        return self

    def transform(self, X, *, batch=None, covariates=None):
        """Correct samples with what was learned; each row on its own.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)
        batch, covariates : optional
            As in `fit`, for arrays.

        Returns
        -------
        container like X, of shape (n_samples, n_genes)
            Sparse input comes back dense where zeros do not stay zeros (and there is something
            to correct); what is on disk comes back lazy.
        """
        rows = self._rows(X, self._check(X, allow_nan=True), batch, covariates)
        return self._corrected(X, rows)

    def fit_transform(self, X, y=None, *, batch=None, covariates=None):
        """Fit, and correct the training samples.

        Parameters
        ----------
        X, y, batch, covariates
            As in `fit`.

        Returns
        -------
        container like X, of shape (n_samples, n_genes)
        """
        rows = self._learn(X, y, batch, covariates)
        return self._corrected(X, rows)

    def adapt(self, X_ref, *, batch=None, covariates=None, class_proportions=None):
        """Return a corrector that knows the batches of reference samples as well.

        Everything learned in `fit` stays; location and scale of each new batch are
        estimated from the reference samples and frozen, so the rows of that batch are
        independent of each other from then on.

        Parameters
        ----------
        X_ref : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)
            At least 10 samples of each new batch.
        batch : array-like of shape (n_samples,) or str, optional
            Their batch, for arrays.
        covariates : array-like, optional
            As in `fit`.
        class_proportions : mapping of class to float, optional
            Shares of the classes of `y` among the reference samples, such as
            ``{"control": 1.0}``. None takes the mix of the training samples, which harms
            where it is wrong.

        Returns
        -------
        corrector
            A new object; this one is unchanged.
        """
        return self._adapt(X_ref, batch, covariates, class_proportions)

    def _adapt(self, X_ref, batch, covariates, class_proportions, **beside):
        matrix = self._check(X_ref, allow_nan=True)
        if batch is not None and np.ndim(batch) == 0:
            batch = np.full(matrix.shape[0], batch)
        rows = self._rows(X_ref, matrix, batch, covariates, unseen="estimate", **beside)
        known = sorted(set(np.asarray(self.batches_, object)[rows.codes[_known(self, rows)]]))
        if known or not rows.new_batches:
            raise ValueError(
                f"adapt learns new batches, but {name_some(known) or 'no batch'} in X_ref was "
                f"seen in fit; fit saw {name_some(self.batches_) or 'no batches'}."
            )
        expected = self._expected(class_proportions)
        return self._with_batches(rows.new_batches, self._estimates(rows, expected))

    # -------------------------------------------------------------- fit

    def _learn(self, X, y, batch, covariates, **beside):
        check_choice("unseen_batch", self.unseen_batch, ("raise", "passthrough", "estimate"))
        matrix = self._check(X, reset=True, allow_nan=True)
        n_samples = matrix.shape[0]
        labels = self._labels(X, batch, **beside)
        columns = self._covariate_columns(X, covariates, n_samples)
        self.covariates_ = code_covariates(columns)
        if labels is None:
            self._learn_nothing()
            return Rows(matrix, None, np.empty((n_samples, 0)), [])
        texts = as_text(labels, self._batch_name())
        self.batches_ = sorted(set(texts))
        codes = codes_among(texts, self.batches_)
        design, names = _design(columns, self.covariates_, n_samples)
        y, known = _outcome([None] * n_samples if y is None else y, n_samples)
        if known.any() and not self.allow_outcome:
            own = {n: design[known][:, [m == n for m in names]] for n in dict.fromkeys(names)}
            check_outcome(y[known], codes[known], own)
        check_confounding(codes, self.batches_, design, names)
        n_protected = design.shape[1]
        codes, design = self._extend(X, codes, design, batch, reset=True, **beside)
        self._learn_moments(matrix, codes, design, n_protected, *_classes(y, known))
        return Rows(matrix, codes, design, [])

    def _learn_nothing(self):
        warnings.warn(
            f"{type(self).__name__} got no batch labels, sees one batch and corrects nothing. "
            "Name an annotation of the samples (batch_key=), or pass batch= beside an array.",
            BatchWarning,
            stacklevel=5,
        )
        self.batches_ = []

    def _learn_moments(self, matrix, codes, design, n_protected, classes, members):
        # Classes are summarised as covariates are, but the model does not see them.
        self.outcome_classes_ = classes
        beside = np.hstack([design, members])
        moments = self._moments(matrix, codes, len(self.batches_), beside)
        of_model = moments.covariates(slice(design.shape[1]))
        self._check_estimable(moments.covariates(slice(n_protected)))
        self._check_batches(moments.n_rows)
        self._check_scale(of_model)
        self._solve(of_model)
        self._learn_classes(moments, design.shape[1])

    def _check_batches(self, n_rows):
        if len(n_rows) == 1:
            warnings.warn(
                f"All samples are of the batch {self.batches_[0]!r}: there is nothing to correct "
                "among them.",
                BatchWarning,
                stacklevel=6,
            )

    def _check_scale(self, moments):
        highest = moments.maxima.max()
        if highest > MAX_LOGGED or (np.abs(moments.row_sums - 1e6) <= 1e4).all():
            said = f"reaches {highest:.4g}" if highest > MAX_LOGGED else "has rows that sum to 1e6"
            warnings.warn(
                f"{type(self).__name__} expects expression on a log scale, but X {said}. Filter "
                "lowly expressed genes and log first (LowExpressionFilter, LogTransformer).",
                ScaleWarning,
                stacklevel=6,
            )

    def _check_estimable(self, moments):
        estimable = estimable_genes(moments)
        if not estimable.all():
            genes = getattr(self, "feature_names_in_", np.arange(self.n_features_in_))
            raise ValueError(
                f"{int((~estimable).sum())} of {len(estimable)} genes have missing values such "
                "that a batch has none left, or its covariates do not vary in what is left: "
                f"{name_some(genes[~estimable])}. Drop these genes or impute them."
            )

    # -------------------------------------------------------------- transform

    def _rows(self, X, matrix, batch, covariates, unseen=None, **beside):
        """Read the labels of the rows, and decide on batches that fit has not seen."""
        n_samples = matrix.shape[0]
        labels = self._labels(X, batch, **beside)
        if not self.batches_:
            if labels is not None:
                raise ValueError(
                    f"This {type(self).__name__} was fitted without batch labels; it cannot use "
                    "those given here. Pass them to fit as well."
                )
            return Rows(matrix, None, np.empty((n_samples, 0)), [])
        if labels is None:
            raise ValueError(
                f"This {type(self).__name__} was fitted with batch labels and needs them here: "
                "pass batch= beside an array (in a pipeline through metadata routing), or use "
                "batch_key with an AnnData or DataFrame."
            )
        texts = as_text(labels, self._batch_name())
        codes = codes_among(texts, self.batches_)
        new = self._new_batches(texts, codes, unseen or self.unseen_batch)
        if new:
            codes = np.where(codes < 0, codes_among(texts, new) + len(self.batches_), codes)
        if new or self._covariates_in_transform:
            columns = self._covariate_columns(X, covariates, n_samples)
            design, _ = _design(columns, self.covariates_, n_samples)
        else:
            design = np.empty((n_samples, 0))
        codes, design = self._extend(X, codes, design, batch, **beside)
        return Rows(matrix, codes, design, new)

    def _new_batches(self, texts, codes, unseen):
        """Return the unseen batches that are to be estimated; raise or warn of others."""
        if (codes >= 0).all():
            return []
        new, sizes = np.unique(texts[codes < 0].astype(str), return_counts=True)
        new = new.tolist()
        if unseen == "raise":
            raise ValueError(
                f"{self._batch_name()} holds batches that fit has not seen: {name_some(new)}; fit "
                f"saw {name_some(self.batches_)}. Set unseen_batch='estimate' (location and scale "
                "from these rows) or 'passthrough' (leave them as they are), or call adapt with "
                "reference samples."
            )
        if unseen == "passthrough":
            warnings.warn(
                f"{int(sizes.sum())} of {len(codes)} rows are of batches that fit has not seen "
                f"({name_some(new)}) and stay uncorrected. A model trained on corrected data can "
                "do worse on these than one that was never corrected.",
                BatchWarning,
                stacklevel=5,
            )
            return []
        few = [f"{b!r} ({n})" for b, n in zip(new, sizes, strict=True) if n < MIN_ROWS]
        if few:
            raise ValueError(
                f"A new batch is estimated from at least {MIN_ROWS} rows; got fewer for "
                f"{', '.join(few)}. Transform its rows together, or call adapt with reference "
                "samples of that batch."
            )
        return new

    def _corrected(self, X, rows):
        if rows.codes is None:
            return self._map(X, rows.matrix, lambda block: block.copy())
        estimates = self._estimates(rows) if rows.new_batches else None
        corrected = self._map(
            X,
            rows.matrix,
            self._rows_function(estimates),
            rows.codes,
            rows.design,
            sparse=None if self._keeps_zeros else False,
        )
        if len(self.batches_) + len(rows.new_batches) < 2:
            return corrected
        # Tests of genes afterwards must know: they take estimated batch effects for known ones.
        return mark_corrected(corrected, type(self).__name__)

    def _estimates(self, rows, expected=None):
        """Return the parameters of the new batches, each from its own rows."""
        n_new = len(rows.new_batches)
        codes = rows.codes - len(self.batches_)
        moments = self._moments(rows.matrix, codes, n_new, rows.design)
        return [self._estimate(moments.batch(i), expected) for i in range(n_new)]

    # -------------------------------------------------------------- hooks and tags

    def _covariate_columns(self, X, covariates, n_samples):
        return covariate_columns(X, self.covariate_keys, covariates, n_samples)

    def _labels(self, X, batch, **beside):
        """Return the batch of each sample, None where there is none."""
        return labels_of(X, self.batch_key, batch)

    def _extend(self, X, codes, design, batch, *, reset=False, **beside):
        """Return codes and design, with a column for all else that the model removes."""
        return codes, design

    def _moments(self, matrix, codes, n_batches, design):
        """Return the moments of the batches, from which everything is solved."""

        def summarise(block, codes, design):
            return summarise_batches(block, codes, n_batches, design)

        return fold(matrix, summarise, merge_moments, codes, design)

    def _batch_name(self):
        return "batch=" if self.batch_key is None else f"batch_key={self.batch_key!r}"

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.couples_rows = self.unseen_batch == "estimate"
        return tags


def _known(corrector, rows):
    if rows.codes is None:
        return slice(0)
    return (rows.codes >= 0) & (rows.codes < len(corrector.batches_))


def _design(columns, codings, n_samples):
    """Return the design of any number of covariates, none included."""
    if not columns and not codings:
        return np.empty((n_samples, 0)), []
    return design_matrix(columns, codings)


def _outcome(y, n_samples):
    """Return y as an array of one label a sample, and which samples have one."""
    y = np.asarray(y)
    if len(y) != n_samples:
        raise ValueError(f"y has {len(y)} labels for {n_samples} samples.")
    y = y.ravel() if y.shape == (n_samples, 1) else y
    return y, ~(pd.isna(y) if y.ndim == 1 else pd.isna(y).any(axis=1))


def _classes(y, known):
    """Return the classes of y as text, and a column a class that says who belongs to it."""
    nothing = [], np.empty((len(known), 0))
    if not known.any() or type_of_target(y[known]) not in ("binary", "multiclass"):
        return nothing
    texts = as_text(y[known], "y")
    classes = sorted(set(texts))
    if len(classes) > MAX_CLASSES:
        return nothing
    members = np.zeros((len(known), len(classes)))
    members[known] = np.eye(len(classes))[codes_among(texts, classes)]
    return classes, members
