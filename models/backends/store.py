"""Compiled back ends on disk, in the user's cache: a folder for each model, back end and machine."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from shc.featurize.user_cache import user_cache
from shc.featurize.writing import write_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import torch

    from shc.models.backends.base import Compiler
    from shc.models.ensemble import Ensemble

FORMAT: Final = "1"
"""Raised when what is built changes."""
ABOUT: Final = "about.json"
"""Written last: what was built, how well it agrees, and the hashes of all other files."""
_FOLDER: Final = "compiled"


class Built(NamedTuple):
    """A back end that was built."""

    folder: Path
    date: str
    """ISO 8601, UTC."""
    n_bytes: int


def compiled_root() -> Path:
    """The folder of all compiled back ends; nothing is made."""
    return user_cache() / _FOLDER


def size_of(folder: Path) -> int:
    """Bytes in the files of a folder, those of its folders included; 0 if it does not exist."""
    total = 0
    for where, _, names in os.walk(folder):
        for name in names:
            # Another process may be tidying up.
            with suppress(OSError):
                total += (Path(where) / name).lstat().st_size
    return total


def read_built(folder: Path) -> Built | None:
    """What is known of the back end in a folder; None if none was built."""
    if not is_built(folder):
        return None
    return Built(folder, json.loads((folder / ABOUT).read_bytes())["built"], size_of(folder))


@contextmanager
def set_aside(folder: Path) -> Iterator[None]:
    """Put what was built out of the way of the context that builds it anew; it comes back if that fails."""
    if not folder.exists():
        yield
        return
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    folder.rename(aside)
    try:
        yield
    except BaseException:
        aside.rename(folder)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def compiled_folder(compiler: Compiler, ensemble: Ensemble, device: torch.device) -> Path:
    """Where a back end for an ensemble is kept; nothing is made.

    The name tells weights, back end, versions and processor apart.
    """
    what = {"format": FORMAT, "weights": ensemble.digest, **compiler.identity(device)}
    key = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:16]
    return compiled_root() / f"{compiler.name}-{key}"


def is_built(folder: Path) -> bool:
    """Whether a folder holds a back end that is complete, every file as it was written."""
    try:
        files: dict[str, str] = json.loads((folder / ABOUT).read_bytes())["files"]
        return all(_digest(folder / name) == digest for name, digest in files.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def build_into(folder: Path, build: Callable[[Path], dict[str, object]]) -> None:
    """Build under a temporary name and rename, so that no other process sees a part.

    Args:
        folder: The folder to appear; one that is complete is left as it is, since other processes may use it.
        build: Fills a folder and says what is to be noted of it.

    Raises:
        OSError: The folder cannot be written.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        about = build(temporary)
        about |= {"files": _digests(temporary), "built": datetime.now(UTC).isoformat(timespec="seconds")}
        write_whole(temporary / ABOUT, f"{json.dumps(about, indent=2)}\n".encode())
        temporary.chmod(0o755)
        try:
            temporary.rename(folder)
        except OSError:
            if not is_built(folder):
                shutil.rmtree(folder, ignore_errors=True)
                temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _digests(folder: Path) -> dict[str, str]:
    """Hash of every file of a folder, by its path within."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): _digest(path) for path in files}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
