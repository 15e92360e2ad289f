"""Batches for the network: from flat arrays with offsets to the dense layout.

The dense layout pads the nodes of a batch to N: ``atoms [B, N]``, ``neighbours [B, N, K]`` with index 0 as padding.
It needs no scatter, so it exports to every back end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from shc.models.bands_data import BandsArrays, BandsBatch
from shc.models.bonds import merge
from shc.models.modalities import SUBSETS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from shc.featurize.store import FeatureBatch


class CrystalBatch(NamedTuple):
    """B crystals in the dense layout, N nodes at most, K bonds per node at most."""

    atoms: Tensor
    """``[B, N]`` atomic numbers; 0 is padding."""
    weight: Tensor
    """``[B, N]`` share of the crystal's atoms that a node stands for; 0 in padding, sums to 1."""
    neighbours: Tensor
    """``[B, N, K]`` 1 + index of the neighbouring node within its crystal; 0 is padding."""
    distance: Tensor
    """``[B, N, K]`` Angstrom; 0 in padding."""
    bond_weight: Tensor
    """``[B, N, K]`` what a bond counts for in the sum over a node's bonds, see ``Bonds``; 0 in padding."""
    descriptors: Tensor
    """``[B, D]``."""
    prompt: Tensor
    """``[B, P]`` symmetry prompt."""
    bands: BandsBatch | None = None
    """What is known of the bands; None if nothing is."""

    def to(self, device: torch.device) -> CrystalBatch:
        """The same batch on another device."""

        def moved(tensor: Tensor) -> Tensor:
            # From pinned memory the copy goes on while the device computes.
            source = tensor.pin_memory() if device.type == "cuda" and tensor.device.type == "cpu" else tensor
            return source.to(device, non_blocking=True)

        bands = None if self.bands is None else BandsBatch(*map(moved, self.bands))
        return CrystalBatch(
            moved(self.atoms),
            moved(self.weight),
            moved(self.neighbours),
            moved(self.distance),
            moved(self.bond_weight),
            moved(self.descriptors),
            moved(self.prompt),
            bands,
        )


class CrystalArrays:
    """All crystals of a ``FeatureBatch``, ready to be cut into dense batches.

    Args:
        features: The crystals.
        bands: What is known of their bands.
    """

    def __init__(self, features: FeatureBatch, bands: BandsArrays | None = None) -> None:
        self.bands = bands
        self.material_id = features.material_id
        self.formula = features.formula
        self.descriptors = np.ascontiguousarray(features.descriptors, dtype=np.float32)
        self.prompt = np.ascontiguousarray(features.symmetry_prompt, dtype=np.float32)
        self.atomic_number = features.atomic_number.astype(np.int64)
        self.atom_offsets = features.atom_offsets
        self.node_offsets = features.node_offsets
        self.n_nodes = np.diff(self.node_offsets)
        self._set_nodes(features)

    def __len__(self) -> int:
        """Number of crystals."""
        return len(self.material_id)

    def _set_nodes(self, features: FeatureBatch) -> None:
        """Element, weight and neighbouring nodes of every node."""
        n_atoms = np.diff(self.atom_offsets)
        node = features.orbit.astype(np.int64) + np.repeat(self.node_offsets[:-1], n_atoms)
        first = np.searchsorted(node, np.arange(self.node_offsets[-1]))
        self.node_z = self.atomic_number[first]
        count = np.bincount(node, minlength=len(first))
        self.node_weight = (count / np.repeat(n_atoms, self.n_nodes)).astype(np.float32)
        atom = features.neighbour_atom.astype(np.int64)
        absolute = np.where(atom >= 0, atom, 0) + np.repeat(self.atom_offsets[:-1], self.n_nodes)[:, None]
        local = features.orbit[absolute].astype(np.int64) + 1
        self.bonds = merge(np.where(atom >= 0, local, 0), features.neighbour_distance)
        starts = self.node_offsets[:-1]
        self.n_bonds = np.maximum.reduceat(self.bonds.n_bonds, starts) if len(starts) else starts

    def chemical_system(self) -> list[tuple[int, ...]]:
        """The set of elements of every crystal, as sorted atomic numbers."""
        parts = np.split(self.atomic_number, self.atom_offsets[1:-1])
        return [tuple(np.unique(part).tolist()) for part in parts]

    def subsets(self, rows: NDArray[np.int64]) -> list[int]:
        """Places in ``SUBSETS`` of what predictions of some crystals may rest on."""
        if self.bands is None:
            return [0]
        return [subset for subset in range(len(SUBSETS)) if subset == 0 or len(self.showing(rows, subset))]

    def showing(self, rows: NDArray[np.int64], subset: int) -> NDArray[np.int64]:
        """Those of some crystals that have all that a place in ``SUBSETS`` names."""
        if subset == 0 or self.bands is None:
            return rows
        kept: NDArray[np.int64] = rows[self.bands.subset()[rows] & subset == subset]
        return kept

    def batch(self, rows: NDArray[np.int64], subset: int = len(SUBSETS) - 1) -> CrystalBatch:
        """The dense batch of some crystals.

        Args:
            rows: ``[B]`` indices of crystals.
            subset: Place in ``SUBSETS`` of what may be shown.
        """
        return self._dense(rows, None if self.bands is None else self.bands.batch(rows, subset))

    def sample(self, rows: NDArray[np.int64], rng: np.random.Generator) -> CrystalBatch:
        """The dense batch of some crystals with bands as training shows them, see ``BandsArrays.sample``."""
        return self._dense(rows, None if self.bands is None else self.bands.sample(rows, rng))

    def _dense(self, rows: NDArray[np.int64], bands: BandsBatch | None) -> CrystalBatch:
        counts = self.n_nodes[rows]
        width = int(counts.max())
        slot = np.arange(width)
        real = slot[None, :] < counts[:, None]
        source = np.where(real, self.node_offsets[rows][:, None] + slot, 0)
        n_bonds = int(self.n_bonds[rows].max(initial=1))

        def bonds(values: NDArray[Any]) -> Tensor:
            return torch.from_numpy(np.where(real[:, :, None], values[source, :n_bonds], values.dtype.type(0)))

        return CrystalBatch(
            atoms=torch.from_numpy(np.where(real, self.node_z[source], 0)),
            weight=torch.from_numpy(np.where(real, self.node_weight[source], np.float32(0))),
            neighbours=bonds(self.bonds.neighbours),
            distance=bonds(self.bonds.distance),
            bond_weight=bonds(self.bonds.weight),
            descriptors=torch.from_numpy(self.descriptors[rows]),
            prompt=torch.from_numpy(self.prompt[rows]),
            bands=bands,
        )

    def shuffled(
        self, rows: NDArray[np.int64], batch_size: int, rng: np.random.Generator
    ) -> Iterator[NDArray[np.int64]]:
        """Random batches of crystals of similar size, each row once.

        Args:
            rows: Rows to draw from.
            batch_size: Rows per batch.
            rng: Source of randomness.
        """
        order = rng.permutation(rows)
        window = 16 * batch_size
        batches: list[NDArray[np.int64]] = []
        for start in range(0, len(order), window):
            part = order[start : start + window]
            part = part[np.argsort(self.n_nodes[part], kind="stable")]
            batches.extend(part[i : i + batch_size] for i in range(0, len(part), batch_size))
        for index in rng.permutation(len(batches)):
            yield batches[index]

    def by_size(self, rows: NDArray[np.int64], batch_size: int) -> Iterator[NDArray[np.int64]]:
        """Batches of crystals in order of size, for evaluation.

        Args:
            rows: Rows to serve.
            batch_size: Rows per batch.
        """
        order = rows[np.argsort(self.n_nodes[rows], kind="stable")]
        for start in range(0, len(order), batch_size):
            yield order[start : start + batch_size]
