from __future__ import annotations

from shc.cli.options import Backend
from shc.models.backends.choose import NAMES


def test_the_back_ends_that_can_be_asked_for_are_those_there_are() -> None:
    assert tuple(each.value for each in Backend) == NAMES
