"""Cost of the built-in electronic structure: by stage, by size, for the largest cells, against its limits.

Usage: python benchmarks/bands.py --data FOLDER [--limit 60] [--seed 0] [--budget 1.0] [--largest 2] [--skip-scaling]

FOLDER holds CIF files or ``shc_dev_cifs.zip``; SHC_DATA is its default. All times are processor times of one thread.
Stages are timed by wrapping functions of the library from outside. Tables of elements and pairs are made or loaded
before the clock starts; what they cost the first time is measured apart.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import Counter, defaultdict
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import wraps
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from scipy.optimize import nnls

from shc.featurize.config import FeaturizeConfig
from shc.featurize.electronic import conductivity, engine
from shc.featurize.electronic.basis import build_basis, pair_integrals
from shc.featurize.electronic.configurations import LAST_ELEMENT
from shc.featurize.electronic.engine import compute_bands, seconds_per_point
from shc.featurize.electronic.hamiltonian import CUTOFF, Hamiltonian, build_hamiltonian
from shc.featurize.electronic.record import BandsConfig
from shc.featurize.electronic.tables import element_basis, element_parameters, tabulated_integrals
from shc.featurize.errors import ShcError
from shc.featurize.structures import read_crystal
from shc.featurize.symmetry import reduce_crystal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from shc.featurize.electronic.record import ElectronicRecord
    from shc.featurize.symmetry import PrimitiveCrystal

    Floats = NDArray[np.float64]

TARGET_SECONDS: Final = 2.0
"""Mean per crystal, to stay below."""
LIMIT_SECONDS: Final = 60.0
"""Largest cells, to stay below."""
FCC: Final = np.array([[0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]])
PLATINUM: Final = (78, 3.924)
"""Atomic number and lattice constant, Angstrom."""
TIMES: Final = ((1, 1, 1), (1, 1, 2), (1, 2, 2), (2, 2, 2), (2, 2, 4), (2, 4, 4), (4, 4, 4))
"""Supercells: 9 to 576 orbitals."""
MESH: Final = "mesh: rest"
POINT: Final = "band_states"
CHARGES: Final = "charge self-consistency"
PATH: Final = "bands on the path"


class Stage(NamedTuple):
    """A function of the library and the stage its time belongs to."""

    owner: Any
    name: str
    label: str
    within: str | None = None
    """Counted only inside this other wrapped function; elsewhere its time stays with the caller."""
    closed: bool = True
    """Whether what it calls belongs to it."""


STAGES: Final = (
    Stage(engine, "element_basis", "bases and tables"),
    Stage(engine, "tabulated_integrals", "bases and tables"),
    Stage(engine, "build_hamiltonian", "Hamiltonian", closed=False),
    Stage(engine, "converge_charges", CHARGES),
    Stage(engine, "solve_scalar", "coarse mesh and its Fermi level"),
    Stage(engine, "fermi_level", "coarse mesh and its Fermi level"),
    Stage(engine, "_mesh", "coarse mesh and its Fermi level"),
    Stage(engine, "choose_mesh", "choice of the mesh"),
    Stage(engine, "respond", "mesh: occupations and sums over energies", closed=False),
    Stage(engine, "band_states", MESH, closed=False),
    Stage(Hamiltonian, "matrices", "mesh: Bloch sums", POINT),
    Stage(Hamiltonian, "gradients", "mesh: Bloch sums", POINT),
    Stage(conductivity, "solve_scalar", "mesh: scalar eigen-solver", POINT),
    Stage(conductivity, "spin_orbit_matrix", "mesh: spin-orbit matrix", POINT),
    Stage(np.linalg, "eigh", "mesh: spin-orbit eigen-solver", POINT),
    Stage(conductivity, "_operators", "mesh: matrix elements", POINT),
    Stage(conductivity, "_matrix_elements", "mesh: matrix elements", POINT),
    Stage(conductivity, "_speed", "mesh: matrix elements", POINT),
    Stage(conductivity, "spin_berry_curvature", "mesh: Kubo sum over pairs", POINT),
    Stage(engine, "band_path", "k-path"),
    Stage(engine, "_path_bands", PATH),
)


class Clock:
    """Processor time by stage; time of inner stages does not count for outer ones."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.calls: Counter[str] = Counter()
        self._open: list[tuple[str, bool]] = []
        self._last = 0.0

    def _charge(self) -> None:
        now = time.process_time()
        if self._open:
            label = self._open[-1][0].partition("\0")[0]
            self.seconds[label] += now - self._last
        self._last = now

    def wrap(self, stage: Stage) -> Callable[..., Any]:
        """The function of a stage with the clock around it."""
        inner: Callable[..., Any] = getattr(stage.owner, stage.name)

        @wraps(inner)
        def timed(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401  # stands for any function
            names = [entry.partition("\0")[2] for entry, _ in self._open]
            inside = stage.within is None or stage.within in names
            if not inside or (self._open and self._open[-1][1]):
                return inner(*args, **kwargs)
            self._charge()
            self._open.append((f"{stage.label}\0{stage.name}", stage.closed))
            self.calls[stage.name] += 1
            try:
                return inner(*args, **kwargs)
            finally:
                self._charge()
                self._open.pop()

        return timed

    @contextmanager
    def running(self) -> Iterator[None]:
        """Put the clock around all stages."""
        kept = [(stage, getattr(stage.owner, stage.name)) for stage in STAGES]
        for stage in STAGES:
            setattr(stage.owner, stage.name, self.wrap(stage))
        try:
            yield
        finally:
            for stage, function in kept:
                setattr(stage.owner, stage.name, function)


class Run(NamedTuple):
    """One crystal."""

    n_atoms: int
    n_orbitals: int
    record: ElectronicRecord
    seconds: float
    per_point: float
    """Seconds per point of the conductivity mesh."""
    path_seconds: float
    """Bands on the path."""


def crystals(paths: Sequence[Path]) -> list[PrimitiveCrystal]:
    """Read and reduce; crystals that the electronic structure refuses are left out and counted."""
    config = FeaturizeConfig()
    found = []
    refused = 0
    for path in paths:
        try:
            crystal = reduce_crystal(read_crystal(path, config), config)
        except ShcError:
            refused += 1
            continue
        if crystal.atomic_number.max() > LAST_ELEMENT:
            refused += 1
            continue
        found.append(crystal)
    if refused:
        print(f"{refused} crystals left out: actinides or unreadable")
    return found


def orbitals_of(crystal: PrimitiveCrystal) -> int:
    """N."""
    return sum(len(element_basis(z).kept) for z in crystal.atomic_number.tolist())


def warm_tables(chosen: Sequence[PrimitiveCrystal]) -> None:
    """Make or load every table that the crystals need."""
    distance = np.array([0.5 * CUTOFF])
    for crystal in chosen:
        elements = sorted(set(crystal.atomic_number.tolist()))
        for i, first in enumerate(elements):
            for second in elements[i:]:
                tabulated_integrals(element_basis(first), element_basis(second), distance)


def run_crystal(crystal: PrimitiveCrystal, config: BandsConfig, clock: Clock) -> Run:
    """Compute one crystal with the clock running."""
    before = {label: seconds for label, seconds in clock.seconds.items() if label.startswith("mesh")}
    calls, path = clock.calls[POINT], clock.seconds[PATH]
    start = time.process_time()
    with clock.running():
        record = compute_bands(crystal, config)
    seconds = time.process_time() - start
    spent = sum(value - before.get(label, 0.0) for label, value in clock.seconds.items() if label.startswith("mesh"))
    points = max(clock.calls[POINT] - calls, 1)
    return Run(
        len(crystal.atomic_number), orbitals_of(crystal), record, seconds, spent / points, clock.seconds[PATH] - path
    )


def print_stages(runs: Sequence[Run], clock: Clock) -> None:
    """Print the mean time of every stage."""
    total = sum(run.seconds for run in runs)
    print("\n| stage | ms per crystal | share |\n|---|---|---|")
    labels = list(dict.fromkeys(stage.label for stage in STAGES))
    rest = total - sum(clock.seconds.values())
    for label, seconds in [*((label, clock.seconds[label]) for label in labels), ("all else", rest)]:
        print(f"| {label} | {1e3 * seconds / len(runs):.1f} | {100.0 * seconds / total:.1f} % |")
    print(f"| sum | {1e3 * total / len(runs):.1f} | |")


def print_summary(runs: Sequence[Run]) -> None:
    """Print means and extremes over the sample."""
    seconds = np.array([run.seconds for run in runs])
    atoms = [run.n_atoms for run in runs]
    flags = Counter(flag for run in runs for flag in run.record.flags)
    print(
        f"\n{len(runs)} crystals of {min(atoms)} to {max(atoms)} atoms: mean {seconds.mean():.2f} s "
        f"(to stay below {TARGET_SECONDS:g} s), median {np.median(seconds):.2f} s, 90 % below "
        f"{np.quantile(seconds, 0.9):.2f} s, longest {seconds.max():.1f} s"
    )
    print("flags: " + (", ".join(f"{name} {count}" for name, count in sorted(flags.items())) or "none"))


def supercell_point(times: tuple[int, int, int]) -> tuple[int, float]:
    """Orbitals of a supercell of platinum, and seconds per point of a conductivity mesh in it."""
    z, a = PLATINUM
    lattice = a * FCC * np.array(times)[:, None]
    frac = np.stack(np.meshgrid(*(np.arange(n) / n for n in times), indexing="ij"), axis=-1).reshape(-1, 3)
    hamiltonian = build_hamiltonian(lattice, frac, [element_basis(z)] * len(frac), tabulated_integrals)
    coupling = hamiltonian.spin_orbit()
    k = np.array([0.11, 0.07, 0.05])
    guess = -2.8
    repeats = 3 if hamiltonian.size < 200 else 1
    if hamiltonian.size < 100:
        conductivity.band_states(hamiltonian, coupling, k, 0.05, guess)
    start = time.process_time()
    for _ in range(repeats):
        conductivity.band_states(hamiltonian, coupling, k, 0.05, guess)
    return hamiltonian.size, (time.process_time() - start) / repeats


def fit_cost(n: Floats, cost: Floats) -> tuple[Floats, Floats]:
    """Coefficients a, b, c >= 0 of ``a + b N + c N^3`` with the least relative error, and the fitted costs."""
    powers = np.column_stack([np.ones_like(n), n, n**3])
    scale = powers.max(axis=0)
    coefficients = nnls(powers / scale / cost[:, None], np.ones_like(n))[0] / scale
    return coefficients, powers @ coefficients


def print_path(runs: Sequence[Run]) -> None:
    """Print the cost of a point of the path, of crystals small enough that no point is interpolated."""
    small = [run for run in runs if run.n_orbitals <= engine._STRIDES[0][0]]  # noqa: SLF001  # measured
    n = np.array([run.n_orbitals for run in small], dtype=np.float64)
    cost = np.array([run.path_seconds / len(run.record.distance) for run in small])
    (a, b, c), fitted = fit_cost(n, cost)
    print(f"path: {a:.2e} + {b:.2e} N + {c:.2e} N^3 seconds a point, relative error", end=" ")
    points = np.mean([len(run.record.distance) for run in small])
    print(f"{np.sqrt(np.mean((fitted / cost - 1.0) ** 2)):.2f}; {points:.0f} points on average")


def print_scaling(runs: Sequence[Run], *, with_supercells: bool) -> None:
    """Print cost per point against the number of orbitals, and the fit ``a + b N + c N^3``."""
    measured = [(run.n_orbitals, run.per_point, "crystal") for run in runs]
    if with_supercells:
        measured += [(*supercell_point(times), "Pt supercell") for times in TIMES]
    n = np.array([row[0] for row in measured], dtype=np.float64)
    cost = np.array([row[1] for row in measured])
    coefficients, fitted = fit_cost(n, cost)
    engine_model = np.array([seconds_per_point(int(size)) for size in n])
    print("\n| orbitals | from | points measured | ms per point | fit | seconds_per_point |\n|---|---|---|---|---|---|")
    edges = [0, 12, 24, 48, 72, 96, 144, 200, 300, 450, 10_000]
    for source in ("crystal", "Pt supercell"):
        for low, high in pairwise(edges):
            rows = [i for i, row in enumerate(measured) if row[2] == source and low <= row[0] < high]
            if rows:
                means = [1e3 * float(np.mean(values[rows])) for values in (cost, fitted, engine_model)]
                size = f"{n[rows].min():.0f} to {n[rows].max():.0f}" if len(rows) > 1 else f"{n[rows[0]]:.0f}"
                print(f"| {size} | {source} | {len(rows)} | " + " | ".join(f"{value:.2f}" for value in means) + " |")
    a, b, c = coefficients
    print(f"\nfit: {a:.2e} + {b:.2e} N + {c:.2e} N^3 seconds, relative error", end=" ")
    print(f"{np.sqrt(np.mean((fitted / cost - 1.0) ** 2)):.2f} (seconds_per_point:", end=" ")
    print(f"{np.sqrt(np.mean((engine_model / cost - 1.0) ** 2)):.2f})")


def print_tables_cost() -> None:
    """Print what elements and pairs cost the first time."""
    elements = (8, 31, 78)
    start = time.process_time()
    bases = [build_basis(z, element_parameters(z)) for z in elements]
    per_element = (time.process_time() - start) / len(elements)
    distance = np.linspace(0.7, CUTOFF, 46)
    start = time.process_time()
    for first, second in ((0, 1), (0, 2), (1, 2)):
        pair_integrals(bases[first], bases[second], distance)
    per_pair = (time.process_time() - start) / 3
    print(f"\nfirst use: {per_element:.2f} s per element, {per_pair:.2f} s per pair of elements (then from the cache)")


def atoms_in(path: Path) -> int:
    """Atoms in the cell of a file, 0 where it cannot be read."""
    try:
        return len(read_crystal(path, FeaturizeConfig()).frac)
    except ShcError:
        return 0


def print_largest(paths: Sequence[Path], count: int, config: BandsConfig) -> None:
    """Time the primitive cells with the most atoms."""
    by_size = sorted(paths, key=atoms_in, reverse=True)[: 50 * count]
    chosen = sorted(crystals(by_size), key=orbitals_of, reverse=True)[:count]
    warm_tables(chosen)
    for crystal in chosen:
        clock = Clock()
        run = run_crystal(crystal, config, clock)
        points = clock.calls[POINT]
        print(
            f"largest: {run.n_atoms} atoms, {run.n_orbitals} orbitals, mesh {'x'.join(map(str, run.record.k_mesh))}: "
            f"{run.seconds:.1f} s (to stay below {LIMIT_SECONDS:g} s), of which charges "
            f"{clock.seconds[CHARGES]:.1f} s, path {run.path_seconds:.1f} s, {points} points of the mesh "
            f"{run.per_point * points:.1f} s; {', '.join(run.record.flags) or 'no flags'}",
            flush=True,
        )


def crystal_files(data: Path, folder: Path) -> list[Path]:
    """The CIF files of a folder, or those of its archive, unpacked into another folder."""
    archive = data / "shc_dev_cifs.zip"
    if archive.is_file():
        with zipfile.ZipFile(archive) as content:
            content.extractall(folder)
        data = folder
    return sorted(data.rglob("*.cif"))


def main() -> None:
    """Run the benchmark, in a process whose libraries use one thread each."""
    if os.environ.get("OMP_NUM_THREADS") != "1":
        one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        sys.exit(subprocess.run([sys.executable, *sys.argv], env={**os.environ, **one}, check=False).returncode)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("SHC_DATA"), help="folder of crystals")
    parser.add_argument("--limit", type=int, default=60, help="number of files, drawn at random")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--budget", type=float, default=BandsConfig().budget, help="seconds per crystal")
    parser.add_argument("--largest", type=int, default=2, help="number of the largest cells to time")
    parser.add_argument("--skip-scaling", action="store_true", help="leave out the supercells")
    options = parser.parse_args()
    if options.data is None:
        parser.error("name the folder of crystals with --data or SHC_DATA")
    config = BandsConfig(budget=options.budget)
    packages = ("numpy", "scipy", "numba", "spglib", "seekpath")
    print(f"date     {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, seed {options.seed}, budget {config.budget:g} s")
    print(f"versions Python {sys.version.split()[0]}, " + ", ".join(f"{p} {version(p)}" for p in packages))
    with tempfile.TemporaryDirectory() as name:
        paths = crystal_files(Path(options.data), Path(name))
        drawn = np.random.default_rng(options.seed).permutation(len(paths))[: options.limit]
        chosen = crystals([paths[i] for i in drawn])
        warm_tables(chosen)
        for crystal in chosen[:1]:
            run_crystal(crystal, config, Clock())
        clock = Clock()
        runs = [run_crystal(crystal, config, clock) for crystal in chosen]
        if runs:
            print_stages(runs, clock)
            print_summary(runs)
            print_scaling(runs, with_supercells=not options.skip_scaling)
            print_path(runs)
        print_tables_cost()
        print_largest(paths, options.largest, config)


if __name__ == "__main__":
    main()
