"""Splitting one list of inputs over the tasks of an array job."""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple, TextIO, TypeVar

from shc.featurize.errors import ExitCode, Failure, ShcError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

T = TypeVar("T")

_HINT = "give `--shard i/n` with i from 1 to n, or `--shard auto` inside a SLURM array `--array=1-n`"


class Shard(NamedTuple):
    """Part `number` of `total` parts of the inputs, counted from 1: ``--shard 1/8`` to ``--shard 8/8``."""

    number: int
    """1 to `total`."""
    total: int
    """Number of parts."""

    def select(self, items: Iterable[T]) -> Iterator[T]:
        """Yield the items of this shard: every `total`-th one, starting at `number`, in input order."""
        return islice(items, self.number - 1, None, self.total)

    def file_name(self, path: Path) -> Path:
        """Return the name of the file this shard writes: ``features.h5`` -> ``features.003-of-008.h5``."""
        return path.with_name(f"{path.stem}.{self.number:03d}-of-{self.total:03d}{path.suffix}")


def parse_shard(text: str, environ: Mapping[str, str]) -> Shard:
    """Read the value of ``--shard``.

    Args:
        text: ``i/n``, or ``auto`` to take the numbers of the SLURM array job.
        environ: Environment variables.

    Returns:
        The shard.

    Raises:
        ShcError: The value does not name a shard, or the array job is not a whole one that runs from 1 to n.
    """
    if text == "auto":
        return _slurm_shard(environ)
    match = re.fullmatch(r"([0-9]+)/([0-9]+)", text)
    if match is None:
        raise _usage(f"--shard {text!r} is neither i/n nor auto")
    shard = Shard(int(match[1]), int(match[2]))
    if not 1 <= shard.number <= shard.total:
        raise _usage(f"--shard {text}: {shard.number} is not between 1 and {shard.total}")
    return shard


def inputs_of_shard(sources: Sequence[str], shard: Shard, stdin: TextIO) -> list[str]:
    """Resolve the inputs and keep those of one shard.

    Args:
        sources: Files, folders, glob patterns, list files, ``-``; see ``iter_paths``.
        shard: The shard.
        stdin: What ``-`` reads.

    Returns:
        Paths. What does not exist stays among them: whoever reads the paths reports it as a failure.
    """
    from shc.featurize.structures import iter_paths

    entries = shard.select(iter_paths(sources, stdin))
    return [entry.path if isinstance(entry, Failure) else str(entry) for entry in entries]


def _usage(message: str, hint: str = _HINT) -> ShcError:
    return ShcError(message, hint, ExitCode.USAGE)


def _slurm_shard(environ: Mapping[str, str]) -> Shard:
    """Read the shard from the variables of a SLURM array job.

    An array that does not run from 1 to n in steps of 1 may be a part of a larger one, submitted again for
    the tasks that failed. Numbering such a part afresh would silently process other inputs: it is refused.
    """
    names = [f"SLURM_ARRAY_TASK_{key}" for key in ("ID", "MIN", "MAX", "COUNT")]
    missing = [name for name in names if name not in environ]
    if missing:
        raise _usage(f"--shard auto needs a SLURM array job; {missing[0]} is not set")
    try:
        number, low, high, total = (int(environ[name]) for name in names)
        step = int(environ.get("SLURM_ARRAY_TASK_STEP", "1"))
    except ValueError as error:
        raise _usage(f"SLURM_ARRAY_TASK_* holds no whole number: {error}") from error
    if low != 1 or high != total or step != 1 or not 1 <= number <= total:
        raise _usage(
            f"the SLURM array (tasks {low} to {high}, {total} of them, step {step}) is not 1 to n, all of it",
            "submit with --array=1-n; to repeat only some tasks, write `--shard $SLURM_ARRAY_TASK_ID/n` with "
            "the n of the first submission",
        )
    return Shard(number, total)
