from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from shc.cli.main import app
from shc.featurize.store import FeatureFile

CIF = """\
data_{name}
_cell_length_a {a}
_cell_length_b {a}
_cell_length_c {a}
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'F m -3 m'
_symmetry_Int_Tables_number 225
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
Na1 Na 0 0 0
Cl1 Cl 0.5 0.5 0.5
"""


def run(*args: str | Path, stdin: str | None = None) -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args], input=stdin)


@pytest.fixture
def cifs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Seven good files and one that is none, in ./cifs of the working folder."""
    monkeypatch.chdir(tmp_path)
    folder = Path("cifs")
    folder.mkdir()
    for i in range(7):
        text = CIF.format(name=f"c{i}", a=5.64 + 0.01 * i)
        (folder / f"c{i}.cif").write_text(text, encoding="utf-8")
    (folder / "c9.cif").write_text("nothing", encoding="utf-8")
    return folder


def test_featurize_writes_features_failures_and_options(cifs: Path) -> None:
    result = run("featurize", cifs)
    assert (result.exit_code, result.stdout) == (0, "")
    assert "7 crystals written to features.h5" in result.stderr
    assert "1 input failed: see features.failures.csv" in result.stderr
    assert FeatureFile.open("features.h5").material_ids == [f"c{i}" for i in range(7)]
    assert "c9.cif" in Path("features.failures.csv").read_text(encoding="utf-8")
    section = yaml.safe_load(Path("features.run.yaml").read_text(encoding="utf-8"))["featurize"]
    assert section["sources"] == ["cifs"]
    assert "overwrite" not in section


def test_featurize_again_from_its_own_options_skips_what_is_done(cifs: Path) -> None:
    assert run("featurize", cifs, "--cutoff", "6").exit_code == 0
    result = run("featurize", "--config", "features.run.yaml")
    assert result.exit_code == 0
    assert "0 crystals written" in result.stderr
    assert "7 done before and unchanged" in result.stderr
    assert FeatureFile.open("features.h5").header.config.cutoff == 6.0


def test_featurize_refuses_to_mix_parameters(cifs: Path) -> None:
    assert run("featurize", cifs).exit_code == 0
    result = run("featurize", cifs, "--cutoff", "6")
    assert result.exit_code == 5
    assert "cutoff" in result.stderr
    assert run("featurize", cifs, "--cutoff", "6", "--overwrite").exit_code == 0


def test_featurize_strict_ends_with_4_and_keeps_the_good_ones(cifs: Path) -> None:
    assert run("featurize", cifs, "--strict").exit_code == 4
    assert len(FeatureFile.open("features.h5")) == 7
    (cifs / "c9.cif").unlink()
    assert run("featurize", cifs, "--strict").exit_code == 0


def test_featurize_without_usable_input_ends_with_3(cifs: Path) -> None:
    assert run("featurize", cifs / "c9.cif").exit_code == 3
    assert not Path("features.h5").exists()
    assert run("featurize", cifs).exit_code == 0
    result = run("featurize", "nowhere")
    assert result.exit_code == 3
    assert "features.failures.csv" in result.stderr
    assert len(FeatureFile.open("features.h5")) == 7


def test_featurize_without_sources_is_a_usage_error() -> None:
    assert run("featurize").exit_code == 2


def test_featurize_reads_paths_from_stdin(cifs: Path) -> None:
    assert run("featurize", "-", "-o", "two.h5", "-q", stdin=f"{cifs}/c3.cif\n{cifs}/c1.cif\n").stderr == ""
    assert FeatureFile.open("two.h5").material_ids == ["c3", "c1"]


def test_quiet_featurize_still_shows_errors(cifs: Path) -> None:
    assert run("featurize", cifs, "--quiet").stderr == ""
    assert "error:" in run("featurize", "nowhere", "--quiet", "-o", "none.h5").stderr


def test_shards_joined_by_merge_hold_what_one_run_holds(cifs: Path) -> None:
    names = []
    for number in (1, 2, 3):
        assert run("featurize", cifs, "lost.cif", "--shard", f"{number}/3").exit_code == 0
        names.append(f"features.00{number}-of-003.h5")
    listed = [
        line
        for name in names
        for line in Path(name).with_suffix(".failures.csv").read_text(encoding="utf-8").splitlines()[1:]
    ]
    assert sorted(line.split(",")[0] for line in listed) == ["cifs/c9.cif", "lost.cif"]
    result = run("merge", *names, "-o", "features.h5")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "7 crystals from 3 files in features.h5\n"
    assert sorted(FeatureFile.open("features.h5").material_ids) == [f"c{i}" for i in range(7)]


def test_a_shard_of_an_array_job_notes_its_number(cifs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"ID": "2", "MIN": "1", "MAX": "4", "COUNT": "4", "STEP": "1"}.items():
        monkeypatch.setenv(f"SLURM_ARRAY_TASK_{name}", value)
    assert run("featurize", cifs, "--shard", "auto").exit_code == 0
    written = yaml.safe_load(Path("features.002-of-004.run.yaml").read_text(encoding="utf-8"))
    assert written["featurize"]["shard"] == "2/4"
    assert FeatureFile.open("features.002-of-004.h5").material_ids == ["c1", "c5"]


def test_merge_drops_duplicates_and_keeps_an_existing_output(cifs: Path) -> None:
    assert run("featurize", cifs).exit_code == 0
    assert run("merge", "features.h5", "features.h5", "-o", "all.h5").stderr == (
        "7 crystals from 2 files in all.h5, 7 duplicates dropped\n"
    )
    assert run("merge", "features.h5", "-o", "all.h5").exit_code == 2
    assert run("merge", "features.h5", "-o", "all.h5", "--overwrite", "--quiet").stderr == ""
    assert run("merge", cifs / "c9.cif", "-o", "x.h5").exit_code == 5


def test_symmetry_prints_a_report(cifs: Path) -> None:
    result = run("symmetry", cifs / "c0.cif", cifs / "c1.cif")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.count("Fm-3m") == 2
    assert "independent components: 1" in result.stdout


def test_symmetry_writes_json_lines(cifs: Path) -> None:
    result = run("symmetry", cifs, "--format", "json", "-o", "out/reports.jsonl")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "c9.cif" in result.stderr
    lines = Path("out/reports.jsonl").read_text(encoding="utf-8").splitlines()
    reports = [json.loads(line) for line in lines]
    assert [report["material_id"] for report in reports] == [f"c{i}" for i in range(7)]
    assert {report["space_group_number"] for report in reports} == {225}
    assert len(reports[0]["components"]) == 27
    assert list(Path("out").iterdir()) == [Path("out/reports.jsonl")]


def test_symmetry_exit_codes(cifs: Path) -> None:
    assert run("symmetry", cifs, "--strict").exit_code == 4
    assert run("symmetry", cifs / "c9.cif").exit_code == 3
    assert run("symmetry", cifs, "--format", "yaml").exit_code == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_stopped_featurize_ends_with_75_and_goes_on(cifs: Path, number: signal.Signals) -> None:
    # The paths come through a pipe that stays open, so the run is certainly under way when the signal comes.
    command = [sys.executable, "-c", "from shc.cli.main import main; main()", "featurize", "-", "-j", "1"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stderr=pipe, text=True) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write(f"{cifs}/c0.cif\n")
        process.stdin.flush()
        deadline = time.monotonic() + 60
        while not Path("features.h5.part").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        os.kill(process.pid, number)
        process.stdin.write(f"{cifs}/c1.cif\n")
        process.stdin.close()
        message = process.stderr.read()
    assert process.returncode == 75, message
    assert number.name in message
    assert "same command" in message
    assert run("featurize", cifs).exit_code == 0
    assert len(FeatureFile.open("features.h5")) == 7
