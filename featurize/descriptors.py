"""Composition and structure descriptors: the hand-made features beside the crystal graph.

Five groups, in this order: statistics of the element table over the atoms; sums and electron counts
(``shc.featurize.electron_count``); shape and density of the cell; bonds; and what surrounds the atoms with strong
spin-orbit coupling (``shc.featurize.shells``).
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from shc.featurize.electron_count import ELECTRON_COUNT_NAMES, Composition, electron_count
from shc.featurize.elements import FEATURE_NAMES, element_column, element_table
from shc.featurize.segments import Segments
from shc.featurize.shells import SHELL_NAMES, Shells, shell_descriptors

if TYPE_CHECKING:
    from numpy.typing import NDArray

DESCRIPTOR_VERSION: Final = 1
_STATISTICS: Final = ("mean", "deviation", "min", "max", "heaviest")
_ELEMENT: Final = tuple(name for name in FEATURE_NAMES if not name.startswith("block_"))
_ELEMENT_COLUMNS: Final = [FEATURE_NAMES.index(name) for name in _ELEMENT]
_CELL: Final = (
    "log_n_atoms",
    "log_n_nodes",
    "nodes_per_atom",
    "volume_per_atom",
    "log_volume_per_atom",
    "density",
    "packing_fraction",
    "valence_density",
    "soc_density",
    "soc_squared_density",
    "length_ratio_min",
    "length_ratio_max",
    "angle_min",
    "angle_max",
    "angle_spread",
)
_DALTON_PER_CUBIC_ANGSTROM: Final = 1.66053906660
"""1 u per cubic Angstrom in g/cm^3 (CODATA 2018)."""


@lru_cache(maxsize=1)
def descriptor_names() -> tuple[str, ...]:
    """Names of the descriptors, in order: D in all."""
    return (
        *(f"{statistic}_{name}" for statistic in _STATISTICS for name in _ELEMENT),
        *ELECTRON_COUNT_NAMES,
        *_CELL,
        *SHELL_NAMES,
    )


def _statistics(elements: Composition) -> list[NDArray[np.float64]]:
    values = element_table()[elements.z][:, _ELEMENT_COLUMNS]
    rows, n = elements.rows, elements.n_atoms[:, None]
    mean = elements.total(values) / n
    heaviest = np.append(rows.start[1:], len(values)) - 1  # the rows of a crystal ascend with the atomic number
    return [
        mean,
        elements.total(np.abs(values - mean[rows.owner])) / n,
        rows.min(values),
        rows.max(values),
        values[heaviest],
    ]


def _cell(lattice: NDArray[np.float64], elements: Composition, n_nodes: NDArray[np.int64]) -> NDArray[np.float64]:
    n_atoms, z = elements.n_atoms, elements.z
    metric = lattice @ lattice.transpose(0, 2, 1)
    lengths = np.sqrt(np.diagonal(metric, axis1=1, axis2=2))
    first, second = [0, 0, 1], [1, 2, 2]
    cosines = metric[:, first, second] / (lengths[:, first] * lengths[:, second])
    angles = np.degrees(np.arccos(np.clip(cosines, -1.0, 1.0)))
    volume = np.abs(np.linalg.det(lattice))
    scale = volume ** (1.0 / 3.0)
    soc = element_column("soc_p") + element_column("soc_d")
    spheres = 4.0 / 3.0 * np.pi * element_column("covalent_radius") ** 3
    mass = element_column("mass") * _DALTON_PER_CUBIC_ANGSTROM
    densities = np.column_stack([mass, spheres, element_column("valence"), soc, soc**2])
    return np.column_stack(
        [
            np.log(n_atoms),
            np.log(n_nodes),
            n_nodes / n_atoms,
            volume / n_atoms,
            np.log(volume / n_atoms),
            elements.total(densities[z]) / volume[:, None],
            lengths.min(axis=1) / scale,
            lengths.max(axis=1) / scale,
            angles.min(axis=1),
            angles.max(axis=1),
            angles.max(axis=1) - angles.min(axis=1),
        ]
    )


def descriptors(
    lattice: NDArray[np.float64],
    atom_offsets: NDArray[np.int64],
    node_offsets: NDArray[np.int64],
    frac: NDArray[np.float64],
    atomic_number: NDArray[Any],
    orbit: NDArray[Any],
    neighbour_atom: NDArray[Any],
    neighbour_shift: NDArray[Any],
    neighbour_distance: NDArray[Any],
) -> NDArray[np.float32]:
    """Descriptors of B primitive cells whose atoms are sorted by orbit, as flat arrays like ``FeatureBatch``.

    Args:
        lattice: ``[B, 3, 3]`` rows, Angstrom.
        atom_offsets: ``[B + 1]`` first atom of each crystal, and the end.
        node_offsets: ``[B + 1]`` first node of each crystal, and the end.
        frac: ``[n_atoms, 3]``.
        atomic_number: ``[n_atoms]``, 1 to 103.
        orbit: ``[n_atoms]`` non-decreasing node index, from 0 in each crystal.
        neighbour_atom: ``[n_nodes, K]``, from 0 in each crystal; -1 is padding.
        neighbour_shift: ``[n_nodes, K, 3]`` in cells.
        neighbour_distance: ``[n_nodes, K]`` Angstrom.

    Returns:
        ``[B, D]`` in the order of ``descriptor_names()``; lengths in Angstrom, energies in eV, angles in degrees.

    Raises:
        ShcError: An element has no row in the table.
        ValueError: A crystal has no atoms.
    """
    if len(lattice) == 0:
        return np.zeros((0, len(descriptor_names())), dtype=np.float32)
    z = np.asarray(atomic_number, dtype=np.int64)
    atoms, nodes = Segments.from_sizes(np.diff(atom_offsets)), Segments.from_sizes(np.diff(node_offsets))
    elements = Composition.from_atoms(z, atoms)
    multiplicity = np.bincount(np.asarray(orbit, dtype=np.int64) + nodes.start[atoms.owner])
    representative = np.cumsum(multiplicity) - multiplicity
    present = np.asarray(neighbour_atom) >= 0
    neighbour = np.where(present, neighbour_atom, 0) + atoms.start[nodes.owner][:, None]
    distance = np.asarray(neighbour_distance, dtype=np.float64)
    step = frac[neighbour] + neighbour_shift - frac[representative][:, None, :]
    direction = step @ lattice[nodes.owner] / np.maximum(distance, 1e-9)[:, :, None]
    shells = Shells(
        nodes=nodes,
        node_z=z[representative],
        share=multiplicity / elements.n_atoms[nodes.owner],
        neighbour_z=np.where(present, z[neighbour], 0),
        distance=np.where(present, distance, np.inf),
        unit=np.where(present[:, :, None], direction, 0.0),
    )
    cell = _cell(lattice, elements, np.diff(node_offsets))
    values = [*_statistics(elements), electron_count(elements), cell, shell_descriptors(shells)]
    return np.concatenate(values, axis=1).astype(np.float32)
