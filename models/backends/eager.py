"""The networks as torch runs them, without any compiler: the back end that is always there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from shc.models.encoders.fast_picture import FastEncoder
from shc.models.members import Members, arguments

if TYPE_CHECKING:
    from shc.models.data import CrystalBatch
    from shc.models.ensemble import Ensemble
    from shc.models.members import Said
    from shc.models.pictures import Encode

EAGER = "eager"
"""Its name."""


class Eager:
    """Members in float32; pictures with folded normalisations, channels last, in bfloat16 where that pays.

    Args:
        ensemble: Its networks are moved to the device.
        device: Where they run.
    """

    name = EAGER

    def __init__(self, ensemble: Ensemble, device: torch.device) -> None:
        self.device = device
        self._members = Members(ensemble.to(device).members)
        self.encode: Encode | None = None if ensemble.picture is None else FastEncoder(ensemble.picture, device)

    @torch.inference_mode()
    def say(self, batch: CrystalBatch) -> Said:
        """Predict a batch; on a GPU the call returns before the work is done."""
        said: Said = self._members(*arguments(batch.to(self.device)))
        return said
