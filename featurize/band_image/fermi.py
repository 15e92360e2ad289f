"""Where the Fermi level lies in a panel."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from shc.featurize.band_image.types import EnergyAxis
from shc.featurize.errors import ShcError

if TYPE_CHECKING:
    from shc.featurize.band_image.types import Box, EnergyWindow

_NEAR: Final = 0.012
"""Lines within this part of the panel's height from a place are at that place."""


_SEEN: Final = 0.4
"""Of a line that marks an energy at least this part of its length is seen."""


@dataclass(frozen=True, slots=True)
class Reading:
    """An energy axis whose zero is the Fermi level."""

    axis: EnergyAxis
    confidence: float = 1.0
    reason: str = ""
    """Why the confidence is below 1."""


def given_axis(panel: Box, window: EnergyWindow) -> EnergyAxis:
    """The axis that a person gives.

    Args:
        panel: What lies inside the frame.
        window: Energies at its edges and the Fermi level.

    Returns:
        Rows of the figure.

    Raises:
        ShcError: The upper edge is not above the lower one.
    """
    span = window.e_max_ev - window.e_min_ev
    if not span > 0.0:
        raise ShcError(
            f"an energy window from {window.e_min_ev:g} to {window.e_max_ev:g} eV is empty",
            "give the energy at the lower edge of the panel first, then that at the upper edge",
        )
    ev_per_pixel = span / panel.height
    return EnergyAxis(panel.bottom - (window.fermi_ev - window.e_min_ev) / ev_per_pixel, ev_per_pixel)


def with_fermi_level(
    axis: EnergyAxis, panel: Box, levels: tuple[tuple[float, float], ...], label: float | None = None
) -> Reading:
    """Decide between label 0 and a line that marks another energy.

    Args:
        axis: The axis as labelled, its zero at label 0.
        panel: What lies inside the frame.
        levels: Level lines across the panel: row of the figure, and the part of the width that is seen of each.
        label: Row of the figure at which the axis says ``E_F``, if it does.

    Returns:
        The axis from the Fermi level.
    """
    if label is not None:
        return Reading(replace(axis, fermi_row=label))
    near = max(3.0, _NEAR * panel.height)
    inside = [row for row, _ in levels if panel.top + near < row < panel.bottom - near]
    visible = panel.top - near <= axis.fermi_row <= panel.bottom + near
    at_zero = [row for row in inside if abs(row - axis.fermi_row) <= near]
    if visible and at_zero:
        # A line's place is sharper than that of a label.
        return Reading(replace(axis, fermi_row=min(at_zero, key=lambda row: abs(row - axis.fermi_row))))
    if visible and _is_grid(inside, near):
        return Reading(axis)
    marks = [row for row, seen in levels if seen > _SEEN and row in inside]
    if len(marks) == 1:
        text = f"the line at {axis.energy(marks[0]):.2f} eV on the figure's scale was taken for the Fermi level"
        return Reading(replace(axis, fermi_row=marks[0]), 0.6 if visible else 0.7, text)
    if visible:
        return Reading(axis, 0.97, "no line marks the Fermi level; label 0 was taken")
    return Reading(axis, 0.3, "neither label 0 nor a line that could be the Fermi level lies in the panel")


def _is_grid(rows: list[float], near: float) -> bool:
    """Whether lines have equal distances."""
    steps = [after - before for before, after in zip(sorted(rows)[:-1], sorted(rows)[1:], strict=True)]
    return len(steps) > 1 and max(steps) - min(steps) <= near
