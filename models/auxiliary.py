"""Auxiliary targets: what the built-in electronic structure says of a crystal, learned beside the label.

The networks read the structure alone and need no bands to predict; bands of the training crystals teach them more
about each crystal than its one label does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from torch import Tensor, nn

from shc.featurize.electronic.record import DOS_GRID, SHC_GRID

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from shc.featurize.electronic.record import ElectronicRecord
    from shc.featurize.store import FeatureFile

_DOS_STEP: Final = 5
_METAL_GAP: Final = 0.05
"""Gap below which a crystal counts as a metal, eV."""
N_TARGETS: Final = len(SHC_GRID) + len(DOS_GRID[::_DOS_STEP]) + 2
"""T: conductivity at each Fermi level, density of states, whether there is a gap, and how wide it is."""


def electronic_targets(record: ElectronicRecord, volume: float) -> NDArray[np.float32]:
    """Numbers of one crystal on scales that suit a squared error.

    Args:
        record: Its electronic structure.
        volume: Of the primitive cell, cubic Angstrom.

    Returns:
        ``[T]``: root of the largest absolute component of the conductivity at every Fermi level of ``SHC_GRID``
        (((hbar/e) S/cm)^(1/2)); cube root of the density of states per volume ((eV Angstrom^3)^(-1/3)) at every fifth
        energy of ``DOS_GRID``; 1 where there is a gap, else 0; root of the gap (eV^(1/2)).
    """
    largest = np.abs(record.shc).reshape(len(SHC_GRID), -1).max(axis=1)
    dos = np.maximum(record.dos[::_DOS_STEP], 0.0) / volume
    gap = (float(record.gap_ev > _METAL_GAP), np.sqrt(record.gap_ev))
    return np.concatenate([np.sqrt(largest), np.cbrt(dos), gap]).astype(np.float32)


class AuxiliaryTargets:
    """Targets of all crystals of a training, centred and scaled.

    Args:
        values: ``[n, T]`` rows from ``electronic_targets``; not finite where a crystal has no record.
        learned: Rows that set centre and scale: those that a member learns from.
    """

    def __init__(self, values: NDArray[np.float32], learned: NDArray[np.int64]) -> None:
        known = np.asarray(np.isfinite(values).all(axis=1))
        sample = values[learned[known[learned]]]
        centre = sample.mean(axis=0) if len(sample) else np.zeros(values.shape[1], dtype=np.float32)
        scale = sample.std(axis=0) + 1e-6 if len(sample) else np.ones(values.shape[1], dtype=np.float32)
        self.known = torch.from_numpy(known)
        self.values = torch.from_numpy(np.where(known[:, None], (values - centre) / scale, 0.0).astype(np.float32))

    @classmethod
    def read(
        cls, file: FeatureFile, file_rows: NDArray[np.int64], learned: NDArray[np.int64]
    ) -> AuxiliaryTargets | None:
        """The targets of some rows of a feature file; None if no crystal there has a record.

        Args:
            file: Feature file.
            file_rows: ``[n]`` rows of it.
            learned: Indices into ``file_rows`` that a member learns from.
        """
        records: Sequence[ElectronicRecord | None] = file.bands(file_rows)
        if all(record is None for record in records):
            return None
        volumes = np.abs(np.linalg.det(file.read(file_rows).lattice)).tolist()
        unknown = np.full(N_TARGETS, np.nan, dtype=np.float32)
        values = [
            unknown if record is None else electronic_targets(record, volume)
            for record, volume in zip(records, volumes, strict=True)
        ]
        return cls(np.stack(values), learned)

    def to(self, device: torch.device) -> AuxiliaryTargets:
        """Move the targets."""
        self.known, self.values = self.known.to(device), self.values.to(device)
        return self


class AuxiliaryLoss(nn.Module):
    """A linear reading of the targets from the embedding; needed in training only and never shipped.

    Args:
        width: Size of the embedding.
        targets: What is to be read.
        dropout: Share of the embedding that is blanked.
    """

    def __init__(self, width: int, targets: AuxiliaryTargets, dropout: float = 0.2) -> None:
        super().__init__()
        self.targets = targets
        self.read = nn.Sequential(nn.Dropout(dropout), nn.Linear(width, targets.values.shape[1]))

    def forward(self, embedding: Tensor, rows: NDArray[np.int64]) -> Tensor:
        """Mean Huber loss over the crystals that have a record; 0 if there is none.

        Args:
            embedding: ``[B, width]``.
            rows: ``[B]`` rows of the targets.
        """
        index = torch.from_numpy(rows).to(self.targets.values.device)
        known = self.targets.known[index].to(embedding.dtype)
        gap = nn.functional.smooth_l1_loss(self.read(embedding), self.targets.values[index], reduction="none")
        loss: Tensor = (gap.mean(dim=1) * known).sum() / known.sum().clamp_min(1.0)
        return loss
