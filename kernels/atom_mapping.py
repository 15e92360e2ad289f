"""Where a symmetry operation takes each atom: bins over the cell, so that the cost per atom does not grow."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from shc.kernels.lattice import inverse

if TYPE_CHECKING:
    from numpy.typing import NDArray

_GRID_ORIGIN = 0.0713
"""Bin walls are moved off the special positions 0, 1/2, 1/3 ..., which would fall into two bins."""


@njit(cache=True, nogil=True)
def wrap(x: float) -> float:
    """Move into [0, 1); values a rounding error below 1 become 0."""
    x -= math.floor(x)
    if x > 1.0 - 1e-9:
        return 0.0
    return x


@njit(cache=True, nogil=True)
def fill_grid(
    frac: NDArray[np.float64],
) -> tuple[int, NDArray[np.int64], NDArray[np.int64]]:
    """Sort atoms into ``m**3`` bins: bins per axis, ``start [m**3 + 1]`` and atoms bin by bin."""
    n = frac.shape[0]
    m = max(1, math.ceil(n ** (1.0 / 3.0)))
    where = np.empty(n, np.int64)
    start = np.zeros(m**3 + 1, np.int64)
    for a in range(n):
        b = 0
        for c in range(3):
            x = frac[a, c] - _GRID_ORIGIN
            b = b * m + min(int((x - math.floor(x)) * m), m - 1)
        where[a] = b
        start[b + 1] += 1
    for b in range(m**3):
        start[b + 1] += start[b]
    fill = start[:-1].copy()
    member = np.empty(n, np.int64)
    for a in range(n):
        member[fill[where[a]]] = a
        fill[where[a]] += 1
    return m, start, member


@njit(cache=True, nogil=True)
def map_atoms(
    rotation: NDArray[np.int32],
    shift: NDArray[np.float64],
    lattice: NDArray[np.float64],
    frac: NDArray[np.float64],
    species: NDArray[np.int64],
    m: int,
    start: NDArray[np.int64],
    member: NDArray[np.int64],
    bound: NDArray[np.float64],
    limit: float,
    image: NDArray[np.int64],
) -> float:
    """Map every atom by ``R x + t``; fill ``image`` and refine ``shift`` by the mean displacement.

    Returns the largest distance between an image and the atom found there, -1 when an image has no atom of
    its species within ``limit``, ``limit`` when it has two. ``bound`` is ``limit`` as a bound on each
    fractional coordinate.
    """
    n = frac.shape[0]
    worst = 0.0
    mean = np.zeros(3)
    p = np.empty(3)
    d = np.empty(3)
    low = np.empty(3, np.int64)
    count = np.empty(3, np.int64)
    for a in range(n):
        for c in range(3):
            p[c] = shift[c]
            for k in range(3):
                p[c] += rotation[c, k] * frac[a, k]
            x = p[c] - _GRID_ORIGIN
            x -= math.floor(x)
            low[c] = math.floor((x - bound[c]) * m)
            count[c] = min(math.floor((x + bound[c]) * m) - low[c] + 1, m)
        found = -1
        nearest = 0.0
        d0, d1, d2 = 0.0, 0.0, 0.0
        for i in range(count[0]):
            bi = (low[0] + i) % m
            for j in range(count[1]):
                bj = bi * m + (low[1] + j) % m
                for k in range(count[2]):
                    b = bj * m + (low[2] + k) % m
                    for s in range(start[b], start[b + 1]):
                        e = member[s]
                        if species[e] != species[a]:
                            continue
                        for c in range(3):
                            d[c] = frac[e, c] - p[c]
                            d[c] -= np.rint(d[c])
                        r2 = 0.0
                        for c in range(3):
                            r = d[0] * lattice[0, c] + d[1] * lattice[1, c] + d[2] * lattice[2, c]
                            r2 += r * r
                        if r2 < limit * limit:
                            if found >= 0:
                                return limit  # two atoms within reach: they nearly coincide
                            nearest = r2
                            found = e
                            d0, d1, d2 = d[0], d[1], d[2]
        if found < 0:
            return -1.0
        image[a] = found
        worst = max(worst, nearest)
        mean[0] += d0
        mean[1] += d1
        mean[2] += d2
    for c in range(3):
        shift[c] = wrap(shift[c] + mean[c] / n)
    return math.sqrt(worst)


@njit(cache=True, nogil=True)
def reach(lattice: NDArray[np.float64], limit: float) -> NDArray[np.float64]:
    """Largest change of each fractional coordinate over a distance ``limit``."""
    rows = inverse(lattice)
    bound = np.empty(3)
    for c in range(3):
        bound[c] = limit * math.sqrt(rows[0, c] ** 2 + rows[1, c] ** 2 + rows[2, c] ** 2)
    return bound


@njit(cache=True, nogil=True)
def rarest(species: NDArray[np.int64]) -> NDArray[np.int64]:
    """Atoms of the species with the fewest atoms (the first such species)."""
    n = species.shape[0]
    best, size = 0, n + 1
    for a in range(n):
        count = 0
        for b in range(n):
            if species[b] == species[a]:
                count += 1
        if count < size:
            best, size = a, count
        if size == 1:
            break
    out = np.empty(size, np.int64)
    k = 0
    for a in range(n):
        if species[a] == species[best]:
            out[k] = a
            k += 1
    return out
