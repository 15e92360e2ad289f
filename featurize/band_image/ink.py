"""The bands of a panel without all that is drawn around them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from shc.featurize.band_image.clutter import erase_legends, erase_notes, erase_ticks
from shc.featurize.band_image.colours import backgrounds
from shc.kernels.image import STROKE_WIDTH
from shc.kernels.picture import contrast
from shc.kernels.picture_rules import blend_count, erase_line, ruled_lanes
from shc.kernels.picture_strokes import (
    find_runs,
    ink_mask,
    paint,
    run_lengths,
    usual_thickness,
    width_counts,
    without_spurs,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from shc.featurize.band_image.types import Box

_FLOOR: Final = 24
"""Least distance of ink from the background."""
_SOFT_EDGE: Final = 0.3
"""A row next to a line belongs to it if it has at least this part of the line's ink."""
_SPUR: Final = 0.8
"""What runs on for less than this part of its width is no stroke."""
_THICKEST: Final = 0.014
"""Thickest straight line that is no fill, as a part of the panel."""


@dataclass(frozen=True, slots=True)
class Strokes:
    """Bands as runs across them, pixels of the panel."""

    along: NDArray[np.float32]
    """``[n, 4]`` runs down the columns: column, upper and lower end, width of the stroke."""
    steep: NDArray[np.float32]
    """``[n, 4]`` runs along the rows: row, left and right end, width of the stroke."""
    width: float
    """Width of a single stroke."""
    levels: tuple[tuple[float, float], ...]
    """Level lines that were taken off: row coordinate of the middle, and the part of the panel's width that is seen of
    the line."""
    share: float
    """Part of the panel that is ink."""


def read_strokes(rgb: NDArray[np.uint8], panel: Box) -> Strokes:
    """Take the frame's ticks, grids, markers of levels and points and texts off a panel.

    Args:
        rgb: ``[H, W, 3]`` the figure.
        panel: What lies inside the frame.

    Returns:
        What is left.
    """
    inside = np.ascontiguousarray(rgb[panel.top : panel.bottom, panel.left : panel.right])
    colours = backgrounds(inside, rgb)
    distance = contrast(inside, colours)
    mask = ink_mask(distance, _FLOOR)
    erase_legends(inside, distance, mask)
    levels = _erase_lines(inside, distance, mask, colours[0])
    erase_ticks(mask)
    runs = run_lengths(mask)
    if erase_notes(mask, distance, usual_thickness(*runs)):
        runs = run_lengths(mask)
    flat = without_spurs(find_runs(distance, *runs, True), mask.shape[1], _SPUR)
    steep = without_spurs(find_runs(distance, *runs, False), mask.shape[0], _SPUR)
    return Strokes(flat, steep, _stroke_width(flat, steep), levels, np.count_nonzero(mask) / mask.size)


def draw_strokes(strokes: Strokes, place: tuple[float, float, float, float], size: int) -> NDArray[np.float32]:
    """Draw bands with the standard pen.

    Args:
        strokes: From ``read_strokes``.
        place: Column of the left edge, columns per pixel, row of the upper edge and rows per pixel of the picture, in
            pixels of the panel.
        size: Height and width of the picture.

    Returns:
        ``[size, size]`` ink from 0 to 1.
    """
    reach = 0.5 * (STROKE_WIDTH + 1.0)
    nearest = np.full((size, size), reach * reach, np.float32)
    paint(nearest, strokes.along, True, np.array(place), strokes.width, reach)
    paint(nearest, strokes.steep, False, np.array(place), strokes.width, reach)
    ink: NDArray[np.float32] = np.clip(reach - np.sqrt(nearest), 0.0, 1.0).astype(np.float32)
    return ink


def _erase_lines(
    inside: NDArray[np.uint8], distance: NDArray[np.uint8], mask: NDArray[np.uint8], background: NDArray[np.uint8]
) -> tuple[tuple[float, float], ...]:
    """Take straight lines from edge to edge off the ink; tell where the level ones were."""
    thickest = max(4, round(_THICKEST * max(mask.shape)))
    down, along, _ = run_lengths(mask)
    levels = []
    for across, upright in ((down, False), (along, True)):
        matched, colours = ruled_lanes(inside, across, upright, thickest)
        lanes = np.flatnonzero(matched)
        if lanes.size == 0:
            continue
        length = mask.shape[0] if upright else mask.shape[1]
        lane_count = mask.shape[1] if upright else mask.shape[0]
        for group in np.split(lanes, np.flatnonzero(np.diff(lanes) > 1) + 1):
            first, last, most = int(group[0]), int(group[-1]), int(matched[group].max())
            away = np.abs(colours[group].astype(int) - background).max(axis=1)
            colour = colours[group[np.argmax(away)]]
            # The soft edges of a line are ink in places.
            edge = (inside, mask, upright)
            while (
                first > 0
                and last - first < thickest
                and blend_count(*edge, first - 1, colour, background) > _SOFT_EDGE * most
            ):
                first -= 1
            while (
                last + 1 < lane_count
                and last - first < thickest
                and blend_count(*edge, last + 1, colour, background) > _SOFT_EDGE * most
            ):
                last += 1
            if last - first >= thickest:
                continue
            erase_line(inside, distance, mask, upright, first, last, colour, background)
            if not upright:
                levels.append((0.5 * (first + last + 1), most / length))
    return tuple(levels)


def _stroke_width(flat: NDArray[np.float32], steep: NDArray[np.float32]) -> float:
    """The width that most strokes have; if they differ, one that few exceed."""
    widths = np.concatenate([flat[:, 3], steep[:, 3]])
    if widths.size == 0:
        return 1.0
    counts = width_counts(widths)
    smooth = np.convolve(counts, np.ones(3), mode="same")
    usual = (int(np.argmax(smooth)) + 0.5) / 4.0
    if np.mean(np.abs(widths - usual) < max(0.75, 0.3 * usual)) > 0.5:
        return usual
    return float(np.quantile(widths, 0.9))
