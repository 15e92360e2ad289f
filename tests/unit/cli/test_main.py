from __future__ import annotations

import errno
import subprocess
import sys
import types
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner, Result

from shc.cli import main
from shc.cli.console import version
from shc.featurize.errors import ExitCode, ShcError

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs `shc boom`, whose body is the function given, with the arguments given."""
    monkeypatch.delenv("SHC_DEBUG", raising=False)

    def runner(body: Callable[[], None], *args: str) -> Result:
        def boom() -> None:
            """Run the body."""
            body()

        module = types.ModuleType("shc.cli.commands.boom")
        module.boom = boom  # type: ignore[attr-defined]
        module.__spec__ = types.SimpleNamespace()  # type: ignore[assignment]
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setitem(main.VERBS, "boom", "Go wrong.")
        return CliRunner().invoke(main.app, [*args, "boom"])

    return runner


def fail_with(error: BaseException) -> Callable[[], None]:
    def body() -> None:
        raise error

    return body


@pytest.mark.parametrize("code", [ExitCode.NO_INPUT, ExitCode.BAD_FILE, ExitCode.RESUMABLE])
def test_an_error_for_people_is_a_message_a_hint_and_its_exit_code(run: Callable[..., Result], code: ExitCode) -> None:
    result = run(fail_with(ShcError("x.cif: empty", "give atoms", code)))
    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr == "error: x.cif: empty\nhint: give atoms\n"


def test_a_bug_is_one_line_and_exit_code_1(run: Callable[..., Result]) -> None:
    result = run(fail_with(RuntimeError("first\nsecond")))
    assert result.exit_code == 1
    error, hint = result.stderr.splitlines()
    assert error == "error: unexpected RuntimeError: first"
    assert "SHC_DEBUG" in hint


def test_debug_shows_the_traceback(run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Traceback" in run(fail_with(RuntimeError("x")), "--debug").stderr
    assert "Traceback" in run(fail_with(ShcError("x")), "--debug").stderr
    monkeypatch.setenv("SHC_DEBUG", "1")
    assert "Traceback" in run(fail_with(RuntimeError("x"))).stderr
    monkeypatch.setenv("SHC_DEBUG", "0")
    assert "Traceback" not in run(fail_with(RuntimeError("x"))).stderr


def test_a_place_that_cannot_be_written_is_no_bug(run: Callable[..., Result]) -> None:
    result = run(fail_with(PermissionError(errno.EACCES, "Permission denied", "/out/a.h5")))
    assert result.exit_code == 2
    assert result.stderr.splitlines()[0] == "error: /out/a.h5: Permission denied"
    nameless = run(fail_with(OSError(errno.ENOSPC, "No space left on device")))
    assert nameless.exit_code == 2
    assert nameless.stderr.splitlines()[0] == "error: output: No space left on device"


def test_an_interrupt_is_130(run: Callable[..., Result]) -> None:
    result = run(fail_with(KeyboardInterrupt()))
    assert (result.exit_code, result.stderr) == (130, "error: interrupted\n")


def test_other_exit_codes_and_usage_errors_pass(run: Callable[..., Result]) -> None:
    assert run(fail_with(SystemExit(4))).exit_code == 4
    assert run(lambda: None).exit_code == 0
    result = run(lambda: None, "--nonsense")
    assert result.exit_code == 2
    assert "--nonsense" in result.stderr


def test_help_lists_every_verb_that_exists_with_its_line() -> None:
    result = CliRunner().invoke(main.app, ["--help"])
    assert result.exit_code == 0
    listed = {line.split()[0] for line in result.stdout.split("Commands:")[1].splitlines() if line.strip()}
    assert {"featurize", "symmetry", "merge"} <= listed <= set(main.VERBS)
    for verb in listed:
        assert main.VERBS[verb].split()[0] in result.stdout


def test_a_verb_without_a_module_is_not_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(main.VERBS, "levitate", "Not there.")
    assert "levitate" not in CliRunner().invoke(main.app, ["--help"]).stdout
    assert CliRunner().invoke(main.app, ["levitate"]).exit_code == 2


def test_a_typing_error_in_a_verb_gets_a_proposal() -> None:
    result = CliRunner().invoke(main.app, ["featurise"])
    assert result.exit_code == 2
    assert "featurize" in result.stderr


def all_verbs(*, groups: bool) -> list[tuple[str, ...]]:
    """Every verb as it is typed, with the verbs of verbs."""
    found: list[tuple[str, ...]] = []
    for verb in main.VERBS:
        inner: dict[str, object] = getattr(main.load_command(verb), "commands", {})
        found += [(verb,)] if groups or not inner else []
        found += [(verb, name) for name in inner]
    return found


def test_a_verb_may_have_verbs_of_its_own() -> None:
    assert {("model", "compile"), ("model", "list"), ("predict",)} <= set(all_verbs(groups=False))
    assert ("model",) not in all_verbs(groups=False)


@pytest.mark.parametrize("verb", all_verbs(groups=False), ids=" ".join)
def test_every_verb_has_help_and_a_config_option(verb: tuple[str, ...]) -> None:
    result = CliRunner().invoke(main.app, [*verb, "--help"])
    assert result.exit_code == 0
    assert "--config" in result.stdout
    assert "\n  " in result.stdout.split("Options:")[0], "a verb says what it does"


@pytest.mark.parametrize("verb", [(), *all_verbs(groups=True)], ids=" ".join)
def test_version(verb: tuple[str, ...]) -> None:
    result = CliRunner().invoke(main.app, [*verb, "--version"])
    assert (result.exit_code, result.stdout) == (0, f"shc {version()}\n")


def test_no_arguments_show_the_help() -> None:
    assert "Commands:" in CliRunner().invoke(main.app, []).output


def test_a_closed_pipe_is_quiet() -> None:
    code = (
        "import shc.cli.commands.merge as verb, sys\n"
        "def merge():\n"
        "    for i in range(100_000):\n"
        "        sys.stdout.write(f'{i:0100d}\\n')\n"
        "verb.merge = merge\n"
        "from shc.cli.main import main\n"
        "main(['merge'])\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"0" * 100 + b"\n"
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141
