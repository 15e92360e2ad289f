"""Panels that no frame bounds: where text, blanks and the frames of other panels end them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from shc.featurize.band_image.panel_split import LINE_CONTRAST
from shc.featurize.band_image.types import Box

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LABEL: Final = (0.09, 0.07)
"""Largest label at the axes, as parts of the figure's width and height."""
_GAP: Final = 0.012
"""Columns without ink that are more than this part of the figure's width part two panels without frames."""
_SAME_COLUMNS: Final = 0.9
"""Least part of the columns that bands on either side of a gap share."""
_UNBROKEN: Final = 0.8
"""Ink in more than this part of the columns is that of a band, which goes on from side to side; text has gaps."""
_SPREAD: Final = 0.4
"""Least part of a side along which ink beside it is spread if bands go on there; that of a legend is not."""
_DENSE: Final = 0.4
"""Least ink of a column or row with bands, as a part of what is usual."""
_SUDDEN: Final = 0.7
"""Least ink at the side of the bands, as a part of what is usual."""
_EDGE: Final = 3
"""Columns within which that is reached."""


def between_blanks(box: Box, distance: NDArray[np.uint8], smallest: int) -> list[Box]:
    """Part a rectangle that no frame bounds where columns without any ink lie.

    Args:
        box: A rectangle with bands of one panel or of several.
        distance: ``[H, W]`` from ``contrast``.
        smallest: Least width of a panel, pixels.

    Returns:
        The parts that are not much narrower than the widest, from left to right.
    """
    inked = np.flatnonzero((distance[box.top : box.bottom, box.left : box.right] >= LINE_CONTRAST).any(axis=0))
    if inked.size == 0:
        return [box]
    blank = np.flatnonzero(np.diff(inked) > max(4, round(_GAP * distance.shape[1])))
    edges = zip([inked[0], *inked[blank + 1]], [*inked[blank], inked[-1]], strict=True)
    parts = [replace(box, left=box.left + int(a), right=box.left + int(b) + 1) for a, b in edges]
    widest = max(part.width for part in parts)
    return [part for part in parts if part.width >= max(smallest, widest // 2)]


def stacked(boxes: list[Box], narrowest: int) -> list[Box]:
    """Join what lies in the same columns, as bands do below and above a gap of energies.

    Args:
        boxes: Rectangles of ink.
        narrowest: Least width of a panel, pixels; what is narrower is left as it is.

    Returns:
        The rectangles, joined where they share nearly all columns.
    """
    joined: list[Box] = []
    for box in sorted(boxes, key=lambda box: -box.width):
        for k, other in enumerate(joined):
            common = min(box.right, other.right) - max(box.left, other.left)
            if box.width >= narrowest and common > _SAME_COLUMNS * max(box.width, other.width):
                joined[k] = Box(
                    min(box.left, other.left),
                    min(box.top, other.top),
                    max(box.right, other.right),
                    max(box.bottom, other.bottom),
                )
                break
        else:
            joined.append(box)
    return joined


def without_text(box: Box, distance: NDArray[np.uint8], *, above: bool) -> Box:
    """Fit a rectangle that no frame bounds: widen it over ink that goes on at its sides, leave text around it out.

    Args:
        box: A rectangle with the bands.
        distance: ``[H, W]`` from ``contrast``.
        above: Whether there may be text at its upper end.

    Returns:
        The rectangle without what a strip of background parts from it and is no larger than labels.
    """
    step, label = max(2, distance.shape[1] // 600), round(_LABEL[0] * distance.shape[1])
    box = _widened(_between_text(box, distance, above=above), distance)
    ink = distance[box.top : box.bottom, box.left : box.right] >= LINE_CONTRAST
    left = _text(ink.T, label, step)
    left += _ticks(np.count_nonzero(ink[:, left:], axis=0), label)
    box = replace(box, left=box.left + left) if box.width > left else box
    return _between_text(box, distance, above=above)


def before_frame(box: Box, frame: Box, distance: NDArray[np.uint8], slack: int) -> Box:
    """Let a rectangle that no frame bounds end before a frame in the same rows, which is another panel's.

    Args:
        box: A rectangle with bands.
        frame: What lies inside a frame.
        distance: ``[H, W]`` from ``contrast``.
        slack: How far rows may differ, pixels.

    Returns:
        The rectangle without the frame and what is empty before it.
    """
    same = abs(box.top - frame.top) <= slack and abs(box.bottom - frame.bottom) <= slack
    if not same or not box.left + 0.4 * box.width < frame.left < box.right:
        return box
    inked = _inked(distance[box.top : box.bottom, box.left : frame.left] >= LINE_CONTRAST, 0)[::-1]
    line = int(np.argmin(inked))
    return replace(box, right=frame.left - line - int(np.argmax(inked[line:])))


def _between_text(box: Box, distance: NDArray[np.uint8], *, above: bool) -> Box:
    """Leave out text below a rectangle, and above it; the numbers at the left may stand in the same rows."""
    step, label = max(2, distance.shape[1] // 600), round(_LABEL[1] * distance.shape[0])
    left = box.left + min(round(_LABEL[0] * distance.shape[1]), box.width // 4)
    ink = distance[box.top : box.bottom, left : box.right] >= LINE_CONTRAST
    top, bottom = box.top + above * _text(ink, label, step), box.bottom - _text(ink[::-1], label, step)
    return replace(box, top=top, bottom=bottom) if bottom > top else box


def _widened(box: Box, distance: NDArray[np.uint8]) -> Box:
    """Let a rectangle go on over ink at its sides that is spread along them and, where labels are, wider than those."""
    height, width = distance.shape
    ink: NDArray[np.bool_] = distance >= LINE_CONTRAST
    level, upright = ink[box.top : box.bottom], ink[:, box.left : box.right]
    step = max(2, width // 600)
    left = _beyond(level[:, : box.left][:, ::-1], round(_LABEL[0] * width), step)
    right = _beyond(level[:, box.right :], round(_LABEL[0] * width), step)
    top = _beyond(upright[: box.top][::-1].T, round(_LABEL[1] * height), step)
    bottom = _beyond(upright[box.bottom :].T, round(_LABEL[1] * height), step)
    # Labels stand at these sides too seldom to be as much ink as bands.
    columns, rows = np.count_nonzero(level, axis=0), np.count_nonzero(upright, axis=1)
    right = max(right, _dense(columns[box.left :], box.width))
    top = max(top, _dense(rows[: box.bottom][::-1], box.height))
    return Box(box.left - left, box.top - top, box.right + right, box.bottom + bottom)


def _dense(counts: NDArray[np.int64], size: int) -> int:
    """How far the pixels with ink are about as many behind the end of a rectangle as they are in it."""
    inside = counts[:size]
    usual = np.median(inside[inside > 0]) if inside.any() else np.inf
    return int(np.argmin(np.append(counts[size:] > _DENSE * usual, False)))


def _beyond(beside: NDArray[np.bool_], least: int, step: int) -> int:
    """How far ink goes on along the second axis if that is more than labels do and it is spread along the first."""
    size = _going_on(_inked(beside, 0), step)
    if size <= least:
        return 0
    lines = np.nonzero(beside[:, size // 2 : size])[0]
    return size if np.subtract(*np.percentile(lines, (85, 15))) > _SPREAD * len(beside) else 0


def _ticks(counts: NDArray[np.int64], longest: int) -> int:
    """How much at the beginning is ticks, and labels that touch them: much less ink than usual, then all at once."""
    usual = np.median(counts) if counts.size else 0.0
    size = int(np.argmax(counts >= _DENSE * usual))
    return size if size <= longest and counts[size : size + _EDGE].max(initial=0) >= _SUDDEN * usual else 0


def _inked(ink: NDArray[np.bool_], axis: int) -> NDArray[np.bool_]:
    """Whether there is any ink along an axis."""
    found: NDArray[np.bool_] = np.asarray(ink.any(axis=axis))
    return found


def _going_on(inked: NDArray[np.bool_], step: int) -> int:
    """How far ink goes on without a break longer than a step."""
    if not inked[: step + 1].any():
        return 0
    at = np.flatnonzero(inked)
    return int(at[np.argmax(np.append(np.diff(at) > step + 1, True))]) + 1


def _text(ink: NDArray[np.bool_], longest: int, step: int) -> int:
    """How much at the beginning is text: pieces up to a longest one with gaps in and behind each."""
    inked, begin = _inked(ink, 1), 0
    while True:
        size = _going_on(inked[begin:], step)
        blank = inked[begin + size :]
        if size > longest or not blank.any() or ink[begin : begin + size].any(axis=0).mean() > _UNBROKEN:
            return begin
        begin += size + int(np.argmax(blank))
