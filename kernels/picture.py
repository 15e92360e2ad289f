"""Loops over the pixels of a figure: colours, distance from the background, boxes of one colour."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from shc.kernels.picture_parts import ink_runs

if TYPE_CHECKING:
    from numpy.typing import NDArray

COLOUR_BITS = 4
"""Bits of each channel that tell apart the colours of a histogram."""


@njit(cache=True, nogil=True)
def reduce_picture(rgb: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Average square blocks of pixels; what does not fill a block at the right and lower edge is left out.

    Args:
        rgb: ``[H, W, 3]``.
        factor: Side of a block, pixels.

    Returns:
        ``[H // factor, W // factor, 3]``.
    """
    height, width = rgb.shape[0] // factor, rgb.shape[1] // factor
    small = np.empty((height, width, 3), np.uint8)
    total = np.empty((width, 3), np.uint32)
    area = factor * factor
    for row in range(height):
        total[:] = 0
        for y in range(row * factor, (row + 1) * factor):
            for column in range(width):
                for x in range(column * factor, (column + 1) * factor):
                    total[column, 0] += rgb[y, x, 0]
                    total[column, 1] += rgb[y, x, 1]
                    total[column, 2] += rgb[y, x, 2]
        for column in range(width):
            for channel in range(3):
                small[row, column, channel] = (total[column, channel] + area // 2) // area
    return small


@njit(cache=True, nogil=True)
def colour_histogram(rgb: NDArray[np.uint8], step: int) -> NDArray[np.int64]:
    """Count colours, ``COLOUR_BITS`` a channel, and add up what they are in full.

    Args:
        rgb: ``[H, W, 3]``.
        step: Every so manyth row and column is looked at.

    Returns:
        ``[4096, 4]`` number of pixels and sums of red, green and blue.
    """
    shift = 8 - COLOUR_BITS
    counts = np.zeros((1 << (3 * COLOUR_BITS), 4), np.int64)
    for y in range(0, rgb.shape[0], step):
        row = rgb[y]
        x = 0
        while x < row.shape[0]:
            red, green, blue = np.int64(row[x, 0]), np.int64(row[x, 1]), np.int64(row[x, 2])
            alike = np.int64(0)
            # Most of a figure is background: what repeats is added at once.
            while x < row.shape[0] and row[x, 0] == red and row[x, 1] == green and row[x, 2] == blue:
                alike += 1
                x += step
            index = (((red >> shift) << COLOUR_BITS | (green >> shift)) << COLOUR_BITS) | (blue >> shift)
            counts[index, 0] += alike
            counts[index, 1] += alike * red
            counts[index, 2] += alike * green
            counts[index, 3] += alike * blue
    return counts


@njit(cache=True, nogil=True)
def edge_counts(rgb: NDArray[np.uint8], colours: NDArray[np.uint8], tolerance: int) -> NDArray[np.int64]:
    """Count the pixels along the four edges of a picture that have given colours.

    Args:
        rgb: ``[H, W, 3]``.
        colours: ``[n, 3]``.
        tolerance: Largest difference of a channel.

    Returns:
        ``[n]``; pixels at the corners count twice.
    """
    height, width = rgb.shape[:2]
    counts = np.zeros(colours.shape[0], np.int64)
    for at in range(2 * (height + width)):
        if at < 2 * width:
            y, x = (0 if at < width else height - 1), at % width
        else:
            y, x = (at - 2 * width) % height, (0 if at - 2 * width < height else width - 1)
        for k in range(colours.shape[0]):
            away = np.int64(0)
            for channel in range(3):
                away = max(away, abs(np.int64(rgb[y, x, channel]) - np.int64(colours[k, channel])))
            counts[k] += away <= tolerance
    return counts


@njit(cache=True, nogil=True)
def contrast(rgb: NDArray[np.uint8], backgrounds: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Distance of every pixel from the nearest background: the largest difference of a channel.

    Args:
        rgb: ``[H, W, 3]``.
        backgrounds: ``[n, 3]`` colours.

    Returns:
        ``[H, W]``.
    """
    height, width = rgb.shape[:2]
    distance = np.empty((height, width), np.uint8)
    colours = np.empty((backgrounds.shape[0], 3 * width), np.uint8)
    for at in range(3 * width):
        colours[:, at] = backgrounds[:, at % 3]
    away = np.empty(3 * width, np.uint8)
    for y in range(height):
        # Flat loops over the bytes of a row are what the compiler makes fast.
        row, nearest = rgb[y].reshape(3 * width), distance[y]
        nearest[:] = 255
        for k in range(colours.shape[0]):
            colour = colours[k]
            for at in range(3 * width):
                value, other = row[at], colour[at]
                away[at] = value - other if value > other else other - value
            for x in range(width):
                nearest[x] = min(nearest[x], max(away[3 * x], away[3 * x + 1], away[3 * x + 2]))
    return distance


@njit(cache=True, nogil=True)
def filled_pixels(rgb: NDArray[np.uint8], colour: NDArray[np.uint8], tolerance: int, reach: int) -> tuple[int, int]:
    """Count what has a colour and what of it lies within areas of it; every second row and column is looked at.

    Args:
        rgb: ``[H, W, 3]``.
        colour: ``[3]``.
        tolerance: Largest difference of a channel.
        reach: A pixel lies within if those so far above, below, left and right of it have the colour too.

    Returns:
        Pixels within areas, and all of the colour.
    """
    height, width = rgb.shape[:2]
    distance = contrast(rgb, colour.reshape(1, 3))
    most = np.uint8(tolerance)
    inside = slice(reach, width - reach)
    total, within = 0, 0
    near, filled = np.empty(width, np.uint8), np.empty(width, np.uint8)
    for y in range(reach, height - reach, 2):
        middle, left, right = distance[y, inside], distance[y, : width - 2 * reach], distance[y, 2 * reach :]
        above, below = distance[y - reach, inside], distance[y + reach, inside]
        for x in range(middle.size):
            farthest = max(left[x], right[x], above[x], below[x], middle[x])
            near[x] = middle[x] <= most
            filled[x] = farthest <= most
        some, all_near = np.int32(0), np.int32(0)
        for x in range(0, middle.size, 2):
            some += near[x]
            all_near += filled[x]
        total += int(some)
        within += int(all_near)
    return within, total


@njit(cache=True, nogil=True)
def blob_boxes(distance: NDArray[np.uint8], threshold: int, cell: int) -> NDArray[np.int32]:
    """Put ink that lies close together into rectangles.

    Args:
        distance: ``[H, W]`` from ``contrast``.
        threshold: Least distance of ink from the background.
        cell: Ink in squares of this side that touch belongs together, pixels.

    Returns:
        ``[n, 4]`` left, top, right and bottom of the ink of every group, the last two exclusive.
    """
    rows, columns = -(-distance.shape[0] // cell), -(-distance.shape[1] // cell)
    box = np.empty((rows, columns, 4), np.int32)
    inked = np.zeros((rows, columns), np.bool_)
    ink, least = np.empty(distance.shape, np.uint8), np.uint8(threshold)
    for y in range(distance.shape[0]):
        far, inked_row = distance[y], ink[y]
        for x in range(far.size):
            inked_row[x] = far[x] >= least
    runs, _ = ink_runs(ink)
    cell_of = np.arange(max(distance.shape)) // cell
    for k in range(runs.shape[0]):
        y, start, end = runs[k, 0], runs[k, 1], runs[k, 2]
        row = cell_of[y]
        for column in range(cell_of[start], cell_of[end - 1] + 1):
            left, right = max(start, column * cell), min(end, (column + 1) * cell)
            if inked[row, column]:
                box[row, column, 0] = min(box[row, column, 0], left)
                box[row, column, 2] = max(box[row, column, 2], right)
            else:
                inked[row, column] = True
                box[row, column, 0], box[row, column, 1], box[row, column, 2] = left, y, right
            box[row, column, 3] = y + 1
    found = np.empty((rows * columns, 4), np.int32)
    stack = np.empty((rows * columns, 2), np.int32)
    n = 0
    for row in range(rows):
        for column in range(columns):
            if not inked[row, column]:
                continue
            found[n] = box[row, column]
            stack[0, 0], stack[0, 1], size = row, column, 1
            inked[row, column] = False
            while size:
                size -= 1
                y, x = stack[size]
                found[n, 0] = min(found[n, 0], box[y, x, 0])
                found[n, 1] = min(found[n, 1], box[y, x, 1])
                found[n, 2] = max(found[n, 2], box[y, x, 2])
                found[n, 3] = max(found[n, 3], box[y, x, 3])
                for near in range(max(0, y - 1), min(rows, y + 2)):
                    for beside in range(max(0, x - 1), min(columns, x + 2)):
                        if inked[near, beside]:
                            inked[near, beside] = False
                            stack[size, 0], stack[size, 1] = near, beside
                            size += 1
            n += 1
    return found[:n].copy()


@njit(cache=True, nogil=True)
def column_counts(distance: NDArray[np.uint8], threshold: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count the ink of every column; rows that are ink nearly all along are left out.

    Args:
        distance: ``[H, W]`` from ``contrast``.
        threshold: Least distance of ink from the background.

    Returns:
        ``[W]`` pixels of ink, and ``[W]`` runs of ink.
    """
    height, width = distance.shape
    pixels, runs = np.zeros(width, np.int64), np.zeros(width, np.int64)
    above = np.zeros(width, np.bool_)
    for y in range(height):
        count = 0
        for x in range(width):
            count += distance[y, x] >= threshold
        if 5 * count > 4 * width:
            continue
        for x in range(width):
            inked = distance[y, x] >= threshold
            pixels[x] += inked
            runs[x] += inked and not above[x]
            above[x] = inked
    return pixels, runs
