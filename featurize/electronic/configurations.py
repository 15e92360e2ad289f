"""Ground-state configurations of the atoms and the shells of the tight-binding basis."""

from __future__ import annotations

from functools import cache
from typing import Final, NamedTuple

LAST_ELEMENT: Final = 88
"""Heaviest element of the built-in electronic structure (Ra); actinides need f shells."""
LANTHANIDES: Final = range(58, 72)
"""Ce to Lu: their f shell is part of the core, three or two electrons are valence."""
_DIVALENT: Final = (63, 70)
_NOBLE: Final = (0, 2, 10, 18, 36, 54, 86, 118)
_MADELUNG: Final = (
    *((1, 0), (2, 0), (2, 1), (3, 0), (3, 1), (4, 0), (3, 2), (4, 1), (5, 0), (4, 2)),
    *((5, 1), (6, 0), (4, 3), (5, 2), (6, 1), (7, 0)),
)
# Ground states that leave the Madelung order: occupation of the outer s and d shells (NIST Atomic Spectra Database).
_EXCEPTIONS: Final = {
    24: (1, 5),
    29: (1, 10),
    41: (1, 4),
    42: (1, 5),
    44: (1, 7),
    45: (1, 8),
    46: (0, 10),
    47: (1, 10),
    78: (1, 9),
    79: (1, 10),
}


class Shell(NamedTuple):
    """A shell of an atom."""

    n: int
    l: int  # noqa: E741  # the angular momentum
    """Angular momentum."""


def period(z: int) -> int:
    """Row of the periodic table of element ``z``."""
    return next(row for row, last in enumerate(_NOBLE) if z <= last)


@cache
def configuration(z: int) -> dict[Shell, float]:
    """Electrons in every shell of the ground state; lanthanides in their valence state in solids.

    Args:
        z: Atomic number, 1 to 88.

    Source: NIST Atomic Spectra Database.
    """
    shells: dict[Shell, float] = {}
    left = z
    for n, l in _MADELUNG:  # noqa: E741
        electrons = min(left, 2 * (2 * l + 1))
        if electrons > 0:
            shells[Shell(n, l)] = float(electrons)
        left -= electrons
    if z in _EXCEPTIONS:
        n = period(z)
        s, d = _EXCEPTIONS[z]
        shells[Shell(n, 0)], shells[Shell(n - 1, 2)] = float(s), float(d)
    if z == 57 or (z in LANTHANIDES and z not in _DIVALENT):
        shells.pop(Shell(4, 3), None)
        if z > 58:
            shells[Shell(4, 3)] = float(z - 57)
        if z == 58:
            shells[Shell(4, 3)] = 1.0
        shells[Shell(5, 2)] = 1.0
    return {shell: electrons for shell, electrons in shells.items() if electrons > 0}


def _is_p_block(z: int) -> bool:
    row = period(z)
    return row > 1 and z > _NOBLE[row] - 6


@cache
def basis_shells(z: int) -> tuple[Shell, ...]:
    """Shells of the basis: s, p and, where an atom has or is polarised by one, d, in this order.

    Args:
        z: Atomic number, 1 to 88.
    """
    n = period(z)
    if n == 1:
        return (Shell(1, 0),)
    if n == 2 or z == 11:
        return (Shell(n, 0), Shell(n, 1))
    return (Shell(n, 0), Shell(n, 1), Shell(n if _is_p_block(z) or z == 12 else n - 1, 2))


@cache
def valence_electrons(z: int) -> float:
    """Electrons in the shells of the basis."""
    filled = configuration(z)
    return sum(filled.get(shell, 0.0) for shell in basis_shells(z))


@cache
def orbitals(z: int) -> tuple[int, ...]:
    """Orbitals of the basis among the nine of an s, p, d atom, see ``shc.kernels.slater_koster``."""
    spans = (range(1), range(1, 4), range(4, 9))
    return tuple(i for shell in basis_shells(z) for i in spans[shell.l])
