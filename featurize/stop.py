"""Stopping in good order when a time limit or a person asks for it."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import FrameType, TracebackType

_SIGNALS = (signal.SIGTERM, signal.SIGUSR1)


class StopRequest:
    """A flag that SIGTERM and SIGUSR1 raise while the context lasts; long loops look at it between two items.

    Batch systems send these signals shortly before they kill. Outside the main thread no handler can be set;
    the flag can then still be raised by ``request``.
    """

    def __init__(self) -> None:
        """Start with the flag down."""
        self.reason = ""
        self._previous: dict[signal.Signals, object] = {}

    @property
    def requested(self) -> bool:
        """Whether to stop."""
        return bool(self.reason)

    def request(self, reason: str) -> None:
        """Raise the flag.

        Args:
            reason: Why, for the message that ends the run; not empty.
        """
        self.reason = self.reason or reason

    def __enter__(self) -> Self:
        """Set the signal handlers."""
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.signal(number, self._note) for number in _SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Put the earlier handlers back."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._previous = {}

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.request(signal.Signals(number).name)
