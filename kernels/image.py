"""Bands drawn as a picture: anti-aliased strokes on a square grid of pixels.

The compiled loop visits only the pixels near a stroke. The NumPy twin in ``shc.kernels.image_reference`` follows the
same rules.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

STROKE_WIDTH = 1.5
"""Width of a stroke, pixels."""


def draw_bands(
    distance: ArrayLike,
    energy: ArrayLike,
    breaks: ArrayLike,
    window_ev: float,
    size: int,
    stroke_width: float = STROKE_WIDTH,
) -> NDArray[np.float32]:
    """Draw bands along a path: the path over the full width, the Fermi level half-way up, energy rising upwards.

    A point at distance ``d`` and energy ``e`` lies ``size (d - d_first) / (d_last - d_first)`` pixels from the left
    edge and ``size / 2 (1 - e / window_ev)`` below the upper one. Straight strokes with round ends join neighbouring
    points of a band. A pixel whose centre is at distance ``s`` from the nearest stroke holds
    ``min(1, max(0, (stroke_width + 1) / 2 - s))`` of ink: the covered area for strokes along an axis. The darkest
    stroke counts, so bands on top of each other look like one. Strokes end at the edges of the picture; nothing is
    drawn across breaks or to energies that are not finite.

    Args:
        distance: ``[n_k]`` length of the path up to each point, never falling, any unit.
        energy: ``[n_k, n_bands]`` eV from the Fermi level.
        breaks: ``[n_breaks]`` indices of the points that are not joined to the point before.
        window_ev: Energy at the upper edge and, negative, at the lower edge, eV.
        size: Height and width, pixels.
        stroke_width: Width of a stroke, pixels.

    Returns:
        ``[size, size]`` ink: 0 is empty, 1 is full; row 0 is the upper edge.

    Raises:
        ValueError: If shapes do not fit, the path has no length or runs backwards, a break lies outside the path, or
            ``window_ev``, ``size`` or ``stroke_width`` is not positive.
    """
    x, levels, joined = check_bands(distance, energy, breaks)
    if not (window_ev > 0.0 and math.isfinite(window_ev)):
        raise ValueError(f"window_ev must be positive, not {window_ev}")
    if size < 1:
        raise ValueError(f"size must be at least 1, not {size}")
    if not (stroke_width > 0.0 and math.isfinite(stroke_width)):
        raise ValueError(f"stroke_width must be positive, not {stroke_width}")
    picture: NDArray[np.float32] = _draw(x, levels, joined, float(window_ev), int(size), float(stroke_width))
    return picture


def check_bands(
    distance: ArrayLike, energy: ArrayLike, breaks: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Bring a path and its bands into the one layout that the kernel and its twin take.

    Args:
        distance: ``[n_k]``.
        energy: ``[n_k, n_bands]``.
        breaks: ``[n_breaks]``.

    Returns:
        ``[n_k]`` position along the path from 0 to 1; ``[n_bands, n_k]`` energies; ``[n_k]`` whether a point is joined
        to the one before.

    Raises:
        ValueError: As ``draw_bands``.
    """
    along = np.array(distance, dtype=np.float64)
    levels = np.array(np.asarray(energy, dtype=np.float64).T, order="C")
    cuts = np.array(breaks, dtype=np.int64)
    if along.ndim != 1 or not np.all(np.isfinite(along)) or np.any(np.diff(along) < 0.0):
        raise ValueError("distance must be one-dimensional and finite and never fall")
    if levels.ndim != 2 or levels.shape[1] != along.size:
        raise ValueError(f"energy must be [{along.size}, n_bands] to fit the distance")
    if along.size < 2 or not along[-1] > along[0]:
        raise ValueError("the path has no length")
    if cuts.ndim != 1 or np.any((cuts < 0) | (cuts >= along.size)):
        raise ValueError(f"breaks must be indices from 0 to {along.size - 1}")
    joined = np.ones(along.size, dtype=np.bool_)
    joined[0] = False
    joined[cuts] = False
    return (along - along[0]) / (along[-1] - along[0]), levels, joined


@njit(cache=True, nogil=True)
def _draw(
    along: NDArray[np.float64],
    levels: NDArray[np.float64],
    joined: NDArray[np.bool_],
    window_ev: float,
    size: int,
    stroke_width: float,
) -> NDArray[np.float32]:
    """Draw arrays from ``check_bands``; see ``draw_bands``."""
    half = 0.5 * size
    reach = 0.5 * (stroke_width + 1.0)
    # Squared distance from the nearest stroke, column by column: the inner loop runs down a column, free of roots.
    nearest = np.full((size, size), reach * reach)
    for band in range(levels.shape[0]):
        for k in range(1, along.size):
            if not joined[k]:
                continue
            # Rows count from the Fermi level, so that mirrored bands give exactly mirrored pictures.
            x0, y0 = along[k - 1] * size, -levels[band, k - 1] / window_ev * half
            x1, y1 = along[k] * size, -levels[band, k] / window_ev * half
            dx, dy = x1 - x0, y1 - y0
            if not math.isfinite(dy) or max(y0, y1) < -half - reach or min(y0, y1) > half + reach:
                continue
            square = dx * dx + dy * dy
            along_x, along_y = (dx / square, dy / square) if square > 0.0 else (0.0, 0.0)
            first = max(0, math.ceil(x0 - reach - 0.5))
            last = min(size - 1, math.floor(x1 + reach - 0.5))
            for column in range(first, last + 1):
                px = column + 0.5 - x0
                # The piece of the stroke that this column can be near, from the parameters of its ends.
                t0 = 0.0 if px - reach <= 0.0 else min(1.0, (px - reach) / dx)
                t1 = 1.0 if px + reach >= dx else max(0.0, (px + reach) / dx)
                ya, yb = y0 + t0 * dy, y0 + t1 * dy
                top = max(-half, min(ya, yb) - reach)
                bottom = min(half, max(ya, yb) + reach)
                upper = max(0, math.ceil(top + half - 0.5 - 1e-9))
                lower = min(size - 1, math.floor(bottom + half - 0.5 + 1e-9))
                for row in range(upper, lower + 1):
                    py = row + 0.5 - half - y0
                    t = min(1.0, max(0.0, px * along_x + py * along_y))
                    ex, ey = px - t * dx, py - t * dy
                    nearest[column, row] = min(nearest[column, row], ex * ex + ey * ey)
    picture = np.empty((size, size), np.float32)
    for row in range(size):
        for column in range(size):
            picture[row, column] = min(1.0, reach - math.sqrt(nearest[column, row]))
    return picture
