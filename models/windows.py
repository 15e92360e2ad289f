"""Crystals in windows: enough for batches of similar ones, few enough that memory does not grow with their number."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from shc.featurize.band_image.codec import decode
from shc.featurize.config import BANDS_AUTO
from shc.featurize.electronic.codec import decode as decode_bands
from shc.featurize.store import FeatureBatch

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from shc.featurize.band_image.codec import StoredPicture
    from shc.featurize.band_image.reading import PictureReader
    from shc.featurize.band_image.run import RunPictures
    from shc.featurize.config import FeaturizeConfig
    from shc.featurize.errors import Failure
    from shc.featurize.store import FeatureFile
    from shc.featurize.types import CrystalRecord
    from shc.models.card import ModelCard

WINDOW: Final = 1024
"""Crystals read from a feature file at a time."""
GATHERED: Final = 1024
"""Crystals of files that are predicted at a time, at most: enough for batches of crystals of similar size."""
PICTURE_WINDOW: Final = 128
"""The same if the model reads pictures, some 200 kB each in memory."""


def file_windows(
    file: FeatureFile,
    card: ModelCard,
    wanted: NDArray[np.int64],
    window: int,
    workers: int | None,
    pictures: RunPictures | None,
    *,
    stored_bands: bool,
) -> Generator[tuple[FeatureBatch, list[Failure]]]:
    """Some rows of a feature file at a time, with all that a model reads of them.

    Args:
        file: The file.
        card: The model's.
        wanted: ``[n]`` rows, in the order wanted.
        window: Rows at a time; fewer if the model reads pictures.
        workers: Processes that read many pictures; one per usable core if None.
        pictures: Pictures of the crystals, which take the place of the stored ones.
        stored_bands: Whether bands and pictures that the file holds are used.

    Yields:
        Crystals, and pictures of theirs that cannot be used.

    Raises:
        ShcError: The file is damaged.
    """
    reads = card.reads_pictures and (stored_bands or pictures is not None)
    curves = card.model.reads_bands and stored_bands
    step = min(window, PICTURE_WINDOW) if reads else window
    with ExitStack() as stack:
        fresh = None
        if reads and pictures is not None:
            # Decoding needs Pillow and numba; prediction from a feature file must run without.
            from shc.featurize.band_image.reading import PictureReader  # noqa: PLC0415

            fresh = _Fresh(pictures, stack.enter_context(PictureReader(workers)))
        for start in range(0, len(wanted), step):
            indices = wanted[start : start + step]
            features = file.read(indices)
            failures: list[Failure] = []
            if curves:
                features = replace(features, bands=file.bands(indices))
            if reads:
                found = file.pictures(indices if stored_bands else indices[:0]) or [()] * len(indices)
                if fresh is not None:
                    found, failures = fresh.instead_of(found, features.material_id)
                features = replace(features, pictures=found)
            yield features, failures


def record_windows(
    stream: Iterable[tuple[list[CrystalRecord], list[Failure]]], config: FeaturizeConfig
) -> Iterator[tuple[FeatureBatch, list[Failure]]]:
    """Records fresh from their files as batches, with their bands and pictures unpacked.

    Args:
        stream: Records and failures, a few at a time.
        config: How they were made.
    """
    computed = config.bands == BANDS_AUTO
    # What takes a second a crystal is shown as it comes.
    at_once = 1 if computed else PICTURE_WINDOW if config.pictures else GATHERED
    for records, failures in _gathered(stream, at_once):
        features = FeatureBatch.from_records(records)
        if config.pictures:
            features = replace(features, pictures=[decode(record.pictures).pictures for record in records])
        if computed:
            unpacked = [decode_bands(record.bands) if record.bands else None for record in records]
            features = replace(features, bands=unpacked)
        yield features, failures


def _gathered(
    stream: Iterable[tuple[list[CrystalRecord], list[Failure]]], at_once: int
) -> Iterator[tuple[list[CrystalRecord], list[Failure]]]:
    """Records enough for batches of similar crystals, in order: the first ones soon, then more and more at a time."""
    records: list[CrystalRecord] = []
    failures: list[Failure] = []
    n_done = 0
    for more, failed in stream:
        records, failures = records + more, failures + failed
        if len(records) + len(failures) >= min(at_once, n_done + 1):
            yield records, failures
            n_done += len(records) + len(failures)
            records, failures = [], []
    if records or failures:
        yield records, failures


class _Fresh(NamedTuple):
    """Pictures of folders, read when their crystals come up."""

    pictures: RunPictures
    reader: PictureReader

    def instead_of(
        self, stored: list[tuple[StoredPicture, ...]], names: Sequence[str]
    ) -> tuple[list[tuple[StoredPicture, ...]], list[Failure]]:
        """Pictures of some crystals, those of a folder in place of stored ones, and what of the folder is no use."""
        found, failures = self.reader.read([self.pictures.of(name) for name in names])
        return [new or old for new, old in zip(found, stored, strict=True)], failures
