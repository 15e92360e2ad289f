"""The folder of this program in the user's cache."""

from __future__ import annotations

import os
from pathlib import Path


def user_cache() -> Path:
    """``shc`` in ``$XDG_CACHE_HOME`` or ``~/.cache``; nothing is made."""
    caches = os.environ.get("XDG_CACHE_HOME")
    home = Path(caches) if caches else Path(os.path.expanduser("~")) / ".cache"  # noqa: PTH111  never raises
    return home / "shc"
