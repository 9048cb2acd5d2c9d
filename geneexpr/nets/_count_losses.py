"""Log-likelihoods of counts, one number a gene and sample, in the log of the mean.

Means come as logarithms and dispersions as the logarithm of the inverse dispersion (the
"size" of a negative binomial: its variance is ``mean + mean**2 / size``). Values need not be
whole numbers. What a count of zero does not need (three gamma functions a value) is computed
for the other counts alone, in float64: among counts of a hundred thousand the terms of
float32 cancel to noise.
"""

import math

import numpy as np
import torch
from torch import lgamma
from torch.autograd.function import once_differentiable
from torch.nn.functional import softplus

_LOWEST_LOG_MEAN = -60.0
"""Below, the mean is as good as zero, and still a number of float32."""


def poisson_terms(x, log_mean):
    """Return the log-probabilities of a Poisson distribution.

    Parameters
    ----------
    x : tensor of shape (n_samples, n_genes)
        Counts.
    log_mean : tensor of shape (n_samples, n_genes)

    Returns
    -------
    tensor of shape (n_samples, n_genes)

    Examples
    --------
    >>> import torch
    >>> poisson_terms(torch.tensor([[0.0, 2.0]]), torch.zeros(1, 2))
    tensor([[-1.0000, -1.6931]])
    """
    terms = x * log_mean - log_mean.exp()
    places = _filled(x)
    factorials = lgamma(_wide(x.view(-1)[places]) + 1)
    return terms.view(-1).index_add(0, places, -factorials.to(x.dtype)).view_as(x)


def negative_binomial_terms(x, log_mean, log_size):
    """Return the log-probabilities of a negative binomial distribution.

    Parameters
    ----------
    x : tensor of shape (n_samples, n_genes)
        Counts.
    log_mean : tensor of shape (n_samples, n_genes)
    log_size : tensor of shape (n_genes,)
        Log of the inverse dispersion.

    Returns
    -------
    tensor of shape (n_samples, n_genes)

    Examples
    --------
    >>> import torch
    >>> negative_binomial_terms(torch.tensor([[0.0, 2.0]]), torch.zeros(1, 2), torch.zeros(2))
    tensor([[-0.6931, -2.0794]])
    """
    return _NegativeBinomial.apply(x, log_mean.clamp(min=_LOWEST_LOG_MEAN), log_size)


def zero_inflated_terms(x, log_mean, log_size, logits):
    """Return the log-probabilities of a zero-inflated negative binomial distribution.

    Parameters
    ----------
    x : tensor of shape (n_samples, n_genes)
        Counts.
    log_mean : tensor of shape (n_samples, n_genes)
    log_size : tensor of shape (n_genes,)
    logits : tensor of shape (n_samples, n_genes)
        Log-odds of a zero that is not of the negative binomial.

    Returns
    -------
    tensor of shape (n_samples, n_genes)

    Examples
    --------
    >>> import torch
    >>> zero = torch.zeros(1, 1)
    >>> zero_inflated_terms(zero, zero, torch.zeros(1), zero)
    tensor([[-0.2877]])
    """
    terms = negative_binomial_terms(x, log_mean, log_size)
    # log(1 + e^a) is what both cases share; log(e^a + p) = a + softplus(log p - a)
    zeros = logits + softplus(terms - logits)
    return torch.where(x == 0, zeros, terms) - softplus(logits)


def gaussian_terms(x, mean, log_scale):
    """Return the log-densities of a normal distribution.

    Parameters
    ----------
    x, mean : tensor of shape (n_samples, n_genes)
    log_scale : tensor of shape (n_genes,)
        Log of the standard deviation.

    Returns
    -------
    tensor of shape (n_samples, n_genes)
    """
    distance = (x - mean) * torch.exp(-log_scale)
    return -0.5 * distance.square() - log_scale - 0.5 * math.log(2 * math.pi)


class _NegativeBinomial(torch.autograd.Function):
    """The terms of `negative_binomial_terms`, whose gradients need no second gamma function."""

    @staticmethod
    def forward(ctx, x, log_mean, log_size):
        size, mean = log_size.exp(), log_mean.exp()
        logs = torch.log1p(mean / size)
        terms = -size * logs
        places = _filled(x)
        genes = places % x.shape[1]
        value, wide = _wide(x.view(-1)[places]), _wide(log_size).exp()
        at = wide[genes]
        odds = at * torch.exp(-_wide(log_mean.reshape(-1)[places]))
        more = lgamma(value + at) - lgamma(wide)[genes] - lgamma(value + 1)
        more -= value * torch.log1p(odds)
        terms.view(-1).index_add_(0, places, more.to(x.dtype))
        ctx.save_for_backward(x, mean, size, logs, places)
        return terms

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        x, mean, size, logs, places = ctx.saved_tensors
        slope = (x - mean) / (mean + size)
        of_mean = gradient * slope * size if ctx.needs_input_grad[1] else None
        if not ctx.needs_input_grad[2]:
            return None, of_mean, None
        of_size = -(gradient * slope.add_(logs)).sum(0)
        genes = places % x.shape[1]
        value, wide = _wide(x.view(-1)[places]), _wide(size)
        more = torch.digamma(value + wide[genes]) - torch.digamma(wide)[genes]
        more *= gradient.reshape(-1)[places]
        of_size = _wide(of_size).index_add_(0, genes, more) * wide
        return None, of_mean, of_size.to(x.dtype)


def _filled(x):
    """Return the places of the values that are not zero, in the flat matrix."""
    filled = (x != 0).view(-1)
    if x.device.type != "cpu":
        return filled.nonzero()[:, 0]
    return torch.from_numpy(np.flatnonzero(filled.numpy()))


def _wide(x):
    """Return a tensor in float64, which Apple's MPS alone does not have."""
    return x if x.device.type == "mps" else x.double()
