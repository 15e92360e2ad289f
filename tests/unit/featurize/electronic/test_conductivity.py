from __future__ import annotations

from functools import cache
from itertools import pairwise, product
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pytest
import spglib
from scipy import constants
from scipy.linalg import eigh
from scipy.spatial.transform import Rotation
from scipy.special import erfc

from shc.featurize.electronic import conductivity
from shc.featurize.electronic.basis import ElementBasis, ElementParameters, build_basis, pair_integrals
from shc.featurize.electronic.conductivity import BandStates, Response, band_states, respond
from shc.featurize.electronic.hamiltonian import Hamiltonian, build_hamiltonian
from shc.featurize.electronic.mesh import Mesh, divisions, irreducible_mesh, reciprocal
from shc.featurize.electronic.record import SHC_GRID
from shc.featurize.electronic.solver import fermi_level, solve_scalar
from shc.featurize.spglib_calls import quiet_spglib
from shc.featurize.tensor_symmetry import allowed_projector

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

FCC = np.array([[0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]])
BCC = np.array([[-0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.5, 0.5, -0.5]])
HEXAGONAL = np.array([[1.0, 0.0], [-0.5, 0.75**0.5]])
EYE = np.eye(27)
MIDDLE = len(SHC_GRID) // 2


class Cell(NamedTuple):
    lattice: Floats
    frac: Floats
    z: tuple[int, ...]

    @property
    def volume(self) -> float:
        return abs(float(np.linalg.det(self.lattice)))


def _hexagonal(a: float, c: float) -> Floats:
    lattice = np.diag([0.0, 0.0, c])
    lattice[:2, :2] = a * HEXAGONAL
    return lattice


PLATINUM = Cell(3.924 * FCC, np.zeros((1, 3)), (78,))
TUNGSTEN = Cell(3.165 * BCC, np.zeros((1, 3)), (74,))
RHENIUM = Cell(_hexagonal(2.761, 4.456), np.array([[1 / 3, 2 / 3, 0.25], [2 / 3, 1 / 3, 0.75]]), (75, 75))
# Chiral: P3_1 21.
TELLURIUM = Cell(
    _hexagonal(4.456, 5.927), np.array([[0.2636, 0.0, 1 / 3], [0.0, 0.2636, 2 / 3], [0.7364, 0.7364, 0.0]]), (52,) * 3
)
GALLIUM_ARSENIDE = Cell(5.653 * FCC, np.array([[0.0, 0.0, 0.0], [0.25, 0.25, 0.25]]), (31, 33))
TRICLINIC = Cell(
    np.array([[4.1, 0.2, -0.4], [0.9, 4.6, 0.3], [-0.5, 0.7, 5.2]]),
    np.array([[0.02, 0.1, 0.04], [0.55, 0.43, 0.52]]),
    (83, 47),
)


@cache
def _basis(z: int) -> ElementBasis:
    return build_basis(z, ElementParameters())


def _build(cell: Cell) -> Hamiltonian:
    return build_hamiltonian(cell.lattice, cell.frac, [_basis(z) for z in cell.z], pair_integrals)


def _mesh(lattice: Floats, n: tuple[int, int, int], offset: float = 0.0) -> Mesh:
    """The whole mesh; an offset keeps it away from degeneracies, where single bands mean nothing."""
    grid = (np.array(list(product(*map(range, n)))) + offset) / np.array(n)
    step = float(np.mean(np.linalg.norm(reciprocal(lattice), axis=1) / np.array(n)))
    return Mesh(n, grid @ reciprocal(lattice), np.full(len(grid), 1.0 / len(grid)), step)


def _respond(
    cell: Cell, mesh: Mesh, projector: Floats = EYE, *, soc: float = 1.0, step: float | None = None
) -> Response:
    hamiltonian = _build(cell)
    scalar = [solve_scalar(*hamiltonian.matrices(k))[0] for k in mesh.k]
    guess = fermi_level(scalar, mesh.weight, hamiltonian.electrons, 0.1)
    coupling = soc * hamiltonian.spin_orbit()
    width = mesh.step if step is None else step
    states = (band_states(hamiltonian, coupling, k, width, guess) for k in mesh.k)
    return respond(states, mesh, hamiltonian.electrons, cell.volume, projector)


def _operations(cell: Cell) -> tuple[NDArray[np.int32], Floats]:
    """Rotations on fractional coordinates and the projector of the point group."""
    with quiet_spglib():
        rotations = spglib.get_symmetry(cell)["rotations"]
    rotations = np.unique(rotations, axis=0).astype(np.int32)
    to_cartesian = cell.lattice.T
    return rotations, allowed_projector(to_cartesian @ rotations @ np.linalg.inv(to_cartesian))


def _reduced(cell: Cell, length: float, *, soc: float = 1.0) -> Response:
    rotations, projector = _operations(cell)
    mesh = irreducible_mesh(cell.lattice, rotations, divisions(cell.lattice, rotations, length))
    return _respond(cell, mesh, projector, soc=soc)


def _turn(tensor: Floats, r: Floats) -> Floats:
    return np.asarray(np.linalg.det(r) * np.einsum("ia,jb,kc,abc->ijk", r, r, r, tensor))


def test_platinum_is_positive_and_tungsten_negative() -> None:
    """Measured and computed elsewhere: Pt about +2000, bcc W about -800 (hbar/e) S/cm; no sign is chosen here."""
    platinum, tungsten = _reduced(PLATINUM, 30.0).shc[MIDDLE], _reduced(TUNGSTEN, 30.0).shc[MIDDLE]
    assert 800.0 < platinum[0, 1, 2] < 3000.0
    assert -2000.0 < tungsten[0, 1, 2] < -200.0
    # Cubic: one number, spread by the antisymmetric tensor.
    levi = np.linalg.det(np.eye(3)[np.array(list(product(range(3), repeat=3)))]).reshape(3, 3, 3)
    np.testing.assert_allclose(platinum, platinum[0, 1, 2] * levi, atol=1e-6)


def test_without_spin_orbit_coupling_there_is_no_spin_hall_effect() -> None:
    np.testing.assert_allclose(_reduced(PLATINUM, 15.0, soc=0.0).shc, 0.0, atol=1e-2)
    mesh = _mesh(TRICLINIC.lattice, (2, 2, 2), 0.2)
    assert np.abs(_respond(TRICLINIC, mesh).shc).max() > 20.0
    np.testing.assert_allclose(_respond(TRICLINIC, mesh, soc=0.0).shc, 0.0, atol=2e-2)


@pytest.mark.parametrize("improper", [False, True])
def test_tensor_turns_with_the_crystal_and_is_mirrored_with_it(improper: bool) -> None:
    rotation = Rotation.from_rotvec([0.7, -0.2, 1.9]).as_matrix() @ np.diag([1.0, 1.0, -1.0 if improper else 1.0])
    turned = TRICLINIC._replace(lattice=TRICLINIC.lattice @ rotation.T)
    here = _respond(TRICLINIC, _mesh(TRICLINIC.lattice, (2, 2, 2), 0.2))
    there = _respond(turned, _mesh(turned.lattice, (2, 2, 2), 0.2))
    assert there.fermi_ev == pytest.approx(here.fermi_ev, abs=1e-6)
    for level in (0, MIDDLE, 40):
        size = np.abs(here.shc[level]).max()
        np.testing.assert_allclose(there.shc[level], _turn(here.shc[level], rotation), atol=1e-3 * size)
    np.testing.assert_allclose(there.dos, here.dos, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("cell", [PLATINUM, TRICLINIC])
def test_supercell_has_the_same_conductivity(cell: Cell) -> None:
    frac = np.concatenate([cell.frac, cell.frac + np.array([1.0, 0.0, 0.0])]) / [2.0, 1.0, 1.0]
    double = Cell(np.diag([2.0, 1.0, 1.0]) @ cell.lattice, frac, cell.z * 2)
    # Half the points, each with twice the states; the offset counts in units of the mesh.
    mesh, folded = _mesh(cell.lattice, (4, 2, 2), 0.2), _mesh(double.lattice, (2, 2, 2), 0.2)
    one, two = _respond(cell, mesh, step=0.1), _respond(double, folded, step=0.1)
    assert two.fermi_ev == pytest.approx(one.fermi_ev, abs=1e-6)
    np.testing.assert_allclose(two.shc, one.shc, atol=2e-3 * np.abs(one.shc).max())
    np.testing.assert_allclose(two.dos, 2.0 * one.dos, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("step", [0.0, 0.15], ids=["fixed width", "adaptive width"])
@pytest.mark.parametrize(
    ("cell", "length"), [(PLATINUM, 9.0), (RHENIUM, 14.0), (TELLURIUM, 8.0)], ids=["fcc Pt", "hcp Re", "trigonal Te"]
)
def test_whole_mesh_obeys_the_point_group_and_the_reduced_mesh_equals_it(
    cell: Cell, length: float, step: float
) -> None:
    """Meshes that meet degenerate bands (hexagonal face of Re): what is said of single bands must not count there."""
    rotations, projector = _operations(cell)
    n = divisions(cell.lattice, rotations, length)
    whole = _respond(cell, _mesh(cell.lattice, n), step=step).shc
    size = np.abs(whole).max()
    assert size > 50.0
    projected = (whole.reshape(-1, 27) @ projector.T).reshape(whole.shape)
    np.testing.assert_allclose(whole, projected, atol=2e-3 * size)
    reduced = _respond(cell, irreducible_mesh(cell.lattice, rotations, n), projector, step=step).shc
    np.testing.assert_allclose(reduced, whole, atol=2e-3 * size)


def _dense(hamiltonian: Hamiltonian, k: Floats, eta: float) -> tuple[Floats, Callable[[float], Floats]]:
    """Energies and the tensor of the states below a level, straight from the formula, no states left out."""
    h, s = hamiltonian.matrices(k)
    dh, ds = hamiltonian.gradients(k)
    pauli = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
    two = np.eye(2)
    coupled = np.kron(two, h) + sum(
        np.kron(0.5 * p, part) for p, part in zip(pauli, hamiltonian.spin_orbit(), strict=True)
    )
    metric = np.kron(two, s)
    e, c = eigh(coupled, metric)
    mean = 0.5 * (e[:, None] + e[None, :])
    v = [
        c.conj().T @ np.kron(two, a) @ c - mean * (c.conj().T @ np.kron(two, b) @ c)
        for a, b in zip(dh, ds, strict=True)
    ]
    spin = [c.conj().T @ np.kron(p, s) @ c for p in pauli]
    denominator = (e[:, None] - e[None, :]) ** 2 + eta**2

    def below(level: float) -> Floats:
        filled = e < level
        out = np.zeros((3, 3, 3))
        for i, j, axis in product(range(3), repeat=3):
            current = 0.25 * (spin[axis] @ v[i] + v[i] @ spin[axis])
            pairs = -2.0 * (current * v[j].T).imag / denominator
            out[i, j, axis] = pairs[np.ix_(filled, ~filled)].sum()
        return out

    return e, below


@pytest.mark.parametrize("cell", [GALLIUM_ARSENIDE, TRICLINIC], ids=["GaAs", "triclinic AgBi"])
def test_curvature_is_the_formula_in_the_whole_basis(cell: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conductivity, "WINDOW", 1e6)
    hamiltonian = _build(cell)
    hamiltonian.shift = np.array([0.4, -0.9])
    coupling = hamiltonian.spin_orbit()
    for k in np.array([[0.31, -0.47, 0.83], [0.05, 0.2, -0.11]]):
        energy, below = _dense(hamiltonian, k, 0.05)
        electrons = int(hamiltonian.electrons)
        guess = 0.5 * (energy[electrons - 1] + energy[electrons])
        states = band_states(hamiltonian, coupling, k, 0.0, guess, eta=0.05)
        np.testing.assert_allclose(states.energy, energy, atol=1e-8)
        assert states.n_below == 0
        for level in (guess - 1.0, guess, guess + 1.0):
            expected = below(level)
            found = states.curvature[states.energy < level].sum(axis=0).reshape(3, 3, 3)
            np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max() + 1e-5)


def test_widths_follow_the_slopes_of_the_bands() -> None:
    hamiltonian = _build(TRICLINIC)
    k, h = np.array([0.31, -0.47, 0.83]), 1e-4
    energy, _ = solve_scalar(*hamiltonian.matrices(k))
    guess = float(energy[6])
    states = band_states(hamiltonian, 0.0 * hamiltonian.spin_orbit(), k, 0.3, guess)
    ends = [[solve_scalar(*hamiltonian.matrices(k + s * h * axis))[0] for s in (1, -1)] for axis in np.eye(3)]
    speed = np.linalg.norm([(a - b) / (2.0 * h) for a, b in ends], axis=0)
    first = states.n_below // 2
    expected = np.repeat(speed[first : first + len(states.energy) // 2], 2)
    clipped = np.clip(conductivity.ADAPTIVE * 0.3 * expected, conductivity.WIDTH, conductivity.WIDEST)
    assert np.unique(clipped).size > 4
    np.testing.assert_allclose(states.width, clipped, rtol=1e-4)


def test_states_below_the_window_still_count_as_filled(monkeypatch: pytest.MonkeyPatch) -> None:
    mesh = _mesh(GALLIUM_ARSENIDE.lattice, (2, 2, 2), 0.2)
    whole = _respond(GALLIUM_ARSENIDE, mesh)
    monkeypatch.setattr(conductivity, "WINDOW", 5.0)
    hamiltonian = _build(GALLIUM_ARSENIDE)
    assert band_states(hamiltonian, hamiltonian.spin_orbit(), mesh.k[0], 0.1, whole.fermi_ev).n_below > 0
    cut = _respond(GALLIUM_ARSENIDE, mesh)
    assert cut.valence_ev == pytest.approx(whole.valence_ev, abs=0.03)
    assert cut.conduction_ev == pytest.approx(whole.conduction_ev, abs=0.03)


def test_energy_resolved_conductivity_is_the_sum_of_the_filled_bands_at_every_level() -> None:
    hamiltonian = _build(PLATINUM)
    mesh = _mesh(PLATINUM.lattice, (3, 3, 3), 0.2)
    guess = fermi_level(
        [solve_scalar(*hamiltonian.matrices(k))[0] for k in mesh.k], mesh.weight, hamiltonian.electrons, 0.1
    )
    states = [band_states(hamiltonian, hamiltonian.spin_orbit(), k, mesh.step, guess) for k in mesh.k]
    found = respond(states, mesh, hamiltonian.electrons, PLATINUM.volume, EYE)
    assert SHC_GRID[MIDDLE] == 0.0
    unit = constants.e**2 / constants.hbar * 1e8 / PLATINUM.volume

    def filled(level: float) -> Floats:
        parts = [0.5 * erfc((s.energy - level) / s.width) @ s.curvature for s in states]
        return np.asarray(mesh.weight @ np.array(parts) * unit).reshape(3, 3, 3)

    for at in (0, MIDDLE, 33):
        np.testing.assert_allclose(found.shc[at], filled(found.fermi_ev + SHC_GRID[at]), rtol=1e-6, atol=1e-3)
    held = sum(
        w * (1.0 / (1.0 + np.exp((s.energy - found.fermi_ev) / conductivity.FERMI_WIDTH))).sum()
        for s, w in zip(states, mesh.weight, strict=True)
    )
    assert held + states[0].n_below == pytest.approx(hamiltonian.electrons, abs=1e-6)


def _honeycomb(staggered: float, soc: float) -> tuple[Cell, Hamiltonian]:
    """Two p orbitals in the plane of a honeycomb lattice with ``xi L_z sigma_z / 2``: spin is conserved."""
    lattice = _hexagonal(4.5, 25.0)
    frac = np.array([[1 / 3, 2 / 3, 0.5], [2 / 3, 1 / 3, 0.5]])
    empty = np.zeros((8, 4))
    bases = [
        ElementBasis(z, np.array([2, 3]), np.full(9, level), (soc, 0.0), 10.0, 2.0, empty, 0.0, 0.1)
        for z, level in ((1, staggered), (2, -staggered))
    ]

    def integrals(a: ElementBasis, b: ElementBasis, distance: Floats) -> Floats:  # noqa: ARG001
        out = np.zeros((len(distance), 28))
        out[distance < 3.0, 5], out[distance < 3.0, 6] = 2.0, -0.5
        return out

    return Cell(lattice, frac, (1, 2)), build_hamiltonian(lattice, frac, bases, integrals)


def _chern_of_spin_up(hamiltonian: Hamiltonian, cell: Cell, filled: int, n: int = 15) -> float:
    """Flux of ``i <u|d u>`` on a lattice over 2 pi; Fukui, Hatsugai and Suzuki, J. Phys. Soc. Jpn. 74, 1674 (2005)."""
    mesh = _mesh(cell.lattice, (n, n, 1), 0.3)
    positions = (cell.frac @ cell.lattice)[hamiltonian.atom_of]
    states = []
    for k in mesh.k:
        phase = np.exp(1j * positions @ k)
        h = hamiltonian.matrices(k)[0] + 0.5 * hamiltonian.spin_orbit()[2]
        states.append(np.linalg.eigh(phase[:, None] * h * phase.conj())[1][:, :filled])
    u = np.array(states).reshape(n, n, -1, filled)
    corners = [u, np.roll(u, -1, 0), np.roll(u, -1, (0, 1)), np.roll(u, -1, 1), u]
    loop = np.prod([np.linalg.det(a.conj().swapaxes(2, 3) @ b) for a, b in pairwise(corners)], axis=0)
    return float(-np.angle(loop).sum() / (2.0 * np.pi))


@pytest.mark.parametrize(("staggered", "soc", "size"), [(0.1, 1.2, 1.0), (0.1, -1.2, 1.0), (1.5, 0.6, 0.0)])
def test_spin_hall_conductance_of_a_topological_sheet_is_quantised(staggered: float, soc: float, size: float) -> None:
    cell, hamiltonian = _honeycomb(staggered, soc)
    chern = _chern_of_spin_up(hamiltonian, cell, 2)
    assert abs(chern) == pytest.approx(size, abs=1e-9)
    mesh = _mesh(cell.lattice, (30, 30, 1), 0.3)
    states: list[BandStates] = [
        band_states(hamiltonian, hamiltonian.spin_orbit(), k, 0.0, 0.0, eta=1e-4) for k in mesh.k
    ]
    found = respond(states, mesh, hamiltonian.electrons, cell.volume, EYE)
    assert found.conduction_ev - found.valence_ev > 0.3
    # From (hbar/e) S/cm to the conductance of one sheet per cell height.
    sheet = found.shc[MIDDLE] * cell.lattice[2, 2] * 1e-8
    # -(hbar / 2e) (sigma_up - sigma_down) with sigma = -C e^2 / h and C_down = -C_up.
    expected = chern * constants.e**2 / constants.h
    assert sheet[0, 1, 2] == pytest.approx(expected, abs=2e-3 * constants.e**2 / constants.h)
    assert sheet[1, 0, 2] == pytest.approx(-expected, abs=2e-3 * constants.e**2 / constants.h)
    sheet[0, 1, 2] = sheet[1, 0, 2] = 0.0
    np.testing.assert_allclose(sheet, 0.0, atol=1e-3 * constants.e**2 / constants.h)
