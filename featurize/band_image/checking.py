"""What was understood of a picture, for people."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from shc.featurize.band_image.decode import read_picture
from shc.featurize.band_image.listing import ascii_name
from shc.featurize.band_image.read import understand
from shc.featurize.errors import ShcError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from shc.featurize.band_image.listing import Picture
    from shc.featurize.band_image.types import BandPicture

TABLE_COLUMNS: Final = (
    "file",
    "material_id",
    "confidence",
    "e_min_ev",
    "e_max_ev",
    "used_min_ev",
    "used_max_ev",
    "fermi_row",
    "panel_left",
    "panel_top",
    "panel_right",
    "panel_bottom",
    "reasons",
)
"""Columns of the table of ``shc check-bands``; rows and columns of pixels are those of the upright picture."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A picture and what was understood of it."""

    picture: Picture
    rgb: NDArray[np.uint8] | None
    """``[H, W, 3]`` pixels; None if they cannot be read or are not needed any more."""
    result: BandPicture | None
    """None if the picture cannot be read."""
    error: ShcError | None = None
    """Why it cannot be read."""

    @property
    def name(self) -> str:
        """Name of the file, for people."""
        return ascii_name(self.picture.path)

    @property
    def material_id(self) -> str:
        """The crystal that ``bands.csv`` names; empty if it names none."""
        return "" if self.picture.row is None else self.picture.row.material_id

    @property
    def confidence(self) -> float:
        """From 0 to 1; 0 if the picture cannot be read or used."""
        return 0.0 if self.result is None else self.result.confidence

    @property
    def verdict(self) -> str:
        """The confidence in words."""
        return "cannot be read" if self.result is None else f"confidence {self.result.confidence:.2f}"

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the confidence is below 1, or why the picture cannot be read."""
        if self.error is not None:
            return (self.error.message, *([self.error.hint] if self.error.hint else []))
        return () if self.result is None else self.result.reasons

    def without_pixels(self) -> Checked:
        """The same with nothing large in it."""
        result = None if self.result is None else replace(self.result, image=np.zeros((1, 0, 0), np.float32))
        return replace(self, rgb=None, result=result)

    def table_row(self) -> list[str]:
        """A row of the table; what is not known is empty."""
        energies, panel, fermi_row = [""] * 4, [""] * 4, ""
        if self.result is not None and self.result.axis is not None:
            numbers = [*(self.panel_energies() or ()), self.result.e_min_ev, self.result.e_max_ev]
            energies = [f"{number:.3f}" for number in numbers]
            fermi_row = f"{self.result.axis.fermi_row:.2f}"
        if self.result is not None and self.result.panel is not None:
            box = self.result.panel
            panel = [str(side) for side in (box.left, box.top, box.right, box.bottom)]
        start = [str(self.picture.path), self.material_id, f"{self.confidence:.3f}"]
        return [*start, *energies, fermi_row, *panel, " | ".join(self.reasons)]

    def panel_energies(self) -> tuple[float, float] | None:
        """Energies at the lower and the upper edge of the panel, from the Fermi level, eV; None if not known."""
        if self.result is None or self.result.axis is None or self.result.panel is None:
            return None
        return self.result.axis.energy(self.result.panel.bottom), self.result.axis.energy(self.result.panel.top)

    def facts(self) -> list[str]:
        """What was read, a short line for each."""
        if self.result is None:
            return []
        result, picture = self.result, self.picture
        lines = [f"{result.size[1]} x {result.size[0]} pixels"]
        if result.axis is None:
            lines.append("energies not known")
        else:
            origin = "read" if picture.window is None else "given"
            edges = self.panel_energies()
            if edges is not None:
                lines.append(f"panel {edges[0]:+.2f} to {edges[1]:+.2f} eV, energies {origin}")
            lines.append(f"{result.e_min_ev:+.2f} to {result.e_max_ev:+.2f} eV are used")
            lines.append(f"E_F in row {result.axis.fermi_row:.1f}, {1000.0 * result.axis.ev_per_pixel:.3g} meV a row")
        if result.panel is None:
            lines.append("no panel found")
        if self.material_id:
            lines.append(f"bands.csv: {self.material_id}")
        return lines


def check_picture(picture: Picture) -> Checked:
    """Decode and normalise a picture; whatever goes wrong is told in what is returned."""
    try:
        rgb = read_picture(picture.path)
    except ShcError as error:
        return Checked(picture, None, None, error)
    try:
        return Checked(picture, rgb, understand(picture.path, rgb, picture.window))
    except Exception as error:  # noqa: BLE001  no picture may stop the others
        text = f"{ascii_name(picture.path)}: unexpected {type(error).__name__}: {error}"
        return Checked(picture, None, None, ShcError(text, "please report this with the picture: it is a defect"))
