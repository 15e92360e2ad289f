"""What symmetry leaves of the spin Hall conductivity tensor: allowed components, relations, types.

The tensor ``shc[i, j, k]`` (spin current along i, field along j, spin along k) is even under time reversal
and inversion and transforms as ``shc'_ijk = det(R) R_ia R_jb R_kc shc_abc``: only the Laue class shapes it.

Source: M. Seemann, D. Koedderitzsch, S. Wimmer, H. Ebert, Phys. Rev. B 92, 155138 (2015), tables of the spin
conductivity tensor; A. Roy, M. H. D. Guimaraes, J. Slawinska, arXiv:2110.09242 (2021), unconventional spin
Hall effects of the 230 space groups.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

from shc.featurize.prompt import space_group_facts

if TYPE_CHECKING:
    from numpy.typing import NDArray

TYPES: Final = ("I", "II", "III", "IV", "longitudinal")
"""I: i, j, k all different (conventional). II: spin along the spin current, ``k = i != j``. III: spin current
along the field, ``i = j != k``. IV: spin along the field, ``k = j != i``. Longitudinal: ``i = j = k``."""

COMPONENT_TYPE: Final[NDArray[np.int64]] = np.array(
    [
        0 if len({i, j, k}) == 3 else 4 if i == j == k else 1 if k == i else 2 if i == j else 3
        for i in range(3)
        for j in range(3)
        for k in range(3)
    ]
)
"""``[27]`` index into `TYPES` of each component, ``[i, j, k]`` in C order."""

_ZERO: Final = 1e-9
_READING_ORDER: Final = np.arange(27).reshape(3, 3, 3).transpose(2, 0, 1).reshape(27)
"""Components in the order people read the three matrices: spin x, y, z, each row by row."""

_X2: Final = ((1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, -1.0))
_Y2: Final = ((-1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, -1.0))
_Z2: Final = ((-1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, 1.0))
_Z3: Final = ((-0.5, -(0.75**0.5), 0.0), (0.75**0.5, -0.5, 0.0), (0.0, 0.0, 1.0))
_Z4: Final = ((0.0, -1.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, 1.0))
_D3: Final = ((0.0, 0.0, 1.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
_GENERATORS: Final = {
    "-1": (),
    "2/m": (_Y2,),
    "mmm": (_X2, _Z2),
    "4/m": (_Z4,),
    "4/mmm": (_Z4, _X2),
    "-3": (_Z3,),
    "-3m1": (_Z3, _X2),
    "-31m": (_Z3, _Y2),
    "6/m": (_Z3, _Z2),
    "6/mmm": (_Z3, _Z2, _X2),
    "m-3": (_X2, _Z2, _D3),
    "m-3m": (_Z4, _D3),
}
"""Rotations that generate the proper part of the Laue class in the standard frame, for each form of the tensor."""


@lru_cache(maxsize=230)
def standard_laue_rotations(space_group_number: int) -> NDArray[np.float64]:
    """Give the proper rotations of a space group's Laue class in the standard frame: x along a, z along c*.

    Args:
        space_group_number: 1 to 230; the frame is that of the standard setting, unique axis b, hexagonal axes.

    Returns:
        ``[n, 3, 3]`` read-only orthogonal matrices, the identity first.

    Raises:
        ValueError: The number is outside 1 to 230.

    Source: International Tables for Crystallography A (2016), section 2.1.3.4, directions of the symbols.
    """
    group = [np.eye(3)]
    for member in group:
        for generator in _GENERATORS[space_group_facts(space_group_number).tensor_form]:
            new = np.array(generator) @ member
            if not any(np.allclose(new, old) for old in group):
                group.append(new)
    rotations = np.array(group)
    rotations.setflags(write=False)
    return rotations


@lru_cache(maxsize=230)
def standard_projector(space_group_number: int) -> NDArray[np.float64]:
    """Build the projector on the tensors that a space group allows in the standard frame.

    Args:
        space_group_number: 1 to 230; see `standard_laue_rotations` for the frame.

    Returns:
        ``[27, 27]`` read-only symmetric projector; components ``[i, j, k]`` in C order.

    Raises:
        ValueError: The number is outside 1 to 230.
    """
    projector = allowed_projector(standard_laue_rotations(space_group_number))
    projector.setflags(write=False)
    return projector


def allowed_projector(rotations: NDArray[np.float64]) -> NDArray[np.float64]:
    """Build the projector on the tensors that a point group allows.

    Args:
        rotations: ``[n_ops, 3, 3]`` Cartesian orthogonal matrices of the whole group.

    Returns:
        ``[27, 27]`` symmetric projector; components ``[i, j, k]`` in C order.

    Raises:
        ValueError: The matrices are not orthogonal or do not form a group.
    """
    rotations = np.asarray(rotations, dtype=np.float64)
    if not np.allclose(rotations @ rotations.transpose(0, 2, 1), np.eye(3), atol=1e-6):
        raise ValueError("Cartesian rotations must be orthogonal")
    signs = np.linalg.det(rotations)
    products = np.einsum("n,nia,njb,nkc->ijkabc", signs, rotations, rotations, rotations, optimize=True)
    projector = np.asarray(products, dtype=np.float64).reshape(27, 27) / len(rotations)
    if not np.allclose(projector @ projector, projector, atol=1e-6):
        raise ValueError("rotations do not form a group")
    return projector


def tensor_dimension(projector: NDArray[np.float64]) -> int:
    """Count the independent components of the allowed tensors: the trace of the projector."""
    return round(float(np.trace(projector)))


def allowed_components(projector: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell which components may differ from zero: ``[27]``, ``[i, j, k]`` in C order."""
    return np.asarray(np.diagonal(projector) > _ZERO, dtype=np.bool_)


def allowed_basis(projector: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Express every component through independent ones.

    Args:
        projector: ``[27, 27]`` from `allowed_projector`.

    Returns:
        ``independent [d]``: C-order indices of the independent components, the first ones in reading order
        (matrices of spin x, y, z, each row by row); ``basis [d, 27]``: any allowed tensor is
        ``tensor.ravel() = tensor.ravel()[independent] @ basis``.
    """
    rows = np.array(projector[:, _READING_ORDER])
    pivots: list[int] = []
    for column in range(27):
        rank = len(pivots)
        if rank == tensor_dimension(projector):
            break
        best = rank + int(np.argmax(np.abs(rows[rank:, column])))
        if abs(rows[best, column]) < 1e-6:
            continue
        rows[[rank, best]] = rows[[best, rank]]
        rows[rank] /= rows[rank, column]
        others = np.arange(27) != rank
        rows[others] -= np.outer(rows[others, column], rows[rank])
        pivots.append(column)
    basis = np.zeros((len(pivots), 27))
    basis[:, _READING_ORDER] = rows[: len(pivots)]
    basis[np.abs(basis) < _ZERO] = 0.0
    return _READING_ORDER[pivots], basis


def type_counts(projector: NDArray[np.float64]) -> NDArray[np.int64]:
    """Count, for each of `TYPES`, the linearly independent components of that type: ``[5]``.

    The sum over the types may exceed the dimension of the allowed tensors, since relations join types.
    """
    _, basis = allowed_basis(projector)
    if not len(basis):
        return np.zeros(len(TYPES), dtype=np.int64)
    ranks = [int(np.linalg.matrix_rank(basis[:, kind == COMPONENT_TYPE], tol=1e-6)) for kind in range(len(TYPES))]
    return np.array(ranks, dtype=np.int64)


def component_name(index: int) -> str:
    """Name a component in C order, such as ``xy^z`` for spin current x, field y, spin z."""
    i, j, k = np.unravel_index(index, (3, 3, 3))
    return f"{'xyz'[i]}{'xyz'[j]}^{'xyz'[k]}"


def _letter(index: int) -> str:
    """Letters a to z, then A."""
    return "abcdefghijklmnopqrstuvwxyzA"[index]


def _term(coefficient: float, letter: str) -> str:
    """One signed term: ``+a``, ``-a/2``, ``+0.8660a``."""
    sign = "-" if coefficient < 0 else "+"
    size = abs(coefficient)
    ratio = Fraction(size).limit_denominator(12)
    if abs(float(ratio) - size) > 1e-6:
        return f"{sign}{size:.4f}{letter}"
    top = "" if ratio.numerator == 1 else str(ratio.numerator)
    bottom = "" if ratio.denominator == 1 else f"/{ratio.denominator}"
    return f"{sign}{top}{letter}{bottom}"


def component_expressions(projector: NDArray[np.float64]) -> list[str]:
    """Write every component as a linear expression of independent letters.

    Args:
        projector: ``[27, 27]`` from `allowed_projector`.

    Returns:
        27 strings, ``[i, j, k]`` in C order: ``0``, ``a``, ``-a``, ``a/2+b/2`` ...
    """
    _, basis = allowed_basis(projector)
    out = []
    for column in basis.T:
        terms = [_term(c, _letter(n)) for n, c in enumerate(column) if abs(c) > 1e-6]
        out.append("".join(terms).removeprefix("+") or "0")
    return out


def component_relations(projector: NDArray[np.float64]) -> list[str]:
    """List what is equal or opposite, one line for each independent component.

    Args:
        projector: ``[27, 27]`` from `allowed_projector`.

    Returns:
        Lines such as ``a = yz^x = -zy^x = zx^y``; components that mix several letters follow, one line each.
    """
    independent, _ = allowed_basis(projector)
    expressions = component_expressions(projector)
    lines = []
    for n, pivot in enumerate(independent):
        letter = _letter(n)
        equal = [
            f"{expressions[c].removesuffix(letter)}{component_name(int(c))}"
            for c in _READING_ORDER
            if c != pivot and expressions[c] in {letter, f"-{letter}"}
        ]
        lines.append(" = ".join([letter, component_name(int(pivot)), *equal]))
    mixed = [c for c in _READING_ORDER if len(expressions[c].lstrip("-")) > 1]
    return lines + [f"{component_name(int(c))} = {expressions[c]}" for c in mixed]
