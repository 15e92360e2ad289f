"""Small crystals of several structures and elements, featurised."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from shc.featurize.batch import featurize_batch
from shc.featurize.config import FeaturizeConfig
from shc.featurize.store import FeatureBatch

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_CUBIC = "{name}\n1.0\n{a} 0 0\n0 {a} 0\n0 0 {a}\n{symbols}\n{counts}\nDirect\n{sites}\n"
_SKEWED = "{name}\n1.0\n{a} 0 0\n0.7 5.1 0\n-0.4 0.9 6.3\n{symbols}\n{counts}\nDirect\n{sites}\n"
_CSCL = "0 0 0\n0.5 0.5 0.5"
_PEROVSKITE = "0 0 0\n0.5 0.5 0.5\n0.5 0.5 0\n0.5 0 0.5\n0 0.5 0.5"
_NO_SYMMETRY = "0.02 0.05 0.11\n0.48 0.53 0.07\n0.23 0.31 0.58\n0.74 0.79 0.62"


def _write(folder: Path) -> list[Path]:
    """Ten crystals like CsCl, eight perovskites and six without symmetry, all of different elements."""
    texts = {}
    for i, (metal, other) in enumerate(zip(["Cs", "Tl", "Ni", "Pt", "Au"] * 2, ["Cl"] * 5 + ["Te"] * 5, strict=True)):
        name = f"{metal}{other}"
        texts[name] = _CUBIC.format(name=name, a=3.6 + 0.1 * i, symbols=f"{metal} {other}", counts="1 1", sites=_CSCL)
    for i, (a_site, b_site) in enumerate(zip(["Sr", "Ba", "La", "K"] * 2, ["Ti"] * 4 + ["Ir"] * 4, strict=True)):
        name, symbols = f"{a_site}{b_site}O3", f"{a_site} {b_site} O"
        texts[name] = _CUBIC.format(name=name, a=3.9 + 0.05 * i, symbols=symbols, counts="1 1 3", sites=_PEROVSKITE)
    for i, metal in enumerate(["Fe", "Mo", "W", "Bi", "Pb", "Sn"]):
        name = f"{metal}Se"
        symbols = f"{metal} Se"
        texts[name] = _SKEWED.format(name=name, a=4.6 + 0.1 * i, symbols=symbols, counts="2 2", sites=_NO_SYMMETRY)
    for name, text in texts.items():
        (folder / f"{name}.vasp").write_text(text, encoding="utf-8")
    return [folder / f"{name}.vasp" for name in texts]


@pytest.fixture(scope="session")
def crystals(tmp_path_factory: pytest.TempPathFactory) -> FeatureBatch:
    """Features of 24 crystals of 1 to 5 atoms and 1 to 4 orbits."""
    records, failures = featurize_batch(_write(tmp_path_factory.mktemp("crystals")), FeaturizeConfig())
    assert failures == []
    return FeatureBatch.from_records(records)


@pytest.fixture(scope="session")
def shc(crystals: FeatureBatch) -> NDArray[np.float64]:
    """``[24]`` made-up labels, (hbar/e) S/cm: they follow from the heaviest element and the volume."""
    parts = np.split(crystals.atomic_number.astype(np.float64), crystals.atom_offsets[1:-1])
    volume = np.abs(np.linalg.det(crystals.lattice))
    heaviest = np.array([part.max() for part in parts])
    return np.asarray(heaviest**2 / 10.0 * volume / volume.mean(), dtype=np.float64)
