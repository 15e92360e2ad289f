"""Featurisation against data preparation in the style of CGCNN: side by side, one core each, in one run.

Usage: python benchmarks/featurize.py --data FOLDER [--limit 500] [--seed 0] [--memory]

FOLDER holds CIF files or ``shc_dev_cifs.zip``; SHC_DATA is its default. The reference reads with pymatgen, reduces
to the primitive standard cell (SpacegroupAnalyzer, 0.01 Angstrom), takes the 12 nearest of all neighbours within
8 Angstrom, expands their distances in 41 Gaussians and writes one HDF5 group per crystal. Ours is ``featurize_batch``
and the feature file, with descriptors and symmetry prompt on top. Both work on the same files in turns of 32, so that
a busy machine slows both.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings
import zipfile
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np

from shc.featurize.batch import featurize_batch
from shc.featurize.config import FeaturizeConfig
from shc.featurize.pipeline import current_header, featurize_sources
from shc.featurize.store import FeatureFile
from shc.featurize.store_columns import take
from shc.featurize.store_writer import FeatureWriter, write_feature_file

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

TURN = 32
TARGET_RATIO = 15.0
N_ROWS = 8313
BATCH = 256


def prepare_like_cgcnn(path: Path, file: h5py.File) -> None:
    """Read, reduce, find 12 neighbours, expand, write a group."""
    from pymatgen.core import Structure
    from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

    structure = SpacegroupAnalyzer(Structure.from_file(path), symprec=0.01).get_primitive_standard_structure()
    nearest = [
        sorted(neighbours, key=lambda neighbour: neighbour.nn_distance)[:12]
        for neighbours in structure.get_all_neighbors(8.0, include_index=True)
    ]
    index = np.zeros((len(structure), 12), dtype=np.int64)
    distance = np.full((len(structure), 12), 9.0)
    for i, neighbours in enumerate(nearest):
        index[i, : len(neighbours)] = [neighbour.index for neighbour in neighbours]
        distance[i, : len(neighbours)] = [neighbour.nn_distance for neighbour in neighbours]
    centres = np.linspace(0.0, 8.0, 41)
    group = file.create_group(path.stem)
    group["atomic_number"] = np.array([site.specie.Z for site in structure])
    group["neighbour"] = index
    group["expanded"] = np.exp(-(((distance[:, :, None] - centres) / 0.2) ** 2)).astype(np.float32)


def timed(work: Callable[[], object]) -> float:
    """Seconds of processor time of this process, which other users of the machine do not inflate."""
    start = time.process_time()
    work()
    return time.process_time() - start


def compare_speed(paths: Sequence[Path], folder: Path) -> None:
    """Print milliseconds per crystal of both, and their ratio."""
    config = FeaturizeConfig()
    ours = theirs = 0.0
    failed = 0
    with (
        FeatureWriter(folder / "ours.h5", current_header(config)) as writer,
        h5py.File(folder / "theirs.h5", "w") as file,
        h5py.File(folder / "warm.h5", "w") as warm,
    ):
        featurize_batch(paths[:TURN], config)
        for path in paths[:TURN]:
            prepare_like_cgcnn(path, warm)

        def do_ours(turn: Sequence[Path]) -> None:
            nonlocal failed
            records, failures = featurize_batch(turn, config)
            failed += len(failures)
            writer.append(records)

        def do_theirs(turn: Sequence[Path]) -> None:
            for path in turn:
                prepare_like_cgcnn(path, file)

        for start in range(0, len(paths), TURN):
            turn = paths[start : start + TURN]
            if start // TURN % 2:
                theirs += timed(partial(do_theirs, turn))
                ours += timed(partial(do_ours, turn))
            else:
                ours += timed(partial(do_ours, turn))
                theirs += timed(partial(do_theirs, turn))
        ours += timed(writer.finish)
    sizes = [(folder / name).stat().st_size / len(paths) for name in ("ours.h5", "theirs.h5")]
    print(f"crystals                    {len(paths)} ({failed} failed in ours)")
    for name, seconds, size in zip(("ours", "CGCNN style"), (ours, theirs), sizes, strict=True):
        print(f"{name:28}{1e3 * seconds / len(paths):8.3f} ms per crystal, {size:8.0f} bytes")
    print(f"ratio                       {theirs / ours:8.1f}  (to reach: {TARGET_RATIO:g})")


def measure_reading(folder: Path, rng: np.random.Generator) -> None:
    """Print how long a random batch takes from a file of as many rows as the full data set has."""
    source = FeatureFile.open(folder / "ours.h5")
    rows = np.resize(np.arange(len(source)), N_ROWS)
    write_feature_file(folder / "rows.h5", source.header, lambda: iter([take(source.columns, rows)]))
    opening = timed(lambda: FeatureFile.open(folder / "rows.h5"))
    file = FeatureFile.open(folder / "rows.h5")
    batches = [timed(lambda: file.read(rng.choice(N_ROWS, BATCH, replace=False))) for _ in range(50)]
    print(f"open {N_ROWS} rows              {1e3 * opening:8.2f} ms")
    print(f"random batch of {BATCH}         {1e3 * float(np.median(batches)):8.2f} ms (median of 50)")
    print(f"load all                    {1e3 * timed(file.load_all):8.2f} ms")
    with h5py.File(folder / "theirs.h5") as reference:
        names = list(reference)
        chosen = rng.choice(len(names), BATCH)

        def read_groups() -> None:
            for i in chosen:
                group = reference[names[i]]
                for key in group:
                    group[key][...]

        groups = timed(read_groups)
    print(f"the same, group per crystal {1e3 * groups:8.2f} ms")


def measure_memory(paths: Sequence[Path], folder: Path) -> None:
    """Print the peak memory of runs of growing size, each in a process of its own."""
    for count in (250, 1000, 2000, 4000, 8000):
        if count > len(paths):
            break
        listing = folder / f"{count}.txt"
        listing.write_text("\n".join(map(str, paths[:count])))
        shown = subprocess.run(
            [sys.executable, __file__, "--child", str(listing)], capture_output=True, text=True, check=True
        )
        print(f"{count:5} files: {shown.stdout.strip()}")


def run_child(listing: Path) -> None:
    """Featurise a list in a pool of one process and print the peak memory."""
    featurize_sources([str(listing)], listing.with_suffix(".h5"), FeaturizeConfig(), workers=1)
    # The peak that getrusage reports for a process begins with that of the process which started it.
    status = Path("/proc/self/status").read_text()
    main_process = int(status.split("VmHWM:")[1].split()[0]) / 1024
    worker = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"main process {main_process:.0f} MB, worker process {worker:.0f} MB")


def crystal_files(data: Path, folder: Path) -> list[Path]:
    """The CIF files of a folder, or those of its archive, unpacked into another folder."""
    archive = data / "shc_dev_cifs.zip"
    if archive.is_file():
        with zipfile.ZipFile(archive) as content:
            content.extractall(folder / "cifs")
        data = folder / "cifs"
    return sorted(data.rglob("*.cif"))


def main() -> None:
    """Run the benchmark, in a process whose libraries use one thread each."""
    if os.environ.get("OMP_NUM_THREADS") != "1":
        one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        sys.exit(subprocess.run([sys.executable, *sys.argv], env={**os.environ, **one}, check=False).returncode)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("SHC_DATA"), help="folder of crystals")
    parser.add_argument("--limit", type=int, default=500, help="number of files, drawn at random")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--memory", action="store_true", help="measure memory as well (featurises more files)")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        run_child(options.child)
        return
    if options.data is None:
        parser.error("name the folder of crystals with --data or SHC_DATA")
    warnings.simplefilter("ignore")
    rng = np.random.default_rng(options.seed)
    packages = ("numpy", "numba", "h5py", "gemmi", "spglib", "pymatgen")
    print(f"date     {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, seed {options.seed}")
    print(f"versions Python {sys.version.split()[0]}, " + ", ".join(f"{p} {version(p)}" for p in packages))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        everything = crystal_files(Path(options.data), folder)
        chosen = rng.permutation(len(everything))
        paths = [everything[i] for i in chosen[: options.limit]]
        compare_speed(paths, folder)
        measure_reading(folder, rng)
        if options.memory:
            measure_memory([everything[i] for i in chosen], folder)


if __name__ == "__main__":
    main()
