"""Compiled search for the nearest periodic neighbours.

Crystals of up to ``_CLOUD_THRESHOLD`` atoms are searched with a cloud of images (``neighbours_cloud``), larger
ones with bins. The reach is estimated from the density; centres that find too little are tried again with a
larger one.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from shc.kernels.neighbours_bins import fill_bins, gather_bins, grown
from shc.kernels.neighbours_cell import CUTOFF_SLACK, GUARD, is_identity, working_cell, wrap_positions
from shc.kernels.neighbours_cloud import (
    LANES,
    RANKED,
    fill_cloud,
    keep_within,
    list_cells,
    measure,
    room_for,
    sort_cells,
    widen,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Ints32 = NDArray[np.int32]
    Rows = tuple[Ints32, Ints32, Floats]
    Room = tuple[tuple[Floats, Ints], tuple[Floats, Ints32], tuple[Ints, Floats, Floats, Floats]]

_CLOUD_THRESHOLD = 128
_ATOMS_PER_BIN = 16.0
_ROOM = 1.35
_GROWTH = 1.25
_MAX_RANKED_SHELL = 2.0**46
_ONE = np.uint64(1)


@njit(cache=True, nogil=True)
def tie_shell(distance: float, tie_tolerance: float) -> float:
    """Number of the shell a distance falls into: ``floor(distance / tie_tolerance + 0.5)``.

    The distance is rounded to 1e-9 Angstrom first: lattice constants have few decimals, so equal distances
    often lie on the border of two shells, and their last bits must not part them.
    """
    return np.floor(np.floor(distance * 1e9 + 0.5) * (1e-9 / tie_tolerance) + 0.5)  # type: ignore[no-any-return]


@njit(cache=True, nogil=True)
def _rank(shell: Floats, m: int, key: Floats, order: Ints) -> None:
    """Sort at most ``RANKED`` rows by shell, keeping rows of one shell in order: count the rows before each."""
    end = np.uint64(m)
    p = np.uint64(0)
    while p < end:
        key[p] = shell[p] * RANKED + np.float64(p)
        p += _ONE
    padded = np.uint64((m + LANES - 1) // LANES * LANES)
    while p < padded:
        key[p] = math.inf
        p += _ONE
    p = np.uint64(0)
    while p < end:
        mine, before, q = key[p], np.uint64(0), np.uint64(0)
        while q < padded:
            before += np.uint64(key[q] < mine)
            q += _ONE
        order[before] = np.int64(p)
        p += _ONE


@njit(cache=True, nogil=True)
def _insert(shell: Floats, m: int, k: int, order: Ints) -> None:
    """Put the first ``k`` of ``m`` rows by shell into ``order``, keeping rows of one shell in order."""
    filled = 0
    for row in range(m):
        mine = shell[row]
        if filled == k and shell[order[k - 1]] <= mine:
            continue
        p = filled if filled < k else k - 1
        while p > 0 and shell[order[p - 1]] > mine:
            order[p] = order[p - 1]
            p -= 1
        order[p] = row
        filled = min(filled + 1, k)


@njit(cache=True, nogil=True)
def _search_cloud(
    f: Floats,
    wrap: Ints,
    M: Ints,
    U: Floats,
    position: Floats,
    pending: Ints,
    n_pending: int,
    radius: float,
    limit: float,
    tie_tolerance: float,
    room: Room,
    order: Ints,
    home: Ints,
    out: Rows,
) -> Room:
    """Find the nearest neighbours of the centres of one crystal.

    Args:
        f: ``[n, 3]`` fractional positions in the working cell.
        wrap: ``[n, 3]`` translations taken off.
        M: The working basis in units of the given one.
        U: The working cell.
        position: ``[3, >= n]`` receives Cartesian positions.
        pending: ``[2, n_pending]`` atom and output row of every centre; overwritten.
        n_pending: Number of centres.
        radius: First guess, Angstrom.
        limit: Largest distance, Angstrom.
        tie_tolerance: Width of a shell, Angstrom.
        room: Scratch arrays.
        order: ``[>= max(k, RANKED)]``, scratch.
        home: ``[>= n]``, scratch.
        out: Atoms, translations and distances of all centres.

    Returns:
        The scratch arrays, larger if that was needed.
    """
    n, k = f.shape[0], out[0].shape[1]
    atoms, centres = np.empty((5, 2)), np.empty((5, 2))
    for axis in range(5):
        atoms[axis, 0] = centres[axis, 0] = math.inf
        atoms[axis, 1] = centres[axis, 1] = -math.inf
    for i in range(n):
        position[0, i] = f[i, 0] * U[0]
        position[1, i] = f[i, 0] * U[1] + f[i, 1] * U[3]
        position[2, i] = f[i, 0] * U[2] + f[i, 1] * U[4] + f[i, 2] * U[5]
        widen(atoms, position, f, i)
    ordered = is_identity(M)
    while n_pending > 0:
        for axis in range(5):
            centres[axis, 0], centres[axis, 1] = math.inf, -math.inf
        for p in range(n_pending):
            widen(centres, position, f, pending[0, p])
        reach = radius * (1.0 + GUARD) + GUARD
        n_cells = list_cells(U, M, atoms, centres, reach, room[0][0], room[0][1])
        if n_cells > room[0][0].shape[1] or n_cells * n + LANES > room[1][0].shape[1]:
            room = room_for(2 * n_cells, 2 * n_cells * n)
            list_cells(U, M, atoms, centres, reach, room[0][0], room[0][1])
        move, translation = room[0]
        cloud, source = room[1]
        near, distance, shell, key = room[2]
        if not ordered:
            sort_cells(move, translation, n_cells)
        n_rows = fill_cloud(position, n, centres, reach, move, translation, n_cells, cloud, source, home, near)
        ranked = (radius + 1.0) / tie_tolerance < _MAX_RANKED_SHELL
        missed, larger = 0, radius
        for p in range(n_pending):
            i, centre = pending[0, p], pending[1, p]
            m = measure(cloud, n_rows, position[0, i], position[1, i], position[2, i], home[i], reach, near)
            if radius >= limit:
                m = keep_within(cloud, limit, near, m)
            elif m < k:
                larger = max(larger, _GROWTH * radius)
                pending[0, missed], pending[1, missed] = i, centre
                missed += 1
                continue
            for q in range(m):
                distance[q] = math.sqrt(cloud[3, near[q]])
                shell[q] = tie_shell(distance[q], tie_tolerance)
            if ranked and m <= RANKED:
                _rank(shell, m, key, order)
            else:
                _insert(shell, m, k, order)
            if m >= k and radius < limit:
                # The shell of the last neighbour must lie inside the sphere as a whole.
                outer = (shell[order[k - 1]] + 0.5) * tie_tolerance + GUARD
                if outer > radius:
                    larger = max(larger, outer * (1.0 + GUARD))
                    pending[0, missed], pending[1, missed] = i, centre
                    missed += 1
                    continue
            for q in range(min(m, k)):
                row = near[order[q]]
                j, cell = source[0, row], source[1, row]
                out[0][centre, q], out[2][centre, q] = j, distance[order[q]]
                for axis in range(3):
                    out[1][centre, q, axis] = translation[axis, cell] + wrap[i, axis] - wrap[j, axis]
            _pad(out, centre, m)
        n_pending, radius = missed, min(limit, larger)
    return room


@njit(cache=True, nogil=True)
def _pad(out: Rows, centre: int, filled: int) -> None:
    """Fill what is left of a row."""
    for q in range(filled, out[0].shape[1]):
        out[0][centre, q] = -1
        out[2][centre, q] = 0.0
        for axis in range(3):
            out[1][centre, q, axis] = 0


@njit(cache=True, nogil=True)
def _comes_after(rows: Rows, p: int, q: int) -> bool:
    """Whether row ``p`` follows row ``q`` of the same shell: by atom, then translation."""
    j, s, _ = rows
    if j[p] != j[q]:
        return bool(j[p] > j[q])
    for x in range(3):
        if s[p, x] != s[q, x]:
            return bool(s[p, x] > s[q, x])
    return False


@njit(cache=True, nogil=True)
def _select(rows: Rows, m: int, tie_tolerance: float, shell: Floats, order: Ints, k: int) -> int:
    """Put the first ``k`` of ``m`` rows by (shell, atom, translation) into ``order`` and their shells into ``shell``.

    Both hold at least ``k + 1`` numbers; the last is a place to drop what falls off the end.

    Returns:
        How many were put there.
    """
    filled, worst = 0, math.inf
    for row in range(m):
        if rows[2][row] > worst:
            continue
        mine = float(tie_shell(rows[2][row], tie_tolerance))
        p = filled
        while p > 0:
            other = shell[p - 1]
            if other < mine or (other == mine and not _comes_after(rows, order[p - 1], row)):
                break
            shell[p], order[p] = other, order[p - 1]
            p -= 1
        shell[p], order[p] = mine, row
        if filled < k:
            filled += 1
        if filled == k:
            worst = (shell[k - 1] + 0.5) * tie_tolerance + GUARD
    return filled


@njit(cache=True, nogil=True)
def _search_bins(
    f: Floats,
    wrap: Ints,
    M: Ints,
    U: Floats,
    pending: Ints,
    n_pending: int,
    guess: float,
    limit: float,
    tie_tolerance: float,
    rows: Rows,
    order: Ints,
    out: Rows,
) -> Rows:
    """As ``_search_cloud``, with bins.

    Returns:
        The scratch rows, more if that was needed.
    """
    k = out[0].shape[1]
    shape, shell = np.empty(3, np.int64), np.empty(k + 1)
    bins = fill_bins(f, U, shape, _ATOMS_PER_BIN)
    for p in range(n_pending):
        i, centre, radius = pending[0, p], pending[1, p], guess
        while True:
            m = gather_bins(f, wrap, M, U, shape, bins, i, radius, rows[0], rows[1], rows[2], 0)
            if m < 0:
                rows = grown(rows, 0, 2 * rows[0].shape[0])
                continue
            if m < k and radius < limit:
                radius = min(limit, _GROWTH * radius)
                continue
            filled = _select(rows, m, tie_tolerance, shell, order, k)
            if filled == k and radius < limit:
                outer = (shell[k - 1] + 0.5) * tie_tolerance + GUARD
                if outer > radius:
                    radius = min(limit, outer * (1.0 + GUARD))
                    continue
            break
        for q in range(filled):
            row = order[q]
            out[0][centre, q], out[2][centre, q] = rows[0][row], rows[2][row]
            for axis in range(3):
                out[1][centre, q, axis] = rows[1][row, axis]
        _pad(out, centre, filled)
    return rows


@njit(cache=True, nogil=True)
def k_nearest(
    lattice: Floats,
    frac: Floats,
    offsets: Ints,
    cutoff: float,
    k: int,
    centres: Ints,
    centre_offsets: Ints,
    tie_tolerance: float,
) -> Rows:
    """The nearest neighbours of chosen atoms; see ``shc.kernels.neighbours.k_nearest``."""
    limit = cutoff + CUTOFF_SLACK
    n_max, most = 0, 0
    for b in range(offsets.shape[0] - 1):
        n_max = max(n_max, offsets[b + 1] - offsets[b])
        most = max(most, centre_offsets[b + 1] - centre_offsets[b])
    f_all, wrap_all, position = np.empty((n_max, 3)), np.empty((n_max, 3), np.int64), np.empty((3, n_max))
    home, pending = np.empty(n_max, np.int64), np.empty((2, most), np.int64)
    M, U = np.empty((3, 3), np.int64), np.empty(9)
    n_centres = centres.shape[0]
    out = (np.empty((n_centres, k), np.int32), np.empty((n_centres, k, 3), np.int32), np.empty((n_centres, k)))
    room, order = room_for(256, 4096), np.empty(max(k + 1, RANKED), np.int64)
    rows = (np.empty(256, np.int32), np.empty((256, 3), np.int32), np.empty(256))
    for b in range(offsets.shape[0] - 1):
        begin, n = offsets[b], offsets[b + 1] - offsets[b]
        n_pending = centre_offsets[b + 1] - centre_offsets[b]
        if n_pending == 0:
            continue
        for p in range(n_pending):
            row = centre_offsets[b] + p
            pending[0, p], pending[1, p] = centres[row] - begin, row
        f, wrap = f_all[:n], wrap_all[:n]
        binned = n > _CLOUD_THRESHOLD
        M_inverse = working_cell(lattice[b], not binned, M, U)
        wrap_positions(frac[begin : begin + n], M, M_inverse, f, wrap)
        # a sphere that holds k atoms with some room at the mean density
        guess = min(limit, (_ROOM * (k + 1) * U[0] * U[3] * U[5] / (4.19 * n)) ** (1.0 / 3.0))
        if binned:
            rows = _search_bins(f, wrap, M, U, pending, n_pending, guess, limit, tie_tolerance, rows, order, out)
        else:
            room = _search_cloud(
                f, wrap, M, U, position, pending, n_pending, guess, limit, tie_tolerance, room, order, home, out
            )
    return out
