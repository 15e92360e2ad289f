"""Interrupted runs: whatever was reported done is there, and the same command goes on."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from shc.featurize.store import FeatureBatch, FeatureFile, part_path

if TYPE_CHECKING:
    from collections.abc import Iterator

SCRIPTS = Path(__file__).parents[1] / "data"
N_CIFS = 260
CIF = """data_m
_cell_length_a {a}
_cell_length_b {a}
_cell_length_c {c}
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'P 1'
loop_
 _atom_site_label
 _atom_site_fract_x
 _atom_site_fract_y
 _atom_site_fract_z
 Cs1 0 0 0
 Cl1 0.5 0.5 {z}
 Cl2 0.5 0 {z}
"""


@pytest.fixture(scope="module")
def cifs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cifs")
    for i in range(N_CIFS):
        text = CIF.format(a=4.0 + 0.003 * i, c=5.0 + 0.001 * i, z=0.4 + 0.001 * (i % 100))
        (folder / f"m{i:03}.cif").write_text("broken" if i % 50 == 49 else text)
    return folder


@pytest.fixture(scope="module")
def whole(cifs: Path, tmp_path_factory: pytest.TempPathFactory) -> FeatureBatch:
    output = tmp_path_factory.mktemp("whole") / "f.h5"
    with start(cifs, output) as process:
        assert process.wait(120) == 0
    return FeatureFile.open(output).load_all()


def start(cifs: Path, output: Path) -> subprocess.Popen[str]:
    """Start a run that prints one line of JSON after each batch, in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, str(SCRIPTS / "run_featurize.py"), str(cifs), str(output)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )


def lines(process: subprocess.Popen[str]) -> Iterator[dict[str, int]]:
    assert process.stdout is not None
    for line in process.stdout:
        yield json.loads(line)


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def assert_equal(first: FeatureBatch, second: FeatureBatch) -> None:
    for field in fields(FeatureBatch):
        np.testing.assert_array_equal(getattr(first, field.name), getattr(second, field.name), field.name)


def finish(cifs: Path, output: Path) -> dict[str, int]:
    with start(cifs, output) as process:
        last = list(lines(process))[-1]
        assert process.wait(120) == 0
    assert not part_path(output).exists()
    return last


def test_writer_survives_any_kill(tmp_path: Path) -> None:
    shown = subprocess.run(
        [sys.executable, str(SCRIPTS / "kill_writer.py"), str(tmp_path), "150", "7"],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert shown.returncode == 0, shown.stderr
    counts = json.loads(shown.stdout)
    assert counts["killed"] == 150
    # How often each phase is hit depends on the machine.
    assert counts["killed_while_appending"] > 0
    assert counts["killed_while_finishing"] > 0


def test_killed_run_goes_on(cifs: Path, whole: FeatureBatch, tmp_path: Path) -> None:
    output = tmp_path / "f.h5"
    chance = random.Random(5)  # noqa: S311  no secret
    reported = 0
    for n_lines in (1, 1, 2):
        with start(cifs, output) as process:
            skipped = 0
            for _, line in zip(range(n_lines), lines(process), strict=False):
                skipped = line["n_skipped"]
                reported = max(reported, line["n_done"] + skipped)
            family = children(process.pid)
            # Few remaining files are done without workers; the first run has enough for a pool.
            assert skipped or len(family) >= 2
            time.sleep(chance.uniform(0.0, 0.05))
            process.kill()
            reported = max([reported, *(line["n_done"] + line["n_skipped"] for line in lines(process))])
        deadline = time.monotonic() + 20.0
        while any(map(is_alive, family)):
            assert time.monotonic() < deadline, "workers outlived the run"
            time.sleep(0.05)
    last = finish(cifs, output)
    assert last["n_skipped"] >= reported > 0
    assert last["n_skipped"] + last["n_done"] == len(whole)
    assert_equal(FeatureFile.open(output).load_all(), whole)
    failures = (tmp_path / "f.failures.csv").read_text().splitlines()
    assert len(failures) == 1 + N_CIFS // 50


@pytest.mark.parametrize(
    ("number", "to_group"),
    [(signal.SIGTERM, False), (signal.SIGTERM, True), (signal.SIGUSR1, True)],
    ids=["SIGTERM", "SIGTERM to all its processes", "SIGUSR1 to all its processes"],
)
def test_signal_saves_and_exits_75(
    cifs: Path, whole: FeatureBatch, tmp_path: Path, number: signal.Signals, to_group: bool
) -> None:
    output = tmp_path / "f.h5"
    with start(cifs, output) as process:
        reported = next(lines(process))["n_done"]
        if to_group:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        reported = max([reported, *(line["n_done"] for line in lines(process))])
        assert process.wait(60) == 75
    assert not output.exists()
    last = finish(cifs, output)
    assert last["n_skipped"] == reported
    assert_equal(FeatureFile.open(output).load_all(), whole)
