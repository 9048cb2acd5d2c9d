"""ComBat-seq: batch effects of counts by negative binomial regression, learned and frozen."""

from copy import deepcopy
from dataclasses import replace

import numpy as np

from .._containers import name_some
from .._covariates import as_text, covariate_columns
from .._validation import labels_of, warn_zero_depth
from ._base import BatchCorrector
from ._count_batch_fit import (
    class_rates,
    estimate_count_batch,
    fit_count_batches,
    to_training_mix,
)
from ._count_batches import CountBatches, correct_counts, depths_of
from ._labels import class_shares


class ComBatSeqCorrector(BatchCorrector):
    """Batch correction of counts that gives counts, learned once and frozen.

    Every gene is a negative binomial regression on batch, condition, covariates and library
    size, with a dispersion of its own in every batch. A count is mapped to the same quantile
    of the distribution without the batch effect. On the training samples the counts are
    those of ``sva::ComBat_seq`` (but for one more or less among ten thousand large ones).
    `transform` maps each count of a new sample by the frozen parameters of its batch, so each
    row is corrected on its own (but see ``unseen_batch="estimate"``).

    ``fit`` takes all rows of a block of genes at a time; its peak memory is a few such blocks
    (128 MiB each) and the parameters. Counts that are one block (2 000 samples × 8 000 genes,
    say) are read once, from disk too. More are passed over some 25 times, and on disk all rows
    are read for every block of genes in each pass: time grows with the square of the number of
    samples, so beyond some ten thousand load them, or fit to a part of each batch. `transform`
    works row by row; zeros stay zeros, and sparse rows stay sparse.

    Parameters
    ----------
    batch_key : str, optional
        The annotation that names the batch: a column of ``AnnData.obs`` or a level of the
        row index of a DataFrame. For arrays pass ``batch=``. Without labels there is one
        batch and nothing is corrected (with a warning).
    condition : str, optional
        The annotation that names the biological group, whose effect is protected (``group``
        of ``ComBat_seq``). It is needed in `transform` too, so it must be known of new
        samples: an outcome is none, and raises. For arrays it is one of the ``covariates=``.
    covariate_keys : sequence of str, default=()
        More annotations whose effects are protected, numbers as slopes.
    shrink : bool, default=False
        Draw the effects of a batch to those of genes whose counts are like this one's. Time
        grows with the square of the number of genes, and all counts of a batch are in memory.
    shrink_dispersions : bool, default=False
        With ``shrink``, draw the dispersions as well.
    unseen_batch : {"raise", "passthrough", "estimate"}, default="raise"
        What `transform` does with a batch that `fit` has not seen. "passthrough" leaves its
        rows as they are and warns. "estimate" fits rates and dispersions of the new batch to
        the rows that come together (at least 10), everything else frozen: such a row depends
        on those with it, and the batch is assumed to have the training class mix; `adapt` is
        the alternative without either.
    allow_outcome : bool, default=False
        Allow a condition or covariates that give ``y`` away, and a batch that determines ``y``.

    Attributes
    ----------
    batches_ : list of str
        The batches, sorted; labels are compared as text, so 1, 1.0 and "1" are the same.
        Empty if there were no labels, and the attributes below are missing then.
    corrected_genes_ : array of bool of shape (n_genes,)
        False for genes without a count in some batch; they come back unchanged and are no
        part of the library sizes.
    batch_log_rates_ : array of shape (n_batches, n_genes)
        Logarithm of a gene's expected share of the library in each batch, all covariates
        being zero or at their first level; NaN for genes that are not corrected.
    batch_effects_ : array of shape (n_batches, n_genes)
        What is taken off the logarithm of the rate (γ; shrunken with ``shrink``).
    batch_dispersions_ : array of shape (n_batches, n_genes)
        Dispersions φ: the variance is ``mean + φ mean²``.
    log_rates_, dispersions_ : array of shape (n_genes,)
        Logarithm of the rate, and the dispersion, without batch effects.
    covariate_effects_ : array of shape (n_covariate_columns, n_genes)
        Slopes of the condition and the covariates, as ``covariates_`` names them.
    mean_library_size_ : float
        Of the training samples, over the genes that are corrected.
    covariates_ : list of dict
        The levels of the condition and of each covariate, or its mean and standard deviation.
    outcome_classes_ : list of str
        Classes of ``y``, if it was given and has at most 20.
    class_rates_, class_shares_ : array of shape (n_classes, n_genes), (n_classes,)
        Mean corrected rates of the classes, and their shares of the samples.
    n_features_in_ : int
        Number of genes seen in `fit`.
    feature_names_in_ : array of shape (n_genes,)
        Their names, if they have names.

    Raises
    ------
    ValueError
        On negative values, missing labels, a batch of one sample, an unseen batch (by
        default), a condition or covariate confounded with the batch, one that gives ``y``
        away, or counts too few to estimate a dispersion from.

    Warns
    -----
    ScaleWarning
        If X holds values that are not whole numbers; a corrected value is whole even so.
    ZeroDepthWarning
        Of samples without counts: they have no part in ``fit``.
    BatchWarning
        Where nothing, or less than asked for, is corrected.

    Notes
    -----
    As in ``sva``, counts of 0 and 1 stay as they are, and so does one within 1e-4 of the upper
    end of its distribution (an outlier would become infinite). A batch with too few samples
    for the condition and covariates, or in which they do not vary, gets one dispersion for all
    genes.

    References
    ----------
    .. [1] Zhang, Parmigiani, Johnson (2020), "ComBat-seq: batch effect adjustment for RNA-seq
       count data", doi:10.1093/nargab/lqaa078.
    .. [2] McCarthy, Chen, Smyth (2012), "Differential expression analysis of multifactor
       RNA-Seq experiments with respect to biological variation", doi:10.1093/nar/gks042.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from geneexpr import ComBatSeqCorrector
    >>> rng = np.random.default_rng(0)
    >>> site = np.repeat(["a", "b"], 20)
    >>> rate = np.where(site == "b", 300, 100)[:, None] * (np.arange(30) < 15)
    >>> X = pd.DataFrame(
    ...     rng.poisson(rate + 100.0),
    ...     index=pd.MultiIndex.from_arrays([range(40), site], names=["sample", "site"]),
    ... )
    >>> corrected = ComBatSeqCorrector(batch_key="site").fit_transform(X)
    >>> (X.groupby("site").mean()[0] / X.groupby("site").mean()[20]).round(1).to_dict()
    {'a': 2.0, 'b': 3.9}
    >>> share = corrected.groupby("site").mean()
    >>> (share[0] / share[20]).round(1).to_dict()
    {'a': 2.8, 'b': 2.8}
    """

    _keeps_zeros = True

    def __init__(
        self,
        batch_key=None,
        condition=None,
        covariate_keys=(),
        *,
        shrink=False,
        shrink_dispersions=False,
        unseen_batch="raise",
        allow_outcome=False,
    ):
        self.batch_key = batch_key
        self.condition = condition
        self.covariate_keys = covariate_keys
        self.shrink = shrink
        self.shrink_dispersions = shrink_dispersions
        self.unseen_batch = unseen_batch
        self.allow_outcome = allow_outcome

    # -------------------------------------------------------------- hooks of the base

    def _check(self, X, *, reset=False, **options):
        return super()._check(X, reset=reset, counts=True)

    def _covariate_columns(self, X, covariates, n_samples):
        if self.condition is None:
            return covariate_columns(X, self.covariate_keys, covariates, n_samples)
        # A group is a level, also where it is written as a number.
        given = labels_of(X, self.condition, key_name="condition")
        condition = as_text(given, repr(self.condition))
        others = covariate_columns(X, self.covariate_keys, covariates, n_samples)
        return {self.condition: condition, **others}

    def _learn_moments(self, matrix, codes, design, n_protected, classes, members):
        self._check_sizes(codes)
        self._check_batches(np.bincount(codes))
        design = self._unscaled(design)
        model = fit_count_batches(
            matrix,
            codes,
            design,
            self.batches_,
            shrink=self.shrink,
            shrink_dispersions=self.shrink_dispersions,
        )
        warn_zero_depth(depths_of(matrix, model.corrected), type(self).__name__)
        self._store(model)
        self.outcome_classes_ = classes
        if classes:
            self.class_rates_ = class_rates(model, matrix, codes, design, members)
            self.class_shares_ = members.sum(axis=0) / members.sum()

    def _check_sizes(self, codes):
        alone = [self.batches_[i] for i in np.flatnonzero(np.bincount(codes) == 1)]
        if alone:
            raise ValueError(
                f"{len(alone)} of {len(self.batches_)} batches have 1 sample only "
                f"({name_some(alone)}), and one sample has no dispersion. Join them with a batch "
                "that they resemble, leave them out of fit, or log and use ComBatCorrector."
            )

    def _unscaled(self, design):
        """Return the covariates as they were given, numbers neither centred nor scaled."""
        means, sds = [], []
        for coding in self.covariates_:
            if "levels" in coding:
                means += [0.0] * (len(coding["levels"]) - 1)
                sds += [1.0] * (len(coding["levels"]) - 1)
            elif coding["sd"] > 0:
                means.append(coding["mean"])
                sds.append(coding["sd"])
        return design * np.array(sds) + np.array(means)

    def _store(self, model):
        self.corrected_genes_ = model.corrected
        self.batch_log_rates_ = model.log_rates
        self.batch_effects_ = model.effects
        self.batch_dispersions_ = model.dispersions
        self.covariate_effects_ = model.slopes
        self.log_rates_ = model.mean
        self.dispersions_ = model.dispersion
        self.mean_library_size_ = model.library_size

    def _model(self):
        return CountBatches(
            log_rates=self.batch_log_rates_,
            effects=self.batch_effects_,
            dispersions=self.batch_dispersions_,
            slopes=self.covariate_effects_,
            mean=self.log_rates_,
            dispersion=self.dispersions_,
            library_size=self.mean_library_size_,
        )

    def _expected(self, class_proportions):
        """Return the shares of the classes in a new batch; None where they are as in fit."""
        if class_proportions is None:
            return None
        return class_shares(class_proportions, getattr(self, "outcome_classes_", []))

    def _estimates(self, rows, expected=None):
        model, design = self._model(), self._unscaled(rows.design)
        estimates = []
        for i, name in enumerate(rows.new_batches):
            own = np.flatnonzero(rows.codes == len(self.batches_) + i)
            estimate = estimate_count_batch(
                model, rows.matrix, own, design, name, shrink=self.shrink
            )
            if expected is not None:
                estimate = to_training_mix(
                    *estimate, self.class_rates_, expected, self.class_shares_
                )
            estimates.append(estimate)
        return estimates

    def _with_batches(self, names, estimates):
        new = deepcopy(self)
        order = np.argsort([*self.batches_, *names], kind="stable")
        new.batches_ = sorted([*self.batches_, *names])
        model = _extended(self._model(), estimates)
        new.batch_log_rates_ = model.log_rates[order]
        new.batch_effects_ = model.effects[order]
        new.batch_dispersions_ = model.dispersions[order]
        return new

    def _rows_function(self, estimates):
        model = self._model()
        model = _extended(model, estimates) if estimates else model

        def function(block, codes, design):
            return correct_counts(block, codes, self._unscaled(design), model)

        return function

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = False
        tags.input_tags.positive_only = True
        tags.couples_genes = True
        return tags


def _extended(model, estimates):
    """Return the model with the batches of these estimates behind its own."""
    log_rates, effects, dispersions = zip(*estimates, strict=True)
    return replace(
        model,
        log_rates=np.vstack([model.log_rates, *log_rates]),
        effects=np.vstack([model.effects, *effects]),
        dispersions=np.vstack([model.dispersions, *dispersions]),
    )
