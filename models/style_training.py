"""The picture encoder learns that the style of a figure says nothing of its bands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from shc.featurize.band_image.codec import STANDARD
from shc.models.encoder_training import EncoderTraining, augmented
from shc.models.encoders.picture import PictureEncoder
from shc.models.pictures import ink, read_usable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from shc.featurize.band_image.codec import StoredPicture
    from shc.featurize.store import FeatureFile
    from shc.models.config import PictureConfig


STANDARD_SHARE = 0.35
"""Share of the steps that show the standard picture itself, so that its tokens stay what they are."""


class StyleTraining(EncoderTraining):
    """State of the training that makes pictures of the same bands in different styles alike.

    A copy of the encoder learns to say of a picture in any style what the encoder, which stays as it is, says of the
    standard picture, walked the same way and cut to the same window. It needs neither labels nor an electronic
    structure. Source of the idea: Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network",
    arXiv:1503.02531.

    Args:
        file: Feature file with pictures.
        file_rows: ``[n]`` rows of it.
        learned: Indices into ``file_rows`` of the crystals to learn from; those without a standard picture and another
            one of the same bands are passed over.
        teacher: The encoder, in evaluation mode, on ``device``.
        config: Sizes and settings.
        seed: Seed of every random choice.
        device: Where to train.
    """

    loss_is = "mean squared difference of the tokens from those of the standard picture"

    def __init__(
        self,
        file: FeatureFile,
        file_rows: NDArray[np.int64],
        learned: NDArray[np.int64],
        teacher: PictureEncoder,
        config: PictureConfig,
        seed: int,
        device: torch.device,
    ) -> None:
        self.teacher = teacher
        kept = [len(drawn(pictures)) > 1 for pictures in read_usable(file, file_rows[learned])]
        super().__init__(file, file_rows, learned[np.array(kept, np.bool_)], config, config.style_epochs, seed, device)

    def modules(self) -> nn.ModuleDict:
        """The encoder that learns."""
        encoder = PictureEncoder(self.config)
        encoder.load_state_dict(self.teacher.state_dict())
        return nn.ModuleDict({"encoder": encoder})

    def loss(self, _rows: NDArray[np.int64], found: Sequence[Sequence[StoredPicture]]) -> Tensor:
        """Mean squared difference of the tokens of one picture of each crystal from those of its standard picture."""
        pairs = []
        for pictures in found:
            standard, *others = drawn(pictures)
            shown = standard if self.rng.random() < STANDARD_SHARE else self.pick(others)
            pairs.append(augmented(ink(shown), self.rng, ink(standard)))
        with torch.no_grad():
            wanted = self.encode(self.teacher, [standard for _, standard in pairs])
        return nn.functional.mse_loss(self.encode(self.encoder, [other for other, _ in pairs]), wanted)


def drawn(pictures: Sequence[StoredPicture]) -> list[StoredPicture]:
    """Pictures of the computed bands, the standard one first; none where that is missing."""
    found = [picture for picture in pictures if picture.kind != "file"]
    first = [picture for picture in found if picture.source == STANDARD]
    return first + [picture for picture in found if picture.source != STANDARD] if first else []
