"""Predictions of a CSV file, whoever wrote it, and the labels of their crystals."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from shc.featurize.errors import ShcError, counted
from shc.models.labels import LABEL, read_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

_IDS: Final = ("material_id", "id")
_BOUNDS: Final = ("shc_lower", "shc_upper")
_MODALITIES: Final = "modalities"
_NAMED: Final = 3
"""Ids that a message names at most."""


@dataclass(frozen=True, slots=True)
class Predictions:
    """One prediction for each of n crystals, (hbar/e) S/cm."""

    modalities: str
    """What all of them rest on; ``mixed`` if not all rest on the same, empty if the file does not say."""
    column: str
    """Name of the column of the values."""
    row: dict[str, int]
    """Place of each crystal by its id."""
    value: NDArray[np.float64]
    bounds: tuple[NDArray[np.float64], NDArray[np.float64]] | None
    """Ends of the intervals."""


@dataclass(frozen=True, slots=True)
class Joined:
    """Predictions beside the labels of their crystals, (hbar/e) S/cm."""

    modalities: str
    material_id: list[str]
    label: NDArray[np.float64]
    value: NDArray[np.float64]
    bounds: tuple[NDArray[np.float64], NDArray[np.float64]] | None
    gaps: tuple[str, ...]
    """What was left out: a line each, with numbers."""

    def take(self, rows: Sequence[int]) -> Joined:
        """Some of the crystals."""
        some = np.array(rows, dtype=np.intp)
        bounds = None if self.bounds is None else (self.bounds[0][some], self.bounds[1][some])
        ids = [self.material_id[row] for row in rows]
        return Joined(self.modalities, ids, self.label[some], self.value[some], bounds, self.gaps)


def read_predictions(path: Path, column: str | None = None) -> list[Predictions]:
    """Read predictions.

    The ids stand in the column ``material_id``, else ``id``, else the first one. The columns ``shc_lower`` and
    ``shc_upper`` belong to ``shc_max_abs`` and are read with it. Where a crystal has several rows that differ in the
    column ``modalities``, there is one set of predictions for each modality.

    Args:
        path: CSV file with a header; lines that start with ``#`` are skipped.
        column: Name of the column of values, if the file has one of that name; else, and by default, they stand in
            ``shc_max_abs``.

    Returns:
        One set, or one for each modality in the order of the file.

    Raises:
        ShcError: The file cannot be read, lacks the column, holds a value that is no finite number, or two values
            for one crystal.
    """
    header, *rows = read_rows(path, "predictions")
    header = [name.strip() for name in header]
    if column is None or column not in header:
        column = LABEL
    if column not in header:
        hint = f"its columns are {', '.join(header)}; name that of the values by --column"
        raise ShcError(f"{path} has no column {column}", hint)
    if not rows:
        raise ShcError(f"{path} holds no predictions", "it has a header only")
    id_column = next((header.index(name) for name in _IDS if name in header), 0)
    names = (column, *_BOUNDS) if column == LABEL and set(_BOUNDS) <= set(header) else (column,)
    columns = [header.index(name) for name in names]
    kind = header.index(_MODALITIES) if _MODALITIES in header else None
    sets: dict[str, dict[str, tuple[float, ...]]] = {}
    for row in rows:
        material_id, values = _row(row, id_column, columns, path)
        modalities = "" if kind is None or kind >= len(row) else row[kind].strip()
        if sets.setdefault(modalities, {}).setdefault(material_id, values) != values:
            raise ShcError(f"{path}: {material_id} has two predictions", "keep one row per crystal")
    return [_predictions(modalities, column, found) for modalities, found in _separate(sets).items()]


def _row(row: list[str], id_column: int, columns: list[int], path: Path) -> tuple[str, tuple[float, ...]]:
    try:
        values = tuple(float(row[column]) for column in columns)
        material_id = row[id_column].strip()
    except (IndexError, ValueError) as error:
        raise ShcError(
            f"{path}: no number in row {','.join(row)!r}", "every row needs a value, with a decimal point"
        ) from error
    if not all(map(math.isfinite, values)):
        raise ShcError(f"{path}: the prediction of {material_id} is not finite", "leave the row out")
    return material_id, values


def _separate(sets: dict[str, dict[str, tuple[float, ...]]]) -> dict[str, dict[str, tuple[float, ...]]]:
    """Join sets that have no crystal in common: each crystal has one prediction then, whatever it rests on."""
    joined = {material_id: values for found in sets.values() for material_id, values in found.items()}
    if len(sets) > 1 and len(joined) == sum(map(len, sets.values())):
        return {"mixed": joined}
    return sets


def _predictions(modalities: str, column: str, found: dict[str, tuple[float, ...]]) -> Predictions:
    value, *bounds = np.array(list(found.values()), dtype=np.float64).T
    row = {material_id: k for k, material_id in enumerate(found)}
    return Predictions(modalities, column, row, value, (bounds[0], bounds[1]) if bounds else None)


def join(predictions: Predictions, labels: Mapping[str, float], wanted: Sequence[str], name: str) -> Joined:
    """Put predictions beside labels.

    Args:
        predictions: One set of them.
        labels: Labels by material id, (hbar/e) S/cm.
        wanted: Ids of the crystals that score, all of which have a label.
        name: Name of the predictions, for messages.

    Raises:
        ShcError: None of the crystals that score has a prediction.
    """
    ids = [material_id for material_id in wanted if material_id in predictions.row]
    what = f"{name}, {predictions.modalities}" if predictions.modalities else name
    if not ids:
        raise ShcError(
            f"{what}: no crystal that scores has a prediction",
            f"predictions are of {_some(list(predictions.row))}, labels of {_some(list(wanted))}",
        )
    scoring = set(wanted)
    missing = [material_id for material_id in wanted if material_id not in predictions.row]
    unlabelled = [material_id for material_id in predictions.row if material_id not in labels]
    outside = [material_id for material_id in predictions.row if material_id in labels and material_id not in scoring]
    gaps = (
        (missing, "without a prediction, not scored"),
        (unlabelled, "predicted, but without a label"),
        (outside, "predicted, but not among the rows of the split that score"),
    )
    rows = [predictions.row[material_id] for material_id in ids]
    bounds = predictions.bounds
    return Joined(
        predictions.modalities,
        ids,
        np.array([labels[material_id] for material_id in ids]),
        predictions.value[rows],
        None if bounds is None else (bounds[0][rows], bounds[1][rows]),
        tuple(f"{what}: {counted(len(left), 'crystal')} {why} ({_some(left)})" for left, why in gaps if left),
    )


def common(first: Joined, second: Joined) -> tuple[Joined, Joined]:
    """Those crystals of two sets that both have, in the same order.

    Raises:
        ShcError: There is none.
    """
    places = {material_id: k for k, material_id in enumerate(second.material_id)}
    both = [k for k, material_id in enumerate(first.material_id) if material_id in places]
    if not both:
        raise ShcError("the files to compare have no labelled crystal in common", "compare predictions of one split")
    return first.take(both), second.take([places[first.material_id[k]] for k in both])


def _some(ids: Sequence[str]) -> str:
    """The first ids of many."""
    return ", ".join(ids[:_NAMED]) + (", ..." if len(ids) > _NAMED else "")
