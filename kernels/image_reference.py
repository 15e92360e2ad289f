"""Plain NumPy twin of the drawing kernel: short, slow, and the definition of what the kernel computes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from shc.kernels.image import STROKE_WIDTH, check_bands

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def draw_bands(
    distance: ArrayLike,
    energy: ArrayLike,
    breaks: ArrayLike,
    window_ev: float,
    size: int,
    stroke_width: float = STROKE_WIDTH,
) -> NDArray[np.float32]:
    """Twin of ``shc.kernels.image.draw_bands``: measures every pixel's distance from every stroke.

    Args:
        distance: ``[n_k]`` length of the path up to each point, never falling, any unit.
        energy: ``[n_k, n_bands]`` eV from the Fermi level.
        breaks: ``[n_breaks]`` indices of the points that are not joined to the point before.
        window_ev: Energy at the upper edge and, negative, at the lower edge, eV.
        size: Height and width, pixels.
        stroke_width: Width of a stroke, pixels.

    Returns:
        ``[size, size]`` ink from 0 to 1; row 0 is the upper edge.
    """
    along, levels, joined = check_bands(distance, energy, breaks)
    centre = np.arange(size) + 0.5
    pixel = np.stack(np.meshgrid(centre, centre, indexing="xy"), axis=-1)
    nearest = np.full((size, size), np.inf)
    for band in levels:
        point = np.stack([along * size, size / 2 * (1.0 - band / window_ev)], axis=-1)
        for start, end, drawn in zip(point[:-1], point[1:], joined[1:], strict=True):
            if drawn and np.all(np.isfinite([start, end])):
                stroke = end - start
                square = float(stroke @ stroke)
                t = np.clip((pixel - start) @ stroke / square, 0.0, 1.0) if square else np.zeros((size, size))
                miss = np.linalg.norm(pixel - start - t[..., None] * stroke, axis=-1)
                nearest = np.minimum(nearest, miss)
    ink: NDArray[np.float32] = np.clip((stroke_width + 1.0) / 2.0 - nearest, 0.0, 1.0).astype(np.float32)
    return ink
