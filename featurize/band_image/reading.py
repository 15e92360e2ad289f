"""Reading the pictures of crystals that are featurised already: few in this process, many in a pool of processes."""

from __future__ import annotations

from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Final, Self

from shc.featurize.band_image.codec import StoredPicture
from shc.featurize.band_image.listing import STAGE
from shc.featurize.band_image.run import read_picture
from shc.featurize.errors import Failure
from shc.featurize.pool import FILE_TIMEOUT, BatchPool

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from shc.featurize.band_image.listing import Picture
    from shc.featurize.band_image.types import EnergyWindow
    from shc.featurize.pool import Result

    Read = Result[tuple[Path, StoredPicture]]

IN_PROCESS_BELOW: Final = 32
"""With fewer pictures than this at a time, starting processes costs more than it saves."""
_CHUNK: Final = 4


class PictureReader:
    """Decodes and normalises pictures of many crystals; a picture that brings its process down stops no other.

    Args:
        workers: Processes of the pool; one per usable core if None.
    """

    def __init__(self, workers: int | None = None) -> None:
        """Start nothing yet."""
        self._workers = workers
        self._windows: dict[Path, EnergyWindow | None] = {}
        self._pool: BatchPool[tuple[Path, StoredPicture]] | None = None

    def read(self, crystals: Sequence[Sequence[Picture]]) -> tuple[list[tuple[StoredPicture, ...]], list[Failure]]:
        """Read the pictures of some crystals.

        Args:
            crystals: The files of each crystal.

        Returns:
            What can be used of each crystal, and a failure of the stage ``picture`` for every other file.
        """
        self._windows = {picture.path: picture.window for picture in chain.from_iterable(crystals)}
        paths = list(self._windows)
        if self._pool is None and len(paths) < IN_PROCESS_BELOW:
            good, failures = _read(paths, self._windows)
        else:
            good, failures = self._in_pool(paths)
        found = dict(good)
        usable = [tuple(found[p.path] for p in pictures if p.path in found) for pictures in crystals]
        return usable, [failure._replace(stage=STAGE) for failure in failures]

    def _in_pool(self, paths: list[Path]) -> Read:
        if self._pool is None:
            self._pool = BatchPool(
                partial(_read, windows={}), task_for=self._task_for, workers=self._workers, file_timeout=FILE_TIMEOUT
            )
        tickets = [self._pool.submit(paths[i : i + _CHUNK]) for i in range(0, len(paths), _CHUNK)]
        good: list[tuple[Path, StoredPicture]] = []
        failures: list[Failure] = []
        for ticket in tickets:
            result = self._pool.collect(ticket)
            if result is not None:
                good += result[0]
                failures += result[1]
        return good, failures

    def _task_for(self, paths: Sequence[Path]) -> partial[Read]:
        return partial(_read, windows={path: self._windows[path] for path in paths})

    def __enter__(self) -> Self:
        """Return the reader."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the processes."""
        if self._pool is not None:
            self._pool.close(at_once=True)


def _read(paths: Sequence[Path], windows: Mapping[Path, EnergyWindow | None]) -> Read:
    """Read some pictures in this process."""
    good: list[tuple[Path, StoredPicture]] = []
    failures: list[Failure] = []
    for path in paths:
        found = read_picture(path, windows[path])
        if isinstance(found, tuple):
            failures.append(Failure(str(path), STAGE, *found))
        else:
            good.append((path, StoredPicture.of(found, path.name)))
    return good, failures
