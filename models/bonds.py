"""Bonds of nodes: neighbours that are equivalent for the networks count as one bond of a larger weight."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SAME_LENGTH: Final = 1e-4
"""Bonds of a node to the same node whose lengths, in order, differ by less are one, Angstrom."""


class Bonds(NamedTuple):
    """Bonds of n nodes, K at most."""

    neighbours: NDArray[np.int64]
    """``[n, K]`` 1 + index of the neighbouring node within its crystal; 0 is padding, which comes last."""
    distance: NDArray[np.float32]
    """``[n, K]`` mean length, Angstrom; 0 in padding."""
    weight: NDArray[np.float32]
    """``[n, K]`` neighbours that the bond stands for, over the root of the neighbours of a node at most."""
    n_bonds: NDArray[np.int64]
    """``[n]`` bonds of each node."""


def merge(neighbours: NDArray[np.int64], distance: NDArray[np.float32]) -> Bonds:
    """Put equivalent neighbours together: same node, same distance. Symmetry makes most of them so.

    Args:
        neighbours: ``[n, K]`` 1 + index of the neighbouring node within its crystal; 0 is padding.
        distance: ``[n, K]`` Angstrom.
    """
    n_nodes, n_slots = neighbours.shape
    node, slot = np.nonzero(neighbours > 0)
    other, length = neighbours[node, slot], distance[node, slot].astype(np.float64)
    order = np.lexsort((length, other, node))
    node, other, length = node[order], other[order], length[order]
    fresh = np.ones(len(node), dtype=np.bool_)
    fresh[1:] = (np.diff(node) != 0) | (np.diff(other) != 0) | (np.diff(length) > SAME_LENGTH)
    bond = np.cumsum(fresh) - 1
    multiplicity = np.bincount(bond)
    node, other = node[fresh], other[fresh]
    count = np.bincount(node, minlength=n_nodes)
    place = np.arange(len(node)) - (np.cumsum(count) - count)[node]
    shape = (n_nodes, int(count.max(initial=1)))
    merged = Bonds(np.zeros(shape, np.int64), np.zeros(shape, np.float32), np.zeros(shape, np.float32), count)
    merged.neighbours[node, place] = other
    merged.distance[node, place] = np.bincount(bond, weights=length) / multiplicity
    merged.weight[node, place] = multiplicity / math.sqrt(n_slots)
    return merged
