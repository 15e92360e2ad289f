"""Text and tick marks beside an axis: groups, and how well a line of glyphs fits a text."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray


@njit(cache=True, nogil=True)
def linked_groups(linked: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Number the groups of members that are linked, directly or over others.

    Args:
        linked: ``[n, n]`` whether two members are linked; symmetric.

    Returns:
        ``[n]`` group of each member, groups in the order of their first member.
    """
    n = linked.shape[0]
    group = np.full(n, -1, np.int64)
    stack = np.empty(n, np.int64)
    count = 0
    for k in range(n):
        if group[k] >= 0:
            continue
        group[k] = count
        stack[0], size = k, 1
        while size:
            size -= 1
            one = stack[size]
            for other in range(n):
                if linked[one, other] and group[other] < 0:
                    group[other] = count
                    stack[size] = other
                    size += 1
        count += 1
    return group


@njit(cache=True, nogil=True)
def tick_marks(profile: NDArray[np.float64], row: float, height: float) -> NDArray[np.float64]:
    """Middles of what may be tick marks near a row.

    Args:
        profile: ``[n]`` ink by rows beside the axis, from 0 to 1.
        row: Where a mark is expected, row coordinate of the profile.
        height: Height of a label, rows; a mark is lower than half of it.

    Returns:
        ``[m]`` row coordinates, rising.
    """
    reach = max(2.0, 0.4 * height)
    first, last = max(0, math.floor(row - reach)), min(profile.size, math.ceil(row + reach))
    found = np.empty(max(0, last - first))
    if last - first < 2:
        return found[:0]
    middle, around = round(row), round(height)
    level = np.median(profile[max(0, middle - around) : middle + around + 1])
    half = level + max(0.15, 0.4 * (profile[first:last].max() - level))
    n, start, end = 0, -1, -1
    for at in range(first, last + 1):
        dark = at < last and profile[at] > half
        if dark and (start < 0 or at - end <= 1 + 0.08 * height):
            start, end = (at if start < 0 else start), at
        elif start >= 0 and (dark or at == last):
            if end - start < max(3.0, 0.5 * height):
                weight, total = 0.0, 0.0
                for near in range(max(0, start - 1), min(profile.size, end + 2)):
                    above = max(profile[near] - level, 0.0)
                    weight += above
                    total += above * (near + 0.5)
                found[n] = total / weight
                n += 1
            start, end = at, at
    return found[:n]


@njit(cache=True, nogil=True)
def _weights(
    start: float, end: float, count: int, low: int, high: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """``[count, 2]`` first and last (exclusive) pixel of the triangles, and ``[count, n]`` their weights, of sum 1."""
    scale = (end - start) / count
    half = max(scale, 1.0)
    span = np.empty((count, 2), np.int64)
    weights = np.zeros((count, int(2.0 * half) + 3))
    for k in range(count):
        centre = start + (k + 0.5) * scale
        first = max(low, math.floor(centre - half + 0.5))
        last = min(high, math.floor(centre + half + 0.5))
        total = 0.0
        for at in range(first, last):
            weights[k, at - first] = max(0.0, 1.0 - abs(at + 0.5 - centre) / half)
            total += weights[k, at - first]
        weights[k] /= max(total, 1e-12)
        span[k, 0], span[k, 1] = first, last
    return span, weights


@njit(cache=True, nogil=True)
def resized(
    ink: NDArray[np.float32],
    bounds: tuple[int, int, int, int],
    window: tuple[float, float, float, float],
    columns: int,
    rows: int,
) -> NDArray[np.float32]:
    """Bring a window of a picture to another size with a triangular filter, and its darkest ink to 1.

    Args:
        ink: ``[H, W]`` from 0 to 1.
        bounds: Left, top, right and bottom (exclusive) of the pixels that are used; those outside the picture are 0.
        window: Left, top, right and bottom of the window, pixels; within the bounds.
        columns: Width of the result.
        rows: Height of the result.

    Returns:
        ``[columns, rows]`` from 0 to 1.
    """
    across, column_weights = _weights(window[0], window[2], columns, bounds[0], bounds[2])
    down, row_weights = _weights(window[1], window[3], rows, bounds[1], bounds[3])
    top, bottom = max(0, down[0, 0]), min(ink.shape[0], down[rows - 1, 1])
    narrow = np.zeros((max(0, bottom - top), columns))
    for y in range(top, bottom):
        for column in range(columns):
            first = across[column, 0]
            for x in range(max(0, first), min(ink.shape[1], across[column, 1])):
                narrow[y - top, column] += column_weights[column, x - first] * ink[y, x]
    small = np.zeros((columns, rows), np.float32)
    darkest = 1e-3
    for column in range(columns):
        for row in range(rows):
            first, total = down[row, 0], 0.0
            for y in range(max(top, first), min(bottom, down[row, 1])):
                total += row_weights[row, y - first] * narrow[y - top, column]
            small[column, row] = total
            darkest = max(darkest, total)
    for column in range(columns):
        for row in range(rows):
            small[column, row] = small[column, row] / darkest
    return small


@njit(cache=True, nogil=True)
def text_likelihood(log_probability: NDArray[np.float32], text: NDArray[np.int64]) -> float:
    """Log probability that columns of a line spell a text.

    Every column holds one glyph or none (class 0); a run of the same glyph counts once. The sum runs over all ways to
    spell the text (Graves et al., ICML 2006, eqs. 5 to 8).

    Args:
        log_probability: ``[n_columns, n_classes]`` natural logarithms.
        text: ``[n]`` classes, none of them 0.

    Returns:
        Natural logarithm; minus infinity if the line is too short for the text.
    """
    n_states = 2 * text.size + 1
    state = np.full(n_states, -np.inf)
    state[0] = 0.0
    for column in range(log_probability.shape[0]):
        for s in range(n_states - 1, -1, -1):
            glyph = text[s // 2] if s % 2 == 1 else 0
            best = state[s]
            if column == 0:
                # The walk starts at the first gap or at the first glyph.
                best = 0.0 if s < 2 else -np.inf
                state[s] = best + log_probability[0, glyph]
                continue
            one = state[s - 1] if s >= 1 else -np.inf
            two = state[s - 2] if s >= 3 and s % 2 == 1 and text[s // 2] != text[s // 2 - 1] else -np.inf
            top = max(best, one, two)
            if top == -np.inf:
                continue
            total = math.exp(best - top) + math.exp(one - top) + math.exp(two - top)
            state[s] = top + math.log(total) + log_probability[column, glyph]
    total = state[n_states - 1]
    if n_states > 1:
        top = max(total, state[n_states - 2])
        if top > -np.inf:
            total = top + math.log(math.exp(total - top) + math.exp(state[n_states - 2] - top))
    return float(total)
