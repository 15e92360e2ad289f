"""Pictures of bands from end to end: drawn figures, read by the true normaliser, stored, and given to a model."""

from __future__ import annotations

import csv
import os
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from shc.cli.main import app
from shc.featurize.config import FeaturizeConfig
from shc.featurize.descriptors import descriptor_names
from shc.featurize.electronic.picture import band_image
from shc.featurize.prompt import PROMPT_FIELDS
from shc.featurize.store import FeatureBatch, FeatureFile
from shc.featurize.structures import read_crystal
from shc.featurize.symmetry import reduce_crystal
from shc.models.ensemble import save_ensemble
from shc.models.inference import Predictor

if TYPE_CHECKING:
    from collections.abc import Callable

    from shc.featurize.electronic.record import ElectronicRecord
    from shc.models.ensemble import Distributions

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "tests" / "data" / "stand_in.py"
STAND_IN: dict[str, Any] = runpy.run_path(str(SCRIPT))
TINY: dict[str, Any] = runpy.run_path(str(ROOT / "tests" / "data" / "tiny_model.py"))
NAMES = ["Au", "GaAs", "Pt", "PtTe2", "TaAs", "W"]


def run(*args: str | Path) -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args])


def bands_of(name: str) -> ElectronicRecord:
    """Made-up bands of an example crystal: ten lines or so, none too steep."""
    config = FeaturizeConfig()
    crystal = reduce_crystal(read_crystal(ROOT / "examples" / f"{name}.cif", config), config)
    number = int(1e4 * abs(np.linalg.det(crystal.lattice))) % 97
    record: ElectronicRecord = STAND_IN["electronic_record"](number, n_k=120, n_bands=5)
    return record


def draw(record: ElectronicRecord, path: Path) -> None:
    """A figure as people make it, from -4 to 4 eV."""
    figure_module = pytest.importorskip("matplotlib.figure")
    figure = figure_module.Figure(figsize=(5.0, 4.0), dpi=150)
    axes = figure.subplots()
    axes.plot(record.distance, record.energy, color="tab:blue", linewidth=1.2)
    axes.axhline(0.0, color="grey", linestyle="--", linewidth=0.8)
    axes.set_xlim(record.distance[0], record.distance[-1])
    axes.set_ylim(-4.0, 4.0)
    axes.set_ylabel("E - E_F (eV)")
    axes.set_xticks([record.distance[index] for index, _ in record.labels], [name for _, name in record.labels])
    figure.savefig(path)


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three figures of crystals, one of a stranger, one that is cut off, and one that shows nothing."""
    folder = tmp_path_factory.mktemp("figures")
    draw(bands_of("Pt"), folder / "Pt.png")
    draw(bands_of("TaAs"), folder / "TaAs_soc.png")
    draw(bands_of("PtTe2"), folder / "Te4Pt2.png")
    draw(bands_of("Au"), folder / "Cu.png")
    (folder / "Au.png").write_bytes((folder / "Pt.png").read_bytes()[:5000])
    from PIL import Image

    Image.new("RGB", (400, 300), "white").save(folder / "W.png")
    return folder


@pytest.fixture
def place(tmp_path: Path, figures: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with ./cifs and ./imgs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    Path("cifs").mkdir()
    for name in NAMES:
        Path("cifs", f"{name}.cif").write_bytes((ROOT / "examples" / f"{name}.cif").read_bytes())
    Path("imgs").symlink_to(figures)
    return tmp_path


def stored(path: str | Path) -> dict[str, list[str]]:
    file = FeatureFile.open(path)
    found = file.pictures(slice(None))
    return {key: [p.source for p in value] for key, value in zip(file.material_ids, found, strict=True)}


def listed(path: str | Path) -> list[tuple[str, str]]:
    with Path(path).open(encoding="utf-8") as stream:
        return [(row["path"], row["stage"]) for row in csv.DictReader(stream)]


EXPECTED = {"Au": [], "GaAs": [], "Pt": ["Pt.png"], "PtTe2": ["Te4Pt2.png"], "TaAs": ["TaAs_soc.png"], "W": []}
LISTED = [("imgs/Cu.png", "picture"), ("imgs/Au.png", "picture"), ("imgs/W.png", "picture")]


@pytest.mark.usefixtures("place")
def test_figures_are_normalised_and_stored() -> None:
    result = run("featurize", "cifs", "--bands", "imgs")
    assert result.exit_code == 0, result.stderr
    assert "6 pictures in imgs: 5 belong to 5 crystals (4 by file name, 1 by formula)" in result.stderr
    assert "3 pictures stored, 2 cannot be used: see features.failures.csv" in result.stderr
    assert stored("features.h5") == EXPECTED
    assert sorted(listed("features.failures.csv")) == sorted(LISTED)
    file = FeatureFile.open("features.h5")
    for name in ("Pt", "TaAs"):
        [[picture]] = file.pictures(np.array([file.material_ids.index(name)]))
        assert (picture.e_min_ev, picture.e_max_ev) == pytest.approx((-3.0, 3.0))
        ideal = band_image(bands_of(name))
        other = band_image(bands_of("GaAs"))
        assert np.abs(picture.image - ideal).mean() < 0.4 * np.abs(picture.image - other).mean()
    assert "6 done before" in run("featurize", "cifs", "--bands", "imgs").stderr


class _Reader(Predictor):
    given: dict[str, list[str]] = {}  # noqa: RUF012  one run at a time

    def distributions(self, features: FeatureBatch) -> Distributions:
        assert features.pictures is not None
        for name, found in zip(features.material_id, features.pictures, strict=True):
            self.given[name] = [picture.source for picture in found]
            assert all(picture.image.shape == (1, 224, 224) for picture in found)
        return super().distributions(features)


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("source", ["cifs", "features.h5", None])
def test_a_model_that_reads_pictures_gets_them(monkeypatch: pytest.MonkeyPatch, source: str | None) -> None:
    sizes = max(span.stop for _, span in PROMPT_FIELDS), len(descriptor_names())
    save_ensemble(Path("model"), TINY["tiny_ensemble"](*sizes, model=TINY["FUSED"]))
    monkeypatch.setattr("shc.models.inference.Predictor", _Reader)
    _Reader.given = {}
    if source != "cifs":
        assert run("featurize", "cifs").exit_code == 0
    named = [] if source is None else [source]
    result = run("predict", *named, "--bands", "imgs", "--model", "model", "-o", "out.csv")
    assert result.exit_code == 0, result.stderr
    assert _Reader.given == EXPECTED
    assert len(Path("out.csv").read_text().splitlines()) == 2 + len(NAMES)
    [line] = [line for line in result.stderr.splitlines() if "imgs" in line]
    assert "5 belong to 5 crystals" in line
    assert "2 cannot be used; see out.failures.csv" in line
    assert "inputs failed" not in result.stderr
    assert sorted(listed("out.failures.csv")) == sorted(LISTED)
    strict = run("predict", *named, "--bands", "imgs", "--model", "model", "-o", "out.csv", "--strict")
    assert strict.exit_code == 4


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("source", ["cifs", "features.h5"])
def test_a_model_of_structures_opens_none(source: str) -> None:
    ensemble = TINY["tiny_ensemble"](max(span.stop for _, span in PROMPT_FIELDS), len(descriptor_names()))
    save_ensemble(Path("model"), ensemble)
    assert run("featurize", "cifs").exit_code == 0
    result = run("predict", source, "--bands", "imgs", "--model", "model", "-o", "out.csv")
    assert result.exit_code == 0, result.stderr
    assert "not used, nor opened, for this model sees the structure only; see out.failures.csv" in result.stderr
    assert listed("out.failures.csv") == LISTED[:1]


def start(seconds: float, output: str) -> subprocess.Popen[str]:
    """A run with computed bands, each of which takes some seconds, in two processes of a group of their own."""
    options = ["--bands", "auto", "--bands", "imgs", "-o", output, "-j", "2"]
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), "log", str(seconds), "featurize", "cifs", *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 90.0
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.usefixtures("place")
def test_a_killed_run_goes_on_with_its_pictures() -> None:
    with start(0.4, "f.h5") as process:
        wait_for(lambda: Path("log").exists() and len(Path("log").read_text().split()) >= 3)
        os.killpg(process.pid, signal.SIGKILL)
    assert Path("f.h5.part").exists()
    with start(0.0, "f.h5") as process:
        assert process.stderr is not None
        message = process.stderr.read()
    assert process.returncode == 0, message
    assert "done before" in message
    assert stored("f.h5") == EXPECTED
    assert sorted(listed("f.failures.csv")) == sorted(LISTED)
    assert None not in FeatureFile.open("f.h5").bands(slice(None))
