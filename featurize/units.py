"""Physical constants and unit factors (CODATA, through scipy)."""

from __future__ import annotations

from typing import Final

from scipy import constants

HARTREE_EV: Final = float(constants.physical_constants["Hartree energy in eV"][0])
BOHR: Final = float(constants.physical_constants["Bohr radius"][0] * 1e10)
"""Angstrom."""
SPEED_OF_LIGHT: Final = float(1.0 / constants.fine_structure)
"""Atomic units."""
COULOMB: Final = float(constants.e / (4e-10 * constants.pi * constants.epsilon_0))
"""``e^2 / (4 pi epsilon_0)``, eV Angstrom."""
E2_PER_HBAR: Final = float(constants.e**2 / constants.hbar)
"""``e^2 / hbar``, Siemens."""
