"""Which crystals share a dense batch: those of similar size, so that little of it is padding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

NODE_BUCKETS: Final = (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
"""Nodes of a batch, padding included, where its shape must be one of a few."""
BOND_BUCKETS: Final = (4, 8, 12)
"""Bonds of a node, likewise."""
MAX_BATCH: Final = 256
"""Crystals in a dense batch at most."""
WORTHWHILE: Final = 64
"""Crystals that make a batch of their own; with fewer, calls cost more than padding."""
MAX_NODES: Final = 8192
"""Nodes in a dense batch at most, padding included: bounds memory; a larger crystal is a batch of its own."""


def bucket(size: int, buckets: tuple[int, ...]) -> int:
    """The smallest of some sizes that holds another; beyond the last one, the size itself."""
    return next((each for each in buckets if each >= size), size)


def dense_batches(
    n_nodes: NDArray[np.int64],
    n_bonds: NDArray[np.int64],
    max_batch: int = MAX_BATCH,
    max_nodes: int = MAX_NODES,
    worthwhile: int = WORTHWHILE,
) -> Iterator[NDArray[np.int64]]:
    """Group crystals by buckets of their size.

    Args:
        n_nodes: ``[n]`` nodes of each crystal.
        n_bonds: ``[n]`` bonds of its nodes at most.
        max_batch: Crystals per batch at most.
        max_nodes: Nodes per batch at most, padding included.
        worthwhile: A batch ends with its bucket if it holds so many crystals; a smaller one takes in larger crystals.

    Yields:
        Rows of one batch; every row comes once.
    """
    wide = np.searchsorted(NODE_BUCKETS, n_nodes)
    deep = np.searchsorted(BOND_BUCKETS, n_bonds)
    order = np.lexsort((n_nodes, deep, wide))
    kind = wide * (len(BOND_BUCKETS) + 1) + deep
    start, width = 0, 0
    for end, row in enumerate(order.tolist()):
        size = end - start
        width = max(width, int(n_nodes[row]))
        leaves_bucket = size >= worthwhile and kind[row] != kind[order[end - 1]]
        if size and (size == max_batch or leaves_bucket or (size + 1) * width > max_nodes):
            yield order[start:end]
            start, width = end, int(n_nodes[row])
    if start < len(order):
        yield order[start:]
