"""A compiled sort of rows, for matrices large enough to repay loading numba."""

import numpy as np
from numba import njit

DIGIT = 11
SHIFTS_A_GENE = 4
"""Moves per entry that the repair of a half-sorted row may cost before all bits are sorted."""


@njit(cache=True, nogil=True)
def order_rows(values, order, ordered):
    """Sort rows, NaN last and equal values in the order of their columns.

    Parameters
    ----------
    values : array of shape (n_rows, n_columns), float64
    order : array of shape (n_rows, n_columns), int32
        Filled with the columns of the sorted values.
    ordered : array of shape (n_rows, n_columns), float64
        Filled with the sorted values.
    """
    n = values.shape[1]
    row, keys = np.empty(n), np.empty(n, np.uint64)
    bits = row.view(np.int64)
    places = np.empty(n, np.int32)
    spare_keys, spare_places = np.empty(n, np.uint64), np.empty(n, np.int32)
    for i in range(values.shape[0]):
        # By the upper half of the bits first, which leaves few neighbours in the wrong order.
        for lowest in (32, 0):
            for j in range(n):
                row[j] = values[i, j] + 0.0
            for j in range(n):
                # Bits of floats, as unsigned numbers that sort as the floats do.
                if row[j] != row[j]:
                    keys[j] = np.uint64(0xFFFFFFFFFFFFFFFF)
                elif bits[j] < 0:
                    keys[j] = np.uint64(~bits[j])
                else:
                    keys[j] = np.uint64(bits[j]) | np.uint64(0x8000000000000000)
                places[j] = j
            sort_digits(keys, places, spare_keys, spare_places, lowest)
            if repaired(keys, places):
                break
        for j in range(n):
            order[i, j] = places[j]
            ordered[i, j] = values[i, places[j]]


@njit(cache=True, nogil=True)
def sort_digits(keys, places, spare_keys, spare_places, lowest):
    """Sort by the bits from ``lowest`` up, digit by digit, each pass stable."""
    n, swapped = len(keys), False
    counts = np.empty(1 << DIGIT, np.int64)
    mask = np.uint64((1 << DIGIT) - 1)
    for shift in range(lowest, 64, DIGIT):
        by = np.uint64(shift)
        counts[:] = 0
        for j in range(n):
            counts[(keys[j] >> by) & mask] += 1
        if counts.max() == n:
            continue
        before = 0
        for digit in range(len(counts)):
            here = counts[digit]
            counts[digit] = before
            before += here
        for j in range(n):
            digit = (keys[j] >> by) & mask
            to = counts[digit]
            counts[digit] = to + 1
            spare_keys[to] = keys[j]
            spare_places[to] = places[j]
        keys, spare_keys = spare_keys, keys
        places, spare_places = spare_places, places
        swapped = not swapped
    if swapped:
        spare_keys[:] = keys
        spare_places[:] = places


@njit(cache=True, nogil=True)
def repaired(keys, places):
    """Finish a half-sorted row by insertion; tell whether that was cheap enough to finish."""
    budget = SHIFTS_A_GENE * len(keys)
    for j in range(1, len(keys)):
        key, place, k = keys[j], places[j], j
        while k > 0 and keys[k - 1] > key:
            keys[k], places[k] = keys[k - 1], places[k - 1]
            k -= 1
        keys[k], places[k] = key, place
        budget -= j - k
        if budget < 0:
            return False
    return True
