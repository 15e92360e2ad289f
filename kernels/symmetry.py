"""Symmetry operations of many small crystals, fast: primitive cell, compact lattice, operations, orbits.

The search is exact as long as every candidate is clearly kept or clearly refused. A candidate whose residual
lies between ``tolerance / BAND`` and ``tolerance * BAND`` makes the whole answer `AMBIGUOUS`; the caller then
asks a slower judge.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numba import njit

from shc.kernels.atom_mapping import fill_grid, map_atoms, rarest, reach, wrap
from shc.kernels.lattice import BAND, dot, inverse, lattice_rotations, multiply, reduce_lattice

if TYPE_CHECKING:
    from numpy.typing import NDArray

CLEAR = 0
"""Status: every decision was clear."""
AMBIGUOUS = 1
"""Status: at least one decision lies near the tolerance, the arrays are not to be used."""


class SymmetrySearch(NamedTuple):
    """What `find_symmetry` returns."""

    status: int
    """`CLEAR` or `AMBIGUOUS`."""
    lattice: NDArray[np.float64]
    """``[3, 3]`` Minkowski-reduced primitive lattice, right-handed, vectors as rows."""
    atom: NDArray[np.int64]
    """``[n]`` atoms of the input cell kept in the primitive cell, sorted by orbit."""
    frac: NDArray[np.float64]
    """``[n, 3]`` their fractional positions in the primitive cell, in [0, 1)."""
    orbit: NDArray[np.int64]
    """``[n]`` orbit of each, non-decreasing from 0; ordered by species, size, first atom of the input."""
    rotations: NDArray[np.int32]
    """``[n_ops, 3, 3]``; a position ``x`` (column of fractional coordinates) goes to ``R @ x + t``."""
    translations: NDArray[np.float64]
    """``[n_ops, 3]``, in [0, 1)."""
    image: NDArray[np.int64]
    """``[n_ops, n]`` atom that each atom goes to."""


@njit(cache=True, nogil=True)
def _insert_vector(basis: NDArray[np.int64], vector: NDArray[np.int64], modulus: int) -> None:
    """Add an integer vector to the lattice spanned by an upper triangular basis (Hermite normal form)."""
    for c in range(3):
        while vector[c] != 0:
            q = basis[c, c] // vector[c]
            for k in range(c, 3):
                rest = basis[c, k] - q * vector[k]
                basis[c, k] = vector[k]
                vector[k] = rest
        if basis[c, c] < 0:
            for k in range(c, 3):
                basis[c, k] = -basis[c, k]
        for k in range(c + 1, 3):  # modulus * unit vectors belong to the lattice: keep the numbers small
            basis[c, k] %= modulus
            vector[k] %= modulus


@njit(cache=True, nogil=True)
def _primitive_cell(
    lattice: NDArray[np.float64], frac: NDArray[np.float64], species: NDArray[np.int64], tolerance: float
) -> tuple[int, NDArray[np.float64], NDArray[np.int64]]:
    """Find the pure translations: status, primitive lattice (not reduced), atoms kept."""
    n = frac.shape[0]
    limit = tolerance * BAND
    clear = tolerance / BAND
    bound = reach(lattice, limit)
    m, start, member = fill_grid(frac)
    rare = rarest(species)
    identity = np.eye(3).astype(np.int32)
    shifts = np.zeros((rare.shape[0], 3))
    images = np.empty((rare.shape[0], n), np.int64)
    images[0] = np.arange(n)
    n_t = 1
    every = np.arange(n)
    for k in range(1, rare.shape[0]):
        for c in range(3):
            shifts[n_t, c] = frac[rare[k], c] - frac[rare[0], c]
        residual = map_atoms(identity, shifts[n_t], lattice, frac, species, m, start, member, bound, limit, images[n_t])
        if residual > clear:
            return AMBIGUOUS, lattice, every
        if residual >= 0.0:
            n_t += 1
    if n_t == 1:
        return CLEAR, lattice, every
    # The n_t translations form a group modulo the lattice: each is a multiple of 1 / n_t.
    basis = np.zeros((3, 3), np.int64)
    for c in range(3):
        basis[c, c] = n_t
    vector = np.empty(3, np.int64)
    off = np.empty((1, 3))
    for t in range(1, n_t):
        for c in range(3):
            vector[c] = int(np.rint(shifts[t, c] * n_t))
            off[0, c] = shifts[t, c] - vector[c] / n_t
        off = multiply(off, lattice)
        if dot(off[0], off[0]) > clear * clear:
            return AMBIGUOUS, lattice, every
        _insert_vector(basis, vector, n_t)
    if basis[0, 0] * basis[1, 1] * basis[2, 2] != n_t * n_t:
        return AMBIGUOUS, lattice, every
    kept = np.empty(n, np.int64)
    n_kept = 0
    seen = np.zeros(n, np.bool_)
    for a in range(n):
        if not seen[a]:
            kept[n_kept] = a
            n_kept += 1
            for t in range(n_t):
                seen[images[t, a]] = True
    if n_kept * n_t != n:
        return AMBIGUOUS, lattice, every
    return CLEAR, multiply(basis / n_t, lattice), kept[:n_kept].copy()


@njit(cache=True, nogil=True)
def _is_group(rotations: NDArray[np.int32]) -> bool:
    """Whether a set of matrices with entries -1, 0, 1 is closed under multiplication."""
    n = rotations.shape[0]
    present = np.zeros(19683, np.bool_)
    for pass_ in range(2):
        for a in range(n):
            for b in range(n if pass_ else 1):
                code = 0
                for i in range(3):
                    for j in range(3):
                        entry = rotations[a, i, j]
                        if pass_:
                            entry = (
                                rotations[a, i, 0] * rotations[b, 0, j]
                                + rotations[a, i, 1] * rotations[b, 1, j]
                                + rotations[a, i, 2] * rotations[b, 2, j]
                            )
                        if entry < -1 or entry > 1:
                            return False
                        code = code * 3 + entry + 1
                if pass_ == 0:
                    present[code] = True
                elif not present[code]:
                    return False
    return bool(n > 0)


@njit(cache=True, nogil=True)
def _operations(
    lattice: NDArray[np.float64],
    frac: NDArray[np.float64],
    species: NDArray[np.int64],
    tolerance: float,
    angle_limit: float,
) -> tuple[int, NDArray[np.int32], NDArray[np.float64], NDArray[np.int64]]:
    """Find all operations of a primitive cell: status, rotations, translations, images."""
    n = frac.shape[0]
    limit, clear = tolerance * BAND, tolerance / BAND
    bound = reach(lattice, limit)
    m, start, member = fill_grid(frac)
    rare = rarest(species)
    candidates, sure = lattice_rotations(lattice, tolerance, angle_limit)
    rotations = np.empty((candidates.shape[0], 3, 3), np.int32)
    translations = np.empty((candidates.shape[0], 3))
    image = np.empty((candidates.shape[0], n), np.int64)
    status = CLEAR
    n_ops = 0
    shift = np.empty(3)
    for r in range(candidates.shape[0]):
        rotation = candidates[r]
        for target in rare:
            for c in range(3):
                shift[c] = frac[target, c]
                for k in range(3):
                    shift[c] -= rotation[c, k] * frac[rare[0], k]
            residual = map_atoms(rotation, shift, lattice, frac, species, m, start, member, bound, limit, image[n_ops])
            if residual < 0.0:
                continue
            if residual > clear or not sure[r]:
                status = AMBIGUOUS
                break
            rotations[n_ops] = rotation
            translations[n_ops] = shift
            n_ops += 1
            break  # a second one would differ by a pure translation
        if status == AMBIGUOUS:
            break
    if status == CLEAR and not _is_group(rotations[:n_ops]):
        status = AMBIGUOUS
    return status, rotations[:n_ops].copy(), translations[:n_ops].copy(), image[:n_ops].copy()


@njit(cache=True, nogil=True)
def order_orbits(image: NDArray[np.int64], species: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Group atoms into orbits and order them by species, orbit size, first atom.

    Args:
        image: ``[n_ops, n]`` atom that each atom goes to.
        species: ``[n]`` species of each atom.

    Returns:
        ``[n]`` permutation of the atoms and ``[n]`` orbit of each permuted atom, non-decreasing from 0.
    """
    n = species.shape[0]
    first = np.arange(n)
    size = np.zeros(n, np.int64)
    for a in range(n):
        for o in range(image.shape[0]):
            first[a] = min(first[a], image[o, a])
        first[a] = first[first[a]]
        size[first[a]] += 1
    heads = np.empty(n, np.int64)
    n_orbits = 0
    for a in range(n):
        if first[a] == a:
            k = n_orbits
            while k > 0 and (species[heads[k - 1]], size[heads[k - 1]]) > (species[a], size[a]):
                heads[k] = heads[k - 1]
                k -= 1
            heads[k] = a
            n_orbits += 1
    begin = np.empty(n, np.int64)
    number = np.empty(n, np.int64)
    total = 0
    for k in range(n_orbits):
        begin[heads[k]] = total
        number[heads[k]] = k
        total += size[heads[k]]
    order = np.empty(n, np.int64)
    orbit = np.empty(n, np.int64)
    for a in range(n):
        order[begin[first[a]]] = a
        orbit[begin[first[a]]] = number[first[a]]
        begin[first[a]] += 1
    return order, orbit


@njit(cache=True, nogil=True)
def _find_symmetry(
    lattice: NDArray[np.float64],
    frac: NDArray[np.float64],
    species: NDArray[np.int64],
    tolerance: float,
    angle_limit: float,
) -> SymmetrySearch:
    """Compiled body of `find_symmetry`."""
    status, cell, kept = _primitive_cell(lattice, frac, species, tolerance)
    cell = reduce_lattice(cell)
    position = multiply(multiply(frac[kept], lattice), inverse(cell))
    for a in range(position.shape[0]):
        for c in range(3):
            position[a, c] = wrap(position[a, c])
    kind = species[kept]
    if status == CLEAR:
        status, rotations, translations, image = _operations(cell, position, kind, tolerance, angle_limit)
    else:
        rotations = np.empty((0, 3, 3), np.int32)
        translations = np.empty((0, 3))
        image = np.empty((0, kept.shape[0]), np.int64)
    order, orbit = order_orbits(image, kind)
    place = np.empty_like(order)
    for a in range(order.shape[0]):
        place[order[a]] = a
    sorted_image = np.empty_like(image)
    for o in range(image.shape[0]):
        for a in range(order.shape[0]):
            sorted_image[o, a] = place[image[o, order[a]]]
    return SymmetrySearch(status, cell, kept[order], position[order], orbit, rotations, translations, sorted_image)


def find_symmetry(
    lattice: NDArray[np.float64],
    frac: NDArray[np.float64],
    species: NDArray[np.int64],
    tolerance: float,
    angle_limit: float = math.radians(6.0),
) -> SymmetrySearch:
    """Find the primitive cell, all symmetry operations and the orbits of a crystal.

    Args:
        lattice: ``[3, 3]`` lattice vectors as rows, Angstrom.
        frac: ``[n, 3]`` fractional positions, any real value.
        species: ``[n]`` integers, equal for equal atoms.
        tolerance: Two positions closer than this are the same, Angstrom.
        angle_limit: A lattice symmetry that changes an angle by more than this is clearly none, radian.

    Returns:
        A `SymmetrySearch`. Its arrays mean something only if ``status`` is `CLEAR`.

    Raises:
        ValueError: Shapes disagree, there is no atom, a number is not finite, the tolerance is not positive,
            or the cell is flat.
    """
    n = len(species)
    if lattice.shape != (3, 3) or frac.shape != (n, 3) or n == 0:
        shapes = f"{lattice.shape}, {frac.shape}, {n}"
        raise ValueError(f"need lattice [3, 3], frac [n, 3], species [n > 0]: {shapes}")
    if not (np.isfinite(lattice).all() and np.isfinite(frac).all()):
        raise ValueError("lattice or frac holds a number that is not finite")
    if not tolerance > 0.0:
        raise ValueError(f"tolerance must be positive, got {tolerance}")
    if abs(np.linalg.det(lattice)) < 1e-6 * np.prod(np.linalg.norm(lattice, axis=1)):
        raise ValueError("the lattice vectors lie in one plane")
    return SymmetrySearch(
        *_find_symmetry(
            np.ascontiguousarray(lattice, np.float64),
            np.ascontiguousarray(frac, np.float64),
            np.ascontiguousarray(species, np.int64),
            tolerance,
            angle_limit,
        )
    )
