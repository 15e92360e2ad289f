from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, NoReturn

import pytest
from typer.testing import CliRunner

from shc.cli.main import app
from shc.cli.resumable import resumable
from shc.featurize.errors import ExitCode, ShcError
from shc.models import training

if TYPE_CHECKING:
    from pathlib import Path


def run(error: BaseException, number: signal.Signals | None = None) -> str:
    """A run that ends so; returns why it was asked to stop."""
    with resumable("train", quiet=False) as (progress, stop):
        progress.advance()
        if number is None:
            raise error
        os.kill(os.getpid(), number)
        return stop.reason


def test_ctrl_c_says_that_what_is_done_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ShcError, match="what is done is saved") as caught:
        run(KeyboardInterrupt())
    assert caught.value.exit_code is ExitCode.INTERRUPTED
    assert "same command" in caught.value.hint
    assert capsys.readouterr().err.startswith("train: 1 ")


def test_other_errors_pass_and_signals_raise_the_flag() -> None:
    with pytest.raises(ShcError, match="other"):
        run(ShcError("other"))
    assert run(ShcError("not raised"), signal.SIGUSR1) == "SIGUSR1"


def test_an_interrupted_training_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_args: object, **_options: object) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "train", interrupted)
    result = CliRunner().invoke(app, ["train", "f.h5", "--labels", "l.csv", "-o", str(tmp_path)])
    assert result.exit_code == 130
    assert result.stderr.splitlines() == [
        "error: interrupted; what is done is saved",
        "hint: run the same command again to go on",
    ]
