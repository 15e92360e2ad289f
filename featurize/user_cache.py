"""The folder of this program in the user's cache, and files that appear in it only when complete."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def user_cache() -> Path:
    """``shc`` in ``$XDG_CACHE_HOME`` or ``~/.cache``; nothing is made."""
    caches = os.environ.get("XDG_CACHE_HOME")
    home = Path(caches) if caches else Path(os.path.expanduser("~")) / ".cache"  # noqa: PTH111  never raises
    return home / "shc"


def write_whole(path: Path, data: bytes) -> None:
    """Write a file under a temporary name and rename it; its folder is made if it is missing.

    Raises:
        OSError: The folder cannot be made or written to.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
