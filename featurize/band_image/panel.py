"""Where in a figure the bands are drawn: the panel inside its frame, and which of several panels."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from shc.featurize.band_image.colours import SAME_COLOUR, fills_area, frequent_colours, page_first
from shc.featurize.band_image.panel_neighbour import without_neighbour
from shc.featurize.band_image.panel_open import before_frame, between_blanks, stacked, without_text
from shc.featurize.band_image.panel_split import LINE_CONTRAST, PanelCandidate, gaps, without_bar, without_dos
from shc.featurize.band_image.types import Box
from shc.kernels.picture import blob_boxes, contrast
from shc.kernels.picture_lines import extend_lines, frames, ink_outside, join_segments, longest_runs
from shc.kernels.picture_parts import long_segments

if TYPE_CHECKING:
    from numpy.typing import NDArray

FULL_FRAME: Final = 4
"""Number of sides of a frame that is drawn in full."""
_MIN_SIDE: Final = 0.12
"""Shortest side of a panel, as a part of the figure's."""
_GRID: Final = 0.008
"""Widest line of a grid in the colour of the page, as a part of the figure's width."""
_TINTED: Final = 0.6
"""Least part of a tinted panel's rows that are tinted from side to side."""
_PALE: Final = 40
"""A tint is no farther than this from the colour of the page; what is farther may be bands."""
_FILLED: Final = (0.2, 0.05)
"""Least part of the pixels of a panel's background that lie within areas of it; of a pale one, which bands may hide."""
_INNER: Final = 0.8
"""A frame with more than this part of a tinted area is its frame and tells more exactly where the panel ends."""
_LEAD: Final = (1.3, 1.6, 1.3, 0.0, 0.0)
"""So many times the score of the best frame a rectangle needs that has fewer than three sides."""
_BESIDE: Final = 0.8
"""The same where the frame is another panel's."""
_TRUST: Final = (0.0, 0.0, 0.0, 0.6, 1.0)
"""How much of the score of a frame with so many sides counts against rectangles with fewer."""
_LONG: Final = 0.8
"""Least length of an upper side, as a part of the longest level line's."""
_TITLE: Final = 0.15
"""A title lies no higher above a side than this part of the side's length."""
_CERTAIN: Final = 0.41
"""Where the best frame scores more no rectangle without sides can have the lead."""
_OPEN: Final = 2
"""With fewer sides than this a rectangle may take in what stands beside it; with more it needs no lead."""
_OUTSIDE: Final = 0.5
"""More ink than this part of a side, just outside it, is that of bands."""
_CROSSED: Final = 0.5
"""What the score of a frame is multiplied by if bands go on outside."""
_THICKEST: Final = 14
"""Thickest side of a frame, pixels."""
_LONGEST: Final = 48
"""So many of the longest lines of each direction are looked at."""


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
    filled = _filled(rgb, colours, smallest)
    distance = contrast(rgb, np.array([colours[0], *(colour for _, colour in filled)]))
    level = _lines(rgb, distance, upright=False)
    upright = _lines(rgb, distance, upright=True)
    found = _framed(level, upright, distance, [box for box, _ in filled], slack, smallest)
    candidates = _bounding([_candidate(box, sides, upright, (height, width), slack) for box, sides in found], distance)
    if _framed_score(candidates) < _CERTAIN:
        whole = [box for box, sides in found if sides == FULL_FRAME]
        found = _loose(level, upright, distance, whole, slack, smallest)
        candidates += [_candidate(box, sides, upright, (height, width), slack) for box, sides in found]
    parted: list[PanelCandidate] = []
    for candidate in _outermost(candidates):
        parts = gaps(candidate.box, distance) if candidate.sides >= _OPEN else [candidate.box]
        if len(parts) == 1:
            alone = without_neighbour(without_bar(candidate, distance), distance)
            parted.append(alone if alone.sides == 1 else without_dos(alone, distance))
            continue
        framed = [_candidate(part, max(candidate.sides, 3), upright, (height, width), slack) for part in parts]
        parted += [part for part in framed if part.box.width >= smallest]
    candidates = parted
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
    thickest = max(14 if upright else 8, round(0.02 * max(rgb.shape[:2])))
    gaps = (max(3, round((0.015 if upright else 0.006) * length)), max(8, round(0.08 * length)))
    shortest = max(20, round(0.1 * length))
    runs = long_segments(rgb, distance, upright, LINE_CONTRAST, gaps, shortest)
    lines: NDArray[np.int32] = join_segments(runs[np.argsort(runs[:, 0], kind="stable")])
    lines = lines[lines[:, 1] - lines[:, 0] < thickest]
    if len(lines) > _LONGEST:
        lines = lines[np.argsort(lines[:, 2] - lines[:, 3], kind="stable")[:_LONGEST]]
    return lines


def _filled(rgb: NDArray[np.uint8], colours: NDArray[np.uint8], smallest: int) -> list[tuple[Box, NDArray[np.uint8]]]:
    """Panels with a background of their own, and that; the first colour is the page's."""
    found = []
    for colour in colours[1:]:
        apart = int(np.abs(colour.astype(int) - colours[0]).max())
        if not fills_area(rgb, colour, _FILLED[apart < _PALE]):
            continue
        runs = longest_runs(rgb, colours[0], min(SAME_COLOUR, apart // 2), max(3, round(_GRID * rgb.shape[1])))
        length = runs[:, 1] - runs[:, 0]
        # A legend may touch the panel on some rows.
        left, right = (int(edge) for edge in np.median(runs[length > 0.5 * length.max()], axis=0))
        if right - left < smallest:
            continue
        slack = max(3, (right - left) // 50)
        rows = np.flatnonzero((np.abs(runs[:, 0] - left) <= slack) & (runs[:, 1] >= right - slack))
        if rows.size < smallest:
            continue
        box = Box(left, int(rows[0]), right, int(rows[-1]) + 1)
        if rows.size > _TINTED * box.height:
            found.append((box, colour))
    return found


def _framed(
    level: NDArray[np.int32],
    upright: NDArray[np.int32],
    distance: NDArray[np.uint8],
    filled: list[Box],
    slack: int,
    smallest: int,
) -> list[tuple[Box, int]]:
    """Panels that sides or a tint bound, and their number of sides."""
    level_lines = extend_lines(level, distance, False, LINE_CONTRAST)
    upright_lines = _with_shorter(extend_lines(upright, distance, True, LINE_CONTRAST), level, slack)
    found = [(Box(*map(int, row[:4])), int(row[4])) for row in frames(level_lines, upright_lines, slack, smallest)]
    for box in filled:
        if not any(sides == FULL_FRAME and box.common(frame) > _INNER * box.area for frame, sides in found):
            found.append((box, FULL_FRAME))
    return found + _corners(level, upright, slack, smallest)


def _with_shorter(upright: NDArray[np.int32], level: NDArray[np.int32], slack: int) -> NDArray[np.int32]:
    """Upright lines, and those that a letter of a title makes longer once more, from their corner on."""
    if len(level) == 0:
        return upright
    length = level[:, 3] - level[:, 2]
    level = level[length > _LONG * length.max()]
    corner = np.minimum(np.abs(level[:, 2] - upright[:, :1]), np.abs(level[:, 3] - upright[:, 1:2])) <= slack
    above = level[:, 0] - upright[:, 2:3]
    line, end = np.nonzero(corner & (above > 3) & (above < _TITLE * (upright[:, 3:] - upright[:, 2:3])))
    shorter = upright[line]
    shorter[:, 2] = level[end, 0]
    return np.concatenate([upright, shorter])


def _loose(
    level: NDArray[np.int32],
    upright: NDArray[np.int32],
    distance: NDArray[np.uint8],
    whole: list[Box],
    slack: int,
    smallest: int,
) -> list[tuple[Box, int]]:
    """Panels that only what is drawn in them bounds; ``whole`` are frames, which are not theirs."""
    found = []
    blobs = [box for box in stacked(_blobs(distance), smallest) if min(box.width, box.height) >= smallest]
    blobs = blobs or _extent(distance)
    for sides, boxes in ((0, blobs), (1, _combs(level, upright, slack, smallest))):
        for box in (part for joined in boxes for part in between_blanks(joined, distance, smallest)):
            fitted = without_text(box, distance, above=sides == 0)
            for frame in whole:
                fitted = before_frame(fitted, frame, distance, 2 * slack)
            found.append((fitted, sides))
    return found


def _corners(level: NDArray[np.int32], upright: NDArray[np.int32], slack: int, smallest: int) -> list[tuple[Box, int]]:
    """Panels with only a left and a lower side; ticks and labels may follow both."""
    found = []
    for first, column, top, bottom in upright:
        for row, _, left, end in level:
            if not -2 * slack <= left - column <= slack or not -slack <= bottom - row <= 2 * slack:
                continue
            right = end
            if left < first - 2:  # a tick makes the lower side longer than the others, maybe at both ends
                alike = level[(np.abs(level[:, 2] - column) <= 2 * slack) & (np.abs(level[:, 3] - end) <= 2 * slack)]
                right = alike[:, 3].min()
            box = Box(int(column) + 1, int(top), int(right) + 1, int(row))
            if min(box.width, box.height) >= smallest:
                found.append((box, 2))
    return found


def _combs(level: NDArray[np.int32], upright: NDArray[np.int32], slack: int, smallest: int) -> list[Box]:
    """Panels without a frame that parallel lines of one length show: a grid, or high-symmetry points."""
    found = []
    for lines, across in ((level, upright), (upright, level)):
        if len(lines) == 0:
            continue
        length = lines[:, 3] - lines[:, 2]
        alike = lines[length > 0.8 * length.max()]
        middle = np.median(alike[:, 2:], axis=0)
        alike = alike[(np.abs(alike[:, 2:] - middle) <= 2 * slack).all(axis=1)]
        if len(alike) == 0:
            continue
        # Labels may follow below upright lines.
        low, high = int(np.median(alike[:, 2])), int(alike[:, 3].min() if lines is upright else middle[1]) + 1
        inside = across[(across[:, 0] >= low - slack) & (across[:, 1] <= high + slack)]
        inside = inside[(inside[:, 2] <= alike[:, 0].max()) & (inside[:, 3] >= alike[:, 0].min())]
        sides = (int(alike[:, 1].min()) + 1, int(alike[:, 0].max()))
        if len(inside):
            sides = (min(sides[0], int(inside[:, 2].min())), max(sides[1], int(inside[:, 3].max()) + 1))
        if sides[1] - sides[0] >= smallest and high - low >= smallest:
            found.append(Box(low, sides[0], high, sides[1]) if lines is level else Box(sides[0], low, sides[1], high))
    return found


def _blobs(distance: NDArray[np.uint8]) -> list[Box]:
    """Rectangles of ink that hangs together."""
    cell = max(3, round(0.006 * max(distance.shape)))
    return [Box(*map(int, row)) for row in blob_boxes(distance, LINE_CONTRAST, cell)]


def _extent(distance: NDArray[np.uint8]) -> list[Box]:
    """The rectangle of all ink."""
    ink = distance >= LINE_CONTRAST
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    if rows.size == 0:
        return []
    return [Box(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)]


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


def _bounding(candidates: list[PanelCandidate], distance: NDArray[np.uint8]) -> list[PanelCandidate]:
    """The best frames; those with ink all along the outside of a side score less, for bands cross that."""
    best = sorted(candidates, key=lambda candidate: -candidate.score)[:_LONGEST]
    boxes = [(box.left, box.top, box.right, box.bottom) for box in (candidate.box for candidate in best)]
    full = ink_outside(distance, np.array(boxes, np.int32).reshape(-1, 4), LINE_CONTRAST, _THICKEST) > _OUTSIDE
    crossed = (replace(one, score=_CROSSED * one.score, crossed=True) for one in best)
    return [other if out else one for one, other, out in zip(best, crossed, full, strict=True)]


def _outermost(candidates: list[PanelCandidate]) -> list[PanelCandidate]:
    """Leave out what overlaps a better one."""
    kept: list[PanelCandidate] = []
    candidates = [candidate for candidate in candidates if _leads(candidate, candidates)]
    sided = [candidate.box for candidate in candidates if candidate.sides >= _OPEN and not candidate.crossed]
    for candidate in tuple(candidates):
        if candidate.sides < _OPEN and any(candidate.box.common(box) > 0.6 * candidate.box.area for box in sided):
            candidates.remove(candidate)
    for candidate in sorted(candidates, key=lambda candidate: -candidate.score):
        if all(_shared(candidate.box, other.box) < 0.3 for other in kept):
            kept.append(candidate)
    return kept


def _leads(candidate: PanelCandidate, others: list[PanelCandidate]) -> bool:
    """Whether a rectangle scores enough more than the best frame over it, and than those beside it."""
    over = [other for other in others if candidate.box.common(other.box) > 0]
    beside = [other for other in others if candidate.box.common(other.box) == 0]
    least = max(_LEAD[candidate.sides] * _framed_score(over), _BESIDE * _framed_score(beside))
    return candidate.sides > _OPEN or candidate.score > least


def _framed_score(candidates: list[PanelCandidate]) -> float:
    """Score of the best frame, as far as it counts against rectangles with fewer sides."""
    trusted = (_TRUST[min(one.sides, FULL_FRAME - one.crossed)] * one.score for one in candidates)
    return max(trusted, default=0.0)


def _shared(box: Box, other: Box) -> float:
    """Part of the smaller box that lies in the other one."""
    return box.common(other) / max(1, min(box.area, other.area))
