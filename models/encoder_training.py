"""Training of the picture encoder, whatever it learns; before the members of the ensemble, which take its tokens."""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from shc.models.checkpoint import group, load_tensors, optimiser_tensors, restore_optimiser, save_tensors
from shc.models.device import mixed_precision
from shc.models.encoders.picture import UNKNOWN, PictureEncoder
from shc.models.pictures import ROW_EV, read_usable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from shc.featurize.band_image.codec import StoredPicture
    from shc.featurize.store import FeatureFile
    from shc.models.config import PictureConfig

FLIPPED = 0.5
"""Share of the pictures whose path is walked backwards."""
FADED = 0.3
"""Share whose ink is made thinner or thicker."""
CUT = 0.4
"""Share whose energies are cut to a smaller window."""


def augmented(
    picture: NDArray[np.float32], rng: np.random.Generator, model: NDArray[np.float32] | None = None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A picture as another figure might show it: path backwards, other strokes, a smaller window of energies.

    Args:
        picture: ``[224, 224]``, see ``ink``.
        rng: Source of randomness.
        model: ``[224, 224]`` another picture of the same bands; the first one itself if None.

    Returns:
        The picture, and the other one with the same path and the same window, but its own strokes.
    """
    other = picture if model is None else model
    if rng.random() < FLIPPED:
        picture, other = picture[:, ::-1], other[:, ::-1]
    if rng.random() < FADED:
        picture = np.where(picture > 0.0, np.abs(picture) ** np.float32(rng.uniform(0.6, 1.6)), picture)
    if rng.random() < CUT:
        low, high = rng.uniform(0.9, 3.4, 2)
        outside = (high < ROW_EV) | (-low > ROW_EV)
        picture = np.where(outside[:, None], np.float32(UNKNOWN), picture)
    return picture, np.where(picture < 0.0, picture, other)


class EncoderTraining(ABC):
    """State of a training of the encoder, whatever it learns.

    Args:
        file: Feature file with pictures.
        file_rows: ``[n]`` rows of it.
        learned: Indices into ``file_rows`` of the crystals to learn from.
        config: Sizes and settings.
        epochs: Passes over these crystals.
        seed: Seed of every random choice.
        device: Where to train.
    """

    loss_is: ClassVar[str]
    """What the loss is, for the table of losses."""

    def __init__(
        self,
        file: FeatureFile,
        file_rows: NDArray[np.int64],
        learned: NDArray[np.int64],
        config: PictureConfig,
        epochs: int,
        seed: int,
        device: torch.device,
    ) -> None:
        self.file, self.file_rows, self.learned, self.config, self.device = file, file_rows, learned, config, device
        self.epochs = epochs
        self.rng = np.random.default_rng([seed, 1])
        torch.manual_seed(seed)
        self.trained = self.modules().to(device)
        self.optimiser = torch.optim.AdamW(
            self.trained.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        self.epoch = 0
        self.losses: list[float] = []

    @abstractmethod
    def modules(self) -> nn.ModuleDict:
        """What is trained; the encoder is named ``encoder``."""

    @abstractmethod
    def loss(self, rows: NDArray[np.int64], found: Sequence[Sequence[StoredPicture]]) -> Tensor:
        """Mean loss over some crystals with their usable pictures."""

    @property
    def encoder(self) -> PictureEncoder:
        """The encoder."""
        encoder = self.trained["encoder"]
        assert isinstance(encoder, PictureEncoder)  # noqa: S101  for the type checker
        return encoder

    def finished(self) -> bool:
        """Whether the schedule has ended."""
        return self.epoch >= self.epochs

    def run_epoch(self) -> float:
        """Every crystal once; returns the mean loss."""
        self.trained.train()
        order = self.rng.permutation(self.learned)
        batches = np.array_split(order, max(1, round(len(order) / self.config.batch_size))) if len(order) else []
        total = 0.0
        for number, rows in enumerate(batches):
            part = (self.epoch + number / len(batches)) / self.epochs
            total += self._step(rows, part) * len(rows)
        self.epoch += 1
        self.losses.append(total / max(len(order), 1))
        return self.losses[-1]

    def _step(self, rows: NDArray[np.int64], part: float) -> float:
        rise = min(1.0, (part + 1e-3) / 0.1)
        for settings in self.optimiser.param_groups:
            settings["lr"] = self.config.learning_rate * rise * (0.5 * (1.0 + math.cos(math.pi * part)) + 1e-4)
        loss = self.loss(rows, list(read_usable(self.file, self.file_rows[rows])))
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.trained.parameters(), 1.0)
        self.optimiser.step()
        return loss.item()

    def encode(self, encoder: PictureEncoder, images: Sequence[NDArray[np.float32]]) -> Tensor:
        """Tokens ``[B, T, width]`` of B pictures."""
        batch = torch.from_numpy(np.stack(images))[:, None].to(self.device, memory_format=torch.channels_last)
        with mixed_precision(self.device):
            tokens: Tensor = encoder(batch)
        return tokens.float()

    def pick(self, pictures: Sequence[StoredPicture]) -> StoredPicture:
        """Any of some pictures."""
        return pictures[int(self.rng.integers(len(pictures)))]

    def save(self, path: Path) -> None:
        """Write everything that training needs to go on; the file appears as a whole or not at all."""
        state: dict[str, Any] = {
            "epoch": self.epoch,
            "losses": self.losses,
            "rng_numpy": self.rng.bit_generator.state,
        }
        tensors = {f"trained.{name}": value for name, value in self.trained.state_dict().items()}
        tensors |= optimiser_tensors(self.optimiser) | {"rng.torch": torch.get_rng_state()}
        save_tensors(path, tensors, {"state": json.dumps(state)})

    def resume(self, path: Path) -> None:
        """Continue from what ``save`` wrote."""
        tensors, metadata = load_tensors(path)
        state = json.loads(metadata["state"])
        self.trained.load_state_dict(group("trained.", tensors))
        restore_optimiser(self.optimiser, tensors)
        torch.set_rng_state(tensors["rng.torch"])
        self.rng.bit_generator.state = state["rng_numpy"]
        self.epoch, self.losses = state["epoch"], state["losses"]


def train_encoder(training: EncoderTraining, checkpoint: Path, on_epoch: Callable[[], None]) -> PictureEncoder:
    """Train until finished, saving after every epoch; starts from the checkpoint where there is one.

    Args:
        training: Its state.
        checkpoint: File to write or to continue.
        on_epoch: Called when the checkpoint of an epoch is on disk; may raise to stop.

    Returns:
        The encoder in evaluation mode.
    """
    if checkpoint.is_file():
        training.resume(checkpoint)
    while not training.finished():
        training.run_epoch()
        training.save(checkpoint)
        on_epoch()
    return training.encoder.eval().requires_grad_(requires_grad=False)
