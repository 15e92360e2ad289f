"""``bands.csv``: what a person says about the pictures of a folder."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shc.featurize.band_image.types import EnergyWindow
from shc.featurize.errors import ExitCode, ShcError

if TYPE_CHECKING:
    from pathlib import Path

NAME: Final = "bands.csv"
"""Name of the file, beside the pictures."""
COLUMNS: Final = ("file", "material_id", "e_min_ev", "e_max_ev", "fermi_ev")
"""Its columns; all but the first may be missing or empty."""
_MAX_BYTES: Final = 16 * 1024 * 1024
_MAX_EV: Final = 1000.0
_HINT: Final = "correct this line; columns are " + ", ".join(COLUMNS)


@dataclass(frozen=True, slots=True)
class SidecarRow:
    """What is said about one picture."""

    file: str
    """Name of the picture in the folder."""
    material_id: str
    """The crystal that it shows; empty if nothing is said."""
    window: EnergyWindow | None
    """The energy axis; None if nothing is said."""
    line: int
    """Where it is said, counted from 1."""


def read_sidecar(folder: Path) -> dict[str, SidecarRow]:
    """Read ``bands.csv`` of a folder.

    Commas, semicolons or tabs between the columns, a byte-order mark, any line ends and, unless the comma separates
    columns, decimal commas are taken. Empty lines and lines that begin with ``#`` are passed over.

    Args:
        folder: Folder of pictures.

    Returns:
        What is said, by the name of the picture; empty if there is no such file.

    Raises:
        ShcError: The file cannot be read or a line of it makes no sense (``USAGE``); the line is named.
    """
    path = folder / NAME
    try:
        if not path.is_file():
            return {}
        if path.stat().st_size > _MAX_BYTES:
            raise _error(path, f"larger than {_MAX_BYTES // 2**20} MB")
        data = path.read_bytes()
    except OSError as error:
        raise _error(path, error.strerror or str(error)) from error
    return _parse(path, _text(path, data))


def energy_window(e_min_ev: float, e_max_ev: float, fermi_ev: float = 0.0) -> EnergyWindow:
    """Check what a person says about an energy axis.

    Args:
        e_min_ev: Energy at the lower edge of the panel, eV.
        e_max_ev: Energy at the upper edge of the panel, eV.
        fermi_ev: Fermi level on the same scale, eV.

    Raises:
        ShcError: It makes no sense (``USAGE``).
    """
    hint = "give the energies at the lower and the upper edge of the panel, eV, as in -4 4"
    if not all(math.isfinite(value) and abs(value) <= _MAX_EV for value in (e_min_ev, e_max_ev, fermi_ev)):
        raise ShcError(f"an energy is no number from {-_MAX_EV:g} to {_MAX_EV:g} eV", hint, ExitCode.USAGE)
    if e_min_ev >= e_max_ev:
        raise ShcError(f"the window {e_min_ev:g} to {e_max_ev:g} eV is upside down or empty", hint, ExitCode.USAGE)
    return EnergyWindow(e_min_ev, e_max_ev, fermi_ev)


def _error(path: Path, what: str, hint: str = "") -> ShcError:
    return ShcError(f"{path}: {what}", hint, ExitCode.USAGE)


def _text(path: Path, data: bytes) -> str:
    encoding = "utf-16" if data[:2] in {b"\xff\xfe", b"\xfe\xff"} else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        # What spreadsheet programs write in Western Europe; it knows every byte.
        text = data.decode("latin-1")
    if "\0" in text:
        raise _error(path, "the file is binary, not text", "save it as CSV")
    return text


def _parse(path: Path, text: str) -> dict[str, SidecarRow]:
    first = next((line for line in text.splitlines() if not _passed_over(line.strip())), "")
    separator = next((mark for mark in ";\t" if mark in first), ",")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)
    columns: list[str] = []
    rows: dict[str, SidecarRow] = {}
    try:
        for cells in reader:
            values = [cell.strip() for cell in cells]
            if not any(values) or _passed_over(values[0] or "-"):
                continue
            if not columns:
                columns = _columns(values)
                continue
            row = _row(columns, values, reader.line_num, decimal_comma=separator != ",")
            _add(rows, row)
    except csv.Error as error:
        raise _error(path, f"line {reader.line_num}: {error}", _HINT) from error
    except ShcError as error:
        raise _error(path, f"line {reader.line_num}: {error.message}", error.hint) from error
    if not columns:
        raise _error(path, "the file is empty", f"its first line names the columns: {', '.join(COLUMNS)}")
    return rows


def _passed_over(text: str) -> bool:
    """Whether a line is empty, a comment or the note of a spreadsheet program which separator it uses."""
    return not text or text.startswith("#") or text.lower().startswith("sep=")


def _add(rows: dict[str, SidecarRow], row: SidecarRow) -> None:
    if row.file in rows:
        what = f"{row.file} is named a second time, after line {rows[row.file].line}"
        raise ShcError(what, "keep one line for each picture")
    rows[row.file] = row


def _columns(names: list[str]) -> list[str]:
    columns = [name.lower() for name in names]
    if "file" not in columns:
        raise ShcError("there is no column `file`", f"the first line names the columns: {', '.join(COLUMNS)}")
    unknown = [name for name in columns if name and name not in COLUMNS]
    if unknown:
        raise ShcError(f"unknown column `{unknown[0]}`", f"known are {', '.join(COLUMNS)}")
    if any(columns.count(name) > 1 for name in COLUMNS):
        raise ShcError("a column is named twice", f"known are {', '.join(COLUMNS)}")
    return columns


def _row(columns: list[str], values: list[str], line: int, *, decimal_comma: bool) -> SidecarRow:
    if any(values[len(columns) :]):
        raise ShcError("there are more cells than columns", _HINT)
    cells = dict(zip(columns, values, strict=False))
    file = cells["file"].removeprefix("./")
    if not file:
        raise ShcError("the cell `file` is empty", _HINT)
    numbers = [_number(name, cells.get(name, ""), decimal_comma=decimal_comma) for name in COLUMNS[2:]]
    return SidecarRow(file, cells.get("material_id", ""), _window(*numbers), line)


def _window(e_min_ev: float | None, e_max_ev: float | None, fermi_ev: float | None) -> EnergyWindow | None:
    if e_min_ev is None and e_max_ev is None and fermi_ev is None:
        return None
    if e_min_ev is None or e_max_ev is None:
        raise ShcError("e_min_ev and e_max_ev are both needed to know the energies", _HINT)
    return energy_window(e_min_ev, e_max_ev, fermi_ev or 0.0)


def _number(column: str, text: str, *, decimal_comma: bool) -> float | None:
    if not text:
        return None
    plain = text.replace("\u2212", "-")  # the minus sign of typeset text
    try:
        return float(plain.replace(",", ".") if decimal_comma else plain)
    except ValueError as error:
        raise ShcError(f"{column} is no number: {text}", _HINT) from error
