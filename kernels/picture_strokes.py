"""Strokes of a figure, whatever their width, redrawn as strokes of the standard width.

Runs of ink down the columns give the middle of bands that run along, runs along the rows give that of steep ones.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from shc.kernels.picture_parts import ink_runs

if TYPE_CHECKING:
    from numpy.typing import NDArray

_STEPS = 4
"""Widths of strokes are told apart by this part of a pixel."""
_MAX_WIDTH = 64


@njit(cache=True, nogil=True)
def ink_mask(distance: NDArray[np.uint8], floor: int) -> NDArray[np.uint8]:
    """Ink against background: at least half as far from the background as anything two pixels around.

    So pale strokes are ink, and the soft edges of dark ones are not.

    Args:
        distance: ``[H, W]`` distance from the background.
        floor: Least distance of ink.

    Returns:
        ``[H, W]`` 1 is ink, 0 is none.
    """
    height, width = distance.shape
    mask = np.empty((height, width), np.uint8)
    tall = np.zeros(width + 4, np.uint8)
    middle = tall[2 : width + 2]
    least = np.uint8(floor)
    for y in range(height):
        middle[:] = distance[y]
        for near in range(max(0, y - 2), min(height, y + 3)):
            row = distance[near]
            for x in range(width):
                middle[x] = max(middle[x], row[x])
        row, inked = distance[y], mask[y]
        for x in range(width):
            highest = max(tall[x], tall[x + 1], tall[x + 2], tall[x + 3], tall[x + 4])
            half = np.uint8(highest >> np.uint8(1)) + np.uint8(highest & np.uint8(1))
            inked[x] = row[x] >= max(least, np.uint8(half))
    return mask


@njit(cache=True, nogil=True)
def run_lengths(mask: NDArray[np.uint8]) -> tuple[NDArray[np.uint16], NDArray[np.uint16], NDArray[np.int32]]:
    """Length of the run of ink that every pixel belongs to.

    Args:
        mask: ``[H, W]`` 1 is ink.

    Returns:
        ``[H, W]`` down the columns and ``[H, W]`` along the rows, 0 where there is no ink; ``[n, 3]`` the runs along
        the rows from ``ink_runs``.
    """
    height, width = mask.shape
    down, along = np.empty((height, width), np.uint16), np.zeros((height, width), np.uint16)
    down[0] = mask[0]
    for y in range(1, height):
        inked, here, above = mask[y], down[y], down[y - 1]
        for x in range(width):
            here[x] = np.uint16(above[x] + np.uint16(1)) * np.uint16(inked[x])
    for y in range(height - 2, -1, -1):
        here, below = down[y], down[y + 1]
        for x in range(width):
            here[x] = max(here[x], np.uint16(below[x] * np.uint16(here[x] > 0)))
    runs, _ = ink_runs(mask)
    for k in range(runs.shape[0]):
        y, start, end = runs[k, 0], runs[k, 1], runs[k, 2]
        run = along[y]
        for x in range(start, end):
            run[x] = end - start
    return down, along, runs


@njit(cache=True, nogil=True)
def usual_thickness(down: NDArray[np.uint16], along: NDArray[np.uint16], runs: NDArray[np.int32]) -> int:
    """How long the shorter run of a pixel of ink is: the median.

    Args:
        down: ``[H, W]`` from ``run_lengths``.
        along: ``[H, W]`` from ``run_lengths``.
        runs: ``[n, 3]`` from ``run_lengths``.

    Returns:
        Pixels; 0 if there is no ink.
    """
    counts = np.zeros(max(down.shape) + 1, np.int64)
    for k in range(runs.shape[0]):
        y, start, end = runs[k]
        for x in range(start, end):
            counts[min(down[y, x], along[y, x])] += 1
    left = counts.sum() // 2
    for length in range(counts.size):
        if counts[length] > left:
            return length
        left -= counts[length]
    return 0


@njit(cache=True, nogil=True)
def _edges(distance: NDArray[np.uint8], upright: bool, lane: int, start: int, end: int) -> tuple[float, float]:
    """Where a run of ink really starts and ends, from how dark the pixels at its ends and beyond are."""
    length = distance.shape[0] if upright else distance.shape[1]
    one = distance[:, lane] if upright else distance[lane]
    dark = max(one[start], one[min(start + 1, end - 1)], one[min(start + 2, end - 1)])
    low = start + 1.0 - one[start] / dark
    if start > 0:
        low -= min(one[start - 1], 0.5 * dark) / dark
    dark = max(one[end - 1], one[max(end - 2, start)], one[max(end - 3, start)])
    high = end - 1.0 + one[end - 1] / dark
    if end < length:
        high += min(one[end], 0.5 * dark) / dark
    return low, max(high, low)


@njit(cache=True, nogil=True)
def find_runs(
    distance: NDArray[np.uint8],
    down: NDArray[np.uint16],
    along: NDArray[np.uint16],
    runs: NDArray[np.int32],
    upright: bool,
) -> NDArray[np.float32]:
    """Runs of ink across strokes.

    Args:
        distance: ``[H, W]`` distance from the background.
        down: ``[H, W]`` from ``run_lengths``.
        along: ``[H, W]`` from ``run_lengths``.
        runs: ``[n, 3]`` from ``run_lengths``.
        upright: Whether to take runs down the columns, for strokes that run along, instead of the other way round.

    Returns:
        ``[m, 4]`` column (or row), start and end of the run, width of the stroke across; pixels.
    """
    found = np.empty((down.size // 2 + down.shape[1] if upright else runs.shape[0], 4), np.float32)
    n = 0
    for k in range(runs.shape[0]):
        y, left, right = runs[k]
        for x in range(left, right if upright else left + 1):
            if upright:
                if y > 0 and down[y - 1, x]:
                    continue
                start, size, lane = y, np.int64(down[y, x]), x
                across = np.int64(along[y + size // 2, x])
            else:
                start, size, lane = left, np.int64(right - left), y
                across = np.int64(down[y, x + size // 2])
            if size > 1.3 * across + 1.0:
                continue
            low, high = _edges(distance, upright, lane, start, start + size)
            thick = max(high - low, 0.25)
            found[n, 0] = lane
            found[n, 1] = low
            found[n, 2] = high
            found[n, 3] = thick * across / math.sqrt(thick * thick + across * across)
            n += 1
    return found[:n].copy()


@njit(cache=True, nogil=True)
def without_spurs(runs: NDArray[np.float32], lanes: int, shortest: float) -> NDArray[np.float32]:
    """Leave out what runs on for less than its width, such as the bumps of lines that are rows of dots.

    Args:
        runs: ``[n, 4]`` from ``find_runs``.
        lanes: Number of columns (or rows).
        shortest: Least length of what is kept, as a part of its width.

    Returns:
        ``[m, 4]`` sorted by column (or row).
    """
    n = runs.shape[0]
    start = np.zeros(lanes + 1, np.int64)
    for k in range(n):
        start[int(runs[k, 0]) + 1] += 1
    start = np.cumsum(start)
    fill = start.copy()
    ordered = np.empty_like(runs)
    for k in range(n):
        lane = int(runs[k, 0])
        for column in range(4):
            ordered[fill[lane], column] = runs[k, column]
        fill[lane] += 1
    before, after = np.ones(n, np.int32), np.ones(n, np.int32)
    for lane in range(1, lanes):
        j = start[lane - 1]
        for k in range(start[lane], start[lane + 1]):
            while j < start[lane] and ordered[j, 2] < ordered[k, 1]:
                j += 1
            i = j
            while i < start[lane] and ordered[i, 1] <= ordered[k, 2]:
                before[k] = max(before[k], before[i] + 1)
                i += 1
    for lane in range(lanes - 2, -1, -1):
        j = start[lane + 1]
        for k in range(start[lane], start[lane + 1]):
            while j < start[lane + 2] and ordered[j, 2] < ordered[k, 1]:
                j += 1
            i = j
            while i < start[lane + 2] and ordered[i, 1] <= ordered[k, 2]:
                after[k] = max(after[k], after[i] + 1)
                i += 1
    m = 0
    for k in range(n):
        if before[k] + after[k] - 1 >= shortest * ordered[k, 3]:
            for column in range(4):
                ordered[m, column] = ordered[k, column]
            m += 1
    return ordered[:m].copy()


@njit(cache=True, nogil=True)
def width_counts(widths: NDArray[np.float32]) -> NDArray[np.int64]:
    """How often strokes have which width.

    Args:
        widths: ``[n]`` pixels.

    Returns:
        ``[m]`` numbers of strokes, four widths a pixel.
    """
    counts = np.zeros(_STEPS * _MAX_WIDTH, np.int64)
    for width in widths:
        counts[min(counts.size - 1, int(width * _STEPS))] += 1
    return counts


@njit(cache=True, nogil=True)
def paint(
    nearest: NDArray[np.float32],
    runs: NDArray[np.float32],
    upright: bool,
    place: NDArray[np.float64],
    stroke: float,
    reach: float,
) -> None:
    """Draw the middle of runs with a pen: note how near every pixel comes to it.

    Args:
        nearest: ``[size, size]`` squared distance of a pixel's centre from the nearest stroke; lowered in place.
        runs: ``[n, 4]`` from ``find_runs``.
        upright: As for ``find_runs``.
        place: ``[4]`` column of the left edge, columns per pixel, row of the upper edge, rows per pixel of the picture
            that is drawn, in pixels of the figure.
        stroke: Width of a single stroke in the figure, pixels; of what is wider, the edges are drawn and what is
            between them.
        reach: Distance within which a pixel is drawn on.
    """
    x0, y0 = place[0], place[2]
    across, down = 1.0 / place[1], 1.0 / place[3]
    for k in range(runs.shape[0]):
        lane, low, high, width = runs[k]
        single = width <= 1.15 * stroke
        inset = 0.5 * (high - low) * (1.0 if single else stroke / width)
        low, high = low + inset, high - inset
        pieces = 2 if not single and width < 2.1 * stroke else 1
        for piece in range(pieces):
            start, end = (low, high) if pieces == 1 else ((low, low) if piece == 0 else (high, high))
            if upright:
                box = (lane - x0) * across, (lane + 1.0 - x0) * across, (start - y0) * down, (end - y0) * down
            else:
                box = (start - x0) * across, (end - x0) * across, (lane - y0) * down, (lane + 1.0 - y0) * down
            _paint(nearest, box, reach)


@njit(cache=True, nogil=True)
def _paint(nearest: NDArray[np.float32], box: tuple[float, float, float, float], reach: float) -> None:
    """Draw a rectangle: left, right, upper and lower side in pixels of the picture."""
    left, right, top, bottom = box
    height, width = nearest.shape
    first, last = max(0, math.ceil(left - reach - 0.5)), min(width - 1, math.floor(right + reach - 0.5))
    for row in range(max(0, math.ceil(top - reach - 0.5)), min(height - 1, math.floor(bottom + reach - 0.5)) + 1):
        dy = max(0.0, top - row - 0.5, row + 0.5 - bottom)
        line = nearest[row]
        for column in range(first, last + 1):
            dx = max(0.0, left - column - 0.5, column + 0.5 - right)
            line[column] = min(line[column], dx * dx + dy * dy)
