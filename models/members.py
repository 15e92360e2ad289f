"""The members of an ensemble as one module: dense batches in, mean distributions out."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from shc.models.bands_data import BandsBatch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shc.models.data import CrystalBatch
    from shc.models.network import SHCTransformer


class Said(NamedTuple):
    """What an ensemble says about B crystals, before calibration."""

    probability: Tensor
    """``[B, n_values]`` mean of the members' distributions over the bins of ``ValueGrid``."""
    p_finite: Tensor
    """``[B]`` mean of the members' probabilities of a finite SHC."""
    embedding: Tensor
    """``[B, d]`` embedding of the structure by the first member."""
    tensor: Tensor
    """``[B, n_tensor]`` mean of the members' tensors, see ``shc.models.tensor``."""


class Members(nn.Module):
    """All members side by side. What compilers see: plain tensors in, plain tensors out.

    Args:
        members: In evaluation mode; used, not copied.
    """

    def __init__(self, members: Sequence[SHCTransformer]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(
        self,
        atoms: Tensor,
        weight: Tensor,
        neighbours: Tensor,
        distance: Tensor,
        bond_weight: Tensor,
        descriptors: Tensor,
        prompt: Tensor,
        curves: Tensor | None = None,
        has_curves: Tensor | None = None,
        picture: Tensor | None = None,
        has_picture: Tensor | None = None,
    ) -> Said:
        """Predict; arguments are the fields of ``CrystalBatch``, then those of ``BandsBatch``."""
        bands = None
        if curves is not None and has_curves is not None and picture is not None and has_picture is not None:
            bands = BandsBatch(curves, has_curves, picture, has_picture)
        said = [
            member(atoms, weight, neighbours, distance, bond_weight, descriptors, prompt, bands)
            for member in self.members
        ]
        return Said(
            torch.stack([output.value_logits.float().softmax(dim=1) for output in said]).mean(dim=0),
            torch.stack([output.finite_logit.float().sigmoid() for output in said]).mean(dim=0),
            said[0].embedding.float(),
            torch.stack([output.tensor.float() for output in said]).mean(dim=0),
        )


def arguments(batch: CrystalBatch) -> tuple[Tensor, ...]:
    """A batch as the arguments of ``Members``: 7 tensors, 11 with bands."""
    *structure, bands = batch
    return tuple(tensor for tensor in (*structure, *(bands or ())) if isinstance(tensor, Tensor))
