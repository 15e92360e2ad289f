from __future__ import annotations

import runpy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from shc.featurize.descriptors import descriptor_names
from shc.featurize.store import FeatureBatch
from shc.models.baselines.table import descriptor_group, feature_table
from shc.models.electronic_numbers import N_NUMBERS, electronic_numbers

if TYPE_CHECKING:
    from shc.featurize.types import CrystalRecord

TOY: dict[str, Any] = runpy.run_path(str(Path(__file__).parents[3] / "data" / "toy_crystals.py"))


@pytest.fixture
def records() -> list[CrystalRecord]:
    made: list[CrystalRecord] = TOY["mixed"](4)
    return made


def test_columns_are_descriptors_and_prompt(records: list[CrystalRecord]) -> None:
    table = feature_table(FeatureBatch.from_records(records), TOY["HEADER"])
    assert table.names == (*"abcdefghi", *(f"all_{i}" for i in range(7)))
    assert table.groups[-7:] == ("symmetry",) * 7
    np.testing.assert_array_equal(table.values[2, :9], records[2].descriptors)
    np.testing.assert_array_equal(table.values[2, 9:], records[2].symmetry_prompt)


def test_electronic_structure_is_unknown_without_a_record(records: list[CrystalRecord]) -> None:
    bands = [TOY["electronic"](i) if i % 2 else None for i in range(4)]
    features = FeatureBatch.from_records(records)
    table = feature_table(features, TOY["HEADER"], bands)
    assert len(table.names) == len(table.groups) == table.values.shape[1] == 16 + N_NUMBERS
    assert table.groups[16:] == ("electronic",) * N_NUMBERS
    assert np.isnan(table.values[[0, 2], 16:]).all()
    volume = float(np.abs(np.linalg.det(features.lattice[1])))
    np.testing.assert_array_equal(table.values[1, 16:], electronic_numbers(TOY["electronic"](1), volume))
    assert np.isfinite(table.values[:, :16]).all()


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("mean_soc_p", "spin-orbit"),
        ("max_atomic_number", "spin-orbit"),
        ("soc_d_around_electronegativity", "spin-orbit"),
        ("heaviest_valence_d", "spin-orbit"),
        ("max_electronegativity", "composition"),
        ("octet_excess", "composition"),
        ("coordination_mean", "structure"),
        ("angle_min", "structure"),
        ("bond_difference_valence_d", "structure"),
    ],
)
def test_groups_of_descriptors(name: str, group: str) -> None:
    assert name in descriptor_names()
    assert descriptor_group(name) == group
