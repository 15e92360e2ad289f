"""What stands in a frame of its own close beside the bands."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from shc.featurize.band_image.panel_split import (
    BAR_PLACE,
    DOS_PLACE,
    LINE_CONTRAST,
    PAIR,
    REACH,
    STRIP,
    PanelCandidate,
    ends_at_label,
    wider,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from shc.featurize.band_image.types import Box

_FULL: Final = 0.97
"""Least part of a column that is ink if it is a side of a frame."""
_EMPTY: Final = 0.12
"""Largest part of a column that is ink if it lies between two frames; ticks may."""
_BAR_FILLED: Final = 0.6
"""Least part of what lies right of a side that is ink if it is a colour bar."""
_SAME: Final = 0.85
"""Part of the rows with ink on either side of a thick line that go on behind it, beyond which bands cross it."""
_CROSSED: Final = 0.33
"""Least part of the rows with ink that go on behind a line that bands cross."""


def without_neighbour(candidate: PanelCandidate, distance: NDArray[np.uint8]) -> PanelCandidate:
    """Cut off what stands in a frame of its own close beside the bands: two sides with nothing, or little, between.

    Args:
        candidate: A rectangle that may hold two panels.
        distance: ``[H, W]`` from ``contrast``.

    Returns:
        The left panel, or the candidate where no two sides of frames meet.
    """
    box = candidate.box
    right = _meeting_sides(box, distance)
    if right is None or (right - box.left < DOS_PLACE[1] * box.width and ends_at_label(box, distance)):
        return candidate
    uprights = tuple(upright for upright in candidate.uprights if upright < right)
    return replace(candidate, box=replace(box, right=right), uprights=uprights, with_dos=True)


def _meeting_sides(box: Box, distance: NDArray[np.uint8]) -> int | None:
    """Column where the right side of the left panel begins; None if there is one panel only."""
    room = min(box.left, 3 * REACH)
    part = distance[box.top : box.bottom, box.left - room : box.right + REACH]
    threshold = max(LINE_CONTRAST, round(0.5 * part[:, : room + REACH].mean(axis=0).max()))
    inked = part >= threshold
    blocks = [(begin - room, end - room) for begin, end in _full_columns(inked)]
    at_left = [end - begin for begin, end in blocks if begin <= REACH // 2]
    inner = [(begin, end) for begin, end in blocks if begin > REACH // 2 and end < box.width]
    if not at_left or not inner:
        return None
    inked, side = inked[:, room:], max(at_left)
    usual = float(np.median([end - begin for begin, end in inner]))
    after = next((begin for begin, _ in blocks if begin >= box.width), 2 * box.width)
    for begin, end in reversed(inner):
        gap, after = after - end, begin
        if begin < 0.5 * box.width:
            break
        filled = (
            (part[:, room + end + gap : room + box.width] >= LINE_CONTRAST).mean() if end + gap < box.width else 1.0
        )
        if begin > DOS_PLACE[1] * box.width and (begin < (1.0 - BAR_PLACE) * box.width or filled < _BAR_FILLED):
            continue
        before = inked[:, max(0, begin - REACH) : begin - 2].any(axis=1)
        if end - begin > max(side + 2, 1.5 * side) and (len(inner) < 3 or end - begin > 2.5 * usual):
            beyond = inked[:, end + 2 : end + REACH].any(axis=1)
            if min(_going_across(before, beyond), _going_across(beyond, before)) < _SAME:
                return box.left + begin
        if not (2 if end - begin < 3 else 1) <= gap < PAIR * box.width or abs(end - begin - side) > 1:
            continue
        # Bands that end before both sides of the frame leave gaps of one width.
        if end + gap >= box.width and any(abs(other - gap) <= 2 for other, _ in blocks):
            continue
        between = inked[:, end : end + gap].any(axis=1)
        if between.mean() < _EMPTY and _may_part(box, distance, box.left + end, gap):
            return box.left + begin if before.any() and _going_across(before, between) < _CROSSED else None
    return None


def _may_part(box: Box, distance: NDArray[np.uint8], begin: int, gap: int) -> bool:
    """Whether a gap is narrow, or the upper or the lower side of the frame is missing somewhere in it."""
    if gap <= REACH // 2:
        return True
    middle = slice(begin + 1, begin + gap - 1)
    upper, lower = distance[max(0, box.top - STRIP) : box.top], distance[box.bottom : box.bottom + STRIP]
    return any(side.size == 0 or side[:, middle].max(axis=0).min() < LINE_CONTRAST for side in (upper, lower))


def _full_columns(inked: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First column of each upright line over the full height, and the one after its last."""
    full = np.count_nonzero(inked, axis=0) > _FULL * inked.shape[0]
    steps = np.diff(full.astype(np.int8), prepend=0, append=0)
    return list(zip(np.flatnonzero(steps == 1).tolist(), np.flatnonzero(steps == -1).tolist(), strict=True))


def _going_across(before: NDArray[np.bool_], after: NDArray[np.bool_]) -> float:
    """Part of the inked rows before a line that have ink behind it too."""
    return float((before & wider(after, 3)).sum() / max(1, before.sum()))
