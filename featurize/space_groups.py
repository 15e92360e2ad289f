"""Symmetry operations of a space group that a file names by symbol or number."""

from __future__ import annotations

import re
from functools import lru_cache

import gemmi

from shc.featurize.errors import ShcError

_HINT = "list the symmetry operations, or give a Hermann-Mauguin symbol with its setting"


def operations_of_hall(symbol: str) -> tuple[str, ...]:
    """Return the coordinate triplets of a Hall symbol, empty if it is none."""
    try:
        return tuple(operation.triplet() for operation in gemmi.symops_from_hall(symbol))
    except (RuntimeError, ValueError):
        return ()


@lru_cache(maxsize=1024)
def operations_of_group(symbol: str, number: int, alpha: float, gamma: float) -> list[tuple[str, ...]]:
    """Return the coordinate triplets of a named space group.

    Args:
        symbol: Hermann-Mauguin symbol, spaces optional, setting optional (``F d -3 m :2``); may be empty.
        number: 1 to 230, or 0 if unknown. Without a symbol the reference setting is meant.
        alpha: Cell angle in degrees; with gamma it tells rhombohedral from hexagonal axes.
        gamma: Cell angle in degrees.

    Returns:
        One list of triplets, or two, for the two origins, where the symbol leaves the origin open.

    Raises:
        ShcError: The space group is unknown, or symbol and number disagree.
    """
    symbol = symbol[:60]
    # ICSD marks the two origins with S and Z.
    name = re.sub(r"[\s:]*S$", ":1", re.sub(r"[\s:]*Z$", ":2", symbol.replace("_", " ")))
    group = None
    for spelling in (name, name.replace(" ", "")):
        if group is None and spelling:
            group = gemmi.find_spacegroup_by_name(spelling, alpha, gamma)
    if group is None and 1 <= number <= 230:
        name = gemmi.find_spacegroup_by_number(number).hm
        group = gemmi.find_spacegroup_by_name(name, alpha, gamma)
    if group is None:
        raise ShcError(f"unknown space group {symbol or str(number)!r}, and no operations", _HINT)
    if number and group.number != number:
        raise ShcError(
            f"the space group symbol {symbol!r} has number {group.number}, but the file says {number}", _HINT
        )
    groups = [group]
    if group.ext in {"1", "2"} and not re.search(r":\s*[12]$", name):
        groups = [gemmi.find_spacegroup_by_name(f"{group.hm}:{origin}") for origin in "12"]
    return [tuple(operation.triplet() for operation in each.operations()) for each in groups]
