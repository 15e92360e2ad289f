"""The inputs of a run in batches, each with what became of it."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from shc.featurize.band_image.listing import STAGE as PICTURE
from shc.featurize.errors import Failure
from shc.featurize.structures import material_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from shc.featurize.pool import BatchResult
    from shc.featurize.stop import StopRequest
    from shc.featurize.types import CrystalRecord

_REPORT_EVERY: Final = 1024


@dataclass(slots=True)
class Batch:
    """Files to do, and what happened to the inputs between them."""

    paths: list[Path] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    n_skipped: int = 0
    records: list[CrystalRecord] = field(default_factory=list)
    n_without_bands: int = 0

    @property
    def n_failed(self) -> int:
        """Inputs that could not be used: failures but for those that cost a crystal its bands or a picture only."""
        return len(self.failures) - self.n_without_bands - self.n_bad_pictures

    @property
    def n_bad_pictures(self) -> int:
        """Pictures that belong to a crystal and could not be used."""
        return sum(failure.stage == PICTURE for failure in self.failures)

    @property
    def unusable(self) -> dict[str, Path]:
        """The files that were worked on and gave no record, by material id."""
        usable = {record.material_id for record in self.records}
        return {name: path for path in self.paths if (name := material_id(path)) not in usable}

    def add(self, result: BatchResult) -> None:
        """Note what became of the files."""
        records, failures = result
        self.records += records
        self.failures += failures
        usable = {record.material_id for record in records}
        self.n_without_bands += sum(f.stage == "bands" and material_id(Path(f.path)) in usable for f in failures)


@dataclass(slots=True)
class Inputs:
    """Groups inputs into batches that depend on the inputs alone, not on timing or the number of workers."""

    entries: Iterator[Path | Failure]
    is_done: Callable[[str, Path], list[Failure] | None] | None
    """What is to be told again of a file that needs no work, mostly nothing; None for one that does."""
    batch_size: int
    stop: StopRequest
    seen: dict[str, str] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Batch]:
        """Yield batches; the last one may hold nothing but what was skipped."""
        batch = Batch()
        for entry in self.entries:
            if self.stop.requested:
                return
            if isinstance(entry, Failure):
                batch.failures.append(entry)
            else:
                self._sort(entry, batch)
            if len(batch.paths) >= self.batch_size or len(batch.failures) + batch.n_skipped >= _REPORT_EVERY:
                yield batch
                batch = Batch()
        yield batch

    def _sort(self, path: Path, batch: Batch) -> None:
        name = material_id(path)
        # Files of one folder share this string, so a million of them cost little more than their ids.
        place = sys.intern(str(path.with_name(path.name.replace(name, "*", 1))))
        owner = self.seen.setdefault(name, "")
        if not name.isprintable():
            hint = "rename the file: its name is the key of all results"
            batch.failures.append(Failure(str(path), "id", "the file name holds unprintable characters", hint))
        elif owner == place:
            return  # The same file, named twice by overlapping sources.
        elif owner:
            error = f"the id {name} is taken by {owner.replace('*', name)}"
            hint = "rename one of the files: the name without its ending is the key of all results"
            batch.failures.append(Failure(str(path), "id", error, hint))
        else:
            self.seen[name] = place
            told = None if self.is_done is None else self.is_done(name, path)
            if told is None:
                batch.paths.append(path)
            else:
                batch.n_skipped += 1
                batch.failures += told
                batch.n_without_bands += sum(failure.stage == "bands" for failure in told)


def digest(path: Path) -> bytes | None:
    """SHA-256 of a file; None if it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).digest()
    except OSError:
        return None
