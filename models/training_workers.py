"""Members of the ensemble in processes of their own, or one after the other in this one."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from shc.featurize.errors import ExitCode, ShcError
from shc.featurize.store import FeatureFile
from shc.models.member import MemberTraining, train_member
from shc.models.training_data import TrainingData, read_training_data
from shc.models.training_files import CHECKPOINT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from multiprocessing.queues import SimpleQueue
    from multiprocessing.synchronize import Event
    from pathlib import Path

    from numpy.typing import NDArray

    from shc.featurize.stop import StopRequest
    from shc.models.config import ModelConfig, TrainConfig
    from shc.models.member import EpochLog

_POLL = 0.2
_SIGNAL_GRACE = 0.5
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True, slots=True)
class MemberTask:
    """All that a process needs to train one member. It never sees a row kept for scoring."""

    features: Path
    """Feature file."""
    file_rows: NDArray[np.int64]
    """``[n]`` rows of the feature file that train and stop the members."""
    labels: NDArray[np.float64]
    """``[n]`` SHC of these rows, (hbar/e) S/cm."""
    held_out: NDArray[np.int64]
    """Indices into ``file_rows`` that this member holds out."""
    common: NDArray[np.int64]
    """Indices into ``file_rows`` that every member holds out; may be empty."""
    model: ModelConfig
    config: TrainConfig
    member: int
    device: str
    folder: Path
    """Folder of the member."""
    tokens: Path
    """File with the tokens of the pictures of these rows, if the networks read pictures."""

    @property
    def checkpoint(self) -> Path:
        """File that holds the state of the member's training."""
        return self.folder / CHECKPOINT

    @property
    def learned(self) -> NDArray[np.int64]:
        """Indices into ``file_rows`` that this member learns from."""
        return np.setdiff1d(np.arange(len(self.file_rows)), np.concatenate([self.held_out, self.common]))

    def read(self) -> TrainingData:
        """The crystals of the task."""
        return read_training_data(
            FeatureFile.open(self.features), self.file_rows, self.learned, self.model, self.tokens
        )


class Stopped(Exception):  # noqa: N818  # no error: somebody asked for it
    """Training was asked to stop; what was done is saved."""


def run_member(task: MemberTask, on_epoch: Callable[[EpochLog], None]) -> None:
    """Train a member until it is finished, from its checkpoint if there is one.

    Args:
        task: What to train on.
        on_epoch: Called after each epoch, when its checkpoint is on disk; may raise to stop.
    """
    data = task.read()
    auxiliary = data.targets if task.config.auxiliary_weight > 0 and data.targets.known.any() else None
    task.folder.mkdir(parents=True, exist_ok=True)
    with one_thread(), torch.random.fork_rng(devices=[]):
        training = MemberTraining(
            data.arrays,
            task.labels,
            task.learned,
            task.held_out,
            task.model,
            task.config,
            task.member,
            torch.device(task.device),
            auxiliary,
            data.tensors,
        )
        train_member(training, task.checkpoint, on_epoch)


def run_members(
    tasks: Sequence[MemberTask], workers: int, on_epoch: Callable[[EpochLog], None], stop: StopRequest
) -> None:
    """Train members.

    The outcome does not depend on the number of workers: a member uses one thread wherever it runs.

    Args:
        tasks: One per member.
        workers: Processes; 1 trains the members here, one after the other.
        on_epoch: Called here after each epoch of any member.
        stop: Looked at between epochs.

    Raises:
        Stopped: The stop was requested before all members were finished.
        ShcError: A process died.
    """
    if workers > 1 and len(tasks) > 1:
        _in_processes(tasks, min(workers, len(tasks)), on_epoch, stop)
        return

    def after(row: EpochLog) -> None:
        on_epoch(row)
        if stop.requested:
            raise Stopped

    for task in tasks:
        run_member(task, after)


def _in_processes(
    tasks: Sequence[MemberTask], workers: int, on_epoch: Callable[[EpochLog], None], stop: StopRequest
) -> None:
    context = multiprocessing.get_context("spawn")
    rows: SimpleQueue[EpochLog] = context.SimpleQueue()
    ending = context.Event()
    pool = ProcessPoolExecutor(workers, context, _prepare_worker, (rows, ending))
    try:
        with _single_threaded_children():
            futures = [pool.submit(_run_in_worker, task) for task in tasks]
        _follow(futures, rows, ending, on_epoch, stop)
    except BaseException:
        # Nothing is lost but the epochs under way: each finished one lies in a checkpoint.
        _kill(pool)
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _follow(
    futures: Sequence[Future[bool]],
    rows: SimpleQueue[EpochLog],
    ending: Event,
    on_epoch: Callable[[EpochLog], None],
    stop: StopRequest,
) -> None:
    """Hand on what the processes report until all are done."""
    running = set(futures)
    finished = True
    while running:
        done, running = wait(running, timeout=_POLL)
        if stop.requested:
            ending.set()
        while not rows.empty():
            on_epoch(rows.get())
        finished &= all(_outcome(future, stop) for future in done)
    if not finished:
        raise Stopped


def _outcome(future: Future[bool], stop: StopRequest) -> bool:
    """Whether a member was finished rather than stopped."""
    try:
        return future.result()
    except BrokenExecutor as error:
        # A batch system may signal the processes before this one.
        time.sleep(_SIGNAL_GRACE)
        if stop.requested:
            raise Stopped from error
        raise ShcError(
            "a training process died", "give it more memory or fewer --workers; the same command resumes"
        ) from error


_rows: SimpleQueue[EpochLog] | None = None
_ending: Event | None = None


def _prepare_worker(rows: SimpleQueue[EpochLog], ending: Event) -> None:
    """Set up a process: Ctrl-C and SIGUSR1 are for the parent; SIGTERM stays, the pool uses it."""
    global _rows, _ending  # the way to hand a queue to the tasks of a pool
    _rows, _ending = rows, ending
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    # A spawned process does not notice by itself that its parent was killed.
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _run_in_worker(task: MemberTask) -> bool:
    """Train a member in a process of the pool; False if it was stopped."""
    rows, ending = _rows, _ending
    if rows is None or ending is None:
        raise RuntimeError("the process was not prepared")

    def after(row: EpochLog) -> None:
        rows.put(row)
        if ending.is_set():
            raise Stopped

    if ending.is_set():
        return False
    try:
        run_member(task, after)
    except Stopped:
        return False
    return True


def _kill(pool: ProcessPoolExecutor) -> None:
    # No public way before Python 3.14 (kill_workers).
    for process in list((getattr(pool, "_processes", None) or {}).values()):
        process.kill()


@contextmanager
def _single_threaded_children() -> Iterator[None]:
    """Let processes started meanwhile use one thread each: together they fill the cores."""
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


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread for torch: sums are then taken in the same order on every machine with the same kernels."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def default_workers(device: torch.device) -> int:
    """Processes to use: one per usable core on the CPU, one on a GPU."""
    return len(os.sched_getaffinity(0)) if device.type == "cpu" else 1


def stopped_error(output: Path, reason: str) -> ShcError:
    """The error that ends a run that was asked to stop."""
    return ShcError(
        f"stopped by {reason or 'request'}; every finished epoch is saved in {output}",
        "the same command resumes",
        ExitCode.RESUMABLE,
    )
