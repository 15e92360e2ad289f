"""Periodic neighbour lists: ours against pymatgen, ase, matscipy and vesin, one thread each.

Run: ``python benchmarks/neighbours.py --data FOLDER`` where FOLDER holds ``shc_dev_cifs.zip``.

All peers return first atom, second atom, translation and distance of every pair within the cutoff; their
objects are built outside the timed region. Processor time (not wall time) is measured and repetitions are
interleaved, so a busy machine slows all of them alike; the median counts. The ratio is the peer's
time over the time of our full list (``x full``) and of our 12 nearest (``x nearest``).
"""

# ruff: noqa: E402 (the number of threads is set before numpy loads)
from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_name] = "1"

import argparse
import datetime as dt
import importlib.metadata
import platform
import random
import statistics
import sys
import time
import warnings
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from shc.kernels import neighbours

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

K = 12
SUPERCELL_ATOMS = (500, 2000, 5000, 10_000)
OURS = ("shc full list", "shc 12 nearest")


class Crystals(NamedTuple):
    """Crystals one by one, as peers take them, and as one batch."""

    lattices: list[NDArray[np.float64]]
    fracs: list[NDArray[np.float64]]
    numbers: list[NDArray[np.int64]]

    def batch(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
        """Flat arrays and offsets."""
        counts = [len(frac) for frac in self.fracs]
        return np.array(self.lattices), np.concatenate(self.fracs), np.concatenate([[0], np.cumsum(counts)])


def read_crystals(folder: Path, limit: int, seed: int) -> Crystals:
    """Read a random sample of the CIFs in ``shc_dev_cifs.zip``."""
    from pymatgen.core import Structure

    found = Crystals([], [], [])
    with zipfile.ZipFile(folder / "shc_dev_cifs.zip") as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".cif"))
        for name in random.Random(seed).sample(names, min(limit, len(names))):  # noqa: S311 (a reproducible sample)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                structure = Structure.from_str(archive.read(name).decode(), fmt="cif")
            found.lattices.append(np.array(structure.lattice.matrix))
            found.fracs.append(np.array(structure.frac_coords))
            found.numbers.append(np.array(structure.atomic_numbers))
    return found


def supercell(crystals: Crystals, n_atoms: int, seed: int) -> Crystals:
    """Repeat an 8-atom (or the nearest in size) crystal to about ``n_atoms`` and displace atoms by 0.01 Angstrom."""
    pick = min(range(len(crystals.fracs)), key=lambda c: abs(len(crystals.fracs[c]) - 8))
    lattice, frac, number = crystals.lattices[pick], crystals.fracs[pick], crystals.numbers[pick]
    repeats = np.ones(3, np.int64)
    while len(frac) * int(repeats.prod()) < n_atoms:
        repeats[int(np.argmin(np.linalg.norm(lattice, axis=1) * repeats))] += 1
    grid = np.stack(np.meshgrid(*(np.arange(r) for r in repeats), indexing="ij"), axis=-1).reshape(-1, 1, 3)
    big = lattice * repeats[:, None]
    noise = np.random.default_rng(seed).normal(scale=0.01, size=(len(grid) * len(frac), 3))
    position = ((frac + grid) / repeats).reshape(-1, 3) + noise @ np.linalg.inv(big)
    return Crystals([big], [position], [np.tile(number, len(grid))])


def candidates(crystals: Crystals, cutoff: float) -> dict[str, Callable[[], object]]:
    """One function per library; each handles all crystals once."""
    from ase import Atoms
    from ase.neighborlist import neighbor_list
    from matscipy.neighbours import neighbour_list
    from pymatgen.core import Structure
    from vesin import NeighborList

    batch = crystals.batch()
    rows = list(zip(crystals.lattices, crystals.fracs, crystals.numbers, strict=True))
    structures = [Structure(lattice, number, frac) for lattice, frac, number in rows]
    atoms = [Atoms(numbers=number, cell=lattice, scaled_positions=frac, pbc=True) for lattice, frac, number in rows]
    points = [(lattice, frac @ lattice) for lattice, frac, _ in rows]
    finder = NeighborList(cutoff=cutoff, full_list=True)
    return {
        OURS[0]: lambda: neighbours.full_list(*batch, cutoff),
        OURS[1]: lambda: neighbours.k_nearest(*batch, cutoff, K),
        "vesin": lambda: [
            finder.compute(points=position, box=box, periodic=True, quantities="ijSd", copy=True)
            for box, position in points
        ],
        "matscipy": lambda: [neighbour_list("ijSd", one, cutoff) for one in atoms],
        "pymatgen get_neighbor_list": lambda: [one.get_neighbor_list(cutoff) for one in structures],
        "pymatgen get_all_neighbors": lambda: [one.get_all_neighbors(cutoff) for one in structures],
        "ase neighbor_list": lambda: [neighbor_list("ijSd", one, cutoff) for one in atoms],
    }


def median_seconds(functions: dict[str, Callable[[], object]], repeats: int, budget: float) -> dict[str, float]:
    """Median processor time of each function, interleaved; slow ones stop at ``budget`` seconds (at least one run)."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for name in OURS:
        functions[name]()  # compile or load from the cache
    for _ in range(repeats):
        for name, function in functions.items():
            if times[name] and sum(times[name]) + times[name][-1] > budget:
                continue
            start = time.process_time()
            function()
            times[name].append(time.process_time() - start)
    return {name: statistics.median(found) for name, found in times.items()}


def print_table(title: str, seconds: dict[str, float], n_crystals: int) -> None:
    """One block of the report."""
    print(f"\n{title}\n{'':28s}{'ms/crystal':>12s}{'x full':>9s}{'x nearest':>11s}")
    full, nearest = (seconds[name] for name in OURS)
    for name, value in seconds.items():
        print(f"{name:28s}{value / n_crystals * 1e3:12.4f}{value / full:9.2f}{value / nearest:11.1f}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse flags, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("SHC_DATA"), help="folder of shc_dev_cifs.zip")
    parser.add_argument("--limit", type=int, default=500, help="number of real crystals")
    parser.add_argument("--cutoff", type=float, default=8.0, help="Angstrom")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--budget", type=float, default=30.0, help="seconds per library and table")
    parser.add_argument("--seed", type=int, default=17)
    options = parser.parse_args(arguments)
    if options.data is None:
        parser.error("name the folder of shc_dev_cifs.zip with --data or SHC_DATA")

    packages = ("numpy", "numba", "vesin", "matscipy", "pymatgen", "ase")
    print(
        f"{dt.datetime.now(tz=dt.UTC):%Y-%m-%d}, Python {platform.python_version()}, one thread,",
        end=" ",
    )
    print(", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages))
    crystals = read_crystals(options.data, options.limit, options.seed)
    count = len(crystals.fracs)
    sizes = [len(frac) for frac in crystals.fracs]
    print(f"cutoff {options.cutoff:g} Angstrom, seed {options.seed}, median of {options.repeats} interleaved runs")

    seconds = median_seconds(candidates(crystals, options.cutoff), options.repeats, options.budget)
    print_table(f"{count} real crystals, {statistics.mean(sizes):.1f} atoms on average", seconds, count)
    for n_atoms in SUPERCELL_ATOMS:
        one = supercell(crystals, n_atoms, options.seed)
        seconds = median_seconds(candidates(one, options.cutoff), options.repeats, options.budget)
        print_table(f"supercell of {len(one.fracs[0])} atoms", seconds, 1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
