"""How well a classifier tells the batches apart."""

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ._samples import read_samples
from ._stratified_scores import pair_counts


def batch_auc(
    X,
    *,
    batch_key=None,
    batch=None,
    condition=None,
    estimator=None,
    n_splits=5,
    n_components=20,
    max_samples=5000,
    random_state=0,
):
    """Cross-validated AUC of a classifier that predicts the batch of a sample.

    0.5 means that the batches cannot be told apart, 1 that every sample gives its batch away.
    The classifier is trained on principal components of the genes and judged on samples that
    it has not seen, each batch against the rest. With ``condition``, only samples of the same
    class are compared, so that batches of another class mix are not taken for a batch effect.

    Parameters
    ----------
    X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)
        Expression on a log scale, without missing values.
    batch_key : str, optional
        The annotation of X that names the batch.
    batch : array-like of shape (n_samples,), optional
        The batches, for arrays.
    condition : str or array-like of shape (n_samples,), optional
        The biological grouping of interest: an annotation's name or the labels.
    estimator : classifier, optional
        With ``predict_proba``; by default logistic regression on standardised components,
        which sees shifts between batches but not differences in spread.
    n_splits : int, default=5
        Folds (stratified, shuffled); as many at most as the smallest batch has samples.
    n_components : int, default=20
    max_samples : int, default=5000
        Of more samples, as many are drawn at random.
    random_state : int, default=0
        For that draw, the folds and the principal components of large data.

    Returns
    -------
    DataFrame
        Indexed by batch, with the columns ``n_samples`` and ``auc``; NaN for a batch of one
        sample, or one that shares no class with another batch.

    Notes
    -----
    After a correction that centres the batches on these same samples, the AUC falls below
    0.5: taking a fold out shifts the mean of the rest the other way. That is no fault.

    Examples
    --------
    >>> import numpy as np
    >>> from geneexpr import batch_auc
    >>> X = np.random.default_rng(0).normal(size=(40, 3))
    >>> X[::2] += 3
    >>> batch_auc(X, batch=np.tile(["a", "b"], 20))
           n_samples  auc
    batch
    a             20  1.0
    b             20  1.0
    """
    samples = read_samples(
        X,
        batch_key=batch_key,
        batch=batch,
        condition=condition,
        n_components=n_components,
        max_samples=max_samples,
        random_state=random_state,
    )
    return auc_table(samples, estimator, n_splits, n_components, random_state)


def auc_table(samples, estimator=None, n_splits=5, n_components=20, random_state=0):
    """Return the table of `batch_auc` for samples that are already read."""
    sizes = np.bincount(samples.batch.codes, minlength=len(samples.batch.levels))
    index = pd.Index(samples.batch.levels, name="batch")
    table = pd.DataFrame({"n_samples": sizes, "auc": np.nan}, index=index)
    large = np.flatnonzero(sizes >= 2)
    rows = np.flatnonzero(np.isin(samples.batch.codes, large))
    if len(large) < 2:
        return table
    if estimator is None:
        estimator = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    codes = samples.batch.codes[rows]
    folds = StratifiedKFold(
        min(n_splits, int(sizes[large].min())), shuffle=True, random_state=random_state
    )
    points = samples.first(n_components)[rows]
    chances = cross_val_predict(clone(estimator), points, codes, cv=folds, method="predict_proba")
    strata = np.zeros(len(rows), int)
    if samples.condition is not None:
        strata = samples.condition.codes[rows]
    for column, code in enumerate(large):
        right, pairs = pair_counts(codes == code, chances[:, column], strata)
        table.loc[table.index[code], "auc"] = right / pairs if pairs else np.nan
    return table
