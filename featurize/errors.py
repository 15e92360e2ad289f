"""Errors that are meant for people, and the record of one input that failed."""

from __future__ import annotations

from enum import IntEnum
from pathlib import Path
from typing import NamedTuple


class ExitCode(IntEnum):
    """What the command line returns to the shell."""

    OK = 0
    BUG = 1
    USAGE = 2
    NO_INPUT = 3
    SOME_FAILED = 4
    BAD_FILE = 5
    NO_BACKEND = 6
    RESUMABLE = 75
    INTERRUPTED = 130


class ShcError(Exception):
    """Something a person can act on: what is wrong, and what to do about it.

    Args:
        message: What is wrong, naming the file or site.
        hint: What to do about it; may be empty.
        exit_code: What the command line returns when this error ends it.
    """

    def __init__(self, message: str, hint: str = "", exit_code: ExitCode = ExitCode.NO_INPUT) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.exit_code = exit_code


class Failure(NamedTuple):
    """One input that could not be used: a row of the failures file."""

    path: str
    """Path of the input as the user gave it."""
    stage: str
    """Where it failed: ``read``, ``symmetry``, ``graph``, ``descriptors``, ``bands``, ``picture``, ``predict``,
    ``id``."""
    error: str
    """What is wrong."""
    hint: str
    """What to do about it; may be empty."""


def counted(n: int, noun: str) -> str:
    """A number and what it counts: ``1 crystal``, ``2 crystals``."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def nothing_usable(n: int, first: Failure | None, listing: Path) -> ShcError:
    """The error that ends a run without a usable input.

    Args:
        n: Inputs that failed.
        first: The first of them, None if there is none; what is wrong with it is told if it is the only one.
        listing: The failures file.
    """
    if first is None:
        return ShcError("no structure file was found", "name a folder or file with crystal structures")
    if n > 1:
        return ShcError(f"none of the {n} inputs could be used", f"see {listing}")
    named = Path(first.path).name in first.error
    hint = f"{first.hint}; see {listing}" if first.hint else f"see {listing}"
    return ShcError(first.error if named else f"{first.path}: {first.error}", hint)
