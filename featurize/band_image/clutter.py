"""What is drawn in a panel and is no band: ticks that point inwards, legends, notes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from shc.kernels.picture_lines import join_segments
from shc.kernels.picture_parts import boxed, close_gaps, edge_runs, keep_parts, long_segments, parts

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LONGEST_TICK: Final = 0.08
"""As a part of the panel's width or height."""
_SHORTEST_TICK: Final = 3
"""Pixels."""
_THICKEST_TICK: Final = 8
"""Pixels."""
_LEAST_TICKS: Final = 3
"""So many ticks of one length show that they are ticks."""
_FLOOR: Final = 24
"""Least distance of a legend's frame from the background."""
_GAPS: Final = (2, 6)
"""Most pixels of background and of other ink within its upper and lower side."""
_SHORTEST_SIDE: Final = 30
"""Least width of a legend, pixels."""
_LETTER: Final = 0.08
"""Largest letter, as a part of the panel's height."""
_DASH: Final = 7.0
"""Longest dash, in widths of a stroke."""
_LEAST_DASHES: Final = 60
"""So many dots or dashes make bands."""
_MOST_LETTERS: Final = 80
"""With more parts like letters the bands are drawn with dashes or dots."""


def erase_ticks(mask: NDArray[np.uint8]) -> None:
    """Take ticks that point inwards off all four sides.

    Args:
        mask: ``[h, w]`` ink of a panel; changed in place.
    """
    height, width = mask.shape
    reach = round(_LONGEST_TICK * width), round(_LONGEST_TICK * height)
    sides = (mask, mask[:, ::-1], mask.T, mask.T[:, ::-1])
    for turned, length in zip(sides, edge_runs(mask, *reach), strict=True):
        rows = np.flatnonzero(length >= _SHORTEST_TICK)
        if rows.size:
            _erase_left_ticks(turned, length, rows)


def _erase_left_ticks(mask: NDArray[np.uint8], length: NDArray[np.int32], rows: NDArray[np.int64]) -> None:
    """Take short level strokes of equal length off the left side."""
    first = np.flatnonzero(np.diff(rows, prepend=-2) > 1)
    thick = np.diff(first, append=rows.size)
    longest = np.maximum.reduceat(length[rows], first)
    shortest = np.minimum.reduceat(length[rows], first)
    ticks = np.flatnonzero((thick <= _THICKEST_TICK) & (longest - shortest <= 2))
    alike = np.abs(longest[ticks, None] - longest[ticks]) <= 1
    for tick in ticks[alike.sum(axis=1) >= _LEAST_TICKS]:
        top = rows[first[tick]]
        mask[top : top + thick[tick], : longest[tick] + 2] = 0


def erase_legends(rgb: NDArray[np.uint8], distance: NDArray[np.uint8], mask: NDArray[np.uint8]) -> None:
    """Take framed boxes inside the panel off, with all that is in them.

    Args:
        rgb: ``[h, w, 3]`` the panel.
        distance: ``[h, w]`` distance from the background.
        mask: ``[h, w]`` ink; changed in place.
    """
    runs = long_segments(rgb, distance, False, _FLOOR, _GAPS, _SHORTEST_SIDE)
    lines = join_segments(runs[np.argsort(runs[:, 0], kind="stable")])
    thin = (lines[:, 1] - lines[:, 0] < _THICKEST_TICK) & (lines[:, 3] - lines[:, 2] < 0.7 * mask.shape[1])
    for left, top, right, bottom in boxed(mask, lines[thin], 8, 40, 14):
        if bottom - top < 0.6 * mask.shape[0] and _is_legend(mask, left, top, right, bottom):
            mask[max(0, top - 4) : bottom + 4, max(0, left - 4) : right + 4] = 0


def _is_legend(mask: NDArray[np.uint8], left: int, top: int, right: int, bottom: int) -> bool:
    """Whether a rectangle has ink all around it, little just inside of that, and some within."""
    inner = mask[top + 2 : bottom - 2, left + 2 : right - 2]
    rows, columns = slice(top + 4, bottom - 4), slice(left + 4, right - 4)
    around = (
        mask[max(0, top - 2) : top + 1, columns].any(axis=0),
        mask[bottom - 1 : bottom + 2, columns].any(axis=0),
        mask[rows, max(0, left - 2) : left + 1].any(axis=1),
        mask[rows, right - 1 : right + 2].any(axis=1),
    )
    padding = (inner[:2], inner[-2:], inner[:, :2], inner[:, -2:])
    return bool(
        inner.any() and all(side.mean() > 0.85 for side in around) and all(side.mean() < 0.1 for side in padding)
    )


def erase_notes(mask: NDArray[np.uint8], distance: NDArray[np.uint8], stroke: float) -> bool:
    """Take words off, parts as high as letters that stand side by side; or join the bands if those are dots or dashes.

    Args:
        mask: ``[h, w]`` ink; changed in place.
        distance: ``[h, w]`` distance from the background; changed where bands are joined.
        stroke: Width of a stroke, pixels; dots and dashes of bands are not much higher.

    Returns:
        Whether anything was changed.
    """
    runs, boxes = parts(mask)
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    short = np.maximum(width, height) <= _DASH * stroke
    if short.sum() > _LEAST_DASHES and boxes[short, 4].sum() > 0.5 * boxes[:, 4].sum():
        close_gaps(mask, distance, round(2.0 * stroke))
        return True
    largest = max(12.0, _LETTER * mask.shape[0])
    letter = (height > max(5.0, 2.2 * stroke)) & (height < largest) & (width < 1.5 * largest)
    inside = (boxes[:, 0] > 1) & (boxes[:, 2] < mask.shape[1] - 1)
    found = np.flatnonzero(letter & inside)
    if not 1 < found.size <= _MOST_LETTERS:
        return False
    word = np.zeros(len(boxes), np.bool_)
    word[found] = _side_by_side(boxes[found])
    if not word.any():
        return False
    keep_parts(mask, runs, ~word)
    return True


def _side_by_side(boxes: NDArray[np.int32]) -> NDArray[np.bool_]:
    """``[n]`` whether a part may be a letter of one word with another part."""
    left, top, right, bottom = boxes[:, :4].T
    height = bottom - top
    shorter, taller = np.minimum(height[:, None], height), np.maximum(height[:, None], height)
    shared = np.minimum(bottom[:, None], bottom) - np.maximum(top[:, None], top)
    apart = np.maximum(left[:, None], left) - np.minimum(right[:, None], right)
    beside = (taller < 2 * shorter) & (shared > 0.5 * shorter) & (apart >= -2) & (apart < 0.6 * taller)
    np.fill_diagonal(beside, val=False)
    words: NDArray[np.bool_] = beside.any(axis=1)
    return words
