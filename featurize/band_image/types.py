"""What is known about a picture of bands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


LEAST_CONFIDENCE: Final = 0.3
"""A picture that was understood with less is not used for a prediction."""
SURE: Final = 0.7
"""Below this confidence a look at a picture is worth while."""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of pixels: columns ``left`` to ``right - 1``, rows ``top`` to ``bottom - 1``."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        """Number of columns."""
        return self.right - self.left

    @property
    def height(self) -> int:
        """Number of rows."""
        return self.bottom - self.top

    @property
    def area(self) -> int:
        """Number of pixels."""
        return self.width * self.height

    def common(self, other: Box) -> int:
        """Number of pixels that lie in another rectangle too."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(0, width) * max(0, height)


@dataclass(frozen=True, slots=True)
class EnergyAxis:
    """Energies of the rows of a picture. Row ``r`` covers ``r`` to ``r + 1``, so its middle lies at ``r + 0.5``."""

    fermi_row: float
    """Where the Fermi level lies, rows from the upper edge of the picture; may lie outside the picture."""
    ev_per_pixel: float
    """Height of one row, eV; positive."""

    def energy(self, row: float) -> float:
        """Energy from the Fermi level at a row coordinate, eV."""
        return (self.fermi_row - row) * self.ev_per_pixel

    def row(self, energy_ev: float) -> float:
        """Row coordinate of an energy from the Fermi level."""
        return self.fermi_row - energy_ev / self.ev_per_pixel


@dataclass(frozen=True, slots=True)
class EnergyWindow:
    """What a person says about the energy axis; it always wins over what is read from the picture."""

    e_min_ev: float
    """Energy at the lower edge of the panel, on the scale of the figure, eV."""
    e_max_ev: float
    """Energy at the upper edge of the panel, on the scale of the figure, eV."""
    fermi_ev: float = 0.0
    """Fermi level on the scale of the figure, eV."""


@dataclass(frozen=True, slots=True)
class BandPicture:
    """A picture of bands in the form that the model reads, and how it was understood."""

    image: NDArray[np.float32]
    """``[1, 224, 224]`` ink from 0 to 1, the path over the full width, row 0 at ``+BAND_RANGE``, the Fermi level
    half-way up; 0 where the energy is not known."""
    e_min_ev: float
    """Lower end of the energies that the picture shows, from the Fermi level, not below ``-BAND_RANGE``, eV."""
    e_max_ev: float
    """Upper end of the energies that the picture shows, not above ``+BAND_RANGE``, eV."""
    confidence: float
    """From 0 to 1; 0 means that the picture cannot be used."""
    reasons: tuple[str, ...]
    """Why the confidence is below 1, the worst first."""
    panel: Box | None
    """The panel that was taken for the bands, pixels of the upright picture; None if none was found."""
    axis: EnergyAxis | None
    """The energy axis; None if it was neither given nor read."""
    size: tuple[int, int]
    """Height and width of the upright picture, pixels."""
