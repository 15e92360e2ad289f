"""Parts of ink that hang together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray


@njit(cache=True, nogil=True)
def parts(mask: NDArray[np.uint8]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Number the parts of ink whose pixels touch, corners included.

    Args:
        mask: ``[H, W]`` 1 is ink.

    Returns:
        ``[m, 4]`` row, start and end of the runs of ink along the rows, and the part of each, and ``[n, 5]`` left, top,
        right and bottom of every part, the last two exclusive, and its pixels; parts in the order of their first pixel.
    """
    height = mask.shape[0]
    runs, last = _runs(mask)
    n_runs = last[height]
    first = np.arange(n_runs)
    for y in range(1, height):
        above = last[y - 1]
        for k in range(last[y], last[y + 1]):
            while above < last[y] and runs[above, 1] < runs[k, 0]:
                above += 1
            touching = above
            while touching < last[y] and runs[touching, 0] <= runs[k, 1]:
                one, other = _root(first, touching), _root(first, k)
                first[max(one, other)] = min(one, other)
                touching += 1
    box = np.empty((n_runs, 5), np.int32)
    placed = np.empty((n_runs, 4), np.int32)
    n = 0
    for y in range(height):
        for k in range(last[y], last[y + 1]):
            start, end = runs[k, 0], runs[k, 1]
            root = _root(first, k)
            if root == k:
                placed[k, 3] = n
                box[n, 0], box[n, 1], box[n, 2], box[n, 3], box[n, 4] = start, y, end, y + 1, 0
                n += 1
            at = placed[root, 3]
            box[at, 0], box[at, 2] = min(box[at, 0], start), max(box[at, 2], end)
            box[at, 3] = y + 1
            box[at, 4] += end - start
            placed[k, 0], placed[k, 1], placed[k, 2], placed[k, 3] = y, start, end, at
    return placed, box[:n].copy()


@njit(cache=True, nogil=True)
def _runs(mask: NDArray[np.uint8]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """``[n, 2]`` start and end of the runs of ink, row by row, and ``[H + 1]`` the first run of every row."""
    height, width = mask.shape
    runs = np.empty((height * (width // 2 + 1), 2), np.int32)
    first = np.zeros(height + 1, np.int64)
    n = 0
    for y in range(height):
        row = mask[y]
        before = np.uint8(0)
        for x in range(width):
            if row[x] != before:
                if before:
                    runs[n, 1] = x
                    n += 1
                else:
                    runs[n, 0] = x
                before = row[x]
        if before:
            runs[n, 1] = width
            n += 1
        first[y + 1] = n
    return runs, first


@njit(cache=True, nogil=True)
def _root(first: NDArray[np.int64], k: int) -> int:
    """The first run of the part that a run belongs to."""
    while first[k] != k:
        first[k] = first[first[k]]
        k = first[k]
    return k


@njit(cache=True, nogil=True)
def keep_parts(mask: NDArray[np.uint8], runs: NDArray[np.int32], kept: NDArray[np.bool_]) -> None:
    """Take parts off the ink.

    Args:
        mask: ``[H, W]`` 1 is ink; changed in place.
        runs: ``[m, 4]`` from ``parts``.
        kept: ``[n]`` whether a part stays.
    """
    for k in range(runs.shape[0]):
        row, start, end, part = runs[k]
        if not kept[part]:
            mask[row, start:end] = 0


@njit(cache=True, nogil=True)
def close_gaps(mask: NDArray[np.uint8], distance: NDArray[np.uint8], longest: int) -> None:
    """Fill short gaps between ink along the rows and down the columns, to join dots and dashes.

    Args:
        mask: ``[H, W]`` 1 is ink; changed in place.
        distance: ``[H, W]`` distance from the background; what is filled gets that of the pixel before the gap.
        longest: Longest gap that is filled, pixels.
    """
    height, width = mask.shape
    before = mask.copy()
    for y in range(height):
        last = -1
        for x in range(width):
            if before[y, x]:
                if last >= 0 and 1 < x - last <= longest + 1:
                    mask[y, last + 1 : x] = 1
                    distance[y, last + 1 : x] = distance[y, last]
                last = x
    above = np.full(width, -1, np.int64)
    for y in range(height):
        for x in range(width):
            if before[y, x]:
                if above[x] >= 0 and 1 < y - above[x] <= longest + 1:
                    for row in range(above[x] + 1, y):
                        mask[row, x] = 1
                        distance[row, x] = distance[above[x], x]
                above[x] = y


@njit(cache=True, nogil=True)
def boxed(
    mask: NDArray[np.uint8], level: NDArray[np.int32], reach: int, narrowest: int, lowest: int
) -> NDArray[np.int32]:
    """Rectangles with ink all along their sides, between level lines that start and end alike.

    Args:
        mask: ``[H, W]`` 1 is ink.
        level: ``[n, 4]`` first and last row, first and last column of level lines.
        reach: The sides are looked for so far from the ends of the lines, pixels.
        narrowest: Least width inside, pixels.
        lowest: Least height inside, pixels.

    Returns:
        ``[k, 4]`` left, top, right and bottom of what lies inside, the last two exclusive.
    """
    n = level.shape[0]
    found = np.empty((n, 4), np.int32)
    k = 0
    for upper in range(n):
        for lower in range(n):
            top, bottom = level[upper, 1] + 1, level[lower, 0]
            start, end = max(level[upper, 2], level[lower, 2]), min(level[upper, 3], level[lower, 3])
            apart = abs(level[upper, 2] - level[lower, 2]) + abs(level[upper, 3] - level[lower, 3])
            if bottom - top < lowest or end - start < narrowest or 6 * apart > end - start:
                continue
            left = _side(mask, start, reach, top, bottom, 1)
            if left < 0:
                continue
            right = _side(mask, end, reach, top, bottom, -1)
            if right - left >= narrowest and k < n:
                found[k, 0], found[k, 1], found[k, 2], found[k, 3] = left + 1, top, right, bottom
                k += 1
    return found[:k].copy()


@njit(cache=True, nogil=True)
def _side(mask: NDArray[np.uint8], column: int, reach: int, top: int, bottom: int, step: int) -> int:
    """The innermost column of the upright line that is met first from outside, -1 if there is none."""
    width = mask.shape[1]
    rows = bottom - top - 8
    last = -1
    for away in range(-reach, reach + 1):
        x = column + step * away
        if not 0 <= x < width:
            continue
        blank = 0
        for y in range(top + 4, bottom - 4):
            blank += mask[y, x] == 0
            if 4 * blank > rows:
                break
        if 4 * blank <= rows:
            last = x
        elif last >= 0:
            break
    return last
