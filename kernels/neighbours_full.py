"""Compiled search for all periodic pairs within a cutoff."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from shc.kernels.neighbours_bins import fill_bins, gather_bins, grown
from shc.kernels.neighbours_cell import CUTOFF_SLACK, GUARD, is_identity, working_cell, wrap_positions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Ints32 = NDArray[np.int32]
    Rows = tuple[Ints32, Ints32, Floats]

BIN_THRESHOLD = 200
"""Crystals with more atoms than this are searched with bins (atoms)."""
_ATOMS_PER_BIN = 4.0


@njit(cache=True, nogil=True)
def _gather_lattice(
    f: Floats,
    wrap: Ints,
    M: Ints,
    U: Floats,
    i: int,
    limit: float,
    j_out: Ints32,
    s_out: Ints32,
    d_out: Floats,
    begin: int,
) -> int:
    """Write all neighbours of atom ``i`` with ``distance <= limit``, by enumerating translations.

    The first is written to row ``begin``. Rows are sorted by atom and, if ``M`` is the identity, by translation.

    Returns:
        Number of rows, or -1 if the output is too short.
    """
    capacity = j_out.shape[0]
    radius = limit * (1.0 + GUARD) + GUARD
    radius2 = radius * radius
    u00, u01, u02, u11, u12, u22 = U[0], U[1], U[2], U[3], U[4], U[5]
    r0, r1, r2 = radius / U[6], radius / U[7], radius / U[8]
    inv11, inv22 = 1.0 / u11, 1.0 / u22
    m = begin
    for j in range(f.shape[0]):
        p0, p1, p2 = f[j, 0] - f[i, 0], f[j, 1] - f[i, 1], f[j, 2] - f[i, 2]
        low0, high0 = math.ceil(-p0 - r0), math.floor(r0 - p0)
        if low0 > high0 or math.ceil(-p1 - r1) > math.floor(r1 - p1) or math.ceil(-p2 - r2) > math.floor(r2 - p2):
            continue
        w0, w1, w2 = wrap[i, 0] - wrap[j, 0], wrap[i, 1] - wrap[j, 1], wrap[i, 2] - wrap[j, 2]
        for s0 in range(low0, high0 + 1):
            g0 = p0 + s0
            x = g0 * u00
            left0 = radius2 - x * x
            if left0 < 0.0:
                continue
            half = math.sqrt(left0)
            y0 = g0 * u01 + p1 * u11
            for s1 in range(math.ceil((-half - y0) * inv11), math.floor((half - y0) * inv11) + 1):
                g1 = p1 + s1
                y = g0 * u01 + g1 * u11
                left1 = left0 - y * y
                if left1 < 0.0:
                    continue
                half1 = math.sqrt(left1)
                zg = g0 * u02 + g1 * u12
                z0 = zg + p2 * u22
                low2, high2 = math.ceil((-half1 - z0) * inv22), math.floor((half1 - z0) * inv22)
                if m + high2 - low2 >= capacity:
                    return -1
                t0 = w0 + s0 * M[0, 0] + s1 * M[1, 0]
                t1 = w1 + s0 * M[0, 1] + s1 * M[1, 1]
                t2 = w2 + s0 * M[0, 2] + s1 * M[1, 2]
                xy = x * x + y * y
                for s2 in range(low2, high2 + 1):
                    z = zg + (p2 + s2) * u22
                    d = math.sqrt(xy + z * z)
                    if d <= limit and not (i == j and s0 == 0 and s1 == 0 and s2 == 0):
                        j_out[m] = j
                        s_out[m, 0] = t0 + s2 * M[2, 0]
                        s_out[m, 1] = t1 + s2 * M[2, 1]
                        s_out[m, 2] = t2 + s2 * M[2, 2]
                        d_out[m] = d
                        m += 1
    return m - begin


@njit(cache=True, nogil=True)
def _sort_shifts(rows: Rows, first: int, last: int) -> None:
    """Sort rows ``first`` to ``last - 1``, already sorted by atom, by translation within each atom."""
    j, s, d = rows
    for row in range(first + 1, last):
        atom, t0, t1, t2, distance = j[row], s[row, 0], s[row, 1], s[row, 2], d[row]
        p = row - 1
        while p >= first and j[p] == atom:
            if s[p, 0] < t0 or (s[p, 0] == t0 and (s[p, 1] < t1 or (s[p, 1] == t1 and s[p, 2] < t2))):
                break
            s[p + 1, 0], s[p + 1, 1], s[p + 1, 2], d[p + 1] = s[p, 0], s[p, 1], s[p, 2], d[p]
            p -= 1
        if p + 1 < row:
            s[p + 1, 0], s[p + 1, 1], s[p + 1, 2], d[p + 1] = t0, t1, t2, distance


@njit(cache=True, nogil=True)
def full_list(
    lattice: Floats, frac: Floats, offsets: Ints, cutoff: float, capacity: int
) -> tuple[Ints32, Ints32, Ints32, Floats, Ints]:
    """All pairs of all crystals; see ``shc.kernels.neighbours.full_list``.

    Args:
        lattice: ``[B, 3, 3]``.
        frac: ``[n, 3]``.
        offsets: ``[B + 1]``.
        cutoff: Angstrom.
        capacity: Expected number of pairs; more are handled, at the price of copies.
    """
    limit = cutoff + CUTOFF_SLACK
    n_max = 0
    for b in range(offsets.shape[0] - 1):
        n_max = max(n_max, offsets[b + 1] - offsets[b])
    f_all, wrap_all = np.empty((n_max, 3)), np.empty((n_max, 3), np.int64)
    M, U, shape = np.empty((3, 3), np.int64), np.empty(9), np.empty(3, np.int64)
    pair_offsets = np.zeros(offsets.shape[0], np.int64)
    row_begin = np.zeros(frac.shape[0] + 1, np.int64)
    rows = (np.empty(capacity, np.int32), np.empty((capacity, 3), np.int32), np.empty(capacity))
    spare = (np.empty(0, np.int32), np.empty((0, 3), np.int32), np.empty(0))
    used = 0
    for b in range(offsets.shape[0] - 1):
        begin, end = offsets[b], offsets[b + 1]
        n = end - begin
        f, wrap = f_all[:n], wrap_all[:n]
        binned = n > BIN_THRESHOLD
        M_inverse = working_cell(lattice[b], not binned, M, U)
        wrap_positions(frac[begin:end], M, M_inverse, f, wrap)
        if binned:
            bins = fill_bins(f, U, shape, _ATOMS_PER_BIN)
            spare_used = 0
            for i in range(n):
                m = -1
                while m < 0:
                    m = gather_bins(f, wrap, M, U, shape, bins, i, limit, spare[0], spare[1], spare[2], spare_used)
                    if m < 0:
                        expected = int(n * (n * 4.19 * limit**3 / (U[0] * U[3] * U[5]) + 1.0) * 1.05)
                        spare = grown(spare, spare_used, max(expected, spare[0].shape[0] * 3 // 2) + 1000)
                row_begin[begin + i] = used + spare_used
                spare_used += m
            row_begin[end] = used + spare_used
            if used + spare_used > rows[0].shape[0]:
                rows = grown(rows, used, max(used + spare_used, rows[0].shape[0] * 3 // 2))
            _transpose(spare, rows, row_begin[begin : end + 1], used)
            used += spare_used
        else:
            ordered = is_identity(M)
            for i in range(n):
                m = -1
                while m < 0:
                    m = _gather_lattice(f, wrap, M, U, i, limit, rows[0], rows[1], rows[2], used)
                    if m < 0:
                        rows = grown(rows, used, rows[0].shape[0] * 3 // 2 + 1000)
                row_begin[begin + i] = used
                if not ordered:
                    _sort_shifts(rows, used, used + m)
                used += m
        pair_offsets[b + 1] = used
    row_begin[frac.shape[0]] = used
    i_out = np.empty(used, np.int32)
    for b in range(offsets.shape[0] - 1):
        for atom in range(offsets[b], offsets[b + 1]):
            for row in range(row_begin[atom], row_begin[atom + 1]):
                i_out[row] = atom - offsets[b]
    return i_out, rows[0][:used], rows[1][:used], rows[2][:used], pair_offsets


@njit(cache=True, nogil=True)
def _transpose(found: Rows, rows: Rows, row_begin: Ints, begin: int) -> None:
    """Write the mirror image of every pair: visiting first atoms in order sorts the second ones for free."""
    place = np.empty(row_begin.shape[0], np.int64)
    for i in range(row_begin.shape[0]):
        place[i] = row_begin[i]
    j_out, s_out, d_out = rows
    for i in range(row_begin.shape[0] - 1):
        for p in range(row_begin[i] - begin, row_begin[i + 1] - begin):
            j = found[0][p]
            q = place[j]
            place[j] = q + 1
            j_out[q], d_out[q] = i, found[2][p]
            s_out[q, 0], s_out[q, 1], s_out[q, 2] = -found[1][p, 0], -found[1][p, 1], -found[1][p, 2]
    _sort_shifts(rows, row_begin[0], row_begin[-1])
