"""Which picture of bands belongs to which crystal.

All crystals of a run must be known before a picture is given to one of them: only then is it clear that a name does
not mean another crystal with a longer name, and that a formula means one crystal alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from shc.featurize.band_image.listing import STAGE, Picture, PictureFolder, ascii_name
from shc.featurize.band_image.sidecar import NAME as SIDECAR_NAME
from shc.featurize.errors import Failure, counted
from shc.featurize.formula import formula_counts

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAMED: Final = 3
_Composition = tuple[tuple[int, float], ...]


class MatchedBy(StrEnum):
    """What ties a picture to a crystal."""

    SIDECAR = "bands.csv"
    NAME = "file name"
    FORMULA = "formula"


@dataclass(frozen=True, slots=True)
class Match:
    """A picture that shows a crystal."""

    picture: Picture
    by: MatchedBy


@dataclass(frozen=True, slots=True)
class Matches:
    """Which pictures belong to which crystals of a run, and what became of the others."""

    folder: PictureFolder
    by_crystal: dict[str, list[Match]] = field(default_factory=dict)
    """Pictures of the crystals that have some, by material id, in the order of the folder."""
    unmatched: list[tuple[Picture, str]] = field(default_factory=list)
    """Pictures that show no crystal of the run, and why."""

    def pictures_of(self, material_id: str) -> list[Picture]:
        """The pictures of a crystal, in the order of their names; mostly none."""
        return [match.picture for match in self.by_crystal.get(material_id, ())]

    def failures(self) -> list[Failure]:
        """What is to be listed: pictures without a crystal, and lines of ``bands.csv`` without a picture."""
        hint = f"name pictures like the crystal's id or formula, or list them in {SIDECAR_NAME}"
        without = [Failure(str(picture.path), STAGE, why, hint) for picture, why in self.unmatched]
        return without + self.folder.lost()

    def report(self) -> str:
        """One line for people: how many pictures were matched, by what, and which were not."""
        if not self.folder.pictures:
            return f"{self.folder.folder} holds no pictures"
        found = [match.by for matches in self.by_crystal.values() for match in matches]
        parts = ", ".join(f"{found.count(by)} by {by}" for by in MatchedBy if by in found)
        n_crystals = counted(len(self.by_crystal), "crystal")
        text = f"{counted(len(self.folder.pictures), 'picture')} in {self.folder.folder}: "
        text += f"{len(found)} belong to {n_crystals} ({parts})" if found else "none belongs to a crystal"
        if self.unmatched:
            names = ", ".join(ascii_name(picture.path) for picture, _ in self.unmatched[:_NAMED])
            dots = ", ..." if len(self.unmatched) > _NAMED else ""
            text += f"; {len(self.unmatched)} without a crystal ({names}{dots})"
        if self.folder.missing:
            text += f"; {counted(len(self.folder.missing), 'line')} of {SIDECAR_NAME} without a picture"
        return text


def match_pictures(folder: PictureFolder, formulas: Mapping[str, str]) -> Matches:
    """Find the crystal of each picture.

    In this order: the material id in ``bands.csv``; a file stem that is a material id; a stem that begins with one,
    followed by a mark such as ``_``, ``-`` or ``.`` and anything, the longest id wins; a stem that is, or begins in the
    same way with, the formula of exactly one crystal.

    Args:
        folder: The pictures.
        formulas: Formula of every crystal of the run by material id; may be empty where it is not known.

    Returns:
        The matches and the pictures that have none.
    """
    by_formula: dict[_Composition, list[str]] = {}
    for name, formula in formulas.items():
        if composition := _composition(formula):
            by_formula.setdefault(composition, []).append(name)
    matches = Matches(folder)
    for picture in folder.pictures:
        found = _match(picture, formulas, by_formula)
        if isinstance(found, str):
            matches.unmatched.append((picture, found))
        else:
            name, by = found
            matches.by_crystal.setdefault(name, []).append(Match(picture, by))
    return matches


def _match(
    picture: Picture, formulas: Mapping[str, str], by_formula: Mapping[_Composition, list[str]]
) -> tuple[str, MatchedBy] | str:
    """The crystal of a picture and what tells it, or why there is none."""
    row = picture.row
    if row is not None and row.material_id:
        if row.material_id in formulas:
            return row.material_id, MatchedBy.SIDECAR
        return f"line {row.line} of {SIDECAR_NAME} names {row.material_id}, which is no crystal of this run"
    beginnings = _beginnings(picture.path.stem)
    for beginning in beginnings:
        if beginning in formulas:
            return beginning, MatchedBy.NAME
    for beginning in beginnings:
        owners = by_formula.get(_composition(beginning), [])
        if len(owners) == 1:
            return owners[0], MatchedBy.FORMULA
        if owners:
            names = ", ".join(owners[:_NAMED]) + (", ..." if len(owners) > _NAMED else "")
            return f"{beginning} is the formula of {len(owners)} crystals ({names})"
    return "no crystal of this run has its name or formula"


def _beginnings(stem: str) -> list[str]:
    """The stem and what stands before each mark in it, the longest first."""
    return [stem, *(stem[: mark.start()] for mark in reversed(list(re.finditer(r"[\W_]", stem))) if mark.start())]


def _composition(formula: str) -> _Composition:
    """Elements and their shares; empty for what is no formula."""
    counts = formula_counts(formula)
    total = sum(counts.values())
    return tuple((number, round(counts[number] / total, 6)) for number in sorted(counts))
