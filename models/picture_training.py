"""The picture encoder learns to read the electronic structure off a picture of the bands.

No label is needed: what it reads are the numbers of the built-in electronic structure of the same crystal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from shc.models.encoder_training import EncoderTraining, augmented
from shc.models.encoders.picture import PictureEncoder
from shc.models.pictures import ink, usable_counts

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from shc.featurize.band_image.codec import StoredPicture
    from shc.featurize.store import FeatureFile
    from shc.models.auxiliary import AuxiliaryTargets
    from shc.models.config import PictureConfig

READING_WIDTH = 256


class PictureReading(nn.Module):
    """From tokens to the numbers of the electronic structure; needed in training only and never shipped."""

    def __init__(self, token_shape: tuple[int, int], n_targets: int) -> None:
        super().__init__()
        n_tokens, width = token_shape
        self.read = nn.Sequential(
            nn.Flatten(),
            nn.Dropout(0.2),
            nn.Linear(n_tokens * width, READING_WIDTH),
            nn.SiLU(),
            nn.Dropout(0.2),
            nn.Linear(READING_WIDTH, n_targets),
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """``[B, T, width]`` to ``[B, n_targets]``."""
        read: Tensor = self.read(tokens)
        return read


class PictureTraining(EncoderTraining):
    """State of the training that reads the electronic structure off pictures.

    Args:
        file: Feature file with pictures.
        file_rows: ``[n]`` rows of it.
        learned: Indices into ``file_rows`` of the crystals to learn from; those without a picture are passed over.
        targets: What to read, of all ``file_rows``.
        config: Sizes and settings.
        seed: Seed of every random choice.
        device: Where to train.
    """

    loss_is = "mean Huber loss a crystal"

    def __init__(
        self,
        file: FeatureFile,
        file_rows: NDArray[np.int64],
        learned: NDArray[np.int64],
        targets: AuxiliaryTargets,
        config: PictureConfig,
        seed: int,
        device: torch.device,
    ) -> None:
        known = targets.known.numpy()
        self.targets = targets.to(device)
        learned = learned[(usable_counts(file, file_rows)[learned] > 0) & known[learned]]
        super().__init__(file, file_rows, learned, config, config.epochs, seed, device)

    def modules(self) -> nn.ModuleDict:
        """The encoder, and what reads its tokens."""
        encoder = PictureEncoder(self.config)
        reading = PictureReading(encoder.token_shape, self.targets.values.shape[1])
        return nn.ModuleDict({"encoder": encoder, "reading": reading})

    def loss(self, rows: NDArray[np.int64], found: Sequence[Sequence[StoredPicture]]) -> Tensor:
        """Mean error of the numbers read off one picture of each crystal."""
        images = [augmented(ink(self.pick(pictures)), self.rng)[0] for pictures in found]
        read = self.trained["reading"](self.encode(self.encoder, images))
        return self.targets.loss(read, torch.from_numpy(rows).to(self.device))
