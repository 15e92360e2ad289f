"""The table of published spin Hall conductivities and the crystals beside it agree with each other."""

from __future__ import annotations

import csv
import math
import re
from pathlib import Path

import pytest

from shc.featurize.config import FeaturizeConfig
from shc.featurize.formula import check_formula
from shc.featurize.structures import read_crystal
from shc.featurize.symmetry import reduce_crystal

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
CIFS = sorted((BENCHMARKS / "reference_cifs").glob("*.cif"))
FACTORS = {"(hbar/e) S/cm": 1.0, "(hbar/2e) S/cm": 0.5, "(hbar/2e) S/m": 0.005, "S/m": 0.005, "S/cm": 0.5}
"""Published unit -> (hbar/e) S/cm."""
NUMBER = r"-?\d+(?:\.\d+)?(?:e\d+)?"
PUBLISHED = re.compile(rf"({NUMBER})(?: to ({NUMBER})| \+/- {NUMBER})?")
CONFIG = FeaturizeConfig()

with (BENCHMARKS / "reference_values.csv").open(newline="", encoding="utf-8") as table:
    ROWS = list(csv.DictReader(table))


def label(row: dict[str, str]) -> str:
    return f"{row['material']}-{row['kind']}-{row['value']}"


@pytest.mark.parametrize("row", ROWS, ids=label)
def test_value_is_the_published_one_in_the_unit_of_the_project(row: dict[str, str]) -> None:
    match = PUBLISHED.fullmatch(row["value_published"])
    assert match is not None
    ends = [float(end) for end in match.groups() if end is not None]
    published = sum(ends) / len(ends) * FACTORS[row["unit_published"]]
    value = float(row["value"])
    assert math.isfinite(value)
    assert value != 0.0
    assert value == pytest.approx(abs(published) if row["component"] == "max_abs" else published)


@pytest.mark.parametrize("row", ROWS, ids=label)
def test_columns_hold_what_they_should(row: dict[str, str]) -> None:
    assert row["kind"] in {"ab-initio", "tight-binding", "measured"}
    assert re.fullmatch(r"[xyz]{2}\^[xyz]|max_abs|effective|unstated", row["component"])
    assert re.fullmatch(r"10\.\d{4,9}/\S+", row["doi"])
    assert re.fullmatch(r"https?://\S+", row["source"])
    assert row["method"]
    assert not row["temperature_k"] or float(row["temperature_k"]) >= 0.0
    low = float(row["value_low"] or "-inf")
    high = float(row["value_high"] or "inf")
    assert low <= float(row["value"]) <= high


def test_no_row_stands_twice() -> None:
    keys = [tuple(row[name] for name in ("material", "component", "kind", "temperature_k", "doi")) for row in ROWS]
    assert len(set(keys)) == len(keys)


def test_every_material_has_a_crystal_and_one_space_group() -> None:
    groups = {(row["material"], row["formula"], row["space_group"]) for row in ROWS}
    assert sorted(material for material, _, _ in groups) == sorted(path.stem for path in CIFS)


@pytest.mark.parametrize("path", CIFS, ids=lambda path: path.stem)
def test_crystal_has_the_formula_and_space_group_of_its_rows(path: Path) -> None:
    row = next(row for row in ROWS if row["material"] == path.stem)
    crystal = read_crystal(path, CONFIG)
    assert reduce_crystal(crystal, CONFIG).space_group_number == int(row["space_group"])
    check_formula(row["formula"], crystal.atomic_number)


@pytest.mark.parametrize("path", CIFS, ids=lambda path: path.stem)
def test_crystal_names_the_source_of_its_lattice_constants(path: Path) -> None:
    assert "# Lattice constants: " in path.read_text(encoding="utf-8")
