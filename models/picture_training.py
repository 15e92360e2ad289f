"""Training of the picture encoder: it learns to read the electronic structure off a picture of the bands.

No label is needed: what it reads are the numbers of the built-in electronic structure of the same crystal. It is
trained before the members of the ensemble, which take its tokens as they are.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from shc.models.checkpoint import group, load_tensors, optimiser_tensors, restore_optimiser, save_tensors
from shc.models.device import mixed_precision
from shc.models.encoders.picture import UNKNOWN, PictureEncoder
from shc.models.pictures import ROW_EV, ink, read_usable, usable_counts

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from shc.featurize.store import FeatureFile
    from shc.models.auxiliary import AuxiliaryTargets
    from shc.models.config import PictureConfig

FLIPPED = 0.5
"""Share of the pictures whose path is walked backwards."""
FADED = 0.3
"""Share whose ink is made thinner or thicker."""
CUT = 0.4
"""Share whose energies are cut to a smaller window."""
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


def augmented(picture: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """A picture as another figure might show it: path backwards, other strokes, a smaller window of energies.

    Args:
        picture: ``[224, 224]``, see ``ink``.
        rng: Source of randomness.
    """
    if rng.random() < FLIPPED:
        picture = picture[:, ::-1]
    if rng.random() < FADED:
        picture = np.where(picture > 0.0, np.abs(picture) ** np.float32(rng.uniform(0.6, 1.6)), picture)
    if rng.random() < CUT:
        low, high = rng.uniform(0.9, 3.4, 2)
        outside = (high < ROW_EV) | (-low > ROW_EV)
        picture = np.where(outside[:, None], np.float32(UNKNOWN), picture)
    return picture


class PictureTraining:
    """State of the training of the encoder.

    Args:
        file: Feature file with pictures.
        file_rows: ``[n]`` rows of it.
        learned: Indices into ``file_rows`` of the crystals to learn from; those without a picture are passed over.
        targets: What to read, of all ``file_rows``.
        config: Sizes and settings.
        seed: Seed of every random choice.
        device: Where to train.
    """

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
        self.file, self.file_rows, self.config, self.device = file, file_rows, config, device
        n_pictures = usable_counts(file, file_rows)
        known = targets.known.numpy()
        self.learned = learned[(n_pictures[learned] > 0) & known[learned]]
        self.targets = targets.to(device)
        torch.manual_seed(seed)
        self.rng = np.random.default_rng([seed, 1])
        self.encoder = PictureEncoder(config)
        reading = PictureReading(self.encoder.token_shape, targets.values.shape[1])
        self.trained = nn.ModuleDict({"encoder": self.encoder, "reading": reading}).to(device)
        self.optimiser = torch.optim.AdamW(
            self.trained.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        self.epoch = 0
        self.losses: list[float] = []

    def finished(self) -> bool:
        """Whether the schedule has ended."""
        return self.epoch >= self.config.epochs

    def run_epoch(self) -> float:
        """One picture of each crystal; returns the mean loss."""
        self.trained.train()
        order = self.rng.permutation(self.learned)
        batches = np.array_split(order, max(1, round(len(order) / self.config.batch_size))) if len(order) else []
        total = 0.0
        for number, rows in enumerate(batches):
            part = (self.epoch + number / len(batches)) / self.config.epochs
            total += self._step(rows, part) * len(rows)
        self.epoch += 1
        self.losses.append(total / max(len(order), 1))
        return self.losses[-1]

    def _step(self, rows: NDArray[np.int64], part: float) -> float:
        rise = min(1.0, (part + 1e-3) / 0.1)
        for settings in self.optimiser.param_groups:
            settings["lr"] = self.config.learning_rate * rise * (0.5 * (1.0 + math.cos(math.pi * part)) + 1e-4)
        found = list(read_usable(self.file, self.file_rows[rows]))
        images = [augmented(ink(pictures[self.rng.integers(len(pictures))]), self.rng) for pictures in found]
        batch = torch.from_numpy(np.stack(images))[:, None].to(self.device, memory_format=torch.channels_last)
        with mixed_precision(self.device):
            tokens = self.encoder(batch)
        loss = self.targets.loss(self.trained["reading"](tokens.float()), torch.from_numpy(rows).to(self.device))
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.trained.parameters(), 1.0)
        self.optimiser.step()
        return loss.item()

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


def train_picture_encoder(
    training: PictureTraining, checkpoint: Path, on_epoch: Callable[[int, float], None]
) -> PictureEncoder:
    """Train until finished, saving after every epoch; starts from the checkpoint where there is one.

    Args:
        training: Its state.
        checkpoint: File to write or to continue.
        on_epoch: Called with the number of the epoch and its mean loss, when its checkpoint is on disk; may raise to
            stop.

    Returns:
        The encoder in evaluation mode.
    """
    if checkpoint.is_file():
        training.resume(checkpoint)
    while not training.finished():
        loss = training.run_epoch()
        training.save(checkpoint)
        on_epoch(training.epoch, loss)
    return training.encoder.eval().requires_grad_(requires_grad=False)
