"""ComBat: location and scale of every gene in every batch, shrunk by empirical Bayes."""

import warnings
from copy import deepcopy
from dataclasses import replace

import numpy as np
import scipy.sparse as sp

from .._containers import name_some
from .._covariates import text_of
from .._validation import BatchWarning
from ._base import BatchCorrector
from ._labels import class_shares
from ._location_scale import (
    LocationScale,
    correct_rows,
    estimate_batch,
    fit_location_scale,
    standardised_class_means,
)


class ComBatCorrector(BatchCorrector):
    """Batch correction of location and scale by empirical Bayes, learned once and frozen.

    On the training samples the values are those of ``sva::ComBat``. `transform` applies the
    frozen map ``x * scale + shift`` of the sample's batch, so each row is corrected on its
    own (but see ``unseen_batch="estimate"``).

    ``fit`` is one row fold, with a peak memory of a few arrays of batches × genes and one
    block of rows; CSR is never made dense in ``fit``. `transform` gives dense rows.

    Parameters
    ----------
    batch_key : str, optional
        The annotation that names the batch: a column of ``AnnData.obs`` or a level of the
        row index of a DataFrame. For arrays pass ``batch=``. Without labels there is one
        batch and nothing is corrected (with a warning).
    covariate_keys : sequence of str, default=()
        Annotations whose effects are protected. They are needed in `transform` too, so they
        must be known of new samples; what gives ``y`` away raises.
    parametric : bool, default=True
        Normal and inverse gamma priors; False takes the other genes themselves as the prior
        (time grows with the square of the number of genes).
    mean_only : bool, default=False
        Correct locations, not scales. A batch of one sample forces this for all batches,
        with a warning.
    reference_batch : str, optional
        The batch that all others are brought to. Its own samples come back untouched.
    unseen_batch : {"raise", "passthrough", "estimate"}, default="raise"
        What `transform` does with a batch that `fit` has not seen. "passthrough" leaves its
        rows as they are and warns. "estimate" takes location and scale of the new batch
        from the rows that come together (at least 10), everything else frozen: such a row
        depends on those with it, and the batch is assumed to have the training class mix;
        `adapt` is the alternative without either.
    allow_outcome : bool, default=False
        Allow covariates that give ``y`` away, and a batch that determines ``y``.

    Attributes
    ----------
    batches_ : list of str
        The batches, sorted; labels are compared as text, so 1, 1.0 and "1" are the same.
        Empty if there were no labels, and the attributes below are missing then.
    grand_mean_, pooled_sd_ : array of shape (n_genes,)
        The standardisation; 0 and 1 for genes that are not corrected.
    covariate_effects_ : array of shape (n_covariate_columns, n_genes)
        Slopes of the covariates as ``covariates_`` codes them.
    batch_location_, batch_scale_ : array of shape (n_batches, n_genes)
        Shrunken mean and variance of the batch on the standardised scale (γ*, δ*).
    corrected_genes_ : array of bool of shape (n_genes,)
        False for genes that are constant in a batch of several samples; they come back
        unchanged and have no part in the priors.
    mean_only_ : bool
        Whether scales were left alone.
    covariates_ : list of dict
        How each covariate is coded: its levels, or its mean and standard deviation.
    outcome_classes_ : list of str
        Classes of ``y``, if it was given and has at most 20.
    class_means_, class_shares_ : array of shape (n_classes, n_genes), (n_classes, 1 or n_genes)
        Corrected means of the classes on the standardised scale, and their shares.
    n_features_in_ : int
        Number of genes seen in `fit`.
    feature_names_in_ : array of shape (n_genes,)
        Their names, if they have names.

    Raises
    ------
    ValueError
        On missing labels, an unseen batch (by default), a covariate confounded with the
        batch, one that gives ``y`` away, an unknown ``reference_batch``, or genes without a
        value in some batch.

    Warns
    -----
    BatchWarning
        Where nothing, or less than asked for, is corrected.
    ScaleWarning
        If X is not on a log scale.

    Notes
    -----
    As in ``sva``, missing values (NaN) stay missing and are left out gene by gene, and any
    of them changes the denominator of all pooled variances from n to n - 1.

    References
    ----------
    .. [1] Johnson, Li, Rabinovic (2007), "Adjusting batch effects in microarray expression
       data using empirical Bayes methods", doi:10.1093/biostatistics/kxj037.
    .. [2] Hornung et al. (2017), "Improving cross-study prediction through addon batch effect
       adjustment or addon normalization", doi:10.1093/bioinformatics/btw650.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from geneexpr import ComBatCorrector
    >>> rng = np.random.default_rng(0)
    >>> site = np.repeat(["a", "b"], 20)
    >>> X = pd.DataFrame(
    ...     rng.normal(size=(40, 30)) + 3 * (site == "b")[:, None],
    ...     index=pd.MultiIndex.from_arrays([range(40), site], names=["sample", "site"]),
    ... )
    >>> corrected = ComBatCorrector(batch_key="site").fit_transform(X)
    >>> corrected.groupby("site").mean().mean(axis=1).round(1).to_dict()
    {'a': 1.5, 'b': 1.5}
    """

    def __init__(
        self,
        batch_key=None,
        covariate_keys=(),
        *,
        parametric=True,
        mean_only=False,
        reference_batch=None,
        unseen_batch="raise",
        allow_outcome=False,
    ):
        self.batch_key = batch_key
        self.covariate_keys = covariate_keys
        self.parametric = parametric
        self.mean_only = mean_only
        self.reference_batch = reference_batch
        self.unseen_batch = unseen_batch
        self.allow_outcome = allow_outcome

    # -------------------------------------------------------------- hooks of the base

    def _solve(self, moments):
        self.mean_only_ = self._decide_mean_only(moments.n_rows)
        model = fit_location_scale(
            moments,
            parametric=self.parametric,
            mean_only=self.mean_only_,
            reference=self._reference(),
        )
        self.grand_mean_ = model.mean
        self.pooled_sd_ = model.sd
        self.covariate_effects_ = model.slopes
        self.batch_location_ = model.location
        self.batch_scale_ = model.scale
        self.corrected_genes_ = model.corrected

    def _model(self):
        return LocationScale(
            mean=self.grand_mean_,
            sd=self.pooled_sd_,
            slopes=self.covariate_effects_,
            location=self.batch_location_,
            scale=self.batch_scale_,
            corrected=self.corrected_genes_,
        )

    def _reference(self):
        if self.reference_batch is None:
            return None
        name = text_of(self.reference_batch)
        if name not in self.batches_:
            raise ValueError(
                f"reference_batch={self.reference_batch!r} is not among the batches "
                f"{name_some(self.batches_)}."
            )
        return self.batches_.index(name)

    def _decide_mean_only(self, n_rows):
        alone = [b for b, n in zip(self.batches_, n_rows, strict=True) if n == 1]
        if alone and len(self.batches_) > 1 and not self.mean_only:
            warnings.warn(
                f"{len(alone)} of {len(self.batches_)} batches have one sample only "
                f"({name_some(alone)}), and one sample has no scale: locations alone are "
                "corrected, in all batches (mean_only=True).",
                BatchWarning,
                stacklevel=7,
            )
        return bool(self.mean_only or alone)

    def _learn_classes(self, moments, p):
        self.class_means_, self.class_shares_ = standardised_class_means(self._model(), moments, p)

    def _expected(self, class_proportions):
        """Return mean and variance, relative to the training mix, of a mix of classes."""
        if class_proportions is None:
            return None
        shares = class_shares(class_proportions, self.outcome_classes_)
        mean = shares @ self.class_means_
        usual = (self.class_shares_ * self.class_means_).sum(axis=0)
        between = shares @ (self.class_means_ - mean) ** 2
        between_usual = (self.class_shares_ * (self.class_means_ - usual) ** 2).sum(axis=0)
        # Standardised values vary by 1 under the training mix, classes included.
        return mean, np.maximum(1 - between_usual, 0.05) + between

    def _estimate(self, moments, expected):
        mean, variance = (0.0, 1.0) if expected is None else expected
        return estimate_batch(
            self._model(),
            moments,
            parametric=self.parametric,
            mean_only=self.mean_only_,
            expected_mean=mean,
            expected_variance=variance,
        )

    def _with_batches(self, names, estimates):
        new = deepcopy(self)
        order = np.argsort([*self.batches_, *names], kind="stable")
        new.batches_ = sorted([*self.batches_, *names])
        locations, scales = zip(*estimates, strict=True)
        new.batch_location_ = np.vstack([self.batch_location_, *locations])[order]
        new.batch_scale_ = np.vstack([self.batch_scale_, *scales])[order]
        return new

    def _rows_function(self, estimates):
        model = self._model()
        if estimates:
            locations, scales = zip(*estimates, strict=True)
            model = replace(
                model,
                location=np.vstack([model.location, *locations]),
                scale=np.vstack([model.scale, *scales]),
            )

        def function(block, codes, design):
            if sp.issparse(block):
                block = out = block.toarray()
            else:
                out = np.empty_like(block)
            return correct_rows(block, codes, design, model, out=out)

        return function
