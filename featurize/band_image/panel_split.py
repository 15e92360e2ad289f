"""What stands beside the bands within one rectangle: more panels, colour bars, densities of states."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from shc.kernels.picture import column_counts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from shc.featurize.band_image.types import Box

LINE_CONTRAST: Final = 40
"""Least distance of a frame from the background."""
_BAR: Final = 0.9
"""Least part of a column that is ink if it belongs to a colour bar."""
_CROSSING: Final = 0.12
"""Largest part of a column between a side and a colour bar that is ink; ticks may."""
_SIDE: Final = 1.3
"""So many times as thick as the left side is what is no right side."""
BAR_PLACE: Final = 0.15
"""A colour bar lies within this part of the width."""
_BAR_WIDTH: Final = 0.02
"""Least width of a colour bar, as a part of the rectangle's."""
DOS_PLACE: Final = (0.55, 0.82)
"""Between these parts of a frame's width bands may end and a density of states begin."""
PAIR: Final = 0.04
"""Upright lines that are closer than this part of the width may be sides of two frames."""
_BLANK: Final = 0.06
"""What is empty left of the density of states and wider than this part of the width parts two panels."""
STRIP: Final = 3
"""Rows of a frame's upper and lower side that are looked at, pixels."""
_BROKEN: Final = 0.5
"""A side of a frame is broken where it has less than this part of its usual contrast."""
REACH: Final = 8
"""So far beside a gap the line lies that ends it, pixels."""
_CLEAR: Final = 0.35
"""A gap has at most this part of the contrast of the lines at its ends."""
_LABEL: Final = (0.07, 0.04, 0.004)
"""How far below a panel labels reach, as a part of the figure's height; half the width of one that is looked at, and
the least one, as parts of the figure's width."""


@dataclass(frozen=True, slots=True)
class PanelCandidate:
    """A rectangle that may hold the bands."""

    box: Box
    """What lies inside the frame."""
    score: float
    """The larger, the more likely; comparable within one figure only."""
    sides: int
    """How many of the four sides are drawn; 0 if only the data say where the panel ends."""
    uprights: tuple[int, ...]
    """Columns of the upright lines that cross the panel from top to bottom."""
    with_dos: bool = False
    """Whether a density of states next to the bands in the same frame has been cut off."""
    crossed: bool = False
    """Whether bands seem to go on outside of a side."""


def gaps(box: Box, distance: NDArray[np.uint8]) -> list[Box]:
    """Part a rectangle where its upper and lower sides are both broken and lines end what lies between.

    Args:
        box: What lies inside a frame.
        distance: ``[H, W]`` from ``contrast``.

    Returns:
        The parts from left to right; the rectangle alone if there is no gap.
    """
    upper = distance[max(0, box.top - STRIP) : box.top, box.left : box.right]
    lower = distance[box.bottom : box.bottom + STRIP, box.left : box.right]
    if upper.size == 0 or lower.size == 0:
        return [box]
    sides = np.minimum(upper.max(axis=0), lower.max(axis=0)), np.maximum(upper.max(axis=0), lower.max(axis=0))
    usual = float(np.median(sides[0]))
    if usual < LINE_CONTRAST:
        return [box]
    profile = distance[box.top : box.bottom, box.left : box.right].mean(axis=0)
    inside = float(np.median(profile))
    broken = np.flatnonzero(sides[1] < _BROKEN * usual)
    edges = [0]
    for gap in np.split(broken, np.flatnonzero(np.diff(broken) > 1) + 1):
        if gap.size == 0 or gap[0] == 0 or gap[-1] == box.width - 1:
            continue
        start = max(0, int(gap[0]) - REACH)
        before, after = profile[start : gap[0] + 1], profile[gap[-1] : gap[-1] + REACH + 1]
        if profile[gap].min() > _CLEAR * min(before.max(), after.max()):
            continue
        # Where bands are dense every column is dark, and sides are only darker.
        thick, end = (part <= 0.5 * (part.max() + inside) for part in (before, after))
        first = gap[0] + 1 - np.argmax(np.append(thick[::-1][np.argmin(thick[::-1]) :], True)) - np.argmin(thick[::-1])
        last = gap[-1] + np.argmin(end) + np.argmax(np.append(end[np.argmin(end) :], True))
        edges += [int(first), int(last)]
    edges.append(box.width)
    return [replace(box, left=box.left + a, right=box.left + b) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def without_bar(candidate: PanelCandidate, distance: NDArray[np.uint8]) -> PanelCandidate:
    """Cut a colour bar off that stands at the right end, close beside the frame."""
    box = candidate.box
    room = round(BAR_PLACE * box.width)
    inked = (distance[box.top : box.bottom, box.right - room : box.right] >= LINE_CONTRAST).mean(axis=0)
    columns = np.flatnonzero(inked > _BAR)
    if columns.size == 0 or columns[-1] < room - 3:
        return candidate
    runs = np.split(columns, np.flatnonzero(np.diff(columns) > 1) + 1)
    if runs[-1].size < _BAR_WIDTH * box.width:
        return candidate
    right = _bar_side(runs, inked, PAIR * box.width)
    if right == runs[-1][0] and runs[-1].size <= _SIDE * _side_thickness(box, distance):
        return candidate
    right += box.right - room
    uprights = tuple(upright for upright in candidate.uprights if upright < right)
    return replace(candidate, box=replace(box, right=right), uprights=uprights)


def _bar_side(runs: list[NDArray[np.int64]], inked: NDArray[np.float64], near: float) -> int:
    """First column of the side left of a colour bar, which nothing crosses the gap to; of the bar if there is none."""
    begin = int(runs[-1][0])
    for run in reversed(runs[:-1]):
        if runs[-1][0] - run[-1] >= near or inked[run[-1] + 1 : begin].min() > _CROSSING:
            break
        begin = int(run[0])
    return begin


def _side_thickness(box: Box, distance: NDArray[np.uint8]) -> int:
    """Columns of the left side of a frame."""
    room = min(box.left, REACH * 2)
    full = (distance[box.top : box.bottom, box.left - room : box.left + 3] >= LINE_CONTRAST).mean(axis=0) > _BAR
    columns = np.flatnonzero(full[::-1])
    return int(np.argmin(np.append(full[::-1][columns[0] :], False))) if columns.size else 0


def ends_at_label(box: Box, distance: NDArray[np.uint8]) -> bool:
    """Whether a label is centred below the right side, as that of a high-symmetry point is; a density has none there.

    Args:
        box: What lies inside a frame.
        distance: ``[H, W]`` from ``contrast``.

    Returns:
        Whether text goes on on either side of the corner, and no farther on the right than a label.
    """
    height, width = distance.shape
    reach, least = round(_LABEL[1] * width) + 4, max(3, round(_LABEL[2] * width))
    left = max(0, box.right - reach)
    ink = distance[box.bottom : box.bottom + round(_LABEL[0] * height), left : box.right + reach] >= LINE_CONTRAST
    # The side and ticks of the frame come first, and the name of the axis last.
    rows: NDArray[np.bool_] = np.append(ink.any(axis=1), (False, False))
    begin = int(np.argmin(rows))
    begin += int(np.argmax(rows[begin:]))
    text: NDArray[np.bool_] = np.asarray(ink[begin : begin + int(np.argmin(rows[begin:]))].any(axis=0))
    middle = box.right - left
    before, after = (int(np.argmin(np.append(part, False))) for part in (text[:middle][::-1], text[middle:]))
    return least <= after < reach - 2 and 2 * before + 2 >= after and before >= least


def without_dos(candidate: PanelCandidate, distance: NDArray[np.uint8]) -> PanelCandidate:
    """Cut a density of states off that shares the frame with the bands: it lies right of the last upright line."""
    box = candidate.box
    lines = [column - box.left for column in candidate.uprights]
    # A density close to zero, or the side of its own frame, runs close beside the side of the bands.
    lines = [line for line in lines if lines[-1] - line < PAIR * box.width]
    if not lines or not DOS_PLACE[0] * box.width <= lines[0] <= DOS_PLACE[1] * box.width:
        return candidate
    if ends_at_label(box, distance):
        return candidate
    inside = distance[box.top + 3 : box.bottom - 3, box.left : box.right]
    pixels, strokes = column_counts(inside, LINE_CONTRAST)
    # Bands may end before the frame does, at both sides alike.
    tick = round(0.03 * box.width)
    margin = int(np.argmax(strokes[tick:] > 0.25 * np.median(strokes[: box.width // 2])))
    end = box.width - min(margin + tick, box.width // 8) if margin else box.width
    counts = pixels[:end], strokes[:end]
    own_side = _is_thick(box, lines, distance) and _is_emptier(strokes, lines[0])
    if not own_side and not any(_is_dos(inside, *counts, line) for line in lines):
        return candidate
    inked = np.append(np.flatnonzero(pixels[: lines[0]]), lines[0])
    blank = np.flatnonzero((np.diff(inked) > _BLANK * box.width) & (2 * inked[:-1] > lines[0]))
    cut = replace(box, right=box.left + int(inked[blank[0]] + 1 if blank.size else lines[0]))
    uprights = tuple(column for column in candidate.uprights if column < cut.right)
    return replace(candidate, box=cut, uprights=uprights, with_dos=True)


def _is_thick(box: Box, lines: list[int], distance: NDArray[np.uint8]) -> bool:
    """Whether the last upright line is much thicker than the left side, as two sides of frames are that touch."""
    room = min(box.left, round(PAIR * box.width))
    profile = distance[box.top : box.bottom, box.left - room : box.right].mean(axis=0)
    left, last = profile[:room][::-1], profile[room + lines[0] :]
    return _thickness(last, lines[-1] - lines[0] + 3) > max(2.0, 1.6 * _thickness(left, 3))


def _thickness(profile: NDArray[np.float64], reach: int) -> int:
    """Columns of the first line of a profile that begins no later than after ``reach`` columns."""
    dark = profile > 0.8 * profile[:reach].max(initial=0.0)
    begin = int(np.argmax(dark)) if dark.size else 0
    return int(np.argmin(np.append(dark[begin:], False)))


def _is_emptier(strokes: NDArray[np.int64], line: int) -> bool:
    """Whether fewer strokes lie right of an upright line than left of it."""
    before, after = strokes[round(0.2 * line) : line - 6], strokes[line + 8 :]
    return bool(before.size and after.size and after.mean() < 0.75 * before.mean())


def _is_dos(inside: NDArray[np.uint8], pixels: NDArray[np.int64], strokes: NDArray[np.int64], split: int) -> bool:
    """Whether a density of states lies right of an upright line: bands are as many everywhere, peaks are not."""
    bands, cell = slice(round(0.2 * split), split - 6), slice(split + 4, None)
    far = slice(split + 4 + round(0.75 * (strokes.size - split - 4)), None)
    before = inside[:, split - 6] >= LINE_CONTRAST
    after = inside[:, min(strokes.size - 1, split + 8)] >= LINE_CONTRAST
    matched = (before & wider(after, 3)).sum() + (after & wider(before, 3)).sum()
    going_on = matched / max(1, before.sum() + after.sum())
    filled = pixels[cell].mean() / max(1e-6, pixels[bands].mean())
    if going_on < 0.3 and filled > 1.8:
        return True
    usual = strokes[bands].mean()
    fewer = usual >= 1.0 and strokes[far].mean() < 0.3 * usual
    return bool(fewer and (going_on < 0.9 or filled > 1.5))


def wider(mask: NDArray[np.bool_], reach: int) -> NDArray[np.bool_]:
    """``[n]`` the mask with its neighbours up to ``reach`` away."""
    wide: NDArray[np.bool_] = np.convolve(mask, np.ones(2 * reach + 1), mode="same") > 0
    return wide
