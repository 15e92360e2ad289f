"""From a folder of CIF files to predictions: crystals per second and memory, ours and other programs, one core.

    python benchmarks/end_to_end.py --cifs FOLDER [--sizes 100,1000,8313] [--backends eager,openvino]
        [--pictures FOLDER] [--peers cgcnn,matgl,alignn] [--peer-limit 1000] [--repeats 1] [--seed 0] [--core N]

Every line of the table is a fresh process that may use one core only, as may all that it starts; libraries use one
thread. Start-up does not count: imports, weights, and a warm-up with 20 other crystals, also in the process that our
pipeline starts from 200 files on. (If all files of the folder are wanted, the 20 are among them.) Nothing is cached.

Times are processor times of all processes together, which other users of the machine inflate little; "clock" is the
time that passed. "CGCNN / this" is the time of CGCNN's data preparation and network over that of the line, for the same
crystals. Our stages are timed around the functions that the pipeline calls. Of a peer, "graphs" is all that it does
file by file before the network; MatGL and ALIGNN make their graphs in what counts as network. CGCNN runs at every
size, the other peers (``peers.py``) up to ``--peer-limit`` crystals. With ``--pictures`` the crystals that have a band
picture of their name are predicted without and with it as well.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from end_to_end_run import OURS, Job, Outcome
from stage_timers import PICTURES, STAGES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CGCNN: Final = "cgcnn"
N_WARM: Final = 20
TARGET_RATIO: Final = 10.0
TARGET_PICTURES: Final = 40.0
RUN: Final = Path(__file__).with_name("end_to_end_run.py")
HEADER: Final = (
    "crystals", "program", "CGCNN / this", "crystals/s", "ms per crystal", "clock", *STAGES, "rest", "MB", "MB worker",
    "failures",
)  # fmt: skip


def draw(files: Sequence[Path], sizes: Sequence[int], seed: int) -> tuple[list[list[str]], list[str]]:
    """Crystals of each size, the smaller ones among the larger, and those of the warm-up.

    A size beyond the number of files means all of them; of equal sizes one is kept.
    """
    order = [str(files[i]) for i in np.random.default_rng(seed).permutation(len(files))]
    return [order[:n] for n in sorted({min(size, len(order)) for size in sizes})], order[-N_WARM:]


def perform(job: Job) -> Outcome | str:
    """Do a job in a fresh process; a text says why it cannot be done."""
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
    with tempfile.TemporaryDirectory() as name:
        told = Path(name) / "told"
        told.mkdir()
        description = Path(name) / "job.json"
        description.write_text(json.dumps({**asdict(job), "folder": str(told)}))
        command = [sys.executable, str(RUN), str(description)]
        done = subprocess.run(command, env={**os.environ, **one}, capture_output=True, text=True, check=False)
    if done.returncode:
        return f"not run: exit code {done.returncode}: {_short(done.stderr[-200:])}"
    outcome = json.loads(done.stdout.splitlines()[-1])
    return _short(outcome["reason"]) if "reason" in outcome else Outcome(**outcome)


def _short(text: str) -> str:
    """What fits a cell of the table."""
    return " ".join(text.replace("|", "/").split())[:200]


def measure(jobs: Sequence[Job], repeats: int) -> list[Outcome | str]:
    """The median run of each job; repetitions take turns."""
    runs = [[outcome] for outcome in map(perform, jobs)]
    for _ in range(repeats - 1):
        for job, found in zip(jobs, runs, strict=True):
            if isinstance(found[0], Outcome):
                found.append(perform(job))
    return [median(found) for found in runs]


def median(runs: Sequence[Outcome | str]) -> Outcome | str:
    """The run of median processor time, or why there is none."""
    good = sorted((run for run in runs if isinstance(run, Outcome)), key=lambda run: run.seconds)
    return good[(len(good) - 1) // 2] if good else runs[0]


def row(job: Job, outcome: Outcome | str, reference: Outcome | None) -> list[str]:
    """A line of the table, ``reference`` being CGCNN on the same crystals."""
    name = f"{job.program} {job.backend}".strip() + (", pictures" if job.pictures else "")
    if isinstance(outcome, str):
        return [str(len(job.files)), name, outcome, *[""] * (len(HEADER) - 3)]
    each = outcome.seconds / max(outcome.n, 1)
    rest = outcome.seconds - sum(outcome.stages.values())
    shares = [f"{100.0 * value / outcome.seconds:.0f} %" for value in (*outcome.stages.values(), rest)]
    return [
        str(len(job.files)),
        name,
        "" if reference is None else f"{reference.seconds / reference.n / each:.1f}",
        f"{1.0 / each:.0f}",
        f"{1e3 * each:.2f}",
        f"{1e3 * outcome.clock / max(outcome.n, 1):.2f}",
        *shares,
        f"{outcome.memory:.0f}",
        f"{outcome.worker_memory:.0f}" if outcome.worker_memory else "",
        str(outcome.n_failed),
    ]


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """A table whose first row is the header."""
    lines = [f"| {' | '.join(cells)} |" for cells in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def blocks(options: argparse.Namespace) -> Iterator[list[Job]]:
    """Jobs on the same crystals, block by block."""
    files = sorted(options.cifs.glob("*.cif"))
    core = max(os.sched_getaffinity(0)) if options.core is None else options.core
    sizes, warm = draw(files, options.sizes, options.seed)
    for chosen in sizes:
        peers = [peer for peer in options.peers if peer == CGCNN or len(chosen) <= options.peer_limit]
        programs = [(OURS, backend) for backend in options.backends] + [(peer, "") for peer in peers]
        yield [Job(name, backend, "", tuple(chosen), tuple(warm), core, "") for name, backend in programs]
    if options.pictures is not None:
        names = {picture.stem for picture in options.pictures.iterdir()}
        sizes, warm = draw([file for file in files if file.stem in names], options.sizes, options.seed)
        for chosen in sizes:
            yield [
                Job(OURS, backend, folder, tuple(chosen), tuple(warm), core, "")
                for backend in options.backends
                for folder in ("", str(options.pictures))
            ]


def verdicts(jobs: Sequence[Job], outcomes: Sequence[Outcome | str]) -> Iterator[str]:
    """What the pictures of a block cost; ``jobs`` without and with pictures follow each other."""
    for job, plain, shown in zip(jobs[1::2], outcomes[::2], outcomes[1::2], strict=True):
        if job.pictures and isinstance(plain, Outcome) and isinstance(shown, Outcome):
            extra = 1e3 * (shown.seconds / shown.n - plain.seconds / plain.n)
            decoding = 1e3 * shown.stages[PICTURES] / shown.n
            yield (
                f"{job.backend}, {len(job.files)} crystals: pictures cost {extra:.1f} ms per crystal on top, "
                f"{decoding:.1f} of them to decode and normalise (at most: {TARGET_PICTURES:g})"
            )


def describe(options: argparse.Namespace) -> str:
    """Command, date, machine, versions, seed."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        "unknown processor",
    )
    installed = []
    for package in ("torch", "numpy", "numba", "pymatgen", "openvino", "matgl", "alignn"):
        try:
            installed.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            installed.append(f"no {package}")
    return (
        f"    {shlex.join(['python', *sys.argv])}\n\n"
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {cpu}, one of {os.cpu_count()} cores used, load "
        f"{os.getloadavg()[0]:.1f} at the start, seed {options.seed}, median of {options.repeats}; "
        f"Python {sys.version.split()[0]}, {', '.join(installed)}; weights of peers are random\n"
    )


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cifs", type=Path, required=True, help="folder of CIF files")
    parser.add_argument("--sizes", type=lambda text: [int(n) for n in text.split(",")], default=[100, 1000, 8313])
    parser.add_argument("--backends", type=lambda text: text.split(","), default=["eager", "openvino"])
    parser.add_argument("--pictures", type=Path, help="folder of band pictures, each named like its crystal")
    parser.add_argument(
        "--peers", type=lambda text: [name for name in text.split(",") if name], default=[CGCNN, "matgl", "alignn"]
    )
    parser.add_argument("--peer-limit", type=int, default=1000, help="most crystals for peers other than CGCNN")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--core", type=int, help="the core used; by default the last one")
    return parser.parse_args()


def main() -> None:
    """Run the benchmark."""
    options = parse()
    print(describe(options))
    rows: list[Sequence[str]] = [HEADER]
    remarks: list[str] = []
    for jobs in blocks(options):
        outcomes = measure(jobs, options.repeats)
        found = {job.program: outcome for job, outcome in zip(jobs, outcomes, strict=True)}
        reference = found.get(CGCNN)
        known = reference if isinstance(reference, Outcome) else None
        rows += [row(job, outcome, known) for job, outcome in zip(jobs, outcomes, strict=True)]
        remarks += verdicts(jobs, outcomes) if any(job.pictures for job in jobs) else ()
        print(f"{len(jobs[0].files)} crystals done", file=sys.stderr)
    print(markdown(rows))
    print(f"\nTo reach: CGCNN / this at least {TARGET_RATIO:g} without pictures.", *remarks, sep="\n")


if __name__ == "__main__":
    main()
