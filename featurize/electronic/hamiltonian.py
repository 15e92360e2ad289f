"""Bloch Hamiltonian, overlap and their gradients for one crystal."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from shc.kernels.neighbours import full_list
from shc.kernels.slater_koster import N_INTEGRALS, bloch_gradient, bloch_sum, bond_blocks, d_tensors, mirror_lower

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from shc.featurize.electronic.basis import ElementBasis

    Floats = NDArray[np.float64]
    Complex = NDArray[np.complex128]
    PairFunction = Callable[[ElementBasis, ElementBasis, Floats], Floats]

CUTOFF: Final = 6.8
"""Longest bond, Angstrom."""
_FADE: Final = 1.0
"""Width over which integrals fade out before the cutoff, Angstrom."""
_CARTESIAN: Final = [2, 0, 1]
"""Cartesian axis of the p orbitals z, x, y."""


def angular_momentum() -> tuple[Complex, Complex]:
    """Angular momentum of real orbitals.

    Returns:
        ``[3, 3, 3]`` for p and ``[3, 5, 5]`` for d: axis x, y, z first, orbitals in the order of
        ``shc.kernels.slater_koster``, in units of hbar.
    """
    levi = np.zeros((3, 3, 3))
    for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        levi[i, j, k], levi[i, k, j] = 1.0, -1.0
    p: Complex = (-1j * levi).astype(np.complex128)
    tensors = d_tensors()
    turned = np.einsum("aij,bjk->abik", p, tensors) + np.einsum("bij,akj->abik", tensors, p)
    d: Complex = np.einsum("cij,abij->acb", tensors, turned).astype(np.complex128)
    return p[:, _CARTESIAN][:, :, _CARTESIAN], d


@dataclass(slots=True)
class Hamiltonian:
    """Tight-binding matrices of a crystal with N orbitals.

    Orbitals sit on their atoms and phases use full bond vectors, so that ``dH/dk`` needs no further term.
    """

    lattice: Floats
    """``[3, 3]`` rows, Angstrom."""
    bases: Sequence[ElementBasis]
    """One per atom."""
    vector: Floats
    """``[n_bonds, 3]`` Angstrom."""
    distance: Floats
    """``[n_bonds]`` Angstrom."""
    pair: NDArray[np.int64]
    """``[n_bonds, 2]`` atoms i and j; only bonds of the lower triangle of atom blocks are kept."""
    blocks: Floats
    """``[2, n_bonds, m, m]`` Hamiltonian (eV) and overlap."""
    first: NDArray[np.int64]
    """``[n_atoms]`` first orbital of each atom."""
    n_orbitals: NDArray[np.int64]
    """``[n_atoms]``."""
    onsite: Floats
    """``[N]`` levels, eV."""
    shift: Floats = field(default_factory=lambda: np.zeros(0))
    """``[n_atoms]`` electrostatic shift of charge self-consistency, eV; empty for none."""

    @property
    def size(self) -> int:
        """N."""
        return len(self.onsite)

    @property
    def electrons(self) -> float:
        """Valence electrons of the cell."""
        return float(sum(basis.electrons for basis in self.bases))

    @property
    def atom_of(self) -> NDArray[np.int64]:
        """``[N]`` atom of each orbital."""
        return np.repeat(np.arange(len(self.bases)), self.n_orbitals)

    def _indices(self) -> tuple[NDArray[np.int64], ...]:
        i, j = self.pair[:, 0], self.pair[:, 1]
        return self.first[i], self.first[j], self.n_orbitals[i], self.n_orbitals[j]

    def matrices(self, k: Floats) -> tuple[Complex, Complex]:
        """Hamiltonian, eV, and overlap at one wave vector.

        Args:
            k: ``[3]`` Cartesian, 1/Angstrom.

        Returns:
            ``[N, N]`` each, Hermitian.
        """
        out = np.zeros((2, self.size, self.size), dtype=np.complex128)
        bloch_sum(k, self.vector, *self._indices(), self.blocks, out)
        mirror_lower(out)
        at = np.arange(self.size)
        out[0, at, at] += self.onsite
        out[1, at, at] += 1.0
        if self.shift.size:
            out[0] += self.mean_shift() * out[1]
        return out[0], out[1]

    def gradients(self, k: Floats) -> tuple[Complex, Complex]:
        """``dH/dk`` and ``dS/dk``.

        Args:
            k: ``[3]`` Cartesian, 1/Angstrom.

        Returns:
            ``[3, N, N]`` each, eV Angstrom and Angstrom, Hermitian.
        """
        out = np.zeros((3, 2, self.size, self.size), dtype=np.complex128)
        bloch_gradient(k, self.vector, *self._indices(), self.blocks, out)
        mirror_lower(out.reshape(6, self.size, self.size))
        if self.shift.size:
            out[:, 0] += self.mean_shift() * out[:, 1]
        return out[:, 0], out[:, 1]

    def mean_shift(self) -> Floats:
        """``[N, N]`` mean shift of the atoms of both orbitals, eV; what the overlap is multiplied by."""
        shift = self.shift[self.atom_of]
        return 0.5 * (shift[:, None] + shift[None, :])

    def spin_orbit(self) -> Complex:
        """``xi L`` of all atoms.

        Returns:
            ``[3, N, N]`` block diagonal, eV; the energy is ``sum_a xi L_a sigma_a / 2``.
        """
        p, d = angular_momentum()
        out = np.zeros((3, self.size, self.size), dtype=np.complex128)
        for basis, begin in zip(self.bases, self.first.tolist(), strict=True):
            full = np.zeros((3, 9, 9), dtype=np.complex128)
            full[:, 1:4, 1:4] = basis.soc[0] * p
            full[:, 4:9, 4:9] = basis.soc[1] * d
            end = begin + len(basis.kept)
            out[:, begin:end, begin:end] = full[:, basis.kept][:, :, basis.kept]
        return out


def build_hamiltonian(
    lattice: Floats, frac: Floats, bases: Sequence[ElementBasis], integrals: PairFunction
) -> Hamiltonian:
    """Assemble a crystal.

    Args:
        lattice: ``[3, 3]`` rows, Angstrom.
        frac: ``[n_atoms, 3]``.
        bases: One per atom.
        integrals: ``(a, b, distance)`` to ``[n, 28]``, as ``pair_integrals``.
    """
    z = np.array([basis.z for basis in bases])
    found = full_list(lattice[None], frac, np.array([0, len(z)]), CUTOFF)
    i, j = found.i.astype(np.int64), found.j.astype(np.int64)
    kept = i >= j
    i, j, distance = i[kept], j[kept], found.distance[kept].astype(np.float64)
    vector = (frac[j] + found.shift[kept] - frac[i]) @ lattice
    values = np.empty((len(i), 2 * N_INTEGRALS))
    by_element = {basis.z: basis for basis in bases}
    for a, first in by_element.items():
        for b, second in by_element.items():
            rows = np.flatnonzero((z[i] == a) & (z[j] == b))
            if len(rows):
                values[rows] = _in_order(first, second, distance[rows], integrals)
    fade = np.clip((CUTOFF - distance) / _FADE, 0.0, 1.0)
    values *= (fade * fade * (3.0 - 2.0 * fade))[:, None]
    h, s = bond_blocks(
        vector / distance[:, None],
        np.ascontiguousarray(values[:, :N_INTEGRALS]),
        np.ascontiguousarray(values[:, N_INTEGRALS:]),
    )
    n_orbitals = np.array([len(basis.kept) for basis in bases])
    return Hamiltonian(
        lattice=lattice,
        bases=bases,
        vector=vector,
        distance=distance,
        pair=np.column_stack([i, j]),
        blocks=_kept_orbitals(np.stack([h, s]), z[i], z[j], by_element),
        first=np.concatenate([[0], np.cumsum(n_orbitals)[:-1]]),
        n_orbitals=n_orbitals,
        onsite=np.concatenate([basis.onsite[basis.kept] for basis in bases]),
    )


def _in_order(a: ElementBasis, b: ElementBasis, distance: Floats, integrals: PairFunction) -> Floats:
    """Integrals of a pair, computed with the lighter element first; a bond seen from its other end has parity."""
    if a.z <= b.z:
        return integrals(a, b, distance)
    values = integrals(b, a, distance)
    # Reversed: (l_a, l_b, m) takes the place of (l_b, l_a, m), times (-1)^(l_a + l_b).
    swap = np.array([0, 2, 1, 4, 3, 5, 6, 9, 10, 7, 8, 11, 12, 13])
    sign = np.array([1.0, -1, -1, 1, 1, 1, 1, -1, -1, -1, -1, 1, 1, 1])
    return np.hstack([values[:, swap] * sign, values[:, N_INTEGRALS + swap] * sign])


def _kept_orbitals(
    blocks: Floats, z_i: NDArray[np.int64], z_j: NDArray[np.int64], by_element: dict[int, ElementBasis]
) -> Floats:
    """Cut ``[2, n, 9, 9]`` blocks down to the orbitals that exist, flush left."""
    width = max(len(basis.kept) for basis in by_element.values())
    out = np.zeros((*blocks.shape[:2], width, width))
    for a, first in by_element.items():
        for b, second in by_element.items():
            rows = np.flatnonzero((z_i == a) & (z_j == b))
            cut = blocks[:, rows][:, :, first.kept][:, :, :, second.kept]
            out[:, rows, : len(first.kept), : len(second.kept)] = cut
    return out
