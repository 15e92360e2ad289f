"""Neighbours of one atom of a large crystal, found in bins: cost is linear in the number of atoms."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from shc.kernels.neighbours_cell import GUARD

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Ints32 = NDArray[np.int32]
    Rows = tuple[Ints32, Ints32, Floats]
    Bins = tuple[Ints, Ints32, Floats, Floats]

_ONE = np.uint64(1)


@njit(cache=True, nogil=True)
def fill_bins(f: Floats, U: Floats, shape: Ints, atoms_per_bin: float) -> Bins:
    """Sort atoms into bins of about ``atoms_per_bin`` atoms.

    Returns:
        First row of every bin ``[n_bins + 1]``, atom of every row ``[n]``, positions ``[3, n]`` of the rows,
        Angstrom, and room for one number per row.
    """
    n = f.shape[0]
    edge = (atoms_per_bin * U[0] * U[3] * U[5] / n) ** (1.0 / 3.0)
    while True:
        for x in range(3):
            # A float first: a very long cell over a very small edge would overflow the product.
            shape[x] = int(max(1.0, min(math.floor(U[6 + x] / edge), float(n))))
        if shape[0] * shape[1] * shape[2] <= n:
            break
        edge *= 1.2
    start = np.zeros(shape[0] * shape[1] * shape[2] + 1, np.int64)
    home = np.empty(n, np.int64)
    for i in range(n):
        b = 0
        for x in range(3):
            b = b * shape[x] + min(int(f[i, x] * shape[x]), shape[x] - 1)
        home[i] = b
        start[b + 1] += 1
    for b in range(start.shape[0] - 1):
        start[b + 1] += start[b]
    fill = np.empty(start.shape[0], np.int64)
    for b in range(start.shape[0]):
        fill[b] = start[b]
    atom = np.empty(n, np.int32)
    position = np.empty((3, n))
    for i in range(n):
        row = fill[home[i]]
        fill[home[i]] += 1
        atom[row] = i
        position[0, row] = f[i, 0] * U[0]
        position[1, row] = f[i, 0] * U[1] + f[i, 1] * U[3]
        position[2, row] = f[i, 0] * U[2] + f[i, 1] * U[4] + f[i, 2] * U[5]
    return start, atom, position, np.empty(n)


@njit(cache=True, nogil=True)
def _gap(low: float, high: float) -> float:
    """Distance of the interval [low, high] from zero."""
    return max(low, -high, 0.0)


@njit(cache=True, nogil=True)
def gather_bins(
    f: Floats,
    wrap: Ints,
    M: Ints,
    U: Floats,
    shape: Ints,
    bins: Bins,
    i: int,
    limit: float,
    j_out: Ints32,
    s_out: Ints32,
    d_out: Floats,
    begin: int,
) -> int:
    """As ``_gather_lattice``, but visits the bins that touch the sphere; rows come in no particular order."""
    start, atom, position, square = bins
    capacity = j_out.shape[0]
    radius = limit * (1.0 + GUARD) + GUARD
    radius2 = radius * radius
    n0, n1, n2 = shape[0], shape[1], shape[2]
    u00, u01, u02, u11, u12, u22 = U[0], U[1], U[2], U[3], U[4], U[5]
    f0, f1, f2 = f[i, 0], f[i, 1], f[i, 2]
    x_i, y_i, z_i = f0 * u00, f0 * u01 + f1 * u11, f0 * u02 + f1 * u12 + f2 * u22
    reach = radius / u00
    m = begin
    for b0 in range(math.floor((f0 - reach) * n0), math.floor((f0 + reach) * n0) + 1):
        # [low0, high0]: first fractional coordinate of this layer relative to atom i; y and z follow by
        # intervals
        low0, high0 = max(b0 / n0 - f0, -reach), min((b0 + 1) / n0 - f0, reach)
        left0 = radius2 - (_gap(low0, high0) * u00) ** 2
        if left0 < 0.0:
            continue
        half = math.sqrt(left0)
        y_low, y_high = min(low0 * u01, high0 * u01), max(low0 * u01, high0 * u01)
        first, last = (-half - y_high) / u11, (half - y_low) / u11
        s0, c0 = b0 // n0, b0 % n0
        for b1 in range(math.floor((f1 + first) * n1), math.floor((f1 + last) * n1) + 1):
            low1, high1 = max(b1 / n1 - f1, first), min((b1 + 1) / n1 - f1, last)
            left1 = left0 - _gap(y_low + low1 * u11, y_high + high1 * u11) ** 2
            if left1 < 0.0:
                continue
            half1 = math.sqrt(left1)
            z_low = min(low0 * u02, high0 * u02) + min(low1 * u12, high1 * u12)
            z_high = max(low0 * u02, high0 * u02) + max(low1 * u12, high1 * u12)
            b2_low = math.floor((f2 + (-half1 - z_high) / u22) * n2)
            b2_high = math.floor((f2 + (half1 - z_low) / u22) * n2)
            s1 = b1 // n1
            column = (c0 * n1 + b1 % n1) * n2
            for s2 in range(b2_low // n2, b2_high // n2 + 1):
                row_first = start[column + max(b2_low - s2 * n2, 0)]
                row_last = start[column + min(b2_high - s2 * n2, n2 - 1) + 1]
                if m + row_last - row_first > capacity:
                    return -1
                move0, move1 = s0 * u00, s0 * u01 + s1 * u11
                move2 = s0 * u02 + s1 * u12 + s2 * u22
                t0 = wrap[i, 0] + s0 * M[0, 0] + s1 * M[1, 0] + s2 * M[2, 0]
                t1 = wrap[i, 1] + s0 * M[0, 1] + s1 * M[1, 1] + s2 * M[2, 1]
                t2 = wrap[i, 2] + s0 * M[0, 2] + s1 * M[1, 2] + s2 * M[2, 2]
                home = s0 == 0 and s1 == 0 and s2 == 0
                # Unsigned indices spare Numba's test for negative ones and let the first loop be vectorised.
                # Differences first: a pair and its mirror image get the same distance exactly.
                row = np.uint64(row_first)
                while row < np.uint64(row_last):
                    x, y = (position[0, row] - x_i) + move0, (position[1, row] - y_i) + move1
                    z = (position[2, row] - z_i) + move2
                    square[row] = x * x + y * y + z * z
                    row += _ONE
                row = np.uint64(row_first)
                while row < np.uint64(row_last):
                    if square[row] <= radius2:
                        j, d = atom[row], math.sqrt(square[row])
                        if d <= limit and not (home and j == i):
                            j_out[m], d_out[m] = j, d
                            s_out[m, 0], s_out[m, 1], s_out[m, 2] = (
                                t0 - wrap[j, 0],
                                t1 - wrap[j, 1],
                                t2 - wrap[j, 2],
                            )
                            m += 1
                    row += _ONE
    return m - begin


@njit(cache=True, nogil=True)
def grown(rows: Rows, used: int, capacity: int) -> Rows:
    """The same rows with room for ``capacity`` of them."""
    j, s, d = np.empty(capacity, np.int32), np.empty((capacity, 3), np.int32), np.empty(capacity)
    # Element by element: Numba needs seconds longer to compile assignments of slices.
    for row in range(used):
        j[row], d[row] = rows[0][row], rows[2][row]
        s[row, 0], s[row, 1], s[row, 2] = rows[1][row, 0], rows[1][row, 1], rows[1][row, 2]
    return j, s, d
