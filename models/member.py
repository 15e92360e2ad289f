"""Training of one member of the ensemble: deterministic, and resumed where it stopped."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from shc.models.auxiliary import AuxiliaryLoss
from shc.models.checkpoint import group, load_tensors, optimiser_tensors, restore_optimiser, save_tensors
from shc.models.heads import Output, ValueGrid, moments
from shc.models.metrics import held_out_error
from shc.models.network import SHCTransformer
from shc.models.schedule import one_cycle

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from shc.models.auxiliary import AuxiliaryTargets
    from shc.models.config import ModelConfig, TrainConfig
    from shc.models.data import CrystalArrays, CrystalBatch
    from shc.models.tensor import TensorTargets

EVALUATION_BATCH = 256


@dataclass(frozen=True, slots=True)
class EpochLog:
    """One row of ``metrics.csv``."""

    member: int
    epoch: int
    train_loss: float
    """Ranked probability score plus weighted cross-entropy, finite loss and auxiliary loss, with bands and without."""
    held_out_loss: float
    """The same without the auxiliary loss on the held-out rows, with averaged weights."""
    held_out_error: float
    """Mean of MAE and RMSE on the held-out rows and over what a prediction may rest on, (hbar/e) S/cm; the epoch with
    the smallest one is kept."""
    learning_rate: float


class Averaged:
    """Running average of a network's weights.

    Source: Izmailov et al., UAI 2018, arXiv:1803.05407; exponential form with a warm-up of the decay.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.n_updates = 0
        self.weights = {name: value.detach().clone() for name, value in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Move the average towards the current weights."""
        self.n_updates += 1
        decay = min(self.decay, (1 + self.n_updates) / (10 + self.n_updates))
        mine, theirs = [], []
        for name, value in network.state_dict().items():
            if value.dtype.is_floating_point:
                mine.append(self.weights[name])
                theirs.append(value)
        torch._foreach_lerp_(mine, theirs, 1.0 - decay)


class Objective:
    """Losses against soft value targets and the finite class.

    The value is scored by the ranked probability score (Gneiting and Raftery, J. Am. Stat. Assoc. 102, 359 (2007)),
    which unlike the cross-entropy does not drive the distributions to false certainty.
    """

    def __init__(self, labels: NDArray[np.float64], model: ModelConfig, train: TrainConfig) -> None:
        shc = torch.from_numpy(labels.astype(np.float32))
        grid = ValueGrid(model)
        self.value = grid.soft_target(shc)
        self.weight = grid.score_weight()
        self.finite = (shc > train.finite_threshold).float()
        self.cross_entropy, self.finite_weight = train.cross_entropy, train.finite_weight

    def to(self, device: torch.device) -> Objective:
        """Move the targets."""
        self.value, self.weight, self.finite = (x.to(device) for x in (self.value, self.weight, self.finite))
        return self

    def __call__(self, output: Output, rows: NDArray[np.int64], counts: Tensor | None = None) -> Tensor:
        """Mean loss over ``[B]`` rows, or over those of them that ``counts`` marks by 1; 0 if there is none."""
        index = torch.from_numpy(rows).to(self.value.device)
        target = self.value[index]
        log_probability = output.value_logits.log_softmax(dim=1)
        gap = (log_probability.exp() - target).cumsum(dim=1)
        ranked = (self.weight * gap**2).sum(dim=1)
        entropy = -(target * log_probability).sum(dim=1)
        finite = nn.functional.binary_cross_entropy_with_logits(
            output.finite_logit, self.finite[index], reduction="none"
        )
        loss = ranked + self.cross_entropy * entropy + self.finite_weight * finite
        return loss.mean() if counts is None else (loss * counts).sum() / counts.sum().clamp_min(1.0)


class MemberTraining:
    """State of one member's training.

    Args:
        arrays: All crystals.
        labels: ``[n]`` SHC of every crystal, (hbar/e) S/cm; only train and held-out rows are looked at.
        train_rows: Rows to learn from.
        held_out_rows: Rows that decide when to stop.
        model: Sizes.
        config: Settings.
        member: Number of this member; it seeds its weights and batches.
        device: Where to train.
        auxiliary: What else the network learns to say of every crystal; None for the label only.
        tensors: The tensors that it learns to say; None for none.
    """

    def __init__(
        self,
        arrays: CrystalArrays,
        labels: NDArray[np.float64],
        train_rows: NDArray[np.int64],
        held_out_rows: NDArray[np.int64],
        model: ModelConfig,
        config: TrainConfig,
        member: int,
        device: torch.device,
        auxiliary: AuxiliaryTargets | None = None,
        tensors: TensorTargets | None = None,
    ) -> None:
        self.arrays, self.config, self.member, self.device = arrays, config, member, device
        self.train_rows, self.held_out_rows = train_rows, held_out_rows
        torch.manual_seed(1000 * config.seed + member)
        self.rng = np.random.default_rng([config.seed, member])
        self.network = SHCTransformer(model, arrays.descriptors.shape[1], arrays.prompt.shape[1])
        self.network.fit_scales(arrays.descriptors[train_rows], arrays.prompt[train_rows])
        if self.network.bands is not None and arrays.bands is not None:
            self.network.bands.fit_scales(arrays.descriptors[train_rows], arrays.bands.known_curves(train_rows))
        self.network.to(device)
        self.labels, self.grid = labels, ValueGrid(model)
        self.objective = Objective(labels, model, config).to(device)
        self.trained = nn.ModuleDict({"network": self.network})
        if auxiliary is not None:
            halves = {"auxiliary": self.network, "auxiliary_bands": self.network.bands}
            for name, half in halves.items():
                if half is not None:
                    self.trained[name] = AuxiliaryLoss(half.embedding_width, auxiliary.to(device)).to(device)
        self.tensors = None if tensors is None else tensors.to(device)
        self.optimiser = torch.optim.AdamW(
            self.trained.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        bands = [] if self.network.bands is None else list(self.network.bands.parameters())
        ids = {id(parameter) for parameter in bands}
        self.halves = [[p for p in self.trained.parameters() if id(p) not in ids], bands]
        self.n_batches = sum(1 for _ in arrays.shuffled(train_rows, config.batch_size, np.random.default_rng(0)))
        self.averaged = Averaged(self.network, config.averaging)
        self.epoch = 0
        self.step = 0
        self.best_error, self.best_epoch = math.inf, 0
        self.best = {name: value.clone() for name, value in self.averaged.weights.items()}
        self.log: list[EpochLog] = []

    def learning_rate(self) -> float:
        """Learning rate of the next step, see ``one_cycle``."""
        return one_cycle(self.step, self.config.epochs * self.n_batches, self.config.learning_rate)

    def finished(self) -> bool:
        """Whether the schedule has ended or the held-out error has stopped falling."""
        return self.epoch >= self.config.epochs or self.epoch - self.best_epoch >= self.config.patience

    def _train_step(self, rows: NDArray[np.int64]) -> float:
        for settings in self.optimiser.param_groups:
            settings["lr"] = self.learning_rate()
        batch: CrystalBatch = self.arrays.sample(rows, self.rng).to(self.device)
        alone, joined = self.network.both(batch)
        loss = self.objective(alone, rows)
        if joined is not None and batch.bands is not None:
            loss = loss + self.objective(joined, rows, batch.bands.any_known())
            if "auxiliary_bands" in self.trained:
                loss = loss + self.config.auxiliary_weight * self.trained["auxiliary_bands"](joined.embedding, rows)
        if "auxiliary" in self.trained:
            loss = loss + self.config.auxiliary_weight * self.trained["auxiliary"](alone.embedding, rows)
        if self.tensors is not None:
            loss = loss + self.config.tensor_weight * self.tensors.loss(alone.tensor, rows)
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        for parameters in self.halves:
            nn.utils.clip_grad_norm_(parameters, 1.0)
        self.optimiser.step()
        self.averaged.update(self.network)
        self.step += 1
        return loss.item() * len(rows)

    def run_epoch(self) -> EpochLog:
        """One pass over the training rows and a look at the held-out rows."""
        self.trained.train()
        batches = self.arrays.shuffled(self.train_rows, self.config.batch_size, self.rng)
        total = sum(self._train_step(rows) for rows in batches)
        loss, error = self.held_out_scores()
        self.epoch += 1
        if error < self.best_error:
            self.best_error, self.best_epoch = error, self.epoch
            self.best = {name: value.clone() for name, value in self.averaged.weights.items()}
        row = EpochLog(self.member, self.epoch, total / len(self.train_rows), loss, error, self.learning_rate())
        self.log.append(row)
        return row

    @torch.no_grad()
    def held_out_scores(self) -> tuple[float, float]:
        """Loss and error ((hbar/e) S/cm) of the averaged weights on the held-out rows.

        The error is what counts: the loss turns up earlier, when the distributions get too narrow, while the point
        values still improve.
        """
        current = {name: value.clone() for name, value in self.network.state_dict().items()}
        self.network.load_state_dict(self.averaged.weights)
        self.network.eval()
        scores = [self._scores(subset) for subset in self.arrays.subsets(self.held_out_rows)]
        self.network.load_state_dict(current)
        loss, error = np.mean(scores, axis=0).tolist()
        return loss, error

    def _scores(self, subset: int) -> tuple[float, float]:
        """Loss and error on the held-out rows where all that ``subset`` names is shown."""
        total, predicted = 0.0, []
        batches = list(self.arrays.by_size(self.held_out_rows, EVALUATION_BATCH))
        for rows in batches:
            output = self.network.predict(self.arrays.batch(rows, subset).to(self.device))
            total += self.objective(output, rows).item() * len(rows)
            probability = output.value_logits.softmax(dim=1).double().cpu().numpy()
            middle = moments(self.grid, probability)
            predicted.append(0.5 * (middle.mean + middle.median))
        error = held_out_error(np.concatenate(predicted), self.labels[np.concatenate(batches)])
        return total / len(self.held_out_rows), error

    def _tensors(self) -> dict[str, Tensor]:
        tensors = dict(self.trained.state_dict())  # "network.*" and "auxiliary.*"
        tensors |= {f"average.{k}": v for k, v in self.averaged.weights.items()}
        tensors |= {f"best.{k}": v for k, v in self.best.items()}
        return tensors | optimiser_tensors(self.optimiser) | {"rng.torch": torch.get_rng_state()}

    def save(self, path: Path) -> None:
        """Write everything that training needs to go on; the file appears as a whole or not at all."""
        state: dict[str, Any] = {
            "epoch": self.epoch,
            "step": self.step,
            "n_updates": self.averaged.n_updates,
            "best_error": self.best_error,
            "best_epoch": self.best_epoch,
            "rng_numpy": self.rng.bit_generator.state,
            "log": [asdict(row) for row in self.log],
        }
        save_tensors(path, self._tensors(), {"state": json.dumps(state)})

    def resume(self, path: Path) -> None:
        """Continue from what ``save`` wrote; the outcome equals that of an uninterrupted training."""
        tensors, metadata = load_tensors(path)
        state = json.loads(metadata["state"])

        placed = {name: tensor if name == "rng.torch" else tensor.to(self.device) for name, tensor in tensors.items()}
        for name, module in self.trained.items():
            module.load_state_dict(group(f"{name}.", placed))
        self.averaged.weights, self.best = group("average.", placed), group("best.", placed)
        restore_optimiser(self.optimiser, placed)
        torch.set_rng_state(tensors["rng.torch"])
        self.rng.bit_generator.state = state["rng_numpy"]
        self.epoch, self.step, self.averaged.n_updates = state["epoch"], state["step"], state["n_updates"]
        self.best_error, self.best_epoch = state["best_error"], state["best_epoch"]
        self.log = [EpochLog(**row) for row in state["log"]]


def train_member(training: MemberTraining, checkpoint: Path, on_epoch: Callable[[EpochLog], None]) -> None:
    """Train until finished, saving after every epoch; starts from the checkpoint where there is one."""
    if checkpoint.is_file():
        training.resume(checkpoint)
    while not training.finished():
        row = training.run_epoch()
        training.save(checkpoint)
        on_epoch(row)
