"""Conventional cells of a crystal that has been reduced by symmetry: all that might serve as the standard one.

A cell is a matrix of integers ``[3, 3]``: its vectors a, b, c as rows, in units of the primitive lattice vectors. All
are right-handed. Of cells that a rotation of the Laue class joins, one is enough; others may occur.
"""

from __future__ import annotations

from functools import lru_cache, partial
from itertools import permutations, product
from typing import TYPE_CHECKING, Final

import numpy as np

from shc.featurize.prompt import space_group_facts

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from shc.featurize.symmetry import PrimitiveCrystal

TOLERANCE: Final = 1e-3
"""Lengths and cosines closer than this, relative, are equal: rounding must not decide."""
_GRID: Final = np.array([v for v in product(range(-4, 5), repeat=3) if any(v)], dtype=np.int64)
"""Where lattice vectors are sought, in units of the reduced primitive ones."""
_TRACE: Final = {2: -1, 3: 0, 4: 1, 6: 2}


def conventional_cells(crystal: PrimitiveCrystal) -> NDArray[np.int64]:
    """List conventional cells with short vectors along and across the axes of symmetry.

    Args:
        crystal: Its ``lattice``, ``rotations`` and ``space_group_number`` count.

    Returns:
        ``[n, 3, 3]`` cells, n from 1 to 24. They differ in what the Laue class leaves open: the order of axes of
        equal kind, the sense of axes, the vectors across a monoclinic axis. Centrings and glides are not looked at.
    """
    return _CELLS[space_group_facts(crystal.space_group_number).tensor_form](crystal)


def _of_order(crystal: PrimitiveCrystal, order: int) -> NDArray[np.int64]:
    """The rotations ``[n, 3, 3]`` of order 2, 3, 4 or 6 of the Laue class: inversion counts for nothing."""
    return _with_order(crystal.rotations.tobytes(), order)


@lru_cache(maxsize=8192)
def _with_order(operations: bytes, order: int) -> NDArray[np.int64]:
    """The same for packed rotations; kept, as few distinct sets of operations occur among many crystals."""
    rotations = np.frombuffer(operations, dtype=np.int32).reshape(-1, 3, 3).astype(np.int64)
    signs = np.rint(np.linalg.det(rotations)).astype(np.int64)
    fitting = signs * np.trace(rotations, axis1=1, axis2=2) == _TRACE[order]
    return _distinct(signs[fitting, None, None] * rotations[fitting])


def _distinct(matrices: NDArray[np.int64]) -> NDArray[np.int64]:
    """Matrices ``[n, 3, 3]`` without repetitions, in their order."""
    return np.array(list({matrix.tobytes(): matrix for matrix in matrices}.values()), dtype=np.int64)


def _axis(rotation: NDArray[np.int64], order: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Shortest lattice vector ``[3]`` along a rotation axis, and the sum ``[3, 3]`` over the powers of the rotation."""
    return _axis_of(rotation.tobytes(), order)


@lru_cache(maxsize=8192)
def _axis_of(packed: bytes, order: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The same for a packed rotation."""
    rotation = np.frombuffer(packed, dtype=np.int64).reshape(3, 3)
    power, total = np.eye(3, dtype=np.int64), np.zeros((3, 3), dtype=np.int64)
    for _ in range(order):
        total += power
        power = power @ rotation
    column = total[:, int(np.abs(total).sum(axis=0).argmax())]
    return np.asarray(column // np.gcd.reduce(column)), total


def _across(crystal: PrimitiveCrystal, total: NDArray[np.int64]) -> NDArray[np.int64]:
    """Lattice vectors ``[n, 3]`` at right angles to an axis, shortest first; `_axis` gives the sum over powers."""
    found = _GRID[(_GRID @ total.T == 0).all(axis=1)]
    lengths = np.linalg.norm(found @ crystal.lattice, axis=1)
    return np.asarray(found[np.argsort(np.rint(lengths / (TOLERANCE * lengths.min())), kind="stable")])


def _right_handed(cells: NDArray[np.int64], vector: int) -> NDArray[np.int64]:
    """The cells with one vector turned round where needed; the primitive cell is right-handed."""
    cells = cells.copy()
    cells[:, vector] *= np.sign(np.linalg.det(cells)).astype(np.int64)[:, None]
    return cells


def _triclinic(crystal: PrimitiveCrystal) -> NDArray[np.int64]:
    """The reduced cell, as the primitive one is, with its axes in any order and sense."""
    del crystal
    signs = [np.diag([1, s, t]) for s, t in product((1, -1), repeat=2)]
    orders = [np.eye(3, dtype=np.int64)[list(order)] for order in permutations(range(3))]
    cells = np.array([order @ sign for order in orders for sign in signs])
    return np.asarray(cells * np.rint(np.linalg.det(cells)).astype(np.int64)[:, None, None])


def _monoclinic(crystal: PrimitiveCrystal) -> NDArray[np.int64]:
    """Cells with b along the axis, a and c two of the three shortest vectors across it, at no acute angle."""
    axis, total = _axis(_of_order(crystal, 2)[0], 2)
    plane = _across(crystal, total)
    first = plane[0]
    second = plane[np.cross(plane, first).any(axis=1)][0]
    if (first @ crystal.lattice) @ (second @ crystal.lattice) > 0.0:
        second = -second
    pairs = [*permutations((first, second, -first - second), 2), (first, -second), (second, -first)]
    cells = _right_handed(np.array([(a, axis, c) for a, c in pairs]), 1)
    a, _, c = (cells @ crystal.lattice).transpose(1, 0, 2)
    cosines = (a * c).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(c, axis=1)
    return np.asarray(cells[cosines < TOLERANCE])


def _orthorhombic(crystal: PrimitiveCrystal) -> NDArray[np.int64]:
    """Cells along the three twofold axes, in any order."""
    axes = np.array([_axis(rotation, 2)[0] for rotation in _of_order(crystal, 2)])
    return _right_handed(np.array([axes[list(order)] for order in permutations(range(3))]), 2)


def _cubic(crystal: PrimitiveCrystal) -> NDArray[np.int64]:
    """Cells along the three axes; in two orders where no rotation joins these."""
    fourfold = _of_order(crystal, 4)
    twofold = _distinct(fourfold @ fourfold) if len(fourfold) else _of_order(crystal, 2)
    axes = np.array([_axis(rotation, 2)[0] for rotation in twofold])
    return _right_handed(np.array([axes] if len(fourfold) else [axes, axes[[1, 0, 2]]]), 2)


def _about_an_axis(crystal: PrimitiveCrystal, order: int) -> NDArray[np.int64]:
    """Cells with c along the main axis, up or down, and a along the shortest vector across it, in either sense."""
    rotation = _of_order(crystal, order)[0]
    axis, total = _axis(rotation, order)
    a = _across(crystal, total)[0]
    b = (rotation @ rotation if order == 6 else rotation) @ a
    back = -b if order == 4 else -a - b  # where the inverse rotation takes a
    cells = [(sense * a, sense * turned, axis) for turned in (b, back) for sense in (1, -1)]
    return _right_handed(np.array(cells), 2)


_CELLS: Final[dict[str, Callable[[PrimitiveCrystal], NDArray[np.int64]]]] = {
    "-1": _triclinic,
    "2/m": _monoclinic,
    "mmm": _orthorhombic,
    **dict.fromkeys(("4/m", "4/mmm"), partial(_about_an_axis, order=4)),
    **dict.fromkeys(("-3", "-3m1", "-31m"), partial(_about_an_axis, order=3)),
    **dict.fromkeys(("6/m", "6/mmm"), partial(_about_an_axis, order=6)),
    **dict.fromkeys(("m-3", "m-3m"), _cubic),
}
