"""Composition and structure descriptors: the hand-made features beside the crystal graph.

Five groups, in this order: statistics of the element table over the atoms; sums and electron counts
(``shc.featurize.electron_count``); shape and density of the cell; bonds; and what surrounds the atoms with strong
spin-orbit coupling (``shc.featurize.shells``).
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from shc.featurize.electron_count import ELECTRON_COUNT_NAMES, electron_count
from shc.featurize.elements import FEATURE_NAMES, element_column, element_table
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


def _composition(atomic_number: NDArray[np.int64]) -> list[NDArray[np.float64]]:
    values = element_table()[atomic_number][:, _ELEMENT_COLUMNS]
    mean = values.mean(axis=0)
    return [
        mean,
        np.abs(values - mean).mean(axis=0),
        values.min(axis=0),
        values.max(axis=0),
        values[int(np.argmax(atomic_number))],
    ]


def _cell(lattice: NDArray[np.float64], atomic_number: NDArray[np.int64], n_nodes: int) -> NDArray[np.float64]:
    n_atoms = len(atomic_number)
    metric = lattice @ lattice.T
    lengths = np.sqrt(np.diag(metric))
    first, second = [0, 0, 1], [1, 2, 2]
    cosines = metric[first, second] / (lengths[first] * lengths[second])
    angles = np.degrees(np.arccos(np.clip(cosines, -1.0, 1.0)))
    volume = abs(float(np.linalg.det(lattice)))
    spheres = (4.0 / 3.0 * np.pi * element_column("covalent_radius")[atomic_number] ** 3).sum()
    soc = (element_column("soc_p") + element_column("soc_d"))[atomic_number]
    scale = volume ** (1.0 / 3.0)
    return np.array(
        [
            np.log(n_atoms),
            np.log(n_nodes),
            n_nodes / n_atoms,
            volume / n_atoms,
            np.log(volume / n_atoms),
            element_column("mass")[atomic_number].sum() * _DALTON_PER_CUBIC_ANGSTROM / volume,
            spheres / volume,
            element_column("valence")[atomic_number].sum() / volume,
            soc.sum() / volume,
            (soc**2).sum() / volume,
            lengths.min() / scale,
            lengths.max() / scale,
            angles.min(),
            angles.max(),
            angles.max() - angles.min(),
        ]
    )


def descriptors(
    lattice: NDArray[np.float64],
    frac: NDArray[np.float64],
    atomic_number: NDArray[Any],
    orbit: NDArray[Any],
    neighbour_atom: NDArray[Any],
    neighbour_shift: NDArray[Any],
    neighbour_distance: NDArray[Any],
) -> NDArray[np.float32]:
    """Descriptors of one primitive cell whose atoms are sorted by orbit.

    Args:
        lattice: ``[3, 3]`` rows, Angstrom.
        frac: ``[n_atoms, 3]``.
        atomic_number: ``[n_atoms]``, 1 to 103.
        orbit: ``[n_atoms]`` non-decreasing node index.
        neighbour_atom: ``[n_nodes, K]``, -1 is padding.
        neighbour_shift: ``[n_nodes, K, 3]`` in cells.
        neighbour_distance: ``[n_nodes, K]`` Angstrom.

    Returns:
        ``[D]`` in the order of ``descriptor_names()``; lengths in Angstrom, energies in eV, angles in degrees.
    """
    z = np.asarray(atomic_number, dtype=np.int64)
    multiplicity = np.bincount(np.asarray(orbit, dtype=np.int64))
    representative = np.cumsum(multiplicity) - multiplicity
    neighbour = np.asarray(neighbour_atom, dtype=np.int64)
    distance = np.asarray(neighbour_distance, dtype=np.float64)
    step = frac[neighbour] + neighbour_shift - frac[representative][:, None, :]
    present = neighbour >= 0
    shells = Shells(
        node_z=z[representative],
        share=multiplicity / len(z),
        neighbour_z=np.where(present, z[neighbour], 0),
        distance=np.where(present, distance, np.inf),
        unit=np.where(present[:, :, None], step @ lattice / np.maximum(distance, 1e-9)[:, :, None], 0.0),
    )
    values = [*_composition(z), electron_count(z), _cell(lattice, z, len(multiplicity)), shell_descriptors(shells)]
    return np.concatenate(values).astype(np.float32)
