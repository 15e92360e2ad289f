from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from shc.kernels.cache import cache_folder, prepare_cache


@pytest.fixture
def blocked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package folder in which no folder can be made, even by an administrator."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    package = tmp_path / "package"
    package.write_text("a file where a folder is wanted")
    return package


def test_writable_package_needs_no_other_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", "")
    assert prepare_cache(tmp_path) is None
    assert os.environ["NUMBA_CACHE_DIR"] == ""


def test_users_own_choice_is_kept(blocked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", "/somewhere")
    assert prepare_cache(blocked) is None
    assert os.environ["NUMBA_CACHE_DIR"] == "/somewhere"


def test_it_is_known_where_kernels_are_kept(blocked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_folder()[0].name == "__pycache__"
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(blocked / "kernels"))
    assert cache_folder() == (blocked / "kernels", False)
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    assert cache_folder() == (tmp_path, True)


def test_falls_back_to_the_users_cache_per_version(blocked: Path, tmp_path: Path) -> None:
    folder = prepare_cache(blocked)
    assert folder is not None
    assert folder.parent == tmp_path / "cache" / "shc"
    assert sys.implementation.cache_tag in folder.name
    assert os.environ["NUMBA_CACHE_DIR"] == str(folder)


def test_falls_back_to_a_private_temporary_folder(
    blocked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    folder = prepare_cache(blocked)
    assert folder is not None
    assert folder.parent == tmp_path / f"shc-{os.getuid()}"
    assert folder.parent.stat().st_mode & 0o022 == 0


def test_folder_that_others_can_write_is_not_trusted(
    blocked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    shared = tmp_path / f"shc-{os.getuid()}"
    shared.mkdir()
    shared.chmod(0o777)
    assert prepare_cache(blocked) is None


def test_importing_kernels_chooses_before_numba_is_loaded(tmp_path: Path) -> None:
    package = tmp_path / "shc" / "kernels"
    package.mkdir(parents=True)
    source = Path(sys.modules[prepare_cache.__module__].__file__ or "").parent
    for name in ("__init__.py", "cache.py"):
        shutil.copy(source / name, package / name)
    (package / "__pycache__").write_text("no folder")
    code = "import os, sys, shc.kernels; print(os.environ['NUMBA_CACHE_DIR'], 'numba' in sys.modules)"
    environment = {
        "PYTHONPATH": str(tmp_path),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PATH": os.environ["PATH"],
    }
    shown = subprocess.run(
        [sys.executable, "-S", "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    folder, loaded = shown.stdout.split()
    assert Path(folder).parent == tmp_path / "cache" / "shc"
    assert loaded == "False"
