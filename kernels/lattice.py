"""Small-matrix arithmetic for kernels, the Minkowski-reduced lattice and its rotations."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

BAND = 3.3
"""Decisions with a residual within this factor of the tolerance, on either side, are ambiguous."""


@njit(cache=True, nogil=True)
def inverse(m: NDArray[np.float64]) -> NDArray[np.float64]:
    """Inverse of a 3 x 3 matrix by cofactors."""
    r = np.empty((3, 3))
    for i in range(3):
        for j in range(3):
            a, b = (j + 1) % 3, (j + 2) % 3
            c, d = (i + 1) % 3, (i + 2) % 3
            r[i, j] = m[a, c] * m[b, d] - m[a, d] * m[b, c]
    det = m[0, 0] * r[0, 0] + m[0, 1] * r[1, 0] + m[0, 2] * r[2, 0]
    r /= det
    return r


@njit(cache=True, nogil=True)
def multiply(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Product of an ``[n, 3]`` and a ``[3, 3]`` matrix."""
    out = np.empty((a.shape[0], 3))
    for i in range(a.shape[0]):
        for k in range(3):
            out[i, k] = a[i, 0] * b[0, k] + a[i, 1] * b[1, k] + a[i, 2] * b[2, k]
    return out


@njit(cache=True, nogil=True)
def dot(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Scalar product of two 3-vectors."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]  # type: ignore[no-any-return]


@njit(cache=True, nogil=True)
def _sort_by_length(v: NDArray[np.float64]) -> None:
    """Sort three rows by length in place; rows equal to within rounding stay where they are."""
    for _ in range(3):
        for k in range(2):
            if dot(v[k + 1], v[k + 1]) < dot(v[k], v[k]) * (1.0 - 1e-9):
                for c in range(3):
                    v[k, c], v[k + 1, c] = v[k + 1, c], v[k, c]


@njit(cache=True, nogil=True)
def reduce_lattice(lattice: NDArray[np.float64]) -> NDArray[np.float64]:
    """Minkowski-reduce a lattice: its three shortest possible basis vectors, right-handed.

    Args:
        lattice: ``[3, 3]`` lattice vectors as rows.

    Returns:
        ``[3, 3]`` reduced lattice vectors as rows, by length.

    Source: Nguyen, Stehle, ACM Trans. Algorithms 5, 46 (2009), the greedy algorithm in three dimensions.
    """
    v = lattice.copy()
    best = np.empty(3)
    trial = np.empty(3)
    for _ in range(1000):
        _sort_by_length(v)
        for _ in range(1000):  # Gauss: the two shortest
            q = np.rint(dot(v[0], v[1]) / dot(v[0], v[0]))
            for c in range(3):
                trial[c] = v[1, c] - q * v[0, c]
            if dot(trial, trial) >= dot(v[1], v[1]) * (1.0 - 1e-9):
                break
            v[1] = trial
            if dot(v[1], v[1]) >= dot(v[0], v[0]) * (1.0 - 1e-9):
                break
            for c in range(3):
                v[0, c], v[1, c] = v[1, c], v[0, c]
        # the point of the plane lattice closest to the third vector
        aa, ab, bb = dot(v[0], v[0]), dot(v[0], v[1]), dot(v[1], v[1])
        ac, bc = dot(v[0], v[2]), dot(v[1], v[2])
        det = aa * bb - ab * ab
        x = math.floor((ac * bb - bc * ab) / det)
        y = math.floor((bc * aa - ac * ab) / det)
        best[:] = v[2]
        shortest = dot(best, best)
        for i in range(-1, 3):
            for j in range(-1, 3):
                for c in range(3):
                    trial[c] = v[2, c] - (x + i) * v[0, c] - (y + j) * v[1, c]
                length = dot(trial, trial)
                if length < shortest * (1.0 - 1e-9):
                    shortest = length
                    best[:] = trial
        improved = shortest < dot(v[2], v[2])
        v[2] = best
        if not improved:
            break
    _sort_by_length(v)
    volume = 0.0
    for c in range(3):
        volume += v[0, c] * (v[1, (c + 1) % 3] * v[2, (c + 2) % 3] - v[1, (c + 2) % 3] * v[2, (c + 1) % 3])
    return -v if volume < 0.0 else v


@njit(cache=True, nogil=True)
def lattice_rotations(
    lattice: NDArray[np.float64], tolerance: float, angle_limit: float
) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Find the integer matrices that keep a Minkowski-reduced lattice, clearly or perhaps.

    Args:
        lattice: ``[3, 3]`` reduced lattice vectors as rows.
        tolerance: Length tolerance, in the unit of the lattice.
        angle_limit: Angles that change by more than this are refused, radian.

    Returns:
        ``[n, 3, 3]`` matrices with entries -1, 0, 1, acting on columns of fractional coordinates, and ``[n]``
        whether each is clear: the strain (change of a length, or of an angle times the mean length) stays
        below ``tolerance / BAND``.
    """
    vectors = np.empty((26, 3), np.int32)
    k = 0
    for h in range(-1, 2):
        for i in range(-1, 2):
            for j in range(-1, 2):
                if h != 0 or i != 0 or j != 0:
                    vectors[k, 0], vectors[k, 1], vectors[k, 2] = h, i, j
                    k += 1
    points = multiply(vectors.astype(np.float64), lattice)
    length = np.empty(26)
    for v in range(26):
        length[v] = math.sqrt(dot(points[v], points[v]))
    edge = np.empty(3)
    for c in range(3):
        edge[c] = math.sqrt(dot(lattice[c], lattice[c]))
    limit, clear = tolerance * BAND, tolerance / BAND
    choice = np.empty((3, 26), np.int64)
    n_choice = np.zeros(3, np.int64)
    for c in range(3):
        for v in range(26):
            if abs(length[v] - edge[c]) < limit:
                choice[c, n_choice[c]] = v
                n_choice[c] += 1
    # strain[p, u, v]: how far vectors u, v miss the angle of pair p of edges, as a length; -1: too far
    strain = np.empty((3, 26, 26))
    for p in range(3):
        a, b = p, (p + 1) % 3
        angle = math.acos(dot(lattice[a], lattice[b]) / (edge[a] * edge[b]))
        for i in range(n_choice[a]):
            u = choice[a, i]
            for j in range(n_choice[b]):
                v = choice[b, j]
                cosine = dot(points[u], points[v]) / (length[u] * length[v])
                miss = abs(math.acos(max(-1.0, min(1.0, cosine))) - angle)
                worst = max(abs(length[u] - edge[a]), miss * 0.5 * (edge[a] + edge[b]))
                strain[p, u, v] = -1.0 if miss > angle_limit else worst
    found = np.empty((192, 3, 3), np.int32)
    sure = np.empty(192, np.bool_)
    n = 0
    for i in range(n_choice[0]):
        u = choice[0, i]
        for j in range(n_choice[1]):
            v = choice[1, j]
            if strain[0, u, v] < 0.0:
                continue
            for k in range(n_choice[2]):
                w = choice[2, k]
                if strain[1, v, w] < 0.0 or strain[2, w, u] < 0.0:
                    continue
                det = 0
                for c in range(3):
                    d, e = (c + 1) % 3, (c + 2) % 3
                    det += vectors[u, c] * (vectors[v, d] * vectors[w, e] - vectors[v, e] * vectors[w, d])
                if abs(det) != 1 or n == 192:
                    continue
                for c in range(3):
                    found[n, c, 0], found[n, c, 1], found[n, c, 2] = (
                        vectors[u, c],
                        vectors[v, c],
                        vectors[w, c],
                    )
                sure[n] = max(strain[0, u, v], strain[1, v, w], strain[2, w, u]) < clear
                n += 1
    return found[:n].copy(), sure[:n].copy()
