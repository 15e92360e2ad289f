from __future__ import annotations

import io
import os
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from shc.cli.console import Progress, report_error, results, use_colour, version
from shc.featurize.errors import ExitCode, ShcError
from shc.featurize.writing import write_whole

if TYPE_CHECKING:
    from pathlib import Path


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_progress_without_a_terminal_is_a_line_every_so_many_items(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Progress("read", 7, every=3) as progress:
        for _ in range(7):
            progress.advance()
    captured = capsys.readouterr()
    assert captured.out == ""
    assert [line.split(" (")[0] for line in captured.err.splitlines()] == [
        "read: 3/7",
        "read: 6/7",
        "read: 7/7",
    ]


def test_progress_without_a_terminal_is_a_line_after_a_while(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with Progress("read", every=1000, seconds=30, clock=clock) as progress:
        progress.advance()
        assert capsys.readouterr().err == ""
        clock.now = 31.0
        progress.advance()
        assert capsys.readouterr().err.startswith("read: 2 (")
        clock.now = 60.0
        progress.advance()
        assert capsys.readouterr().err == ""
    assert capsys.readouterr().err.startswith("read: 3 (")


def test_progress_counts_jumps_over_several_steps_once(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("read", 100, every=10) as progress:
        progress.advance(35)
        progress.advance(65)
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_progress_may_learn_the_number_of_items_late(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("read", every=2) as progress:
        progress.expect(3)
        progress.advance(3)
    assert capsys.readouterr().err.startswith("read: 3/3 (")


def test_the_bar_learns_the_number_of_items(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    with Progress("read") as progress:
        progress.expect(5)
        progress.advance(2)
    assert "2/5" in screen.getvalue()


def test_quiet_progress_writes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("read", 3, quiet=True, every=1) as progress:
        progress.advance(3)
    assert capsys.readouterr() == ("", "")
    assert progress.done == 3


def test_progress_on_a_terminal_is_a_bar_on_stderr(monkeypatch: pytest.MonkeyPatch) -> None:
    screen, out = Terminal(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(sys, "stdout", out)
    with Progress("read", 2, every=1) as progress:
        progress.advance()
        progress.advance()
    assert "read" in screen.getvalue()
    assert "(" not in screen.getvalue().replace("\x1b(", "")
    assert out.getvalue() == ""


def test_colour_needs_a_terminal_and_no_objection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert use_colour(Terminal())
    assert not use_colour(io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not use_colour(Terminal())


def test_an_error_is_one_line_and_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    report_error("a.cif: no atoms", "give a file with atoms")
    assert capsys.readouterr() == ("", "error: a.cif: no atoms\nhint: give a file with atoms\n")
    report_error("a.cif: no atoms")
    assert capsys.readouterr() == ("", "error: a.cif: no atoms\n")


def test_version_has_three_parts() -> None:
    assert len(version().split(".")) >= 3


def test_results_go_into_a_pipe_that_stays_one(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text(encoding="utf-8")))
    reader.start()
    with results(pipe) as out:
        out.write("row\n")
    reader.join(timeout=10)
    assert read == ["row\n"]
    assert pipe.is_fifo()


def test_results_follow_a_link(tmp_path: Path) -> None:
    target, link = tmp_path / "real.csv", tmp_path / "link.csv"
    target.write_text("old", encoding="utf-8")
    link.symlink_to(target)
    with results(link) as out:
        out.write("new")
    assert link.is_symlink()
    assert target.read_text(encoding="utf-8") == "new"


def test_a_whole_file_takes_no_place_of_a_pipe(tmp_path: Path) -> None:
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    with pytest.raises(ShcError, match="no ordinary file") as caught:
        write_whole(pipe, b"x")
    assert caught.value.exit_code == ExitCode.USAGE
    link.symlink_to(tmp_path / "real")
    write_whole(link, b"x")
    assert link.is_symlink()
    assert (tmp_path / "real").read_bytes() == b"x"
