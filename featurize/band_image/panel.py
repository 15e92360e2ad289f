"""Where in a figure the bands are drawn: the panel inside its frame, and which of several panels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from shc.featurize.band_image.colours import SAME_COLOUR, fills_area, frequent_colours, page_first
from shc.featurize.band_image.types import Box
from shc.kernels.picture import blob_boxes, colour_box, column_counts, contrast
from shc.kernels.picture_lines import frames, join_segments, segments

if TYPE_CHECKING:
    from numpy.typing import NDArray

FULL_FRAME: Final = 4
"""Number of sides of a frame that is drawn in full."""
_LINE_CONTRAST: Final = 40
"""Least distance of a frame from the background."""
_MIN_SIDE: Final = 0.12
"""Shortest side of a panel, as a part of the figure's."""
_BAR: Final = 0.75
"""Least part of what lies right of the bands that is ink if it is a colour bar."""
_DOS_PLACE: Final = (0.45, 0.87)
"""Between these parts of a frame's width bands may end and a density of states begin."""
_LONGEST: Final = 48
"""So many of the longest lines of each direction are looked at."""


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


def find_panels(rgb: NDArray[np.uint8]) -> list[PanelCandidate]:
    """Look for rectangles that may hold the bands.

    Args:
        rgb: ``[H, W, 3]`` an upright figure.

    Returns:
        The candidates, the best first; none contains another. Empty if there is nothing but background.
    """
    height, width = rgb.shape[:2]
    colours = page_first(rgb, frequent_colours(rgb))
    slack = max(6, round(0.025 * max(height, width)))
    smallest = max(24, round(_MIN_SIDE * min(height, width)))
    filled = _filled(rgb, colours[1:], smallest)
    distance = contrast(rgb, np.array([colours[0], *(colour for _, colour in filled)]))
    level = _lines(rgb, distance, upright=False)
    upright = _lines(rgb, distance, upright=True)
    found = [(Box(*map(int, row[:4])), int(row[4])) for row in frames(level, upright, slack, smallest)]
    found += [(box, FULL_FRAME) for box, _ in filled]
    found += _corners(level, upright, slack, smallest)
    found += _combs(level, upright, slack, smallest)
    found += _blobs(distance, smallest) or _extent(distance)
    candidates = [_candidate(box, sides, upright, (height, width), slack) for box, sides in found]
    candidates = [_without_dos(_without_bar(candidate, distance), distance) for candidate in _outermost(candidates)]
    return sorted(candidates, key=lambda candidate: -candidate.score)


def choose_panel(candidates: list[PanelCandidate]) -> tuple[PanelCandidate, tuple[str, ...]]:
    """Take the panel of the bands.

    Args:
        candidates: From ``find_panels``, at least one.

    Returns:
        The panel, and why it may be the wrong one.
    """
    best = max(candidate.score for candidate in candidates)
    close = [candidate for candidate in candidates if candidate.score > 0.6 * best]
    chosen = min(close, key=lambda candidate: (candidate.box.left, candidate.box.top))
    reasons = []
    if len(close) > 1:
        reasons.append("another panel of the figure could be meant; the first was taken")
    if chosen.sides == 0:
        reasons.append("no frame was found around the bands; its place is a guess")
    elif chosen.sides < FULL_FRAME:
        reasons.append("the frame around the bands is not complete")
    return chosen, tuple(reasons)


def _lines(rgb: NDArray[np.uint8], distance: NDArray[np.uint8], *, upright: bool) -> NDArray[np.int32]:
    """``[n, 4]`` the longest straight lines that are thin."""
    length = rgb.shape[0] if upright else rgb.shape[1]
    thickest = max(8, round(0.02 * max(rgb.shape[:2])))
    gaps = (max(3, round((0.015 if upright else 0.006) * length)), max(8, round(0.08 * length)))
    shortest = max(20, round(0.1 * length))
    runs = segments(rgb, distance, upright, _LINE_CONTRAST, gaps, shortest)
    lines: NDArray[np.int32] = join_segments(runs[np.argsort(runs[:, 0], kind="stable")])
    lines = lines[lines[:, 1] - lines[:, 0] < thickest]
    if len(lines) > _LONGEST:
        lines = lines[np.argsort(lines[:, 2] - lines[:, 3], kind="stable")[:_LONGEST]]
    return lines


def _filled(rgb: NDArray[np.uint8], colours: NDArray[np.uint8], smallest: int) -> list[tuple[Box, NDArray[np.uint8]]]:
    """Panels with a background of their own, and that."""
    found = []
    for colour in colours:
        if not fills_area(rgb, colour):
            continue
        *edges, count = colour_box(rgb, colour, SAME_COLOUR)
        box = Box(*map(int, edges))
        if min(box.width, box.height) >= smallest and count > 0.3 * box.width * box.height:
            found.append((box, colour))
    return found


def _corners(level: NDArray[np.int32], upright: NDArray[np.int32], slack: int, smallest: int) -> list[tuple[Box, int]]:
    """Panels with only a left and a lower side."""
    found = []
    for _, column, top, bottom in upright:
        for row, _, left, right in level:
            box = Box(int(column) + 1, int(top), int(right) + 1, int(row))
            if abs(left - column) <= slack and abs(bottom - row) <= slack and min(box.width, box.height) >= smallest:
                found.append((box, 2))
    return found


def _combs(level: NDArray[np.int32], upright: NDArray[np.int32], slack: int, smallest: int) -> list[tuple[Box, int]]:
    """Panels without a frame that parallel lines of one length show: a grid, or high-symmetry points."""
    found = []
    for lines, across in ((level, upright), (upright, level)):
        if len(lines) == 0:
            continue
        longest = lines[np.argmax(lines[:, 3] - lines[:, 2])]
        alike = lines[(np.abs(lines[:, 2] - longest[2]) <= slack) & (np.abs(lines[:, 3] - longest[3]) <= slack)]
        low, high = int(alike[:, 2].min()), int(alike[:, 3].max()) + 1
        inside = across[(across[:, 0] >= low - slack) & (across[:, 1] <= high + slack)]
        inside = inside[(inside[:, 2] <= alike[:, 0].max()) & (inside[:, 3] >= alike[:, 0].min())]
        sides = (int(alike[:, 1].min()) + 1, int(alike[:, 0].max()))
        if len(inside):
            sides = (min(sides[0], int(inside[:, 2].min())), max(sides[1], int(inside[:, 3].max()) + 1))
        if sides[1] - sides[0] >= smallest and high - low >= smallest:
            box = Box(low, sides[0], high, sides[1]) if lines is level else Box(sides[0], low, sides[1], high)
            found.append((box, 1))
    return found


def _blobs(distance: NDArray[np.uint8], smallest: int) -> list[tuple[Box, int]]:
    """Rectangles of ink that hangs together."""
    cell = max(3, round(0.006 * max(distance.shape)))
    boxes = [Box(*map(int, row)) for row in blob_boxes(distance, _LINE_CONTRAST, cell)]
    return [(box, 0) for box in boxes if min(box.width, box.height) >= smallest]


def _extent(distance: NDArray[np.uint8]) -> list[tuple[Box, int]]:
    """The rectangle of all ink."""
    ink = distance >= _LINE_CONTRAST
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    if rows.size == 0:
        return []
    return [(Box(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1), 0)]


def _candidate(box: Box, sides: int, upright: NDArray[np.int32], size: tuple[int, int], slack: int) -> PanelCandidate:
    """Score a rectangle: large, framed, crossed by upright lines, not like a colour bar."""
    inside = upright[(upright[:, 0] > box.left + slack) & (upright[:, 1] < box.right - slack)]
    inside = inside[(inside[:, 2] <= box.top + slack) & (inside[:, 3] >= box.bottom - 1 - slack)]
    score = box.width * box.height / (size[0] * size[1]) * (0.3, 0.5, 0.6, 0.85, 1.0)[sides]
    if len(inside):
        score *= 1.3
    if box.width < 0.25 * box.height:
        score *= 0.3
    return PanelCandidate(box, score, sides, tuple(sorted(int(column) for column in inside[:, 0])))


def _outermost(candidates: list[PanelCandidate]) -> list[PanelCandidate]:
    """Leave out what overlaps a better one."""
    kept: list[PanelCandidate] = []
    framed = max((candidate.score for candidate in candidates if candidate.sides > 1), default=0.0)
    candidates = [candidate for candidate in candidates if candidate.sides != 1 or candidate.score > 2.2 * framed]
    for candidate in sorted(candidates, key=lambda candidate: -candidate.score):
        if all(_shared(candidate.box, other.box) < 0.3 for other in kept):
            kept.append(candidate)
    return kept


def _shared(box: Box, other: Box) -> float:
    """Part of the smaller box that lies in the other one."""
    width = min(box.right, other.right) - max(box.left, other.left)
    height = min(box.bottom, other.bottom) - max(box.top, other.top)
    smaller = min(box.width * box.height, other.width * other.height)
    return max(0, width) * max(0, height) / max(1, smaller)


def _without_bar(candidate: PanelCandidate, distance: NDArray[np.uint8]) -> PanelCandidate:
    """Cut a colour bar off that stands close beside the frame."""
    box = candidate.box
    for column in candidate.uprights:
        beside = distance[box.top : box.bottom, column + 1 : box.right]
        if box.right - column < 0.15 * box.width and np.mean(beside >= _LINE_CONTRAST) > _BAR:
            uprights = tuple(upright for upright in candidate.uprights if upright < column)
            return replace(candidate, box=replace(box, right=column), uprights=uprights)
    return candidate


def _without_dos(candidate: PanelCandidate, distance: NDArray[np.uint8]) -> PanelCandidate:
    """Cut a density of states off that shares the frame with the bands."""
    box = candidate.box
    splits = [column - box.left for column in candidate.uprights]
    splits = [split for split in splits if _DOS_PLACE[0] * box.width <= split <= _DOS_PLACE[1] * box.width]
    if not splits:
        return candidate
    inside = distance[box.top + 3 : box.bottom - 3, box.left : box.right]
    pixels, strokes = column_counts(inside, _LINE_CONTRAST)
    # Bands may end before the frame does, at both sides alike.
    tick = round(0.03 * box.width)
    margin = int(np.argmax(strokes[tick:] > 0.25 * np.median(strokes[: box.width // 2])))
    end = box.width - min(margin + tick, box.width // 8) if margin else box.width
    found = [split for split in splits if _is_dos(inside, pixels[:end], strokes[:end], split)]
    if not found:
        return candidate
    # A density close to zero runs along the side of its panel and looks like one line more.
    split = min(split for split in found if found[-1] - split < 0.04 * box.width)
    cut = replace(box, right=box.left + split)
    uprights = tuple(column for column in candidate.uprights if column < cut.right)
    return replace(candidate, box=cut, uprights=uprights, with_dos=True)


def _is_dos(inside: NDArray[np.uint8], pixels: NDArray[np.int64], strokes: NDArray[np.int64], split: int) -> bool:
    """Whether a density of states lies right of an upright line: bands are as many everywhere, peaks are not."""
    bands, cell = slice(round(0.2 * split), split - 6), slice(split + 4, None)
    far = slice(split + 4 + round(0.75 * (strokes.size - split - 4)), None)
    before = inside[:, split - 6] >= _LINE_CONTRAST
    after = inside[:, min(strokes.size - 1, split + 8)] >= _LINE_CONTRAST
    matched = (before & _wider(after, 3)).sum() + (after & _wider(before, 3)).sum()
    going_on = matched / max(1, before.sum() + after.sum())
    filled = pixels[cell].mean() / max(1e-6, pixels[bands].mean())
    if going_on < 0.3 and filled > 1.8:
        return True
    usual = strokes[bands].mean()
    fewer = usual >= 1.0 and strokes[far].mean() < 0.3 * usual
    return bool(fewer and (going_on < 0.9 or filled > 1.5))


def _wider(mask: NDArray[np.bool_], reach: int) -> NDArray[np.bool_]:
    """``[n]`` the mask with its neighbours up to ``reach`` away."""
    wide: NDArray[np.bool_] = np.convolve(mask, np.ones(2 * reach + 1), mode="same") > 0
    return wide
