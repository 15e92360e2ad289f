"""Flat crystal graphs with bond vectors, as graph networks of the literature read them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol, Self

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from shc.featurize.store import FeatureBatch


class Batch(Protocol):
    """Some crystals, as one network reads them."""

    def to(self, device: torch.device) -> Self:
        """The same batch on another device."""


class Graphs(Protocol):
    """All crystals, ready to be cut into batches."""

    def batch(self, rows: NDArray[np.int64]) -> Batch:
        """The graphs of some crystals."""


class GraphBatch(NamedTuple):
    """B crystals with n nodes and E directed edges in all; a node stands for an orbit of equivalent atoms."""

    z: Tensor
    """``[n]`` atomic numbers."""
    weight: Tensor
    """``[n]`` share of the crystal's atoms that the node stands for; sums to 1 in each crystal."""
    crystal: Tensor
    """``[n]`` crystal of each node, ascending."""
    centre: Tensor
    """``[E]`` node at which the edge is seen, ascending."""
    neighbour: Tensor
    """``[E]`` node of the atom at the other end; several edges may join the same two nodes."""
    vector: Tensor
    """``[E, 3]`` from the representative atom of ``centre`` to that atom, Angstrom."""
    distance: Tensor
    """``[E]`` its length, Angstrom."""
    lattice: Tensor
    """``[B, 3, 3]`` vectors of the primitive cell as rows, Angstrom."""

    @property
    def n_crystals(self) -> int:
        """B."""
        return self.lattice.shape[0]

    def to(self, device: torch.device) -> GraphBatch:
        """The same batch on another device."""
        return GraphBatch(*(tensor.to(device, non_blocking=True) for tensor in self))


def mean_over_atoms(values: Tensor, graph: GraphBatch) -> Tensor:
    """Mean of node values over the atoms of each crystal.

    Args:
        values: ``[n, F]``.
        graph: The batch.

    Returns:
        ``[B, F]``.
    """
    out = values.new_zeros((graph.n_crystals, values.shape[1]))
    return out.index_add(0, graph.crystal, values * graph.weight[:, None])


class GraphArrays:
    """The graphs of all crystals of a ``FeatureBatch``, ready to be cut into batches.

    Atoms that symmetry relates have equal states in a network that does not know the orientation, so one of each
    orbit is enough. What symmetry does to the vectors at other atoms is not known here: only sums over the edges of
    one ``centre`` may combine them.

    Args:
        features: The crystals.
        max_neighbours: Edges per node, the shortest; all that are stored if None.
        cutoff: Longest edge, Angstrom.
    """

    def __init__(self, features: FeatureBatch, max_neighbours: int | None = None, cutoff: float = 8.0) -> None:
        atom_offsets, node_offsets = features.atom_offsets, features.node_offsets
        n_atoms, self.n_nodes = np.diff(atom_offsets), np.diff(node_offsets)
        self.node_offsets = node_offsets
        self.lattice = features.lattice.astype(np.float32)
        node = features.orbit.astype(np.int64) + np.repeat(node_offsets[:-1], n_atoms)
        first = np.searchsorted(node, np.arange(node_offsets[-1]))
        self.z = features.atomic_number[first].astype(np.int64)
        counts = np.bincount(node, minlength=len(first))
        self.weight = (counts / np.repeat(n_atoms, self.n_nodes)).astype(np.float32)
        neighbour = features.neighbour_atom[:, :max_neighbours].astype(np.int64)
        distance = features.neighbour_distance[:, :max_neighbours]
        self.real = (neighbour >= 0) & (distance <= cutoff)
        crystal = np.repeat(np.arange(len(n_atoms)), self.n_nodes)
        absolute = np.where(neighbour >= 0, neighbour, 0) + atom_offsets[crystal][:, None]
        self.neighbour = node[absolute] - node_offsets[crystal][:, None]
        moved = features.frac[absolute] + features.neighbour_shift[:, :max_neighbours] - features.frac[first][:, None]
        self.vector = np.einsum("nki,nij->nkj", moved, features.lattice[crystal]).astype(np.float32)
        self.distance = distance.astype(np.float32)

    def __len__(self) -> int:
        """Number of crystals."""
        return len(self.n_nodes)

    def batch(self, rows: NDArray[np.int64]) -> GraphBatch:
        """The graphs of some crystals.

        Args:
            rows: ``[B]`` indices of crystals.
        """
        counts = self.n_nodes[rows]
        first = np.cumsum(counts) - counts
        crystal = np.repeat(np.arange(len(rows)), counts)
        nodes = np.arange(counts.sum()) + (self.node_offsets[rows] - first)[crystal]
        centre, slot = np.nonzero(self.real[nodes])
        source = nodes[centre]
        return GraphBatch(
            z=torch.from_numpy(self.z[nodes]),
            weight=torch.from_numpy(self.weight[nodes]),
            crystal=torch.from_numpy(crystal),
            centre=torch.from_numpy(centre),
            neighbour=torch.from_numpy(self.neighbour[source, slot] + first[crystal[centre]]),
            vector=torch.from_numpy(self.vector[source, slot]),
            distance=torch.from_numpy(self.distance[source, slot]),
            lattice=torch.from_numpy(self.lattice[rows]),
        )
