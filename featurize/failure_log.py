"""The failures file of a run that writes a feature file."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Final, Self

from shc.featurize.band_image.listing import STAGE as PICTURE
from shc.featurize.errors import Failure
from shc.featurize.writing import writing

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

# File names need not be valid text; they are escaped rather than lost.
_ESCAPE: Final = "backslashreplace"


class FailureLog:
    """The failures file of one run: rows appear as they happen.

    Args:
        path: File to write. What an earlier run wrote is dropped, for those inputs are tried again, but for the
            reasons why crystals have no bands, which `why_no_bands` tells.

    Raises:
        ShcError: The file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.first: Failure | None = None
        """The first row of this run that tells of a crystal, not of a picture."""
        self._earlier = {row.path: row for row in read_failures(path) if row.stage == "bands"}
        with writing(path):
            self._file = path.open("w", encoding="utf-8", errors=_ESCAPE, newline="")
        self._writer = csv.writer(self._file, lineterminator="\n")
        self._writer.writerow(Failure._fields)

    def why_no_bands(self, path: Path) -> Failure:
        """The row of a crystal whose bands failed in an earlier run, with the reason if that is still known."""
        unknown = Failure(str(path), "bands", "no bands", "--overwrite tries again")
        return self._earlier.get(str(path), unknown)

    def write(self, failures: Iterable[Failure]) -> None:
        """Add rows that survive the death of this process."""
        with writing(self.path):
            for failure in failures:
                if failure.stage != PICTURE:
                    self.first = self.first or failure
                self._writer.writerow(failure)
            self._file.flush()

    def __enter__(self) -> Self:
        """Return the log."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        with writing(self.path):
            self._file.close()


def read_failures(path: Path) -> list[Failure]:
    """The rows that an earlier run wrote; none if this is no such file."""
    try:
        with path.open(encoding="utf-8", errors="replace", newline="") as stream:
            head, *rows = csv.reader(stream)
    except (OSError, ValueError, csv.Error):
        return []
    fields = Failure._fields
    return [Failure(*row) for row in rows if len(row) == len(fields)] if tuple(head) == fields else []
