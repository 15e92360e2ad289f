"""Charge self-consistency: atoms exchange Mulliken charge through screened Coulomb forces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.special import erfc

from shc.featurize.electronic.mesh import reciprocal
from shc.featurize.electronic.solver import occupations, solve_scalar
from shc.featurize.units import COULOMB
from shc.kernels.neighbours import full_list

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from shc.featurize.electronic.hamiltonian import Hamiltonian
    from shc.featurize.electronic.mesh import Mesh

    Floats = NDArray[np.float64]

TEMPERATURE: Final = 0.1
"""Fermi-Dirac width of the self-consistency, eV."""
TOLERANCE: Final = 3e-3
"""Largest change of an atom's charge at the end, electrons."""
MAX_ITERATIONS: Final = 30
_EWALD: Final = 3.6
_HISTORY: Final = 5


def coulomb_matrix(lattice: Floats, frac: Floats, hubbard: Floats) -> Floats:
    """Interaction of Gaussian charges on the atoms of a neutral crystal.

    Args:
        lattice: ``[3, 3]`` rows, Angstrom.
        frac: ``[n, 3]``.
        hubbard: ``[n]`` self-interaction of each atom, eV; it fixes the widths of the Gaussians.

    Returns:
        ``[n, n]`` potential at i of a unit charge at j and its images, eV.

    Source: P. P. Ewald, Ann. Phys. 369, 253 (1921), with Gaussian charges as in M. Elstner et al., Phys. Rev. B 58,
    7260 (1998).
    """
    n = len(frac)
    axes = reciprocal(lattice)
    volume = abs(float(np.linalg.det(lattice)))
    alpha = np.sqrt(np.pi) / volume ** (1.0 / 3.0)
    reach = 2.0 * alpha * _EWALD
    box = [np.arange(-m, m + 1) for m in np.ceil(reach / (2 * np.pi) * np.linalg.norm(lattice, axis=1)).astype(int)]
    g = np.stack(np.meshgrid(*box, indexing="ij"), axis=-1).reshape(-1, 3) @ axes
    square = (g * g).sum(axis=1)
    near = (square > 1e-12) & (square < reach * reach)
    g, square = g[near], square[near]
    weight = 4.0 * np.pi / volume * np.exp(-square / (4.0 * alpha**2)) / square
    phase = (frac @ lattice) @ g.T
    wave = np.exp(1j * phase)
    out = ((wave * weight) @ wave.conj().T).real - np.pi / (volume * alpha**2)
    out[np.diag_indices(n)] -= 2.0 * alpha / np.sqrt(np.pi)
    width = np.sqrt(2.0 / np.pi) * COULOMB / hubbard
    radius = max(_EWALD / alpha, 4.5 * np.sqrt(2.0) * float(width.max()))
    pairs = full_list(lattice[None], frac, np.array([0, n]), radius)
    r, i, j = pairs.distance, pairs.i, pairs.j
    spread = np.hypot(width[i], width[j])
    np.add.at(out, (i, j), (erfc(alpha * r) - erfc(r / spread)) / r)
    return np.asarray(out * COULOMB + np.diag(hubbard))


def converge_charges(hamiltonian: Hamiltonian, mesh: Mesh, orbit: NDArray[np.int64], frac: Floats) -> bool:
    """Find the charges that the shifted levels reproduce, and leave the shift in ``hamiltonian``.

    Args:
        hamiltonian: Changed in place.
        mesh: Coarse mesh.
        orbit: ``[n_atoms]`` orbit of every atom; equivalent atoms have equal charges.
        frac: ``[n_atoms, 3]``.

    Returns:
        Whether the charges converged.

    Source: M. Elstner et al., Phys. Rev. B 58, 7260 (1998), eqs. 14-20; D. G. Anderson, J. ACM 12, 547 (1965).
    """
    n = len(frac)
    neutral = np.array([basis.electrons for basis in hamiltonian.bases])
    charges = np.zeros(n)
    if orbit.max() == 0:
        return True
    gamma = coulomb_matrix(hamiltonian.lattice, frac, np.array([basis.hubbard for basis in hamiltonian.bases]))
    hamiltonian.shift = np.zeros(0)
    matrices = [hamiltonian.matrices(k) for k in mesh.k]
    size = np.bincount(orbit)
    tried: list[Floats] = []
    missed: list[Floats] = []
    converged = False
    for _ in range(MAX_ITERATIONS):
        hamiltonian.shift = gamma @ charges
        mean = hamiltonian.mean_shift()
        solved = [solve_scalar(h + mean * s, s) for h, s in matrices]
        filling = occupations([e for e, _ in solved], mesh.weight, hamiltonian.electrons, TEMPERATURE)
        population = np.zeros(hamiltonian.size)
        for (_, c), (_, s), f, w in zip(solved, matrices, filling, mesh.weight, strict=True):
            occupied = f > 1e-6
            filled = c[:, occupied]
            population += w * (filled.conj() * (s @ filled)).real @ f[occupied]
        gained = np.bincount(hamiltonian.atom_of, population, minlength=n) - neutral
        gained = (np.bincount(orbit, gained) / size)[orbit]
        residual = gained - charges
        tried.append(charges)
        missed.append(residual)
        converged = bool(np.abs(residual).max() < TOLERANCE)
        if converged:
            break
        charges = _mix(tried[-_HISTORY:], missed[-_HISTORY:])
        charges = charges - charges.mean()
    hamiltonian.shift = gamma @ charges
    return converged


def _mix(tried: list[Floats], missed: list[Floats]) -> Floats:
    x, r = tried[-1], missed[-1]
    if len(tried) == 1:
        return x + 0.2 * r
    dr = np.array([r - old for old in missed[:-1]]).T
    dx = np.array([x - old for old in tried[:-1]]).T
    weight = np.linalg.lstsq(dr, r, rcond=1e-6)[0]
    return np.asarray(x - dx @ weight + 0.3 * (r - dr @ weight))
