"""Straight lines of a figure along its rows or columns: frames, grids, markers of levels and points."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

COLOUR_TOLERANCE = 40
"""Largest difference of a channel along a line of one colour."""
MAX_SEGMENTS = 4096
"""So many runs are found at most."""


@njit(cache=True, nogil=True)
def segments(
    rgb: NDArray[np.uint8],
    distance: NDArray[np.uint8],
    lanes: NDArray[np.int64],
    upright: bool,
    threshold: int,
    gaps: tuple[int, int],
    min_length: int,
) -> NDArray[np.int32]:
    """Long runs of one colour other than the background, one pixel thick.

    A run takes the colour of its first pixel and follows it where it changes little. It goes on behind a few pixels of
    background and behind more of other ink, which may be what crosses it, but no more than it had of its colour.

    Args:
        rgb: ``[H, W, 3]``.
        distance: ``[H, W]`` from ``contrast``.
        lanes: ``[m]`` rows (or columns) that are followed, rising.
        upright: Whether to follow columns instead of rows.
        threshold: Least distance from the background.
        gaps: Most pixels of background, and most pixels of anything else than the colour.
        min_length: Pixels; at least half of them have the colour.

    Returns:
        ``[n, 4]`` row (or column), first and last pixel along it, and number of pixels with the colour; sorted by
        where the runs end. No more than ``MAX_SEGMENTS``.
    """
    length = distance.shape[0] if upright else distance.shape[1]
    first = np.full(lanes.size, -1, np.int32)
    last = np.zeros(lanes.size, np.int32)
    count = np.zeros(lanes.size, np.int32)
    blank = np.zeros(lanes.size, np.int32)
    colour = np.zeros((lanes.size, 3), np.int32)
    found = np.empty((MAX_SEGMENTS, 4), np.int32)
    n = 0
    # In the order in which the pixels lie in memory.
    for outer in range(length if upright else lanes.size):
        for inner in range(lanes.size if upright else length):
            k, at = (inner, outer) if upright else (outer, inner)
            y, x = (at, lanes[k]) if upright else (lanes[k], at)
            inked = distance[y, x] >= threshold
            if first[k] < 0 and not inked:
                continue
            if first[k] >= 0:
                fits = False
                if inked:
                    blank[k] = 0
                    red, green, blue = np.int32(rgb[y, x, 0]), np.int32(rgb[y, x, 1]), np.int32(rgb[y, x, 2])
                    away = max(
                        abs(red - colour[k, 0] // 4), abs(green - colour[k, 1] // 4), abs(blue - colour[k, 2] // 4)
                    )
                    if away <= COLOUR_TOLERANCE:
                        fits = True
                        last[k] = at
                        count[k] += 1
                        colour[k, 0] += red - colour[k, 0] // 4
                        colour[k, 1] += green - colour[k, 1] // 4
                        colour[k, 2] += blue - colour[k, 2] // 4
                else:
                    blank[k] += 1
                over = not fits and (blank[k] > gaps[0] or at - last[k] > min(gaps[1], count[k]))
                if over or at == length - 1:
                    run = last[k] - first[k] + 1
                    if run >= min_length and 2 * count[k] >= run and n < MAX_SEGMENTS:
                        found[n, 0] = lanes[k]
                        found[n, 1] = first[k]
                        found[n, 2] = last[k]
                        found[n, 3] = count[k]
                        n += 1
                    first[k] = -1
            if first[k] < 0 and inked:
                first[k], last[k], count[k], blank[k] = at, at, 1, 0
                for channel in range(3):
                    colour[k, channel] = 4 * np.int32(rgb[y, x, channel])
    return found[:n].copy()


@njit(cache=True, nogil=True)
def join_segments(runs: NDArray[np.int32]) -> NDArray[np.int32]:
    """Put runs side by side that start and end alike together to lines with a thickness.

    Args:
        runs: ``[n, 4]`` from ``segments``, sorted by row (or column).

    Returns:
        ``[m, 4]`` first and last row (or column), first and last pixel along it: the outermost of all runs.
    """
    lines = np.empty((runs.shape[0], 4), np.int32)
    m = 0
    for k in range(runs.shape[0]):
        lane, start, end = runs[k, 0], runs[k, 1], runs[k, 2]
        joined = False
        for j in range(m - 1, -1, -1):
            if lines[j, 1] < lane - 1:
                continue
            apart = abs(start - lines[j, 2]) + abs(end - lines[j, 3])
            if 8 * apart <= max(end - start, lines[j, 3] - lines[j, 2]):
                lines[j, 1] = lane
                lines[j, 2] = min(lines[j, 2], start)
                lines[j, 3] = max(lines[j, 3], end)
                joined = True
                break
        if not joined:
            lines[m, 0] = lane
            lines[m, 1] = lane
            lines[m, 2] = start
            lines[m, 3] = end
            m += 1
    return lines[:m].copy()


@njit(cache=True, nogil=True)
def extend_lines(
    lines: NDArray[np.int32], distance: NDArray[np.uint8], upright: bool, threshold: int
) -> NDArray[np.int32]:
    """Let lines go on where there is ink of any colour: ticks at their ends, or bands over them, may hide their colour.

    Args:
        lines: ``[n, 4]`` from ``join_segments``.
        distance: ``[H, W]`` from ``contrast``.
        upright: Whether the lines follow columns.
        threshold: Least distance of ink from the background.

    Returns:
        ``[n, 4]`` the same lines, as long or longer.
    """
    longer = lines.copy()
    length = distance.shape[0] if upright else distance.shape[1]
    for k in range(lines.shape[0]):
        for end in range(2, 4):
            step = -1 if end == 2 else 1
            at = lines[k, end] + step
            while 0 <= at < length:
                inked = False
                for lane in range(lines[k, 0], lines[k, 1] + 1):
                    inked |= (distance[at, lane] if upright else distance[lane, at]) >= threshold
                if not inked:
                    break
                longer[k, end] = at
                at += step
    return longer


@njit(cache=True, nogil=True)
def frames(level: NDArray[np.int32], upright: NDArray[np.int32], slack: int, min_side: int) -> NDArray[np.int32]:
    """Rectangles between two level lines: the widest that upright lines close, or that the level lines span.

    Args:
        level: ``[n, 4]`` level lines from ``join_segments``.
        upright: ``[m, 4]`` upright lines.
        slack: How far lines may miss a corner, pixels.
        min_side: Least height and width, pixels.

    Returns:
        ``[k, 5]`` left, top, right and bottom of what lies inside the lines, the last two exclusive, and how many of
        the four sides are lines.
    """
    found = np.empty((level.shape[0] * level.shape[0], 5), np.int32)
    k = 0
    for upper in range(level.shape[0]):
        for lower in range(level.shape[0]):
            top, bottom = level[upper, 1] + 1, level[lower, 0]
            if bottom - top < min_side:
                continue
            start = max(level[upper, 2], level[lower, 2])
            end = min(level[upper, 3], level[lower, 3])
            if end - start < min_side:
                continue
            first, last = -1, -1
            for side in range(upright.shape[0]):
                # A side ends where the level lines are; only labels may follow below.
                if (
                    not level[upper, 0] - 3 <= upright[side, 2] <= top + slack
                    or not -slack <= upright[side, 3] - bottom <= 4 * slack
                ):
                    continue
                if first < 0 or abs(upright[side, 1] - start) < abs(upright[first, 1] - start):
                    first = side
                if last < 0 or abs(upright[side, 0] - end) < abs(upright[last, 0] - end):
                    last = side
            if first < 0:
                continue
            sides = 4
            left, right = upright[first, 1] + 1, upright[last, 0]
            # A level line may start early, with a tick and its label, and end late with a tick alone.
            if abs(left - start) > max(slack, (end - start) // 6):
                left, sides = start, sides - 1
            if right - end > slack or end - right > max(slack, (end - start) // 10):
                right, sides = end + 1, sides - 1
            # Where one of the level lines goes on far beyond the corner it is the side of a larger frame.
            longest = max(2 * slack, (right - left) // 5)
            starts, ends = min(level[upper, 2], level[lower, 2]), max(level[upper, 3], level[lower, 3])
            if sides == 4 and (left - starts > longest or ends - right > longest):
                sides = 3
            if sides == 2 or right - left < min_side:
                continue
            found[k, 0] = left
            found[k, 1] = top
            found[k, 2] = right
            found[k, 3] = bottom
            found[k, 4] = sides
            k += 1
    return found[:k].copy()


@njit(cache=True, nogil=True)
def ink_outside(
    distance: NDArray[np.uint8], boxes: NDArray[np.int32], threshold: int, thickest: int
) -> NDArray[np.float32]:
    """How much ink lies just outside the left, the upper and the lower side of frames.

    Args:
        distance: ``[H, W]`` from ``contrast``.
        boxes: ``[n, 4]`` or more columns: left, top, right and bottom of what lies inside the sides.
        threshold: Least distance of ink from the background.
        thickest: Most pixels across a side, which do not count as outside.

    Returns:
        ``[n]`` the largest part of a row or column that is ink; of the three next to a side, the emptiest counts.
    """
    height, width = distance.shape
    found = np.zeros(boxes.shape[0], np.float32)
    for k in range(boxes.shape[0]):
        left, top, right, bottom = boxes[k, 0], boxes[k, 1], boxes[k, 2], boxes[k, 3]
        for side in range(3):
            start, end = (top, bottom) if side == 0 else (left, right)
            lane = left - 1 if side == 0 else (top - 1 if side == 1 else bottom)
            step = 1 if side == 2 else -1
            lanes = width if side == 0 else height
            emptiest, across, beyond = 1.0, 0, 0
            while beyond < 3:
                if not 0 <= lane < lanes:
                    emptiest = 0.0
                    break
                inked = 0
                for at in range(start, end, 2):
                    inked += (distance[at, lane] if side == 0 else distance[lane, at]) >= threshold
                share = 2.0 * inked / (end - start)
                if share < 0.9 or across >= thickest:
                    beyond += 1
                    emptiest = min(emptiest, share)
                across += 1
                lane += step
            found[k] = max(found[k], emptiest)
    return found


@njit(cache=True, nogil=True)
def longest_runs(rgb: NDArray[np.uint8], page: NDArray[np.uint8], tolerance: int, gap: int) -> NDArray[np.int32]:
    """Where each row has its longest run of anything else than the page; of runs nearly as long, the first.

    Args:
        rgb: ``[H, W, 3]``.
        page: ``[3]`` colour of the page.
        tolerance: Largest difference of a channel from the page.
        gap: So many pixels of the page do not end a run.

    Returns:
        ``[H, 2]`` first pixel, and the one after the last; both 0 where there is none.
    """
    height, width = rgb.shape[:2]
    found = np.zeros((height, 2), np.int32)
    red, green, blue = np.int32(page[0]), np.int32(page[1]), np.int32(page[2])
    for y in range(height):
        first, last = -1, -1
        for x in range(width + gap + 1):
            inked = (
                x < width
                and max(
                    abs(np.int32(rgb[y, x, 0]) - red),
                    abs(np.int32(rgb[y, x, 1]) - green),
                    abs(np.int32(rgb[y, x, 2]) - blue),
                )
                > tolerance
            )
            if inked:
                if first < 0:
                    first = x
                last = x
            elif first >= 0 and x - last > gap:
                if 20 * (last + 1 - first) > 21 * (found[y, 1] - found[y, 0]):
                    found[y, 0] = first
                    found[y, 1] = last + 1
                first = -1
    return found
