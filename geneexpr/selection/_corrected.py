"""What may not be concluded from data whose batch effects were estimated and removed.

A test of corrected data takes the estimated batch effects for known ones and counts degrees
of freedom that the correction has used up. Where batch and condition are linked its p-values
are too small: 11 % false positives at 5 % in a group that is spread 80/20 over the batches,
after ComBat that protects the group; 4.8 % with the batch in the design of the test.
"""

import warnings

from .._containers import corrector_of
from .._validation import BatchWarning

_REASON = (
    "a test of corrected data takes the estimated batch effects for known ones, and its p-values "
    "are too small where batch and condition are linked (measured: 11 % false positives at 5 %)"
)


def refuse_alpha(X, alpha, layer, name):
    """Raise where genes of corrected data are to be chosen by a p-value.

    Parameters
    ----------
    X : container
    alpha : float or None
    layer : str or None
        A layer is no work of a corrector, which corrects ``X``.
    name : str
    """
    corrector = None if alpha is None or layer is not None else corrector_of(X)
    if corrector is not None:
        raise ValueError(
            f"{name}(alpha={alpha:g}) got data that {corrector} has corrected: {_REASON}. Put "
            "this step before the corrector, with the batch in the design of its test "
            "(batch_key=), or choose a number of genes (n_genes=) in place of alpha."
        )


def warn_corrected(X, layer):
    """Warn where p-values of corrected data are to be reported.

    Parameters
    ----------
    X : container
    layer : str or None
    """
    corrector = None if layer is not None else corrector_of(X)
    if corrector is not None:
        warnings.warn(
            f"differential_expression got data that {corrector} has corrected: {_REASON}. Test "
            "the data as they were before, with the batch in the design (batch_key=).",
            BatchWarning,
            stacklevel=3,
        )
