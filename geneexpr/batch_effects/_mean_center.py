"""Mean centring: every gene has mean zero in every batch."""

from ._location import LocationCorrector, take_off


class MeanCenterCorrector(LocationCorrector):
    """Subtract the mean of each gene in each batch, learned once and frozen.

    The simplest correction of location. `transform` subtracts the frozen mean of the
    sample's batch, so each row is corrected on its own (but see
    ``unseen_batch="estimate"``). Corrected values are centred at zero: rows that are left
    as they are ("passthrough") stand apart from them.

    ``fit`` is one row fold, with a peak memory of a few arrays of batches × genes and one
    block of rows; CSR is never made dense in ``fit``. `transform` gives dense rows.

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
    unseen_batch : {"raise", "passthrough", "estimate"}, default="raise"
        What `transform` does with a batch that ``fit`` has not seen. "passthrough" leaves
        its rows as they are and warns. "estimate" centres the rows that come together (at
        least 10): such a row depends on those with it, and the batch is assumed to have the
        training class mix; `adapt` is the alternative without either.
    allow_outcome : bool, default=False
        Allow covariates that give ``y`` away, and a batch that determines ``y``.

    Attributes
    ----------
    batches_ : list of str
        The batches, sorted; labels are compared as text. Empty if there were no labels,
        and the attributes below are missing then.
    batch_location_ : array of shape (n_batches, n_genes)
        Mean of each batch at the average of the covariates: what is subtracted.
    covariate_effects_ : array of shape (n_covariate_columns, n_genes)
        Slopes of the covariates as ``covariates_`` codes them.
    covariate_offset_ : array of shape (n_genes,)
        What the covariates add at their training means.
    covariates_ : list of dict
        How each covariate is coded.
    outcome_classes_ : list of str
        Classes of ``y``, if it was given and has at most 20.
    class_means_, class_shares_ : array of shape (n_classes, n_genes), (n_classes, 1 or n_genes)
        Corrected means of the classes, and their shares.
    n_features_in_ : int
        Number of genes seen in `fit`.
    feature_names_in_ : array of shape (n_genes,)
        Their names, if they have names.

    Raises
    ------
    ValueError
        On missing labels, an unseen batch (by default), a covariate confounded with the
        batch or one that gives ``y`` away, or genes without a value in some batch.

    Warns
    -----
    BatchWarning
        Where nothing, or less than asked for, is corrected.
    ScaleWarning
        If X is not on a log scale.

    References
    ----------
    .. [1] Hornung et al. (2017), "Improving cross-study prediction through addon batch effect
       adjustment or addon normalization", doi:10.1093/bioinformatics/btw650.

    Examples
    --------
    >>> import numpy as np
    >>> from geneexpr import MeanCenterCorrector
    >>> X = np.array([[1.0, 4.0], [3.0, 5.0], [5.0, 6.0], [7.0, 9.0]])
    >>> MeanCenterCorrector().fit_transform(X, batch=["a", "a", "b", "b"])
    array([[-1. , -0.5],
           [ 1. ,  0.5],
           [-1. , -1.5],
           [ 1. ,  1.5]])
    """

    def __init__(
        self, batch_key=None, covariate_keys=(), *, unseen_batch="raise", allow_outcome=False
    ):
        self.batch_key = batch_key
        self.covariate_keys = covariate_keys
        self.unseen_batch = unseen_batch
        self.allow_outcome = allow_outcome

    def _row_function(self, locations):
        return lambda block, codes, design: take_off(block, codes, locations)
