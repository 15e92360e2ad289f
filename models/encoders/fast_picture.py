"""The encoder of pictures made ready for inference."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

import torch

from shc.models.device import mixed_precision
from shc.models.encoders.picture import folded

if TYPE_CHECKING:
    from torch import Tensor

    from shc.models.encoders.picture import PictureEncoder


class FastEncoder:
    """A copy with folded normalisations that runs channels last, and in bfloat16 where the device has units for it.

    Args:
        encoder: In evaluation mode; copied.
        device: Where to encode.
        bfloat16: False for float32 wherever it runs.
    """

    def __init__(self, encoder: PictureEncoder, device: torch.device, *, bfloat16: bool = True) -> None:
        self.token_shape = encoder.token_shape
        self._device, self._bfloat16 = device, bfloat16
        self._encoder = folded(encoder).to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Tensor:
        """``[n, 1, 224, 224]`` pictures on the host to ``[n, T, width]`` tokens on the device."""
        on_device = images.to(self._device, memory_format=torch.channels_last, non_blocking=True)
        with mixed_precision(self._device) if self._bfloat16 else nullcontext():
            tokens: Tensor = self._encoder(on_device)
        return tokens
