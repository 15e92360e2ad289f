"""Rivals and our model trained on the same features, labels and split; what is done stays and is not done again."""

from __future__ import annotations

import json
import resource
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from shc.featurize.errors import ExitCode, ShcError
from shc.featurize.writing import write_whole
from shc.models.data import CrystalArrays
from shc.models.labels import LABEL
from shc.models.splits import read_split
from shc.models.training import LabelledData
from shc.models.training_files import PREDICTIONS_FILE, check_settings, number, write_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from shc.featurize.stop import StopRequest
    from shc.featurize.store import FeatureBatch

RECORD_FILE: Final = "record.json"
SECONDS_FILE: Final = "seconds.json"
SETTINGS_FOLDER: Final = "settings"
_UNIT_LINE: Final = "# unit: (hbar/e) S/cm"


@dataclass(frozen=True, slots=True)
class Task:
    """What all contestants are given."""

    features: Path
    labels: Path
    splits: Path
    split: str
    fold: int | None
    seeds: int
    """Trainings of a graph network that are averaged; each holds out other rows."""


class Crystals(NamedTuple):
    """The labelled crystals of a split."""

    data: LabelledData
    digests: dict[str, str]
    """What identifies them."""
    features: FeatureBatch
    """Those that train, then those that score: n."""
    file_rows: NDArray[np.int64]
    """``[n]`` rows of the feature file."""
    labels: NDArray[np.float64]
    """``[n]`` SHC, (hbar/e) S/cm; NaN for those that score."""
    train: NDArray[np.int64]
    """Indices of those that train."""
    test: NDArray[np.int64]
    """Indices of those that score."""
    systems: list[tuple[int, ...]]
    """``[n]`` chemical system of every crystal."""


class Fitted(NamedTuple):
    """What a contestant has done."""

    values: NDArray[np.float64] | None
    """``[n_test]`` predictions, (hbar/e) S/cm; None if it has written them itself."""
    n_parameters: int | None
    """Weights of all its networks; None if it has none."""


class Steps(NamedTuple):
    """What a training reports to, and what may stop it."""

    note: Callable[[], None]
    """Called after every step."""
    stop: StopRequest
    output: Path
    """Folder of the run."""

    def advance(self) -> None:
        """Note a step.

        Raises:
            ShcError: The run is to stop (``RESUMABLE``).
        """
        self.note()
        if self.stop.requested:
            raise ShcError(
                f"stopped by {self.stop.reason or 'request'}; finished models, epochs and fits are in {self.output}",
                "the same command goes on",
                ExitCode.RESUMABLE,
            )


class Contestant(NamedTuple):
    """A model that takes part."""

    title: str
    """As tables name it."""
    settings: dict[str, Any]
    """What decides its outcome beside the data."""
    fit: Callable[[Task, Crystals, Path, Steps], Fitted]
    """Trains it in a folder and predicts the crystals that score; may be stopped, and goes on from the folder."""


def read_crystals(task: Task) -> Crystals:
    """Read what the contestants are given.

    Raises:
        ShcError: A file cannot be read, or the split keeps no crystal for scoring.
    """
    data = LabelledData.read(task.features, task.labels)
    split = read_split(task.splits, task.split, task.fold, data.material_id)
    if not len(split.test):
        raise ShcError(f"split {task.split!r} keeps no crystal for scoring", "check the ids in the split file")
    chosen = np.concatenate([split.train, split.test])
    rows = data.file_rows[chosen]
    features = data.file.read(rows)
    train = np.arange(len(split.train))
    labels = data.labels[chosen].copy()
    labels[len(train) :] = np.nan
    test = np.arange(len(train), len(chosen))
    systems = CrystalArrays(features).chemical_system()
    return Crystals(data, data.digests(split), features, rows, labels, train, test, systems)


def run_benchmark(
    task: Task,
    contestants: dict[str, Contestant],
    output: Path,
    on_step: Callable[[str], None],
    stop: StopRequest,
) -> None:
    """Train those of the contestants that are not done yet.

    Every contestant has a folder of its own below the output: ``predictions.csv``, ``record.json`` with its title,
    settings, number of weights and processor time, and what it needs to go on where it stopped.

    Args:
        task: What they are given.
        contestants: By the name of their folder.
        output: Folder of the run.
        on_step: Called with the name of a contestant after each of its steps.
        stop: Looked at after every step.

    Raises:
        ShcError: Inputs are wrong, a folder belongs to another run, or the run was stopped (``RESUMABLE``).
    """
    crystals = read_crystals(task)
    for name, contestant in contestants.items():
        folder = output / name
        (folder / SETTINGS_FOLDER).mkdir(parents=True, exist_ok=True)
        check_settings(folder / SETTINGS_FOLDER, _settings(task, crystals, contestant), "give another --output")
        if (folder / RECORD_FILE).is_file():
            continue
        steps = Steps(partial(on_step, name), stop, output)
        with _timed(folder / SECONDS_FILE):
            fitted = contestant.fit(task, crystals, folder, steps)
        if fitted.values is not None:
            _write_predictions(folder / PREDICTIONS_FILE, crystals, fitted.values)
        seconds = json.loads((folder / SECONDS_FILE).read_text())
        record = {"title": contestant.title, "n_parameters": fitted.n_parameters, **seconds, **contestant.settings}
        write_whole(folder / RECORD_FILE, (json.dumps(record, indent=1) + "\n").encode())


def _settings(task: Task, crystals: Crystals, contestant: Contestant) -> dict[str, Any]:
    about = {"title": contestant.title, "split": task.split, "fold": task.fold, "seeds": task.seeds}
    return {"model": about | contestant.settings, "data": crystals.digests}


def _write_predictions(path: Path, crystals: Crystals, values: NDArray[np.float64]) -> None:
    ids = [crystals.features.material_id[row] for row in crystals.test.tolist()]
    rows = ((material_id, number(value)) for material_id, value in zip(ids, values.tolist(), strict=True))
    write_table(path, _UNIT_LINE, ("material_id", LABEL), rows)


@contextmanager
def _timed(path: Path) -> Iterator[None]:
    """Add the time that passes to that of earlier runs, also if it ends in an error."""
    before = json.loads(path.read_text()) if path.is_file() else {"wall_seconds": 0.0, "core_seconds": 0.0}
    wall, core = time.monotonic(), _core_seconds()
    try:
        yield
    finally:
        spent = {
            "wall_seconds": round(before["wall_seconds"] + time.monotonic() - wall, 1),
            "core_seconds": round(before["core_seconds"] + _core_seconds() - core, 1),
        }
        write_whole(path, (json.dumps(spent) + "\n").encode())


def _core_seconds() -> float:
    """Processor time of this process and of its children that have ended."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)


def choose(names: str, every: Sequence[str]) -> list[str]:
    """Names of contestants from ``all`` or names with commas between.

    Raises:
        ShcError: A name is unknown.
    """
    chosen = list(every) if names == "all" else [name.strip() for name in names.split(",")]
    unknown = [name for name in chosen if name not in every]
    if unknown:
        raise ShcError(f"no model {', '.join(unknown)}", f"there are: {', '.join(every)}", ExitCode.USAGE)
    return list(dict.fromkeys(chosen))


def settings_of(config: object) -> dict[str, Any]:
    """The fields of a dataclass of settings."""
    return asdict(config)  # type: ignore[call-overload, no-any-return]
