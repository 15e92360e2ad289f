"""What reaches the terminal: results go to stdout, everything else to stderr."""

from __future__ import annotations

import os
import sys
import time
import traceback
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self, TextIO

from shc.featurize.writing import PLACE_ERRORS, cannot_write, followed, is_special, writing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import TracebackType

    from rich.progress import Progress as RichProgress

DISTRIBUTION = "shc-predict"


def version() -> str:
    """Return the installed version of the distribution."""
    from importlib import metadata

    return metadata.version(DISTRIBUTION)


def say(message: str) -> None:
    """Write one line for people to stderr."""
    sys.stderr.write(f"{message}\n")
    sys.stderr.flush()


def report_error(message: str, hint: str = "", trace: BaseException | None = None) -> None:
    """Write an error to stderr: one line that says what is wrong, one that says what to do.

    Args:
        message: What is wrong.
        hint: What to do about it; left out if empty.
        trace: Error whose traceback goes before the message.
    """
    if trace is not None:
        sys.stderr.write("".join(traceback.format_exception(trace)))
    say(f"error: {message}")
    if hint:
        say(f"hint: {hint}")


def use_colour(stream: TextIO) -> bool:
    """Tell whether a stream may get colours: a terminal, and `NO_COLOR` empty or not set."""
    return stream.isatty() and not os.environ.get("NO_COLOR")


def print_json(record: dict[str, Any]) -> None:
    """Write a result to stdout as JSON."""
    import json

    sys.stdout.write(json.dumps(record, indent=1, ensure_ascii=False) + "\n")


@contextmanager
def results(path: Path | None) -> Iterator[TextIO]:
    """Open where results go: stdout, or a file that appears under its name only when it is complete.

    Devices and pipes are written to as they are; a link stays, and what it points to is replaced.

    Args:
        path: File to write; None means stdout.

    Yields:
        A stream for text.

    Raises:
        ShcError: The file cannot be written (``USAGE``).
    """
    if path is None:
        yield sys.stdout
        return
    path = followed(path)
    if is_special(path):
        with path.open("w", encoding="utf-8", newline="") as stream:
            yield stream
        return
    with writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("w", encoding="utf-8", newline="") as stream:
            yield stream
        temporary.replace(path)
    except OSError as error:
        # Others come from what makes the results, not from their file.
        if error.filename == str(temporary) or (error.filename is None and error.errno in PLACE_ERRORS):
            raise cannot_write(path, error) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


class Progress:
    """Progress on stderr: a bar on a terminal, otherwise a line every so many items or seconds.

    Args:
        label: What is being done.
        total: Number of items; None if it is not known.
        quiet: Show nothing.
        every: Items between two lines when stderr is not a terminal.
        seconds: Longest time between two lines while items keep coming.
        clock: Source of the time in seconds.
    """

    def __init__(
        self,
        label: str,
        total: int | None = None,
        *,
        quiet: bool = False,
        every: int = 1000,
        seconds: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start counting; nothing is shown yet."""
        self.label = label
        self.total = total
        self.done = 0
        self._quiet = quiet
        self._every = every
        self._seconds = seconds
        self._clock = clock
        self._start = self._last_time = clock()
        self._last_done = 0
        self._bar: RichProgress | None = None

    def __enter__(self) -> Self:
        """Show the bar if there is a terminal."""
        if not self._quiet and sys.stderr.isatty():
            self._bar = _rich_bar()
            self._bar.add_task(self.label, total=self.total)
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the bar down, or write the last line if something is left to tell."""
        if self._bar is not None:
            self._bar.stop()
        elif not self._quiet and self.done != self._last_done:
            self._line()

    def expect(self, total: int) -> None:
        """Set the number of items once it is known."""
        self.total = total
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], total=total)

    def advance(self, n: int = 1) -> None:
        """Count `n` more items as done."""
        self.done += n
        if self._quiet:
            return
        if self._bar is not None:
            self._bar.advance(self._bar.task_ids[0], n)
            return
        late = self._clock() - self._last_time >= self._seconds
        if late or self.done // self._every > self._last_done // self._every:
            self._line()

    def _line(self) -> None:
        now = self._clock()
        rate = self.done / max(now - self._start, 1e-9)
        of_total = "" if self.total is None else f"/{self.total}"
        say(f"{self.label}: {self.done}{of_total} ({rate:.3g}/s)")
        self._last_done, self._last_time = self.done, now


def _rich_bar() -> RichProgress:
    """Build the bar; rich is imported only here because most runs do not need it."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True, no_color=not use_colour(sys.stderr))
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True)
