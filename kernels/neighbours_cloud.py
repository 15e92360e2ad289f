"""The cloud: all periodic images of a crystal's atoms within reach of its centres.

Coordinates lie contiguously, in the order of (atom, translation), so every centre measures the whole cloud in
one loop that the processor vectorises, and rows at one distance are in their final order already.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Ints32 = NDArray[np.int32]
    Room = tuple[tuple[Floats, Ints], tuple[Floats, Ints32], tuple[Ints, Floats, Floats, Floats]]

LANES = 16
"""Loops over rows are padded to a multiple of this: no remainder is left beside the vectors."""
RANKED = 64
"""At most so many rows are sorted by counting."""
# Unsigned indices spare Numba's test for negative ones, which would keep loops from being vectorised.
_ONE = np.uint64(1)


@njit(cache=True, nogil=True)
def list_cells(
    U: Floats, M: Ints, atoms: Floats, centres: Floats, radius: float, move: Floats, translation: Ints
) -> int:
    """List the images of the cell that may hold an atom within ``radius`` of a centre.

    Args:
        U: The working cell.
        M: Its basis in units of the given one.
        atoms: ``[5, 2]`` range of the atoms: Cartesian x, y, z, then the second and third fractional
            coordinate.
        centres: The same of the centres.
        radius: Angstrom.
        move: ``[3, room]`` receives the Cartesian translations.
        translation: ``[3, room]`` receives the translations in the given basis.

    Returns:
        Number of cells; those beyond the room are counted only.
    """
    u00, u01, u02, u11, u12, u22 = U[0], U[1], U[2], U[3], U[4], U[5]
    radius2 = radius * radius
    # An image lies within reach if low <= translation <= high, along every axis.
    low_x, high_x = centres[0, 0] - atoms[0, 1], centres[0, 1] - atoms[0, 0]
    low_y, high_y = centres[1, 0] - atoms[1, 1], centres[1, 1] - atoms[1, 0]
    low_z, high_z = centres[2, 0] - atoms[2, 1], centres[2, 1] - atoms[2, 0]
    low_f1, high_f1 = centres[3, 0] - atoms[3, 1] - radius / U[7], centres[3, 1] - atoms[3, 0] + radius / U[7]
    low_f2, high_f2 = centres[4, 0] - atoms[4, 1] - radius / U[8], centres[4, 1] - atoms[4, 0] + radius / U[8]
    n = 0
    for s0 in range(math.ceil((low_x - radius) / u00), math.floor((high_x + radius) / u00) + 1):
        x, y0, z0 = s0 * u00, s0 * u01, s0 * u02
        left = radius2 - max(low_x - x, x - high_x, 0.0) ** 2
        half = math.sqrt(max(left, 0.0))
        first = math.ceil(max((low_y - half - y0) / u11, low_f1))
        last = math.floor(min((high_y + half - y0) / u11, high_f1))
        for s1 in range(first, last + 1):
            y, z1 = y0 + s1 * u11, z0 + s1 * u12
            half = math.sqrt(max(left - max(low_y - y, y - high_y, 0.0) ** 2, 0.0))
            first2 = math.ceil(max((low_z - half - z1) / u22, low_f2))
            last2 = math.floor(min((high_z + half - z1) / u22, high_f2))
            for s2 in range(first2, last2 + 1):
                if n < move.shape[1]:
                    move[0, n], move[1, n], move[2, n] = x, y, z1 + s2 * u22
                    for axis in range(3):
                        translation[axis, n] = s0 * M[0, axis] + s1 * M[1, axis] + s2 * M[2, axis]
                n += 1
    return n


@njit(cache=True, nogil=True)
def _follows(translation: Ints, p: int, q: int) -> bool:
    """Whether translation ``p`` comes after translation ``q`` lexicographically."""
    for axis in range(3):
        if translation[axis, p] != translation[axis, q]:
            return bool(translation[axis, p] > translation[axis, q])
    return False


@njit(cache=True, nogil=True)
def sort_cells(move: Floats, translation: Ints, n: int) -> None:
    """Sort the cells by translation (Shell's method)."""
    gap = n // 2
    while gap > 0:
        for row in range(gap, n):
            p = row
            while p >= gap and _follows(translation, p - gap, p):
                q = p - gap
                for axis in range(3):
                    move[axis, p], move[axis, q] = move[axis, q], move[axis, p]
                    translation[axis, p], translation[axis, q] = translation[axis, q], translation[axis, p]
                p = q
        gap //= 2


@njit(cache=True, nogil=True)
def fill_cloud(
    position: Floats,
    n: int,
    centres: Floats,
    radius: float,
    move: Floats,
    translation: Ints,
    n_cells: int,
    cloud: Floats,
    source: Ints32,
    home: Ints,
    near: Ints,
) -> int:
    """Write the images of all atoms that lie within ``radius`` of the box around the centres.

    Args:
        position: ``[3, >= n]`` Cartesian positions.
        n: Number of atoms.
        centres: Range of the centres as for ``list_cells``.
        radius: Angstrom.
        move: Cartesian translations of the cells.
        translation: Translations of the cells.
        n_cells: Number of cells.
        cloud: ``[4, room]`` receives x, y, z, filled up to a multiple of ``LANES`` with points out of reach.
        source: ``[2, room]`` receives atom and cell.
        home: ``[n]`` receives the row of every centre itself.
        near: ``[room]`` is room for one number per row.

    Returns:
        Number of rows, filling included.
    """
    radius2 = radius * radius
    x_mid, x_half = 0.5 * (centres[0, 1] + centres[0, 0]), 0.5 * (centres[0, 1] - centres[0, 0])
    y_mid, y_half = 0.5 * (centres[1, 1] + centres[1, 0]), 0.5 * (centres[1, 1] - centres[1, 0])
    z_mid, z_half = 0.5 * (centres[2, 1] + centres[2, 0]), 0.5 * (centres[2, 1] - centres[2, 0])
    cells = np.uint64(n_cells)
    own = np.uint64(0)
    for cell in range(n_cells):
        if translation[0, cell] == 0 and translation[1, cell] == 0 and translation[2, cell] == 0:
            own = np.uint64(cell)
    m = np.uint64(0)
    for j in range(n):
        x_j, y_j, z_j = position[0, j], position[1, j], position[2, j]
        x_off, y_off, z_off = x_j - x_mid, y_j - y_mid, z_j - z_mid
        c = np.uint64(0)
        while c < cells:
            x = max(abs(move[0, c] + x_off) - x_half, 0.0)
            y = max(abs(move[1, c] + y_off) - y_half, 0.0)
            z = max(abs(move[2, c] + z_off) - z_half, 0.0)
            cloud[3, c] = x * x + y * y + z * z
            c += _ONE
        found = np.uint64(0)
        c = np.uint64(0)
        while c < cells:
            near[found] = c
            found += np.uint64(cloud[3, c] <= radius2)
            c += _ONE
        p = np.uint64(0)
        while p < found:
            c = np.uint64(near[p])
            cloud[0, m], cloud[1, m], cloud[2, m] = x_j + move[0, c], y_j + move[1, c], z_j + move[2, c]
            source[0, m], source[1, m] = j, c
            if c == own:
                home[j] = m
            m += _ONE
            p += _ONE
    while m % np.uint64(LANES) != np.uint64(0):
        cloud[0, m] = math.inf
        cloud[1, m] = cloud[2, m] = 0.0
        m += _ONE
    return int(m)


@njit(cache=True, nogil=True)
def measure(
    cloud: Floats, n_rows: int, x_i: float, y_i: float, z_i: float, home: int, radius: float, near: Ints
) -> int:
    """Put the rows of the cloud within ``radius`` of a centre into ``near``, and all squared distances into the cloud.

    Returns:
        Number of rows found.
    """
    radius2 = radius * radius
    end = np.uint64(n_rows)
    row = np.uint64(0)
    while row < end:
        x, y, z = cloud[0, row] - x_i, cloud[1, row] - y_i, cloud[2, row] - z_i
        cloud[3, row] = x * x + y * y + z * z
        row += _ONE
    cloud[3, home] = math.inf
    # No branch: whether a row is near is a matter of chance, which no processor predicts.
    m = np.uint64(0)
    row = np.uint64(0)
    while row < end:
        near[m] = row
        m += np.uint64(cloud[3, row] <= radius2)
        row += _ONE
    return int(m)


@njit(cache=True, nogil=True)
def keep_within(cloud: Floats, limit: float, near: Ints, m: int) -> int:
    """Keep only rows with ``distance <= limit``, exactly."""
    kept = 0
    for p in range(m):
        near[kept] = near[p]
        kept += math.sqrt(cloud[3, near[p]]) <= limit
    return kept


@njit(cache=True, nogil=True)
def room_for(n_cells: int, n_rows: int) -> Room:
    """Scratch arrays for that many cells and rows of a cloud."""
    rows = max(n_rows + LANES, n_cells, RANKED)
    return (
        (np.empty((3, n_cells)), np.empty((3, n_cells), np.int64)),
        (np.empty((4, rows)), np.empty((2, rows), np.int32)),
        (np.empty(rows, np.int64), np.empty(rows), np.empty(rows), np.empty(RANKED)),
    )


@njit(cache=True, nogil=True)
def widen(ranges: Floats, position: Floats, f: Floats, i: int) -> None:
    """Widen the ranges (see ``list_cells``) to hold atom ``i``."""
    for axis in range(5):
        value = position[axis, i] if axis < 3 else f[i, axis - 2]
        ranges[axis, 0], ranges[axis, 1] = min(ranges[axis, 0], value), max(ranges[axis, 1], value)
