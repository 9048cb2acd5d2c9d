"""A splitter that reads its groups from the annotations of X."""

import numpy as np

from .._containers import annotation


class SplitBy:
    """Let a splitter of scikit-learn read its groups from X by name.

    ``LeaveOneGroupOut``, ``GroupKFold`` and ``StratifiedGroupKFold`` take the groups as an
    argument beside the data, which has to be passed through every function that splits.
    This takes them from the annotations that X carries.

    Parameters
    ----------
    splitter : scikit-learn splitter
        Such as ``LeaveOneGroupOut()`` (leave one batch out) or
        ``StratifiedGroupKFold(5, shuffle=True, random_state=0)`` (no donor on both sides).
    key : str
        The annotation that names the group: a column of ``AnnData.obs`` or a level of the row
        index of a ``DataFrame``.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.model_selection import LeaveOneGroupOut, cross_val_score
    >>> from sklearn.pipeline import make_pipeline
    >>> from geneexpr import CPMNormalizer, LogTransformer, SplitBy, ToArray, make_cohort
    >>> cohort = make_cohort(60, 200, n_batches=3, random_state=0)
    >>> model = make_pipeline(
    ...     CPMNormalizer(), LogTransformer(), ToArray(), LogisticRegression(max_iter=1000)
    ... )
    >>> y = cohort.obs["condition"].to_numpy()
    >>> cross_val_score(model, cohort, y, cv=SplitBy(LeaveOneGroupOut(), "batch")).shape
    (3,)
    """

    def __init__(self, splitter, key):
        self.splitter = splitter
        self.key = key

    def __repr__(self):
        return f"SplitBy({self.splitter!r}, {self.key!r})"

    def split(self, X, y=None, groups=None):
        """Yield the rows of each training and test set.

        Parameters
        ----------
        X : {DataFrame, AnnData}
            Carries the annotation ``key``.
        y : array-like of shape (n_samples,), optional
            For splitters that stratify.
        groups : None
            Must not be given: the groups are those of ``key``.

        Yields
        ------
        train, test : ndarray of int
        """
        yield from self.splitter.split(*self._split_input(X, y, groups))

    def get_n_splits(self, X=None, y=None, groups=None):
        """Return the number of splits.

        Parameters
        ----------
        X : {DataFrame, AnnData}, optional
            Needed where the number depends on the groups (``LeaveOneGroupOut``).
        y, groups : optional
            As in `split`.

        Returns
        -------
        int
        """
        if X is None:
            return self.splitter.get_n_splits()
        return self.splitter.get_n_splits(*self._split_input(X, y, groups))

    def _split_input(self, X, y, groups):
        if groups is not None:
            raise ValueError(
                f"SplitBy takes the groups from the annotation {self.key!r} of X, so groups= must "
                "not be given; to pass groups, use the splitter alone."
            )
        found = annotation(X, self.key)
        return np.zeros((len(found), 1)), y, found
