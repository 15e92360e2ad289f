from __future__ import annotations

from functools import cache
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.special import erf

from shc.featurize.electronic.basis import ElementBasis, ElementParameters, build_basis, pair_integrals
from shc.featurize.electronic.charges import TEMPERATURE, converge_charges, coulomb_matrix
from shc.featurize.electronic.hamiltonian import Hamiltonian, build_hamiltonian
from shc.featurize.electronic.mesh import Mesh, reciprocal
from shc.featurize.electronic.solver import occupations, solve_scalar
from shc.featurize.units import COULOMB

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

FCC = np.array([[0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]])
CUBE = np.array(list(product((0.0, 1.0), repeat=3)))
POINT_LIKE = 500.0
"""Self-interaction of a charge 0.02 Angstrom wide, eV."""


@cache
def _basis(z: int) -> ElementBasis:
    return build_basis(z, ElementParameters())


def _crystal(lattice: Floats, frac: Floats, z: tuple[int, ...]) -> Hamiltonian:
    return build_hamiltonian(lattice, frac, [_basis(n) for n in z], pair_integrals)


def _full_mesh(lattice: Floats, n: int) -> Mesh:
    grid = np.array(list(product(range(n), repeat=3))) / n
    return Mesh((n, n, n), grid @ reciprocal(lattice), np.full(n**3, 1.0 / n**3), 0.1)


def _populations(hamiltonian: Hamiltonian, mesh: Mesh) -> Floats:
    """Mulliken electrons of each atom from the density matrix, for the shift in the Hamiltonian."""
    matrices = [hamiltonian.matrices(k) for k in mesh.k]
    solved = [solve_scalar(h, s) for h, s in matrices]
    filling = occupations([e for e, _ in solved], mesh.weight, hamiltonian.electrons, TEMPERATURE)
    total = np.zeros(hamiltonian.size)
    for (_, s), (_, c), f, weight in zip(matrices, solved, filling, mesh.weight, strict=True):
        density = (c * f) @ c.conj().T
        total += weight * np.diag(density @ s).real
    return np.asarray(np.bincount(hamiltonian.atom_of, total), dtype=np.float64)


def _converge(crystal: Hamiltonian, mesh: Mesh, orbit: list[int], frac: Floats) -> Floats:
    """Charges behind the shift that the loop leaves in the Hamiltonian."""
    assert converge_charges(crystal, mesh, np.array(orbit), frac)
    gamma = coulomb_matrix(crystal.lattice, frac, np.array([basis.hubbard for basis in crystal.bases]))
    return np.asarray(np.linalg.solve(gamma, crystal.shift))


@pytest.mark.parametrize(
    ("lattice", "other", "nearest", "madelung"),
    [
        (5.64 * FCC, [0.5, 0.5, 0.5], 2.82, 1.7475646),
        (4.12 * np.eye(3), [0.5, 0.5, 0.5], 4.12 * 3**0.5 / 2, 1.7626748),
        (5.41 * FCC, [0.25, 0.25, 0.25], 5.41 * 3**0.5 / 4, 1.6380551),
    ],
    ids=["rock salt", "caesium chloride", "zinc blende"],
)
def test_point_charges_have_the_madelung_energy(
    lattice: Floats, other: list[float], nearest: float, madelung: float
) -> None:
    frac = np.array([[0.0, 0.0, 0.0], other])
    gamma = coulomb_matrix(lattice, frac, np.full(2, POINT_LIKE))
    potential = (gamma - POINT_LIKE * np.eye(2)) @ np.array([1.0, -1.0])
    np.testing.assert_allclose(potential * nearest / COULOMB, [-madelung, madelung], rtol=5e-6)


def test_extended_charges_interact_as_gaussians() -> None:
    # Fluorite with charges of different widths against a plain sum of shells whose cubes are neutral on their own.
    lattice = np.array([[3.2, 0.0, 0.0], [0.0, 3.2, 0.0], [0.0, 0.0, 3.2]])
    frac = np.array([[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]])
    hubbard = np.array([7.0, 11.0])
    gamma = coulomb_matrix(lattice, frac, hubbard)
    point = coulomb_matrix(lattice, frac, np.full(2, POINT_LIKE)) - POINT_LIKE * np.eye(2)
    # U of a Gaussian of width w is e^2 sqrt(2 / pi) / w, and two of them see each other through erf(r / spread) / r.
    width = COULOMB * np.sqrt(2.0 / np.pi) / hubbard
    images = np.array(list(product(range(-6, 7), repeat=3)))
    for i in range(2):
        for j in range(2):
            r = np.linalg.norm((frac[j] - frac[i] + images) @ lattice, axis=1)
            r = r[r > 1e-9]
            screened = COULOMB * np.sum((erf(r / np.hypot(width[i], width[j])) - 1.0) / r)
            own = hubbard[i] if i == j else 0.0
            assert gamma[i, j] == pytest.approx(point[i, j] + screened + own, rel=1e-5, abs=1e-5)


def test_two_charges_in_one_place_interact_as_one() -> None:
    lattice = np.eye(3) * 30.0
    close = coulomb_matrix(lattice, np.array([[0.0, 0.0, 0.0], [1e-5, 0.0, 0.0]]), np.array([8.0, 8.0]))
    np.testing.assert_allclose(close, close[0, 0], rtol=1e-5)
    far = coulomb_matrix(lattice, np.array([[0.0, 0.0, 0.0], [0.2, 0.0, 0.0]]), np.array([8.0, 8.0]))
    # Alone in a large box: the difference to the self-interaction is that of the isolated pair, up to images.
    assert far[0, 0] - far[0, 1] == pytest.approx(8.0 - COULOMB / 6.0, abs=0.05)


def test_interaction_is_symmetric_and_stable() -> None:
    lattice = np.array([[4.1, 0.2, -0.4], [0.9, 4.6, 0.3], [-0.5, 0.7, 5.2]])
    frac = np.array([[0.02, 0.1, 0.04], [0.55, 0.43, 0.52], [0.21, 0.7, 0.77]])
    gamma = coulomb_matrix(lattice, frac, np.array([6.0, 9.0, 13.0]))
    np.testing.assert_allclose(gamma, gamma.T, atol=1e-9)
    neutral = np.linalg.svd(np.ones((1, 3)))[2][1:]
    assert np.linalg.eigvalsh(neutral @ gamma @ neutral.T).min() > 0.0


def test_supercell_sums_to_the_cell_and_needs_no_tuning() -> None:
    # The screening length of the Ewald sum follows the volume: eight-fold here, and the answer must not change.
    lattice = np.array([[4.1, 0.2, -0.4], [0.9, 4.6, 0.3], [-0.5, 0.7, 5.2]])
    frac = np.array([[0.02, 0.1, 0.04], [0.55, 0.43, 0.52]])
    hubbard = np.array([6.0, 9.0])
    gamma = coulomb_matrix(lattice, frac, hubbard)
    copies = np.concatenate([(frac + shift) / 2.0 for shift in CUBE])
    large = coulomb_matrix(2.0 * lattice, copies, np.tile(hubbard, 8))
    np.testing.assert_allclose(large[:2].reshape(2, 8, 2).sum(axis=1), gamma, rtol=1e-5, atol=1e-5)


def test_ions_of_rock_salt_have_opposite_charges_that_reproduce_themselves() -> None:
    lattice, frac = 5.64 * FCC, np.array([[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]])
    crystal, mesh = _crystal(lattice, frac, (11, 17)), _full_mesh(lattice, 3)
    neutral = np.array([1.0, 7.0])
    before = _populations(crystal, mesh) - neutral
    charges = _converge(crystal, mesh, [0, 1], frac)
    assert charges.sum() == pytest.approx(0.0, abs=1e-9)
    assert 0.1 < charges[1] < 1.0
    np.testing.assert_allclose(_populations(crystal, mesh) - neutral, charges, atol=4e-3)
    # The chlorine's own electrons hold further ones back.
    assert charges[1] < before[1]


def test_equivalent_atoms_have_equal_charges() -> None:
    lattice = 5.46 * FCC
    frac = np.array([[0.0, 0.0, 0.0], [0.25, 0.25, 0.25], [0.75, 0.75, 0.75]])
    crystal, mesh = _crystal(lattice, frac, (20, 9, 9)), _full_mesh(lattice, 2)
    charges = _converge(crystal, mesh, [0, 1, 1], frac)
    assert charges[1] == pytest.approx(charges[2], abs=1e-9)
    assert charges[1] > 0.05
    assert charges.sum() == pytest.approx(0.0, abs=1e-9)
    # Also without being told so.
    apart = _converge(crystal, mesh, [0, 1, 2], frac)
    np.testing.assert_allclose(apart, charges, atol=5e-3)


def test_charges_do_not_depend_on_the_cell() -> None:
    small, frac = 5.653 * FCC, np.array([[0.0, 0.0, 0.0], [0.25, 0.25, 0.25]])
    primitive = _crystal(small, frac, (31, 33))
    charges = _converge(primitive, _full_mesh(small, 4), [0, 1], frac)
    large = np.diag([2.0, 1.0, 1.0]) @ small
    copies = np.concatenate([frac, frac + np.array([1.0, 0.0, 0.0])]) / [2.0, 1.0, 1.0]
    grid = np.array(list(product(range(2), range(4), range(4)))) / [2.0, 4.0, 4.0]
    mesh = Mesh((2, 4, 4), grid @ reciprocal(large), np.full(32, 1.0 / 32), 0.1)
    doubled = _converge(_crystal(large, copies, (31, 33, 31, 33)), mesh, [0, 1, 0, 1], copies)
    np.testing.assert_allclose(doubled, np.tile(charges, 2), atol=1e-5)


def test_elements_have_no_charges() -> None:
    lattice, frac = 5.43 * FCC, np.array([[0.0, 0.0, 0.0], [0.25, 0.25, 0.25]])
    crystal, mesh = _crystal(lattice, frac, (14, 14)), _full_mesh(lattice, 2)
    assert converge_charges(crystal, mesh, np.array([0, 0]), frac)
    assert crystal.shift.size == 0
    np.testing.assert_allclose(_converge(crystal, mesh, [0, 1], frac), 0.0, atol=1e-6)
