from __future__ import annotations

import numpy as np
import pytest

from shc.featurize import elements


def column(name: str) -> np.ndarray:
    return elements.element_table()[:, elements.FEATURE_NAMES.index(name)]


def test_table_is_complete_and_read_only() -> None:
    table = elements.element_table()
    assert table.shape == (elements.LAST_ELEMENT + 1, len(elements.FEATURES))
    assert np.isfinite(table).all()
    assert not table[0].any()
    with pytest.raises(ValueError, match="read-only"):
        table[1, 0] = 5.0


@pytest.mark.parametrize(
    ("z", "spdf", "vacancy"),
    [
        (78, (1, 0, 9, 0), (1, 6, 1, 0)),  # Pt 5d9 6s1
        (31, (2, 1, 0, 0), (0, 5, 0, 0)),  # Ga: the filled 3d shell is core
        (29, (1, 0, 10, 0), (1, 6, 0, 0)),  # Cu 3d10 4s1
        (83, (2, 3, 0, 0), (0, 3, 0, 0)),  # Bi 6s2 6p3
        (72, (2, 0, 2, 0), (0, 6, 8, 0)),  # Hf: the filled 4f shell is core
        (57, (2, 0, 1, 0), (0, 6, 9, 14)),  # La 5d1 6s2
    ],
)
def test_valence_configuration(z: int, spdf: tuple[int, ...], vacancy: tuple[int, ...]) -> None:
    assert tuple(column(f"valence_{s}")[z] for s in "spdf") == spdf
    assert tuple(column(f"vacancy_{s}")[z] for s in "spdf") == vacancy


def test_shells_never_overflow() -> None:
    for shell, capacity in zip("spdf", (2, 6, 10, 14), strict=True):
        assert (column(f"valence_{shell}") + column(f"vacancy_{shell}") <= capacity).all()


def test_spin_orbit_strength_grows_down_the_groups() -> None:
    soc_d, soc_p = column("soc_d"), column("soc_p")
    assert soc_d[28] < soc_d[46] < soc_d[78]  # Ni, Pd, Pt
    assert soc_p[33] < soc_p[51] < soc_p[83]  # As, Sb, Bi
    assert soc_d[78] == pytest.approx(0.548, abs=0.005)


def test_missing_spin_orbit_is_masked_not_small() -> None:
    has = elements.has_soc(np.array([78, 70, 92]))
    assert has.tolist() == [True, False, False]


@pytest.mark.parametrize(
    ("z", "formula"), [([78], "Pt"), ([52, 83, 52, 83, 52], "Bi2Te3"), ([17, 11], "NaCl"), ([73, 33] * 2, "TaAs")]
)
def test_reduced_formula(z: list[int], formula: str) -> None:
    assert elements.reduced_formula(np.array(z)) == formula
