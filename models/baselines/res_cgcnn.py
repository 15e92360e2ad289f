"""Res-CGCNN, a CGCNN with residual blocks that was made for the spin Hall conductivity.

Source: Zhao et al., Materials Genome Engineering Advances 2, e67 (2024), doi 10.1002/mgea.67, and the sizes of the code
that its authors published.

The network is CGCNN whose convolutions are followed by residual blocks: a convolution, its input added, a softplus.

Departures:

- The layers after the mean over atoms that keep their width are residual as well; in the published code they are not.
- In the published code every convolution reads the embedded atoms and every block reads the last convolution, each
  overwriting the output of the one before, so that only the last of either acts. Here each reads the one before it.
- Those of ``shc.models.baselines.cgcnn``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from shc.models.baselines.cgcnn import Convolution, GaussianDistance, NodeEmbedding
from shc.models.baselines.graphs import mean_over_atoms

if TYPE_CHECKING:
    from shc.models.baselines.graphs import GraphBatch


@dataclass(frozen=True, slots=True)
class ResCGCNNConfig:
    """Sizes of the network, as in the published code."""

    width: int = 64
    """Numbers per node."""
    n_convolutions: int = 2
    """Plain convolutions over the graph."""
    n_blocks: int = 3
    """Residual blocks after them."""
    hidden: int = 128
    """Width of the layers after the mean over atoms."""
    n_hidden: int = 2
    """Number of these layers; all but the first are residual."""
    max_distance: float = 8.0
    """Centre of the last Gaussian of the distance, Angstrom."""
    distance_step: float = 0.2
    """Gap between the centres of the Gaussians, and their width, Angstrom."""


class ResCGCNN(nn.Module):
    """Res-CGCNN.

    Args:
        config: Sizes.
    """

    def __init__(self, config: ResCGCNNConfig) -> None:
        super().__init__()
        self.embed = NodeEmbedding(config.width)
        self.distance = GaussianDistance(config.max_distance, config.distance_step)
        n_bond = self.distance.size
        self.convolutions = nn.ModuleList(Convolution(config.width, n_bond) for _ in range(config.n_convolutions))
        self.blocks = nn.ModuleList(Convolution(config.width, n_bond) for _ in range(config.n_blocks))
        self.widen = nn.Linear(config.width, config.hidden)
        self.hidden = nn.ModuleList(nn.Linear(config.hidden, config.hidden) for _ in range(config.n_hidden - 1))
        self.out = nn.Linear(config.hidden, 1)

    def forward(self, graph: GraphBatch) -> Tensor:
        """The standardised target, ``[B]``."""
        nodes, bonds = self.embed(graph.z), self.distance(graph.distance)
        edges = torch.stack([graph.neighbour, graph.centre])
        for convolution in self.convolutions:
            nodes = convolution(nodes, edges, bonds)
        for block in self.blocks:
            nodes = nn.functional.softplus(nodes + block(nodes, edges, bonds))
        crystal = nn.functional.softplus(mean_over_atoms(nodes, graph))
        crystal = nn.functional.softplus(self.widen(crystal))
        for layer in self.hidden:
            crystal = crystal + nn.functional.softplus(layer(crystal))
        out: Tensor = self.out(crystal)
        return out[:, 0]
