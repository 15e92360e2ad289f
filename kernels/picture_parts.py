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
        ``[H, W]`` number of the part from 1, 0 where there is no ink, and ``[n, 5]`` left, top, right and bottom of
        every part, the last two exclusive, and its pixels; parts in the order of their first pixel.
    """
    height, width = mask.shape
    number = np.zeros((height, width), np.int32)
    box = np.empty((height * width // 2 + 1, 5), np.int32)
    stack = np.empty(mask.size + 1, np.int32)
    n = 0
    for y in range(height):
        for x in range(width):
            if mask[y, x] == 0 or number[y, x]:
                continue
            left, top, right, bottom, count = x, y, x, y, 0
            stack[0] = y * width + x
            number[y, x] = n + 1
            size = 1
            while size:
                size -= 1
                row, column = stack[size] // width, stack[size] % width
                count += 1
                left, right = min(left, column), max(right, column)
                bottom = max(bottom, row)
                for near in range(max(0, row - 1), min(height, row + 2)):
                    for beside in range(max(0, column - 1), min(width, column + 2)):
                        if mask[near, beside] and number[near, beside] == 0:
                            number[near, beside] = n + 1
                            stack[size] = near * width + beside
                            size += 1
            box[n, 0] = left
            box[n, 1] = top
            box[n, 2] = right + 1
            box[n, 3] = bottom + 1
            box[n, 4] = count
            n += 1
    return number, box[:n].copy()


@njit(cache=True, nogil=True)
def keep_parts(mask: NDArray[np.uint8], number: NDArray[np.int32], kept: NDArray[np.bool_]) -> None:
    """Take parts off the ink.

    Args:
        mask: ``[H, W]`` 1 is ink; changed in place.
        number: ``[H, W]`` from ``parts``.
        kept: ``[n]`` whether a part stays.
    """
    for y in range(mask.shape[0]):
        for x in range(mask.shape[1]):
            if number[y, x] and not kept[number[y, x] - 1]:
                mask[y, x] = 0


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
