"""Trains a tiny ensemble in a process of its own, for tests that kill it; prints a line per epoch."""

from __future__ import annotations

import sys
from pathlib import Path

from shc.featurize.stop import StopRequest
from shc.models.config import ModelConfig, TrainConfig
from shc.models.training import train

TINY = ModelConfig(
    d_model=16, n_heads=2, hidden=32, n_values=8, n_distance=8, n_descriptor_tokens=2, n_convolutions=1, n_blocks=1
)
CONFIG = TrainConfig(n_members=2, epochs=10, patience=10, batch_size=16)


def main() -> None:
    """Train with the files of a folder; arguments: folder, output, workers."""
    folder, output, workers = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    with StopRequest() as stop:
        train(
            folder / "features.h5",
            folder / "labels.csv",
            output,
            TINY,
            CONFIG,
            splits=folder / "splits.json",
            device="cpu",
            workers=workers,
            on_epoch=lambda row: print(row.member, row.epoch, flush=True),  # noqa: T201
            stop=stop,
        )


if __name__ == "__main__":
    main()
