"""Periodic neighbour lists of many crystals in one call.

Crystals are passed as flat arrays with offsets: crystal ``b`` owns the atoms ``offsets[b]`` to ``offsets[b +
1] - 1``. The compiled searches are in ``shc.kernels.neighbours_full`` and ``shc.kernels.neighbours_nearest``:
lattice translations are enumerated within exact bounds for small crystals; atoms of large ones are sorted into
bins, so the cost is linear in their number. The NumPy twin in ``shc.kernels.reference`` follows the same rules.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from shc.kernels import neighbours_full, neighbours_nearest
from shc.kernels.neighbours_cell import CUTOFF_SLACK
from shc.kernels.neighbours_full import BIN_THRESHOLD

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "BIN_THRESHOLD",
    "CUTOFF_SLACK",
    "MAX_PAIRS",
    "TIE_TOLERANCE",
    "FullList",
    "Nearest",
    "full_list",
    "k_nearest",
]

TIE_TOLERANCE = 1e-3
"""Width of the shells within which neighbours count as equally far (Angstrom)."""
MAX_PAIRS = 2**31
"""A call that expects more pairs than this is refused: it would fill the memory."""
_FLATTEST = 1e-9


class FullList(NamedTuple):
    """All pairs within a cutoff, sorted by crystal, ``i``, ``j`` and translation."""

    i: NDArray[np.int32]
    """``[n_pairs]`` centre, counted within its crystal."""
    j: NDArray[np.int32]
    """``[n_pairs]`` neighbour, counted within its crystal."""
    shift: NDArray[np.int32]
    """``[n_pairs, 3]`` lattice translation of the neighbour, in cells."""
    distance: NDArray[np.float64]
    """``[n_pairs]`` Angstrom."""
    pair_offsets: NDArray[np.int64]
    """``[B + 1]`` first pair of every crystal."""


class Nearest(NamedTuple):
    """The K nearest neighbours of chosen atoms, nearest first."""

    atom: NDArray[np.int32]
    """``[n_centres, K]`` neighbour, counted within its crystal; -1 is padding."""
    shift: NDArray[np.int32]
    """``[n_centres, K, 3]`` lattice translation of the neighbour, in cells; 0 in padding."""
    distance: NDArray[np.float64]
    """``[n_centres, K]`` Angstrom; 0 in padding."""


def full_list(lattice: ArrayLike, frac: ArrayLike, offsets: ArrayLike, cutoff: float) -> FullList:
    """Find all pairs of atoms within a cutoff, in both directions.

    A pair is kept if ``distance <= cutoff + CUTOFF_SLACK``; an atom is no neighbour of itself, but its
    periodic images are. The separation is ``(frac[j] + shift - frac[i]) @ lattice`` for the positions as
    given, which need not lie in [0, 1).

    Args:
        lattice: ``[B, 3, 3]`` lattice vectors as rows, Angstrom.
        frac: ``[n, 3]`` fractional positions of all crystals.
        offsets: ``[B + 1]`` first atom of every crystal.
        cutoff: Radius, Angstrom.

    Returns:
        The pairs, sorted by crystal, ``i``, ``j`` and translation (lexicographic).

    Raises:
        ValueError: If shapes do not fit, numbers are not finite, a cell has no volume, the cutoff is not positive,
            or more than ``MAX_PAIRS`` pairs are to be expected.
    """
    cell, position, first = _checked(lattice, frac, offsets, cutoff)
    n_atoms = np.diff(first).astype(np.float64)
    per_atom = 4.0 / 3.0 * math.pi * cutoff**3 / np.abs(np.linalg.det(cell))
    # The mean over all positions of the atoms is exact; the rest is room for fluctuations.
    expected = float(np.sum(n_atoms * (n_atoms * per_atom * 1.05 + 4.0))) + 1000.0
    if not expected < MAX_PAIRS:
        raise ValueError(
            f"about {expected:.1e} pairs within {cutoff:g} Angstrom are more than {MAX_PAIRS:.1e}: "
            "the cell is too small or the cutoff too large"
        )
    return FullList(*neighbours_full.full_list(cell, position, first, float(cutoff), int(expected)))


def k_nearest(
    lattice: ArrayLike,
    frac: ArrayLike,
    offsets: ArrayLike,
    cutoff: float,
    k: int,
    *,
    centres: ArrayLike | None = None,
    centre_offsets: ArrayLike | None = None,
    tie_tolerance: float = TIE_TOLERANCE,
) -> Nearest:
    """Find the ``k`` nearest neighbours of chosen atoms within a cutoff.

    Neighbours obey the rule of ``full_list`` and are ordered by shell, then atom ``j``, then translation
    (lexicographic); the first ``k`` in this order are kept. The shell is ``floor(d / tie_tolerance + 0.5)``
    of the distance ``d`` rounded to 1e-9 Angstrom, so the order does not hang on the last bits of equal
    distances.

    Args:
        lattice: ``[B, 3, 3]`` lattice vectors as rows, Angstrom.
        frac: ``[n, 3]`` fractional positions of all crystals.
        offsets: ``[B + 1]`` first atom of every crystal.
        cutoff: Radius, Angstrom.
        k: Number of neighbours.
        centres: ``[n_centres]`` indices into ``frac``, sorted by crystal; all atoms if None.
        centre_offsets: ``[B + 1]`` first centre of every crystal; given together with ``centres``.
        tie_tolerance: Width of a shell, Angstrom.

    Returns:
        The neighbours; rows with fewer than ``k`` end in padding.

    Raises:
        ValueError: If shapes do not fit, numbers are not finite, a cell has no volume, a centre lies outside its
            crystal, or ``cutoff``, ``k`` or ``tie_tolerance`` is not positive.
    """
    cell, position, first = _checked(lattice, frac, offsets, cutoff)
    if k < 1:
        raise ValueError(f"k must be at least 1, not {k}")
    if not (tie_tolerance > 0.0 and math.isfinite(tie_tolerance)):
        raise ValueError(f"tie_tolerance must be positive, not {tie_tolerance}")
    if (centres is None) != (centre_offsets is None):
        raise ValueError("centres and centre_offsets belong together")
    if centres is None or centre_offsets is None:
        chosen, first_centre = _integers(np.arange(position.shape[0])), first
    else:
        chosen, first_centre = _integers(centres), _checked_offsets(centre_offsets, "centre_offsets")
        if chosen.ndim != 1 or first_centre.shape != first.shape or first_centre[-1] != chosen.shape[0]:
            raise ValueError("centre_offsets must be [B + 1] and end at the number of centres")
        low, high = (np.repeat(edge, np.diff(first_centre)) for edge in (first[:-1], first[1:]))
        if np.any((chosen < low) | (chosen >= high)):
            raise ValueError("a centre lies outside its crystal")
    found = neighbours_nearest.k_nearest(
        cell, position, first, float(cutoff), int(k), chosen, first_centre, float(tie_tolerance)
    )
    return Nearest(*found)


def _floats(values: ArrayLike) -> NDArray[np.float64]:
    """One memory layout for all callers, hence one compiled version of every kernel."""
    array: NDArray[np.float64] = np.require(values, np.float64, ["C", "W"])
    return array


def _integers(values: ArrayLike) -> NDArray[np.int64]:
    """As ``_floats``."""
    array: NDArray[np.int64] = np.require(values, np.int64, ["C", "W"])
    return array


def _checked_offsets(values: ArrayLike, name: str) -> NDArray[np.int64]:
    """Offsets that start at zero and never fall."""
    offsets = _integers(values)
    if offsets.ndim != 1 or offsets.shape[0] < 1 or offsets[0] != 0 or np.any(np.diff(offsets) < 0):
        raise ValueError(f"{name} must be one-dimensional, start at 0 and never fall")
    return offsets


def _checked(
    lattice: ArrayLike, frac: ArrayLike, offsets: ArrayLike, cutoff: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Arrays as the kernels expect them."""
    cell, position, first = (
        _floats(lattice),
        _floats(frac),
        _checked_offsets(offsets, "offsets"),
    )
    if not (cutoff > 0.0 and math.isfinite(cutoff)):
        raise ValueError(f"cutoff must be positive, not {cutoff}")
    if cell.shape != (first.shape[0] - 1, 3, 3):
        raise ValueError(f"lattice must be [{first.shape[0] - 1}, 3, 3] to fit the offsets, not {list(cell.shape)}")
    if position.shape != (int(first[-1]), 3):
        raise ValueError(f"frac must be [{first[-1]}, 3] to fit the offsets, not {list(position.shape)}")
    _reject(~np.all(np.isfinite(cell), axis=(1, 2)), "holds a number that is not finite")
    # A volume far below that of a box with the same edges is zero up to the rounding of a text file.
    box = np.prod(np.linalg.norm(cell, axis=2), axis=1)
    _reject(~(np.abs(np.linalg.det(cell)) > _FLATTEST * box), "has no volume")
    if not np.isfinite(position).all():
        atom = int(np.argmin(np.isfinite(position).all(axis=1)))
        crystal = int(np.searchsorted(first, atom, side="right")) - 1
        raise ValueError(f"position {atom - first[crystal]} of crystal {crystal} is not finite")
    return cell, position, first


def _reject(bad: NDArray[np.bool_], what: str) -> None:
    """Raise for the first crystal marked."""
    if np.any(bad):
        raise ValueError(f"the cell of crystal {int(np.argmax(bad))} {what}")
