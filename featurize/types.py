"""The two shapes a crystal takes on its way to the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Crystal:
    """A crystal as read from a file: fully ordered, every site occupied by one element."""

    material_id: str
    """File stem; the key of every result."""
    lattice: NDArray[np.float64]
    """``[3, 3]`` lattice vectors as rows, Angstrom."""
    frac: NDArray[np.float64]
    """``[n_atoms, 3]`` fractional positions."""
    atomic_number: NDArray[np.int64]
    """``[n_atoms]`` atomic numbers."""
    source: str = ""
    """Path the crystal was read from."""


@dataclass(frozen=True, slots=True)
class CrystalRecord:
    """One featurised crystal: a row of the feature file.

    A node is one orbit of symmetry-equivalent atoms of the primitive cell. Atoms are sorted by orbit, so the
    first atom of an orbit represents its node.
    """

    material_id: str
    """File stem; the key of every result."""
    formula: str
    """Reduced formula."""
    space_group_number: int
    """1 to 230."""
    lattice: NDArray[np.float64]
    """``[3, 3]`` lattice vectors of the primitive cell as rows, Angstrom."""
    atomic_number: NDArray[np.uint8]
    """``[n_atoms]`` atomic numbers."""
    frac: NDArray[np.float64]
    """``[n_atoms, 3]`` fractional positions in [0, 1)."""
    orbit: NDArray[np.uint16]
    """``[n_atoms]`` node each atom belongs to, non-decreasing from 0."""
    neighbour_atom: NDArray[np.int32]
    """``[n_nodes, K]`` neighbouring atom, nearest first; -1 is padding."""
    neighbour_shift: NDArray[np.int16]
    """``[n_nodes, K, 3]`` lattice translation of the neighbour, in cells; 0 in padding."""
    neighbour_distance: NDArray[np.float32]
    """``[n_nodes, K]`` distance, Angstrom; 0 in padding."""
    standard_rotation: NDArray[np.float32] | None
    """``[3, 3]`` from the frame of ``lattice`` to the standard frame, see ``shc.featurize.standard_frame``; None where
    it was not asked for."""
    symmetry_prompt: NDArray[np.float32]
    """``[P]`` standardised symmetry representation, see ``shc.featurize.prompt``."""
    descriptors: NDArray[np.float32]
    """``[D]`` composition and structure descriptors, see ``shc.featurize.descriptors``."""
    content_hash: str
    """SHA-256 of the input file, hex."""
    bands: bytes = b""
    """Electronic record, see ``shc.featurize.electronic.codec``; empty if there is none."""
    pictures: bytes = b""
    """Normalised pictures of bands, see ``shc.featurize.band_image.codec``; empty if there are none."""
