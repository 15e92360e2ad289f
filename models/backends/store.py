"""Compiled back ends on disk, in the user's cache: a folder for each model, back end and machine."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from shc.featurize.user_cache import user_cache
from shc.featurize.writing import write_whole

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from shc.models.backends.base import Compiler
    from shc.models.ensemble import Ensemble

FORMAT: Final = "1"
"""Raised when what is built changes."""
ABOUT: Final = "about.json"
"""Written last: what was built, and how well it agrees."""
_FOLDER: Final = "compiled"


def compiled_folder(compiler: Compiler, ensemble: Ensemble, device: torch.device) -> Path:
    """Where a back end for an ensemble is kept; nothing is made.

    The name tells weights, back end, versions and processor apart.
    """
    what = {"format": FORMAT, "weights": ensemble.digest, **compiler.identity(device)}
    key = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:16]
    return user_cache() / _FOLDER / f"{compiler.name}-{key}"


def is_built(folder: Path) -> bool:
    """Whether a folder holds a back end that is complete."""
    return (folder / ABOUT).is_file()


def build_into(folder: Path, build: Callable[[Path], dict[str, object]]) -> None:
    """Build under a temporary name and rename, so that no other process sees a part.

    Args:
        folder: The folder to appear; one that is there is replaced.
        build: Fills a folder and says what is to be noted of it.

    Raises:
        OSError: The folder cannot be written.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        about = build(temporary) | {"built": datetime.now(UTC).isoformat(timespec="seconds")}
        write_whole(temporary / ABOUT, f"{json.dumps(about, indent=2)}\n".encode())
        temporary.chmod(0o755)
        shutil.rmtree(folder, ignore_errors=True)
        try:
            temporary.rename(folder)
        except OSError:
            if not is_built(folder):  # else another process was faster
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
