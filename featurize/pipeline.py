"""From files to feature rows: one batch, a stream of batches, or a whole feature file."""

from __future__ import annotations

import time
from collections import Counter, deque
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Final

from shc.featurize.band_image.codec import FASTEST, SMALLEST
from shc.featurize.band_image.codec import counts as picture_counts
from shc.featurize.band_image.run import (
    NORMALISER_VERSION,
    RunPictures,
    failures_of,
    featurize_with_pictures,
    stamp,
)
from shc.featurize.batch import featurize_batch
from shc.featurize.config import BANDS_AUTO, BANDS_NONE
from shc.featurize.descriptors import DESCRIPTOR_VERSION, descriptor_names
from shc.featurize.electronic.record import ENGINE_VERSION
from shc.featurize.electronic.run import BandsOutput, featurize_with_bands, file_timeout
from shc.featurize.errors import ExitCode, Failure, ShcError, counted, nothing_usable
from shc.featurize.failure_log import FailureLog
from shc.featurize.inputs import Batch, Inputs, digest
from shc.featurize.pool import FILE_TIMEOUT, BatchPool, default_workers
from shc.featurize.prompt import PROMPT_FIELDS, PROMPT_VERSION
from shc.featurize.standard_frame import FRAME_VERSION
from shc.featurize.stop import StopRequest
from shc.featurize.store import FeatureHeader
from shc.featurize.store_writer import FeatureWriter
from shc.featurize.structures import iter_paths, material_id
from shc.featurize.writing import writing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from concurrent.futures import Executor
    from pathlib import Path
    from typing import TextIO

    from shc.featurize.config import FeaturizeConfig
    from shc.featurize.pool import Task, Ticket
    from shc.featurize.types import CrystalRecord

NO_PICTURES: Final = RunPictures(())
"""No folder of pictures was named."""
BATCH_SIZE: Final = 64
"""Files handed to a process at a time."""
IN_PROCESS_BELOW: Final = 200
"""With fewer files than this, starting processes costs more than it saves."""
BANDS_IN_PROCESS_BELOW: Final = 2
"""The same if the electronic structure is computed, a second or so per file; a batch is one file then."""


@dataclass(frozen=True, slots=True)
class _Work:
    """What is done with batches of files, and how large they are."""

    task: Task
    batch_size: int
    in_process_below: int
    file_timeout: float
    config: FeaturizeConfig
    pictures: RunPictures
    picture_level: int = SMALLEST

    @classmethod
    def of(
        cls,
        config: FeaturizeConfig,
        bands: BandsOutput | None,
        pictures: RunPictures,
        batch_size: int | None,
        *,
        frames: bool = True,
    ) -> _Work:
        """The work that parameters ask for.

        Raises:
            ShcError: The bands are neither ``auto`` nor ``none``.
        """
        if config.bands == BANDS_NONE:
            task = partial(featurize_batch, config=config, frames=frames)
            return cls(task, batch_size or BATCH_SIZE, IN_PROCESS_BELOW, FILE_TIMEOUT, config, pictures)
        if config.bands == BANDS_AUTO:
            task = partial(featurize_with_bands, config=config, output=bands or BandsOutput())
            return cls(task, batch_size or 1, BANDS_IN_PROCESS_BELOW, file_timeout(config), config, pictures)
        raise ShcError(f"bands {config.bands!r} are unknown", f"choose {BANDS_AUTO} or {BANDS_NONE}", ExitCode.USAGE)

    def task_for(self, paths: Sequence[Path]) -> Task:
        """The task of a batch: it takes along the names of its pictures, not those of the whole run."""
        if not self.config.pictures:
            return self.task
        files = {name: found for path in paths if (found := self.pictures.of(name := material_id(path)))}
        return partial(
            featurize_with_pictures, task=self.task, files=files, n_styles=self.config.styles, level=self.picture_level
        )


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
    n_without_bands: int
    """Crystals written in this run or skipped by it whose bands failed; they are listed among the failures."""
    n_pictures: int
    """Pictures stored in this run, drawn ones included."""
    n_bad_pictures: int
    """Pictures of crystals written in this run or skipped by it that cannot be used; they are listed too."""
    n_unmatched: int
    """Pictures that show no crystal of the run, and lines of ``bands.csv`` without a picture; they are listed too."""
    n_dropped: int
    """Crystals that were in the file and are not any more, for their input has changed and cannot be used now."""
    first_failure: Failure | None
    """The first row of the failures file."""
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
        frame_version=FRAME_VERSION,
        bands_version=0 if config.bands == BANDS_NONE else ENGINE_VERSION,
        pictures_version=NORMALISER_VERSION if config.pictures else 0,
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
    batch_size: int | None = None,
    bands: BandsOutput | None = None,
    pictures: RunPictures = NO_PICTURES,
    frames: bool = True,
    stdin: TextIO | None = None,
    stop: StopRequest | None = None,
) -> Iterator[tuple[list[CrystalRecord], list[Failure]]]:
    """Featurise files as a stream, in the order of the input; memory does not grow with their number.

    Args:
        sources: Files, folders, glob patterns, list files, ``-``; see ``iter_paths``.
        config: Parameters.
        executor: Where to run. By default few files run in this process and many in a pool of processes.
        workers: Number of processes of the default pool; one per usable core if None.
        batch_size: Files handed to a process at a time; by default some tens, or one if bands are computed.
        bands: Cache of the bands and what to draw of them, if ``config.bands`` is ``auto``.
        pictures: Pictures of the crystals, read if ``config.pictures`` says so.
        frames: Whether records say how crystals lie in space; those with computed bands always do.
        stdin: What ``-`` reads.
        stop: Ends the stream early, after the batches that are already being worked on.

    Yields:
        Records and failures, batch by batch. A material id that appears a second time is a failure.
    """
    work = replace(_Work.of(config, bands, pictures, batch_size, frames=frames), picture_level=FASTEST)
    inputs = Inputs(iter_paths(sources, stdin), None, work.batch_size, stop or StopRequest())
    for batch in _stream(inputs, work, executor, workers):
        yield batch.records, batch.failures


def featurize_sources(
    sources: Sequence[str],
    output: Path,
    config: FeaturizeConfig,
    *,
    overwrite: bool = False,
    executor: Executor | None = None,
    workers: int | None = None,
    batch_size: int | None = None,
    bands: BandsOutput | None = None,
    pictures: RunPictures = NO_PICTURES,
    stdin: TextIO | None = None,
    stop: StopRequest | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> FeaturizeSummary:
    """Write or extend a feature file.

    Files whose content is in the feature file already are skipped, changed ones and those with new, changed or
    missing pictures replace their row, and those that have become unusable lose it, unless no input of the run is
    usable. Failures go to ``<output stem>.failures.csv``, which lists those of the last run, the crystals it
    skipped that have no bands, and pictures of these that cannot be used. An interrupted run is resumed by the same
    call; nothing that was reported by ``on_progress`` is done twice.

    Args:
        sources: Files, folders, glob patterns, list files, ``-``; see ``iter_paths``.
        output: The feature file.
        config: Parameters.
        overwrite: Whether an existing feature file is replaced instead of extended.
        executor: Where to run. By default few files run in this process and many in a pool of processes.
        workers: Number of processes of the default pool; one per usable core if None.
        batch_size: Files handed to a process at a time; by default some tens, or one if bands are computed.
        bands: Cache of the bands and what to draw of them, if ``config.bands`` is ``auto``.
        pictures: Pictures of the crystals, read if ``config.pictures`` says so.
        stdin: What ``-`` reads.
        stop: Ends the run early, in good order.
        on_progress: Called after each batch, once its rows are safe.

    Returns:
        Counts and paths.

    Raises:
        ShcError: No input is usable; the existing file does not fit (``BAD_FILE``); the output cannot be written
            (``USAGE``); or the run was stopped and can be resumed (``RESUMABLE``).
    """
    start = time.perf_counter()
    stop = stop or StopRequest()
    work = _Work.of(config, bands, pictures, batch_size)
    counts: Counter[str] = Counter()
    listing = failures_path(output)
    with FeatureWriter(output, current_header(config), overwrite=overwrite) as writer, FailureLog(listing) as log:
        unmatched = pictures.failures()
        log.write(unmatched)
        is_done = _known_to(writer, log, bands, pictures)
        inputs = Inputs(iter_paths(sources, stdin), is_done, work.batch_size, stop)
        lost: set[str] = set()
        for batch in _stream(inputs, work, executor, workers):
            writer.append(batch.records)
            log.write(batch.failures)
            lost |= {name for name, path in batch.unusable.items() if _is_stale(name, path, writer)}
            counts.update(
                done=len(batch.records),
                skipped=batch.n_skipped,
                failed=batch.n_failed,
                without_bands=batch.n_without_bands,
                pictures=sum(picture_counts(record.pictures).n_pictures for record in batch.records),
                bad_pictures=batch.n_bad_pictures,
            )
            if on_progress is not None:
                on_progress(Progress(counts["done"], counts["skipped"], counts["failed"]))
        _check_outcome(writer, counts, stop, log)
        if counts["done"] + counts["skipped"]:
            counts["dropped"] = _drop(lost, writer, bands)
        writer.finish()
    return FeaturizeSummary(
        output=output,
        failures=listing,
        n_done=counts["done"],
        n_skipped=counts["skipped"],
        n_failed=counts["failed"],
        n_without_bands=counts["without_bands"],
        n_pictures=counts["pictures"],
        n_bad_pictures=counts["bad_pictures"],
        n_unmatched=len(unmatched),
        n_dropped=counts["dropped"],
        first_failure=log.first,
        seconds=time.perf_counter() - start,
    )


def _known_to(
    writer: FeatureWriter, log: FailureLog, bands: BandsOutput | None, pictures: RunPictures
) -> Callable[[str, Path], list[Failure] | None]:
    """Tells which files need no work: content and pictures are known, and what is to be drawn of them is there."""

    def is_done(name: str, path: Path) -> list[Failure] | None:
        if name not in writer.done or _is_stale(name, path, writer) or not (bands is None or bands.is_drawn(name)):
            return None
        told = [log.why_no_bands(path)] if name in writer.without_bands else []
        if not writer.header.has_pictures:
            return told
        files = pictures.of(name)
        if stamp(files) != writer.stamps[name]:
            return None
        return told + failures_of(files, writer.bad_pictures.get(name, ()))

    return is_done


def _is_stale(name: str, path: Path, writer: FeatureWriter) -> bool:
    """Whether a file is not the one any more that the row of a crystal came from."""
    return name in writer.done and writer.done[name] != digest(path)


def _drop(lost: set[str], writer: FeatureWriter, bands: BandsOutput | None) -> int:
    """Take crystals out of the feature file, and away what was drawn of them."""
    for drawing in () if bands is None else (path for name in lost for path in bands.drawings(name)):
        with writing(drawing):
            drawing.unlink(missing_ok=True)
    return writer.drop(lost)


def _check_outcome(writer: FeatureWriter, counts: Counter[str], stop: StopRequest, log: FailureLog) -> None:
    if stop.requested:
        raise ShcError(
            f"stopped by {stop.reason} after {counted(counts['done'], 'crystal')}; what is done is saved",
            "run the same command again to go on",
            ExitCode.RESUMABLE,
        )
    if not writer.done:
        writer.discard()
        raise nothing_usable(counts["failed"], log.first, log.path)


def _stream(inputs: Inputs, work: _Work, executor: Executor | None, workers: int | None) -> Iterator[Batch]:
    """Work on batches and return them in input order, with their records and failures."""
    batches = iter(inputs)
    head: list[Batch] = []
    if executor is None:
        while sum(len(batch.paths) for batch in head) < work.in_process_below:
            batch = next(batches, None)
            if batch is None:
                yield from _in_process(head, work, inputs.stop)
                return
            head.append(batch)
    pool = BatchPool(
        work.task,
        task_for=work.task_for,
        executor=executor,
        workers=workers,
        stop=inputs.stop,
        file_timeout=work.file_timeout,
    )
    finished = False
    try:
        yield from _in_pool(chain(head, batches), pool, inputs.stop, (workers or default_workers()) + 2)
        finished = True
    finally:
        pool.close(at_once=not finished)


def _in_process(batches: Iterable[Batch], work: _Work, stop: StopRequest) -> Iterator[Batch]:
    for batch in batches:
        if stop.requested:
            return
        batch.add(work.task_for(batch.paths)(batch.paths))
        yield batch


def _in_pool(
    batches: Iterable[Batch], pool: BatchPool[CrystalRecord], stop: StopRequest, n_ahead: int
) -> Iterator[Batch]:
    pending: deque[tuple[Batch, Ticket[CrystalRecord] | None]] = deque()
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


def _is_ready(ticket: Ticket[CrystalRecord] | None) -> bool:
    return ticket is None or ticket.future.done()


def _collect(batch: Batch, ticket: Ticket[CrystalRecord] | None, pool: BatchPool[CrystalRecord]) -> bool:
    """Wait for a batch; False if it was lost because the run is being stopped."""
    result = ([], []) if ticket is None else pool.collect(ticket)
    if result is not None:
        batch.add(result)
    return result is not None
