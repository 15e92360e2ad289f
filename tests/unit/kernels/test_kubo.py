from __future__ import annotations

from itertools import pairwise, product
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import constants

from shc.kernels import electronic_reference, kubo

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Complex = NDArray[np.complex128]

LATTICE = 3.0 * np.array([[1.0, 0.0], [0.5, np.sqrt(3.0) / 2.0]])
AREA = float(np.linalg.det(LATTICE))
SITE_B = (LATTICE[0] + LATTICE[1]) / 3.0
BONDS = SITE_B - np.array([0.0 * LATTICE[0], LATTICE[0], LATTICE[1]])
SECOND = np.array([LATTICE[0], LATTICE[1] - LATTICE[0], -LATTICE[1]])
CONDUCTANCE_QUANTUM = constants.e**2 / constants.h
E2_PER_HBAR = constants.e**2 / constants.hbar
PAULI = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])


class KaneMele(NamedTuple):
    """Honeycomb lattice with intrinsic spin-orbit coupling and a staggered potential: spin is conserved.

    Source: C. L. Kane and E. J. Mele, Phys. Rev. Lett. 95, 226801 (2005), without Rashba coupling.
    """

    coupling: float
    staggered: float
    hopping: float = -1.0

    def up(self, k: Floats) -> Complex:
        """``[n, 2, 2]`` block of spin up at ``[n, 2]`` wave vectors, orbitals A, B at their sites."""
        return self._assemble(np.exp(1j * k @ BONDS.T).sum(axis=1), np.sin(k @ SECOND.T).sum(axis=1), self.staggered)

    def up_gradient(self, k: Floats) -> Complex:
        """``[2, n, 2, 2]`` derivative of ``up``."""
        off = np.exp(1j * k @ BONDS.T) @ (1j * BONDS)
        mass = np.cos(k @ SECOND.T) @ SECOND
        return np.array([self._assemble(off[:, axis], mass[:, axis], 0.0) for axis in range(2)])

    def _assemble(self, off: Complex, mass: Floats, staggered: float) -> Complex:
        out = np.empty((len(off), 2, 2), dtype=np.complex128)
        out[:, 0, 1], out[:, 1, 0] = self.hopping * off, self.hopping * off.conj()
        out[:, 0, 0] = staggered + 2.0 * self.coupling * mass
        out[:, 1, 1] = -out[:, 0, 0]
        return out


def _mesh(n: int) -> Floats:
    grid = np.stack(np.meshgrid(np.arange(n), np.arange(n), indexing="ij"), axis=-1).reshape(-1, 2) / n
    return np.asarray((grid + 0.5 / n) @ (2.0 * np.pi * np.linalg.inv(LATTICE).T))


def chern_number(model: KaneMele, n: int = 24) -> float:
    """Of the lower band of spin up: ``1 / 2 pi`` times the integral of ``d_x A_y - d_y A_x``, ``A = i <u|d u>``.

    A link ``<u(k)|u(k + d)>`` is ``exp(-i A d)``, so that the flux of a plaquette is minus the phase of the product
    of its links, counter-clockwise.

    Source: T. Fukui, Y. Hatsugai, H. Suzuki, J. Phys. Soc. Jpn. 74, 1674 (2005).
    """
    k = _mesh(n)
    # Periodic gauge: phases of the sites taken out.
    site = np.exp(1j * k @ SITE_B)
    h = model.up(k)
    h[:, 0, 1] *= site.conj()
    h[:, 1, 0] *= site
    u = np.linalg.eigh(h)[1][:, :, 0].reshape(n, n, 2)
    corners = [u, np.roll(u, -1, 0), np.roll(u, -1, (0, 1)), np.roll(u, -1, 1), u]
    loop = np.prod([(a.conj() * b).sum(-1) for a, b in pairwise(corners)], axis=0)
    return float(-np.angle(loop).sum() / (2.0 * np.pi))


def spin_hall_conductance(model: KaneMele, n: int = 40, level: float = 0.0) -> Floats:
    """``[3, 3, 3]`` through the kernels, in hbar/e times Siemens: four bands, all operators as 4 x 4 matrices."""
    total = np.zeros((1, 27))
    k = _mesh(n)
    # Time reversal: H_down(k) = H_up(-k)*.
    h, dh = np.zeros((len(k), 4, 4), dtype=complex), np.zeros((2, len(k), 4, 4), dtype=complex)
    h[:, :2, :2], h[:, 2:, 2:] = model.up(k), model.up(-k).conj()
    dh[:, :, :2, :2], dh[:, :, 2:, 2:] = model.up_gradient(k), -model.up_gradient(-k).conj()
    energy, states = np.linalg.eigh(h)
    spin = [np.kron(pauli, np.eye(2)) for pauli in PAULI]
    for at in range(len(k)):
        velocity, current = np.zeros((3, 4, 4), dtype=complex), np.zeros((3, 3, 4, 4), dtype=complex)
        c = states[at]
        for axis in range(2):
            v = dh[axis, at]
            velocity[axis] = c.conj().T @ v @ c
            for s in range(3):
                current[s, axis] = c.conj().T @ (0.25 * (spin[s] @ v + v @ spin[s])) @ c
        e = energy[at]
        speed = np.ascontiguousarray(np.einsum("inn->ni", velocity).real)
        low, high = kubo.spin_berry_curvature(
            *(current, velocity, e, e, np.ones((4, 4), dtype=np.bool_), speed, speed, 0.0, 1e-5, 0.5)
        )
        curvature = (low + high).reshape(4, 27)
        kubo.fill_bands(e, np.full(4, 0.02), 1.0 / len(k), curvature, np.array([level]), total)
    return np.asarray(total.reshape(3, 3, 3) * E2_PER_HBAR / AREA)


def hall_conductance_from_motion(model: KaneMele, n: int = 18, steps: int = 1500) -> float:
    """``j_x / E_y`` of the filled lower band of spin up, by following the electrons in time; units of e^2/h.

    Electrons of charge -e start in their ground states. The field E_y > 0 is turned on and pushes them against it:
    ``hbar dk_y / dt = -e E_y``. Their velocities are summed while the field is constant.
    """
    rate = 0.02  # eE / hbar in units of 1 / (Angstrom time), with energies and hbar equal to one
    time = np.linspace(0.0, 60.0, steps + 1)
    ramp = np.clip(time / 20.0, 0.0, 1.0)
    field = rate * ramp**2 * (3.0 - 2.0 * ramp)
    start = _mesh(n)
    psi = np.linalg.eigh(model.up(start))[1][:, :, 0]
    dt, moved, pulled = time[1], 0.0, np.zeros(2)
    for t in range(steps):
        pulled[1] -= 0.5 * (field[t] + field[t + 1]) * dt
        h = model.up(start + pulled + np.array([0.0, 0.25 * (field[t] + field[t + 1]) * dt]))
        # exp(-i H dt) of a traceless two by two matrix.
        e = np.sqrt(np.abs(h[:, 0, 0]) ** 2 + np.abs(h[:, 0, 1]) ** 2)[:, None]
        psi = np.cos(e * dt) * psi - 1j * np.sin(e * dt) / e * np.einsum("nab,nb->na", h, psi)
        if time[t + 1] > 20.0:
            v = model.up_gradient(start + pulled)[0]
            moved += dt * float(np.einsum("na,nab,nb->", psi.conj(), v, psi).real) / len(start)
    velocity = moved / (time[-1] - 20.0)
    # j = -e v / area; sigma = j / E, and e E / hbar = rate: sigma = -(e^2 / hbar) v / (area rate).
    return float(-velocity / (AREA * rate) * 2.0 * np.pi)


TOPOLOGICAL, TRIVIAL = KaneMele(0.25, 0.15), KaneMele(0.25, 2.5)


def test_gradient_of_the_model_matches_differences() -> None:
    k = _mesh(4)
    for axis, step in enumerate(np.eye(2) * 1e-5):
        slope = (TOPOLOGICAL.up(k + step) - TOPOLOGICAL.up(k - step)) / 2e-5
        np.testing.assert_allclose(TOPOLOGICAL.up_gradient(k)[axis], slope, atol=1e-8)


@pytest.mark.parametrize("coupling", [0.25, -0.25])
def test_kane_mele_conductance_is_quantised_with_the_sign_of_the_chern_number(coupling: float) -> None:
    """Spin Hall conductance ``-(hbar / 2 e)(sigma_up - sigma_down)`` with Hall conductances ``-C e^2 / h``."""
    model = TOPOLOGICAL._replace(coupling=coupling)
    chern = chern_number(model)
    assert abs(chern) == pytest.approx(1.0, abs=1e-9)
    # sigma_xy = -(e^2 / hbar) sum_k Omega_z / (2 pi)^2 = -C e^2 / h for electrons; time reversal gives C_down = -C_up.
    sigma_up, sigma_down = -chern * CONDUCTANCE_QUANTUM, chern * CONDUCTANCE_QUANTUM
    expected = -0.5 * (sigma_up - sigma_down)
    found = spin_hall_conductance(model)
    assert abs(expected) == pytest.approx(2.0 * constants.e / (4.0 * np.pi) * constants.e / constants.hbar)
    assert found[0, 1, 2] == pytest.approx(expected, rel=1e-4)
    assert found[1, 0, 2] == pytest.approx(-expected, rel=1e-4)
    # Nothing else is allowed: no current along z, no spin in the plane, no longitudinal response.
    found[0, 1, 2] = found[1, 0, 2] = 0.0
    np.testing.assert_allclose(found, 0.0, atol=1e-9 * CONDUCTANCE_QUANTUM)


@pytest.mark.parametrize("coupling", [0.25, -0.25])
def test_sign_agrees_with_electrons_followed_in_time(coupling: float) -> None:
    """No formula of Kubo or Berry: the Schroedinger equation in a field gives the Hall conductance of spin up."""
    model = TOPOLOGICAL._replace(coupling=coupling)
    sigma_up = hall_conductance_from_motion(model)
    assert sigma_up == pytest.approx(-chern_number(model), abs=0.03)
    # The block of spin down is the time-reversed one: the opposite conductance.
    found = spin_hall_conductance(model, 24)[0, 1, 2] / CONDUCTANCE_QUANTUM
    assert found == pytest.approx(-0.5 * (sigma_up - (-sigma_up)), abs=0.03)


def test_trivial_insulator_has_no_spin_hall_conductance() -> None:
    assert chern_number(TRIVIAL) == pytest.approx(0.0, abs=1e-9)
    np.testing.assert_allclose(spin_hall_conductance(TRIVIAL), 0.0, atol=1e-4 * CONDUCTANCE_QUANTUM)


def test_conductance_vanishes_when_all_or_no_bands_are_filled() -> None:
    for level in (-50.0, 50.0):
        found = spin_hall_conductance(TOPOLOGICAL, 12, level)
        np.testing.assert_allclose(found, 0.0, atol=1e-12 * CONDUCTANCE_QUANTUM)


class Pairs(NamedTuple):
    """Random arguments of the curvature."""

    current: Complex
    velocity: Complex
    low: Floats
    high: Floats
    shared: NDArray[np.bool_]
    speed_low: Floats
    speed_high: Floats
    step: float = 0.15
    width: float = 0.05
    widest: float = 0.4


def _pairs(seed: int) -> Pairs:
    rng = np.random.default_rng(seed)
    n, m = rng.integers(1, 7, 2)
    current = rng.normal(size=(3, 3, n, m)) + 1j * rng.normal(size=(3, 3, n, m))
    velocity = rng.normal(size=(3, n, m)) + 1j * rng.normal(size=(3, n, m))
    bands = (np.sort(rng.normal(size=n)), np.sort(rng.normal(size=m)), rng.random((n, m)) < 0.4)
    return Pairs(current, velocity, *bands, rng.normal(size=(n, 3)), rng.normal(size=(m, 3)))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**31))
def test_curvature_equals_twin(seed: int) -> None:
    arguments = _pairs(seed)
    ours = kubo.spin_berry_curvature(*arguments)
    for mine, other in zip(ours, electronic_reference.spin_berry_curvature(*arguments), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-10, atol=1e-10 * np.abs(other).max())


def test_curvature_equals_a_plain_loop() -> None:
    pairs = _pairs(11)
    low, high = kubo.spin_berry_curvature(*pairs)
    for n, i, j, k in product(range(len(pairs.low)), range(3), range(3), range(3)):
        expected = 0.0
        for m in range(len(pairs.high)):
            spread = float(np.linalg.norm(pairs.speed_low[n] - pairs.speed_high[m]))
            eta = max(0.05, min(0.4, 0.15 * spread))
            element = complex(pairs.current[k, i, n, m] * np.conj(pairs.velocity[j, n, m]))
            term = -2.0 * element.imag / ((pairs.low[n] - pairs.high[m]) ** 2 + eta**2)
            expected += 0.5 * term if pairs.shared[n, m] else term
        assert low[n, i, j, k] == pytest.approx(expected, rel=1e-10)
    # What one band gains the other loses.
    np.testing.assert_allclose(low.sum(axis=0), -high.sum(axis=0), atol=1e-9)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**31))
def test_sums_over_energies_equal_twins(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 9))
    energy, width, curvature = rng.normal(size=n), rng.uniform(0.05, 0.6, n), rng.normal(size=(n, 27))
    grid = np.linspace(-2.0, 2.0, 17)
    filled, dos = np.ones((17, 27)), np.ones(17)
    kubo.fill_bands(energy, width, 0.3, curvature, grid, filled)
    kubo.density_of_states(energy, width, 0.3, grid, dos)
    twin = electronic_reference.fill_bands(energy, width, 0.3, curvature, grid)
    np.testing.assert_allclose(filled - 1.0, twin, atol=1e-7)
    np.testing.assert_allclose(dos - 1.0, electronic_reference.density_of_states(energy, width, 0.3, grid), atol=1e-12)


def test_density_of_states_counts_the_states_and_is_the_slope_of_the_filling() -> None:
    energy, width = np.array([-0.4, 0.3]), np.array([0.1, 0.2])
    grid = np.linspace(-3.0, 3.0, 3001)
    dos, filled = np.zeros(3001), np.zeros((3001, 27))
    kubo.density_of_states(energy, width, 0.5, grid, dos)
    kubo.fill_bands(energy, width, 0.5, np.ones((2, 27)), grid, filled)
    assert dos.sum() * (grid[1] - grid[0]) == pytest.approx(1.0, rel=1e-9)
    np.testing.assert_allclose(np.gradient(filled[:, 0], grid), dos, atol=1e-3)
