"""Compiled sums of the Kubo formula over pairs of bands, and densities over a grid of energies."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Complex = NDArray[np.complexfloating]
    Bools = NDArray[np.bool_]


@njit(cache=True, nogil=True)
def spin_berry_curvature(
    current: Complex,
    velocity: Complex,
    low: Floats,
    high: Floats,
    shared: Bools,
    speed_low: Floats,
    speed_high: Floats,
    step: float,
    width: float,
    widest: float,
) -> tuple[Floats, Floats]:
    """Spin Berry curvature of bands, summed over pairs of a lower and an upper band.

    A pair contributes ``-2 Im[<n|J|m><m|v|n>] / ((e_n - e_m)^2 + eta^2)`` to band n and the opposite to band m. The
    broadening is ``eta = max(width, min(widest, step |v_n - v_m|))``.

    Args:
        current: ``[3, 3, n_low, n_high]`` spin current, spin axis first, then direction; eV Angstrom.
        velocity: ``[3, n_low, n_high]`` velocity times hbar, eV Angstrom.
        low: ``[n_low]`` energies, eV.
        high: ``[n_high]`` energies, eV.
        shared: ``[n_low, n_high]`` whether both bands belong to both sets, so that the pair is met twice.
        speed_low: ``[n_low, 3]`` diagonal velocities, eV Angstrom.
        speed_high: ``[n_high, 3]``.
        step: Distance of mesh points times a factor, 1/Angstrom.
        width: Least broadening, eV.
        widest: Greatest adaptive broadening, eV.

    Returns:
        ``[n_low, 3, 3, 3]`` and ``[n_high, 3, 3, 3]``, index order current, field, spin; Angstrom^2.

    Source: G. Y. Guo, S. Murakami, T.-W. Chen, N. Nagaosa, Phys. Rev. Lett. 100, 096401 (2008), eq. 2; adaptive
    broadening as in J. R. Yates et al., Phys. Rev. B 75, 195121 (2007), and J. Qiao et al., Phys. Rev. B 98, 214402
    (2018).
    """
    n_low, n_high = low.size, high.size
    out_low = np.zeros((n_low, 3, 3, 3))
    out_high = np.zeros((n_high, 3, 3, 3))
    for n in range(n_low):
        for m in range(n_high):
            gap = low[n] - high[m]
            spread = 0.0
            for c in range(3):
                spread += (speed_low[n, c] - speed_high[m, c]) ** 2
            eta = max(width, min(widest, step * math.sqrt(spread)))
            factor = -2.0 / (gap * gap + eta * eta)
            if shared[n, m]:
                factor *= 0.5
            for j in range(3):
                v_re, v_im = factor * velocity[j, n, m].real, factor * velocity[j, n, m].imag
                for k in range(3):
                    for i in range(3):
                        value = current[k, i, n, m]
                        part = value.imag * v_re - value.real * v_im
                        out_low[n, i, j, k] += part
                        out_high[m, i, j, k] -= part
    return out_low, out_high


@njit(cache=True, nogil=True)
def fill_bands(energy: Floats, width: Floats, weight: float, curvature: Floats, grid: Floats, out: Floats) -> None:
    """Add ``weight f(E) curvature`` of every band for Fermi levels E on a grid.

    ``f = erfc((energy - E) / width) / 2``.

    Args:
        energy: ``[n]`` eV.
        width: ``[n]`` eV.
        weight: Of the k-point.
        curvature: ``[n, 27]``.
        grid: ``[n_e]`` eV.
        out: ``[n_e, 27]``.
    """
    for n in range(energy.size):
        for g in range(grid.size):
            x = (energy[n] - grid[g]) / width[n]
            if x > 4.0:
                continue
            f = weight if x < -4.0 else weight * 0.5 * math.erfc(x)
            for t in range(out.shape[1]):
                out[g, t] += f * curvature[n, t]


@njit(cache=True, nogil=True)
def density_of_states(energy: Floats, width: Floats, weight: float, grid: Floats, out: Floats) -> None:
    """Add Gaussians ``exp(-(E - energy)^2 / width^2) / (width sqrt(pi))``, times ``weight``, to ``[n_e]``."""
    for n in range(energy.size):
        norm = weight / (width[n] * math.sqrt(math.pi))
        for g in range(grid.size):
            x = (grid[g] - energy[n]) / width[n]
            if -6.0 < x < 6.0:
                out[g] += norm * math.exp(-x * x)
