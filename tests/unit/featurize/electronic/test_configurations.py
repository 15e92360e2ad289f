from __future__ import annotations

import pytest
from pymatgen.core import Element

from shc.featurize.electronic.configurations import (
    LANTHANIDES,
    LAST_ELEMENT,
    Shell,
    basis_shells,
    configuration,
    orbitals,
    period,
    valence_electrons,
)

ELEMENTS = range(1, LAST_ELEMENT + 1)


@pytest.mark.parametrize("z", ELEMENTS)
def test_shells_hold_all_electrons(z: int) -> None:
    filled = configuration(z)
    assert sum(filled.values()) == z
    for shell, electrons in filled.items():
        assert 0 < electrons <= 2 * (2 * shell.l + 1)
        assert 0 <= shell.l < shell.n


@pytest.mark.parametrize("z", [z for z in ELEMENTS if z not in LANTHANIDES])
def test_configurations_are_the_measured_ground_states(z: int) -> None:
    expected = {
        Shell(n, "spdf".index(letter)): float(electrons)
        for n, letter, electrons in Element.from_Z(z).full_electronic_structure
    }
    assert configuration(z) == expected


def test_lanthanides_are_trivalent_but_europium_and_ytterbium() -> None:
    for z in LANTHANIDES:
        filled = configuration(z)
        outside = sum(electrons for shell, electrons in filled.items() if shell in ((5, 2), (6, 0)))
        assert outside == (2 if z in (63, 70) else 3)
        assert filled[Shell(4, 3)] == z - 54 - outside


@pytest.mark.parametrize("z", ELEMENTS)
def test_basis_is_one_shell_of_each_kind_and_holds_the_valence_electrons(z: int) -> None:
    shells = basis_shells(z)
    assert [shell.l for shell in shells] == list(range(len(shells)))
    assert len(orbitals(z)) == sum(2 * shell.l + 1 for shell in shells)
    # One electron at least, and room for one more unless the shells are full.
    assert 0 < valence_electrons(z) <= 2 * len(orbitals(z))
    core = sum(n for shell, n in configuration(z).items() if shell not in shells)
    assert valence_electrons(z) == z - core


VALENCE = [
    *(("H", 1), ("C", 4), ("Na", 1), ("Al", 3), ("Fe", 8), ("Cu", 11), ("Zn", 12), ("Ga", 3), ("As", 5)),
    *(("La", 3), ("Eu", 2), ("Gd", 3), ("W", 6), ("Pt", 10), ("Tl", 3), ("Bi", 5), ("Xe", 8), ("Ra", 2)),
]


@pytest.mark.parametrize(("symbol", "electrons"), VALENCE)
def test_valence_is_that_of_chemistry(symbol: str, electrons: int) -> None:
    assert valence_electrons(Element(symbol).Z) == electrons


def test_period_is_the_row() -> None:
    assert [period(z) for z in (1, 2, 3, 10, 11, 36, 37, 55, 86, 87)] == [1, 1, 2, 2, 3, 4, 5, 6, 6, 7]
