"""Spin Hall conductivity and density of states on a mesh of wave vectors.

Convention: ``shc[i, j, k]`` is the response of the spin current along i, with spin along k, to a field along j. Where
the spin is conserved it equals ``-(hbar / 2 e) (sigma_up - sigma_down)`` of the two charge Hall conductivities, with
e > 0, because an electron of charge -e carries the spin. No sign is chosen: fcc Pt comes out positive. In a
non-orthogonal basis, between states n and m,

    hbar v = c_n^+ (dH - (e_n + e_m) / 2 dS) c_m,     J_i^k = {sigma_k / 2, hbar v_i} / 2,

    shc = e^2 / hbar / V sum_k w_k sum_n f_n sum_m -2 Im[<n| J_i^k |m> <m| hbar v_j |n>] / ((e_n - e_m)^2 + eta^2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from shc.featurize.electronic.record import DOS_GRID, SHC_GRID
from shc.featurize.electronic.solver import fermi_level, solve_scalar, spin_orbit_matrix
from shc.featurize.units import E2_PER_HBAR
from shc.kernels.kubo import density_of_states, fill_bands, spin_berry_curvature

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from shc.featurize.electronic.hamiltonian import Hamiltonian
    from shc.featurize.electronic.mesh import Mesh

    Floats = NDArray[np.float64]
    Complex = NDArray[np.complex128]
    Single = NDArray[np.complex64]

WINDOW: Final = 11.0
"""Scalar states farther from the Fermi level do not enter the second variation, eV."""
SHC_RANGE: Final = float(SHC_GRID[-1])
_MARGIN: Final = 0.8
"""Allowed error of the first guess of the Fermi level, eV."""
ETA: Final = 0.1
"""Least broadening of the energy denominators, eV."""
FERMI_WIDTH: Final = 0.05
"""Fermi-Dirac width in the search for the Fermi level, eV."""
WIDTH: Final = 0.1
"""Least width of occupations, eV."""
ADAPTIVE: Final = 0.3
"""Widths in units of band velocity times mesh step."""
WIDEST: Final = 0.5
"""Greatest adaptive width, eV."""
DOS_ADAPTIVE: Final = 0.6
"""The same for the density of states, wide enough to leave no ripples of the mesh."""
_DEGENERATE: Final = 1e-4
"""States closer than this belong to one level, eV."""
_TO_S_PER_CM: Final = E2_PER_HBAR * 1e8
"""``e^2 / hbar`` over one Angstrom, S/cm."""


class BandStates(NamedTuple):
    """States at one wave vector."""

    energy: Floats
    """``[n]`` eV, ascending."""
    width: Floats
    """``[n]`` adaptive width, eV."""
    dos_width: Floats
    """``[n]`` the same for the density of states, eV."""
    curvature: Floats
    """``[n, 27]`` spin Berry curvature, Angstrom^2."""
    n_below: int
    """Spin-orbit states left out below the window."""


@dataclass(frozen=True, slots=True)
class Response:
    """What the mesh gives; energies from the Fermi level."""

    fermi_ev: float
    """Fermi level, eV on the scale of the Hamiltonian."""
    shc: Floats
    """``[n_e, 3, 3, 3]`` on ``SHC_GRID``, (hbar/e) S/cm."""
    dos: Floats
    """``[n_d]`` on ``DOS_GRID``, states per eV and cell, both spins."""
    valence_ev: float
    """Top of the occupied bands on the mesh, eV on the scale of the Hamiltonian."""
    conduction_ev: float
    """Bottom of the empty bands; ``WINDOW`` above the Fermi level where no band is that low."""


def _operators(e: Floats, c: Complex, coupled: Complex, dh: Complex, ds: Complex) -> Single:
    """Parts W, G, Bx, By of ``hbar v = [[W + G, Bx - i By], [Bx + i By, W - G]]`` in the basis of scalar states.

    ``hbar v = D - (S H + H S) / 2`` with D and S the gradients between scalar states and H the Hamiltonian with
    spin-orbit coupling, ``H = e + L sigma``; W comes from e, the others from the coupling. Single precision will do.
    """
    n = len(e)
    z, off = coupled[:n, :n] - np.diag(e), coupled[:n, n:]
    x, y = 0.5 * (off + off.conj().T), 0.5j * (off - off.conj().T)
    out = np.empty((3, 4, n, n), dtype=np.complex64)
    for axis in range(3):
        s = c.conj().T @ (ds[axis] @ c)
        out[axis, 0] = c.conj().T @ (dh[axis] @ c) - 0.5 * (e[:, None] + e[None, :]) * s
        for part, soc in enumerate((z, x, y), start=1):
            half = s @ soc
            out[axis, part] = -0.5 * (half + half.conj().T)
    return out


class _Sets(NamedTuple):
    """Bands below and above the energies of interest; they overlap there."""

    low: NDArray[np.int64]
    high: NDArray[np.int64]
    shared: NDArray[np.bool_]
    """``[n_low, n_high]`` whether both bands belong to both sets."""

    @classmethod
    def of(cls, energy: Floats, guess: float) -> _Sets:
        reach = SHC_RANGE + _MARGIN
        is_low, is_high = energy < guess + reach, energy > guess - reach
        low, high = np.flatnonzero(is_low), np.flatnonzero(is_high)
        return cls(low, high, is_high[low][:, None] & is_low[high][None, :])


def _matrix_elements(parts: Single, u: Single, sets: _Sets) -> tuple[Single, Single]:
    """Velocity ``[3, n_low, n_high]`` and spin current ``[3, 3, n_low, n_high]``, spin axis first; eV Angstrom."""
    n = parts.shape[-1]
    left = u[:, sets.low].conj().T
    right = np.hstack([u[:n, sets.high], u[n:, sets.high]])
    shape = (len(sets.low), len(sets.high))
    velocity = np.empty((3, *shape), dtype=np.complex64)
    current = np.empty((3, 3, *shape), dtype=np.complex64)
    for axis in range(3):
        applied = (parts[axis].reshape(4 * n, n) @ right).reshape(4, n, 2, -1).transpose(0, 2, 1, 3)
        (w_up, w_down), (g_up, g_down), (x_up, x_down), (y_up, y_down) = applied
        velocity[axis] = left @ np.vstack([w_up + g_up + x_down - 1j * y_down, w_down - g_down + x_up + 1j * y_up])
        current[0, axis] = left @ np.vstack([x_up + w_down, w_up + x_down])
        current[1, axis] = left @ np.vstack([y_up - 1j * w_down, 1j * w_up + y_down])
        current[2, axis] = left @ np.vstack([w_up + g_up, g_down - w_down])
    current *= 0.5
    return velocity, current


def _speed(scalar_velocity: Single, u: Single) -> Floats:
    """``[n, 3]`` band velocities times hbar without the small part from spin-orbit coupling; they set widths only."""
    n = scalar_velocity.shape[-1]
    spinors = np.hstack([u[:n], u[n:]])
    twice = np.array([(spinors.conj() * (w @ spinors)).real.sum(axis=0) for w in scalar_velocity])
    return np.asarray(twice[:, : u.shape[1]] + twice[:, u.shape[1] :], dtype=np.float64).T.copy()


def _level_means(speed: Floats, energy: Floats) -> Floats:
    """Mean velocity ``[n, 3]`` of each degenerate level: those of its single states depend on an arbitrary basis."""
    level = np.concatenate([[0], np.cumsum(np.diff(energy) > _DEGENERATE)])
    count = np.bincount(level)
    return np.column_stack([(np.bincount(level, v) / count)[level] for v in speed.T])


def band_states(
    hamiltonian: Hamiltonian, coupling: Complex, k: Floats, step: float, guess: float, *, eta: float = ETA
) -> BandStates:
    """Diagonalise with spin-orbit coupling and sum the spin Berry curvature at one wave vector.

    Args:
        hamiltonian: The crystal.
        coupling: ``hamiltonian.spin_orbit()``.
        k: ``[3]`` 1/Angstrom.
        step: Mesh step, 1/Angstrom.
        guess: Fermi level within 0.8 eV.
        eta: Least broadening, eV.
    """
    e, c = solve_scalar(*hamiltonian.matrices(k))
    first, last = np.searchsorted(e, [guess - WINDOW, guess + WINDOW])
    last = max(last, first + 1)
    e, c = e[first:last], c[:, first:last]
    coupled = spin_orbit_matrix(e, c, coupling)
    energy, u = np.linalg.eigh(coupled)
    sets = _Sets.of(energy, guess)
    parts = _operators(e, c, coupled, *hamiltonian.gradients(k))
    spinors = u.astype(np.complex64)
    velocity, current = _matrix_elements(parts, spinors, sets)
    speed = _level_means(_speed(parts[:, 0], spinors), energy)
    at_low, at_high = spin_berry_curvature(
        *(current, velocity, energy[sets.low], energy[sets.high], sets.shared, speed[sets.low], speed[sets.high]),
        *(ADAPTIVE * step, eta, WIDEST),
    )
    curvature = np.zeros((len(energy), 27))
    curvature[sets.low] += at_low.reshape(-1, 27)
    curvature[sets.high] += at_high.reshape(-1, 27)
    smear = step * np.linalg.norm(speed, axis=1)
    width, dos_width = (np.clip(factor * smear, WIDTH, WIDEST) for factor in (ADAPTIVE, DOS_ADAPTIVE))
    return BandStates(energy, width, dos_width, curvature, 2 * int(first))


def respond(states: Iterable[BandStates], mesh: Mesh, electrons: float, volume: float, projector: Floats) -> Response:
    """Sum a mesh.

    Args:
        states: One per k-point of the mesh.
        mesh: The mesh.
        electrons: Per cell.
        volume: Of the cell, Angstrom^3.
        projector: ``[27, 27]`` on the tensors that the point group allows, Cartesian frame of the crystal.

    Raises:
        ValueError: The bands cannot hold the electrons.
    """
    found = list(states)
    # Bands below the window are full; they count alike at all k up to crossings of its edge, far below.
    below = min(state.n_below for state in found)
    padded = [np.concatenate([np.full(state.n_below - below, -1e3), state.energy]) for state in found]
    level = fermi_level(padded, mesh.weight, electrons - below, FERMI_WIDTH, degeneracy=1.0)
    filled = round(electrons) - below
    valence = max(float(e[filled - 1]) for e in padded)
    conduction = min(float(e[filled]) if len(e) > filled else level + WINDOW for e in padded)
    if conduction > valence:
        level = 0.5 * (valence + conduction)
    shc = np.zeros((len(SHC_GRID), 27))
    dos = np.zeros(len(DOS_GRID))
    for state, weight in zip(found, mesh.weight, strict=True):
        energy = state.energy - level
        fill_bands(energy, state.width, float(weight), state.curvature, SHC_GRID, shc)
        density_of_states(energy, state.dos_width, float(weight), DOS_GRID, dos)
    shc = (shc @ projector.T) * (_TO_S_PER_CM / volume)
    return Response(level, shc.reshape(-1, 3, 3, 3), dos, valence, conduction)
