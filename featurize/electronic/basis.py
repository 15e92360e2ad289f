"""Tight-binding basis of an element and the two-centre integrals of a pair."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from shc.featurize.electronic.atom import confining_potential, free_atom, hubbard_u, solve_atom
from shc.featurize.electronic.configurations import basis_shells, orbitals, valence_electrons
from shc.featurize.elements import element_column
from shc.featurize.units import BOHR, HARTREE_EV
from shc.kernels.slater_koster import RADIAL_ROWS, two_centre_integrals

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

N_RADIAL: Final = 48
N_ANGULAR: Final = 24
_MAP_RADIUS: Final = 4.0
_UNBOUND_EV: Final = 1.0
"""Level of a polarisation shell that the free atom does not bind, before its fitted shift, eV."""
_SOC_RADIUS: Final = 10.0


class ElementParameters(NamedTuple):
    """Adjustable numbers of an element, one entry per s, p, d shell."""

    confinement: tuple[float, float, float] = (1.9, 1.9, 1.9)
    """``r_0`` of the potential ``(r / r_0)^2`` that confines the orbitals, in covalent radii."""
    density: float = 3.0
    """``r_0`` of the potential that confines the density, in covalent radii."""
    shift: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Shift of the free atom's levels, eV."""


@dataclass(frozen=True, slots=True)
class ElementBasis:
    """What an element brings to a Hamiltonian."""

    z: int
    kept: NDArray[np.int64]
    """``[n]`` which of the nine s, p, d orbitals exist."""
    onsite: Floats
    """``[9]`` levels, eV."""
    soc: tuple[float, float]
    """Spin-orbit constants of the p and d shells, eV."""
    hubbard: float
    """eV."""
    electrons: float
    """Valence electrons."""
    table: Floats
    """``[RADIAL_ROWS, n_r]`` see ``shc.kernels.slater_koster``, Hartree atomic units."""
    x0: float
    """``ln r`` of the first mesh point."""
    step: float
    """Step in ``ln r``."""


def build_basis(z: int, parameters: ElementParameters) -> ElementBasis:
    """Solve the confined atom.

    Args:
        z: Atomic number, 1 to 88.
        parameters: Confinement and shifts.
    """
    atom = free_atom(z)
    r = atom.mesh.r
    radius = float(element_column("covalent_radius")[z]) / BOHR
    table = np.zeros((RADIAL_ROWS, r.size))
    onsite, soc = np.zeros(3), [0.0, 0.0]
    for shell in basis_shells(z):
        l, r0 = shell.l, parameters.confinement[shell.l] * radius  # noqa: E741
        orbital = atom.bound(shell, r0)
        kinetic = orbital.energy - atom.potential - confining_potential(r, r0)
        table[l] = orbital.radial / r
        table[3 + l] = np.maximum(kinetic, -1e6)
        known = atom.orbitals.get(shell)
        level = _UNBOUND_EV if known is None else known.energy * HARTREE_EV
        onsite[l] = level + parameters.shift[l]
        if l:
            soc[l - 1] = atom.spin_orbit_constant(orbital if known is not None else atom.bound(shell, _SOC_RADIUS))
    squeezed = solve_atom(z, confinement=parameters.density * radius)
    table[6], table[7] = squeezed.electrostatic, squeezed.density
    return ElementBasis(
        z=z,
        kept=np.array(orbitals(z)),
        onsite=np.repeat(onsite, [1, 3, 5]),
        soc=(soc[0], soc[1]),
        hubbard=hubbard_u(z),
        electrons=valence_electrons(z),
        table=table,
        x0=float(np.log(r[0])),
        step=atom.mesh.step,
    )


@lru_cache(maxsize=1)
def _quadrature() -> tuple[Floats, Floats, Floats, Floats]:
    """Radial and polar nodes and weights.

    Source: O. Treutler and R. Ahlrichs, J. Chem. Phys. 102, 346 (1995) for Gauss-Chebyshev nodes of the second kind;
    M. E. Mura and P. J. Knowles, J. Chem. Phys. 104, 9848 (1996) for their map to the half line.
    """
    i = np.arange(1, N_RADIAL + 1)
    angle = i * np.pi / (N_RADIAL + 1)
    x = 0.5 * (1.0 + np.cos(angle))
    weight = 0.5 * np.pi / (N_RADIAL + 1) * np.sin(angle)
    r = -_MAP_RADIUS * np.log(1.0 - x**3)
    jacobian = 3.0 * _MAP_RADIUS * x * x / (1.0 - x**3)
    cosine, cosine_weight = np.polynomial.legendre.leggauss(N_ANGULAR)
    return r, weight * jacobian * r * r, cosine, cosine_weight


def pair_integrals(a: ElementBasis, b: ElementBasis, distance: Floats) -> Floats:
    """Two-centre integrals of two elements.

    Args:
        a: First element; bonds point from it.
        b: Second element.
        distance: ``[n]`` Angstrom.

    Returns:
        ``[n, 28]``: 14 Hamiltonian integrals, eV, and 14 overlaps.
    """
    h, s = two_centre_integrals(
        *(a.table, b.table, a.x0, b.x0, a.step, np.ascontiguousarray(distance) / BOHR), *_quadrature()
    )
    return np.hstack([h * HARTREE_EV, s])
