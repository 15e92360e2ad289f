"""CGCNN, the crystal graph convolutional network.

Source: Xie and Grossman, PRL 120, 145301 (2018), arXiv:1710.10324; the convolution is ``CGConv`` of torch-geometric.

Departures from the paper:

- A node stands for an orbit of equivalent atoms; the mean over atoms weights it accordingly. The outputs of a given set
  of weights are the same, the batch norms see an orbit once.
- The groups of properties that describe an element hold the atomic radius in place of the atomic volume, which the
  element table lacks.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from torch import Tensor, nn
from torch_geometric.nn import CGConv

from shc.featurize.elements import element_column
from shc.models.baselines.graphs import mean_over_atoms

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from shc.models.baselines.graphs import GraphBatch

_COUNTED: Final = ("period", "group", "valence")
_BINNED: Final = ("electronegativity", "covalent_radius", "atomic_radius", "ionisation_energy", "electron_affinity")
_LOGARITHMIC: Final = ("atomic_radius", "ionisation_energy")
_BLOCKS: Final = ("block_s", "block_p", "block_d", "block_f")
_N_BINS: Final = 10


@dataclass(frozen=True, slots=True)
class CGCNNConfig:
    """Sizes of the network, as in the code published with the paper."""

    width: int = 64
    """Numbers per node."""
    n_convolutions: int = 3
    """Convolutions over the graph."""
    hidden: int = 128
    """Width of the layers after the mean over atoms."""
    n_hidden: int = 1
    """Number of these layers."""
    max_distance: float = 8.0
    """Centre of the last Gaussian of the distance, Angstrom."""
    distance_step: float = 0.2
    """Gap between the centres of the Gaussians, and their width, Angstrom."""


def element_groups() -> NDArray[np.float32]:
    """One-hot groups of the properties of every element, the input of the network.

    Returns:
        ``[104, F]`` by atomic number: the values of period, group, number of valence electrons and block, and ten
        equal bins of each of electronegativity, covalent radius, logarithm of atomic radius, logarithm of ionisation
        energy, and electron affinity; row 0 means nothing.
    """
    groups: list[NDArray[np.float32]] = []
    for name in _COUNTED:
        column = element_column(name)
        groups.append((column[:, None] == np.unique(column[1:])).astype(np.float32))
    for name in _BINNED:
        column = element_column(name)[1:]
        values = np.log(column) if name in _LOGARITHMIC else column
        edges = np.linspace(values.min(), values.max(), _N_BINS + 1)[1:-1]
        groups.append(np.eye(_N_BINS, dtype=np.float32)[np.digitize(np.concatenate([values[:1], values]), edges)])
    groups.append(np.stack([element_column(name) for name in _BLOCKS], axis=1).astype(np.float32))
    return np.concatenate(groups, axis=1)


class NodeEmbedding(nn.Module):
    """Linear map of the one-hot groups of an element."""

    groups: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("groups", torch.from_numpy(element_groups()), persistent=False)
        self.project = nn.Linear(self.groups.shape[1], width)

    def forward(self, z: Tensor) -> Tensor:
        """``[n]`` atomic numbers to ``[n, width]``."""
        embedded: Tensor = self.project(self.groups[z])
        return embedded


class GaussianDistance(nn.Module):
    """Expansion of distances in Gaussians."""

    centre: Tensor

    def __init__(self, highest: float, step: float) -> None:
        super().__init__()
        self.register_buffer("centre", torch.arange(0.0, highest + 0.5 * step, step), persistent=False)
        self.size, self.step = len(self.centre), step

    def forward(self, distance: Tensor) -> Tensor:
        """``[E]`` Angstrom to ``[E, size]``."""
        return torch.exp(-(((distance[:, None] - self.centre) / self.step) ** 2))


class Convolution(nn.Module):
    """One convolution over the graph, eq. 5 of the paper with batch norm, and a softplus."""

    def __init__(self, width: int, n_bond: int) -> None:
        super().__init__()
        self.convolve = CGConv(width, n_bond, batch_norm=True)

    def forward(self, nodes: Tensor, edges: Tensor, bonds: Tensor) -> Tensor:
        """Pass messages.

        Args:
            nodes: ``[n, width]``.
            edges: ``[2, E]`` neighbour and centre.
            bonds: ``[E, n_bond]``.

        Returns:
            ``[n, width]``.
        """
        return nn.functional.softplus(self.convolve(nodes, edges, bonds))


class CGCNN(nn.Module):
    """CGCNN.

    Args:
        config: Sizes.
    """

    def __init__(self, config: CGCNNConfig) -> None:
        super().__init__()
        self.embed = NodeEmbedding(config.width)
        self.distance = GaussianDistance(config.max_distance, config.distance_step)
        self.convolutions = nn.ModuleList(
            Convolution(config.width, self.distance.size) for _ in range(config.n_convolutions)
        )
        widths = [config.width] + [config.hidden] * config.n_hidden
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.out = nn.Linear(widths[-1], 1)

    def forward(self, graph: GraphBatch) -> Tensor:
        """The standardised target, ``[B]``."""
        nodes, bonds = self.embed(graph.z), self.distance(graph.distance)
        edges = torch.stack([graph.neighbour, graph.centre])
        for convolution in self.convolutions:
            nodes = convolution(nodes, edges, bonds)
        crystal = nn.functional.softplus(mean_over_atoms(nodes, graph))
        for layer in self.hidden:
            crystal = nn.functional.softplus(layer(crystal))
        out: Tensor = self.out(crystal)
        return out[:, 0]
