"""Modules that must work where only numpy and h5py are installed (and torch, for those of `shc.models`)."""

from __future__ import annotations

import subprocess
import sys

import pytest

BLOCKED = (
    "gemmi", "matplotlib", "numba", "pandas", "pymatgen",
    "scipy", "sklearn", "spglib", "torch_geometric", "yaml",
)  # fmt: skip

WITHOUT_TORCH = [
    "shc.cli.main",
    "shc.featurize.config",
    "shc.featurize.descriptors",
    "shc.featurize.elements",
    "shc.featurize.errors",
    "shc.featurize.store",
    "shc.featurize.store_merge",
    "shc.featurize.store_writer",
    "shc.featurize.types",
]
WITH_TORCH = [
    "shc.models.doctor",
    "shc.models.inference",
    "shc.models.training",
    "shc.cli.commands.doctor",
    "shc.cli.commands.model",
    "shc.cli.commands.predict",
    "shc.cli.commands.train",
]

_HOOK = """
import sys
from importlib.abc import MetaPathFinder

class Blocker(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"{name} is blocked", name=name)

sys.meta_path.insert(0, Blocker())
"""


def run_without(blocked: tuple[str, ...], code: str) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter in which some packages seem not to be installed."""
    command = [sys.executable, "-c", f"BLOCKED = {blocked!r}\n{_HOOK}\n{code}"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("module", WITHOUT_TORCH)
def test_import_with_numpy_and_h5py_alone(module: str) -> None:
    result = run_without((*BLOCKED, "torch"), f"import {module}")
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("module", WITH_TORCH)
def test_import_with_torch_numpy_and_h5py_alone(module: str) -> None:
    result = run_without(BLOCKED, f"import {module}")
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("package", ["numba", "yaml"])
def test_blocked_packages_are_out_of_reach(package: str) -> None:
    result = run_without(BLOCKED, f"import {package}")
    assert result.returncode == 1
    assert f"{package} is blocked" in result.stderr
