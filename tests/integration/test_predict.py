"""``shc predict`` from end to end, with small random networks."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import re
import runpy
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from shc.cli.main import app
from shc.featurize.descriptors import descriptor_names
from shc.featurize.electronic import engine
from shc.featurize.prompt import PROMPT_FIELDS
from shc.models.backends import openvino
from shc.models.ensemble import save_ensemble
from shc.models.inference import Predictor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shc.models.prediction import Predicted

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data"
EXAMPLES = ROOT / "examples"
TINY: dict[str, Any] = runpy.run_path(str(DATA / "tiny_model.py"))
STAND_IN: dict[str, Any] = runpy.run_path(str(DATA / "stand_in.py"))
NAMES = ["Au", "GaAs", "NaCl", "Pt", "TaAs", "W"]


def run(*args: str | Path, stdin: str | None = None) -> Result:
    return CliRunner().invoke(app, ["predict", *map(str, args)], input=stdin)


def table(text: str) -> list[dict[str, str]]:
    """Rows of a CSV with its comment line."""
    first, rest = text.split("\n", 1)
    assert first.startswith("# unit: (hbar/e) S/cm")
    return list(csv.DictReader(io.StringIO(rest)))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    n_prompt = max(span.stop for _, span in PROMPT_FIELDS)
    save_ensemble(folder, TINY["tiny_ensemble"](n_prompt, len(descriptor_names())))
    return folder


@pytest.fixture(scope="module")
def fused(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that reads bands and pictures and says a tensor."""
    folder = tmp_path_factory.mktemp("fused")
    n_prompt = max(span.stop for _, span in PROMPT_FIELDS)
    save_ensemble(folder, TINY["tiny_ensemble"](n_prompt, len(descriptor_names()), model=TINY["FUSED"]))
    return folder


@pytest.fixture
def cifs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Six crystals in ./cifs of the working folder."""
    monkeypatch.chdir(tmp_path)
    folder = Path("cifs")
    folder.mkdir()
    for name in NAMES:
        (folder / f"{name}.cif").write_bytes((EXAMPLES / f"{name}.cif").read_bytes())
    return folder


def featurize(cifs: Path, *more: str) -> None:
    assert CliRunner().invoke(app, ["featurize", str(cifs), *more]).exit_code == 0


def test_a_back_end_is_chosen_and_told(cifs: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(cifs.absolute()))
    told = [line for line in run(cifs, "--model", model).stderr.splitlines() if "back end" in line]
    assert len(told) == 1
    assert told[0].startswith("back end eager, as torch runs the networks: no compiled back end ")
    Path("run.yaml").write_text("predict: {backend: eager}\n", encoding="utf-8")
    assert "back end eager, as torch runs the networks, as asked for\n" in (
        run(cifs, "--model", model, "--config", "run.yaml").stderr
    )
    missing = run(cifs, "--model", model, "--device", "cpu", "--backend", "tensorrt")
    assert (missing.exit_code, missing.stdout) == (6, "")
    assert "TensorRT cannot run here: it is for GPUs" in missing.stderr


def test_a_back_end_that_fails_is_one_line_even_if_all_shall_be_quiet(
    cifs: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(*_given: object) -> None:
        raise RuntimeError("no\nway")

    monkeypatch.setenv("XDG_CACHE_HOME", str(cifs.absolute()))
    compiler = openvino.COMPILER._replace(why_not=lambda _: None, identity=lambda _: {}, build=build)
    monkeypatch.setattr(openvino, "COMPILER", compiler)
    result = run(cifs, "--model", model, "--device", "cpu", "--backend", "openvino", "--quiet")
    assert result.exit_code == 0
    assert len(table(result.stdout)) == 6
    [warning] = result.stderr.splitlines()
    assert warning.startswith("OpenVINO cannot be used, so the networks run without a compiler: no")


def test_a_folder_becomes_csv_on_stdout(cifs: Path, model: Path) -> None:
    result = run(cifs, "--model", model)
    assert result.exit_code == 0, result.stderr
    rows = table(result.stdout)
    assert [row["material_id"] for row in rows] == NAMES
    assert list(rows[0]) == [
        "material_id", "formula", "space_group_number", "shc_max_abs", "shc_lower", "shc_upper", "shc_std",
        "p_finite", "in_domain", "modalities", "flags",
    ]  # fmt: skip
    assert (rows[3]["formula"], rows[3]["space_group_number"]) == ("Pt", "225")
    assert "6 crystals predicted" in result.stderr
    assert sorted(path.name for path in Path().iterdir()) == ["cifs"]


def test_the_two_commands_as_typed(cifs: Path, model: Path) -> None:
    """``shc featurize ./cifs`` and then ``shc predict --bands ./imgs``."""
    featurize(cifs)
    Path("imgs").mkdir()
    for name in ("Pt.png", "W.jpg", "other.png", "notes.txt"):
        Path("imgs", name).touch()
    result = run("--bands", "./imgs", "--model", model)
    assert result.exit_code == 0, result.stderr
    rows = table(result.stdout)
    assert [row["material_id"] for row in rows] == NAMES
    assert {row["modalities"] for row in rows} == {"structure"}
    lines = [line for line in result.stderr.splitlines() if "imgs" in line]
    assert len(lines) == 1
    assert lines[0].startswith("3 pictures in imgs: 2 belong to 2 crystals (2 by file name)")
    assert "1 without a crystal (other.png)" in lines[0]
    assert "pictures are not used, nor opened, for this model sees the structure only" in lines[0]
    assert lines[0].endswith("; see shc.failures.csv")
    with Path("shc.failures.csv").open(encoding="utf-8") as stream:
        [failure] = csv.DictReader(stream)
    assert (failure["path"], failure["stage"]) == ("imgs/other.png", "picture")
    assert "failed" not in result.stderr
    on_the_fly = table(run("cifs", "--model", model).stdout)
    assert on_the_fly == rows


def test_bands_none_and_a_missing_folder(cifs: Path, model: Path) -> None:
    assert run(cifs, "--bands", "none", "--model", model).exit_code == 0
    result = run(cifs, "--bands", "imgs", "--model", model)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "imgs: there is no such folder" in result.stderr


def test_bands_auto_computes_them_once_and_uses_them(cifs: Path, fused: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(Path("cache").resolve()))
    monkeypatch.setattr("shc.featurize.pipeline.BANDS_IN_PROCESS_BELOW", 100)
    (cifs / "Rb.vasp").write_text("Rb\n5.0\n1 0 0\n0 1 0\n0 0 1\nRb\n1\nDirect\n0 0 0\n")
    monkeypatch.setattr(engine, "compute_bands", STAND_IN["compute_bands"])
    result = run("-", "--bands", "auto", "--model", fused, "--format", "csv", stdin=f"{cifs}\n")
    assert result.exit_code == 0, result.stderr
    rows = {row["material_id"]: row for row in table(result.stdout)}
    assert len(rows) == 7
    assert {name for name, row in rows.items() if row["modalities"] == "structure"} == {"Rb"}
    assert {row["modalities"] for row in rows.values()} == {"structure", "structure+curves"}
    with Path("shc.failures.csv").open(encoding="utf-8") as stream:
        [failure] = csv.DictReader(stream)
    assert (failure["path"], failure["stage"]) == ("cifs/Rb.vasp", "bands")
    assert len([path for path in Path("cache").rglob("*") if path.is_file()]) == 6
    alone = {row["material_id"]: row for row in table(run(cifs, "--model", fused).stdout)}
    assert alone["Rb"] == rows["Rb"]
    assert all(alone[name]["shc_max_abs"] != rows[name]["shc_max_abs"] for name in NAMES)
    # Everything comes from the cache now.
    (cifs / "Rb.vasp").unlink()
    monkeypatch.delattr(engine, "compute_bands")
    again = run(cifs, "--bands", "auto", "--model", fused)
    assert [row for row in table(again.stdout) if row["material_id"] in NAMES] == [rows[name] for name in NAMES]


def test_bands_of_a_feature_file_are_used_unless_told_otherwise(
    cifs: Path, fused: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(Path("cache").resolve()))
    monkeypatch.setattr("shc.featurize.pipeline.BANDS_IN_PROCESS_BELOW", 100)
    monkeypatch.setattr(engine, "compute_bands", STAND_IN["compute_bands"])
    featurize(cifs, "--bands", "auto")
    stored, computed = (table(run(*more, "--model", fused).stdout) for more in ((), (cifs, "--bands", "auto")))
    assert stored == computed
    assert {row["modalities"] for row in stored} == {"structure+curves"}
    alone = table(run("--bands", "none", "--model", fused).stdout)
    assert alone == table(run(cifs, "--model", fused).stdout)
    assert {row["modalities"] for row in alone} == {"structure"}


def test_a_model_without_bands_computes_none_and_says_so(cifs: Path, model: Path) -> None:
    result = run(cifs, "--bands", "auto", "--model", model)
    assert result.exit_code == 0
    assert "no bands were computed: this model sees the structure only" in result.stderr
    assert {row["modalities"] for row in table(result.stdout)} == {"structure"}


def test_what_bands_would_bring_is_said_once(cifs: Path) -> None:
    hint = "predicted from the structure alone; --bands auto computes the bands too"
    [line] = [line for line in run(cifs).stderr.splitlines() if hint in line]
    assert re.search(r"raises R2 on crystals never seen from 0\.\d\d to 0\.\d\d$", line)
    assert hint not in run(cifs, "--bands", "none").stderr
    assert hint not in run(cifs, "--quiet").stderr


def test_the_tensor_obeys_the_symmetry_and_says_where_it_comes_from(
    cifs: Path, fused: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [row] = table(run(cifs / "Pt.cif", "--tensor", "--model", fused).stdout)
    tensor = np.array([float(row[f"tb_shc_{i}{j}{k}"]) for i in "xyz" for j in "xyz" for k in "xyz"]).reshape(3, 3, 3)
    assert row["tb_source"] == "learned"
    assert abs(tensor[0, 1, 2]) > 0.05
    signs = np.array([[[np.linalg.det(np.eye(3)[[i, j, k]]) for k in range(3)] for j in range(3)] for i in range(3)])
    np.testing.assert_allclose(tensor, tensor[0, 1, 2] * signs, atol=1e-6)
    monkeypatch.setattr(engine, "compute_bands", STAND_IN["compute_bands"])
    monkeypatch.setattr("shc.featurize.pipeline.BANDS_IN_PROCESS_BELOW", 100)
    monkeypatch.setenv("XDG_CACHE_HOME", str(Path("cache").resolve()))
    lines = run(cifs / "Pt.cif", "--tensor", "--bands", "auto", "--format", "jsonl", "--model", fused).stdout
    assert json.loads(lines)["tb_source"] == "computed"
    refused = run(cifs / "Pt.cif", "--tensor", "--model", model)
    assert (refused.exit_code, refused.stdout) == (5, "")
    assert "predicts no tensor" in refused.stderr


def test_without_sources_and_without_features_it_says_what_to_do(model: Path) -> None:
    result = run("--model", model)
    assert (result.exit_code, result.stdout) == (3, "")
    assert "there is no features.h5" in result.stderr
    assert "hint: name crystals, as in `shc predict ./cifs`" in result.stderr


def test_sources_of_every_kind(cifs: Path, model: Path) -> None:
    Path("list.txt").write_text("cifs/W.cif\n# not this\ncifs/Au.cif\n", encoding="utf-8")
    asked: list[tuple[list[str | Path], str | None, list[str]]] = [
        (["cifs/*s.cif"], None, ["GaAs", "TaAs"]),
        (["list.txt"], None, ["W", "Au"]),
        (["-"], "cifs/Pt.cif\ncifs/NaCl.cif\n", ["Pt", "NaCl"]),
        ([cifs / "W.cif", cifs / "Pt.cif"], None, ["W", "Pt"]),
    ]
    for sources, stdin, names in asked:
        result = run(*sources, "--model", model, stdin=stdin)
        assert result.exit_code == 0, result.stderr
        assert [row["material_id"] for row in table(result.stdout)] == names


def test_json_lines(cifs: Path, model: Path) -> None:
    result = run(cifs, "--format", "jsonl", "--model", model)
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [row["material_id"] for row in rows] == NAMES
    assert {row["unit"] for row in rows} == {"(hbar/e) S/cm"}
    assert all(row["shc_lower"] <= row["shc_max_abs"] <= row["shc_upper"] for row in rows)


def test_output_by_its_ending(cifs: Path, model: Path) -> None:
    for name in ("deep/out.csv", "out.jsonl"):
        result = run(cifs, "-o", name, "--model", model)
        assert (result.exit_code, result.stdout) == (0, "")
        assert f"6 crystals predicted in {name}" in result.stderr
    assert [row["material_id"] for row in table(Path("deep/out.csv").read_text(encoding="utf-8"))] == NAMES
    assert json.loads(Path("out.jsonl").read_text(encoding="utf-8").splitlines()[0])["material_id"] == "Au"


def test_top_sorts_and_keeps_the_largest(cifs: Path, model: Path) -> None:
    everything = table(run(cifs, "--model", model).stdout)
    result = run(cifs, "--top", "3", "--model", model)
    rows = table(result.stdout)
    expected = sorted(everything, key=lambda row: -float(row["shc_max_abs"]))[:3]
    assert [row["shc_max_abs"] for row in rows] == [row["shc_max_abs"] for row in expected]
    assert "the largest 3 shown" in result.stderr


def test_the_table_ranks(cifs: Path, model: Path) -> None:
    result = run(cifs, "--format", "table", "--top", "2", "--model", model)
    assert result.exit_code == 0, result.stderr
    best = table(run(cifs, "--top", "2", "--model", model).stdout)
    lines = result.stdout.splitlines()
    assert "(hbar/e) S/cm" in lines[0]
    assert "\x1b" not in result.stdout
    shown = [line for line in lines if any(row["material_id"] in line.split() for row in best)]
    assert len(shown) == 2
    assert best[0]["material_id"] in shown[0]
    shown_value = float(shown[0].split("│")[2])
    assert shown_value == pytest.approx(float(best[0]["shc_max_abs"]), abs=1.0)


def test_failures_are_listed_and_the_rest_is_predicted(cifs: Path, model: Path) -> None:
    (cifs / "bad.cif").write_text("nothing", encoding="utf-8")
    result = run(cifs, "missing.cif", "--model", model)
    assert result.exit_code == 0
    assert len(table(result.stdout)) == 6
    assert "2 inputs failed: see shc.failures.csv" in result.stderr
    rows = list(csv.DictReader(io.StringIO(Path("shc.failures.csv").read_text(encoding="utf-8"))))
    assert {row["path"] for row in rows} == {"cifs/bad.cif", "missing.cif"}
    assert all(row["hint"] for row in rows)
    strict = run(cifs, "--strict", "-o", "out.csv", "--model", model)
    assert strict.exit_code == 4
    assert len(table(Path("out.csv").read_text(encoding="utf-8"))) == 6
    assert "bad.cif" in Path("out.failures.csv").read_text(encoding="utf-8")
    (cifs / "bad.cif").unlink()
    assert run(cifs, "--model", model).exit_code == 0
    assert not Path("shc.failures.csv").exists()


def test_the_list_of_featurize_is_not_taken_for_a_stale_one(cifs: Path, model: Path) -> None:
    (cifs / "bad.cif").write_text("nothing", encoding="utf-8")
    featurize(cifs)
    assert run("features.h5", "-o", "features.csv", "--model", model).exit_code == 0
    assert "bad.cif" in Path("features.failures.csv").read_text(encoding="utf-8")


def test_nothing_usable_leaves_no_output(cifs: Path, model: Path) -> None:
    for path in cifs.iterdir():
        path.write_text("nothing", encoding="utf-8")
    Path("out.csv").write_text("of an earlier run", encoding="utf-8")
    result = run(cifs, "-o", "out.csv", "--model", model)
    assert result.exit_code == 3
    assert "none of the 6 inputs could be used" in result.stderr
    assert Path("out.csv").read_text(encoding="utf-8") == "of an earlier run"
    assert run(cifs, "--model", model).stdout == ""
    alone = run(next(cifs.iterdir()), "--model", model)
    assert alone.exit_code == 3
    assert ": not a CIF: no data_ block" in alone.stderr
    assert "; see shc.failures.csv" in alone.stderr


def test_a_wrong_model_or_feature_file_exits_5(cifs: Path, model: Path) -> None:
    Path("bad.h5").write_bytes(b"nothing")
    Path("empty").mkdir()
    wrong: list[list[str | Path]] = [
        ["bad.h5", "--model", model],
        [cifs, "--model", "nowhere"],
        [cifs, "--model", "empty"],
    ]
    for args in wrong:
        result = run(*args)
        assert (result.exit_code, result.stdout) == (5, ""), result.stderr
        assert "hint:" in result.stderr
    featurize(cifs, "--cutoff", "6")
    result = run("--model", model)
    assert result.exit_code == 5
    assert "cutoff 6.0, the model needs 8.0" in result.stderr
    assert run(DATA / "features_v1.h5", "--model", model).exit_code == 5


def test_a_missing_feature_file_exits_3_and_a_mixture_2(cifs: Path, model: Path) -> None:
    result = run("other.h5", "--model", model)
    assert (result.exit_code, "other.h5 does not exist" in result.stderr) == (3, True)
    assert run("other.h5", cifs, "--model", model).exit_code == 2


def test_no_gpu_exits_6(cifs: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert run(cifs, "--device", "cuda", "--model", model).exit_code == 6


def test_shards_share_the_work(cifs: Path, model: Path) -> None:
    featurize(cifs)
    for source in (cifs, "features.h5"):
        names = []
        for i in (1, 2):
            result = run(source, "--shard", f"{i}/2", "-o", "out.csv", "--model", model)
            assert result.exit_code == 0, result.stderr
            text = Path(f"out.00{i}-of-002.csv").read_text(encoding="utf-8")
            names += [row["material_id"] for row in table(text)]
        assert names == NAMES[::2] + NAMES[1::2]


def test_several_feature_files_and_patterns(cifs: Path, model: Path) -> None:
    for i in (1, 2):
        featurize(cifs, "--shard", f"{i}/2")
    result = run("features.*.h5", "--model", model)
    assert [row["material_id"] for row in table(result.stdout)] == NAMES[::2] + NAMES[1::2]


def test_elements_without_spin_orbit_data_and_magnetic_ones(cifs: Path, model: Path) -> None:
    text = (cifs / "NaCl.cif").read_text(encoding="utf-8")
    (cifs / "GdCl.cif").write_text(text.replace("Na", "Gd"), encoding="utf-8")
    (cifs / "FeCl.cif").write_text(text.replace("Na", "Fe"), encoding="utf-8")
    (cifs / "TcCl.cif").write_text(text.replace("Na", "Tc"), encoding="utf-8")
    rows = {row["material_id"]: row for row in table(run(cifs, "--model", model).stdout)}
    assert (rows["GdCl"]["flags"], rows["GdCl"]["in_domain"]) == ("no_soc", "false")
    assert (rows["FeCl"]["flags"], rows["FeCl"]["in_domain"]) == ("magnetic", "true")
    assert (rows["TcCl"]["flags"], rows["TcCl"]["in_domain"]) == ("unseen_element:Tc", "false")
    assert (rows["NaCl"]["flags"], rows["NaCl"]["in_domain"]) == ("", "true")


def test_hydrogen_and_size_limits(cifs: Path, model: Path) -> None:
    text = (cifs / "NaCl.cif").read_text(encoding="utf-8")
    (cifs / "NaH.cif").write_text(text.replace("Cl", "H"), encoding="utf-8")
    assert "NaH" not in run(cifs, "--model", model).stdout
    rows = {row["material_id"]: row for row in table(run(cifs, "--allow-hydrogen", "--model", model).stdout)}
    assert (rows["NaH"]["in_domain"], rows["NaH"]["flags"]) == ("false", "unseen_element:H")
    assert len(table(run(cifs, "--max-atoms", "4", "--model", model).stdout)) < 6


def test_quiet_and_options_from_a_file(cifs: Path, model: Path) -> None:
    text = f"predict:\n  sources: [{cifs}]\n  top: 2\n  model: {model}\n  quiet: true\n"
    Path("run.yaml").write_text(text, encoding="utf-8")
    result = run("--config", "run.yaml")
    assert (result.exit_code, result.stderr) == (0, "")
    assert len(table(result.stdout)) == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_ends_after_the_batch_and_leaves_no_half_file(
    cifs: Path, model: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    featurize(cifs)
    real = Predictor.iter_feature_file

    def interrupted(self: Predictor, path: Path, **options: Any) -> Iterator[Predicted]:  # noqa: ANN401  handed on
        for part in real(self, path, window=2, **options):
            os.kill(os.getpid(), number)
            yield part

    monkeypatch.setattr(Predictor, "iter_feature_file", interrupted)
    result = run("-o", "out.csv", "--model", model)
    assert result.exit_code == 75
    assert f"stopped by {number.name} after 2 predictions; out.csv was not written" in result.stderr
    assert not list(Path().glob("*out*"))
    result = run("--model", model)
    assert result.exit_code == 75
    assert len(table(result.stdout)) == 2


def read_terminal(fd: int) -> str:
    """Everything a program writes to a terminal."""
    chunks = []
    while select.select([fd], [], [], 60.0)[0]:
        try:
            chunk = os.read(fd, 4096)
        except OSError:  # the other end was closed
            break
        if not chunk:
            break
        chunks.append(chunk)
    return b"".join(chunks).decode()


def test_on_a_terminal_a_table_replaces_the_csv(cifs: Path, model: Path) -> None:
    featurize(cifs)
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", "from shc.cli.main import main; main()", "predict", "--model", str(model)]
    environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "120", "TERM": "xterm"}
    with subprocess.Popen(command, stdout=theirs, stderr=subprocess.PIPE, env=environment) as process:
        os.close(theirs)
        shown = read_terminal(ours)
        assert process.stderr is not None
        messages = process.stderr.read().decode()
    os.close(ours)
    assert process.returncode == 0, messages
    assert "# unit" not in shown
    assert "P(finite)" in shown
    assert all(name in shown for name in NAMES)


def test_csv_reaches_a_pipe_batch_by_batch(cifs: Path, model: Path) -> None:
    """The first rows come while later inputs are not even named yet."""
    for i in range(300):
        (cifs / f"copy{i}.cif").write_bytes((EXAMPLES / "Pt.cif").read_bytes())
    command = [
        sys.executable, "-c", "from shc.cli.main import main; main()", "predict", "-", "--quiet",
        "--workers", "1", "--model", str(model),
    ]  # fmt: skip
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for i in range(280):
            process.stdin.write(f"cifs/copy{i}.cif\n")
        process.stdin.flush()
        head = [process.stdout.readline() for _ in range(3)]
        for i in range(280, 300):
            process.stdin.write(f"cifs/copy{i}.cif\n")
        process.stdin.close()
        rest = process.stdout.read().splitlines()
    assert process.returncode == 0
    assert head[0].startswith("# unit")
    assert head[2].startswith("copy0,Pt,225,")
    assert len(rest) == 299


def test_a_store_is_filled_once_and_gives_the_same_predictions(cifs: Path, model: Path) -> None:
    (cifs / "broken.cif").write_text("no crystal", encoding="utf-8")
    plain = run(cifs, "--model", model)
    first = run(cifs, "--model", model, "--store", "known.h5")
    again = run(cifs, "--model", model, "--store", "known.h5")
    assert (first.exit_code, again.exit_code) == (0, 0), first.stderr
    assert first.stdout == again.stdout == plain.stdout
    assert "6 crystals written to known.h5" in first.stderr
    assert "0 crystals written to known.h5" in again.stderr
    assert "6 done before and unchanged" in again.stderr
    for listing in ("known.failures.csv", "shc.failures.csv"):
        assert "cifs/broken.cif,read," in Path(listing).read_text(encoding="utf-8")


def test_a_store_follows_its_files_and_predicts_only_the_inputs(cifs: Path, model: Path) -> None:
    run(cifs, "--model", model, "--store", "known.h5")
    (cifs / "W.cif").write_bytes((EXAMPLES / "Ta.cif").read_bytes())
    result = run(cifs / "W.cif", cifs / "Au.cif", "--model", model, "--store", "known.h5")
    assert result.exit_code == 0, result.stderr
    assert [(row["material_id"], row["formula"]) for row in table(result.stdout)] == [("W", "Ta"), ("Au", "Au")]
    assert "1 crystal written" in result.stderr


def test_a_store_keeps_paths_of_stdin_and_a_file_for_each_shard(cifs: Path, model: Path) -> None:
    names = "".join(f"{path}\n" for path in sorted(cifs.iterdir()))
    result = run("-", "--model", model, "--store", "known.h5", "--shard", "2/3", stdin=names)
    assert result.exit_code == 0, result.stderr
    assert [row["material_id"] for row in table(result.stdout)] == NAMES[1::3]
    assert Path("known.002-of-003.h5").is_file()


def test_a_store_is_for_structures(cifs: Path, model: Path) -> None:
    featurize(cifs)
    result = run("features.h5", "--model", model, "--store", "known.h5")
    assert result.exit_code == 2
    assert "--store keeps features of structures" in result.stderr


def test_crystals_whose_bands_fail_are_predicted_and_not_counted_as_failed(
    cifs: Path, fused: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise ValueError("no bands today")

    monkeypatch.setenv("XDG_CACHE_HOME", str(Path("cache").resolve()))
    monkeypatch.setattr("shc.featurize.pipeline.BANDS_IN_PROCESS_BELOW", 100)
    monkeypatch.setattr(engine, "compute_bands", failing)
    (cifs / "broken.cif").write_text("no crystal", encoding="utf-8")
    result = run(cifs / "Pt.cif", cifs / "W.cif", cifs / "broken.cif", "--bands", "auto", "--model", fused)
    assert result.exit_code == 0, result.stderr
    assert {row["modalities"] for row in table(result.stdout)} == {"structure"}
    assert "2 crystals predicted without bands, which failed: see shc.failures.csv" in result.stderr
    assert "1 input failed: see shc.failures.csv" in result.stderr


@pytest.mark.parametrize(
    ("store", "output", "what"),
    [
        ("known.csv", None, "must end in .h5"),
        ("cifs", None, "is a folder"),
        ("", None, "is a folder"),
        ("known.h5", "known.h5", "same file"),
    ],
)
def test_a_store_that_cannot_be_one_is_refused_before_anything_is_done(
    cifs: Path, model: Path, store: str, output: str | None, what: str
) -> None:
    more = [] if output is None else ["-o", output]
    result = run(cifs, "--model", model, "--store", store, *more)
    assert result.exit_code == 2
    assert what in result.stderr
    assert sorted(path.name for path in Path().iterdir()) == ["cifs"]


def test_a_store_of_other_options_is_refused_with_advice_that_helps(cifs: Path, model: Path) -> None:
    run(cifs, "--model", model, "--store", "known.h5")
    result = run(cifs, "--model", model, "--store", "known.h5", "--max-atoms", "7")
    assert result.exit_code == 5
    assert "max_atoms: 1000 and 7" in result.stderr
    assert "another --store" in result.stderr
    assert "--overwrite" not in result.stderr
    assert not Path("known.h5.part").exists()
