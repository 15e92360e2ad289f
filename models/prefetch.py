"""Work done ahead: while one part is predicted, the next ones are read."""

from __future__ import annotations

import queue
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

Item = TypeVar("Item")

_PATIENCE: Final = 0.1
"""Seconds between two looks at whether the result is still wanted."""


class _End:
    """The last thing in the queue: there is no more, or an error."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


def ahead(items: Generator[Item], depth: int = 1) -> Iterator[Item]:
    """The same items, made in a thread of their own, a few ahead of what was taken.

    Args:
        items: Run in the thread, and closed there.
        depth: Items that wait at most; bounds the memory.

    Raises:
        BaseException: Whatever the items raise, where they are taken.
    """
    lane: _Lane[Item] = _Lane(depth)
    thread = threading.Thread(target=lane.fill, args=(items,), name="shc-ahead", daemon=True)
    thread.start()
    try:
        while not isinstance(item := lane.waiting.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        lane.unwanted.set()
        thread.join()


class _Lane(Generic[Item]):
    """Between the thread that makes items and the one that takes them."""

    def __init__(self, depth: int) -> None:
        self.waiting: queue.Queue[Item | _End] = queue.Queue(depth)
        self.unwanted = threading.Event()

    def fill(self, items: Generator[Item]) -> None:
        """Make items until there are no more, or none is wanted."""
        error: BaseException | None = None
        try:
            for item in items:
                if not self._put(item):
                    break
            items.close()
        except BaseException as raised:  # noqa: BLE001  raised again where the items are taken
            error = raised
        self._put(_End(error))

    def _put(self, item: Item | _End) -> bool:
        while not self.unwanted.is_set():
            with suppress(queue.Full):
                self.waiting.put(item, timeout=_PATIENCE)
                return True
        return False
