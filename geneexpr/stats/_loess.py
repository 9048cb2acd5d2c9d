"""Local quadratics along one variable, blended between the vertices of a tree of cells."""

import numpy as np

CELL = 0.2
"""Share of the span that a cell holds at most before it is cut."""
MARGIN = 0.005
"""What the range of x is widened by at either end, as a share of it."""
FEWEST = 4
"""Points of a neighbourhood: three for a quadratic, and the farthest, which has no weight."""


def loess(x, y, span=0.3):
    """Smooth y along x by local quadratics, as the original ``loess`` does (netlib, scikit-misc).

    The range of x is cut at medians until a cell holds few points. At each vertex a
    quadratic is fitted to the nearest points with tricube weights; between two vertices
    the curve is the cubic that has their values and slopes. Peak memory: a few copies of x.

    Parameters
    ----------
    x, y : ndarray of shape (n,)
        In any order.
    span : float, default=0.3
        Share of the points that a local fit takes.

    Returns
    -------
    ndarray of shape (n,)
        The fitted values.

    Notes
    -----
    Where these stop, since so many points share one x that a neighbourhood has no width, the
    curve is level through their mean. A neighbourhood has four points at least; through
    fewer than four the curve is level.

    References
    ----------
    .. [1] Cleveland, Devlin (1988), "Locally weighted regression: an approach to regression
       analysis by local fitting", doi:10.1080/01621459.1988.10478639.
    .. [2] Cleveland, Grosse (1991), "Computational methods for local regression",
       doi:10.1007/BF01890836.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.arange(30.0)
    >>> bool(np.allclose(loess(x, x**2, span=0.5), x**2))
    True
    """
    n = len(x)
    if n < FEWEST:
        return np.full(n, y.mean() if n else 0.0)
    vertices = cell_vertices(np.sort(x), int(n * (span * CELL)))
    size = min(n, max(int(n * span + 1e-5), FEWEST))
    values, slopes = np.transpose([local_quadratic(x, y, at, size) for at in vertices])
    return blended(x, vertices, values, slopes)


def cell_vertices(rising, most):
    """Return where cells of a one-dimensional k-d tree meet, and the two outer ends.

    Parameters
    ----------
    rising : ndarray of shape (n,)
        Sorted.
    most : int
        Points of a cell that is not cut.

    Returns
    -------
    ndarray of shape (n_vertices,)
        Rising.

    Examples
    --------
    >>> import numpy as np
    >>> cell_vertices(np.arange(5.0), 3)
    array([-0.02, 2. , 4.02])
    """
    low, high = rising[0], rising[-1]
    margin = MARGIN * max(high - low, 1e-10 * max(abs(low), abs(high)) + 1e-30)
    vertices = {low - margin, high + margin}
    cells = [(0, len(rising))]
    while cells:
        start, stop = cells.pop()
        if stop - start <= most or stop - start < 2:
            continue
        middle = _cut(rising, start, stop)
        if rising[middle] in vertices:
            continue
        vertices.add(rising[middle])
        cells += [(start, middle + 1), (middle + 1, stop)]
    return np.array(sorted(vertices))


def _cut(rising, start, stop):
    """Return the last point of the left half; equal points stay together if they can."""
    middle = (start + stop + 1) // 2 - 1
    for distance in range(stop - start):
        for at in (middle + distance, middle - distance):
            if not start <= at < stop - 1:
                return middle
            if rising[at] != rising[at + 1]:
                return at
    return middle


def local_quadratic(x, y, at, size):
    """Return value and slope of a quadratic that is fitted to the points nearest to one.

    Parameters
    ----------
    x, y : ndarray of shape (n,)
    at : float
    size : int
        Points that are taken; weights fall to zero at the farthest.

    Returns
    -------
    value, slope : float
    """
    distance = np.abs(x - at)
    near = np.argpartition(distance, size - 1)[:size]
    distance = distance[near]
    reach = distance.max()
    if reach <= 0:
        return float(y[near].mean()), 0.0
    roots = (1 - (distance / reach) ** 3) ** 1.5
    shift = x[near] - at
    columns = roots[:, None] * np.stack([np.ones(size), shift, shift**2], axis=1)
    norms = np.linalg.norm(columns, axis=0)
    norms[norms == 0] = 1.0
    solution = np.linalg.lstsq(
        columns / norms, roots * y[near], rcond=100 * np.finfo(np.float64).eps
    )[0]
    return float(solution[0] / norms[0]), float(solution[1] / norms[1])


def blended(x, vertices, values, slopes):
    """Interpolate by the cubics that have given values and slopes at vertices.

    Parameters
    ----------
    x : ndarray of shape (n,)
        Within the vertices.
    vertices, values, slopes : ndarray of shape (n_vertices,)
        Vertices rise.

    Returns
    -------
    ndarray of shape (n,)

    Examples
    --------
    >>> import numpy as np
    >>> blended(np.array([0.5]), np.array([0.0, 1.0]), np.array([0.0, 1.0]), np.ones(2))
    array([0.5])
    """
    left = np.clip(np.searchsorted(vertices, x, side="left") - 1, 0, len(vertices) - 2)
    width = vertices[left + 1] - vertices[left]
    h = (x - vertices[left]) / width
    g = 1 - h
    return (
        g**2 * (1 + 2 * h) * values[left]
        + h**2 * (1 + 2 * g) * values[left + 1]
        + h * g * width * (g * slopes[left] - h * slopes[left + 1])
    )
