"""GemNet-T: messages between directed edges that meet at an atom, by distance and angle.

Source: Gasteiger, Becker and Guennemann, "GemNet: Universal Directional Graph Neural Networks for Molecules", NeurIPS
2021, arXiv:2106.08903; written after the paper, without its code.

Departures from the paper:
- The edges of an atom are its 12 nearest neighbours in whole shells, with all reverse edges, not all within a cutoff:
  densities of crystals differ too much for one radius. The envelope ends at a cutoff that few of them reach.
- Atoms, edges and triplets that the network cannot tell apart are computed once and counted
  (``shc.models.baselines.gemnet_folding``); the result is that of the whole graph.
- The output is the mean over atoms, not the sum: spin Hall conductivity is intensive. There are no forces.
- The factors that keep the variance are set in the first forward pass of the training, from that batch, each after
  those before it; the paper fits them before training.
- Layers with an activation have a bias; the equations of the paper have none.
- The radial functions are multiplied by the cutoff to the power 3/2, so that they have no unit.
- Widths and the number of blocks are smaller: crystals with labels are few, and an hour of one processor core is to
  allow hundreds of passes over them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from shc.models.baselines.gemnet_blocks import AtomSum, BasisLayer, Dense, EdgeEmbedding, InteractionBlock
from shc.models.baselines.gemnet_graphs import CUTOFF
from shc.models.baselines.graphs import mean_over_atoms

if TYPE_CHECKING:
    from shc.models.baselines.gemnet_graphs import GemNetBatch

N_ELEMENTS = 119
"""Atomic numbers with 0."""


@dataclass(frozen=True, slots=True)
class GemNetConfig:
    """Sizes of GemNet-T; those of the paper where no other is named."""

    atom_width: int = 64
    """Width of an atom's embedding; 128 in the paper."""
    edge_width: int = 64
    """Width of an edge's embedding; 128 in the paper."""
    triplet_width: int = 32
    """Width of the messages between edges; 64 in the paper."""
    n_basis: int = 16
    """Numbers to which each basis is projected, by weights that the blocks share."""
    n_blocks: int = 3
    """Interaction blocks; 4 in the paper."""
    n_radial: int = 6
    """Radial functions."""
    n_angular: int = 7
    """Circular functions: degrees from 0."""
    n_before_skip: int = 1
    """Residual layers of an edge before the skip."""
    n_after_skip: int = 2
    """Residual layers of an edge after the skip."""
    n_after_embedding: int = 1
    """Residual layers of an edge after it has seen its new atoms."""
    n_atom_residuals: int = 3
    """Residual layers of an atom in each sum over its edges."""
    cutoff: float = CUTOFF
    """End of the envelope, Angstrom; 5 in the paper."""
    envelope: int = 5
    """Lowest power of the distance in the polynomial envelope."""


class GemNet(nn.Module):
    """Folded crystal graphs to one number each.

    Args:
        config: Sizes.
    """

    def __init__(self, config: GemNetConfig) -> None:
        super().__init__()
        self.bases = BasisLayer(config)
        self.elements = nn.Embedding(N_ELEMENTS, config.atom_width)
        self.embed = EdgeEmbedding(config.atom_width, config.n_radial, config.edge_width)
        self.blocks = nn.ModuleList(InteractionBlock(config) for _ in range(config.n_blocks))
        self.sums = nn.ModuleList(AtomSum(config) for _ in range(config.n_blocks + 1))
        self.outputs = nn.ModuleList(Dense(config.atom_width, 1, active=False) for _ in range(config.n_blocks + 1))

    def forward(self, batch: GemNetBatch) -> Tensor:
        """Predict the standardised target.

        Args:
            batch: B crystals, see ``shc.models.baselines.gemnet_graphs.GemNetGraphs``.

        Returns:
            ``[B]``.
        """
        radial, bases = self.bases(batch)
        atoms = self.elements(batch.graph.z)
        edges = self.embed(atoms, radial, batch)
        values = [self.outputs[0](self.sums[0](edges, bases.output, batch))]
        for block, total, output in zip(self.blocks, self.sums[1:], self.outputs[1:], strict=True):
            atoms, edges = block(atoms, edges, bases, batch)
            values.append(output(total(edges, bases.output, batch)))
        return mean_over_atoms(torch.cat(values, dim=1).sum(1, keepdim=True), batch.graph)[:, 0]
