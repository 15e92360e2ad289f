"""Real space: gated message passing over the nodes of the crystal graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from shc.featurize.elements import FEATURE_NAMES, element_table

if TYPE_CHECKING:
    from shc.models.config import ModelConfig


class AtomEmbedding(nn.Module):
    """Element table (valence configuration, spin-orbit strength, size, ...), projected.

    There is no free vector per element: it would learn chemical systems by heart and speak worse of new ones.
    """

    table: Tensor

    def __init__(self, d_model: int) -> None:
        super().__init__()
        values = torch.tensor(element_table())
        mean, std = values[1:].mean(0), values[1:].std(0)
        self.register_buffer("table", ((values - mean) / (std + 1e-9)).float())
        self.project = nn.Sequential(nn.Linear(values.shape[1], d_model), nn.SiLU(), nn.Linear(d_model, d_model))

    def forward(self, atoms: Tensor) -> Tensor:
        """``[...]`` atomic numbers to ``[..., d_model]``."""
        embedded: Tensor = self.project(nn.functional.embedding(atoms, self.table))
        return embedded


class BondEmbedding(nn.Module):
    """Gaussians of the distance and of the distance over the sum of covalent radii."""

    centre: Tensor
    relative_centre: Tensor
    radius: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.register_buffer("centre", torch.linspace(1.0, config.max_distance, config.n_distance))
        self.register_buffer("relative_centre", torch.linspace(0.6, 2.6, config.n_distance))
        self.width = (config.max_distance - 1.0) / config.n_distance * 1.4
        self.relative_width = 2.0 / config.n_distance * 1.4
        radius = element_table()[:, FEATURE_NAMES.index("covalent_radius")]
        self.register_buffer("radius", torch.tensor(radius).float())
        self.size = 2 * config.n_distance

    def forward(self, distance: Tensor, z_from: Tensor, z_to: Tensor) -> Tensor:
        """Embed bonds.

        Args:
            distance: ``[...]`` Angstrom.
            z_from: ``[...]`` atomic number of the receiving atom.
            z_to: ``[...]`` atomic number of the neighbour.

        Returns:
            ``[..., size]``.
        """
        radii = nn.functional.embedding(z_from, self.radius[:, None]) + nn.functional.embedding(
            z_to, self.radius[:, None]
        )
        relative = distance[..., None] / (radii + 1e-6)
        return torch.cat(
            [
                torch.exp(-(((distance[..., None] - self.centre) / self.width) ** 2)),
                torch.exp(-(((relative - self.relative_centre) / self.relative_width) ** 2)),
            ],
            dim=-1,
        )


class GatedConvolution(nn.Module):
    """One message-passing layer: ``h_i += W sum_j weight_ij * sigmoid(gate_ij) * silu(value_ij)``.

    Gate and value are linear in ``h_i``, ``h_j`` and the bond, after Xie and Grossman, PRL 120, 145301 (2018), eq. 5,
    with LayerNorm in place of BatchNorm. The node terms are projected before they are gathered.
    """

    def __init__(self, d_model: int, n_bond: int, dropout: float) -> None:
        super().__init__()
        self.before = nn.LayerNorm(d_model)
        self.receiver = nn.Linear(d_model, 2 * d_model)
        self.sender = nn.Linear(d_model, 2 * d_model, bias=False)
        self.bond = nn.Linear(n_bond, 2 * d_model, bias=False)
        self.after = nn.LayerNorm(d_model)
        self.out = nn.Linear(d_model, d_model)
        self.dropout = nn.Dropout(dropout)

    def message(self, receiver: Tensor, sender: Tensor, bond: Tensor) -> Tensor:
        """Gated message from projected ends and the bond embedding, ``[..., d_model]``."""
        gate, value = (receiver + sender + self.bond(bond)).chunk(2, dim=-1)
        gated: Tensor = torch.sigmoid(gate) * nn.functional.silu(value)
        return gated

    def update(self, nodes: Tensor, total: Tensor) -> Tensor:
        """Residual update of ``[..., d_model]`` nodes by their summed messages."""
        updated: Tensor = nodes + self.dropout(self.out(nn.functional.silu(self.after(total))))
        return updated

    def forward(self, nodes: Tensor, index: Tensor, bond_weight: Tensor, bond: Tensor) -> Tensor:
        """Pass messages in the dense layout.

        Args:
            nodes: ``[B, N, d_model]``.
            index: ``[B * N * K]`` flat index of each neighbour, 0 in padding.
            bond_weight: ``[B, N, K, 1]``, 0 in padding.
            bond: ``[B, N, K, n_bond]``.
        """
        n_batch, n_nodes, width = nodes.shape
        normed = self.before(nodes)
        sender = self.sender(normed).reshape(n_batch * n_nodes, 2 * width).index_select(0, index)
        sender = sender.reshape(n_batch, n_nodes, -1, 2 * width)
        message = self.message(self.receiver(normed)[:, :, None], sender, bond) * bond_weight
        return self.update(nodes, message.sum(2))


class CrystalEncoder(nn.Module):
    """Atoms and bonds to node tokens."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.atom = AtomEmbedding(config.d_model)
        self.weight = nn.Linear(1, config.d_model)
        self.bond = BondEmbedding(config)
        self.layers = nn.ModuleList(
            GatedConvolution(config.d_model, self.bond.size, config.dropout) for _ in range(config.n_convolutions)
        )

    def forward(
        self, atoms: Tensor, weight: Tensor, neighbours: Tensor, distance: Tensor, bond_weight: Tensor
    ) -> Tensor:
        """Encode a dense batch.

        Args:
            atoms: ``[B, N]``.
            weight: ``[B, N]``.
            neighbours: ``[B, N, K]``, 0 is padding.
            distance: ``[B, N, K]``.
            bond_weight: ``[B, N, K]``.

        Returns:
            ``[B, N, d_model]`` node tokens; padding holds numbers without meaning.
        """
        n_batch, n_nodes = atoms.shape
        start = torch.arange(n_batch, device=atoms.device)[:, None, None] * n_nodes
        index = ((neighbours - 1).clamp(min=0) + start).reshape(-1)
        z_to = atoms.reshape(-1).index_select(0, index).reshape(neighbours.shape)
        bond = self.bond(distance, atoms[:, :, None].expand_as(neighbours), z_to)
        nodes: Tensor = self.atom(atoms) + self.weight(weight[..., None])
        for layer in self.layers:
            nodes = layer(nodes, index, bond_weight[..., None], bond)
        return nodes
