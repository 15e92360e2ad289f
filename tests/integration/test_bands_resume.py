"""Interrupted runs of ``shc bands``: what is finished is never computed again, and the same command goes on."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from shc.featurize.store import FeatureFile

if TYPE_CHECKING:
    from collections.abc import Callable

SCRIPT = Path(__file__).parents[1] / "data" / "stand_in.py"
N_CRYSTALS = 12
POSCAR = "CsCl\n{a}\n1 0 0\n0 1 0\n0 0 1\nCs Cl\n1 1\nDirect\n0 0 0\n0.5 0.5 0.5\n"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with crystals of different size in ./crystals, and a cache of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    Path("crystals").mkdir()
    for i in range(N_CRYSTALS):
        Path("crystals", f"m{i:02}.vasp").write_text(POSCAR.format(a=4.0 + 0.1 * i))
    return tmp_path


def start(seconds: float, *more: str) -> subprocess.Popen[str]:
    """Start a run with two processes in a process group of its own."""
    arguments = ["bands", "crystals", "-o", "out", "-j", "2", *more]
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), "log", str(seconds), *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def computed() -> Counter[str]:
    """How often each crystal was computed to the end."""
    log = Path("log")
    return Counter(log.read_text().split()) if log.exists() else Counter()


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 90.0
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def finish(*more: str) -> str:
    with start(0.0, *more) as process:
        assert process.stderr is not None
        message = process.stderr.read()
    assert process.returncode == 0, message
    assert FeatureFile.open("out/bands.h5").material_ids == [f"m{i:02}" for i in range(N_CRYSTALS)]
    with Path("out/summary.csv").open(encoding="utf-8") as stream:
        next(stream)
        assert len(list(csv.DictReader(stream))) == N_CRYSTALS
    pictures = sorted(path.name for path in Path("out").glob("*.png"))
    assert pictures == [f"m{i:02}.png" for i in range(N_CRYSTALS)]
    return message


@pytest.mark.usefixtures("place")
def test_a_killed_run_goes_on_and_computes_nothing_twice() -> None:
    for n_more in (2, 3):
        n_before = computed().total()
        with start(0.15) as process:
            wait_for(lambda n=n_before + n_more: computed().total() >= n)  # type: ignore[misc]
            os.killpg(process.pid, signal.SIGKILL)
    # A crystal may have been computed, but not kept, at the moment of the kill.
    finish()
    counts = computed()
    assert len(counts) == N_CRYSTALS
    assert counts.total() - N_CRYSTALS <= 4
    assert Path("out", "bands.h5.part").exists() is False


@pytest.mark.usefixtures("place")
def test_an_interrupted_run_says_that_it_can_go_on() -> None:
    with start(0.3) as process:
        wait_for(lambda: computed().total() >= 2)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        message = process.stderr.read()
    assert process.returncode == 130, message
    assert message.splitlines()[-2:] == [
        "error: interrupted; what is done is saved",
        "hint: run the same command again to go on",
    ]
    finish()


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("more", [(), ("--no-cache",)], ids=["cache", "no cache"])
def test_a_stopped_run_exits_75_and_goes_on(more: tuple[str, ...]) -> None:
    with start(0.3, *more) as process:
        wait_for(lambda: computed().total() >= 2)
        process.send_signal(signal.SIGTERM)
        assert process.stderr is not None
        message = process.stderr.read()
    assert process.returncode == 75, message
    assert "SIGTERM" in message
    assert not Path("out/bands.h5").exists()
    n_done = computed().total()
    assert n_done < N_CRYSTALS
    message = finish(*more)
    assert computed().total() == N_CRYSTALS
    assert f"{n_done} done before" in message
