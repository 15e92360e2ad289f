"""A figure of bands -> the picture that the model reads."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from shc.featurize.band_image.fermi import given_axis, with_fermi_level
from shc.featurize.band_image.ink import Strokes, draw_strokes, read_strokes
from shc.featurize.band_image.panel import choose_panel, find_panels
from shc.featurize.band_image.ticks import read_axis
from shc.featurize.band_image.types import BandPicture, Box
from shc.featurize.electronic.picture import IMAGE_SIZE
from shc.featurize.electronic.record import BAND_RANGE
from shc.kernels.picture import reduce_picture

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from shc.featurize.band_image.panel_split import PanelCandidate
    from shc.featurize.band_image.ticks import AxisReading
    from shc.featurize.band_image.types import EnergyAxis, EnergyWindow

_WORKING_HEIGHT: Final = 1300
"""Taller figures are made smaller by a whole factor."""
_MARGIN: Final = (0.012, 0.2)
"""Bands that end between these parts of the panel's width before its sides are stretched over the full width."""
_MOST_BANDS: Final = 0.4
"""Part of the usual number of bands that a column crosses where there are bands and not only what is left of lines."""
_FEW_COLUMNS: Final = 0.3
"""Bands run from side to side; where fewer columns of the picture than this part have ink, most of them are missing."""
_OTHERS: Final = 3
"""So many other panels are tried if the best one has no numbers."""
_SURE: Final = 0.5
"""Least confidence of the numbers beside such a panel."""
_NARROW: Final = 1.2
"""Figures of bands show more than this, eV; an axis in Hartree or Rydberg does not."""
_BELOW: Final = 0.15
"""Figures of bands show so much below the Fermi level, eV; those of phonons show nothing there."""
_MUCH_INK: Final = 0.45
"""Part of the picture that is ink beyond which single bands cannot be told apart."""


@dataclass(frozen=True, slots=True)
class _Doubts:
    """What makes a picture less sure: a factor on the confidence for every reason."""

    found: tuple[tuple[float, str], ...] = ()

    def add(self, factor: float, reason: str) -> _Doubts:
        """The same with one more."""
        return _Doubts((*self.found, (factor, reason)))

    @property
    def confidence(self) -> float:
        """From 0 to 1."""
        return float(np.prod([factor for factor, _ in self.found]))

    @property
    def reasons(self) -> tuple[str, ...]:
        """The worst first."""
        return tuple(reason for _, reason in sorted(self.found, key=lambda doubt: doubt[0]))


def normalise(rgb: NDArray[np.uint8], window: EnergyWindow | None = None) -> BandPicture:
    """Bring a figure into the form that the model reads, and say how sure that is.

    Args:
        rgb: ``[H, W, 3]`` an upright figure.
        window: The energy axis, if a person knows it; it wins over what is read.

    Returns:
        The picture; all zero with confidence 0 where the figure shows no panel or no energies.
    """
    rgb = np.ascontiguousarray(rgb)
    factor = max(1, round(rgb.shape[0] / 1000)) if rgb.shape[0] > _WORKING_HEIGHT else 1
    small = reduce_picture(rgb, factor) if factor > 1 else rgb
    candidates = find_panels(small)
    if not candidates:
        return _unusable(rgb, None, "no panel was found: the picture seems to be empty")
    chosen, why = choose_panel(candidates)
    doubts = _Doubts(tuple((0.8, reason) for reason in why))
    if window is not None:
        box = _scaled(chosen.box, factor)
        return _draw(rgb, read_strokes(small, chosen.box), box, given_axis(box, window), doubts, factor)
    found = read_axis(rgb, _scaled(chosen.box, factor))
    if found.axis is None:
        chosen, found, doubts = _with_numbers(rgb, candidates, (chosen, found, doubts), factor)
    box = _scaled(chosen.box, factor)
    if found.axis is None:
        why_not = found.reason or "no numbers could be read at the energy axis"
        return _unusable(rgb, box, f"{why_not}; give --energy-window")
    if found.confidence < 0.9:
        doubts = doubts.add(found.confidence, found.reason or "the numbers at the energy axis are not sure")
    strokes = read_strokes(small, chosen.box)
    levels = tuple((box.top + factor * row, seen) for row, seen in strokes.levels)
    reading = with_fermi_level(found.axis, box, levels, found.fermi_label_row)
    if reading.reason:
        doubts = doubts.add(reading.confidence, reading.reason)
    return _draw(rgb, strokes, box, reading.axis, doubts, factor)


def _with_numbers(
    rgb: NDArray[np.uint8],
    candidates: list[PanelCandidate],
    first: tuple[PanelCandidate, AxisReading, _Doubts],
    factor: int,
) -> tuple[PanelCandidate, AxisReading, _Doubts]:
    """The best of the other candidates that has numbers beside it, and its doubts; the first one if none has."""
    for other in [candidate for candidate in candidates if candidate is not first[0]][:_OTHERS]:
        found = read_axis(rgb, _scaled(other.box, factor))
        if found.axis is not None and found.confidence > _SURE:
            doubts = first[2].add(0.8, "what looks most like a panel of bands has no numbers; another was taken")
            return other, found, doubts
    return first


def _scaled(box: Box, factor: int) -> Box:
    """A rectangle of the reduced figure in pixels of the figure."""
    return Box(factor * box.left, factor * box.top, factor * box.right, factor * box.bottom)


def _draw(
    rgb: NDArray[np.uint8], strokes: Strokes, box: Box, axis: EnergyAxis, doubts: _Doubts, factor: int
) -> BandPicture:
    """Draw what is known between ``-BAND_RANGE`` and ``BAND_RANGE``."""
    e_min, e_max = max(-BAND_RANGE, axis.energy(box.bottom)), min(BAND_RANGE, axis.energy(box.top))
    if e_min >= e_max:
        text = f"the panel shows no energy within {BAND_RANGE:g} eV of the Fermi level; give --energy-window"
        return replace(_unusable(rgb, box, text), axis=axis)
    width = box.width / factor
    left, right = _path_ends(strokes, width)
    if (left, right) != (0.0, width):
        doubts = doubts.add(0.95, "the bands do not reach the sides of the panel and were stretched to them")
    top = (axis.row(BAND_RANGE) - box.top) / factor
    height = 2.0 * BAND_RANGE / axis.ev_per_pixel / factor
    ink = draw_strokes(strokes, (left, (right - left) / IMAGE_SIZE, top, height / IMAGE_SIZE), IMAGE_SIZE)
    middle = BAND_RANGE * (1.0 - (2.0 * np.arange(IMAGE_SIZE) + 1.0) / IMAGE_SIZE)
    known = (middle >= e_min) & (middle <= e_max)
    ink[~known] = 0.0
    share = float(ink[known].mean()) if known.any() else 0.0
    if share == 0.0:
        doubts = doubts.add(0.3, f"no band was found within {BAND_RANGE:g} eV of the Fermi level")
    elif np.mean((ink > 0.0).any(axis=0)) < _FEW_COLUMNS:
        doubts = doubts.add(0.4, "hardly any band was found")
    elif share > _MUCH_INK:
        doubts = doubts.add(0.5, "so much ink that bands cannot be told apart")
    if e_max - e_min < BAND_RANGE:
        doubts = doubts.add(0.8, f"the figure shows only {e_min:.2g} to {e_max:.2g} eV")
    if e_max - e_min < _NARROW or e_min > -_BELOW:
        doubts = doubts.add(0.6, "so little around the Fermi level is shown that the axis may be no energy in eV")
    if height < IMAGE_SIZE / 3:
        doubts = doubts.add(0.8, f"a coarse picture: {2.0 * BAND_RANGE:g} eV are only {height:.0f} pixels high")
    return BandPicture(ink[None], e_min, e_max, doubts.confidence, doubts.reasons, box, axis, rgb.shape[:2])


def _path_ends(strokes: Strokes, width: float) -> tuple[float, float]:
    """Columns between which the bands lie: the sides of the panel, unless most bands end well before them."""
    columns = strokes.along[:, 0].astype(np.int64)
    if columns.size == 0:
        return 0.0, width
    counts = np.bincount(columns, minlength=round(width))
    crossed = np.flatnonzero(counts >= max(1.0, _MOST_BANDS * float(np.median(counts[counts > 0]))))
    left, right = float(crossed[0]), float(crossed[-1]) + 1.0
    low, high = _MARGIN[0] * width, _MARGIN[1] * width
    return (left if low < left < high else 0.0), (right if low < width - right < high else width)


def _unusable(rgb: NDArray[np.uint8], box: Box | None, reason: str) -> BandPicture:
    """A picture that says nothing."""
    empty = np.zeros((1, IMAGE_SIZE, IMAGE_SIZE), np.float32)
    return BandPicture(empty, 0.0, 0.0, 0.0, (reason,), box, None, rgb.shape[:2])
