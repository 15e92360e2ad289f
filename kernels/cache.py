"""Where compiled kernels are kept when the installed package cannot be written to."""

from __future__ import annotations

import os
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_VARIABLE = "NUMBA_CACHE_DIR"


def prepare_cache(package: Path | None = None) -> Path | None:
    """Choose a folder for compiled kernels if the one Numba would use cannot be written to.

    Numba keeps compiled code beside the source. Where that is read-only (a module on a cluster, a container),
    a folder per version in the user's cache is used, or failing that a private one among the temporary files.
    Must run before a kernel is defined. ``NUMBA_CACHE_DIR``, if set, is respected.

    Args:
        package: Folder of the kernels; this one if None.

    Returns:
        The folder chosen, which is also put into the environment for child processes; None if no choice was
        needed or none was possible.
    """
    if os.environ.get(_VARIABLE):
        return None
    if _is_writable((package or Path(__file__).parent) / "__pycache__"):
        return None
    try:
        tool = version("shc-predict")
    except PackageNotFoundError:
        tool = "unknown"
    name = f"numba-{tool}-{sys.implementation.cache_tag}"
    caches = os.environ.get("XDG_CACHE_HOME")
    home = Path(caches) if caches else Path(os.path.expanduser("~")) / ".cache"  # noqa: PTH111  never raises
    for base in (home / "shc", Path(tempfile.gettempdir()) / f"shc-{os.getuid()}"):
        folder = base / name
        if _is_writable(folder) and _is_ours(base):
            os.environ[_VARIABLE] = str(folder)
            numba = sys.modules.get("numba")
            if numba is not None:
                numba.config.CACHE_DIR = str(folder)
            return folder
    return None


def cache_folder() -> tuple[Path, bool]:
    """Where compiled kernels are kept, and whether files can be written there."""
    chosen = os.environ.get(_VARIABLE)
    folder = Path(chosen) if chosen else Path(__file__).parent / "__pycache__"
    return folder, _is_writable(folder)


def _is_writable(folder: Path) -> bool:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _is_ours(folder: Path) -> bool:
    """Whether nobody else can plant code there: Numba executes what it finds in its cache."""
    status = folder.stat()
    return status.st_uid == os.getuid() and not status.st_mode & 0o022
