"""Chemical formulas of CIFs, and whether the atoms found agree with them."""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING

import gemmi

from shc.featurize.errors import ShcError
from shc.featurize.sites import element_number

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_TOLERANCE = 0.01
_SYMBOL = r"[A-Z][a-z]?"
_AMOUNT = r"\d+\.?\d*|\.\d+"


@lru_cache(maxsize=4096)
def formula_counts(formula: str) -> dict[int, float]:
    """Return the amount of each element, by atomic number, in a formula such as ``Na1 Cl1``.

    Empty for anything but symbols and amounts (``?``, groups in brackets, ``x``): nothing follows from it.
    """
    counts: dict[int, float] = {}
    for token in formula.split():
        if not re.fullmatch(rf"(?:{_SYMBOL}(?:{_AMOUNT})?)+", token):
            return {}
        for symbol, amount in re.findall(rf"({_SYMBOL})({_AMOUNT})?", token):
            number = element_number(symbol)
            if number == 0:
                return {}
            counts[number] = counts.get(number, 0.0) + float(amount or 1)
    return {number: amount for number, amount in counts.items() if amount > 0}


def expand_groups(formula: str) -> str:
    """Multiply out the groups in brackets of a formula: ``PbC2(SN)2`` becomes ``PbC2S2N2``."""
    while group := re.search(rf"\(((?:{_SYMBOL}(?:{_AMOUNT})?)+)\)({_AMOUNT})?", formula):
        times = float(group[2] or 1)
        parts = re.findall(rf"({_SYMBOL})({_AMOUNT})?", group[1])
        inside = "".join(f"{symbol}{float(amount or 1) * times:g}" for symbol, amount in parts)
        formula = formula[: group.start()] + inside + formula[group.end() :]
    return formula


def formula_in_text(text: str) -> str:
    """Return the formula of a CIF that cannot be parsed, empty if there is none."""
    pattern = r"^[ \t]*_chemical_formula_sum\s+(?:'([^'\n]*)'|\"([^\"\n]*)\"|(\S+))"
    match = re.search(pattern, text, re.MULTILINE | re.IGNORECASE)
    return next((group for group in match.groups() if group), "") if match else ""


def check_formula(formula: str, atomic_number: NDArray[np.int64], units: float = float("nan")) -> None:
    """Raise ShcError if the atoms of the cell disagree with the file's formula by more than 1 percent.

    A file cut off between two sites, or without its hydrogen positions, is caught here only.

    Args:
        formula: As the file writes it; no check is made if it is not plain.
        atomic_number: ``[n_atoms]`` atomic numbers of the cell.
        units: Formula units in the cell; NaN if they are not to be checked.
    """
    expected = formula_counts(formula)
    if not expected:
        return
    found = Counter(sorted(atomic_number.tolist()))
    if found.keys() == expected.keys():
        ratios = [found[number] / amount for number, amount in expected.items()]
        proportional = max(ratios) - min(ratios) <= _TOLERANCE * max(ratios)
        if proportional and not abs(ratios[0] - units) > _TOLERANCE * units:
            return
    listed = " ".join(f"{gemmi.Element(number).name}{count}" for number, count in found.items())
    raise ShcError(
        f"the cell holds {listed}, but the formula is {formula}",
        "the file may be cut off or lack atoms: complete it, or correct _chemical_formula_sum",
    )
