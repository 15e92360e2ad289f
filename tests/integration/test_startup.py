"""The command starts fast because heavy packages are imported only by the work that needs them."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from shc.cli.main import VERBS

HEAVY = {
    "gemmi", "h5py", "matplotlib", "numba", "numpy", "pandas", "pydantic", "pymatgen",
    "rich", "scipy", "sklearn", "spglib", "torch", "torch_geometric", "yaml",
}  # fmt: skip


def loaded_after(code: str) -> set[str]:
    """Top-level modules a fresh interpreter has loaded after running the code."""
    report = "import sys; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    command = [sys.executable, "-c", f"{code}\n{report}"]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


def test_importing_the_command_line_loads_nothing_heavy() -> None:
    assert loaded_after("import shc.cli.main") & HEAVY == set()


@pytest.mark.parametrize("verb", VERBS)
def test_loading_a_verb_loads_nothing_heavy(verb: str) -> None:
    code = f"from shc.cli.main import load_command\nload_command({verb!r})"
    assert loaded_after(code) & HEAVY == set()


def test_help_is_fast() -> None:
    # About 0.1 s of processor time, which the other users of a busy machine hardly change.
    command = [sys.executable, "-c", "from shc.cli.main import main; main()", "--help"]
    seconds = []
    for _ in range(3):
        before = os.times()
        subprocess.run(command, capture_output=True, check=True)
        after = os.times()
        seconds.append(after.children_user + after.children_system - before.children_user - before.children_system)
    assert 0.0 < min(seconds) < 0.5
