from __future__ import annotations

import csv
import json
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner, Result

from shc.cli.main import app
from shc.featurize.errors import Failure
from shc.models import inference, references
from shc.models.prediction import Predicted, Prediction

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LABELS = "material_id,formula,space_group,shc_max_abs\na,Pt4,225,2000\nb,W,229,800\n"


def run(*args: str | Path) -> Result:
    return CliRunner().invoke(app, ["evaluate", "--references", *map(str, args)])


class StubPredictor:
    """Predicts 1000 for every crystal but Au, which it cannot use."""

    def __init__(self) -> None:
        calibration = SimpleNamespace(coverage=0.9)
        card = SimpleNamespace(unit="(hbar/e) S/cm", calibration=calibration, name="stub", version="1")
        self.ensemble = SimpleNamespace(card=card)
        self.bands: list[bool] = []

    def iter_sources(self, paths: Sequence[str], *, bands: object, workers: int) -> Iterator[Predicted]:
        assert workers == 1
        self.bands.append(bands is not None)
        for path in map(Path, paths):
            if path.stem == "Au":
                yield Predicted([], [Failure(str(path), "read", "no atoms", "give atoms")])
                continue
            yield Predicted(
                [Prediction(path.stem, path.stem, 225, 1000.0, 10.0, 2000.0, 1.0, 1.0, True, "structure", "")], []
            )


@pytest.fixture
def stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StubPredictor:
    """A model, and a working folder with labels and published values in `values`."""
    monkeypatch.chdir(tmp_path)
    Path("labels.csv").write_text(LABELS)
    header = "material,formula,space_group,component,value,value_low,value_high,kind,temperature_k,doi"
    rows = [
        f"{name},{name},{group},{component},{value},,,{kind},{kelvin},10.1/1"
        for name, group, component, value, kind, kelvin in [
            ("Pt", 225, "xy^z", -2000, "ab-initio", 0),
            ("Pd", 225, "xy^z", 100, "ab-initio", 0),
            ("Sb", 166, "xy^z", 500, "ab-initio", 0),
            ("Sb", 166, "effective", 50, "measured", 300),
            ("Au", 225, "xy^z", 400, "ab-initio", 0),
        ]
    ]
    crystals = Path("values/reference_cifs")
    crystals.mkdir(parents=True)
    for name in ("Pt", "Pd", "Sb", "Au"):
        (crystals / f"{name}.cif").touch()
    Path("values/reference_values.csv").write_text("\n".join((header, *rows)) + "\n")
    predictor = StubPredictor()
    monkeypatch.setattr(inference, "load_predictor", lambda _folder: predictor)
    return predictor


@pytest.mark.usefixtures("stub")
def test_published_values_stand_beside_predictions() -> None:
    result = run("values", "--labels", "labels.csv", "-o", "found.csv")
    assert result.exit_code == 0
    assert result.stderr.splitlines() == [
        "all 2 labelled crystals are taken as trained on; --splits and --split say which are",
        "error: values/reference_cifs/Au.cif: no atoms",
        "hint: give atoms",
    ]
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in result.stdout.splitlines() if "│" in line]
    assert cells[0] == ["Pt", "ab-initio", "xy^z", "0", "-2000", "1000", "10 - 2000", "0.50", "yes"]
    assert cells[1][-2:] == ["10.00", "no"]
    assert [row[4] for row in cells[2:]] == [">= 500", ">= 50"]
    assert (
        "maxima at 0 K of crystals not trained on: n 1, Spearman undefined, median |log10 ratio| 1.00" in result.stdout
    )
    assert "lower bounds of the maximum: n 2" in result.stdout
    rows = list(csv.DictReader(Path("found.csv").read_text().splitlines()[1:]))
    assert [(row["material"], row["meaning"], row["trained"]) for row in rows] == [
        ("Pt", "maximum", "true"), ("Pd", "maximum", "false"), ("Sb", "at least", "false"), ("Sb", "at least", "false")
    ]  # fmt: skip


def test_without_labels_it_is_not_known_what_was_trained_on(stub: StubPredictor) -> None:
    found = json.loads(run("values", "--json", "--bands", "auto").stdout)
    assert {row["trained"] for row in found["rows"]} == {None}
    assert found["agreement"]["largest"]["n"] == 2
    assert "perhaps trained on" in run("values").stdout
    assert stub.bands == [True, False]


@pytest.mark.usefixtures("stub")
def test_the_folder_of_the_checkout_is_the_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(references, "FOLDER", tmp_path / "values")
    assert len(json.loads(run("--json").stdout)["rows"]) == 4
    monkeypatch.setattr(references, "FOLDER", tmp_path / "nowhere")
    result = run()
    assert result.exit_code == 3
    assert "name the folder" in result.stderr
