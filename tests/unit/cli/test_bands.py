from __future__ import annotations

import csv
import resource
import runpy
import shutil
from contextlib import contextmanager
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
    from collections.abc import Iterator

    from shc.featurize.electronic.record import BandsConfig, ElectronicRecord
    from shc.featurize.symmetry import PrimitiveCrystal

ROOT = Path(__file__).parents[3]
STAND_IN: dict[str, Any] = runpy.run_path(str(ROOT / "tests" / "data" / "stand_in.py"))
DEFAULTS = FeaturizeConfig()
NAMES = ["Au", "GaAs", "Pt"]
RUBIDIUM = "Rb\n5.0\n1 0 0\n0 1 0\n0 0 1\nRb\n1\nDirect\n0 0 0\n"


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


def failures(path: str | Path) -> list[dict[str, str]]:
    with Path(path).open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond a size, as on a disk that is nearly full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


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
    (cifs / "Rb.vasp").write_text(RUBIDIUM)
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
    (cifs / "Rb.vasp").write_text(RUBIDIUM)
    result = run("featurize", cifs, "--bands", "auto")
    assert result.exit_code == 0, result.stderr
    assert "1 crystal has no bands: see features.failures.csv" in result.stderr
    assert "inputs failed" not in result.stderr
    file = FeatureFile.open("features.h5")
    assert dict(zip(file.material_ids, [r is not None for r in file.bands(slice(None))], strict=True)) == {
        "Au": True, "GaAs": True, "Pt": True, "Rb": False,
    }  # fmt: skip
    assert run("featurize", cifs).exit_code == 5
    assert run("featurize", cifs, "--overwrite", "--budget", "7").exit_code == 0
    assert FeatureFile.open("features.h5").header.config.bands_budget == DEFAULTS.bands_budget
    assert run("featurize", cifs, "--bands", "maybe").exit_code == 2


def test_a_crystal_without_bands_stays_in_the_list(cifs: Path, calls: list[float]) -> None:
    (cifs / "Rb.vasp").write_text(RUBIDIUM)
    command = ("featurize", cifs, "--bands", "auto", "-o", "f.h5")
    assert run(*command).exit_code == 0
    [first] = failures("f.failures.csv")
    assert first["error"] == "no built-in electronic structure for Rb"
    for more, code in (((), 0), (("--strict",), 4)):
        again = run(*command, *more)
        assert again.exit_code == code
        assert "4 done before" in again.stderr
        assert "1 crystal has no bands: see f.failures.csv; --overwrite tries again" in again.stderr
        assert failures("f.failures.csv") == [first]
    Path("f.failures.csv").unlink()
    run(*command)
    [row] = failures("f.failures.csv")
    assert (row["path"], row["stage"], row["error"]) == (first["path"], "bands", "no bands")
    assert "--overwrite" in row["hint"]
    assert len(calls) == 4
    (cifs / "Rb.vasp").unlink()
    shutil.copy(ROOT / "examples" / "W.cif", cifs / "Rb.cif")
    assert "no bands" not in run(*command).stderr
    assert failures("f.failures.csv") == []


@pytest.mark.parametrize("stage", ["read", "bands"])
def test_a_crystal_that_becomes_unusable_leaves_file_table_and_folder(cifs: Path, stage: str) -> None:
    assert run("bands", cifs, "-o", "out").exit_code == 0
    (cifs / "GaAs.cif").rename(cifs / "GaAs.vasp")
    (cifs / "GaAs.vasp").write_text(RUBIDIUM if stage == "bands" else "")
    result = run("bands", cifs, "-o", "out")
    assert result.exit_code == 0
    assert "1 input failed: see out/bands.failures.csv" in result.stderr
    assert "1 crystal taken out of out/bands.h5" in result.stderr
    assert [row["stage"] for row in failures("out/bands.failures.csv")] == [stage]
    assert [row["material_id"] for row in rows("out/summary.csv")] == ["Au", "Pt"]
    assert FeatureFile.open("out/bands.h5").material_ids == ["Au", "Pt"]
    assert not Path("out/GaAs.png").exists()
    assert "taken out" not in run("bands", cifs, "-o", "out").stderr


def test_a_run_without_a_usable_input_takes_nothing_out(cifs: Path) -> None:
    assert run("featurize", cifs).exit_code == 0
    (cifs / "Pt.cif").write_text("")
    result = run("featurize", cifs / "Pt.cif")
    assert result.exit_code == 3
    assert "error: Pt.cif: the file is empty" in result.stderr
    assert "hint: write the file again; see features.failures.csv; features.h5 is as it was" in result.stderr
    assert FeatureFile.open("features.h5").material_ids == NAMES


def test_the_one_input_that_fails_is_explained_at_once(cifs: Path) -> None:
    (cifs / "Rb.vasp").write_text(RUBIDIUM)
    result = run("bands", cifs / "Rb.vasp", "-o", "out")
    assert result.exit_code == 3
    assert result.stderr.splitlines()[-2:] == [
        "error: cifs/Rb.vasp: no built-in electronic structure for Rb",
        "hint: leave it out; see out/bands.failures.csv",
    ]
    (cifs / "bad.cif").write_text("")
    result = run("bands", cifs / "Rb.vasp", cifs / "bad.cif", "-o", "out")
    assert "error: none of the 2 inputs could be used" in result.stderr


@pytest.mark.parametrize("cut", [0, 100, -1])
def test_a_torn_picture_is_drawn_again(cifs: Path, cut: int, calls: list[float]) -> None:
    assert run("bands", cifs, "-o", "out").exit_code == 0
    whole = Path("out/Pt.png").read_bytes()
    Path("out/Pt.png").write_bytes(whole[:cut])
    assert "2 done before" in run("bands", cifs, "-o", "out").stderr
    assert Path("out/Pt.png").read_bytes() == whole
    assert len(calls) == 3


def test_places_that_cannot_be_written_end_the_run(cifs: Path, calls: list[float]) -> None:
    Path("link").symlink_to("nowhere/at/all")
    Path("taken").mkdir()
    Path("taken/plots").touch()
    for args, named in (
        (("-o", "link"), "link is in the way"),
        (("-o", "taken", "--plot"), "taken/plots is in the way"),
        (("-o", "/proc/no"), "/proc/no: No such file"),
    ):
        result = run("bands", cifs, *args)
        assert (result.exit_code, named in result.stderr) == (2, True), result.stderr
    assert calls == []
    Path("out/GaAs.png").mkdir(parents=True)
    result = run("bands", cifs, "-o", "out")
    assert result.exit_code == 2
    assert "error: out/GaAs.png: Is a directory" in result.stderr
    assert "free space" in result.stderr
    assert not list(Path("out").glob("*.tmp"))
    assert failures("out/bands.failures.csv") == []
    Path("out/GaAs.png").rmdir()
    assert run("bands", cifs, "-o", "out").exit_code == 0
    assert len(calls) == 3


@pytest.mark.parametrize(
    ("limit", "named"), [(0, "bands.h5.part"), (11_000, "Au.png"), (28_000, "bands.h5"), (60_000, "plots/Au.png")]
)
def test_a_full_disk_ends_the_run_and_leaves_nothing_half_written(cifs: Path, limit: int, named: str) -> None:
    plot = ("--plot",) if "plots" in named else ()
    with files_up_to(limit):
        result = run("bands", cifs, "-o", "out", "-q", *plot)
    assert (result.exit_code, result.exception is None or isinstance(result.exception, SystemExit)) == (2, True)
    assert result.stderr == f"error: out/{named}: File too large\nhint: check permissions and free space\n"
    assert not [path for path in Path("out").rglob("*") if path.suffix == ".tmp"]
    assert run("bands", cifs, "-o", "out", *plot).exit_code == 0
    assert [row["material_id"] for row in rows("out/summary.csv")] == NAMES


def test_the_hint_for_a_damaged_file_fits_both_verbs(cifs: Path) -> None:
    assert run("bands", cifs, "-o", "out").exit_code == 0
    Path("out/bands.h5").write_bytes(Path("out/bands.h5").read_bytes()[:3000])
    result = run("bands", cifs, "-o", "out")
    assert result.exit_code == 5
    assert "`shc bands`" in result.stderr
    assert "--overwrite" in result.stderr
    assert run("bands", cifs, "-o", "out", "--overwrite").exit_code == 0
