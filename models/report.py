"""Results as text: CSV, JSON lines, and the ranking of the largest predictions in constant memory."""

from __future__ import annotations

import csv
import heapq
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

from shc.featurize.errors import Failure
from shc.models.card import UNIT
from shc.models.prediction import COLUMNS, Prediction
from shc.models.tensor import COMPONENT_NAMES

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TextIO

    from shc.models.card import ModelCard

_SHC_COLUMNS: Final = ("shc_max_abs", "shc_lower", "shc_upper", "shc_std")
_TENSOR: Final = "tb_shc_"
_IN_UNIT: Final = ("shc_", _TENSOR)


def failures_path(output: Path | None) -> Path:
    """Where inputs that could not be used are listed.

    Args:
        output: File of the predictions; None means stdout.
    """
    return Path("shc.failures.csv") if output is None else output.with_name(f"{output.stem}.failures.csv")


def unit_line(card: ModelCard, *, tensor_asked: bool = False) -> str:
    """The comment that heads a CSV file: unit, meaning of the interval, model, and of the tensor if it is there."""
    tensor = (
        "; tb_shc_ijk: tensor of the built-in electronic structure at the Fermi level (no density functional theory), "
        "current i, field j, spin k in the frame of the cell as read, as computed or as learned"
    )
    return (
        f"# unit: {UNIT} for {', '.join(_SHC_COLUMNS)}{' and tb_shc_ijk' if tensor_asked else ''}; "
        f"shc_lower to shc_upper covers {100.0 * card.calibration.coverage:g} %; model {card.name} {card.version}"
        f"{tensor if tensor_asked else ''}"
    )


class Writer(Protocol):
    """Writes rows of results as they come."""

    def write(self, predictions: Iterable[Prediction]) -> None:
        """Write some rows."""


class CsvWriter:
    """Rows as CSV: a comment line with the unit, the header, the rows.

    Args:
        stream: Where to write.
        card: Card of the model.
    """

    def __init__(self, stream: TextIO, card: ModelCard) -> None:
        self._stream = stream
        self._writer = csv.writer(stream, lineterminator="\n")
        self._card = card
        self._started = False

    def write(self, predictions: Iterable[Prediction]) -> None:
        """Write some rows, so that a reader of a pipe has them at once; the head goes before the first."""
        for row in predictions:
            if not self._started:
                self._stream.write(unit_line(self._card, tensor_asked=row.tb_shc is not None) + "\n")
                self._writer.writerow(_columns(row))
                self._started = True
            texts = {name: f"{value:.1f}" for name, value in _columns(row).items() if name.startswith(_IN_UNIT)}
            texts |= {"p_finite": f"{row.p_finite:.3f}", "in_domain": str(row.in_domain).lower()}
            self._writer.writerow((_columns(row) | texts).values())
        self._stream.flush()


class JsonLinesWriter:
    """Rows as JSON lines; each carries its unit.

    Args:
        stream: Where to write.
        card: Card of the model.
    """

    def __init__(self, stream: TextIO, card: ModelCard) -> None:
        self._stream = stream
        self._last = {
            "unit": UNIT,
            "coverage": card.calibration.coverage,
            "model": f"{card.name} {card.version}",
        }

    def write(self, predictions: Iterable[Prediction]) -> None:
        """Write some rows, so that a reader of a pipe has them at once."""
        for row in predictions:
            numbers = {name: round(value, 1) for name, value in _columns(row).items() if name.startswith(_IN_UNIT)}
            line = _columns(row) | numbers | {"p_finite": round(row.p_finite, 3)} | self._last
            self._stream.write(json.dumps(line, ensure_ascii=False) + "\n")
        self._stream.flush()


def _columns(row: Prediction) -> dict[str, Any]:
    """The values of a row by the name of their column; the tensor stands at the end, if it was asked for."""
    values = {name: getattr(row, name) for name in COLUMNS}
    if row.tb_shc is None:
        return values
    components = (f"{_TENSOR}{name}" for name in COMPONENT_NAMES)
    return values | {"tb_source": row.tb_shc_source} | dict(zip(components, row.tb_shc, strict=True))


class Ranking:
    """The n largest predictions of a stream; equal values keep the order of the input.

    Args:
        n: Rows to keep.
    """

    def __init__(self, n: int) -> None:
        self.n = n
        self.n_seen = 0
        self._heap: list[tuple[float, int, Prediction]] = []

    def write(self, predictions: Iterable[Prediction]) -> None:
        """Look at some rows."""
        for row in predictions:
            entry = (row.shc_max_abs, -self.n_seen, row)
            self.n_seen += 1
            if len(self._heap) < self.n:
                heapq.heappush(self._heap, entry)
            elif entry > self._heap[0]:
                heapq.heapreplace(self._heap, entry)

    def rows(self) -> list[Prediction]:
        """What is kept, largest first."""
        return [row for _, _, row in sorted(self._heap, reverse=True)]


class FailureFile:
    """The list of inputs that could not be used; it exists only if there are any.

    Args:
        path: File to write.
        keep_old: Leave a list that an earlier run wrote if this run has no failures; by default it is removed,
            for it tells of inputs that are not among the results any more.
    """

    def __init__(self, path: Path, *, keep_old: bool = False) -> None:
        self.path = path
        self.n = 0
        self.first: Failure | None = None
        """The first row."""
        self._keep_old = keep_old
        self._stream: TextIO | None = None

    def write(self, failures: Iterable[Failure]) -> None:
        """Add rows that survive the death of this process."""
        for failure in failures:
            if self._stream is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                # File names need not be valid text; they are escaped rather than lost.
                self._stream = self.path.open("w", encoding="utf-8", errors="backslashreplace", newline="")
                csv.writer(self._stream, lineterminator="\n").writerow(Failure._fields)
            csv.writer(self._stream, lineterminator="\n").writerow(failure)
            self.first = self.first or failure
            self.n += 1
        if self._stream is not None:
            self._stream.flush()

    def __enter__(self) -> Self:
        """Return the list."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close the file; after a complete run without failures remove what an earlier one wrote."""
        if self._stream is not None:
            self._stream.close()
        elif error[0] is None and not self._keep_old and self._is_list():
            self.path.unlink()

    def _is_list(self) -> bool:
        """Whether the file that bears the name is a list of failures, and not something else."""
        try:
            with self.path.open(encoding="utf-8", errors="replace") as stream:
                return stream.readline().strip() == ",".join(Failure._fields)
        except OSError:
            return False
