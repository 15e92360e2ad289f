"""Settings of the training of a graph network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class BaselineConfig:
    """Settings of one training."""

    seed: int = 0
    """Seed of weights, batches and of which rows are held out."""
    held_out: float = 0.1
    """Share of the training rows, by chemical system, that decide when to stop."""
    epochs: int = 60
    """Passes over the other training rows at most; the schedule ends with the last one."""
    patience: int = 20
    """Epochs without a smaller held-out error after which training stops."""
    batch_size: int = 64
    """Crystals per step."""
    learning_rate: float = 3e-3
    """Highest learning rate of the one-cycle schedule."""
    weight_decay: float = 0.01
    """Decoupled weight decay."""
    averaging: float = 0.99
    """Decay of the running average of the weights, per step."""
    target: Literal["sqrt", "raw"] = "sqrt"
    """Whether the network learns the square root of SHC or SHC itself, standardised either way."""
    loss: Literal["mse", "l1"] = "mse"
    """Mean square or mean absolute residual of the standardised target."""
