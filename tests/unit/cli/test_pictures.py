from __future__ import annotations

import csv
import runpy
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner, Result

from shc.cli.main import app
from shc.cli.pictures import bands_choice
from shc.featurize.band_image.style_pictures import Styled, training_style
from shc.featurize.band_image.types import BandPicture, EnergyWindow
from shc.featurize.electronic import engine
from shc.featurize.errors import ShcError
from shc.featurize.store import FeatureFile

if TYPE_CHECKING:
    from shc.featurize.electronic.record import ElectronicRecord

ROOT = Path(__file__).parents[3]
NAMES = ["Au", "GaAs", "Pt"]


def run(*args: str | Path, stdin: str | None = None) -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args], input=stdin)


def normalised(path: Path, window: EnergyWindow | None = None) -> BandPicture:
    """A stand-in for the normaliser."""
    window = window or EnergyWindow(-3.0, 3.0)
    if path.read_bytes() == b"broken":
        raise ShcError(f"{path.name}: a broken picture", "save it again")
    image = np.full((1, 224, 224), 0.2, dtype=np.float32)
    return BandPicture(image, window.e_min_ev, window.e_max_ev, 1.0, (), None, None, (300, 400))


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with three crystals in ./cifs, four pictures in ./imgs, and an empty cache."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("shc.featurize.band_image.read.read_bands_picture", normalised)
    monkeypatch.setattr("shc.featurize.pipeline.BANDS_IN_PROCESS_BELOW", 100)
    for folder in ("cifs", "imgs"):
        Path(folder).mkdir()
    for name in NAMES:
        shutil.copy(ROOT / "examples" / f"{name}.cif", "cifs")
    for name in ("Au.png", "Pt.jpg", "Cu.png"):
        Path("imgs", name).write_text("a picture")
    Path("imgs/Pt_b.png").write_text("broken")
    return tmp_path


def sources(path: str = "features.h5") -> dict[str, list[str]]:
    file = FeatureFile.open(path)
    found = file.pictures(slice(None))
    return {key: [p.source for p in value] for key, value in zip(file.material_ids, found, strict=True)}


def failures(path: str = "features.failures.csv") -> list[tuple[str, str]]:
    with Path(path).open(encoding="utf-8") as stream:
        return [(row["path"], row["stage"]) for row in csv.DictReader(stream)]


def test_featurize_stores_the_pictures_of_a_folder() -> None:
    result = run("featurize", "cifs", "--bands", "./imgs")
    assert (result.exit_code, result.stdout) == (0, "")
    assert sources() == {"Au": ["Au.png"], "GaAs": [], "Pt": ["Pt.jpg"]}
    assert result.stderr.splitlines()[-3:] == [
        "3 crystals written to features.h5 in " + result.stderr.splitlines()[-3].rpartition(" in ")[2],
        "4 pictures in imgs: 3 belong to 2 crystals (3 by file name); 1 without a crystal (Cu.png)",
        "2 pictures stored, 1 cannot be used: see features.failures.csv",
    ]
    assert failures() == [("imgs/Cu.png", "picture"), ("imgs/Pt_b.png", "picture")]
    assert FeatureFile.open("features.h5").header.config.pictures


def test_the_options_of_a_run_repeat_it() -> None:
    assert run("featurize", "cifs", "--bands", "imgs", "--energy-window", "-4", "2.5").exit_code == 0
    section = yaml.safe_load(Path("features.run.yaml").read_text(encoding="utf-8"))["featurize"]
    assert (section["bands"], section["energy_window"]) == (["imgs"], [-4.0, 2.5])
    again = run("featurize", "--config", "features.run.yaml")
    assert again.exit_code == 0
    assert "3 done before and unchanged" in again.stderr
    [found] = FeatureFile.open("features.h5").pictures(slice(1))
    assert (found[0].e_min_ev, found[0].e_max_ev) == (-4.0, 2.5)
    other = run("featurize", "cifs", "--bands", "imgs")
    assert "2 crystals written" in other.stderr
    # A word alone is a folder, not letters.
    Path("short.yaml").write_text("featurize: {sources: cifs, bands: imgs}")
    assert "3 done before" in run("featurize", "--config", "short.yaml").stderr


def test_strict_and_quiet() -> None:
    assert run("featurize", "cifs", "--bands", "imgs", "--strict").exit_code == 4
    for name in ("Cu.png", "Pt_b.png"):
        Path("imgs", name).unlink()
    result = run("featurize", "cifs", "--bands", "imgs", "--strict", "-q")
    assert (result.exit_code, result.stderr) == (0, "")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--bands", "nowhere"], "--bands nowhere: there is no such folder"),
        (["--bands", "cifs/Pt.cif"], "there is no such folder"),
        (["--bands", "none", "--bands", "imgs"], "--bands none excludes every other"),
        (["--energy-window", "-3", "3"], "--energy-window needs pictures"),
        (["--bands", "imgs", "--energy-window", "3", "-3"], "upside down"),
        (["--bands", "imgs", "--styles", "2"], "--styles draws computed bands"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_written(options: list[str], message: str) -> None:
    result = run("featurize", "cifs", *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert not Path("features.h5").exists()
    assert not Path("features.h5.part").exists()


def test_a_sidecar_that_makes_no_sense_is_refused() -> None:
    Path("imgs/bands.csv").write_text("file,e_min_ev,e_max_ev\nAu.png,2,-2\n")
    result = run("featurize", "cifs", "--bands", "imgs")
    assert result.exit_code == 2
    assert "line 2" in result.stderr


def test_none_is_the_default_and_files_do_not_mix() -> None:
    assert run("featurize", "cifs", "--bands", "none").exit_code == 0
    assert run("featurize", "cifs").exit_code == 0
    result = run("featurize", "cifs", "--bands", "imgs")
    assert result.exit_code == 5
    assert "pictures: False and True" in result.stderr
    assert "--overwrite" in result.stderr
    assert run("featurize", "cifs", "--bands", "imgs", "-o", "other.h5").exit_code == 0
    result = run("merge", "features.h5", "other.h5", "-o", "all.h5")
    assert result.exit_code == 5
    assert "pictures: False and True" in result.stderr


def test_shards_match_with_the_inputs_of_all() -> None:
    for number in ("1/2", "2/2"):
        result = run("featurize", "-", "--bands", "imgs", "--shard", number, stdin="cifs\n")
        assert result.exit_code == 0, result.stderr
        assert "1 without a crystal (Cu.png)" in result.stderr
    assert sources("features.001-of-002.h5") == {"Au": ["Au.png"], "Pt": ["Pt.jpg"]}
    assert sources("features.002-of-002.h5") == {"GaAs": []}
    assert failures("features.002-of-002.failures.csv") == [("imgs/Cu.png", "picture")]
    shards = [f"features.00{number}-of-002.h5" for number in (1, 2)]
    assert run("merge", *shards, "-o", "features.h5").exit_code == 0
    assert sources() == {"Au": ["Au.png"], "Pt": ["Pt.jpg"], "GaAs": []}


def test_computed_bands_pictures_and_styles_go_together(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in = runpy.run_path(str(ROOT / "tests" / "data" / "stand_in.py"))["compute_bands"]
    monkeypatch.setattr(engine, "compute_bands", stand_in)
    seeds: list[tuple[int, int]] = []

    def styled(record: ElectronicRecord, seed: int, n: int) -> list[Styled]:
        seeds.append((seed, n))
        assert record.energy.shape == (48, 20)
        image = np.zeros((1, 224, 224), dtype=np.float32)
        picture = BandPicture(image, -1.0, 1.0, 0.5, (), None, None, (9, 9))
        styles = [replace(training_style(np.random.default_rng(0)), scalar=scalar) for scalar in (False, True)]
        return [Styled(picture, style) for style in styles[:n]]

    monkeypatch.setattr("shc.featurize.band_image.style_pictures.styled_pictures", styled)
    command = ("featurize", "cifs", "--bands", "auto", "--bands", "imgs", "--styles", "2")
    result = run(*command)
    assert result.exit_code == 0, result.stderr
    assert "11 pictures stored, 1 cannot be used" in result.stderr
    file = FeatureFile.open("features.h5")
    assert None not in file.bands(slice(None))
    drawn = [("standard", "styled"), ("0", "styled"), ("1", "styled_scalar")]
    kinds = [[(p.source, p.kind) for p in found] for found in file.pictures(slice(2))]
    assert kinds == [
        [("Au.png", "file"), *drawn],
        drawn,
    ]
    assert (file.header.config.bands, file.header.config.styles) == ("auto", 2)
    # The seed depends on the crystal alone.
    first = list(seeds)
    assert len({seed for seed, _ in first}) == 3
    assert run(*command, "--overwrite").exit_code == 0
    assert seeds == first * 2
    assert "3 done before" in run(*command).stderr
    assert len(seeds) == 6


def test_the_values_of_the_option() -> None:
    assert bands_choice([]) == (False, (), None)
    assert bands_choice(["none"]) == (False, (), None)
    assert bands_choice(["auto", "imgs", "./imgs"]) == (True, (Path("imgs"),), None)
    assert bands_choice(["imgs"], (-2.0, 2.0)).window == EnergyWindow(-2.0, 2.0)
    Path("auto").mkdir()
    assert bands_choice(["./auto"]) == (False, (Path("auto"),), None)
