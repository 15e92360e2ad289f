from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shc.featurize.electronic.solver import fermi_dirac, fermi_level, occupations, solve_scalar, spin_orbit_matrix

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Complex = NDArray[np.complex128]


def _hermitian(rng: np.random.Generator, *shape: int) -> Complex:
    a = rng.normal(size=shape) + 1j * rng.normal(size=shape)
    return np.asarray(a + np.swapaxes(a, -1, -2).conj())


@settings(max_examples=20, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**31), n=st.integers(1, 12))
def test_states_solve_the_generalised_problem(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    h, s = _hermitian(rng, n, n), _hermitian(rng, n, n)
    s = s @ s + 0.1 * np.eye(n)
    energy, c = solve_scalar(h, s)
    scale = np.abs(energy).max() * np.abs(s).max() * np.abs(c).max()
    np.testing.assert_allclose(h @ c, (s @ c) * energy, atol=1e-10 * scale)
    np.testing.assert_allclose(c.conj().T @ s @ c, np.eye(n), atol=1e-9)
    assert (np.diff(energy) >= 0.0).all()


def test_dependent_orbitals_are_dropped() -> None:
    rng = np.random.default_rng(4)
    axes = np.linalg.qr(_hermitian(rng, 6, 6))[0]
    weight = np.array([-0.02, 0.4, 0.7, 1.0, 1.3, 2.0])
    h = _hermitian(rng, 6, 6)
    s = (axes * weight) @ axes.conj().T
    energy, c = solve_scalar(h, s)
    assert c.shape == (6, 5)
    np.testing.assert_allclose(c.conj().T @ s @ c, np.eye(5), atol=1e-10)
    np.testing.assert_allclose(c.conj().T @ h @ c, np.diag(energy), atol=1e-9)


def test_spin_orbit_matrix_is_that_of_pauli_matrices() -> None:
    rng = np.random.default_rng(5)
    h, s, coupling = _hermitian(rng, 4, 4), _hermitian(rng, 4, 4), _hermitian(rng, 3, 4, 4)
    s = s @ s + np.eye(4)
    pauli = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
    full = np.kron(np.eye(2), h) + sum(np.kron(0.5 * p, part) for p, part in zip(pauli, coupling, strict=True))
    energy, c = solve_scalar(h, s)
    expected, _ = solve_scalar(np.asarray(full), np.kron(np.eye(2), s).astype(np.complex128))
    matrix = spin_orbit_matrix(energy, c, coupling)
    np.testing.assert_allclose(np.linalg.eigvalsh(matrix), expected, atol=1e-10)
    states = np.kron(np.eye(2), c)
    np.testing.assert_allclose(matrix, states.conj().T @ full @ states, atol=1e-10)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**31), degeneracy=st.sampled_from([1.0, 2.0]))
def test_fermi_level_holds_the_electrons(seed: int, degeneracy: float) -> None:
    rng = np.random.default_rng(seed)
    energies = [np.sort(rng.normal(size=int(n))) for n in rng.integers(4, 9, 7)]
    weight = rng.random(7)
    weight /= weight.sum()
    electrons = float(rng.uniform(0.5, 3.5)) * degeneracy
    level = fermi_level(energies, weight, electrons, 0.03, degeneracy=degeneracy)
    held = sum(degeneracy * w * fermi_dirac(e, level, 0.03).sum() for e, w in zip(energies, weight, strict=True))
    assert held == pytest.approx(electrons, abs=1e-9)
    if degeneracy == 2.0:
        filled = occupations(energies, weight, electrons, 0.03)
        assert sum(w * f.sum() for f, w in zip(filled, weight, strict=True)) == pytest.approx(electrons, abs=1e-9)


def test_fermi_level_of_an_insulator_lies_in_its_gap() -> None:
    energies = [np.array([-2.0, -1.0, 1.0]), np.array([-2.5, -0.5, 2.0])]
    level = fermi_level(energies, np.array([0.25, 0.75]), 4.0, 0.05)
    assert -0.5 < level < 1.0


def test_occupation_is_between_none_and_one() -> None:
    filled = fermi_dirac(np.array([-1e6, 0.2, 1e6]), 0.2, 0.01)
    np.testing.assert_allclose(filled, [1.0, 0.5, 0.0], atol=1e-20)
