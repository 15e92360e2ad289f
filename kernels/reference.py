"""Plain NumPy twins of the kernels: slow, short, and the same rules. Tests hold the kernels against them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from shc.kernels.neighbours import CUTOFF_SLACK, TIE_TOLERANCE, FullList, Nearest

if TYPE_CHECKING:
    from numpy.typing import NDArray


def _pairs_of_crystal(
    lattice: NDArray[np.float64], frac: NDArray[np.float64], cutoff: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """All pairs of one crystal, sorted by (i, j, translation), by trying every translation of a large enough box."""
    limit = cutoff + CUTOFF_SLACK
    n = frac.shape[0]
    whole = np.floor(frac).astype(np.int64)
    wrapped = frac - whole
    # |f_x| * spacing_x <= distance, and wrapped positions differ by less than one cell.
    spacing = 1.0 / np.linalg.norm(np.linalg.inv(lattice), axis=0)
    reach = np.floor(limit / spacing + 1e-6).astype(np.int64) + 1
    box = np.stack(np.meshgrid(*(np.arange(-r, r + 1) for r in reach), indexing="ij"), axis=-1).reshape(-1, 3)
    found = []
    for i in range(n):
        separation = ((wrapped - wrapped[i])[:, None, :] + box[None, :, :]) @ lattice
        distance = np.sqrt(np.sum(separation**2, axis=-1))
        keep = distance <= limit
        keep[i, np.all(box == 0, axis=1)] = False
        j, t = np.nonzero(keep)
        shift = box[t] + whole[i] - whole[j]
        order = np.lexsort((shift[:, 2], shift[:, 1], shift[:, 0], j))
        found.append((np.full(j.shape, i), j[order], shift[order], distance[j, t][order]))
    return (
        np.concatenate([row[0] for row in found]),
        np.concatenate([row[1] for row in found]),
        np.concatenate([row[2] for row in found]),
        np.concatenate([row[3] for row in found]),
    )


def full_list(
    lattice: NDArray[np.float64], frac: NDArray[np.float64], offsets: NDArray[np.int64], cutoff: float
) -> FullList:
    """Twin of ``shc.kernels.neighbours.full_list``; same arguments and result.

    Args:
        lattice: ``[B, 3, 3]`` rows, Angstrom.
        frac: ``[n, 3]`` fractional positions.
        offsets: ``[B + 1]`` first atom of every crystal; no crystal may be empty.
        cutoff: Radius, Angstrom.

    Returns:
        The pairs, sorted by crystal, ``i``, ``j`` and translation.
    """
    parts = [
        _pairs_of_crystal(lattice[b], frac[offsets[b] : offsets[b + 1]], cutoff) for b in range(offsets.shape[0] - 1)
    ]
    return FullList(
        np.concatenate([part[0] for part in parts]).astype(np.int32),
        np.concatenate([part[1] for part in parts]).astype(np.int32),
        np.concatenate([part[2] for part in parts]).astype(np.int32),
        np.concatenate([part[3] for part in parts]),
        np.concatenate([[0], np.cumsum([part[0].shape[0] for part in parts])]).astype(np.int64),
    )


def tie_shell(distance: NDArray[np.float64], tie_tolerance: float) -> NDArray[np.float64]:
    """Shell numbers: ``floor(d / tie_tolerance + 0.5)`` of distances (Angstrom) rounded to 1e-9 Angstrom."""
    shell: NDArray[np.float64] = np.floor(np.floor(distance * 1e9 + 0.5) * (1e-9 / tie_tolerance) + 0.5)
    return shell


def k_nearest(
    lattice: NDArray[np.float64],
    frac: NDArray[np.float64],
    offsets: NDArray[np.int64],
    cutoff: float,
    k: int,
    *,
    tie_tolerance: float = TIE_TOLERANCE,
) -> Nearest:
    """Twin of ``shc.kernels.neighbours.k_nearest`` with every atom as a centre.

    Args:
        lattice: ``[B, 3, 3]`` rows, Angstrom.
        frac: ``[n, 3]`` fractional positions.
        offsets: ``[B + 1]`` first atom of every crystal; no crystal may be empty.
        cutoff: Radius, Angstrom.
        k: Number of neighbours.
        tie_tolerance: Width of a shell, Angstrom.

    Returns:
        The neighbours by (shell, ``j``, translation), padded to ``k``.
    """
    pairs = full_list(lattice, frac, offsets, cutoff)
    n = frac.shape[0]
    atom = np.full((n, k), -1, np.int32)
    shift = np.zeros((n, k, 3), np.int32)
    distance = np.zeros((n, k))
    crystal = np.repeat(np.arange(offsets.shape[0] - 1), np.diff(pairs.pair_offsets))
    centre = pairs.i + offsets[crystal]
    for i in range(n):
        mine = np.flatnonzero(centre == i)
        # The list is sorted by (j, translation) already and the sort is stable.
        best = mine[np.argsort(tie_shell(pairs.distance[mine], tie_tolerance), kind="stable")][:k]
        atom[i, : best.size] = pairs.j[best]
        shift[i, : best.size] = pairs.shift[best]
        distance[i, : best.size] = pairs.distance[best]
    return Nearest(atom, shift, distance)
