"""Ratios: every gene is told as a multiple of its mean in the batch."""

import numpy as np
import scipy.sparse as sp

from .._blocks import fold
from .._validation import check_choice, stored
from ..stats import merge_moments, summarise_batches
from ._location import LocationCorrector, divide_by

_CHUNK_ROWS = 1024


class RatioCorrector(LocationCorrector):
    """Divide by the mean of each gene in each batch, learned once and frozen.

    For effects that multiply (intensities, abundances that are not logged). `transform`
    divides by the frozen mean of the sample's batch, so each row is corrected on its own
    (but see ``unseen_batch="estimate"``). Corrected values vary around one: rows that are
    left as they are ("passthrough") stand apart from them.

    ``fit`` is one row fold, with a peak memory of a few arrays of batches × genes and one
    block of rows. Sparse input stays sparse in `transform`; in ``fit`` the geometric mean
    makes a thousand rows of it dense at a time, the arithmetic mean none.

    Parameters
    ----------
    batch_key : str, optional
        The annotation that names the batch: a column of ``AnnData.obs`` or a level of the
        row index of a DataFrame. For arrays pass ``batch=``. Without labels there is one
        batch and nothing is corrected (with a warning).
    covariate_keys : sequence of str, default=()
        Annotations that are protected: the mean of a batch is taken where it would be with
        the covariates of all training samples. They are needed in ``fit``, and for new
        batches; known batches are corrected without them.
    mean : {"arithmetic", "geometric"}, default="arithmetic"
        The mean to divide by. The geometric mean is that of the values above zero, and zeros
        stay zeros.
    unseen_batch : {"raise", "passthrough", "estimate"}, default="raise"
        What `transform` does with a batch that ``fit`` has not seen. "passthrough" leaves
        its rows as they are and warns. "estimate" divides by the mean of the rows that come
        together (at least 10): such a row depends on those with it, and the batch is assumed
        to have the training class mix; `adapt` is the alternative without either.
    allow_outcome : bool, default=False
        Allow covariates that give ``y`` away, and a batch that determines ``y``.

    Attributes
    ----------
    batches_ : list of str
        The batches, sorted; labels are compared as text. Empty if there were no labels,
        and the attributes below are missing then.
    batch_location_ : array of shape (n_batches, n_genes)
        Mean of each batch at the average of the covariates, as its logarithm if geometric.
        A gene without a value above zero in a batch has the factor one there.
    covariate_effects_ : array of shape (n_covariate_columns, n_genes)
        Slopes of the covariates as ``covariates_`` codes them, of the logarithms if
        geometric.
    covariate_offset_ : array of shape (n_genes,)
        What the covariates add at their training means.
    covariates_ : list of dict
        How each covariate is coded.
    outcome_classes_ : list of str
        Classes of ``y``, if it was given and has at most 20.
    class_means_, class_shares_ : array of shape (n_classes, n_genes), (n_classes, 1 or n_genes)
        Corrected means of the classes (of their logarithms if geometric), and their shares.
    n_features_in_ : int
        Number of genes seen in `fit`.
    feature_names_in_ : array of shape (n_genes,)
        Their names, if they have names.

    Raises
    ------
    ValueError
        On negative values in ``fit``, missing labels, an unseen batch (by default), a
        covariate confounded with the batch or one that gives ``y`` away.

    Warns
    -----
    BatchWarning
        Where nothing, or less than asked for, is corrected.

    References
    ----------
    .. [1] Luo et al. (2010), "A comparison of batch effect removal methods for enhancement of
       prediction performance using MAQC-II microarray gene expression data",
       doi:10.1038/tpj.2010.57.
    .. [2] Hornung et al. (2017), "Improving cross-study prediction through addon batch effect
       adjustment or addon normalization", doi:10.1093/bioinformatics/btw650.

    Examples
    --------
    >>> import numpy as np
    >>> from geneexpr import RatioCorrector
    >>> X = np.array([[1.0, 4.0], [3.0, 4.0], [10.0, 8.0], [30.0, 8.0]])
    >>> RatioCorrector().fit_transform(X, batch=["a", "a", "b", "b"])
    array([[0.5, 1. ],
           [1.5, 1. ],
           [0.5, 1. ],
           [1.5, 1. ]])
    """

    _keeps_zeros = True

    def __init__(
        self,
        batch_key=None,
        covariate_keys=(),
        *,
        mean="arithmetic",
        unseen_batch="raise",
        allow_outcome=False,
    ):
        self.batch_key = batch_key
        self.covariate_keys = covariate_keys
        self.mean = mean
        self.unseen_batch = unseen_batch
        self.allow_outcome = allow_outcome

    @property
    def _ratios(self):
        return self.mean == "arithmetic"

    def _learn(self, X, y, batch, covariates):
        check_choice("mean", self.mean, ("arithmetic", "geometric"))
        rows = super()._learn(X, y, batch, covariates)
        if rows.codes is None:
            _refuse_negative(fold(rows.matrix, lambda block: stored(block).min(initial=0), min))
        return rows

    def _moments(self, matrix, codes, n_batches, design):
        summarise = _of_values if self._ratios else _of_logarithms
        return fold(
            matrix,
            lambda block, codes, design: summarise(block, codes, n_batches, design),
            merge_moments,
            codes,
            design,
        )

    def _check_estimable(self, moments):
        """Accept all genes: without a value in a batch, a gene is divided by one there."""

    def _check_scale(self, moments):
        """Accept any scale; negative values have raised."""

    def _solve(self, moments):
        super()._solve(moments)
        location = self.batch_location_
        if self._ratios:
            location = np.where(location > 0, location, moments.means)
            self.batch_location_ = np.where(location > 0, location, 1.0)
        else:
            self.batch_location_ = np.where(moments.counts > 0, location, 0.0)

    def _estimate(self, moments, expected):
        if expected is not None and self._ratios:
            expected = np.where(expected > 0, expected, 1.0)
        location = super()._estimate(moments, expected)
        if self._ratios:
            location = np.where(location > 0, location, self.batch_location_.mean(axis=0))
        return location

    def _row_function(self, locations):
        factors = locations if self._ratios else np.exp(locations)
        return lambda block, codes, design: divide_by(block, codes, factors)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        return tags


def _of_values(block, codes, n_batches, design):
    moments = summarise_batches(block, codes, n_batches, design)
    _refuse_negative(moments.minima.min())
    return moments


def _of_logarithms(block, codes, n_batches, design):
    """Summarise the logarithms of the values above zero; a zero counts as missing."""
    total = None
    for start in range(0, block.shape[0], _CHUNK_ROWS):
        rows = slice(start, start + _CHUNK_ROWS)
        values = block[rows].toarray() if sp.issparse(block) else block[rows]
        _refuse_negative(np.fmin.reduce(values, axis=None, initial=np.inf))
        logs = np.full(values.shape, np.nan)
        np.log(values, out=logs, where=values > 0)
        part = summarise_batches(logs, codes[rows], n_batches, design[rows])
        total = part if total is None else merge_moments(total, part)
    return total


def _refuse_negative(lowest):
    if lowest < 0:
        raise ValueError(
            f"Negative values in data passed to RatioCorrector: a ratio to the mean needs values "
            f"from zero up, got {lowest:g} as lowest. Give abundances that are not centred or "
            "logged, or use MeanCenterCorrector."
        )
