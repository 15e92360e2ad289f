"""One line of the table of ``end_to_end.py``: a process that predicts some crystals and prints what it took as JSON.

Usage: python benchmarks/end_to_end_run.py JOB.json, which ``end_to_end.py`` does.
"""

from __future__ import annotations

import json
import os
import sys
import time
import warnings
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from stage_timers import GRAPHS, NETWORK, Stages, peak_memory, report_at_exit, worker_reports

if TYPE_CHECKING:
    from peers import Peer

    from shc.featurize.band_image.run import RunPictures
    from shc.featurize.config import FeaturizeConfig
    from shc.models.inference import Predictor

OURS = "shc"


@dataclass(frozen=True)
class Job:
    """What a process does."""

    program: str
    """``shc`` or a peer."""
    backend: str
    """Back end of the networks of ``shc``."""
    pictures: str
    """Folder of band pictures; empty to leave them out."""
    files: tuple[str, ...]
    """The crystals."""
    warm: tuple[str, ...]
    """Those of the warm-up."""
    core: int
    """The core it may use."""
    folder: str
    """Empty folder for what its processes tell."""


@dataclass(frozen=True)
class Outcome:
    """What it took."""

    n: int
    """Crystals predicted."""
    n_failed: int
    """Failures, those of pictures included."""
    seconds: float
    """Processor time of all processes, their start and end left out."""
    clock: float
    """Time that passed."""
    stages: dict[str, float]
    """Processor seconds of each stage."""
    memory: float
    """Peak memory of this process, MB."""
    worker_memory: float
    """Peak memory of the pool's process, MB; 0 if none was started."""


def predictor(backend: str) -> Predictor:
    """The shipped model on a back end."""
    from shc.models.inference import load_predictor

    return load_predictor(device="cpu", backend=backend)


def _matched(job: Job, files: tuple[str, ...], config: FeaturizeConfig) -> RunPictures | None:
    """The pictures of some crystals."""
    from shc.featurize.band_image.run import match_files

    return match_files([Path(job.pictures)], None, map(Path, files), config) if job.pictures else None


def _predict(engine: Predictor, job: Job, files: tuple[str, ...], name: str) -> tuple[int, int]:
    """Numbers of predictions and failures."""
    listing = Path(job.folder) / f"{name}.txt"
    listing.write_text("\n".join(files))
    pictures = _matched(job, files, engine.ensemble.card.features)
    stream = [
        (len(p.predictions), len(p.failures)) for p in engine.iter_sources([str(listing)], workers=1, pictures=pictures)
    ]
    done, failed = zip(*stream, strict=True)
    return sum(done), sum(failed)


def run_ours(job: Job) -> Outcome:
    """Predict with ``shc``."""
    engine = predictor(job.backend)
    _predict(engine, job, job.warm, "warm")
    stages = Stages()
    stages.wrap_featurisation()
    stages.wrap_network()
    start, clock = time.process_time(), time.perf_counter()
    n, n_failed = _predict(engine, job, job.files, "files")
    seconds, clock = time.process_time() - start, time.perf_counter() - clock
    workers = worker_reports(Path(job.folder))
    for worker in workers:
        seconds += worker.used
        clock -= worker.start_up
        for stage, value in worker.stages.items():
            stages.seconds[stage] += value
    worker_memory = max((worker.memory for worker in workers), default=0.0)
    return Outcome(n, n_failed, seconds, clock, stages.seconds, peak_memory(), worker_memory)


def run_peer(job: Job) -> Outcome:
    """Predict with another program."""
    from peers import load_peer

    peer = load_peer(job.program)
    _run(peer, job.warm, Stages())
    stages = Stages()
    start, clock = time.process_time(), time.perf_counter()
    n = _run(peer, job.files, stages)
    seconds, clock = time.process_time() - start, time.perf_counter() - clock
    return Outcome(n, len(job.files) - n, seconds, clock, stages.seconds, peak_memory(), 0.0)


def _run(peer: Peer, files: tuple[str, ...], stages: Stages) -> int:
    """Number of crystals predicted."""
    prepare, predict = stages.timed(peer.prepare, GRAPHS), stages.timed(peer.predict, NETWORK)
    n = 0
    for start in range(0, len(files), peer.batch_size):
        graphs = []
        for file in files[start : start + peer.batch_size]:
            try:
                graphs.append(prepare(file))
            except Exception as error:  # noqa: BLE001  (counted; some crystals are beyond some programs)
                print(f"{file}: {error}", file=sys.stderr)
        n += len(predict(graphs)) if graphs else 0
    return n


def _prepare_worker(job: Job) -> None:
    """Called in the process that the pipeline starts: warm it up and let it tell."""
    from shc.featurize.config import FeaturizeConfig
    from shc.featurize.pipeline import NO_PICTURES, iter_featurized

    config = replace(FeaturizeConfig(), pictures=bool(job.pictures), styles=0)
    pictures = _matched(job, job.warm, config) or NO_PICTURES
    report_at_exit(Path(job.folder), lambda: list(iter_featurized(job.warm, config, workers=1, pictures=pictures)))


def _read_job() -> Job:
    job = json.loads(Path(sys.argv[1]).read_text())
    return Job(**{**job, "files": tuple(job["files"]), "warm": tuple(job["warm"])})


def main() -> None:
    """Do a job and print what it took, or why it cannot be done."""
    job = _read_job()
    os.sched_setaffinity(0, {job.core})
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    warnings.simplefilter("ignore")
    try:
        outcome = asdict(run_ours(job) if job.program == OURS else run_peer(job))
    except ImportError as error:
        outcome = {"reason": f"not installed: {error}"}
    except Exception as error:  # noqa: BLE001  (the other lines of the table are still wanted)
        outcome = {"reason": f"not run: {type(error).__name__}: {error}"}
    print(f"\n{json.dumps(outcome)}")


if __name__ == "__main__":
    main()
elif __name__ == "__mp_main__":
    _prepare_worker(_read_job())
