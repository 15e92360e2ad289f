"""Properties of the elements: valence configuration, spin-orbit strength, size and chemistry.

The numbers stand in ``data/elements.json``; ``docs/elements.md`` lists origin and meaning of every column, and
``benchmarks/build_elements.py`` writes the file anew.
"""

from __future__ import annotations

import json
from functools import cache, lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LAST_ELEMENT: Final = 103
"""Heaviest element with a row in the table (Lr)."""
MAGNETIC: Final = frozenset({24, 25, 26, 27, 28})
"""Cr, Mn, Fe, Co, Ni: crystals that hold one carry labels that look spin-polarised."""


class ElementFeature(NamedTuple):
    """One column of the element table."""

    name: str
    unit: str
    source: str


_PT = "pymatgen periodic table"
_CONFIG = "ground-state configuration, NIST Atomic Spectra Database"
_LDA = "NIST LDA reference data for atoms"
_SOC = "scalar-relativistic LDA atom, <1/(2 M^2 c^2) (1/r) dV/dr>"
FEATURES: Final[tuple[ElementFeature, ...]] = (
    ElementFeature("atomic_number", "1", "definition"),
    ElementFeature("mass", "u", "IUPAC standard atomic weights"),
    ElementFeature("period", "1", "periodic table"),
    ElementFeature("group", "1", "periodic table"),
    ElementFeature("pettifor", "1", "Pettifor, J. Phys. C 19, 285 (1986)"),
    ElementFeature("electronegativity", "Pauling", _PT),
    ElementFeature("covalent_radius", "Angstrom", "Cordero et al., Dalton Trans. 2008, 2832"),
    ElementFeature("atomic_radius", "Angstrom", "Slater, J. Chem. Phys. 41, 3199 (1964)"),
    ElementFeature("ionisation_energy", "eV", "NIST Atomic Spectra Database"),
    ElementFeature("electron_affinity", "eV", _PT),
    ElementFeature("melting_point", "K", _PT),
    *(ElementFeature(f"valence_{shell}", "electrons", _CONFIG) for shell in "spdf"),
    *(ElementFeature(f"vacancy_{shell}", "electrons", _CONFIG) for shell in "spdf"),
    ElementFeature("valence", "electrons", _CONFIG),
    *(ElementFeature(f"energy_{shell}", "eV", _LDA) for shell in "spd"),
    ElementFeature("soc_p", "eV", _SOC),
    ElementFeature("soc_d", "eV", _SOC),
    ElementFeature("has_soc", "0 or 1", "1 where spin-orbit constants are known"),
    *(ElementFeature(f"block_{shell}", "0 or 1", "periodic table") for shell in "spdf"),
)
FEATURE_NAMES: Final = tuple(feature.name for feature in FEATURES)


@lru_cache(maxsize=1)
def _rows() -> list[dict[str, Any]]:
    text = files(__package__).joinpath("data/elements.json").read_text(encoding="utf-8")
    rows: list[dict[str, Any]] = json.loads(text)
    return rows


def _feature_row(z: int, row: dict[str, Any]) -> list[float]:
    def number(value: float | None) -> float:
        return float("nan") if value is None else float(value)

    soc = row["soc"]
    return [
        float(z),
        *(
            number(row[key])
            for key in (
                "mass",
                "period",
                "group",
                "pettifor",
                "electronegativity",
                "covalent_radius",
                "atomic_radius",
                "ionisation_energy",
                "electron_affinity",
                "melting_point",
            )
        ),
        *map(float, row["valence"]),
        *map(float, row["vacancy"]),
        float(sum(row["valence"])),
        *(number(value) for value in row["orbital_energy"]),
        *(number(value) for value in (soc or (None, None))),
        float(soc is not None),
        *(float(row["block"] == shell) for shell in "spdf"),
    ]


@lru_cache(maxsize=1)
def element_table() -> NDArray[np.float64]:
    """The element table, indexed by atomic number.

    Returns:
        ``[104, F]`` with F = ``len(FEATURES)`` in the units of ``FEATURES``; row 0 (padding) is zero. A missing
        value is the mean of its column over the elements that have it, except that spin-orbit constants and
        orbital energies that do not exist are 0 (``has_soc`` tells a missing constant from a small one).
    """
    table = np.array([[0.0] * len(FEATURES), *(_feature_row(z, r) for z, r in enumerate(_rows(), start=1))])
    zero_if_missing = [i for i, name in enumerate(FEATURE_NAMES) if name.startswith(("soc_", "energy_"))]
    table[:, zero_if_missing] = np.nan_to_num(table[:, zero_if_missing])
    mean = np.nanmean(table[1:], axis=0)
    filled = np.where(np.isnan(table), mean, table)
    filled.setflags(write=False)
    return filled


@cache
def element_column(name: str) -> NDArray[np.float64]:
    """One feature of all elements, ``[104]`` by atomic number."""
    return element_table()[:, FEATURE_NAMES.index(name)]


@lru_cache(maxsize=1)
def symbols() -> tuple[str, ...]:
    """Element symbols by atomic number; entry 0 is ``X``."""
    return ("X", *(str(row["symbol"]) for row in _rows()))


@lru_cache(maxsize=2)
def oxidation_states(*, common: bool) -> tuple[NDArray[np.int64], ...]:
    """Oxidation states by atomic number, in elementary charges; entry 0 and elements without any hold a 0.

    Args:
        common: Only the common ones.
    """
    key = "common_oxidation_states" if common else "oxidation_states"
    return (np.zeros(1, np.int64), *(np.array(row[key] or [0], dtype=np.int64) for row in _rows()))


def has_soc(atomic_number: NDArray[np.integer[Any]]) -> NDArray[np.bool_]:
    """Whether spin-orbit constants are known.

    Args:
        atomic_number: Any shape, 1 to 103.

    Returns:
        Booleans of the same shape.
    """
    known: NDArray[np.bool_] = element_column("has_soc")[atomic_number] > 0
    return known


def reduced_formula(atomic_number: NDArray[np.integer[Any]]) -> str:
    """Chemical formula with the smallest integer counts, from the least to the most electronegative element.

    Args:
        atomic_number: ``[n_atoms]``.
    """
    numbers, counts = np.unique(atomic_number, return_counts=True)
    divisor = int(np.gcd.reduce(counts))
    electronegativity = element_column("electronegativity")
    order = sorted(range(len(numbers)), key=lambda i: (electronegativity[numbers[i]], symbols()[numbers[i]]))
    parts = []
    for i in order:
        count = int(counts[i]) // divisor
        parts.append(symbols()[numbers[i]] + (str(count) if count > 1 else ""))
    return "".join(parts)
