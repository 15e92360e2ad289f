"""Where the time of a run goes: timers around the functions that the program itself calls, in all its processes."""

from __future__ import annotations

import atexit
import functools
import json
import os
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

READING: Final = "reading, symmetry"
GRAPHS: Final = "graphs, descriptors"
PICTURES: Final = "pictures"
NETWORK: Final = "network"
STAGES: Final = (READING, GRAPHS, PICTURES, NETWORK)


@dataclass
class Stages:
    """Processor seconds of each stage in this process."""

    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))

    def timed(self, function: Callable[..., Any], stage: str) -> Callable[..., Any]:
        """The same function, counted for a stage."""

        @functools.wraps(function)
        def counted(*args: Any, **options: Any) -> Any:  # noqa: ANN401 (any function)
            start = time.process_time()
            try:
                return function(*args, **options)
            finally:
                self.seconds[stage] += time.process_time() - start

        return counted

    def wrap(self, owner: Any, names: tuple[str, ...], stage: str) -> None:  # noqa: ANN401 (a module or a class)
        """Count functions of a module or class for a stage; the program looks them up there at every call."""
        for name in names:
            setattr(owner, name, self.timed(getattr(owner, name), stage))

    def wrap_featurisation(self) -> None:
        """Count the stages before the network."""
        from shc.featurize import batch
        from shc.featurize.band_image import run

        self.wrap(batch, ("read_with_hash", "reduce_crystal", "standard_rotation", "symmetry_prompt"), READING)
        self.wrap(batch, ("build_graphs", "descriptors"), GRAPHS)
        self.wrap(run, ("read_pictures", "encode"), PICTURES)

    def wrap_network(self) -> None:
        """Count the networks, with dense batches and the encoder of pictures, and the unpacking of pictures."""
        from shc.models import inference, windows

        self.wrap(windows, ("decode",), PICTURES)
        self.wrap(inference.Predictor, ("distributions",), NETWORK)


@dataclass(frozen=True)
class WorkerReport:
    """What a process of the program's own pool tells when it ends."""

    start_up: float
    """Seconds by the clock before its first batch: imports and a warm-up."""
    used: float
    """Processor seconds since then."""
    stages: dict[str, float]
    """Those of each stage."""
    memory: float
    """Peak memory, MB."""


def report_at_exit(folder: Path, warm_up: Callable[[], object]) -> None:
    """Warm up a process of the pool, count its stages from then on, and let it tell when it ends.

    Args:
        folder: Where the report goes.
        warm_up: Featurises some crystals.
    """
    warm_up()
    stages = Stages()
    stages.wrap_featurisation()
    start, age = time.process_time(), _age()

    def tell() -> None:
        report = WorkerReport(age, time.process_time() - start, stages.seconds, peak_memory())
        (folder / f"{os.getpid()}.json").write_text(json.dumps(asdict(report)))

    atexit.register(tell)


def worker_reports(folder: Path) -> list[WorkerReport]:
    """What the processes of the pool told."""
    return [WorkerReport(**json.loads(path.read_text())) for path in sorted(folder.glob("*.json"))]


def peak_memory() -> float:
    """Peak memory of this process, MB; that of ``getrusage`` would begin with the peak of the parent process."""
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024


def _age() -> float:
    """Seconds since this process was started."""
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
