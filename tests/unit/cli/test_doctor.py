"""``shc doctor``: how findings are shown."""

from __future__ import annotations

import json
import runpy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from shc.cli.main import app
from shc.models import doctor
from shc.models.backends.speed import Speed
from shc.models.backends.store import Built
from shc.models.backends.survey import BackendState
from shc.models.doctor import Diagnosis, Gpu, Machine, Package, Place

TINY: dict[str, Any] = runpy.run_path(str(Path(__file__).parents[2] / "data" / "tiny_model.py"))
BUILT = Built(Path("/c/openvino-1"), "2026-01-02T03:04:05+00:00", 2_400_000)
FOUND = Diagnosis(
    machine=Machine("1.2", "3.11", "2.9", "A chip", 4, 1, bfloat16=True, n_bytes=8_000_000_000, gpus=()),
    packages=(Package("matplotlib", "3.9", "figures"), Package("openvino", None, "a back end")),
    places=(Place("cache", "/c", writable=True, n_bytes=1200), Place("kernels", "/k", writable=False, n_bytes=0)),
    folder="/m",
    card=TINY["tiny_card"](7, 9),
    device="cpu",
    backends=(
        BackendState("eager", "as torch", compiled=False, why_not=None, built=None),
        BackendState("openvino", "OpenVINO", compiled=True, why_not=None, built=BUILT),
        BackendState("inductor", "AOTInductor", compiled=True, why_not=None, built=None),
        BackendState("tensorrt", "TensorRT", compiled=True, why_not="it is for GPUs", built=None),
    ),
    speeds=(
        Speed("eager", "structure", "", 1234.56),
        Speed("openvino", "structure", "", None, "damaged"),
    ),
)


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the library was asked for; it finds ``FOUND``."""
    calls: list[Any] = []

    def diagnose(folder: Path | None, device: str, *, quick: bool) -> Diagnosis:
        calls.append((folder, device, quick))
        return replace(FOUND, speeds=()) if quick else FOUND

    monkeypatch.setattr(doctor, "diagnose", diagnose)
    return calls


def run(*args: str) -> Result:
    return CliRunner().invoke(app, ["doctor", *args])


def sections(text: str) -> dict[str, list[str]]:
    """Lines below each title."""
    blocks = [block.splitlines() for block in text.split("\n\n")]
    return {title: lines for title, *lines in blocks}


def test_findings_are_aligned_text(asked: list[Any]) -> None:
    result = run()
    assert result.exit_code == 0
    assert asked == [(None, "auto", False)]
    assert result.stderr.startswith("measuring the speed")
    found = sections(result.stdout)
    assert list(found) == [
        "machine",
        "optional packages",
        "folders",
        "model",
        "back ends on cpu",
        "speed, features in memory, 1 thread, one picture a crystal",
    ]
    assert "  processor  A chip, units for bfloat16" in found["machine"]
    assert "  memory     8.0 GB" in found["machine"]
    assert "  GPU        none that torch can use" in found["machine"]
    assert found["optional packages"] == [
        "  matplotlib  3.9            figures",
        "  openvino    not installed  a back end",
    ]
    assert found["folders"] == ["  cache    writable      1 kB  /c", "  kernels  NOT WRITABLE  0 B   /k"]
    assert [line.split(None, 2)[2] for line in found["back ends on cpu"][1:]] == [
        "usable, built 2026-01-02, 2 MB",
        "usable, not built: `shc model compile --backend inductor`",
        "not usable: it is for GPUs",
    ]
    assert [line.split() for line in list(found.values())[-1][1:]] == [
        ["eager", "structure", "1235"],
        ["openvino", "structure", "damaged"],
    ]


def test_nothing_is_measured_in_a_hurry(asked: list[Any]) -> None:
    result = run("--quick", "--model", "runs/mine", "--device", "cpu")
    assert asked == [(Path("runs/mine"), "cpu", True)]
    assert result.stderr == ""
    assert "speed" not in result.stdout


def test_it_is_said_why_nothing_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    found = replace(FOUND, speeds=(), not_measured="x.h5 does not fit")
    monkeypatch.setattr(doctor, "diagnose", lambda *_given, quick: found)  # noqa: ARG005
    assert sections(run("-q").stdout)["speed"] == ["  not measured  x.h5 does not fit"]


def test_gpus_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = Gpu("A card", 80_000_000_000, bfloat16=True)
    found = replace(FOUND, machine=replace(FOUND.machine, gpus=(gpu, gpu)))
    monkeypatch.setattr(doctor, "diagnose", lambda *_given, quick: found)  # noqa: ARG005
    lines = sections(run().stdout)["machine"]
    assert lines[-2:] == 2 * ["  GPU        A card, 80.0 GB, units for bfloat16"]


def test_machines_get_json() -> None:
    result = run("--format", "json", "--quiet")
    assert (result.exit_code, result.stderr) == (0, "")
    found = json.loads(result.stdout)
    assert found["machine"]["cores"] == 4
    assert found["model"] == {"name": "tiny", "version": "0", "folder": "/m", "reads": ["structure"]}
    assert found["packages"][1]["version"] is None
    assert {each["name"]: each["built"] for each in found["backends"]} == {
        "eager": None,
        "openvino": {"folder": "/c/openvino-1", "date": BUILT.date, "n_bytes": BUILT.n_bytes},
        "inductor": None,
        "tensorrt": None,
    }
    assert found["speeds"][0] == {
        "backend": "eager",
        "rests_on": "structure",
        "encoder": "",
        "crystals_per_second": 1234.56,
        "error": "",
    }
