"""Losses, weighted by sample: ``loss(output, target, weight)``, a mean over the rows.

Weights average to one over a fit, so their scale does not matter, and a mini-batch keeps
the share of its weight in the whole; a weight of 2 counts like a row given twice.
"""

import torch
from torch import sigmoid, softmax
from torch.nn.functional import (
    binary_cross_entropy_with_logits,
    cross_entropy,
    huber_loss,
    mse_loss,
)


def classification_loss(output, target, weight=None):
    """Cross-entropy of class codes.

    Parameters
    ----------
    output : tensor of shape (n_samples, n_classes) or (n_samples, 1)
        Scores before the softmax; one column is the log-odds of class 1.
    target : tensor of int of shape (n_samples,)
    weight : tensor of shape (n_samples,), optional

    Returns
    -------
    tensor of no dimension
    """
    if output.shape[1] == 1:
        return binary_cross_entropy_with_logits(output[:, 0], target.to(output.dtype), weight)
    if weight is None:
        return cross_entropy(output, target)
    return (cross_entropy(output, target, reduction="none") * weight).mean()


def reconstruction_loss(output, target, weight=None):
    """Mean squared error over samples and genes.

    Parameters
    ----------
    output, target : tensor of shape (n_samples, n_genes)
    weight : tensor of shape (n_samples,), optional

    Returns
    -------
    tensor of no dimension
    """
    if weight is None:
        return mse_loss(output, target)
    return (mse_loss(output, target, reduction="none").mean(1) * weight).mean()


def robust_loss(output, target, weight=None):
    """Huber's loss [1]_ over samples and targets: squares up to 1, then straight.

    Parameters
    ----------
    output, target : tensor of shape (n_samples, n_targets)
    weight : tensor of shape (n_samples,), optional

    Returns
    -------
    tensor of no dimension
        In the units of the mean squared error near the target: twice Huber's.

    References
    ----------
    .. [1] Huber (1964), "Robust estimation of a location parameter", Annals of Mathematical
       Statistics 35, 73-101, doi:10.1214/aoms/1177703732.
    """
    losses = 2 * huber_loss(output, target, reduction="none").mean(1)
    return losses.mean() if weight is None else (losses * weight).mean()


REGRESSION_LOSSES = {"mse": reconstruction_loss, "huber": robust_loss}


def probabilities(output):
    """Turn scores into probabilities of shape (n_samples, n_classes), rows summing to one.

    Parameters
    ----------
    output : tensor of shape (n_samples, n_classes) or (n_samples, 1)
        One column is the log-odds of class 1.

    Returns
    -------
    tensor of shape (n_samples, n_classes)

    Examples
    --------
    >>> import torch
    >>> probabilities(torch.tensor([[0.0]]))
    tensor([[0.5000, 0.5000]])
    """
    if output.shape[1] == 1:
        return sigmoid(torch.cat([-output, output], dim=1))
    return softmax(output, dim=1)
