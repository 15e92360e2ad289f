from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from shc.cli.main import app
from shc.featurize.band_image import read
from shc.featurize.band_image.types import BandPicture, Box, EnergyAxis, EnergyWindow

if TYPE_CHECKING:
    from numpy.typing import NDArray


def run(*args: str | Path) -> Result:
    return CliRunner().invoke(app, ["check-bands", *(str(arg) for arg in args)])


@pytest.fixture(autouse=True)
def windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[EnergyWindow | None]:
    """The working folder with ./imgs, and a normaliser that goes by the colour of the first pixel.

    White: understood; black: not; red: a defect. What was said of the energies is noted.
    """
    monkeypatch.chdir(tmp_path)
    said: list[EnergyWindow | None] = []

    def normalise(rgb: NDArray[np.uint8], window: EnergyWindow | None = None) -> BandPicture:
        said.append(window)
        red, green, _ = rgb[0, 0].tolist()
        if red > green:
            raise ZeroDivisionError("division by zero")
        empty = np.zeros((1, 224, 224), np.float32)
        size = (rgb.shape[0], rgb.shape[1])
        if red == 0:
            return BandPicture(empty, 0.0, 0.0, 0.0, ("no panel was found",), None, None, size)
        return BandPicture(empty, -3.0, 2.5, 0.8, ("one doubt",), Box(10, 5, 90, 75), EnergyAxis(40.0, 0.1), size)

    monkeypatch.setattr(read, "normalise", normalise)
    folder = tmp_path / "imgs"
    folder.mkdir()
    for name in ("b.png", "a.png"):
        picture(folder / name)
    return said


def picture(path: Path, colour: str = "white") -> None:
    Image.new("RGB", (100, 80), colour).save(path, format="PNG")


def table(result: Result) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(result.stdout)))


def test_a_folder_gets_a_sheet_and_a_table(windows: list[EnergyWindow | None]) -> None:
    result = run("imgs", "-o", "out/new")
    assert result.exit_code == 0
    assert [(row["file"], row["confidence"], row["used_max_ev"], row["reasons"]) for row in table(result)] == [
        ("imgs/a.png", "0.800", "2.500", "one doubt"),
        ("imgs/b.png", "0.800", "2.500", "one doubt"),
    ]
    assert sorted(path.name for path in Path("out/new").iterdir()) == ["check-bands.html", "check-bands.png"]
    assert result.stderr == (
        "check-bands: 2/2 (" + result.stderr.split("(")[1].split(")")[0] + ")\n"
        "2 pictures understood: see out/new/check-bands.html\n"
    )
    assert windows == [None, None]


def test_bands_csv_and_the_option_tell_the_energies(windows: list[EnergyWindow | None]) -> None:
    Path("imgs/bands.csv").write_text("file,material_id,e_min_ev,e_max_ev,fermi_ev\nb.png,mp-3,0,8,4\n")
    result = run("imgs", "--energy-window", "-4", "4.5")
    assert windows == [EnergyWindow(-4.0, 4.5, 0.0), EnergyWindow(0.0, 8.0, 4.0)]
    assert [row["material_id"] for row in table(result)] == ["", "mp-3"]
    assert Path("check-bands.png").exists()


@pytest.mark.parametrize("window", [("4", "-4"), ("1", "1"), ("nan", "2")])
def test_a_window_without_sense_is_an_error_of_usage(window: tuple[str, str]) -> None:
    result = run("imgs", "--energy-window", *window)
    assert (result.exit_code, result.stdout) == (2, "")


def test_a_wrong_bands_csv_stops_before_anything_is_written() -> None:
    Path("imgs/bands.csv").write_text("file,e_min_ev,e_max_ev\na.png,4,-4\n")
    result = run("imgs", "-o", "out")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "bands.csv: line 2: the window 4 to -4 eV is upside down" in result.stderr
    assert not Path("out").exists()


def test_failures_are_listed_and_stop_nothing() -> None:
    picture(Path("imgs/black.png"), "black")
    picture(Path("imgs/red.png"), "red")
    Path("imgs/c.png").write_bytes(b"%PDF-1.5")
    result = run("imgs", "none.png", "*.gif")
    assert result.exit_code == 0
    assert [(row["file"], float(row["confidence"]) > 0) for row in table(result)] == [
        ("imgs/a.png", True), ("imgs/b.png", True), ("imgs/black.png", False), ("imgs/c.png", False),
        ("imgs/red.png", False),
    ]  # fmt: skip
    for line in (
        "error: black.png: no panel was found",
        "error: c.png: is a PDF file",
        "error: red.png: unexpected ZeroDivisionError: division by zero",
        "error: none.png: no such file or folder",
        "error: *.gif: no such file or folder",
        "2 pictures understood, 5 cannot be used: see check-bands.html",
    ):
        assert line in result.stderr.splitlines()
    assert run("imgs", "--strict").exit_code == 4
    assert run("imgs/a.png", "--strict").exit_code == 0


def test_nothing_usable_is_an_error_with_a_sheet_all_the_same() -> None:
    picture(Path("black.png"), "black")
    result = run("black.png", "-o", "out")
    assert result.exit_code == 3
    assert len(table(result)) == 1
    assert Path("out/check-bands.html").exists()
    assert result.stderr.splitlines()[-2] == "error: no picture of bands could be used"
    Path("empty").mkdir()
    result = run("empty")
    assert result.exit_code == 3
    assert "empty: the folder holds no pictures" in result.stderr


def test_a_sheet_is_no_picture_of_bands_in_the_next_run() -> None:
    assert run("imgs", "-o", "imgs").exit_code == 0
    assert len(table(run("imgs", "-o", "imgs"))) == 2


def test_quiet_leaves_errors_only() -> None:
    assert run("imgs", "-q").stderr == ""
    Path("imgs/c.png").write_bytes(b"")
    assert run("imgs", "-q").stderr == "error: c.png: the file is empty\nhint: save or download the picture again\n"


def test_options_come_from_a_file() -> None:
    Path("run.yaml").write_text("check-bands:\n  imgs: [imgs]\n  output: there\n  energy_window: [-2, 2]\n")
    assert run("--config", "run.yaml").exit_code == 0
    assert Path("there/check-bands.png").exists()


def test_an_output_that_cannot_be_written() -> None:
    Path("file").touch()
    result = run("imgs", "-o", "file")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "file: File exists" in result.stderr


def test_doubtful_pictures_and_lost_lines_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    def normalise(rgb: NDArray[np.uint8], _window: EnergyWindow | None = None) -> BandPicture:
        confidence = rgb[0, 0, 0] / 255.0
        size = (rgb.shape[0], rgb.shape[1])
        image = np.zeros((1, 224, 224), np.float32)
        return BandPicture(image, -3.0, 3.0, confidence, ("why",), Box(10, 5, 90, 75), EnergyAxis(40.0, 0.1), size)

    monkeypatch.setattr(read, "normalise", normalise)
    for name, grey in (("sure", 230), ("doubtful", 120), ("useless", 40)):
        picture(Path(f"{name}.png"), f"rgb({grey}, {grey}, {grey})")
    Path("bands.csv").write_text("file\nsure.png\nsuer.png\n")
    result = run(".", "--strict")
    assert result.exit_code == 4
    assert "1 picture understood, 1 doubtful, 2 cannot be used: see check-bands.html" in result.stderr
    assert "there is no picture suer.png" in result.stderr
    assert "error: useless.png: why" in result.stderr
