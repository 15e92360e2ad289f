"""Lines from edge to edge of a panel: grids, markers of levels and of high-symmetry points."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from shc.kernels.picture_lines import COLOUR_TOLERANCE

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PARTS = 16
_LEAST_INK = 0.18
_COLOURS = 3


@njit(cache=True, nogil=True)
def ruled_lanes(
    rgb: NDArray[np.uint8], across: NDArray[np.uint16], upright: bool, thickest: int
) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """Find the rows (or columns) that hold thin ink of one colour in all their parts.

    Each is cut in 16 parts. A part counts unless most of it is other ink, which may hide a line. In nearly all that
    count, the ink of one of the three most frequent colours takes nearly a fifth or more.

    Args:
        rgb: ``[H, W, 3]``.
        across: ``[H, W]`` length of the run of ink down the columns (or along the rows), 0 where there is no ink.
        upright: Whether to look at columns instead of rows.
        thickest: Ink in longer runs is thick.

    Returns:
        ``[n]`` pixels of that colour, 0 if there is no such line; ``[n, 3]`` the colour.
    """
    height, width = across.shape
    lanes, length = (width, height) if upright else (height, width)
    thin, thick = np.zeros(lanes, np.int32), np.zeros(lanes, np.int32)
    most = np.uint16(thickest)
    for y in range(height):
        row = across[y]
        if upright:
            for x in range(width):
                thin[x] += (row[x] > 0) & (row[x] <= most)
                thick[x] += row[x] > most
        else:
            inked, over = np.int32(0), np.int32(0)
            for x in range(width):
                inked += row[x] > 0
                over += row[x] > most
            thin[y], thick[y] = inked - over, over
    matched = np.zeros(lanes, np.int32)
    colours = np.zeros((lanes, 3), np.uint8)
    counts, used = np.zeros((512, 4), np.int32), np.empty(512, np.int64)
    for lane in range(lanes):
        if thin[lane] < max(_LEAST_INK * (length - thick[lane]), 0.06 * length):
            continue
        n_used = 0
        for at in range(length):
            y, x = (at, lane) if upright else (lane, at)
            if 0 < across[y, x] <= thickest:
                red, green, blue = np.int64(rgb[y, x, 0]), np.int64(rgb[y, x, 1]), np.int64(rgb[y, x, 2])
                index = (red >> 5 << 6) | (green >> 5 << 3) | (blue >> 5)
                if counts[index, 0] == 0:
                    used[n_used] = index
                    n_used += 1
                counts[index, 0] += 1
                counts[index, 1] += red
                counts[index, 2] += green
                counts[index, 3] += blue
        for _ in range(_COLOURS):
            best = 0
            for index in used[:n_used]:
                more = counts[index, 0] - counts[best, 0]
                best = index if more > 0 or (more == 0 and index < best) else best
            if counts[best, 0] < 0.03 * length:
                break
            for channel in range(3):
                colours[lane, channel] = counts[best, 1 + channel] // counts[best, 0]
            counts[best, 0] = 0
            matched[lane] = _ruled(rgb, across, upright, thickest, lane, colours[lane])
            if matched[lane]:
                break
        for index in used[:n_used]:
            counts[index] = 0
    return matched, colours


@njit(cache=True, nogil=True)
def _ruled(
    rgb: NDArray[np.uint8],
    across: NDArray[np.uint16],
    upright: bool,
    thickest: int,
    lane: int,
    colour: NDArray[np.uint8],
) -> int:
    """Pixels of a colour along a row (or column) if they are in nearly all parts, else 0."""
    length = across.shape[0] if upright else across.shape[1]
    total, counting, reached = 0, 0, 0
    for part in range(_PARTS):
        start, end = part * length // _PARTS, (part + 1) * length // _PARTS
        fit, hidden = 0, 0
        for at in range(start, end):
            y, x = (at, lane) if upright else (lane, at)
            away = np.int32(0 if 0 < across[y, x] <= thickest else 256)
            if away == 0:
                for channel in range(3):
                    away = max(away, abs(np.int32(rgb[y, x, channel]) - np.int32(colour[channel])))
            if away <= COLOUR_TOLERANCE:
                fit += 1
            elif across[y, x]:
                hidden += 1
        total += fit
        if 2 * hidden < end - start:
            counting += 1
            reached += fit >= _LEAST_INK * (end - start - hidden)
            if 20 * (counting - reached) > 3 * _PARTS:
                return 0
    return total if counting >= 5 and 20 * reached >= 17 * counting else 0


@njit(cache=True, nogil=True)
def erase_line(
    rgb: NDArray[np.uint8],
    distance: NDArray[np.uint8],
    mask: NDArray[np.uint8],
    upright: bool,
    first: int,
    last: int,
    colour: NDArray[np.uint8],
    background: NDArray[np.uint8],
) -> None:
    """Take a straight line off the ink. What has another colour, or goes on at either side of the line, stays.

    Args:
        rgb: ``[H, W, 3]``.
        distance: ``[H, W]`` distance from the background; changed in place.
        mask: ``[H, W]`` 1 where there is ink; changed in place.
        upright: Whether the line is a column instead of a row.
        first: First row (or column) of the line.
        last: Last one, inclusive.
        colour: ``[3]`` of the line; what lies between it and the background belongs to the line too.
        background: ``[3]``.
    """
    height, width = mask.shape
    lanes, length = (width, height) if upright else (height, width)
    for at in range(length):
        beside = False
        if first > 0:
            beside |= (mask[at, first - 1] if upright else mask[first - 1, at]) == 1
        if last + 1 < lanes:
            beside |= (mask[at, last + 1] if upright else mask[last + 1, at]) == 1
        if beside:
            continue
        for lane in range(first, last + 1):
            y, x = (at, lane) if upright else (lane, at)
            if _blend(rgb, y, x, colour, background):
                mask[y, x] = 0
                distance[y, x] = 0


@njit(cache=True, nogil=True)
def _blend(rgb: NDArray[np.uint8], y: int, x: int, colour: NDArray[np.uint8], background: NDArray[np.uint8]) -> bool:
    """Whether a pixel's colour lies between two others."""
    square, product = 0.0, 0.0
    for channel in range(3):
        span = float(colour[channel]) - float(background[channel])
        square += span * span
        product += span * (float(rgb[y, x, channel]) - float(background[channel]))
    share = min(1.0, max(0.0, product / max(1.0, square)))
    away = 0.0
    for channel in range(3):
        mixed = background[channel] + share * (float(colour[channel]) - float(background[channel]))
        away = max(away, abs(rgb[y, x, channel] - mixed))
    return away <= COLOUR_TOLERANCE


@njit(cache=True, nogil=True)
def blend_count(
    rgb: NDArray[np.uint8],
    mask: NDArray[np.uint8],
    upright: bool,
    lane: int,
    colour: NDArray[np.uint8],
    background: NDArray[np.uint8],
) -> int:
    """Count the ink of a row (or column) that may be the soft edge of a line next to it.

    Args:
        rgb: ``[H, W, 3]``.
        mask: ``[H, W]`` 1 where there is ink.
        upright: Whether to look at a column.
        lane: The row (or column).
        colour: ``[3]`` of the line.
        background: ``[3]``.

    Returns:
        Pixels of ink whose colour lies between those of the line and the background.
    """
    length = mask.shape[0] if upright else mask.shape[1]
    count = 0
    for at in range(length):
        y, x = (at, lane) if upright else (lane, at)
        count += mask[y, x] == 1 and _blend(rgb, y, x, colour, background)
    return count
