"""Labels: ``shc_max_abs`` by material id."""

from __future__ import annotations

import csv
import math
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from typing import TYPE_CHECKING, Final

from shc.featurize.errors import ShcError

if TYPE_CHECKING:
    from pathlib import Path

LABEL = "shc_max_abs"
_SEPARATORS: Final = ",;\t"
_UTF_16: Final = (BOM_UTF16_LE, BOM_UTF16_BE)


def read_rows(path: Path, what: str) -> list[list[str]]:
    """Rows of a CSV file; blank lines and lines that start with ``#`` are skipped.

    Columns are separated by whichever of comma, semicolon and tab comes first in the first row.

    Args:
        path: The CSV file.
        what: What it should hold, for messages.

    Returns:
        One row or more.

    Raises:
        ShcError: The file cannot be read, is no UTF-8 text, or has no rows.
    """
    lines = [line for line in _text(path, what).splitlines() if line.strip() and not line.startswith("#")]
    if not lines:
        raise ShcError(f"{path} holds no {what}", f"expected columns material_id and {LABEL}")
    separator = next((mark for mark in lines[0] if mark in _SEPARATORS), _SEPARATORS[0])
    try:
        return list(csv.reader(lines, delimiter=separator))
    except csv.Error as error:
        raise ShcError(f"cannot read {what} from {path}: {error}", "give a CSV file") from error


def _text(path: Path, what: str) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ShcError(f"cannot read {what} from {path}: {error.strerror or error}", "give a CSV file") from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        kind = "UTF-16 text" if data[:2] in _UTF_16 else "no UTF-8 text"
        raise ShcError(f"cannot read {what} from {path}: it is {kind}", "save it as CSV in UTF-8")
    return text


def read_labels(path: Path) -> dict[str, float]:
    """Read labels.

    Two forms are read: a CSV with a header that names ``material_id`` and ``shc_max_abs``, and CGCNN's
    ``id_prop.csv``, two columns without a header. Lines that start with ``#`` are skipped.

    Args:
        path: The CSV file.

    Returns:
        Label by id, (hbar/e) S/cm, >= 0.

    Raises:
        ShcError: The file cannot be read, a value is no number or negative, or an id has two labels.
    """
    rows = read_rows(path, "labels")
    id_column, value_column = 0, 1
    if LABEL in rows[0]:
        if "material_id" not in rows[0]:
            raise ShcError(f"{path} has no column material_id", f"its columns are {', '.join(rows[0])}")
        id_column, value_column = rows[0].index("material_id"), rows[0].index(LABEL)
        rows = rows[1:]
    labels: dict[str, float] = {}
    for row in rows:
        key, value = _label(row, id_column, value_column, path)
        if labels.setdefault(key, value) != value:
            raise ShcError(f"{path}: {key} has two labels", "keep one row per material_id")
    return labels


def read_column(path: Path, name: str) -> dict[str, str]:
    """Another column of a table of labels.

    Args:
        path: A file that ``read_labels`` reads.
        name: Name of the column.

    Returns:
        Its text by material id; empty if there is no such column.
    """
    header, *rows = read_rows(path, "labels")
    if name not in header or "material_id" not in header:
        return {}
    key, column = header.index("material_id"), header.index(name)
    return {row[key].strip(): row[column].strip() for row in rows if len(row) > max(key, column)}


def _label(row: list[str], id_column: int, value_column: int, path: Path) -> tuple[str, float]:
    try:
        key, value = row[id_column].strip(), float(row[value_column])
    except (IndexError, ValueError) as error:
        hint = f"expected columns material_id and {LABEL}, or two columns without a header; numbers have decimal points"
        raise ShcError(f"{path}: no label in row {','.join(row)!r}", hint) from error
    if not math.isfinite(value) or value < 0:
        raise ShcError(f"{path}: {key} has label {value}", "labels are finite and not negative")
    return key, value
