"""From a crystal to its electronic record."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from shc.featurize.electronic.charges import converge_charges
from shc.featurize.electronic.conductivity import band_states, respond
from shc.featurize.electronic.configurations import LANTHANIDES, LAST_ELEMENT
from shc.featurize.electronic.hamiltonian import build_hamiltonian
from shc.featurize.electronic.kpath import band_path
from shc.featurize.electronic.mesh import cartesian_rotations, divisions, irreducible_mesh
from shc.featurize.electronic.record import BAND_RANGE, ElectronicRecord
from shc.featurize.electronic.solver import fermi_level, solve_scalar, spin_orbit_matrix
from shc.featurize.electronic.tables import SHORTEST, element_basis, is_fitted, tabulated_integrals
from shc.featurize.elements import MAGNETIC, symbols
from shc.featurize.errors import ShcError
from shc.featurize.tensor_symmetry import allowed_projector

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from shc.featurize.electronic.conductivity import Response
    from shc.featurize.electronic.hamiltonian import Hamiltonian
    from shc.featurize.electronic.kpath import KPath
    from shc.featurize.electronic.mesh import Mesh
    from shc.featurize.electronic.record import BandsConfig
    from shc.featurize.symmetry import PrimitiveCrystal

    Floats = NDArray[np.float64]
    Complex = NDArray[np.complex128]

COARSE_LENGTH: Final = 14.0
"""Mesh of the charge self-consistency, as the length of a supercell, Angstrom."""
LENGTHS: Final = np.arange(20.0, 101.0, 5.0)
"""Meshes of the conductivity to choose from, the same measure."""
COARSE_BELOW: Final = 30.0
"""A mesh shorter than this is flagged as coarse."""
_MAX_GRID: Final = 40_000
_PATH_WINDOW: Final = 8.0
"""Scalar states farther from the Fermi level do not enter the bands on the path, eV."""
_PATH_SHARE: Final = 0.35
_TOUCHING: Final = 1e-4
"""Bands closer than this touch, eV."""
_STRIDES: Final = ((100, 1), (250, 2), (10**9, 4))
"""Up to so many orbitals every, every second, every fourth point of the path is computed, the others interpolated."""
_FERMI_WIDTH: Final = 0.1


class _Path(NamedTuple):
    energy: Floats
    """``[n_k, 2 n]`` with spin-orbit coupling, eV."""
    scalar: Floats
    """``[n_k, n]`` without, eV."""


def compute_bands(crystal: PrimitiveCrystal, config: BandsConfig) -> ElectronicRecord:
    """Bands along the high-symmetry path, density of states and spin Hall conductivity.

    Args:
        crystal: Primitive cell with its operations, from ``reduce_crystal``.
        config: Settings.

    Raises:
        ShcError: An element has no built-in electronic structure (actinides), or two atoms nearly coincide.
    """
    # Matrices are small: threads inside the linear algebra only get into each other's way.
    with threadpool_limits(limits=1, user_api="blas"):
        return _compute(crystal, config)


def _compute(crystal: PrimitiveCrystal, config: BandsConfig) -> ElectronicRecord:
    start = time.process_time()
    _check(crystal)
    flags = _element_flags(crystal.atomic_number)
    bases = [element_basis(z) for z in crystal.atomic_number.tolist()]
    hamiltonian = build_hamiltonian(crystal.lattice, crystal.frac, bases, tabulated_integrals)
    if len(hamiltonian.distance) and hamiltonian.distance.min() < SHORTEST:
        raise ShcError(
            f"two atoms are {hamiltonian.distance.min():.2f} Angstrom apart", "check the positions of the crystal"
        )
    coarse = _mesh(crystal, COARSE_LENGTH)
    if not converge_charges(hamiltonian, coarse, crystal.orbit.astype(np.int64), crystal.frac):
        flags.append("charges_not_converged")
    scalar = [solve_scalar(*hamiltonian.matrices(k))[0] for k in coarse.k]
    guess = fermi_level(scalar, coarse.weight, hamiltonian.electrons, _FERMI_WIDTH)
    coupling = hamiltonian.spin_orbit()
    mesh, length = choose_mesh(crystal, hamiltonian.size, config.budget)
    if length < COARSE_BELOW:
        flags.append("coarsened")
    response = respond(
        (band_states(hamiltonian, coupling, k, mesh.step, guess) for k in mesh.k),
        mesh,
        hamiltonian.electrons,
        abs(float(np.linalg.det(crystal.lattice))),
        allowed_projector(cartesian_rotations(crystal.lattice, crystal.rotations)),
    )
    kpath = band_path(crystal, config.path_points, config.symprec)
    bands = _path_bands(hamiltonian, coupling, kpath, guess)
    gap = _gap(bands, round(hamiltonian.electrons), response)
    fermi = response.fermi_ev
    return ElectronicRecord(
        energy=_shown(bands.energy - fermi),
        scalar_energy=_shown(bands.scalar - fermi),
        distance=kpath.distance.astype(np.float32),
        labels=kpath.labels,
        breaks=kpath.breaks,
        shc=response.shc.astype(np.float32),
        dos=response.dos.astype(np.float32),
        fermi_ev=fermi,
        gap_ev=gap,
        k_mesh=mesh.divisions,
        seconds=time.process_time() - start,
        flags=tuple(flags),
    )


def _check(crystal: PrimitiveCrystal) -> None:
    heavy = sorted({int(z) for z in crystal.atomic_number if z > LAST_ELEMENT})
    if heavy:
        names = ", ".join(symbols()[z] for z in heavy)
        raise ShcError(
            f"no built-in electronic structure for {names}: 5f shells need more than s, p and d orbitals",
            "give a band picture computed elsewhere, or go without bands",
        )


def _element_flags(atomic_number: NDArray[np.int64]) -> list[str]:
    present = set(atomic_number.tolist())
    flags = []
    if present & set(LANTHANIDES):
        flags.append("f_in_core")
    if present & MAGNETIC:
        flags.append("magnetic_element")
    if not all(is_fitted(z) for z in present):
        flags.append("unfitted_element")
    return flags


def _mesh(crystal: PrimitiveCrystal, length: float) -> Mesh:
    n = divisions(crystal.lattice, crystal.rotations, length)
    return irreducible_mesh(crystal.lattice, crystal.rotations, n)


def choose_mesh(crystal: PrimitiveCrystal, n_orbitals: int, budget: float) -> tuple[Mesh, float]:
    """Find the densest mesh that is expected to fit the budget.

    Args:
        crystal: The crystal.
        n_orbitals: N.
        budget: Processor time, seconds.

    Returns:
        The mesh, and its density as the length of a supercell, Angstrom.
    """
    share = budget * (1.0 - _PATH_SHARE) / seconds_per_point(n_orbitals)
    best = None
    for length in LENGTHS.tolist():
        n = divisions(crystal.lattice, crystal.rotations, length)
        if best is not None and (n[0] * n[1] * n[2] > _MAX_GRID):
            break
        mesh = best[0] if best is not None and best[0].divisions == n else _mesh(crystal, length)
        if best is not None and len(mesh.k) > share:
            break
        best = (mesh, length)
    assert best is not None  # noqa: S101  # LENGTHS is not empty
    return best


def seconds_per_point(n_orbitals: int) -> float:
    """Processor time of one point of the conductivity mesh on a current core, fitted to measurements.

    ``benchmarks/bands.py`` prints measurement and fit.

    Args:
        n_orbitals: N.
    """
    return 3.0e-4 + 3.2e-5 * n_orbitals + 1.0e-8 * n_orbitals**3


def _gap(bands: _Path, electrons: int, response: Response) -> float:
    """Smallest distance of empty and full states on mesh and path, eV; 0 for a metal."""
    valence = max(response.valence_ev, float(bands.energy[:, electrons - 1].max()))
    empty = bands.energy[:, electrons:]
    conduction = min(response.conduction_ev, float(empty[:, 0].min())) if empty.size else response.conduction_ev
    gap = conduction - valence
    return gap if gap > _TOUCHING else 0.0


def _shown(energy: Floats) -> NDArray[np.float32]:
    """The bands that come near the Fermi level at 0."""
    return energy[:, np.any(np.abs(energy) <= BAND_RANGE, axis=0)].astype(np.float32)


def _path_bands(hamiltonian: Hamiltonian, coupling: Complex, kpath: KPath, guess: float) -> _Path:
    points = _computed_points(kpath, hamiltonian.size)
    scalar, coupled = [], []
    for k in kpath.k[points]:
        e, c = solve_scalar(*hamiltonian.matrices(k))
        begin, end = np.searchsorted(e, [guess - _PATH_WINDOW, guess + _PATH_WINDOW])
        near = np.linalg.eigvalsh(spin_orbit_matrix(e[begin:end], c[:, begin:end], coupling))
        # A band may leave the window on its way: there it goes on without spin-orbit coupling.
        coupled.append(np.sort(np.concatenate([np.repeat(e[:begin], 2), near, np.repeat(e[end:], 2)])))
        scalar.append(e)
    n = min(map(len, scalar))
    return _Path(
        _along(kpath, points, np.array([e[: 2 * n] for e in coupled])),
        _along(kpath, points, np.array([e[:n] for e in scalar])),
    )


def _along(kpath: KPath, points: NDArray[np.int64], energy: Floats) -> Floats:
    """Bands on the whole path from those at some of its points, branch by branch."""
    if len(points) == len(kpath.k):
        return energy
    out = np.empty((len(kpath.k), energy.shape[1]))
    for begin, end in zip((0, *kpath.breaks), (*kpath.breaks, len(kpath.k)), strict=True):
        inside = (points >= begin) & (points < end)
        at = np.arange(begin, end)
        for band in range(energy.shape[1]):
            out[begin:end, band] = np.interp(at, points[inside], energy[inside, band])
    return out


def _computed_points(kpath: KPath, n_orbitals: int) -> NDArray[np.int64]:
    """Points of the path to diagonalise: all, or in large cells every few and the ends of all lines."""
    n = len(kpath.k)
    stride = next(stride for limit, stride in _STRIDES if n_orbitals <= limit)
    ends = [index for index, _ in kpath.labels]
    return np.unique(np.concatenate([np.arange(0, n, stride), ends, [n - 1]]).astype(np.int64))
