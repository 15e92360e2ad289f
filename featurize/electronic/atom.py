"""Scalar-relativistic LDA atoms, free and confined: orbitals, potentials, spin-orbit constants, Hubbard U."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np

from shc.featurize.electronic.configurations import Shell, basis_shells, configuration
from shc.featurize.units import HARTREE_EV, SPEED_OF_LIGHT
from shc.kernels.radial import bound_state, hartree_potential, lda_potential

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

N_MESH: Final = 1400
R_MAX: Final = 50.0
"""End of the radial mesh, Bohr."""
_MIXING: Final = 0.35
_TOLERANCE: Final = 1e-6
_MAX_ITERATIONS: Final = 400
_FILLED_RADIUS: Final = 14.0
_EMPTY_RADIUS: Final = 10.0
_DONATED: Final = 0.3
"""Electrons taken from the outer shell for the Hubbard U."""


@dataclass(frozen=True, slots=True)
class Mesh:
    """Logarithmic radial mesh."""

    r: Floats
    """``[n_r]`` Bohr."""
    step: float
    """Step in ``ln r``."""

    @classmethod
    def of(cls, z: int) -> Mesh:
        """Mesh from ``1e-5 / z`` Bohr to ``R_MAX``; all elements share the step of the heaviest one."""
        step = np.log(R_MAX * 1e5 * 100.0) / (N_MESH - 1)
        start = np.log(R_MAX) - step * np.arange(N_MESH)[::-1]
        r = np.exp(start[start > np.log(1e-5 / z)])
        return cls(r, float(step))

    def integrate(self, values: Floats) -> float:
        """Integral over r of ``[n_r]`` values."""
        return float(np.sum(values * self.r) * self.step)


@dataclass(frozen=True, slots=True)
class Orbital:
    """One bound state."""

    energy: float
    """Hartree."""
    radial: Floats
    """``[n_r]`` ``P = r R``, ``integral P^2 dr = 1``."""


@dataclass(frozen=True, slots=True)
class Atom:
    """A self-consistent spherical atom, Hartree atomic units."""

    z: int
    mesh: Mesh
    potential: Floats
    """``[n_r]`` Kohn-Sham potential without confinement."""
    electrostatic: Floats
    """``[n_r]`` of nucleus and electrons."""
    density: Floats
    """``[n_r]`` electrons per Bohr^3."""
    orbitals: Mapping[Shell, Orbital]
    """Occupied shells."""
    c: float
    """Speed of light used."""

    def bound(self, shell: Shell, confinement: float | None) -> Orbital:
        """A shell in the potential of this atom.

        Args:
            shell: Which; it need not be occupied.
            confinement: ``r_0`` of a potential ``(r / r_0)^2``, Bohr; none if None.
        """
        v = self.potential if confinement is None else self.potential + confining_potential(self.mesh.r, confinement)
        known = self.orbitals.get(shell)
        lowest = min(orbital.energy for orbital in self.orbitals.values()) - 1.0
        guess = 0.0 if known is None else known.energy
        energy, radial = bound_state(
            self.mesh.r, self.mesh.step, v, float(self.z), shell.n, shell.l, guess, lowest, 30.0, self.c
        )
        return Orbital(energy, radial)

    def spin_orbit_constant(self, orbital: Orbital) -> float:
        """``<P| 1/(2 M^2 c^2) (1/r) dV/dr |P>`` with ``M = 1 + (E - V)/(2 c^2)``, eV.

        Source: D. D. Koelling and B. N. Harmon, J. Phys. C 10, 3107 (1977), eq. 15.
        """
        slope = np.gradient(self.potential, self.mesh.step) / self.mesh.r
        mass = 1.0 + (orbital.energy - self.potential) / (2.0 * self.c**2)
        weight = slope / (self.mesh.r * 2.0 * self.c**2 * mass**2)
        return self.mesh.integrate(orbital.radial**2 * weight) * HARTREE_EV


def confining_potential(r: Floats, radius: float) -> Floats:
    """``(r / radius)^2``, Hartree for Bohr."""
    return np.asarray((r / radius) ** 2)


def solve_atom(
    z: int,
    *,
    confinement: float | None = None,
    occupation: Mapping[Shell, float] | None = None,
    c: float = SPEED_OF_LIGHT,
) -> Atom:
    """Self-consistent LDA atom.

    Args:
        z: Atomic number, 1 to 88.
        confinement: ``r_0`` of a potential ``(r / r_0)^2`` that compresses the density, Bohr; none if None.
        occupation: Electrons per shell; the ground state if None.
        c: Speed of light; a large value gives the non-relativistic atom.

    Source: P. Hohenberg and W. Kohn; W. Kohn and L. J. Sham, Phys. Rev. 140, A1133 (1965); the functional is that of
    ``shc.kernels.radial.lda``.
    """
    mesh = Mesh.of(z)
    r, h = mesh.r, mesh.step
    filled = configuration(z) if occupation is None else occupation
    confining = np.zeros_like(r) if confinement is None else confining_potential(r, confinement)
    highest = 0.5 if confinement is None else 20.0
    # Thomas-Fermi screening to start from.
    screened = 1.0 / (1.0 + 0.6 * r * z ** (1.0 / 3.0) / 0.8853) ** 2
    potential = -(1.0 + (z - 1.0) * screened) / r
    found = {shell: Orbital(-0.25 * z * z / shell.n**2, r) for shell in filled}
    density = electrostatic = r
    for _ in range(_MAX_ITERATIONS):
        radial = np.zeros_like(r)
        for shell, electrons in filled.items():
            energy, p = bound_state(
                *(r, h, potential + confining, float(z), shell.n, shell.l),
                *(found[shell].energy, -1.2 * z * z - 5.0, highest, c),
            )
            found[shell] = Orbital(energy, p)
            radial += electrons * p * p
        density = radial / (4.0 * np.pi * r * r)
        electrostatic = hartree_potential(r, h, radial) - z / r
        change = electrostatic + lda_potential(density) - potential
        if np.max(np.abs(change * r)) < _TOLERANCE * z**0.5:
            break
        potential = potential + _MIXING * change
    return Atom(z, mesh, potential, electrostatic, density, dict(found), c)


@cache
def free_atom(z: int) -> Atom:
    """The free atom, solved once per process."""
    return solve_atom(z)


@cache
def hubbard_u(z: int) -> float:
    """Change of the outer occupied level with its occupation, eV: the stiffness of the atom's charge.

    Args:
        z: Atomic number, 1 to 88.

    Source: J. F. Janak, Phys. Rev. B 18, 7165 (1978).
    """
    filled = configuration(z)
    n = max(shell.n for shell in filled)
    outer = max(shell for shell in filled if shell.n == n)
    ion = solve_atom(z, occupation={**filled, outer: filled[outer] - _DONATED})
    return (free_atom(z).orbitals[outer].energy - ion.orbitals[outer].energy) / _DONATED * HARTREE_EV


@cache
def spin_orbit_constants(z: int) -> tuple[float, float]:
    """Spin-orbit constants of the p and d shells of the basis, eV; 0 where there is none.

    Orbitals are weakly confined, as in a solid: ``r_0`` is 14 Bohr for shells that the free atom fills, 10 Bohr for
    others. ``shc.featurize.elements`` tabulates them.

    Args:
        z: Atomic number, 1 to 88.
    """
    atom = free_atom(z)
    constants = [0.0, 0.0]
    for shell in basis_shells(z):
        if shell.l > 0:
            radius = _FILLED_RADIUS if shell in atom.orbitals else _EMPTY_RADIUS
            constants[shell.l - 1] = atom.spin_orbit_constant(atom.bound(shell, radius))
    return constants[0], constants[1]
