"""The pictures that a person names: a folder, or files and patterns."""

from __future__ import annotations

import glob
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from shc.featurize.band_image.formats import REFUSED_SUFFIXES, SUFFIXES
from shc.featurize.band_image.sidecar import NAME as SIDECAR_NAME
from shc.featurize.band_image.sidecar import SidecarRow, read_sidecar
from shc.featurize.errors import ExitCode, Failure, ShcError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from shc.featurize.band_image.types import EnergyWindow

STAGE: Final = "picture"
"""Stage of failures that concern a picture and no crystal."""
_OWN: Final = re.compile(r"check-bands(-[0-9]+)?\.png")


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture of a folder."""

    path: Path
    """The file; not opened yet."""
    window: EnergyWindow | None
    """What is known of the energy axis: from ``bands.csv``, else what holds for all pictures of the folder."""
    row: SidecarRow | None = None
    """What ``bands.csv`` says of it."""


@dataclass(frozen=True, slots=True)
class PictureFolder:
    """The pictures of a folder, before anything is known of crystals."""

    folder: Path
    pictures: tuple[Picture, ...]
    """In the order of their names, numbers by their value; files of known endings and those of ``bands.csv``."""
    missing: tuple[SidecarRow, ...]
    """Lines of ``bands.csv`` that name no file of the folder."""

    def lost(self) -> list[Failure]:
        """Those lines, as they are listed."""
        path, hint = str(self.folder / SIDECAR_NAME), "correct the name of the file"
        return [Failure(path, STAGE, f"line {row.line}: there is no picture {row.file}", hint) for row in self.missing]


def ascii_name(path: Path) -> str:
    """Name of a file for people, with what cannot be printed escaped."""
    name = path.name
    return name if name.isprintable() else ascii(name)[1:-1]


def list_pictures(folder: Path, window: EnergyWindow | None = None) -> PictureFolder:
    """List the pictures of a folder; subfolders and hidden files are left out.

    Args:
        folder: The folder.
        window: Energy axis of the pictures of which ``bands.csv`` does not say it.

    Raises:
        ShcError: There is no such folder, or its ``bands.csv`` makes no sense (``USAGE``).
    """
    try:
        with os.scandir(folder) as entries:
            files = {entry.name for entry in entries if not entry.is_dir()}
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ShcError(f"{folder}: there is no such folder", "give a folder of pictures", ExitCode.USAGE) from error
    except OSError as error:
        raise ShcError(f"{folder}: {error.strerror}", "check its permissions", ExitCode.USAGE) from error
    rows = read_sidecar(folder)
    names = {name for name in files if _is_picture(name) or name in rows}
    missing = tuple(row for name, row in rows.items() if name not in files)
    pictures = (_picture(folder / name, rows, window) for name in sorted(names, key=natural_order))
    return PictureFolder(folder, tuple(pictures), missing)


def find_pictures(sources: Sequence[str], window: EnergyWindow | None = None) -> list[Picture | Failure]:
    """Find the pictures that are named on a command line, each of them once.

    Args:
        sources: Folders, glob patterns and files, whatever their ending; the ``bands.csv`` beside a picture counts.
        window: Energy axis of the pictures of which ``bands.csv`` does not say it.

    Returns:
        The pictures in the order of the sources, and what does not exist or holds no picture.

    Raises:
        ShcError: A ``bands.csv`` makes no sense (``USAGE``).
    """
    found: dict[Path | str, Picture | Failure] = {}
    sidecars: dict[Path, dict[str, SidecarRow]] = {}
    for source in sources:
        for path in _expand(source):
            if path.is_dir():
                listed = list_pictures(path, window)
                found.update({picture.path: picture for picture in listed.pictures if picture.path not in found})
                found.update({f"{failure.path}: {failure.error}": failure for failure in listed.lost()})
                if not listed.pictures:
                    found[path] = Failure(str(path), STAGE, "the folder holds no pictures", "name a folder of pictures")
            elif os.path.lexists(path):
                folder = path.parent
                rows = sidecars.get(folder)
                if rows is None:
                    rows = sidecars[folder] = read_sidecar(folder)
                found.setdefault(path, _picture(path, rows, window))
            else:
                found[source] = Failure(source, STAGE, "no such file or folder", "check the path")
    return list(found.values())


def _expand(source: str) -> Iterable[Path]:
    if not glob.has_magic(source) or os.path.lexists(source):
        return [Path(source)]
    matches = glob.glob(source, recursive=True)  # noqa: PTH207 - Path.glob takes no absolute pattern
    files = [Path(match) for match in sorted(matches, key=natural_order) if not Path(match).is_dir()]
    return [path for path in files if _is_picture(path.name)] or [Path(source)]


def _picture(path: Path, rows: dict[str, SidecarRow], window: EnergyWindow | None) -> Picture:
    row = rows.get(path.name)
    return Picture(path, window if row is None or row.window is None else row.window, row)


def _is_picture(name: str) -> bool:
    """Whether a file of this name is a picture, and none that ``shc check-bands`` wrote."""
    ending = os.path.splitext(name)[1].lower()  # noqa: PTH122 - a tenth of the cost of Path
    return not name.startswith(".") and ending in SUFFIXES | REFUSED_SUFFIXES and not _OWN.fullmatch(name)


def natural_order(name: str) -> list[tuple[int, int, str]]:
    """Key that sorts ``a2`` before ``a10``."""
    parts = re.findall(r"[0-9]+|[^0-9]+", name)
    return [(0, int(part), part) if part.isascii() and part.isdigit() else (1, 0, part) for part in parts]
