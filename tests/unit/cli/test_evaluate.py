from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner, Result

from shc.cli.main import app
from shc.models import plots

if TYPE_CHECKING:
    from collections.abc import Sequence

LABELS = "material_id,formula,space_group,shc_max_abs\n" + "".join(
    f"m{k},{formula},225,{value}\n"
    for k, (formula, value) in enumerate(
        2 * [("Pt", 0), ("Fe2O3", 40), ("Ca(OCo)2", 90), ("W", 250), ("Au", 400), ("Ta", 800)]
    )
)
EVERY = "all labelled crystals are scored, also such as a model may have been trained on; see --splits"
VALUES = 2 * [5.0, 60.0, 50.0, 300.0, 350.0, 600.0]


def run(*args: str | Path) -> Result:
    return CliRunner().invoke(app, ["evaluate", *map(str, args)])


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with labels and predictions of twelve crystals."""
    monkeypatch.chdir(tmp_path)
    Path("labels.csv").write_text(LABELS)
    predictions("mine.csv", VALUES)
    return tmp_path


def predictions(name: str, values: Sequence[float], more: str = "") -> Path:
    path = Path(name)
    rows = "".join(f"m{k},{value},{value - 20},{value + 45}\n" for k, value in enumerate(values))
    path.write_text(f"# unit: (hbar/e) S/cm\nmaterial_id,shc_max_abs,shc_lower,shc_upper\n{rows}{more}")
    return path


def record(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_a_table_of_scores_with_intervals() -> None:
    result = run("mine.csv", "labels.csv")
    assert (result.exit_code, result.stderr) == (0, EVERY + "\n")
    lines = {line.split("│")[1].strip(): line.split("│")[2:-1] for line in result.stdout.splitlines() if "│" in line}
    assert [cell.strip() for cell in lines["n"]] == ["12", "8", "4"]
    assert lines["MAE"][0].split()[0] == f"{(5 + 20 + 40 + 50 + 50 + 200) / 6:.1f}"
    assert lines["in interval"][0].split()[:2] == ["50.0", "%"]
    for name in ("R2", "MAE", "RMSE", "Spearman"):
        assert "to" in lines[name][0].split()
        assert not {"to", "("} & {*lines[name][1].split(), *lines[name][2].split()}, "few crystals, no interval"
    assert "2000 resamples; none for fewer than 10 crystals" in " ".join(result.stdout.split())


def test_json_and_csv_hold_the_same_numbers() -> None:
    found = record(run("mine.csv", "labels.csv", "--json", "-o", "out/scores.csv"))
    assert [(row["crystals"], row["n"]) for row in found["scores"]] == [
        ("all", 12), ("without Cr, Mn, Fe, Co, Ni", 8), ("with Cr, Mn, Fe, Co, Ni", 4)
    ]  # fmt: skip
    # All magnetic crystals lie below the threshold of the AUC.
    assert found["scores"][2]["scores"]["auc"] == {"value": None, "lower": None, "upper": None}
    assert found["scores"][1]["scores"]["mae"] == {"value": 76.25, "lower": None, "upper": None}
    comment, *lines = Path("out/scores.csv").read_text().splitlines()
    assert comment.startswith("# mae and rmse in (hbar/e) S/cm")
    rows = list(csv.DictReader(lines))
    assert len(rows) == 18
    for row in rows:
        (scores,) = (each["scores"] for each in found["scores"] if each["crystals"] == row["crystals"])
        for field in ("value", "lower", "upper"):
            number = scores[row["metric"]][field]
            assert row[field] == ("" if number is None else f"{number:.6g}")


def test_the_seed_moves_intervals_only() -> None:
    first, second = (record(run("mine.csv", "labels.csv", "--json", "--seed", n))["scores"][0] for n in ("0", "1"))
    assert first["scores"]["mae"]["value"] == second["scores"]["mae"]["value"]
    assert first != second


def test_missing_and_surplus_crystals_are_counted() -> None:
    predictions("mine.csv", VALUES[:10], "x,1,0,2\n")
    result = run("mine.csv", "labels.csv")
    assert result.exit_code == 0
    assert result.stderr.splitlines() == [
        EVERY,
        "mine.csv: 2 crystals without a prediction, not scored (m10, m11)",
        "mine.csv: 1 crystal predicted, but without a label (x)",
    ]
    assert run("mine.csv", "labels.csv", "-q").stderr == ""


@pytest.mark.parametrize("option", ["--output", "--plot"])
@pytest.mark.parametrize("name", ["mine.csv", "labels.csv", "other.csv"])
def test_what_is_read_is_not_written_over(option: str, name: str) -> None:
    predictions("other.csv", VALUES)
    before = Path(name).read_bytes()
    result = run("mine.csv", "labels.csv", "--compare", "other.csv", option, f"./{name}")
    assert result.exit_code == 2
    assert "would be overwritten" in result.stderr
    assert Path(name).read_bytes() == before
    assert run("mine.csv", "labels.csv", "--plot", "parity.pdf").exit_code == 2


def test_rows_that_a_split_holds_out_score() -> None:
    Path("splits.json").write_text('{"random": {"train": ["m0", "m1"], "val": ["m2", "m3", "m4", "m5"]}, "cv": '
                                   '{"m0": 0, "m1": 0, "m2": 1, "m3": 1, "m4": 0, "m5": 0}}')  # fmt: skip
    splits = ("--splits", "splits.json", "--split")
    result = run("mine.csv", "--labels", "labels.csv", *splits, "random", "--json")
    assert record(result)["scores"][0]["n"] == 4
    assert "8 crystals predicted, but not among the rows of the split that score (m0, m1, m6, ...)" in result.stderr
    assert record(run("mine.csv", "labels.csv", *splits, "cv", "--fold", "1", "--json"))["scores"][0]["n"] == 2
    assert run("mine.csv", "labels.csv", *splits, "cv").exit_code == 2
    assert run("mine.csv", "labels.csv", *splits, "other").exit_code == 2
    assert run("mine.csv", "labels.csv", "--split", "random").exit_code == 2
    assert run("mine.csv", "labels.csv", "--fold", "0").exit_code == 2


def test_comparison_of_a_file_with_itself_and_with_a_worse_one() -> None:
    Path("other.csv").write_text("name,mine\n" + "".join(f"m{k},{800 - v}\n" for k, v in enumerate(VALUES[:11])))
    options = ("--compare", "mine.csv", "--compare", "other.csv", "--column", "mine")
    result = run("mine.csv", "labels.csv", *options, "--json")
    same, worse = record(result)["differences"]
    assert (same["against"], same["n"], worse["against"], worse["n"]) == ("mine.csv", 12, "other.csv", 11)
    for difference in same["scores"].values():
        assert difference == {"value": 0.0, "lower": 0.0, "upper": 0.0, "excludes_zero": False}
    assert worse["scores"]["mae"]["upper"] < 0.0
    assert worse["scores"]["mae"]["excludes_zero"]
    assert (
        "compared on the 11 crystals that both files predict; 1 only in mine.csv, 0 only in other.csv" in result.stderr
    )
    table = run("mine.csv", "labels.csv", *options).stdout
    assert "better" in table
    assert "worse" not in table


def test_few_crystals_are_compared_without_interval_and_verdict() -> None:
    Path("other.csv").write_text("name,mine\n" + "".join(f"m{k},{800 - v}\n" for k, v in enumerate(VALUES[:9])))
    result = run("mine.csv", "labels.csv", "--compare", "other.csv", "--column", "mine", "-o", "scores.csv")
    mae = next(line.split("│") for line in result.stdout.splitlines() if "MAE" in line and "9" in line)
    assert [cell.strip() for cell in mae[5:8]] == ["", "", ""]
    row = next(row for row in csv.DictReader(Path("scores.csv").read_text().splitlines()[1:]) if row["against"])
    assert row["value"]
    assert (row["lower"], row["upper"], row["excludes_zero"]) == ("", "", "")


def test_predictions_that_rest_on_different_things_are_scored_apart() -> None:
    for name, shift in (("mine.csv", 0.0), ("other.csv", 30.0)):
        rows = [f"m{k},{v + shift},structure\nm{k},{v},structure+curves\n" for k, v in enumerate(VALUES)]
        Path(name).write_text("material_id,shc_max_abs,modalities\n" + "".join(rows))
    result = run("mine.csv", "labels.csv", "--compare", "other.csv", "--json", "--plot", "plots/parity.png")
    assert "scored apart: structure, structure+curves" in result.stderr
    found = record(result)
    assert [row["modalities"] for row in found["scores"] if row["crystals"] == "all"] == [
        "structure", "structure+curves"
    ]  # fmt: skip
    assert [(row["modalities"], row["against_modalities"]) for row in found["differences"]] == [
        ("structure", "structure"), ("structure+curves", "structure+curves")
    ]  # fmt: skip
    names = {path.name for path in Path("plots").iterdir()}
    assert names == {"parity_structure.png", "parity_structure_curves.png"}


def test_a_plot_draws_negative_predictions_at_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    predictions("mine.csv", [-5.0, *VALUES[1:]])
    result = run("mine.csv", "labels.csv", "--plot", "parity.png")
    assert result.stderr.splitlines() == [EVERY, "1 prediction below zero drawn at zero", "parity plot: parity.png"]
    assert Path("parity.png").stat().st_size > 1000
    monkeypatch.setattr(plots, "_figure", lambda *_size: None)
    assert "no parity plot was drawn" in run("mine.csv", "labels.csv", "--plot", "parity.png").stderr


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        ((), 2, "one file of predictions and one of labels"),
        (("mine.csv",), 2, "one file of predictions and one of labels"),
        (("mine.csv", "labels.csv", "mine.csv"), 2, "one file of predictions and one of labels"),
        (("mine.csv", "labels.csv", "--labels", "labels.csv"), 2, "one file of predictions and one of labels"),
        (("mine.csv", "labels.csv", "--bands", "auto"), 2, "--bands does not work without --references"),
        (("mine.csv", "labels.csv", "--column", "pred"), 2, "no file has a column pred"),
        (("absent.csv", "labels.csv"), 3, "cannot read predictions from absent.csv"),
        (("mine.csv", "absent.csv"), 3, "cannot read labels from absent.csv"),
        (("labels.csv", "bad.csv"), 3, "no label in row"),
        (("bad.csv", "labels.csv"), 3, "bad.csv has no column shc_max_abs"),
        (("others.csv", "labels.csv"), 3, "no crystal that scores has a prediction"),
        (("mine.csv", "labels.csv", "--compare", "bad.csv"), 3, "bad.csv has no column"),
        (("mine.csv", "labels.csv", "--references", "--compare", "mine.csv"), 2, "--compare does not go with"),
        (("--references", "a", "b"), 2, "one folder at most"),
        (("--references", "--fold", "0"), 2, "--fold does not work without --labels"),
        (("--references", "."), 3, "reference_values.csv does not exist"),
    ],
)
def test_wrong_inputs_are_told(args: tuple[str, ...], code: int, message: str) -> None:
    Path("bad.csv").write_text("name,much\nm0,very\n")
    Path("others.csv").write_text("material_id,shc_max_abs\nx,1\n")
    result = run(*args)
    assert (result.exit_code, result.stdout) == (code, "")
    error, hint = result.stderr.splitlines()[-2:]
    assert error.startswith("error: ")
    assert message in error
    assert hint.startswith("hint: ")


def test_files_of_spreadsheet_programs_are_read_or_told_what_is_wrong() -> None:
    expected = record(run("mine.csv", "labels.csv", "--json"))["scores"]
    for name in ("mine.csv", "labels.csv"):
        text = Path(name).read_text()
        Path(name).write_text(text.replace(",", ";"), encoding="utf-8-sig")
        assert record(run("mine.csv", "labels.csv", "--json"))["scores"] == expected
        Path(name).write_text(text, encoding="utf-16")
        result = run("mine.csv", "labels.csv", "-q")
        assert (result.exit_code, result.stdout) == (3, "")
        assert f"from {name}: it is UTF-16 text\nhint: save it as CSV in UTF-8" in result.stderr
        Path(name).write_text(text)


def test_options_come_from_a_file() -> None:
    Path("run.yaml").write_text("evaluate:\n  files: [mine.csv, labels.csv]\n  compare: [mine.csv]\n  as_json: true\n")
    assert len(record(run("--config", "run.yaml"))["differences"]) == 1
