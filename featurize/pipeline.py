"""From files to feature rows: one batch, a stream of batches, or a whole feature file."""

from __future__ import annotations

import csv
import hashlib
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Final, Self

from shc.featurize.batch import featurize_batch
from shc.featurize.descriptors import DESCRIPTOR_VERSION, descriptor_names
from shc.featurize.errors import ExitCode, Failure, ShcError
from shc.featurize.pool import BatchPool, default_workers
from shc.featurize.prompt import PROMPT_FIELDS, PROMPT_VERSION
from shc.featurize.stop import StopRequest
from shc.featurize.store import FeatureHeader
from shc.featurize.store_writer import FeatureWriter
from shc.featurize.structures import iter_paths, material_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from concurrent.futures import Executor
    from pathlib import Path
    from typing import TextIO

    from shc.featurize.config import FeaturizeConfig
    from shc.featurize.pool import BatchResult, Ticket
    from shc.featurize.types import CrystalRecord

BATCH_SIZE: Final = 64
"""Files handed to a process at a time."""
IN_PROCESS_BELOW: Final = 200
"""With fewer files than this, starting processes costs more than it saves."""
_REPORT_EVERY: Final = 1024


@dataclass(slots=True)
class _Batch:
    """Files to do, and what happened to the inputs between them."""

    paths: list[Path] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    n_skipped: int = 0
    records: list[CrystalRecord] = field(default_factory=list)

    def add(self, result: BatchResult) -> None:
        """Note what became of the files."""
        records, failures = result
        self.records += records
        self.failures += failures


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is."""

    n_done: int
    """Crystals written in this run."""
    n_skipped: int
    """Crystals that were done before and have not changed."""
    n_failed: int
    """Inputs that could not be used."""


@dataclass(frozen=True, slots=True)
class FeaturizeSummary:
    """What a run did."""

    output: Path
    """The feature file."""
    failures: Path
    """The failures file."""
    n_done: int
    """Crystals written in this run."""
    n_skipped: int
    """Crystals that were done before and have not changed."""
    n_failed: int
    """Inputs that could not be used."""
    seconds: float
    """Wall-clock time."""


def current_header(config: FeaturizeConfig) -> FeatureHeader:
    """The header of files that this version writes."""
    return FeatureHeader(
        config=config,
        prompt_version=PROMPT_VERSION,
        prompt_fields=tuple((name, span.start, span.stop) for name, span in PROMPT_FIELDS),
        descriptor_version=DESCRIPTOR_VERSION,
        descriptor_names=descriptor_names(),
    )


def failures_path(output: Path) -> Path:
    """Where the failures of a run that writes ``output`` are listed."""
    return output.with_name(f"{output.stem}.failures.csv")


def iter_featurized(
    sources: Sequence[str],
    config: FeaturizeConfig,
    *,
    executor: Executor | None = None,
    workers: int | None = None,
    batch_size: int = BATCH_SIZE,
    stdin: TextIO | None = None,
    stop: StopRequest | None = None,
) -> Iterator[tuple[list[CrystalRecord], list[Failure]]]:
    """Featurise files as a stream, in the order of the input; memory does not grow with their number.

    Args:
        sources: Files, folders, glob patterns, list files, ``-``; see ``iter_paths``.
        config: Parameters.
        executor: Where to run. By default few files run in this process and many in a pool of processes.
        workers: Number of processes of the default pool; one per usable core if None.
        batch_size: Files handed to a process at a time.
        stdin: What ``-`` reads.
        stop: Ends the stream early, after the batches that are already being worked on.

    Yields:
        Records and failures, batch by batch. A material id that appears a second time is a failure.
    """
    inputs = _Inputs(iter_paths(sources, stdin), None, batch_size, stop or StopRequest())
    for batch in _stream(inputs, config, executor, workers):
        yield batch.records, batch.failures


def featurize_sources(
    sources: Sequence[str],
    output: Path,
    config: FeaturizeConfig,
    *,
    overwrite: bool = False,
    executor: Executor | None = None,
    workers: int | None = None,
    batch_size: int = BATCH_SIZE,
    stdin: TextIO | None = None,
    stop: StopRequest | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> FeaturizeSummary:
    """Write or extend a feature file.

    Files whose content is in the feature file already are skipped, changed ones replace their row. Failures
    go to ``<output stem>.failures.csv``, which lists those of the last run. An interrupted run is resumed by
    the same call; nothing that was reported by ``on_progress`` is done twice.

    Args:
        sources: Files, folders, glob patterns, list files, ``-``; see ``iter_paths``.
        output: The feature file.
        config: Parameters.
        overwrite: Whether an existing feature file is replaced instead of extended.
        executor: Where to run. By default few files run in this process and many in a pool of processes.
        workers: Number of processes of the default pool; one per usable core if None.
        batch_size: Files handed to a process at a time.
        stdin: What ``-`` reads.
        stop: Ends the run early, in good order.
        on_progress: Called after each batch, once its rows are safe.

    Returns:
        Counts and paths.

    Raises:
        ShcError: No input is usable; the existing file does not fit (``BAD_FILE``); or the run was stopped
            and can be resumed (``RESUMABLE``).
    """
    start = time.perf_counter()
    stop = stop or StopRequest()
    done = skipped = failed = 0
    listing = failures_path(output)
    with FeatureWriter(output, current_header(config), overwrite=overwrite) as writer, _Log(listing) as log:

        def is_done(name: str, path: Path) -> bool:
            known = writer.done.get(name)
            return known is not None and known == _digest(path)

        inputs = _Inputs(iter_paths(sources, stdin), is_done, batch_size, stop)
        for batch in _stream(inputs, config, executor, workers):
            writer.append(batch.records)
            log.write(batch.failures)
            done += len(batch.records)
            skipped += batch.n_skipped
            failed += len(batch.failures)
            if on_progress is not None:
                on_progress(Progress(done, skipped, failed))
        if stop.requested:
            raise ShcError(
                f"stopped by {stop.reason} after {done} crystals; they are saved",
                "run the same command again to go on",
                ExitCode.RESUMABLE,
            )
        if not writer.done:
            writer.discard()
            what = f"none of the {failed} inputs could be used" if failed else "no structure file was found"
            raise ShcError(what, f"see {listing}" if failed else "name a folder or file with crystal structures")
        writer.finish()
    return FeaturizeSummary(output, listing, done, skipped, failed, time.perf_counter() - start)


def _digest(path: Path) -> bytes | None:
    try:
        return hashlib.sha256(path.read_bytes()).digest()
    except OSError:
        return None


@dataclass(slots=True)
class _Inputs:
    """Groups inputs into batches that depend on the inputs alone, not on timing or the number of workers."""

    entries: Iterator[Path | Failure]
    is_done: Callable[[str, Path], bool] | None
    batch_size: int
    stop: StopRequest
    seen: dict[str, str] = field(default_factory=dict)

    def __iter__(self) -> Iterator[_Batch]:
        batch = _Batch()
        for entry in self.entries:
            if self.stop.requested:
                return
            if isinstance(entry, Failure):
                batch.failures.append(entry)
            else:
                self._sort(entry, batch)
            if len(batch.paths) >= self.batch_size or len(batch.failures) + batch.n_skipped >= _REPORT_EVERY:
                yield batch
                batch = _Batch()
        yield batch

    def _sort(self, path: Path, batch: _Batch) -> None:
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
            if self.is_done is not None and self.is_done(name, path):
                batch.n_skipped += 1
            else:
                batch.paths.append(path)


class _Log:
    """The failures file of one run: rows appear as they happen."""

    def __init__(self, path: Path) -> None:
        """Open the file; what an earlier run wrote is dropped, for those inputs are tried again."""
        # File names need not be valid text; they are escaped rather than lost.
        self._file = path.open("w", encoding="utf-8", errors="backslashreplace", newline="")
        self._writer = csv.writer(self._file, lineterminator="\n")
        self._writer.writerow(Failure._fields)

    def write(self, failures: Iterable[Failure]) -> None:
        """Add rows that survive the death of this process."""
        self._writer.writerows(failures)
        self._file.flush()

    def __enter__(self) -> Self:
        """Return the log."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self._file.close()


def _stream(
    inputs: _Inputs, config: FeaturizeConfig, executor: Executor | None, workers: int | None
) -> Iterator[_Batch]:
    """Work on batches and return them in input order, with their records and failures."""
    batches = iter(inputs)
    head: list[_Batch] = []
    if executor is None:
        while sum(len(batch.paths) for batch in head) < IN_PROCESS_BELOW:
            batch = next(batches, None)
            if batch is None:
                yield from _in_process(head, config, inputs.stop)
                return
            head.append(batch)
    pool = BatchPool(featurize_batch, config, executor=executor, workers=workers, stop=inputs.stop)
    finished = False
    try:
        yield from _in_pool(chain(head, batches), pool, inputs.stop, (workers or default_workers()) + 2)
        finished = True
    finally:
        pool.close(at_once=not finished)


def _in_process(batches: Iterable[_Batch], config: FeaturizeConfig, stop: StopRequest) -> Iterator[_Batch]:
    for batch in batches:
        if stop.requested:
            return
        batch.add(featurize_batch(batch.paths, config))
        yield batch


def _in_pool(batches: Iterable[_Batch], pool: BatchPool, stop: StopRequest, n_ahead: int) -> Iterator[_Batch]:
    pending: deque[tuple[_Batch, Ticket | None]] = deque()
    for batch in batches:
        if stop.requested:
            break
        pending.append((batch, pool.submit(batch.paths) if batch.paths else None))
        while pending and (len(pending) > n_ahead or _is_ready(pending[0][1])):
            first, ticket = pending.popleft()
            if not _collect(first, ticket, pool):
                return
            yield first
    while pending:
        if stop.requested:
            # What has started is finished; the first batch that has not ends the run: rows stay in order.
            for _, ticket in reversed(pending):
                if ticket is not None:
                    ticket.future.cancel()
        first, ticket = pending.popleft()
        if (ticket is not None and ticket.future.cancelled()) or not _collect(first, ticket, pool):
            return
        yield first


def _is_ready(ticket: Ticket | None) -> bool:
    return ticket is None or ticket.future.done()


def _collect(batch: _Batch, ticket: Ticket | None, pool: BatchPool) -> bool:
    """Wait for a batch; False if it was lost because the run is being stopped."""
    result = ([], []) if ticket is None else pool.collect(ticket)
    if result is not None:
        batch.add(result)
    return result is not None
