"""Auxiliary targets: what the built-in electronic structure says of a crystal, learned beside the label.

A network needs no bands to predict; bands of the training crystals teach it more about each crystal than its one label
does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from numpy.typing import NDArray


class AuxiliaryTargets:
    """Targets of all crystals of a training, centred and scaled.

    Args:
        values: ``[n, T]`` rows from ``electronic_numbers``.
        known: ``[n]`` which rows are known; others may hold any finite number.
        learned: Rows that set centre and scale: those that are learned from.
    """

    def __init__(self, values: NDArray[np.float32], known: NDArray[np.bool_], learned: NDArray[np.int64]) -> None:
        sample = values[learned[known[learned]]]
        centre = sample.mean(axis=0) if len(sample) else np.zeros(values.shape[1], dtype=np.float32)
        scale = sample.std(axis=0) + 1e-6 if len(sample) else np.ones(values.shape[1], dtype=np.float32)
        self.known = torch.from_numpy(known)
        self.values = torch.from_numpy(np.where(known[:, None], (values - centre) / scale, 0.0).astype(np.float32))

    def to(self, device: torch.device) -> AuxiliaryTargets:
        """Move the targets."""
        self.known, self.values = self.known.to(device), self.values.to(device)
        return self

    def loss(self, read: Tensor, rows: Tensor) -> Tensor:
        """Mean Huber loss over the crystals that are known; 0 if there is none.

        Args:
            read: ``[B, T]`` what the network says.
            rows: ``[B]`` rows of the targets.
        """
        known = self.known[rows].to(read.dtype)
        gap = nn.functional.smooth_l1_loss(read, self.values[rows], reduction="none")
        loss: Tensor = (gap.mean(dim=1) * known).sum() / known.sum().clamp_min(1.0)
        return loss


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
        """``AuxiliaryTargets.loss`` of a ``[B, width]`` embedding of ``[B]`` rows."""
        index = torch.from_numpy(rows).to(self.targets.values.device)
        return self.targets.loss(self.read(embedding), index)
