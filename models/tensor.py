"""The spin Hall tensor of the built-in electronic structure as a network says it.

A network sees nothing that turns with the crystal, so it speaks of the standard frame, see
``shc.featurize.standard_frame``. There a tensor is projected on what the space group allows, and then turned to the
frame of the cell as read. Tensors are compressed on the way, ``t / sqrt(|t|)``, which keeps their direction and their
symmetry.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from torch import Tensor, nn

from shc.featurize.tensor_symmetry import standard_projector

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from shc.featurize.electronic.record import ElectronicRecord

N_COMPONENTS: Final = 27
COMPONENT_NAMES: Final = tuple(f"{i}{j}{k}" for i in "xyz" for j in "xyz" for k in "xyz")
"""Current, field and spin of the components in their order."""
SCALE: Final = 10.0
"""What a network says is multiplied by this to give a compressed tensor, ((hbar/e) S/cm)^(1/2)."""
_LEAST: Final = 1e-6


def turned(tensor: NDArray[np.float64], rotation: NDArray[np.floating]) -> NDArray[np.float64]:
    """Tensors in another frame.

    Args:
        tensor: ``[n, 3, 3, 3]``.
        rotation: ``[n, 3, 3]``, from the old frame to the new one.
    """
    result: NDArray[np.float64] = np.einsum(
        "nia,njb,nkc,nabc->nijk", rotation, rotation, rotation, tensor, optimize=True
    )
    return result


def tensor_from_output(
    said: NDArray[np.floating], space_group_number: NDArray[np.int64], standard_rotation: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Tensors that the symmetry of each crystal allows, exactly.

    Args:
        said: ``[n, 27]`` from networks.
        space_group_number: ``[n]``.
        standard_rotation: ``[n, 3, 3]`` from the frame as read to the standard frame.

    Returns:
        ``[n, 3, 3, 3]`` in the frame of the cell as read; current, field, spin; (hbar/e) S/cm.
    """
    projector = np.stack([standard_projector(number) for number in space_group_number.tolist()])
    compressed = SCALE * np.einsum("nij,nj->ni", projector, said.astype(np.float64))
    tensor = compressed * np.linalg.norm(compressed, axis=1, keepdims=True)
    return turned(tensor.reshape(-1, 3, 3, 3), standard_rotation.astype(np.float64).transpose(0, 2, 1))


class TensorTargets:
    """What networks shall say of the tensors of all crystals of a training.

    Args:
        records: ``[n]`` electronic structures.
        space_group_number: ``[n]``.
        standard_rotation: ``[n, 3, 3]``.
    """

    def __init__(
        self,
        records: Sequence[ElectronicRecord | None],
        space_group_number: NDArray[np.int64],
        standard_rotation: NDArray[np.floating],
    ) -> None:
        known = np.array([record is not None for record in records], dtype=np.bool_)
        read = np.stack([np.zeros((3, 3, 3)) if r is None else r.shc_tensor.astype(np.float64) for r in records])
        tensor = turned(read, standard_rotation.astype(np.float64)).reshape(-1, N_COMPONENTS)
        size = np.maximum(np.linalg.norm(tensor, axis=1, keepdims=True), _LEAST)
        self.known = torch.from_numpy(known)
        self.values = torch.from_numpy((tensor / np.sqrt(size) / SCALE).astype(np.float32))
        numbers, place = np.unique(space_group_number, return_inverse=True)
        self.projectors = torch.from_numpy(np.stack([standard_projector(n) for n in numbers.tolist()])).float()
        self.place = torch.from_numpy(place)

    def to(self, device: torch.device) -> TensorTargets:
        """Move the targets."""
        self.known, self.values = self.known.to(device), self.values.to(device)
        self.projectors, self.place = self.projectors.to(device), self.place.to(device)
        return self

    def loss(self, said: Tensor, rows: NDArray[np.int64]) -> Tensor:
        """Mean Huber loss of the allowed parts over the crystals that are known; 0 if there is none.

        Args:
            said: ``[B, 27]`` from a network.
            rows: ``[B]`` rows of the targets.
        """
        index = torch.from_numpy(rows).to(self.values.device)
        allowed = torch.matmul(self.projectors[self.place[index]], said[:, :, None])[:, :, 0]
        gap = nn.functional.smooth_l1_loss(allowed, self.values[index], reduction="none").sum(dim=1)
        known = self.known[index].to(gap.dtype)
        loss: Tensor = (gap * known).sum() / known.sum().clamp_min(1.0)
        return loss
