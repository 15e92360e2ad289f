"""Exchange with torch-geometric: crystals as ``Data`` objects, and the crystal encoder on edge lists.

The networks run on a dense layout. The edge-list form below has the same weights and gives the same node states;
it shows what the dense layout computes and serves programs that build on torch-geometric, which is imported only
where a ``Data`` object is made.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch_geometric.data import Data

    from shc.featurize.store import FeatureBatch
    from shc.models.encoders.crystal import CrystalEncoder, GatedConvolution


def to_pyg(features: FeatureBatch, index: int) -> Data:
    """One crystal as a torch-geometric graph.

    A node is an orbit of symmetry-equivalent atoms of the primitive cell, an edge one of the K nearest neighbours
    of the first atom of the orbit. Edges run i -> j from the node to its neighbour. Messages of the crystal
    encoder flow from j to i: ``flow="target_to_source"`` of ``MessagePassing``.

    Args:
        features: Crystals.
        index: Which of them.

    Returns:
        A ``Data`` object with

        - ``atomic_number`` ``[n_nodes]``, ``node_weight`` ``[n_nodes]`` (share of the crystal's atoms, sums to 1),
        - ``edge_index`` ``[2, n_edges]``, ``edge_length`` ``[n_edges]`` Angstrom,
        - ``edge_atom`` ``[n_edges]`` the neighbouring atom of the cell, ``edge_shift`` ``[n_edges, 3]`` whole
          cells by which that atom is moved, ``edge_vector`` ``[n_edges, 3]`` from i to j, Angstrom,
        - ``lattice`` ``[1, 3, 3]`` Angstrom, ``space_group_number`` ``[1]``, ``symmetry_prompt`` ``[1, P]``,
          ``descriptors`` ``[1, D]``, ``max_neighbours`` K, ``material_id``, ``formula``.

    Raises:
        IndexError: There is no such crystal.
    """
    from torch_geometric.data import Data  # noqa: PLC0415  seconds of import that only exchange needs

    if not 0 <= index < len(features):
        raise IndexError(f"crystal {index} of {len(features)}")
    atoms = slice(features.atom_offsets[index], features.atom_offsets[index + 1])
    nodes = slice(features.node_offsets[index], features.node_offsets[index + 1])
    orbit = features.orbit[atoms].astype(np.int64)
    first = np.searchsorted(orbit, np.arange(nodes.stop - nodes.start))
    neighbour = features.neighbour_atom[nodes]
    centre, slot = np.nonzero(neighbour >= 0)
    edge_atom = neighbour[centre, slot].astype(np.int64)
    shift = features.neighbour_shift[nodes][centre, slot].astype(np.int64)
    frac, lattice = features.frac[atoms], features.lattice[index]
    vector = (frac[edge_atom] + shift - frac[first[centre]]) @ lattice
    return Data(
        atomic_number=torch.from_numpy(features.atomic_number[atoms][first].astype(np.int64)),
        node_weight=torch.from_numpy((np.bincount(orbit) / len(orbit)).astype(np.float32)),
        edge_index=torch.from_numpy(np.stack([centre, orbit[edge_atom]]).astype(np.int64)),
        edge_length=torch.from_numpy(features.neighbour_distance[nodes][centre, slot].astype(np.float32)),
        edge_atom=torch.from_numpy(edge_atom),
        edge_shift=torch.from_numpy(shift),
        edge_vector=torch.from_numpy(vector.astype(np.float32)),
        lattice=torch.from_numpy(lattice[None].astype(np.float32)),
        space_group_number=torch.tensor([int(features.space_group_number[index])]),
        symmetry_prompt=torch.from_numpy(features.symmetry_prompt[index][None].astype(np.float32)),
        descriptors=torch.from_numpy(features.descriptors[index][None].astype(np.float32)),
        max_neighbours=neighbour.shape[1],
        material_id=features.material_id[index],
        formula=features.formula[index],
        num_nodes=len(first),
    )


def node_states(
    encoder: CrystalEncoder,
    atomic_number: Tensor,
    node_weight: Tensor,
    edge_index: Tensor,
    edge_length: Tensor,
    max_neighbours: int,
) -> Tensor:
    """The crystal encoder on an edge list, for one graph or a batch of graphs joined into one.

    Args:
        encoder: The encoder, whose weights are used as they are.
        atomic_number: ``[n_nodes]``.
        node_weight: ``[n_nodes]``.
        edge_index: ``[2, n_edges]``; messages flow from row 1 to row 0.
        edge_length: ``[n_edges]`` Angstrom.
        max_neighbours: K of the features; sums of messages are divided by its root.

    Returns:
        ``[n_nodes, d_model]``, equal to the dense encoder's states of the same nodes.
    """
    receiver, sender = edge_index[0], edge_index[1]
    bond = encoder.bond(edge_length, atomic_number[receiver], atomic_number[sender])
    nodes: Tensor = encoder.atom(atomic_number) + encoder.weight(node_weight[:, None])
    layers = cast("Iterable[GatedConvolution]", encoder.layers)
    for layer in layers:
        normed = layer.before(nodes)
        message = layer.message(layer.receiver(normed)[receiver], layer.sender(normed)[sender], bond)
        total = torch.zeros_like(nodes).index_add(0, receiver, message)
        nodes = layer.update(nodes, total / math.sqrt(max_neighbours))
    return nodes
