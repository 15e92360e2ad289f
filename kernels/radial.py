"""Compiled radial solver: scalar-relativistic bound states and the electrostatics of spherical charges.

Hartree atomic units throughout. All functions live on a logarithmic mesh ``r_i = r_0 exp(i h)``.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_GROWTH = 1e20
_START = 3
_CLOSEST = 60
_DECAY = 32.0
_MAX_STEPS = 200
_CONVERGED = 1e-10


@njit(cache=True, nogil=True)
def half_mesh(r: Floats, v: Floats) -> Floats:
    """Potential half-way between mesh points, by cubic interpolation of ``r V``.

    Args:
        r: ``[n]`` mesh, Bohr.
        v: ``[n]`` potential, Hartree.

    Returns:
        ``[n - 1]`` potential at ``sqrt(r_i r_{i+1})``, Hartree.
    """
    n = r.size
    out = np.empty(n - 1)
    for i in range(n - 1):
        middle = math.sqrt(r[i] * r[i + 1])
        if 0 < i < n - 2:
            inner = 9.0 * (r[i] * v[i] + r[i + 1] * v[i + 1]) - r[i - 1] * v[i - 1] - r[i + 2] * v[i + 2]
            out[i] = inner / (16.0 * middle)
        else:
            out[i] = 0.5 * (r[i] * v[i] + r[i + 1] * v[i + 1]) / middle
    return out


@njit(cache=True, nogil=True, inline="always")
def _slope(r: float, v: float, energy: float, centrifugal: float, c: float, p: float, q: float) -> tuple[float, float]:
    """``r dP/dr`` and ``r dQ/dr`` of the Koelling-Harmon equations."""
    mass = 1.0 + (energy - v) / (2.0 * c * c)
    return (
        2.0 * r * mass * c * q + p,
        (centrifugal / (2.0 * mass * c * r) + r * (v - energy) / c) * p - q,
    )


@njit(cache=True, nogil=True)
def _integrate(
    r: Floats,
    h: float,
    v: Floats,
    v_half: Floats,
    energy: float,
    centrifugal: float,
    c: float,
    p: Floats,
    q: Floats,
    first: int,
    last: int,
) -> int:
    """Fourth-order Runge-Kutta from mesh point ``first`` to ``last``, either way; returns the number of nodes."""
    step = 1 if last > first else -1
    hh = h * step
    nodes = 0
    i = first
    while i != last:
        j = i + step
        middle = min(i, j)
        r_half = math.sqrt(r[i] * r[j])
        a1, b1 = _slope(r[i], v[i], energy, centrifugal, c, p[i], q[i])
        a2, b2 = _slope(r_half, v_half[middle], energy, centrifugal, c, p[i] + 0.5 * hh * a1, q[i] + 0.5 * hh * b1)
        a3, b3 = _slope(r_half, v_half[middle], energy, centrifugal, c, p[i] + 0.5 * hh * a2, q[i] + 0.5 * hh * b2)
        a4, b4 = _slope(r[j], v[j], energy, centrifugal, c, p[i] + hh * a3, q[i] + hh * b3)
        p[j] = p[i] + hh / 6.0 * (a1 + 2.0 * a2 + 2.0 * a3 + a4)
        q[j] = q[i] + hh / 6.0 * (b1 + 2.0 * b2 + 2.0 * b3 + b4)
        if p[i] * p[j] < 0.0:
            nodes += 1
        i = j
        if abs(p[i]) > _GROWTH:
            low, high = (first, i) if step > 0 else (i, first)
            for t in range(max(low - _START, 0), high + 1):
                p[t] /= _GROWTH
                q[t] /= _GROWTH
    return nodes


@njit(cache=True, nogil=True)
def _turning_point(r: Floats, v: Floats, l: int, energy: float) -> int:  # noqa: E741 (angular momentum)
    i = r.size - 3
    while i > 10 and v[i] + (l + 0.5) ** 2 / (2.0 * r[i] ** 2) > energy:
        i -= 1
    return min(i, r.size - 20)


@njit(cache=True, nogil=True)
def bound_state(
    r: Floats,
    h: float,
    v: Floats,
    charge: float,
    n: int,
    l: int,  # noqa: E741 (angular momentum)
    guess: float,
    lowest: float,
    highest: float,
    c: float,
) -> tuple[float, Floats]:
    """Scalar-relativistic bound state of a spherical potential.

    Args:
        r: ``[n_r]`` logarithmic mesh, Bohr.
        h: Its step in ``ln r``.
        v: ``[n_r]`` potential, Hartree.
        charge: Nuclear charge, for the start at the nucleus.
        n: Principal quantum number.
        l: Angular momentum.
        guess: Energy to start from, Hartree.
        lowest: Energy below the state, Hartree.
        highest: Energy above the state, Hartree.
        c: Speed of light, 137.036; a much larger value gives the Schroedinger equation.

    Returns:
        Energy in Hartree (``highest`` at most if no such state exists) and ``[n_r]`` ``P = r R``, normalised to
        ``integral P^2 dr = 1`` and positive near the nucleus.

    Source: D. D. Koelling and B. N. Harmon, J. Phys. C 10, 3107 (1977), eqs. 9-12 without spin-orbit term.
    """
    n_r = r.size
    wanted = n - l - 1
    centrifugal = float(l * (l + 1))
    exponent = math.sqrt(centrifugal + 1.0 - (charge / c) ** 2)
    v_half = half_mesh(r, v)
    low, high = lowest, highest
    energy = guess if low < guess < high else 0.5 * (low + high)
    p = np.zeros(n_r)
    q = np.zeros(n_r)
    p_in = np.zeros(n_r)
    q_in = np.zeros(n_r)
    for _ in range(_MAX_STEPS):
        match = _turning_point(r, v, l, energy)
        if match < _CLOSEST:
            low = energy
            energy = 0.5 * (low + high)
            continue
        end = match
        decay = 0.0
        while end < n_r - 2 and decay <= _DECAY:
            end += 1
            decay += math.sqrt(max(2.0 * (v[end] - energy), 0.0)) * r[end] * h
        p[:] = 0.0
        q[:] = 0.0
        for t in range(_START):
            mass = 1.0 + (energy - v[t]) / (2.0 * c * c)
            p[t] = (r[t] / r[0]) ** exponent * 1e-8
            q[t] = (exponent - 1.0) * p[t] / (2.0 * mass * c * r[t])
        nodes = _integrate(r, h, v, v_half, energy, centrifugal, c, p, q, _START - 1, match)
        if nodes != wanted or p[match] == 0.0:
            if nodes > wanted:
                high = energy
            else:
                low = energy
            energy = 0.5 * (low + high)
            if high - low < _CONVERGED:
                break
            continue
        p_in[:] = 0.0
        q_in[:] = 0.0
        kappa = math.sqrt(2.0 * max(v[end] - energy, 1e-6))
        p_in[end] = 1e-12
        q_in[end] = -p_in[end] * (kappa + 1.0 / r[end]) / (2.0 * c)
        if _integrate(r, h, v, v_half, energy, centrifugal, c, p_in, q_in, end, match) > 0:
            high = energy
            energy = 0.5 * (low + high)
            continue
        factor = p[match] / p_in[match]
        q_match = q[match]
        norm = 0.0
        for t in range(n_r):
            if t >= match:
                p[t] = p_in[t] * factor
            norm += p[t] * p[t] * r[t] * h
        # First-order correction from the jump of the derivative at the matching point.
        change = c * p[match] * (q_match - q_in[match] * factor) / norm
        if change > 0.0:
            low = max(low, energy)
        else:
            high = min(high, energy)
        if abs(change) < _CONVERGED:
            break
        energy += change
        if energy <= low or energy >= high:
            energy = 0.5 * (low + high)
    norm = 0.0
    for t in range(n_r):
        norm += p[t] * p[t] * r[t] * h
    return energy, p / math.sqrt(norm)


@njit(cache=True, nogil=True)
def hartree_potential(r: Floats, h: float, radial: Floats) -> Floats:
    """Electrostatic potential of a spherical charge.

    Args:
        r: ``[n]`` logarithmic mesh, Bohr.
        h: Its step in ``ln r``.
        radial: ``[n]`` charge per radius, ``4 pi r^2 n(r)``, 1/Bohr.

    Returns:
        ``[n]`` ``q(r) / r + integral_r^inf radial / r' dr'``, Hartree.
    """
    n = r.size
    out = np.empty(n)
    inside = 0.0
    for i in range(n):
        share = radial[i] * r[i] * h
        out[i] = (inside + 0.5 * share) / r[i]
        inside += share
    outside = 0.0
    for i in range(n - 1, -1, -1):
        share = radial[i] * h
        out[i] += outside + 0.5 * share
        outside += share
    return out


@njit(cache=True, nogil=True)
def lda(density: float) -> tuple[float, float]:
    """Exchange-correlation energy per electron and potential of the unpolarised electron gas.

    Args:
        density: Electrons per Bohr^3.

    Returns:
        Energy per electron and potential, Hartree.

    Source: J. P. Perdew and Y. Wang, Phys. Rev. B 45, 13244 (1992), eq. 10 and table I, with Dirac exchange.
    """
    if density < 1e-14:
        return 0.0, 0.0
    rs = (3.0 / (4.0 * math.pi * density)) ** (1.0 / 3.0)
    exchange = -0.75 * (1.5 / math.pi) ** (2.0 / 3.0) / rs
    a, alpha = 0.031091, 0.21370
    b1, b2, b3, b4 = 7.5957, 3.5876, 1.6382, 0.49294
    root = math.sqrt(rs)
    q0 = -2.0 * a * (1.0 + alpha * rs)
    q1 = 2.0 * a * root * (b1 + root * (b2 + root * (b3 + root * b4)))
    slope = a * (b1 / root + 2.0 * b2 + 3.0 * b3 * root + 4.0 * b4 * rs)
    log = math.log(1.0 + 1.0 / q1)
    correlation = q0 * log
    derivative = -2.0 * a * alpha * log - q0 * slope / (q1 * q1 + q1)
    return exchange + correlation, 4.0 / 3.0 * exchange + correlation - rs / 3.0 * derivative


@njit(cache=True, nogil=True)
def lda_potential(density: Floats) -> Floats:
    """``lda`` potential of an array ``[n]``, Hartree."""
    out = np.empty_like(density)
    for i in range(density.size):
        out[i] = lda(density[i])[1]
    return out
