"""Bands computed ahead of a prediction, for ``shc predict --bands auto``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shc.cli.console import Progress

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from shc.featurize.config import FeaturizeConfig
    from shc.featurize.stop import StopRequest


class ComputedBands:
    """What became of the bands of the crystals that are predicted.

    The present model sees the structure only, so the bands go to the user's cache and nowhere else.
    """

    def __init__(self) -> None:
        """Start with nothing computed."""
        self._line = "--bands auto computes nothing for a feature file, and this model sees the structure only"

    def compute(
        self,
        paths: Sequence[str],
        config: FeaturizeConfig,
        *,
        workers: int | None,
        stop: StopRequest,
        quiet: bool,
    ) -> None:
        """Compute the bands of structure files, or find them in the cache.

        Args:
            paths: Files, folders, glob patterns, list files.
            config: Parameters, with ``bands`` set to ``auto``.
            workers: Worker processes.
            stop: Ends the work early.
            quiet: Whether no progress is shown.
        """
        from shc.featurize.electronic.cache import cache_folder
        from shc.featurize.electronic.run import BandsOutput
        from shc.featurize.pipeline import iter_featurized

        folder = cache_folder()
        n_with = n_without = 0
        with Progress("bands", quiet=quiet) as progress:
            stream = iter_featurized(paths, config, workers=workers, stop=stop, bands=BandsOutput(cache=folder))
            for records, _ in stream:
                n_with += sum(bool(record.bands) for record in records)
                n_without += sum(not record.bands for record in records)
                progress.advance(len(records))
        failed = f" ({n_without} crystals have none)" if n_without else ""
        self._line = (
            f"bands of {n_with} crystals in {folder} are not used, for this model sees the structure only{failed}"
        )

    def match(self, material_ids: Iterable[str]) -> None:
        """Nothing to note: bands are computed for the very crystals that are predicted."""

    def report(self) -> str:
        """One line that says what became of the bands."""
        return self._line
