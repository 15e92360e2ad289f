"""Layers of GemNet-T; the paper and the places where we depart from it are named in ``shc.models.baselines.gemnet``."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from shc.models.baselines.bases import SphericalBesselBasis, polynomial_cutoff, zonal_harmonics

if TYPE_CHECKING:
    from shc.models.baselines.gemnet import GemNetConfig
    from shc.models.baselines.gemnet_graphs import GemNetBatch

HALF = 1.0 / math.sqrt(2.0)
"""Factor that keeps the variance of a sum of two."""


class Bases(NamedTuple):
    """What all blocks read of the geometry of E edges and T pairs of edges."""

    gate: Tensor
    """``[E, n_basis]`` radial, for messages in the triplet interaction."""
    node: Tensor
    """``[E, n_basis]`` radial, for sums over the edges of an atom."""
    output: Tensor
    """``[E, n_basis]`` radial, for the output."""
    circular: Tensor
    """``[E, n_basis, n_angular]`` radial part of the circular basis, of the edge that is updated."""
    angular: Tensor
    """``[T, n_angular]`` angular part, times the number of such pairs."""


class Dense(nn.Module):
    """Linear layer, with SiLU / 0.6 after it: the factor brings back the variance of a normal input.

    The weights start orthogonal, then standardised: mean 0 and variance 1 / n_in over the inputs of each output. There
    is a bias only before an activation.
    """

    def __init__(self, n_in: int, n_out: int, *, active: bool = True) -> None:
        super().__init__()
        self.linear = nn.Linear(n_in, n_out, bias=active)
        self.active = active
        with torch.no_grad():
            weight = nn.init.orthogonal_(self.linear.weight)
            weight -= weight.mean(1, keepdim=True)
            weight /= weight.norm(dim=1, keepdim=True)
            if active:
                self.linear.bias.zero_()

    def forward(self, values: Tensor) -> Tensor:
        """``[..., n_in]`` to ``[..., n_out]``."""
        mixed: Tensor = self.linear(values)
        return nn.functional.silu(mixed) / 0.6 if self.active else mixed


class Residual(nn.Module):
    """Two layers and a skip."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(Dense(width, width), Dense(width, width))

    def forward(self, values: Tensor) -> Tensor:
        """``[..., width]``."""
        changed: Tensor = self.layers(values)
        return (values + changed) * HALF


def residuals(width: int, n: int) -> nn.Sequential:
    """A chain of residual layers."""
    return nn.Sequential(*(Residual(width) for _ in range(n)))


class Rescale(nn.Module):
    """Constant factor that gives the result of a product or sum the variance of what went in.

    It is set in the first forward pass in training mode, from that batch, and then stays; it is no parameter.
    """

    factor: Tensor
    fitted: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("factor", torch.ones(()))
        self.register_buffer("fitted", torch.zeros((), dtype=torch.bool))

    @torch.no_grad()
    def fit(self, reference: Tensor, values: Tensor) -> None:
        """Set the factor from one batch."""
        spread = values.var()
        if spread > 0.0:
            self.factor.copy_((reference.var() / spread).sqrt())
            self.fitted.fill_(True)

    def forward(self, values: Tensor, reference: Tensor) -> Tensor:
        """Rescale.

        Args:
            values: Any shape.
            reference: What it was made from, any shape; read in the first pass only.
        """
        if self.training and not self.fitted:
            self.fit(reference, values)
        return values * self.factor


class BasisLayer(nn.Module):
    """Radial and circular bases, projected to few numbers by weights that all blocks share."""

    def __init__(self, config: GemNetConfig) -> None:
        super().__init__()
        self.cutoff, self.envelope = config.cutoff, config.envelope
        self.n_angular = config.n_angular
        self.bessel = SphericalBesselBasis(config.n_angular, config.n_radial, config.cutoff)
        self.gate, self.node, self.output = (Dense(config.n_radial, config.n_basis, active=False) for _ in range(3))
        shape = (config.n_angular, config.n_radial, config.n_basis)
        self.circular = nn.Parameter(torch.randn(shape) / math.sqrt(config.n_radial))

    def forward(self, batch: GemNetBatch) -> tuple[Tensor, Bases]:
        """Evaluate the bases.

        Returns:
            ``[E, n_radial]`` radial basis, and its projections.
        """
        distance = batch.graph.distance
        fade = polynomial_cutoff(distance, self.cutoff, self.envelope)[:, None, None]
        # Without a unit the functions are of the order of 1.
        basis = self.bessel(distance) * fade * self.cutoff**1.5
        radial = basis[:, 0]
        angular = zonal_harmonics(batch.cosine, self.n_angular) * batch.repeats[:, None]
        circular = torch.einsum("eln,lnc->ecl", basis, self.circular)
        return radial, Bases(self.gate(radial), self.node(radial), self.output(radial), circular, angular)


class TripletInteraction(nn.Module):
    """Messages from the other edges at the centre, by distance and angle, handed to the edge and to its reverse."""

    def __init__(self, config: GemNetConfig) -> None:
        super().__init__()
        width, narrow = config.edge_width, config.triplet_width
        self.message = Dense(width, width)
        self.gate = Dense(config.n_basis, width, active=False)
        self.gate_scale = Rescale()
        self.down = Dense(width, narrow)
        self.bilinear = Dense(config.n_basis * narrow, narrow, active=False)
        self.sum_scale = Rescale()
        self.up, self.up_reverse = Dense(narrow, width), Dense(narrow, width)

    def forward(self, edges: Tensor, bases: Bases, batch: GemNetBatch) -> Tensor:
        """``[E, edge_width]`` embeddings to the sum of the messages of each, ``[E, edge_width]``."""
        message = self.message(edges)
        message = self.down(self.gate_scale(message * self.gate(bases.gate), message))
        heard = self.sum_scale(self.bilinear(self.summed(message, bases, batch)), message)
        own, reverse = self.up(heard), self.up_reverse(heard)
        swapped: Tensor = (own + reverse.index_select(0, batch.reverse)) * HALF
        return swapped

    @staticmethod
    def summed(message: Tensor, bases: Bases, batch: GemNetBatch) -> Tensor:
        """Sum messages times circular basis over the pairs of each edge, the angular part first.

        Returns:
            ``[E, n_basis * triplet_width]``.
        """
        n_edges, narrow = message.shape
        n_angular = bases.angular.shape[1]
        parts = bases.angular[:, :, None] * message.index_select(0, batch.source)[:, None, :]
        total = message.new_zeros((n_edges, n_angular * narrow)).index_add(0, batch.target, parts.flatten(1))
        return torch.bmm(bases.circular, total.reshape(n_edges, n_angular, narrow)).flatten(1)


class AtomSum(nn.Module):
    """Sum over the edges of each atom, weighted by the radial basis, and layers on top."""

    def __init__(self, config: GemNetConfig) -> None:
        super().__init__()
        self.gate = Dense(config.n_basis, config.edge_width, active=False)
        self.scale = Rescale()
        self.dense = Dense(config.edge_width, config.atom_width)
        self.layers = residuals(config.atom_width, config.n_atom_residuals)

    def forward(self, edges: Tensor, radial: Tensor, batch: GemNetBatch) -> Tensor:
        """Sum.

        Args:
            edges: ``[E, edge_width]``.
            radial: ``[E, n_basis]``.
            batch: Its edges count with their multiplicity.

        Returns:
            ``[n, atom_width]``.
        """
        parts = edges * self.gate(radial) * batch.multiplicity[:, None]
        total = edges.new_zeros((len(batch.graph.z), edges.shape[1])).index_add(0, batch.graph.centre, parts)
        summed: Tensor = self.layers(self.dense(self.scale(total, edges)))
        return summed


class EdgeEmbedding(nn.Module):
    """One layer on the two atoms and ``n_edge`` numbers of each edge."""

    def __init__(self, atom_width: int, n_edge: int, edge_width: int) -> None:
        super().__init__()
        self.dense = Dense(2 * atom_width + n_edge, edge_width)

    def forward(self, atoms: Tensor, edge: Tensor, batch: GemNetBatch) -> Tensor:
        """``[n, atom_width]`` and ``[E, n_edge]`` to ``[E, edge_width]``."""
        neighbour = atoms.index_select(0, batch.graph.neighbour)
        centre = atoms.index_select(0, batch.graph.centre)
        embedded: Tensor = self.dense(torch.cat([neighbour, centre, edge], dim=1))
        return embedded


class InteractionBlock(nn.Module):
    """Update of the edges by triplets, of the atoms by their edges, and of the edges by their atoms."""

    def __init__(self, config: GemNetConfig) -> None:
        super().__init__()
        width = config.edge_width
        self.skip = Dense(width, width)
        self.triplets = TripletInteraction(config)
        self.before_skip = residuals(width, config.n_before_skip)
        self.after_skip = residuals(width, config.n_after_skip)
        self.atoms = AtomSum(config)
        self.embed = EdgeEmbedding(config.atom_width, width, width)
        self.after_embedding = residuals(width, config.n_after_embedding)

    def forward(self, atoms: Tensor, edges: Tensor, bases: Bases, batch: GemNetBatch) -> tuple[Tensor, Tensor]:
        """``[n, atom_width]`` and ``[E, edge_width]`` to new ones."""
        changed = (self.skip(edges) + self.triplets(edges, bases, batch)) * HALF
        edges = self.after_skip((edges + self.before_skip(changed)) * HALF)
        atoms = (atoms + self.atoms(edges, bases.node, batch)) * HALF
        changed = self.after_embedding(self.embed(atoms, edges, batch))
        return atoms, (edges + changed) * HALF
