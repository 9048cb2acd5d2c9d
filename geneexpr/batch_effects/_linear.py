"""Linear removal of batch effects, as limma's removeBatchEffect does it."""

import warnings

import numpy as np
import pandas as pd

from .._containers import name_some
from .._covariates import as_text, codes_among, covariate_columns
from .._validation import BatchWarning, check_keys, labels_of
from ..stats import dependent_columns
from ._guards import check_outcome, within_batches
from ._labels import sum_to_zero
from ._location import LocationCorrector, take_off


class LinearBatchCorrector(LocationCorrector):
    """Remove batches and unwanted covariates with one linear model a gene, then frozen.

    On the training samples the values are those of ``limma::removeBatchEffect``: expression
    is regressed on the protected covariates, the batches (coded to sum to zero) and the
    covariates to remove, and the part of the last two is subtracted. `transform` subtracts
    the same coefficients, so each row is corrected on its own (but see
    ``unseen_batch="estimate"``). Locations are corrected, scales are not.

    ``fit`` is one row fold over cross-products, with a peak memory of a few arrays of
    batches × genes and one block of rows; CSR is never made dense in ``fit``. `transform`
    gives dense rows.

    Parameters
    ----------
    batch_key : str or list of two str, optional
        The annotation that names the batch, or two whose effects add (laboratory and
        chip): columns of ``AnnData.obs`` or levels of the row index of a DataFrame. For
        arrays pass ``batch=``. Without labels nothing is corrected (with a warning),
        unless there are covariates to remove.
    covariate_keys : sequence of str, default=()
        Annotations whose effects are protected (limma's ``design``). They are needed in
        ``fit``, and for new batches; known batches are corrected without them.
    remove_keys : sequence of str, default=()
        Annotations of numbers whose effects are removed (limma's ``covariates``), such as
        the RNA integrity; they are needed in `transform` too.
    unseen_batch : {"raise", "passthrough", "estimate"}, default="raise"
        What `transform` does with a batch that ``fit`` has not seen. "passthrough" leaves
        its rows as they are and warns. "estimate" takes the location of the new batch from
        the rows that come together (at least 10): such a row depends on those with it, and
        the batch is assumed to have the training class mix; `adapt` is the alternative
        without either. Of two batch keys only the first can be estimated.
    allow_outcome : bool, default=False
        Allow covariates that give ``y`` away, and a batch that determines ``y``.

    Attributes
    ----------
    batches_ : list of str
        The batches, sorted; labels are compared as text. Empty if there was nothing to
        correct, and the attributes below are missing then.
    batch_location_ : array of shape (n_batches, n_genes)
        Mean of each batch at the average of all covariates.
    grand_mean_ : array of shape (n_genes,)
        The plain mean of these at ``fit``, to which all batches are brought.
    second_batches_ : list of str
        Levels of the second batch key.
    covariate_effects_ : array of shape (n_columns, n_genes)
        Slopes of the protected covariates, of the second batch (sum-to-zero columns) and
        of the removed covariates, in this order. A column that follows from the batch and
        the columns before it has slope zero, as where limma's coefficient is NA.
    n_removed_ : int
        How many of these columns, the last ones, are removed.
    removed_ : list of str
        The covariates to remove.
    covariate_offset_ : array of shape (n_genes,)
        What the columns add at their training means.
    covariates_ : list of dict
        How each protected covariate is coded.
    outcome_classes_ : list of str
        Classes of ``y``, if it was given and has at most 20.
    class_means_, class_shares_ : array of shape (n_classes, n_genes), (n_classes, 1 or n_genes)
        Corrected means of the classes, relative to ``grand_mean_``, and their shares.
    n_features_in_ : int
        Number of genes seen in `fit`.
    feature_names_in_ : array of shape (n_genes,)
        Their names, if they have names.

    Raises
    ------
    ValueError
        On missing labels, an unseen batch (by default), a protected covariate confounded
        with the batch or one that gives ``y`` away, a removed covariate that is not
        numeric, or genes without a value in some batch.

    Warns
    -----
    BatchWarning
        Where nothing, or less than asked for, is corrected.
    ScaleWarning
        If X is not on a log scale.

    Notes
    -----
    Missing values (NaN) stay missing, and each gene is fitted on the samples that have it.

    References
    ----------
    .. [1] Ritchie et al. (2015), "limma powers differential expression analyses for
       RNA-sequencing and microarray studies", doi:10.1093/nar/gkv007.

    Examples
    --------
    >>> import numpy as np
    >>> from geneexpr import LinearBatchCorrector
    >>> X = np.array([[1.0, 4.0], [3.0, 4.0], [5.0, 6.0], [7.0, 6.0]])
    >>> LinearBatchCorrector().fit_transform(X, batch=["a", "a", "b", "b"])
    array([[3., 5.],
           [5., 5.],
           [3., 5.],
           [5., 5.]])
    """

    def __init__(
        self,
        batch_key=None,
        covariate_keys=(),
        *,
        remove_keys=(),
        unseen_batch="raise",
        allow_outcome=False,
    ):
        self.batch_key = batch_key
        self.covariate_keys = covariate_keys
        self.remove_keys = remove_keys
        self.unseen_batch = unseen_batch
        self.allow_outcome = allow_outcome

    def fit(self, X, y=None, *, batch=None, covariates=None, remove=None):
        """Learn the effects of batches and covariates from the training samples.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)
            Expression on a log scale. NaN stands for a missing value.
        y : array-like of shape (n_samples,), optional
            The outcome; it may be missing for some. It is never protected: a batch or
            covariate that gives it away raises, and the means of its classes are stored
            for `adapt`.
        batch : array-like of shape (n_samples,) or (n_samples, 2), optional
            Batch of each sample, for arrays, which carry no annotations.
        covariates : array-like of shape (n_samples,) or (n_samples, p), optional
            Covariates to protect, for arrays; a mapping or DataFrame names them.
        remove : array-like of shape (n_samples,) or (n_samples, r), optional
            Covariates to remove, for arrays.

        Returns
        -------
        self
        """
        self._learn(X, y, batch, covariates, remove=remove)
        return self

    def transform(self, X, *, batch=None, covariates=None, remove=None):
        """Correct samples with what was learned; each row on its own.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)
        batch, covariates, remove : optional
            As in `fit`, for arrays; ``covariates`` for new batches only.

        Returns
        -------
        container like X, of shape (n_samples, n_genes)
            Sparse input comes back dense, since zeros do not stay zeros; what is on disk
            comes back lazy.
        """
        matrix = self._check(X, allow_nan=True)
        return self._corrected(X, self._rows(X, matrix, batch, covariates, remove=remove))

    def fit_transform(self, X, y=None, *, batch=None, covariates=None, remove=None):
        """Fit, and correct the training samples.

        Parameters
        ----------
        X, y, batch, covariates, remove
            As in `fit`.

        Returns
        -------
        container like X, of shape (n_samples, n_genes)
        """
        return self._corrected(X, self._learn(X, y, batch, covariates, remove=remove))

    def adapt(self, X_ref, *, batch=None, covariates=None, remove=None, class_proportions=None):
        """Return a corrector that knows the batches of reference samples as well.

        Everything learned in `fit` stays; the location of each new batch is estimated from
        the reference samples and frozen. Of two batch keys the first is the new one.

        Parameters
        ----------
        X_ref : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)
            At least 10 samples of each new batch.
        batch, covariates, remove : optional
            As in `fit`, for arrays; one label in place of ``batch`` stands for all samples.
        class_proportions : mapping of class to float, optional
            Shares of the classes of ``y`` among the reference samples. None takes the mix
            of the training samples, which harms where it is wrong.

        Returns
        -------
        LinearBatchCorrector
            A new object; this one is unchanged.
        """
        return self._adapt(X_ref, batch, covariates, class_proportions, remove=remove)

    # -------------------------------------------------------------- hooks of the base

    def _learn(self, X, y, batch, covariates, **beside):
        rows = super()._learn(X, y, batch, covariates, **beside)
        _, second = self._both_labels(X, batch)
        if second is not None and y is not None and not self.allow_outcome:
            known = ~pd.isna(np.asarray(y).reshape(len(second), -1)).any(axis=1)
            texts = as_text(second, "the second batch")
            check_outcome(np.asarray(y)[known], np.unique(texts[known], return_inverse=True)[1], {})
        return rows

    def _solve(self, moments):
        super()._solve(moments)
        self.grand_mean_ = self.batch_location_.mean(axis=0)

    def _labels(self, X, batch, remove=None):
        labels, _ = self._both_labels(X, batch)
        check_keys("remove_keys", self.remove_keys)
        if labels is None and (remove is not None or len(self.remove_keys)):
            n_samples = len(self._removed(X, remove)[1])
            return np.full(n_samples, "all", dtype=object)
        return labels

    def _both_labels(self, X, batch):
        """Return the labels of the first and of the second batch, None where there is none."""
        if batch is not None and np.ndim(batch) == 2:
            columns = list(np.asarray(batch, dtype=object).T)
            if isinstance(batch, pd.DataFrame):  # its index is compared with the sample names
                columns = [column for _, column in batch.items()]
            if len(columns) != 2:
                raise ValueError(
                    "batch must be one label a sample, or a table of two columns; got "
                    f"{len(columns)} columns."
                )
            return tuple(labels_of(X, self.batch_key, column) for column in columns)
        if self.batch_key is None or isinstance(self.batch_key, str) or batch is not None:
            return labels_of(X, self.batch_key, batch), None
        keys = list(self.batch_key)
        if len(keys) != 2:
            raise ValueError(f"batch_key must be one name or a list of two; got {keys!r}.")
        return tuple(labels_of(X, key) for key in keys)

    def _removed(self, X, remove, n_samples=0):
        """Return the names of the covariates to remove, and their numbers as columns."""
        columns = covariate_columns(
            X, self.remove_keys, remove, n_samples, names=("remove_keys", "remove")
        )
        numbers = [_finite(name, column) for name, column in columns.items()]
        return list(columns), np.column_stack(numbers) if numbers else np.empty((n_samples, 0))

    def _extend(self, X, codes, design, batch, *, reset=False, remove=None):
        names, removed = self._removed(X, remove, len(codes))
        _, second = self._both_labels(X, batch)
        texts = None if second is None else as_text(second, "the second batch")
        if reset:
            self.removed_ = names
            self.second_batches_ = [] if second is None else sorted(set(texts))
        self._check_as_in_fit(names, second)
        if second is not None:
            of_second = codes_among(texts, self.second_batches_)
            codes = np.where(of_second < 0, self._unseen_second(texts[of_second < 0]), codes)
            coded = sum_to_zero(of_second, len(self.second_batches_))
            removed = np.hstack([coded, removed])
        if reset:
            self.n_removed_ = removed.shape[1]
            self._warn_dependent(codes, design, removed, names)
        return codes, np.hstack([design, removed])

    def _check_as_in_fit(self, names, second):
        if names != self.removed_:
            raise ValueError(
                f"fit removed the covariates {self.removed_}, this call has {names}: they must be "
                "the same, in the same order."
            )
        if (second is None) != (not self.second_batches_):
            raise ValueError(
                f"fit saw {1 if second is not None else 2} labels a sample in batch, this call has "
                f"{1 if second is None else 2}."
            )

    def _unseen_second(self, texts):
        """Decide on levels of the second batch that fit has not seen; -1 leaves rows alone."""
        if len(texts) and self.unseen_batch != "passthrough":
            raise ValueError(
                f"The second batch holds levels that fit has not seen: "
                f"{name_some(sorted(set(texts)))}; fit saw {name_some(self.second_batches_)}. Of "
                "two batch keys only the first can be estimated; unseen_batch='passthrough' "
                "leaves such rows as they are."
            )
        if len(texts):
            warnings.warn(
                f"{len(texts)} rows are of levels of the second batch that fit has not seen "
                f"({name_some(sorted(set(texts)))}) and stay uncorrected.",
                BatchWarning,
                stacklevel=6,
            )
        return -1

    def _warn_dependent(self, codes, design, removed, names):
        within = within_batches(np.hstack([design, removed]), codes, len(self.batches_))
        dependent = dependent_columns(within)[design.shape[1] :]
        if dependent.any():
            n_second = len(dependent) - len(names)
            said = [name for name, is_so in zip(names, dependent[n_second:], strict=True) if is_so]
            said = (["the second batch"] if dependent[:n_second].any() else []) + said
            warnings.warn(
                f"{name_some(said)}: determined, in part or whole, by the batch and what stands "
                "before it; for that part nothing is removed beyond the batch (limma's NA).",
                BatchWarning,
                stacklevel=6,
            )

    def _check_batches(self, n_rows):
        if not self.n_removed_ or len(n_rows) > 1:
            super()._check_batches(n_rows)

    def _row_function(self, locations):
        effects, n = locations - self.grand_mean_, self.n_removed_
        slopes = self.covariate_effects_[-n:] if n else None

        def function(block, codes, design):
            removed = design[:, -n:] if n else None
            return take_off(block, codes, effects, design=removed, slopes=slopes)

        return function


def _finite(name, column):
    """Return a covariate as numbers; raise where it has levels or gaps."""
    try:
        numbers = np.asarray(column).astype(np.float64)
    except (TypeError, ValueError):
        numbers = np.array([np.nan])
    if not np.isfinite(numbers).all():
        raise ValueError(
            f"{name!r} is to be removed, so it must hold finite numbers. What has levels is "
            "removed as a batch: batch_key takes two."
        )
    return numbers
