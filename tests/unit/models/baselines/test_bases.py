"""The radial and angular functions against scipy, against integrals and against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import eval_legendre, spherical_jn

from shc.models.baselines.bases import (
    SphericalBesselBasis,
    bond_pairs,
    legendre,
    pair_cosines,
    polynomial_cutoff,
    smooth_bessel,
    spherical_bessel,
    spherical_bessel_roots,
    zonal_harmonics,
)

CUTOFF = 5.0


def radial_grid() -> tuple[torch.Tensor, torch.Tensor]:
    """Gauss-Legendre points from 0 to the cutoff and their weights times r^2."""
    x, weight = np.polynomial.legendre.leggauss(60)
    r = (x + 1.0) * CUTOFF / 2.0
    return torch.from_numpy(r), torch.from_numpy(weight * CUTOFF / 2.0 * r**2)


def test_bond_pairs_equal_a_plain_loop() -> None:
    """Nodes without a bond, with one bond and with many."""
    centre = torch.tensor([1, 1, 1, 2, 4, 4, 6, 6, 6, 6])
    first, second = bond_pairs(centre, 8)
    expected = [(a, b) for a in range(10) for b in range(10) if a != b and centre[a] == centre[b]]
    assert list(zip(first.tolist(), second.tolist(), strict=True)) == expected


def test_bond_pairs_of_no_bond() -> None:
    """No bond, no pair."""
    first, second = bond_pairs(torch.zeros(0, dtype=torch.int64), 3)
    assert len(first) == len(second) == 0


def test_pair_cosines() -> None:
    """A right angle, one of 60 degrees and a straight one."""
    vector = torch.tensor([[2.0, 0, 0], [0, 3.0, 0], [0.5, 0.75**0.5, 0], [-1.0, 0, 0]])
    cosine = pair_cosines(vector, vector.norm(dim=1), torch.tensor([0, 0, 0]), torch.tensor([1, 2, 3]))
    torch.testing.assert_close(cosine, torch.tensor([0.0, 0.5, -1.0]))


@pytest.mark.parametrize("power", [3, 6])
def test_polynomial_cutoff_is_smooth(power: int) -> None:
    """1 at zero; value and two derivatives vanish at the cutoff; 0 beyond."""
    r = torch.tensor([0.0, CUTOFF - 1e-9, CUTOFF + 1.0], dtype=torch.float64, requires_grad=True)
    value = polynomial_cutoff(r, CUTOFF, power)
    (slope,) = torch.autograd.grad(value.sum(), r, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.sum(), r)
    torch.testing.assert_close(value.detach(), torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64))
    assert slope[1:].abs().max() < 1e-7
    assert curvature[1:].abs().max() < 1e-7


def test_polynomial_cutoff_of_m3gnet() -> None:
    """1 - 6 x^5 + 15 x^4 - 10 x^3."""
    x = torch.linspace(0.0, 1.0, 11)
    torch.testing.assert_close(polynomial_cutoff(2.0 * x, 2.0, 3), 1 - 6 * x**5 + 15 * x**4 - 10 * x**3)


def test_smooth_bessel_is_orthonormal_and_smooth() -> None:
    """Overlaps are the unit matrix; value and two derivatives vanish at the cutoff."""
    r, weight = radial_grid()
    values = smooth_bessel(r, CUTOFF, 5)
    torch.testing.assert_close(values.T @ (weight[:, None] * values), torch.eye(5, dtype=torch.float64))
    end = torch.tensor([CUTOFF - 1e-6], dtype=torch.float64, requires_grad=True)
    for n in range(5):
        value = smooth_bessel(end, CUTOFF, 5)[0, n]
        (slope,) = torch.autograd.grad(value, end, create_graph=True)
        (curvature,) = torch.autograd.grad(slope, end)
        assert max(value.abs().item(), slope.abs().item(), curvature.abs().item()) < 1e-4


def test_legendre_and_zonal_harmonics_equal_scipy() -> None:
    """Degrees 0 to 6."""
    x = torch.linspace(-1.0, 1.0, 21, dtype=torch.float64)
    expected = np.stack([eval_legendre(n, x.numpy()) for n in range(7)], axis=1)
    np.testing.assert_allclose(legendre(x, 7).numpy(), expected, atol=1e-12)
    np.testing.assert_allclose(zonal_harmonics(x, 7).numpy()[-1], np.sqrt((2 * np.arange(7) + 1) / (4 * np.pi)))
    assert legendre(x, 1).shape == (21, 1)


def test_roots_are_the_first_ones() -> None:
    """Each is a root, and no sign changes in between."""
    roots = spherical_bessel_roots(7, 6)
    for order, row in enumerate(roots):
        grid = np.linspace(1e-3, row[-1] + 0.1, 5000)
        assert np.abs(spherical_jn(order, row)).max() < 1e-12
        assert np.count_nonzero(np.diff(np.sign(spherical_jn(order, grid)))) == 6


@pytest.mark.parametrize("order", range(8))
def test_spherical_bessel_equals_scipy_in_float32(order: int) -> None:
    """From far below to far above the turning point."""
    x = torch.cat([torch.tensor([0.0]), torch.logspace(-2, 1.5, 400)])
    exact = spherical_jn(order, x.double().numpy())
    np.testing.assert_allclose(spherical_bessel(order, x).numpy(), exact, atol=3e-6)


def test_spherical_bessel_basis_is_orthonormal() -> None:
    """Overlaps within a degree are the unit matrix; degree 0 is a sine over r; 0 beyond the cutoff."""
    r, weight = radial_grid()
    basis = SphericalBesselBasis(4, 3, CUTOFF)
    values = basis(r.float()).double()
    overlap = torch.einsum("r,rln,rlm->lnm", weight, values, values)
    torch.testing.assert_close(overlap, torch.eye(3, dtype=torch.float64).expand(4, 3, 3), atol=1e-4, rtol=0)
    sine = (2 / CUTOFF) ** 0.5 * torch.sin(2 * torch.pi * r / CUTOFF) / r
    torch.testing.assert_close(values[:, 0, 1], sine, atol=1e-5, rtol=0)
    assert basis(torch.tensor([CUTOFF + 0.1])).abs().max() == 0
