"""Pictures of bands of many crystals: which files belong to a run, and the task of a process that reads them."""

from __future__ import annotations

import hashlib
import stat
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from shc.featurize.band_image.codec import NO_STAMP, SMALLEST, STANDARD, BadPicture, PictureSet, StoredPicture, encode
from shc.featurize.band_image.listing import STAGE, list_pictures
from shc.featurize.band_image.matching import match_pictures
from shc.featurize.electronic.codec import decode
from shc.featurize.electronic.picture import band_image
from shc.featurize.electronic.record import BAND_RANGE
from shc.featurize.elements import reduced_formula
from shc.featurize.errors import Failure, ShcError
from shc.featurize.structures import material_id, read_crystal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from shc.featurize.band_image.listing import Picture
    from shc.featurize.band_image.matching import Matches
    from shc.featurize.band_image.types import BandPicture, EnergyWindow
    from shc.featurize.config import FeaturizeConfig
    from shc.featurize.pool import BatchResult, Task
    from shc.featurize.types import CrystalRecord

NORMALISER_VERSION: Final = 1
"""Raised whenever the same picture gets another image: files of different versions are not joined."""
MAX_FORMULA_PASS: Final = 5000
"""With more structure files than this, none is read ahead of the run to learn its formula."""
_HINT: Final = "look at it with `shc check-bands`; --energy-window or bands.csv tells the energy axis"


@dataclass(frozen=True, slots=True)
class RunPictures:
    """The pictures of a run: those of some folders, each given to the crystal that it shows."""

    matches: tuple[Matches, ...]
    """What was found in each folder."""
    formulas_known: bool = True
    """Whether pictures that bear a formula could be matched."""

    def of(self, name: str) -> list[Picture]:
        """The pictures of a crystal by material id, folder by folder; mostly none."""
        return [picture for matches in self.matches for picture in matches.pictures_of(name)]

    def failures(self) -> list[Failure]:
        """Pictures that show no crystal of the run, and lines of ``bands.csv`` without a picture."""
        return [failure for matches in self.matches for failure in matches.failures()]

    @property
    def any_found(self) -> bool:
        """Whether a folder holds a picture."""
        return any(matches.folder.pictures for matches in self.matches)

    def report(self) -> list[str]:
        """What was found, a line for each folder."""
        lines = [matches.report() for matches in self.matches]
        if not self.formulas_known and any(matches.unmatched for matches in self.matches):
            limit = f"formulas were not compared, as there are more than {MAX_FORMULA_PASS} structure files"
            lines.append(f"{limit}; for a feature file they are")
        return lines


def match_files(
    folders: Sequence[Path], window: EnergyWindow | None, paths: Iterable[Path], config: FeaturizeConfig
) -> RunPictures:
    """Match the pictures of folders with structure files.

    Structures are read only if a picture is left that no id claims, and only some thousands of them.

    Args:
        folders: Folders of pictures.
        window: Energy axis of the pictures of which ``bands.csv`` does not say it.
        paths: Structure files of the whole run, of all its shards; failures among the sources left out.
        config: How structures are read.

    Raises:
        ShcError: A folder does not exist, or its ``bands.csv`` makes no sense (``USAGE``).
    """
    listed = [list_pictures(folder, window) for folder in folders]
    files = {material_id(path): path for path in paths}
    unknown = dict.fromkeys(files, "")
    by_name = tuple(match_pictures(folder, unknown) for folder in listed)
    if not any(matches.unmatched for matches in by_name):
        return RunPictures(by_name)
    if len(files) > MAX_FORMULA_PASS:
        return RunPictures(by_name, formulas_known=False)
    formulas = {name: _formula(path, config) for name, path in files.items()}
    return RunPictures(tuple(match_pictures(folder, formulas) for folder in listed))


def match_formulas(folders: Sequence[Path], window: EnergyWindow | None, formulas: Mapping[str, str]) -> RunPictures:
    """Match the pictures of folders with crystals that are featurised already.

    Args:
        folders: Folders of pictures.
        window: Energy axis of the pictures of which ``bands.csv`` does not say it.
        formulas: Formula of every crystal by material id.

    Raises:
        ShcError: A folder does not exist, or its ``bands.csv`` makes no sense (``USAGE``).
    """
    return RunPictures(tuple(match_pictures(list_pictures(folder, window), formulas) for folder in folders))


def _formula(path: Path, config: FeaturizeConfig) -> str:
    """Reduced formula of a structure file; empty if it cannot be used, which the run tells when it comes to it."""
    try:
        return reduced_formula(read_crystal(path, config).atomic_number)
    except Exception:  # noqa: BLE001  no file may stop the others
        return ""


def stamp(pictures: Sequence[Picture]) -> bytes:
    """SHA-256 of all that determines what is stored of the pictures of a crystal: names, contents and windows."""
    if not pictures:
        return NO_STAMP
    digest = hashlib.sha256()
    for picture in pictures:
        digest.update(f"{picture.path.name!r} {_content(picture.path)} {picture.window!r}\n".encode())
    return digest.digest()


def _content(path: Path) -> str:
    """SHA-256 of a file, hex; empty for what is no file that can be read."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return ""
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def failures_of(pictures: Sequence[Picture], bad: Iterable[BadPicture]) -> list[Failure]:
    """What is to be listed of the pictures of a crystal that gave nothing."""
    return [Failure(str(pictures[number].path), STAGE, error, hint) for number, error, hint in bad]


def read_pictures(pictures: Sequence[Picture]) -> PictureSet:
    """Decode and normalise the pictures of a crystal, in this process.

    Args:
        pictures: The files.

    Returns:
        Those that can be used, and what is wrong with the others.
    """
    good: list[StoredPicture] = []
    bad: list[BadPicture] = []
    for number, picture in enumerate(pictures):
        found = read_picture(picture.path, picture.window)
        if isinstance(found, tuple):
            bad.append(BadPicture(number, *found))
        else:
            good.append(StoredPicture.of(found, picture.path.name))
    return PictureSet(tuple(good), tuple(bad), stamp(pictures))


def read_picture(path: Path, window: EnergyWindow | None) -> BandPicture | tuple[str, str]:
    """A picture that can be used, or what is wrong with it and what to do."""
    from shc.featurize.band_image.read import read_bands_picture  # noqa: PLC0415  its kernels take a second to load

    try:
        found = read_bands_picture(path, window)
    except ShcError as error:
        return error.message, error.hint
    except Exception as error:  # noqa: BLE001  no file may stop the others
        return _unexpected(error)
    if found.confidence > 0.0:
        return found
    return f"{path.name}: {found.reasons[0] if found.reasons else 'no bands were found'}", _HINT


def _unexpected(error: Exception) -> tuple[str, str]:
    hint = "please report this with the file: it is a defect of the program"
    return f"unexpected {type(error).__name__}: {error}", hint


def featurize_with_pictures(
    paths: Sequence[Path], task: Task, files: Mapping[str, Sequence[Picture]], n_styles: int, level: int = SMALLEST
) -> BatchResult:
    """Featurise some structure files with their pictures, in this process.

    Args:
        paths: Structure files.
        task: Makes the records without pictures.
        files: Pictures by material id, of those crystals that have some.
        n_styles: Pictures to draw of the computed bands of each crystal.
        level: How the pictures are packed, see ``encode``.

    Returns:
        As the task; a picture that cannot be used is a failure of the stage ``picture``.

    Raises:
        ShcError: Pictures are to be drawn and matplotlib is missing (``NO_BACKEND``).
    """
    records, failures = task(paths)
    sources = {material_id(path): str(path) for path in paths}
    with_pictures: list[CrystalRecord] = []
    for record in records:
        pictures = files.get(record.material_id, ())
        found = read_pictures(pictures)
        failures += failures_of(pictures, found.failures)
        if n_styles and record.bands:
            try:
                found = found._replace(pictures=found.pictures + _styled(record, n_styles))
            except Exception as error:
                if isinstance(error, ShcError):
                    raise  # Nothing that a crystal could help.
                failures.append(Failure(sources[record.material_id], STAGE, *_unexpected(error)))
        with_pictures.append(replace(record, pictures=encode(found, level)))
    return with_pictures, failures


def _styled(record: CrystalRecord, n: int) -> tuple[StoredPicture, ...]:
    """The standard picture of the computed bands, then pictures in random styles that depend on the crystal alone."""
    from shc.featurize.band_image.style_pictures import styled_pictures  # noqa: PLC0415  matplotlib takes a second to load

    bands, seed = decode(record.bands), int(record.content_hash[:16], 16)
    standard = StoredPicture(band_image(bands), -BAND_RANGE, BAND_RANGE, 1.0, STANDARD, "styled")
    styled = [
        StoredPicture.of(picture, str(number), "styled_scalar" if style.scalar else "styled")
        for number, (picture, style) in enumerate(styled_pictures(bands, seed, n))
    ]
    return (standard, *styled)
