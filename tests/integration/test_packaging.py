"""What is in the folders is what gets installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SETUPTOOLS_NEEDED = 77


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def package_folders(project: dict[str, Any]) -> dict[str, Path]:
    """Package name -> folder, for every folder with an ``__init__.py``."""
    found = {}
    for package, folder in project["tool"]["setuptools"]["package-dir"].items():
        for init in sorted((ROOT / folder).rglob("__init__.py")):
            below = init.parent.relative_to(ROOT / folder).parts
            found[".".join((package, *below))] = init.parent
    return found


def test_every_package_is_listed(project: dict[str, Any]) -> None:
    assert sorted(package_folders(project)) == sorted(project["tool"]["setuptools"]["packages"])


def test_every_module_lies_in_a_listed_package(project: dict[str, Any]) -> None:
    folders = set(package_folders(project).values())
    tops = project["tool"]["setuptools"]["package-dir"].values()
    lost = [file for top in tops for file in (ROOT / top).rglob("*.py") if file.parent not in folders]
    assert lost == []


def test_every_top_package_is_marked_as_typed(project: dict[str, Any]) -> None:
    for package, folder in project["tool"]["setuptools"]["package-dir"].items():
        assert (ROOT / folder / "py.typed").is_file()
        assert "py.typed" in project["tool"]["setuptools"]["package-data"][package]


def test_constraints_pin_every_dependency_to_one_version(project: dict[str, Any]) -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    extras = project["project"]["optional-dependencies"]
    wanted = [*project["project"]["dependencies"], *extras["test"], *extras["bench"], *extras["plot"]]
    for requirement in wanted:
        name = requirement.partition(">")[0].partition("=")[0].partition("<")[0].strip().lower()
        assert name in pins or name == "setuptools", requirement


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from a copy of the sources, so that the build leaves nothing behind."""
    try:
        setuptools = metadata.version("setuptools")
    except metadata.PackageNotFoundError:
        setuptools = "0"
    if int(setuptools.partition(".")[0]) < SETUPTOOLS_NEEDED:
        pytest.skip(f"setuptools {setuptools} is older than {SETUPTOOLS_NEEDED}")
    source, output = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, source)
    for folder in ("shc_cli", "featurize", "kernels", "models"):
        shutil.copytree(ROOT / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__"))
    options = ["--no-deps", "--no-build-isolation", "-w", str(output)]
    command = [sys.executable, "-m", "pip", "wheel", *options, str(source)]
    subprocess.run(command, capture_output=True, check=True)
    return next(output.glob("*.whl"))


def test_the_wheel_holds_every_file_and_nothing_else(wheel: Path, project: dict[str, Any]) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        entry_points = next(name for name in archive.namelist() if name.endswith("entry_points.txt"))
        assert "shc = shc.cli.main:main" in archive.read(entry_points).decode()
    expected = set()
    for package, folder in project["tool"]["setuptools"]["package-dir"].items():
        for file in (ROOT / folder).rglob("*"):
            if file.is_file() and "__pycache__" not in file.parts:
                expected.add("/".join((*package.split("."), *file.relative_to(ROOT / folder).parts)))
    assert names == expected


def test_the_wheel_runs(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    code = "import shc.cli.main; print(shc.cli.main.__file__); shc.cli.main.main(['--version'])"
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    file, version = result.stdout.splitlines()
    assert Path(file).is_relative_to(tmp_path)
    assert version == f"shc {wheel.name.split('-')[1]}"
