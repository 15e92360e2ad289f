"""Training of one graph network: deterministic, and resumed where it stopped."""

from __future__ import annotations

import json
import math
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from shc.featurize.errors import ShcError
from shc.models.checkpoint import group, load_tensors, optimiser_tensors, restore_optimiser, save_tensors
from shc.models.member import EVALUATION_BATCH, Averaged
from shc.models.metrics import held_out_error
from shc.models.schedule import one_cycle
from shc.models.splits import held_out_parts
from shc.models.training_files import CHECKPOINT
from shc.models.training_workers import one_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from shc.models.baselines.graphs import Graphs
    from shc.models.baselines.settings import BaselineConfig

_LOSSES: Final = {"mse": nn.functional.mse_loss, "l1": nn.functional.l1_loss}


class TargetScale:
    """From SHC to what a network says, and back.

    Args:
        labels: ``[n]`` SHC of the rows to learn from, (hbar/e) S/cm; they set mean, spread and the largest answer.
        target: ``sqrt`` or ``raw``.
    """

    def __init__(self, labels: NDArray[np.float64], target: str) -> None:
        self.root = target == "sqrt"
        values = np.sqrt(labels) if self.root else labels
        self.mean, self.std = float(values.mean()), float(values.std()) + 1e-9
        self.largest = float(values.max())

    def standardised(self, labels: NDArray[np.float64]) -> NDArray[np.float32]:
        """``[n]`` SHC to ``[n]`` targets."""
        values = np.sqrt(labels) if self.root else labels
        return ((values - self.mean) / self.std).astype(np.float32)

    def shc(self, output: NDArray[np.float32]) -> NDArray[np.float64]:
        """``[n]`` outputs of a network to ``[n]`` SHC, (hbar/e) S/cm, from 0 to the largest label learned from.

        A network without bounds may say anything of a crystal unlike all others, and one such answer would spoil RMSE.
        """
        values = np.clip(self.mean + self.std * output.astype(np.float64), 0.0, self.largest)
        return values**2 if self.root else values


@dataclass(frozen=True, slots=True)
class BaselineEpoch:
    """What is noted of an epoch."""

    epoch: int
    train_loss: float
    """Mean loss of the standardised target over the rows learned from."""
    held_out_error: float
    """Mean of MAE and RMSE on the held-out rows with averaged weights, (hbar/e) S/cm; the epoch with the smallest one
    is kept."""
    learning_rate: float
    seconds: float = field(compare=False)
    """Processor time of the epoch, s."""


class GraphTraining:
    """State of the training of one network.

    Args:
        build: Makes the network, from a batch of ``arrays`` to the standardised target ``[B]``; called once, after
            seeding.
        arrays: All crystals.
        labels: ``[n]`` SHC of every crystal, (hbar/e) S/cm; only training rows are looked at.
        train_rows: Rows to learn from and to stop on.
        systems: ``[n]`` chemical system of every crystal, see ``held_out_parts``.
        config: Settings.
        device: Where to train.

    Raises:
        ShcError: The training rows hold fewer than two chemical systems.
    """

    def __init__(
        self,
        build: Callable[[], nn.Module],
        arrays: Graphs,
        labels: NDArray[np.float64],
        train_rows: NDArray[np.int64],
        systems: Sequence[tuple[int, ...]],
        config: BaselineConfig,
        device: torch.device,
    ) -> None:
        self.arrays, self.labels, self.config, self.device = arrays, labels, config, device
        self.held_out_rows = held_out_parts(train_rows, systems, max(2, round(1.0 / config.held_out)), config.seed)[0]
        self.learned_rows = np.setdiff1d(train_rows, self.held_out_rows)
        if not len(self.learned_rows) or not len(self.held_out_rows):
            raise ShcError("the training rows hold fewer than two chemical systems", "give more crystals")
        self.scale = TargetScale(labels[self.learned_rows], config.target)
        torch.manual_seed(config.seed)
        self.rng = np.random.default_rng(config.seed)
        self.network = build().to(device)
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        self.n_batches = max(1, round(len(self.learned_rows) / config.batch_size))
        self.averaged = Averaged(self.network, config.averaging)
        self.epoch = 0
        self.best_error, self.best_epoch = math.inf, 0
        self.best = {name: value.clone() for name, value in self.averaged.weights.items()}
        self.log: list[BaselineEpoch] = []

    def finished(self) -> bool:
        """Whether the schedule has ended or the held-out error has stopped falling."""
        return self.epoch >= self.config.epochs or self.epoch - self.best_epoch >= self.config.patience

    def run_epoch(self) -> BaselineEpoch:
        """One pass over the rows to learn from and a look at the held-out rows."""
        start = time.process_time()
        self.network.train()
        order = self.rng.permutation(self.learned_rows)
        total = 0.0
        # Batches mix sizes of crystals: with crystals of like size the means of batch norms would differ by batch.
        for number, rows in enumerate(np.array_split(order, self.n_batches)):
            total += self._step(rows, self.epoch * self.n_batches + number) * len(rows)
        predicted = self._predict(self.averaged.weights, self.held_out_rows)
        error = held_out_error(predicted, self.labels[self.held_out_rows])
        self.epoch += 1
        if error < self.best_error:
            self.best_error, self.best_epoch = error, self.epoch
            self.best = {name: value.clone() for name, value in self.averaged.weights.items()}
        rate = float(self.optimiser.param_groups[0]["lr"])
        seconds = time.process_time() - start
        self.log.append(BaselineEpoch(self.epoch, total / len(order), error, rate, seconds))
        return self.log[-1]

    def _step(self, rows: NDArray[np.int64], step: int) -> float:
        rate = one_cycle(step, self.config.epochs * self.n_batches, self.config.learning_rate)
        for settings in self.optimiser.param_groups:
            settings["lr"] = rate
        target = torch.from_numpy(self.scale.standardised(self.labels[rows])).to(self.device)
        loss: Tensor = _LOSSES[self.config.loss](self.network(self.arrays.batch(rows).to(self.device)), target)
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimiser.step()
        self.averaged.update(self.network)
        return loss.item()

    def predict(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """``[len(rows)]`` SHC by the best weights so far, (hbar/e) S/cm, at least 0."""
        return self._predict(self.best, rows)

    @torch.no_grad()
    def _predict(self, weights: dict[str, Tensor], rows: NDArray[np.int64]) -> NDArray[np.float64]:
        current = {name: value.clone() for name, value in self.network.state_dict().items()}
        self.network.load_state_dict(weights)
        self.network.eval()
        parts = [rows[i : i + EVALUATION_BATCH] for i in range(0, len(rows), EVALUATION_BATCH)]
        outputs = [self.network(self.arrays.batch(part).to(self.device)).cpu().numpy() for part in parts]
        self.network.load_state_dict(current)
        return self.scale.shc(np.concatenate(outputs))

    def save(self, path: Path) -> None:
        """Write everything that training needs to go on; the file appears as a whole or not at all."""
        state: dict[str, Any] = {
            "epoch": self.epoch,
            "n_updates": self.averaged.n_updates,
            "best_error": self.best_error,
            "best_epoch": self.best_epoch,
            "rng_numpy": self.rng.bit_generator.state,
            "log": [asdict(row) for row in self.log],
        }
        kinds = {"network": self.network.state_dict(), "average": self.averaged.weights, "best": self.best}
        tensors = {f"{kind}.{name}": value for kind, values in kinds.items() for name, value in values.items()}
        tensors |= optimiser_tensors(self.optimiser) | {"rng.torch": torch.get_rng_state()}
        save_tensors(path, tensors, {"state": json.dumps(state)})

    def resume(self, path: Path) -> None:
        """Continue from what ``save`` wrote; on the CPU the outcome equals that of an uninterrupted training."""
        tensors, metadata = load_tensors(path)
        state = json.loads(metadata["state"])
        placed = {name: tensor if name == "rng.torch" else tensor.to(self.device) for name, tensor in tensors.items()}
        self.network.load_state_dict(group("network.", placed))
        self.averaged.weights, self.best = group("average.", placed), group("best.", placed)
        restore_optimiser(self.optimiser, placed)
        torch.set_rng_state(tensors["rng.torch"])
        self.rng.bit_generator.state = state["rng_numpy"]
        self.epoch, self.averaged.n_updates = state["epoch"], state["n_updates"]
        self.best_error, self.best_epoch = state["best_error"], state["best_epoch"]
        self.log = [BaselineEpoch(**row) for row in state["log"]]


def train_baseline(
    build: Callable[[], nn.Module],
    arrays: Graphs,
    labels: NDArray[np.float64],
    train_rows: NDArray[np.int64],
    systems: Sequence[tuple[int, ...]],
    config: BaselineConfig,
    folder: Path,
    predict_rows: NDArray[np.int64],
    on_epoch: Callable[[BaselineEpoch], None],
    device: torch.device | None = None,
) -> NDArray[np.float64]:
    """Train a network until finished, saving after every epoch; starts from the checkpoint where there is one.

    Args:
        build: See ``GraphTraining``.
        arrays: All crystals.
        labels: ``[n]`` SHC of every crystal, (hbar/e) S/cm; only training rows are looked at.
        train_rows: Rows to learn from and to stop on.
        systems: ``[n]`` chemical system of every crystal.
        config: Settings.
        folder: Folder of this training and no other; the checkpoint is written there.
        predict_rows: Rows to predict.
        on_epoch: Called after each epoch, when its checkpoint is on disk; may raise to stop.
        device: Where to train; the CPU if None.

    Returns:
        ``[len(predict_rows)]`` SHC by the weights that were best on the held-out rows, (hbar/e) S/cm, at least 0.

    Raises:
        ShcError: The training rows hold fewer than two chemical systems, or the checkpoint cannot be read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with one_thread(), torch.random.fork_rng(devices=[]):
        place = device or torch.device("cpu")
        training = GraphTraining(build, arrays, labels, train_rows, systems, config, place)
        if (folder / CHECKPOINT).is_file():
            training.resume(folder / CHECKPOINT)
        while not training.finished():
            row = training.run_epoch()
            training.save(folder / CHECKPOINT)
            on_epoch(row)
        return training.predict(predict_rows)
