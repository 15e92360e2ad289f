"""Plain NumPy twins of the symmetry kernels: short, slow, and the definition of what the kernels compute."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def reduce_lattice_reference(lattice: NDArray[np.float64], search: int = 6) -> NDArray[np.float64]:
    """Find the lengths of the shortest possible basis vectors of a lattice.

    Args:
        lattice: ``[3, 3]`` lattice vectors as rows.
        search: Coefficients up to this size are tried.

    Returns:
        ``[3]`` lengths, ascending (in three dimensions the successive minima form a basis).
    """
    coefficients = np.array(list(product(range(-search, search + 1), repeat=3)))
    vectors = coefficients @ lattice
    lengths = np.linalg.norm(vectors, axis=1)
    chosen: list[int] = []
    for v in np.argsort(lengths, kind="stable"):
        trial = [*chosen, int(v)]
        if np.linalg.matrix_rank(coefficients[trial]) == len(trial):
            chosen = trial
        if len(chosen) == 3:
            break
    return np.asarray(lengths[chosen])


def lattice_rotations_reference(lattice: NDArray[np.float64], tolerance: float) -> NDArray[np.int64]:
    """Find the integer matrices that keep the metric of a reduced lattice, entries -2 to 2.

    Args:
        lattice: ``[3, 3]`` lattice vectors as rows.
        tolerance: Largest change of any length among the edges and face diagonals.

    Returns:
        ``[n, 3, 3]`` matrices that act on columns of fractional coordinates.
    """
    vectors = np.array(list(product(range(-2, 3), repeat=3)))
    edges = np.linalg.norm(lattice, axis=1)
    lengths = np.linalg.norm(vectors @ lattice, axis=1)
    choices = [vectors[np.abs(lengths - edge) < tolerance] for edge in edges]
    found = []
    for columns in product(*choices):
        matrix = np.stack(columns, axis=1)
        image = matrix.T @ lattice
        diagonals = [(a, b) for a in range(3) for b in range(a)]
        change = [np.linalg.norm(image[a] + image[b]) - np.linalg.norm(lattice[a] + lattice[b]) for a, b in diagonals]
        if abs(round(float(np.linalg.det(matrix)))) == 1 and np.abs(change).max() < tolerance:
            found.append(matrix)
    return np.array(found)


def find_operations_reference(
    lattice: NDArray[np.float64],
    frac: NDArray[np.float64],
    species: NDArray[np.int64],
    rotations: NDArray[np.int64],
    tolerance: float,
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
    """Find every operation ``R x + t`` with ``R`` among candidates that maps a crystal on itself.

    Args:
        lattice: ``[3, 3]`` lattice vectors as rows.
        frac: ``[n, 3]`` fractional positions.
        species: ``[n]`` species.
        rotations: ``[m, 3, 3]`` candidates; the identity alone gives the pure translations.
        tolerance: Largest distance between an image and the atom there.

    Returns:
        Rotations ``[n_ops, 3, 3]``, translations ``[n_ops, 3]`` in [0, 1) and images ``[n_ops, n]``.
    """
    out_r, out_t, out_image = [], [], []
    for rotation in rotations:
        turned = frac @ rotation.T
        for target in np.flatnonzero(species == species[0]):
            shift = frac[target] - turned[0]
            off = (turned + shift)[:, None, :] - frac[None, :, :]
            off -= np.rint(off)
            distance = np.linalg.norm(off @ lattice, axis=2)
            distance[species[:, None] != species[None, :]] = np.inf
            if distance.min(axis=1).max() < tolerance:
                out_r.append(rotation)
                out_t.append(shift - np.floor(shift))
                out_image.append(distance.argmin(axis=1))
    return np.array(out_r), np.array(out_t), np.array(out_image)
