"""Sources named on a command line -> paths -> crystals."""

from __future__ import annotations

import glob
import gzip
import hashlib
import io
import os
import stat
import sys
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from shc.featurize.cif import read_cif
from shc.featurize.errors import Failure, ShcError
from shc.featurize.readers import read_extxyz, read_poscar
from shc.featurize.sites import check_atom_count, check_distances, wrap
from shc.featurize.types import Crystal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from shc.featurize.config import FeaturizeConfig
    from shc.featurize.sites import Sites

MAX_FILE_BYTES = 64 * 1024 * 1024
"""Larger files, compressed or not, are refused: no crystal of up to thousands of atoms needs them."""
_SUFFIX_FORMAT = {
    ".cif": "cif",
    ".mcif": "cif",
    ".vasp": "poscar",
    ".poscar": "poscar",
    ".contcar": "poscar",
    ".xyz": "extxyz",
    ".extxyz": "extxyz",
}
_READERS: dict[str, Callable[[str, FeaturizeConfig], Sites]] = {
    "cif": read_cif,
    "poscar": read_poscar,
    "extxyz": read_extxyz,
}
_LIST_SUFFIXES = {".txt", ".lst"}
_KNOWN = "CIF (.cif, .mcif), POSCAR (POSCAR*, CONTCAR*, .vasp) or extended XYZ (.xyz, .extxyz), each also as .gz"


def iter_paths(sources: Sequence[str], stdin: TextIO | None = None) -> Iterator[Path | Failure]:
    """Turn what the user named into structure files, one after the other.

    A source is a structure file; a folder, which is searched with its subfolders (sorted by name, hidden
    entries and links to folders left out); a glob pattern; a list file (``.txt``, ``.lst``) with one path,
    folder or pattern a line and ``#`` comments; or ``-`` for such lines on standard input. The order of
    lists is kept. Relative paths in a list are looked up from the working folder, then beside the list.

    Args:
        sources: The sources in order.
        stdin: What ``-`` reads; standard input if None.

    Yields:
        A path, whose file is not opened yet, or a Failure for what does not exist or holds nothing.
    """
    for source in sources:
        if source == "-":
            yield from _from_lines(sys.stdin if stdin is None else stdin, None)
        elif Path(source).suffix.lower() in _LIST_SUFFIXES and _kind(source) == "file":
            try:
                with Path(source).open(encoding="utf-8-sig", errors="surrogateescape") as lines:
                    yield from _from_lines(lines, Path(source).parent)
            except OSError as error:
                yield _failure(source, f"the list cannot be read ({error.strerror})", "check its permissions")
        else:
            yield from _expand(source)


def read_crystal(path: Path, config: FeaturizeConfig) -> Crystal:
    """Read one structure file: CIF, POSCAR or extended XYZ, by its name.

    Args:
        path: The file.
        config: Gives ``max_atoms`` and ``allow_hydrogen``.

    Returns:
        The crystal in the cell of the file, positions in [0, 1).

    Raises:
        ShcError: The file cannot be read or holds no fully ordered crystal.
    """
    return read_with_hash(path, config)[0]


def read_with_hash(path: Path, config: FeaturizeConfig) -> tuple[Crystal, str]:
    """Read one structure file and its SHA-256 (hex) in one pass over the disk; see ``read_crystal``."""
    try:
        file_format = _format(path)
        data = _load(path)
        content = _decompress(data) if path.name.lower().endswith(".gz") else data
        sites = _READERS[file_format](_decode(content), config)
        check_atom_count(len(sites.frac), config)
        check_distances(sites)
    except ShcError as error:
        raise ShcError(f"{path.name}: {error.message}", error.hint, error.exit_code) from error
    crystal = Crystal(material_id(path), sites.lattice, wrap(sites.frac), sites.atomic_number, str(path))
    return crystal, hashlib.sha256(data).hexdigest()


def content_hash(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, hex.

    Raises:
        ShcError: The file cannot be read or is larger than ``MAX_FILE_BYTES``.
    """
    try:
        return hashlib.sha256(_load(path)).hexdigest()
    except ShcError as error:
        raise ShcError(f"{path.name}: {error.message}", error.hint, error.exit_code) from error


def material_id(path: Path) -> str:
    """Return the key of a file's results: its stem, or the folder's name for a bare POSCAR or CONTCAR."""
    name = path.name
    if name.lower().endswith(".gz"):
        name = name[:-3]
    dot = name.rfind(".")  # Path.suffix and Path.stem cost ten times as much
    stem = name[:dot] if dot > 0 and name[dot:].lower() in _SUFFIX_FORMAT else name
    if stem.upper() in {"POSCAR", "CONTCAR"}:
        return path.absolute().parent.name or stem
    return stem


def is_structure_file(name: str) -> bool:
    """Return whether a file of this name is read as a structure when a folder is searched."""
    return _format_of_name(name) is not None


def _format_of_name(name: str) -> str | None:
    name = name.lower().removesuffix(".gz")
    if name.startswith(("poscar", "contcar")):
        return "poscar"
    return _SUFFIX_FORMAT.get(os.path.splitext(name)[1])  # noqa: PTH122 - a tenth of the cost of Path


def _format(path: Path) -> str:
    file_format = _format_of_name(path.name)
    if file_format is None:
        raise ShcError("unknown type of file", f"known are {_KNOWN}")
    return file_format


def _load(path: Path) -> bytes:
    """Return a regular file's bytes; a pipe or device, which could block for ever, is refused unopened."""
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise ShcError("is a folder, not a file", "name the folder itself as a source")
        if not stat.S_ISREG(status.st_mode):
            raise ShcError("is no regular file", "give a file on disk")
        _check_size(status.st_size)
        return path.read_bytes()
    except FileNotFoundError as error:
        dangling = path.is_symlink()
        message = "the link leads to a file that does not exist" if dangling else "no such file"
        raise ShcError(message, "check the path") from error
    except PermissionError as error:
        raise ShcError("permission denied", "make the file readable (chmod +r)") from error
    except (OSError, ValueError) as error:
        raise ShcError(f"cannot be read ({error})", "check the path and the disk") from error


def _check_size(size: int) -> None:
    if size == 0:
        raise ShcError("the file is empty", "write the file again")
    if size > MAX_FILE_BYTES:
        raise ShcError(f"larger than {MAX_FILE_BYTES // 2**20} MB", "give one crystal a file")


def _decompress(data: bytes) -> bytes:
    """Unpack gzip, but never more than the size limit, however well the content is compressed."""
    try:
        content = gzip.GzipFile(fileobj=io.BytesIO(data)).read(MAX_FILE_BYTES + 1)
    except EOFError as error:
        raise ShcError("the gzip file is cut off", "compress the file again") from error
    except (OSError, zlib.error) as error:
        raise ShcError("not a readable gzip file", "compress the file again") from error
    _check_size(len(content))
    return content


def _decode(data: bytes) -> str:
    """Return the text as ASCII lines; other characters, harmless in comments, become question marks."""
    if data[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        raise ShcError("the file is encoded as UTF-16", "save it as UTF-8 text")
    if b"\0" in data:
        raise ShcError("the file is binary, not text", "save it as UTF-8 text")
    data = data.removeprefix(b"\xef\xbb\xbf")
    if not data.strip():
        raise ShcError("the file is empty", "write the file again")
    if data.isascii():
        text = data.decode("ascii")
    else:
        text = data.decode("utf-8", errors="replace").encode("ascii", errors="replace").decode("ascii")
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def _failure(source: str, error: str, hint: str) -> Failure:
    return Failure(source, "read", error, hint)


def _kind(name: str) -> str:
    """Return ``file``, ``folder``, ``link`` (dangling) or an empty string for what is not there."""
    try:
        return "folder" if stat.S_ISDIR(os.stat(name).st_mode) else "file"  # noqa: PTH116 - also takes ""
    except (OSError, ValueError):
        pass
    try:
        return "link" if os.path.lexists(name) else ""
    except ValueError:
        return ""


def _from_lines(lines: Iterable[str], base: Path | None) -> Iterator[Path | Failure]:
    for line in lines:
        name = line.strip()
        if not name or name.startswith("#"):
            continue
        if base is not None and not Path(name).is_absolute() and not _kind(name) and _kind(str(base / name)):
            name = str(base / name)
        yield from _expand(name)


def _expand(name: str) -> Iterator[Path | Failure]:
    """Yield the files behind one path, folder or pattern."""
    kind = _kind(name)
    if kind == "folder":
        yield from _folder(name)
    elif kind:
        yield Path(name)
    elif glob.has_magic(name) and "\0" not in name:
        matches = sorted(glob.iglob(name, recursive=True))  # noqa: PTH207 - Path.glob takes no absolute pattern
        for match in matches:
            if _kind(match) == "folder":
                # With **, the folders' own files are among the matches.
                yield from () if "**" in name else _folder(match)
            else:
                yield Path(match)
        if not matches:
            yield _failure(name, "no file matches this pattern", "check the pattern")
    else:
        yield _failure(name, "no such file or folder", "check the path")


def _folder(name: str) -> Iterator[Path | Failure]:
    empty = True
    for entry in _walk(name):
        empty = False
        yield entry
    if empty:
        yield _failure(name, "the folder holds no structure file", f"read are {_KNOWN}")


def _walk(name: str) -> Iterator[Path | Failure]:
    """Yield the structure files of a folder sorted by name, then those of its subfolders."""
    try:
        with os.scandir(name) as scan:
            entries = sorted(scan, key=lambda entry: entry.name)
    except OSError as error:
        yield _failure(name, f"the folder cannot be read ({error.strerror})", "check its permissions")
        return
    for entry in entries:
        # A folder named like a file is handed on too: reading it says what it is, and nothing is lost.
        if not entry.name.startswith(".") and is_structure_file(entry.name):
            yield Path(entry.path)
    for entry in entries:
        if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False) and not is_structure_file(entry.name):
            yield from _walk(entry.path)
