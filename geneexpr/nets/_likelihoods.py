"""What a decoder's scores say of expression: distributions, with what they learn by gene.

Each has ``counts`` (whether it is one of counts), ``start(profile)``, ``mean(scores,
library)``, ``terms(x, scores, h)``, the log-probabilities of values given the scores and the
layer ``h`` below them, and ``draw(rng, scores, h, library)``. Scores of counts are the
logarithms of each gene's share of the library, up to a constant: a softmax makes them shares.
"""

import torch
from torch import log_softmax, nn

from ._count_losses import (
    gaussian_terms,
    negative_binomial_terms,
    poisson_terms,
    zero_inflated_terms,
)
from ._layers import linear


class Gaussian(nn.Module):
    """Normal distribution around the scores; one standard deviation a gene."""

    counts = False

    def __init__(self, n_inputs, n_genes, *, dtype=torch.float32, generator=None):
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(n_genes, dtype=dtype))

    def start(self, profile):
        """Begin at the standard deviation of each gene."""
        self.log_scale.copy_(profile["dispersion"])

    def mean(self, scores, library):
        """Return the scores, which are on the standardised scale."""
        return scores

    def terms(self, x, scores, h):
        """Return log-densities of standardised expression."""
        return gaussian_terms(x, scores, self.log_scale)

    def draw(self, rng, scores, h, library):
        """Draw standardised expression by a NumPy generator."""
        noise = torch.from_numpy(rng.standard_normal(scores.shape)).to(scores)
        return scores + noise * self.log_scale.exp()


class Poisson(nn.Module):
    """Poisson distribution; the mean is the library size times the gene's share."""

    counts = True

    def __init__(self, n_inputs, n_genes, *, dtype=torch.float32, generator=None):
        super().__init__()

    def start(self, profile):
        """Begin with nothing."""

    def mean(self, scores, library):
        """Return expected counts in libraries of given sizes."""
        return torch.softmax(scores, dim=1) * library[:, None]

    def log_mean(self, x, scores):
        """Return the log of the expected counts in libraries as large as those of ``x``."""
        smallest = torch.finfo(x.dtype).tiny ** 0.5
        return log_softmax(scores, dim=1) + x.sum(1, keepdim=True).clamp(min=smallest).log()

    def terms(self, x, scores, h):
        """Return log-probabilities of counts."""
        return poisson_terms(x, self.log_mean(x, scores))

    def draw(self, rng, scores, h, library):
        """Draw counts by a NumPy generator."""
        return _drawn(rng.poisson(self.mean(scores, library).double().cpu().numpy()), scores)


class NegativeBinomial(Poisson):
    """Negative binomial distribution with one dispersion a gene."""

    def __init__(self, n_inputs, n_genes, *, dtype=torch.float32, generator=None):
        super().__init__(n_inputs, n_genes, dtype=dtype, generator=generator)
        self.log_size = nn.Parameter(torch.zeros(n_genes, dtype=dtype))

    def start(self, profile):
        """Begin at the dispersion of each gene by the method of moments."""
        self.log_size.copy_(profile["dispersion"])

    def terms(self, x, scores, h):
        """Return log-probabilities of counts."""
        return negative_binomial_terms(x, self.log_mean(x, scores), self.log_size)

    def draw(self, rng, scores, h, library):
        """Draw counts by a NumPy generator, as Poisson counts of a gamma-distributed mean."""
        mean = self.mean(scores, library).double().cpu().numpy()
        size = self.log_size.double().exp().cpu().numpy()
        return _drawn(rng.poisson(rng.gamma(size, mean / size)), scores)


class ZeroInflated(NegativeBinomial):
    """Negative binomial distribution with more zeros, whose odds the decoder tells as well."""

    def __init__(self, n_inputs, n_genes, *, dtype=torch.float32, generator=None):
        super().__init__(n_inputs, n_genes, dtype=dtype, generator=generator)
        self.zeros = linear(n_inputs, n_genes, dtype=dtype, generator=generator)

    def start(self, profile):
        """Begin with few zeros that the negative binomial does not explain."""
        super().start(profile)
        self.zeros.bias.fill_(-2.0)

    def terms(self, x, scores, h):
        """Return log-probabilities of counts."""
        return zero_inflated_terms(x, self.log_mean(x, scores), self.log_size, self.zeros(h))

    def draw(self, rng, scores, h, library):
        """Draw counts by a NumPy generator."""
        counts = super().draw(rng, scores, h, library)
        kept = rng.random(counts.shape) >= torch.sigmoid(self.zeros(h)).cpu().numpy()
        return counts * torch.from_numpy(kept).to(counts.device)


LIKELIHOODS = {
    "gaussian": Gaussian,
    "poisson": Poisson,
    "nb": NegativeBinomial,
    "zinb": ZeroInflated,
}


def _drawn(counts, scores):
    return torch.from_numpy(counts).to(scores)
