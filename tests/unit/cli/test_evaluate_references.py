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
from shc.models.card import SplitInfo
from shc.models.prediction import Predicted, Prediction

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Tell = Callable[[str], None]

LABELS = "material_id,formula,space_group,shc_max_abs\na,Pt4,225,2000\nb,W,229,800\n"


def run(*args: str | Path) -> Result:
    return CliRunner().invoke(app, ["evaluate", "--references", *map(str, args)])


class StubPredictor:
    """Predicts 1000 for every crystal but Au, which it cannot use."""

    def __init__(self) -> None:
        calibration = SimpleNamespace(coverage=0.9)
        self.card = SimpleNamespace(
            unit="(hbar/e) S/cm",
            calibration=calibration,
            name="stub",
            version="1",
            split=SplitInfo("random", None, 2, 1),
        )
        self.ensemble = SimpleNamespace(card=self.card)
        self.bands: list[bool] = []
        self.backend = ""

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

    def load(_folder: Path | None, *, backend: str, tell: Tell, warn: Tell) -> StubPredictor:
        predictor.backend = backend
        tell(f"back end {backend}")
        if backend == "openvino":
            warn("openvino cannot be used")
        return predictor

    monkeypatch.setattr(inference, "load_predictor", load)
    return predictor


@pytest.mark.usefixtures("stub")
def test_published_values_stand_beside_predictions() -> None:
    result = run("values", "--labels", "labels.csv", "-o", "found.csv")
    assert result.exit_code == 0
    assert result.stderr.splitlines() == [
        "back end auto",
        "all 2 labelled crystals are taken as trained on; --splits and --split say which are",
        "error: values/reference_cifs/Au.cif: no atoms",
        "hint: give atoms",
    ]
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in result.stdout.splitlines() if "│" in line]
    assert cells[0] == ["Pt", "ab-initio", "xy^z", "0", "-2000", "1000", "10 - 2000", "0.50", "yes"]
    assert cells[1][-2:] == ["10.00", "no"]
    assert [row[4] for row in cells[2:]] == [">= 500", ">= 50"]
    assert [line.partition(", median")[0] for line in result.stdout.splitlines()[-4:]] == [
        "ab-initio maxima at 0 K, crystals not trained on: n 1, Spearman undefined",
        "ab-initio maxima at 0 K, crystals trained on: n 1, Spearman undefined",
        "the same and lower bounds of other crystals, crystals not trained on: n 2, Spearman undefined",
        "the same and lower bounds of other crystals, crystals trained on: n 1, Spearman undefined",
    ]
    assert "|log10 ratio| 1.00" in result.stdout.splitlines()[-4], "of Pd alone, not of Pt, which was trained on"
    rows = list(csv.DictReader(Path("found.csv").read_text().splitlines()[1:]))
    assert [(row["material"], row["meaning"], row["trained"]) for row in rows] == [
        ("Pt", "maximum", "true"), ("Pd", "maximum", "false"), ("Sb", "at least", "false"), ("Sb", "at least", "false")
    ]  # fmt: skip


def test_without_labels_it_is_not_known_what_was_trained_on(stub: StubPredictor) -> None:
    found = json.loads(run("values", "--json", "--bands", "auto").stdout)
    assert {row["trained"] for row in found["rows"]} == {None}
    assert {name: each["largest"]["n"] for name, each in found["agreement"].items()} == {"all": 2}
    shown = run("values").stdout.splitlines()
    assert shown[-1] == found["note"]
    assert "among the 2 crystals that the model was trained on" in shown[-1]
    assert shown[-1].endswith("--labels FILE --splits FILE --split random tells them apart")
    assert shown[-2].startswith("the same and lower bounds of other crystals, all crystals: n 3")
    assert not any("trained on" in line for line in shown[:-1])
    assert stub.bands == [True, False]
    stub.card.split = SplitInfo("all", None, 3, 0)
    assert run("values").stdout.splitlines()[-1].endswith(": --labels FILE tells them apart")
    stub.card.split = SplitInfo("cv", 2, 3, 1)
    assert run("values").stdout.splitlines()[-1].endswith("--splits FILE --split cv --fold 2 tells them apart")


def test_a_back_end_may_be_named(stub: StubPredictor) -> None:
    assert "back end openvino\nopenvino cannot be used\n" in run("values", "--backend", "openvino").stderr
    assert stub.backend == "openvino"
    quiet = run("values", "--backend", "openvino", "--quiet").stderr
    assert quiet.startswith("openvino cannot be used\n"), "what was asked for and is not done is always said"
    refused = CliRunner().invoke(app, ["evaluate", "a.csv", "b.csv", "--backend", "eager"])
    assert refused.exit_code == 2
    assert "--backend does not work without --references" in refused.stderr


def test_a_split_that_the_model_was_not_trained_with_is_refused(stub: StubPredictor) -> None:
    Path("splits.json").write_text('{"random": {"train": ["b"], "val": ["a"]}, "other": {"train": ["a"], "val": []}}')
    options = ("values", "--labels", "labels.csv", "--splits", "splits.json", "--split")
    result = run(*options, "other")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "not trained with --split other" in result.stderr
    assert "its card says --split random" in result.stderr
    found = json.loads(run(*options, "random", "--json").stdout)
    assert {row["material"] for row in found["rows"] if row["trained"]} == set(), "Pt only scores there"
    assert {name: each["largest"]["n"] for name, each in found["agreement"].items()} == {"unseen": 2, "trained": 0}
    assert "note" not in found
    stub.card.split = SplitInfo("all", None, 3, 0)
    assert "leave --splits and --split out" in run(*options, "random").stderr
    assert "are taken as trained on" not in run(*options[:3]).stderr, "they were, no split is wanting"


@pytest.mark.usefixtures("stub")
def test_the_folder_of_the_checkout_is_the_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(references, "FOLDER", tmp_path / "values")
    assert len(json.loads(run("--json").stdout)["rows"]) == 4
    monkeypatch.setattr(references, "FOLDER", tmp_path / "nowhere")
    result = run()
    assert result.exit_code == 3
    assert "name the folder" in result.stderr
