"""Running batches of files on an executor so that no file can stop the others.

Any ``concurrent.futures.Executor`` will do. A worker that dies or hangs takes its batch with it; that batch
is run again away from the others, then file by file, until the culprit stands alone.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from shc.featurize.errors import Failure
from shc.featurize.stop import StopRequest
from shc.featurize.types import CrystalRecord

R = TypeVar("R")
Result = tuple[list[R], list[Failure]]
"""What a batch of files gives, and the files that gave nothing."""
BatchResult = Result[CrystalRecord]
Task = Callable[[Sequence[Path]], BatchResult]

FILE_TIMEOUT = 120.0
"""Seconds after which one file alone in a process is given up."""
_BATCH_TIMEOUT_FACTOR = 5
_SIGNAL_GRACE = 0.3
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def default_workers() -> int:
    """Number of cores this process may use."""
    return len(os.sched_getaffinity(0))


@dataclass(frozen=True, slots=True)
class Ticket(Generic[R]):
    """A batch on its way."""

    paths: Sequence[Path]
    future: Future[Result[R]]
    executor: Executor


class BatchPool(Generic[R]):
    """Runs one task on batches of files and survives what they do to its processes.

    Args:
        task: What to do with a batch; an importable function or a ``functools.partial`` of one with its
            parameters, so that other processes find it.
        task_for: Makes the task of a batch out of its files, where it needs parameters of these alone; called here.
        executor: Where to run; by default a pool of spawned processes with one thread each.
        workers: Number of processes of the default pool.
        stop: Raised when the run should end; a broken pool is then not mended.
        file_timeout: Seconds one file may take; enforced only in processes started here.
    """

    def __init__(
        self,
        task: Callable[[Sequence[Path]], Result[R]],
        *,
        task_for: Callable[[Sequence[Path]], Callable[[Sequence[Path]], Result[R]]] | None = None,
        executor: Executor | None = None,
        workers: int | None = None,
        stop: StopRequest | None = None,
        file_timeout: float = FILE_TIMEOUT,
    ) -> None:
        """Start nothing yet; processes are started by the first batch."""
        self._task_for = task_for or (lambda _paths: task)
        self._workers = workers or default_workers()
        self._stop = stop or StopRequest()
        self._file_timeout = file_timeout
        self._own: list[ProcessPoolExecutor] = []
        self._executor = executor
        self._spare: ProcessPoolExecutor | None = None

    def submit(self, paths: Sequence[Path]) -> Ticket[R]:
        """Hand in a batch."""
        if self._executor is None:
            self._executor = self._start(self._workers)
        try:
            with _single_threaded():
                future = self._executor.submit(self._task_for(paths), paths)
        except BrokenExecutor as error:
            # The pool broke under an earlier batch that is not collected yet.
            future = Future()
            future.set_exception(error)
        return Ticket(paths, future, self._executor)

    def collect(self, ticket: Ticket[R]) -> Result[R] | None:
        """Wait for a batch; None if it was lost because the run is being stopped."""
        limit = None
        if ticket.executor in self._own:
            limit = self._limit(ticket.paths)
        try:
            return ticket.future.result(limit)
        except BrokenExecutor:
            # A batch system may signal the workers too; give the signal time to reach this process.
            time.sleep(_SIGNAL_GRACE)
            if self._stop.requested:
                return None
            self._abandon(ticket.executor)
            return self._alone(ticket.paths)
        except TimeoutError:
            self._abandon(ticket.executor)
            if len(ticket.paths) == 1:
                return [], [self._too_slow(ticket.paths[0])]
            return self._one_by_one(ticket.paths)

    def close(self, *, at_once: bool) -> None:
        """End the processes started here.

        Args:
            at_once: Kill them instead of letting them finish what they do.
        """
        for pool in self._own:
            if at_once:
                _kill(pool)
            pool.shutdown(wait=True, cancel_futures=True)
        self._own = []

    def _start(self, workers: int) -> ProcessPoolExecutor:
        pool = ProcessPoolExecutor(
            workers, mp_context=multiprocessing.get_context("spawn"), initializer=_prepare_worker
        )
        self._own.append(pool)
        return pool

    def _abandon(self, executor: Executor) -> None:
        """Stop using a broken executor; the next batch starts a new pool."""
        if executor is self._executor:
            self._executor = None
        if executor in self._own and isinstance(executor, ProcessPoolExecutor):
            self._own.remove(executor)
            _kill(executor)
            executor.shutdown(wait=True, cancel_futures=True)

    def _alone(self, paths: Sequence[Path]) -> Result[R] | None:
        """Run a batch that may be innocent in a process of its own."""
        try:
            return self._in_spare(paths, self._limit(paths))
        except (BrokenExecutor, TimeoutError):
            return self._one_by_one(paths)

    def _one_by_one(self, paths: Sequence[Path]) -> Result[R] | None:
        records: list[R] = []
        failures: list[Failure] = []
        for path in paths:
            if self._stop.requested:
                return None
            try:
                done, failed = self._in_spare([path], self._file_timeout)
            except BrokenExecutor:
                failures.append(_failure(path, "the process that read this file died"))
            except TimeoutError:
                failures.append(self._too_slow(path))
            else:
                records += done
                failures += failed
        return records, failures

    def _limit(self, paths: Sequence[Path]) -> float:
        """Seconds a batch may take: files of one batch rarely need their full time all together."""
        return min(len(paths), _BATCH_TIMEOUT_FACTOR) * self._file_timeout

    def _too_slow(self, path: Path) -> Failure:
        return _failure(path, f"not done after {self._file_timeout:g} s")

    def _in_spare(self, paths: Sequence[Path], limit: float) -> Result[R]:
        if self._spare is None:
            self._spare = self._start(1)
        spare = self._spare
        try:
            with _single_threaded():
                return spare.submit(self._task_for(paths), paths).result(limit)
        except (BrokenExecutor, TimeoutError):
            self._spare = None
            self._abandon(spare)
            raise


def _failure(path: Path, error: str) -> Failure:
    return Failure(str(path), "worker", error, "look at this file alone; it may need too much memory or time")


def _kill(pool: ProcessPoolExecutor) -> None:
    # No public way before Python 3.14 (kill_workers).
    processes = getattr(pool, "_processes", None) or {}
    for process in list(processes.values()):
        process.kill()


@contextmanager
def _single_threaded() -> Iterator[None]:
    """Let processes started meanwhile use one thread each: the pool itself fills the cores."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _prepare_worker() -> None:
    # Ctrl-C and SIGUSR1 are for the parent, which lets batches finish. SIGTERM stays: the pool uses it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    # A spawned worker does not notice by itself that its parent was killed.
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
