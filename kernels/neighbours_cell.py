"""The cell in which periodic neighbours are searched.

Each crystal is searched in a *working cell*: a basis ``U = M @ lattice`` rotated so that ``U`` is upper
triangular, where ``M`` is integer with determinant +-1. Nested loops over lattice translations then have
exact bounds at every level (Fincke and Pohst, Math. Comp. 44, 463 (1985), algorithm 2.12), however skewed the
cell is. Fractional positions are wrapped into [0, 1) and the wrap is undone on output.
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

CUTOFF_SLACK = 1e-8
"""Pairs with ``distance <= cutoff + CUTOFF_SLACK`` are neighbours (Angstrom)."""
GUARD = 1e-9
"""Room for rounding in bounds: relative, and in Angstrom."""


@njit(cache=True, nogil=True)
def _reduce_cell(lattice: Floats, M: Ints, M_inverse: Ints) -> None:
    """Find integer ``M`` and its inverse such that ``M @ lattice`` is Minkowski reduced.

    Source: Semaev, Lect. Notes Comput. Sci. 2146, 181 (2001).
    """
    a = np.empty((3, 3))
    for x in range(3):
        for y in range(3):
            a[x, y] = lattice[x, y]
    # The loop ends by itself (lengths only fall); the bound is for rounding in degenerate cells.
    for _ in range(1000):
        changed = False
        for p in range(3):
            q, r = (p + 1) % 3, (p + 2) % 3
            length = a[p, 0] ** 2 + a[p, 1] ** 2 + a[p, 2] ** 2
            best_q, best_r, best = 0.0, 0.0, length * (1.0 - 1e-6)
            for option in range(6):
                n_q, n_r = 0.0, 0.0
                if option < 4:
                    n_q, n_r = float(2 * (option & 1) - 1), float((option & 2) - 1)
                else:
                    s = q if option == 4 else r
                    dot = a[p, 0] * a[s, 0] + a[p, 1] * a[s, 1] + a[p, 2] * a[s, 2]
                    step = -math.floor(dot / (a[s, 0] ** 2 + a[s, 1] ** 2 + a[s, 2] ** 2) + 0.5)
                    if option == 4:
                        n_q = step
                    else:
                        n_r = step
                trial = 0.0
                for x in range(3):
                    trial += (a[p, x] + n_q * a[q, x] + n_r * a[r, x]) ** 2
                if trial < best:
                    best_q, best_r, best = n_q, n_r, trial
            if best_q != 0.0 or best_r != 0.0:
                changed = True
                for x in range(3):
                    a[p, x] += best_q * a[q, x] + best_r * a[r, x]
                    M[p, x] += int(best_q) * M[q, x] + int(best_r) * M[r, x]
                    M_inverse[x, q] -= int(best_q) * M_inverse[x, p]
                    M_inverse[x, r] -= int(best_r) * M_inverse[x, p]
        if not changed:
            return


@njit(cache=True, nogil=True)
def _sort_axes(basis: Floats, M: Ints, M_inverse: Ints) -> None:
    """Order the axes of ``M @ lattice`` longest first: the outer loops then discard most."""
    for _ in range(2):
        for p in range(2):
            here = basis[p, 0] ** 2 + basis[p, 1] ** 2 + basis[p, 2] ** 2
            after = basis[p + 1, 0] ** 2 + basis[p + 1, 1] ** 2 + basis[p + 1, 2] ** 2
            if here < after:
                for x in range(3):
                    basis[p, x], basis[p + 1, x] = basis[p + 1, x], basis[p, x]
                    M[p, x], M[p + 1, x] = M[p + 1, x], M[p, x]
                    M_inverse[x, p], M_inverse[x, p + 1] = M_inverse[x, p + 1], M_inverse[x, p]


@njit(cache=True, nogil=True)
def working_cell(lattice: Floats, keep_order: bool, M: Ints, U: Floats) -> Ints:
    """Choose the working cell.

    Args:
        lattice: ``[3, 3]`` rows, Angstrom.
        keep_order: Leave the basis as given unless it is badly skewed, so that translations are enumerated in
            their final order.
        M: ``[3, 3]`` receives the working basis in units of the given one.
        U: ``[9]`` receives u00 u01 u02 u11 u12 u22 and the three plane spacings, Angstrom.

    Returns:
        ``[3, 3]`` inverse of ``M``.
    """
    M_inverse, basis = np.empty((3, 3), np.int64), np.empty((3, 3))
    for x in range(3):
        for y in range(3):
            M[x, y] = M_inverse[x, y] = int(x == y)
            basis[x, y] = lattice[x, y]
    _triangular(basis, U)
    lengths = 1.0
    for x in range(3):
        lengths *= math.sqrt(lattice[x, 0] ** 2 + lattice[x, 1] ** 2 + lattice[x, 2] ** 2)
    if keep_order and lengths < 2.5 * U[0] * U[3] * U[5]:
        return M_inverse
    _reduce_cell(lattice, M, M_inverse)
    # From the integers again: sums of rounding errors stay out.
    for x in range(3):
        for y in range(3):
            basis[x, y] = M[x, 0] * lattice[0, y] + M[x, 1] * lattice[1, y] + M[x, 2] * lattice[2, y]
    _sort_axes(basis, M, M_inverse)
    _triangular(basis, U)
    return M_inverse


@njit(cache=True, nogil=True)
def is_identity(M: Ints) -> bool:
    """Whether the working basis is the given one."""
    for x in range(3):
        for y in range(3):
            if M[x, y] != (x == y):
                return False
    return True


@njit(cache=True, nogil=True)
def _triangular(a: Floats, U: Floats) -> None:
    """Write the upper triangular form of the basis ``a`` and its plane spacings into ``U``."""
    c = math.sqrt(a[2, 0] ** 2 + a[2, 1] ** 2 + a[2, 2] ** 2)
    # normal of the plane of the second and third axis
    n0 = a[1, 1] * a[2, 2] - a[1, 2] * a[2, 1]
    n1 = a[1, 2] * a[2, 0] - a[1, 0] * a[2, 2]
    n2 = a[1, 0] * a[2, 1] - a[1, 1] * a[2, 0]
    area = math.sqrt(n0 * n0 + n1 * n1 + n2 * n2)
    volume = abs(a[0, 0] * n0 + a[0, 1] * n1 + a[0, 2] * n2)
    e0, e1, e2 = a[2, 0] / c, a[2, 1] / c, a[2, 2] / c
    m0, m1, m2 = (e1 * n2 - e2 * n1) / area, (e2 * n0 - e0 * n2) / area, (e0 * n1 - e1 * n0) / area
    if m0 * a[1, 0] + m1 * a[1, 1] + m2 * a[1, 2] < 0.0:
        m0, m1, m2 = -m0, -m1, -m2
    U[0] = volume / area
    U[1] = a[0, 0] * m0 + a[0, 1] * m1 + a[0, 2] * m2
    U[2] = a[0, 0] * e0 + a[0, 1] * e1 + a[0, 2] * e2
    U[3] = area / c
    U[4] = a[1, 0] * e0 + a[1, 1] * e1 + a[1, 2] * e2
    U[5] = c
    # |a0 x a2| and |a0 x a1| in the triangular frame
    U[6] = U[0]
    U[7] = volume / (c * math.sqrt(U[0] ** 2 + U[1] ** 2))
    cross = (U[1] * U[4] - U[2] * U[3]) ** 2 + (U[0] * U[4]) ** 2 + (U[0] * U[3]) ** 2
    U[8] = volume / math.sqrt(cross)


@njit(cache=True, nogil=True)
def wrap_positions(frac: Floats, M: Ints, M_inverse: Ints, f: Floats, wrap: Ints) -> None:
    """Positions in the working cell, in [0, 1), and the translation taken off, in the given basis."""
    for i in range(frac.shape[0]):
        w0, w1, w2 = 0, 0, 0
        for x in range(3):
            g = frac[i, 0] * M_inverse[0, x] + frac[i, 1] * M_inverse[1, x] + frac[i, 2] * M_inverse[2, x]
            whole = math.floor(g)
            g -= whole
            if g >= 1.0:
                g, whole = 0.0, whole + 1
            f[i, x] = g
            w0, w1, w2 = w0 + whole * M[x, 0], w1 + whole * M[x, 1], w2 + whole * M[x, 2]
        wrap[i, 0], wrap[i, 1], wrap[i, 2] = w0, w1, w2
