from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from shc.models.prefetch import ahead

if TYPE_CHECKING:
    from collections.abc import Generator


def test_items_come_in_order_from_another_thread() -> None:
    threads = set()

    def items() -> Generator[int]:
        for number in range(50):
            threads.add(threading.current_thread())
            yield number

    assert list(ahead(items())) == list(range(50))
    assert threading.current_thread() not in threads


def test_no_more_than_the_depth_waits() -> None:
    made: list[int] = []

    def items() -> Generator[int]:
        for number in range(20):
            made.append(number)
            yield number

    stream = ahead(items(), depth=2)
    assert next(stream) == 0
    time.sleep(0.2)
    assert 2 <= len(made) <= 4, "one is taken, two wait, one is ready to wait"
    assert list(stream) == list(range(1, 20))


def test_an_error_is_raised_where_the_items_are_taken() -> None:
    def items() -> Generator[int]:
        yield 1
        raise ValueError("broken")

    stream = ahead(items())
    assert next(stream) == 1
    with pytest.raises(ValueError, match="broken"):
        next(stream)


def test_whoever_stops_early_ends_the_thread_and_closes_the_items() -> None:
    closed = threading.Event()

    def items() -> Generator[int]:
        try:
            yield from range(1000)
        finally:
            closed.set()

    stream = ahead(items())
    assert next(stream) == 0
    stream.close()  # type: ignore[attr-defined]
    assert closed.is_set()
    assert not any(thread.name == "shc-ahead" for thread in threading.enumerate())
