"""Trains a tiny ensemble in a process of its own, for tests that kill it; prints a line per epoch."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from shc.featurize.stop import StopRequest
from shc.models.config import ModelConfig, TrainConfig
from shc.models.training import train

TINY = ModelConfig(
    d_model=16, n_heads=2, hidden=32, n_values=8, n_distance=8, n_descriptor_tokens=2, n_convolutions=1, n_blocks=1
)
# Two members that hold out half each: every training row is out of fold once.
CONFIG = TrainConfig(n_members=2, held_out=0.5, epochs=10, patience=10, batch_size=16)


def main() -> None:
    """Train with the files of a folder; arguments: folder, output, workers and, for other than 10, epochs."""
    folder, output, workers = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    epochs = int(sys.argv[4]) if len(sys.argv) > 4 else CONFIG.epochs
    with StopRequest() as stop:
        train(
            folder / "features.h5",
            folder / "labels.csv",
            output,
            TINY,
            replace(CONFIG, epochs=epochs, patience=epochs),
            splits=folder / "splits.json",
            device="cpu",
            workers=workers,
            on_epoch=lambda: print("epoch", flush=True),  # noqa: T201
            stop=stop,
        )


if __name__ == "__main__":
    main()
