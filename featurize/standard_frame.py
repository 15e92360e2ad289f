"""The standard Cartesian frame of a crystal: the one in which symmetry alone says what its tensors look like.

Frame: x along a, z along c*, right-handed, where a, b, c is a conventional cell in the standard setting of the space
group: monoclinic cells have their axis along b, hexagonal and rhombohedral lattices are seen in hexagonal axes
(obverse). The proper rotations of the Laue class are then `shc.featurize.tensor_symmetry.standard_laue_rotations`.

What the setting leaves open is decided by the crystal itself, so that the frame turns with it. Short axes come
first; between cells that the lattice cannot tell apart the surroundings of the atoms decide: a polynomial that
changes its sign from one cell to the other is averaged over pairs of atoms and has to be positive.

Source: International Tables for Crystallography A (2016), sections 1.5 (settings), 3.1 (conventional and reduced
cells) and 3.5 (normalizers: cells that a space group does not tell apart).
"""

from __future__ import annotations

from functools import lru_cache
from itertools import product
from typing import TYPE_CHECKING, Final

import numpy as np

from shc.featurize.prompt import space_group_facts
from shc.featurize.prompt_table import standard_operations
from shc.featurize.standard_cells import TOLERANCE, conventional_cells

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from shc.featurize.symmetry import PrimitiveCrystal

    Setting = frozenset[tuple[int, ...]]

FRAME_VERSION: Final = 1
"""Raised whenever a crystal may get another frame."""
REACH: Final = 7.0
"""Distance at which the weight of a pair of atoms has fallen to 0, Angstrom."""
_SHAPE_TOLERANCE: Final = 1e-5
"""Averages of polynomials of unit vectors closer than this are equal."""
_CORNERS: Final = np.array(list(product(range(3), repeat=3)), dtype=np.int64)
"""Lattice points, enough of them to see all centrings."""
_STEPS: Final = 12
"""Centrings, glides and screws are multiples of 1/12 of a conventional edge."""
_FINE_STEPS: Final = 12000
"""Translations are rounded to 1/12000 of a cell edge to recognise the same set of operations again."""


def standard_rotation(crystal: PrimitiveCrystal) -> NDArray[np.float64]:
    """Find the rotation from the frame of the cell as read to the standard frame.

    Args:
        crystal: A crystal reduced by symmetry; ``translations`` tell the setting, atoms where no axis can.

    Returns:
        ``[3, 3]`` proper rotation Q: ``v_standard = Q @ v_read`` for a column of Cartesian components, and
        ``t_standard[i, j, k] = Q_ia Q_jb Q_kc t_read[a, b, c]``. Of a crystal turned by U it is ``Q @ U.T``, up to
        a rotation of the Laue class, which no tensor of the crystal feels.
    """
    form = space_group_facts(crystal.space_group_number).tensor_form
    cells = _in_setting(conventional_cells(crystal), crystal) @ crystal.lattice
    cells = cells[_best(_lattice_keys(form, cells), TOLERANCE)]
    frames = _frames(cells)
    if len(frames) > 1 and form in _POLYNOMIALS:
        vectors, weights = _pairs(crystal)
        seen = (frames @ vectors.T).transpose(1, 0, 2)
        keys = np.stack([values @ weights for values in _POLYNOMIALS[form](seen)], axis=1)
        frames = frames[_best(keys, _SHAPE_TOLERANCE)]
    return np.asarray(frames[0], dtype=np.float64)


def _frames(cells: NDArray[np.float64]) -> NDArray[np.float64]:
    """Axes x along a, z along c* of right-handed cells ``[n, 3, 3]``, as rows ``[n, 3, 3]``."""
    axes, steps = np.linalg.qr(cells.transpose(0, 2, 1))
    return np.asarray((axes * np.sign(np.diagonal(steps, axis1=1, axis2=2))[:, None, :]).transpose(0, 2, 1))


def _best(keys: NDArray[np.float64], tolerance: float) -> NDArray[np.intp]:
    """Indices of the largest rows of ``[n, m]`` keys: the first column decides, equal values leave it to the next."""
    left = np.arange(len(keys))
    for column in keys.T:
        left = left[column[left] >= column[left].max() - tolerance]
    return left


def _setting(rotations: NDArray[np.int64], translations: NDArray[np.float64], centring: NDArray[np.float64]) -> Setting:
    """What does not depend on the origin of operations ``[n, 3, 3]``, ``[n, 3]`` of a conventional cell.

    Of each operation that does no more than change signs of coordinates: the signs, and its translation along the
    coordinates it keeps, in 1/12, with each of the centrings ``[m, 3]``. They tell glides and screws, and, for the
    identity, the centring.
    """
    signs = np.diagonal(rotations, axis1=1, axis2=2)
    simple = np.abs(rotations).sum(axis=(1, 2)) == np.abs(signs).sum(axis=1)
    steps = np.rint(_STEPS * (translations[simple, None, :] + centring)).astype(np.int64) % _STEPS
    signs = np.broadcast_to(signs[simple, None, :], steps.shape)
    return frozenset(map(tuple, np.concatenate([signs, steps * (signs > 0)], axis=2).reshape(-1, 6).tolist()))


@lru_cache(maxsize=230)
def _standard_setting(space_group_number: int) -> Setting:
    """The setting of spglib's database."""
    _, rotations, translations = standard_operations(space_group_number)
    return _setting(rotations.astype(np.int64), translations, np.zeros((1, 3)))


@lru_cache(maxsize=8192)
def _fitting(space_group_number: int, cells: bytes, rotations: bytes, steps: bytes) -> list[int]:
    """Which cells show the standard setting; kept, as few distinct sets of operations occur among many crystals."""
    wanted = _standard_setting(space_group_number)
    found = []
    for index, cell in enumerate(np.frombuffer(cells, dtype=np.int64).reshape(-1, 3, 3)):
        to_cell = np.linalg.inv(cell.T)
        matrices = np.rint(to_cell @ np.frombuffer(rotations, dtype=np.int32).reshape(-1, 3, 3) @ cell.T)
        translations = np.frombuffer(steps, dtype=np.int32).reshape(-1, 3) / _FINE_STEPS @ to_cell.T
        if _setting(matrices.astype(np.int64), translations, _CORNERS @ to_cell.T) == wanted:
            found.append(index)
    return found


def _in_setting(cells: NDArray[np.int64], crystal: PrimitiveCrystal) -> NDArray[np.int64]:
    """Those of some cells in which the space group is in its standard setting; all if that holds for none."""
    if len(cells) == 1 or crystal.space_group_number <= 2:
        return cells
    steps = np.rint(crystal.translations * _FINE_STEPS).astype(np.int32)
    found = _fitting(crystal.space_group_number, cells.tobytes(), crystal.rotations.tobytes(), steps.tobytes())
    return cells[found] if found else cells


def _lattice_keys(form: str, cells: NDArray[np.float64]) -> NDArray[np.float64]:
    """Keys ``[n, m]`` of cells ``[n, 3, 3]`` for `_best`: short axes first."""
    lengths = np.linalg.norm(cells, axis=2)
    a, b, c = (lengths / lengths.min()).T
    if form == "mmm":
        return -np.stack([a, b], axis=1)
    if form == "2/m":
        return -np.stack([a + c, a], axis=1)
    if form == "-1":
        units = cells / lengths[:, :, None]
        cosines = (units @ units.transpose(0, 2, 1))[:, [1, 0, 0], [2, 2, 1]]
        n_acute, n_obtuse = (cosines > TOLERANCE).sum(axis=1), (cosines < -TOLERANCE).sum(axis=1)
        return -np.stack([a, b, np.minimum(n_acute, n_obtuse)], axis=1)  # no acute angle, or no obtuse one
    return np.zeros((len(cells), 1))


def _pairs(crystal: PrimitiveCrystal) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Directions ``[n, 3]`` from the first atom of each orbit to the atoms around it, and their weights ``[n]``.

    The weights add up to 1. They fall smoothly with the distance and grow with the atomic numbers of both.
    """
    first, count = np.unique(crystal.orbit, return_index=True, return_counts=True)[1:]
    heights = 1.0 / np.linalg.norm(np.linalg.inv(crystal.lattice), axis=0)
    ranges = [range(-n, n + 1) for n in np.ceil(REACH / heights).astype(int).tolist()]
    shifts = np.array(list(product(*ranges)), dtype=np.float64)
    between = crystal.frac[None, :, :] - crystal.frac[first][:, None, :]
    between -= np.rint(between)
    vectors = ((between[:, :, None, :] + shifts).reshape(-1, 3)) @ crystal.lattice
    squares = np.square(vectors).sum(axis=1)
    masses = np.outer(count * crystal.atomic_number[first], crystal.atomic_number)
    near = (squares < REACH**2) & (squares > 1e-6)
    vectors, squares = vectors[near], squares[near]
    weights = np.repeat(masses.reshape(-1), len(shifts))[near] * (1.0 - squares / REACH**2) ** 8
    return vectors / np.sqrt(squares)[:, None], weights / weights.sum()


def _angular(v: NDArray[np.float64], order: int) -> NDArray[np.complex128]:
    """``(x + iy)^order`` of vectors ``[3, ...]``."""
    return np.asarray((v[0] + 1j * v[1]) ** order, dtype=np.complex128)


def _cubic(v: NDArray[np.float64]) -> NDArray[np.float64]:
    """``(x^2 - y^2)(y^2 - z^2)(z^2 - x^2)`` of vectors ``[3, ...]``."""
    x, y, z = np.square(v)
    return np.asarray((x - y) * (y - z) * (z - x), dtype=np.float64)


_POLYNOMIALS: Final[dict[str, Callable[[NDArray[np.float64]], list[NDArray[np.float64]]]]] = {
    "-1": lambda v: [v[0] * v[2], v[1] * v[2]],
    "2/m": lambda v: [v[0] * v[2]],
    "mmm": lambda v: [v[0] * v[0], v[1] * v[1]],
    "4/m": lambda v: [_angular(v, 4).imag],
    "-3": lambda v: [_angular(v, 3).imag * v[2], _angular(v, 3).real * v[2]],
    "-3m1": lambda v: [_angular(v, 3).imag * v[2]],
    "-31m": lambda v: [_angular(v, 3).real * v[2]],
    "6/m": lambda v: [_angular(v, 6).imag],
    "m-3": lambda v: [_cubic(v)],
}
"""Polynomials that the Laue class leaves alone and that change from one of the cells left open to another."""
