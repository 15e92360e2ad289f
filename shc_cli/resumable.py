"""Runs that the same command continues."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from shc.cli.console import Progress
from shc.featurize.errors import ExitCode, ShcError
from shc.featurize.stop import StopRequest

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def resumable(verb: str, *, quiet: bool) -> Iterator[tuple[Progress, StopRequest]]:
    """Show the progress of a run that keeps what is done, and listen to who wants to stop it.

    Args:
        verb: Name of the verb.
        quiet: Show no progress.

    Yields:
        The progress, and the request to stop that long loops look at.

    Raises:
        ShcError: Ctrl-C was pressed (``INTERRUPTED``).
    """
    with Progress(verb, quiet=quiet) as progress, StopRequest() as stop:
        try:
            yield progress, stop
        except KeyboardInterrupt as error:
            what = "interrupted; what is done is saved"
            raise ShcError(what, "run the same command again to go on", ExitCode.INTERRUPTED) from error
