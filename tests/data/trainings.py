"""Trainings in tests: run one on a folder with features, labels and splits, read its tables, compare two."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

import torch

from shc.models.checkpoint import load_tensors
from shc.models.training import TrainSummary, train

if TYPE_CHECKING:
    from pathlib import Path

    from shc.models.config import ModelConfig, TrainConfig


def run_training(
    folder: Path,
    output: Path,
    model: ModelConfig,
    config: TrainConfig,
    *,
    labels: Path | None = None,
    split: bool = True,
    workers: int = 1,
    **options: Any,  # noqa: ANN401  those of `train`
) -> TrainSummary:
    """Train on the CPU with the files of a folder."""
    return train(
        folder / "features.h5",
        labels or folder / "labels.csv",
        output,
        model,
        config,
        splits=folder / "splits.json" if split else None,
        device="cpu",
        workers=workers,
        **options,
    )


def table(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV file below its comment."""
    return list(csv.DictReader(line for line in path.read_text().splitlines() if not line.startswith("#")))


def assert_same_outcome(output: Path, other: Path) -> None:
    """Two trainings have left the same weights and tables, bit by bit."""
    ours, theirs = (load_tensors(o / "model.safetensors")[0] for o in (output, other))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    names = {path.name for path in output.glob("*.csv")}
    assert names == {path.name for path in other.glob("*.csv")} >= {"metrics.csv", "oof.csv"}
    for name in (*names, "splits.json"):
        assert (output / name).read_bytes() == (other / name).read_bytes(), name
