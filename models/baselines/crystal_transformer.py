"""iComFormer: a crystal transformer that sees distances and the angles between bonds and the lattice.

Source: Yan, Fu, Qian, Qian, Ji, "Complete and Efficient Graph Transformers for Crystal Material Property Prediction",
ICLR 2024, arXiv:2403.11857.

An edge knows its length and its angles with the three shortest independent lattice vectors. These are the same for
all atoms of a crystal, while a symmetry operation turns the edges of one atom into those of another: even inversion
changes the sign of each cosine. Equivalent atoms therefore have different states, and to merge them would not be
exact. The network is meant for ``AtomGraphs``, which have a node per atom; a graph with merged atoms would show it
the angles of one representative. Where lattice vectors are equally long or at right angles the choice among them
follows the given primitive cell, in the paper as here.

Departures from the paper:

- Width and neighbours fit a training of an hour on one processor core; the paper has 256 and about 25.
- Atoms enter by the element table of this project, not by the vectors of CGCNN.
- Distances enter as Gaussians of ``-0.75 / d`` with centres from -1 to 0, as dense as the 256 of the paper from -4
  to 0: shorter distances than 0.75 Angstrom do not occur. Cosines have fewer centres.
- Linear maps that follow one another without a nonlinearity are one map. The factor ``1 / sqrt(width)`` before a
  batch norm has no effect and is left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from shc.models.baselines.graphs import GraphBatch, mean_over_atoms
from shc.models.encoders.crystal import AtomEmbedding

_INVERSE_SCALE = 0.75


@dataclass(frozen=True, slots=True)
class CrystalTransformerConfig:
    """Sizes of a ``CrystalTransformer``."""

    width: int = 96
    """Length of node and edge states; 256 in the paper, which trains on a graphics processor."""
    n_layers: int = 4
    """Node-wise layers, as in the paper; the edge-wise layer follows the first of them."""
    n_distance: int = 64
    """Gaussians of the inverse distance."""
    n_angle: int = 32
    """Gaussians of the cosine of an angle; they cost time in proportion."""


class Gaussians(nn.Module):
    """Gaussians on a grid, as wide as its spacing."""

    centre: Tensor

    def __init__(self, low: float, high: float, n: int) -> None:
        super().__init__()
        self.register_buffer("centre", torch.linspace(low, high, n))
        self.spacing = (high - low) / (n - 1)

    def forward(self, values: Tensor) -> Tensor:
        """``[...]`` to ``[..., n]``."""
        return torch.exp(-(((values[..., None] - self.centre) / self.spacing) ** 2))


class GatedMessage(nn.Module):
    """``sigmoid(BN(query * key)) * value``; key and value come from one hidden layer each."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.norm = nn.BatchNorm1d(width)

    def forward(self, query: Tensor, hidden: Tensor) -> Tensor:
        """Attend channel by channel.

        Args:
            query: ``[E, width]``.
            hidden: ``[E, 2 * width]`` sums of the projected parts of key and value, before the nonlinearity.

        Returns:
            ``[E, width]``.
        """
        key, value = nn.functional.silu(hidden).chunk(2, dim=-1)
        message: Tensor = torch.sigmoid(self.norm(query * self.key(key))) * self.value(value)
        return message


class NodeLayer(nn.Module):
    """Node-wise transformer layer: an atom attends to its edges; both atoms and the edge make keys and values."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.receiver = nn.Linear(width, 3 * width)
        self.sender = nn.Linear(width, 2 * width, bias=False)
        self.edge = nn.Linear(width, 2 * width, bias=False)
        self.message = GatedMessage(width)
        self.norm = nn.BatchNorm1d(width)

    def forward(self, nodes: Tensor, edges: Tensor, graph: GraphBatch) -> Tensor:
        """``[n, width]`` states of nodes, updated with ``[E, width]`` states of edges."""
        receiver = self.receiver(nodes).index_select(0, graph.centre)
        sender = self.sender(nodes).index_select(0, graph.neighbour)
        hidden = receiver[:, self.width :] + sender + self.edge(edges)
        message = self.message(receiver[:, : self.width], hidden)
        total = torch.zeros_like(nodes).index_add(0, graph.centre, message)
        return nn.functional.softplus(nodes + self.norm(total))


class EdgeLayer(nn.Module):
    """Edge-wise transformer layer: an edge attends to the three lattice vectors.

    Each vector has maps of its own: the order of the vectors tells a crystal from its mirror image.
    """

    def __init__(self, width: int, n_angle: int) -> None:
        super().__init__()
        self.width = width
        self.receiver = nn.Linear(width, 3 * width)
        self.lattice = nn.ModuleList(nn.Linear(width, 2 * width, bias=False) for _ in range(3))
        self.angle = nn.ModuleList(nn.Linear(n_angle, 2 * width, bias=False) for _ in range(3))
        self.message = GatedMessage(width)
        self.norm = nn.BatchNorm1d(width)

    def forward(self, edges: Tensor, lattice: Tensor, angle: Tensor, crystal: Tensor) -> Tensor:
        """Update edges.

        Args:
            edges: ``[E, width]`` states.
            lattice: ``[B, 3, width]`` states of the edges from an atom to its images along the lattice vectors.
            angle: ``[E, 3, n_angle]`` embedded angles with the lattice vectors.
            crystal: ``[E]`` crystal of each edge.

        Returns:
            ``[E, width]``.
        """
        query, own = self.receiver(edges).split([self.width, 2 * self.width], dim=-1)
        hidden = [
            own + of_lattice(lattice[:, m]).index_select(0, crystal) + of_angle(angle[:, m])
            for m, (of_lattice, of_angle) in enumerate(zip(self.lattice, self.angle, strict=True))
        ]
        message = self.message(query.repeat(3, 1), torch.cat(hidden)).reshape(3, *edges.shape)
        return nn.functional.softplus(edges + self.norm(message.sum(0)))


class CrystalTransformer(nn.Module):
    """iComFormer."""

    def __init__(self, config: CrystalTransformerConfig) -> None:
        super().__init__()
        self.atom = AtomEmbedding(config.width)
        self.radial = Gaussians(-1.0, 0.0, config.n_distance)
        self.angular = Gaussians(-1.0, 1.0, config.n_angle)
        self.bond = nn.Linear(config.n_distance, config.width)
        self.edge_layer = EdgeLayer(config.width, config.n_angle)
        self.layers = nn.ModuleList(NodeLayer(config.width) for _ in range(config.n_layers))
        self.head = nn.Sequential(nn.Linear(config.width, config.width), nn.SiLU(), nn.Linear(config.width, 1))

    def forward(self, graph: GraphBatch) -> Tensor:
        """Predict the standardised target of each crystal, ``[B]``."""
        nodes: Tensor = self.atom(graph.z)
        edges = self._embed(graph.distance)
        for number, layer in enumerate(self.layers):
            nodes = layer(nodes, edges, graph)
            if number == 0:
                edges = self._with_lattice(edges, graph)
        prediction: Tensor = self.head(mean_over_atoms(nodes, graph)).squeeze(-1)
        return prediction

    def _embed(self, distance: Tensor) -> Tensor:
        """``[...]`` lengths to ``[..., width]``."""
        return nn.functional.softplus(self.bond(self.radial(-_INVERSE_SCALE / distance)))

    def _with_lattice(self, edges: Tensor, graph: GraphBatch) -> Tensor:
        """Edges that know their angles with the lattice vectors."""
        crystal = graph.crystal.index_select(0, graph.centre)
        length = torch.linalg.vector_norm(graph.lattice, dim=-1)
        direction = (graph.lattice / length[..., None]).index_select(0, crystal)
        cosine = torch.einsum("emx,ex->em", direction, graph.vector / graph.distance[:, None])
        updated: Tensor = self.edge_layer(edges, self._embed(length), self.angular(cosine), crystal)
        return updated
