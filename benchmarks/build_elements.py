"""Write ``featurize/data/elements.json``, the table behind ``shc.featurize.elements``.

    python benchmarks/build_elements.py

Columns and their origin are listed in ``docs/elements.md``. Mass, electronegativity, ionisation energy, electron
affinity, radii, melting point, Pettifor number, ground-state configuration and LDA orbital energies are read from
pymatgen's periodic table, covalent radii (Cordero et al., Dalton Trans. 2008, 2832) from ase; the spin-orbit
constants come from the scalar-relativistic LDA atoms of ``shc.featurize.electronic``, one pair ``[p, d]`` in eV per
element; lanthanides and actinides have none, as no training crystal holds any but La.
"""

from __future__ import annotations

import argparse
import json
import math
import re
from pathlib import Path
from typing import Any

SHELL_CAPACITY = {"s": 2, "p": 6, "d": 10, "f": 14}
LAST_ELEMENT = 103


def full_configuration(text: str) -> dict[tuple[int, str], int]:
    """Parse ``[Xe].4f14.5d9.6s1`` into the shells outside the noble-gas core."""
    shells = re.findall(r"(\d)([spdf])(\d+)", text)
    return {(int(n), letter): int(count) for n, letter, count in shells}


def valence(symbol: str, period: int, text: str) -> dict[str, int]:
    """Occupation of the valence s, p, d, f shells.

    A filled d shell below a p block element (Ga, In, Tl, ...) and a filled f shell below the 5d block count as core.
    """
    shells = full_configuration(text)
    count = dict.fromkeys(SHELL_CAPACITY, 0)
    has_p = (period, "p") in shells
    for (_, letter), electrons in shells.items():
        full = electrons == SHELL_CAPACITY[letter]
        is_core = (letter == "d" and full and has_p) or (letter == "f" and full and symbol not in {"Yb", "No"})
        if not is_core:
            count[letter] += electrons
    return count


def valence_shells(period: int, block: str, count: dict[str, int]) -> dict[str, int | None]:
    """Principal quantum number of the valence s, p, d shell, or None where the element has none."""
    has_d = count["d"] > 0 or block in {"d", "f"} or (block == "s" and period >= 4)
    return {"s": period, "p": period, "d": period - 1 if has_d else None}


def orbital_energy(levels: dict[str, float], n: int | None, letter: str) -> float | None:
    """LDA eigenvalue of a shell in eV, or None."""
    value = levels.get(f"{n}{letter}") if n else None
    return None if value is None else round(value * 27.211386245988, 4)


def clean(value: Any) -> float | None:  # noqa: ANN401 - periodic-table entries are of any type
    """A finite float or None."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def row(z: int) -> dict[str, Any]:
    """All columns of one element."""
    from ase.data import covalent_radii
    from pymatgen.core.periodic_table import Element

    from shc.featurize.electronic.atom import spin_orbit_constants
    from shc.featurize.electronic.configurations import LAST_ELEMENT as LAST_SOLVED

    element = Element.from_Z(z)
    data = element.data
    count = valence(element.symbol, element.row, str(data["Electronic structure"]["0"]))
    block = element.block
    shells = valence_shells(element.row, block, count)
    levels = data.get("Atomic orbitals") or {}
    if not isinstance(levels, dict):
        levels = {}
    vacancies = {
        "s": 2 - count["s"],
        "p": 6 - count["p"],
        "d": 10 - count["d"] if block in "df" and shells["d"] else 0,
        "f": 14 - count["f"] if block == "f" else 0,
    }
    radius = float(covalent_radii[z])
    pair = spin_orbit_constants(z) if z <= LAST_SOLVED and not 58 <= z <= 70 else None
    return {
        "symbol": element.symbol,
        "mass": round(float(element.atomic_mass), 5),
        "period": element.row,
        "group": element.group,
        "block": block,
        "pettifor": clean(data.get("Mendeleev no")),
        "electronegativity": clean(data.get("X")),
        "covalent_radius": radius if z <= 96 else None,
        "atomic_radius": clean(data.get("Atomic radius")),
        "metallic_radius": clean(data.get("Metallic radius")),
        "ionisation_energy": clean((data.get("Ionization energies") or [None])[0]),
        "electron_affinity": clean(data.get("Electron affinity")),
        "melting_point": clean(str(data.get("Melting point", "")).split()[0]) if data.get("Melting point") else None,
        "valence": [count[letter] for letter in "spdf"],
        "vacancy": [vacancies[letter] for letter in "spdf"],
        "orbital_energy": [orbital_energy(levels, shells[letter], letter) for letter in "spd"],
        "common_oxidation_states": sorted(element.common_oxidation_states),
        "oxidation_states": sorted(element.oxidation_states),
        "soc": None if pair is None else [round(x, 6) for x in pair],
    }


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("featurize/data/elements.json"))
    args = parser.parse_args()
    rows = [row(z) for z in range(1, LAST_ELEMENT + 1)]
    args.output.write_text("[\n" + ",\n".join(json.dumps(r) for r in rows) + "\n]\n")
    print(f"{len(rows)} elements -> {args.output}")


if __name__ == "__main__":
    main()
