"""A few threads over slices of a range, for loops that release the interpreter's lock."""

import os
from concurrent.futures import ThreadPoolExecutor

MAX_THREADS = 8


def over_slices(function, n, step):
    """Call a function on consecutive slices of a range; results come in their order.

    Parameters
    ----------
    function : callable
        ``function(slice)``; it must not depend on which thread runs it.
    n : int
        Length of the range.
    step : int
        Length of a slice.

    Returns
    -------
    list

    Examples
    --------
    >>> over_slices(lambda part: part.stop - part.start, 5, 2)
    [2, 2, 1]
    """
    slices = [slice(start, min(start + step, n)) for start in range(0, n, step)]
    workers = min(MAX_THREADS, os.cpu_count() or 1, len(slices))
    if workers < 2:
        return [function(part) for part in slices]
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(function, slices))
