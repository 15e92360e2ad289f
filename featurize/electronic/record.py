"""What the built-in electronic structure says about one crystal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHC_GRID: Final = np.linspace(-1.0, 1.0, 41)
"""Fermi levels of the energy-resolved conductivity, eV from the true one."""
DOS_GRID: Final = np.linspace(-3.0, 3.0, 121)
"""Energies of the density of states, eV from the Fermi level."""
BAND_RANGE: Final = 3.0
"""Bands are kept within this distance of the Fermi level, eV."""
ENGINE_VERSION: Final = 1
"""Raised whenever the same crystal gets other numbers: part of the key of every stored result."""


@dataclass(frozen=True, slots=True)
class BandsConfig:
    """Settings of the built-in electronic structure; part of the key of every stored result."""

    budget: float = 0.6
    """Processor time aimed at for one crystal, seconds: chooses the mesh and with it the broadening."""
    path_points: int = 160
    """Points on the path through the Brillouin zone, at least."""
    symprec: float = 0.01
    """Tolerance of the symmetry search, Angstrom."""


@dataclass(frozen=True, slots=True)
class ElectronicRecord:
    """Bands with spin-orbit coupling, density of states and spin Hall conductivity of one crystal.

    Energies count from the Fermi level, which lies in the middle of the gap where there is one.
    """

    energy: NDArray[np.float32]
    """``[n_k, n_bands]`` the bands that come within ``BAND_RANGE`` anywhere on the path, ascending, eV."""
    scalar_energy: NDArray[np.float32]
    """``[n_k, n_scalar]`` the same without spin-orbit coupling, two electrons a band, from the same Fermi level, eV."""
    distance: NDArray[np.float32]
    """``[n_k]`` length of the path up to each point, 1/Angstrom; does not grow across a break."""
    labels: tuple[tuple[int, str], ...]
    """High-symmetry points: index along the path and name, ``GAMMA`` for the centre; both sides of a break."""
    breaks: tuple[int, ...]
    """Indices of the points before which the path jumps: nothing is drawn across."""
    shc: NDArray[np.float32]
    """``[41, 3, 3, 3]`` at the Fermi levels ``SHC_GRID``; current, field, spin in the Cartesian frame of the cell as
    read; (hbar/e) S/cm."""
    dos: NDArray[np.float32]
    """``[121]`` on ``DOS_GRID``, states per eV and primitive cell, both spins."""
    fermi_ev: float
    """Fermi level on the scale of the free atoms' levels, eV."""
    gap_ev: float
    """Smallest gap found on mesh and path, eV; 0 for a metal."""
    k_mesh: tuple[int, int, int]
    """Divisions of the mesh behind density of states and conductivity."""
    seconds: float
    """Processor time."""
    flags: tuple[str, ...]
    """Notes on the calculation: ``f_in_core``, ``magnetic_element``, ``unfitted_element``, ``coarsened``,
    ``charges_not_converged``."""

    @property
    def shc_tensor(self) -> NDArray[np.float32]:
        """``[3, 3, 3]`` at the Fermi level, (hbar/e) S/cm."""
        tensor: NDArray[np.float32] = self.shc[len(SHC_GRID) // 2]
        return tensor

    @property
    def shc_max_abs(self) -> float:
        """Largest absolute component at the Fermi level, (hbar/e) S/cm."""
        return float(np.abs(self.shc_tensor).max())

    @property
    def dos_fermi(self) -> float:
        """Density of states at the Fermi level, states per eV and primitive cell."""
        return float(self.dos[len(DOS_GRID) // 2])
