"""What a training leaves in its folder beside the weights."""

from __future__ import annotations

import csv
import hashlib
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from shc.featurize.errors import ExitCode, ShcError
from shc.featurize.writing import whole_file, write_whole
from shc.models.checkpoint import load_tensors
from shc.models.member import EpochLog

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from shc.models.config import ModelConfig, TrainConfig

SETTINGS_FILE = "training.json"
METRICS_FILE = "metrics.csv"
SPLITS_FILE = "splits.json"
OOF_FILE = "oof.csv"
PREDICTIONS_FILE = "predictions.csv"
LEARNING_CURVE_FILE = "learning_curve.png"
RELEASE_FILES = ("model.safetensors", "card.json")
MEMBERS_FOLDER = "members"
CHECKPOINT = "checkpoint.safetensors"
PICTURE_FOLDER = "picture"
TOKENS_FILE = "tokens.safetensors"
PICTURE_METRICS_FILE = "picture_metrics.csv"
STYLE_CHECKPOINT = "styles.safetensors"
STYLE_METRICS_FILE = "style_metrics.csv"

UNIT_LINE = "# unit: (hbar/e) S/cm for label, shc_max_abs, shc_lower, shc_upper and shc_std"
METRICS_LINE = (
    "# train_loss (with dropout) and held_out_loss (averaged weights): ranked probability score plus weighted "
    "cross-entropies, per crystal, in train_loss also the auxiliary loss; held_out_error: mean of MAE and RMSE, "
    "(hbar/e) S/cm; learning_rate: 1, at the end of the epoch"
)


def write_table(path: Path, comment: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a CSV file: a comment line, the header, the rows."""
    with whole_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        file.write(comment + "\n")
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def number(value: float) -> str:
    """A number with six significant digits."""
    return f"{value:.6g}"


class MetricsTable:
    """The file ``metrics.csv``, rewritten after every epoch.

    Args:
        path: File to write.
        checkpoints: Checkpoints of the members; what they did in earlier runs is taken from there.
    """

    def __init__(self, path: Path, checkpoints: Iterable[Path]) -> None:
        self.path = path
        self.rows: dict[tuple[int, int], EpochLog] = {}
        for checkpoint in checkpoints:
            for row in read_log(checkpoint):
                self.rows[row.member, row.epoch] = row

    def sorted_rows(self) -> list[EpochLog]:
        """Rows by member and epoch."""
        return [self.rows[key] for key in sorted(self.rows)]

    def add(self, row: EpochLog) -> None:
        """Note an epoch and write the file."""
        self.rows[row.member, row.epoch] = row
        self.write()

    def write(self) -> None:
        """Write the file."""
        header = ("member", "epoch", "train_loss", "held_out_loss", "held_out_error", "learning_rate")
        rows = (
            (r.member, r.epoch, *map(number, (r.train_loss, r.held_out_loss, r.held_out_error, r.learning_rate)))
            for r in self.sorted_rows()
        )
        write_table(self.path, METRICS_LINE, header, rows)


def read_log(checkpoint: Path) -> list[EpochLog]:
    """Epochs a member has behind it; none if there is no checkpoint."""
    if not checkpoint.is_file():
        return []
    _, metadata = load_tensors(checkpoint)
    return [EpochLog(**row) for row in json.loads(metadata["state"])["log"]]


def digest(rows: Iterable[Sequence[object]]) -> str:
    """SHA-256 of rows of text and numbers, hex."""
    sha = hashlib.sha256()
    for row in rows:
        sha.update(json.dumps(list(row)).encode() + b"\n")
    return sha.hexdigest()


def settings_record(model: ModelConfig, config: TrainConfig, data: Mapping[str, str]) -> dict[str, Any]:
    """What decides the outcome of a training: sizes, settings and digests of its data."""
    return {"model": asdict(model), "train": asdict(config), "data": dict(data)}


def check_settings(
    folder: Path, record: Mapping[str, Any], hint: str = "give another --output, or start afresh with --overwrite"
) -> bool:
    """Compare with what the folder was started with, or note it if the folder is new.

    Args:
        folder: Output folder, which exists.
        record: See ``settings_record``.
        hint: What to do if they differ.

    Returns:
        Whether the folder was started before.

    Raises:
        ShcError: It was started with other settings or other data.
    """
    path, text = folder / SETTINGS_FILE, json.dumps(record, indent=1)
    if not path.is_file():
        write_whole(path, (text + "\n").encode())
        return False
    now = json.loads(text)  # tuples become lists
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
        different = [
            f"{name}: {_short(before[group].get(name))} then, {_short(value)} now"
            for group in now
            for name, value in now[group].items()
            if before[group].get(name) != value
        ]
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise ShcError(f"{path} is damaged: {error}", hint, ExitCode.BAD_FILE) from error
    if different:
        raise ShcError(f"{folder} was started with other settings ({'; '.join(different)})", hint, ExitCode.USAGE)
    return True


def _short(value: object) -> str:
    """A value for people; of a digest its beginning is enough."""
    text = str(value)
    return text if len(text) < 64 else f"{text[:8]}..."


def remove_results(folder: Path) -> None:
    """Remove what an earlier training wrote, and nothing else."""
    tables = (METRICS_FILE, PICTURE_METRICS_FILE, STYLE_METRICS_FILE, SPLITS_FILE, OOF_FILE, PREDICTIONS_FILE)
    pictures = [f"{PICTURE_FOLDER}/{name}" for name in (CHECKPOINT, STYLE_CHECKPOINT, TOKENS_FILE)]
    names = (SETTINGS_FILE, *tables, LEARNING_CURVE_FILE, *RELEASE_FILES, *pictures)
    for name in names:
        (folder / name).unlink(missing_ok=True)
    for path in folder.glob(f"{MEMBERS_FOLDER}/*/{CHECKPOINT}"):
        path.unlink()
