"""What the README tells a new user to type works as typed."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(heading: str, language: str) -> list[str]:
    """The code blocks of one section."""
    section = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", README, re.MULTILINE | re.DOTALL)
    assert section is not None, heading
    return re.findall(rf"```{language}\n(.*?)```", section.group(1), re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    return tmp_path


def run(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        arguments, cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
    )


def test_the_commands_on_the_sample(folder: Path) -> None:
    lines = [line for line in blocks("Commands on the sample", "bash")[0].splitlines() if line]
    assert len(lines) == 6
    outputs = []
    for line in lines:
        result = run(shlex.split(line, comments=True), folder)
        assert result.returncode == 0, result.stderr
        outputs.append(result.stdout)
    rows = outputs[0].splitlines()
    assert rows[0].startswith("# unit: (hbar/e) S/cm")
    assert len(rows) == 2 + len(list((ROOT / "examples").glob("*.cif")))
    assert all(",structure," in row for row in rows[2:])
    with_bands = outputs[1].splitlines()
    assert [row.split(",")[0] for row in with_bands] == [row.split(",")[0] for row in rows]
    assert all(",structure+curves," in row for row in with_bands[2:])
    assert (folder / "features.h5").is_file()
    assert "Pmn2_1" in outputs[3] or "P m n 21" in outputs[3]
    assert (folder / "bands" / "WTe2.png").is_file()
    assert outputs[5].splitlines()[1].startswith("bands/WTe2.png,,1.000,-3.000,3.000,")


def test_the_python_block(folder: Path) -> None:
    code = blocks("From Python", "python")[0]
    assert len(code.strip().splitlines()) <= 8
    result = run([sys.executable, "-c", code], folder)
    assert result.returncode == 0, result.stderr
    names = [line.split()[0] for line in result.stdout.splitlines()]
    assert names == ["Pt", "W"]


@pytest.mark.parametrize("verb", ["bands", "evaluate", "featurize", "merge", "predict", "symmetry", "train"])
def test_every_option_of_the_readme_exists(verb: str, tmp_path: Path) -> None:
    known = run(["shc", verb, "--help"], tmp_path).stdout
    for command in re.findall(rf"\bshc {verb} ([^\n`|&]*)", README):
        for option in re.findall(r"(?<!\S)(--[a-z-]+|-[a-z])\b", command.split("#")[0]):
            assert option in known, f"shc {verb} {option}"


def test_links_lead_somewhere() -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", README)
    assert targets
    for target in targets:
        assert target.startswith("http") or (ROOT / target).exists(), target
