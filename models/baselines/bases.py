"""Fixed functions of bond lengths and bond angles, shared by the networks that see pairs of bonds."""

from __future__ import annotations

import math
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.optimize import brentq
from scipy.special import spherical_jn
from torch import Tensor, nn

if TYPE_CHECKING:
    from numpy.typing import NDArray

N_SERIES_TERMS = 14
"""Terms of the power series of j_l; enough for float32 where it is used."""


def bond_pairs(centre: Tensor, n_nodes: int) -> tuple[Tensor, Tensor]:
    """All ordered pairs of different bonds at one centre.

    Args:
        centre: ``[E]`` node at which each bond is seen, ascending.
        n_nodes: Number of nodes.

    Returns:
        First and second bond of each pair, ``[T]`` each, below E; pairs ascend by first, then by second bond.
    """
    counts = torch.bincount(centre, minlength=n_nodes)
    partners = counts[centre]
    first = torch.arange(len(centre), device=centre.device).repeat_interleave(partners)
    shift = (counts.cumsum(0) - counts)[centre] - (partners.cumsum(0) - partners)
    second = torch.arange(len(first), device=centre.device) + shift.repeat_interleave(partners)
    different = first != second
    return first[different], second[different]


def pair_cosines(vector: Tensor, distance: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Cosines of the angles between two bonds of one centre.

    Args:
        vector: ``[E, 3]`` bond vectors, Angstrom.
        distance: ``[E]`` their lengths, above 0, Angstrom.
        first: ``[T]`` first bond of each pair.
        second: ``[T]`` second bond of each pair.

    Returns:
        ``[T]`` within -1 and 1.
    """
    direction = vector / distance[:, None]
    return (direction[first] * direction[second]).sum(1).clamp(-1.0, 1.0)


def polynomial_cutoff(distance: Tensor, cutoff: float, power: int) -> Tensor:
    """Envelope that falls from 1 at zero to 0 at the cutoff, with two continuous derivatives there.

    With ``power`` 3 it is that of M3GNet (Chen and Ong, doi:10.1038/s43588-022-00349-3), with 6 that of DimeNet
    (Gasteiger et al., arXiv:2003.03123, eq. 8) without its division by the distance.

    Args:
        distance: Any shape, Angstrom.
        cutoff: Where it reaches 0; it stays 0 beyond.
        power: Lowest power of the distance, at least 3.

    Returns:
        The shape of ``distance``.
    """
    x = (distance / cutoff).clamp(max=1.0)
    a, b, c = (power + 1) * (power + 2) / 2, power * (power + 2), power * (power + 1) / 2
    return 1.0 - x**power * (a - b * x + c * x**2)


def smooth_bessel(distance: Tensor, cutoff: float, n_radial: int) -> Tensor:
    """Orthonormal radial functions whose value and first two derivatives vanish at the cutoff.

    Source: Kocer, Mason and Erturk, J. Chem. Phys. 150, 154102 (2019), arXiv:1808.02342, as used by M3GNet.

    Args:
        distance: ``[E]``, Angstrom.
        cutoff: Where they reach 0; they stay 0 beyond.
        n_radial: Number of functions.

    Returns:
        ``[E, n_radial]``, Angstrom^-1.5.
    """
    x = (distance / cutoff).clamp(max=1.0)
    functions: list[Tensor] = []
    d = 1.0
    for n in range(n_radial):
        scale = (n + 1) * (n + 2) / math.hypot(n + 1, n + 2) * math.sqrt(2.0) * math.pi / cutoff**1.5
        raw = (-1) ** n * scale * (torch.sinc((n + 1) * x) + torch.sinc((n + 2) * x))
        if n == 0:
            functions.append(raw)
            continue
        e = n**2 * (n + 2) ** 2 / (4 * (n + 1) ** 4 + 1)
        previous_d, d = d, 1.0 - e / d
        functions.append((raw + math.sqrt(e / previous_d) * functions[-1]) / math.sqrt(d))
    return torch.stack(functions, dim=1)


def legendre(cosine: Tensor, n_orders: int) -> Tensor:
    """Legendre polynomials of degree 0 to ``n_orders`` - 1.

    Args:
        cosine: ``[T]``, within -1 and 1.
        n_orders: Number of polynomials.

    Returns:
        ``[T, n_orders]``.
    """
    values = [torch.ones_like(cosine), cosine]
    for n in range(1, n_orders - 1):
        values.append(((2 * n + 1) * cosine * values[n] - n * values[n - 1]) / (n + 1))
    return torch.stack(values[:n_orders], dim=1)


def zonal_harmonics(cosine: Tensor, n_orders: int) -> Tensor:
    """Spherical harmonics Y_l^0 of degree 0 to ``n_orders`` - 1.

    Args:
        cosine: ``[T]`` of the polar angle.
        n_orders: Number of degrees.

    Returns:
        ``[T, n_orders]``.
    """
    degree = torch.arange(n_orders, device=cosine.device, dtype=cosine.dtype)
    return legendre(cosine, n_orders) * ((2.0 * degree + 1.0) / (4.0 * math.pi)).sqrt()


def spherical_bessel_roots(n_orders: int, n_radial: int) -> NDArray[np.float64]:
    """The first positive roots of the spherical Bessel functions j_0 to j_(n_orders - 1).

    Those of j_(l+1) lie between neighbouring roots of j_l.

    Returns:
        ``[n_orders, n_radial]``.
    """
    roots = np.zeros((n_orders, n_radial))
    bracket = math.pi * np.arange(1, n_radial + n_orders)
    roots[0] = bracket[:n_radial]
    for order in range(1, n_orders):
        function = partial(spherical_jn, order)
        bracket = np.array([brentq(function, low, high, xtol=1e-13) for low, high in pairwise(bracket)])
        roots[order] = bracket[:n_radial]
    return roots


def spherical_bessel(order: int, x: Tensor) -> Tensor:
    """Spherical Bessel function of the first kind j_l, safe in float32.

    Upward recurrence where x exceeds l + 1; below, where that loses all digits, the power series.

    Args:
        order: l.
        x: Any shape, not negative.

    Returns:
        The shape of ``x``.
    """
    if order == 0:
        return torch.sinc(x / math.pi)
    large = x.clamp(min=order + 1.0)
    previous, current = large.sin() / large, large.sin() / large**2 - large.cos() / large
    for n in range(1, order):
        previous, current = current, (2 * n + 1) / large * current - previous
    small = x.clamp(max=order + 1.0)
    term = small**order / math.prod(range(1, 2 * order + 2, 2))
    series = term
    for k in range(1, N_SERIES_TERMS):
        term = term * small**2 / (-2.0 * k * (2 * order + 2 * k + 1))
        series = series + term
    return torch.where(x > order + 1.0, current, series)


class SphericalBesselBasis(nn.Module):
    """Normalised spherical Bessel functions that vanish at the cutoff.

    For each degree l and n, sqrt(2 / c^3) / abs(j_(l+1)(z_ln)) j_l(z_ln r / c) with the n-th root z_ln of j_l; degree
    0 is sqrt(2 / c) sin(n pi r / c) / r. Source: Gasteiger, Gross and Guennemann, arXiv:2003.03123, eqs. 6 and 7.

    Args:
        n_orders: Number of degrees, from 0.
        n_radial: Number of functions of each degree.
        cutoff: Angstrom; the functions are 0 beyond.
    """

    roots: Tensor
    scale: Tensor

    def __init__(self, n_orders: int, n_radial: int, cutoff: float) -> None:
        super().__init__()
        self.cutoff = cutoff
        roots = spherical_bessel_roots(n_orders, n_radial)
        next_order = np.arange(1, n_orders + 1)[:, None]
        scale = math.sqrt(2.0 / cutoff**3) / np.abs(spherical_jn(next_order, roots))
        self.register_buffer("roots", torch.from_numpy(roots).float(), persistent=False)
        self.register_buffer("scale", torch.from_numpy(scale).float(), persistent=False)

    def forward(self, distance: Tensor) -> Tensor:
        """Evaluate.

        Args:
            distance: ``[E]``, Angstrom.

        Returns:
            ``[E, n_orders, n_radial]``, Angstrom^-1.5.
        """
        x = self.roots * (distance / self.cutoff)[:, None, None]
        values = torch.stack([spherical_bessel(order, x[:, order]) for order in range(len(self.roots))], dim=1)
        return values * self.scale * (distance < self.cutoff)[:, None, None]
