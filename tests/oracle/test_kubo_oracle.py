"""Spin Hall conductance against Berry fluxes of PythTB, for models whose spin is conserved.

PythTB's flux of a band is the integral of ``d_x A_y - d_y A_x`` with ``A = i <u|d u>``. Electrons of spin up then have
the Hall conductance ``-C e^2 / h``, those of spin down the opposite, and the spin Hall conductance is
``-(hbar / 2 e) (sigma_up - sigma_down) = C e^2 / h`` in units of ``hbar / e``.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy import constants

from shc.featurize.electronic.basis import ElementBasis
from shc.featurize.electronic.conductivity import band_states, respond
from shc.featurize.electronic.hamiltonian import Hamiltonian, build_hamiltonian
from shc.featurize.electronic.mesh import Mesh, reciprocal
from shc.featurize.electronic.record import SHC_GRID
from shc.kernels.kubo import spin_berry_curvature

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

pythtb = pytest.importorskip("pythtb")

HONEYCOMB = np.array([[1.0, 0.0], [-0.5, 0.75**0.5]])
CONDUCTANCE = constants.e**2 / constants.h


def _grid(n: int, offset: float) -> Floats:
    return (np.array(list(product(range(n), repeat=2))) + offset) / n


def _flux(model: Any, bands: list[int], n: int) -> Floats:  # noqa: ANN401 (PythTB has no types)
    """``[n, n]`` flux through every plaquette of the zone."""
    states = pythtb.wf_array(model, [n + 1, n + 1])
    states.solve_on_grid([0.0, 0.0])
    flux: Floats = np.asarray(states.berry_flux(bands, individual_phases=True))
    return flux


@pytest.mark.parametrize("coupling", [0.2, -0.2])
def test_curvature_of_kane_mele_is_the_flux_of_every_plaquette(coupling: float) -> None:
    n, hopping, staggered = 60, -1.0 + 0.0j, 0.4
    lattice = 3.0 * HONEYCOMB
    sites = np.array([[1 / 3, 2 / 3], [2 / 3, 1 / 3]])
    hops: list[tuple[complex, int, int, list[int]]] = [(hopping, 0, 1, shift) for shift in ([0, 0], [-1, 0], [0, 1])]
    for shift in ([1, 0], [0, 1], [-1, -1]):
        hops += [(1j * coupling, 0, 0, shift), (-1j * coupling, 1, 1, shift)]
    model = pythtb.tb_model(2, 2, lattice, sites)
    model.set_onsite([staggered, -staggered])
    for hop in hops:
        model.set_hop(*hop)

    ours = np.empty(n * n)
    k = _grid(n, 0.5) @ (2.0 * np.pi * np.linalg.inv(lattice).T)
    for at in range(n * n):
        h, dh = np.zeros((2, 2), dtype=complex), np.zeros((3, 2, 2), dtype=complex)
        for amplitude, i, j, shift in hops:
            d = (sites[j] - sites[i] + shift) @ lattice
            term = amplitude * np.exp(1j * k[at] @ d)
            h[i, j] += term
            dh[:2, i, j] += 1j * d * term
        h, dh = h + h.conj().T, dh + dh.conj().swapaxes(1, 2)
        h += np.diag([staggered, -staggered])
        energy, c = np.linalg.eigh(h)
        velocity = c.conj().T @ dh @ c
        # Spin up everywhere: the current of spin z is half the velocity.
        current = np.zeros((3, 3, 2, 2), dtype=complex)
        current[2] = 0.5 * velocity
        everything, still = np.ones((2, 2), dtype=np.bool_), np.zeros((2, 3))
        low, high = spin_berry_curvature(current, velocity, energy, energy, everything, still, still, 0.0, 1e-6, 0.5)
        ours[at] = 2.0 * (low + high)[0, 0, 1, 2]
    plaquette = (2.0 * np.pi) ** 2 / abs(np.linalg.det(lattice)) / n**2
    theirs = _flux(model, [0], n)
    assert abs(theirs.sum()) == pytest.approx(2.0 * np.pi)
    np.testing.assert_allclose(ours.reshape(n, n) * plaquette, theirs, atol=0.02 * np.abs(theirs).max())
    assert ours.sum() * plaquette == pytest.approx(theirs.sum(), rel=1e-3)


def _sheet(staggered: float, soc: float) -> tuple[Hamiltonian, Floats]:
    """Honeycomb of p orbitals in the plane, built by the engine."""
    lattice = np.diag([0.0, 0.0, 25.0])
    lattice[:2, :2] = 4.5 * HONEYCOMB
    frac = np.array([[1 / 3, 2 / 3, 0.5], [2 / 3, 1 / 3, 0.5]])
    bases = [
        ElementBasis(z, np.array([2, 3]), np.full(9, level), (soc, 0.0), 10.0, 2.0, np.zeros((8, 4)), 0.0, 0.1)
        for z, level in ((1, staggered), (2, -staggered))
    ]

    def integrals(a: ElementBasis, b: ElementBasis, distance: Floats) -> Floats:  # noqa: ARG001
        out = np.zeros((len(distance), 28))
        out[distance < 3.0, 5], out[distance < 3.0, 6] = 2.0, -0.5
        return out

    return build_hamiltonian(lattice, frac, bases, integrals), frac


@pytest.mark.parametrize(("staggered", "soc", "size"), [(0.1, 1.2, 1.0), (0.1, -1.2, 1.0), (1.5, 0.6, 0.0)])
def test_conductance_of_a_sheet_of_p_orbitals_is_the_chern_number(staggered: float, soc: float, size: float) -> None:
    hamiltonian, frac = _sheet(staggered, soc)
    lattice = hamiltonian.lattice
    model = pythtb.tb_model(2, 2, lattice[:2, :2], np.repeat(frac[:, :2], 2, axis=0))
    model.set_onsite([staggered, staggered, -staggered, -staggered])
    for atom in (0, 2):
        # Orbitals x, y: xi L_z / 2 = -i xi / 2 |x><y| + h.c.
        model.set_hop(-0.5j * soc, atom, atom + 1, [0, 0])
    for (i, j), d, block in zip(hamiltonian.pair, hamiltonian.vector, hamiltonian.blocks[0], strict=True):
        shift = np.round(d @ np.linalg.inv(lattice) - frac[j] + frac[i]).astype(int)[:2].tolist()
        for p, q in product(range(2), repeat=2):
            if i != j and abs(block[p, q]) > 1e-12:
                model.set_hop(float(block[p, q]), 2 * int(i) + p, 2 * int(j) + q, shift, mode="add")
    chern = _flux(model, [0, 1], 30).sum() / (2.0 * np.pi)
    assert abs(chern) == pytest.approx(size, abs=1e-6)
    k = np.pad(_grid(30, 0.3), ((0, 0), (0, 1))) @ reciprocal(lattice)
    mesh = Mesh((30, 30, 1), k, np.full(900, 1.0 / 900), 0.1)
    states = [band_states(hamiltonian, hamiltonian.spin_orbit(), point, 0.0, 0.0, eta=1e-4) for point in k]
    volume = abs(float(np.linalg.det(lattice)))
    found = respond(states, mesh, hamiltonian.electrons, volume, np.eye(27)).shc[len(SHC_GRID) // 2]
    sheet = found * lattice[2, 2] * 1e-8
    assert sheet[0, 1, 2] == pytest.approx(chern * CONDUCTANCE, abs=2e-3 * CONDUCTANCE)
    assert sheet[1, 0, 2] == pytest.approx(-chern * CONDUCTANCE, abs=2e-3 * CONDUCTANCE)
