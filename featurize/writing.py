"""Writing output: a file appears under its name only when it is complete, and errors name the place."""

from __future__ import annotations

import errno
import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from shc.featurize.errors import ExitCode, ShcError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PLACE_ERRORS: Final = frozenset(
    {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
)
"""What the operating system says of the place a file should go to, whatever the program does there."""


def cannot_write(path: Path | str, error: OSError) -> ShcError:
    """An error that says why a file or folder cannot be written."""
    return ShcError(f"{path}: {error.strerror or error}", "check permissions and free space", ExitCode.USAGE)


def followed(path: Path) -> Path:
    """What a path points to if it is a link, else the path itself."""
    return path.resolve() if path.is_symlink() else path


def is_special(path: Path) -> bool:
    """Whether something has that name that must not be replaced by a file: a device, a pipe, a socket."""
    return path.exists() and not path.is_file() and not path.is_dir()


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Name the file or folder that the context writes if the operating system refuses.

    Raises:
        ShcError: It does (``USAGE``).
    """
    try:
        yield
    except OSError as error:
        raise cannot_write(path, error) from error


def write_whole(path: Path, data: bytes) -> None:
    """Write a file that appears under its name only when it is complete; its folder is made if it is missing.

    Raises:
        ShcError: The operating system refuses (``USAGE``).
    """
    with writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as temporary:
        temporary.write_bytes(data)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Put a file in place when the context that writes it ends well; leave nothing otherwise.

    Several processes may write the same file at a time: the last one wins. A link stays; what it points to is replaced.

    Args:
        path: File to write, or to replace.

    Yields:
        Where to write.

    Raises:
        ShcError: The operating system refuses, or a device or a pipe has that name (``USAGE``).
    """
    path = followed(path)
    if is_special(path):
        raise ShcError(f"{path} is no ordinary file", "choose another name", ExitCode.USAGE)
    temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")
    with writing(path):
        try:
            yield temporary
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
