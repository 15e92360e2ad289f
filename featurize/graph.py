"""Neighbours of one atom per orbit, for many crystals at once."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from shc.featurize.errors import ShcError
from shc.kernels.neighbours import k_nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from shc.featurize.config import FeaturizeConfig
    from shc.featurize.symmetry import PrimitiveCrystal


class Graph(NamedTuple):
    """The nearest neighbours of each node of one crystal."""

    neighbour_atom: NDArray[np.int32]
    """``[n_nodes, K]`` atom of the primitive cell, nearest first; -1 is padding."""
    neighbour_shift: NDArray[np.int16]
    """``[n_nodes, K, 3]`` lattice translation of the neighbour, in cells; 0 in padding."""
    neighbour_distance: NDArray[np.float32]
    """``[n_nodes, K]`` distance, Angstrom; 0 in padding."""


def build_graphs(crystals: Sequence[PrimitiveCrystal], config: FeaturizeConfig) -> list[Graph]:
    """Find the neighbours of the first atom of every orbit.

    Args:
        crystals: Primitive cells whose atoms are sorted by orbit.
        config: Gives the cutoff and K.

    Returns:
        One graph per crystal, in the same order.

    Raises:
        ShcError: A neighbour lies too many cells away to be stored.
        ValueError: A cell is degenerate.
    """
    if not crystals:
        return []
    sizes = np.array([len(crystal.atomic_number) for crystal in crystals], dtype=np.int64)
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    first = [np.flatnonzero(np.diff(crystal.orbit, prepend=-1.0)) for crystal in crystals]
    node_offsets = np.concatenate([[0], np.cumsum([len(atoms) for atoms in first])])
    nearest = k_nearest(
        np.stack([crystal.lattice for crystal in crystals]),
        np.concatenate([crystal.frac for crystal in crystals]),
        offsets,
        config.cutoff,
        config.max_neighbours,
        centres=np.concatenate([atoms + start for atoms, start in zip(first, offsets[:-1], strict=True)]),
        centre_offsets=node_offsets,
    )
    if nearest.shift.size and np.abs(nearest.shift).max() > np.iinfo(np.int16).max:
        raise ShcError(
            "a neighbour lies more than 32767 cells away: a lattice vector is far too short",
            "check the cell lengths; they are in Angstrom",
        )
    atom = nearest.atom.astype(np.int32)
    shift = nearest.shift.astype(np.int16)
    distance = nearest.distance.astype(np.float32)
    spans = [slice(*span) for span in pairwise(node_offsets.tolist())]
    return [Graph(atom[span], shift[span], distance[span]) for span in spans]
