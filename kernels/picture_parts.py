"""Parts of ink that hang together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from shc.kernels.picture_lines import segments

if TYPE_CHECKING:
    from numpy.typing import NDArray


@njit(cache=True, nogil=True)
def ink_runs(mask: NDArray[np.uint8]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Runs of ink along the rows; eight pixels are looked at in one step (little-endian machines).

    For kernels only: Numba cannot return it to Python once a cached kernel of another module has called it.

    Args:
        mask: ``[H, W]`` 1 is ink, 0 is none.

    Returns:
        ``[n, 3]`` row, start and end (exclusive) of every run, row by row, and ``[H + 1]`` the first run of every row.
    """
    height, width = mask.shape
    runs = np.empty((height * (width // 2 + 1), 3), np.int32)
    first = np.zeros(height + 1, np.int64)
    row = np.zeros(-(-(width + 1) // 8) * 8, np.uint8)  # a pixel without ink behind the last one ends its run
    words = row.view(np.uint64)
    eight, last_byte = np.uint64(8), np.uint64(56)
    n = 0
    for y in range(height):
        source = mask[y]
        for x in range(width):
            row[x] = source[x]
        before = np.uint64(0)
        for k in range(words.size):
            # A byte is not zero where a pixel differs from the one before it; the first pixel is the lowest byte.
            changes = words[k] ^ (words[k] << eight | before)
            before = words[k] >> last_byte
            x = 8 * k
            while changes:
                if changes & np.uint64(1):
                    if row[x]:
                        runs[n, 0], runs[n, 1] = y, x
                    else:
                        runs[n, 2] = x
                        n += 1
                changes >>= eight
                x += 1
        first[y + 1] = n
    return runs[:n].copy(), first


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
    runs, last = ink_runs(mask)
    n_runs = runs.shape[0]
    first = np.arange(n_runs)
    for y in range(1, height):
        above = last[y - 1]
        for k in range(last[y], last[y + 1]):
            while above < last[y] and runs[above, 2] < runs[k, 1]:
                above += 1
            touching = above
            while touching < last[y] and runs[touching, 1] <= runs[k, 2]:
                one, other = _root(first, touching), _root(first, k)
                first[max(one, other)] = min(one, other)
                touching += 1
    box = np.empty((n_runs, 5), np.int32)
    placed = np.empty((n_runs, 4), np.int32)
    n = 0
    for k in range(n_runs):
        y, start, end = runs[k]
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


def long_segments(
    rgb: NDArray[np.uint8],
    distance: NDArray[np.uint8],
    upright: bool,
    threshold: int,
    gaps: tuple[int, int],
    min_length: int,
) -> NDArray[np.int32]:
    """What ``segments`` finds anywhere, in less time: most rows and columns of a figure have no long run of ink.

    Args:
        rgb: ``[H, W, 3]``.
        distance: ``[H, W]`` from ``contrast``.
        upright: As for ``segments``.
        threshold: Least distance from the background.
        gaps: As for ``segments``.
        min_length: As for ``segments``.

    Returns:
        ``[n, 4]`` as ``segments``.
    """
    ink = (distance >= threshold).view(np.uint8)
    lanes = long_rows(np.ascontiguousarray(ink.T) if upright else ink, gaps[0], min_length)
    found: NDArray[np.int32] = segments(rgb, distance, lanes, upright, threshold, gaps, min_length)
    return found


@njit(cache=True, nogil=True)
def long_rows(mask: NDArray[np.uint8], gap: int, shortest: int) -> NDArray[np.int64]:
    """Rows with a long run of ink.

    Args:
        mask: ``[H, W]`` 1 is ink.
        gap: A run goes on behind so many pixels without ink.
        shortest: Least length of a run, pixels.

    Returns:
        ``[n]`` rows, rising.
    """
    runs, first = ink_runs(mask)
    rows = np.empty(mask.shape[0], np.int64)
    n = 0
    for y in range(mask.shape[0]):
        start = 0
        for k in range(first[y], first[y + 1]):
            if k == first[y] or runs[k, 1] - runs[k - 1, 2] > gap:
                start = runs[k, 1]
            if runs[k, 2] - start >= shortest:
                rows[n] = y
                n += 1
                break
    return rows[:n].copy()


@njit(cache=True, nogil=True)
def edge_runs(
    mask: NDArray[np.uint8], across: int, along: int
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    """Length of the ink that goes straight inwards from the sides, without the outermost pixels.

    Args:
        mask: ``[H, W]`` 1 is ink.
        across: Most pixels from the left and right side; what is longer counts as 0.
        along: The same from the upper and lower side.

    Returns:
        From the left, the right ``[H]``, the upper and the lower side ``[W]``.
    """
    height, width = mask.shape
    left, right = np.zeros(height, np.int32), np.zeros(height, np.int32)
    upper, lower = np.zeros(width, np.int32), np.zeros(width, np.int32)
    across, along = min(across, width - 2), min(along, height - 2)
    for y in range(height):
        left[y], right[y] = _inwards(mask[y, 1:], across), _inwards(mask[y, ::-1][1:], across)
    for x in range(width):
        upper[x], lower[x] = _inwards(mask[1:, x], along), _inwards(mask[::-1, x][1:], along)
    return left, right, upper, lower


@njit(cache=True, nogil=True)
def _inwards(line: NDArray[np.uint8], longest: int) -> int:
    """Pixels of ink at the beginning of a line; 0 if there are more than the longest."""
    for length in range(longest + 1):
        if not line[length]:
            return length
    return 0


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
