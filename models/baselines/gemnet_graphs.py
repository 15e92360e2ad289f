"""Batches of folded crystal graphs, for networks that pass messages between edges."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from shc.models.baselines.gemnet_folding import fold, symmetric_edges
from shc.models.baselines.graphs import GraphBatch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from shc.featurize.store import FeatureBatch
    from shc.models.baselines.gemnet_folding import Ints

CUTOFF = 6.5
"""Longest edge, Angstrom."""
_CRYSTALS_AT_ONCE = 500
_ELEMENTS = 128


class GemNetBatch(NamedTuple):
    """B crystals with n classes of atoms, E of directed edges and T of pairs of edges at one centre."""

    graph: GraphBatch
    """Nodes and edges; a node stands for all atoms of its class, the vector is that of one edge of its class."""
    reverse: Tensor
    """``[E]`` the same bond seen from the other end."""
    multiplicity: Tensor
    """``[E]`` equal edges at the centre."""
    target: Tensor
    """``[T]`` edge that is updated, ascending."""
    source: Tensor
    """``[T]`` edge at the same centre that it hears of; its own class where others are equal to it."""
    cosine: Tensor
    """``[T]`` of the angle between the two."""
    repeats: Tensor
    """``[T]`` equal pairs at the edge."""

    @property
    def n_crystals(self) -> int:
        """B."""
        return self.graph.n_crystals

    def to(self, device: torch.device) -> GemNetBatch:
        """The same batch on another device."""
        return GemNetBatch(self.graph.to(device), *(tensor.to(device, non_blocking=True) for tensor in self[1:]))


class _Graphs(NamedTuple):
    """Folded graphs of some crystals; indices are local to each crystal."""

    n_nodes: Ints
    n_edges: Ints
    n_pairs: Ints
    z: Ints
    weight: NDArray[np.float32]
    centre: Ints
    neighbour: Ints
    reverse: Ints
    vector: NDArray[np.float32]
    multiplicity: NDArray[np.float32]
    target: Ints
    source: Ints
    cosine: NDArray[np.float32]
    repeats: NDArray[np.float32]


class GemNetGraphs:
    """The folded graphs of all crystals of a ``FeatureBatch``, ready to be cut into batches.

    The stored neighbours are not used: they are those of one atom per orbit, while the reverse of an edge lies at the
    other atom.

    Args:
        features: The crystals.
        max_neighbours: Nearest neighbours, before shells are completed and reverse edges added.
        cutoff: Longest edge, Angstrom.
    """

    def __init__(self, features: FeatureBatch, max_neighbours: int = 12, cutoff: float = CUTOFF) -> None:
        self.lattice = features.lattice.astype(np.float32)
        starts = range(0, len(features), _CRYSTALS_AT_ONCE)
        parts = [_folded(features, start, start + _CRYSTALS_AT_ONCE, max_neighbours, cutoff) for start in starts]
        self.all = _Graphs(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))
        self.n_nodes = self.all.n_nodes

    def __len__(self) -> int:
        """Number of crystals."""
        return len(self.n_nodes)

    def batch(self, rows: Ints) -> GemNetBatch:
        """The graphs of some crystals.

        Args:
            rows: ``[B]`` indices of crystals.
        """
        graphs = self.all
        nodes, crystal, first_node = _spans(graphs.n_nodes, rows)
        edges, edge_crystal, first_edge = _spans(graphs.n_edges, rows)
        pairs, pair_crystal, _ = _spans(graphs.n_pairs, rows)
        node_shift, edge_shift, pair_shift = (
            first_node[edge_crystal],
            first_edge[edge_crystal],
            first_edge[pair_crystal],
        )
        vector = torch.from_numpy(graphs.vector[edges])
        graph = GraphBatch(
            z=torch.from_numpy(graphs.z[nodes]),
            weight=torch.from_numpy(graphs.weight[nodes]),
            crystal=torch.from_numpy(crystal),
            centre=torch.from_numpy(graphs.centre[edges] + node_shift),
            neighbour=torch.from_numpy(graphs.neighbour[edges] + node_shift),
            vector=vector,
            distance=vector.norm(dim=1),
            lattice=torch.from_numpy(self.lattice[rows]),
        )
        return GemNetBatch(
            graph=graph,
            reverse=torch.from_numpy(graphs.reverse[edges] + edge_shift),
            multiplicity=torch.from_numpy(graphs.multiplicity[edges]),
            target=torch.from_numpy(graphs.target[pairs] + pair_shift),
            source=torch.from_numpy(graphs.source[pairs] + pair_shift),
            cosine=torch.from_numpy(graphs.cosine[pairs]),
            repeats=torch.from_numpy(graphs.repeats[pairs]),
        )


def _spans(counts: Ints, rows: Ints) -> tuple[Ints, Ints, Ints]:
    """Members of the chosen crystals, the place of each member's crystal in the batch, and its first member there."""
    chosen = counts[rows]
    first = np.cumsum(chosen) - chosen
    owner = np.repeat(np.arange(len(rows)), chosen)
    start = (np.cumsum(counts) - counts)[rows]
    return np.arange(len(owner)) + (start - first)[owner], owner, first


def _folded(features: FeatureBatch, start: int, stop: int, max_neighbours: int, cutoff: float) -> _Graphs:
    """Find and fold the graphs of the crystals ``start`` to ``stop`` - 1."""
    bounds = features.atom_offsets[start : stop + 1]
    atoms = slice(bounds[0], bounds[-1])
    n_atoms = np.diff(bounds)
    n_crystals = len(n_atoms)
    crystal = np.repeat(np.arange(n_crystals), n_atoms)
    z = features.atomic_number[atoms].astype(np.int64)
    edges = symmetric_edges(
        features.lattice[start:stop], features.frac[atoms], bounds - bounds[0], max_neighbours, cutoff
    )
    folded = fold(edges, crystal * _ELEMENTS + z)
    of_node = crystal[folded.atom]
    of_edge = of_node[folded.centre]
    of_pair = of_edge[folded.target]
    n_nodes, n_edges = np.bincount(of_node, minlength=n_crystals), np.bincount(of_edge, minlength=n_crystals)
    first_node, first_edge = np.cumsum(n_nodes) - n_nodes, np.cumsum(n_edges) - n_edges
    return _Graphs(
        n_nodes=n_nodes,
        n_edges=n_edges,
        n_pairs=np.bincount(of_pair, minlength=n_crystals),
        z=z[folded.atom],
        weight=(folded.n_atoms / n_atoms[of_node]).astype(np.float32),
        centre=folded.centre - first_node[of_edge],
        neighbour=folded.neighbour - first_node[of_edge],
        reverse=folded.reverse - first_edge[of_edge],
        vector=edges.vector[folded.edge].astype(np.float32),
        multiplicity=folded.multiplicity.astype(np.float32),
        target=folded.target - first_edge[of_pair],
        source=folded.source - first_edge[of_pair],
        cosine=folded.cosine.astype(np.float32),
        repeats=folded.repeats.astype(np.float32),
    )
