"""Levels as contrasts, and classes as shares."""

import numpy as np

from .._containers import name_some
from .._covariates import text_of

SHARES_TOLERANCE = 1e-3


def sum_to_zero(codes, n_levels):
    """Write levels as numbers whose coefficients sum to zero, as R's ``contr.sum`` does.

    Parameters
    ----------
    codes : array of int of shape (n_samples,)
    n_levels : int

    Returns
    -------
    array of shape (n_samples, n_levels - 1)

    Examples
    --------
    >>> sum_to_zero(np.array([0, 1, 2]), 3)
    array([[ 1.,  0.],
           [ 0.,  1.],
           [-1., -1.]])
    """
    return np.vstack([np.eye(n_levels - 1), -np.ones(n_levels - 1)])[codes]


def class_shares(proportions, classes):
    """Return the share of each class; raise on classes or shares that cannot be.

    Parameters
    ----------
    proportions : mapping of class to float
        Classes that are left out have a share of zero.
    classes : list of str
        Those of ``y`` in ``fit``, as text.

    Returns
    -------
    array of shape (n_classes,)

    Examples
    --------
    >>> class_shares({"control": 1.0}, ["case", "control"])
    array([0., 1.])
    """
    if not classes:
        raise ValueError(
            "class_proportions needs the class means, which fit(X, y) stores: fit got no y "
            "with 2 to 20 classes."
        )
    if not hasattr(proportions, "items"):
        raise ValueError(
            "class_proportions must be a mapping of class to share, such as "
            f"{{{classes[0]!r}: 1.0}}; got {proportions!r}."
        )
    given = {text_of(name): float(share) for name, share in proportions.items()}
    unknown = sorted(set(given) - set(classes))
    if unknown:
        raise ValueError(
            f"class_proportions names {name_some(unknown)}, but the classes of y are "
            f"{name_some(classes)}."
        )
    shares = np.array([given.get(name, 0.0) for name in classes])
    # Written so that NaN, which fails every comparison, raises too.
    if not ((shares >= 0).all() and abs(shares.sum() - 1) <= SHARES_TOLERANCE):
        raise ValueError(f"class_proportions must be shares that sum to 1; got {given}.")
    return shares / shares.sum()
