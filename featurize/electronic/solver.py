"""Eigenstates at one wave vector: scalar, then with spin-orbit coupling; occupations and the Fermi level."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.linalg import LinAlgError, eigh

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Complex = NDArray[np.complex128]

_DEPENDENT: Final = 1e-3
"""Directions with a smaller eigenvalue of the overlap are dropped where the overlap is not positive."""


def solve_scalar(h: Complex, s: Complex) -> tuple[Floats, Complex]:
    """Eigenstates of ``h c = e s c``.

    Args:
        h: ``[N, N]`` Hermitian, eV.
        s: ``[N, N]`` overlap.

    Returns:
        ``[n]`` energies, eV, ascending, and ``[N, n]`` coefficients with ``c^+ s c = 1``; n < N only where the
        overlap is singular.
    """
    try:
        energy, c = eigh(h, s, driver="gvd", check_finite=False)
    except LinAlgError:
        weight, x = np.linalg.eigh(s)
        kept = weight > _DEPENDENT
        x = x[:, kept] / np.sqrt(weight[kept])
        energy, c = np.linalg.eigh(x.conj().T @ h @ x)
        c = x @ c
    return energy, c


def spin_orbit_matrix(energy: Floats, c: Complex, coupling: Complex) -> Complex:
    """Hamiltonian with spin-orbit coupling in the basis of scalar states, spin up first.

    Args:
        energy: ``[n]`` scalar energies, eV.
        c: ``[N, n]`` their coefficients.
        coupling: ``[3, N, N]`` ``xi L``, eV.

    Returns:
        ``[2 n, 2 n]`` eV.
    """
    n = len(energy)
    x, y, z = (0.5 * (c.conj().T @ (part @ c)) for part in coupling)
    out = np.empty((2 * n, 2 * n), dtype=np.complex128)
    out[:n, :n] = z
    out[n:, n:] = -z
    out[:n, n:] = x - 1j * y
    out[n:, :n] = x + 1j * y
    at = np.arange(n)
    out[at, at] += energy
    out[n + at, n + at] += energy
    return out


def fermi_dirac(energy: Floats, level: float, width: float) -> Floats:
    """Occupation between 0 and 1."""
    return np.asarray(1.0 / (1.0 + np.exp(np.clip((energy - level) / width, -60.0, 60.0))))


def fermi_level(
    energies: Sequence[Floats], weight: Floats, electrons: float, width: float, *, degeneracy: float = 2.0
) -> float:
    """Level that fills the states with the electrons, eV.

    Args:
        energies: Per k-point, eV.
        weight: ``[n_k]`` sums to 1.
        electrons: Per cell.
        width: Fermi-Dirac width, eV.
        degeneracy: Electrons per state: 2 without, 1 with spin-orbit coupling.
    """
    flat = np.concatenate(energies)
    share = degeneracy * np.concatenate([np.full(len(e), w) for e, w in zip(energies, weight, strict=True)])
    low, high = float(flat.min()) - 1.0, float(flat.max()) + 1.0
    for _ in range(60):
        level = 0.5 * (low + high)
        if float(share @ fermi_dirac(flat, level, width)) > electrons:
            high = level
        else:
            low = level
    return 0.5 * (low + high)


def occupations(energies: Sequence[Floats], weight: Floats, electrons: float, width: float) -> list[Floats]:
    """Electrons in every scalar state, 0 to 2; arguments as ``fermi_level``."""
    level = fermi_level(energies, weight, electrons, width)
    return [2.0 * fermi_dirac(energy, level, width) for energy in energies]
