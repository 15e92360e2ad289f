"""Meshes of wave vectors, reduced by symmetry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import spglib

from shc.featurize.spglib_calls import quiet_spglib

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.integer]

MAX_DIVISIONS: Final = 60


@dataclass(frozen=True, slots=True)
class Mesh:
    """Gamma-centred mesh reduced by the point group and time reversal."""

    divisions: tuple[int, int, int]
    k: Floats
    """``[n_k, 3]`` Cartesian, 1/Angstrom."""
    weight: Floats
    """``[n_k]`` sums to 1."""
    step: float
    """Mean distance of neighbouring points, 1/Angstrom."""


def reciprocal(lattice: Floats) -> Floats:
    """Reciprocal lattice vectors as rows, with 2 pi, of lattice vectors as rows."""
    return np.asarray(2.0 * np.pi * np.linalg.inv(lattice).T)


def cartesian_rotations(lattice: Floats, rotations: NDArray[np.int32]) -> Floats:
    """Orthogonal matrices of the operations, also of a lattice that obeys its symmetry within a tolerance only.

    The metric is averaged over the group, and the lattice turned into the nearest one that has it.

    Args:
        lattice: ``[3, 3]`` rows, Angstrom.
        rotations: ``[n_ops, 3, 3]`` acting on fractional coordinates; a group.

    Returns:
        ``[n_ops, 3, 3]``.
    """
    metric = np.mean(rotations.transpose(0, 2, 1) @ (lattice @ lattice.T) @ rotations, axis=0)
    inverse = np.linalg.inv(lattice)
    stretch, axes = np.linalg.eigh(inverse @ metric @ inverse.T)
    exact = lattice @ (axes * np.sqrt(stretch)) @ axes.T
    return np.asarray(exact.T @ rotations @ np.linalg.inv(exact.T))


def divisions(lattice: Floats, rotations: NDArray[np.int32], length: float) -> tuple[int, int, int]:
    """Divisions of the reciprocal axes, equal along axes that symmetry mixes.

    Args:
        lattice: ``[3, 3]`` rows, Angstrom.
        rotations: ``[n_ops, 3, 3]`` acting on fractional coordinates.
        length: Length of the supercell whose Gamma point the mesh resembles, Angstrom.
    """
    edges = np.linalg.norm(reciprocal(lattice), axis=1) / (2.0 * np.pi)
    n = np.clip(np.ceil(length * edges - 1e-6), 1, MAX_DIVISIONS).astype(int)
    mixed = np.any(rotations != 0, axis=0)
    mixed = mixed | mixed.T
    mixed = (mixed.astype(int) @ mixed.astype(int)) > 0
    equal = [int(n[mixed[axis]].max()) for axis in range(3)]
    return equal[0], equal[1], equal[2]


def irreducible_mesh(lattice: Floats, rotations: NDArray[np.int32], n: tuple[int, int, int]) -> Mesh:
    """Points of a mesh that symmetry does not relate.

    Args:
        lattice: ``[3, 3]`` rows, Angstrom.
        rotations: ``[n_ops, 3, 3]`` acting on fractional coordinates.
        n: Divisions, see ``divisions``.
    """
    with quiet_spglib():
        mapping, grid = spglib.get_stabilized_reciprocal_mesh(n, rotations, is_shift=[0, 0, 0], is_time_reversal=True)
    points, counts = np.unique(mapping, return_counts=True)
    axes = reciprocal(lattice)
    step = float(np.mean(np.linalg.norm(axes, axis=1) / np.array(n)))
    return Mesh(n, (grid[points] / np.array(n)) @ axes, counts / counts.sum(), step)
