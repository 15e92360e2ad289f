"""Parameters that change what a feature file holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

BANDS_NONE: Final = "none"
"""No electronic structure."""
BANDS_AUTO: Final = "auto"
"""The built-in electronic structure is computed for every crystal."""


@dataclass(frozen=True, slots=True)
class FeaturizeConfig:
    """Parameters of featurisation; stored in every feature file.

    Two files can be merged, appended to or fed to one model only if these agree.
    """

    cutoff: float = 8.0
    """Radius within which neighbours are sought, Angstrom."""
    max_neighbours: int = 12
    """K, the number of nearest neighbours kept per node."""
    symprec: float = 0.01
    """Tolerance of the symmetry search, Angstrom."""
    max_atoms: int = 1000
    """A file with more atoms in its cell is refused."""
    allow_hydrogen: bool = False
    """Whether crystals with H, D or T are accepted (no training crystal holds hydrogen)."""
    bands: str = BANDS_NONE
    """``auto``: the built-in electronic structure is computed and stored; ``none``: it is not."""
    bands_budget: float = 0.6
    """Processor time aimed at for the electronic structure of one crystal, seconds."""
    pictures: bool = False
    """Whether there is a place for normalised pictures of bands."""
    styles: int = 0
    """Pictures drawn of the computed bands of each crystal in random styles and normalised."""
