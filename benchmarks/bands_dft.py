"""Built-in bands against plane-wave PBE bands: score the shipped parameters, or fit them anew.

    SHC_DATA=... python benchmarks/bands_dft.py score
    SHC_DATA=... python benchmarks/bands_dft.py fit --steps 5 -o featurize/data/tight_binding.json

``$SHC_DATA/dft_bands`` holds bands with and without spin-orbit coupling of elements and binaries. 75 crystals are held
out of the fit (seed 0) and only score. The fit adjusts, per element, the confinement of the s, p, d orbitals and of the
density, and a shift of each level; no label of the spin Hall conductivity is looked at.

Metric: root mean square of the differences of the levels that PBE has within 3 eV of the Fermi level, Fermi levels
aligned, levels counted from the last occupied one.
"""

from __future__ import annotations

import argparse
import csv
import json
import multiprocessing
import os
import time
from collections import defaultdict
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import spglib

from shc.featurize.electronic.basis import ElementBasis, ElementParameters, build_basis, pair_integrals
from shc.featurize.electronic.charges import converge_charges
from shc.featurize.electronic.configurations import LANTHANIDES, LAST_ELEMENT, orbitals
from shc.featurize.electronic.hamiltonian import build_hamiltonian
from shc.featurize.electronic.mesh import Mesh, divisions, irreducible_mesh, reciprocal
from shc.featurize.electronic.solver import fermi_level, solve_scalar, spin_orbit_matrix
from shc.featurize.electronic.tables import element_parameters
from shc.featurize.elements import MAGNETIC, element_column, symbols

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from shc.featurize.electronic.hamiltonian import Hamiltonian

    Floats = NDArray[np.float64]
    Theta = dict[int, Floats]

SEED = 0
N_HELD_OUT = 75
WINDOW = 3.0
MESH_LENGTH = 18.0
COARSE_LENGTH = 12.0
DEFAULT = np.array([*np.log(ElementParameters().confinement), np.log(ElementParameters().density), 0.0, 0.0, 0.0])
"""Logarithms of confinements and density radius in covalent radii, then shifts in eV."""
PRIOR = np.array([0.25, 0.25, 0.25, 0.35, 0.8, 0.8, 0.8])
"""Width of the prior around the default."""
STEP = np.array([0.03, 0.03, 0.03, 0.05, 0.1, 0.1, 0.1])
"""Steps of the numerical derivatives."""
PRECISION = 20.0 / 0.35**2
"""Weight of a crystal against the prior: 20 independent levels with an error of 0.35 eV."""
LARGEST = 0.7
"""Longest step of a parameter in widths of its prior."""


@dataclass(frozen=True, slots=True)
class Case:
    """One crystal with its plane-wave bands."""

    material_id: str
    lattice: Floats
    frac: Floats
    z: tuple[int, ...]
    orbit: NDArray[np.int64]
    k: Floats
    scalar: Floats
    spinor: Floats
    electrons: int
    mesh: Mesh
    coarse: Mesh

    @property
    def formula(self) -> str:
        """Elements of the cell."""
        return "".join(symbols()[z] for z in self.z)


class Derivatives(NamedTuple):
    """What one crystal adds to the normal equations."""

    cost: float
    parameter: list[tuple[int, int]]
    matrix: Floats
    gradient: Floats


def read_case(path: Path) -> Case | None:
    """Read a file of bands; None if it holds no finite energies."""
    with np.load(path) as data:
        lattice, frac = data["cell"], data["positions"]
        z = tuple(int(n) for n in data["atomic_number"])
        scalar, spinor = data["energy_scalar"], data["energy_soc"]
        k = data["kpoints_fractional"] @ reciprocal(lattice)
        electrons = round(float(data["n_valence"]))
    if not np.isfinite(spinor).all():
        return None
    found = spglib.get_symmetry_dataset((lattice, frac, z), symprec=1e-2)
    rotations = np.unique(found.rotations, axis=0).astype(np.int32)
    meshes = [
        irreducible_mesh(lattice, rotations, divisions(lattice, rotations, length))
        for length in (MESH_LENGTH, COARSE_LENGTH)
    ]
    orbit = np.unique(found.equivalent_atoms, return_inverse=True)[1]
    return Case(path.stem, lattice, frac, z, orbit, k, scalar, spinor, electrons, meshes[0], meshes[1])


def read_cases(folder: Path) -> list[Case]:
    """All crystals of the index."""
    with (folder / "index.csv").open(encoding="utf-8") as stream:
        names = [row["material_id"] for row in csv.DictReader(stream)]
    return [case for name in names if (case := read_case(folder / f"{name}.npz")) is not None]


def held_out(cases: Sequence[Case]) -> set[str]:
    """Ids that only score: drawn at random, as long as every element keeps three crystals to fit."""
    left: dict[int, int] = defaultdict(int)
    for case in cases:
        for z in set(case.z):
            left[z] += 1
    chosen: set[str] = set()
    for i in np.random.default_rng(SEED).permutation(len(cases)).tolist():
        if len(chosen) < N_HELD_OUT and all(left[z] > 3 for z in set(cases[i].z)):
            chosen.add(cases[i].material_id)
            for z in set(cases[i].z):
                left[z] -= 1
    return chosen


def parameters(theta: Floats) -> ElementParameters:
    """Parameters of an element from its deviations from the default."""
    values = DEFAULT + theta
    s, p, d, density = np.exp(values[:4]).tolist()
    shift_s, shift_p, shift_d = values[4:].tolist()
    return ElementParameters((s, p, d), density, (shift_s, shift_p, shift_d))


@lru_cache(maxsize=600)
def _confined(z: int, confinement: tuple[float, float, float], density: float) -> ElementBasis:
    return build_basis(z, ElementParameters(confinement, density))


def basis(z: int, chosen: ElementParameters) -> ElementBasis:
    """Basis of an element; shifts need no new atom."""
    made = _confined(z, chosen.confinement, chosen.density)
    return replace(made, onsite=made.onsite + np.repeat(chosen.shift, [1, 3, 5]))


def hamiltonian(case: Case, chosen: Mapping[int, ElementParameters], shift: Floats | None = None) -> Hamiltonian:
    """The crystal, charge self-consistent or with a given shift."""
    bases = {z: basis(z, chosen[z]) for z in set(case.z)}
    made = build_hamiltonian(case.lattice, case.frac, [bases[z] for z in case.z], pair_integrals)
    if shift is None:
        converge_charges(made, case.coarse, case.orbit, case.frac)
    else:
        made.shift = shift
    return made


def levels(case: Case, made: Hamiltonian, *, soc: bool) -> tuple[Floats, Floats]:
    """Levels ``[n_k, n]`` of PBE and ours from the Fermi level, band by band, eV."""
    coupling = made.spin_orbit() if soc else None

    def at(k: Floats) -> Floats:
        energy, c = solve_scalar(*made.matrices(k))
        if coupling is None:
            return energy
        return np.asarray(np.linalg.eigvalsh(spin_orbit_matrix(energy, c, coupling)), dtype=np.float64)

    degeneracy = 1 if soc else 2
    level = fermi_level(
        [at(k) for k in case.mesh.k], case.mesh.weight, made.electrons, 0.1, degeneracy=float(degeneracy)
    )
    ours = np.array([at(k) for k in case.k]) - level
    theirs = case.spinor if soc else case.scalar
    more = (case.electrons - round(made.electrons)) // degeneracy  # semicore bands that only PBE has
    theirs, ours = theirs[:, max(more, 0) :], ours[:, max(-more, 0) :]
    n = min(theirs.shape[1], ours.shape[1])
    return theirs[:, :n], ours[:, :n]


def error(case: Case, chosen: Mapping[int, ElementParameters]) -> float:
    """The metric with spin-orbit coupling, eV."""
    theirs, ours = levels(case, hamiltonian(case, chosen), soc=True)
    near = np.abs(theirs) < WINDOW
    return float(np.sqrt(np.mean((ours - theirs)[near] ** 2))) if near.any() else float("nan")


def free_parameters(z: int) -> list[int]:
    """Entries of theta that matter for an element."""
    n = len(orbitals(z))
    shells = [True, n > 1, n > 4]
    return [i for i, used in enumerate([*shells, True, *shells]) if used]


def residual(theirs: Floats, ours: Floats) -> tuple[Floats, Floats]:
    """Square roots of the weights and differences; levels fade out from 3 to 4 eV, far misses count linearly."""
    weight = np.where(np.abs(theirs) < WINDOW, 1.0, np.clip(WINDOW + 1.0 - np.abs(theirs), 0.0, 1.0) ** 2)
    total = float(weight[np.abs(theirs) < WINDOW].sum()) or max(float(weight.sum()), 1e-9)
    difference = ours - theirs
    weight = weight / total / np.maximum(np.abs(difference), 1.0)
    return np.sqrt(weight).ravel(), difference.ravel()


def derivatives(case: Case, theta: Theta, *, with_gradient: bool) -> Derivatives | None:
    """Cost of a crystal, and its derivatives with charges held fixed; None where the bands cannot be computed."""
    try:
        made = hamiltonian(case, {z: parameters(theta[z]) for z in set(case.z)})
        theirs, ours = levels(case, made, soc=False)
        weight, miss = residual(theirs, ours)
        cost = float(np.sum((weight * miss) ** 2))
        index = [(z, i) for z in sorted(set(case.z)) for i in free_parameters(z)] if with_gradient else []
        columns = []
        for z, i in index:
            moved = {**theta, z: theta[z] + STEP[i] * np.eye(7)[i]}
            other = hamiltonian(case, {q: parameters(moved[q]) for q in set(case.z)}, made.shift)
            columns.append(weight * (levels(case, other, soc=False)[1] - ours).ravel() / STEP[i])
    except np.linalg.LinAlgError:
        return None
    jacobian = np.array(columns).reshape(len(index), -1)
    return Derivatives(cost, index, jacobian @ jacobian.T, jacobian @ (weight * miss))


def fit(cases: Sequence[Case], n_steps: int, workers: int) -> Theta:
    """Levenberg-Marquardt over all elements at once, with a Gaussian prior around the default."""
    elements = sorted({z for case in cases for z in case.z})
    theta: Theta = {z: np.zeros(7) for z in elements}
    place = {(z, i): n for n, (z, i) in enumerate((z, i) for z in elements for i in free_parameters(z))}
    width = np.array([PRIOR[i] for _, i in place])
    damping = 1.0

    def flat(values: Theta) -> Floats:
        return np.array([values[z][i] for z, i in place])

    with multiprocessing.get_context("spawn").Pool(workers) as pool:

        def run(at: Theta, *, with_gradient: bool) -> tuple[float, list[Derivatives]]:
            found = pool.map(partial(derivatives, theta=at, with_gradient=with_gradient), cases, chunksize=2)
            good = [row for row in found if row is not None]
            lost = len(found) - len(good)
            cost = PRECISION * (sum(row.cost for row in good) + 100.0 * lost)
            return cost + float(np.sum((flat(at) / width) ** 2)), good

        for number in range(n_steps):
            cost, rows = run(theta, with_gradient=True)
            print(f"step {number}: cost {cost:.0f}", flush=True)
            matrix, gradient = np.diag(1.0 / width**2), flat(theta) / width**2
            for row in rows:
                at = [place[key] for key in row.parameter]
                matrix[np.ix_(at, at)] += PRECISION * row.matrix
                gradient[at] += PRECISION * row.gradient
            for _ in range(4):
                change = -np.linalg.solve(matrix + damping * np.diag(1.0 / width**2), gradient)
                change = np.clip(change, -LARGEST * width, LARGEST * width)
                tried: Theta = {z: theta[z].copy() for z in elements}
                for (z, i), value in zip(place, change.tolist(), strict=True):
                    tried[z][i] += value
                if run(tried, with_gradient=False)[0] < cost:
                    theta, damping = tried, max(damping / 3.0, 0.05)
                    break
                damping *= 5.0
            else:
                return theta
    return theta


def write_parameters(theta: Theta, path: Path) -> None:
    """Write the table; elements without bands take the mean of their group, noble gases the default."""
    group = element_column("group")
    rows = {}
    for z in range(3, LAST_ELEMENT + 1):
        alike = [21, 39] if z in LANTHANIDES else [q for q in theta if group[q] == group[z] and q != 57]
        if z not in theta and not alike:
            continue
        value = theta[z] if z in theta else np.mean([theta[q] for q in alike], axis=0)
        chosen = parameters(value)
        rows[symbols()[z]] = {
            "confinement": [round(x, 4) for x in chosen.confinement],
            "density": round(chosen.density, 4),
            "shift": [round(x, 4) for x in chosen.shift],
            "fitted": z in theta,
        }
    lines = ",\n".join(f'"{name}": {json.dumps(row)}' for name, row in rows.items())
    path.write_text("{\n" + lines + "\n}\n", encoding="utf-8")


def _summary(name: str, errors: Sequence[float]) -> str:
    low, middle, high = np.nanpercentile(errors, [25, 50, 75])
    return f"| {name} | {len(errors)} | {middle:.3f} | {np.nanmean(errors):.3f} | {low:.2f} to {high:.2f} |"


def score(cases: Sequence[Case], chosen: Mapping[int, ElementParameters], workers: int) -> None:
    """Print the metric by set, class and element."""
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        errors = pool.map(partial(error, chosen=chosen), cases, chunksize=2)
    kept_out = held_out(cases)
    test = [(case, e) for case, e in zip(cases, errors, strict=True) if case.material_id in kept_out]
    block_d = element_column("block_d")
    classes = {
        "held out": test,
        "held out, with a d-block metal": [row for row in test if any(block_d[z] for z in row[0].z)],
        "held out, without": [row for row in test if not any(block_d[z] for z in row[0].z)],
        "held out, with Cr, Mn, Fe, Co or Ni": [row for row in test if set(row[0].z) & MAGNETIC],
        "held out, with La": [row for row in test if 57 in row[0].z],
        "fitted": [(c, e) for c, e in zip(cases, errors, strict=True) if c.material_id not in kept_out],
    }
    print("| crystals | n | median RMSE, eV | mean | quartiles |\n|---|---|---|---|---|")
    for name, rows in classes.items():
        if rows:
            print(_summary(name, [e for _, e in rows]))
    worst = sorted(test, key=lambda row: -row[1])[:10]
    print("\nworst held out: " + ", ".join(f"{case.formula} {e:.2f}" for case, e in worst))
    by_element: dict[str, list[float]] = defaultdict(list)
    for case, e in zip(cases, errors, strict=True):
        for z in set(case.z):
            by_element[symbols()[z]].append(e)
    ranked = sorted(by_element.items(), key=lambda item: -float(np.median(item[1])))
    print("median by element, all crystals: " + ", ".join(f"{name} {np.median(e):.2f}" for name, e in ranked))


def main() -> None:
    """Fit or score."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=["score", "fit"])
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("SHC_DATA", ".")) / "dft_bands")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("-o", "--output", type=Path, default=Path("tight_binding.json"))
    arguments = parser.parse_args()
    start = time.perf_counter()
    cases = read_cases(arguments.data)
    chosen = {z: element_parameters(z) for z in {z for case in cases for z in case.z}}
    if arguments.verb == "fit":
        kept_out = held_out(cases)
        theta = fit([c for c in cases if c.material_id not in kept_out], arguments.steps, arguments.workers)
        write_parameters(theta, arguments.output)
        chosen = {z: parameters(value) for z, value in theta.items()}
    score(cases, chosen, arguments.workers)
    print(f"{len(cases)} crystals, seed {SEED}, {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
