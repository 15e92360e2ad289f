from __future__ import annotations

import csv
import runpy
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from shc.cli.main import app
from shc.featurize.config import FeaturizeConfig
from shc.featurize.electronic import engine
from shc.featurize.store import FeatureFile

if TYPE_CHECKING:
    from shc.featurize.electronic.record import BandsConfig, ElectronicRecord
    from shc.featurize.symmetry import PrimitiveCrystal

ROOT = Path(__file__).parents[3]
STAND_IN: dict[str, Any] = runpy.run_path(str(ROOT / "tests" / "data" / "stand_in.py"))
DEFAULTS = FeaturizeConfig()
NAMES = ["Au", "GaAs", "Pt"]


def run(*args: str | Path, stdin: str | None = None) -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args], input=stdin)


@pytest.fixture
def cifs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three crystals in ./cifs of the working folder, and an empty cache."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = Path("cifs")
    folder.mkdir()
    for name in NAMES:
        shutil.copy(ROOT / "examples" / f"{name}.cif", folder)
    return folder


@pytest.fixture(autouse=True)
def calls(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Budget of each computation; in this process, where the stand-in is."""
    made: list[float] = []

    def counted(crystal: PrimitiveCrystal, config: BandsConfig) -> ElectronicRecord:
        made.append(config.budget)
        record: ElectronicRecord = STAND_IN["compute_bands"](crystal, config)
        return record

    monkeypatch.setattr(engine, "compute_bands", counted)
    monkeypatch.setattr("shc.featurize.pipeline.BANDS_IN_PROCESS_BELOW", 100)
    return made


def rows(path: str | Path) -> list[dict[str, str]]:
    with Path(path).open(encoding="utf-8") as stream:
        assert next(stream).startswith("# units: ")
        return list(csv.DictReader(stream))


def names(folder: str | Path) -> list[str]:
    return sorted(path.name for path in Path(folder).iterdir())


def test_a_folder_gets_pictures_numbers_and_a_table(cifs: Path) -> None:
    result = run("bands", cifs, "-o", "out")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "3 crystals written to out/bands.h5" in result.stderr
    assert names("out") == [
        "Au.png", "GaAs.png", "Pt.png", "bands.failures.csv", "bands.h5", "bands.run.yaml", "summary.csv",
    ]  # fmt: skip
    assert [row["material_id"] for row in rows("out/summary.csv")] == NAMES
    file = FeatureFile.open("out/bands.h5")
    assert file.material_ids == NAMES
    assert None not in file.bands(slice(None))
    section = yaml.safe_load(Path("out/bands.run.yaml").read_text(encoding="utf-8"))["bands"]
    assert (section["sources"], section["budget"], section["output"]) == (
        ["cifs"], DEFAULTS.bands_budget, "out",
    )  # fmt: skip


def test_the_same_command_goes_on(cifs: Path, calls: list[float]) -> None:
    first = run("bands", cifs, "-o", "out", "--budget", "2.5")
    shutil.copy(ROOT / "examples" / "W.cif", cifs)
    again = run("bands", "--config", "out/bands.run.yaml")
    assert (first.exit_code, again.exit_code) == (0, 0)
    assert calls == [2.5] * 4
    assert "1 crystal written" in again.stderr
    assert "3 done before" in again.stderr
    assert [row["material_id"] for row in rows("out/summary.csv")] == [*NAMES, "W"]
    other = run("bands", cifs, "-o", "out", "--budget", "9")
    assert other.exit_code == 5
    assert "bands_budget" in other.stderr


def test_overwriting_uses_the_cache_unless_told_otherwise(cifs: Path, calls: list[float]) -> None:
    assert run("bands", cifs, "-o", "out", "--no-cache").exit_code == 0
    assert not Path("cache").exists()
    assert run("bands", cifs, "-o", "out", "--overwrite").exit_code == 0
    assert len(calls) == 6
    assert run("bands", cifs, "-o", "out", "--overwrite", "-q").stderr == ""
    assert run("featurize", cifs, "--bands", "auto").exit_code == 0
    assert len(calls) == 6
    assert run("bands", cifs, "-o", "out", "--overwrite", "--no-cache").exit_code == 0
    assert len(calls) == 9


def test_a_file_gets_the_numbers_alone(cifs: Path) -> None:
    assert run("bands", cifs, "-o", "new/x.h5").exit_code == 0
    assert names("new") == ["x.failures.csv", "x.h5", "x.run.yaml", "x.summary.csv"]
    assert len(rows("new/x.summary.csv")) == 3
    result = run("bands", cifs, "-o", "new/x.h5", "--plot")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--plot needs a folder" in result.stderr


def test_plots_go_to_a_folder_of_their_own(cifs: Path, calls: list[float]) -> None:
    assert run("bands", cifs / "Pt.cif", "-o", "out").exit_code == 0
    assert run("bands", cifs / "Pt.cif", "-o", "out", "--plot").exit_code == 0
    assert names("out/plots") == ["Pt.png"]
    assert len(calls) == 1


def test_plots_without_matplotlib_are_refused_at_once(
    cifs: Path, calls: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shc.cli.commands.bands.find_spec", lambda _name: None)
    result = run("bands", cifs, "-o", "out", "--plot")
    assert result.exit_code == 6
    assert "matplotlib" in result.stderr
    assert calls == []
    assert not Path("out").exists()


def test_bad_inputs_are_listed_and_strict_ends_with_4(cifs: Path) -> None:
    (cifs / "bad.cif").write_text("nothing")
    (cifs / "Rb.vasp").write_text("Rb\n5.0\n1 0 0\n0 1 0\n0 0 1\nRb\n1\nDirect\n0 0 0\n")
    result = run("bands", cifs, "-o", "out", "--strict")
    assert result.exit_code == 4
    assert "2 inputs failed: see out/bands.failures.csv" in result.stderr
    with Path("out/bands.failures.csv").open(encoding="utf-8") as stream:
        stages = {Path(row["path"]).name: row["stage"] for row in csv.DictReader(stream)}
    assert stages == {"bad.cif": "read", "Rb.vasp": "bands"}
    assert [row["material_id"] for row in rows("out/summary.csv")] == NAMES
    assert run("bands", cifs / "bad.cif", "-o", "none").exit_code == 3
    Path("file").touch()
    assert run("bands", cifs, "-o", "file").exit_code == 2


def test_shards_share_a_folder_and_are_joined_by_merge(cifs: Path) -> None:
    for number in (1, 2):
        assert run("bands", cifs, "-o", "out", "--shard", f"{number}/2").exit_code == 0
    assert [row["material_id"] for row in rows("out/summary.001-of-002.csv")] == ["Au", "Pt"]
    shards = [f"out/bands.00{number}-of-002.h5" for number in (1, 2)]
    assert run("merge", *shards, "-o", "out/bands.h5").exit_code == 0
    assert None not in FeatureFile.open("out/bands.h5").bands(slice(None))
    assert [name for name in names("out") if name.endswith(".png")] == ["Au.png", "GaAs.png", "Pt.png"]


def test_sources_come_from_stdin(cifs: Path) -> None:
    assert run("bands", "-", "-o", "two.h5", stdin=f"{cifs}/Pt.cif\n{cifs}/Au.cif\n").exit_code == 0
    assert FeatureFile.open("two.h5").material_ids == ["Pt", "Au"]


def test_featurize_stores_bands_if_asked(cifs: Path) -> None:
    (cifs / "Rb.vasp").write_text("Rb\n5.0\n1 0 0\n0 1 0\n0 0 1\nRb\n1\nDirect\n0 0 0\n")
    result = run("featurize", cifs, "--bands", "auto", "--strict")
    assert result.exit_code == 0, result.stderr
    assert "1 crystals have no bands: see features.failures.csv" in result.stderr
    assert "inputs failed" not in result.stderr
    file = FeatureFile.open("features.h5")
    assert dict(zip(file.material_ids, [r is not None for r in file.bands(slice(None))], strict=True)) == {
        "Au": True, "GaAs": True, "Pt": True, "Rb": False,
    }  # fmt: skip
    assert run("featurize", cifs).exit_code == 5
    assert run("featurize", cifs, "--overwrite", "--budget", "7").exit_code == 0
    assert FeatureFile.open("features.h5").header.config.bands_budget == DEFAULTS.bands_budget
    assert run("featurize", cifs, "--bands", "maybe").exit_code == 2
