"""Finds the lines of text beside the energy axis of a panel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from shc.kernels.glyphs import linked_groups
from shc.kernels.picture import colour_histogram, contrast
from shc.kernels.picture_parts import parts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from shc.featurize.band_image.types import Box

Side = Literal["left", "right"]

MIN_TEXT_HEIGHT: Final = 5
"""Smaller text cannot be read, pixels."""
_MAX_TEXT_HEIGHT: Final = 0.15
"""Of the height of the panel."""
_MAX_PATCHES: Final = 400
"""Of more patches than these, the largest are kept."""
_FAINT: Final = 24
"""Contrast up to this is no ink: noise of compression."""
_USUAL_INK: Final = 0.9
"""Full ink is darker than this part of the ink."""
_LINK_GAP: Final = 0.6
"""Largest gap within a line of text, in heights of its larger glyph."""
_TITLE_GAP: Final = 0.4
"""Largest gap between glyphs on top of each other in a rotated title, in widths of the narrower one."""
_TITLE_GLYPHS: Final = 4


@dataclass(frozen=True, slots=True)
class Strip:
    """The part of a picture beside the panel that holds the labels."""

    ink: NDArray[np.float32]
    """``[H, W]`` contrast to the background, 1 for full ink; the line of the axis is cut off."""
    threshold: float
    """Ink above this belongs to a glyph."""
    left: int
    """Column of the picture where the strip begins."""
    top: int
    """Row of the picture where the strip begins."""


def cut_strip(rgb: NDArray[np.uint8], panel: Box, side: Side, darkness: float) -> Strip | None:
    """Cut out what may hold the labels: up to the next upright line, without the line of the axis itself.

    Args:
        rgb: ``[H, W, 3]``.
        panel: Inside of the axes.
        side: Where to look.
        darkness: Part of the usual contrast of ink from which on a pixel is ink.

    Returns:
        The strip, or None if there is no room or no ink.
    """
    reach = max(64, 2 * panel.height // 5)
    margin = 4 + panel.height // 16
    top, bottom = max(0, panel.top - margin), min(rgb.shape[0], panel.bottom + margin)
    left, right = (panel.left - reach, panel.left) if side == "left" else (panel.right, panel.right + reach)
    left, right = max(0, left), min(rgb.shape[1], right)
    if right - left < 2 * MIN_TEXT_HEIGHT or bottom - top < 2 * MIN_TEXT_HEIGHT:
        return None
    part = np.ascontiguousarray(rgb[top:bottom, left:right])
    ink = contrast(part, background(part, 2)[None])
    rows = slice(panel.top - top, panel.bottom - top)
    first, last = _free_columns(ink[rows] if side == "left" else ink[rows, ::-1])
    if side == "right":
        first, last = ink.shape[1] - last, ink.shape[1] - first
    ink = ink[:, first:last]
    dark = np.sort(ink[ink > _FAINT])
    if dark.size == 0:
        return None
    full = float(dark[round(_USUAL_INK * (dark.size - 1))])
    scaled = np.divide(ink, np.float32(full), dtype=np.float32)
    return Strip(np.minimum(scaled, np.float32(1.0), out=scaled), max(darkness, _FAINT / full), left + first, top)


def background(rgb: NDArray[np.uint8], step: int = 1) -> NDArray[np.uint8]:
    """``[3]`` the most frequent colour of every ``step``-th row and column, the mean of all that nearly equal it."""
    counts = colour_histogram(rgb, step)
    most = counts[int(counts[:, 0].argmax())]
    frequent: NDArray[np.uint8] = np.rint(most[1:] / most[0]).astype(np.uint8)
    return frequent


def _free_columns(ink: NDArray[np.uint8]) -> tuple[int, int]:
    """Columns between the axis, at the right end, and the next upright line on its left."""
    width = ink.shape[1]
    upright = np.flatnonzero((ink > 2 * _FAINT).mean(axis=0) > 0.55)
    near = width - max(4, width // 8)
    last = width
    for column in upright[upright >= near][::-1]:
        last = int(column) if last == width or last - column <= 2 else last
    others = upright[upright < last - 2]
    first = int(others[-1]) + 2 if others.size else 0
    return (first, last) if last - first >= MIN_TEXT_HEIGHT else (0, last)


def text_boxes(strip: Strip, panel: Box, side: Side) -> NDArray[np.int64]:
    """Group patches of ink to lines of text; rotated titles, tick marks and long strokes are left out.

    Args:
        strip: From ``cut_strip``.
        panel: Inside of the axes.
        side: Where the strip lies.

    Returns:
        ``[n, 4]`` left, top, right and bottom (exclusive) in pixels of the strip.
    """
    height, width = strip.ink.shape
    patches = parts((strip.ink > np.float64(strip.threshold)).view(np.uint8))[1].astype(np.int64)
    at_axis = patches[:, 2] >= width if side == "left" else patches[:, 0] <= 0
    tall = patches[:, 3] - patches[:, 1] > max(_MAX_TEXT_HEIGHT * panel.height, 4 * MIN_TEXT_HEIGHT)
    long = patches[:, 2] - patches[:, 0] > 0.5 * panel.height
    patches = patches[~(at_axis | tall | long)]
    if len(patches) > _MAX_PATCHES:
        patches = patches[np.argsort(patches[:, 4], kind="stable")[-_MAX_PATCHES:]]
    patches = patches[~_in_title(patches)]
    boxes = _joined(patches, _same_line(patches))
    tallness = boxes[:, 3] - boxes[:, 1]
    long = boxes[:, 2] - boxes[:, 0] > 10 * tallness
    middle = 0.5 * (boxes[:, 1] + boxes[:, 3]) + strip.top
    outside = (middle < panel.top - tallness) | (middle > panel.bottom + tallness)
    cut = (boxes[:, 1] <= 0) | (boxes[:, 3] >= height)
    kept: NDArray[np.int64] = boxes[(tallness >= MIN_TEXT_HEIGHT) & ~long & ~outside & ~cut]
    return kept


def _in_title(patches: NDArray[np.int64]) -> NDArray[np.bool_]:
    """``[n]`` whether a patch belongs to a column of glyphs close on top of each other."""
    if len(patches) == 0:
        return np.zeros(0, np.bool_)
    left, top, right, bottom = patches[:, :4].T
    shared, gap, narrower = _between(left, right, top, bottom)
    groups = linked_groups((shared >= 0.5 * narrower) & (gap <= np.maximum(2.0, _TITLE_GAP * narrower)))
    many: NDArray[np.bool_] = np.bincount(groups)[groups] >= _TITLE_GLYPHS
    boxes = _joined(patches, groups)[groups]
    slim: NDArray[np.bool_] = boxes[:, 3] - boxes[:, 1] > 2.5 * (boxes[:, 2] - boxes[:, 0])
    return many & slim


def _same_line(patches: NDArray[np.int64]) -> NDArray[np.int64]:
    """``[n]`` number of the line of text that each patch belongs to."""
    if len(patches) == 0:
        return np.zeros(0, np.int64)
    left, top, right, bottom = patches[:, :4].T
    shared, gap, shorter = _between(top, bottom, left, right)
    size = bottom - top
    taller = np.maximum(size[:, None], size[None, :])
    groups: NDArray[np.int64] = linked_groups((shared >= 0.4 * shorter) & (gap <= _LINK_GAP * taller))
    return groups


def _between(
    start: NDArray[np.int64], end: NDArray[np.int64], across_start: NDArray[np.int64], across_end: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """For all pairs: the extent shared in one direction, the gap in the other, the smaller extent in the first."""
    shared = np.minimum(end[:, None], end) - np.maximum(start[:, None], start)
    gap = np.maximum(across_start[:, None], across_start) - np.minimum(across_end[:, None], across_end)
    size = end - start
    return shared, gap, np.minimum(size[:, None], size)


def _joined(patches: NDArray[np.int64], groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """``[n_groups, 4]`` boxes around the groups."""
    count = int(groups.max(initial=-1)) + 1
    boxes = np.empty((count, 4), np.int64)
    boxes[:, :2], boxes[:, 2:] = np.iinfo(np.int64).max, 0
    np.minimum.at(boxes[:, :2], groups, patches[:, :2])
    np.maximum.at(boxes[:, 2:], groups, patches[:, 2:4])
    return boxes
