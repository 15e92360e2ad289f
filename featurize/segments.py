"""Sums and extrema over the parts of a flat array, one part per crystal."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Segments(NamedTuple):
    """Which crystal owns which rows of a flat array: B parts in order, none of them empty."""

    start: NDArray[np.int64]
    """``[B]`` first row of each part."""
    owner: NDArray[np.int64]
    """``[n]`` part of each row."""

    @classmethod
    def from_sizes(cls, sizes: NDArray[np.int64]) -> Segments:
        """The parts with ``[B]`` numbers of rows.

        Raises:
            ValueError: A part is empty.
        """
        if (sizes < 1).any():
            raise ValueError("every crystal needs an atom and a node")
        return cls(np.cumsum(sizes) - sizes, np.repeat(np.arange(len(sizes)), sizes))

    def sum(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """``[B, ...]`` sums of ``[n, ...]`` values."""
        return np.asarray(np.add.reduceat(values, self.start, axis=0), dtype=np.float64)

    def min(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """``[B, ...]`` smallest of ``[n, ...]`` values."""
        return np.asarray(np.minimum.reduceat(values, self.start, axis=0), dtype=np.float64)

    def max(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """``[B, ...]`` largest of ``[n, ...]`` values."""
        return np.asarray(np.maximum.reduceat(values, self.start, axis=0), dtype=np.float64)
