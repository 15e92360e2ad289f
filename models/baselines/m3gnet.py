"""M3GNet: bonds that see the angles to the other bonds of their atom.

Source: Chen and Ong, Nat. Comput. Sci. 2, 718 (2022), doi:10.1038/s43588-022-00349-3, arXiv:2202.02450.

Departures from the paper:
    * Bonds are the stored nearest neighbours within the paper's cutoffs, not all atoms within them.
    * No state vector, which the paper leaves optional: no input belongs to the crystal as a whole.
    * The bond update by three bodies has no bias, so a bond without a partner stays as it is.
    * Radial functions are made free of units by the cutoff to the power 1.5, so that they are of order one.
    * Linear maps of joined atom and bond states are applied to each part before they are joined: the same function,
      with one product per atom in place of one per bond.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from shc.models.baselines.bases import (
    SphericalBesselBasis,
    bond_pairs,
    pair_cosines,
    polynomial_cutoff,
    smooth_bessel,
    zonal_harmonics,
)
from shc.models.baselines.graphs import GraphBatch, mean_over_atoms

N_ELEMENTS = 119
"""Atomic numbers 0 to 118."""

ENVELOPE_POWER = 3
"""Power of ``polynomial_cutoff`` that the paper takes."""


@dataclass(frozen=True, slots=True)
class M3GNetConfig:
    """Sizes of the network; the defaults are the paper's."""

    width: int = 64
    """Channels of atoms and of bonds."""
    n_blocks: int = 3
    """Rounds of bond and atom updates."""
    n_radial: int = 3
    """Radial functions, of bonds and for each degree of the three-body basis."""
    n_orders: int = 3
    """Degrees of the spherical harmonics, from 0."""
    cutoff: float = 5.0
    """Longest bond, Angstrom."""
    three_body_cutoff: float = 4.0
    """Longest bond of a pair whose angle is seen, Angstrom."""


class Bonds(NamedTuple):
    """The E bonds of a batch within the cutoff, and the T pairs of its close ones."""

    centre: Tensor
    """``[E]`` node."""
    neighbour: Tensor
    """``[E]`` node."""
    radial: Tensor
    """``[E, n_radial]`` smooth radial functions."""
    close: Tensor
    """``[C]`` those bonds within the three-body cutoff."""
    partner: Tensor
    """``[C]`` their neighbour."""
    envelope: Tensor
    """``[C, 1]`` cutoff function of close bonds."""
    spherical: Tensor
    """``[C, n_orders * n_radial]`` spherical Bessel functions of close bonds times the cutoff function."""
    first: Tensor
    """``[T]`` close bond that is updated."""
    second: Tensor
    """``[T]`` close bond that acts on it."""
    angular: Tensor
    """``[T, n_orders * n_radial]`` spherical harmonics of the angle between them."""


class BondFeatures(nn.Module):
    """Distances and angles as the fixed functions that all blocks share."""

    def __init__(self, config: M3GNetConfig) -> None:
        super().__init__()
        self.config = config
        self.bessel = SphericalBesselBasis(config.n_orders, config.n_radial, config.cutoff)

    def forward(self, graph: GraphBatch) -> Bonds:
        """Evaluate.

        Args:
            graph: The batch.
        """
        config = self.config
        kept = graph.distance < config.cutoff
        centre, neighbour, distance = graph.centre[kept], graph.neighbour[kept], graph.distance[kept]
        close = (distance < config.three_body_cutoff).nonzero().squeeze(1)
        near = distance[close]
        first, second = bond_pairs(centre[close], len(graph.z))
        cosine = pair_cosines(graph.vector[kept][close], near, first, second)
        envelope = polynomial_cutoff(near, config.three_body_cutoff, ENVELOPE_POWER)[:, None]
        unit = config.cutoff**1.5
        return Bonds(
            centre=centre,
            neighbour=neighbour,
            radial=smooth_bessel(distance, config.cutoff, config.n_radial) * unit,
            close=close,
            partner=neighbour[close],
            envelope=envelope,
            spherical=self.bessel(near).flatten(1) * unit * envelope,
            first=first,
            second=second,
            angular=zonal_harmonics(cosine, config.n_orders).repeat_interleave(config.n_radial, dim=1),
        )


class ThreeBody(nn.Module):
    """Update of close bonds by the other close bonds of their atom."""

    def __init__(self, config: M3GNetConfig) -> None:
        super().__init__()
        n_basis = config.n_orders * config.n_radial
        self.atom = nn.Linear(config.width, n_basis)
        self.value = nn.Linear(n_basis, config.width, bias=False)
        self.gate = nn.Linear(n_basis, config.width, bias=False)

    def forward(self, atom: Tensor, bond: Tensor, bonds: Bonds) -> Tensor:
        """Update bonds.

        Args:
            atom: ``[n, width]``.
            bond: ``[E, width]``.
            bonds: Geometry.

        Returns:
            ``[E, width]``.
        """
        partner = self.atom(atom).sigmoid().index_select(0, bonds.partner) * bonds.spherical
        seen = partner.index_select(0, bonds.second) * bonds.angular
        total = torch.zeros_like(partner).index_add(0, bonds.first, seen) * bonds.envelope
        update = nn.functional.silu(self.value(total)) * self.gate(total).sigmoid()
        return bond.index_add(0, bonds.close, update)


class GatedMessage(nn.Module):
    """Two-layer gated network of both atoms and the bond, times a linear map of the radial functions."""

    def __init__(self, config: M3GNetConfig) -> None:
        super().__init__()
        width = config.width
        self.centre = nn.Linear(width, 2 * width)
        self.neighbour = nn.Linear(width, 2 * width, bias=False)
        self.bond = nn.Linear(width, 2 * width, bias=False)
        self.value = nn.Linear(width, width)
        self.gate = nn.Linear(width, width)
        self.radial = nn.Linear(config.n_radial, width, bias=False)

    def forward(self, atom: Tensor, bond: Tensor, bonds: Bonds) -> Tensor:
        """Message along each bond.

        Args:
            atom: ``[n, width]``.
            bond: ``[E, width]``.
            bonds: Geometry.

        Returns:
            ``[E, width]``.
        """
        centre = self.centre(atom).index_select(0, bonds.centre)
        joined = centre + self.neighbour(atom).index_select(0, bonds.neighbour) + self.bond(bond)
        value, gate = nn.functional.silu(joined).chunk(2, dim=1)
        out: Tensor = nn.functional.silu(self.value(value)) * self.gate(gate).sigmoid() * self.radial(bonds.radial)
        return out


class M3GNetBlock(nn.Module):
    """Three-body update, then bonds from atoms, then atoms from bonds."""

    def __init__(self, config: M3GNetConfig) -> None:
        super().__init__()
        self.three_body = ThreeBody(config)
        self.to_bond = GatedMessage(config)
        self.to_atom = GatedMessage(config)

    def forward(self, atom: Tensor, bond: Tensor, bonds: Bonds) -> tuple[Tensor, Tensor]:
        """Update atoms ``[n, width]`` and bonds ``[E, width]``."""
        bond = self.three_body(atom, bond, bonds)
        bond = bond + self.to_bond(atom, bond, bonds)
        return atom.index_add(0, bonds.centre, self.to_atom(atom, bond, bonds)), bond


class WeightedReadout(nn.Module):
    """Mean over atoms with learnt weights, then a network: the paper's readout of an intensive quantity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.value = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())
        self.weight = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 1), nn.Sigmoid())
        self.out = nn.Sequential(
            nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 1)
        )

    def forward(self, atom: Tensor, graph: GraphBatch) -> Tensor:
        """One number a crystal.

        Args:
            atom: ``[n, width]``.
            graph: The batch.

        Returns:
            ``[B]``.
        """
        weight = self.weight(atom)
        pooled = mean_over_atoms(weight * self.value(atom), graph) / mean_over_atoms(weight, graph)
        out: Tensor = self.out(pooled)
        return out.squeeze(1)


class M3GNet(nn.Module):
    """The network.

    Args:
        config: Its sizes.
    """

    def __init__(self, config: M3GNetConfig) -> None:
        super().__init__()
        self.features = BondFeatures(config)
        self.atom = nn.Embedding(N_ELEMENTS, config.width)
        self.bond = nn.Linear(config.n_radial, config.width, bias=False)
        self.blocks = nn.ModuleList(M3GNetBlock(config) for _ in range(config.n_blocks))
        self.readout = WeightedReadout(config.width)

    def forward(self, graph: GraphBatch) -> Tensor:
        """Predict.

        Args:
            graph: The batch.

        Returns:
            ``[B]`` standardised target.
        """
        bonds = self.features(graph)
        atom = self.atom(graph.z)
        bond = nn.functional.silu(self.bond(bonds.radial))
        for block in self.blocks:
            atom, bond = block(atom, bond, bonds)
        out: Tensor = self.readout(atom, graph)
        return out
