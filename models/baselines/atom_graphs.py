"""Flat crystal graphs with a node per atom, for networks that know directions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from shc.kernels.lattice import reduce_lattice
from shc.kernels.neighbours import TIE_TOLERANCE, k_nearest
from shc.models.baselines.graphs import GraphBatch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from shc.featurize.store import FeatureBatch

_RIGHT_ANGLE = 1e-3


def lattice_representation(lattice: NDArray[np.float64]) -> NDArray[np.float64]:
    """Three shortest independent lattice vectors in a fixed order and with fixed signs.

    They are sorted by length; the second and the third make no obtuse angle with the first; all three are turned
    around if they are left-handed. The result does not depend on the cell that describes the lattice, except where
    two vectors are equally long or make a right angle: there the given cell decides.

    Args:
        lattice: ``[3, 3]`` vectors of a primitive cell as rows, Angstrom.

    Returns:
        ``[3, 3]`` vectors of a primitive cell as rows, Angstrom, right-handed.

    Source: Yan, Fu, Qian, Qian, Ji, ICLR 2024, arXiv:2403.11857, section 3.
    """
    vectors: NDArray[np.float64] = reduce_lattice(np.ascontiguousarray(lattice, dtype=np.float64))
    length = np.linalg.norm(vectors, axis=1)
    cosine = vectors @ vectors[0] / (length * length[0])
    vectors[cosine < -_RIGHT_ANGLE] *= -1.0
    return vectors if np.linalg.det(vectors) > 0.0 else -vectors


class AtomGraphs:
    """The graphs of all crystals of a ``FeatureBatch``, a node per atom, ready to be cut into batches.

    The neighbours are searched anew: a feature file holds those of one atom per orbit. The last shell is taken
    whole, since half a shell points somewhere. ``GraphBatch.lattice`` holds the ``lattice_representation``.

    Args:
        features: The crystals.
        max_neighbours: An atom has edges to its nearest neighbours, this many and those as far as the last of them
            (at most twice as many in all).
        cutoff: Longest edge, Angstrom.
    """

    def __init__(self, features: FeatureBatch, max_neighbours: int = 12, cutoff: float = 8.0) -> None:
        self.n_nodes: NDArray[np.int64] = np.diff(features.atom_offsets)
        self.node_offsets = features.atom_offsets
        self.z = features.atomic_number.astype(np.int64)
        cells = [lattice_representation(cell) for cell in features.lattice]
        self.lattice = np.array(cells, dtype=np.float32).reshape(-1, 3, 3)
        crystal = np.repeat(np.arange(len(self.n_nodes)), self.n_nodes)
        found = k_nearest(features.lattice, features.frac, features.atom_offsets, cutoff, 2 * max_neighbours)
        reach = found.distance[:, max_neighbours - 1 : max_neighbours] + TIE_TOLERANCE
        wanted = (found.atom >= 0) & ((found.distance <= reach) | (found.atom[:, max_neighbours - 1] < 0)[:, None])
        centre, slot = np.nonzero(wanted)
        neighbour = found.atom[centre, slot].astype(np.int64)
        start = self.node_offsets[crystal[centre]]
        moved = features.frac[start + neighbour] + found.shift[centre, slot] - features.frac[centre]
        self.vector = np.einsum("ei,eij->ej", moved, features.lattice[crystal[centre]]).astype(np.float32)
        self.distance = found.distance[centre, slot].astype(np.float32)
        self.centre, self.neighbour = centre - start, neighbour
        self.edge_offsets = np.searchsorted(centre, self.node_offsets)

    def __len__(self) -> int:
        """Number of crystals."""
        return len(self.n_nodes)

    def batch(self, rows: NDArray[np.int64]) -> GraphBatch:
        """The graphs of some crystals.

        Args:
            rows: ``[B]`` indices of crystals.
        """
        nodes, crystal, first = _members(self.node_offsets, rows)
        edges, edge_crystal, _ = _members(self.edge_offsets, rows)
        start = first[edge_crystal]
        return GraphBatch(
            z=torch.from_numpy(self.z[nodes]),
            weight=torch.from_numpy((1.0 / self.n_nodes[rows])[crystal].astype(np.float32)),
            crystal=torch.from_numpy(crystal),
            centre=torch.from_numpy(self.centre[edges] + start),
            neighbour=torch.from_numpy(self.neighbour[edges] + start),
            vector=torch.from_numpy(self.vector[edges]),
            distance=torch.from_numpy(self.distance[edges]),
            lattice=torch.from_numpy(self.lattice[rows]),
        )


def _members(
    offsets: NDArray[np.int64], rows: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Members of some crystals: where they lie, the place of their crystal in ``rows``, and ``[B]`` its first one."""
    counts = np.diff(offsets)[rows]
    first = np.cumsum(counts) - counts
    crystal = np.repeat(np.arange(len(rows)), counts)
    return np.arange(counts.sum()) + (offsets[rows] - first)[crystal], crystal, first
