"""``shc model``, with stand-ins for compilers."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner, Result

from shc.cli.main import app
from shc.featurize.descriptors import descriptor_names
from shc.featurize.prompt import PROMPT_FIELDS
from shc.models import ensemble as ensemble_module
from shc.models.backends.agreement import EXAMPLES
from shc.models.backends.store import compiled_root
from shc.models.ensemble import save_ensemble

if TYPE_CHECKING:
    from shc.models.backends.base import Backend
    from shc.models.ensemble import Ensemble

DATA = Path(__file__).parents[2] / "data"
TINY: dict[str, Any] = runpy.run_path(str(DATA / "tiny_model.py"))
FAKE: dict[str, Any] = runpy.run_path(str(DATA / "stand_in_compiler.py"))


def run(*args: str | Path) -> Result:
    return CliRunner().invoke(app, ["model", *map(str, args)])


def compile_tiny(*args: str | Path) -> Result:
    return run("compile", "--model", "tiny", "--device", "cpu", *args)


@pytest.fixture(autouse=True)
def _compilers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small model in ./tiny, an empty cache, and a stand-in for OpenVINO."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    n_prompt = max(span.stop for _, span in PROMPT_FIELDS)
    save_ensemble(Path("tiny"), TINY["tiny_ensemble"](n_prompt, len(descriptor_names()), model=TINY["FUSED"]))
    FAKE["install"](monkeypatch, FAKE["compiler"]("openvino"))


def test_what_is_built_is_told_and_taken_from_then_on() -> None:
    result = compile_tiny()
    assert result.exit_code == 0, result.output
    built, compared = result.stdout.splitlines()
    [folder] = compiled_root().iterdir()
    assert built.startswith("openvino for tiny 0 built in ")
    assert built.endswith(f"s: {folder}")
    assert compared.startswith("compared with the networks: 100.0 % of 96 values within 1 %")
    assert result.stderr == "building openvino; it may take minutes\n"
    predicted = CliRunner().invoke(app, ["predict", str(EXAMPLES), "--model", "tiny", "--device", "cpu"])
    assert predicted.exit_code == 0
    assert "back end eager, Openvino, built for this model before" in predicted.stderr, (
        "the stand-in bears the name of eager"
    )


def test_it_is_built_once_unless_asked_for() -> None:
    assert compile_tiny("--quiet").stderr == ""
    [folder] = compiled_root().iterdir()
    (folder / "mark").touch()
    again = compile_tiny()
    assert (again.exit_code, again.stderr) == (0, "")
    assert again.stdout.startswith(f"openvino for tiny 0 is already built: {folder} (20")
    assert (folder / "mark").exists()
    assert " built in " in compile_tiny("--overwrite").stdout
    assert not (folder / "mark").exists()
    assert [each.name for each in compiled_root().iterdir()] == [folder.name]


def test_the_fastest_that_can_run_is_built_or_the_one_named(monkeypatch: pytest.MonkeyPatch) -> None:
    both = [FAKE["compiler"](name) for name in ("inductor", "openvino")]
    FAKE["install"](monkeypatch, *both)
    assert compile_tiny().stdout.startswith("openvino ")
    assert compile_tiny("--backend", "inductor").stdout.startswith("inductor for tiny 0 built")
    FAKE["install"](monkeypatch, both[0])
    assert compile_tiny("--backend", "inductor").stdout.startswith("inductor for tiny 0 is already built")
    assert compile_tiny().exit_code == 6, "what is slower than no compiler is built by name only"


def test_what_cannot_run_is_refused_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    named = compile_tiny("--backend", "inductor")
    assert (named.exit_code, named.stdout) == (6, "")
    assert named.stderr.startswith("error: Inductor cannot run here: no inductor here\nhint: ")
    FAKE["install"](monkeypatch)
    nothing = compile_tiny()
    assert nothing.exit_code == 6
    assert nothing.stderr.startswith("error: no back end can be compiled here: openvino: no openvino here\nhint: ")
    eager = compile_tiny("--backend", "eager")
    assert eager.exit_code == 2
    assert "no compiled back end 'eager'" in eager.stderr


@pytest.mark.parametrize("error", [RuntimeError("line 1\nline 2"), OSError("line 1\nline 2")])
def test_a_build_that_fails_is_one_line_and_leaves_nothing(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def build(*_given: object) -> None:
        raise error

    FAKE["install"](monkeypatch, FAKE["compiler"]("openvino")._replace(build=build))
    result = compile_tiny("-q")
    assert (result.exit_code, result.stdout) == (6, "")
    wrong, hint = result.stderr.splitlines()
    assert wrong == "error: openvino cannot be built: line 1 line 2"
    assert hint.startswith("hint: ")
    assert list(compiled_root().iterdir()) == []


def test_what_was_built_outlives_a_build_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def build(*_given: object) -> None:
        raise RuntimeError

    compile_tiny("-q")
    FAKE["install"](monkeypatch, FAKE["compiler"]("openvino")._replace(build=build))
    assert compile_tiny("-q", "--overwrite").stderr.startswith("error: openvino cannot be built: RuntimeError\n")
    assert compile_tiny().stdout.startswith("openvino for tiny 0 is already built")
    assert len(list(compiled_root().iterdir())) == 1


def test_a_cache_that_cannot_be_written_is_no_fault_of_the_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    def build(*_given: object) -> None:
        raise PermissionError(13, "Permission denied", "/cache")

    FAKE["install"](monkeypatch, FAKE["compiler"]("openvino")._replace(build=build))
    result = compile_tiny("-q")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: /cache: Permission denied\n")


def test_a_back_end_that_says_something_else_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(_ensemble: Ensemble, device: Any, folder: Path) -> Backend:  # noqa: ANN401
        n_prompt = max(span.stop for _, span in PROMPT_FIELDS)
        other = TINY["tiny_ensemble"](n_prompt, len(descriptor_names()), seed=1, model=TINY["FUSED"])
        found: Backend = FAKE["load"](other, device, folder)
        return found

    FAKE["install"](monkeypatch, FAKE["compiler"]("openvino")._replace(load=load))
    result = compile_tiny("-q")
    assert result.exit_code == 6
    assert "does not say what the networks say" in result.stderr
    assert list(compiled_root().iterdir()) == []


def test_other_crystals_must_fit_and_show_all_that_the_model_reads() -> None:
    assert compile_tiny("--data", EXAMPLES).exit_code == 0
    save_ensemble(Path("odd"), TINY["tiny_ensemble"](7, 9))
    odd = run("compile", "--model", "odd", "--device", "cpu")
    assert odd.exit_code == 5
    assert "prompt size 138, the model needs 7" in odd.stderr
    assert "--data" in odd.stderr.splitlines()[-1]
    cifs = Path(__file__).parents[3] / "examples"
    made = CliRunner().invoke(app, ["featurize", str(cifs), "-o", "plain.h5"])
    assert made.exit_code == 0, made.output
    for data, wrong, code in (
        ("plain.h5", "plain.h5 holds no bands, which the model reads", 5),
        ("nothing.h5", "nothing.h5 does not exist", 3),
    ):
        result = compile_tiny("--data", data)
        assert result.exit_code == code
        assert wrong in result.stderr


def test_shipped_models_are_listed_with_what_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ensemble_module, "pretrained_folders", lambda: [Path("tiny")])
    assert run("list").stdout.splitlines()[-1].split() == [
        *("tiny", "tiny", "0", "structure,", "curves,", "picture", "not", "known", "none")
    ]
    compile_tiny("-q")
    assert run("list").stdout.splitlines()[-1].split("  ")[-1].startswith("openvino on cpu, 20")


def test_the_shipped_models_have_scores() -> None:
    shown = run("list")
    assert shown.exit_code == 0
    title, heads, first, *_ = shown.stdout.splitlines()
    assert title.startswith("models in ")
    assert heads.split("  ")[1] == "folder"
    assert first.split()[0] == "v2"
    assert "0.604 structure" in first
    assert "0.723 structure+curves" in shown.stdout
