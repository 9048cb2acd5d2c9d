"""Affymetrix probes: background of an array, and probe sets summarised by median polish."""

import math

import numpy as np
from scipy.special import log_ndtr

GRID = 2**14
POLISH_TOLERANCE, POLISH_ITERATIONS = 0.01, 20


def density_mode(values):
    """Return the mode of an Epanechnikov density, as a point of R's grid.

    Parameters
    ----------
    values : array of shape (n,), n > 1

    Returns
    -------
    float
        The density is binned, convolved and read off as R's ``density(n=2**14)`` does: the
        grid is part of the reference's numbers.
    """
    n = len(values)
    spread = np.std(values, ddof=1)
    lower, upper = np.quantile(values, [0.25, 0.75])
    spread = min(spread, (upper - lower) / 1.34) or spread or abs(values[0]) or 1.0
    width = 0.9 * spread * n**-0.2
    low, high = values.min() - 3 * width, values.max() + 3 * width
    start, stop = low - 4 * width, high + 4 * width
    place = (values - start) / ((stop - start) / (GRID - 1))
    left = np.floor(place).astype(int)
    share = place - left
    mass = np.bincount(left, (1 - share) / n, 2 * GRID) + np.bincount(left + 1, share / n, 2 * GRID)
    distance = np.linspace(0, 2 * (stop - start), 2 * GRID)
    distance[GRID + 1 :] = distance[GRID - 1 : 0 : -1]
    reach = width * math.sqrt(5)
    kernel = np.where(distance < reach, 0.75 * (1 - (distance / reach) ** 2) / reach, 0.0)
    density = np.fft.irfft(np.fft.rfft(mass) * np.conj(np.fft.rfft(kernel)), 2 * GRID)[:GRID]
    points = np.linspace(low, high, GRID)
    read = np.interp(points, np.linspace(start, stop, GRID), np.maximum(density, 0))
    return float(points[np.argmax(read)])


def background_of(intensities):
    """Estimate the normal background and the exponential signal of an array.

    Parameters
    ----------
    intensities : array of shape (n_probes,)

    Returns
    -------
    (mean, deviation, rate) : tuple of float, or None
        Of the background, and rate of the signal. None where there are too few different
        intensities on either side of the mode.
    """
    below = intensities
    for _ in range(2):
        if len(below) < 2:
            return None
        mode = density_mode(below)
        below = intensities[intensities < mode]
    signal = intensities[intensities > mode] - mode
    if len(below) < 2 or len(signal) < 2:
        return None
    deviation = math.sqrt(2 * ((below - mode) ** 2).sum() / (len(below) - 1))
    expected = density_mode(signal)
    return (mode, deviation, 1 / expected) if deviation > 0 and expected > 0 else None


def without_background(intensities, mean, deviation, rate):
    """Return the expected signal of probes, given their intensity and the background.

    Parameters
    ----------
    intensities : array of shape (n_probes,)
    mean, deviation, rate : float
        As `background_of` gives them.

    Returns
    -------
    array of shape (n_probes,)
        Positive.
    """
    a = intensities - mean - rate * deviation**2
    z = a / deviation
    return a + deviation * np.exp(-0.5 * z**2 - 0.5 * math.log(2 * math.pi) - log_ndtr(z))


def sets_by_size(codes):
    """Group the probe sets by their number of probes.

    Parameters
    ----------
    codes : array of int of shape (n_probes,)
        The probe set of each probe; negative for none.

    Returns
    -------
    list of (sets, probes)
        ``sets`` of shape (k,), and ``probes`` of shape (k, size): the places of their probes.
    """
    used = np.flatnonzero(codes >= 0)
    ordered = used[np.argsort(codes[used], kind="stable")]
    sets, starts, sizes = np.unique(codes[ordered], return_index=True, return_counts=True)
    return [
        (sets[sizes == size], ordered[starts[sizes == size][:, None] + np.arange(size)])
        for size in np.unique(sizes)
    ]


def median_polish(tables):
    """Split tables of probes by arrays into probe effects and array values.

    Parameters
    ----------
    tables : array of shape (n_sets, n_probes, n_arrays)
        log2 intensities of probe sets of one size.

    Returns
    -------
    probes : array of shape (n_sets, n_probes)
        Probe effects.
    values : array of shape (n_sets, n_arrays)
        The overall value and the effect of the array.

    Notes
    -----
    Probes first, until the sum of absolute residuals changes by less than 1 %: this early stop
    is part of the reference's numbers.

    References
    ----------
    .. [1] Irizarry et al. (2003), "Exploration, normalization, and summaries of high density
       oligonucleotide array probe level data", doi:10.1093/biostatistics/4.2.249.
    """
    residuals = tables.copy()
    n_sets, n_probes, n_arrays = tables.shape
    probes, arrays = np.zeros((n_sets, n_probes)), np.zeros((n_sets, n_arrays))
    overall, before = np.zeros(n_sets), np.zeros(n_sets)
    active = np.arange(n_sets)
    for _ in range(POLISH_ITERATIONS):
        rest, rows, columns = residuals[active], probes[active], arrays[active]
        change = np.median(rest, axis=2)
        rest -= change[:, :, None]
        rows += change
        shift = np.median(columns, axis=1)
        columns -= shift[:, None]
        overall[active] += shift
        change = np.median(rest, axis=1)
        rest -= change[:, None, :]
        columns += change
        shift = np.median(rows, axis=1)
        rows -= shift[:, None]
        overall[active] += shift
        residuals[active], probes[active], arrays[active] = rest, rows, columns
        after = np.abs(rest).sum(axis=(1, 2))
        going = np.abs(after - before[active]) >= POLISH_TOLERANCE * after
        before[active] = after
        active = active[going & (after > 0)]
        if not len(active):
            break
    return probes, overall[:, None] + arrays
