from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pytest
from scipy.linalg import expm
from scipy.spatial.transform import Rotation

from shc.featurize.electronic.basis import ElementBasis, ElementParameters, build_basis, pair_integrals
from shc.featurize.electronic.hamiltonian import CUTOFF, Hamiltonian, angular_momentum, build_hamiltonian
from shc.featurize.electronic.mesh import reciprocal
from shc.featurize.electronic.solver import solve_scalar, spin_orbit_matrix
from shc.kernels.electronic_reference import real_harmonics
from shc.kernels.neighbours import full_list
from shc.kernels.slater_koster import bond_blocks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Complex = NDArray[np.complex128]

FCC = np.array([[0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]])
K = np.array([0.31, -0.47, 0.83])


class Cell(NamedTuple):
    lattice: Floats
    frac: Floats
    z: tuple[int, ...]


GALLIUM_ARSENIDE = Cell(5.653 * FCC, np.array([[0.0, 0.0, 0.0], [0.25, 0.25, 0.25]]), (31, 33))
PLATINUM = Cell(3.924 * FCC, np.zeros((1, 3)), (78,))
# No symmetry, elements with one, two and three shells, heavier atoms first.
TRICLINIC = Cell(
    np.array([[4.1, 0.2, -0.4], [0.9, 4.6, 0.3], [-0.5, 0.7, 5.2]]),
    np.array([[0.02, 0.1, 0.04], [0.55, 0.43, 0.52], [0.21, 0.7, 0.77]]),
    (74, 8, 1),
)


@cache
def _basis(z: int) -> ElementBasis:
    return build_basis(z, ElementParameters())


def _build(cell: Cell) -> Hamiltonian:
    return build_hamiltonian(cell.lattice, cell.frac, [_basis(z) for z in cell.z], pair_integrals)


def _levels(cell: Cell, k: Floats) -> Floats:
    """Levels with spin-orbit coupling."""
    hamiltonian = _build(cell)
    e, c = solve_scalar(*hamiltonian.matrices(k))
    return np.asarray(np.linalg.eigvalsh(spin_orbit_matrix(e, c, hamiltonian.spin_orbit())))


def _toy(kept: list[int], level: float, soc: tuple[float, float] = (0.0, 0.0)) -> ElementBasis:
    empty = np.zeros((8, 4))
    return ElementBasis(1, np.array(kept), np.full(9, level), soc, 10.0, 1.0, empty, 0.0, 0.1)


def test_chain_of_s_orbitals_has_the_textbook_band() -> None:
    spacing, level, hopping, overlap = 2.5, -3.0, -1.7, 0.2

    def integrals(a: ElementBasis, b: ElementBasis, distance: Floats) -> Floats:  # noqa: ARG001
        out = np.zeros((len(distance), 28))
        out[distance < 3.0, 0], out[distance < 3.0, 14] = hopping, overlap
        return out

    lattice = np.diag([spacing, 30.0, 30.0])
    chain = build_hamiltonian(lattice, np.zeros((1, 3)), [_toy([0], level)], integrals)
    for k in np.linspace(-2.0, 2.0, 9):
        wave = np.cos(k * spacing)
        energy, _ = solve_scalar(*chain.matrices(np.array([k, 0.1, 0.0])))
        assert energy[0] == pytest.approx((level + 2.0 * hopping * wave) / (1.0 + 2.0 * overlap * wave), abs=1e-12)
        dh, ds = chain.gradients(np.array([k, 0.1, 0.0]))
        slope = -2.0 * spacing * np.sin(k * spacing)
        assert dh[0, 0, 0] == pytest.approx(hopping * slope, abs=1e-12)
        assert ds[0, 0, 0] == pytest.approx(overlap * slope, abs=1e-12)


@pytest.mark.parametrize("cell", [GALLIUM_ARSENIDE, TRICLINIC])
def test_matrices_equal_the_sum_over_all_bonds_seen_from_both_ends(cell: Cell) -> None:
    """Every bond is integrated anew in its own direction: no triangle is mirrored, no pair is swapped."""
    hamiltonian = _build(cell)
    bonds = full_list(cell.lattice[None], cell.frac, np.array([0, len(cell.z)]), CUTOFF)
    vector = (cell.frac[bonds.j] + bonds.shift - cell.frac[bonds.i]) @ cell.lattice
    total = np.zeros((2, hamiltonian.size, hamiltonian.size), dtype=np.complex128)
    for i, j, d in zip(bonds.i, bonds.j, vector, strict=True):
        length = np.linalg.norm(d)
        a, b = hamiltonian.bases[i], hamiltonian.bases[j]
        x = min(CUTOFF - float(length), 1.0)
        values = pair_integrals(a, b, np.array([length]))[0] * x * x * (3.0 - 2.0 * x)
        blocks = bond_blocks(d[None] / length, values[None, :14].copy(), values[None, 14:].copy())
        rows, columns = hamiltonian.first[i] + np.arange(len(a.kept)), hamiltonian.first[j] + np.arange(len(b.kept))
        for q in range(2):
            total[q][np.ix_(rows, columns)] += np.exp(1j * K @ d) * blocks[q][0][np.ix_(a.kept, b.kept)]
    total[0] += np.diag(hamiltonian.onsite)
    total[1] += np.eye(hamiltonian.size)
    h, s = hamiltonian.matrices(K)
    np.testing.assert_allclose(h, total[0], atol=1e-6 * np.abs(h).max())
    np.testing.assert_allclose(s, total[1], atol=1e-6)
    np.testing.assert_allclose(total, np.conj(total.transpose(0, 2, 1)), atol=1e-5)


@pytest.mark.parametrize("cell", [GALLIUM_ARSENIDE, TRICLINIC])
@pytest.mark.parametrize("shifted", [False, True])
def test_matrices_and_gradients_are_hermitian_and_match_differences(cell: Cell, shifted: bool) -> None:
    hamiltonian = _build(cell)
    if shifted:
        hamiltonian.shift = np.linspace(-1.0, 2.0, len(cell.z))
    gradients = hamiltonian.gradients(K)
    for matrix in (*hamiltonian.matrices(K), *gradients[0], *gradients[1]):
        np.testing.assert_allclose(matrix, matrix.conj().T, atol=1e-12)
    for axis, step in enumerate(np.eye(3) * 1e-4):
        forward, backward = hamiltonian.matrices(K + step), hamiltonian.matrices(K - step)
        for part, ahead, behind in zip(gradients, forward, backward, strict=True):
            np.testing.assert_allclose(part[axis], (ahead - behind) / 2e-4, atol=2e-6)


def test_shift_moves_levels_of_all_atoms_alike() -> None:
    hamiltonian = _build(GALLIUM_ARSENIDE)
    before, _ = solve_scalar(*hamiltonian.matrices(K))
    hamiltonian.shift = np.full(2, 1.25)
    after, _ = solve_scalar(*hamiltonian.matrices(K))
    np.testing.assert_allclose(after, before + 1.25, atol=1e-9)


def test_overlap_is_positive() -> None:
    for cell in (GALLIUM_ARSENIDE, PLATINUM):
        for k in (np.zeros(3), K, reciprocal(cell.lattice)[0] / 2):
            assert np.linalg.eigvalsh(_build(cell).matrices(k)[1])[0] > 0.0


@pytest.mark.parametrize("cell", [GALLIUM_ARSENIDE, PLATINUM, TRICLINIC])
def test_levels_turn_with_the_crystal(cell: Cell) -> None:
    rotation = Rotation.from_rotvec([0.7, -0.2, 1.9]).as_matrix()
    turned = cell._replace(lattice=cell.lattice @ rotation.T)
    np.testing.assert_allclose(_levels(turned, rotation @ K), _levels(cell, K), atol=1e-8)


@pytest.mark.parametrize("cell", [GALLIUM_ARSENIDE, TRICLINIC])
def test_levels_do_not_depend_on_cell_or_origin(cell: Cell) -> None:
    change = np.array([[1, 1, 0], [0, 1, -1], [0, 0, 1]])
    frac = (cell.frac + np.array([0.3, 0.9, -0.2])) @ np.linalg.inv(change)
    skewed = Cell(change @ cell.lattice, frac % 1.0, cell.z)
    np.testing.assert_allclose(_levels(skewed, K), _levels(cell, K), atol=1e-7)
    order = list(range(len(cell.z)))[::-1]
    shuffled = Cell(cell.lattice, cell.frac[order], tuple(cell.z[i] for i in order))
    np.testing.assert_allclose(_levels(shuffled, K), _levels(cell, K), atol=1e-8)


@pytest.mark.parametrize("cell", [GALLIUM_ARSENIDE, PLATINUM])
def test_supercell_folds_the_zone_boundary_onto_its_centre(cell: Cell) -> None:
    double = np.diag([2, 1, 1])
    frac = np.concatenate([cell.frac, cell.frac + np.array([1.0, 0.0, 0.0])]) / [2.0, 1.0, 1.0]
    supercell = Cell(double @ cell.lattice, frac, cell.z * 2)
    boundary = 0.5 * reciprocal(cell.lattice)[0]
    apart = np.sort(np.concatenate([_levels(cell, np.zeros(3)), _levels(cell, boundary)]))
    np.testing.assert_allclose(_levels(supercell, np.zeros(3)), apart, atol=1e-7)


def test_levels_are_periodic_and_even_in_k() -> None:
    levels = _levels(TRICLINIC, K)
    for g in reciprocal(TRICLINIC.lattice):
        np.testing.assert_allclose(_levels(TRICLINIC, K + g), levels, atol=1e-7)
    np.testing.assert_allclose(_levels(TRICLINIC, -K), levels, atol=1e-8)


def test_time_reversal_and_inversion_pair_the_levels() -> None:
    with_inversion = _levels(PLATINUM, K)
    np.testing.assert_allclose(with_inversion[::2], with_inversion[1::2], atol=1e-8)
    without = _levels(GALLIUM_ARSENIDE, K)
    assert np.abs(without[::2] - without[1::2]).max() > 1e-3
    centre = _levels(GALLIUM_ARSENIDE, np.zeros(3))
    np.testing.assert_allclose(centre[::2], centre[1::2], atol=1e-8)


@pytest.mark.parametrize("l", [1, 2])
def test_angular_momentum_has_the_algebra_of_rotations(l: int) -> None:  # noqa: E741
    operators = angular_momentum()[l - 1]
    x, y, z = operators
    np.testing.assert_allclose(x @ y - y @ x, 1j * z, atol=1e-14)
    np.testing.assert_allclose(y @ z - z @ y, 1j * x, atol=1e-14)
    np.testing.assert_allclose(x @ x + y @ y + z @ z, l * (l + 1) * np.eye(2 * l + 1), atol=1e-14)
    np.testing.assert_allclose(operators, operators.conj().transpose(0, 2, 1), atol=1e-15)


def test_angular_momentum_turns_the_orbitals() -> None:
    # exp(-i a L) f (r) = f(R^-1 r): fixes the sign of L against the shapes of the orbitals.
    vector = np.array([0.4, -0.7, 1.1])
    rotation = Rotation.from_rotvec(vector).as_matrix()
    points = np.random.default_rng(1).normal(size=(60, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    turn = np.linalg.lstsq(real_harmonics(points), real_harmonics(points @ rotation), rcond=None)[0]
    p, d = angular_momentum()
    np.testing.assert_allclose(expm(-1j * np.tensordot(vector, p, 1)), turn[1:4, 1:4], atol=1e-12)
    np.testing.assert_allclose(expm(-1j * np.tensordot(vector, d, 1)), turn[4:, 4:], atol=1e-12)


def test_lone_atom_splits_into_total_angular_momenta() -> None:
    basis = _toy(list(range(9)), 0.0, (0.9, 0.4))
    box = np.eye(3) * 40.0
    lone = build_hamiltonian(box, np.zeros((1, 3)), [basis], lambda a, b, d: np.zeros((len(d), 28)))  # noqa: ARG005
    e, c = solve_scalar(*lone.matrices(K))
    levels = np.linalg.eigvalsh(spin_orbit_matrix(e, c, lone.spin_orbit()))
    # xi l / 2 for j = l + 1/2, -xi (l + 1) / 2 for j = l - 1/2.
    expected = np.repeat([-0.9, -0.6, 0.0, 0.4, 0.45], [2, 4, 2, 6, 4])
    np.testing.assert_allclose(levels, expected, atol=1e-12)


def test_electrons_and_orbitals_are_counted() -> None:
    hamiltonian = _build(TRICLINIC)
    assert hamiltonian.electrons == 6 + 6 + 1
    assert hamiltonian.size == 9 + 4 + 1
    assert hamiltonian.atom_of.tolist() == [0] * 9 + [1] * 4 + [2]
