from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import CubicSpline
from scipy.spatial.transform import Rotation

from shc.featurize.electronic.basis import ElementParameters, _quadrature, build_basis, pair_integrals
from shc.featurize.units import BOHR, HARTREE_EV
from shc.kernels import electronic_reference as twin
from shc.kernels import slater_koster
from shc.kernels.radial import lda_potential

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

STEP = 0.016
X0 = float(np.log(1e-6))
MESH = np.exp(X0 + STEP * np.arange(1100))
FIRST = (0, 1, 4)


class Gaussians(NamedTuple):
    """An atom whose orbitals are ``r^l exp(-a r^2)``, in a Gaussian well, with a Gaussian density."""

    exponents: tuple[float, float, float]
    depth: float
    density: float

    def orbital(self, points: Floats) -> Floats:
        """``[n, 9]`` orbitals at ``[n, 3]`` points about the atom, Bohr."""
        r = np.linalg.norm(points, axis=1)
        angular = twin.real_harmonics(points / r[:, None]) / np.sqrt(4.0 * np.pi)
        radial = [self.radial(shell, r) for shell in range(3)]
        return np.asarray(angular * np.repeat(np.array(radial), [1, 3, 5], axis=0).T)

    def radial(self, l: int, r: Floats) -> Floats:  # noqa: E741
        a = self.exponents[l]
        moment = (1.0, 3.0 / (4 * a), 15.0 / (16 * a * a))[l] * np.sqrt(np.pi / (2 * a)) / (8 * a)
        return np.asarray(r**l * np.exp(-a * r * r) / np.sqrt(moment))

    def potential(self, r: Floats) -> Floats:
        return np.asarray(-self.depth * np.exp(-0.4 * r * r))

    def electrons(self, r: Floats) -> Floats:
        return np.asarray(self.density * np.exp(-0.7 * r * r))

    def table(self) -> Floats:
        rows = [self.radial(shell, MESH) for shell in range(3)]
        # T R / R of a Gaussian.
        rows += [a * (2 * shell + 3) - 2.0 * a * a * MESH**2 for shell, a in enumerate(self.exponents)]
        return np.array([*rows, self.potential(MESH), self.electrons(MESH)])


A = Gaussians((0.35, 0.45, 0.6), 1.3, 0.2)
B = Gaussians((0.5, 0.3, 0.4), 0.7, 0.4)


def _spheroidal(bond: float, n: int = 60) -> tuple[Floats, Floats]:
    """Points and weights in prolate spheroidal coordinates, foci at the atoms 0 and ``bond`` along z, all angles."""
    x, wx = np.polynomial.legendre.leggauss(n)
    # xi from 1 outwards, denser near the atoms.
    u, wu = 0.5 * (x + 1.0), 0.5 * wx
    reach = 36.0 / bond
    xi, w_xi = 1.0 + reach * u**2, 2.0 * reach * u * wu
    # eta = sin makes the density of points grow towards both foci.
    eta, w_eta = np.sin(0.5 * np.pi * x), 0.5 * np.pi * np.cos(0.5 * np.pi * x) * wx
    phi = 2.0 * np.pi * (np.arange(6) + 0.3) / 6
    xi_, eta_, phi_ = np.meshgrid(xi, eta, phi, indexing="ij")
    rho = 0.5 * bond * np.sqrt((xi_**2 - 1.0) * (1.0 - eta_**2))
    points = np.stack([rho * np.cos(phi_), rho * np.sin(phi_), 0.5 * bond * (1.0 + xi_ * eta_)], axis=-1)
    weight = (0.5 * bond) ** 3 * (xi_**2 - eta_**2) * (w_xi[:, None] * w_eta)[..., None] * (2.0 * np.pi / 6)
    return points.reshape(-1, 3), weight.ravel()


def _blocks(h: Floats, s: Floats, direction: Floats) -> tuple[Floats, Floats]:
    out: tuple[Floats, Floats] = slater_koster.bond_blocks(direction[None], h[None], s[None])
    return out[0][0], out[1][0]


@pytest.mark.parametrize("bond", [2.2, 4.5])
def test_integrals_are_those_of_space(bond: float) -> None:
    """Overlap, potential and kinetic energy (as product of gradients) of Gaussians on a grid of the test's own."""
    points, weight = _spheroidal(bond)
    there = points - [0.0, 0.0, bond]
    r_a, r_b = np.linalg.norm(points, axis=1), np.linalg.norm(there, axis=1)
    a, b = A.orbital(points), B.orbital(there)
    potential = A.potential(r_a) + B.potential(r_b) + lda_potential(A.electrons(r_a) + B.electrons(r_b))
    overlap = a.T @ (weight[:, None] * b)
    energy = a.T @ ((weight * potential)[:, None] * b)
    for axis in np.eye(3) * 1e-4:
        slope_a = (A.orbital(points + axis) - A.orbital(points - axis)) / 2e-4
        slope_b = (B.orbital(there + axis) - B.orbital(there - axis)) / 2e-4
        energy += 0.5 * slope_a.T @ (weight[:, None] * slope_b)
    h, s = slater_koster.two_centre_integrals(A.table(), B.table(), X0, X0, STEP, np.array([bond]), *_quadrature())
    h_block, s_block = _blocks(h[0], s[0], np.array([0.0, 0.0, 1.0]))
    np.testing.assert_allclose(s_block, overlap, atol=2e-5)
    np.testing.assert_allclose(h_block, energy, atol=5e-5)


def test_overlap_of_two_equal_gaussians_is_known() -> None:
    bond, a = 2.7, A.exponents[0]
    _, s = slater_koster.two_centre_integrals(A.table(), A.table(), X0, X0, STEP, np.array([bond]), *_quadrature())
    assert s[0, 0] == pytest.approx(np.exp(-0.5 * a * bond**2), abs=1e-6)


@pytest.mark.parametrize(("z_a", "z_b", "distance"), [(31, 33, 2.45), (78, 78, 2.77), (1, 6, 1.09), (22, 8, 3.4)])
def test_integrals_of_elements_are_converged(z_a: int, z_b: int, distance: float) -> None:
    a, b = build_basis(z_a, ElementParameters()), build_basis(z_b, ElementParameters())
    bond = distance / BOHR
    points, weight = _spheroidal(bond, 90)
    there = points - [0.0, 0.0, bond]

    def parts(basis: Floats, x0: float, step: float, at: Floats) -> tuple[Floats, Floats, Floats]:
        r = np.linalg.norm(at, axis=1)
        x = x0 + step * np.arange(basis.shape[1])
        rows: Callable[[Floats], Floats] = CubicSpline(x, basis, axis=1)
        values = rows(np.log(np.minimum(r, np.exp(x[-1]))))
        angular = twin.real_harmonics(at / r[:, None]) / np.sqrt(4.0 * np.pi)
        orbital = angular * np.repeat(values[:3], [1, 3, 5], axis=0).T
        return orbital, orbital * np.repeat(values[3:6], [1, 3, 5], axis=0).T, values

    psi_a, kin_a, rows_a = parts(a.table, a.x0, a.step, points)
    psi_b, kin_b, rows_b = parts(b.table, b.x0, b.step, there)
    potential = rows_a[6] + rows_b[6] + lda_potential(np.maximum(rows_a[7] + rows_b[7], 0.0))
    overlap = psi_a.T @ (weight[:, None] * psi_b)
    energy = psi_a.T @ ((weight * potential)[:, None] * psi_b)
    energy += 0.5 * (kin_a.T @ (weight[:, None] * psi_b) + psi_a.T @ (weight[:, None] * kin_b))
    found = pair_integrals(a, b, np.array([distance]))[0]
    h_block, s_block = _blocks(found[:14], found[14:], np.array([0.0, 0.0, 1.0]))
    np.testing.assert_allclose(s_block, overlap, atol=1e-3)
    np.testing.assert_allclose(h_block, energy * HARTREE_EV, atol=0.02)


@settings(max_examples=6, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**31))
def test_two_centre_integrals_equal_twin(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = (Gaussians((x, y, z), u, v).table() for x, y, z, u, v in rng.uniform(0.2, 2.0, (2, 5)))
    grid = (rng.uniform(0.01, 30.0, 12), rng.random(12), rng.uniform(-1.0, 1.0, 9), rng.random(9))
    meshes = (X0, X0 + float(rng.uniform(-0.5, 0.5)), STEP)
    distance = rng.uniform(1.0, 9.0, 2)
    ours = slater_koster.two_centre_integrals(a, b, *meshes, distance, *grid)
    expected = twin.two_centre_integrals(a, b, *meshes, distance, *grid)
    for mine, other in zip(ours, expected, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-6, atol=1e-7 * np.abs(other).max() + 1e-9)


def test_orbitals_are_orthonormal_harmonics() -> None:
    points, weights = np.polynomial.legendre.leggauss(8)
    phi = 2.0 * np.pi * np.arange(9) / 9
    cosine, angle = np.meshgrid(points, phi, indexing="ij")
    sine = np.sqrt(1.0 - cosine**2)
    directions = np.stack([sine * np.cos(angle), sine * np.sin(angle), cosine], axis=-1).reshape(-1, 3)
    values = twin.real_harmonics(directions)
    weight = np.repeat(weights, 9) / 18.0
    np.testing.assert_allclose(values.T @ (weight[:, None] * values), np.eye(9), atol=1e-13)
    # The matrices of the d orbitals are those of the same functions.
    quadratic = np.einsum("ni,aij,nj->na", directions, slater_koster.d_tensors(), directions)
    np.testing.assert_allclose(quadratic * np.sqrt(7.5), values[:, 4:], atol=1e-13)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**31), pole=st.sampled_from([None, 0, 1, 2, -1, -2, -3]))
def test_rotation_of_orbitals_is_the_rotation_of_their_pictures(seed: int, pole: int | None) -> None:
    rng = np.random.default_rng(seed)
    direction = rng.normal(size=3) if pole is None else np.eye(3)[pole] * (1.0 if pole >= 0 else -1.0)
    direction /= np.linalg.norm(direction)
    turn = np.empty((9, 9))
    slater_koster.rotation_matrix(direction, turn)
    np.testing.assert_allclose(turn @ turn.T, np.eye(9), atol=1e-12)
    # Sigma orbitals (first of each shell) point along the bond.
    points = rng.normal(size=(50, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    along = points @ direction
    turned = twin.real_harmonics(points) @ turn
    np.testing.assert_allclose(turned[:, 1], np.sqrt(3.0) * along, atol=1e-12)
    np.testing.assert_allclose(turned[:, 4], np.sqrt(1.25) * (3.0 * along**2 - 1.0), atol=1e-12)
    # The rest keeps the number of nodes through the axis: pi and delta lose their integral over the angle.
    np.testing.assert_allclose(turned[:, 2] ** 2 + turned[:, 3] ** 2, 3.0 * (1.0 - along**2), atol=1e-12)
    np.testing.assert_allclose(turned[:, 7] ** 2 + turned[:, 8] ** 2, 3.75 * (1.0 - along**2) ** 2, atol=1e-12)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**31))
def test_bond_blocks_equal_twin_whatever_the_frame(seed: int) -> None:
    rng = np.random.default_rng(seed)
    frames = Rotation.random(4, rng=rng).as_matrix()
    h, s = rng.normal(size=(2, 4, 14))
    ours = slater_koster.bond_blocks(np.ascontiguousarray(frames[:, :, 2]), h, s)
    for mine, other in zip(ours, twin.bond_blocks(frames, h, s), strict=True):
        np.testing.assert_allclose(mine, other, atol=1e-11)


def test_blocks_turn_with_the_bond() -> None:
    rng = np.random.default_rng(3)
    h, s = rng.normal(size=(2, 14))
    direction = np.array([0.36, -0.48, 0.8])
    rotation = Rotation.from_rotvec([0.3, -1.1, 0.7]).as_matrix()
    points = rng.normal(size=(60, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    turn = np.linalg.lstsq(twin.real_harmonics(points), twin.real_harmonics(points @ rotation), rcond=None)[0]
    for before, after in zip(_blocks(h, s, direction), _blocks(h, s, rotation @ direction), strict=True):
        np.testing.assert_allclose(turn @ before @ turn.T, after, atol=1e-12)


def test_p_blocks_are_the_formulas_of_slater_and_koster() -> None:
    h = np.zeros(14)
    sp_sigma, pp_sigma, pp_pi, sd_sigma = 0.7, 1.3, -0.4, 0.9
    h[1], h[5], h[6], h[3] = sp_sigma, pp_sigma, pp_pi, sd_sigma
    l, m, n = 0.48, 0.6, 0.64  # noqa: E741 (names of the paper)
    block, _ = _blocks(h, h, np.array([l, m, n]))
    z, x, y = 1, 2, 3
    assert block[0, x] == pytest.approx(l * sp_sigma)
    assert block[x, x] == pytest.approx(l * l * pp_sigma + (1 - l * l) * pp_pi)
    assert block[x, y] == pytest.approx(l * m * (pp_sigma - pp_pi))
    assert block[y, z] == pytest.approx(m * n * (pp_sigma - pp_pi))
    assert block[0, 8] == pytest.approx(np.sqrt(3) * l * m * sd_sigma)
    assert block[0, 4] == pytest.approx((n * n - 0.5 * (l * l + m * m)) * sd_sigma)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**31))
def test_bloch_sums_equal_twins(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n_orbitals = rng.choice([1, 4, 9], 3)
    first = np.concatenate([[0], np.cumsum(n_orbitals)[:-1]])
    i, j = rng.integers(0, 3, (2, 15))
    block = rng.normal(size=(2, 15, 9, 9))
    bonds = (rng.normal(size=3), rng.normal(size=(15, 3)), first[i], first[j], n_orbitals[i], n_orbitals[j], block)
    size = int(n_orbitals.sum())
    total = np.zeros((2, size, size), dtype=np.complex128)
    gradient = np.zeros((3, 2, size, size), dtype=np.complex128)
    slater_koster.bloch_sum(*bonds, total)
    slater_koster.bloch_gradient(*bonds, gradient)
    expected = twin.bloch_sum(*bonds, size)
    np.testing.assert_allclose(total, expected[0], atol=1e-12)
    np.testing.assert_allclose(gradient, expected[1], atol=1e-12)
