"""SHAP values of our networks: gradients behind the first layer, where they cost little."""

import numpy as np

from .._blocks import BLOCK_BYTES
from ._layers import has_secants, path_slopes, secant_slopes
from ._linear_path import pulled_back
from ._suffix import blocks

_PAIRS = 2**14
"""Pairs of a sample and a row of the background that are taken through the network at once."""
_TILE = 2**10
"""Genes whose products stay in the cache together."""
_MAX_NODES = 256
_TOLERANCE = 1e-6


def network_values(suffix, composed, matrix, background):
    r"""Return SHAP values of a network, averaged over a background.

    For a sample x and a row b of the background, the first layer sees
    :math:`W^\top (x - b)`, and what follows is a small network of its units. Slopes
    m(x, b) of the outputs in these units, by the rescale rule of DeepLIFT (exact mean
    gradients where there is one hidden layer; by quadrature along the path where a layer
    normalisation couples units), give

    .. math:: \phi_g(x) = \frac{1}{B} \sum_b (x_g - b_g) \, W_g^\top m(x, b),

    which adds up to the difference of the outputs, exactly. Only the last product touches all
    genes; it is one matrix product of the background and the slopes a sample.

    Parameters
    ----------
    suffix : Suffix
    composed : Composed
        What is behind the linear steps of its core.
    matrix, background : matrix of shape (n_samples, n_genes), (n_background, n_genes)
        In gene space.

    Returns
    -------
    array of shape (n_samples, n_genes, n_outputs)
        In units of the margin.

    References
    ----------
    Lundberg, Lee (2017), "A unified approach to interpreting model predictions", NeurIPS,
    doi:10.48550/arXiv.1705.07874.
    """
    opened, scale = composed.opened, composed.scale
    genes = pulled_back(suffix, opened.weights.astype(np.float64), genes=False)
    beside = np.concatenate([suffix.through_genes(block) for block in blocks(background)])
    units = opened.units(suffix.through_linear(beside))
    beside = opened.seen(beside)
    center = beside.mean(axis=0, dtype=np.float64)
    beside = np.ascontiguousarray((beside - center).T, dtype=opened.weights.dtype)
    result = np.zeros((len(scale), matrix.shape[0], len(suffix.genes)))
    start = 0
    for block in blocks(matrix, n_bytes=_block_bytes(matrix.shape[1], len(units))):
        dense = suffix.through_genes(block)
        slopes = _slopes(opened.rest, opened.units(suffix.through_linear(dense)), units)
        slopes = slopes * scale[:, None, None, None]
        dense = opened.seen(dense) - center
        for output, of_output in enumerate(slopes):
            rows = slice(start, start + len(dense))
            result[output, rows, suffix.kept] = _shares(dense, beside, genes, of_output).T
        start += len(dense)
    return np.moveaxis(result, 0, 2)


def _block_bytes(n_genes, n_background):
    rows = max(1, _PAIRS // n_background)
    return min(BLOCK_BYTES, rows * n_genes * 8)


def _slopes(rest, units, beside):
    """Return the slopes of every pair, an array of shape (n_outputs, n, n_background, h)."""
    import torch

    ends, starts = torch.from_numpy(units)[:, None], torch.from_numpy(beside)[None]
    ends, starts = torch.broadcast_tensors(ends, starts)
    if has_secants(rest):
        return secant_slopes(rest, ends, starts).numpy()
    shape, width = ends.shape, ends.shape[2]
    ends, starts = ends.reshape(-1, width), starts.reshape(-1, width)
    return _paths(rest, ends, starts).reshape(-1, *shape).numpy()


def _paths(rest, ends, starts):
    """Return mean gradients, for pairs whose sum is not yet right from twice the nodes."""
    import torch

    with torch.no_grad():
        gap = _through(rest, ends) - _through(rest, starts)
    most = _TOLERANCE * max(1.0, float(gap.abs().max()))
    slopes = torch.empty(gap.shape[1], *ends.shape, dtype=ends.dtype)
    left, n_nodes = torch.arange(len(ends)), 8
    while len(left) and n_nodes <= _MAX_NODES:
        found = path_slopes(rest, ends[left], starts[left], n_nodes=n_nodes)
        slopes[:, left] = found
        missed = (found * (ends - starts)[left]).sum(dim=2).T - gap[left]
        left, n_nodes = left[missed.abs().amax(dim=1) > most], 2 * n_nodes
    return slopes


def _through(layers, x):
    for layer in layers:
        x = layer(x)
    return x


def _shares(rows, beside, genes, slopes):
    """Return the mean over the background of ``(x - b) * (genes @ m(x, b))``.

    Parameters
    ----------
    rows : array of shape (n, n_genes)
    beside : array of shape (n_genes, n_background)
        The background, transposed; both less its mean.
    genes : array of shape (n_genes, h)
        Weights.
    slopes : array of shape (n, n_background, h)

    Returns
    -------
    array of shape (n, n_genes)
        The products with the background, which are many and add up to little, are in its
        precision, all else in double.

    Examples
    --------
    >>> import numpy as np
    >>> rows, beside = np.array([[3.0]]), np.array([[1.0, -1.0]])
    >>> _shares(rows, beside, np.array([[2.0]]), np.array([[[1.0], [1.0]]]))
    array([[6.]])
    """
    result = rows * (slopes.mean(axis=1) @ genes.T)
    n_background, kind = beside.shape[1], beside.dtype
    slopes, genes = slopes.astype(kind) / kind.type(n_background), genes.astype(kind)
    for start in range(0, len(genes), _TILE):
        tile = slice(start, start + _TILE)
        of_tile, background = genes[tile], beside[tile]
        for row, of_row in enumerate(slopes):
            result[row, tile] -= np.einsum("gh,gh->g", background @ of_row, of_tile)
    return result
