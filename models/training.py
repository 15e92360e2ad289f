"""Training of an ensemble: deterministic by seed, parallel over members, resumed by the same command."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from shc.featurize.errors import ShcError
from shc.featurize.stop import StopRequest
from shc.featurize.store import FeatureFile
from shc.featurize.writing import write_whole
from shc.models.assembly import Scored, assemble, read_scored, score_test
from shc.models.card import SplitInfo
from shc.models.config import PictureConfig
from shc.models.data import CrystalArrays
from shc.models.device import choose_device
from shc.models.labels import read_labels
from shc.models.picture_stage import read_pictures_first
from shc.models.plots import learning_curve
from shc.models.splits import Split, held_out_parts, read_split
from shc.models.training_data import fitting
from shc.models.training_files import (
    LEARNING_CURVE_FILE,
    MEMBERS_FOLDER,
    METRICS_FILE,
    PICTURE_FOLDER,
    SPLITS_FILE,
    TOKENS_FILE,
    MetricsTable,
    check_settings,
    digest,
    remove_results,
    settings_record,
)
from shc.models.training_workers import MemberTask, Stopped, default_workers, run_members, stopped_error
from shc.models.uncertainty import ROWS_PER_GROUP

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from shc.models.config import ModelConfig, TrainConfig
    from shc.models.member import EpochLog
    from shc.models.metrics import Scores


@dataclass(frozen=True, slots=True)
class TrainSummary:
    """What a training did."""

    output: Path
    n_train: int
    """Crystals that trained and stopped the members."""
    n_test: int
    """Crystals kept for scoring."""
    n_without_label: int
    """Crystals of the feature file that have no label."""
    n_without_features: int
    """Labels that have no crystal in the feature file."""
    resumed: bool
    """Whether an earlier run of the same training was continued."""
    out_of_fold: dict[str, Scores]
    """Scores on the training rows, each predicted by the one member that did not learn from it, by what the predictions
    rest on."""
    test: dict[str, Scores]
    """Scores of the ensemble on the rows kept for scoring, likewise; empty if there are none."""
    learning_curve: Path | None
    """The figure; None where matplotlib is not installed."""


class Parts(NamedTuple):
    """Training rows kept from members, as indices into the training rows; no chemical system lies in two parts."""

    own: list[NDArray[np.int64]]
    """``[n_members]`` what each member alone holds out, to stop on and to calibrate."""
    common: NDArray[np.int64]
    """What no member learns from or stops on: there the ensemble is compared with its members. May be empty."""


@dataclass(frozen=True, slots=True)
class LabelledData:
    """Crystals that have features and a label."""

    file: FeatureFile
    file_rows: NDArray[np.int64]
    """``[n]`` rows of the feature file."""
    material_id: list[str]
    """``[n]``."""
    labels: NDArray[np.float64]
    """``[n]`` SHC, (hbar/e) S/cm."""
    n_without_label: int
    n_without_features: int

    @classmethod
    def read(cls, features: Path, labels: Path) -> LabelledData:
        """Join a feature file and a table of labels by material id.

        Raises:
            ShcError: A file cannot be read, or they have no crystal in common.
        """
        file = FeatureFile.open(features)
        by_id = read_labels(labels)
        ids = file.material_ids
        rows = [row for row, material_id in enumerate(ids) if material_id in by_id]
        if not rows:
            raise ShcError(
                f"no crystal of {features} has a label in {labels}",
                f"ids there look like {ids[:1]}, here like {list(by_id)[:1]}",
            )
        material_id = [ids[row] for row in rows]
        return cls(
            file=file,
            file_rows=np.array(rows, dtype=np.int64),
            material_id=material_id,
            labels=np.array([by_id[i] for i in material_id], dtype=np.float64),
            n_without_label=len(ids) - len(rows),
            n_without_features=len(by_id) - len(set(material_id)),
        )

    def digests(self, split: Split) -> dict[str, str]:
        """What identifies the data of a training."""
        hashes = self.file.read(self.file_rows).content_hash
        rows = list(zip(self.material_id, hashes, self.labels.tolist(), strict=True))
        header = self.file.header
        versions = (header.prompt_version, header.descriptor_version, header.bands_version, header.frame_version)
        return {
            "train_rows": digest(rows[i] for i in split.train.tolist()),
            "test_rows": digest(rows[i] for i in split.test.tolist()),
            "featurize": digest([(str(header.config), *versions)]),
        }


def train(
    features: Path,
    labels: Path,
    output: Path,
    model: ModelConfig,
    config: TrainConfig,
    *,
    splits: Path | None = None,
    split: str = "random",
    fold: int | None = None,
    device: str = "auto",
    workers: int | None = None,
    overwrite: bool = False,
    picture: PictureConfig | None = None,
    structure_only: bool = False,
    on_start: Callable[[int], None] | None = None,
    on_epoch: Callable[[], None] | None = None,
    stop: StopRequest | None = None,
) -> TrainSummary:
    """Train an ensemble, calibrate it on its out-of-fold predictions and score it once on the test rows.

    Every member holds another part of the training rows out, by chemical system: it stops on them, and its
    predictions there calibrate the ensemble, together with those of all members on a part that none of them learns
    from. The test rows are read only after the ensemble is complete. A run
    that was killed goes on from the last finished epoch of each member; on the CPU the outcome is the same, bit
    by bit, as without the interruption and with any number of workers.

    Args:
        features: Feature file.
        labels: Table of labels, see ``read_labels``.
        output: Folder to write or to continue.
        model: Sizes.
        config: Settings.
        splits: File of splits, see ``read_split``; without it all labelled crystals train.
        split: Which split of the file.
        fold: Which fold scores, if the split is a cross-validation.
        device: ``auto``, ``cpu`` or ``cuda``.
        workers: Processes; by default one per usable core on the CPU, one on a GPU.
        overwrite: Start afresh where there is an earlier training.
        picture: Sizes and settings of the encoder of pictures; the usual ones if None.
        structure_only: Leave out bands and pictures that the feature file holds; they still teach what
            ``config.auxiliary_weight`` says.
        on_start: Called once when inputs and folder are found to be good, with the number of epochs at most.
        on_epoch: Called after every epoch of any member and of the encoder of pictures.
        stop: Looked at between epochs.

    Raises:
        ShcError: Inputs are wrong, the folder holds another training, or the run was stopped (``RESUMABLE``).
    """
    place = choose_device(device)
    stop = stop or StopRequest()
    data = LabelledData.read(features, labels)
    chosen = _split(data, splits, split, fold)
    rows = data.file_rows[chosen.train]
    sizes = picture or PictureConfig()
    if not structure_only:
        model = fitting(model, sizes, data.file, rows)
    parts = _parts(CrystalArrays(data.file.read(rows)).chemical_system(), config)
    output.mkdir(parents=True, exist_ok=True)
    if overwrite:
        remove_results(output)
    record = settings_record(model, config, data.digests(chosen)) | {"picture": asdict(sizes)}
    resumed = check_settings(output, record)
    if on_start is not None:
        encoder_epochs = sizes.epochs + sizes.style_epochs if model.n_picture_tokens else 0
        on_start(config.n_members * config.epochs + encoder_epochs)
    _write_splits(output / SPLITS_FILE, data, chosen, parts)
    scored = read_scored(output, with_test=len(chosen.test) > 0)
    if scored is None:
        tasks = _tasks(data, chosen, parts, model, config, str(place), output)
        encoder = None
        if model.n_picture_tokens:
            encoder = read_pictures_first(tasks[0], sizes, place, on_epoch, stop)
        _train_members(tasks, output, workers or default_workers(place), on_epoch, stop)
        info = SplitInfo("all" if splits is None else split, fold, len(chosen.train), len(chosen.test))
        scored = Scored(assemble(output, tasks, data.file.header, info, encoder, sizes), {})
        if info.n_test:
            test_rows = data.file_rows[chosen.test]
            scored = replace(scored, test=score_test(output, data.file, test_rows, data.labels[chosen.test], place))
    curve = output / LEARNING_CURVE_FILE
    return TrainSummary(
        output=output,
        n_train=len(chosen.train),
        n_test=len(chosen.test),
        n_without_label=data.n_without_label,
        n_without_features=data.n_without_features,
        resumed=resumed,
        out_of_fold=scored.out_of_fold,
        test=scored.test,
        learning_curve=curve if curve.is_file() else None,
    )


def _tasks(
    data: LabelledData,
    split: Split,
    parts: Parts,
    model: ModelConfig,
    config: TrainConfig,
    device: str,
    output: Path,
) -> list[MemberTask]:
    return [
        MemberTask(
            features=data.file.path,
            file_rows=data.file_rows[split.train],
            labels=data.labels[split.train],
            held_out=part,
            common=parts.common,
            model=model,
            config=config,
            member=member,
            device=device,
            folder=output / MEMBERS_FOLDER / f"{member:02d}",
            tokens=output / PICTURE_FOLDER / TOKENS_FILE,
        )
        for member, part in enumerate(parts.own)
    ]


def _train_members(
    tasks: Sequence[MemberTask],
    output: Path,
    workers: int,
    on_epoch: Callable[[], None] | None,
    stop: StopRequest,
) -> None:
    """Train what is not finished; keeps the table of metrics and draws the learning curve."""
    table = MetricsTable(output / METRICS_FILE, (task.checkpoint for task in tasks))

    def note(row: EpochLog) -> None:
        table.add(row)
        if on_epoch is not None:
            on_epoch()

    try:
        run_members(tasks, workers, note, stop)
    except Stopped as error:
        raise stopped_error(output, stop.reason) from error
    table.write()
    learning_curve(table.sorted_rows(), output / LEARNING_CURVE_FILE)


def _split(data: LabelledData, splits: Path | None, name: str, fold: int | None) -> Split:
    if splits is None:
        everything = np.arange(len(data.labels), dtype=np.int64)
        return Split(everything, everything[:0])
    return read_split(splits, name, fold, data.material_id)


def _parts(systems: Sequence[tuple[int, ...]], config: TrainConfig) -> Parts:
    rows = np.arange(len(systems), dtype=np.int64)
    # An ensemble of one is its member, and few common rows tell little: then they are better learned from.
    halved = round(2.0 / config.held_out)
    with_common = config.n_members > 1 and len(systems) // max(halved, config.n_members + 1) >= ROWS_PER_GROUP
    n_parts = max(halved, config.n_members + 1) if with_common else max(round(1.0 / config.held_out), config.n_members)
    parts = held_out_parts(rows, systems, n_parts, config.seed)
    own = parts[: config.n_members]
    if min(len(part) for part in own) == 0 or max(len(part) for part in own) == len(systems):
        raise ShcError(
            f"{len(set(systems))} chemical systems cannot be dealt to {n_parts} held-out parts",
            "give more crystals or fewer --members",
        )
    return Parts(own, parts[config.n_members] if with_common else rows[:0])


def _write_splits(path: Path, data: LabelledData, split: Split, parts: Parts) -> None:
    """Write who trained, who scored and who was held out by which member or by all, as ``read_split`` reads it."""
    train_ids = [data.material_id[row] for row in split.train.tolist()]
    common = {train_ids[i] for i in parts.common.tolist()}
    content = {
        "train_test": {"train": train_ids, "test": [data.material_id[row] for row in split.test.tolist()]},
        "held_out": {train_ids[i]: member for member, part in enumerate(parts.own) for i in part.tolist()},
        "common": {"train": [i for i in train_ids if i not in common], "test": sorted(common)},
    }
    write_whole(path, (json.dumps(content) + "\n").encode())
