"""Errors that are meant for people, and the record of one input that failed."""

from __future__ import annotations

from enum import IntEnum
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
    """Where it failed: ``read``, ``symmetry``, ``graph``, ``descriptors``, ``bands``, ``predict``, ``id``."""
    error: str
    """What is wrong."""
    hint: str
    """What to do about it; may be empty."""
