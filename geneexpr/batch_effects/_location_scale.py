"""The model of ComBat on arrays: solved from moments, applied as one affine map a batch."""

from dataclasses import dataclass

import numpy as np

from ..stats import (
    BatchMoments,
    estimable_genes,
    location_scale_prior,
    regress_on_batches,
    shrink_location,
    shrink_location_scale,
    shrink_nonparametric,
)

_TILE_VALUES = 2**14


@dataclass(frozen=True, slots=True)
class LocationScale:
    """Location and scale of every gene in every batch, on one standardised scale.

    A value x of a sample with covariates c is standardised as
    ``z = (x - mean - c @ slopes) / sd`` and corrected as ``(z - location) / sqrt(scale)``,
    then brought back. Genes that are not corrected have mean 0, sd 1, location 0, scale 1.

    Attributes
    ----------
    mean, sd : ndarray of shape (n_genes,)
    slopes : ndarray of shape (p, n_genes)
    location, scale : ndarray of shape (n_batches, n_genes)
        γ* and δ* of ComBat.
    corrected : ndarray of bool of shape (n_genes,)
        False where a gene is constant in a batch of more than one sample.
    """

    mean: np.ndarray
    sd: np.ndarray
    slopes: np.ndarray
    location: np.ndarray
    scale: np.ndarray
    corrected: np.ndarray


def constant_genes(moments: BatchMoments) -> np.ndarray:
    """Tell which genes are constant in a batch of more than one sample.

    Parameters
    ----------
    moments : BatchMoments

    Returns
    -------
    ndarray of bool of shape (n_genes,)
    """
    large = moments.n_rows > 1
    return (moments.minima[large] == moments.maxima[large]).any(axis=0)


def fit_location_scale(
    moments: BatchMoments, *, parametric=True, mean_only=False, reference=None
) -> LocationScale:
    """Fit ComBat from the moments of the batches; equals ``sva::ComBat``.

    Parameters
    ----------
    moments : BatchMoments
    parametric : bool, default=True
        Normal and inverse gamma priors, else the empirical ones.
    mean_only : bool, default=False
        Correct locations, not scales.
    reference : int, optional
        The batch that the others are brought to; it stays as it is.

    Returns
    -------
    LocationScale

    Raises
    ------
    ValueError
        If the samples (or those of the reference) are too few to pool a variance from.

    References
    ----------
    Johnson, Li, Rabinovic (2007), Biostatistics 8, 118-127, doi:10.1093/biostatistics/kxj037.

    Examples
    --------
    >>> import numpy as np
    >>> from geneexpr.stats import summarise_batches
    >>> X = np.random.default_rng(0).normal(size=(20, 50)) + np.repeat([0, 3], 10)[:, None]
    >>> model = fit_location_scale(summarise_batches(X, np.repeat([0, 1], 10), 2))
    >>> model.location.mean(axis=1).round(1)
    array([-1.6,  1.6])
    """
    n_batches, n_genes = moments.means.shape
    corrected = ~constant_genes(moments)
    kept = moments if corrected.all() else moments.take(corrected)
    _check_degrees(moments, reference)
    mean, slopes, variance = _standardisation(kept, reference)
    if not (variance > 0).all():
        positive = variance > 0
        corrected[corrected] = positive
        kept = kept.take(positive)
        mean, slopes, variance = mean[positive], slopes[:, positive], variance[positive]
    model = LocationScale(
        mean=_spread(mean, corrected, 0),
        sd=_spread(np.sqrt(variance), corrected, 1),
        slopes=_spread(slopes, corrected, 0),
        location=np.zeros((n_batches, n_genes)),
        scale=np.ones((n_batches, n_genes)),
        corrected=corrected,
    )
    if n_batches > 1 and kept.n_genes:
        for batch in range(n_batches):
            if batch != reference:
                model.location[batch], model.scale[batch] = estimate_batch(
                    model, moments.batch(batch), parametric=parametric, mean_only=mean_only
                )
    return model


def _check_degrees(moments, reference):
    """Raise where batches and covariates fit the samples exactly."""
    n_batches, p = moments.products.shape[:2]
    n = int(moments.n_rows.sum())
    if n <= n_batches + p:
        raise ValueError(
            f"No variance is left to pool: {n} samples in {n_batches} batches with {p} covariate "
            f"columns; at least {n_batches + p + 1} samples are needed."
        )
    if reference is not None and moments.n_rows[reference] < 2:
        raise ValueError("The reference batch has one sample; it needs 2 at least.")


def _standardisation(moments, reference):
    """Return the grand mean, the slopes and the pooled variance, as sva has them."""
    regression = regress_on_batches(moments)
    n_rows, squares, counts = moments.n_rows, regression.residual_squares, moments.counts
    if reference is None:
        mean = (n_rows / n_rows.sum()) @ regression.intercepts
    else:
        mean = regression.intercepts[reference]
        squares, counts = squares[[reference]], counts[[reference]]
    # sva divides by n, but by n - 1 once any value is missing anywhere.
    degrees = counts.sum(axis=0) - (1 if moments.has_missing else 0)
    return mean, regression.coefficients, squares.sum(axis=0) / np.maximum(degrees, 1)


def _spread(values, genes, fill):
    """Put values of some genes into the places they have among all."""
    out = np.full((*values.shape[:-1], len(genes)), float(fill))
    out[..., genes] = values
    return out


def standardised(model: LocationScale, moments: BatchMoments):
    """Return count, mean and centred squares of one batch on the standardised scale.

    Parameters
    ----------
    model : LocationScale
    moments : BatchMoments
        Of a single batch.

    Returns
    -------
    counts : ndarray of shape (1,) or (n_genes,)
    mean, squares : ndarray of shape (n_genes,)
    """
    slopes = model.slopes
    effects = (moments.covariate_means[0] * slopes).sum(axis=0)
    mean = (moments.means[0] - model.mean - effects) / model.sd
    explained = 2 * (slopes * moments.products[0]).sum(axis=0)
    spread = (moments.covariate_squares[0] * slopes[:, None] * slopes[None]).sum(axis=(0, 1))
    squares = np.maximum(moments.squares[0] - explained + spread, 0) / model.sd**2
    return moments.counts[0], mean, squares


def estimate_batch(
    model: LocationScale,
    moments: BatchMoments,
    *,
    parametric=True,
    mean_only=False,
    expected_mean=0.0,
    expected_variance=1.0,
):
    """Estimate the location and scale of one batch, everything else frozen.

    Parameters
    ----------
    model : LocationScale
        Only its standardisation is used.
    moments : BatchMoments
        Of a single batch, perhaps one that the model has not seen.
    parametric, mean_only : bool
        As in `fit_location_scale`.
    expected_mean, expected_variance : float or ndarray of shape (n_genes,)
        What a batch without batch effect would show, given the classes in it.

    Returns
    -------
    location, scale : ndarray of shape (n_genes,)
        0 and 1 for genes that are not corrected or constant in this batch.
    """
    used = model.corrected & estimable_genes(moments.covariates(slice(0, 0)))
    if moments.n_rows[0] > 1:
        used &= moments.minima[0] != moments.maxima[0]
    location, scale = np.zeros(len(used)), np.ones(len(used))
    if not used.any():
        return location, scale
    n, mean, squares = standardised(model, moments)
    n = n if len(n) == 1 else n[used]
    mean, squares = (mean - expected_mean)[used], (squares / expected_variance)[used]
    variance = np.ones_like(mean) if mean_only else squares / np.maximum(n - 1, 1)
    if not parametric:
        location[used], shrunk = shrink_nonparametric(mean, variance, n, mean, squares)
    elif mean_only:
        location[used] = shrink_location(mean, 1, location_scale_prior(mean, variance))
        shrunk = 1.0
    else:
        location[used], shrunk = shrink_location_scale(
            mean, variance, n, location_scale_prior(mean, variance)
        )
    scale[used] = 1.0 if mean_only else shrunk
    # Measured from the expectation under this mix of classes; the map starts from zero.
    location += np.where(used, expected_mean * (1 - np.sqrt(scale)), 0.0)
    return location, scale


def standardised_class_means(model: LocationScale, moments: BatchMoments, p):
    """Return the means of classes after correction, on the standardised scale.

    Parameters
    ----------
    model : LocationScale
    moments : BatchMoments
        With ``p`` covariates and then one indicator column for each class.

    Returns
    -------
    means : ndarray of shape (n_classes, n_genes)
    shares : ndarray of shape (n_classes, 1 or n_genes)
        Share of each class among the samples.
    """
    sizes = moments.covariate_means[:, p:] * moments.counts[:, None]  # (B, K, 1|G)
    totals = moments.products[:, p:] + sizes * moments.means[:, None]
    # Sum of each covariate over the samples of each class: (B, K, p, 1|G)
    covariates = np.swapaxes(moments.covariate_squares[:, :p, p:], 1, 2)
    covariates = covariates + sizes[:, :, None] * moments.covariate_means[:, None, :p]
    effects = (covariates * model.slopes).sum(axis=2)
    totals = (totals - effects - sizes * model.mean) / model.sd
    corrected = (totals - sizes * model.location[:, None]) / np.sqrt(model.scale)[:, None]
    n = sizes.sum(axis=0)
    return corrected.sum(axis=0) / np.maximum(n, 1), n / np.maximum(n.sum(axis=0), 1)


def affine_map(model: LocationScale, batch):
    """Return the frozen map of one batch: corrected = x * scale + shift + c @ effects.

    Parameters
    ----------
    model : LocationScale
    batch : int

    Returns
    -------
    scale, shift : ndarray of shape (n_genes,)
    effects : ndarray of shape (p, n_genes)
        What the scaling takes of the covariates' effects, given back.

    Examples
    --------
    >>> import numpy as np
    >>> one = np.ones(1)
    >>> model = LocationScale(one, one, one[:0, None], one[None] * 2, one[None] * 4, one > 0)
    >>> affine_map(model, 0)[:2]
    (array([0.5]), array([-0.5]))
    """
    scale = 1 / np.sqrt(model.scale[batch])
    left = 1 - scale
    shift = model.mean * left - model.sd * model.location[batch] * scale
    return scale, shift, model.slopes * left


def correct_rows(rows, codes, design, model: LocationScale, *, out):
    """Correct each row with the map of its batch, elementwise, so all rows alike.

    Parameters
    ----------
    rows : ndarray of shape (n_samples, n_genes)
    codes : ndarray of int of shape (n_samples,)
        Batch of each row; -1 leaves a row as it is.
    design : ndarray of shape (n_samples, p)
        The covariates.
    model : LocationScale
    out : ndarray of shape (n_samples, n_genes)
        Gets the result; may be ``rows``.

    Returns
    -------
    ndarray of shape (n_samples, n_genes)
        ``out``.
    """
    at_once = max(1, _TILE_VALUES // rows.shape[1])
    for batch in np.unique(codes):
        members = np.flatnonzero(codes == batch)
        if batch < 0:
            out[members] = rows[members]
            continue
        scale, shift, effects = (
            values.astype(out.dtype, copy=False) for values in affine_map(model, batch)
        )
        for start in range(0, len(members), at_once):
            some = members[start : start + at_once]
            if at_once == 1:
                some = int(some[0])  # a view of one long row in place of a copy of it
            corrected = np.multiply(rows[some], scale, out=out[some])
            corrected += shift
            for effect, value in zip(effects, design[some].T, strict=True):
                corrected += effect * np.asarray(value, out.dtype)[..., None]
            out[some] = corrected
    return out
