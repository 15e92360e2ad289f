from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from shc.featurize.errors import ExitCode, ShcError
from shc.models.labelled import read_labelled
from shc.models.prediction import Prediction
from shc.models.references import (
    AT_LEAST,
    AT_MOST,
    MAXIMUM,
    NOT_KNOWN,
    TRAINED,
    UNSEEN,
    Compared,
    Published,
    agreement,
    by_training,
    read_published,
    site_of,
    training_sites,
)

if TYPE_CHECKING:
    from pathlib import Path

HEADER = "material,formula,space_group,component,value,value_low,value_high,kind,temperature_k,doi"


def published(folder: Path, *rows: str, header: str = HEADER) -> list[Published]:
    (folder / "reference_cifs").mkdir()
    (folder / "reference_cifs" / "Pt.cif").touch()
    (folder / "reference_values.csv").write_text("\n".join((header, *rows)) + "\n")
    return read_published(folder)


def compared(
    material: str,
    value: float,
    predicted: float,
    *,
    kind: str = "ab-initio",
    temperature_k: float = 0.0,
    meaning: str = MAXIMUM,
    trained: bool | None = False,
) -> Compared:
    one = Published(material, "max_abs", value, kind, temperature_k, "10.1/1", meaning)
    two = Prediction(material, material, 225, predicted, 0.0, 1.0, 1.0, 1.0, True, "structure", "")
    return Compared(one, two, trained)


@pytest.mark.parametrize(
    ("row", "meaning"),
    [
        ("Pt,Pt,225,xy^z,-2000,,,ab-initio,0,10.1/1", MAXIMUM),
        ("Pt,Pt,166,max_abs,2000,1900,2100,ab-initio,0,10.1/1", MAXIMUM),
        ("Pt,Pt,166,xy^z,2000,,,ab-initio,0,10.1/1", AT_LEAST),
        ("Pt,Pt,166,unstated,2000,,,ab-initio,,10.1/1", AT_LEAST),
        ("Pt,Pt,225,xy^z,2000,2000,,measured,0,10.1/1", AT_LEAST),
        ("Pt,Pt,166,unstated,2000,,2000,ab-initio,0,10.1/1", AT_MOST),
    ],
    ids=["only independent component", "said to be", "one of several", "not said", "lower bound", "upper bound"],
)
def test_meaning_of_a_value(tmp_path: Path, row: str, meaning: str) -> None:
    (found,) = published(tmp_path, row)
    assert (found.material, abs(found.value), found.meaning) == ("Pt", 2000.0, meaning)
    assert math.isnan(found.temperature_k) is (",,10" in row)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("Pt,Pt,225,xy^z,much,,,ab-initio,0,10.1/1", "makes no sense"),
        ("Pt,Pt,231,xy^z,2000,,,ab-initio,0,10.1/1", "makes no sense"),
        ("Pt,Pt,inf,xy^z,2000,,,ab-initio,0,10.1/1", "makes no sense"),
        ("Pt,Pt", "makes no sense"),
        ("Pt,Pt,225,xy^z,0,,,ab-initio,0,10.1/1", "has the value 0.0"),
        ("Au,Au,225,xy^z,400,,,ab-initio,0,10.1/1", "Au.cif does not exist"),
    ],
)
def test_broken_tables_are_refused(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(ShcError, match=message) as caught:
        published(tmp_path, row)
    assert caught.value.hint
    assert caught.value.exit_code == ExitCode.NO_INPUT


def test_a_table_without_a_column_or_no_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ShcError, match="does not exist") as caught:
        read_published(tmp_path)
    assert "--references" in caught.value.hint
    with pytest.raises(ShcError, match="has no column kind"):
        published(tmp_path, "Pt", header=HEADER.replace("kind", "sort"))


def test_the_table_of_the_checkout_is_found() -> None:
    found = read_published()
    assert {row.kind for row in found} == {"ab-initio", "tight-binding", "measured"}
    assert {row.meaning for row in found if row.material == "Bi2Se3"} == {AT_LEAST}


def test_formulas_are_reduced_as_in_feature_files() -> None:
    assert site_of("Pt4", 225) == ("Pt", 225)
    assert site_of("CuPb2(SN)4", 1) == site_of("S4 N4 Cu1 Pb2", 1)
    assert site_of("Mo0.5W0.5", 225) is None
    assert site_of("?", 225) is None


def test_training_crystals_are_those_of_the_split(tmp_path: Path) -> None:
    labels, splits = tmp_path / "labels.csv", tmp_path / "splits.json"
    labels.write_text("material_id,formula,space_group,shc_max_abs\na,Pt4,225,1\nb,Au,225,2\nc,Mo0.5W0.5,1,3\n")
    splits.write_text('{"random": {"train": ["a", "c"], "val": ["b"]}}')
    assert training_sites(labels, read_labelled(labels).trained) == {("Pt", 225), ("Au", 225)}
    assert training_sites(labels, read_labelled(labels, splits, "random").trained) == {("Pt", 225)}
    labels.write_text("material_id,formula,space_group,shc_max_abs\na,Pt4,,1\n")
    with pytest.raises(ShcError, match="no formula or space group"):
        training_sites(labels, ["a"])
    labels.write_text("a,1\n")
    with pytest.raises(ShcError, match="no columns formula and space_group"):
        training_sites(labels, ["a"])


def test_agreement_is_over_one_cold_maximum_a_crystal_not_trained_on() -> None:
    rows = [
        compared("A", -100.0, 1000.0),
        compared("A", 10.0, 1000.0),
        compared("A", 3000.0, 1000.0, meaning=AT_LEAST),
        compared("B", 500.0, 500.0, temperature_k=math.nan),
        compared("C", 1000.0, 600.0),
        compared("D", 1.0, 1e6, trained=True),
        compared("E", 1.0, 1e6, temperature_k=300.0),
        compared("F", 1.0, 1e6, kind="measured"),
        compared("G", 1.0, 1e6, meaning=AT_MOST),
        compared("H", 2000.0, 20.0, meaning=AT_LEAST),
    ]
    groups = by_training(rows)
    assert {name: len(part) for name, part in groups.items()} == {UNSEEN: 9, TRAINED: 1}
    assert agreement(groups[TRAINED])[::2] == pytest.approx((1, 6.0))
    rows = groups[UNSEEN]
    assert agreement(rows) == pytest.approx((3, -0.5, -math.log10(0.6)))
    assert agreement(rows, lower_bounds=True) == pytest.approx((4, -0.8, (1.0 - math.log10(0.6)) / 2.0))
    assert rows[0].ratio == 10.0


def test_agreement_of_few_crystals() -> None:
    assert agreement([])[0] == 0
    row = compared("A", 100.0, 200.0, trained=None)
    assert by_training([row]) == {NOT_KNOWN: [row]}
    n, spearman, log_ratio = agreement([row])
    assert n == 1
    assert math.isnan(spearman)
    assert log_ratio == pytest.approx(math.log10(2.0))
